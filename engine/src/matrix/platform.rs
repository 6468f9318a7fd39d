//! HF110, HF112: no platform of the image is for the host. From index and config alone, so always definite.

use crate::fact::Gap;
use crate::finding::{CellVerdict, Code, Finding, Severity};
use crate::host::{HostFact, HostFacts, WINDOWS};
use crate::image::Platform;
use crate::matrix::{Outcome, windows};

mod listed;

pub use listed::{listed, tells};

/// The platform that the runtime would choose on the host (an index into `platforms`, from which so many were left out),
/// or what is wrong.
pub(super) fn select(
    platforms: &[&Platform],
    left_out: usize,
    host: &HostFacts,
) -> Result<usize, Outcome> {
    let Some(os) = host.os_family() else {
        // What is for no architecture of the host fails whatever its system is.
        return Err(match &host.architecture {
            Some(own)
                if left_out == 0 && platforms.iter().all(|it| preference(it, own).is_none()) =>
            {
                mismatch(platforms, left_out, Code::HF110, own.clone(), Some(own))
            }
            _ => Outcome::missing(HostFact::Os),
        });
    };
    let same_os = |platform: &&Platform| platform.os == os;
    if !platforms.iter().any(same_os) {
        let code = Code::HF112;
        return Err(mismatch(platforms, left_out, code, os.to_owned(), None));
    }
    let Some(architecture) = &host.architecture else {
        return Err(Outcome::missing(HostFact::Architecture));
    };
    // What was left out may be the one for this host.
    if left_out > 0 && !tells(platforms.iter().copied(), os, architecture) {
        return Err(Outcome::Unknown(Gap::NotFetchedInTime));
    }
    let fits = |platform: &&Platform| platform.os == os;
    let rank = |platform: &Platform| {
        let build = match os == WINDOWS {
            true => windows::rank(platform, host),
            false => 0,
        };
        Some((preference(platform, architecture)?, build))
    };
    let ranked = platforms
        .iter()
        .enumerate()
        .filter(|(_, platform)| fits(platform));
    ranked
        .filter_map(|(index, platform)| Some((rank(platform)?, index)))
        .min()
        .map(|(_, index)| index)
        .ok_or_else(|| {
            let host = format!("{os}/{architecture}");
            mismatch(platforms, left_out, Code::HF110, host, Some(architecture))
        })
}

/// The architectures that a host runs, the runtime's first choice first: its own, then the 32-bit one of the same CPUs,
/// which containerd accepts, too.
pub fn runnable(architecture: &str) -> impl Iterator<Item = &str> {
    let compatible = match architecture {
        "amd64" => Some("386"),
        "arm64" => Some("arm"),
        _ => None,
    };
    std::iter::once(architecture).chain(compatible)
}

/// How much the runtime of a host likes a platform, the least first; nothing if it does not take it at all. The order of
/// containerd (`platforms.Only` of the host's default): no variant of amd64 beyond the first, the variants of arm
/// downwards.
fn preference(platform: &Platform, host: &str) -> Option<usize> {
    let choice = runnable(host).position(|it| it == platform.architecture)?;
    let variant = platform.variant.as_deref();
    let variants = match platform.architecture.as_str() {
        "amd64" => matches!(variant, None | Some("v1")).then_some(0),
        "arm64" => matches!(variant, None | Some("v8")).then_some(0),
        "arm" => ["v8", "v7", "v6", "v5"]
            .iter()
            .position(|it| *it == variant.unwrap_or("v7")),
        _ => Some(0),
    };
    Some(choice * 10 + variants?)
}

/// `host` as it is called; `architecture` if that is what does not fit.
fn mismatch(
    platforms: &[&Platform],
    left_out: usize,
    code: Code,
    host: String,
    architecture: Option<&str>,
) -> Outcome {
    // The same words for a whole list and for what is kept of it.
    let (listed, beyond) = listed(platforms);
    let listed = listed.into_iter().filter_map(|index| platforms.get(index));
    let first = listed.clone().next();
    let mut names: Vec<_> = listed.map(|platform| platform.to_string()).collect();
    names.sort();
    names.dedup();
    let more = names.len().saturating_sub(4) + beyond + left_out;
    names.truncate(4);
    let mut list = names.join(", ");
    if more > 0 {
        list.push_str(&format!(" and {more} more"));
    }
    let built_for = if list.is_empty() {
        "no platform"
    } else {
        &list
    };
    let (label, value) = match (architecture, first) {
        (Some(_), Some(first)) => ("kubernetes.io/arch", first.architecture.as_str()),
        (None, Some(first)) => ("kubernetes.io/os", first.os.as_str()),
        (Some(own), None) => ("kubernetes.io/arch", own),
        (None, None) => ("kubernetes.io/os", host.as_str()),
    };
    Outcome::Incompatible(Finding {
        code,
        severity: Severity::BreaksAtStart,
        verdict: CellVerdict::Fail,
        image: format!("is built for {built_for}"),
        host: Some(format!("is {host}")),
        fix: format!("build the image for {host} too, or select nodes with {label}={value}"),
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
        let got = match select(&platforms.iter().collect::<Vec<_>>(), 0, &facts) {
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
        check(
            &["linux/amd64/v3", "linux/amd64"],
            "debian/amd64",
            "linux/amd64",
        );
        check(
            &["linux/arm/v6", "linux/arm/v7"],
            "debian/arm64",
            "linux/arm/v7",
        );
        check(
            &["linux/amd64/v3"],
            "debian/amd64",
            "HF110 image is built for linux/amd64/v3, host is linux/amd64",
        );
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

    #[test]
    fn what_fails_on_every_system_needs_no_more_facts() {
        check(
            &["linux/arm64", "windows/arm64"],
            "?/amd64",
            "HF110 image is built for linux/arm64, windows/arm64, host is amd64",
        );
        check(&["linux/arm64", "windows/amd64"], "?/amd64", "HF904");
        check(&["linux/arm64"], "?/?", "HF904");
    }
}
