//! HF110, HF112: no platform of the image is for the host. From index and config alone, so always definite.

use crate::finding::{CellVerdict, Code, Finding, Severity};
use crate::host::{HostFact, HostFacts};
use crate::image::Platform;
use crate::matrix::Outcome;

/// The platform that the runtime would choose on the host (an index into `platforms`), or what is wrong.
pub(super) fn select(platforms: &[&Platform], host: &HostFacts) -> Result<usize, Outcome> {
    let Some(os) = host.os_family() else {
        return Err(Outcome::missing(HostFact::Os));
    };
    let same_os = |platform: &&Platform| platform.os == os;
    if !platforms.iter().any(same_os) {
        return Err(mismatch(
            platforms,
            Code::HF112,
            os,
            "kubernetes.io/os",
            None,
        ));
    }
    let Some(architecture) = &host.architecture else {
        return Err(Outcome::missing(HostFact::Architecture));
    };
    // The runtime prefers the host's own architecture and falls back to the 32-bit one that the CPU runs, too.
    let mut wanted = std::iter::once(architecture.as_str()).chain(compatible(architecture));
    wanted
        .find_map(|wanted| {
            platforms
                .iter()
                .position(|platform| same_os(platform) && platform.architecture == wanted)
        })
        .ok_or_else(|| {
            mismatch(
                platforms,
                Code::HF110,
                os,
                "kubernetes.io/arch",
                Some(architecture),
            )
        })
}

/// What containerd accepts besides the host's own architecture.
fn compatible(architecture: &str) -> Option<&'static str> {
    match architecture {
        "amd64" => Some("386"),
        "arm64" => Some("arm"),
        _ => None,
    }
}

fn mismatch(
    platforms: &[&Platform],
    code: Code,
    os: &str,
    label: &str,
    architecture: Option<&str>,
) -> Outcome {
    let mut names: Vec<_> = platforms
        .iter()
        .map(|platform| platform.to_string())
        .collect();
    names.sort();
    names.dedup();
    let more = names.len().saturating_sub(4);
    names.truncate(4);
    let mut list = names.join(", ");
    if more > 0 {
        list.push_str(&format!(" and {more} more"));
    }
    let (host, value) = match architecture {
        Some(architecture) => (format!("{os}/{architecture}"), architecture),
        None => (os.to_owned(), os),
    };
    let built_for = if list.is_empty() {
        "no platform"
    } else {
        &list
    };
    let first = platforms
        .first()
        .map_or(value, |platform| match architecture {
            Some(_) => platform.architecture.as_str(),
            None => platform.os.as_str(),
        });
    Outcome::Incompatible(Finding {
        code,
        severity: Severity::BreaksAtStart,
        verdict: CellVerdict::Fail,
        image: format!("is built for {built_for}"),
        host: Some(format!("is {host}")),
        fix: format!("build the image for {host} too, or select nodes with {label}={first}"),
        evidence: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distribution::Distribution;

    #[track_caller]
    fn check(platforms: &[&str], host: &str, expected: &str) {
        let parse = |text: &&str| {
            let mut parts = text.split('/');
            let mut platform = Platform::new(parts.next().unwrap(), parts.next().unwrap());
            platform.variant = parts.next().map(str::to_owned);
            platform
        };
        let platforms: Vec<_> = platforms.iter().map(parse).collect();
        let (os, architecture) = host.split_once('/').unwrap();
        let facts = HostFacts {
            os: (os != "?").then(|| Distribution::new(os, "1")),
            architecture: (architecture != "?").then(|| architecture.to_owned()),
            ..HostFacts::default()
        };
        let got = match select(&platforms.iter().collect::<Vec<_>>(), &facts) {
            Ok(index) => platforms[index].to_string(),
            Err(Outcome::Unknown(gap)) => gap.code().to_string(),
            Err(Outcome::Incompatible(finding)) => {
                format!("{} {}", finding.code, finding.message())
            }
            Err(Outcome::Compatible) => "nothing".to_owned(),
        };
        assert_eq!(got, expected);
    }

    #[test]
    fn the_runtime_takes_the_platform_of_the_host() {
        check(&["linux/amd64"], "debian/amd64", "linux/amd64");
        check(
            &["linux/arm64/v8", "linux/amd64"],
            "debian/amd64",
            "linux/amd64",
        );
        check(&["linux/386", "linux/amd64"], "debian/amd64", "linux/amd64");
        check(&["linux/386"], "debian/amd64", "linux/386");
        check(&["linux/arm/v7"], "debian/arm64", "linux/arm/v7");
        check(&["windows/amd64"], "windows/amd64", "windows/amd64");
    }

    #[test]
    fn no_platform_for_the_host_is_named_with_both_sides() {
        check(
            &["linux/arm64"],
            "debian/amd64",
            "HF110 image is built for linux/arm64, host is linux/amd64",
        );
        check(
            &["linux/amd64"],
            "windows/amd64",
            "HF112 image is built for linux/amd64, host is windows",
        );
        check(
            &["linux/a", "linux/b", "linux/c", "linux/d", "linux/e"],
            "debian/amd64",
            "HF110 image is built for linux/a, linux/b, linux/c, linux/d and 1 more, host is linux/amd64",
        );
        check(
            &[],
            "debian/amd64",
            "HF112 image is built for no platform, host is linux",
        );
    }

    #[test]
    fn what_is_not_known_of_the_host_is_said() {
        check(&["linux/amd64"], "?/amd64", "HF904");
        check(&["linux/amd64"], "debian/?", "HF904");
    }
}
