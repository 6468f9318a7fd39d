//! Which distribution a root file system says that it is: `os-release`, and the older files of those that have none.

use crate::distribution::{Distribution, debian_release};
use crate::version::DottedVersion;

/// Every file that [`identify`] may ask for.
pub const PATHS: &[&str] = &[
    "etc/os-release",
    "usr/lib/os-release",
    "etc/oracle-release",
    "etc/centos-release",
    "etc/redhat-release",
    "etc/system-release",
    "etc/system-release-cpe",
    "etc/SuSE-release",
    "etc/lsb-release",
    "etc/debian_version",
    "etc/alpine-release",
    "etc/photon-release",
    "etc/mariner-release",
    "etc/arch-release",
];

/// The distribution, and the file that tells it. `read` gives the text of a file by its path without a leading slash,
/// symbolic links followed inside the root.
pub fn identify<'a>(
    read: impl Fn(&str) -> Option<&'a str>,
) -> Option<(Distribution, &'static str)> {
    PATHS.iter().find_map(|path| {
        let text = read(path)?;
        let told = match *path {
            "etc/os-release" | "usr/lib/os-release" => os_release(text, &read),
            "etc/SuSE-release" => suse(text),
            "etc/lsb-release" => lsb(text),
            "etc/debian_version" => Some(Distribution::new("debian", debian_version(text))),
            "etc/alpine-release" => Some(Distribution::new("alpine", text.trim())),
            "etc/arch-release" => Some(Distribution::new("arch", "")),
            "etc/system-release-cpe" => platform_name(text),
            _ => release_line(text),
        };
        Some((told?, *path))
    })
}

/// `KEY=value` lines as a shell would read them, as far as os-release(5) allows.
fn field(text: &str, key: &str) -> Option<String> {
    let lines = text.lines().map(str::trim);
    let mut values = lines.filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    // The last assignment wins, as in a shell.
    let value = values.next_back()?.trim();
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
    let bare = match quote {
        Some(quote) => value.get(1..)?.split(quote).next()?,
        None => value,
    };
    let bare = bare.replace('\\', "");
    (!bare.is_empty()).then_some(bare)
}

fn os_release<'a>(text: &str, read: &impl Fn(&str) -> Option<&'a str>) -> Option<Distribution> {
    let id = field(text, "ID")?.to_ascii_lowercase();
    // The template that one image of Arch was published with.
    let version = field(text, "VERSION_ID").filter(|it| it != "TEMPLATE_VERSION_ID");
    match (id.as_str(), version) {
        // Stream shares ID and VERSION_ID with the CentOS that it replaced.
        ("centos", Some(version))
            if field(text, "NAME").is_some_and(|name| name.contains("Stream")) =>
        {
            Some(Distribution::new("centos-stream", version))
        }
        // Testing and unstable have no release yet; of the two only the name of the next one is told.
        ("debian", None) => {
            let codename = field(text, "VERSION_CODENAME");
            let released = codename.as_deref().and_then(debian_release);
            let pretty = field(text, "PRETTY_NAME").is_some_and(|name| name.ends_with("/sid"));
            let version = match released {
                _ if pretty => "sid".to_owned(),
                Some(release) => release.to_owned(),
                None => read("etc/debian_version").map_or_else(String::new, debian_version),
            };
            Some(Distribution::new(id, version))
        }
        (_, version) => Some(Distribution::new(id, version.unwrap_or_default())),
    }
}

/// `7.11` is Debian 7, `trixie/sid` is what becomes the next release.
fn debian_version(text: &str) -> String {
    let text = text.trim();
    match text.split_once('/') {
        Some((_, "sid")) => "sid".to_owned(),
        _ => match text.parse::<DottedVersion>() {
            Ok(version) => version.major().to_string(),
            Err(_) => debian_release(text).unwrap_or_default().to_owned(),
        },
    }
}

/// `Red Hat Enterprise Linux Server release 6.10 (Santiago)` and its like.
fn release_line(text: &str) -> Option<Distribution> {
    // As these files begin, the more exact name before the one that it begins with.
    const NAMES: &[(&str, &str)] = &[
        ("Red Hat Enterprise Linux", "rhel"),
        ("CentOS Stream", "centos-stream"),
        ("CentOS", "centos"),
        ("Oracle Linux", "ol"),
        ("Enterprise Linux Enterprise Linux", "ol"),
        ("Rocky Linux", "rocky"),
        ("AlmaLinux", "almalinux"),
        ("Scientific Linux", "scientific"),
        ("Fedora", "fedora"),
        ("Amazon Linux", "amzn"),
        ("VMware Photon", "photon"),
        ("CBL-Mariner", "mariner"),
    ];
    let line = text.lines().next()?;
    let (_, id) = NAMES.iter().find(|(name, _)| line.starts_with(name))?;
    let mut words = line.split_whitespace();
    let version = words.find(|word| word.parse::<DottedVersion>().is_ok());
    Some(Distribution::new(*id, version.unwrap_or_default()))
}

/// `cpe:/o:centos:linux:6:GA`: the platform's name as vendors of security data write it.
fn platform_name(text: &str) -> Option<Distribution> {
    let mut parts = text.trim().strip_prefix("cpe:/o:")?.split(':');
    let id = match (parts.next()?, parts.next()?) {
        ("redhat", "enterprise_linux") => "rhel",
        ("centos", _) => "centos",
        ("oracle", _) => "ol",
        ("amazon", _) => "amzn",
        ("fedoraproject", _) => "fedora",
        ("scientificlinux", _) => "scientific",
        _ => return None,
    };
    // `6server` is release 6 of a variant.
    let release = parts.next().unwrap_or_default();
    let version = release.trim_end_matches(|c: char| !c.is_ascii_digit());
    Some(Distribution::new(id, version))
}

