use hostfit_crds::SupportMatrix;
use serde_json::{Value, json};

use super::*;

const NOW: &str = "2026-11-01T12:00:00Z";

fn exception(change: &[(&str, Value)]) -> CompatException {
    let mut object = json!({
        "apiVersion": "hostfit.dev/v1alpha1", "kind": "CompatException",
        "metadata": {"name": "one", "namespace": "shop", "generation": 2},
        "spec": {
            "codes": ["HF101"], "selector": {"matchLabels": {"app": "search"}},
            "reason": "old nodes go in December", "expirationTime": "2026-12-31T00:00:00Z",
        },
    });
    for (key, value) in change {
        object["spec"][*key] = value.clone();
    }
    serde_json::from_value(object).unwrap()
}

fn time(text: &str) -> Time {
    Time(text.parse().unwrap())
}

fn at(
    exception: &CompatException,
    now: &str,
    matches: i32,
    matrix: Value,
) -> CompatExceptionStatus {
    let matrix: SupportMatrix = serde_json::from_value(json!({
        "apiVersion": "hostfit.dev/v1alpha1", "kind": "SupportMatrix",
        "metadata": {"name": "default"}, "spec": matrix,
    }))
    .unwrap();
    let (policies, errors) = Policies::read(vec![matrix.into()], &Policies::default());
    assert!(errors.is_empty());
    let key = ("shop".to_owned(), "one".to_owned());
    status(
        exception,
        &Facts {
            exceptions: &[],
            policies: &policies,
            namespaces: &HashMap::new(),
            profiles: &["ubuntu2004-k515"],
            accepted: &[(key, matches)].into(),
            now: &time(now),
        },
    )
}

fn ready(status: &CompatExceptionStatus) -> String {
    let ready = &status.conditions[0];
    format!("{} {}: {}", ready.status, ready.reason, ready.message)
}

#[track_caller]
fn check(change: &[(&str, Value)], matrix: Value, expected: &str) {
    let status = at(&exception(change), NOW, 0, matrix);
    assert!(ready(&status).starts_with(expected), "{}", ready(&status));
}

#[test]
fn the_condition_says_what_is_accepted_or_why_nothing_is() {
    let all = || json!({});
    check(
        &[],
        all(),
        "True Accepted: accepts HF101 until 2026-12-31T00:00:00Z",
    );
    check(
        &[("codes", json!(["HF010"]))],
        all(),
        "False UnknownCode: accepts nothing: codes: there is no finding \"HF010\"; did you mean HF110?",
    );
    check(
        &[("selector", Value::Null)],
        all(),
        "False NothingSelected: accepts nothing: nothing is selected",
    );
    check(
        &[("images", json!(["a b"]))],
        all(),
        "False UnreadableImage: accepts nothing: images: \"a b\"",
    );
    check(
        &[("codes", json!(["*"]))],
        all(),
        "True Broad: accepts every finding of all that it selects",
    );
    check(
        &[("hostProfiles", json!(["ubuntu2004-*"]))],
        all(),
        "True Accepted: accepts HF101 until",
    );
    check(
        &[("hostProfiles", json!(["ubuntu2004-*", "ubunut2004-k515"]))],
        all(),
        "True UnknownHostProfile: accepts HF101 until 2026-12-31T00:00:00Z; hostProfiles: there is no HostProfile ubunut2004-k515; did you mean ubuntu2004-k515?",
    );
    let past = json!("2026-11-01T12:00:00Z");
    check(
        &[("expirationTime", past)],
        all(),
        "False Expired: accepts nothing since 2026-11-01T12:00:00Z",
    );
    let support = || json!({"exceptionCodes": ["HF5*"]});
    check(
        &[],
        support(),
        "False NotAllowed: accepts nothing: exceptionCodes of SupportMatrix default does not allow to except HF101",
    );
    check(&[("codes", json!(["HF501"]))], support(), "True Accepted");
    check(
        &[("codes", json!(["HF501", "HF101"]))],
        support(),
        "True PartlyAllowed: exceptionCodes of SupportMatrix default does not allow to except HF101 in this namespace; the",
    );
    check(&[], json!({"exceptionCodes": []}), "False NotAllowed");
    // A matrix of other namespaces forbids nothing here.
    let elsewhere =
        json!({"exceptionCodes": [], "namespaceSelector": {"matchLabels": {"tenant": "x"}}});
    check(&[], elsewhere, "True Accepted");
}

