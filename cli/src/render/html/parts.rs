//! What stands in the parts of the page.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use hostfit_engine::finding::Code;
use hostfit_engine::verdict::Verdict;

use super::super::{counted, evidence, rows};
use super::{origin, sign};
use crate::document::{Document, Facts, Finding, Origin, Summary, of_cell};

/// Names that are shown at once; the others open.
const NAMES: usize = 12;

/// A verdict, said three times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sign {
    /// Colour and sign, in report.css.
    pub(super) class: &'static str,
    pub(super) word: &'static str,
}

impl Sign {
    const fn new(class: &'static str, word: &'static str) -> Self {
        Self { class, word }
    }

    pub(super) const PASS: Self = Self::new("pass", "fits");
    pub(super) const WARN: Self = Self::new("warn", "advisory");
    pub(super) const PARTIAL: Self = Self::new("partial", "fits partly");
    pub(super) const FAIL: Self = Self::new("fail", "does not fit");
    pub(super) const UNKNOWN: Self = Self::new("unknown", "cannot tell");
    const NONE: Self = Self::new("none", "cannot land");

    /// What the cells of the matrix say.
    pub(super) const LEGEND: [Self; 5] = [
        Self::FAIL,
        Self::WARN,
        Self::UNKNOWN,
        Self::PASS,
        Self::new("none", "cannot land there"),
    ];
}

/// How many have a verdict.
pub(super) struct Tile {
    pub(super) sign: Sign,
    pub(super) number: usize,
}

impl Tile {
    /// The word of the verdict, of so many.
    pub(super) fn word(&self) -> &'static str {
        match (self.number, self.sign) {
            (1, sign) => sign.word,
            (_, Sign::PASS) => "fit",
            (_, Sign::PARTIAL) => "fit partly",
            (_, Sign::FAIL) => "do not fit",
            (_, sign) => sign.word,
        }
    }
}

pub(super) struct Column {
    pub(super) name: Arc<str>,
    pub(super) origin: String,
    pub(super) system: String,
}

pub(super) struct ImageRow<'a> {
    pub(super) image: &'a str,
    pub(super) facts: String,
    pub(super) cells: Vec<CellPart>,
}

#[derive(Clone)]
pub(super) struct CellPart {
    pub(super) class: &'static str,
    pub(super) word: &'static str,
    /// Anchor of the finding.
    pub(super) to: Option<Arc<str>>,
}

/// The same finding of several workloads.
pub(super) struct Group<'a> {
    pub(super) id: Arc<str>,
    pub(super) verdict: Sign,
    pub(super) code: &'static str,
    pub(super) title: &'static str,
    pub(super) severity: &'static str,
    pub(super) message: &'a str,
    pub(super) evidence: String,
    pub(super) fix: &'a str,
    pub(super) docs: &'a str,
    pub(super) hosts: String,
    pub(super) images: Names,
    pub(super) workloads: Names,
}

#[derive(Default)]
pub(super) struct Names {
    pub(super) first: Vec<String>,
    pub(super) rest: Vec<String>,
}

impl Names {
    pub(super) fn of(mut all: Vec<String>) -> Self {
        all.sort_unstable();
        all.dedup();
        let rest = all.split_off(all.len().min(NAMES));
        Self { first: all, rest }
    }
}

pub(super) struct Link {
    pub(super) id: Arc<str>,
    pub(super) code: &'static str,
}

pub(super) struct WorkloadRow<'a> {
    pub(super) verdict: Sign,
    pub(super) name: String,
    pub(super) file: &'a str,
    pub(super) hosts: &'a str,
    pub(super) images: Vec<&'a str>,
    pub(super) findings: Vec<Link>,
}

pub(super) struct HostRow {
    pub(super) name: Arc<str>,
    pub(super) origin: &'static str,
    pub(super) nodes: u32,
    pub(super) facts: String,
}

/// What makes two findings the same deed.
type Same<'a> = (&'static str, &'a str, &'a str);

fn same(finding: &Finding) -> Same<'_> {
    (finding.code, &finding.message, &finding.fix)
}

