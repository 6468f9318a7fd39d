//! Kinds of change: only what touches images or placement is ever refused.
//!
//! The API server is told to call us for few of them. These requests come to the webhook whatever it was told.

use serde_json::{Value, json};

use super::pods::strict;
use super::review::{create, create_other, pod, updating};
use super::templates::{KINDS, workload};

/// What is changed of an object.
type Change = fn(&mut Value);

/// Changes of any object: none of our business.
const OF_METADATA: [(&str, Change); 9] = [
    ("nothing", |_| {}),
    ("a label", |it| it["metadata"]["labels"] = json!({"a": "b"})),
    ("an annotation", |it| {
        it["metadata"]["annotations"] = json!({"a": "b"})
    }),
    ("our own annotation", |it| {
        it["metadata"]["annotations"] = json!({"hostfit.dev/verdict": "Pass"});
    }),
    ("a finalizer", |it| {
        it["metadata"]["finalizers"] = json!(["example.com/wait"])
    }),
    ("no finalizer", |it| {
        it["metadata"]["finalizers"] = json!([])
    }),
    ("deletion", |it| {
        it["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    }),
    ("an owner", |it| {
        it["metadata"]["ownerReferences"] = json!([{"kind": "X", "name": "x", "uid": "1"}]);
    }),
    ("its status", |it| {
        it["status"] = json!({"phase": "Failed", "replicas": 3})
    }),
];

/// Changes of a template's surroundings, and of parts of it that decide about neither images nor placement.
const OF_TEMPLATES: [(&str, Change); 8] = [
    ("its scale", |it| it["spec"]["replicas"] = json!(0)),
    ("a pause", |it| it["spec"]["paused"] = json!(true)),
    ("a suspension", |it| it["spec"]["suspend"] = json!(true)),
    ("its strategy", |it| {
        it["spec"]["strategy"] = json!({"type": "Recreate"})
    }),
    ("a restart", |it| {
        it["spec"]["template"]["metadata"]["annotations"] =
            json!({"kubectl.kubernetes.io/restartedAt": "now"});
    }),
    ("its history", |it| {
        it["spec"]["revisionHistoryLimit"] = json!(1)
    }),
    ("its schedule", |it| {
        it["spec"]["schedule"] = json!("* * * * *")
    }),
    ("its deadline", |it| {
        it["spec"]["activeDeadlineSeconds"] = json!(60)
    }),
];

/// Changes of the spec of pods that decide about neither images nor placement.
const OF_PODS: [(&str, Change); 8] = [
    ("its deadline", |it| it["activeDeadlineSeconds"] = json!(1)),
    ("its grace period", |it| {
        it["terminationGracePeriodSeconds"] = json!(1)
    }),
    ("a resize", |it| {
        it["containers"][0]["resources"] = json!({"limits": {"cpu": "2"}});
    }),
    ("a variable", |it| {
        it["containers"][0]["env"] = json!([{"name": "A", "value": "b"}])
    }),
    ("a command", |it| {
        it["containers"][0]["command"] = json!(["/bin/true"])
    }),
    ("a preference", |it| {
        it["affinity"] =
            json!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}});
    }),
    ("a volume", |it| {
        it["volumes"] = json!([{"name": "tmp", "emptyDir": {}}])
    }),
    ("a gate less", |it| it["schedulingGates"] = json!([])),
];

/// Changes of placement: of a template, which may be moved to where its images do not fit.
const OF_PLACEMENT: [(&str, Change); 6] = [
    ("a nodeSelector", |it| {
        it["nodeSelector"] = json!({"kubernetes.io/arch": "amd64"})
    }),
    ("a node", |it| it["nodeName"] = json!("node-1")),
    ("a toleration", |it| {
        it["tolerations"] = json!([{"operator": "Exists"}])
    }),
    ("an affinity", |it| {
        it["affinity"] = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
            {"nodeSelectorTerms": [{"matchExpressions": [{"key": "kubernetes.io/arch", "operator": "Exists"}]}]}}});
    }),
    ("a name", |it| {
        it["affinity"] = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
            {"nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["node-2"]}]}]}}});
    }),
    ("a RuntimeClass", |it| {
        it["runtimeClassName"] = json!("other")
    }),
];

fn changed(object: &Value, path: &str, change: Change) -> Value {
    let mut changed = object.clone();
    change(changed.pointer_mut(path).unwrap());
    changed
}

