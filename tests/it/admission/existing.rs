//! Images that already ran in a namespace: warned of where others are refused, so that no drain takes a workload away.

use hostfit_tests::cluster::Kind;
use hostfit_tests::registry::Image;
use serde_json::{Value, json};

use super::review::{create, create_other, pod, updating};
use super::stand::{Setup, Stand, namespace};
use super::templates::workload;

/// A report on `shop/Deployment/search`, by which images ran.
fn report(namespace: &str, ran: &[&str]) -> Value {
    json!({
        "metadata": {"name": format!("deploy-{namespace}"), "namespace": namespace},
        "spec": {"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "search", "uid": "1"}},
        "status": {"verdict": "Fail", "ranDigests": ran},
    })
}

/// A webhook that refuses, an image that does not fit and ran in `shop`, and another one that never ran.
async fn stand(matrix: Value) -> (Stand, String, String) {
    let setup = Setup::ordinary(matrix).await;
    setup
        .cluster
        .put(Kind::Namespace, namespace("lab", &json!({})));
    let arm = Image::of("linux", "arm64");
    let ran = setup.registry.push("ran", "1", &arm);
    let new = arm.label("version", "2");
    let other = setup.registry.push("new", "1", &new);
    assert_ne!(ran, other);
    setup
        .cluster
        .put(Kind::CompatReport, report("shop", &[&ran]));
    setup.cluster.put(Kind::CompatReport, report("lab", &[]));
    let stand = setup.ready().await;
    let (ran, new) = (stand.image("ran:1"), stand.image("new:1"));
    (stand, ran, new)
}

#[tokio::test]
async fn what_ran_here_is_warned_of_and_the_warning_says_why() {
    let (stand, ran, new) = stand(json!({"mode": "Enforce"})).await;
    let finding = "is built for linux/arm64; el9 (2 nodes) is linux/amd64. HF110";
    let answer = stand.validate(create(pod(&ran))).await;
    assert_eq!(
        answer.warnings,
        [
            format!("shop/web: container web {finding}"),
            "hostfit: not refused, as it already ran here (existingWorkloads): shop/web. HF110"
                .to_owned(),
        ]
    );
    let deployment = create_other(("apps", "deployments"), workload("Deployment", &ran));
    let answer = stand.validate(deployment).await;
    assert_eq!(
        answer.warnings[1],
        "hostfit: not refused, as it already ran here (existingWorkloads): shop/Deployment/search. HF110"
    );
    // A rollback to it, too.
    let new_template = workload("Deployment", &new);
    let back = create_other(("apps", "deployments"), workload("Deployment", &ran));
    let answer = stand.validate(updating(back, new_template)).await;
    assert_eq!(answer.summary(), "warned HF110");
    // Another image, another namespace, and one of both kinds in one pod.
    assert_eq!(stand.judge(pod(&new)).await, "Fail HF110: refused HF110");
    let mut elsewhere = pod(&ran);
    elsewhere["metadata"]["namespace"] = json!("lab");
    assert_eq!(stand.judge(elsewhere).await, "Fail HF110: refused HF110");
    let mut both = pod(&ran);
    both["spec"]["initContainers"] = json!([{"name": "setup", "image": new}]);
    assert_eq!(stand.judge(both).await, "Fail HF110: refused HF110");
    // From the moment on at which it has run there, too.
    let digest = stand
        .registry
        .push("ran", "1", &Image::of("linux", "arm64"));
    stand
        .cluster
        .put(Kind::CompatReport, report("lab", &[&digest]));
    let mut later = pod(&ran);
    later["metadata"]["namespace"] = json!("lab");
    stand
        .until("it is known to have run", async || {
            stand.validate(create(later.clone())).await.allowed
        })
        .await;
}

#[tokio::test]
async fn what_ran_here_is_refused_where_the_matrix_says_so() {
    let matrix = json!({"mode": "Enforce", "existingWorkloads": "Deny"});
    let (stand, ran, _) = stand(matrix).await;
    assert_eq!(stand.judge(pod(&ran)).await, "Fail HF110: refused HF110");
}

#[tokio::test]
async fn many_findings_leave_room_for_the_word() {
    let (stand, ran, _) = stand(json!({"mode": "Enforce"})).await;
    let mut many = pod(&ran);
    let wrong = ["", "UPPER/x", "a:b c", "a@b", "${x}", "a.example:99999/x"];
    let containers = wrong.into_iter().chain([ran.as_str()]).enumerate();
    many["spec"]["containers"] = containers
        .map(|(index, image)| json!({"name": format!("c{index}"), "image": image}))
        .collect();
    let answer = stand.validate(create(many)).await;
    let said = |words: &str| answer.warnings.iter().any(|it| it.contains(words));
    assert!(
        said("already ran here") && said("hostfit: 3 more findings"),
        "{:?}",
        answer.warnings
    );
}
