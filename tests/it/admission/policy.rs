//! What people set, and what becomes of a pod by it.

use std::time::Duration;

use hostfit_tests::cluster::Kind;
use hostfit_tests::registry::Image;
use serde_json::{Value, json};

use super::pods::fitting;
use super::review::{create, create_other, pod};
use super::stand::{OWN_NAMESPACE, Setup, Stand, named, namespace, node, profile, rhel9};
use super::templates::workload;

/// A pod in a namespace.
fn pod_in(namespace: &str, image: &str) -> Value {
    let mut pod = pod(image);
    pod["metadata"]["namespace"] = json!(namespace);
    pod
}

fn push(stand: &Stand) -> [String; 3] {
    stand.registry.push("good", "1", &fitting());
    stand
        .registry
        .push("bad", "1", &Image::of("linux", "arm64"));
    let old = Image::default().label("org.opencontainers.image.base.name", "debian:10");
    stand.registry.push("old", "1", &old);
    ["good:1", "bad:1", "old:1"].map(|name| stand.image(name))
}

#[tokio::test]
async fn the_mode_of_the_matrix_and_the_label_of_the_namespace_decide() {
    for (mode, overrides, expected) in [
        // The mode by label: none, off, audit, warn, enforce, nonsense.
        ("Audit", "None", ["-", "-", "-", "-", "-", "-"]),
        (
            "Warn",
            "None",
            ["warned", "warned", "warned", "warned", "warned", "warned"],
        ),
        (
            "Enforce",
            "None",
            [
                "refused", "refused", "refused", "refused", "refused", "refused",
            ],
        ),
        (
            "Audit",
            "Tighten",
            ["-", "-", "-", "warned", "refused", "-"],
        ),
        (
            "Warn",
            "Tighten",
            ["warned", "warned", "warned", "warned", "refused", "warned"],
        ),
        (
            "Enforce",
            "Tighten",
            [
                "refused", "refused", "refused", "refused", "refused", "refused",
            ],
        ),
        ("Audit", "Any", ["-", "-", "-", "warned", "refused", "-"]),
        (
            "Warn",
            "Any",
            ["warned", "-", "-", "warned", "refused", "warned"],
        ),
        (
            "Enforce",
            "Any",
            ["refused", "-", "-", "warned", "refused", "refused"],
        ),
    ] {
        let matrix = json!({"mode": mode, "namespaceOverrides": overrides});
        let setup = Setup::ordinary(matrix).await;
        let labels = ["", "off", "audit", "warn", "enforce", "Enforce!"];
        for label in labels.iter().filter(|label| !label.is_empty()) {
            let name = format!("ns-{}", label.trim_end_matches('!').to_lowercase().len());
            let labels = json!({"hostfit.dev/mode": label});
            let own = if *label == "Enforce!" {
                "ns-nonsense"
            } else {
                &name
            };
            setup.cluster.put(Kind::Namespace, namespace(own, &labels));
        }
        let stand = setup.ready().await;
        let [_, bad, _] = push(&stand);
        let spaces = ["shop", "ns-3", "ns-5", "ns-4", "ns-7", "ns-nonsense"];
        for ((space, label), expected) in spaces.iter().zip(labels).zip(expected) {
            let judged = stand.judge(pod_in(space, &bad)).await;
            let expected = match expected {
                "-" => "- -: let in".to_owned(),
                word => format!("Fail HF110: {word} HF110"),
            };
            assert_eq!(
                judged, expected,
                "mode {mode}, overrides {overrides}, label {label:?}"
            );
        }
    }
}

#[tokio::test]
async fn pods_of_the_release_itself_are_never_judged() {
    let mut setup = Setup::ordinary(json!({"mode": "Enforce"})).await;
    setup.cluster.put(
        Kind::Namespace,
        namespace(OWN_NAMESPACE, &json!({"hostfit.dev/mode": "enforce"})),
    );
    setup.set("HOSTFIT_PATIENCE_MS", "1000");
    let stand = setup.ready().await;
    let [_, bad, _] = push(&stand);
    assert_eq!(
        stand.judge(pod_in(OWN_NAMESPACE, &bad)).await,
        "- -: let in"
    );
    assert_eq!(stand.registry.take(), [""; 0]);
    // A namespace that nobody has seen yet is judged by the matrix for all.
    assert_eq!(
        stand.judge(pod_in("brand-new", &bad)).await,
        "Fail HF110: refused HF110"
    );
}

