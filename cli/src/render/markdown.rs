//! Markdown for step summaries, merge requests and plans that people keep.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use hostfit_engine::finding::CellVerdict;
use hostfit_engine::verdict::Verdict;

use super::{Subject, basis, counted, evidence, rows, scope, untold, word};
use crate::document::{Document, Finding, Move, Plan};

/// Rows of one table: step summaries end at 1 MiB.
const ROWS: usize = 500;

/// The document as Markdown.
pub(crate) fn markdown(document: &Document) -> String {
    let mut out = String::new();
    // Writing to a String does not fail.
    let _ = match &document.plan {
        Some(plan) => write_plan(&mut out, document, plan),
        None => write_verdicts(&mut out, document),
    };
    out
}

fn write_verdicts(out: &mut String, document: &Document) -> std::fmt::Result {
    writeln!(out, "## Hostfit: {}\n", headline(document))?;
    writeln!(out, "{}. {}.\n", scope(document), escaped(&basis(document)))?;
    let summary = &document.summary;
    writeln!(
        out,
        "| ❌ fail | ◐ partial | ⚠️ warn | ❔ unknown | ✅ pass |\n|--:|--:|--:|--:|--:|"
    )?;
    writeln!(
        out,
        "| {} | {} | {} | {} | {} |\n",
        summary.fail, summary.partial, summary.warn, summary.unknown, summary.pass
    )?;
    let rows = rows(document);
    let told: Vec<_> = rows
        .iter()
        .filter(|it| it.verdict != Verdict::Pass)
        .collect();
    if !told.is_empty() {
        writeln!(
            out,
            "| verdict | where | finding | what |\n|---|---|---|---|"
        )?;
    }
    for row in told.iter().take(ROWS) {
        let name = escaped(&row.subject.name());
        let fits = match row.subject {
            Subject::Workload { hosts, .. } => format!(" (fits {hosts})"),
            Subject::Cell { .. } => String::new(),
        };
        let worst = row.findings.first();
        let code = worst.map(|it| format!("[{}]({})", it.code, it.docs));
        let more = match row.findings.len() {
            0 | 1 => String::new(),
            many => format!(" *and {} more*", many - 1),
        };
        writeln!(
            out,
            "| {} {} | {name}{fits} | {} | {}{more} |",
            sign(row.verdict),
            row.verdict.as_str(),
            code.unwrap_or_default(),
            escaped(worst.map_or("", |it| &it.message)),
        )?;
    }
    if told.len() > ROWS {
        writeln!(out, "\n*and {} more*", told.len() - ROWS)?;
    }
    // What is mended by the same deed stands together.
    type What<'a> = (&'a str, &'a str, &'a str);
    let mut deeds: BTreeMap<What<'_>, (&Finding, Vec<String>)> = BTreeMap::new();
    for row in &told {
        for finding in row.findings {
            let what = (finding.code, &*finding.message, &*finding.fix);
            let names = &mut deeds.entry(what).or_insert((finding, Vec::new())).1;
            names.push(escaped(&row.subject.name()));
        }
    }
    let mut deeds: Vec<_> = deeds.into_values().collect();
    deeds.sort_by_key(|(finding, names)| {
        (
            std::cmp::Reverse(finding.verdict),
            std::cmp::Reverse(names.len()),
        )
    });
    if !deeds.is_empty() {
        writeln!(out, "\n### What to do\n")?;
    }
    for (finding, names) in deeds.iter().take(ROWS) {
        writeln!(
            out,
            "- [{}]({}) {}: {}\n  - fix: {}",
            finding.code,
            finding.docs,
            word(finding.verdict),
            escaped(&finding.message),
            escaped(&finding.fix)
        )?;
        if !finding.evidence.is_empty() {
            writeln!(out, "  - evidence: {}", escaped(&evidence(finding)))?;
        }
        writeln!(out, "  - {}", listed(names))?;
    }
    write_rest(out, document)
}

fn headline(document: &Document) -> String {
    let summary = &document.summary;
    let what = match document.is_of_workloads() {
        true => "workload",
        false => "image",
    };
    let all = summary.pass + summary.warn + summary.partial + summary.fail + summary.unknown;
    let no = summary.fail + summary.partial;
    let not_judged = match untold(document).len() {
        0 => String::new(),
        many => format!("; {many} not judged"),
    };
    let verdicts = match (all, no, summary.unknown) {
        (0, ..) => format!("there is no {what} to judge"),
        (1, 0, 0) => format!("1 {what} fits"),
        (_, 0, 0) => format!("{all} {what}s fit"),
        (_, 0, unknown) => format!("{unknown} of {} could not be told", counted(all, what)),
        (..) => format!("{no} of {} not everywhere", counted(all, what)).replace(
            "not everywhere",
            match no {
                1 => "does not fit everywhere",
                _ => "do not fit everywhere",
            },
        ),
    };
    verdicts + &not_judged
}

