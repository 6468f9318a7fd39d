//! The facts of a host one by one, by their names: for whoever merges, compares or counts them.

use std::collections::BTreeSet;

use super::{HostFact, HostFacts, WINDOWS};
use crate::distribution::Distribution;

impl HostFacts {
    /// Whether the fact is known. Of settings (`sysctls`) one is enough.
    pub fn knows(&self, fact: HostFact) -> bool {
        match fact {
            HostFact::Os => self.os.is_some(),
            HostFact::OsVersion => self.os.as_ref().is_some_and(|os| !os.version().is_empty()),
            HostFact::Kernel => self.kernel.is_some(),
            HostFact::Architecture => self.architecture.is_some(),
            HostFact::CpuLevel => self.cpu_level.is_some(),
            HostFact::CpuFeatures => self.cpu_features.is_some(),
            HostFact::Cgroup => self.cgroup.is_some(),
            HostFact::Selinux => self.selinux.is_some(),
            HostFact::Runtime => self.runtime.is_some(),
            HostFact::Kubelet => self.kubelet.is_some(),
            HostFact::NvidiaDriver => self.nvidia_driver.is_some(),
            HostFact::Cuda => self.cuda.is_some(),
            HostFact::ComputeCapability => self.compute_capability.is_some(),
            HostFact::Vsyscall => self.vsyscall.is_some(),
            HostFact::Apparmor => self.apparmor.is_some(),
            HostFact::Libseccomp => self.libseccomp.is_some(),
            HostFact::SeccompDefault => self.seccomp_default.is_some(),
            HostFact::PageSize => self.page_size.is_some(),
            HostFact::ProcCgroups => self.proc_cgroups.is_some(),
            HostFact::Fips => self.fips.is_some(),
            HostFact::Ia32 => self.ia32.is_some(),
            HostFact::Aarch32 => self.aarch32.is_some(),
            HostFact::Btf => self.btf.is_some(),
            HostFact::Modules => self.modules.is_some(),
            HostFact::SignedModules => self.signed_modules.is_some(),
            HostFact::Iptables => self.iptables.is_some(),
            HostFact::Sysctls => !self.sysctls.is_empty(),
        }
    }

    /// Takes one fact over, also that it is not known. A release belongs to its distribution: it is taken over only where
    /// both name the same one.
    pub fn take(&mut self, fact: HostFact, from: &Self) {
        match fact {
            HostFact::Os => {
                let id = from.os.as_ref().map(Distribution::id);
                self.os = id.map(|id| Distribution::new(id, ""));
            }
            HostFact::OsVersion => {
                let theirs = from.os.as_ref();
                if let (Some(os), Some(theirs)) = (&mut self.os, theirs)
                    && os.id() == theirs.id()
                {
                    os.clone_from(theirs);
                }
            }
            HostFact::Kernel => self.kernel.clone_from(&from.kernel),
            HostFact::Architecture => self.architecture.clone_from(&from.architecture),
            HostFact::CpuLevel => self.cpu_level = from.cpu_level,
            HostFact::CpuFeatures => self.cpu_features.clone_from(&from.cpu_features),
            HostFact::Cgroup => self.cgroup = from.cgroup,
            HostFact::Selinux => self.selinux = from.selinux,
            HostFact::Runtime => self.runtime.clone_from(&from.runtime),
            HostFact::Kubelet => self.kubelet.clone_from(&from.kubelet),
            HostFact::NvidiaDriver => self.nvidia_driver.clone_from(&from.nvidia_driver),
            HostFact::Cuda => self.cuda.clone_from(&from.cuda),
            HostFact::ComputeCapability => {
                self.compute_capability.clone_from(&from.compute_capability);
            }
            HostFact::Vsyscall => self.vsyscall = from.vsyscall,
            HostFact::Apparmor => self.apparmor = from.apparmor,
            HostFact::Libseccomp => self.libseccomp.clone_from(&from.libseccomp),
            HostFact::SeccompDefault => self.seccomp_default = from.seccomp_default,
            HostFact::PageSize => self.page_size = from.page_size,
            HostFact::ProcCgroups => self.proc_cgroups.clone_from(&from.proc_cgroups),
            HostFact::Fips => self.fips = from.fips,
            HostFact::Ia32 => self.ia32 = from.ia32,
            HostFact::Aarch32 => self.aarch32 = from.aarch32,
            HostFact::Btf => self.btf = from.btf,
            HostFact::Modules => self.modules.clone_from(&from.modules),
            HostFact::SignedModules => self.signed_modules = from.signed_modules,
            HostFact::Iptables => self.iptables = from.iptables,
            HostFact::Sysctls => self.sysctls.clone_from(&from.sysctls),
        }
    }

