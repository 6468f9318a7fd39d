//! CSV for spreadsheets (RFC 4180): a line for each finding, one for what has none, and one for what was not judged.

use hostfit_engine::finding::Severity;
use hostfit_engine::verdict::Verdict;

use super::{Row, Subject, Untold, evidence, rows, untold};
use crate::document::{Document, Finding};

/// The names of the columns. They are added at the end, never renamed.
const COLUMNS: [&str; 15] = [
    "verdict",
    "namespace",
    "kind",
    "name",
    "fits",
    "containers",
    "images",
    "hosts",
    "code",
    "finding",
    "severity",
    "message",
    "fix",
    "evidence",
    "file",
];

/// The document as CSV.
///
/// # Errors
///
/// Never in practice: memory is written to.
pub(crate) fn csv(document: &Document) -> anyhow::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS)?;
    for row in rows(document) {
        if row.findings.is_empty() {
            writer.write_record(line(&row, None))?;
        }
        for finding in row.findings {
            writer.write_record(line(&row, Some(finding)))?;
        }
    }
    for untold in untold(document) {
        writer.write_record(no_verdict(untold))?;
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}

fn line(row: &Row<'_>, finding: Option<&Finding>) -> [String; COLUMNS.len()] {
    let (target, fits) = match &row.subject {
        Subject::Workload { target, hosts, .. } => (Some(target), *hosts),
        Subject::Cell { .. } => (None, ""),
    };
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let (images, hosts, containers) = match (finding, &row.subject) {
        (Some(finding), subject) => (
            subject.images(finding).join(" "),
            subject.hosts(finding).join(" "),
            finding.containers.join(" "),
        ),
        (None, Subject::Cell { image, host }) => {
            (image.to_string(), host.to_string(), String::new())
        }
        (None, Subject::Workload { containers, .. }) => {
            let images: Vec<_> = containers.iter().map(|it| &*it.image).collect();
            let names: Vec<_> = containers.iter().map(|it| &*it.name).collect();
            (images.join(" "), String::new(), names.join(" "))
        }
    };
    [
        row.verdict.as_str().to_owned(),
        text(target.and_then(|it| it.namespace.as_deref())),
        text(target.map(|it| it.kind.as_str())),
        text(target.map(|it| it.name.as_str())),
        fits.to_owned(),
        containers,
        images,
        hosts,
        text(finding.map(|it| it.code)),
        text(finding.map(|it| it.verdict.as_str())),
        text(finding.map(|it| it.severity)),
        text(finding.map(|it| it.message.as_str())),
        text(finding.map(|it| it.fix.as_str())),
        finding.map(evidence).unwrap_or_default(),
        text(target.and_then(|it| it.file.as_deref())),
    ]
    .map(harmless)
}

/// A line for what was not judged: of no workload, with the reason.
fn no_verdict(Untold { file, what, .. }: Untold<'_>) -> [String; COLUMNS.len()] {
    COLUMNS
        .map(|column| match column {
            "verdict" | "finding" => Verdict::Unknown.as_str().to_owned(),
            "severity" => Severity::Unknown.as_str().to_owned(),
            "message" => what.clone(),
            "file" => file.unwrap_or_default().to_owned(),
            _ => String::new(),
        })
        .map(harmless)
}

/// Spreadsheets run what begins like a formula.
fn harmless(mut cell: String) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        cell.insert(0, '\'');
    }
    cell
}
