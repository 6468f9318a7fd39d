//! AdmissionReview in: read as far as we need it, borrowed from the body.

use std::borrow::Cow;
use std::collections::BTreeMap;

use hostfit_crds::names;
use hostfit_crds::workload::PodSpec;
use serde::Deserialize;
use serde_json::value::RawValue;

/// The body of a call.
#[derive(Debug, Deserialize)]
pub(crate) struct Review<'a> {
    #[serde(borrow)]
    pub(crate) request: Request<'a>,
}

/// What the API server asks.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Request<'a> {
    #[serde(borrow)]
    pub(crate) uid: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) resource: Resource<'a>,
    #[serde(borrow, default)]
    pub(crate) sub_resource: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(crate) operation: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) namespace: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(crate) name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(crate) object: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) old_object: Option<&'a RawValue>,
    #[serde(default)]
    pub(crate) user_info: UserInfo,
}

/// The resource that the request is about.
#[derive(Debug, Deserialize)]
pub(crate) struct Resource<'a> {
    #[serde(borrow, default)]
    pub(crate) group: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) resource: Cow<'a, str>,
}

/// Who asks.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct UserInfo {
    groups: Vec<String>,
}

/// A pod, as far as we read it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Pod {
    /// Absent only in a review that no API server sends.
    pub(crate) metadata: Option<Metadata>,
    pub(crate) spec: PodSpec,
}

/// Metadata of a pod.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Metadata {
    pub(crate) name: Option<String>,
    pub(crate) generate_name: Option<String>,
    pub(crate) annotations: Option<BTreeMap<String, String>>,
    labels: Option<BTreeMap<String, String>>,
    owner_references: Option<Vec<Owner>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Owner {
    kind: String,
    name: String,
    controller: Option<bool>,
}

impl Request<'_> {
    /// Pods and their ephemeral containers; nothing else is judged.
    pub(crate) fn is_about_a_pod(&self) -> bool {
        self.resource.group.is_empty()
            && self.resource.resource == "pods"
            && matches!(
                self.sub_resource.as_deref(),
                None | Some("" | "ephemeralcontainers")
            )
            && matches!(&*self.operation, "CREATE" | "UPDATE")
    }

    /// A mirror pod runs whether it is admitted or not. The annotation alone would be easy to write for anybody.
    pub(crate) fn is_mirror(&self, metadata: &Metadata) -> bool {
        let annotated = metadata
            .annotations
            .as_ref()
            .is_some_and(|it| it.contains_key(names::MIRROR_POD));
        let by_a_node = self
            .user_info
            .groups
            .iter()
            .any(|group| group == "system:nodes");
        let owned = metadata
            .owner_references
            .iter()
            .flatten()
            .any(|owner| owner.kind == "Node");
        annotated && by_a_node && owned
    }
}

impl Metadata {
    /// Whether a controller made the pod.
    pub(crate) fn is_owned(&self) -> bool {
        self.owner_references
            .iter()
            .flatten()
            .any(|owner| owner.controller == Some(true))
    }

    /// Name of the CompatReport that speaks of the pod. A ReplicaSet's name ends in the hash of its template; without
    /// it, it is the Deployment's. A Job's name ends in the minute for which a CronJob made it; without that, it is the
    /// CronJob's.
    pub(crate) fn report(&self) -> Option<String> {
        let mut owners = self.owner_references.iter().flatten();
        let Some(owner) = owners.find(|owner| owner.controller == Some(true)) else {
            return Some(names::report("Pod", self.name.as_deref()?));
        };
        let hash = self
            .labels
            .as_ref()
            .and_then(|labels| labels.get("pod-template-hash"));
        let deployment = hash.and_then(|hash| owner.name.strip_suffix(&format!("-{hash}")));
        Some(match (owner.kind.as_str(), deployment) {
            ("ReplicaSet", Some(deployment)) => names::report("Deployment", deployment),
            ("Job", _) => match cron_job(&owner.name) {
                Some(cron_job) => names::report("CronJob", cron_job),
                None => names::report("Job", &owner.name),
            },
            (kind, _) => names::report(kind, &owner.name),
        })
    }
}

/// The CronJob by whose controller a Job of this name was made: the name ends in minutes since 1970. No date is taken
/// for them, as long as it is written with four digits of the year.
fn cron_job(job: &str) -> Option<&str> {
    const MINUTES: std::ops::Range<u32> = 25_000_000..100_000_000;
    let (name, minute) = job.rsplit_once('-')?;
    let is_minute = minute.len() == 8 && minute.parse().is_ok_and(|it| MINUTES.contains(&it));
    is_minute.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn report(metadata: serde_json::Value) -> Option<String> {
        serde_json::from_value::<Metadata>(metadata)
            .unwrap()
            .report()
    }

    #[test]
    fn the_report_is_that_of_the_top_owner() {
        let owner =
            |kind: &str, name: &str| json!([{"kind": kind, "name": name, "controller": true}]);
        assert_eq!(
            report(json!({"name": "alone"})).as_deref(),
            Some("pod-alone")
        );
        assert_eq!(report(json!({"generateName": "alone-"})), None);
        assert_eq!(
            report(json!({"labels": {"pod-template-hash": "7d9f"}, "ownerReferences": owner("ReplicaSet", "web-7d9f")}))
                .as_deref(),
            Some("deploy-web")
        );
        assert_eq!(
            report(json!({"ownerReferences": owner("ReplicaSet", "own")})).as_deref(),
            Some("rs-own")
        );
        for (job, expected) in [
            ("nightly-29923200", "cronjob-nightly"),
            ("import-20261124", "job-import-20261124"),
            ("import", "job-import"),
            ("a-+9923200", "job-a-+9923200"),
        ] {
            assert_eq!(
                report(json!({"ownerReferences": owner("Job", job)})).as_deref(),
                Some(expected)
            );
        }
        assert_eq!(
            report(json!({"ownerReferences": owner("StatefulSet", "db")})).as_deref(),
            Some("sts-db")
        );
    }
}