/// Where each finding stands on the page.
pub(super) type Anchors<'a> = HashMap<Same<'a>, Arc<str>>;

pub(super) fn groups(document: &Document) -> (Vec<Group<'_>>, Anchors<'_>) {
    struct About<'a> {
        finding: &'a Finding,
        hosts: Vec<&'a str>,
        images: Vec<String>,
        workloads: Vec<String>,
    }
    let mut found: BTreeMap<Same<'_>, About<'_>> = BTreeMap::new();
    let is_of_workloads = document.is_of_workloads();
    let rows = rows(document);
    for row in &rows {
        for finding in row.findings {
            let about = found.entry(same(finding)).or_insert(About {
                finding,
                hosts: Vec::new(),
                images: Vec::new(),
                workloads: Vec::new(),
            });
            about.hosts.extend(finding.hosts.iter().map(|it| &**it));
            let images = row.subject.images(finding).into_iter();
            about.images.extend(images.map(str::to_owned));
            if is_of_workloads {
                about.workloads.push(row.subject.name());
            }
        }
    }
    if !is_of_workloads {
        for item in &document.items {
            for finding in &item.findings {
                if let Some(about) = found.get_mut(&same(finding)) {
                    about.hosts.push(&item.host);
                }
            }
        }
    }
    let mut found: Vec<_> = found.into_values().collect();
    found.sort_by_key(|it| {
        let worst = std::cmp::Reverse(it.finding.verdict);
        (
            worst,
            std::cmp::Reverse(it.workloads.len()),
            it.finding.code,
        )
    });
    let mut anchors = Anchors::new();
    let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
    let groups = found.into_iter().map(|it| {
        let finding = it.finding;
        let number = numbers.entry(finding.code).or_default();
        *number += 1;
        let id: Arc<str> = format!("{}-{number}", finding.code).into();
        anchors.insert(same(finding), id.clone());
        let code = Code::ALL.iter().find(|code| code.as_str() == finding.code);
        let mut hosts = it.hosts;
        hosts.sort_unstable();
        hosts.dedup();
        Group {
            id,
            verdict: sign(of_cell(finding.verdict)),
            code: finding.code,
            title: code.map_or("", |code| code.title()),
            severity: finding.severity,
            message: &finding.message,
            evidence: evidence(finding),
            fix: &finding.fix,
            docs: &finding.docs,
            hosts: hosts.join(", "),
            images: Names::of(it.images),
            workloads: Names::of(it.workloads),
        }
    });
    (groups.collect(), anchors)
}

pub(super) fn tiles(summary: &Summary) -> Vec<Tile> {
    let tile = |sign, number| Tile { sign, number };
    vec![
        tile(Sign::FAIL, summary.fail),
        tile(Sign::PARTIAL, summary.partial),
        tile(Sign::WARN, summary.warn),
        tile(Sign::UNKNOWN, summary.unknown),
        tile(Sign::PASS, summary.pass),
    ]
}

/// The tiles in words.
pub(super) fn label(tiles: &[Tile]) -> String {
    let told = tiles.iter().filter(|it| it.number > 0);
    let told: Vec<_> = told
        .map(|it| format!("{} {}", it.number, it.word()))
        .collect();
    match told.is_empty() {
        true => "none".to_owned(),
        false => told.join(", "),
    }
}

pub(super) fn columns(document: &Document) -> Vec<Column> {
    let column = |it: &crate::document::HostEntry| Column {
        name: it.name.clone(),
        origin: match it.origin {
            Origin::Observed => counted(it.nodes as usize, "node"),
            other => origin(other).to_owned(),
        },
        system: told(&it.facts, &[&["os", "os_version"], &["kernel"]]),
    };
    document.hosts.iter().map(column).collect()
}

/// Facts in one line: words of a part are joined by a space, parts by a dot.
fn told(facts: &Facts, parts: &[&[&str]]) -> String {
    let part = |names: &&[&str]| -> Option<String> {
        let words: Vec<_> = names.iter().filter_map(|name| facts.text(name)).collect();
        (!words.is_empty()).then(|| words.join(" "))
    };
    let parts: Vec<_> = parts.iter().filter_map(part).collect();
    parts.join(" · ")
}

