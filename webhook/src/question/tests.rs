//! Steering, against an oracle: a hundred thousand pods of every shape, in clusters of every kind. Each patch applies and
//! leaves a Pod; a second call changes nothing; no node that may fit is lost, and none that does not fit is left where
//! its label tells what it is.

mod made;

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

use hostfit_crds::policies::Policies;
use hostfit_crds::{HostProfile, SupportMatrix};
use hostfit_engine::fact::{Evidence, Fact, Gap, Strength};
use hostfit_engine::image::{Contents, ImageFacts, Platform, PlatformFacts};
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use serde::Deserialize as _;
use serde_json::{Value, json};

use self::made::{ARCHITECTURES, Cluster, Known, LABEL, cluster, pod, profile_of};
use super::*;
use crate::respond;
use crate::review::Review;
use crate::snapshot;

/// Clusters of one chunk, and pods that are made in each. Four chunks run side by side.
const CLUSTERS: u32 = 250;
const PODS: usize = 100;

/// The world of the webhook in such a cluster.
fn snapshot(cluster: &Cluster) -> Arc<Snapshot> {
    let read = |it: Value| serde_json::from_value(it).unwrap();
    let facts = |architecture: &str| json!({"architecture": architecture, "kernel": "6.1.0", "os": "debian", "osVersion": "12"});
    let node = |it: &Known| -> Arc<Node> {
        let taint = json!([{"key": "gpu", "effect": "NoSchedule"}]);
        Arc::new(read(json!({
            "metadata": {"name": it.name, "labels": it.labels},
            "spec": {"taints": it.tainted.then_some(taint)},
            "status": {"nodeInfo": {"architecture": it.architecture, "kernelVersion": "6.1.0", "operatingSystem": "linux",
                "bootID": "", "containerRuntimeVersion": "", "kubeProxyVersion": "", "kubeletVersion": "",
                "machineID": "", "osImage": "Debian GNU/Linux 12 (bookworm)", "systemUUID": ""}},
        })))
    };
    let observed = ARCHITECTURES.iter().zip(cluster.profiled);
    let observed = observed.filter(|(_, is_profiled)| *is_profiled).map(|(architecture, _)| {
        let profile = json!({"metadata": {"name": profile_of(architecture)}, "spec": {}, "status": {"facts": facts(architecture)}});
        Arc::new(serde_json::from_value::<HostProfile>(profile).unwrap())
    });
    let declared = cluster.at_zero.map(|architecture| {
        let spec = json!({"nodeLabels": {"pool": "a"}, "facts": facts(architecture)});
        Arc::new(
            serde_json::from_value(json!({"metadata": {"name": "at-zero"}, "spec": spec})).unwrap(),
        )
    });
    let profiles: Vec<_> = observed.chain(declared).collect();
    let rows = json!([{"name": "rest", "image": {"repository": "*"}, "verdict": "Supported"}]);
    let matrix: SupportMatrix = serde_json::from_value(json!({"metadata": {"name": "m"},
        "spec": {"mode": "Warn", "steer": true, "rulePacks": [], "rules": rows}}))
    .unwrap();
    let (policies, errors) = Policies::read(vec![Arc::new(matrix)], &Policies::default());
    assert!(errors.is_empty());
    let namespace: Arc<Namespace> =
        Arc::new(serde_json::from_value(json!({"metadata": {"name": "shop"}})).unwrap());
    let nodes: Vec<_> = cluster.nodes.iter().map(node).collect();
    Arc::new(Snapshot::build(
        &snapshot::Known {
            nodes,
            namespaces: vec![namespace],
            profiles,
            node_profiles: Vec::new(),
            runtimes: Vec::new(),
            bases: Vec::new(),
            exceptions: Vec::new(),
        },
        &policies,
    ))
}

