//! JUnit XML for the test reports of GitLab, Jenkins and others: a suite for each namespace, a test for each workload.
//! What does not fit fails; what could not be told is an error, never a pass.

use hostfit_engine::verdict::Verdict;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::{Row, Subject, Untold, evidence, excepted, rows, untold};
use crate::document::{Document, Finding};

/// The document as JUnit XML.
///
/// # Errors
///
/// Never in practice: memory is written to.
pub(crate) fn junit(document: &Document) -> anyhow::Result<String> {
    let mut suites: Vec<TestSuite> = Vec::new();
    for row in rows(document) {
        let (suite, test) = names(&row.subject);
        let case = case(document, &row, &suite, test);
        match suites.iter_mut().find(|it| it.name.as_str() == suite) {
            Some(found) => {
                found.add_test_case(case);
            }
            None => {
                let mut new = TestSuite::new(suite);
                new.add_test_case(case);
                suites.push(new);
            }
        }
    }
    suites.sort_by(|a, b| a.name.as_str().cmp(b.name.as_str()));
    let untold = untold(document);
    if !untold.is_empty() {
        let mut suite = TestSuite::new(NOT_JUDGED);
        suite.add_test_cases(untold.iter().map(no_verdict));
        suites.push(suite);
    }
    let mut report = Report::new("hostfit");
    report.add_test_suites(suites);
    Ok(report.to_string()?)
}

/// The suite of what was not judged.
const NOT_JUDGED: &str = "not judged";

/// A test of what was not judged. Its file names it, so that it is the same test when the reason is another.
fn no_verdict(Untold { kind, file, what }: &Untold<'_>) -> TestCase {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    status.set_type(kind.name()).set_message(what.as_str());
    let mut case = TestCase::new(file.unwrap_or(what), status);
    case.set_classname(NOT_JUDGED);
    case
}

/// Suite and test.
fn names(subject: &Subject<'_>) -> (String, String) {
    match subject {
        Subject::Workload { target, .. } => {
            let namespace = target.namespace.as_deref().or(target.file.as_deref());
            let namespace = namespace.unwrap_or("manifests").to_owned();
            (namespace, format!("{}/{}", target.kind, target.name))
        }
        Subject::Cell { image, host } => (host.to_string(), image.to_string()),
    }
}

fn case(document: &Document, row: &Row<'_>, suite: &str, test: String) -> TestCase {
    let status = match row.verdict {
        Verdict::Pass | Verdict::Warn => TestCaseStatus::success(),
        Verdict::Fail | Verdict::Partial => failed(row, NonSuccessKind::Failure),
        Verdict::Unknown => failed(row, NonSuccessKind::Error),
    };
    let is_success = matches!(status, TestCaseStatus::Success { .. });
    let mut case = TestCase::new(test, status);
    case.set_classname(suite);
    let findings = row.findings.iter().filter(|_| is_success);
    let mut lines: Vec<_> = findings.map(|finding| told(finding)).collect();
    for it in excepted(document, &row.subject) {
        lines.push(format!(
            "accepted until {} by {}: {}: {}",
            it.until, it.exception, it.finding.code, it.reason
        ));
    }
    if !lines.is_empty() {
        case.set_system_out(lines.join("\n"));
    }
    case
}

fn failed(row: &Row<'_>, kind: NonSuccessKind) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    if let Some(worst) = row.findings.first() {
        status.set_type(worst.code).set_message(&*worst.message);
    }
    let all: Vec<_> = row.findings.iter().map(|finding| told(finding)).collect();
    status.set_description(all.join("\n"));
    status
}

fn told(finding: &Finding) -> String {
    let evidence = match evidence(finding) {
        none if none.is_empty() => none,
        evidence => format!("\n  evidence: {evidence}"),
    };
    format!(
        "{} {}: {}\n  fix: {}{evidence}\n  {}",
        finding.code,
        finding.verdict.as_str(),
        finding.message,
        finding.fix,
        finding.docs
    )
}