/// Three lines: name and architecture, `VERSION = 11`, `PATCHLEVEL = 4`.
fn suse(text: &str) -> Option<Distribution> {
    let number = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key))?;
        Some(line.trim().strip_prefix('=')?.trim().to_owned())
    };
    let version = number("VERSION")?;
    if !text.starts_with("SUSE Linux Enterprise") {
        return Some(Distribution::new("opensuse", version));
    }
    let patch = number("PATCHLEVEL").filter(|patch| patch != "0");
    let version = match patch {
        Some(patch) => format!("{version}.{patch}"),
        None => version,
    };
    Some(Distribution::new("sles", version))
}

fn lsb(text: &str) -> Option<Distribution> {
    let id = field(text, "DISTRIB_ID")?.to_ascii_lowercase();
    let version = field(text, "DISTRIB_RELEASE").unwrap_or_default();
    // Others write this file as well, in spellings that are not those of os-release.
    (id == "ubuntu").then(|| Distribution::new(id, version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(files: &[(&str, &str)], expected: &str) {
        let read = |path: &str| {
            files
                .iter()
                .find(|(name, _)| *name == path)
                .map(|(_, text)| *text)
        };
        let got = match identify(read) {
            Some((distribution, path)) => format!("{distribution} ({path})"),
            None => "nothing".to_owned(),
        };
        assert_eq!(got, expected);
    }

    fn os_release(text: &str, expected: &str) {
        let files = [("etc/os-release", text)];
        check(&files, &format!("{expected} (etc/os-release)"));
    }

    #[test]
    fn os_release_is_read_as_a_shell_would() {
        os_release("NAME=\"x\"\nID=debian\nVERSION_ID=\"12\"\n", "debian 12");
        os_release("# c\n ID='rhel'\nVERSION_ID=9.4", "rhel 9.4");
        os_release("ID=a\nID=\"b\"\r\nVERSION_ID=\"1\" # no\n", "b 1");
        os_release("ID=Fedora\nVERSION_ID=44\nID_LIKE=x", "fedora 44");
        os_release(
            "VARIANT_ID=container\nID=\"sl-micro\"\nVERSION_ID=\"6.1\"",
            "sl-micro 6.1",
        );
    }

    #[test]
    fn hazards_of_real_files() {
        os_release("ID=arch\nVERSION_ID=TEMPLATE_VERSION_ID", "arch");
        let centos = |name: &str| format!("NAME=\"{name}\"\nID=\"centos\"\nVERSION_ID=\"8\"");
        os_release(&centos("CentOS Linux"), "centos 8");
        os_release(&centos("CentOS Stream"), "centos-stream 8");
        os_release("ID=centos\nVERSION_ID=7", "centos 7");
        os_release(
            "PRETTY_NAME=\"Debian GNU/Linux forky/sid\"\nID=debian\nVERSION_CODENAME=forky",
            "debian sid",
        );
        os_release(
            "PRETTY_NAME=\"Debian GNU/Linux trixie/sid\"\nID=debian\nVERSION_CODENAME=trixie",
            "debian sid",
        );
        os_release("ID=debian\nVERSION_CODENAME=bookworm", "debian 12");
        os_release(
            "ID=alpine\nVERSION_ID=3.21.0_alpha20240807",
            "alpine 3.21.0_alpha20240807",
        );
        check(
            &[
                ("etc/os-release", "ID=debian\n"),
                ("etc/debian_version", "sid\n"),
            ],
            "debian sid (etc/os-release)",
        );
        // A file that says nothing hides no other one.
        check(
            &[
                ("etc/os-release", "\n"),
                ("usr/lib/os-release", "ID=wolfi\nVERSION_ID=20230201"),
            ],
            "wolfi 20230201 (usr/lib/os-release)",
        );
    }

    #[test]
    fn what_has_no_os_release_is_known_by_older_files() {
        #[track_caller]
        fn old(path: &str, text: &str, expected: &str) {
            check(&[(path, text)], &format!("{expected} ({path})"));
        }
        old(
            "etc/redhat-release",
            "Red Hat Enterprise Linux Server release 6.10 (Santiago)\n",
            "rhel 6.10",
        );
        old(
            "etc/redhat-release",
            "CentOS release 5.11 (Final)",
            "centos 5.11",
        );
        old(
            "etc/centos-release",
            "CentOS Linux release 7.9.2009 (Core)",
            "centos 7.9.2009",
        );
        old(
            "etc/system-release",
            "Amazon Linux AMI release 2016.09",
            "amzn 2016.09",
        );
        old(
            "etc/SuSE-release",
            "SUSE Linux Enterprise Server 11 (x86_64)\nVERSION = 11\nPATCHLEVEL = 4\n",
            "sles 11.4",
        );
        old(
            "etc/lsb-release",
            "DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE=12.04",
            "ubuntu 12.04",
        );
        old("etc/debian_version", "6.0.10\n", "debian 6");
        old("etc/debian_version", "wheezy/sid", "debian sid");
        old("etc/alpine-release", "3.2.3\n", "alpine 3.2.3");
        old(
            "etc/photon-release",
            "VMware Photon Linux 1.0\nPHOTON_BUILD_NUMBER=x",
            "photon 1.0",
        );
        old("etc/arch-release", "", "arch");
        // Oracle says of itself that it is Red Hat as well.
        check(
            &[
                ("etc/redhat-release", "Red Hat Enterprise Linux 6.9"),
                ("etc/oracle-release", "Oracle Linux Server release 6.9"),
            ],
            "ol 6.9 (etc/oracle-release)",
        );
        check(&[], "nothing");
        check(&[("etc/redhat-release", "Something 9")], "nothing");
    }
}
