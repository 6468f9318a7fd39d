//! `Node.status.nodeInfo.osImage` is the PRETTY_NAME of os-release: back to ID and VERSION_ID.

use hostfit_engine::distribution::Distribution;
use hostfit_engine::version::{DottedVersion, KernelVersion};

/// How names begin, longest first where one begins another, and the ID that belongs to them.
const NAMES: &[(&str, &str)] = &[
    ("Red Hat Enterprise Linux CoreOS", "rhcos"),
    ("Red Hat Enterprise Linux", "rhel"),
    ("CentOS Stream CoreOS", "scos"),
    ("CentOS Stream", "centos-stream"),
    ("CentOS", "centos"),
    ("Rocky Linux", "rocky"),
    ("AlmaLinux", "almalinux"),
    ("Oracle Linux", "ol"),
    ("Fedora", "fedora"),
    ("Debian GNU/Linux", "debian"),
    ("Raspbian GNU/Linux", "raspbian"),
    ("Ubuntu Core", "ubuntu-core"),
    ("Ubuntu", "ubuntu"),
    ("Alpine Linux", "alpine"),
    ("SUSE Linux Enterprise Micro", "sle-micro"),
    ("SUSE Linux Micro", "sl-micro"),
    ("SUSE Linux Enterprise Server", "sles"),
    ("SUSE Linux Enterprise Desktop", "sled"),
    (
        "SUSE Linux Enterprise High Performance Computing",
        "sle_hpc",
    ),
    ("openSUSE Leap Micro", "opensuse-leap-micro"),
    ("openSUSE Leap", "opensuse-leap"),
    ("openSUSE Tumbleweed", "opensuse-tumbleweed"),
    ("openSUSE MicroOS", "opensuse-microos"),
    ("Scientific Linux", "scientific"),
    ("Alibaba Cloud Linux", "alinux"),
    ("Anolis OS", "anolis"),
    ("TencentOS Server", "tencentos"),
    ("Garden Linux", "gardenlinux"),
    ("Amazon Linux", "amzn"),
    ("Bottlerocket", "bottlerocket"),
    ("Container-Optimized OS", "cos"),
    ("Flatcar", "flatcar"),
    ("Talos", "talos"),
    ("VMware Photon", "photon"),
    ("CBL-Mariner", "mariner"),
    ("Microsoft Azure Linux", "azurelinux"),
    ("Container Linux by CoreOS", "coreos"),
    ("Kylin Linux Advanced Server", "kylin"),
    ("UnionTech OS", "uos"),
    ("Huawei Cloud EulerOS", "hce"),
    ("MIRACLE LINUX", "miraclelinux"),
    ("Gentoo", "gentoo"),
    ("Void Linux", "void"),
    ("Manjaro", "manjaro"),
    ("Kali GNU/Linux", "kali"),
    ("Devuan GNU/Linux", "devuan"),
    ("Linux Mint", "linuxmint"),
    ("Pop!_OS", "pop"),
    ("Arch Linux ARM", "archarm"),
    ("Arch Linux 32", "arch32"),
    ("Arch Linux", "arch"),
];

/// The distribution that an osImage names. What no table knows keeps its name as ID, so that rows of a SupportMatrix
/// can speak of it.
pub(crate) fn distribution(os_image: &str, kernel: Option<&KernelVersion>) -> Option<Distribution> {
    let known = NAMES.iter().find(|(name, _)| os_image.starts_with(name));
    let Some((name, id)) = known else {
        return slug(os_image);
    };
    let rest = os_image.get(name.len()..).unwrap_or_default();
    let version = versions(rest).next();
    let version = match *id {
        "rhcos" => return Some(core_os(rest, kernel)),
        "scos" => return Some(stream_core_os(rest, kernel)),
        "sles" | "sled" | "sle_hpc" => version.map(|version| with_service_pack(version, rest)),
        // The name carries point releases that VERSION_ID does not.
        "ubuntu" | "flatcar" | "talos" | "alpine" | "fedora" => {
            version.map(|version| first_numbers(version, if *id == "fedora" { 1 } else { 2 }))
        }
        "amzn" | "bottlerocket" => version.map(|version| {
            first_numbers(
                version,
                if *id == "amzn" && version.starts_with("20") {
                    1
                } else {
                    3
                },
            )
        }),
        // What is no release yet is named after the next one, and after the one that never is: `forky/sid`.
        "debian" if rest.trim_end().ends_with("/sid") => Some("sid".to_owned()),
        // These carry no version; their kernels do.
        "mariner" => version
            .map(str::to_owned)
            .or_else(|| of_kernel(kernel?, ".cm")),
        "photon" => version
            .map(str::to_owned)
            .or_else(|| of_kernel(kernel?, ".ph")),
        _ => version.map(str::to_owned),
    };
    // Amazon Linux 1 is "Amazon Linux AMI 2018.03": there the month belongs to the version.
    let version = match (*id, rest.trim().strip_prefix("AMI")) {
        ("amzn", Some(ami)) => versions(ami).next().map(str::to_owned),
        _ => version,
    };
    Some(Distribution::new(*id, version.unwrap_or_default()))
}

