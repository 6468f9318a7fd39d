//! HF502, HF503, HF508: what the vendors' published matrices say of image and host, and when nobody says anything.

mod privileged;

use std::sync::LazyLock;

use crate::distribution::Distribution;
use crate::fact::{Fact, Strength};
use crate::finding::{CellVerdict, Code, Finding, Severity};
use crate::host::HostFact;
use crate::matrix::{Cell, Outcome, Pack, unproven, windows};
use crate::policy::Response;
use crate::tables;
use crate::version::DottedVersion;

pub(super) use privileged::check as privileged;

/// One row of a published matrix.
struct Row {
    vendor: &'static str,
    image: (&'static str, DottedVersion),
    host: (&'static str, DottedVersion),
    status: Status,
    source: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Status {
    Supported,
    Limited,
    Unsupported,
}

static MATRIX: LazyLock<Vec<Row>> = LazyLock::new(|| {
    tables::SUPPORT
        .rows()
        .filter_map(|row| parse(&row))
        .collect()
});

fn parse(row: &[&'static str]) -> Option<Row> {
    let &[
        vendor,
        _edition,
        image,
        image_version,
        host,
        host_version,
        status,
        _class,
        source,
    ] = row
    else {
        return None;
    };
    let status = match status {
        "supported" => Status::Supported,
        "limited" => Status::Limited,
        "unsupported" => Status::Unsupported,
        _ => return None,
    };
    Some(Row {
        vendor,
        image: (image, image_version.parse().ok()?),
        host: (host, host_version.parse().ok()?),
        status,
        source,
    })
}

impl Row {
    /// The vendor's name, as people write it.
    fn vendor_name(&self) -> &'static str {
        match self.vendor {
            "redhat" => "Red Hat",
            "suse" => "SUSE",
            other => other,
        }
    }

    fn speaks_of_image(&self, image: &Distribution) -> bool {
        matches(&self.image, image)
    }
}

fn matches((id, version): &(&str, DottedVersion), distribution: &Distribution) -> bool {
    let is_within = |release: DottedVersion| release.starts_with(version);
    *id == distribution.id() && distribution.dotted().is_some_and(is_within)
}

/// The row that speaks of image and host.
fn find(image: &Distribution, host: &Distribution) -> Option<&'static Row> {
    MATRIX
        .iter()
        .find(|row| row.speaks_of_image(image) && matches(&row.host, host))
}

/// The fact that is missing to find the row of a host, if one of the rows that count may speak of it.
fn missing(
    image: &Distribution,
    cell: &Cell<'_>,
    host: &Distribution,
    counts: fn(&Row) -> bool,
) -> Option<HostFact> {
    let (id, fact) = match host.id() {
        "rhcos" if cell.host.facts.kernel.is_none() => ("rhel", HostFact::Kernel),
        id if host.version().is_empty() => (id, HostFact::OsVersion),
        _ => return None,
    };
    MATRIX
        .iter()
        .any(|row| row.speaks_of_image(image) && row.host.0 == id && counts(row))
        .then_some(fact)
}

pub(super) fn check(cell: &Cell<'_>) -> Outcome {
    let Fact::Known(image, evidence) = &cell.lineage.distribution else {
        return Outcome::Compatible;
    };
    let Some(os) = &cell.host.facts.os else {
        let could_matter =
            |row: &Row| row.speaks_of_image(image) && row.status != Status::Supported;
        return match MATRIX.iter().any(could_matter) {
            true => Outcome::missing(HostFact::Os),
            false => Outcome::Compatible,
        };
    };
    let host = os.in_vendor_matrix(cell.host.facts.kernel.as_ref());
    let Some(row) = find(image, &host) else {
        let missing = missing(image, cell, &host, |row| row.status != Status::Supported);
        return missing.map_or(Outcome::Compatible, Outcome::missing);
    };
    let (code, severity, verdict, word) = match row.status {
        Status::Supported => return Outcome::Compatible,
        Status::Limited => (
            Code::HF503,
            Severity::Limited,
            CellVerdict::Warn,
            "of limited support in",
        ),
        Status::Unsupported => (
            Code::HF502,
            Severity::Unsupported,
            CellVerdict::Fail,
            "outside",
        ),
    };
    let finding = Finding {
        code,
        severity,
        verdict,
        image: format!("stands on {image}"),
        host: Some(format!("is {os}, {word} {}'s matrix", row.vendor_name())),
        fix: format!(
            "rebuild it on a release that {} supports on {} {}, or select other nodes ({})",
            row.vendor_name(),
            row.host.0,
            row.host.1,
            row.source
        ),
        evidence: Some(evidence.clone()),
    };
    match row.status {
        Status::Limited => Outcome::Incompatible(finding),
        Status::Supported | Status::Unsupported => {
            cell.broken(finding, unproven(evidence, Strength::Stated))
        }
    }
}

/// HF508: no row of any active matrix speaks of the pair, and the policy minds.
pub(super) fn outside(cell: &Cell<'_>) -> Outcome {
    let verdict = match cell.rules.outside_matrix {
        Response::Allow => return Outcome::Compatible,
        Response::Warn => CellVerdict::Warn,
        Response::Deny => CellVerdict::Fail,
    };
    let Fact::Known(image, evidence) = &cell.lineage.distribution else {
        return Outcome::Compatible;
    };
    let Some(os) = &cell.host.facts.os else {
        return Outcome::missing(HostFact::Os);
    };
    let host = os.in_vendor_matrix(cell.host.facts.kernel.as_ref());
    let published = cell.rules.packs.contains(&Pack::VendorSupport);
    let by_build = || windows::is_in_matrix(cell.platform, &cell.host.facts);
    if published && (find(image, &host).is_some() || by_build()) {
        return Outcome::Compatible;
    }
    if let Some(fact) = missing(image, cell, &host, |_| true).filter(|_| published) {
        return Outcome::missing(fact);
    }
    let finding = Finding {
        code: Code::HF508,
        severity: Severity::Unsupported,
        verdict,
        image: format!("stands on {image}"),
        host: Some(format!(
            "is {os}: no row of any active matrix speaks of this pair"
        )),
        fix: "add a row to the SupportMatrix that says what you support".to_owned(),
        evidence: Some(evidence.clone()),
    };
    match verdict {
        CellVerdict::Fail => cell.broken(finding, unproven(evidence, Strength::Stated)),
        CellVerdict::Pass | CellVerdict::Warn | CellVerdict::Unknown => {
            Outcome::Incompatible(finding)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_published_matrices_can_be_read() {
        assert_eq!(tables::SUPPORT.rows().count(), MATRIX.len());
    }
}
