//! One static page: no network, no scripts. Sign, word and colour say the same, so that none is needed alone.

mod parts;
mod plan;

use askama::Template;
use hostfit_engine::verdict::Verdict;
use jiff::civil::Date;

use super::{basis, counted, scope, untold};
use crate::document::{Document, Excepted, Lacked, NotJudged, Origin, Summary};
use parts::{Column, Group, HostRow, ImageRow, Sign, Tile, WorkloadRow};
use plan::PlanPart;

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    css: &'static str,
    version: &'static str,
    title: String,
    scope: String,
    basis: String,
    /// Of data and rules.
    age: String,
    /// Anchors and names of the parts that there are.
    parts: Vec<(&'static str, &'static str)>,
    is_empty: bool,
    /// Why there may be nothing.
    nothing: &'static str,
    sentence: String,
    tiles: Vec<Tile>,
    bar_label: String,
    legend: [Sign; 5],
    columns: Vec<Column>,
    told: Vec<ImageRow<'a>>,
    fits: Vec<ImageRow<'a>>,
    fits_label: String,
    findings: Vec<Group<'a>>,
    has_workloads: bool,
    told_workloads: Vec<WorkloadRow<'a>>,
    passed_workloads: Vec<WorkloadRow<'a>>,
    passed_label: String,
    plan: Option<PlanPart<'a>>,
    hosts: Vec<HostRow>,
    excepted: &'a [Excepted],
    lacked: &'a [Lacked],
    not_read: &'a [NotJudged],
    not_judged: &'a [NotJudged],
}

/// The document as a page.
///
/// # Errors
///
/// Never in practice: memory is written to.
pub(crate) fn html(document: &Document) -> anyhow::Result<String> {
    let (findings, anchors) = parts::groups(document);
    let (told, fits) = parts::images(document, &anchors);
    let (told_workloads, passed_workloads) = parts::workloads(document, &anchors);
    let lacked = document.permissions.as_ref().map(|it| &*it.lacked);
    let lacked = lacked.unwrap_or_default();
    let has_workloads = document.is_of_workloads();
    let is_empty = match has_workloads {
        true => document.workloads.is_empty(),
        false => document.items.is_empty(),
    };
    let all = [
        ("summary", "Summary", !is_empty),
        ("plan", "Plan", document.plan.is_some() && !is_empty),
        ("matrix", "Images and hosts", !is_empty),
        ("findings", "Findings", !is_empty),
        ("workloads", "Workloads", has_workloads && !is_empty),
        (
            "excepted",
            "Accepted",
            !document.excepted.is_empty() && !is_empty,
        ),
        ("hosts", "Hosts", true),
        ("not-read", "Not read", !document.not_read.is_empty()),
        ("not-judged", "Not judged", !document.not_judged.is_empty()),
        ("permissions", "Not allowed to read", !lacked.is_empty()),
    ];
    let parts = all.into_iter().filter(|(.., there)| *there);
    let tiles = parts::tiles(&document.summary);
    let page = Page {
        css: include_str!("../../templates/report.css"),
        version: env!("CARGO_PKG_VERSION"),
        title: title(document),
        scope: scope(document),
        basis: basis(document),
        age: age(document),
        parts: parts.map(|(id, name, _)| (id, name)).collect(),
        is_empty,
        nothing: match has_workloads {
            true => {
                "No workload was found. Look at the namespace (-A is all of them), at the labels that were asked for (-l), and below at what could not be read."
            }
            false => "No image was judged on any host.",
        },
        sentence: sentence(document),
        bar_label: parts::label(&tiles),
        tiles,
        legend: Sign::LEGEND,
        columns: parts::columns(document),
        fits_label: format!("{} everywhere", verb(fits.len(), "image")),
        told,
        fits,
        findings,
        has_workloads,
        passed_label: format!("{} everywhere", verb(passed_workloads.len(), "workload")),
        told_workloads,
        passed_workloads,
        plan: document.plan.as_ref().map(plan::plan),
        hosts: parts::hosts(document),
        excepted: &document.excepted,
        lacked,
        not_read: &document.not_read,
        not_judged: &document.not_judged,
    };
    Ok(page.render()?)
}

fn verb(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what} fits"),
        many => format!("{many} {what}s fit"),
    }
}

fn title(document: &Document) -> String {
    match &document.source {
        Some(source) => format!("Hostfit: {}", source.from),
        None => "Hostfit: images on hosts".to_owned(),
    }
}

/// How old data and rules were when the page was made.
fn age(document: &Document) -> String {
    let mut ages = Vec::new();
    if let Some(source) = &document.source {
        let seconds = document.judged.as_second() - source.read.as_second();
        ages.push(match seconds {
            ..60 => "read when this page was made".to_owned(),
            60..7200 => format!("read {} before this page was made", minutes(seconds)),
            _ => format!("read {} hours before this page was made", seconds / 3600),
        });
    }
    let published: Option<Date> = document.rules_published.parse().ok();
    let judged = document.judged.to_zoned(jiff::tz::TimeZone::UTC).date();
    if let Some(days) = published.and_then(|it| it.until(judged).ok()) {
        let days = usize::try_from(days.get_days()).unwrap_or_default();
        ages.push(format!("rules {} old", counted(days, "day")));
    }
    ages.join(", ")
}

fn minutes(seconds: i64) -> String {
    counted(usize::try_from(seconds / 60).unwrap_or_default(), "minute")
}

/// The result in one sentence.
fn sentence(document: &Document) -> String {
    let Summary {
        pass,
        warn,
        partial,
        fail,
        unknown,
    } = document.summary;
    let what = match document.is_of_workloads() {
        true => "workload",
        false => "image and host",
    };
    let all = pass + warn + partial + fail + unknown;
    let mut said = Vec::new();
    if fail + partial > 0 {
        said.push(format!("{} of {all} do not fit everywhere", fail + partial));
    }
    if unknown > 0 {
        said.push(format!("{unknown} could not be told, which is no pass"));
    }
    if warn > 0 {
        said.push(format!("{warn} run, but something is advised against"));
    }
    match untold(document).len() {
        0 => {}
        1 => said.push("1 was not judged, which is no pass".to_owned()),
        many => said.push(format!("{many} were not judged, which is no pass")),
    }
    let rest = match pass {
        0 => None,
        pass if pass == all && pass == 1 => Some(format!("The {what} fits.")),
        pass if pass == all => {
            Some(format!("All {pass} {what}s fit.").replace("and hosts", "on their hosts"))
        }
        1 => Some("1 fits without a word.".to_owned()),
        pass => Some(format!("{pass} fit without a word.")),
    };
    let mut sentence = match said.is_empty() {
        true => String::new(),
        false => format!("{}. ", said.join("; ")),
    };
    sentence.extend(rest);
    sentence
}

/// Who says what a host offers, in words.
fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Observed => "observed",
        Origin::Declared => "declared",
        Origin::BuiltIn => "built in",
        Origin::File => "from a file",
        Origin::Local => "this machine",
    }
}

/// The sign of a verdict on a workload.
fn sign(verdict: Verdict) -> Sign {
    match verdict {
        Verdict::Pass => Sign::PASS,
        Verdict::Warn => Sign::WARN,
        Verdict::Partial => Sign::PARTIAL,
        Verdict::Unknown => Sign::UNKNOWN,
        Verdict::Fail => Sign::FAIL,
    }
}
