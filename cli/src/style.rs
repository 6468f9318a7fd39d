//! What tables have in common: colours that never stand alone, numbers with their words, and sentences at the end.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use hostfit_engine::finding::plain;
use hostfit_engine::verdict::Verdict;
use hostfit_engine::{RULES_PUBLISHED, RULES_VERSION};
use jiff::Timestamp;

use crate::document::{Document, Finding, WorkloadEntry};
use crate::exit::Exit;
use crate::flags::Common;
use crate::out::{self, say};
use crate::survey::Survey;

/// Longest finding in a line.
const LINE: usize = 160;
/// Hosts that a line names.
const HOSTS: usize = 3;

/// A verdict in capitals, in its colour, as wide as its column.
pub(crate) fn painted(verdict: Verdict, width: usize) -> String {
    paint(verdict, &verdict.as_str().to_uppercase(), width)
}

/// A word in the colour of a verdict. The word says it, too.
pub(crate) fn paint(verdict: Verdict, word: &str, width: usize) -> String {
    let colour = match verdict {
        Verdict::Pass => 32,
        Verdict::Warn => 33,
        Verdict::Partial => 35,
        Verdict::Fail => 31,
        Verdict::Unknown => 36,
    };
    let pad = " ".repeat(width.saturating_sub(word.chars().count()));
    format!("\x1b[1;{colour}m{word}\x1b[0m{pad}")
}

/// Rows as columns, the first row being the title.
pub(crate) fn columns<const N: usize>(rows: &[[String; N]]) {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in rows {
        let cells = row.iter().zip(&widths);
        let cells: Vec<_> = cells
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        say!("{}", cells.join("  ").trim_end());
    }
}

/// `rules 2026.11.1, 12 days old`
pub(crate) fn rules(now: Timestamp) -> String {
    match age_of_rules(now) {
        Some(age) => format!("rules {RULES_VERSION}, {age}"),
        None => format!("rules {RULES_VERSION} of {RULES_PUBLISHED}"),
    }
}

/// `12 days old`; nothing of rules that are newer than what is asked for.
pub(crate) fn age_of_rules(now: Timestamp) -> Option<String> {
    let published: jiff::civil::Date = RULES_PUBLISHED.parse().ok()?;
    let today = now.to_zoned(jiff::tz::TimeZone::UTC).date();
    let days = (today - published).get_days();
    match days {
        1 => Some("1 day old".to_owned()),
        days => (days >= 0).then(|| format!("{days} days old")),
    }
}

/// A finding of a workload in a line: without its subject, with the nodes that it is about, and where it is not about all
/// hosts, with their names.
pub(crate) fn in_short(document: &Document, entry: &WorkloadEntry, finding: &Finding) -> String {
    let what = finding.message.strip_prefix("image ");
    let what = plain(what.unwrap_or(&finding.message), LINE);
    if finding.hosts.is_empty() {
        return what;
    }
    let nodes = |name: &str| {
        let mut hosts = document.hosts.iter();
        hosts
            .find(|host| *host.name == *name)
            .map_or(0, |host| host.nodes)
    };
    let of: u32 = entry.by_host.iter().map(|it| nodes(&it.host)).sum();
    let these: u32 = finding.hosts.iter().map(|it| nodes(it)).sum();
    let is_everywhere = finding.hosts.len() >= entry.by_host.len();
    let names: Vec<_> = finding.hosts.iter().take(HOSTS).map(|it| &**it).collect();
    let names = match finding.hosts.len().saturating_sub(HOSTS) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    };
    match (is_everywhere, these, of) {
        (true, 0, _) => what,
        (true, 1, _) => format!("{what} (1 node)"),
        (true, these, _) => format!("{what} (all {these} nodes)"),
        (false, 0, _) => format!("{what} (on {names})"),
        (false, these, of) => format!("{what} ({these} of {of} nodes: {names})"),
    }
}

/// The last line: what may be asked next. It speaks to who sits there, so it does not go into files.
pub(crate) fn next(common: &Common, command: fmt::Arguments<'_>) {
    if !common.output.quiet && !out::is_to_file() {
        say!("next: {} {command}{}", crate::program(), same(common));
    }
}

/// The flags by which the next command asks the same cluster or snapshot, as of the same day.
pub(crate) fn same(common: &Common) -> String {
    let cluster = &common.cluster;
    let path = |path: &Option<PathBuf>| path.as_ref().map(|it| it.display().to_string());
    let live = [
        ("context", cluster.context.clone()),
        ("kubeconfig", path(&cluster.kubeconfig)),
        ("as", cluster.as_user.clone()),
    ];
    let live = live.into_iter().filter(|_| cluster.snapshot.is_none());
    let all = [("snapshot", path(&cluster.snapshot))];
    let day = [("as-of", common.as_of.map(|day| day.to_string()))];
    let flags = all.into_iter().chain(live).chain(day);
    let flags = flags.filter_map(|(flag, value)| Some(format!(" --{flag} {}", word(&value?))));
    flags.collect()
}

/// A word that a shell takes as it stands.
pub(crate) fn word(text: &str) -> String {
    // It fails for a NUL only, which no argument has.
    shlex::try_quote(text).map_or_else(|_| text.to_owned(), Cow::into_owned)
}

/// The sentence that cannot be missed where something could not be told.
pub(crate) fn unknown(count: usize) {
    if let Some(sentence) = untold(count) {
        say!("{sentence}");
    }
}

/// The same for who reads a result that has no place for it, and would take success for a pass.
pub(crate) fn unknown_beside(exit: Exit, count: usize) {
    if let (Exit::Fine, Some(sentence)) = (exit, untold(count)) {
        eprintln!("{sentence}");
    }
}

fn untold(count: usize) -> Option<String> {
    match count {
        0 => None,
        1 => Some("1 could not be told: it is not a pass".to_owned()),
        many => Some(format!("{many} could not be told: they are no passes")),
    }
}

/// What does not count because somebody accepted it.
pub(crate) fn excepted(document: &Document) {
    let until = document.excepted.iter().map(|it| it.until).min();
    match (document.excepted.len(), until) {
        (1, Some(until)) => say!("1 finding is accepted until {until} and does not count"),
        (many, Some(until)) => {
            say!("{many} findings are accepted, the first until {until}, and do not count")
        }
        (_, None) => {}
    }
}

/// What of a cluster was hidden, and what it took to read the rest where nobody gave more rights than the user's own.
pub(crate) fn permissions(survey: &Survey) {
    let permissions = &survey.permissions;
    for hidden in &permissions.lacked {
        let therefore = plain(&hidden.therefore, LINE);
        say!("may not {}: {therefore}", hidden.permission);
    }
    let workloads = permissions.lacked.iter();
    match workloads.filter(|it| it.hides_workloads).count() {
        0 => {}
        1 => say!("1 kind of workloads is hidden: it is no pass"),
        kinds => say!("{kinds} kinds of workloads are hidden: they are no passes"),
    }
    if !survey.objects.has_operator() && !permissions.used.is_empty() {
        say!("permissions used: {}", permissions.used.join(", "));
    }
}
