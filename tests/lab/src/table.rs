//! What was found, for people: docs/lab.md.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::Row;
use crate::case::{Fate, Seen};

/// Codes from here on speak of support, not of what runs.
const SUPPORT: &str = "HF4";
/// Codes of what could not be told.
const UNKNOWN: &str = "HF9";

/// What was said of the row's own code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    /// Nothing against it.
    Pass,
    /// It breaks, by this code and verdict.
    Breaks(String),
    /// It could not be told.
    Unknown(String),
}

/// Findings that say that something breaks, other than the row's own.
fn alarms(row: &Row) -> impl Iterator<Item = &String> {
    let technical = |code: &&String| code.as_str() < SUPPORT;
    row.findings.keys().filter(technical)
}

fn said(row: &Row) -> Said {
    let own = row.findings.get(&row.image.code);
    if let Some(verdict) = own {
        return Said::Breaks(format!("{verdict} {}", row.image.code));
    }
    let mut alarms = alarms(row);
    if let Some(code) = alarms.next() {
        let verdict = row
            .findings
            .get(code)
            .map(String::as_str)
            .unwrap_or_default();
        return Said::Breaks(format!("{verdict} {code}"));
    }
    let unknown = row.findings.keys().find(|code| code.as_str() >= UNKNOWN);
    match unknown {
        Some(code) => Said::Unknown(format!("Unknown {code}")),
        None => Said::Pass,
    }
}

/// Whether what was said is what became of it: by the row's code if it breaks, and by no code if it runs.
pub(crate) fn agrees(row: &Row) -> bool {
    match row.fate {
        Fate::Runs => said(row) == Said::Pass,
        Fate::Breaks => row.findings.contains_key(&row.image.code),
    }
}

/// How a program ended, in few words.
pub(crate) fn happened(seen: &Seen) -> String {
    let end = match (seen.exit, seen.signal) {
        (Some(0), _) => String::new(),
        (Some(exit), _) => format!("exit {exit}: "),
        (None, Some(signal)) => format!("signal {signal}: "),
        (None, None) => "did not end: ".to_owned(),
    };
    let mut lines = seen
        .output
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty());
    let last = lines.next_back().unwrap_or_default();
    let text: String = last.chars().filter(|c| !c.is_control()).take(90).collect();
    match text.is_empty() {
        true => end.trim_end_matches(": ").to_owned(),
        false => format!("{end}`{}`", text.replace('`', "'").replace('|', "\\|")),
    }
}

fn predicted(row: &Row) -> String {
    match said(row) {
        Said::Pass => "Pass".to_owned(),
        Said::Breaks(text) | Said::Unknown(text) => text,
    }
}

/// What sets a host apart.
fn about(row: &Row) -> String {
    let host = &row.host;
    let mut all = Vec::new();
    if host.is_pretended() {
        all.push("only its number".to_owned());
    } else {
        all.push(host.cpu.clone());
    }
    if !host.append.is_empty() {
        all.push(format!("`{}`", host.append));
    }
    if host.cgroup == 1 {
        all.push("cgroup v1".to_owned());
    }
    all.extend(
        host.sysctls
            .iter()
            .map(|(name, value)| format!("`{name}={value}`")),
    );
    if let Some(filter) = &host.filter {
        let runc = if filter.stub {
            ""
        } else {
            " with a runc before rc93"
        };
        all.push(format!("profile of containerd {}{runc}", filter.containerd));
    }
    if !host.modules.is_empty() {
        all.push(format!("with {}", host.modules.join(", ")));
    }
    if host.without_modules {
        all.push("no modules to load".to_owned());
    }
    all.join(", ")
}

/// One row for whoever waits.
pub(crate) fn line(name: &str, row: &Row) -> String {
    let mark = if agrees(row) { "agrees" } else { "DIFFERS" };
    let seen = happened(&row.seen);
    format!(
        "{name}: {mark}: {} / {seen} ({:.1} s)",
        predicted(row),
        row.seconds
    )
}