fn facts() -> HashMap<&'static str, SharedFacts> {
    let known = |architectures: &[&str]| {
        let evidence = || Evidence::new(Strength::File, "test");
        let platform = |it: &&str| PlatformFacts {
            platform: Platform::new("linux", *it),
            contents: Fact::Known(Contents::default(), evidence()),
        };
        let digest = format!("sha256:{}", "a".repeat(64)).parse().unwrap();
        let facts = ImageFacts {
            digest,
            platforms: architectures.iter().map(platform).collect(),
            left_out: 0,
        };
        Arc::new(Fact::Known(facts, evidence()))
    };
    HashMap::from([
        ("amd64", known(&["amd64"])),
        ("arm64", known(&["arm64"])),
        ("both", known(&["amd64", "arm64"])),
        ("strange", Arc::new(Fact::Unknown(Gap::NothingTells))),
    ])
}

/// The operations that /mutate answers with.
fn mutate(pod: &Value, snapshot: &Arc<Snapshot>, known: &HashMap<&str, SharedFacts>) -> Vec<Value> {
    let review = format!(
        r#"{{"request": {{"uid": "1", "resource": {{"resource": "pods"}}, "operation": "CREATE", "namespace": "shop", "object": {pod}}}}}"#
    );
    let review: Review<'_> = serde_json::from_str(&review).unwrap();
    let Ok(question) = Question::of(Route::Mutate, &review.request, snapshot.clone()) else {
        panic!("not judged: {pod}");
    };
    let facts = images(pod).map(|image| known[image].clone()).collect();
    let judged = question.answer(&facts, jiff::Timestamp::UNIX_EPOCH, |_| false);
    let operations = respond::operations(&judged, true);
    let value = |it| serde_json::to_value(it).unwrap();
    operations.iter().map(value).collect()
}

fn images(pod: &Value) -> impl Iterator<Item = &str> {
    let containers = pod["spec"]["containers"].as_array().unwrap().iter();
    containers.map(|it| {
        it["image"]
            .as_str()
            .unwrap()
            .split(['/', ':'])
            .nth(1)
            .unwrap()
    })
}

/// Whether the scheduler may place a pod on a node, by what Kubernetes documents.
fn admits(pod: &Value, node: &Known) -> bool {
    let spec = &pod["spec"];
    if let Some(name) = spec["nodeName"].as_str() {
        return name == node.name;
    }
    let has = |requirement: &Value, value: Option<&str>| {
        let listed = requirement["values"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|it| it.as_str() == value);
        match requirement["operator"].as_str().unwrap() {
            "In" => value.is_some() && listed,
            "NotIn" => value.is_none() || !listed,
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            other => panic!("operator {other}"),
        }
    };
    fn list(it: &Value) -> &[Value] {
        it.as_array().map_or(&[], Vec::as_slice)
    }
    let label = |key: &Value| node.labels.get(key.as_str().unwrap()).map(String::as_str);
    let matches = |term: &Value| {
        let (labels, fields) = (list(&term["matchExpressions"]), list(&term["matchFields"]));
        !(labels.is_empty() && fields.is_empty())
            && labels.iter().all(|it| has(it, label(&it["key"])))
            && fields.iter().all(|it| has(it, Some(&node.name)))
    };
    let required =
        &spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    let selected = spec["nodeSelector"].as_object().into_iter().flatten();
    (!node.tainted || !list(&spec["tolerations"]).is_empty())
        && selected
            .into_iter()
            .all(|(key, value)| node.labels.get(key).map(String::as_str) == value.as_str())
        && (required.is_null() || list(&required["nodeSelectorTerms"]).iter().any(matches))
}

/// Whether an image of the pod definitely does not run there; whether all of them do.
fn on(pod: &Value, architecture: &str) -> (bool, bool) {
    let runs = |image: &str| image == architecture || (image == "both" && architecture != "s390x");
    let fails = images(pod).any(|it| it != "strange" && !runs(it));
    (fails, images(pod).all(runs))
}

/// What was seen, so that nothing passes for lack of cases.
#[derive(Default)]
struct Seen {
    steered: Cell<usize>,
    refused: Cell<usize>,
    left: Cell<usize>,
}

