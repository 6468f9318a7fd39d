//! CompatExceptions at admission: what they accept, silently, and until which second.

use std::time::Duration;

use hostfit_tests::cluster::Kind;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::pods::strict;
use super::review::{create, create_other, patched, pod};
use super::stand::{Setup, Stand};

fn exception(namespace: &str, change: &[(&str, Value)]) -> Value {
    let mut spec = json!({
        "codes": ["HF110"], "images": ["*"],
        "reason": "the image runs under an emulator", "expirationTime": "2099-01-01T00:00:00Z",
    });
    for (key, value) in change {
        spec[*key] = value.clone();
    }
    json!({"metadata": {"name": "emulated", "namespace": namespace, "managedFields": []}, "spec": spec})
}

fn labelled(image: &str, app: &str) -> Value {
    let mut pod = pod(image);
    pod["metadata"]["labels"] = json!({"app": app});
    pod
}

/// The annotations of a pod that is let in.
async fn annotations(stand: &Stand, pod: Value) -> Value {
    let answer = stand.mutate(create(pod.clone())).await;
    patched(&pod, &answer)["metadata"]["annotations"].clone()
}

#[tokio::test]
async fn what_is_excepted_is_let_in_without_a_word_and_annotated() {
    let (stand, _, bad) = strict().await;
    let pod = || labelled(&bad, "web");
    assert_eq!(stand.judge(pod()).await, "Fail HF110: refused HF110");
    let put = |namespace: &str, change: &[(&str, Value)]| {
        stand
            .cluster
            .put(Kind::CompatException, exception(namespace, change));
    };
    put("shop", &[]);
    stand
        .until("the exception counts", async || {
            stand.judge(pod()).await == "Pass -: let in"
        })
        .await;
    let told = annotations(&stand, pod()).await;
    assert_eq!(told["hostfit.dev/excepted"], "HF110");
    let template = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"template": {"metadata": {"labels": {"app": "web"}}, "spec": pod()["spec"]}},
    });
    let template = create_other(("apps", "deployments"), template);
    // Each of these accepts something else.
    for change in [
        vec![("selector", json!({"matchLabels": {"app": "other"}}))],
        vec![("images", json!(["registry.example/*"]))],
        vec![("hostProfiles", json!(["el8*"]))],
        vec![("codes", json!(["HF5*"]))],
        // And these nothing at all.
        vec![("codes", json!(["HF110", "HF11O"]))],
        vec![("images", json!([])), ("selector", json!({}))],
        vec![("expirationTime", json!("2020-01-01T00:00:00Z"))],
    ] {
        put("shop", &change);
        stand
            .until("the exception does not count", async || {
                stand.judge(pod()).await == "Fail HF110: refused HF110"
            })
            .await;
        assert_eq!(
            stand.validate(template.clone()).await.summary(),
            "refused HF110",
            "{change:?}"
        );
        // One that does, so that the next is waited for.
        put(
            "shop",
            &[
                ("selector", json!({"matchLabels": {"app": "web"}})),
                ("hostProfiles", json!(["el9"])),
            ],
        );
        stand
            .until("the exception counts", async || {
                stand.judge(pod()).await == "Pass -: let in"
            })
            .await;
        assert_eq!(
            stand.validate(template.clone()).await.summary(),
            "let in",
            "{change:?}"
        );
    }
    stand.cluster.delete(Kind::CompatException, "shop/emulated");
    put("other", &[]);
    stand
        .until(
            "an exception of another namespace does not count",
            async || stand.judge(pod()).await == "Fail HF110: refused HF110",
        )
        .await;
    assert_eq!(
        annotations(&stand, pod()).await["hostfit.dev/excepted"],
        Value::Null
    );
}

#[tokio::test]
async fn it_ends_at_that_very_second() {
    let (stand, _, bad) = strict().await;
    let now = Timestamp::now();
    let expiry = (now + SignedDuration::from_secs(6)).as_second();
    let expires = Timestamp::from_second(expiry).unwrap();
    let ends = [("expirationTime", json!(expires.to_string()))];
    stand
        .cluster
        .put(Kind::CompatException, exception("shop", &ends));
    let review = || create(labelled(&bad, "web"));
    stand
        .until("the exception counts", async || {
            stand.validate(review()).await.allowed
        })
        .await;
    // The same pod, so that its judgement is remembered, until some answers after the end.
    let (mut before, mut after) = (0, 0);
    while after < 5 {
        let asked = Timestamp::now();
        let allowed = stand.validate(review()).await.allowed;
        let answered = Timestamp::now();
        if answered < expires {
            assert!(allowed, "refused at {answered}, before {expires}");
            before += 1;
        }
        if asked >= expires {
            assert!(!allowed, "let in at {asked}, after {expires}");
            after += 1;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert!(before > 0, "the exception was seen too late");
}

#[tokio::test]
async fn the_matrix_says_which_codes_may_be_excepted() {
    let matrix = |codes: Value| json!({"mode": "Enforce", "exceptionCodes": codes});
    let stand = Setup::ordinary(matrix(json!(["HF5*"]))).await.ready().await;
    let image = hostfit_tests::registry::Image::of("linux", "arm64");
    stand.registry.push("bad", "1", &image);
    let bad = stand.image("bad:1");
    stand.cluster.put(
        Kind::CompatException,
        exception("shop", &[("codes", json!(["*"]))]),
    );
    let judged = async || stand.judge(pod(&bad)).await;
    let matrix = |codes: Value| super::stand::named("default", matrix(codes));
    for (codes, expected) in [
        (json!(["*"]), "Pass -: let in"),
        (json!([]), "Fail HF110: refused HF110"),
        (json!(["HF110"]), "Pass -: let in"),
        (json!(["HF5*"]), "Fail HF110: refused HF110"),
    ] {
        stand
            .cluster
            .put(Kind::SupportMatrix, matrix(codes.clone()));
        stand
            .until("the matrix is read", async || judged().await == expected)
            .await;
    }
    // A code that is none is no matrix: the last good one stays.
    stand
        .cluster
        .put(Kind::SupportMatrix, matrix(json!(["*", "HF999"])));
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(judged().await, "Fail HF110: refused HF110");
}

#[tokio::test]
async fn what_cannot_be_told_is_no_pass_and_is_not_held_against_the_pod() {
    let matrix = json!({"mode": "Enforce", "unknownPolicy": {"imageUnreadable": "Deny"}});
    let stand = Setup::ordinary(matrix).await.ready().await;
    let missing = stand.image("missing:1");
    assert_eq!(
        stand.judge(pod(&missing)).await,
        "Unknown HF906: refused HF906"
    );
    stand.cluster.put(
        Kind::CompatException,
        exception("shop", &[("codes", json!(["HF906"]))]),
    );
    stand
        .until("the exception counts", async || {
            stand.judge(pod(&missing)).await == "Unknown -: let in"
        })
        .await;
}
