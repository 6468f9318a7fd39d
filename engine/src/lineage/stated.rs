//! What labels, annotations, history and names say of the base. Labels inherited from a base describe the base only.

use crate::distribution::{Distribution, debian_release, ubuntu_release};
use crate::fact::{Evidence, Strength};
use crate::image::{Contents, ImageRef};
use crate::version::DottedVersion;

/// Annotation of the OCI image specification: reference of the base image.
pub(super) const BASE_NAME: &str = "org.opencontainers.image.base.name";

const COMPONENT: &str = "com.redhat.component";
const NAME: &str = "name";
const VENDOR: &str = "vendor";
const VERSION: &str = "version";
const REF_NAME: &str = "org.opencontainers.image.ref.name";
const REF_VERSION: &str = "org.opencontainers.image.version";

/// Whether a label of this key may say something of the base.
pub(crate) fn reads_label(key: &str) -> bool {
    const WHOLE: [&str; 7] = [
        BASE_NAME,
        COMPONENT,
        NAME,
        VENDOR,
        VERSION,
        REF_NAME,
        REF_VERSION,
    ];
    WHOLE.contains(&key) || names_a_suse(key)
}

/// Whether a step of the history says something of the base.
pub(crate) fn reads_step(step: &str) -> bool {
    history(step).is_some()
}

/// `org.opensuse.base.reference`, `com.suse.bci.base.reference`
fn names_a_suse(key: &str) -> bool {
    let is_vendor = key.starts_with("org.opensuse.") || key.starts_with("com.suse.");
    is_vendor && key.ends_with(".reference")
}

/// Everything that the image says or hints of its distribution, the more specific source first.
pub(super) fn candidates(image: &ImageRef, contents: &Contents) -> Vec<(Distribution, Evidence)> {
    let stated = |from: String| Evidence::new(Strength::Stated, from);
    let hint = |from: &str| Evidence::new(Strength::Hint, from);
    let mut found = Vec::new();
    let label = |key: &str| contents.labels.get(key).map(String::as_str);
    // Labels may hold anything: only what has the form of a version is taken for one.
    let version = |key: &str| label(key).filter(|text| text.parse::<DottedVersion>().is_ok());

    let base_reference = |reference: &str| distribution_of_reference(&reference.parse().ok()?);
    if let Some(distribution) = label(BASE_NAME).and_then(base_reference) {
        found.push((distribution, stated(format!("annotation {BASE_NAME}"))));
    }
    for (key, reference) in &contents.labels {
        if names_a_suse(key)
            && let Some(distribution) = base_reference(reference)
        {
            found.push((distribution, stated(format!("label {key}"))));
        }
    }
    found.extend(
        red_hat(contents).map(|(distribution, key)| (distribution, stated(format!("label {key}")))),
    );
    if let Some(distribution) = label(NAME).and_then(photon) {
        found.push((distribution, stated("label name".to_owned())));
    }
    if let (Some("fedora"), Some("Fedora Project"), Some(version)) =
        (label(NAME), label(VENDOR), version(VERSION))
    {
        found.push((
            Distribution::new("fedora", version),
            stated("label version".to_owned()),
        ));
    }
    if let (Some("ubuntu"), Some(version)) = (label(REF_NAME), version(REF_VERSION)) {
        let from = format!("label {REF_VERSION}");
        found.push((Distribution::new("ubuntu", version), stated(from)));
    }
    if let Some(distribution) = contents.history.iter().find_map(|step| history(step)) {
        found.push((distribution, hint("history")));
    }
    if let Some(distribution) = distribution_of_reference(image) {
        found.push((distribution, hint("name and tag of the image")));
    }
    found
}

/// `ubi9-container`, `ubi9/httpd-24`, `rhel6`: the component and the name carry the major, and `version` the minor if
/// the name is that of the base itself (a derived image that sets its own name sets its own version, too).
fn red_hat(contents: &Contents) -> Option<(Distribution, &'static str)> {
    let label = |key: &str| contents.labels.get(key).map(String::as_str);
    let (major, key, is_base) = label(COMPONENT)
        .and_then(|text| red_hat_major(text.strip_suffix("-container").unwrap_or(text)))
        .map(|(major, rest)| (major, COMPONENT, is_flavour(rest)))
        .or_else(|| {
            // Anybody may call an image rhel6-something; the vendor's label is Red Hat's.
            label(VENDOR).filter(|vendor| vendor.starts_with("Red Hat"))?;
            let (major, rest) = red_hat_major(label(NAME)?)?;
            Some((major, NAME, is_flavour(rest)))
        })?;
    let version = label(VERSION).filter(|version| is_base && is_within(version, &major));
    let version = version.unwrap_or(&major);
    Some((Distribution::new("rhel", version), key))
}

