//! Shapes of pods: whatever names an image is judged, and nothing slips by.

use hostfit_tests::registry::Image;
use serde_json::{Value, json};

use super::review::{create, patched, pod, update};
use super::stand::{Setup, Stand};

/// A webhook that refuses, with an image that fits and one that does not.
pub(super) async fn strict() -> (Stand, String, String) {
    let stand = Setup::ordinary(json!({"mode": "Enforce"}))
        .await
        .ready()
        .await;
    stand.registry.push("good", "1", &fitting());
    // Of two platforms: a single manifest is mounted as a volume whatever it is built for.
    let misfits = ["arm64", "s390x"].map(|it| Image::of("linux", it));
    stand.registry.push_index("bad", "1", &misfits, &[]);
    let (good, bad) = (stand.image("good:1"), stand.image("bad:1"));
    (stand, good, bad)
}

/// Debian unstable, by the layers of the published image: it has no end of life.
pub(super) fn fitting() -> Image {
    let layer = "sha256:490094f82074215532805f5ed144313ad0863a11d056045adecef46a97132917";
    Image {
        diff_ids: vec![layer.to_owned()],
        ..Image::default()
    }
}

#[tokio::test]
async fn everything_that_names_an_image_is_judged() {
    let (stand, good, bad) = strict().await;
    let spec = |field: &str, entry: Value| {
        let mut pod = pod(&good);
        pod["spec"][field] = json!([entry]);
        pod
    };
    let container = json!({"name": "x", "image": bad});
    let sidecar = json!({"name": "x", "image": bad, "restartPolicy": "Always"});
    let volume = json!({"name": "x", "image": {"reference": bad, "pullPolicy": "Always"}});
    for (pod, field, noun) in [
        (
            spec("containers", container.clone()),
            "containers",
            "container x",
        ),
        (
            spec("initContainers", container.clone()),
            "initContainers",
            "init container x",
        ),
        (
            spec("initContainers", sidecar),
            "initContainers",
            "init container x",
        ),
        (
            spec("ephemeralContainers", container),
            "ephemeralContainers",
            "ephemeral container x",
        ),
        (spec("volumes", volume), "volumes", "image volume x"),
    ] {
        let answer = stand.validate(create(pod)).await;
        assert_eq!(answer.summary(), "refused HF110", "{field}");
        let cause = &answer.status["details"]["causes"][0];
        assert_eq!(cause["field"], format!("spec.{field}[x].image"));
        assert_eq!(
            cause["message"],
            "image is built for linux/arm64, linux/s390x, host is linux/amd64"
        );
        assert!(
            answer.denial().contains(&format!("HF110 {noun} is built")),
            "{}",
            answer.denial()
        );
    }
    assert_eq!(stand.judge(pod(&good)).await, "Pass -: let in");
}

#[tokio::test]
async fn ephemeral_containers_come_through_their_own_subresource() {
    let (stand, good, bad) = strict().await;
    let mut debugged = pod(&good);
    debugged["spec"]["ephemeralContainers"] = json!([{"name": "debug", "image": bad}]);
    let mut request = update(pod(&good), debugged.clone());
    request["subResource"] = json!("ephemeralcontainers");
    request["requestSubResource"] = json!("ephemeralcontainers");
    assert_eq!(
        stand.validate(request.clone()).await.summary(),
        "refused HF110"
    );
    request["oldObject"] = debugged;
    assert!(stand.validate(request).await.is_silent());
}