#[tokio::test]
async fn a_pod_right_behind_its_namespace_is_judged_by_the_labels_of_it() {
    let matrix = json!({"mode": "Warn", "namespaceOverrides": "Any"});
    let stand = Setup::ordinary(matrix).await.ready().await;
    let [_, bad, _] = push(&stand);
    let labelled = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let labels = json!({"hostfit.dev/mode": "enforce"});
        stand
            .cluster
            .put(Kind::Namespace, namespace("fresh", &labels));
    };
    let (answer, ()) = tokio::join!(stand.validate(create(pod_in("fresh", &bad))), labelled);
    assert!(answer.denial().contains("HF110"));
}

#[tokio::test]
async fn a_matrix_speaks_of_the_namespaces_that_it_selects() {
    let setup = Setup::empty().await;
    let cluster = &setup.cluster;
    cluster.put(Kind::HostProfile, profile("el9", rhel9()));
    cluster.put(Kind::Node, node("node-1", &rhel9()));
    for (name, labels) in [
        ("shop", json!({"team": "shop", "stage": "prod"})),
        ("lab", json!({"team": "shop", "stage": "lab"})),
        ("other", json!({})),
    ] {
        cluster.put(Kind::Namespace, namespace(name, &labels));
    }
    let select = |labels: Value| json!({"matchLabels": labels});
    let warn = json!({"mode": "Warn", "namespaceSelector": select(json!({"team": "shop"}))});
    let enforce = json!({"mode": "Enforce", "rulePacks": [], "namespaceSelector": {
        "matchExpressions": [{"key": "stage", "operator": "In", "values": ["prod", "canary"]}]}});
    cluster.put(Kind::SupportMatrix, named("team", warn));
    cluster.put(Kind::SupportMatrix, named("stage", enforce));
    let stand = setup.ready().await;
    let [_, bad, old] = push(&stand);
    for (space, bad_image, old_image) in [
        // Two matrices: the stricter mode, the packs of both.
        (
            "shop",
            "Fail HF110: refused HF110",
            "Warn HF501: warned HF501",
        ),
        (
            "lab",
            "Fail HF110: warned HF110",
            "Warn HF501: warned HF501",
        ),
        ("other", "- -: let in", "- -: let in"),
        ("brand-new", "- -: let in", "- -: let in"),
    ] {
        assert_eq!(stand.judge(pod_in(space, &bad)).await, bad_image, "{space}");
        assert_eq!(stand.judge(pod_in(space, &old)).await, old_image, "{space}");
    }
}

#[tokio::test]
async fn a_refusal_says_what_why_and_what_to_do_to_people_and_programs() {
    let setup = Setup::ordinary(json!({"mode": "Enforce"})).await;
    let facts = json!({"os": "ubuntu", "osVersion": "26.04", "architecture": "s390x"});
    setup.cluster.put(Kind::Node, node("frame-1", &facts));
    setup
        .cluster
        .put(Kind::HostProfile, profile("frame", facts));
    let stand = setup.ready().await;
    let [_, bad, _] = push(&stand);
    let mut owned = pod(&bad);
    owned["metadata"]["labels"] = json!({"pod-template-hash": "7d9f"});
    owned["metadata"]["ownerReferences"] = json!([{"kind": "ReplicaSet", "name": "web-7d9f", "uid": "1", "apiVersion": "apps/v1", "controller": true}]);
    let answer = stand.validate(create(owned)).await;
    assert_eq!(
        answer.denial(),
        "pod shop/web fits none of the 2 host profiles that it may land on. HF110\n  \
         HF110 container web is built for linux/arm64; el9 (2 nodes) is linux/amd64.\n        \
         fix: build the image for linux/amd64 too, or select nodes with kubernetes.io/arch=arm64.\n  \
         HF110 container web is built for linux/arm64; frame (1 node) is linux/s390x.\n        \
         fix: build the image for linux/s390x too, or select nodes with kubernetes.io/arch=arm64.\n  \
         more: kubectl describe compat -n shop deploy-web  |  https://hostfit.dev/c/HF110"
    );
    let cause = |host: &str| {
        json!({
            "reason": "HF110", "field": "spec.containers[web].image",
            "message": format!("image is built for linux/arm64, host is {host}"),
        })
    };
    assert_eq!(
        answer.status,
        json!({
            "code": 403, "reason": "Forbidden", "message": answer.denial(),
            "details": {"causes": [cause("linux/amd64"), cause("linux/s390x")]},
        })
    );
    // Nobody owns it, so that no report will ever speak of it.
    let alone = stand.validate(create(pod(&bad))).await;
    assert!(
        alone
            .denial()
            .ends_with("\n  more: https://hostfit.dev/c/HF110"),
        "{}",
        alone.denial()
    );
}