/// The digits after `ubi` or `rhel` at the start of a name, and what follows them.
fn red_hat_major(text: &str) -> Option<(String, &str)> {
    let rest = text
        .strip_prefix("ubi")
        .or_else(|| text.strip_prefix("rhel"))?;
    let end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    let (digits, rest) = rest.split_at(end);
    let separated = rest.is_empty() || rest.starts_with(['/', '-', ':']);
    ((1..=2).contains(&digits.len()) && separated).then(|| (digits.to_owned(), rest))
}

/// Whether a version is of the release `major`.
fn is_within(version: &str, major: &str) -> bool {
    let parse = |text: &str| text.parse::<DottedVersion>().ok();
    parse(version)
        .zip(parse(major))
        .is_some_and(|(version, major)| version.starts_with(&major))
}

/// Whether what follows `ubi9` names one of the base images rather than something built on them.
fn is_flavour(rest: &str) -> bool {
    matches!(
        rest.trim_start_matches(['/', '-']),
        "" | "ubi"
            | "rhel"
            | "minimal"
            | "micro"
            | "init"
            | "ubi-minimal"
            | "ubi-micro"
            | "ubi-init"
    )
}

/// `Photon OS x86_64/3.0 Base Image`
fn photon(name: &str) -> Option<Distribution> {
    let rest = name.strip_prefix("Photon OS ")?;
    let version = rest
        .split(['/', ' '])
        .find(|part| part.parse::<DottedVersion>().is_ok())?;
    Some(Distribution::new("photon", version))
}

/// The builders of Debian's and Alpine's official images leave their names in the history.
fn history(step: &str) -> Option<Distribution> {
    if step.contains("debian.sh") {
        let release = step.split('\'').find_map(debian_release)?;
        return Some(Distribution::new("debian", release));
    }
    let (_, rest) = step.split_once("alpine-minirootfs-")?;
    let version = rest.split(['-', ' ']).next()?;
    version.parse::<DottedVersion>().ok()?;
    Some(Distribution::new("alpine", version))
}

/// The distribution that the name and tag of a published base image tell, for example of `docker.io/library/debian:12-slim`.
///
/// A mirror is recognised by the last parts of the repository. Tags without a version, like `latest`, tell nothing.
pub fn distribution_of_reference(image: &ImageRef) -> Option<Distribution> {
    let tag = image.tag()?;
    let name = |suffix: &str| {
        let before = image.repository().strip_suffix(suffix);
        before.is_some_and(|before| before.is_empty() || before.ends_with('/'))
    };
    let (first, rest) = image
        .repository()
        .split_once('/')
        .unwrap_or((image.repository(), ""));
    if let Some((major, flavour)) = red_hat_major(first)
        && is_flavour(flavour)
        && is_flavour(rest)
    {
        let version = leading_version(tag).filter(|version| is_within(version, &major));
        return Some(Distribution::new("rhel", version.unwrap_or(&major)));
    }
    let (id, version) = match () {
        () if name("library/debian") => ("debian", named(tag, debian_release)),
        () if name("library/ubuntu") => ("ubuntu", named(tag, ubuntu_release)),
        () if name("library/alpine") => ("alpine", leading_version(tag)),
        () if name("library/fedora") || name("fedora/fedora") => ("fedora", leading_version(tag)),
        () if name("library/rockylinux") || name("rockylinux/rockylinux") => {
            ("rocky", leading_version(tag))
        }
        () if name("library/almalinux") || name("almalinux/almalinux") => {
            ("almalinux", leading_version(tag))
        }
        () if name("library/centos") => (
            "centos",
            leading_version(tag.strip_prefix("centos").unwrap_or(tag)),
        ),
        () if name("library/oraclelinux") => ("ol", leading_version(tag)),
        () if name("library/amazonlinux") || name("amazonlinux/amazonlinux") => {
            ("amzn", leading_version(tag))
        }
        () if name("opensuse/leap") => ("opensuse-leap", leading_version(tag)),
        () if name("opensuse/tumbleweed") => ("opensuse-tumbleweed", Some(tag)),
        () if name("library/photon") => ("photon", leading_version(tag)),
        () if name("bci/bci-base") || name("suse/sle15") => ("sles", leading_version(tag)),
        () if name("azurelinux/base/core") => ("azurelinux", leading_version(tag)),
        () if name("cbl-mariner/base/core") => ("mariner", leading_version(tag)),
        () => return None,
    };
    Some(Distribution::new(id, version?))
}

/// The version at the start of a tag: `12.5-slim`, `3.19`.
fn leading_version(tag: &str) -> Option<&str> {
    let version = tag.split(['-', '_']).next()?;
    version.parse::<DottedVersion>().ok().map(|_| version)
}

