//! The document as a page, and in the formats of other programs. Each is a function of the document alone.

mod csv;
mod html;
mod junit;
mod markdown;
#[cfg(test)]
mod sample;
mod sarif;

use std::sync::Arc;

use hostfit_engine::finding::CellVerdict;
use hostfit_engine::verdict::Verdict;
use jiff::Timestamp;
use serde::Serialize;

use crate::document::{Container, Document, Excepted, Finding, HostEntry, Origin, Target, of_cell};

use crate::flags::Format;
use crate::out;

/// The formats in which every document can be written.
pub(crate) const FORMATS: [Format; 7] = [
    Format::Json,
    Format::Yaml,
    Format::Html,
    Format::Markdown,
    Format::Csv,
    Format::Sarif,
    Format::Junit,
];

/// The document in one of [`FORMATS`].
///
/// # Errors
///
/// For a format of tables, which each command writes itself.
pub(crate) fn render(format: Format, document: &Document) -> anyhow::Result<String> {
    Ok(match format {
        Format::Json | Format::Yaml => object(format, document)?,
        Format::Markdown => markdown::markdown(document),
        Format::Html => html::html(document)?,
        Format::Csv => csv::csv(document)?,
        Format::Sarif => object(Format::Json, &sarif::sarif(document))?,
        Format::Junit => junit::junit(document)?,
        Format::Table | Format::Wide | Format::Name => {
            anyhow::bail!("{} is no format of documents", format.name())
        }
    })
}

/// An object as YAML, or else as JSON.
///
/// # Errors
///
/// If it cannot be written so.
pub(crate) fn object(format: Format, object: &impl Serialize) -> anyhow::Result<String> {
    Ok(match format {
        Format::Yaml => serde_saphyr::to_string(object)?,
        _ => format!("{}\n", serde_json::to_string_pretty(object)?),
    })
}

/// Writes the document as the result of the command.
///
/// # Errors
///
/// As [`render`].
pub(crate) fn print(format: Format, document: &Document) -> anyhow::Result<()> {
    out::write(format_args!("{}", render(format, document)?));
    Ok(())
}

/// What a verdict is on: a workload, or an image on a host where nobody deploys it here.
struct Row<'a> {
    verdict: Verdict,
    subject: Subject<'a>,
    findings: &'a [Arc<Finding>],
}

#[derive(Clone, Copy)]
enum Subject<'a> {
    Workload {
        target: &'a Target,
        /// `1/2`
        hosts: &'a str,
        containers: &'a [Container],
    },
    Cell {
        image: &'a str,
        host: &'a str,
    },
}

impl Subject<'_> {
    /// `shop/Deployment/search`, or `IMAGE on HOST`.
    fn name(&self) -> String {
        match self {
            Self::Workload { target, .. } => target.to_string(),
            Self::Cell { image, host } => format!("{image} on {host}"),
        }
    }

    /// The images that a finding is about.
    fn images(&self, finding: &Finding) -> Vec<&str> {
        match self {
            Self::Cell { image, .. } => vec![image],
            Self::Workload { containers, .. } => {
                let about = |it: &&Container| finding.containers.contains(&it.name);
                let mut images: Vec<_> = containers
                    .iter()
                    .filter(about)
                    .map(|it| &*it.image)
                    .collect();
                images.sort_unstable();
                images.dedup();
                images
            }
        }
    }

    /// The hosts that a finding is about; empty if it is not about the host.
    fn hosts<'b>(&'b self, finding: &'b Finding) -> Vec<&'b str> {
        match self {
            Self::Cell { host, .. } => vec![host],
            Self::Workload { .. } => finding.hosts.iter().map(|it| &**it).collect(),
        }
    }
}

/// Everything that has a verdict, in the order of the document.
fn rows(document: &Document) -> Vec<Row<'_>> {
    let workloads = document.workloads.iter().map(|it| Row {
        verdict: it.verdict,
        subject: Subject::Workload {
            target: &it.target,
            hosts: &it.hosts,
            containers: &it.containers,
        },
        findings: &it.findings,
    });
    let cells = document.items.iter().map(|it| Row {
        verdict: of_cell(it.verdict),
        subject: Subject::Cell {
            image: &it.image,
            host: &it.host,
        },
        findings: &it.findings,
    });
    match document.is_of_workloads() {
        true => workloads.collect(),
        false => cells.collect(),
    }
}

/// What was asked for and has no verdict.
struct Untold<'a> {
    kind: UntoldKind,
    /// The manifest that it is, or stands in.
    file: Option<&'a str>,
    /// One sentence.
    what: String,
}