#[tokio::test]
async fn a_template_that_would_be_refused_today_may_change_in_everything_else() {
    let (stand, _, bad) = strict().await;
    for (group, resource, kind, path) in KINDS {
        let old = workload(kind, &bad);
        let of = |path: &'static str, changes: &'static [(&str, Change)]| {
            changes
                .iter()
                .map(move |(what, change)| (path, *what, *change))
        };
        let harmless = of("", &OF_METADATA).chain(of("", &OF_TEMPLATES));
        for (path, what, change) in harmless.chain(of(path, &OF_PODS)) {
            let new = changed(&old, path, change);
            let request = updating(create_other((group, resource), new), old.clone());
            assert!(stand.validate(request).await.is_silent(), "{kind}: {what}");
        }
        assert_eq!(stand.registry.take(), [""; 0], "{kind}");
        for (what, change) in OF_PLACEMENT {
            let new = changed(&old, path, change);
            let request = updating(create_other((group, resource), new), old.clone());
            let answer = stand.validate(request).await;
            assert_eq!(answer.summary(), "refused HF110", "{kind}: {what}");
        }
        stand.registry.take();
    }
}

#[tokio::test]
async fn a_pod_that_would_be_refused_today_may_change_in_everything_else() {
    let (stand, _, bad) = strict().await;
    let old = pod(&bad);
    let of_metadata = OF_METADATA.iter().map(|it| ("", it));
    let of_pods = OF_PODS.iter().chain(&OF_PLACEMENT).map(|it| ("/spec", it));
    for (path, (what, change)) in of_metadata.chain(of_pods) {
        let request = updating(create(changed(&old, path, *change)), old.clone());
        assert!(stand.validate(request).await.is_silent(), "{what}");
    }
    assert_eq!(stand.registry.take(), [""; 0]);
}

#[tokio::test]
async fn an_image_is_judged_wherever_it_comes_from() {
    let (stand, good, bad) = strict().await;
    let init: fn(&str) -> Value = |image| json!([{"name": "setup", "image": image}]);
    for (group, resource, kind, path) in KINDS {
        let old = workload(kind, &good);
        let judged = async |new: Value, old: Value| {
            let request = updating(create_other((group, resource), new), old);
            stand.validate(request).await.summary()
        };
        let mut new = old.clone();
        new.pointer_mut(path).unwrap()["containers"][0]["image"] = json!(bad);
        assert_eq!(judged(new.clone(), old.clone()).await, "refused HF110");
        // Back to what fits.
        assert_eq!(judged(old.clone(), new).await, "let in");
        let mut new = old.clone();
        new.pointer_mut(path).unwrap()["initContainers"] = init(&bad);
        assert_eq!(judged(new.clone(), old.clone()).await, "refused HF110");
        let mut changed = new.clone();
        changed.pointer_mut(path).unwrap()["initContainers"] = init("other:1");
        assert_ne!(judged(changed, new.clone()).await, "let in");
        // Less than before is nothing new, even if what stays does not fit.
        new.pointer_mut(path).unwrap()["containers"][0]["image"] = json!(bad);
        let mut less = new.clone();
        less.pointer_mut(path).unwrap()["initContainers"] = json!([]);
        assert_eq!(judged(less, new).await, "let in");
    }
}

#[tokio::test]
async fn other_resources_and_operations_are_never_judged() {
    let (stand, _, bad) = strict().await;
    let deployment = workload("Deployment", &bad);
    for (resource, subresource, operation) in [
        (("", "pods"), "status", "UPDATE"),
        (("", "pods"), "binding", "CREATE"),
        (("", "pods"), "eviction", "CREATE"),
        (("", "pods"), "resize", "UPDATE"),
        (("", "pods"), "exec", "CONNECT"),
        (("", "pods"), "log", "CONNECT"),
        (("", "pods"), "", "DELETE"),
        (("apps", "deployments"), "scale", "UPDATE"),
        (("apps", "deployments"), "status", "UPDATE"),
        (("apps", "deployments"), "", "DELETE"),
        (("apps", "controllerrevisions"), "", "CREATE"),
        (("batch", "jobs"), "status", "UPDATE"),
        (("", "podtemplates"), "", "CREATE"),
        (("example.com", "deployments"), "", "CREATE"),
        (("apps", "pods"), "", "CREATE"),
    ] {
        let object = match resource.1 {
            "pods" => pod(&bad),
            _ => deployment.clone(),
        };
        let mut request = create_other(resource, object);
        request["operation"] = json!(operation);
        request["subResource"] = json!(subresource);
        for answer in [
            stand.validate(request.clone()).await,
            stand.mutate(request.clone()).await,
        ] {
            assert!(answer.is_silent(), "{resource:?} {subresource} {operation}");
        }
    }
    assert_eq!(stand.registry.take(), [""; 0]);
}