/// A version, or the name of a release, at the start of a tag.
fn named(tag: &str, release: fn(&str) -> Option<&'static str>) -> Option<&str> {
    leading_version(tag).or_else(|| release(tag.split('-').next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_reference(image: &str, expected: &str) {
        let got = distribution_of_reference(&image.parse().unwrap());
        assert_eq!(
            got.map(|d| d.to_string()).unwrap_or_default(),
            expected,
            "{image}"
        );
    }

    #[test]
    fn names_and_tags_of_published_bases_tell_the_distribution() {
        check_reference("debian:12.5-slim", "debian 12.5");
        check_reference("debian:bookworm-slim", "debian 12");
        check_reference("debian:bookworm-20240612", "debian 12");
        check_reference("debian", "");
        check_reference("mirror.example/hub/library/debian:11", "debian 11");
        check_reference("ubuntu:jammy", "ubuntu 22.04");
        check_reference("alpine:3.19.1", "alpine 3.19.1");
        check_reference("alpine:edge", "");
        check_reference("centos:centos7", "centos 7");
        check_reference("registry.access.redhat.com/ubi9/ubi:9.4-1214", "rhel 9.4");
        check_reference("registry.access.redhat.com/ubi8:latest", "rhel 8");
        check_reference("registry.access.redhat.com/ubi9/httpd-24:1", "");
        check_reference("registry.access.redhat.com/rhel6:6.10", "rhel 6.10");
        check_reference("acme.example/debian:3", "");
        check_reference("acme.example/team/ubiquity:9", "");
    }

    #[track_caller]
    fn check_labels(labels: &[(&str, &str)], expected: &str) {
        let contents = Contents {
            labels: labels
                .iter()
                .map(|(k, v)| (k.to_string(), v.to_string()))
                .collect(),
            ..Contents::default()
        };
        let found = candidates(&"x.y/app".parse().unwrap(), &contents);
        let got: Vec<_> = found.iter().map(|(d, e)| format!("{d}: {e}")).collect();
        assert_eq!(got.join("; "), expected);
    }

    #[test]
    fn vendors_labels_tell_the_base_and_not_the_application() {
        check_labels(
            &[
                ("name", "ubi9"),
                ("version", "9.4"),
                ("com.redhat.component", "ubi9-container"),
            ],
            "rhel 9.4: label com.redhat.component (stated)",
        );
        check_labels(
            &[
                ("name", "rhel6"),
                ("version", "6.10"),
                ("vendor", "Red Hat, Inc."),
            ],
            "rhel 6.10: label name (stated)",
        );
        check_labels(
            &[
                ("name", "ubi9/httpd-24"),
                ("version", "1"),
                ("vendor", "Red Hat, Inc."),
            ],
            "rhel 9: label name (stated)",
        );
        // A derived image overwrote name and version; the component is still the base's.
        check_labels(
            &[
                ("name", "shop"),
                ("version", "9.9"),
                ("com.redhat.component", "httpd-24-container"),
            ],
            "",
        );
        check_labels(
            &[
                ("name", "ubi9-minimal"),
                ("version", "4.2"),
                ("vendor", "Red Hat, Inc."),
            ],
            "rhel 9: label name (stated)",
        );
        check_labels(&[("name", "rhel6-exporter"), ("version", "6.1")], "");
        check_labels(
            &[("name", "Photon OS x86_64/3.0 Base Image")],
            "photon 3.0: label name (stated)",
        );
        check_labels(
            &[
                ("org.opencontainers.image.ref.name", "ubuntu"),
                ("org.opencontainers.image.version", "24.04"),
            ],
            "ubuntu 24.04: label org.opencontainers.image.version (stated)",
        );
        check_labels(
            &[(BASE_NAME, "docker.io/library/alpine:3.20")],
            "alpine 3.20: annotation org.opencontainers.image.base.name (stated)",
        );
        check_labels(
            &[(
                "org.opensuse.base.reference",
                "registry.opensuse.org/opensuse/leap:15.5.6",
            )],
            "opensuse-leap 15.5.6: label org.opensuse.base.reference (stated)",
        );
        check_labels(&[(BASE_NAME, "not a reference!")], "");
    }

    #[test]
    fn history_is_a_hint() {
        let tell = |step: &str| history(step).map(|d| d.to_string()).unwrap_or_default();
        assert_eq!(
            tell("# debian.sh --arch 'amd64' out/ 'bookworm' '@1733097600'"),
            "debian 12"
        );
        assert_eq!(
            tell("ADD alpine-minirootfs-3.19.1-x86_64.tar.gz / # buildkit"),
            "alpine 3.19.1"
        );
        assert_eq!(tell("/bin/sh -c #(nop) ADD file:abc in / "), "");
    }
}