/// Right and wrong alarms of a code, and what it missed.
#[derive(Debug, Default)]
struct Score {
    cases: u32,
    right: u32,
    wrong: u32,
    missed: u32,
    quiet: u32,
}

fn scores(rows: &[Row]) -> BTreeMap<String, Score> {
    let mut all = BTreeMap::<String, Score>::new();
    for row in rows {
        let own = all.entry(row.image.code.clone()).or_default();
        own.cases += 1;
        match (row.fate, row.findings.contains_key(&row.image.code)) {
            (Fate::Breaks, true) => own.right += 1,
            (Fate::Breaks, false) => own.missed += 1,
            (Fate::Runs, false) => own.quiet += 1,
            (Fate::Runs, true) => {}
        }
        if row.fate == Fate::Runs {
            for code in alarms(row) {
                all.entry(code.clone()).or_default().wrong += 1;
            }
        }
    }
    all
}

fn share(part: u32, of: u32) -> String {
    match of {
        0 => "–".to_owned(),
        _ => format!("{:.2}", f64::from(part) / f64::from(of)),
    }
}

/// Rewrites what stands between the markers of the document.
pub(crate) fn write(path: &Path, rows: &[Row], prepared: Duration, ran: Duration) -> Result<()> {
    const BEGIN: &str = "<!-- lab: begin -->\n";
    const END: &str = "<!-- lab: end -->";
    let old = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    let (head, rest) = old
        .split_once(BEGIN)
        .context("no marker of the beginning")?;
    let (_, tail) = rest.split_once(END).context("no marker of the end")?;
    let body = body(rows, prepared, ran)?;
    fs::write(path, format!("{head}{BEGIN}{body}{END}{tail}"))?;
    Ok(())
}

fn body(rows: &[Row], prepared: Duration, ran: Duration) -> Result<String> {
    let scores = scores(rows);
    let agree = rows.iter().filter(|row| agrees(row)).count();
    let shown = scores.values().filter(|score| score.cases > 0).count();
    let mut kernels: Vec<_> = rows
        .iter()
        .filter(|row| !row.host.is_pretended())
        .map(|row| &row.kernel)
        .collect();
    kernels.sort();
    kernels.dedup();
    let mut text = format!(
        "{} cases of {shown} codes on {} kernels; {agree} agree. {:.0} s to prepare (nothing of it twice), {:.0} s to run.\n\n",
        rows.len(),
        kernels.len(),
        prepared.as_secs_f64(),
        ran.as_secs_f64()
    );
    text.push_str("| code | breaks, and was said to | runs, and was said to | false alarms | missed | precision | recall |\n");
    text.push_str("|---|---|---|---|---|---|---|\n");
    for (code, score) in &scores {
        let Score {
            right,
            wrong,
            missed,
            quiet,
            ..
        } = score;
        writeln!(
            text,
            "| {code} | {right} | {quiet} | {wrong} | {missed} | {} | {} |",
            share(*right, right + wrong),
            share(*right, right + missed)
        )?;
    }
    text.push_str("\n| code | image | kernel | host | predicted | observed | s |\n|---|---|---|---|---|---|---|\n");
    for row in rows {
        let mark = if agrees(row) { "" } else { " **differs**" };
        writeln!(
            text,
            "| {} | {} | {} | {} | {}{mark} | {} | {:.1} |",
            row.image.code,
            row.image.case,
            row.kernel,
            about(row),
            predicted(row),
            happened(&row.seen),
            row.seconds
        )?;
    }
    let mut notes = Vec::new();
    for row in rows {
        if let Some(why) = &row.image.by_construction {
            notes.push(format!(
                "- {} by construction, {}: {why}",
                row.image.code, row.image.case
            ));
        }
        if let Some(why) = row.host.known.as_ref().filter(|_| !agrees(row)) {
            notes.push(format!(
                "- {} differs, {}: {why}",
                row.image.code, row.image.case
            ));
        }
    }
    notes.dedup();
    if !notes.is_empty() {
        writeln!(text, "\n{}", notes.join("\n"))?;
    }
    Ok(text)
}