/// A distribution by ID and VERSION_ID of os-release, as [`distribution`] tells it from an osImage: whoever tells of a node,
/// the node is the same.
pub(crate) fn canonical(os: Distribution, kernel: Option<&KernelVersion>) -> Distribution {
    let (id, version) = (os.id(), os.version());
    match id {
        "rhcos" => match kernel.and_then(KernelVersion::enterprise_linux) {
            Some(release) => Distribution::new("rhel", release.to_string()),
            None => os,
        },
        "scos" => stream_core_os(version, kernel),
        "ubuntu" | "flatcar" | "alpine" => Distribution::new(id, first_numbers(version, 2)),
        "talos" => Distribution::new(id, first_numbers(without_v(version), 2)),
        "fedora" => Distribution::new(id, first_numbers(version, 1)),
        "bottlerocket" => Distribution::new(id, first_numbers(version, 3)),
        // Before 5.2, and as Rancher and Harvester rename it: all of them are SLE Micro.
        "suse-microos" | "sle-micro-rancher" => Distribution::new("sle-micro", version),
        // For SAP Applications, up to 12: `12.2`, and `12.1.0.1` or `12.0.1` of images of old.
        "sles_sap" => {
            let version = first_numbers(version, 2);
            Distribution::new("sles", version.strip_suffix(".0").unwrap_or(&version))
        }
        _ => Distribution::new(id, without_v(version)),
    }
}

/// `v1.4.2` and `V10` of RancherOS and Kylin are 1.4.2 and 10.
fn without_v(word: &str) -> &str {
    let rest = word.strip_prefix(['v', 'V']).unwrap_or(word);
    match rest.starts_with(|c: char| c.is_ascii_digit()) {
        true => rest,
        false => word,
    }
}

/// The words that begin with a number, without `v`, parentheses and what follows a dash.
fn versions(text: &str) -> impl Iterator<Item = &str> {
    text.split([' ', '(', ')', '/'])
        .map(without_v)
        .filter(|word| word.starts_with(|c: char| c.is_ascii_digit()))
        .map(|word| word.split(['-', '+']).next().unwrap_or(word))
        .filter(|word| word.parse::<DottedVersion>().is_ok())
}

fn first_numbers(version: &str, count: usize) -> String {
    version.split('.').take(count).collect::<Vec<_>>().join(".")
}

/// `15 SP5` is 15.5.
fn with_service_pack(version: &str, rest: &str) -> String {
    let pack = rest.split(' ').find_map(|word| word.strip_prefix("SP"));
    match pack.filter(|pack| pack.parse::<u32>().is_ok()) {
        Some(pack) => format!("{version}.{pack}"),
        None => version.to_owned(),
    }
}

/// Red Hat CoreOS: `416.94.2024…` is OpenShift 4.16 on RHEL 9.4, `9.6.20250715-0` is RHEL 9.6. The kernel tells the
/// RHEL release best, wherever it names it.
fn core_os(rest: &str, kernel: Option<&KernelVersion>) -> Distribution {
    if let Some(release) = kernel.and_then(KernelVersion::enterprise_linux) {
        return Distribution::new("rhel", release.to_string());
    }
    let mut parts = versions(rest).next().unwrap_or_default().split('.');
    let first = parts.next().unwrap_or_default();
    let second = parts.next().unwrap_or_default();
    // Old style: OpenShift's digits, 43 to 418, and the second field holds those of the RHEL release.
    let is_old = first.parse::<u32>().is_ok_and(|number| number > 40);
    let (major, minor) = match is_old {
        true => second.split_at_checked(1).unwrap_or_default(),
        false => (first, second),
    };
    let version = if minor.is_empty() {
        major.to_owned()
    } else {
        format!("{major}.{minor}")
    };
    Distribution::new("rhel", version)
}

