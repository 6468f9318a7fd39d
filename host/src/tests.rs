use std::path::Path;

use hostfit_engine::files::Iptables;

use super::*;

/// A root made of files, gone when the test ends.
struct Root(PathBuf);

impl Root {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let root = std::env::temp_dir().join(format!("hostfit-host-{name}-{}", std::process::id()));
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        fs::create_dir_all(&root).unwrap();
        Self(root)
    }

    fn facts(&self) -> HostFacts {
        Machine::below(&self.0).facts()
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn what_cannot_be_read_is_not_known() {
    let facts = Root::new("empty", &[]).facts();
    let expected = HostFacts {
        architecture: facts.architecture.clone(),
        ..HostFacts::default()
    };
    assert_eq!(facts, expected);
}

#[test]
fn a_machine_tells_what_rules_ask_for() {
    let root = Root::new(
        "whole",
        &[
            ("etc/os-release", "ID=debian\nVERSION_ID=\"13\"\n"),
            ("proc/sys/kernel/osrelease", "6.12.9-amd64\n"),
            ("proc/cpuinfo", "flags : sse2\n"),
            ("proc/filesystems", "nodev\tselinuxfs\n\text4\n"),
            ("sys/fs/selinux/enforce", "0"),
            ("sys/fs/cgroup/cgroup.controllers", "cpu memory"),
            ("sys/module/apparmor/parameters/enabled", "N\n"),
            ("sys/kernel/btf/vmlinux", ""),
            (
                "proc/self/maps",
                "7f00-7f01 r-xp 0 0 0 [vdso]\nff00-ff01 --xp 0 0 0 [vsyscall]\n",
            ),
            (
                "proc/cgroups",
                "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t0\t1\t1\nmemory\t0\t1\t0\npids\t0\n",
            ),
            ("proc/sys/crypto/fips_enabled", "1\n"),
            ("boot/config-6.12.9-amd64", "CONFIG_IA32_EMULATION=y\n"),
            ("proc/modules", "overlay 1 0 - Live\n"),
            (
                "lib/modules/6.12.9-amd64/modules.dep",
                "kernel/net/nf_tables.ko.xz: a\n",
            ),
            (
                "lib/modules/6.12.9-amd64/modules.builtin",
                "kernel/ip-tables.ko\n",
            ),
            ("proc/sys/vm/max_map_count", "65530\n"),
            ("proc/sys/user/max_user_namespaces", "0\n"),
            (
                "var/lib/kubelet/config.yaml",
                "kind: KubeletConfiguration\nseccompDefault: true\n",
            ),
            (
                "proc/driver/nvidia/version",
                "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12\nGCC version: 12.2.0\n",
            ),
        ],
    );
    let facts = root.facts();
    assert_eq!(facts.os.unwrap().to_string(), "debian 13");
    assert_eq!(facts.kernel.unwrap().release(), "6.12.9-amd64");
    assert_eq!(facts.cgroup, Some(2));
    assert_eq!(facts.selinux, Some(Selinux::Permissive));
    assert_eq!(facts.apparmor, Some(false));
    assert_eq!(facts.btf, Some(true));
    assert_eq!(facts.fips, Some(true));
    assert_eq!(facts.seccomp_default, Some(true));
    assert_eq!(facts.nvidia_driver.unwrap().to_string(), "535.183.1");
    let list = |set: BTreeSet<String>| set.into_iter().collect::<Vec<_>>().join(" ");
    assert_eq!(list(facts.proc_cgroups.unwrap()), "cpu pids");
    assert_eq!(list(facts.modules.unwrap()), "ip_tables nf_tables");
    assert_eq!(facts.sysctls["vm.max_map_count"], "65530");
    assert_eq!(facts.sysctls.len(), 2);
    assert_eq!(facts.signed_modules, Some(false));
    if facts.architecture.as_deref() == Some("amd64") {
        assert_eq!(facts.cpu_level, Some(1));
        assert_eq!(facts.vsyscall, Some(Vsyscall::Xonly));
        assert_eq!(facts.ia32, Some(true));
    }
}

#[test]
fn the_other_answers() {
    let root = Root::new(
        "other",
        &[
            ("proc/filesystems", "ext4\n"),
            ("sys/fs/cgroup/memory/x", ""),
            ("proc/self/maps", "7f00-7f01 r-xp 0 0 0 [vdso]\n"),
            ("proc/cmdline", "quiet ia32_emulation=0"),
            ("proc/modules", "ip_tables 1 0 - Live\n"),
            ("proc/sys/kernel/osrelease", "6.8.0\n"),
        ],
    );
    let facts = root.facts();
    assert_eq!(facts.selinux, Some(Selinux::Disabled));
    assert_eq!(facts.cgroup, Some(1));
    assert_eq!(
        facts.modules, None,
        "what is loaded tells nothing of what could be"
    );
    if facts.architecture.as_deref() == Some("amd64") {
        assert_eq!(facts.vsyscall, Some(Vsyscall::None));
        assert_eq!(facts.ia32, Some(false));
    }
}

#[test]
fn the_kubelet_may_write_yaml_or_json() {
    #[track_caller]
    fn check(name: &str, text: &str, expected: Option<bool>) {
        let root = Root::new(name, &[("var/lib/kubelet/config.yaml", text)]);
        assert_eq!(root.facts().seccomp_default, expected, "{text}");
    }
    check(
        "k1",
        "kind: KubeletConfiguration\nseccompDefault: true\n",
        Some(true),
    );
    check("k2", "kind: KubeletConfiguration\nport: 1\n", Some(false));
    check(
        "k3",
        r#"{"kind":"KubeletConfiguration","seccompDefault":true}"#,
        Some(true),
    );
    check(
        "k4",
        "{\n  \"seccompDefault\": false,\n  \"kind\": \"KubeletConfiguration\"\n}",
        Some(false),
    );
    check("k5", "something: else\n", None);
    check("k6", "seccompDefault: ${VALUE}\n", None);
}

#[test]
fn in_a_container_the_kernel_is_asked_itself_and_files_are_those_that_are_mounted() {
    let root = Root::new(
        "mounted",
        &[
            ("usr/lib/os-release", "ID=flatcar\nVERSION_ID=4459.2.1\n"),
            ("proc/sys/kernel/osrelease", "1.0.0-not-ours\n"),
            ("sys/fs/cgroup/memory/x", ""),
        ],
    );
    let facts = Machine::mounted(&root.0).facts();
    assert_eq!(facts.os.unwrap().to_string(), "flatcar 4459.2.1");
    assert_eq!(facts.cgroup, Some(1));
    let local = Machine::local().facts();
    assert_eq!(facts.kernel, local.kernel);
    let nothing = Root::new("nothing-mounted", &[]);
    let facts = Machine::mounted(&nothing.0).facts();
    assert_eq!((facts.os, facts.cgroup), (None, local.cgroup));
    assert_eq!(facts.apparmor, local.apparmor);
}

#[test]
fn only_new_kernels_obey_the_switch_of_32_bits() {
    let ia32 = |kernel: &str| {
        let files = [
            ("proc/cmdline", "ia32_emulation=0"),
            ("proc/sys/kernel/osrelease", kernel),
            ("boot/config-6.1.0-50-amd64", "CONFIG_IA32_EMULATION=y\n"),
        ];
        Root::new(&format!("switch-{kernel}"), &files).facts().ia32
    };
    if cfg!(target_arch = "x86_64") {
        assert_eq!(ia32("6.7.0"), Some(false));
        assert_eq!(ia32("6.1.0-50-amd64"), Some(true));
        assert_eq!(ia32("5.14.0-427.13.1.el9_4.x86_64"), None);
    }
}

#[test]
fn this_machine_is_one() {
    let facts = Machine::local().facts();
    assert!(Path::new("/proc/sys/kernel/osrelease").exists());
    assert!(facts.kernel.is_some());
    assert!(facts.page_size.is_some_and(u32::is_power_of_two));
}

#[test]
fn a_kernel_tells_its_own_settings() {
    use std::io::Write as _;
    let root = Root::new(
        "config-gz",
        &[
            ("proc/sys/kernel/osrelease", "6.18.1-talos\n"),
            // Of whatever lies there under this name.
            ("boot/config-6.18.1-talos", "CONFIG_IA32_EMULATION=y\n"),
        ],
    );
    let path = root.0.join("proc/config.gz");
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed
        .write_all(b"# CONFIG_IA32_EMULATION is not set\n")
        .unwrap();
    fs::write(&path, packed.finish().unwrap()).unwrap();
    let is_amd64 = cfg!(target_arch = "x86_64");
    assert_eq!(root.facts().ia32, is_amd64.then_some(false));
    fs::write(&path, b"not packed").unwrap();
    assert_eq!(root.facts().ia32, is_amd64.then_some(true));
}

#[test]
fn signatures_of_modules_are_demanded_by_a_setting_a_lockdown_or_the_kernel_itself() {
    let signed = |name: &str, files: &[(&str, &str)]| {
        let root = Root::new(&format!("signed-{name}"), files);
        root.facts().signed_modules
    };
    const SETTING: &str = "sys/module/module/parameters/sig_enforce";
    const LOCKDOWN: &str = "sys/kernel/security/lockdown";
    assert_eq!(signed("on", &[(SETTING, "Y\n")]), Some(true));
    // The lockdown is hidden, and the kernel may have one.
    assert_eq!(signed("hidden-lockdown", &[(SETTING, "N\n")]), None);
    let lockless = [
        (SETTING, "N\n"),
        ("proc/sys/kernel/osrelease", "6.12.9\n"),
        ("boot/config-6.12.9", "CONFIG_MODULES=y\n"),
    ];
    assert_eq!(signed("lockless", &lockless), Some(false));
    let open = (LOCKDOWN, "[none] integrity confidentiality\n");
    assert_eq!(signed("open", &[(SETTING, "N\n"), open]), Some(false));
    let locked = (LOCKDOWN, "none [integrity] confidentiality\n");
    assert_eq!(signed("locked", &[(SETTING, "N\n"), locked]), Some(true));
    let built = [
        ("proc/sys/kernel/osrelease", "6.12.9\n"),
        ("boot/config-6.12.9", "CONFIG_MODULE_SIG_FORCE=y\n"),
    ];
    assert_eq!(signed("built", &built), Some(true));
    assert_eq!(signed("without", &[("sys/module/x", "")]), Some(false));
    assert_eq!(signed("hidden", &[]), None);
}

#[test]
fn packet_filters_are_where_alone_there_can_be_some() {
    let filters = |name: &str, loaded: &str, built_in: &str| {
        let list = "lib/modules/6.1.0/modules.builtin";
        let files = [
            ("proc/sys/kernel/osrelease", "6.1.0\n"),
            ("proc/modules", loaded),
            (list, built_in),
        ];
        Root::new(&format!("filters-{name}"), &files)
            .facts()
            .iptables
    };
    const LEGACY: &str = "ip_tables 1 1 iptable_nat, Live\niptable_nat 1 0 - Live\n";
    const NFT: &str = "nf_tables 1 0 - Live\n";
    assert_eq!(filters("legacy", LEGACY, ""), Some(Iptables::Legacy));
    assert_eq!(filters("nft", NFT, "kernel/x.ko\n"), Some(Iptables::Nft));
    assert_eq!(filters("both", &format!("{LEGACY}{NFT}"), ""), None);
    assert_eq!(filters("none", "overlay 1 0 - Live\n", ""), None);
    // What is built in may hold rules as well.
    let built_in = "kernel/net/netfilter/nf_tables.ko\n";
    assert_eq!(filters("built-in", LEGACY, built_in), None);
}
