//! What a class of nodes offers. One host stands for all nodes of its class.

pub mod builtin;
mod each;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::distribution::Distribution;
use crate::files::Iptables;
use crate::version::{DottedVersion, KernelVersion};

/// Name of a class of nodes: the name of its HostProfile.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostName(pub String);

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A class of nodes that offer the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Its name.
    pub name: HostName,
    /// How many nodes are of this class now; zero for a class that is only declared.
    pub nodes: u32,
    /// What the nodes offer.
    pub facts: HostFacts,
    /// Facts that only the nodes themselves claim, where that is not believed: they refuse nothing alone.
    pub claimed: BTreeSet<HostFact>,
}

/// The facts of a host. An absent one is not known: it never stands for a default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash)]
pub struct HostFacts {
    /// Distribution and its release; `windows` with the build for Windows.
    pub os: Option<Distribution>,
    /// Kernel release, as `uname -r` prints it.
    pub kernel: Option<KernelVersion>,
    /// Architecture in Go's spelling: `amd64`, `arm64`, …
    pub architecture: Option<String>,
    /// Level of x86-64, 1 to 4. Meaningless on other architectures; nobody tells it of Windows.
    pub cpu_level: Option<u8>,
    /// Which CPU features that rules ask for every CPU has, in the kernel's names: `avx`. Only on amd64 and arm64.
    pub cpu_features: Option<BTreeSet<String>>,
    /// Version of the cgroup hierarchy, 1 or 2.
    pub cgroup: Option<u8>,
    /// State of SELinux.
    pub selinux: Option<Selinux>,
    /// Container runtime.
    pub runtime: Option<Runtime>,
    /// Version of the kubelet.
    pub kubelet: Option<DottedVersion>,
    /// Version of the NVIDIA driver.
    pub nvidia_driver: Option<DottedVersion>,
    /// Highest CUDA version of the driver.
    pub cuda: Option<DottedVersion>,
    /// Compute capability of the GPUs.
    pub compute_capability: Option<DottedVersion>,
    /// What a program gets that calls into the old page of system calls. Only on amd64.
    pub vsyscall: Option<Vsyscall>,
    /// Whether AppArmor is on.
    pub apparmor: Option<bool>,
    /// Version of the libseccomp that the runtime uses.
    pub libseccomp: Option<DottedVersion>,
    /// Whether the kubelet gives containers without a seccomp profile the runtime's default one.
    pub seccomp_default: Option<bool>,
    /// Size of a page of memory in bytes.
    pub page_size: Option<u32>,
    /// Controllers that `/proc/cgroups` lists.
    pub proc_cgroups: Option<BTreeSet<String>>,
    /// Whether the kernel is in FIPS mode.
    pub fips: Option<bool>,
    /// Whether an amd64 kernel runs 32-bit programs.
    pub ia32: Option<bool>,
    /// Whether an arm64 host runs 32-bit programs: its CPUs and its kernel have to.
    pub aarch32: Option<bool>,
    /// Whether the kernel tells its own types (BTF).
    pub btf: Option<bool>,
    /// Kernel modules that are loaded or can be.
    pub modules: Option<BTreeSet<String>>,
    /// Whether the kernel takes signed modules only.
    pub signed_modules: Option<bool>,
    /// In which tables the packet filters of the host itself are, if all of them are in one kind.
    pub iptables: Option<Iptables>,
    /// Settings of the kernel, by their names with dots. One that is not here is not known.
    pub sysctls: BTreeMap<String, String>,
}

impl HostFacts {
    /// Operating system in Go's spelling, where the distribution tells it, or another fact that only Linux has.
    pub fn os_family(&self) -> Option<&'static str> {
        let Some(os) = &self.os else {
            let is_linux = self.cgroup.is_some()
                || self.cpu_level.is_some()
                || self.aarch32.is_some()
                || self.iptables.is_some()
                || self.signed_modules.is_some()
                || self.selinux.is_some()
                || self.apparmor.is_some()
                || self.vsyscall.is_some()
                || self.libseccomp.is_some()
                || self.proc_cgroups.is_some()
                || self.btf.is_some()
                || self.modules.is_some()
                || !self.sysctls.is_empty();
            return is_linux.then_some(LINUX);
        };
        Some(if os.id() == WINDOWS { WINDOWS } else { LINUX })
    }

    /// What is not known of the host and may decide about an image by one of the built-in rules.
    pub fn missing(&self) -> Vec<HostFact> {
        let has_levels = self.architecture.as_deref().is_none_or(|it| it == "amd64");
        let release = self.os.as_ref().map(Distribution::version);
        let missing = [
            (HostFact::Os, self.os.is_none()),
            (HostFact::OsVersion, release.is_none_or(str::is_empty)),
            (HostFact::Kernel, self.kernel.is_none()),
            (HostFact::Architecture, self.architecture.is_none()),
            (HostFact::CpuLevel, has_levels && self.cpu_level.is_none()),
        ];
        let missing = missing.into_iter().filter(|(_, is_missing)| *is_missing);
        missing.map(|(fact, _)| fact).collect()
    }
}

/// The features of CPUs that rules ask for, in the kernel's names: AVX, and what the official image of MongoDB takes for
/// signs of ARMv8.2 (its docker-entrypoint.sh).
pub const CPU_FEATURES: [&str; 9] = [
    AVX, "asimddp", "dcpop", "fphp", "sha3", "sha512", "sm3", "sm4", "sve",
];

/// That of them which CPUs of amd64 have.
pub const AVX: &str = "avx";

/// `os` of a Windows host, and of a Windows image.
pub(crate) const WINDOWS: &str = "windows";
/// The other family of operating systems.
pub(crate) const LINUX: &str = "linux";

