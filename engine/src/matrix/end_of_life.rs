//! HF501, HF507: the distribution of the image, or of the host, is past its end of support (endoflife.date).

use crate::distribution::{Distribution, Release};
use crate::fact::{Fact, Strength};
use crate::finding::{Code, Finding, Severity};
use crate::matrix::{Cell, Outcome};
use crate::version::Date;

pub(super) fn image(cell: &Cell<'_>) -> Outcome {
    let Fact::Known(distribution, evidence) = &cell.lineage.distribution else {
        return Outcome::Compatible;
    };
    let Some((release, end)) = ended(distribution, cell.today) else {
        return Outcome::Compatible;
    };
    let verb = match evidence.strength >= Strength::Stated {
        true => "stands on",
        false => "possibly stands on",
    };
    // What is only hinted at never refuses, with the pack `strict` neither.
    let verdict = match evidence.strength >= Strength::Stated {
        true => cell.advised_against(),
        false => crate::finding::CellVerdict::Warn,
    };
    Outcome::Incompatible(Finding {
        code: Code::HF501,
        severity: Severity::EndOfLife,
        verdict,
        image: format!("{verb} {distribution}, past its end of support ({end})"),
        host: None,
        fix: format!(
            "rebuild it on a supported release of {}{}",
            distribution.id(),
            extended(release, cell.today)
        ),
        evidence: Some(evidence.clone()),
    })
}

pub(super) fn host(cell: &Cell<'_>) -> Outcome {
    let Some(os) = &cell.host.facts.os else {
        return Outcome::Compatible;
    };
    let Some((release, end)) = ended(os, cell.today) else {
        return Outcome::Compatible;
    };
    Outcome::Incompatible(Finding {
        code: Code::HF507,
        severity: Severity::EndOfLife,
        verdict: cell.advised_against(),
        image: "may land on a host past its end of support".to_owned(),
        host: Some(format!("is {os} ({end})")),
        fix: format!(
            "upgrade the nodes' operating system{}",
            extended(release, cell.today)
        ),
        evidence: None,
    })
}

fn ended(distribution: &Distribution, today: Date) -> Option<(&'static Release, Date)> {
    let release = distribution.release()?;
    let end = release.end_of_support.filter(|end| *end < today)?;
    Some((release, end))
}

/// What may still be had after the end of standard support.
fn extended(release: &Release, today: Date) -> String {
    match release.end_of_extended_support {
        Some(end) if end < today => format!(" (extended support ended {end}, too)"),
        Some(end) => format!(" (extended support lasts until {end})"),
        None => String::new(),
    }
}
