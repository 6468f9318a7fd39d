//! HF210 to HF214: system calls that a new C library makes and an old seccomp profile answers with "not permitted".
//! HF215: io_uring, which new profiles block on purpose.
//!
//! Only under a profile: Kubernetes' default is none. First versions that know a call: `seccomp_boundaries.tsv` of the
//! sources, measured with the git tags of the runtimes; those of CRI-O with its own tags, in each of which the profile of
//! containers/common lies (from 1.22 on it answers "not there" for whatever it does not know).

use std::sync::LazyLock;

use crate::fact::{Evidence, Strength};
use crate::files::{Libc, LibcKind};
use crate::finding::{Code, Severity};
use crate::host::{HostFact, Runtime};
use crate::lineage::author::{self, StatedLibc};
use crate::matrix::{Cell, Outcome, Said};
use crate::version::DottedVersion;
use crate::workload::Seccomp;

/// A call, who makes it, and since when profiles allow it.
struct Call {
    code: Code,
    severity: Severity,
    name: &'static str,
    /// The evidence, if this image makes the call.
    makes: fn(&Cell<'_>) -> Option<(String, Evidence)>,
    /// First versions, by branch: one that is older than all, or than the one of its own branch, does not know it.
    containerd: Vec<First>,
    docker: Vec<First>,
    cri_o: Vec<First>,
    libseccomp: Option<First>,
    /// Why an image of which all that is known may not make the call.
    doubt: fn(&Cell<'_>) -> Option<&'static str>,
}

impl Call {
    /// Its first versions of a runtime. Of other ones nothing is known.
    fn firsts(&self, runtime: &str) -> Option<&[First]> {
        match runtime {
            "containerd" => Some(&self.containerd),
            "docker" => Some(&self.docker),
            "cri-o" => Some(&self.cri_o),
            _ => None,
        }
    }
}

/// A version as it is written, and as it is compared for each pair of image and host.
type First = (&'static str, DottedVersion);

fn first(text: &'static str) -> Option<First> {
    Some((text, text.parse().ok()?))
}

fn firsts(texts: &[&'static str]) -> Vec<First> {
    texts.iter().filter_map(|text| first(text)).collect()
}

static CLONE3: LazyLock<Call> = LazyLock::new(|| Call {
    code: Code::HF210,
    severity: Severity::BreaksAtStart,
    name: "clone3",
    makes: |cell| glibc(cell, "2.34"),
    containerd: firsts(&["1.4.10", "1.5.6", "1.6.0"]),
    docker: firsts(&["20.10.10", "23.0"]),
    cri_o: firsts(&["1.22.0"]),
    libseccomp: None,
    // Shown in the lab: what makes neither threads nor, by posix_spawn, other processes runs.
    doubt: |_| Some("only what makes threads calls it, and no file says so: try it there"),
});

static FACCESSAT2: LazyLock<Call> = LazyLock::new(|| Call {
    code: Code::HF211,
    severity: Severity::BreaksFeature,
    name: "faccessat2",
    makes: |cell| glibc(cell, "2.33").or_else(|| alpine(cell, "3.14")),
    containerd: firsts(&["1.3.8", "1.4.1", "1.5.0"]),
    docker: firsts(&["20.10.0"]),
    cri_o: firsts(&["1.20.3", "1.21.0"]),
    libseccomp: first("2.4.4"),
    doubt: |_| None,
});

static STATX: LazyLock<Call> = LazyLock::new(|| Call {
    code: Code::HF212,
    severity: Severity::BreaksFeature,
    name: "statx",
    makes: coreutils,
    containerd: firsts(&["1.1.7", "1.2.6", "1.3.0"]),
    docker: firsts(&["18.04"]),
    cri_o: firsts(&["1.14.0"]),
    libseccomp: first("2.4.0"),
    doubt: |_| None,
});

static CLOCK_GETTIME64: LazyLock<Call> = LazyLock::new(|| Call {
    code: Code::HF213,
    severity: Severity::BreaksAtStart,
    name: "clock_gettime64",
    makes: time64,
    containerd: firsts(&["1.3.8", "1.4.0"]),
    docker: firsts(&["19.03.9"]),
    cri_o: firsts(&["1.20.3", "1.21.0"]),
    libseccomp: first("2.4.2"),
    doubt: time64_doubt,
});

static FCHMODAT2: LazyLock<Call> = LazyLock::new(|| Call {
    code: Code::HF214,
    severity: Severity::BreaksFeature,
    name: "fchmodat2",
    makes: |cell| glibc(cell, "2.39"),
    // Not the first profiles that know it (1.6.28, 1.7.13): it is newer than every call of those before, and runc
    // 1.0.0-rc93, which these came with, answers for such a call that it is not there.
    containerd: firsts(&["1.4.4", "1.5.0"]),
    docker: firsts(&["23.0"]),
    cri_o: firsts(&["1.22.0"]),
    libseccomp: None,
    doubt: |_| None,
});

/// What was seen comes before what its author says: that is surer.
fn glibc(cell: &Cell<'_>, first: &str) -> Option<(String, Evidence)> {
    let is_new = |libc: &Libc| libc.glibc().is_some_and(|it| it.is_at_least(first));
    match cell.libc().filter(|libc| is_new(libc)) {
        Some(libc) => Some((format!("glibc {}", libc.glibc()?), libc.evidence())),
        None => stated(cell, |kind| (kind == LibcKind::Glibc).then_some(first)),
    }
}

/// The C library that the author names, from the first version of its kind on.
fn stated<'a>(
    cell: &Cell<'_>,
    first: impl Fn(LibcKind) -> Option<&'a str>,
) -> Option<(String, Evidence)> {
    let libc = author::libc(cell.contents)?;
    let is_new = libc.version.is_at_least(first(libc.kind)?);
    is_new.then(|| (libc.words(), libc.evidence()))
}

fn alpine(cell: &Cell<'_>, first: &str) -> Option<(String, Evidence)> {
    let libc = cell.libc().filter(|libc| libc.kind == LibcKind::Musl)?;
    let seen = cell.files()?.distribution.as_ref()?;
    let version = seen.value.dotted()?;
    let is_new = seen.value.id() == "alpine" && version.is_at_least(first);
    is_new.then(|| (seen.value.to_string(), libc.evidence()))
}

fn coreutils(cell: &Cell<'_>) -> Option<(String, Evidence)> {
    cell.libc()?;
    let seen = cell.files()?.package(&["coreutils", "coreutils-single"])?;
    let version = seen.value.upstream().filter(|it| it.is_at_least("8.32"))?;
    Some((format!("coreutils {version}"), seen.evidence()))
}

/// What calls 64-bit time on 32 bits: musl from 1.2 on always, glibc where its programs are built for it.
fn time64(cell: &Cell<'_>) -> Option<(String, Evidence)> {
    if !matches!(cell.platform.architecture.as_str(), "386" | "arm") {
        return None;
    }
    let first = |kind| match kind {
        LibcKind::Musl => "1.2",
        LibcKind::Glibc if is_built_for_time64(cell) => "2.31",
        LibcKind::Glibc => "2.34",
    };
    let seen = cell.libc().and_then(|libc| {
        let version = libc.version.as_ref()?;
        let is_new = version.is_at_least(first(libc.kind));
        is_new.then(|| (format!("{} {version}", libc.kind), libc.evidence()))
    });
    let (what, evidence) = seen.or_else(|| stated(cell, |kind| Some(first(kind))))?;
    Some((format!("{what} on 32 bits"), evidence))
}

/// Distributions whose programs for 32-bit arm are built with `_TIME_BITS=64`, by their first release that is.
const TIME64_BUILDS: [(&str, &str); 3] =
    [("debian", "13"), ("raspbian", "13"), ("ubuntu", "24.04")];

fn is_built_for_time64(cell: &Cell<'_>) -> bool {
    let distribution = cell.files().and_then(|files| files.distribution.as_ref());
    let Some(own) = distribution.map(|seen| &seen.value) else {
        return false;
    };
    let mut builds = TIME64_BUILDS.iter();
    cell.platform.architecture == "arm"
        && builds.any(|(id, first)| {
            // Of Debian's testing and unstable nothing but the name is told.
            let is_new = own
                .dotted()
                .is_none_or(|version| version.is_at_least(first));
            own.id() == *id && is_new
        })
}

/// Whether a program of glibc on 32 bits asks for 64-bit time is not read.
fn time64_doubt(cell: &Cell<'_>) -> Option<&'static str> {
    let is_glibc = cell.libc().is_some_and(|it| it.kind == LibcKind::Glibc);
    (is_glibc && !is_built_for_time64(cell))
        .then_some("only what is built with _TIME_BITS=64 calls it, and that is not read")
}

pub(super) fn clone3(cell: &Cell<'_>) -> Outcome {
    check(cell, &CLONE3)
}
pub(super) fn faccessat2(cell: &Cell<'_>) -> Outcome {
    check(cell, &FACCESSAT2)
}
pub(super) fn statx(cell: &Cell<'_>) -> Outcome {
    check(cell, &STATX)
}
pub(super) fn clock_gettime64(cell: &Cell<'_>) -> Outcome {
    check(cell, &CLOCK_GETTIME64)
}
pub(super) fn fchmodat2(cell: &Cell<'_>) -> Outcome {
    check(cell, &FCHMODAT2)
}

/// Whether the runtime's default profile filters the container.
enum Filter {
    No,
    Yes,
    /// It depends on the kubelet.
    Unknown,
}

fn filter(cell: &Cell<'_>) -> Filter {
    let security = &cell.uses.security;
    match security.seccomp {
        _ if security.privileged => Filter::No,
        // What is in a profile of the node's own is not known: nothing is known against it.
        Some(Seccomp::Unconfined | Seccomp::Localhost) => Filter::No,
        Some(Seccomp::RuntimeDefault) => Filter::Yes,
        None => match cell.host.facts.seccomp_default {
            Some(true) => Filter::Yes,
            Some(false) => Filter::No,
            None => Filter::Unknown,
        },
    }
}

fn check(cell: &Cell<'_>, call: &Call) -> Outcome {
    let applies = filter(cell);
    let makes = || (call.makes)(cell);
    // The host is looked at first: nearly all of them know every call.
    let Some(runtime) = &cell.host.facts.runtime else {
        // Kubernetes' default is no filter: that alone raises no question, an old runtime does.
        return match applies {
            Filter::Yes if makes().is_some() => Outcome::missing(HostFact::Runtime),
            _ => Outcome::Compatible,
        };
    };
    let Some(first) = call.firsts(&runtime.name) else {
        return Outcome::Compatible;
    };
    let own = cell.host.facts.libseccomp.as_ref();
    let old_library = call.libseccomp.as_ref().zip(own);
    let old_library = old_library.filter(|((_, first), own)| *own < first);
    let is_old = runtime
        .version
        .as_ref()
        .map(|version| !knows(version, first));
    if matches!(applies, Filter::No) || (is_old == Some(false) && old_library.is_none()) {
        return Outcome::Compatible;
    }
    let Some((what, evidence)) = makes() else {
        return Outcome::Compatible;
    };
    let (host, by_library) = match (is_old, old_library) {
        (None, _) => return Outcome::missing(HostFact::Runtime),
        (Some(false), Some((_, own))) => (
            format!("has libseccomp {own}, which does not know it"),
            newer_runc(runtime),
        ),
        _ => (
            format!("runs {runtime}, whose profile does not know it"),
            newer_runc(runtime).filter(|_| runtime.name == "cri-o"),
        ),
    };
    if matches!(applies, Filter::Unknown) {
        return Outcome::missing(HostFact::SeccompDefault);
    }
    let wanted = first.last().map(|(text, _)| *text).unwrap_or_default();
    let stated = (evidence.strength < Strength::File).then_some(StatedLibc::DOUBT);
    let library = call.libseccomp.as_ref();
    let library = library.map(|(first, _)| format!(" and libseccomp {first}"));
    cell.says(Said {
        code: call.code,
        severity: call.severity,
        image: format!("calls {} ({what}) under a seccomp profile", call.name),
        host,
        fix: format!(
            "use nodes with {} {wanted}{} or newer; until then seccompProfile Unconfined",
            runtime.name,
            library.unwrap_or_default()
        ),
        evidence: Some(evidence),
        doubt: stated.or_else(|| (call.doubt)(cell)).or(by_library),
    })
}

/// Why an old libseccomp, or an old profile of CRI-O, which brings no runc of its own, may not matter there: a runc since
/// 1.0.0-rc93 answers "not there" for a call that is newer than all that the library knows. Those that came with one are
/// the first of `FCHMODAT2`.
fn newer_runc(runtime: &Runtime) -> Option<&'static str> {
    const DOUBT: Option<&str> = Some("not with runc 1.0.0-rc93 or newer: look at runc --version");
    if runtime.name == "cri-o" {
        return DOUBT;
    }
    let first = FCHMODAT2.firsts(&runtime.name)?;
    let version = runtime.version.as_ref()?;
    DOUBT.filter(|_| knows(version, first))
}

fn knows(version: &DottedVersion, first: &[First]) -> bool {
    version.is_since(first.iter().map(|(_, first)| first))
}

/// HF215: `io_uring_setup: Operation not permitted`.
pub(super) fn io_uring(cell: &Cell<'_>) -> Outcome {
    let uses = |library: &String| library.starts_with("liburing.so.");
    let program = cell
        .program()
        .filter(|program| program.needs.iter().any(uses));
    let Some(program) = program else {
        return Outcome::Compatible;
    };
    let facts = &cell.host.facts;
    let Some(kernel) = &facts.kernel else {
        return Outcome::missing(HostFact::Kernel);
    };
    let said = |host: String, fix: &str, doubt: Option<&'static str>| {
        cell.says(Said {
            code: Code::HF215,
            severity: Severity::BreaksFeature,
            image: "uses io_uring (liburing)".to_owned(),
            host,
            fix: fix.to_owned(),
            evidence: Some(program.evidence()),
            doubt: cell.other_kernel().or(doubt),
        })
    };
    let sysctl = facts.sysctls.get("kernel.io_uring_disabled");
    let sysctl = sysctl.map(|value| value.trim());
    // At 1 it is for those who may administrate, and for one group.
    let may = cell.uses.security.may("SYS_ADMIN");
    if sysctl.is_some_and(|value| value != "0" && !(value == "1" && may)) {
        return said(
            "has kernel.io_uring_disabled set".to_owned(),
            "set kernel.io_uring_disabled=0 on the nodes, or switch io_uring off in the program",
            None,
        );
    }
    // A kernel that has the setting has io_uring, whatever its number.
    if sysctl.is_none() && !kernel.dotted().is_at_least("5.1") {
        return said(
            format!("has {kernel}, and io_uring is in 5.1"),
            "use newer nodes",
            cell.carried_back(),
        );
    }
    let Some(blocks) = facts.runtime.as_ref().map(blocks_io_uring) else {
        return match filter(cell) {
            Filter::Yes => Outcome::missing(HostFact::Runtime),
            Filter::No | Filter::Unknown => Outcome::Compatible,
        };
    };
    match filter(cell) {
        Filter::Yes if blocks => said(
            "blocks it in the default seccomp profile".to_owned(),
            "use a Localhost profile that allows io_uring, or switch it off in the program",
            None,
        ),
        Filter::Unknown if blocks => Outcome::missing(HostFact::SeccompDefault),
        _ => Outcome::Compatible,
    }
}

/// Profiles of containerd 2.0, Docker 25 and all of CRI-O leave io_uring out.
fn blocks_io_uring(runtime: &Runtime) -> bool {
    let version = runtime.version.as_ref();
    let since = |first| version.is_some_and(|version| version.is_at_least(first));
    match runtime.name.as_str() {
        "containerd" => since("2.0.0"),
        "docker" => since("25.0.0"),
        "cri-o" => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_branch_has_its_own_first_version() {
        let knows = |version: &str| knows(&version.parse().unwrap(), &CLONE3.containerd);
        for old in ["1.3.9", "1.4.9", "1.5.5", "1.2"] {
            assert!(!knows(old), "{old}");
        }
        for new in ["1.4.10", "1.5.6", "1.5.18", "1.6.0", "1.7.1", "2.0.0"] {
            assert!(knows(new), "{new}");
        }
    }
}
