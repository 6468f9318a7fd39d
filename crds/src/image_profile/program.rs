//! A program, as it stands in a profile.

use hostfit_engine::files::{Go, NativeImage, Program};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cut;
use super::files::{parsed, short, version};

/// A program.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProgramProfile {
    /// Its path in the image, links followed.
    #[schemars(length(max = 255))]
    pub path: String,
    /// The script that it interprets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub script: Option<String>,
    /// It brings all of its code, so the C library of the image does not matter to it.
    #[serde(default, rename = "static", skip_serializing_if = "std::ops::Not::not")]
    pub is_static: bool,
    /// Architecture that it is made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub architecture: Option<String>,
    /// Level of x86-64 that it is marked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_level: Option<u8>,
    /// Kernel that its own ABI note asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub min_kernel: Option<String>,
    /// It compares the kernel with that note.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub checks_kernel: bool,
    /// Its code calls the vsyscall page.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub calls_vsyscall: bool,
    /// Smallest alignment of its segments in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub alignment: Option<i64>,
    /// Version of Go that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub go: Option<String>,
    /// GOAMD64 that it was made with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub go_level: Option<u8>,
    /// It is a native image of GraalVM, which asks for this of the CPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub native_image: Option<NativeImageProfile>,
    /// Libraries that it needs and rules ask for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 255)))]
    pub needs: Vec<String>,
    /// eBPF code stands within it that needs the kernel's type information.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub holds_ebpf: bool,
    /// Its file gives it the capability to open low ports.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub binds_low_ports: bool,
    /// It is systemd.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub systemd: bool,
    /// The image's default arguments name it, not its entrypoint: those of a pod stand in its place.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub argument: bool,
}

/// What a native image of GraalVM asks of the CPU.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NativeImageProfile {
    /// Level of x86-64 that has what it asks for, as far as levels go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_level: Option<u8>,
    /// Features that it asks for and no level has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 32)))]
    pub beyond: Vec<String>,
}

impl NativeImageProfile {
    fn of(asking: &NativeImage) -> Self {
        let NativeImage { cpu_level, beyond } = asking;
        Self {
            cpu_level: *cpu_level,
            beyond: beyond.iter().take(64).map(|it| cut(it, 32)).collect(),
        }
    }

    fn facts(&self) -> NativeImage {
        NativeImage {
            cpu_level: self.cpu_level,
            beyond: self.beyond.clone(),
        }
    }
}

impl ProgramProfile {
    pub(super) fn of(program: &Program) -> Self {
        let Program {
            path,
            script,
            is_static,
            architecture,
            cpu_level,
            kernel,
            alignment,
            checks_kernel,
            calls_vsyscall,
            go,
            native_image,
            needs,
            holds_ebpf,
            binds_low_ports,
            is_systemd,
            is_argument,
        } = program;
        Self {
            path: short(path),
            script: script.as_deref().map(short),
            is_static: *is_static,
            architecture: architecture.as_deref().map(|it| cut(it, 32)),
            cpu_level: *cpu_level,
            min_kernel: version(kernel.as_ref()),
            checks_kernel: *checks_kernel,
            calls_vsyscall: *calls_vsyscall,
            alignment: alignment.map(|it| i64::try_from(it).unwrap_or(i64::MAX)),
            go: go.as_ref().map(|go| short(&go.version)),
            go_level: go.as_ref().map(|go| go.amd64),
            native_image: native_image.as_ref().map(NativeImageProfile::of),
            needs: needs.iter().take(32).map(|it| short(it)).collect(),
            holds_ebpf: *holds_ebpf,
            binds_low_ports: *binds_low_ports,
            systemd: *is_systemd,
            argument: *is_argument,
        }
    }

    pub(super) fn facts(&self) -> Option<Program> {
        Some(Program {
            path: self.path.clone(),
            script: self.script.clone(),
            is_static: self.is_static,
            architecture: self.architecture.clone(),
            cpu_level: self.cpu_level,
            kernel: parsed(self.min_kernel.as_ref())?,
            alignment: match self.alignment {
                Some(alignment) => Some(u64::try_from(alignment).ok()?),
                None => None,
            },
            checks_kernel: self.checks_kernel,
            calls_vsyscall: self.calls_vsyscall,
            go: match (&self.go, self.go_level) {
                (Some(version), Some(amd64)) => Some(Go {
                    version: version.clone(),
                    amd64,
                }),
                _ => None,
            },
            native_image: self.native_image.as_ref().map(NativeImageProfile::facts),
            needs: self.needs.clone(),
            holds_ebpf: self.holds_ebpf,
            binds_low_ports: self.binds_low_ports,
            is_systemd: self.systemd,
            is_argument: self.argument,
        })
    }
}
