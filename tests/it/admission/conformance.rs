//! One verdict: the same objects and facts through admission, reports and the command line, exceptions included, before, at
//! and after their end.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hostfit_crds::fleet::{Class, fleet};
use hostfit_crds::item::item;
use hostfit_crds::node::offered;
use hostfit_crds::workload::TemplateSpec;
use hostfit_crds::{CompatException, HostProfile, SupportMatrix};
use hostfit_engine::fact::{Evidence, Fact, Gap, Strength};
use hostfit_engine::image::{Contents, ImageFacts, ImageRef, Platform, PlatformFacts};
use hostfit_engine::lineage::Catalog;
use hostfit_operator::offline::{Moment, written};
use hostfit_tests::cluster::Kind;
use hostfit_tests::registry::Image;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Node;
use kube::core::{ApiResource, Object};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::review::pod;
use super::stand::{Setup, Stand, named, node, profile, rhel9};

fn read<T: DeserializeOwned>(mut object: Value, kind: &str) -> T {
    object["apiVersion"] = json!(match kind {
        "Node" => "v1",
        "Deployment" => "apps/v1",
        _ => "hostfit.dev/v1alpha1",
    });
    object["kind"] = json!(kind);
    serde_json::from_value(object).unwrap()
}

fn exception(change: &[(&str, Value)], expires: Timestamp) -> Value {
    let mut spec = json!({
        "codes": ["HF110"], "selector": {"matchLabels": {"app": "web"}},
        "reason": "the image runs under an emulator", "expirationTime": expires.to_string(),
    });
    for (key, value) in change {
        spec[*key] = value.clone();
    }
    json!({"metadata": {"name": "one", "namespace": "shop"}, "spec": spec})
}

