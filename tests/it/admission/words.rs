//! Whatever names, labels and messages hold: the patch applies, and nothing harmful or endless reaches a terminal.
//!
//! `review::read` holds every single answer to the contract; here are the questions.

use hostfit_tests::cluster::Kind;
use hostfit_tests::registry::Image;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value, json};

use super::review::{create, patched, pod};
use super::stand::{Setup, Stand, named, node, profile, rhel9};

/// Values that are the same each time.
fn each<S: Strategy>(count: usize, strategy: S) -> Vec<S::Value> {
    let mut runner = TestRunner::deterministic();
    (0..count)
        .map(|_| strategy.new_tree(&mut runner).unwrap().current())
        .collect()
}

/// Text as people write it, and as nobody should: control characters, marks of direction, lines, escapes, much of it.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z][a-z0-9-]{0,20}",
        any::<String>(),
        "(\u{1b}\\[31m|\u{202e}|\r\n|\0|\u{2066}|\u{7f}|\u{85}|\u{2028}|[a-z ]){1,40}",
        "[a-z\u{1f600}-\u{1f64f}]{200,400}",
        Just(String::new()),
        Just(". fix: kubectl delete --all".to_owned()),
    ]
}

/// Keys of annotations, ours and the odd ones of JSON pointers among them.
fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("hostfit.dev/verdict".to_owned()),
        Just("hostfit.dev/findings".to_owned()),
        Just("hostfit.dev/report".to_owned()),
        Just("hostfit.dev~1verdict".to_owned()),
        Just("a~0b~1c/d~".to_owned()),
        Just("-".to_owned()),
        Just("0".to_owned()),
        Just(String::new()),
        "[a-z]{1,8}(\\.[a-z]{1,8})?/[a-zA-Z0-9._-]{1,20}",
        any::<String>(),
    ]
}

fn map() -> impl Strategy<Value = Value> {
    let object = proptest::collection::btree_map(key(), text(), 0..6).prop_map(|map| json!(map));
    prop_oneof![
        8 => object,
        1 => Just(Value::Null),
        // Absent.
        1 => Just(json!("absent")),
    ]
}

/// Metadata of every shape, with owners that may call themselves anything.
fn metadata() -> impl Strategy<Value = Map<String, Value>> {
    let owner = (text(), text(), any::<Option<bool>>()).prop_map(
        |(kind, name, controller)| json!({"kind": kind, "name": name, "controller": controller}),
    );
    let owners = proptest::collection::vec(owner, 0..3);
    (map(), map(), owners, text(), any::<bool>()).prop_map(
        |(annotations, labels, owners, name, generated)| {
            let mut metadata = Map::new();
            for (field, value) in [("annotations", annotations), ("labels", labels)] {
                if value != "absent" {
                    metadata.insert(field.to_owned(), value);
                }
            }
            metadata.insert("ownerReferences".to_owned(), json!(owners));
            let field = if generated { "generateName" } else { "name" };
            metadata.insert(field.to_owned(), json!(name));
            metadata
        },
    )
}

async fn stand() -> Stand {
    let stand = Setup::ordinary(json!({"mode": "Enforce"}))
        .await
        .ready()
        .await;
    stand
        .registry
        .push("bad", "1", &Image::of("linux", "arm64"));
    let old = Image::default().label("org.opencontainers.image.base.name", "debian:10");
    stand.registry.push("old", "1", &old);
    stand
}

#[tokio::test]
async fn the_patch_applies_to_every_pod_and_the_second_one_is_empty() {
    let stand = stand().await;
    let images = ["bad:1", "old:1", "evil/404:1"].map(|name| stand.image(name));
    for (index, metadata) in each(300, metadata()).into_iter().enumerate() {
        let mut before = pod(&images[index % images.len()]);
        before["metadata"] = Value::Object(metadata);
        let answer = stand.mutate(create(before.clone())).await;
        let after = patched(&before, &answer);
        let own = |key: &str| {
            [
                "hostfit.dev/verdict",
                "hostfit.dev/findings",
                "hostfit.dev/report",
            ]
            .contains(&key)
        };
        let verdict = &after["metadata"]["annotations"]["hostfit.dev/verdict"];
        let expected = ["Fail", "Warn", "Unknown"][index % images.len()];
        assert_eq!(verdict, expected, "{before}");
        // Nothing else has changed.
        let others = |pod: &Value| {
            let mut pod = pod.clone();
            let annotations = pod["metadata"]
                .as_object_mut()
                .unwrap()
                .remove("annotations");
            let kept: Map<_, _> = match annotations {
                Some(Value::Object(map)) => map.into_iter().filter(|(key, _)| !own(key)).collect(),
                _ => Map::new(),
            };
            (pod, kept)
        };
        assert_eq!(others(&before), others(&after));
        let again = stand.mutate(create(after.clone())).await;
        assert!(again.is_silent(), "{after}\n{again:?}");
    }
}

