//! HF101: the image's libc, or its program, is built for a newer level of x86-64 than the CPU has.
//!
//! Runtime error: `Fatal glibc error: CPU does not support x86-64-v3`. The mark in the files decides where they were
//! read and carry it; else the distribution's table, definitely only where layers prove the distribution and its row is
//! sourced.

use crate::fact::{Evidence, Fact, Strength};
use crate::files::LibcKind;
use crate::finding::{Code, Severity};
use crate::matrix::{Cell, Outcome, Said, unproven, unsourced};

/// What the image needs, who says so, and what speaks against being sure.
struct Need {
    level: u8,
    what: String,
    evidence: Evidence,
    doubt: Option<&'static str>,
}

pub(super) fn check(cell: &Cell<'_>) -> Outcome {
    let Some(need) = need(cell) else {
        return Outcome::Compatible;
    };
    let needed = need.level;
    cell.needs_level(needed, |level| Said {
        code: Code::HF101,
        severity: Severity::BreaksAtStart,
        image: format!("needs CPU level x86-64-v{needed} ({})", need.what),
        host: String::new(),
        fix: format!(
            "use a base image for x86-64-v{level}, or select nodes with feature.node.kubernetes.io/cpu-cpuid.X86_64_V{needed}=true"
        ),
        evidence: Some(need.evidence),
        doubt: need.doubt,
    })
}

fn need(cell: &Cell<'_>) -> Option<Need> {
    by_files(cell).unwrap_or_else(|| by_distribution(cell))
}

/// What the image needs, whoever says so.
pub(super) fn needed(cell: &Cell<'_>) -> Option<u8> {
    need(cell).map(|need| need.level)
}

/// By the marks of what starts and of its libc. `None` if the files do not tell: then the distribution's table does.
fn by_files(cell: &Cell<'_>) -> Option<Option<Need>> {
    let program = cell.program();
    if let Some(program) = cell.static_program() {
        // Whatever it stands on, it runs only its own code.
        return Some(program.cpu_level.map(|level| Need {
            level,
            what: "its program".to_owned(),
            evidence: program.evidence(),
            doubt: None,
        }));
    }
    let libc = cell.libc()?;
    let own = program.and_then(|program| Some((program.cpu_level?, program)));
    let of_program = own.map(|(level, program)| Need {
        level,
        what: "its program".to_owned(),
        evidence: program.evidence(),
        doubt: None,
    });
    let of_libc = libc.cpu_level.map(|level| Need {
        level,
        what: match &libc.version {
            Some(version) => format!("{} {version}", libc.kind),
            None => libc.kind.to_string(),
        },
        evidence: libc.evidence(),
        doubt: None,
    });
    match (of_program, of_libc) {
        (Some(program), Some(libc)) if program.level > libc.level => Some(Some(program)),
        (_, Some(libc)) => Some(Some(libc)),
        // musl has no levels; a glibc without the property may be built for one all the same.
        (of_program, None) if libc.kind == LibcKind::Musl => Some(of_program),
        (_, None) => None,
    }
}

fn by_distribution(cell: &Cell<'_>) -> Option<Need> {
    let Fact::Known(distribution, evidence) = &cell.lineage.distribution else {
        return None;
    };
    let release = distribution.release()?;
    Some(Need {
        level: release.cpu_level?,
        what: distribution.to_string(),
        evidence: evidence.clone(),
        doubt: unproven(evidence, Strength::Layers).or(unsourced(release.cpu_certainty)),
    })
}
