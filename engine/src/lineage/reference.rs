//! What the name and tag of an image say of the distribution that it stands on.

use super::stated::{is_flavour, is_within, red_hat_major};
use crate::distribution::{Distribution, debian_release, ubuntu_release};
use crate::image::ImageRef;
use crate::version::DottedVersion;

/// The distribution that the name and tag of a published image tell: of a base like `docker.io/library/debian:12-slim`,
/// or of what is built on one and says so, like `python:3.12-slim-bookworm` or `nvidia/cuda:12.4.1-base-ubi9`.
///
/// A mirror is recognised by the last parts of the repository. Tags without a version, like `latest`, tell nothing.
pub fn distribution_of_reference(image: &ImageRef) -> Option<Distribution> {
    red_hat(image)
        .or_else(|| base(image))
        .or_else(|| built_on(image))
}

/// `registry.access.redhat.com/ubi9/ubi:9.4`, `redhat/ubi9`, and what Red Hat publishes beside them: `rhel9/postgresql-16`.
fn red_hat(image: &ImageRef) -> Option<Distribution> {
    let path = image.repository();
    let path = path.strip_prefix("redhat/").unwrap_or(path);
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    let (major, flavour) = red_hat_major(first)?;
    if is_flavour(flavour) && is_flavour(rest) {
        let tag = image.tag().unwrap_or_default();
        let version = leading_version(tag).filter(|version| is_within(version, &major));
        return image
            .tag()
            .map(|_| Distribution::new("rhel", version.unwrap_or(&major)));
    }
    // Anybody may call a folder so; on these registries only Red Hat does.
    let is_own = matches!(
        image.registry(),
        "registry.access.redhat.com" | "registry.redhat.io"
    );
    (is_own && flavour.is_empty()).then(|| Distribution::new("rhel", major))
}

/// The base images of distributions.
fn base(image: &ImageRef) -> Option<Distribution> {
    let tag = image.tag()?;
    let name = |suffix: &str| {
        let before = image.repository().strip_suffix(suffix);
        before.is_some_and(|before| before.is_empty() || before.ends_with('/'))
    };
    let any = |suffixes: &[&str]| suffixes.iter().any(|suffix| name(suffix));
    let (id, version) = match () {
        () if any(&["library/debian", "bitnami/minideb"]) => ("debian", named(tag, debian_release)),
        () if name("library/ubuntu") => ("ubuntu", named(tag, ubuntu_release)),
        () if name("library/alpine") => ("alpine", leading_version(tag)),
        () if any(&["library/fedora", "fedora/fedora", "fedora/fedora-minimal"])
            || image.registry() == "registry.fedoraproject.org"
                && any(&["fedora", "fedora-minimal"]) =>
        {
            ("fedora", leading_version(tag))
        }
        () if any(&["library/rockylinux", "rockylinux/rockylinux"]) => {
            ("rocky", leading_version(tag))
        }
        () if any(&["library/almalinux", "almalinux/almalinux"]) => {
            ("almalinux", leading_version(tag))
        }
        () if name("centos/centos") => ("centos-stream", tag.strip_prefix("stream")),
        () if name("library/centos") => (
            "centos",
            leading_version(tag.strip_prefix("centos").unwrap_or(tag)),
        ),
        () if any(&["library/oraclelinux", "os/oraclelinux"]) => ("ol", leading_version(tag)),
        // `2023.5.20240805.0` is a build of release 2023; the releases before 2 had a year and a month.
        () if any(&["library/amazonlinux", "amazonlinux/amazonlinux"]) => {
            let numbers = if tag.starts_with("201") { 2 } else { 1 };
            ("amzn", leading_version(tag).map(|it| first(it, numbers)))
        }
        // Builds and their repetitions follow the release: `15.5.5.28`.
        () if name("opensuse/leap") => {
            ("opensuse-leap", leading_version(tag).map(|it| first(it, 2)))
        }
        // These have no releases: whichever it is, it is the one.
        () if name("opensuse/tumbleweed") => (
            "opensuse-tumbleweed",
            Some(first(leading_version(tag).unwrap_or_default(), 1)),
        ),
        () if any(&["library/archlinux", "archlinux/archlinux"]) => ("arch", Some("")),
        () if any(&["chainguard/wolfi-base", "wolfi/wolfi-base"]) => ("wolfi", Some("")),
        () if name("library/photon") => ("photon", leading_version(tag)),
        () if any(&[
            "bci/bci-base",
            "bci/bci-minimal",
            "bci/bci-micro",
            "bci/bci-busybox",
            "suse/sle15",
        ]) =>
        {
            ("sles", leading_version(tag).map(|it| first(it, 2)))
        }
        () if any(&["azurelinux/base/core", "azurelinux/distroless/base"]) => {
            ("azurelinux", leading_version(tag))
        }
        () if any(&["cbl-mariner/base/core", "cbl-mariner/distroless/base"]) => {
            ("mariner", leading_version(tag))
        }
        () => return None,
    };
    Some(Distribution::new(id, version?))
}