#[tokio::test]
async fn names_of_pods_containers_and_owners_cannot_harm_a_terminal() {
    let stand = stand().await;
    let (bad, old) = (stand.image("bad:1"), stand.image("old:1"));
    let names = proptest::collection::vec(text(), 1..12);
    for (index, (metadata, names)) in each(200, (metadata(), names)).into_iter().enumerate() {
        let image = if index % 2 == 0 { &bad } else { &old };
        let container = |name: &String| json!({"name": name, "image": image});
        let mut odd = pod(image);
        let owners = metadata["ownerReferences"].as_array();
        let is_owned = owners.is_some_and(|it| it.iter().any(|owner| owner["controller"] == true));
        odd["metadata"] = Value::Object(metadata);
        odd["spec"]["containers"] = names.iter().map(container).collect();
        odd["spec"]["volumes"] = json!([{"name": names[0], "image": {"reference": names[0]}}]);
        let answer = stand.validate(create(odd)).await;
        assert_eq!(answer.allowed, index % 2 == 1, "{answer:?}");
        // Of what a controller makes nobody reads warnings.
        let is_warned = !answer.warnings.is_empty();
        assert_eq!(is_warned, answer.allowed && !is_owned, "{answer:?}");
    }
}

#[tokio::test]
async fn rows_of_the_matrix_and_names_of_hosts_cannot_harm_a_terminal() {
    let setup = Setup::ordinary(json!({"mode": "Enforce"})).await;
    let host = setup.registry.host().to_owned();
    let rows: Vec<_> = each(150, (text(), text(), text()))
        .into_iter()
        .enumerate()
        .map(|(index, (name, message, remediation))| {
            json!({
                "name": format!("{index}{name}"), "image": {"repository": format!("{host}/row-{index}")},
                "verdict": (if index % 2 == 0 { "Unsupported" } else { "BestEffort" }),
                "message": message, "remediation": remediation,
            })
        })
        .collect();
    setup.cluster.put(
        Kind::SupportMatrix,
        named("default", json!({"mode": "Enforce", "rules": rows})),
    );
    let mut odd = rhel9();
    odd["os"] = json!("rhel\u{1b}[31m\u{202e}\r\n");
    setup.cluster.put(Kind::Node, node("node-1", &odd));
    setup.cluster.put(Kind::Node, node("node-2", &odd));
    setup.cluster.put(Kind::HostProfile, profile("el9", odd));
    let stand = setup.ready().await;
    let mut longest = 0;
    for index in 0..rows.len() {
        let name = format!("row-{index}");
        stand.registry.push(&name, "1", &Image::default());
        let answer = stand
            .validate(create(pod(&stand.image(&format!("{name}:1")))))
            .await;
        let expected = ["refused HF506", "warned HF506"][index % 2];
        assert_eq!(answer.summary(), expected, "{}", rows[index]);
    }
    // Many reasons, all of them long: the refusal is cut, and still says where to read on.
    let unsupported: Vec<_> = (0..rows.len()).step_by(2).collect();
    for some in unsupported.chunks(6) {
        let container = |index: &usize| json!({"name": format!("c{index}"), "image": stand.image(&format!("row-{index}:1"))});
        let mut crowd = pod("x");
        crowd["spec"]["containers"] = some.iter().map(container).collect();
        let answer = stand.validate(create(crowd)).await;
        assert_eq!(answer.summary(), "refused HF506");
        longest = longest.max(answer.denial().chars().count());
    }
    assert!(
        longest > 800,
        "the longest refusal has {longest} characters"
    );
}