/// Images that do not fit everywhere, worst first, and those that do.
pub(super) fn images<'a>(
    document: &'a Document,
    anchors: &Anchors<'a>,
) -> (Vec<ImageRow<'a>>, Vec<ImageRow<'a>>) {
    let hosts = document.hosts.iter().enumerate();
    let hosts: HashMap<&str, usize> = hosts.map(|(index, it)| (&*it.name, index)).collect();
    let nowhere = CellPart::of(Sign::NONE, None);
    let mut found: BTreeMap<&str, (Vec<usize>, ImageRow<'_>)> = BTreeMap::new();
    for item in &document.items {
        let (worst, row) = found.entry(&item.image).or_insert_with(|| {
            let row = ImageRow {
                image: &item.image,
                facts: String::new(),
                cells: vec![nowhere.clone(); document.hosts.len()],
            };
            (vec![0; 4], row)
        });
        if let Some(facts) = item.image_facts.as_ref().filter(|_| row.facts.is_empty()) {
            let base = facts.text("base_image").map(|it| format!(" · base {it}"));
            let main: &[&[&str]] = &[&["distro", "distro_version"], &["libc", "libc_version"]];
            row.facts = told(facts, main) + &base.unwrap_or_default();
        }
        let to = item.findings.first().and_then(|it| anchors.get(&same(it)));
        let cell = CellPart::of(sign(of_cell(item.verdict)), to.cloned());
        if let Some(count) = worst.get_mut(item.verdict as usize) {
            *count += 1;
        }
        let place = hosts.get(&*item.host).and_then(|it| row.cells.get_mut(*it));
        if let Some(place) = place {
            *place = cell;
        }
    }
    let mut rows: Vec<_> = found.into_values().collect();
    // Verdicts by what is worst: fail, unknown, warn.
    rows.sort_by(|(a, _), (b, _)| b.iter().rev().cmp(a.iter().rev()));
    let (told, fits): (Vec<_>, Vec<_>) = rows
        .into_iter()
        .partition(|(worst, _)| worst.iter().skip(1).any(|it| *it > 0));
    let row = |(_, row)| row;
    (
        told.into_iter().map(row).collect(),
        fits.into_iter().map(row).collect(),
    )
}

impl CellPart {
    fn of(sign: Sign, to: Option<Arc<str>>) -> Self {
        Self {
            class: sign.class,
            word: sign.word,
            to,
        }
    }
}

/// Workloads that do not fit everywhere, and those that do.
pub(super) fn workloads<'a>(
    document: &'a Document,
    anchors: &Anchors<'a>,
) -> (Vec<WorkloadRow<'a>>, Vec<WorkloadRow<'a>>) {
    let row = |it: &'a crate::document::WorkloadEntry| {
        let mut images: Vec<_> = it.containers.iter().map(|it| &*it.image).collect();
        images.dedup();
        let link = |it: &Arc<Finding>| Link {
            id: anchors.get(&same(it)).cloned().unwrap_or_default(),
            code: it.code,
        };
        WorkloadRow {
            verdict: sign(it.verdict),
            name: it.target.to_string(),
            file: it.target.file.as_deref().unwrap_or_default(),
            hosts: &it.hosts,
            images,
            findings: it.findings.iter().map(link).collect(),
        }
    };
    let all = document.workloads.iter();
    let (passed, told): (Vec<_>, Vec<_>) = all.partition(|it| it.verdict == Verdict::Pass);
    (
        told.into_iter().map(row).collect(),
        passed.into_iter().map(row).collect(),
    )
}

pub(super) fn hosts(document: &Document) -> Vec<HostRow> {
    let row = |it: &crate::document::HostEntry| {
        let facts = it.facts.0.keys();
        let facts: Vec<_> = facts
            .filter_map(|name| Some(format!("{name} {}", it.facts.text(name)?)))
            .collect();
        HostRow {
            name: it.name.clone(),
            origin: origin(it.origin),
            nodes: it.nodes,
            facts: facts.join(", "),
        }
    };
    document.hosts.iter().map(row).collect()
}
