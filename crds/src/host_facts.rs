//! The facts of a host, as they stand in objects and files.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use hostfit_engine::distribution::Distribution;
use hostfit_engine::files;
use hostfit_engine::host::{self, HostFact};
use hostfit_engine::image;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::node::numbers;

/// What a class of nodes offers. A missing field means "not known", never a default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostFacts {
    /// Distribution, by the ID of os-release: rhel, debian, ubuntu, amzn; windows for Windows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub os: Option<String>,
    /// Release of the distribution, by the VERSION_ID of os-release: "9.4", "22.04". The build for Windows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub os_version: Option<String>,
    /// Kernel release, as uname -r prints it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub kernel: Option<String>,
    /// Architecture in Go's spelling, amd64 or arm64; x86_64 and aarch64 mean the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub architecture: Option<String>,
    /// Level of x86-64 of the CPUs, 1 to 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4))]
    pub cpu_level: Option<i32>,
    /// Features of the CPUs that rules ask for, in the kernel's names: avx; of arm64 those that came with ARMv8.2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), inner(length(max = 64)))]
    pub cpu_features: Option<BTreeSet<String>>,
    /// Version of the cgroup hierarchy, 1 or 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2))]
    pub cgroup: Option<i32>,
    /// State of SELinux.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selinux: Option<Selinux>,
    /// Container runtime and its version: containerd-1.7.27.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub runtime: Option<String>,
    /// Version of the kubelet: "1.34.4".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub kubelet: Option<String>,
    /// Version of the NVIDIA driver: "535.183.01".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub nvidia_driver: Option<String>,
    /// Highest CUDA version that the driver supports: "12.2".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub cuda: Option<String>,
    /// Compute capability of the GPUs: "8.0".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub compute_capability: Option<String>,
    /// The old page of system calls at a fixed address: emulate, xonly, none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vsyscall: Option<Vsyscall>,
    /// Whether AppArmor is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apparmor: Option<bool>,
    /// Version of the libseccomp that the runtime uses: "2.5.4".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub libseccomp: Option<String>,
    /// Whether the kubelet gives containers without a seccomp profile the runtime's default one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seccomp_default: Option<bool>,
    /// Size of a page of memory in bytes: 4096, 16384, 65536.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1024, max = 16777216))]
    pub page_size: Option<i32>,
    /// Controllers that /proc/cgroups lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), inner(length(max = 64)))]
    pub proc_cgroups: Option<BTreeSet<String>>,
    /// Whether the kernel is in FIPS mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fips: Option<bool>,
    /// Whether an amd64 kernel runs 32-bit programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ia32: Option<bool>,
    /// Whether an arm64 host runs 32-bit programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aarch32: Option<bool>,
    /// Whether the kernel tells its own types (/sys/kernel/btf/vmlinux).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub btf: Option<bool>,
    /// Kernel modules that are loaded or can be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256), inner(length(max = 64)))]
    pub modules: Option<BTreeSet<String>>,
    /// Whether the kernel takes signed modules only (sig_enforce, lockdown).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_modules: Option<bool>,
    /// In which tables the packet filters of the host itself are: legacy or nft.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iptables: Option<Iptables>,
    /// Settings of the kernel: vm.max_map_count.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub sysctls: BTreeMap<String, String>,
}

/// The page of system calls that glibc before 2.14 calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Vsyscall {
    /// Calls are emulated; the page can be read.
    Emulate,
    /// Calls are emulated; the page cannot be read.
    Xonly,
    /// There is none.
    None,
}

/// The two kinds of tables of packet filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Iptables {
    /// Those of ip_tables.
    Legacy,
    /// Those of nf_tables.
    Nft,
}

/// State of SELinux.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Selinux {
    /// Not there, or switched off.
    Disabled,
    /// On, but it only logs.
    Permissive,
    /// On.
    Enforcing,
}

/// A fact that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FactError {
    /// Which fact.
    pub fact: HostFact,
    /// What was written.
    pub value: String,
}

impl fmt::Display for FactError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FactError { fact, value } = self;
        write!(
            f,
            "facts.{fact} is {value:?}, which is not a {} that can be compared",
            fact.name()
        )
    }
}

impl std::error::Error for FactError {}

impl TryFrom<&HostFacts> for host::HostFacts {
    type Error = FactError;

