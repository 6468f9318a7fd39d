use hostfit_crds::Condition;
use serde_json::{Value, json};

use super::*;

fn matrix(generation: i64, spec: Value, status: Option<SupportMatrixStatus>) -> Arc<SupportMatrix> {
    let object = json!({
        "apiVersion": "hostfit.dev/v1alpha1", "kind": "SupportMatrix",
        "metadata": {"name": "default", "generation": generation}, "spec": spec,
    });
    let mut matrix: SupportMatrix = serde_json::from_value(object).unwrap();
    matrix.status = status;
    Arc::new(matrix)
}

/// The status that is written of a matrix, given this many workloads that pass; nothing if it stays as it is.
fn written(
    matrix: Arc<SupportMatrix>,
    last: &mut Policies,
    passing: Option<i32>,
) -> Option<SupportMatrixStatus> {
    let (policies, errors) = Policies::read(vec![matrix.clone()], last);
    *last = policies;
    let counts = VerdictCounts {
        pass: passing.unwrap_or_default(),
        ..VerdictCounts::default()
    };
    let by_namespace = [("shop".to_owned(), counts)].into();
    let counted = Counted {
        by_namespace: &by_namespace,
        profiles: 2,
        exceptions: &BTreeMap::new(),
    };
    let facts = Facts {
        matrices: &[matrix],
        policies: last,
        errors: &errors,
        unapplied: &Unapplied::new(),
        namespaces: &HashMap::new(),
        profiles: &["rhel94-k514", "amzn2-k510"],
        label_nodes: false,
        counted: passing.map(|_| counted),
        now: &Time(jiff::Timestamp::UNIX_EPOCH),
    };
    changed(&facts).pop()?.status
}

/// What stands in the status: the generation, the workloads that pass, and each condition.
fn shown(status: &SupportMatrixStatus) -> (Option<i64>, Option<i32>, Vec<String>) {
    let conditions = status.conditions.iter();
    let conditions = conditions.map(|it| format!("{} {} {}", it.type_, it.status, it.reason));
    let pass = status.workloads.as_ref().map(|it| it.pass);
    (status.observed_generation, pass, conditions.collect())
}

#[test]
fn an_edit_is_followed_at_once_and_its_counters_later() {
    let mut last = Policies::default();
    let good =
        json!({"rules": [{"name": "mine", "image": {"distro": "rhel"}, "verdict": "Unsupported"}]});
    let bad = json!({"rules": [{"name": "mine", "image": {"distroo": "rhel"}, "verdict": "Unsupported"}]});
    let new = written(matrix(1, good.clone(), None), &mut last, None).unwrap();
    let loaded = vec!["Ready True RulesLoaded".to_owned()];
    assert_eq!(shown(&new), (Some(1), None, loaded.clone()));
    let counted = written(matrix(1, good.clone(), Some(new)), &mut last, Some(7)).unwrap();
    assert_eq!(shown(&counted), (Some(1), Some(7), loaded.clone()));
    let same = matrix(1, good.clone(), Some(counted.clone()));
    assert_eq!(written(same, &mut last, None), None);

    // Nothing is counted again between these two edits.
    let broken = written(matrix(2, bad, Some(counted)), &mut last, None).unwrap();
    let unreadable = vec!["Ready False UnreadableRow".to_owned()];
    assert_eq!(shown(&broken), (Some(2), Some(7), unreadable));
    let mended = written(matrix(3, good, Some(broken)), &mut last, None).unwrap();
    assert_eq!(shown(&mended), (Some(3), Some(7), loaded));
}

#[test]
fn what_the_leader_before_told_of_defaults_stays_until_they_are_tried() {
    let before = SupportMatrixStatus {
        conditions: vec![Condition {
            type_: names::DEFAULTS_APPLIED.to_owned(),
            status: "False".to_owned(),
            reason: "Conflict".to_owned(),
            message: "people changed what the chart sets".to_owned(),
            last_transition_time: Time(jiff::Timestamp::UNIX_EPOCH),
            observed_generation: Some(1),
        }],
        ..SupportMatrixStatus::default()
    };
    let status = |passing| {
        let matrix = matrix(1, json!({}), Some(before.clone()));
        shown(&written(matrix, &mut Policies::default(), passing).unwrap()).2
    };
    let kept = ["Ready True RulesLoaded", "DefaultsApplied False Conflict"];
    assert_eq!(status(None), kept);
    assert_eq!(status(Some(7)), ["Ready True RulesLoaded"]);
}

#[test]
fn steering_without_labels_is_told() {
    let mut last = Policies::default();
    let steering = written(matrix(1, json!({"steer": true}), None), &mut last, None).unwrap();
    let expected = [
        "Ready True RulesLoaded",
        "SteeringPossible False NodesNotLabelled",
    ];
    assert_eq!(shown(&steering).2, expected);
    let ended = matrix(2, json!({}), Some(steering));
    let ended = written(ended, &mut last, None).unwrap();
    assert_eq!(shown(&ended).2, ["Ready True RulesLoaded"]);
}

#[test]
fn a_row_that_names_what_is_not_there_is_told() {
    let rows = |host: Value| json!({"rules": [{"name": "mine", "host": host, "image": {"distro": "rhel"}, "verdict": "Unsupported"}]});
    let mut last = Policies::default();
    let typo = rows(json!({"profiles": ["rhel94-k541"]}));
    let status = written(matrix(1, typo, None), &mut last, None).unwrap();
    let condition = &status.conditions[0];
    let expected = "; row \"mine\": host.profiles: there is no HostProfile rhel94-k541; did you mean rhel94-k514?";
    assert_eq!(
        (condition.status.as_str(), condition.reason.as_str()),
        ("True", "UnknownName")
    );
    assert!(
        condition.message.ends_with(expected),
        "{}",
        condition.message
    );
    let mended = matrix(2, rows(json!({"profiles": ["rhel94-*"]})), Some(status));
    let mended = written(mended, &mut last, None).unwrap();
    assert_eq!(shown(&mended).2, ["Ready True RulesLoaded"]);

    let many: Vec<_> = (0..5).map(|number| format!("other-{number}")).collect();
    let many = matrix(3, rows(json!({"profiles": many})), Some(mended));
    let many = written(many, &mut last, None).unwrap();
    let message = &many.conditions[0].message;
    assert!(message.ends_with("other-2; and 2 more"), "{message}");
}