#[tokio::test]
async fn one_host_that_fits_is_enough_unless_all_must() {
    for (host_policy, expected) in [("AnyReachable", "warned"), ("AllReachable", "refused")] {
        let setup = Setup::ordinary(json!({"mode": "Enforce", "hostPolicy": host_policy})).await;
        let facts = json!({"os": "ubuntu", "osVersion": "26.04", "architecture": "arm64"});
        setup.cluster.put(Kind::Node, node("arm-1", &facts));
        setup.cluster.put(Kind::HostProfile, profile("arm", facts));
        let stand = setup.ready().await;
        stand.registry.push("x86", "1", &fitting());
        let image = stand.image("x86:1");
        let judged = stand.judge(pod(&image)).await;
        assert_eq!(judged, format!("Partial HF110: {expected} HF110"));
        // The pod itself may say where it fits.
        let mut selecting = pod(&image);
        selecting["spec"]["nodeSelector"] = json!({"kubernetes.io/arch": "amd64"});
        assert_eq!(stand.judge(selecting).await, "Pass -: let in");
        let mut pinned = pod(&image);
        pinned["spec"]["nodeName"] = json!("arm-1");
        assert_eq!(stand.judge(pinned).await, "Fail HF110: refused HF110");
    }
}

#[tokio::test]
async fn what_is_unknown_is_refused_only_if_the_policy_says_so() {
    for (response, expected) in [
        ("Allow", "let in"),
        ("Warn", "warned HF906"),
        ("Deny", "refused HF906"),
    ] {
        let matrix = json!({"mode": "Enforce", "unknownPolicy": {"imageUnreadable": response}});
        let stand = Setup::ordinary(matrix).await.ready().await;
        let image = stand.image("evil/404:1");
        assert_eq!(
            stand.judge(pod(&image)).await,
            format!("Unknown HF906: {expected}")
        );
        if response == "Deny" {
            let answer = stand.validate(create(pod(&image))).await;
            assert!(
                answer
                    .denial()
                    .starts_with("it could not be told whether pod shop/web fits")
            );
        }
    }
}

#[tokio::test]
async fn a_host_of_which_something_is_not_known_refuses_only_if_the_policy_says_so() {
    for (response, expected) in [
        ("Allow", "let in"),
        ("Warn", "warned HF904"),
        ("Deny", "refused HF904"),
    ] {
        let matrix = json!({"mode": "Enforce", "unknownPolicy": {"hostUnknown": response}, "rules": [
            {"name": "v3", "image": {"repository": "*"}, "host": {"cgroup": 1}, "verdict": "Unsupported"}]});
        let stand = Setup::ordinary(matrix).await.ready().await;
        stand.registry.push("good", "1", &fitting());
        let judged = stand.judge(pod(&stand.image("good:1"))).await;
        assert_eq!(judged, format!("Unknown HF904: {expected}"));
    }
}

#[tokio::test]
async fn where_all_hosts_must_fit_it_does_not_matter_what_is_not_known_of_others() {
    let matrix = json!({"mode": "Enforce", "hostPolicy": "AllReachable", "unknownPolicy": {"hostUnknown": "Allow"}, "rules": [
        {"name": "v1", "image": {"repository": "*"}, "host": {"cgroup": 1}, "verdict": "Unsupported"}]});
    let setup = Setup::ordinary(matrix).await;
    let mut arm = rhel9();
    arm["architecture"] = json!("arm64");
    setup
        .cluster
        .put(Kind::HostProfile, profile("arm", arm.clone()));
    setup.cluster.put(Kind::Node, node("node-3", &arm));
    let stand = setup.ready().await;
    stand.registry.push("good", "1", &fitting());
    let pod = pod(&stand.image("good:1"));
    let judged = stand.judge(pod.clone()).await;
    assert_eq!(judged, "Unknown HF110,HF904: refused HF110");
    let answer = stand.validate(create(pod)).await;
    let denial = answer.denial();
    let expected =
        "pod shop/web does not fit all of the 2 host profiles that it may land on. HF110\n";
    assert!(denial.starts_with(expected), "{denial}");
}