/// The CoreOS of CentOS Stream is the release that its kernel, or else its version, names: `9.0.20250510-0`, `418.9.2025…`.
fn stream_core_os(rest: &str, kernel: Option<&KernelVersion>) -> Distribution {
    let release = core_os(rest, kernel);
    Distribution::new("centos-stream", first_numbers(release.version(), 1))
}

/// `5.15.153.1-2.cm2` is Mariner 2.0, `6.1.79-1.ph5` is Photon 5.0.
fn of_kernel(kernel: &KernelVersion, mark: &str) -> Option<String> {
    let (_, rest) = kernel.release().rsplit_once(mark)?;
    let major: String = rest.chars().take_while(char::is_ascii_digit).collect();
    (!major.is_empty()).then(|| format!("{major}.0"))
}

/// `My Linux v3 (Nice)` becomes `my-linux 3`.
fn slug(os_image: &str) -> Option<Distribution> {
    let number = |word: &&str| without_v(word).starts_with(|c: char| c.is_ascii_digit());
    let words = os_image
        .split_whitespace()
        .take_while(|word| !number(word) && !word.starts_with('('));
    let words: Vec<String> = words
        .map(|word| {
            let kept = word
                .chars()
                .filter(|c| c.is_ascii_alphanumeric() || *c == '-');
            kept.collect::<String>().to_ascii_lowercase()
        })
        .filter(|word| !word.is_empty())
        .collect();
    let id: String = words.join("-").chars().take(40).collect();
    let version = versions(os_image).next().unwrap_or_default();
    (!id.is_empty()).then(|| Distribution::new(id, version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(os_image: &str, kernel: &str, expected: &str) {
        let kernel = kernel.parse().ok();
        let got = distribution(os_image, kernel.as_ref());
        assert_eq!(
            got.map(|d| d.to_string()).unwrap_or_default(),
            expected,
            "{os_image}"
        );
    }

    #[test]
    fn real_nodes_are_recognised() {
        // node_samples of the knowledge base: strings read in public threads.
        check(
            "Red Hat Enterprise Linux CoreOS 43.81.202003191953.0 (Ootpa)",
            "4.18.0-147.5.1.el8_1.x86_64",
            "rhel 8.1",
        );
        check(
            "Red Hat Enterprise Linux CoreOS 48.84.202203290727-0 (Ootpa)",
            "",
            "rhel 8.4",
        );
        check(
            "Red Hat Enterprise Linux CoreOS 416.94.202407231922-0",
            "",
            "rhel 9.4",
        );
        check(
            "Red Hat Enterprise Linux CoreOS 9.6.20250715-0 (Plow)",
            "",
            "rhel 9.6",
        );
        check(
            "Bottlerocket OS 1.19.4 (aws-k8s-1.29)",
            "5.15.152",
            "bottlerocket 1.19.4",
        );
        check(
            "Flatcar Container Linux by Kinvolk 3815.2.2 (Oklo)",
            "6.1.85-flatcar",
            "flatcar 3815.2",
        );
        check("Talos (v1.11.2)", "6.12.48-talos", "talos 1.11");
        check("Container-Optimized OS from Google", "5.4.170+", "cos");
        check("Amazon Linux 2", "5.10.210-201.855.amzn2.x86_64", "amzn 2");
        check(
            "Amazon Linux 2023.5.20240722",
            "6.1.97-104.177.amzn2023.x86_64",
            "amzn 2023",
        );
        check("Amazon Linux AMI 2018.03", "4.14.1", "amzn 2018.03");
        check("CBL-Mariner/Linux", "5.15.153.1-2.cm2", "mariner 2.0");
        check(
            "Microsoft Azure Linux 3.0",
            "6.6.85.1-2.azl3",
            "azurelinux 3.0",
        );
        check("Ubuntu 20.04.6 LTS", "5.4.0-216-generic", "ubuntu 20.04");
        check(
            "Debian GNU/Linux 12 (bookworm)",
            "6.6.28+rpt-rpi-2712",
            "debian 12",
        );
        check(
            "Fedora CoreOS 38.20231027.3.2",
            "6.5.5-200.fc38.x86_64",
            "fedora 38",
        );
        check("Fedora 23 (Twenty Three)", "4.2.3", "fedora 23");
        check(
            "Red Hat Enterprise Linux 9.4 (Plow)",
            "5.14.0-427.13.1.el9_4.x86_64",
            "rhel 9.4",
        );
        check(
            "Red Hat Enterprise Linux Server 7.9 (Maipo)",
            "3.10.0-1160.el7",
            "rhel 7.9",
        );
        check(
            "SUSE Linux Enterprise Server 15 SP5",
            "5.14.21",
            "sles 15.5",
        );
        check("SUSE Linux Enterprise Server 15", "4.12.14", "sles 15");
        check(
            "SUSE Linux Enterprise Micro 5.4",
            "5.14.21",
            "sle-micro 5.4",
        );
        check("openSUSE Leap 15.6", "6.4.0", "opensuse-leap 15.6");
        check("CentOS Linux 7 (Core)", "3.10.0", "centos 7");
        check("CentOS Stream 9", "5.14.0", "centos-stream 9");
        check("Alpine Linux v3.20", "6.6.31", "alpine 3.20");
        check("Oracle Linux Server 8.9", "5.4.17", "ol 8.9");
        check("Rocky Linux 9.3 (Blue Onyx)", "5.14.0", "rocky 9.3");
    }

    #[test]
    fn more_of_the_world_is_recognised() {
        check(
            "Red Hat Enterprise Linux CoreOS 9.6.20250715-0 (Plow)",
            "5.14.0-570.27.1.el9_6.x86_64",
            "rhel 9.6",
        );
        check(
            "Red Hat Enterprise Linux CoreOS 418.94.202501221327-0",
            "5.14.0-427.50.1.el9_4.x86_64",
            "rhel 9.4",
        );
        check(
            "CentOS Stream CoreOS 9.0.20250510-0",
            "5.14.0-575.el9.x86_64",
            "centos-stream 9",
        );
        check(
            "CentOS Stream CoreOS 418.9.202503041047-0",
            "",
            "centos-stream 9",
        );
        check(
            "Flatcar Container Linux by Kinvolk 3139.2.2 (Oklo)",
            "5.15.43-flatcar",
            "flatcar 3139.2",
        );
        check(
            "Bottlerocket OS 1.20.0 (aws-k8s-1.30-nvidia)",
            "6.1.90",
            "bottlerocket 1.20.0",
        );
        check("Ubuntu 18.04.5 LTS", "5.4.0-1033-gke", "ubuntu 18.04");
        check("Ubuntu 24.04.3 LTS", "6.14.0-29-generic", "ubuntu 24.04");
        check("Ubuntu Core 22", "5.15.0-100-generic", "ubuntu-core 22");
        check(
            "Raspbian GNU/Linux 11 (bullseye)",
            "6.1.21-v8+",
            "raspbian 11",
        );
        check(
            "SUSE Linux Enterprise Server for SAP Applications 15 SP5",
            "5.14.21",
            "sles 15.5",
        );
        check(
            "SUSE Linux Enterprise High Performance Computing 15 SP5",
            "5.14.21",
            "sle_hpc 15.5",
        );
        check(
            "SUSE Linux Enterprise Server 16.0",
            "6.12.0-160000.5-default",
            "sles 16.0",
        );
        check("SUSE Linux Micro 6.1", "6.4.0-31-default", "sl-micro 6.1");
        check(
            "openSUSE Leap Micro 5.5",
            "5.14.21",
            "opensuse-leap-micro 5.5",
        );
        check("VMware Photon OS/Linux", "6.1.79-1.ph5", "photon 5.0");
        check("VMware Photon OS/Linux", "5.10.200-1.ph4-esx", "photon 4.0");
        check(
            "Garden Linux 1592.4",
            "6.6.56-cloud-amd64",
            "gardenlinux 1592.4",
        );
        check(
            "Alibaba Cloud Linux 3 (Soaring Falcon)",
            "5.10.134-16.al8.x86_64",
            "alinux 3",
        );
        check(
            "Scientific Linux 7.9 (Nitrogen)",
            "3.10.0-1160.el7.x86_64",
            "scientific 7.9",
        );
        check("Debian GNU/Linux forky/sid", "7.2.0", "debian sid");
        check(
            "Red Hat Enterprise Linux CoreOS 10.1.20260301-0 (Coughlan)",
            "",
            "rhel 10.1",
        );
        check(
            "Red Hat Enterprise Linux CoreOS 410.8.20190520.0 (Ootpa)",
            "",
            "rhel 8",
        );
        check(
            "CentOS Stream CoreOS 10.0.20260301-0",
            "",
            "centos-stream 10",
        );
        check(
            "SUSE Linux Enterprise Micro for Rancher 5.4",
            "5.14.21",
            "sle-micro 5.4",
        );
        check(
            "Fedora Linux 42 (Cloud Edition)",
            "6.14.0-63.fc42.x86_64",
            "fedora 42",
        );
        check("Talos (v1.9.0-beta.1)", "6.12.4-talos", "talos 1.9");
        check("AlmaLinux 9.4 (Seafoam Ocelot)", "5.14.0", "almalinux 9.4");
        check("Alpine Linux v3.20.3", "6.6.31", "alpine 3.20");
        check("NixOS 24.05 (Uakari)", "6.6.56", "nixos 24.05");
        check("Docker Desktop", "6.10.14-linuxkit", "docker-desktop");
        check(
            "openEuler 22.03 (LTS-SP3)",
            "5.10.0-182.0.0.95.oe2203sp3.x86_64",
            "openeuler 22.03",
        );
    }

    #[test]
    fn nodes_that_others_wrote_of_are_recognised() {
        // `kubectl get nodes -o wide` of public repositories, and PRETTY_NAMEs of which-distro/os-release.
        check("k3OS v0.10.0", "5.0.0-43-generic", "k3os 0.10.0");
        check("K3s v1.27.4+k3s1", "6.1.0", "k3s 1.27.4");
        check("RancherOS v1.4.0", "4.14.32-rancher2", "rancheros 1.4.0");
        let harvester = "6.12.0-160000.37-default";
        check("Harvester v1.9.0", harvester, "harvester 1.9.0");
        check("Harvester v1.5.1-rc2", harvester, "harvester 1.5.1");
        check("Harvester master", harvester, "harvester-master");
        let kylin = "Kylin Linux Advanced Server V10 (Lance)";
        check(kylin, "4.19.90-52.39.v2207.ky10.x86_64", "kylin 10");
        check("UnionTech OS Server 20", "4.19.0", "uos 20");
        check("Huawei Cloud EulerOS 2.0 (x86_64)", "5.10.0", "hce 2.0");
        check("EulerOS 2.0 (SP5)", "3.10.0", "euleros 2.0");
        let coreos = "Container Linux by CoreOS 2135.4.0 (Rhyolite)";
        check(coreos, "4.19.50-coreos-r1", "coreos 2135.4.0");
        check("Gentoo/Linux", "6.1.0-gentoo", "gentoo");
        check("Gentoo Linux", "6.12.0-gentoo", "gentoo");
        check("Void Linux", "6.6.0_1", "void");
        check("Pop!_OS 22.04 LTS", "6.2.6-76060206-generic", "pop 22.04");
        check("Arch Linux ARM", "6.1.0-rpi", "archarm");
        check(
            "SUSE Linux Enterprise Desktop 15 SP5",
            "5.14.21",
            "sled 15.5",
        );
        let uek = "5.15.0-202.135.2.el8uek.x86_64";
        check("Oracle Linux Server 8.10", uek, "ol 8.10");
        let photon = "VMware Photon OS/Linux";
        check(photon, "4.19.154-3.ph3-esx", "photon 3.0");
        check(photon, "6.1.176-4.ph5", "photon 5.0");
        // A node that has the kernel of Azure Linux already.
        check("CBL-Mariner/Linux", "6.6.85.1-2.azl3", "mariner");
        let kata = "6.6.137.mshv2-1.azl3";
        check("Microsoft Azure Linux 3.0", kata, "azurelinux 3.0");
        let aliyun = "Alibaba Cloud Linux (Aliyun Linux) 2.1903 LTS (Hunting Beagle)";
        check(aliyun, "4.19.91-26.al7.x86_64", "alinux 2.1903");
        let auto = "Bottlerocket (EKS Auto, Standard) 2025.3.22 (aws-k8s-1.32-standard)";
        check(auto, "6.1.129", "bottlerocket 2025.3.22");
        check("TencentOS Server 4.2", "6.6.92-34.oc9", "tencentos 4.2");
        check("openSUSE MicroOS", "6.16.3-1-default", "opensuse-microos");
        check("Buildroot 2023.02.9", "5.10.207", "buildroot 2023.02.9");
    }

    #[track_caller]
    fn same(id: &str, version: &str, kernel: &str, os_image: &str) {
        let kernel: Option<KernelVersion> = kernel.parse().ok();
        let told = canonical(Distribution::new(id, version), kernel.as_ref());
        assert_eq!(
            Some(told),
            distribution(os_image, kernel.as_ref()),
            "{os_image}"
        );
    }

    #[test]
    fn os_release_and_os_image_of_one_node_say_the_same() {
        same("ubuntu", "24.04", "6.8.0", "Ubuntu 24.04.3 LTS");
        same("debian", "12", "6.1.0", "Debian GNU/Linux 12 (bookworm)");
        same("talos", "v1.11.2", "6.12.48-talos", "Talos (v1.11.2)");
        same(
            "flatcar",
            "3815.2.2",
            "6.1.85-flatcar",
            "Flatcar Container Linux by Kinvolk 3815.2.2 (Oklo)",
        );
        same(
            "bottlerocket",
            "1.19.4",
            "5.15.152",
            "Bottlerocket OS 1.19.4 (aws-k8s-1.29)",
        );
        same(
            "rhcos",
            "4.16",
            "5.14.0-427.26.1.el9_4.x86_64",
            "Red Hat Enterprise Linux CoreOS 416.94.202407231922-0",
        );
        same(
            "rhel",
            "9.6",
            "5.14.0-570.27.1.el9_6.x86_64",
            "Red Hat Enterprise Linux CoreOS 9.6.20250715-0 (Plow)",
        );
        same(
            "scos",
            "4.18",
            "5.14.0-575.el9.x86_64",
            "CentOS Stream CoreOS 418.9.202503041047-0",
        );
        same(
            "fedora",
            "38",
            "6.5.5-200.fc38.x86_64",
            "Fedora CoreOS 38.20231027.3.2",
        );
        same(
            "amzn",
            "2023",
            "6.1.97-104.177.amzn2023",
            "Amazon Linux 2023.5.20240722",
        );
        same(
            "azurelinux",
            "3.0",
            "6.6.85.1-2.azl3",
            "Microsoft Azure Linux 3.0",
        );
        same("mariner", "2.0", "5.15.153.1-2.cm2", "CBL-Mariner/Linux");
        same("debian", "sid", "7.2.0", "Debian GNU/Linux forky/sid");
        same("alpine", "3.20.3", "6.6.31", "Alpine Linux v3.20");
        same(
            "sles",
            "15.5",
            "5.14.21",
            "SUSE Linux Enterprise Server 15 SP5",
        );
        let micro = "SUSE Linux Enterprise Micro 5.1";
        same("suse-microos", "5.1", "5.3.18", micro);
        let rancher = "SUSE Linux Enterprise Micro for Rancher 5.4";
        same("sle-micro-rancher", "5.4", "5.14.21", rancher);
        let sap = "SUSE Linux Enterprise Server for SAP Applications 12";
        same("sles_sap", "12.2", "4.4.21", &format!("{sap} SP2"));
        same("sles_sap", "12.1.0.1", "3.12.49", &format!("{sap} SP1"));
        same("sles_sap", "12.0.1", "3.12.49", sap);
        same("rancheros", "v1.4.2", "4.14.73", "RancherOS v1.4.2");
        let kylin = "Kylin Linux Advanced Server V10 (Tercel)";
        same("kylin", "V10", "4.19.90", kylin);
    }

    #[test]
    fn what_nobody_knows_keeps_its_name() {
        check("My Own Linux 3.2 (Nice)", "6.1.0", "my-own-linux 3.2");
        check("", "6.1.0", "");
        check("???", "6.1.0", "");
        check("Debian GNU/Linux forky", "7.2.0", "debian");
    }
}