/// What publishers write into the tag, or the last part of the name, of what they build on a base: `3.12-alpine3.20`,
/// `12.4.1-base-ubuntu22.04`, `static-debian12`. Names of releases are common words elsewhere, so they count only where it
/// is the custom: in Docker's official images, in .NET's, and where the name itself says Debian or Ubuntu.
fn built_on(image: &ImageRef) -> Option<Distribution> {
    let repository = image.repository();
    let own = repository.rsplit('/').next().unwrap_or(repository);
    let tag = image.tag().unwrap_or_default();
    let words = || {
        [tag, own]
            .into_iter()
            .flat_map(|text| text.split(['-', '_']))
    };
    let has = |name: &str| own.split(['-', '_']).any(|word| word == name);
    let is_official = repository.starts_with("library/") || repository.contains("/library/");
    let is_custom = is_official || repository.starts_with("dotnet/");
    words().find_map(name_and_version).or_else(|| {
        // `debian-12` in two words, as Bitnami writes it.
        let mut pairs = tag.split(['-', '_']).zip(tag.split(['-', '_']).skip(1));
        pairs
            .find_map(|(name, version)| match name {
                "debian" | "photon" => name_and_version(&format!("{name}{version}")),
                _ => None,
            })
            .or_else(|| {
                let release = |word: &str| {
                    let debian = debian_release(word).filter(|_| is_custom || has("debian"));
                    let ubuntu = ubuntu_release(word).filter(|_| is_custom || has("ubuntu"));
                    debian
                        .map(|version| Distribution::new("debian", version))
                        .or_else(|| Some(Distribution::new("ubuntu", ubuntu?)))
                };
                tag.split(['-', '_']).find_map(release)
            })
    })
}

/// `alpine3.20`, `ubuntu22.04`, `ubi9`, `al2023`: a distribution as tags write it, with a release that it has.
pub(super) fn name_and_version(word: &str) -> Option<Distribution> {
    const NAMES: &[(&str, &str)] = &[
        ("alpine", "alpine"),
        ("debian", "debian"),
        ("ubuntu", "ubuntu"),
        ("ubi", "rhel"),
        ("rhel", "rhel"),
        ("centos", "centos"),
        ("rockylinux", "rocky"),
        ("almalinux", "almalinux"),
        ("oraclelinux", "ol"),
        ("fedora", "fedora"),
        ("amazonlinux", "amzn"),
        ("al", "amzn"),
        ("azurelinux", "azurelinux"),
        ("mariner", "mariner"),
        ("photon", "photon"),
    ];
    let start = word.find(|c: char| c.is_ascii_digit())?;
    let (name, version) = word.split_at(start);
    let (_, id) = NAMES.iter().find(|(written, _)| *written == name)?;
    version.parse::<DottedVersion>().ok()?;
    let version = match *id {
        "photon" if !version.contains('.') => format!("{version}.0"),
        _ => version.to_owned(),
    };
    let told = Distribution::new(*id, version);
    // Nobody has a release like that: the word means something else.
    told.release().is_some().then_some(told)
}

/// The version at the start of a tag: `12.5-slim`, `3.19`.
fn leading_version(tag: &str) -> Option<&str> {
    let version = tag.split(['-', '_']).next()?;
    version.parse::<DottedVersion>().ok().map(|_| version)
}

/// The first numbers of a version.
fn first(version: &str, numbers: usize) -> &str {
    let end = version.match_indices('.').nth(numbers - 1);
    end.and_then(|(end, _)| version.get(..end))
        .unwrap_or(version)
}