/// Why something has no verdict.
#[derive(Clone, Copy, PartialEq, Eq)]
enum UntoldKind {
    /// A manifest is broken.
    NotRead,
    /// A kind that may make pods is none of those that are judged.
    NotJudged,
    /// The cluster hides workloads.
    Hidden,
}

impl UntoldKind {
    const ALL: [Self; 3] = [Self::NotRead, Self::NotJudged, Self::Hidden];

    /// What programs call it.
    fn name(self) -> &'static str {
        match self {
            Self::NotRead => "not-read",
            Self::NotJudged => "not-judged",
            Self::Hidden => "hidden",
        }
    }

    /// What it means.
    fn title(self) -> &'static str {
        match self {
            Self::NotRead => "a manifest could not be read",
            Self::NotJudged => "an object that may make pods is of no kind that is judged",
            Self::Hidden => "the cluster did not show workloads",
        }
    }
}

/// Everything that was asked for and has no verdict: it is no pass.
fn untold(document: &Document) -> Vec<Untold<'_>> {
    let not_read = document.not_read.iter().map(|it| Untold {
        kind: UntoldKind::NotRead,
        file: Some(&it.file),
        what: format!("not read: {}", it.why),
    });
    let not_judged = document.not_judged.iter().map(|it| Untold {
        kind: UntoldKind::NotJudged,
        file: Some(&it.file),
        what: format!("not judged, and may make pods: {}", it.why),
    });
    let lacked = document.permissions.iter().flat_map(|it| &it.lacked);
    let hidden = lacked.filter(|it| it.hides_workloads).map(|it| Untold {
        kind: UntoldKind::Hidden,
        file: None,
        what: format!("may not {}: {}", it.permission, it.therefore),
    });
    not_read.chain(not_judged).chain(hidden).collect()
}

/// The exceptions of a workload.
fn excepted<'a>(document: &'a Document, subject: &Subject<'_>) -> Vec<&'a Excepted> {
    let Subject::Workload { target, .. } = subject else {
        return Vec::new();
    };
    let all = document.excepted.iter();
    all.filter(|it| &*it.target == *target).collect()
}

/// Evidence in words: `etc/os-release (file)`.
fn evidence(finding: &Finding) -> String {
    let evidence = finding.evidence.iter();
    let evidence: Vec<_> = evidence
        .map(|it| format!("{} ({})", it.from, it.strength))
        .collect();
    evidence.join("; ")
}

/// `1 workload`, `2 workloads`
fn counted(number: usize, one: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        many => format!("{many} {one}s"),
    }
}

/// What was judged: `38 workloads, 27 images, 3 hosts (14 nodes)`.
pub(crate) fn scope(document: &Document) -> String {
    let mut images: Vec<_> = match document.is_of_workloads() {
        true => {
            let containers = document.workloads.iter().flat_map(|it| &it.containers);
            containers.map(|it| &*it.image).collect()
        }
        false => document.items.iter().map(|it| &*it.image).collect(),
    };
    images.sort_unstable();
    images.dedup();
    let mut parts = Vec::new();
    if document.is_of_workloads() {
        parts.push(counted(document.workloads.len(), "workload"));
    }
    parts.push(counted(images.len(), "image"));
    let nodes: u64 = document.hosts.iter().map(|it| u64::from(it.nodes)).sum();
    let is_planned = |it: &&HostEntry| it.origin == Origin::Declared && it.nodes == 0;
    let planned = document.hosts.iter().filter(is_planned).count();
    let hosts = counted(document.hosts.len() - planned, "host");
    parts.push(match nodes {
        0 => hosts,
        1 => format!("{hosts} (1 node)"),
        many => format!("{hosts} ({many} nodes)"),
    });
    if planned > 0 {
        parts.push(format!("{planned} declared"));
    }
    parts.join(", ")
}

/// What it rests on: `cluster demo, read 2026-11-25 21:39 UTC; rules 2026.11.1 of 2026-11-23`.
fn basis(document: &Document) -> String {
    let rules = format!("rules {} of {}", document.rules, document.rules_published);
    match &document.source {
        Some(source) => format!("{}, read {}; {rules}", source.from, minute(source.read)),
        None => format!("judged {}; {rules}", minute(document.judged)),
    }
}

/// A time for people: `2026-11-25 21:39 UTC`.
fn minute(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// A verdict on a finding in the words of a sentence.
fn word(verdict: CellVerdict) -> &'static str {
    match verdict {
        CellVerdict::Pass => "fits",
        CellVerdict::Warn => "advisory",
        CellVerdict::Unknown => "cannot tell",
        CellVerdict::Fail => "does not fit",
    }
}

#[cfg(test)]
mod tests;