#[tokio::test]
async fn only_updates_that_change_an_image_are_judged() {
    let (stand, good, bad) = strict().await;
    let change = |pointer: &str, value: Value| {
        let mut pod = pod(&bad);
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        pod.pointer_mut(parent).unwrap()[key] = value;
        pod
    };
    // A pod that would be refused today may live on: what lets it end is no business of ours.
    for harmless in [
        change("/metadata/labels", json!({"a": "b"})),
        change("/metadata/finalizers", json!([])),
        change("/metadata/deletionTimestamp", json!("2026-01-01T00:00:00Z")),
        change("/spec/activeDeadlineSeconds", json!(1)),
        change("/spec/tolerations", json!([{"operator": "Exists"}])),
        change("/status", json!({"phase": "Failed"})),
    ] {
        let request = update(pod(&bad), harmless);
        assert!(
            stand.validate(request.clone()).await.is_silent(),
            "{request}"
        );
    }
    assert_eq!(stand.registry.take(), [""; 0]);

    let refused = "refused HF110";
    assert_eq!(
        stand
            .validate(update(pod(&good), pod(&bad)))
            .await
            .summary(),
        refused
    );
    // A pod that is being deleted still runs what it is told to.
    let mut leaving = pod(&bad);
    leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    assert_eq!(
        stand.validate(update(pod(&good), leaving)).await.summary(),
        refused
    );
    let mut more = pod(&good);
    more["spec"]["volumes"] = json!([{"name": "v", "image": {"reference": bad}}]);
    assert_eq!(
        stand.validate(update(pod(&good), more)).await.summary(),
        refused
    );
    assert!(
        stand
            .validate(update(pod(&bad), pod(&good)))
            .await
            .is_silent()
    );
    // An old object on a creation is none.
    let mut forged = create(pod(&bad));
    forged["oldObject"] = pod(&bad);
    assert_eq!(stand.validate(forged).await.summary(), refused);
}

