//! Pods are kept away from hosts that do not fit, where another one does. Every shape of pod: webhook/src/question/tests.rs.

use hostfit_tests::cluster::Kind;
use hostfit_tests::registry::Image;
use serde_json::{Value, json};

use super::pods::fitting;
use super::review::{create, create_other, patched, pod};
use super::stand::{Setup, Stand, named, namespace, node, profile, rhel9};
use super::templates::workload;

/// Facts of a host that no amd64 image fits.
fn arm() -> Value {
    json!({"os": "rhel", "osVersion": "9.4", "kernel": "5.14.0-427.13.1.el9_4.aarch64", "architecture": "arm64"})
}

fn labelled(name: &str, facts: &Value, profile: Option<&str>) -> Value {
    let mut node = node(name, facts);
    if let Some(profile) = profile {
        node["metadata"]["labels"]["hostfit.dev/host-profile"] = json!(profile);
    }
    node
}

/// Two nodes that an amd64 image fits, and one that it does not, all of them labelled.
async fn setup(matrix: Value) -> Setup {
    let setup = Setup::ordinary(matrix).await;
    for name in ["node-1", "node-2"] {
        let node = labelled(name, &rhel9(), Some("el9"));
        setup.cluster.put(Kind::Node, node);
    }
    let node = labelled("arm-1", &arm(), Some("arm"));
    setup.cluster.put(Kind::Node, node);
    setup.cluster.put(Kind::HostProfile, profile("arm", arm()));
    setup
}

fn push(stand: &Stand) -> String {
    stand.registry.push("x86", "1", &fitting());
    stand.image("x86:1")
}

/// The pod as it is admitted, and what is told of steering.
async fn steered(stand: &Stand, pod: &Value) -> (Value, String) {
    let after = patched(pod, &stand.mutate(create(pod.clone())).await);
    assert!(
        stand.mutate(create(after.clone())).await.patch.is_empty(),
        "{after}"
    );
    let told = after["metadata"]["annotations"]["hostfit.dev/steering"].as_str();
    let told = told.unwrap_or("-").to_owned();
    (after["spec"]["affinity"].clone(), told)
}

/// The affinity of the pod as it is admitted at this moment.
async fn affinity(stand: &Stand, pod: &Value) -> Value {
    patched(pod, &stand.mutate(create(pod.clone())).await)["spec"]["affinity"].clone()
}

fn away(profiles: &[&str]) -> Value {
    let requirement =
        json!({"key": "hostfit.dev/host-profile", "operator": "NotIn", "values": profiles});
    json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
        {"nodeSelectorTerms": [{"matchExpressions": [requirement]}]}}})
}

#[tokio::test]
async fn a_pod_that_fits_some_hosts_is_kept_away_from_the_others() {
    for mode in ["Warn", "Enforce"] {
        let matrix = json!({"mode": mode, "steer": true, "hostPolicy": "AllReachable"});
        let stand = setup(matrix).await.ready().await;
        let image = push(&stand);
        let told = "away from arm".to_owned();
        assert_eq!(steered(&stand, &pod(&image)).await, (away(&["arm"]), told));
        // It is judged as what it has become; so is a template, whose pods will be.
        assert_eq!(stand.judge(pod(&image)).await, "Pass -: let in");
        let template = |kind| workload(kind, &image);
        let deployment = create_other(("apps", "deployments"), template("Deployment"));
        assert!(stand.validate(deployment).await.is_silent());
        // Those of a DaemonSet go to every node that it names.
        let of_nodes = create_other(("apps", "daemonsets"), template("DaemonSet"));
        assert_ne!(stand.validate(of_nodes).await.summary(), "let in");
    }
}

#[tokio::test]
async fn who_decides_himself_is_left_alone() {
    let stand = setup(json!({"steer": true})).await.ready().await;
    let image = push(&stand);
    let nothing = (Value::Null, "-".to_owned());
    let mut of_daemon_set = pod(&image);
    of_daemon_set["metadata"]["ownerReferences"] = json!([{"kind": "DaemonSet", "name": "d", "uid": "1", "apiVersion": "apps/v1", "controller": true}]);
    assert_eq!(steered(&stand, &of_daemon_set).await, nothing);
    let mut pinned = pod(&image);
    pinned["spec"]["nodeName"] = json!("arm-1");
    assert_eq!(steered(&stand, &pinned).await, nothing);
    let mut selecting = pod(&image);
    selecting["spec"]["nodeSelector"] = json!({"kubernetes.io/arch": "amd64"});
    assert_eq!(steered(&stand, &selecting).await, nothing);
    // Where no node that it may land on fits, the scheduler may as well try, and the pod says why.
    selecting["spec"]["nodeSelector"] = json!({"kubernetes.io/arch": "arm64"});
    let why = "not steered: no host profile that it may land on fits".to_owned();
    assert_eq!(steered(&stand, &selecting).await, (Value::Null, why));
    // What is not known, and what is only advised against, keeps nobody away.
    let unknown = pod(&stand.image("evil/404:1"));
    assert_eq!(steered(&stand, &unknown).await, nothing);
}

