//! SARIF 2.1.0 for code scanning: a result for each finding of each workload. What could not be told is a note; what an
//! exception accepts is suppressed, with its reason; what was not judged is a notification of the run.

use std::collections::BTreeMap;

use hostfit_engine::finding::{CellVerdict, Code};
use serde_json::{Value, json};

use super::{Subject, Untold, UntoldKind, counted, evidence, excepted, rows, untold};
use crate::document::{Document, Excepted, Finding};

/// Where the schema is published.
const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// The document as a SARIF log.
pub(crate) fn sarif(document: &Document) -> Value {
    let mut rules = Rules::default();
    let mut results = Vec::new();
    for row in rows(document) {
        for finding in row.findings {
            results.push(result(&mut rules, &row.subject, finding, None));
        }
        for exception in excepted(document, &row.subject) {
            let finding = &exception.finding;
            results.push(result(&mut rules, &row.subject, finding, Some(exception)));
        }
    }
    let notices = UntoldKind::ALL
        .map(|kind| json!({"id": kind.name(), "shortDescription": {"text": kind.title()}}));
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "hostfit",
                "informationUri": "https://hostfit.dev",
                "version": env!("CARGO_PKG_VERSION"),
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "properties": {"rules": document.rules, "rulesPublished": document.rules_published},
                "rules": rules.described,
                "notifications": notices,
            }},
            "invocations": [{
                "executionSuccessful": !document.is_broken,
                "endTimeUtc": document.judged.to_string(),
                "toolExecutionNotifications": untold(document).iter().map(notification).collect::<Vec<_>>(),
            }],
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

/// The codes that are used, in the order in which they came.
#[derive(Default)]
struct Rules {
    index: BTreeMap<&'static str, usize>,
    described: Vec<Value>,
}

impl Rules {
    fn of(&mut self, finding: &Finding) -> usize {
        let next = self.described.len();
        let index = *self.index.entry(finding.code).or_insert(next);
        if index == next {
            let code = Code::ALL.iter().find(|it| it.as_str() == finding.code);
            let title = code.map_or(finding.code, |it| it.title());
            self.described.push(json!({
                "id": finding.code,
                "shortDescription": {"text": title},
                "helpUri": finding.docs,
                "help": {
                    "text": format!("{title}. What it means, how to be sure, what to do: {}", finding.docs),
                    "markdown": format!("{title}. [What it means, how to be sure, what to do]({}).", finding.docs),
                },
                "defaultConfiguration": {"level": level(finding.verdict)},
                "properties": {"tags": ["compatibility", finding.severity]},
            }));
        }
        index
    }
}

fn level(verdict: CellVerdict) -> &'static str {
    match verdict {
        CellVerdict::Fail => "error",
        CellVerdict::Warn => "warning",
        CellVerdict::Unknown => "note",
        CellVerdict::Pass => "none",
    }
}

/// What was not judged, as a notification.
fn notification(Untold { kind, file, what }: &Untold<'_>) -> Value {
    let level = match kind {
        UntoldKind::NotRead => "error",
        UntoldKind::NotJudged | UntoldKind::Hidden => "warning",
    };
    let index = UntoldKind::ALL.iter().position(|it| it == kind);
    let place = |file: &&str| json!({"physicalLocation": {"artifactLocation": {"uri": uri(file)}}});
    json!({
        "descriptor": {"id": kind.name(), "index": index},
        "level": level,
        "message": {"text": what},
        "locations": file.iter().map(place).collect::<Vec<_>>(),
    })
}

fn result(
    rules: &mut Rules,
    subject: &Subject<'_>,
    finding: &Finding,
    exception: Option<&Excepted>,
) -> Value {
    let name = subject.name();
    let containers = match finding.containers.len() {
        0 => String::new(),
        many => {
            let which = finding.containers.join(", ");
            let word = counted(many, "container");
            let word = word.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
            format!(", {word} {which}")
        }
    };
    let hosts = match (subject, finding.hosts.is_empty()) {
        (Subject::Workload { .. }, false) => format!(" ({})", finding.hosts.join(", ")),
        _ => String::new(),
    };
    let text = format!(
        "{name}{containers}: {}{hosts}. Fix: {}.",
        finding.message,
        finding.fix.trim_end_matches('.')
    );
    let file = match subject {
        Subject::Workload { target, .. } => target.file.as_deref(),
        Subject::Cell { .. } => None,
    };
    let images = subject.images(finding);
    let suppressions = exception.map(|it| {
        let text = format!("{} until {}: {}", it.exception, it.until, it.reason);
        json!({"kind": "external", "status": "accepted", "justification": text})
    });
    json!({
        "ruleId": finding.code,
        "ruleIndex": rules.of(finding),
        "level": level(finding.verdict),
        "message": {"text": text},
        "locations": [{
            "physicalLocation": {
                "artifactLocation": {"uri": uri(file.unwrap_or(&name))},
                "region": {"startLine": 1},
            },
            "logicalLocations": [{"fullyQualifiedName": name, "kind": "resource"}],
        }],
        // The same finding of another day, so that code scanning follows it: no version, no number of nodes.
        "partialFingerprints": {"hostfit/v1": format!("{}:{name}:{}", finding.code, finding.containers.join(","))},
        "properties": {
            "severity": finding.severity,
            "images": images,
            "hosts": subject.hosts(finding),
            "evidence": evidence(finding),
            "fix": finding.fix,
        },
        "suppressions": suppressions.into_iter().collect::<Vec<_>>(),
    })
}

/// A relative URI of a path or name.
fn uri(path: &str) -> String {
    let path = path.strip_prefix("./").unwrap_or(path);
    let mut uri = String::with_capacity(path.len());
    for byte in path.trim_start_matches('/').bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'~' => {
                uri.push(char::from(byte));
            }
            other => uri.push_str(&format!("%{other:02X}")),
        }
    }
    uri
}