/// Exceptions, what is not judged, and what we were not allowed to read.
fn write_rest(out: &mut String, document: &Document) -> std::fmt::Result {
    if !document.excepted.is_empty() {
        writeln!(out, "\n### Accepted until a date\n")?;
    }
    for it in document.excepted.iter().take(ROWS) {
        writeln!(
            out,
            "- {} [{}]({}) until {} by {}: {}",
            escaped(&it.target.to_string()),
            it.finding.code,
            it.finding.docs,
            it.until,
            escaped(&it.exception),
            escaped(&it.reason)
        )?;
    }
    for (title, all) in [
        ("Not read", &document.not_read),
        ("Not judged, and may make pods", &document.not_judged),
    ] {
        for (index, it) in all.iter().take(ROWS).enumerate() {
            if index == 0 {
                writeln!(out, "\n### {title}\n")?;
            }
            writeln!(out, "- {}", escaped(&it.to_string()))?;
        }
    }
    let lacked = document.permissions.iter().flat_map(|it| &it.lacked);
    for (index, it) in lacked.enumerate() {
        if index == 0 {
            writeln!(out, "\n### Not allowed to read\n")?;
        }
        writeln!(
            out,
            "- {}: {}",
            escaped(&it.permission),
            escaped(&it.therefore)
        )?;
    }
    Ok(())
}

fn write_plan(out: &mut String, document: &Document, plan: &Plan) -> std::fmt::Result {
    let (from, to) = (escaped(&plan.from), escaped(&plan.to));
    writeln!(out, "## Plan: {from} → {to}\n")?;
    writeln!(out, "{}.\n", escaped(&basis(document)))?;
    writeln!(out, "| fact | {from} | {to} |\n|---|---|---|")?;
    for change in &plan.changes {
        let side = |side: &Option<String>| match side {
            Some(value) => escaped(value),
            None => "not known".to_owned(),
        };
        writeln!(
            out,
            "| {} | {} | {} |",
            escaped(&change.fact),
            side(&change.from),
            side(&change.to)
        )?;
    }
    if !plan.same.is_empty() {
        writeln!(out, "\nSame: {}.", escaped(&plan.same.join(", ")))?;
    }
    writeln!(
        out,
        "\n| | ❌ fail | ⚠️ warn | ❔ unknown | ✅ pass |\n|---|--:|--:|--:|--:|"
    )?;
    for (when, it) in [("now", &plan.before), ("then", &plan.after)] {
        writeln!(
            out,
            "| {when} | {} | {} | {} | {} |",
            it.fail + it.partial,
            it.warn,
            it.unknown,
            it.pass
        )?;
    }
    for (title, moves) in plan.sections() {
        write_moves(out, title, moves)?;
    }
    if !plan.order_of_work.is_empty() {
        writeln!(out, "\n### Order of work\n")?;
    }
    for work in &plan.order_of_work {
        let names: Vec<_> = work.workloads.iter().map(|it| escaped(it)).collect();
        writeln!(
            out,
            "1. {}, {}: {} ({}: {})",
            escaped(&work.image),
            work.code,
            escaped(&work.fix),
            counted(names.len(), "workload"),
            listed(&names)
        )?;
    }
    write_rest(out, document)
}

fn write_moves(out: &mut String, title: &str, moves: &[Move]) -> std::fmt::Result {
    if moves.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n### {title}: {}\n", moves.len())?;
    writeln!(
        out,
        "| workload | finding | what | fix |\n|---|---|---|---|"
    )?;
    for it in moves.iter().take(ROWS) {
        let worst = it.findings.first();
        let code = worst.map(|it| format!("[{}]({})", it.code, it.docs));
        writeln!(
            out,
            "| {} {} | {} | {} | {} |",
            it.after.map_or("", sign_of_cell),
            escaped(&it.target.to_string()),
            code.unwrap_or_default(),
            escaped(worst.map_or("", |it| &it.message)),
            escaped(worst.map_or("", |it| &it.fix)),
        )?;
    }
    if moves.len() > ROWS {
        writeln!(out, "\n*and {} more*", moves.len() - ROWS)?;
    }
    Ok(())
}

fn sign(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "✅",
        Verdict::Warn => "⚠️",
        Verdict::Partial => "◐",
        Verdict::Unknown => "❔",
        Verdict::Fail => "❌",
    }
}

fn sign_of_cell(verdict: CellVerdict) -> &'static str {
    sign(crate::document::of_cell(verdict))
}

/// A few names, and how many more there are.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 10;
    let shown: Vec<_> = names.iter().take(SHOWN).map(String::as_str).collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Text that Markdown and HTML in it leave as it is, in a cell of a table too.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // Else it calls people by their names.
            '@' => out.push_str("&#64;"),
            '\n' | '\r' => out.push(' '),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' | '!' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}