#[tokio::test]
async fn only_the_kubelets_own_mirror_pods_are_left_alone() {
    let (stand, _, bad) = strict().await;
    let mut mirror = pod(&bad);
    mirror["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "0ab1"});
    mirror["metadata"]["ownerReferences"] = json!([{"apiVersion": "v1", "kind": "Node", "name": "node-1", "uid": "1", "controller": true}]);
    let mut real = create(mirror);
    real["userInfo"] = json!({"username": "system:node:node-1", "groups": ["system:nodes", "system:authenticated"]});
    assert!(stand.validate(real.clone()).await.is_silent());
    assert!(stand.mutate(real.clone()).await.is_silent());
    for spoof in [
        (|it: &mut Value| it["userInfo"]["groups"] = json!(["system:authenticated"]))
            as fn(&mut Value),
        |it| drop(it["userInfo"].as_object_mut().unwrap().remove("groups")),
        |it| it["userInfo"]["groups"] = json!(["system:nodes:x", "system:node"]),
        |it| {
            drop(
                it["object"]["metadata"]
                    .as_object_mut()
                    .unwrap()
                    .remove("ownerReferences"),
            )
        },
        |it| it["object"]["metadata"]["ownerReferences"][0]["kind"] = json!("ReplicaSet"),
        |it| it["object"]["metadata"]["annotations"] = json!({}),
        |it| {
            it["object"]["metadata"]["annotations"] = json!({"kubernetes.io/config.source": "file"})
        },
    ] {
        let mut request = real.clone();
        spoof(&mut request);
        assert_eq!(
            stand.validate(request.clone()).await.summary(),
            "refused HF110",
            "{request}"
        );
    }
}

#[tokio::test]
async fn what_is_no_reference_is_unknown_with_the_reason() {
    let (stand, good, _) = strict().await;
    for (reference, reason) in [
        ("", "the image reference is empty"),
        ("${IMAGE}", "the image reference is a placeholder"),
        (
            "app:{{ .Values.tag }}",
            "the image reference is a placeholder",
        ),
        ("<registry>/app", "the image reference is a placeholder"),
        ("UPPER/Case", "the repository"),
        ("registry.example/../../etc/passwd", "the repository"),
        ("registry.example/app?x=y", "the repository"),
        (
            "registry.example:99999/app",
            "the registry in the image reference",
        ),
        ("app:a b", "the tag"),
        ("app@sha256:short", "the digest"),
        ("app\r\nHost: evil", "the tag"),
    ] {
        assert_eq!(
            stand.judge(pod(reference)).await,
            "Unknown HF908: warned HF908",
            "{reference:?}"
        );
        let warning = stand
            .validate(create(pod(reference)))
            .await
            .warnings
            .remove(0);
        assert!(warning.contains(reason), "{warning}");
    }
    let mut none = pod(&good);
    none["spec"]["containers"][0]
        .as_object_mut()
        .unwrap()
        .remove("image");
    assert_eq!(stand.judge(none).await, "Unknown HF908: warned HF908");
    // An image volume may be filled in later.
    let mut later = pod(&good);
    later["spec"]["volumes"] = json!([{"name": "v", "image": {"reference": ""}}]);
    assert_eq!(stand.judge(later).await, "Pass -: let in");
    assert!(stand.log().lines().all(|line| !line.contains("Host: evil")));
}

#[tokio::test]
async fn annotations_tell_the_verdict_once_and_nobody_else_may() {
    let (stand, good, bad) = strict().await;
    let forged = json!({
        "hostfit.dev/verdict": "Pass", "hostfit.dev/findings": "none", "hostfit.dev/report": "mine",
        "other": "stays", "hostfit.dev/other": "stays, too",
    });
    let mut owned = pod(&bad);
    owned["metadata"]["annotations"] = forged;
    owned["metadata"]["labels"] = json!({"pod-template-hash": "7d9f"});
    owned["metadata"]["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "shop-7d9f", "uid": "1", "controller": true}]);
    let answer = stand.mutate(create(owned.clone())).await;
    let after = patched(&owned, &answer);
    assert_eq!(
        after["metadata"]["annotations"],
        json!({
            "hostfit.dev/verdict": "Fail", "hostfit.dev/findings": "HF110", "hostfit.dev/report": "deploy-shop",
            "other": "stays", "hostfit.dev/other": "stays, too",
        })
    );
    // Called again, as after another webhook, it has nothing left to say.
    assert!(stand.mutate(create(after)).await.is_silent());

    let mut clean = pod(&good);
    clean["metadata"]["annotations"] = json!({"hostfit.dev/findings": "HF110"});
    clean["metadata"]["generateName"] = json!("web-");
    clean["metadata"].as_object_mut().unwrap().remove("name");
    let answer = stand.mutate(create(clean.clone())).await;
    let after = patched(&clean, &answer);
    assert_eq!(
        after["metadata"]["annotations"],
        json!({"hostfit.dev/verdict": "Pass"})
    );
    assert!(stand.mutate(create(after)).await.is_silent());
}

#[tokio::test]
async fn in_mode_warn_the_first_call_says_all_that_the_second_would() {
    for (mode, alone) in [
        ("Warn", "let in, warned HF501, warned HF110, warned HF906"),
        ("Enforce", "let in, let in, let in, let in"),
        ("Audit", "let in, let in, let in, let in"),
    ] {
        let stand = Setup::ordinary(json!({"mode": mode})).await.ready().await;
        stand.registry.push("good", "1", &fitting());
        let old = Image::default().label("org.opencontainers.image.base.name", "debian:10");
        stand.registry.push("old", "1", &old);
        stand
            .registry
            .push("bad", "1", &Image::of("linux", "arm64"));
        let mut said = Vec::new();
        for image in ["good:1", "old:1", "bad:1", "missing/404:1"].map(|it| stand.image(it)) {
            let mut pod = pod(&image);
            let first = stand.mutate(create(pod.clone())).await;
            said.push(first.summary());
            let second = stand.validate(create(patched(&pod, &first))).await;
            assert!(
                mode != "Warn" || first.warnings == second.warnings,
                "{image}: {first:?} {second:?}"
            );
            let mut unnamed = pod.clone();
            unnamed["metadata"].as_object_mut().unwrap().remove("name");
            unnamed["metadata"]["generateName"] = json!("web-");
            let first = stand.mutate(create(unnamed.clone())).await;
            // The API server names it in between.
            unnamed["metadata"]["name"] = json!("web-x7k2p");
            let second = stand.validate(create(unnamed)).await;
            assert!(
                mode != "Warn" || first.warnings == second.warnings,
                "{first:?} {second:?}"
            );
            // Nobody reads what is said of a controller's pods.
            pod["metadata"]["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web", "uid": "1", "controller": true}]);
            assert_eq!(stand.mutate(create(pod)).await.summary(), "let in");
        }
        assert_eq!(said.join(", "), alone, "{mode}");
    }
}

#[tokio::test]
async fn pods_need_not_be_annotated() {
    let mut setup = Setup::ordinary(json!({"mode": "Enforce"})).await;
    setup.set("HOSTFIT_ANNOTATE_PODS", "false");
    let stand = setup.ready().await;
    stand
        .registry
        .push("bad", "1", &Image::of("linux", "arm64"));
    assert_eq!(
        stand.judge(pod(&stand.image("bad:1"))).await,
        "- -: refused HF110"
    );
}
