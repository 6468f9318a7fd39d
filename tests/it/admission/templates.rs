//! What pods are made of: people hear of it there, and not once more of each pod.

use hostfit_tests::registry::Image;
use serde_json::{Value, json};

use super::pods::strict;
use super::review::{create, create_other, patched, pod, updating};
use super::stand::Setup;

/// Each kind with a template: group, resource, kind, and where the spec of its pods is.
pub(super) const KINDS: [(&str, &str, &str, &str); 6] = [
    ("apps", "deployments", "Deployment", "/spec/template/spec"),
    ("apps", "statefulsets", "StatefulSet", "/spec/template/spec"),
    ("apps", "daemonsets", "DaemonSet", "/spec/template/spec"),
    ("apps", "replicasets", "ReplicaSet", "/spec/template/spec"),
    ("batch", "jobs", "Job", "/spec/template/spec"),
    (
        "batch",
        "cronjobs",
        "CronJob",
        "/spec/jobTemplate/spec/template/spec",
    ),
];

/// A workload `search` in the namespace `shop`, of one container.
pub(super) fn workload(kind: &str, image: &str) -> Value {
    let template = json!({"spec": {"containers": [{"name": "web", "image": image}]}});
    let spec = match kind {
        "CronJob" => json!({"jobTemplate": {"spec": {"template": template}}}),
        _ => json!({"template": template}),
    };
    json!({"kind": kind, "metadata": {"name": "search", "namespace": "shop"}, "spec": spec})
}

fn owned_by(kind: &str, name: &str) -> Value {
    json!([{"apiVersion": "x/v1", "kind": kind, "name": name, "uid": "1", "controller": true}])
}

#[tokio::test]
async fn a_template_is_answered_for_as_its_pods_would_be() {
    let (stand, good, bad) = strict().await;
    for (group, resource, kind, path) in KINDS {
        let create = |image: &str| create_other((group, resource), workload(kind, image));
        let answer = stand.validate(create(&bad)).await;
        assert_eq!(answer.summary(), "refused HF110", "{kind}");
        let first = answer.denial().lines().next().unwrap();
        let expected = format!(
            "{kind} shop/search does not fit the one host profile that it may land on. HF110"
        );
        assert_eq!(first, expected);
        let field = format!("{}.containers[web].image", path[1..].replace('/', "."));
        assert_eq!(answer.status["details"]["causes"][0]["field"], field);
        assert!(stand.validate(create(&good)).await.is_silent(), "{kind}");
        // Templates belong to people: nothing is written into them.
        assert!(stand.mutate(create(&bad)).await.is_silent(), "{kind}");
    }
}

#[tokio::test]
async fn warnings_name_the_workload_and_its_report() {
    let stand = Setup::ordinary(json!({"mode": "Warn"})).await.ready().await;
    stand
        .registry
        .push("bad", "1", &Image::of("linux", "arm64"));
    let bad = stand.image("bad:1");
    let deployment = ("apps", "deployments");
    let answer = stand
        .validate(create_other(deployment, workload("Deployment", &bad)))
        .await;
    assert_eq!(
        answer.warnings,
        [
            "shop/Deployment/search: container web is built for linux/arm64; el9 (2 nodes) is linux/amd64. HF110"
        ]
    );
    let mut many = workload("Deployment", &bad);
    let containers = (0..8).map(|it| json!({"name": format!("c{it}"), "image": format!("x{it}$")}));
    many["spec"]["template"]["spec"]["containers"] = containers.collect();
    many["spec"]["template"]["spec"]["containers"][0]["image"] = json!(bad);
    let answer = stand.validate(create_other(deployment, many)).await;
    assert!(answer.warnings[0].starts_with("shop/Deployment/search: "));
}

#[tokio::test]
async fn what_controllers_make_warns_no_second_time_but_is_judged() {
    for (mode, created) in [("Warn", "let in"), ("Enforce", "refused HF110")] {
        let stand = Setup::ordinary(json!({"mode": mode})).await.ready().await;
        stand
            .registry
            .push("bad", "1", &Image::of("linux", "arm64"));
        let bad = stand.image("bad:1");
        let mut of_replicas = pod(&bad);
        of_replicas["metadata"]["ownerReferences"] = owned_by("ReplicaSet", "search-7d9f");
        let annotated = stand.mutate(create(of_replicas.clone())).await;
        let annotated = patched(&of_replicas, &annotated);
        assert_eq!(
            annotated["metadata"]["annotations"]["hostfit.dev/verdict"],
            "Fail"
        );
        let mut of_deployment = workload("ReplicaSet", &bad);
        of_deployment["metadata"]["ownerReferences"] = owned_by("Deployment", "search");
        let mut of_cron_job = workload("Job", &bad);
        of_cron_job["metadata"]["ownerReferences"] = owned_by("CronJob", "search");
        for request in [
            create(annotated.clone()),
            create_other(("apps", "replicasets"), of_deployment),
            create_other(("batch", "jobs"), of_cron_job),
        ] {
            assert_eq!(stand.validate(request).await.summary(), created);
        }
        // An owner that is no controller has somebody who reads.
        of_replicas["metadata"]["ownerReferences"][0]["controller"] = json!(false);
        let word = stand.validate(create(of_replicas)).await.summary();
        let expected = if mode == "Warn" { "warned" } else { "refused" };
        assert_eq!(word, format!("{expected} HF110"));
        // Whoever debugs a pod of a controller sits at a terminal.
        let mut debugged = annotated.clone();
        debugged["spec"]["ephemeralContainers"] = json!([{"name": "debug", "image": bad}]);
        let mut request = updating(create(debugged), annotated);
        request["subResource"] = json!("ephemeralcontainers");
        let word = stand.validate(request).await.summary();
        assert_eq!(word, format!("{expected} HF110"));
    }
}

#[tokio::test]
async fn a_template_that_somebody_has_still_to_fill_in_is_only_warned_of() {
    let matrix = json!({"mode": "Enforce", "unknownPolicy": {"imageUnreadable": "Deny"}});
    let stand = Setup::ordinary(matrix).await.ready().await;
    let deployment = ("apps", "deployments");
    for placeholder in ["${IMAGE}", "app:{{ .Values.tag }}", "<image>", ""] {
        let template = workload("Deployment", placeholder);
        let answer = stand.validate(create_other(deployment, template)).await;
        assert_eq!(answer.summary(), "warned HF908", "{placeholder:?}");
        // Nobody fills in a pod any more.
        let answer = stand.validate(create(pod(placeholder))).await;
        assert_eq!(answer.summary(), "refused HF908", "{placeholder:?}");
    }
    let wrong = create_other(deployment, workload("Deployment", "UPPER/Case"));
    assert_eq!(stand.validate(wrong).await.summary(), "refused HF908");
}

#[tokio::test]
async fn a_template_that_cannot_be_read_is_let_in_with_a_word() {
    let (stand, good, _) = strict().await;
    let mut odd = workload("StatefulSet", &good);
    odd["spec"]["template"]["spec"]["containers"] = json!("none");
    let answer = stand
        .validate(create_other(("apps", "statefulsets"), odd))
        .await;
    assert_eq!(
        answer.warnings,
        ["hostfit: StatefulSet not judged, its spec cannot be read. HF908"]
    );
}