/// A version, or the name of a release, at the start of a tag.
fn named(tag: &str, release: fn(&str) -> Option<&'static str>) -> Option<&str> {
    leading_version(tag).or_else(|| release(tag.split('-').next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(image: &str, expected: &str) {
        let got = distribution_of_reference(&image.parse().unwrap());
        let got = got.map(|it| it.to_string()).unwrap_or_default();
        assert_eq!(got, expected, "{image}");
    }

    #[test]
    fn names_and_tags_of_published_bases_tell_the_distribution() {
        check("debian:12.5-slim", "debian 12.5");
        check("debian:bookworm-slim", "debian 12");
        check("debian:bookworm-20240612", "debian 12");
        check("debian", "");
        check("mirror.example/hub/library/debian:11", "debian 11");
        check("bitnami/minideb:bookworm", "debian 12");
        check("ubuntu:jammy", "ubuntu 22.04");
        check("alpine:3.19.1", "alpine 3.19.1");
        check("alpine:edge", "");
        check("centos:centos7", "centos 7");
        check("quay.io/centos/centos:stream9", "centos-stream 9");
        check("registry.fedoraproject.org/fedora:42", "fedora 42");
        check("quay.io/fedora/fedora-minimal:42", "fedora 42");
        check("public.ecr.aws/amazonlinux/amazonlinux:2023", "amzn 2023");
        check("amazonlinux:2023.5.20240805.0", "amzn 2023");
        check("amazonlinux:2018.03.0.20231218.0", "amzn 2018.03");
        check("registry.suse.com/bci/bci-micro:15.6", "sles 15.6");
        check("registry.suse.com/suse/sle15:15.5.36.5.18", "sles 15.5");
        check("opensuse/leap:15.5.5.28", "opensuse-leap 15.5");
        check(
            "opensuse/tumbleweed:20240607.30.45",
            "opensuse-tumbleweed 20240607",
        );
        check("opensuse/tumbleweed", "opensuse-tumbleweed");
        check("archlinux:base-devel", "arch");
        check("cgr.dev/chainguard/wolfi-base", "wolfi");
        check("registry.access.redhat.com/ubi9/ubi:9.4-1214", "rhel 9.4");
        check("registry.access.redhat.com/ubi8:latest", "rhel 8");
        check("registry.access.redhat.com/rhel6:6.10", "rhel 6.10");
        check("redhat/ubi9-minimal:9.5", "rhel 9.5");
        check("acme.example/debian:3", "");
        check("acme.example/team/ubiquity:9", "");
    }

    #[test]
    fn what_is_built_on_a_base_says_so_in_its_tag() {
        check("python:3.12-slim-bookworm", "debian 12");
        check("node:22-alpine3.20", "alpine 3.20");
        check("node:22-alpine", "");
        check("eclipse-temurin:21-jre-jammy", "ubuntu 22.04");
        check("mysql:8.4-oraclelinux9", "ol 9");
        check("amazoncorretto:21-al2023", "amzn 2023");
        check("openjdk:8-jre-slim-buster", "debian 10");
        check("nvidia/cuda:12.4.1-base-ubuntu22.04", "ubuntu 22.04");
        check("nvidia/cuda:12.4.1-base-ubi9", "rhel 9");
        check(
            "mcr.microsoft.com/dotnet/aspnet:8.0-noble-chiseled",
            "ubuntu 24.04",
        );
        check(
            "mcr.microsoft.com/dotnet/sdk:8.0-cbl-mariner2.0",
            "mariner 2.0",
        );
        check("gcr.io/distroless/static-debian12:nonroot", "debian 12");
        check("bitnami/redis:7.2.4-debian-12-r9", "debian 12");
        check("bitnami/redis:7.2.4-photon-5-r1", "photon 5.0");
        check(
            "registry.k8s.io/build-image/debian-base:bookworm-v1.0.2",
            "debian 12",
        );
        check("registry.access.redhat.com/ubi9/httpd-24:1", "rhel 9");
        check("registry.redhat.io/rhel9/postgresql-16", "rhel 9");
    }

    #[test]
    fn words_that_mean_something_else_tell_nothing() {
        for image in [
            "acme.example/shop:1.2-noble",
            "acme.example/ubi9/app:1",
            "acme.example/shop:alpine99.1",
            "acme.example/shop:debian",
            "acme.example/shop:al5",
            "acme.example/shop:2024-ubuntu3.7",
            "acme.example/focal:1",
            "acme.example/shop:rhel9x",
            "registry.redhat.io/openshift4/ose-cli:v4.16",
        ] {
            check(image, "");
        }
    }
}
