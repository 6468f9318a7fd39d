//! Pull secrets of pods: those of permitted namespaces are used as the kubelet would, no other is ever asked for, and a
//! refusal names the one that was missing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hostfit_tests::cluster::{Kind, Trouble};
use hostfit_tests::registry::Guard;
use serde_json::{Value, json};

use super::pods::fitting;
use super::review::{create, pod};
use super::stand::{Setup, Stand, namespace};

const PASSWORD: &str = "hunter2";

/// A pull secret with one login for `host`.
fn secret(host: &str, name: &str, password: &str) -> Value {
    let login = json!({"auths": {host: {"username": "me", "password": password}}});
    json!({
        "metadata": {"name": name, "namespace": "shop"},
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": STANDARD.encode(login.to_string())},
    })
}

fn account(name: &str, secrets: &[&str]) -> Value {
    let secrets: Vec<_> = secrets.iter().map(|name| json!({"name": name})).collect();
    json!({"metadata": {"name": name, "namespace": "shop"}, "imagePullSecrets": secrets})
}

/// A pod of `namespace` that names these secrets.
fn with_secrets(stand: &Stand, namespace: &str, secrets: &[&str]) -> Value {
    let mut pod = pod(&stand.image("private:1"));
    pod["metadata"]["namespace"] = json!(namespace);
    let secrets: Vec<_> = secrets.iter().map(|name| json!({"name": name})).collect();
    pod["spec"]["imagePullSecrets"] = json!(secrets);
    pod
}

/// A private image, and a webhook that may read the pull secrets of these namespaces.
async fn permitting(namespaces: &str, prepare: impl FnOnce(&Setup)) -> Stand {
    let mut setup = Setup::ordinary(json!({"mode": "Enforce"})).await;
    setup.registry.push("private", "1", &fitting());
    let guard = Guard::Basic(format!("me:{PASSWORD}"));
    setup.registry.guard("private", guard);
    setup
        .cluster
        .put(Kind::Namespace, namespace("other", &json!({})));
    prepare(&setup);
    if !namespaces.is_empty() {
        setup.set("HOSTFIT_PULL_SECRET_NAMESPACES", namespaces);
    }
    setup.ready().await
}

/// Waits until a pod is judged so.
async fn judged(stand: &Stand, pod: &Value, expected: &str) {
    stand
        .until(expected, async || {
            stand.judge(pod.clone()).await == expected
        })
        .await;
}

const LET_IN: &str = "Pass -: let in";
const REFUSED: &str = "Unknown HF901: warned HF901";

#[tokio::test]
async fn a_pod_gets_in_with_its_own_secrets_or_those_of_its_account() {
    let stand = permitting("shop", |setup| {
        let (cluster, host) = (&setup.cluster, setup.registry.host());
        cluster.put(Kind::Secret, secret(host, "good", PASSWORD));
        cluster.put(Kind::Secret, secret(host, "old-password", "hunter1"));
        cluster.put(Kind::ServiceAccount, account("default", &["good"]));
        cluster.put(Kind::ServiceAccount, account("poor", &[]));
    })
    .await;
    judged(&stand, &with_secrets(&stand, "shop", &["good"]), LET_IN).await;
    // Several are tried in turn, and one that is not there takes none of the others away.
    let several = with_secrets(&stand, "shop", &["absent", "old-password", "good"]);
    judged(&stand, &several, LET_IN).await;
    let by_account = with_secrets(&stand, "shop", &[]);
    judged(&stand, &by_account, LET_IN).await;
    let mut poor = by_account.clone();
    poor["spec"]["serviceAccountName"] = json!("poor");
    judged(&stand, &poor, REFUSED).await;
    // Whoever does not have the secret gets nothing of what it has opened.
    let wrong = with_secrets(&stand, "shop", &["old-password"]);
    judged(&stand, &wrong, REFUSED).await;
    judged(&stand, &with_secrets(&stand, "other", &["good"]), REFUSED).await;
    // On a hit nobody is asked, neither the registry nor the API server.
    judged(&stand, &by_account, LET_IN).await;
    let before = (stand.registry.seen().len(), stand.cluster.seen().len());
    assert_eq!(stand.judge(by_account).await, LET_IN);
    let after = (stand.registry.seen().len(), stand.cluster.seen().len());
    assert_eq!(before, after);
    assert!(!stand.log().contains("hunter"), "{}", stand.log());
}

#[tokio::test]
async fn no_secret_is_asked_for_outside_the_namespaces_that_are_named() {
    for (namespaces, expected) in [("", &[][..]), ("shop", &["shop"][..])] {
        let stand = permitting(namespaces, |_| {}).await;
        for namespace in ["shop", "other"] {
            let pod = with_secrets(&stand, namespace, &["regcred"]);
            judged(&stand, &pod, REFUSED).await;
        }
        let seen = stand.cluster.seen();
        let asked = seen
            .iter()
            .filter(|it| it.contains("secrets") || it.contains("accounts"));
        let mut asked: Vec<_> = asked
            .filter_map(|it| it.split_once(" in "))
            .map(|it| it.1)
            .collect();
        asked.sort_unstable();
        asked.dedup();
        assert_eq!(asked, expected);
        let whole = seen
            .iter()
            .any(|it| it.ends_with("secrets") || it.ends_with("accounts"));
        assert!(!whole, "{seen:?}");
    }
}

#[tokio::test]
async fn a_refusal_names_the_secret_and_what_to_do() {
    let stand = permitting("shop", |setup| {
        let mut bad = secret(setup.registry.host(), "bad", PASSWORD);
        bad["data"][".dockerconfigjson"] = json!(STANDARD.encode("hunter3"));
        setup.cluster.put(Kind::Secret, bad);
    })
    .await;
    let warning = async |namespace: &str, name: &str| {
        let pod = with_secrets(&stand, namespace, &[name]);
        stand.validate(create(pod)).await.warnings.join("\n")
    };
    stand
        .until("the secrets are listed", async || {
            warning("shop", "bad").await.contains("holds no login")
        })
        .await;
    let permit = warning("other", "regcred").await;
    assert!(
        permit.contains("pull secret other/regcred is outside registry.pullSecretNamespaces"),
        "{permit}"
    );
    let absent = warning("shop", "regcred").await;
    assert!(
        absent.contains("pull secret shop/regcred is not there"),
        "{absent}"
    );
    // One that comes later is used at once, although the refusal is still remembered.
    let host = stand.registry.host();
    stand
        .cluster
        .put(Kind::Secret, secret(host, "regcred", PASSWORD));
    judged(&stand, &with_secrets(&stand, "shop", &["regcred"]), LET_IN).await;
    stand.cluster.delete(Kind::Secret, "shop/regcred");
    judged(&stand, &with_secrets(&stand, "shop", &["regcred"]), REFUSED).await;
    assert!(!stand.log().contains("hunter"), "{}", stand.log());
}

#[tokio::test]
async fn a_right_that_is_missing_stops_nothing_but_the_secrets() {
    let stand = permitting("shop", |setup| {
        setup
            .cluster
            .trouble(Kind::Secret, Some(Trouble::Forbidden));
    })
    .await;
    let pod = with_secrets(&stand, "shop", &["regcred"]);
    let told = stand.validate(create(pod)).await.warnings.join("\n");
    assert!(
        told.contains("pull secret shop/regcred has not been read yet"),
        "{told}"
    );
    let log = stand.log();
    let told = log
        .lines()
        .find(|it| it.contains("not allowed to list secrets"));
    assert!(
        told.is_some_and(|it| it.contains("\"namespace\":\"shop\"")),
        "{log}"
    );
}
