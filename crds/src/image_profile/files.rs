//! What files say, as it stands in a profile.

use std::str::FromStr;

use hostfit_engine::distribution::Distribution;
use hostfit_engine::files::{Files, Go, Iptables, Libc, LibcKind, NativeImage, Program, Seen};
use hostfit_engine::package::{Family, PackageVersion};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{LONGEST, cut};

/// What the files of a platform say. Each fact names the file that says it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FilesProfile {
    /// Distribution, by os-release or its older relatives: the ID and the release, separated by a blank.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distro: Option<SeenValue>,
    /// The C library of its dynamic programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub libc: Option<LibcProfile>,
    /// The program that the entrypoint leads to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<ProgramProfile>,
    /// Highest level of x86-64 that another program or library is marked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_level: Option<SeenValue>,
    /// Highest kernel that the ABI note of a shared library asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_kernel: Option<SeenValue>,
    /// A kernel module, with the release that it was built for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel_module: Option<SeenValue>,
    /// Which tables its iptables writes: legacy or nft.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iptables: Option<SeenValue>,
    /// Version of its Java.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub java: Option<SeenValue>,
    /// Crypto policy that its libraries follow: DEFAULT, FIPS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crypto_policy: Option<SeenValue>,
    /// A shared library that wants an executable stack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub executable_stack: Option<String>,
    /// An eBPF object that needs the kernel's type information.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub ebpf: Option<String>,
    /// A jemalloc with its page size compiled in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub jemalloc: Option<String>,
    /// A program that makes user namespaces of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub own_namespaces: Option<String>,
    /// Packages that rules ask for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub packages: Vec<PackageProfile>,
    /// What could not be read, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(max = 255)))]
    pub unread: Vec<String>,
}

/// A fact, and the file that says it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SeenValue {
    /// What it says.
    #[schemars(length(max = 255))]
    pub value: String,
    /// Path of the file in the image.
    #[schemars(length(max = 255))]
    pub from: String,
}

/// A C library.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LibcProfile {
    /// glibc or musl.
    #[schemars(length(max = 16))]
    pub name: String,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub version: Option<String>,
    /// Kernel that its ABI note asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub min_kernel: Option<String>,
    /// Level of x86-64 that it asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_level: Option<u8>,
    /// Path of the file in the image.
    #[schemars(length(max = 255))]
    pub from: String,
}

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

/// A package.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PackageProfile {
    /// Its name.
    #[schemars(length(max = 255))]
    pub name: String,
    /// Its version, with epoch and release.
    #[schemars(length(max = 255))]
    pub version: String,
    /// Whose order of versions holds: dpkg, apk or rpm.
    #[schemars(length(max = 16))]
    pub family: String,
    /// Path of the database in the image.
    #[schemars(length(max = 255))]
    pub from: String,
}

fn short(text: &str) -> String {
    cut(text, LONGEST)
}

/// A version, unless it is longer than any real one: cut, it would be another version.
fn version<T: ToString>(version: Option<&T>) -> Option<String> {
    version.map(T::to_string).filter(|text| text.len() <= 64)
}

impl SeenValue {
    fn of<T>(seen: Option<&Seen<T>>, value: impl Fn(&T) -> String) -> Option<Self> {
        seen.map(|seen| Self {
            value: short(&value(&seen.value)),
            from: short(&seen.path),
        })
    }
}

/// A fact of a profile; the outer `None` if it cannot be read.
fn seen<T>(
    written: Option<&SeenValue>,
    read: impl Fn(&str) -> Option<T>,
) -> Option<Option<Seen<T>>> {
    match written {
        Some(written) => Some(Some(Seen::new(read(&written.value)?, &written.from))),
        None => Some(None),
    }
}

fn parsed<T: FromStr>(text: Option<&String>) -> Option<Option<T>> {
    text.map_or(Some(None), |text| text.parse().ok().map(Some))
}

const LEGACY: &str = "legacy";
const NFT: &str = "nft";
const FAMILIES: [(Family, &str); 3] = [
    (Family::Dpkg, "dpkg"),
    (Family::Apk, "apk"),
    (Family::Rpm, "rpm"),
];

