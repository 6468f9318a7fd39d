//! HF101: the image's libc, or its program, is built for a newer level of x86-64 than the CPU has.
//!
//! Runtime error: `Fatal glibc error: CPU does not support x86-64-v3`. The mark in the files decides where they were
//! read and carry it; else the distribution's table, definitely only where layers prove the distribution and its row is
//! sourced. The image's author may say that it needs more.

use crate::fact::{Evidence, Fact, Strength};
use crate::files::{LibcKind, Program};
use crate::finding::{Code, Severity};
use crate::lineage::author;
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
    let found = by_files(cell).unwrap_or_else(|| by_distribution(cell));
    // An author cannot make it need less than what was found, but can be surer.
    let adds = |stated: &Need| {
        let weight = |need: &Need| (need.level, need.doubt.is_none());
        found
            .as_ref()
            .is_none_or(|found| weight(found) < weight(stated))
    };
    by_author(cell).filter(adds).or(found)
}

/// What its author says: who else knows which instructions a program uses that carries no mark?
fn by_author(cell: &Cell<'_>) -> Option<Need> {
    Some(Need {
        level: author::cpu_level(cell.contents)?,
        what: "its author says so".to_owned(),
        evidence: Evidence::new(Strength::Stated, format!("label {}", author::CPU_LEVEL)),
        doubt: None,
    })
}

/// What the image needs, whoever says so.
pub(super) fn needed(cell: &Cell<'_>) -> Option<u8> {
    need(cell).map(|need| need.level)
}

/// By the marks of what starts and of its libc. `None` if the files do not tell: then the distribution's table does.
fn by_files(cell: &Cell<'_>) -> Option<Option<Need>> {
    if let Some(program) = cell.static_program() {
        // Whatever it stands on, it runs only its own code.
        return Some(of_program(program, UNCHECKED));
    }
    let libc = cell.libc()?;
    let doubt = match libc.glibc() {
        Some(version) if version.is_at_least(CHECKS_MARKS) => None,
        Some(_) | None => UNCHECKED,
    };
    let program = cell.program().and_then(|it| of_program(it, doubt));
    let of_libc = libc.cpu_level.map(|level| Need {
        level,
        what: match &libc.version {
            Some(version) => format!("{} {version}", libc.kind),
            None => libc.kind.to_string(),
        },
        evidence: libc.evidence(),
        doubt: None,
    });
    match (program, of_libc) {
        (Some(program), Some(libc)) if program.level > libc.level => Some(Some(program)),
        (_, Some(libc)) => Some(Some(libc)),
        // musl has no levels.
        (program, None) if libc.kind == LibcKind::Musl => Some(program),
        // A glibc without the mark may be built for a level all the same.
        (program, None) => {
            let table = by_distribution(cell);
            let needs_more =
                |table: &Need| program.as_ref().is_none_or(|it| it.level < table.level);
            match table.filter(needs_more) {
                Some(table) => Some(Some(table)),
                None => program.map(Some),
            }
        }
    }
}

/// The first glibc that looks at the mark of each program and library (commit ecce11aa07).
pub(super) const CHECKS_MARKS: &str = "2.33";

/// Nobody looks at the mark: neither musl, nor an older glibc, nor anything in a static program (shown in the lab).
const UNCHECKED: Option<&str> = Some(
    "nothing looks at its mark: it ends only where it uses what the CPU lacks, so try it there",
);

/// What the mark of a program says.
fn of_program(program: &Program, doubt: Option<&'static str>) -> Option<Need> {
    Some(Need {
        level: program.cpu_level?,
        what: "its program".to_owned(),
        evidence: program.evidence(),
        doubt,
    })
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
