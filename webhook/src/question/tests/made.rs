//! What is made up for the test of steering: clusters and pods.

use std::collections::BTreeMap;

use hostfit_crds::names;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

/// The label that steering selects on.
pub(super) const LABEL: &str = names::HOST_PROFILE;
/// Architectures of nodes.
pub(super) const ARCHITECTURES: [&str; 3] = ["amd64", "arm64", "s390x"];

/// A node, as the oracle sees it.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) name: String,
    pub(super) architecture: &'static str,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) tainted: bool,
}

/// Nodes, the architectures that have a profile, and whether there is a pool at zero.
#[derive(Debug, Clone)]
pub(super) struct Cluster {
    pub(super) nodes: Vec<Known>,
    pub(super) profiled: [bool; 3],
    pub(super) at_zero: Option<&'static str>,
}

fn node() -> impl Strategy<Value = Known> {
    let label = prop_oneof![
        6 => Just(Some(None)),
        2 => Just(None),
        1 => prop::sample::select(&ARCHITECTURES[..]).prop_map(|it| Some(Some(it))),
    ];
    let pool = prop::sample::select(&["a", "b"][..]);
    let architecture = prop::sample::select(&ARCHITECTURES[..]);
    (architecture, label, pool, prop::bool::weighted(0.2)).prop_map(
        |(architecture, label, pool, tainted)| {
            let mut labels = BTreeMap::from([
                ("pool".to_owned(), pool.to_owned()),
                ("kubernetes.io/arch".to_owned(), architecture.to_owned()),
            ]);
            // Its own profile, none yet, or that of somebody else.
            if let Some(label) = label {
                let profile = profile_of(label.unwrap_or(architecture));
                labels.insert(LABEL.to_owned(), profile);
            }
            Known {
                name: String::new(),
                architecture,
                labels,
                tainted,
            }
        },
    )
}

/// Clusters of every kind.
pub(super) fn cluster() -> impl Strategy<Value = Cluster> {
    let at_zero = prop::option::of(prop::sample::select(&ARCHITECTURES[..]));
    let profiled = [(); 3].map(|()| prop::bool::weighted(0.9));
    (vec(node(), 1..6), profiled, at_zero).prop_map(|(mut nodes, profiled, at_zero)| {
        for (index, node) in nodes.iter_mut().enumerate() {
            node.name = format!("n{index}");
            let hostname = ("kubernetes.io/hostname".to_owned(), node.name.clone());
            node.labels.extend([hostname]);
        }
        Cluster {
            nodes,
            profiled,
            at_zero,
        }
    })
}

/// The name of the profile of nodes of an architecture.
pub(super) fn profile_of(architecture: &str) -> String {
    format!("of-{architecture}")
}

fn requirement() -> impl Strategy<Value = Value> {
    let key = prop::sample::select(
        &[
            "pool",
            "kubernetes.io/arch",
            LABEL,
            "kubernetes.io/hostname",
            "none",
        ][..],
    );
    let values = vec(
        prop::sample::select(
            &[
                "a", "b", "amd64", "arm64", "of-amd64", "of-arm64", "n0", "n1",
            ][..],
        ),
        1..3,
    );
    let operator = prop::sample::select(&["In", "NotIn", "NotIn", "Exists", "DoesNotExist"][..]);
    (key, operator, values).prop_map(|(key, operator, values)| match operator {
        "Exists" | "DoesNotExist" => json!({"key": key, "operator": operator}),
        _ => json!({"key": key, "operator": operator, "values": values}),
    })
}

fn term() -> impl Strategy<Value = Value> {
    let fields = prop_oneof![
        3 => Just(Value::Null),
        1 => (any::<bool>(), 0..3).prop_map(|(is_in, node)| json!([
            {"key": "metadata.name", "operator": if is_in { "In" } else { "NotIn" }, "values": [format!("n{node}")]}])),
    ];
    let expressions = prop_oneof![
        1 => Just(Value::Null),
        1 => Just(json!([])),
        4 => vec(requirement(), 1..3).prop_map(Value::from),
    ];
    (expressions, fields, any::<bool>()).prop_map(|(expressions, fields, is_short)| {
        let mut term = json!({"matchExpressions": expressions, "matchFields": fields});
        // Absent, null and empty are the same.
        if is_short {
            term.as_object_mut().unwrap().retain(|_, it| !it.is_null());
        }
        term
    })
}

fn affinity() -> impl Strategy<Value = Value> {
    let required = prop_oneof![
        1 => Just(Value::Null),
        6 => vec(term(), 1..4).prop_map(|terms| json!({"nodeSelectorTerms": terms})),
    ];
    let required =
        required.prop_map(|it| json!({"requiredDuringSchedulingIgnoredDuringExecution": it}));
    prop_oneof![
        2 => Just(Value::Null),
        1 => Just(json!({})),
        1 => Just(json!({"nodeAffinity": null, "podAffinity": {}})),
        1 => Just(json!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}})),
        6 => required.prop_map(|it| json!({"nodeAffinity": it, "podAntiAffinity": {}})),
    ]
}

/// Pods of every shape that the API server takes, and some that it does not.
pub(super) fn pod() -> impl Strategy<Value = Value> {
    let image = prop::sample::select(&["amd64", "arm64", "both", "both", "strange"][..]);
    let selector = prop_oneof![
        4 => Just(Value::Null),
        1 => prop::sample::select(&["a", "b", "c"][..]).prop_map(|pool| json!({"pool": pool})),
    ];
    let tolerations = prop_oneof![Just(Value::Null), Just(json!([{"operator": "Exists"}]))];
    let node_name = prop::option::weighted(0.05, 0..3);
    let annotations = prop_oneof![
        3 => Just(Value::Null),
        1 => Just(json!({})),
        1 => Just(json!({names::STEERING: "away from of-amd64, of-nothing", "a/b~c": "d"})),
        1 => Just(json!({names::STEERING: "not steered: because"})),
    ];
    let owner = prop::option::weighted(0.1, prop::sample::select(&["DaemonSet", "ReplicaSet"][..]));
    let spec = (
        vec(image, 1..3),
        selector,
        affinity(),
        tolerations,
        node_name,
    );
    (spec, annotations, owner, any::<bool>()).prop_map(|(spec, annotations, owner, is_short)| {
        let (images, selector, affinity, tolerations, node_name) = spec;
        let containers = images.iter().enumerate();
        let containers: Vec<_> = containers
            .map(|(index, image)| json!({"name": format!("c{index}"), "image": format!("x.example/{image}:1")}))
            .collect();
        let owner = owner.map(|kind| json!([{"apiVersion": "apps/v1", "kind": kind, "name": "o", "uid": "1", "controller": true}]));
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "web", "namespace": "shop", "annotations": annotations, "ownerReferences": owner},
            "spec": {"containers": containers, "nodeSelector": selector, "affinity": affinity, "tolerations": tolerations,
                "nodeName": node_name.map(|it| format!("n{it}"))},
        });
        for part in ["metadata", "spec"] {
            let part = pod[part].as_object_mut().unwrap();
            part.retain(|_, it| !is_short || !it.is_null());
        }
        pod
    })
}