impl FilesProfile {
    pub(super) fn of(files: &Files) -> Self {
        // Whole: who adds a fact decides here how it is kept.
        let Files {
            distribution,
            libc,
            program,
            object_level,
            object_kernel,
            executable_stack,
            ebpf,
            kernel_module,
            jemalloc,
            own_namespaces,
            iptables,
            java,
            crypto_policy,
            packages,
            unread,
        } = files;
        let path = |seen: &Option<Seen<()>>| seen.as_ref().map(|seen| short(&seen.path));
        let packages = packages.iter().map(|(name, seen)| {
            let family = FAMILIES.iter().find(|it| it.0 == seen.value.family());
            PackageProfile {
                name: short(name),
                version: short(seen.value.as_str()),
                family: family.map_or("", |it| it.1).to_owned(),
                from: short(&seen.path),
            }
        });
        Self {
            distro: SeenValue::of(distribution.as_ref(), Distribution::to_string),
            libc: libc.as_ref().map(LibcProfile::of),
            program: program.as_ref().map(ProgramProfile::of),
            object_level: SeenValue::of(object_level.as_ref(), u8::to_string),
            object_kernel: SeenValue::of(object_kernel.as_ref(), ToString::to_string),
            kernel_module: SeenValue::of(kernel_module.as_ref(), String::clone),
            iptables: SeenValue::of(iptables.as_ref(), |variant| {
                match variant {
                    Iptables::Legacy => LEGACY,
                    Iptables::Nft => NFT,
                }
                .to_owned()
            }),
            java: SeenValue::of(java.as_ref(), String::clone),
            crypto_policy: SeenValue::of(crypto_policy.as_ref(), String::clone),
            executable_stack: path(executable_stack),
            ebpf: path(ebpf),
            jemalloc: path(jemalloc),
            own_namespaces: path(own_namespaces),
            packages: packages.take(64).collect(),
            unread: unread.iter().take(8).map(|it| short(it)).collect(),
        }
    }

    pub(super) fn facts(&self) -> Option<Files> {
        let path = |path: &Option<String>| path.as_ref().map(|path| Seen::new((), path));
        let packages = self.packages.iter().map(|package| {
            let family = FAMILIES.iter().find(|it| it.1 == package.family)?.0;
            let version = PackageVersion::new(family, &package.version);
            Some((package.name.clone(), Seen::new(version, &package.from)))
        });
        Some(Files {
            distribution: seen(self.distro.as_ref(), |text| {
                let (id, version) = text.split_once(' ').unwrap_or((text, ""));
                Some(Distribution::new(id, version))
            })?,
            libc: match &self.libc {
                Some(libc) => Some(libc.facts()?),
                None => None,
            },
            program: match &self.program {
                Some(program) => Some(program.facts()?),
                None => None,
            },
            object_level: seen(self.object_level.as_ref(), |text| text.parse().ok())?,
            object_kernel: seen(self.object_kernel.as_ref(), |text| text.parse().ok())?,
            kernel_module: seen(self.kernel_module.as_ref(), |text| Some(text.to_owned()))?,
            iptables: seen(self.iptables.as_ref(), |text| match text {
                LEGACY => Some(Iptables::Legacy),
                NFT => Some(Iptables::Nft),
                _ => None,
            })?,
            java: seen(self.java.as_ref(), |text| Some(text.to_owned()))?,
            crypto_policy: seen(self.crypto_policy.as_ref(), |text| Some(text.to_owned()))?,
            executable_stack: path(&self.executable_stack),
            ebpf: path(&self.ebpf),
            jemalloc: path(&self.jemalloc),
            own_namespaces: path(&self.own_namespaces),
            packages: packages.collect::<Option<_>>()?,
            unread: self.unread.clone(),
        })
    }
}

impl LibcProfile {
    fn of(libc: &Libc) -> Self {
        Self {
            name: libc.kind.as_str().to_owned(),
            version: version(libc.version.as_ref()),
            min_kernel: version(libc.kernel.as_ref()),
            cpu_level: libc.cpu_level,
            from: short(&libc.path),
        }
    }

    fn facts(&self) -> Option<Libc> {
        Some(Libc {
            kind: [LibcKind::Glibc, LibcKind::Musl]
                .into_iter()
                .find(|kind| kind.as_str() == self.name)?,
            version: parsed(self.version.as_ref())?,
            kernel: parsed(self.min_kernel.as_ref())?,
            cpu_level: self.cpu_level,
            path: self.from.clone(),
        })
    }
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
    fn of(program: &Program) -> Self {
        let Program {
            path,
            script,
            is_static,
            architecture,
            cpu_level,
            kernel,
            alignment,
            checks_kernel,
            go,
            native_image,
            needs,
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
            alignment: alignment.map(|it| i64::try_from(it).unwrap_or(i64::MAX)),
            go: go.as_ref().map(|go| short(&go.version)),
            go_level: go.as_ref().map(|go| go.amd64),
            native_image: native_image.as_ref().map(NativeImageProfile::of),
            needs: needs.iter().take(32).map(|it| short(it)).collect(),
            systemd: *is_systemd,
            argument: *is_argument,
        }
    }

    fn facts(&self) -> Option<Program> {
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
            go: match (&self.go, self.go_level) {
                (Some(version), Some(amd64)) => Some(Go {
                    version: version.clone(),
                    amd64,
                }),
                _ => None,
            },
            native_image: self.native_image.as_ref().map(NativeImageProfile::facts),
            needs: self.needs.clone(),
            is_systemd: self.systemd,
            is_argument: self.argument,
        })
    }
}