    /// The facts without some of them.
    pub fn without(&self, facts: &BTreeSet<HostFact>) -> Self {
        let mut rest = Self::default();
        let kept = HostFact::ALL.iter().filter(|fact| !facts.contains(fact));
        kept.for_each(|fact| rest.take(*fact, self));
        rest
    }

    /// One fact as text for people.
    pub fn show(&self, fact: HostFact) -> Option<String> {
        fn text<T: ToString>(value: &Option<T>) -> Option<String> {
            value.as_ref().map(T::to_string)
        }
        let list = |values: &Option<BTreeSet<String>>| {
            let values = values.as_ref()?;
            Some(
                values
                    .iter()
                    .map(String::as_str)
                    .collect::<Vec<_>>()
                    .join(" "),
            )
        };
        match fact {
            HostFact::Os => self.os.as_ref().map(|os| os.id().to_owned()),
            HostFact::OsVersion => {
                let version = self.os.as_ref().map(|os| os.version().to_owned());
                version.filter(|version| !version.is_empty())
            }
            HostFact::Kernel => text(&self.kernel),
            HostFact::Architecture => text(&self.architecture),
            HostFact::CpuLevel => text(&self.cpu_level),
            HostFact::CpuFeatures => list(&self.cpu_features),
            HostFact::Cgroup => text(&self.cgroup),
            HostFact::Selinux => text(&self.selinux),
            HostFact::Runtime => text(&self.runtime),
            HostFact::Kubelet => text(&self.kubelet),
            HostFact::NvidiaDriver => text(&self.nvidia_driver),
            HostFact::Cuda => text(&self.cuda),
            HostFact::ComputeCapability => text(&self.compute_capability),
            HostFact::Vsyscall => text(&self.vsyscall),
            HostFact::Apparmor => text(&self.apparmor),
            HostFact::Libseccomp => text(&self.libseccomp),
            HostFact::SeccompDefault => text(&self.seccomp_default),
            HostFact::PageSize => text(&self.page_size),
            HostFact::ProcCgroups => list(&self.proc_cgroups),
            HostFact::Fips => text(&self.fips),
            HostFact::Ia32 => text(&self.ia32),
            HostFact::Aarch32 => text(&self.aarch32),
            HostFact::Btf => text(&self.btf),
            HostFact::Modules => list(&self.modules),
            HostFact::SignedModules => text(&self.signed_modules),
            HostFact::Iptables => text(&self.iptables),
            HostFact::Sysctls => {
                let pairs = self.sysctls.iter();
                let pairs: Vec<_> = pairs
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                (!pairs.is_empty()).then(|| pairs.join(" "))
            }
        }
    }

