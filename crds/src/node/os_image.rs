//! `Node.status.nodeInfo.osImage` is the PRETTY_NAME of os-release: back to ID and VERSION_ID.

use hostfit_engine::distribution::Distribution;
use hostfit_engine::version::{DottedVersion, KernelVersion};

/// How names begin, longest first where one begins another, and the ID that belongs to them.
const NAMES: &[(&str, &str)] = &[
    ("Red Hat Enterprise Linux CoreOS", "rhcos"),
    ("Red Hat Enterprise Linux", "rhel"),
    ("CentOS Stream", "centos-stream"),
    ("CentOS", "centos"),
    ("Rocky Linux", "rocky"),
    ("AlmaLinux", "almalinux"),
    ("Oracle Linux", "ol"),
    ("Fedora", "fedora"),
    ("Debian GNU/Linux", "debian"),
    ("Ubuntu", "ubuntu"),
    ("Alpine Linux", "alpine"),
    ("SUSE Linux Enterprise Micro", "sle-micro"),
    ("SUSE Linux Micro", "sl-micro"),
    ("SUSE Linux Enterprise Server", "sles"),
    ("openSUSE Leap", "opensuse-leap"),
    ("openSUSE Tumbleweed", "opensuse-tumbleweed"),
    ("Amazon Linux", "amzn"),
    ("Bottlerocket", "bottlerocket"),
    ("Container-Optimized OS", "cos"),
    ("Flatcar", "flatcar"),
    ("Talos", "talos"),
    ("VMware Photon", "photon"),
    ("CBL-Mariner", "mariner"),
    ("Microsoft Azure Linux", "azurelinux"),
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
        "sles" => version.map(|version| with_service_pack(version, rest)),
        // The name carries point releases that VERSION_ID does not.
        "ubuntu" | "flatcar" | "talos" | "fedora" => {
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
        "mariner" => version.map(str::to_owned).or_else(|| mariner(kernel?)),
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
        "ubuntu" | "flatcar" => Distribution::new(id, first_numbers(version, 2)),
        "talos" => {
            let version = version.strip_prefix('v').unwrap_or(version);
            Distribution::new(id, first_numbers(version, 2))
        }
        "fedora" => Distribution::new(id, first_numbers(version, 1)),
        "bottlerocket" => Distribution::new(id, first_numbers(version, 3)),
        _ => os,
    }
}

/// The words that begin with a number, without `v`, parentheses and what follows a dash.
fn versions(text: &str) -> impl Iterator<Item = &str> {
    text.split([' ', '(', ')', '/'])
        .map(|word| word.strip_prefix('v').unwrap_or(word))
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
    let (major, minor) = match first.len() {
        // Old style: the second field holds the digits of the RHEL release.
        2.. => second.split_at_checked(1).unwrap_or_default(),
        _ => (first, second),
    };
    let version = if minor.is_empty() {
        major.to_owned()
    } else {
        format!("{major}.{minor}")
    };
    Distribution::new("rhel", version)
}

/// `CBL-Mariner/Linux` carries no version; the kernel is `…cm2`.
fn mariner(kernel: &KernelVersion) -> Option<String> {
    let (_, major) = kernel.release().rsplit_once(".cm")?;
    major.parse::<u32>().ok().map(|major| format!("{major}.0"))
}

/// `My Linux 3 (Nice)` becomes `my-linux 3`.
fn slug(os_image: &str) -> Option<Distribution> {
    let number = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit());
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
    fn what_nobody_knows_keeps_its_name() {
        check("My Own Linux 3.2 (Nice)", "6.1.0", "my-own-linux 3.2");
        check("", "6.1.0", "");
        check("???", "6.1.0", "");
        check("Debian GNU/Linux forky/sid", "7.2.0", "debian");
    }
}