fn check(
    pod: &Value,
    cluster: &Cluster,
    snapshot: &Arc<Snapshot>,
    known: &HashMap<&str, SharedFacts>,
    seen: &Seen,
) -> Result<(), TestCaseError> {
    let patch = mutate(pod, snapshot, known);
    let mut after = pod.clone();
    let operations = patch.iter().map(json_patch::PatchOperation::deserialize);
    let operations = json_patch::Patch(operations.map(Result::unwrap).collect());
    prop_assert!(
        json_patch::patch(&mut after, &operations).is_ok(),
        "does not apply: {operations}"
    );
    prop_assert!(Pod::deserialize(&after).is_ok(), "no pod any more: {after}");
    // What is left as it was would be answered as it was.
    let again = match patch.is_empty() {
        true => Vec::new(),
        false => mutate(&after, snapshot, known),
    };
    prop_assert!(again.is_empty(), "a second time: {again:?} {after}");

    let is_steered = patch
        .iter()
        .any(|it| it["path"].as_str().unwrap().starts_with("/spec/"));
    let told = after["metadata"]["annotations"]["hostfit.dev/steering"]
        .as_str()
        .unwrap_or_default();
    prop_assert!(
        !is_steered || told.starts_with("away from "),
        "steered without a word: {after}"
    );
    let is_left_alone = !pod["spec"]["nodeName"].is_null()
        || pod["metadata"]["ownerReferences"][0]["kind"] == "DaemonSet";
    prop_assert!(!(is_steered && is_left_alone), "not left alone: {after}");

    let profiled = |it: &Known| {
        cluster.profiled[ARCHITECTURES
            .iter()
            .position(|a| *a == it.architecture)
            .unwrap()]
    };
    let before: Vec<_> = cluster.nodes.iter().filter(|it| admits(pod, it)).collect();
    let fails = |it: &&Known| profiled(it) && on(pod, it.architecture).0;
    let (failing, others): (Vec<_>, Vec<_>) = before.into_iter().partition(fails);
    for node in &others {
        prop_assert!(admits(&after, node), "lost {}: {after}", node.name);
    }
    let at_zero = cluster.at_zero.map(|it| on(pod, it));
    let fits = |it: &&Known| profiled(it) && on(pod, it.architecture).1;
    let some_fit = others.iter().copied().any(|it| fits(&it));
    prop_assert!(
        !is_steered || some_fit || at_zero.is_some_and(|it| it.1),
        "steered to nowhere: {after}"
    );
    prop_assert!(
        !is_steered || !failing.is_empty() || at_zero.is_some_and(|it| it.0),
        "steered from nothing: {after}"
    );
    if some_fit && !is_left_alone {
        for node in failing {
            let label = node.labels.get(LABEL);
            let tells = label.is_some_and(|label| *label == profile_of(node.architecture));
            if tells && !others.iter().any(|it| it.labels.get(LABEL) == label) {
                prop_assert!(!admits(&after, node), "{} is left: {after}", node.name);
                seen.refused.update(|it| it + 1);
            }
        }
    }
    seen.steered.update(|it| it + usize::from(is_steered));
    seen.left
        .update(|it| it + usize::from(told.starts_with("not steered: ")));
    Ok(())
}

/// Of the same pods each time.
#[track_caller]
fn chunk(seed: u8) {
    let config = Config {
        cases: CLUSTERS,
        failure_persistence: None,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::XorShift, &[seed; 16]);
    let known = facts();
    let seen = Seen::default();
    let cases = (cluster(), vec(pod(), PODS));
    let result = TestRunner::new_with_rng(config, rng).run(&cases, |(cluster, pods)| {
        let snapshot = snapshot(&cluster);
        pods.iter()
            .try_for_each(|pod| check(pod, &cluster, &snapshot, &known, &seen))
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    let seen = [seen.steered, seen.refused, seen.left].map(Cell::into_inner);
    assert!(seen.iter().all(|it| *it > 500), "too few cases: {seen:?}");
}

#[test]
fn every_pod_is_steered_so_that_nothing_is_lost_1() {
    chunk(1);
}

#[test]
fn every_pod_is_steered_so_that_nothing_is_lost_2() {
    chunk(2);
}

#[test]
fn every_pod_is_steered_so_that_nothing_is_lost_3() {
    chunk(3);
}

#[test]
fn every_pod_is_steered_so_that_nothing_is_lost_4() {
    chunk(4);
}