    fn try_from(facts: &HostFacts) -> Result<Self, FactError> {
        let os = facts
            .os
            .as_ref()
            .map(|os| Distribution::new(os, facts.os_version.clone().unwrap_or_default()));
        Ok(Self {
            os,
            kernel: parse(&facts.kernel, HostFact::Kernel)?,
            architecture: facts
                .architecture
                .as_deref()
                .map(|written| image::architecture(written).to_owned()),
            cpu_level: level(facts.cpu_level, HostFact::CpuLevel, 4)?,
            cpu_features: facts.cpu_features.clone(),
            cgroup: level(facts.cgroup, HostFact::Cgroup, 2)?,
            selinux: facts.selinux.map(|selinux| match selinux {
                Selinux::Disabled => host::Selinux::Disabled,
                Selinux::Permissive => host::Selinux::Permissive,
                Selinux::Enforcing => host::Selinux::Enforcing,
            }),
            runtime: facts.runtime.as_deref().map(runtime),
            kubelet: parse(&facts.kubelet, HostFact::Kubelet)?,
            nvidia_driver: parse(&facts.nvidia_driver, HostFact::NvidiaDriver)?,
            cuda: parse(&facts.cuda, HostFact::Cuda)?,
            compute_capability: parse(&facts.compute_capability, HostFact::ComputeCapability)?,
            vsyscall: facts.vsyscall.map(|vsyscall| match vsyscall {
                Vsyscall::Emulate => host::Vsyscall::Emulate,
                Vsyscall::Xonly => host::Vsyscall::Xonly,
                Vsyscall::None => host::Vsyscall::None,
            }),
            apparmor: facts.apparmor,
            libseccomp: parse(&facts.libseccomp, HostFact::Libseccomp)?,
            seccomp_default: facts.seccomp_default,
            page_size: page_size(facts.page_size)?,
            proc_cgroups: facts.proc_cgroups.clone(),
            fips: facts.fips,
            ia32: facts.ia32,
            aarch32: facts.aarch32,
            btf: facts.btf,
            modules: facts.modules.clone(),
            signed_modules: facts.signed_modules,
            iptables: facts.iptables.map(|variant| match variant {
                Iptables::Legacy => files::Iptables::Legacy,
                Iptables::Nft => files::Iptables::Nft,
            }),
            sysctls: facts.sysctls.clone(),
        })
    }
}

fn parse<T: std::str::FromStr>(
    value: &Option<String>,
    fact: HostFact,
) -> Result<Option<T>, FactError> {
    let Some(value) = value else { return Ok(None) };
    let parsed = value.parse().map(Some);
    parsed.map_err(|_| FactError {
        fact,
        value: value.clone(),
    })
}

fn level(value: Option<i32>, fact: HostFact, highest: u8) -> Result<Option<u8>, FactError> {
    let Some(value) = value else { return Ok(None) };
    let level = u8::try_from(value)
        .ok()
        .filter(|level| (1..=highest).contains(level));
    level.map(Some).ok_or_else(|| FactError {
        fact,
        value: value.to_string(),
    })
}

fn page_size(value: Option<i32>) -> Result<Option<u32>, FactError> {
    let Some(value) = value else { return Ok(None) };
    let size = u32::try_from(value).ok().filter(|it| it.is_power_of_two());
    size.map(Some).ok_or_else(|| FactError {
        fact: HostFact::PageSize,
        value: value.to_string(),
    })
}

/// `containerd-1.7.27`, or `containerd://1.7.27` as nodes write it: the name, and the numbers after it. What follows the
/// numbers (`-k3s1`, `+bottlerocket`) is a vendor's.
pub(crate) fn runtime(text: &str) -> host::Runtime {
    let (name, version) = text
        .split_once("://")
        .or_else(|| {
            let mut dash = text.match_indices('-').map(|(at, _)| at);
            let is_digit = |at: &usize| text.as_bytes().get(at + 1).is_some_and(u8::is_ascii_digit);
            let at = dash.find(is_digit)?;
            Some((text.get(..at)?, text.get(at + 1..)?))
        })
        .unwrap_or((text, ""));
    host::Runtime {
        name: name.to_owned(),
        version: numbers(version),
    }
}

