//! What the history and the environment of an image betray of its base: hints, since anybody may have written them.

use super::reference::name_and_version;
use crate::distribution::{Distribution, debian_release, ubuntu_release};
use crate::version::DottedVersion;

/// The builders of official images leave the names of what they unpacked in the history.
pub(super) fn history(step: &str) -> Option<Distribution> {
    if step.contains("debian.sh") {
        let release = step.split('\'').find_map(debian_release)?;
        return Some(Distribution::new("debian", release));
    }
    /// What comes before the version of an archive that is the first layer, and whose it is.
    const ARCHIVES: &[(&str, &str)] = &[
        ("alpine-minirootfs-", "alpine"),
        ("almalinux-", "almalinux"),
        ("oraclelinux-", "ol"),
        ("photon-rootfs-", "photon"),
    ];
    // It is unpacked into the root itself: `ADD almalinux-9-default-amd64.tar.xz / # buildkit`.
    let is_root = |words: &[&str]| matches!(words, [_, "/"]);
    let words: Vec<_> = step.split_whitespace().collect();
    let archive = words.windows(2).find(|pair| is_root(pair))?.first()?;
    ARCHIVES.iter().find_map(|(prefix, id)| {
        let rest = archive.strip_prefix(prefix)?;
        let version = rest.split('-').next()?;
        version.parse::<DottedVersion>().ok()?;
        Some(Distribution::new(*id, version))
    })
}

/// What a variable of the environment says of the packages that were installed.
pub(super) fn variable(name: &str, value: &str) -> Option<Distribution> {
    match name {
        // Fedora's base image: `f42container`.
        "DISTTAG" => {
            let release = value.strip_prefix('f')?.strip_suffix("container")?;
            name_and_version(&format!("fedora{release}"))
        }
        // Bitnami: `debian-12`.
        "OS_FLAVOUR" => name_and_version(&value.replacen('-', "", 1)),
        // nginx: `1~bookworm`.
        "PKG_RELEASE" => {
            let (_, release) = value.split_once('~')?;
            let debian = debian_release(release).map(|it| Distribution::new("debian", it));
            debian.or_else(|| Some(Distribution::new("ubuntu", ubuntu_release(release)?)))
        }
        // PostgreSQL's own packages: `17.2-1.pgdg120+1` is for Debian 12, `…pgdg22.04+1` for Ubuntu.
        "PG_VERSION" => {
            let (_, rest) = value.split_once(".pgdg")?;
            let (release, _) = rest.split_once('+')?;
            match release.strip_suffix('0').filter(|it| !it.contains('.')) {
                Some(release) => name_and_version(&format!("debian{release}")),
                None => name_and_version(&format!("ubuntu{release}")),
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tell(found: Option<Distribution>) -> String {
        found.map(|it| it.to_string()).unwrap_or_default()
    }

    #[test]
    fn builders_leave_their_archives_in_the_history() {
        #[track_caller]
        fn check(step: &str, expected: &str) {
            assert_eq!(tell(history(step)), expected, "{step}");
        }
        check(
            "# debian.sh --arch 'amd64' out/ 'bookworm' '@1733097600'",
            "debian 12",
        );
        check(
            "ADD alpine-minirootfs-3.19.1-x86_64.tar.gz / # buildkit",
            "alpine 3.19.1",
        );
        check(
            "ADD oraclelinux-9-slim-amd64-rootfs.tar.xz / # buildkit",
            "ol 9",
        );
        check(
            "ADD almalinux-10-default-amd64.tar.xz / # buildkit",
            "almalinux 10",
        );
        check(
            "ADD photon-rootfs-5.0-4a43fc53f.x86_64.tar.gz / # buildkit",
            "photon 5.0",
        );
        // Somebody's tools, which are no base.
        check("ADD alpine-minirootfs-3.19.1-x86_64.tar.gz /roots/", "");
        check("COPY photon-rootfs-5.0.tar /srv/", "");
        check("RUN git remote add almalinux-9 https://x.example /", "");
        check("BusyBox 1.37.0 (musl), Alpine 3.23.5", "");
        check("/bin/sh -c #(nop) ADD file:abc in / ", "");
        check("", "");
    }

    #[test]
    fn variables_of_publishers_name_the_release() {
        #[track_caller]
        fn check(name: &str, value: &str, expected: &str) {
            assert_eq!(tell(variable(name, value)), expected, "{name}={value}");
        }
        check("DISTTAG", "f40container", "fedora 40");
        check("DISTTAG", "f40", "");
        check("OS_FLAVOUR", "debian-12", "debian 12");
        check("OS_FLAVOUR", "photon-5", "photon 5.0");
        check("OS_FLAVOUR", "vanilla", "");
        check("PKG_RELEASE", "1~bookworm", "debian 12");
        check("PKG_RELEASE", "1", "");
        check("PG_VERSION", "16.4-1.pgdg110+2", "debian 11");
        check("PG_VERSION", "16.4-1.pgdg22.04+1", "ubuntu 22.04");
        check("PG_VERSION", "16.13", "");
        check("PG_VERSION", "16.4-1.pgdg990+2", "");
        check("RELEASE", "1~bookworm", "");
    }
}