    /// The facts that can be told of such a host and that rules may ask for.
    pub fn askable(&self) -> Vec<HostFact> {
        let is_windows = self.os_family() == Some(WINDOWS);
        let may_be = |name| self.architecture.as_deref().is_none_or(|it| it == name);
        let (is_amd64, is_arm64) = (may_be("amd64"), may_be("arm64"));
        let gpu = [
            HostFact::NvidiaDriver,
            HostFact::Cuda,
            HostFact::ComputeCapability,
        ];
        let has_gpu = gpu.iter().any(|fact| self.knows(*fact));
        let asked = |fact: &HostFact| match fact {
            HostFact::Os
            | HostFact::OsVersion
            | HostFact::Architecture
            | HostFact::Runtime
            | HostFact::Kubelet => true,
            HostFact::NvidiaDriver | HostFact::Cuda | HostFact::ComputeCapability => has_gpu,
            HostFact::CpuLevel | HostFact::Vsyscall | HostFact::Ia32 => is_amd64 && !is_windows,
            HostFact::CpuFeatures => (is_amd64 || is_arm64) && !is_windows,
            HostFact::Aarch32 => is_arm64 && !is_windows,
            // Rules use these where somebody tells them, and do not miss them.
            HostFact::Libseccomp | HostFact::SignedModules | HostFact::Iptables => {
                self.knows(*fact)
            }
            HostFact::Kernel
            | HostFact::Cgroup
            | HostFact::Selinux
            | HostFact::Apparmor
            | HostFact::SeccompDefault
            | HostFact::PageSize
            | HostFact::ProcCgroups
            | HostFact::Fips
            | HostFact::Btf
            | HostFact::Modules
            | HostFact::Sysctls => !is_windows,
        };
        HostFact::ALL.iter().copied().filter(asked).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Iptables;
    use crate::host::{Runtime, Selinux, Vsyscall};

    fn complete() -> HostFacts {
        HostFacts {
            os: Some(Distribution::new("rhel", "9.4")),
            kernel: "5.14.0-427.el9_4.x86_64".parse().ok(),
            architecture: Some("amd64".to_owned()),
            cpu_level: Some(3),
            cpu_features: Some(["avx".to_owned()].into()),
            cgroup: Some(2),
            selinux: Some(Selinux::Enforcing),
            runtime: Some(Runtime {
                name: "cri-o".to_owned(),
                version: "1.29.5".parse().ok(),
            }),
            kubelet: "1.30.1".parse().ok(),
            nvidia_driver: "535.183.1".parse().ok(),
            cuda: "12.2".parse().ok(),
            compute_capability: "8.0".parse().ok(),
            vsyscall: Some(Vsyscall::Xonly),
            apparmor: Some(false),
            libseccomp: "2.5.2".parse().ok(),
            seccomp_default: Some(true),
            page_size: Some(4096),
            proc_cgroups: Some(["cpu".to_owned(), "memory".to_owned()].into()),
            fips: Some(false),
            ia32: Some(true),
            aarch32: Some(false),
            btf: Some(true),
            modules: Some(["nf_tables".to_owned()].into()),
            signed_modules: Some(true),
            iptables: Some(Iptables::Nft),
            sysctls: [("vm.max_map_count".to_owned(), "65530".to_owned())].into(),
        }
    }

    #[test]
    fn each_fact_is_taken_shown_and_left_out_alone() {
        let all = complete();
        let mut copy = HostFacts::default();
        for fact in HostFact::ALL {
            assert!(!copy.knows(fact), "{fact} before");
            copy.take(fact, &all);
            assert!(copy.knows(fact), "{fact}");
            assert_eq!(copy.show(fact), all.show(fact));
            assert!(copy.show(fact).is_some(), "{fact} is not shown");
            let without = all.without(&[fact].into());
            assert!(!without.knows(fact), "{fact} is not left out");
        }
        assert_eq!(copy, all);
        assert_eq!(all.without(&BTreeSet::new()), all);
        let shown = all.show(HostFact::ProcCgroups);
        assert_eq!(shown.as_deref(), Some("cpu memory"));
    }

    #[test]
    fn a_release_does_not_leave_its_distribution() {
        let mut facts = HostFacts::default();
        let other = HostFacts {
            os: Some(Distribution::new("debian", "12")),
            ..HostFacts::default()
        };
        facts.take(HostFact::Os, &complete());
        facts.take(HostFact::OsVersion, &other);
        assert_eq!(facts.os, Some(Distribution::new("rhel", "")));
    }

    #[test]
    fn only_what_can_be_told_of_a_host_is_asked() {
        let count = |change: fn(&mut HostFacts)| {
            let mut facts = complete();
            change(&mut facts);
            facts.askable().len()
        };
        // Whether an arm64 host runs 32-bit programs is no question to one of amd64.
        assert_eq!(count(|_| {}), HostFact::ALL.len() - 1);
        assert_eq!(count(|facts| facts.architecture = None), 27);
        assert_eq!(count(|facts| facts.cpu_level = None), 26);
        assert_eq!(count(|facts| facts.libseccomp = None), 25);
        assert_eq!(count(|facts| facts.iptables = None), 25);
        assert_eq!(count(|facts| facts.architecture = Some("arm64".into())), 24);
        assert_eq!(count(|facts| facts.architecture = Some("s390x".into())), 22);
        let no_gpu = |facts: &mut HostFacts| {
            facts.nvidia_driver = None;
            facts.cuda = None;
            facts.compute_capability = None;
        };
        assert_eq!(count(no_gpu), 23);
        let windows = HostFacts {
            os: Some(Distribution::new("windows", "10.0.20348")),
            ..HostFacts::default()
        };
        assert_eq!(windows.askable().len(), 5);
    }
}
