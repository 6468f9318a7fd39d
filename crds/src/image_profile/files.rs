//! What files say, as it stands in a profile.

use std::str::FromStr;

use hostfit_engine::distribution::Distribution;
use hostfit_engine::files::{Files, Iptables, KernelModule, Libc, LibcKind, Seen};
use hostfit_engine::package::{Family, PackageVersion};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::program::ProgramProfile;
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
    /// Smallest alignment of the segments of a shared library for arm64, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_alignment: Option<SeenValue>,
    /// Kernel modules: one for each release of a kernel that they were built for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub kernel_modules: Vec<KernelModuleProfile>,
    /// Which tables its iptables writes: legacy or nft.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iptables: Option<SeenValue>,
    /// Version of its Java.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub java: Option<SeenValue>,
    /// Major release of CUDA whose runtime library it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cuda_runtime: Option<SeenValue>,
    /// The library that lets an older driver run a newer CUDA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub cuda_compat: Option<String>,
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

/// A kernel module.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KernelModuleProfile {
    /// Release of the kernel that it was built for.
    #[schemars(length(max = 255))]
    pub release: String,
    /// Whether it is signed, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<bool>,
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

pub(super) fn short(text: &str) -> String {
    cut(text, LONGEST)
}

/// A version, unless it is longer than any real one: cut, it would be another version.
pub(super) fn version<T: ToString>(version: Option<&T>) -> Option<String> {
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

pub(super) fn parsed<T: FromStr>(text: Option<&String>) -> Option<Option<T>> {
    text.map_or(Some(None), |text| text.parse().ok().map(Some))
}

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
            object_alignment,
            executable_stack,
            ebpf,
            kernel_modules,
            jemalloc,
            own_namespaces,
            iptables,
            java,
            cuda_runtime,
            cuda_compat,
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
            object_alignment: SeenValue::of(object_alignment.as_ref(), u64::to_string),
            kernel_modules: kernel_modules
                .iter()
                .take(16)
                .map(|(release, module)| KernelModuleProfile {
                    release: short(release),
                    signed: module.is_signed,
                    from: short(&module.path),
                })
                .collect(),
            iptables: SeenValue::of(iptables.as_ref(), ToString::to_string),
            java: SeenValue::of(java.as_ref(), String::clone),
            cuda_runtime: SeenValue::of(cuda_runtime.as_ref(), u64::to_string),
            cuda_compat: path(cuda_compat),
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
            object_alignment: seen(self.object_alignment.as_ref(), |text| text.parse().ok())?,
            kernel_modules: self
                .kernel_modules
                .iter()
                .map(|module| {
                    let read = KernelModule {
                        path: module.from.clone(),
                        is_signed: module.signed,
                    };
                    (module.release.clone(), read)
                })
                .collect(),
            iptables: seen(self.iptables.as_ref(), Iptables::of)?,
            java: seen(self.java.as_ref(), |text| Some(text.to_owned()))?,
            cuda_runtime: seen(self.cuda_runtime.as_ref(), |text| text.parse().ok())?,
            cuda_compat: path(&self.cuda_compat),
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