impl From<&host::HostFacts> for HostFacts {
    fn from(facts: &host::HostFacts) -> Self {
        let version = facts
            .os
            .as_ref()
            .map(|os| os.version())
            .filter(|v| !v.is_empty());
        Self {
            os: facts.os.as_ref().map(|os| os.id().to_owned()),
            os_version: version.map(str::to_owned),
            kernel: facts
                .kernel
                .as_ref()
                .map(|kernel| kernel.release().to_owned()),
            architecture: facts.architecture.clone(),
            cpu_level: facts.cpu_level.map(i32::from),
            cpu_features: facts.cpu_features.clone(),
            cgroup: facts.cgroup.map(i32::from),
            selinux: facts.selinux.map(|selinux| match selinux {
                host::Selinux::Disabled => Selinux::Disabled,
                host::Selinux::Permissive => Selinux::Permissive,
                host::Selinux::Enforcing => Selinux::Enforcing,
            }),
            runtime: facts.runtime.as_ref().map(ToString::to_string),
            kubelet: facts.kubelet.as_ref().map(ToString::to_string),
            nvidia_driver: facts.nvidia_driver.as_ref().map(ToString::to_string),
            cuda: facts.cuda.as_ref().map(ToString::to_string),
            compute_capability: facts.compute_capability.as_ref().map(ToString::to_string),
            vsyscall: facts.vsyscall.map(|vsyscall| match vsyscall {
                host::Vsyscall::Emulate => Vsyscall::Emulate,
                host::Vsyscall::Xonly => Vsyscall::Xonly,
                host::Vsyscall::None => Vsyscall::None,
            }),
            apparmor: facts.apparmor,
            libseccomp: facts.libseccomp.as_ref().map(ToString::to_string),
            seccomp_default: facts.seccomp_default,
            page_size: facts.page_size.and_then(|size| i32::try_from(size).ok()),
            proc_cgroups: facts.proc_cgroups.clone(),
            fips: facts.fips,
            ia32: facts.ia32,
            aarch32: facts.aarch32,
            btf: facts.btf,
            modules: facts.modules.clone(),
            signed_modules: facts.signed_modules,
            iptables: facts.iptables.map(|variant| match variant {
                files::Iptables::Legacy => Iptables::Legacy,
                files::Iptables::Nft => Iptables::Nft,
            }),
            sysctls: facts.sysctls.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn valid() -> HostFacts {
        HostFacts {
            os: Some("rhel".to_owned()),
            os_version: Some("9.4".to_owned()),
            kernel: Some("5.14.0-427.13.1.el9_4.x86_64".to_owned()),
            architecture: Some("amd64".to_owned()),
            cpu_level: Some(3),
            cgroup: Some(2),
            selinux: Some(Selinux::Enforcing),
            runtime: Some("cri-o-1.29.5".to_owned()),
            kubelet: Some("1.34.4".to_owned()),
            nvidia_driver: Some("535.183.01".to_owned()),
            cuda: Some("12.2".to_owned()),
            compute_capability: Some("8.0".to_owned()),
            cpu_features: Some(["avx".to_owned()].into()),
            aarch32: Some(false),
            signed_modules: Some(true),
            iptables: Some(Iptables::Nft),
            ..HostFacts::default()
        }
    }

    #[test]
    fn runtimes_are_read_as_files_and_nodes_write_them() {
        for (text, expected) in [
            ("containerd-1.7.27", "containerd-1.7.27"),
            ("containerd://1.5.0", "containerd-1.5.0"),
            ("containerd-1.7.27-k3s1", "containerd-1.7.27"),
            ("containerd://1.6.36+bottlerocket", "containerd-1.6.36"),
            ("cri-o-1.29.5", "cri-o-1.29.5"),
            ("docker://20.10.5", "docker-20.10.5"),
            ("containerd", "containerd"),
        ] {
            assert_eq!(runtime(text).to_string(), expected);
        }
    }

    #[test]
    fn facts_survive_the_way_to_the_engine_and_back() {
        let facts = host::HostFacts::try_from(&valid()).unwrap();
        let back = HostFacts::from(&facts);
        // Leading zeros of numbers are not kept: 535.183.01 compares as 535.183.1.
        let expected = HostFacts {
            nvidia_driver: Some("535.183.1".to_owned()),
            ..valid()
        };
        assert_eq!(back, expected);
        assert_eq!(
            host::HostFacts::try_from(&HostFacts::default()).unwrap(),
            host::HostFacts::default()
        );
    }

    #[test]
    fn architectures_may_be_spelled_as_uname_does() {
        for (written, expected) in [
            ("x86_64", "amd64"),
            ("aarch64", "arm64"),
            ("i686", "386"),
            ("s390x", "s390x"),
            ("amd64", "amd64"),
        ] {
            let facts = HostFacts {
                architecture: Some(written.to_owned()),
                ..HostFacts::default()
            };
            let facts = host::HostFacts::try_from(&facts).unwrap();
            assert_eq!(facts.architecture.as_deref(), Some(expected));
        }
    }

    #[test]
    fn a_fact_that_cannot_be_read_is_named() {
        let error = |change: fn(&mut HostFacts)| {
            let mut facts = valid();
            change(&mut facts);
            host::HostFacts::try_from(&facts).unwrap_err().to_string()
        };
        assert!(error(|f| f.kernel = Some("new".into())).starts_with("facts.kernel is \"new\""));
        assert!(error(|f| f.cpu_level = Some(5)).starts_with("facts.cpuLevel is \"5\""));
        assert!(error(|f| f.cuda = Some("twelve".into())).starts_with("facts.cuda is"));
    }
}