#[test]
fn what_cannot_be_read_is_invalid_and_not_unused() {
    let state = |change: (&str, Value)| at(&exception(&[change]), NOW, 0, json!({})).state;
    assert_eq!(state(("codes", json!(["HF999"]))), Some(State::Invalid));
    assert_eq!(state(("codes", json!(["HF101"]))), Some(State::Unused));
}

#[test]
fn the_state_follows_matches_and_the_second_of_expiry() {
    let mut exception = exception(&[]);
    let mut state = |now: &str, matches| {
        let status = at(&exception, now, matches, json!({}));
        let last = status
            .last_match_time
            .as_ref()
            .map(|time| time.0.to_string());
        let told = notice(
            &exception,
            &exception.status.clone().unwrap_or_default(),
            &status,
        );
        let told =
            told.map(|event| format!("{}: {}", event.reason, event.note.unwrap_or_default()));
        exception.status = Some(status.clone());
        (status.state.unwrap(), last, told)
    };
    let (none, first) = (None, Some("2026-11-01T12:00:00Z".to_owned()));
    assert_eq!(
        state("2026-11-01T11:00:00Z", 0),
        (State::Unused, None, none.clone())
    );
    assert_eq!(state(NOW, 2), (State::Active, first.clone(), none.clone()));
    // Not written again at each look.
    assert_eq!(
        state("2026-11-01T12:59:59Z", 2),
        (State::Active, first, none.clone())
    );
    let later = Some("2026-11-01T13:00:00Z".to_owned());
    assert_eq!(
        state("2026-11-01T13:00:00Z", 2),
        (State::Active, later.clone(), none.clone())
    );
    assert_eq!(
        state("2026-12-23T23:59:59Z", 0),
        (State::Unused, later, none.clone())
    );
    let told =
        "ExceptionExpiring: expires 2026-12-31T00:00:00Z: 1 workload will be judged without it";
    let last = Some("2026-12-24T00:00:00Z".to_owned());
    assert_eq!(
        state("2026-12-24T00:00:00Z", 1),
        (State::Active, last.clone(), Some(told.to_owned()))
    );
    // Once.
    assert_eq!(
        state("2026-12-24T00:30:00Z", 1),
        (State::Active, last, none.clone())
    );
    let last = Some("2026-12-30T23:59:59Z".to_owned());
    assert_eq!(
        state("2026-12-30T23:59:59Z", 1),
        (State::Active, last.clone(), none.clone())
    );
    let told = "ExceptionExpired: expired 2026-12-31T00:00:00Z: what it accepted of 1 workload counts again";
    assert_eq!(
        state("2026-12-31T00:00:00Z", 0),
        (State::Expired, last.clone(), Some(told.to_owned()))
    );
    assert_eq!(
        state("2027-01-01T00:00:00Z", 0),
        (State::Expired, last, none)
    );
}

#[test]
fn exceptions_are_counted_by_state_and_namespace() {
    let all = [
        exception(&[]).into(),
        exception(&[("expirationTime", json!("2020-01-01T00:00:00Z"))]).into(),
    ];
    let key = ("shop".to_owned(), "one".to_owned());
    let plan = plan(&Facts {
        exceptions: &all,
        policies: &Policies::default(),
        namespaces: &HashMap::new(),
        profiles: &[],
        accepted: &[(key, 1)].into(),
        now: &time(NOW),
    });
    let counts: Vec<_> = plan.by_state().into_values().collect();
    assert_eq!(counts, [1, 0, 1, 0]);
    assert_eq!(plan.active(), [("shop".to_owned(), 1)].into());
}
