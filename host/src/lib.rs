//! The facts of the machine that this runs on: procfs, sysfs and a few files, read and nothing else (and on arm64 one
//! question to the kernel, which changes nothing). No Kubernetes, no
//! rights needed.
//!
//! What cannot be read is not known: no fact is ever a default. Inside a container what the kernel tells is the host's already;
//! the host's own files are read below a root that may be mounted elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use hostfit_engine::host::{HostFacts, Selinux, Vsyscall};
use hostfit_engine::os_release;
use hostfit_engine::version::{DottedVersion, KernelVersion};
use nix::errno::Errno;
use nix::sys::personality::{self, Persona};

use modules::ModuleLists;

mod cpu;
mod modules;

/// Settings of the kernel that rules ask for.
const SYSCTLS: [&str; 6] = [
    "fs.nr_open",
    "kernel.apparmor_restrict_unprivileged_userns",
    "kernel.io_uring_disabled",
    "kernel.unprivileged_userns_clone",
    "user.max_user_namespaces",
    "vm.max_map_count",
];
/// The first kernel that obeys `ia32_emulation=`. Older ones pass over it, but for those of Red Hat, who may have it back.
const OBEYS_IA32: &str = "6.7";

/// Most bytes of a kernel's settings; real ones have a quarter of a million.
const KERNEL_CONFIG: u64 = 4 << 20;

/// A machine whose files lie below a folder.
#[derive(Debug, Clone)]
pub struct Machine {
    root: PathBuf,
    /// Where `proc` and `sys` lie, if not below the root.
    proc: Option<PathBuf>,
    sys: Option<PathBuf>,
}

impl Machine {
    /// This machine.
    pub fn local() -> Self {
        Self::below("/")
    }

