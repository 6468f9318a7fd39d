//! HF101: the image's libc is built for a newer level of x86-64 than the CPU has.
//!
//! Runtime error: `Fatal glibc error: CPU does not support x86-64-v3`. For now from the distribution's table; the table
//! speaks definitely only where layers prove the distribution and its row is sourced.

use crate::fact::{Fact, Strength};
use crate::finding::{CellVerdict, Code, Finding, Severity};
use crate::host::HostFact;
use crate::matrix::{Cell, Outcome, unproven, unsourced};

pub(super) fn check(cell: &Cell<'_>) -> Outcome {
    let Fact::Known(distribution, evidence) = &cell.lineage.distribution else {
        return Outcome::Compatible;
    };
    let Some(release) = distribution.release() else {
        return Outcome::Compatible;
    };
    let Some(needed) = release
        .cpu_level
        .filter(|_| cell.platform.architecture == "amd64")
    else {
        return Outcome::Compatible;
    };
    // Every amd64 CPU has level 1: such an image needs nothing of the host.
    if needed < 2 {
        return Outcome::Compatible;
    }
    let Some(level) = cell.host.facts.cpu_level else {
        return Outcome::missing(HostFact::CpuLevel);
    };
    if level >= needed {
        return Outcome::Compatible;
    }
    let doubt = unproven(evidence, Strength::Layers).or(unsourced(release.cpu_certainty));
    let finding = Finding {
        code: Code::HF101,
        severity: Severity::BreaksAtStart,
        verdict: CellVerdict::Fail,
        image: format!("needs CPU level x86-64-v{needed} ({distribution})"),
        host: Some(format!("has v{level}")),
        fix: format!(
            "use a base image for x86-64-v{level}, or select nodes with feature.node.kubernetes.io/cpu-cpuid.X86_64_V{needed}=true"
        ),
        evidence: Some(evidence.clone()),
    };
    cell.broken(finding, doubt)
}
