//! What labels and annotations say of the base, and after them what only hints at it. Labels inherited from a base
//! describe the base only.

use super::author;
use super::hinted::{history, variable};
use super::reference::distribution_of_reference;
use crate::distribution::Distribution;
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
    WHOLE.contains(&key) || names_a_suse(key) || author::reads_label(key)
}

/// Whether a step of the history says something of the base.
pub(crate) fn reads_step(step: &str) -> bool {
    history(step).is_some()
}

/// Whether a variable of the environment says something of the base.
pub(crate) fn reads_variable(name: &str, value: &str) -> bool {
    variable(name, value).is_some()
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
    // Both labels are inherited, and what is built on the base writes its own version over that of the base: only what
    // is a release of the distribution is taken for one.
    let release = |id: &str, key: &str| {
        let told = Distribution::new(id, version(key)?);
        told.release().is_some().then_some(told)
    };
    if let (Some("fedora"), Some("Fedora Project")) = (label(NAME), label(VENDOR))
        && let Some(distribution) = release("fedora", VERSION)
    {
        found.push((distribution, stated(format!("label {VERSION}"))));
    }
    if label(REF_NAME) == Some("ubuntu")
        && let Some(distribution) = release("ubuntu", REF_VERSION)
    {
        found.push((distribution, stated(format!("label {REF_VERSION}"))));
    }
    // After all that is stated otherwise, and before all that only hints.
    if let Some(distribution) = author::distribution(contents) {
        found.push((distribution, stated(format!("label {}", author::DISTRO))));
    }
    if let Some(distribution) = contents.history.iter().find_map(|step| history(step)) {
        found.push((distribution, hint("history")));
    }
    for (name, value) in &contents.env {
        if let Some(distribution) = variable(name, value) {
            found.push((distribution, hint(&format!("variable {name}"))));
        }
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
pub(super) fn red_hat_major(text: &str) -> Option<(String, &str)> {
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
pub(super) fn is_within(version: &str, major: &str) -> bool {
    let parse = |text: &str| text.parse::<DottedVersion>().ok();
    parse(version)
        .zip(parse(major))
        .is_some_and(|(version, major)| version.starts_with(&major))
}

/// Whether what follows `ubi9` names one of the base images rather than something built on them.
pub(super) fn is_flavour(rest: &str) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;

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
            "opensuse-leap 15.5: label org.opensuse.base.reference (stated)",
        );
        check_labels(
            &[(BASE_NAME, "docker.io/library/node:22-bookworm")],
            "debian 12: annotation org.opencontainers.image.base.name (stated)",
        );
        check_labels(
            &[(
                "com.suse.bci.base.reference",
                "registry.suse.com/suse/sle15:15.5.36.5.18",
            )],
            "sles 15.5: label com.suse.bci.base.reference (stated)",
        );
        check_labels(&[(BASE_NAME, "not a reference!")], "");
    }

    #[test]
    fn the_version_of_an_application_is_no_release_of_its_base() {
        // Aerospike inherits the name from Ubuntu, and the version is its own.
        check_labels(
            &[
                ("org.opencontainers.image.ref.name", "ubuntu"),
                ("org.opencontainers.image.version", "8.1.2.1"),
            ],
            "",
        );
        check_labels(
            &[
                ("name", "fedora"),
                ("vendor", "Fedora Project"),
                ("version", "2.7"),
            ],
            "",
        );
        check_labels(
            &[
                ("name", "fedora"),
                ("vendor", "Fedora Project"),
                ("version", "34"),
            ],
            "fedora 34: label version (stated)",
        );
    }
}