    /// The machine whose root is mounted at `root`, with `proc` and `sys` in it.
    pub fn below(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            proc: None,
            sys: None,
        }
    }

    /// The machine on which this container runs: the kernel's word is our own `/proc`, and files of the machine are mounted
    /// below `root`, as far as somebody mounts them. Without its `sys` ours is read, which lacks the state of SELinux.
    pub fn mounted(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        let has_sys = root.join("sys").exists();
        Self {
            root,
            proc: Some(PathBuf::from("/proc")),
            sys: (!has_sys).then(|| PathBuf::from("/sys")),
        }
    }

    /// Whether it is the machine that this runs on, and not files of another one.
    fn is_this_one(&self) -> bool {
        self.proc.is_some() || self.root == Path::new("/")
    }

    fn path(&self, path: &str) -> PathBuf {
        let elsewhere = [("proc/", &self.proc), ("sys/", &self.sys)];
        let mut found = elsewhere
            .into_iter()
            .filter_map(|(prefix, place)| Some(place.as_ref()?.join(path.strip_prefix(prefix)?)));
        found.next().unwrap_or_else(|| self.root.join(path))
    }

    fn text(&self, path: &str) -> Option<String> {
        let bytes = fs::read(self.path(path)).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn exists(&self, path: &str) -> bool {
        self.path(path).exists()
    }

    /// Everything that can be read.
    pub fn facts(&self) -> HostFacts {
        let release = self.text("proc/sys/kernel/osrelease");
        let release = release.as_deref().map(str::trim);
        let architecture = architecture(std::env::consts::ARCH);
        let is_amd64 = architecture == Some("amd64");
        let files: BTreeMap<_, _> = os_release::PATHS
            .iter()
            .filter_map(|path| Some((*path, self.text(path)?)))
            .collect();
        let os = os_release::identify(|path| files.get(path).map(String::as_str));
        let config = release.and_then(|release| self.kernel_config(release));
        let cpus = self.text("proc/cpuinfo");
        let cpus = cpus.as_deref();
        let modules = release.map(|release| ModuleLists::read(self, release));
        HostFacts {
            os: os.map(|(distribution, _)| distribution),
            kernel: release.and_then(|release| release.parse().ok()),
            architecture: architecture.map(str::to_owned),
            cpu_level: cpus.filter(|_| is_amd64).and_then(cpu::level),
            cpu_features: cpus.and_then(cpu::features),
            cgroup: self.cgroup(),
            selinux: self.selinux(),
            apparmor: self.apparmor(),
            vsyscall: is_amd64.then(|| self.vsyscall()).flatten(),
            page_size: self.page_size(),
            proc_cgroups: self.proc_cgroups(),
            fips: self
                .text("proc/sys/crypto/fips_enabled")
                .map(|text| text.trim() == "1"),
            ia32: is_amd64
                .then(|| self.ia32(release, config.as_deref()))
                .flatten(),
            aarch32: (architecture == Some("arm64"))
                .then(|| self.aarch32(config.as_deref()))
                .flatten(),
            btf: self
                .exists("sys/kernel")
                .then(|| self.exists("sys/kernel/btf/vmlinux")),
            modules: modules.as_ref().and_then(ModuleLists::asked_for),
            signed_modules: self.signed_modules(config.as_deref()),
            iptables: modules.as_ref().and_then(ModuleLists::iptables),
            sysctls: self.sysctls(),
            seccomp_default: self.seccomp_default(),
            nvidia_driver: self.nvidia_driver(),
            ..HostFacts::default()
        }
    }

    /// The unified hierarchy has its controllers in one file; the old one, and the mixed one, have folders.
    fn cgroup(&self) -> Option<u8> {
        if self.exists("sys/fs/cgroup/cgroup.controllers") {
            return Some(2);
        }
        let old = ["memory", "cpu", "cpuset", "pids", "systemd"];
        let is_old = old
            .iter()
            .any(|it| self.exists(&format!("sys/fs/cgroup/{it}")));
        is_old.then_some(1)
    }

    fn selinux(&self) -> Option<Selinux> {
        let known = self.text("proc/filesystems")?;
        if !known
            .lines()
            .any(|line| line.split_whitespace().last() == Some("selinuxfs"))
        {
            return Some(Selinux::Disabled);
        }
        // Inside a container this is hidden: then it is on, and how strictly is not known.
        match self.text("sys/fs/selinux/enforce")?.trim() {
            "1" => Some(Selinux::Enforcing),
            "0" => Some(Selinux::Permissive),
            _ => None,
        }
    }

    fn apparmor(&self) -> Option<bool> {
        match self.text("sys/module/apparmor/parameters/enabled") {
            Some(text) => Some(text.trim() == "Y"),
            // Without the module there is no such folder.
            None => self.exists("sys/module").then_some(false),
        }
    }

    /// The page stands in every process's map; without a line there is none.
    fn vsyscall(&self) -> Option<Vsyscall> {
        let maps = self.text("proc/self/maps")?;
        let Some(line) = maps.lines().find(|line| line.ends_with("[vsyscall]")) else {
            return (!maps.is_empty()).then_some(Vsyscall::None);
        };
        match line.split_whitespace().nth(1)? {
            rights if rights.starts_with("r-x") => Some(Vsyscall::Emulate),
            rights if rights.starts_with("--x") => Some(Vsyscall::Xonly),
            _ => None,
        }
    }

    /// What the kernel tells each program at its start.
    fn page_size(&self) -> Option<u32> {
        const PAGE_SIZE: usize = 6;
        let bytes = fs::read(self.path("proc/self/auxv")).ok()?;
        let word = |bytes: &[u8]| Some(usize::from_ne_bytes(bytes.try_into().ok()?));
        let (words, _) = bytes.as_chunks::<{ size_of::<usize>() }>();
        let pairs = words.chunks_exact(2).filter_map(|pair| match pair {
            [key, value] => Some((word(key)?, word(value)?)),
            _ => None,
        });
        let mut found = pairs.filter(|(key, _)| *key == PAGE_SIZE);
        found
            .next()
            .and_then(|(_, value)| u32::try_from(value).ok())
    }

    fn proc_cgroups(&self) -> Option<BTreeSet<String>> {
        let text = self.text("proc/cgroups")?;
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        // The last number tells whether it is switched on: a JVM takes one that is not for one that is missing.
        let on = lines.filter(|line| line.split_whitespace().nth(3) != Some("0"));
        let names = on.filter_map(|line| line.split_whitespace().next());
        Some(names.map(str::to_owned).collect())
    }

    /// The settings that the kernel was built with: as it tells them itself, or where a distribution keeps them as text.
    fn kernel_config(&self, release: &str) -> Option<String> {
        let own = fs::File::open(self.path("proc/config.gz")).ok();
        let own = own.and_then(|file| {
            let mut text = String::new();
            let mut unpacked = flate2::read::GzDecoder::new(file).take(KERNEL_CONFIG);
            unpacked.read_to_string(&mut text).ok()?;
            Some(text)
        });
        if own.is_some() {
            return own;
        }
        let places = [
            format!("boot/config-{release}"),
            format!("usr/lib/modules/{release}/config"),
            format!("lib/modules/{release}/config"),
        ];
        places.iter().find_map(|place| self.text(place))
    }

    fn ia32(&self, release: Option<&str>, config: Option<&str>) -> Option<bool> {
        let line = self.text("proc/cmdline").unwrap_or_default();
        let mut set = line
            .split_whitespace()
            .filter_map(|word| word.strip_prefix("ia32_emulation="));
        if let Some(set) = set.next_back() {
            let kernel: KernelVersion = release?.parse().ok()?;
            if kernel.dotted().is_at_least(OBEYS_IA32) {
                return Some(matches!(set, "1" | "y" | "Y" | "on"));
            }
            if kernel.enterprise_linux().is_some() {
                return None;
            }
        }
        let config = config?;
        let built = has_line(config, "CONFIG_IA32_EMULATION=y");
        Some(built && !has_line(config, "CONFIG_IA32_EMULATION_DEFAULT_DISABLED=y"))
    }

    /// A kernel without `CONFIG_COMPAT` runs none, whatever the CPU. Of one with it only this machine's can be asked.
    fn aarch32(&self, config: Option<&str>) -> Option<bool> {
        let is_built = config.map(|config| has_line(config, "CONFIG_COMPAT=y"));
        match is_built {
            Some(false) => Some(false),
            Some(true) | None => self.is_this_one().then(runs_aarch32).flatten(),
        }
    }

    fn sysctls(&self) -> BTreeMap<String, String> {
        let value = |name: &&str| {
            let path = format!("proc/sys/{}", name.replace('.', "/"));
            Some(((*name).to_owned(), self.text(&path)?.trim().to_owned()))
        };
        SYSCTLS.iter().filter_map(value).collect()
    }

    /// As the kubelet's file says; a flag may say otherwise, and is not seen here.
    fn seccomp_default(&self) -> Option<bool> {
        let text = self.text("var/lib/kubelet/config.yaml")?;
        let key = |line: &str| matches!(line.trim().trim_matches('"'), "seccompDefault");
        // The file may be JSON, which is YAML, too: one key a line, or all on one.
        let fields = text.split(['\n', ',', '{', '}']);
        let mut values = fields
            .filter_map(|field| field.split_once(':'))
            .filter(|(name, _)| key(name));
        match values.next() {
            Some((_, value)) => match value.trim() {
                "true" => Some(true),
                "false" => Some(false),
                _ => None,
            },
            None => text.contains("KubeletConfiguration").then_some(false),
        }
    }

    /// `NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 …`
    fn nvidia_driver(&self) -> Option<DottedVersion> {
        let text = self.text("proc/driver/nvidia/version")?;
        let line = text.lines().find(|line| line.starts_with("NVRM version"))?;
        line.split_whitespace()
            .find(|word| word.contains('.') && word.parse::<DottedVersion>().is_ok())?
            .parse()
            .ok()
    }
}

/// Whether settings of a kernel have this line.
fn has_line(config: &str, wanted: &str) -> bool {
    config.lines().any(|line| line == wanted)
}

/// Whether this machine runs 32-bit programs of ARM: since 4.7 its kernel lets a program be one only where its CPUs can.
fn runs_aarch32() -> Option<bool> {
    const LINUX32: i32 = 8;
    match personality::set(Persona::from_bits_retain(LINUX32)) {
        Ok(before) => personality::set(before).ok().map(|_| true),
        Err(Errno::EINVAL) => Some(false),
        // A filter of system calls may forbid the question.
        Err(_) => None,
    }
}

/// An architecture in Go's spelling, from Rust's.
fn architecture(rust: &str) -> Option<&'static str> {
    Some(match rust {
        "x86_64" => "amd64",
        "x86" => "386",
        "aarch64" => "arm64",
        "arm" => "arm",
        "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
        "s390x" => "s390x",
        "riscv64" => "riscv64",
        "loongarch64" => "loong64",
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