/// Fields of an exception that differ.
type Change = Vec<(&'static str, Value)>;

/// `Partial [HF110] [HF110]` (what counts, what is excepted), as the report of a Deployment says it at a moment.
fn reported(image: &str, matrix: &Value, exception: &Value, now: Timestamp) -> String {
    let profiles: Vec<Arc<HostProfile>> =
        vec![Arc::new(read(profile("el9", rhel9()), "HostProfile"))];
    let node: Node = read(node("node-1", &rhel9()), "Node");
    let fleet = fleet(
        profiles.iter().filter_map(|it| Class::of(it)),
        [(&node, offered(&node, None))],
    );
    let template = json!({"metadata": {"labels": {"app": "web"}}, "spec": pod(image)["spec"]});
    let workload = json!({
        "metadata": {"name": "web", "namespace": "shop", "uid": "u"}, "spec": {"template": template},
    });
    let workload: Object<TemplateSpec, kube::core::object::NotUsed> = read(workload, "Deployment");
    let items = [item(&ApiResource::erase::<Deployment>(&()), &workload).unwrap()];
    // What the registry of the webhook tells of the same image.
    let evidence = || Evidence::new(Strength::Stated, "index");
    let known = match image.contains("bad") {
        true => Fact::Known(
            ImageFacts {
                digest: format!("sha256:{}", "a".repeat(64)).parse().unwrap(),
                platforms: vec![PlatformFacts {
                    platform: Platform::new("linux", "arm64"),
                    contents: Fact::Known(Contents::default(), evidence()),
                }],
                left_out: 0,
            },
            evidence(),
        ),
        false => Fact::Unknown(Gap::NotFound {
            registry: "x".to_owned(),
        }),
    };
    let facts = |_: &ImageRef| Some(&known);
    let moment = Moment {
        fleet: &fleet,
        profiles: &profiles,
        catalog: &Catalog::default(),
        matrices: vec![Arc::new(read::<SupportMatrix>(
            named("default", matrix.clone()),
            "SupportMatrix",
        ))],
        exceptions: &[read::<CompatException>(
            exception.clone(),
            "CompatException",
        )],
        facts: &facts,
        now,
    };
    let written = written(&moment, &items, &[], &[]);
    let status = written.reports[0].status.as_ref().unwrap();
    let verdict = format!("{:?}", status.verdict.unwrap());
    let findings = status.findings.iter().map(|it| it.code.as_str());
    let excepted = status.excepted.iter().map(|it| it.code.as_str());
    said(
        &verdict,
        &findings.collect::<Vec<_>>().join(","),
        &excepted.collect::<Vec<_>>().join(","),
    )
}

/// The same, as the command line says it of a snapshot of the cluster.
fn told(image: &str, matrix: &Value, exception: &Value, now: Timestamp) -> String {
    let whole = |mut object: Value, version: &str, kind: &str| {
        object["apiVersion"] = json!(version);
        object["kind"] = json!(kind);
        object
    };
    let ours = |object: Value, kind: &str| whole(object, "hostfit.dev/v1alpha1", kind);
    let mut profile = profile("el9", rhel9());
    // Else there is no operator, and nodes are named by what they tell.
    profile["metadata"]["labels"] = json!({"app.kubernetes.io/managed-by": "hostfit"});
    let digest = format!("sha256:{}", "a".repeat(64));
    let (led, profiles) = match image.contains("bad") {
        true => {
            let platform = json!({
                "platform": "linux/arm64", "manifest": digest, "manifestSize": 0, "evidence": "index",
                "config": {"size": 0, "user": "1000"},
            });
            (
                json!({"digest": digest}),
                json!({digest: {"platforms": [platform]}}),
            )
        }
        false => (json!("notFound"), json!({})),
    };
    let snapshot = json!({
        "apiVersion": "snapshot.hostfit.dev/v1", "kind": "Snapshot", "writtenBy": "0.1.0", "taken": now.to_string(),
        "images": {image: led}, "profiles": profiles,
        "objects": {
            "nodes": [whole(node("node-1", &rhel9()), "v1", "Node")],
            "hostProfiles": [ours(profile, "HostProfile")],
            "matrices": [ours(named("default", matrix.clone()), "SupportMatrix")],
            "exceptions": [ours(exception.clone(), "CompatException")],
            "workloads": [{
                "apiVersion": "apps/v1", "kind": "Deployment", "namespace": "shop", "name": "web", "uid": "u",
                "podLabels": {"app": "web"}, "pod": pod(image)["spec"],
            }],
        },
    });
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    let run = RUNS.fetch_add(1, Ordering::Relaxed);
    let name = format!("hostfit-conformance-{}-{run}.json", std::process::id());
    let file = std::env::temp_dir().join(name);
    std::fs::write(&file, snapshot.to_string()).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_hostfit-command"))
        .env_clear()
        .args([
            "check",
            "-o",
            "json",
            "--as-of",
            &now.to_string(),
            "--snapshot",
        ])
        .arg(&file)
        .output()
        .unwrap();
    std::fs::remove_file(&file).unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    let document: Value = serde_json::from_slice(&output.stdout).expect(&error);
    let workload = &document["workloads"][0];
    let codes = |list: &Value, path: &str| {
        let list = list.as_array().into_iter().flatten();
        let codes = list.filter_map(|it| it.pointer(path)?.as_str());
        codes.collect::<Vec<_>>().join(",")
    };
    said(
        workload["verdict"].as_str().unwrap(),
        &codes(&workload["findings"], "/code"),
        &codes(&document["excepted"], "/finding/code"),
    )
}

fn said(verdict: &str, findings: &str, excepted: &str) -> String {
    format!("{verdict} [{findings}] [{excepted}]")
}

/// The same, as the annotations of a pod of it say it now.
async fn admitted(stand: &Stand, image: &str) -> String {
    let mut pod = pod(image);
    pod["metadata"]["labels"] = json!({"app": "web"});
    let answer = stand.mutate(super::review::create(pod.clone())).await;
    let patched = super::review::patched(&pod, &answer);
    let annotations: BTreeMap<String, String> =
        serde_json::from_value(patched["metadata"]["annotations"].clone()).unwrap_or_default();
    let annotation = |key: &str| annotations.get(key).cloned().unwrap_or_default();
    said(
        &annotation("hostfit.dev/verdict"),
        &annotation("hostfit.dev/findings"),
        &annotation("hostfit.dev/excepted"),
    )
}

#[tokio::test]
async fn admission_reports_and_command_line_say_the_same_before_at_and_after_the_end() {
    let matrix = |codes: &str| json!({"mode": "Enforce", "exceptionCodes": [codes]});
    let stand = Setup::ordinary(matrix("*")).await.ready().await;
    stand
        .registry
        .push("bad", "1", &Image::of("linux", "arm64"));
    let (bad, missing) = (stand.image("bad:1"), stand.image("missing:1"));
    let cases: [(&str, Change, &str, &str); 7] = [
        (&bad, vec![], "*", "Pass [] [HF110]"),
        (&bad, vec![("codes", json!(["*"]))], "*", "Pass [] [HF110]"),
        (
            &bad,
            vec![("hostProfiles", json!(["el8*"]))],
            "*",
            "Fail [HF110] []",
        ),
        (
            &bad,
            vec![("selector", json!({"matchLabels": {"app": "db"}}))],
            "*",
            "Fail [HF110] []",
        ),
        (
            &bad,
            vec![("codes", json!(["HF11O"]))],
            "*",
            "Fail [HF110] []",
        ),
        (&bad, vec![], "HF5*", "Fail [HF110] []"),
        (
            &missing,
            vec![("codes", json!(["HF906"]))],
            "*",
            "Unknown [] [HF906]",
        ),
    ];
    for (image, change, codes, expected) in cases {
        let now = Timestamp::now();
        let without = match image.contains("bad") {
            true => "Fail [HF110] []",
            false => "Unknown [HF906] []",
        };
        let (before, after) = (
            SignedDuration::from_hours(1),
            SignedDuration::from_hours(-1),
        );
        for (left, expected) in [(before, expected), (after, without)] {
            let expires = Timestamp::from_second((now + left).as_second()).unwrap();
            let (matrix, exception) = (matrix(codes), exception(&change, expires));
            stand
                .cluster
                .put(Kind::SupportMatrix, named("default", matrix.clone()));
            stand.cluster.put(Kind::CompatException, exception.clone());
            stand
                .until(
                    &format!("admission says {expected} with {change:?}"),
                    async || admitted(&stand, image).await == expected,
                )
                .await;
            // The second before and the second of the end itself; admission's is in exceptions.rs, on its own clock.
            let last = expires - SignedDuration::from_nanos(1);
            let moments = [(now, Some(expected)), (expires, Some(without))];
            let accepted = (last, (left == before).then_some(expected));
            for (moment, expected) in moments.into_iter().chain([accepted]) {
                let reported = reported(image, &matrix, &exception, moment);
                if let Some(expected) = expected {
                    assert_eq!(reported, expected, "{change:?}");
                }
                let told = told(image, &matrix, &exception, moment);
                assert_eq!(told, reported, "the command line at {moment}: {change:?}");
            }
        }
    }
}
