//! HF201: glibc before 2.36 refuses to start on a kernel older than its ABI note.
//!
//! Runtime error: `FATAL: kernel too old`. The number in the kernel's name is exactly what ld.so compares, so it may be
//! compared here. glibc 2.36 and newer carry the note, too, but nothing reads it.

use crate::fact::{Fact, Strength};
use crate::finding::{CellVerdict, Code, Finding, Severity};
use crate::host::HostFact;
use crate::matrix::{Cell, Outcome, unproven, unsourced};

pub(super) fn check(cell: &Cell<'_>) -> Outcome {
    let Fact::Known(distribution, evidence) = &cell.lineage.distribution else {
        return Outcome::Compatible;
    };
    let Some(release) = distribution
        .release()
        .filter(|release| release.kernel_check)
    else {
        return Outcome::Compatible;
    };
    let Some(needed) = release.minimum_kernel(&cell.platform.architecture) else {
        return Outcome::Compatible;
    };
    let Some(kernel) = &cell.host.facts.kernel else {
        return Outcome::missing(HostFact::Kernel);
    };
    if !kernel.older_than(needed) {
        return Outcome::Compatible;
    }
    let glibc = release
        .glibc
        .iter()
        .map(|version| format!(" {version}"))
        .collect::<String>();
    let sandbox = cell
        .other_kernel
        .then_some("a RuntimeClass may bring a kernel of its own");
    let doubt = sandbox
        .or(unproven(evidence, Strength::Layers))
        .or(unsourced(release.kernel_certainty));
    let finding = Finding {
        code: Code::HF201,
        severity: Severity::BreaksAtStart,
        verdict: CellVerdict::Fail,
        image: format!("needs kernel {needed} (glibc{glibc} of {distribution})"),
        host: Some(format!("has {kernel}")),
        fix: format!("run it on nodes with kernel {needed} or newer, or use an older base image"),
        evidence: Some(evidence.clone()),
    };
    cell.broken(finding, doubt)
}
