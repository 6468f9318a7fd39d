//! Pure: what was found → the words that people read on their terminal.
//!
//! Subject → fact of the image → fact of the host → fix → code. Every warning makes sense alone.

use hostfit_crds::policies::Unheeded;
use hostfit_engine::finding::{CellVerdict, Code, cut, plain};
use hostfit_engine::landing::Fleet;
use hostfit_engine::policy::Refusal;
use hostfit_engine::verdict::{Judgement, Reason, Verdict};

use crate::subject::Kind;

/// Characters of one warning: kubectl's users see one line.
const WARNING: usize = 120;
/// Warnings of one answer, the summary not counted.
const WARNINGS: usize = 5;
/// Findings of one denial.
const DENIED: usize = 3;
/// Characters of one line of a denial.
const LINE: usize = 240;
/// Characters of a denial: Events keep 1,024, and the API server puts its own words before ours.
const DENIAL: usize = 900;

/// What a message is about.
pub(crate) struct About<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) kind: Kind,
    pub(crate) name: &'a str,
    /// The report of the workload, where one exists or will.
    pub(crate) report: Option<String>,
    pub(crate) fleet: &'a Fleet,
    /// The namespace asks for a mode that it does not get: who is refused will wonder.
    pub(crate) unheeded: Option<&'a Unheeded>,
}

impl About<'_> {
    /// `shop/web` for a pod, `shop/Deployment/search` for a template.
    fn subject(&self) -> String {
        let (namespace, name) = (self.namespace, self.name);
        match self.kind {
            Kind::Pod => format!("{namespace}/{name}"),
            kind => format!("{namespace}/{}/{name}", kind.as_str()),
        }
    }
}

/// The warnings of what is admitted, worst first.
pub(crate) fn warnings(reasons: &[Reason], already_ran: bool, about: &About<'_>) -> Vec<String> {
    let mut lines: Vec<String> = reasons
        .iter()
        .take(WARNINGS)
        .map(|it| warning(it, about))
        .collect();
    if let Some(worst) = reasons.first().filter(|_| already_ran) {
        lines.truncate(WARNINGS - 1);
        let subject = about.subject();
        let text =
            format!("hostfit: not refused, as it already ran here (existingWorkloads): {subject}");
        lines.push(coded(&text, worst.finding.code));
    }
    let more = reasons
        .len()
        .saturating_sub(WARNINGS - usize::from(already_ran));
    if more > 0 {
        let says = format!("hostfit: {more} more findings");
        let command = about.report.as_ref().map(|report| {
            let namespace = about.namespace;
            format!("{says}: kubectl describe compat -n {namespace} {report}")
        });
        // Half a command is none.
        let whole = command.filter(|it| it.chars().count() <= WARNING);
        lines.push(plain(&whole.unwrap_or(says), WARNING));
    }
    lines
}

fn warning(reason: &Reason, about: &About<'_>) -> String {
    let code = reason.finding.code;
    let subject = format!(
        "{}: {} {}",
        about.subject(),
        users(reason),
        reason.finding.image
    );
    let text = match &reason.finding.host {
        Some(host) => format!("{subject}; {} {host}", hosts(reason, about.fleet)),
        None => subject,
    };
    coded(&text, code)
}

/// A warning and its code, which stays whatever has to go.
fn coded(text: &str, code: Code) -> String {
    format!("{} {code}", sentence(text, WARNING - 6))
}

/// A sentence with its full stop, or what is left of it.
fn sentence(text: &str, max: usize) -> String {
    let text = plain(text, max - 1);
    match text.ends_with('…') {
        true => text,
        false => format!("{}.", text.trim_end_matches('.')),
    }
}

