//! What the cluster tells and withholds: never ready without all of it, and never worse than the last good state.

use std::fs;

use hostfit_tests::cluster::{Kind, Trouble};
use hostfit_tests::registry::Image;
use serde_json::{Value, json};

use super::pods::fitting;
use super::review::pod;
use super::stand::{Setup, Stand, named, namespace, node, profile, rhel9};

const REFUSED: &str = "Fail HF110: refused HF110";

/// Pushes an image that fits no host of these tests.
fn misfit(stand: &Stand) -> Value {
    stand
        .registry
        .push("bad", "1", &Image::of("linux", "arm64"));
    pod(&stand.image("bad:1"))
}

fn in_namespace(mut pod: Value, namespace: &str) -> Value {
    pod["metadata"]["namespace"] = json!(namespace);
    pod
}

async fn judged(stand: &Stand, pod: &Value, expected: &str) {
    let as_expected = async || stand.judge(pod.clone()).await == expected;
    stand.until(expected, as_expected).await;
}

#[tokio::test]
async fn ready_means_that_every_watch_has_synced() {
    let setup = Setup::ordinary(json!({"mode": "Enforce"})).await;
    for kind in Kind::ALL {
        setup.cluster.trouble(kind, Some(Trouble::Hangs));
    }
    let stand = setup.start().await;
    let bad = misfit(&stand);
    let (last, first) = Kind::ALL.split_last().unwrap();
    for kind in first {
        let (status, text) = stand.admin("/readyz").await;
        assert_eq!(status, 503, "{text}");
        assert!(
            text.contains(&format!("[-]watch {}: listing", kind.plural())),
            "{text}"
        );
        stand.cluster.trouble(*kind, None);
        let line = format!("[+]watch {}\n", kind.plural());
        let synced = async || stand.admin("/readyz").await.1.contains(&line);
        stand.until("it has synced", synced).await;
    }
    let (status, text) = stand.admin("/readyz").await;
    assert_eq!(status, 503, "{text}");
    assert!(text.contains("[-]snapshot: not yet"), "{text}");
    // What is asked nevertheless is let in: nothing is made of what is not known.
    assert_eq!(stand.judge(bad.clone()).await, "- -: let in");
    assert_eq!(stand.admin("/livez").await.0, 200);
    stand.cluster.trouble(*last, None);
    stand.until_ready().await;
    assert_eq!(stand.judge(bad).await, REFUSED);
    let (_, text) = stand.admin("/readyz").await;
    assert!(text.lines().all(|line| line.starts_with("[+]")), "{text}");
}

#[tokio::test]
async fn without_its_kinds_or_rights_it_says_what_to_do_and_recovers_by_itself() {
    let setup = Setup::ordinary(json!({"mode": "Enforce"})).await;
    setup
        .cluster
        .trouble(Kind::SupportMatrix, Some(Trouble::Missing));
    setup
        .cluster
        .trouble(Kind::HostProfile, Some(Trouble::Missing));
    setup
        .cluster
        .trouble(Kind::Namespace, Some(Trouble::Forbidden));
    let stand = setup.start().await;
    let says = async |line: &str| {
        let said = async || stand.admin("/readyz").await.1.contains(line);
        stand.until(line, said).await;
        assert_eq!(stand.admin("/readyz").await.0, 503);
    };
    says("[-]watch supportmatrices: the API server has no kind SupportMatrix of hostfit.dev/v1alpha1: install the CustomResourceDefinition supportmatrices.hostfit.dev").await;
    says("install the CustomResourceDefinition hostprofiles.hostfit.dev").await;
    says("[-]watch namespaces: not allowed to list namespaces: grant the verb list on namespaces to the service account of this pod").await;
    for kind in Kind::ALL {
        stand.cluster.trouble(kind, None);
    }
    stand.until_ready().await;
    let bad = misfit(&stand);
    assert_eq!(stand.judge(bad).await, REFUSED);
}

#[tokio::test]
async fn what_is_lost_later_leaves_the_last_good_state() {
    let stand = Setup::ordinary(json!({"mode": "Enforce"}))
        .await
        .ready()
        .await;
    let bad = misfit(&stand);
    assert_eq!(stand.judge(bad.clone()).await, REFUSED);
    for kind in Kind::ALL {
        stand.cluster.trouble(kind, Some(Trouble::Missing));
    }
    let line = "[+]watch supportmatrices: the API server has no kind SupportMatrix";
    let noticed = async || stand.admin("/readyz").await.1.contains(line);
    stand.until("the loss is shown", noticed).await;
    assert_eq!(stand.admin("/readyz").await.0, 200);
    assert_eq!(stand.judge(bad).await, REFUSED);
}