/// The page of system calls at a fixed address that glibc before 2.14 calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Vsyscall {
    /// Calls are emulated; the page can be read.
    Emulate,
    /// Calls are emulated; the page cannot be read.
    Xonly,
    /// There is none: such a program dies.
    None,
}

impl fmt::Display for Vsyscall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Emulate => "emulate",
            Self::Xonly => "xonly",
            Self::None => "none",
        })
    }
}

/// State of SELinux on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Selinux {
    /// Not compiled in, or switched off.
    Disabled,
    /// On, but it only logs.
    Permissive,
    /// On.
    Enforcing,
}

impl fmt::Display for Selinux {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// A container runtime and its version.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Runtime {
    /// `containerd`, `cri-o`, `docker`, …
    pub name: String,
    /// Its version without vendors' suffixes, if it has the form of one.
    pub version: Option<DottedVersion>,
}

impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.version
            .iter()
            .try_for_each(|version| write!(f, "-{version}"))
    }
}

/// The facts of a host, by the names under which people write and read them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostFact {
    /// Distribution.
    Os,
    /// Release of the distribution.
    OsVersion,
    /// Kernel release.
    Kernel,
    /// Architecture.
    Architecture,
    /// Level of x86-64.
    CpuLevel,
    /// Features of the CPU.
    CpuFeatures,
    /// Version of the cgroup hierarchy.
    Cgroup,
    /// State of SELinux.
    Selinux,
    /// Container runtime.
    Runtime,
    /// Version of the kubelet.
    Kubelet,
    /// NVIDIA driver.
    NvidiaDriver,
    /// CUDA of the driver.
    Cuda,
    /// Compute capability.
    ComputeCapability,
    /// The old page of system calls.
    Vsyscall,
    /// State of AppArmor.
    Apparmor,
    /// Version of libseccomp.
    Libseccomp,
    /// The kubelet's default for seccomp.
    SeccompDefault,
    /// Size of a page of memory.
    PageSize,
    /// Controllers in `/proc/cgroups`.
    ProcCgroups,
    /// FIPS mode.
    Fips,
    /// 32-bit programs on amd64.
    Ia32,
    /// 32-bit programs on arm64.
    Aarch32,
    /// Types of the kernel.
    Btf,
    /// Kernel modules.
    Modules,
    /// Signatures of kernel modules.
    SignedModules,
    /// Tables of the host's packet filters.
    Iptables,
    /// Settings of the kernel.
    Sysctls,
}

impl HostFact {
    /// Every fact, in the order of the documentation.
    pub const ALL: [Self; 27] = [
        Self::Os,
        Self::OsVersion,
        Self::Kernel,
        Self::Architecture,
        Self::CpuLevel,
        Self::CpuFeatures,
        Self::Cgroup,
        Self::Selinux,
        Self::Runtime,
        Self::Kubelet,
        Self::NvidiaDriver,
        Self::Cuda,
        Self::ComputeCapability,
        Self::Vsyscall,
        Self::Apparmor,
        Self::Libseccomp,
        Self::SeccompDefault,
        Self::PageSize,
        Self::ProcCgroups,
        Self::Fips,
        Self::Ia32,
        Self::Aarch32,
        Self::Btf,
        Self::Modules,
        Self::SignedModules,
        Self::Iptables,
        Self::Sysctls,
    ];

    /// The name in objects and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Os => "os",
            Self::OsVersion => "osVersion",
            Self::Kernel => "kernel",
            Self::Architecture => "architecture",
            Self::CpuLevel => "cpuLevel",
            Self::CpuFeatures => "cpuFeatures",
            Self::Cgroup => "cgroup",
            Self::Selinux => "selinux",
            Self::Runtime => "runtime",
            Self::Kubelet => "kubelet",
            Self::NvidiaDriver => "nvidiaDriver",
            Self::Cuda => "cuda",
            Self::ComputeCapability => "computeCapability",
            Self::Vsyscall => "vsyscall",
            Self::Apparmor => "apparmor",
            Self::Libseccomp => "libseccomp",
            Self::SeccompDefault => "seccompDefault",
            Self::PageSize => "pageSize",
            Self::ProcCgroups => "procCgroups",
            Self::Fips => "fips",
            Self::Ia32 => "ia32",
            Self::Aarch32 => "aarch32",
            Self::Btf => "btf",
            Self::Modules => "modules",
            Self::SignedModules => "signedModules",
            Self::Iptables => "iptables",
            Self::Sysctls => "sysctls",
        }
    }

    /// How to supply the fact when it is missing, for the fix of HF904.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::CpuLevel | Self::CpuFeatures => {
                "run the node agent (agent.enabled=true) or node-feature-discovery, or state it in spec.overrides of the NodeProfile"
            }
            Self::NvidiaDriver | Self::Cuda | Self::ComputeCapability => {
                "install NVIDIA's GPU feature discovery, which labels nodes with it"
            }
            Self::Os
            | Self::OsVersion
            | Self::Kernel
            | Self::Architecture
            | Self::Runtime
            | Self::Kubelet => {
                "look at status.nodeInfo of the nodes: their kubelet does not tell it, or in a form that nobody reads"
            }
            Self::Libseccomp => {
                "nothing on a node tells it: state it in spec.overrides of the NodeProfile"
            }
            Self::Cgroup
            | Self::Selinux
            | Self::Vsyscall
            | Self::Apparmor
            | Self::SeccompDefault
            | Self::PageSize
            | Self::ProcCgroups
            | Self::Fips
            | Self::Ia32
            | Self::Aarch32
            | Self::Btf
            | Self::Modules
            | Self::SignedModules
            | Self::Iptables
            | Self::Sysctls => {
                "run the node agent (agent.enabled=true), which reads it, or state it in spec.overrides of the NodeProfile"
            }
        }
    }
}

impl fmt::Display for HostFact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
