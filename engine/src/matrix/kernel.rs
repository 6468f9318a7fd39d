//! HF201: glibc before 2.36 refuses to start on a kernel older than its ABI note.
//!
//! Runtime error: `FATAL: kernel too old`. The number in the kernel's name is exactly what ld.so compares, so it may be
//! compared here. glibc 2.36 and newer carry the note, too, but nothing reads it. A static program brings the check and
//! the note of the glibc that it was linked with. The image's author may say that it needs a newer kernel: possibly.

use crate::fact::{Evidence, Fact, Strength};
use crate::files::LibcKind;
use crate::finding::{Code, Severity};
use crate::lineage::author;
use crate::matrix::{Cell, Outcome, Said, unproven, unsourced};
use crate::version::{DottedVersion, KernelVersion};

/// What the image needs, who says so, and what speaks against being sure.
struct Need {
    kernel: KernelVersion,
    what: String,
    evidence: Evidence,
    doubt: Option<&'static str>,
}

pub(super) fn check(cell: &Cell<'_>) -> Outcome {
    let mut outcomes = needs(cell).map(|need| lacks(cell, need));
    let broken = outcomes.find(|outcome| *outcome != Outcome::Compatible);
    broken.unwrap_or(Outcome::Compatible)
}

fn lacks(cell: &Cell<'_>, need: Need) -> Outcome {
    let needed = &need.kernel;
    cell.needs_kernel(needed, || Said {
        code: Code::HF201,
        severity: Severity::BreaksAtStart,
        image: format!("needs kernel {needed} ({})", need.what),
        host: String::new(),
        fix: format!("run it on nodes with kernel {needed} or newer, or use an older base image"),
        evidence: Some(need.evidence),
        doubt: need.doubt,
    })
}

/// What was found first: that is surer than the author, who can only add to it.
fn needs(cell: &Cell<'_>) -> impl Iterator<Item = Need> {
    let found = by_files(cell).unwrap_or_else(|| by_distribution(cell));
    found.into_iter().chain(by_author(cell))
}

/// What its author says. Nothing compares it when the image runs, so the number alone does not tell whether it breaks.
fn by_author(cell: &Cell<'_>) -> Option<Need> {
    Some(Need {
        kernel: author::min_kernel(cell.contents)?,
        what: "its author says so".to_owned(),
        evidence: Evidence::new(Strength::Stated, format!("label {}", author::MIN_KERNEL)),
        doubt: Some("vendors add to older kernels what newer ones have, so try it there"),
    })
}

/// What the image needs, whoever says so.
pub(super) fn needed(cell: &Cell<'_>) -> Option<KernelVersion> {
    let newest = |one: KernelVersion, other: KernelVersion| match one.older_than(&other) {
        true => other,
        false => one,
    };
    needs(cell).map(|need| need.kernel).reduce(newest)
}

/// The first glibc that no longer compares: commit b46d250656.
pub(super) const NO_CHECK: &str = "2.36";

/// Whether this glibc compares ABI notes with the kernel.
pub(super) fn compares(glibc: &DottedVersion) -> bool {
    !glibc.is_at_least(NO_CHECK)
}

/// `None` if the files do not tell: then the distribution's table does.
fn by_files(cell: &Cell<'_>) -> Option<Option<Need>> {
    if let Some(program) = cell.static_program() {
        let kernel = program.kernel.clone().filter(|_| program.checks_kernel);
        return Some(kernel.map(|kernel| Need {
            kernel,
            what: "its program is linked with an old glibc".to_owned(),
            evidence: program.evidence(),
            doubt: None,
        }));
    }
    let libc = cell.libc()?;
    if libc.kind == LibcKind::Musl {
        return Some(None);
    }
    let version = libc.glibc()?;
    if !compares(version) {
        return Some(None);
    }
    Some(Some(Need {
        kernel: libc.kernel.clone()?,
        what: format!("glibc {version}"),
        evidence: libc.evidence(),
        doubt: None,
    }))
}

fn by_distribution(cell: &Cell<'_>) -> Option<Need> {
    let Fact::Known(distribution, evidence) = &cell.lineage.distribution else {
        return None;
    };
    let release = distribution.release().filter(|it| it.kernel_check)?;
    let kernel = release.minimum_kernel(&cell.platform.architecture)?;
    let glibc = release.glibc.iter();
    let glibc = glibc
        .map(|version| format!(" {version}"))
        .collect::<String>();
    Some(Need {
        kernel: kernel.clone(),
        what: format!("glibc{glibc} of {distribution}"),
        evidence: evidence.clone(),
        doubt: unproven(evidence, Strength::Layers).or(unsourced(release.kernel_certainty)),
    })
}