#[tokio::test]
async fn changes_of_the_cluster_are_followed_also_over_a_compacted_history() {
    let stand = Setup::ordinary(json!({"mode": "Enforce"}))
        .await
        .ready()
        .await;
    let bad = misfit(&stand);
    assert_eq!(stand.judge(bad.clone()).await, REFUSED);
    stand.cluster.put(
        Kind::SupportMatrix,
        named("default", json!({"mode": "Warn"})),
    );
    judged(&stand, &bad, "Fail HF110: warned HF110").await;
    // While nobody looks, something changes, and then the history of it is gone.
    stand.cluster.put(
        Kind::SupportMatrix,
        named("default", json!({"mode": "Enforce"})),
    );
    stand.cluster.expire(Kind::SupportMatrix);
    judged(&stand, &bad, REFUSED).await;
    stand.cluster.put(
        Kind::Namespace,
        namespace("shop", &json!({"hostfit.dev/mode": "off"})),
    );
    stand.cluster.put(
        Kind::SupportMatrix,
        named(
            "default",
            json!({"mode": "Enforce", "namespaceOverrides": "Any"}),
        ),
    );
    judged(&stand, &bad, "- -: let in").await;
    stand.cluster.delete(Kind::Namespace, "shop");
    judged(&stand, &bad, REFUSED).await;
    stand.cluster.delete(Kind::SupportMatrix, "default");
    judged(&stand, &bad, "- -: let in").await;
}

#[tokio::test]
async fn a_matrix_that_cannot_be_read_keeps_its_last_good_state() {
    let stand = Setup::ordinary(json!({"mode": "Enforce"}))
        .await
        .ready()
        .await;
    let bad = misfit(&stand);
    assert_eq!(stand.judge(bad.clone()).await, REFUSED);
    let row = |row: Value| json!({"mode": "Audit", "rules": [row]});
    for (number, wrong) in [
        json!({"mode": "Nonsense"}),
        json!({"mode": "Audit", "rules": "none"}),
        row(json!({"name": "typo", "image": {"distro": "debian", "distrVersion": "12"}, "verdict": "Supported"})),
        row(json!({"name": "range", "image": {"distroVersion": ">=10 <9"}, "verdict": "Supported"})),
        row(json!({"name": "empty", "verdict": "Supported"})),
        json!({"mode": "Audit", "rules": [
            {"name": "a", "image": {"distro": "debian"}, "verdict": "Supported"},
            {"name": "b", "image": {"distro": "debian"}, "verdict": "Unsupported"}]}),
    ]
    .into_iter()
    .enumerate()
    {
        stand.cluster.put(Kind::SupportMatrix, named("default", wrong.clone()));
        // A later matrix: when it is followed, the wrong one has been read, too.
        let space = format!("space-{number}");
        let labels = json!({"number": number.to_string()});
        stand.cluster.put(Kind::Namespace, namespace(&space, &labels));
        let off = json!({"mode": "Audit", "namespaceSelector": {"matchLabels": labels}});
        stand.cluster.put(Kind::SupportMatrix, named(&format!("later-{number}"), off.clone()));
        let strict = json!({"mode": "Warn", "rulePacks": ["eol"], "unknownPolicy": {"imageUnreadable": "Deny"}, "namespaceSelector": {"matchLabels": labels}});
        stand.cluster.put(Kind::SupportMatrix, named(&format!("later-{number}"), strict));
        let unreadable = in_namespace(pod("${X}"), &space);
        judged(&stand, &unreadable, "Unknown HF908: refused HF908").await;
        assert_eq!(stand.judge(bad.clone()).await, REFUSED, "{wrong}");
    }
    stand.cluster.put(
        Kind::SupportMatrix,
        named("default", json!({"mode": "Warn"})),
    );
    judged(&stand, &bad, "Fail HF110: warned HF110").await;
}

#[tokio::test]
async fn one_object_that_cannot_be_read_does_not_hide_the_others() {
    let setup = Setup::ordinary(json!({"mode": "Enforce"})).await;
    for kind in Kind::ALL {
        let garbage =
            json!({"metadata": {"name": "aaa-garbage"}, "spec": "garbage", "status": [7]});
        setup.cluster.put(kind, garbage);
    }
    let odd = json!({"os": "rhel", "kernel": "newest"});
    setup
        .cluster
        .put(Kind::HostProfile, profile("odd", odd.clone()));
    let stand = setup.ready().await;
    let bad = misfit(&stand);
    assert_eq!(stand.judge(bad.clone()).await, REFUSED);
    // A node of a profile that nobody can read is a node of which nothing is known.
    stand.cluster.put(Kind::Node, node("node-3", &odd));
    judged(&stand, &bad, "Unknown HF110,HF909: warned HF110").await;
}