#[tokio::test]
async fn a_pair_of_which_no_matrix_speaks_is_refused_only_if_the_policy_says_so() {
    for (response, expected) in [
        ("Allow", "Pass -: let in"),
        ("Warn", "Warn HF508: warned HF508"),
        ("Deny", "Fail HF508: refused HF508"),
    ] {
        let matrix = json!({"mode": "Enforce", "unknownPolicy": {"outsideMatrix": response}});
        let stand = Setup::ordinary(matrix).await.ready().await;
        stand.registry.push("good", "1", &fitting());
        let judged = stand.judge(pod(&stand.image("good:1"))).await;
        assert_eq!(judged, expected);
    }
}

#[tokio::test]
async fn who_is_refused_in_a_namespace_that_asks_for_less_learns_why() {
    let matrix = json!({"mode": "Enforce"});
    let setup = Setup::ordinary(matrix).await;
    for (name, label) in [("lab", "off"), ("odd", "Enforced"), ("fine", "enforce")] {
        let labels = json!({"hostfit.dev/mode": label});
        setup.cluster.put(Kind::Namespace, namespace(name, &labels));
    }
    let stand = setup.ready().await;
    let [_, bad, _] = push(&stand);
    for (space, expected) in [
        ("shop", None),
        ("fine", None),
        (
            "lab",
            Some(
                "  the label of namespace lab asks for mode \"off\", which namespaceOverrides: Tighten does not permit.",
            ),
        ),
        (
            "odd",
            Some(
                "  the label of namespace odd asks for mode \"Enforced\", which is none of off, audit, warn and enforce.",
            ),
        ),
    ] {
        let answer = stand.validate(create(pod_in(space, &bad))).await;
        let told = answer.denial().lines().find(|it| it.contains("label of"));
        assert_eq!(told, expected, "{space}");
    }
}

#[tokio::test]
async fn the_handler_of_a_runtime_class_is_known_and_what_people_state_of_it_counts() {
    let stated = json!([{"handler": "own", "facts": {"kernel": "2.6.18"}}]);
    let matrix =
        json!({"mode": "Enforce", "rulePacks": ["recommended"], "runtimeHandlers": stated});
    let setup = Setup::ordinary(matrix).await;
    let class = |name: &str, handler: &str| {
        let scheduling = json!({"nodeSelector": {"kubernetes.io/hostname": "node-2"}});
        json!({"metadata": {"name": name}, "handler": handler, "scheduling": scheduling})
    };
    setup
        .cluster
        .put(Kind::RuntimeClass, class("secure", "own"));
    let stand = setup.ready().await;
    // Debian 9, by the layer of the published image: its C library asks for kernel 2.6.32.
    let layer = "sha256:f73e7e79899a33b4b9b78da62efb71520844f8dd518f3c390e27bc3063bce307";
    let image = Image {
        diff_ids: vec![layer.to_owned()],
        ..Image::default()
    };
    stand.registry.push("debian", "1", &image);
    let mut sandboxed = pod(&stand.image("debian:1"));
    sandboxed["spec"]["runtimeClassName"] = json!("secure");
    // A newer kernel than that of the handler is needed.
    let judged = stand.judge(sandboxed.clone()).await;
    assert_eq!(judged, "Fail HF201: refused HF201");
    let mut template = workload("Deployment", &stand.image("debian:1"));
    template["spec"]["template"]["spec"]["runtimeClassName"] = json!("secure");
    let refused = create_other(("apps", "deployments"), template);
    let answer = stand.validate(refused).await;
    assert!(
        answer.denial().contains("in RuntimeClass secure"),
        "{answer:?}"
    );
    stand
        .cluster
        .put(Kind::RuntimeClass, class("secure", "runsc"));
    stand
        .until("the handler has changed", async || {
            // gVisor says 4.4.
            stand.judge(sandboxed.clone()).await == "Pass -: let in"
        })
        .await;
}