/// The message of what is refused.
pub(crate) fn denial(refusal: &Refusal, judgement: &Judgement, about: &About<'_>) -> String {
    let (namespace, landing) = (about.namespace, judgement.landing);
    let subject = format!("{} {namespace}/{}", about.kind.noun(), about.name);
    let hosts = if landing == 1 {
        "the one host profile"
    } else {
        &format!("the {landing} host profiles")
    };
    let not_all = format!("{subject} does not fit all of {hosts} that it may land on.");
    let first = match judgement.verdict {
        Verdict::Fail if landing == 1 => {
            format!("{subject} does not fit {hosts} that it may land on.")
        }
        Verdict::Fail => format!("{subject} fits none of {hosts} that it may land on."),
        // Where one host does not fit and all have to, it does not matter what is not known of others.
        Verdict::Partial => not_all,
        Verdict::Unknown if refusal.worst.finding.verdict == CellVerdict::Fail => not_all,
        Verdict::Unknown | Verdict::Warn | Verdict::Pass => {
            format!("it could not be told whether {subject} fits, and the policy refuses that.")
        }
    };
    let reasons: Vec<_> = std::iter::once(&refusal.worst)
        .chain(&refusal.others)
        .collect();
    // Events show this line alone.
    let mut lines = vec![format!(
        "{} {}",
        plain(&first, LINE),
        listed(&codes(reasons.iter().copied()))
    )];
    for reason in reasons.iter().take(DENIED) {
        lines.extend(denied(reason, about));
    }
    let more = reasons.len().saturating_sub(DENIED);
    if more > 0 {
        lines.push(format!("  and {more} more"));
    }
    let docs = refusal.worst.finding.code.docs();
    let read_on = match &about.report {
        Some(report) => {
            // Owners may call themselves anything.
            let command = format!("  more: kubectl describe compat -n {namespace} {report}");
            format!("{}  |  {docs}", plain(&command, LINE))
        }
        None => format!("  more: {docs}"),
    };
    let read_on = match about.unheeded {
        Some(unheeded) => {
            let told = format!("the label of namespace {namespace} {unheeded}.");
            format!("  {}\n{read_on}", plain(&told, LINE))
        }
        None => read_on,
    };
    // Where to read on stays, whatever has to go.
    let room = DENIAL.saturating_sub(read_on.chars().count() + 1);
    format!("{}\n{read_on}", cut(lines.join("\n"), room))
}

/// The codes of findings, each once, worst first.
pub(crate) fn codes<'a>(reasons: impl IntoIterator<Item = &'a Reason>) -> Vec<&'static str> {
    let mut codes: Vec<_> = Vec::new();
    for reason in reasons {
        let code = reason.finding.code.as_str();
        if !codes.contains(&code) {
            codes.push(code);
        }
    }
    codes
}

/// `HF401`, `HF110, HF502, HF503 and 2 more`.
fn listed(codes: &[&str]) -> String {
    match codes.split_at_checked(DENIED) {
        Some((first, more)) if !more.is_empty() => {
            format!("{} and {} more", first.join(", "), more.len())
        }
        _ => codes.join(", "),
    }
}

fn denied(reason: &Reason, about: &About<'_>) -> [String; 2] {
    let finding = &reason.finding;
    let image = format!("{} {} {}", finding.code, users(reason), finding.image);
    let text = match &finding.host {
        Some(host) => format!("{image}; {} {host}", hosts(reason, about.fleet)),
        None => image,
    };
    [
        format!("  {}", sentence(&text, LINE)),
        format!("        fix: {}", sentence(&finding.fix, LINE)),
    ]
}

/// `container web`, `containers web, db and 2 more`.
fn users(reason: &Reason) -> String {
    let mut users = reason.users.iter();
    let Some((role, first)) = users.next() else {
        return String::new();
    };
    let rest: Vec<_> = users.collect();
    match rest.as_slice() {
        [] => format!("{} {first}", role.noun()),
        [(_, second)] => format!("containers {first} and {second}"),
        more => format!("containers {first} and {} more", more.len()),
    }
}

/// `rhel94-k514 (3 nodes)`, `rhel94-k514 (3 nodes) and 2 more profiles`.
fn hosts(reason: &Reason, fleet: &Fleet) -> String {
    let Some(first) = reason.hosts.iter().next() else {
        return "the host".to_owned();
    };
    let nodes = fleet
        .hosts()
        .iter()
        .find(|host| host.name == *first)
        .map_or(0, |host| host.nodes);
    let unit = if nodes == 1 { "node" } else { "nodes" };
    match reason.hosts.len() - 1 {
        0 => format!("{first} ({nodes} {unit})"),
        1 => format!("{first} ({nodes} {unit}) and 1 more profile"),
        more => format!("{first} ({nodes} {unit}) and {more} more profiles"),
    }
}
