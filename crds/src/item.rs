//! Objects of a cluster → the workloads that reports speak of: what nobody else makes.

use std::collections::{BTreeMap, BTreeSet};

use hostfit_engine::workload::Workload;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::core::{ApiResource, Object};
use kube::{Resource, ResourceExt};

use crate::compat_report::TargetRef;
use crate::workload::{Pods, PullSecretNames};

/// Kinds that make pods, and Nodes, which make those of static pods, as owners are told.
const MAKERS: [&str; 7] = [
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "ReplicaSet",
    "Job",
    "CronJob",
    "Node",
];

/// A workload, as its report speaks of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// Where it is.
    pub namespace: String,
    /// What it is.
    pub target: TargetRef,
    /// Generation of its spec.
    pub generation: Option<i64>,
    /// Labels of its pods.
    pub labels: BTreeMap<String, String>,
    /// Which pull secrets its pods have.
    pub pull_secrets: PullSecretNames,
    /// What it runs.
    pub workload: Workload,
}

/// What a report would speak of, if this object is it. Objects of a list do not say of what kind they are: `resource`
/// does.
pub fn target<S: Clone, U: Clone>(
    resource: &ApiResource,
    object: &Object<S, U>,
) -> Option<TargetRef> {
    if object.meta().deletion_timestamp.is_some() {
        return None;
    }
    match controller(object) {
        // What a workload that is listed makes is reported there.
        Some(_) if is_made(object) => None,
        // A kind that we do not know, for example of a custom resource: its pods speak for it.
        Some(owner) if resource.kind == "Pod" => Some(TargetRef {
            api_version: owner.api_version.clone(),
            kind: owner.kind.clone(),
            name: owner.name.clone(),
            uid: owner.uid.clone(),
        }),
        _ => Some(TargetRef {
            api_version: resource.api_version.clone(),
            kind: resource.kind.clone(),
            name: object.name_any(),
            // What stands in a file has none yet.
            uid: object.uid().unwrap_or_default(),
        }),
    }
}

/// Whether another workload that is listed makes the object, and speaks for it.
pub fn is_made<S: Clone, U: Clone>(object: &Object<S, U>) -> bool {
    controller(object).is_some_and(|owner| MAKERS.contains(&owner.kind.as_str()))
}

fn controller<S: Clone, U: Clone>(object: &Object<S, U>) -> Option<&OwnerReference> {
    let mut owners = object.owner_references().iter();
    owners.find(|owner| owner.controller == Some(true))
}

/// The workload that this object is.
pub fn item<S: Pods + Clone, U: Clone>(
    resource: &ApiResource,
    object: &Object<S, U>,
) -> Option<Item> {
    let labels = object.spec.labels().unwrap_or_else(|| object.labels());
    let pod = object.spec.annotated_pod(object.annotations());
    Some(Item {
        namespace: object.namespace()?,
        target: target(resource, object)?,
        generation: object.meta().generation,
        labels: labels.clone(),
        pull_secrets: pod.pull_secrets(),
        workload: pod.into(),
    })
}

/// Of what an unheard-of controller makes, one speaks for all.
pub fn once(items: &mut Vec<Item>) {
    let mut seen = BTreeSet::new();
    items.retain(|item| seen.insert((item.namespace.clone(), item.target.clone())));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::{CronJobSpec, PodSpec};
    use k8s_openapi::api::apps::v1::ReplicaSet;
    use k8s_openapi::api::core::v1::Pod;
    use kube::core::object::NotUsed;
    use serde_json::{Value, json};

    fn pod(owner: Option<(&str, &str)>) -> Value {
        let owners = owner.map(|(kind, uid)| {
            json!({"apiVersion": "x/v1", "kind": kind, "name": "owner", "uid": uid, "controller": true})
        });
        json!({"metadata": {"name": "p", "namespace": "shop", "uid": "u", "ownerReferences": owners.as_slice()},
               "spec": {"containers": [{"name": "c", "image": "a.example/x:1"}]}})
    }

    fn read(pod: Value) -> Option<Item> {
        let object: Object<PodSpec, NotUsed> = serde_json::from_value(pod).unwrap();
        item(&ApiResource::erase::<Pod>(&()), &object)
    }

    #[test]
    fn what_somebody_else_makes_is_reported_there() {
        let named =
            |item: Option<Item>| item.map(|it| format!("{}/{}", it.target.kind, it.target.name));
        assert_eq!(named(read(pod(None))).as_deref(), Some("Pod/p"));
        for maker in ["ReplicaSet", "Job", "DaemonSet", "Node"] {
            assert_eq!(read(pod(Some((maker, "m")))), None, "{maker}");
        }
        // Of an unheard-of controller the pods speak, and one of them is enough.
        let mut items: Vec<_> = [
            read(pod(Some(("Rollout", "r")))),
            read(pod(Some(("Rollout", "r")))),
        ]
        .into_iter()
        .flatten()
        .collect();
        once(&mut items);
        assert_eq!(named(items.pop()).as_deref(), Some("Rollout/owner"));
        assert_eq!(items, []);
    }

    #[test]
    fn what_annotations_of_a_pod_demand_is_read_with_it() {
        let demands = |item: Option<Item>| item.unwrap().workload.images[0].security.app_armor;
        let mut annotated = pod(None);
        assert!(!demands(read(annotated.clone())));
        let key = "container.apparmor.security.beta.kubernetes.io/c";
        annotated["metadata"]["annotations"] = json!({key: "localhost/mine"});
        assert!(demands(read(annotated)));
    }

    #[test]
    fn labels_are_those_of_the_pods() {
        let mut labelled = pod(None);
        labelled["metadata"]["labels"] = json!({"app": "web"});
        assert_eq!(read(labelled).unwrap().labels["app"], "web");
        let template = json!({"metadata": {"labels": {"app": "night"}}, "spec": {}});
        let object = json!({"metadata": {"name": "c", "namespace": "shop", "uid": "u", "labels": {"app": "job"}},
                            "spec": {"jobTemplate": {"spec": {"template": template}}}});
        let object: Object<CronJobSpec, NotUsed> = serde_json::from_value(object).unwrap();
        let resource = ApiResource::erase::<k8s_openapi::api::batch::v1::CronJob>(&());
        assert_eq!(item(&resource, &object).unwrap().labels["app"], "night");
    }

    #[test]
    fn only_of_pods_an_unheard_of_owner_takes_the_place() {
        let object = json!({"metadata": {"name": "rs", "namespace": "shop", "uid": "u", "ownerReferences": [
            {"apiVersion": "x/v1", "kind": "Rollout", "name": "owner", "uid": "r", "controller": true}]}, "spec": {}});
        let object: Object<PodSpec, NotUsed> = serde_json::from_value(object).unwrap();
        let resource = ApiResource::erase::<ReplicaSet>(&());
        assert_eq!(target(&resource, &object).unwrap().kind, "ReplicaSet");
        let mut gone = object;
        gone.metadata.deletion_timestamp =
            Some(serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap());
        assert_eq!(target(&resource, &gone), None);
    }
}