#[tokio::test]
async fn nodes_without_a_profile_are_unknown_and_never_pass_or_refuse() {
    let setup =
        Setup::ordinary(json!({"mode": "Enforce", "unknownPolicy": {"hostUnknown": "Warn"}})).await;
    for name in ["node-1", "node-2"] {
        setup.cluster.put(Kind::Node, node(name, &json!({})));
    }
    let stand = setup.ready().await;
    stand.registry.push("good", "1", &fitting());
    let good = pod(&stand.image("good:1"));
    assert_eq!(
        stand.judge(good.clone()).await,
        "Unknown HF909: warned HF909"
    );
    let mut other = rhel9();
    other["osVersion"] = json!("9.6");
    stand.cluster.put(Kind::Node, node("node-1", &rhel9()));
    stand.cluster.put(Kind::Node, node("node-2", &other));
    judged(&stand, &good, "Unknown HF909: warned HF909").await;
    stand.cluster.put(Kind::Node, node("node-2", &rhel9()));
    judged(&stand, &good, "Pass -: let in").await;
    // Facts that are gone are not known any more.
    let mut facts = rhel9();
    facts.as_object_mut().unwrap().remove("architecture");
    for name in ["node-1", "node-2"] {
        stand.cluster.put(Kind::Node, node(name, &facts));
    }
    stand.cluster.put(Kind::HostProfile, profile("el9", facts));
    judged(&stand, &good, "Unknown HF904: warned HF904").await;
    stand.cluster.delete(Kind::HostProfile, "el9");
    judged(&stand, &good, "Unknown HF909: warned HF909").await;
    for name in ["node-1", "node-2"] {
        stand.cluster.delete(Kind::Node, name);
    }
    judged(&stand, &good, "Unknown HF909: warned HF909").await;
}

/// What the operator found of a node, in its NodeProfile.
fn known(node: &str, facts: &Value, source: &str) -> Value {
    let facts = facts.as_object().unwrap();
    let sources: Value = facts
        .keys()
        .map(|fact| (fact.clone(), json!(source)))
        .collect();
    json!({"metadata": {"name": node}, "spec": {}, "status": {"facts": facts, "sources": sources}})
}

#[tokio::test]
async fn nodes_belong_to_profiles_by_what_the_operator_found_of_them() {
    let setup = Setup::ordinary(json!({"mode": "Enforce"})).await;
    let mut facts = rhel9();
    facts["cgroup"] = json!(2);
    let el9 = profile("el9", facts);
    setup.cluster.put(Kind::HostProfile, el9.clone());
    let stand = setup.ready().await;
    let bad = misfit(&stand);
    judged(&stand, &bad, "Unknown HF909: let in").await;
    for name in ["node-1", "node-2"] {
        let known = known(name, &json!({"cgroup": 2}), "Agent");
        stand.cluster.put(Kind::NodeProfile, known);
    }
    judged(&stand, &bad, REFUSED).await;
    // What the node itself tells is not taken from there: it may be older.
    let old = json!({"kernel": "4.18.0"});
    let mut stale = known("node-1", &old, "NodeStatus");
    stale["status"]["facts"]["cgroup"] = json!(2);
    stale["status"]["sources"]["cgroup"] = json!("NodeFeature");
    stand.cluster.put(Kind::NodeProfile, stale);
    stand.cluster.delete(Kind::Node, "node-2");
    judged(&stand, &bad, REFUSED).await;
    stand
        .cluster
        .put(Kind::NodeProfile, known("node-1", &old, "Override"));
    judged(&stand, &bad, "Unknown HF909: let in").await;
    // A fact that is only claimed refuses nothing.
    stand.cluster.delete(Kind::NodeProfile, "node-1");
    let mut claimed = profile("el9", rhel9());
    claimed["status"]["claimed"] = json!(["architecture"]);
    stand.cluster.put(Kind::HostProfile, claimed);
    judged(&stand, &bad, "Warn HF110: warned HF110").await;
}

#[tokio::test]
async fn bad_certificate_files_keep_the_last_good_certificate_and_new_ones_are_served() {
    let stand = Setup::ordinary(json!({"mode": "Enforce"}))
        .await
        .ready()
        .await;
    let bad = misfit(&stand);
    stand.folder.write("tls/tls.crt", "garbage");
    let shown = async || {
        stand
            .admin("/readyz")
            .await
            .1
            .contains("[+]certificate: read ")
    };
    stand.until("the trouble is shown", shown).await;
    assert_eq!(stand.admin("/readyz").await.0, 200);
    let fresh = || {
        let root = reqwest::Certificate::from_pem(stand.authority.pem().as_bytes()).unwrap();
        let client = reqwest::Client::builder().tls_certs_only([root]).no_proxy();
        client.tls_info(true).build().unwrap()
    };
    let served = async || {
        let response = fresh().get(stand.url("/")).send().await.unwrap();
        let info = response
            .extensions()
            .get::<reqwest::tls::TlsInfo>()
            .cloned();
        info.unwrap().peer_certificate().unwrap().to_vec()
    };
    let old = served().await;
    assert_eq!(stand.judge(bad.clone()).await, REFUSED);

    let leaf = stand.authority.issue("127.0.0.1");
    stand.folder.write("tls/tls.key", &leaf.key);
    stand.folder.write("tls/tls.crt", &leaf.certificate);
    stand
        .until("the new certificate is served", async || {
            served().await != old
        })
        .await;
    assert_eq!(stand.judge(bad).await, REFUSED);
}

#[tokio::test]
async fn without_a_certificate_it_does_not_start_and_says_which_file() {
    let setup = Setup::ordinary(json!({})).await;
    setup
        .folder
        .write("kubeconfig", &setup.cluster.kubeconfig());
    let path = setup.folder.path("tls/tls.crt");
    let log = setup.refused().await;
    assert!(log.contains(&format!("read {path}")), "{log}");
    assert!(fs::metadata(path).is_err());
}