#[tokio::test]
async fn however_long_names_are_no_date_is_cut() {
    let stand = stand().await;
    let old = stand.image("old:1");
    let (mut whole, mut cut) = (0, 0);
    for length in 1..=63 {
        let mut long = pod(&old);
        long["spec"]["containers"][0]["name"] = json!("c".repeat(length));
        let answer = stand.validate(create(long)).await;
        let [warning] = &answer.warnings[..] else {
            panic!("{answer:?}");
        };
        match warning.strip_suffix("… HF501") {
            None => {
                whole += 1;
                let ends = "stands on debian 10, past its end of support (2022-09-10). HF501";
                assert!(warning.ends_with(ends), "{warning}");
            }
            Some(words) => {
                cut += 1;
                let last = words.rsplit(' ').next().unwrap();
                let mut words = "stands on debian 10 past its end of support".split(' ');
                assert!(words.any(|word| word == last), "{warning}");
            }
        }
    }
    assert!(whole > 10 && cut > 10, "{whole} whole, {cut} cut");
}

#[tokio::test]
async fn the_first_line_of_a_refusal_names_its_codes() {
    let setup = Setup::ordinary(json!({
        "mode": "Enforce", "rulePacks": ["recommended", "eol", "strict"],
        "unknownPolicy": {"imageUnreadable": "Deny"},
    }));
    let stand = setup.await.ready().await;
    let old = Image::default().label("org.opencontainers.image.base.name", "debian:10");
    stand.registry.push("old", "1", &old);
    stand
        .registry
        .push("bad", "1", &Image::of("linux", "arm64"));
    let first = async |images: &[&str]| {
        let container = |(index, image): (usize, &&str)| json!({"name": format!("c{index}"), "image": stand.image(image)});
        let mut pod = pod("x");
        pod["spec"]["containers"] = images.iter().enumerate().map(container).collect();
        let answer = stand.validate(create(pod)).await;
        answer
            .denial()
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    let does_not = "pod shop/web does not fit the one host profile that it may land on.";
    assert_eq!(first(&["bad:1"]).await, format!("{does_not} HF110"));
    assert_eq!(
        first(&["bad:1", "bad:1", "old:1"]).await,
        format!("{does_not} HF110, HF501")
    );
    assert_eq!(
        first(&["absent:1"]).await,
        "it could not be told whether pod shop/web fits, and the policy refuses that. HF906"
    );
}

#[tokio::test]
async fn labels_of_images_cannot_harm_a_terminal() {
    let stand = stand().await;
    let label = prop_oneof![
        Just("name".to_owned()),
        Just("version".to_owned()),
        Just("com.redhat.component".to_owned()),
        Just("vendor".to_owned()),
        Just("org.opencontainers.image.base.name".to_owned()),
        Just("org.opencontainers.image.ref.name".to_owned()),
        Just("org.opencontainers.image.version".to_owned()),
        Just("org.opensuse.base.reference".to_owned()),
    ];
    let value = prop_oneof![
        text(),
        Just("ubi6".to_owned()),
        Just("6.10\u{1b}[31m".to_owned()),
        Just("rhel6/\u{202e}".to_owned()),
        text().prop_map(|text| format!("ubi6/{text}")),
        text().prop_map(|text| format!("Photon OS x86_64/1.0 {text}")),
        text().prop_map(|text| format!("docker.io/library/debian:10{text}")),
    ];
    let labels = proptest::collection::btree_map(label, value, 0..5);
    let history = proptest::collection::vec(
        prop_oneof![
            text(),
            text().prop_map(|it| format!("# debian.sh 'buster' {it}")),
            text().prop_map(|it| format!("ADD alpine-minirootfs-{it}.tar.gz /")),
        ],
        0..3,
    );
    let mut judged = 0;
    for (index, (labels, history)) in each(120, (labels, history)).into_iter().enumerate() {
        let image = Image {
            labels,
            history,
            ..Image::default()
        };
        let name = format!("label-{index}");
        stand.registry.push(&name, "1", &image);
        let answer = stand
            .validate(create(pod(&stand.image(&format!("{name}:1")))))
            .await;
        judged += usize::from(answer.summary() != "warned HF903");
    }
    assert!(judged > 30, "only {judged} images told anything");
}
