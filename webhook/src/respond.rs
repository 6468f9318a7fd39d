//! Pure: what was decided → AdmissionReview out. The two routes differ only here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hostfit_engine::finding::plain;
use hostfit_engine::policy::{Decision, Mode, Refusal};
use hostfit_engine::verdict::{Judgement, Reason};
use serde::Serialize;

use crate::message;
use crate::metrics::Outcome;
use crate::patch::{self, Operation};
use crate::question::Judged;
use crate::subject::Kind;

/// The body of an answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answer<'a> {
    api_version: &'static str,
    kind: &'static str,
    response: Response<'a>,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
}

#[derive(Debug, Serialize)]
struct Status {
    code: u16,
    reason: &'static str,
    message: String,
    details: Details,
}

#[derive(Debug, Serialize)]
struct Details {
    causes: Vec<Cause>,
}

/// For programs: one entry for each finding.
#[derive(Debug, Serialize)]
struct Cause {
    reason: &'static str,
    field: String,
    message: String,
}

fn answer(response: Response<'_>) -> Answer<'_> {
    Answer {
        api_version: "admission.k8s.io/v1",
        kind: "AdmissionReview",
        response,
    }
}

/// Let it in, and say nothing.
pub(crate) fn allow(uid: &str) -> Answer<'_> {
    answer(Response {
        uid,
        allowed: true,
        ..Response::default()
    })
}

/// Let it in, with one sentence.
pub(crate) fn allow_with<'a>(uid: &'a str, warning: &str) -> Answer<'a> {
    let warnings = vec![plain(warning, 120)];
    answer(Response {
        uid,
        allowed: true,
        warnings,
        ..Response::default()
    })
}

/// The answer of /mutate: annotations, the affinity that steers, and in mode Warn the warnings, as /validate may not be asked
/// then. It never refuses: /validate judges the final state.
pub(crate) fn mutate<'a>(
    uid: &'a str,
    judged: &Judged,
    namespace: &str,
    annotate: bool,
) -> (Answer<'a>, Outcome) {
    // Templates belong to people, and are warned of by /validate.
    if matches!(judged.decision, Decision::Ignore) || judged.kind.is_template() {
        return (allow(uid), Outcome::Ignore);
    }
    let operations = operations(judged, annotate);
    let patch = match operations.is_empty() {
        true => None,
        false => serde_json::to_vec(&operations)
            .ok()
            .map(|json| STANDARD.encode(json)),
    };
    let (warnings, outcome) = match judged.judge.mode {
        Mode::Warn => warnings(judged, namespace),
        Mode::Off | Mode::Audit | Mode::Enforce => (Vec::new(), Outcome::Allow),
    };
    let response = Response {
        uid,
        allowed: true,
        warnings,
        patch_type: patch.as_ref().map(|_| "JSONPatch"),
        patch,
        ..Response::default()
    };
    (answer(response), outcome)
}

/// What is said of what is let in: by both routes in the same words, so that the API server says it once.
fn warnings(judged: &Judged, namespace: &str) -> (Vec<String>, Outcome) {
    let Decision::Admit {
        warnings,
        already_ran,
    } = &judged.decision
    else {
        return (Vec::new(), Outcome::Allow);
    };
    if warnings.is_empty() || judged.is_unattended {
        return (Vec::new(), Outcome::Allow);
    }
    let mut about = about(judged, namespace);
    // Its whole name is made after /mutate.
    let metadata = judged.metadata.as_ref();
    if let Some(start) = metadata.and_then(|it| it.generate_name.as_deref()) {
        (about.name, about.report) = (start, None);
    }
    let warnings = message::warnings(warnings, *already_ran, &about);
    (warnings, Outcome::Warn)
}

fn about<'a>(judged: &'a Judged, namespace: &'a str) -> message::About<'a> {
    let denied = matches!(judged.decision, Decision::Deny(_));
    // A refused pod that nobody owns leaves nothing behind to report on.
    let reported = judged
        .metadata
        .as_ref()
        .filter(|metadata| !denied || metadata.is_owned());
    message::About {
        namespace,
        kind: judged.kind,
        name: judged.name(),
        report: reported.and_then(|metadata| metadata.report(judged.kind)),
        fleet: &judged.snapshot.fleet,
        unheeded: judged.judge.unheeded.as_ref(),
    }
}

/// What /mutate changes of a pod; nothing if it is as it should be.
pub(crate) fn operations(judged: &Judged, annotate: bool) -> Vec<Operation> {
    let affinity = judged.affinity.iter();
    let affinity = affinity.map(|(path, value)| Operation::Add {
        path: path.clone(),
        value: value.clone(),
    });
    // A patch on an object without metadata would not apply, and fail the user's request.
    let Some(metadata) = judged.metadata.as_ref().filter(|_| annotate) else {
        return affinity.collect();
    };
    let Judgement {
        verdict,
        reasons,
        excepted,
        ..
    } = judged.judgement.as_ref();
    let wanted = patch::wanted(&patch::Said {
        verdict: verdict.as_str(),
        codes: &message::codes(reasons).join(","),
        excepted: &message::codes(excepted.iter().map(|it| &it.reason)).join(","),
        report: metadata.report(judged.kind),
        steering: judged.steering.clone(),
    });
    let annotations = patch::annotations(metadata.annotations.as_ref(), &wanted);
    annotations.into_iter().chain(affinity).collect()
}

/// The answer of /validate: warnings, or a refusal.
pub(crate) fn validate<'a>(
    uid: &'a str,
    judged: &Judged,
    namespace: &str,
) -> (Answer<'a>, Outcome) {
    match &judged.decision {
        Decision::Ignore => (allow(uid), Outcome::Ignore),
        Decision::Admit { .. } => {
            let (warnings, outcome) = warnings(judged, namespace);
            let response = Response {
                uid,
                allowed: true,
                warnings,
                ..Response::default()
            };
            (answer(response), outcome)
        }
        Decision::Deny(refusal) => {
            let about = about(judged, namespace);
            let status = Status {
                code: 403,
                reason: "Forbidden",
                message: message::denial(refusal, &judged.judgement, &about),
                details: Details {
                    causes: causes(refusal, judged.kind),
                },
            };
            let response = Response {
                uid,
                allowed: false,
                status: Some(status),
                ..Response::default()
            };
            (answer(response), Outcome::Deny)
        }
    }
}

fn causes(refusal: &Refusal, kind: Kind) -> Vec<Cause> {
    let reasons = std::iter::once(&refusal.worst)
        .chain(&refusal.others)
        .take(20);
    let cause = |reason: &Reason| {
        let message = plain(&reason.finding.message(), 512);
        reason
            .users
            .iter()
            .take(8)
            .map(move |(role, name)| Cause {
                reason: reason.finding.code.as_str(),
                field: format!(
                    "{}.{}[{}].image",
                    kind.pod_spec(),
                    role.field(),
                    plain(name, 63)
                ),
                message: message.clone(),
            })
            .collect::<Vec<_>>()
    };
    reasons.flat_map(cause).collect()
}
