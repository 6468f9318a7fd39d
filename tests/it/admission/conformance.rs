//! One verdict: the same objects and facts through admission and through reports, exceptions included, before, at and
//! after their end. Whoever judges as well (the command line) joins `check`.

use std::collections::BTreeMap;
use std::sync::Arc;

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
async fn admission_and_reports_say_the_same_before_at_and_after_the_end() {
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
            assert_eq!(
                reported(image, &matrix, &exception, now),
                expected,
                "{change:?}"
            );
            // The second before and the second of the end itself; admission's is in exceptions.rs, on its own clock.
            let last = expires - SignedDuration::from_nanos(1);
            let accepted = reported(image, &matrix, &exception, last);
            assert_eq!(
                reported(image, &matrix, &exception, expires),
                without,
                "{change:?}"
            );
            if left == before {
                assert_eq!(accepted, expected, "{change:?}");
            }
        }
    }
}
