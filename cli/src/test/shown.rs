//! The results of cases: for people, for programs, and as a test report.

use std::collections::BTreeMap;

use hostfit_engine::RULES_VERSION;
use hostfit_engine::finding::plain;
use hostfit_engine::verdict::Verdict;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use serde_json::json;

use super::{Judged, Results};
use crate::cases::{Broken, Difference};
use crate::flags::Format;
use crate::out::{self, say};
use crate::{document, print, style};

/// The formats in which results can be written.
pub(super) const FORMATS: [Format; 5] = [
    Format::Table,
    Format::Wide,
    Format::Json,
    Format::Yaml,
    Format::Junit,
];

/// Longest text of a case that is shown.
const LINE: usize = 400;

/// Names what is broken, on stderr. Cases that cannot be judged for the same reason are named once.
pub(super) fn broken(all: &[Broken]) {
    let mut told: Vec<(&Broken, usize)> = Vec::new();
    for one in all {
        let is_like = |it: &&mut (&Broken, usize)| {
            it.0.case.is_some() && one.case.is_some() && it.0.why == one.why
        };
        match told.iter_mut().find(is_like) {
            Some((_, more)) => *more += 1,
            None => told.push((one, 0)),
        }
    }
    for (one, more) in told {
        let more = match more {
            0 => String::new(),
            1 => " (and 1 more case)".to_owned(),
            many => format!(" (and {many} more cases)"),
        };
        eprintln!("error: {}{more}", plain(&one.to_string(), LINE));
    }
}

/// A line for each case that differs, and the numbers at the end.
pub(super) fn table(results: &Results, format: Format, is_quiet: bool) {
    for judged in results.differing() {
        let located = &judged.located;
        let differences: Vec<_> = judged.differences.iter().map(sentence).collect();
        say!(
            "{} {}:{}  {}: {}",
            style::paint(Verdict::Fail, "DIFFERS", 8),
            located.file,
            located.line,
            plain(&located.case.name, LINE),
            plain(&differences.join("; "), LINE)
        );
        if format == Format::Wide {
            for found in &judged.answer.found {
                say!("         found: {}", plain(found, LINE));
            }
        }
    }
    let differ = results.differing().count();
    let mut numbers = vec![
        format!("{} as expected", results.judged.len() - differ),
        match differ {
            1 => "1 differs".to_owned(),
            many => format!("{many} differ"),
        },
    ];
    if !results.broken.is_empty() {
        numbers.push(format!("{} broken", results.broken.len()));
    }
    say!("{}", numbers.join(", "));
    if differ > 0 && format == Format::Table && !is_quiet {
        say!("next: the same with -o wide shows what was found");
    }
}

/// `expected Fail, got Pass`
fn sentence(difference: &Difference) -> String {
    let Difference {
        what,
        expected,
        got,
    } = difference;
    match *what {
        "verdict" => format!("expected {expected}, got {got}"),
        "says" => format!("nothing says {expected:?}"),
        "silent" => format!("something says {expected:?}"),
        what => format!("{what}: expected {expected}, got {got}"),
    }
}

/// The results as one versioned object.
pub(super) fn object(format: Format, results: &Results) -> anyhow::Result<()> {
    let case = |judged: &Judged| {
        let Judged {
            located,
            answer,
            differences,
        } = judged;
        json!({
            "file": located.file,
            "line": located.line,
            "case": located.case.name,
            "as_expected": differences.is_empty(),
            "differences": differences,
            "verdict": answer.verdict.verdict,
            "findings": answer.verdict.findings,
            "hosts": answer.hosts,
            "admission": answer.admission.to_string(),
            "excepted": answer.excepted,
            "found": answer.found,
        })
    };
    let differ = results.differing().count();
    let object = json!({
        "apiVersion": document::API_VERSION,
        "kind": "Test",
        "rules": RULES_VERSION,
        "summary": {
            "as_expected": results.judged.len() - differ,
            "differ": differ,
            "broken": results.broken.len(),
        },
        "cases": results.judged.iter().map(case).collect::<Vec<_>>(),
        "broken": results.broken,
    });
    print::machine(format, &object)
}

/// A suite for each file, a test for each case. What cannot be judged is an error, never a pass.
pub(super) fn junit(results: &Results) -> anyhow::Result<()> {
    let mut suites: BTreeMap<String, TestSuite> = BTreeMap::new();
    let mut add = |file: &str, name: &str, line: Option<u32>, status| {
        let mut case = TestCase::new(name, status);
        case.set_classname(file);
        case.extra.insert("file".into(), file.into());
        if let Some(line) = line {
            case.extra.insert("line".into(), line.to_string().into());
        }
        let suite = suites.entry(file.to_owned());
        suite
            .or_insert_with(|| TestSuite::new(file))
            .add_test_case(case);
    };
    for judged in &results.judged {
        let located = &judged.located;
        let (file, line) = (located.file.as_str(), Some(located.line));
        let status = match judged.differences.is_empty() {
            true => TestCaseStatus::success(),
            false => failure(judged),
        };
        add(file, &located.case.name, line, status);
    }
    for broken in &results.broken {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
        status.set_message(&*broken.why);
        let name = broken.case.as_deref().unwrap_or("the file can be read");
        add(&broken.file, name, broken.line, status);
    }
    let mut report = Report::new("hostfit test");
    report.add_test_suites(suites.into_values());
    out::write(format_args!("{}", report.to_string()?));
    Ok(())
}

fn failure(judged: &Judged) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    let differences: Vec<_> = judged.differences.iter().map(sentence).collect();
    status
        .set_message(differences.join("; "))
        .set_description(judged.answer.found.join("\n"));
    status
}