#[tokio::test]
async fn nobody_is_steered_unasked() {
    for matrix in [
        json!({}),
        json!({"mode": "Audit", "steer": true}),
        json!({"steer": false}),
    ] {
        let stand = setup(matrix).await.ready().await;
        let mut forged = pod(&push(&stand));
        forged["metadata"]["annotations"] = json!({"hostfit.dev/steering": "away from arm"});
        let answer = stand.mutate(create(forged.clone())).await;
        assert_eq!(patched(&forged, &answer)["spec"], forged["spec"]);
    }
    let setup = setup(json!({"steer": true, "namespaceOverrides": "Any"})).await;
    let off = namespace("shop", &json!({"hostfit.dev/mode": "off"}));
    setup.cluster.put(Kind::Namespace, off);
    let stand = setup.ready().await;
    let pod = pod(&push(&stand));
    assert!(stand.mutate(create(pod)).await.is_silent());
}

#[tokio::test]
async fn a_node_that_fits_is_not_lost_by_a_label_that_lags_behind() {
    // The pool was upgraded from what did not fit to what does, and still carries the label of then.
    let setup = setup(json!({"steer": true})).await;
    for name in ["node-1", "node-2"] {
        let node = labelled(name, &rhel9(), Some("arm"));
        setup.cluster.put(Kind::Node, node);
    }
    let stand = setup.ready().await;
    let image = push(&stand);
    let why = "not steered: the labels of nodes cannot tell the host profiles that fit from those that do not";
    assert_eq!(
        steered(&stand, &pod(&image)).await,
        (Value::Null, why.to_owned())
    );
    // As soon as one is put right, the other one still counts.
    let right = labelled("node-1", &rhel9(), Some("el9"));
    stand.cluster.put(Kind::Node, right.clone());
    assert_eq!(affinity(&stand, &pod(&image)).await, Value::Null);
    stand
        .cluster
        .put(Kind::Node, labelled("node-2", &rhel9(), None));
    stand
        .until("labels tell", async || {
            affinity(&stand, &pod(&image)).await == away(&["arm"])
        })
        .await;
}

#[tokio::test]
async fn a_pool_at_zero_counts_as_a_host() {
    let setup = Setup::empty().await;
    let cluster = &setup.cluster;
    cluster.put(Kind::Namespace, namespace("shop", &json!({})));
    cluster.put(Kind::SupportMatrix, named("m", json!({"steer": true})));
    cluster.put(Kind::HostProfile, profile("arm", arm()));
    cluster.put(Kind::Node, labelled("arm-1", &arm(), Some("arm")));
    let zero = json!({"nodeLabels": {"pool": "x86"}, "facts": rhel9()});
    cluster.put(Kind::HostProfile, named("x86-at-zero", zero));
    let plan = json!({"nodeLabels": {"pool": "x86"}, "facts": rhel9(), "baselineName": "arm"});
    cluster.put(Kind::HostProfile, named("only-planned", plan));
    let stand = setup.ready().await;
    // The only node there is does not fit: the pod waits for the autoscaler.
    let image = push(&stand);
    let told = "away from arm".to_owned();
    assert_eq!(steered(&stand, &pod(&image)).await, (away(&["arm"]), told));
    // The other way round: the pool's nodes would carry its name only if the autoscaler is told so.
    stand.registry.push(
        "arm",
        "1",
        &Image {
            architecture: "arm64".to_owned(),
            ..fitting()
        },
    );
    let image = stand.image("arm:1");
    let told = "away from x86-at-zero".to_owned();
    assert_eq!(
        steered(&stand, &pod(&image)).await,
        (away(&["x86-at-zero"]), told)
    );
}

#[tokio::test]
async fn a_profile_that_is_renamed_steers_whoever_comes_then() {
    let stand = setup(json!({"steer": true})).await.ready().await;
    let image = push(&stand);
    let (before, _) = steered(&stand, &pod(&image)).await;
    assert_eq!(before, away(&["arm"]));
    stand
        .cluster
        .put(Kind::HostProfile, profile("arm-2", arm()));
    stand.cluster.delete(Kind::HostProfile, "arm");
    stand
        .cluster
        .put(Kind::Node, labelled("arm-1", &arm(), Some("arm-2")));
    stand
        .until("the new name counts", async || {
            affinity(&stand, &pod(&image)).await == away(&["arm-2"])
        })
        .await;
    // One that waits since then is not kept from nodes that fit; a second call adds the new name.
    let mut waiting = pod(&image);
    waiting["spec"]["affinity"] = before;
    waiting["metadata"]["annotations"] = json!({"hostfit.dev/steering": "away from arm"});
    let (_, told) = steered(&stand, &waiting).await;
    assert_eq!(told, "away from arm, arm-2");
}
