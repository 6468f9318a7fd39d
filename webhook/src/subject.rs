//! What a review is about: a pod, or a template that pods are made of. Read as far as we need it.

use std::collections::BTreeMap;

use hostfit_crds::names;
use hostfit_crds::workload::{CronJobSpec, PodSpec, PodTemplate, TemplateSpec};
use serde::Deserialize;

/// The kinds that are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Pod,
    Deployment,
    StatefulSet,
    DaemonSet,
    ReplicaSet,
    Job,
    CronJob,
}

impl Kind {
    /// The name of the kind.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pod => "Pod",
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
            Self::ReplicaSet => "ReplicaSet",
            Self::Job => "Job",
            Self::CronJob => "CronJob",
        }
    }

    /// As people say it in a sentence.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::Pod => "pod",
            kind => kind.as_str(),
        }
    }

    /// Whether it holds a template, so that pods come of it and are judged once more.
    pub(crate) fn is_template(self) -> bool {
        self != Self::Pod
    }

    /// The path to the spec of the pods.
    pub(crate) fn pod_spec(self) -> &'static str {
        match self {
            Self::Pod => "spec",
            Self::CronJob => "spec.jobTemplate.spec.template.spec",
            Self::Deployment
            | Self::StatefulSet
            | Self::DaemonSet
            | Self::ReplicaSet
            | Self::Job => "spec.template.spec",
        }
    }

    /// Reads an object of this kind.
    pub(crate) fn read(self, object: &str) -> serde_json::Result<Subject> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Object<S> {
            metadata: Option<Metadata>,
            spec: S,
        }
        impl<S> Object<S> {
            fn subject(self, template: fn(S) -> PodTemplate) -> Subject {
                let template = template(self.spec);
                Subject {
                    metadata: self.metadata,
                    template_labels: template.metadata.labels,
                    pod: template.spec,
                }
            }
        }
        Ok(match self {
            Self::Pod => {
                let pod: Object<_> = serde_json::from_str(object)?;
                let mut subject = pod.subject(|spec| PodTemplate {
                    spec,
                    ..PodTemplate::default()
                });
                let annotations = subject.metadata.as_ref();
                if let Some(annotations) = annotations.and_then(|it| it.annotations.as_ref()) {
                    subject.pod.heed(annotations);
                }
                subject
            }
            Self::CronJob => serde_json::from_str::<Object<CronJobSpec>>(object)?
                .subject(|spec| spec.job_template.spec.template),
            Self::Deployment
            | Self::StatefulSet
            | Self::DaemonSet
            | Self::ReplicaSet
            | Self::Job => {
                serde_json::from_str::<Object<TemplateSpec>>(object)?.subject(|spec| spec.template)
            }
        })
    }
}

/// An object that is judged.
#[derive(Debug)]
pub(crate) struct Subject {
    /// Absent only in a review that no API server sends.
    pub(crate) metadata: Option<Metadata>,
    /// Labels of the template; empty for a pod.
    pub(crate) template_labels: BTreeMap<String, String>,
    /// The pod, or the one of the template.
    pub(crate) pod: PodSpec,
}

/// Metadata of an object.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Metadata {
    pub(crate) name: Option<String>,
    pub(crate) generate_name: Option<String>,
    pub(crate) annotations: Option<BTreeMap<String, String>>,
    pub(crate) labels: Option<BTreeMap<String, String>>,
    owner_references: Option<Vec<Owner>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Owner {
    kind: String,
    name: String,
    controller: Option<bool>,
}

impl Metadata {
    /// Whether a controller made the object.
    pub(crate) fn is_owned(&self) -> bool {
        self.controller().is_some()
    }

    /// Whether it is a pod that belongs to its node.
    pub(crate) fn is_of_a_daemon_set(&self) -> bool {
        self.controller()
            .is_some_and(|owner| owner.kind == "DaemonSet")
    }

    fn controller(&self) -> Option<&Owner> {
        let mut owners = self.owner_references.iter().flatten();
        owners.find(|owner| owner.controller == Some(true))
    }

    /// Whether this is said of a mirror pod, by whoever says it.
    pub(crate) fn is_of_a_mirror(&self) -> bool {
        let annotated = self
            .annotations
            .as_ref()
            .is_some_and(|it| it.contains_key(names::MIRROR_POD));
        let mut owners = self.owner_references.iter().flatten();
        annotated && owners.any(|owner| owner.kind == "Node")
    }

    /// Name of the CompatReport that speaks of the object, which is of this kind. A ReplicaSet's name ends in the hash of its template; without
    /// it, it is the Deployment's. A Job's name ends in the minute for which a CronJob made it; without that, it is the
    /// CronJob's.
    pub(crate) fn report(&self, kind: Kind) -> Option<String> {
        let Some(owner) = self.controller() else {
            return Some(names::report(kind.as_str(), self.name.as_deref()?));
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
    use hostfit_engine::workload::Workload;
    use serde_json::json;

    fn report(metadata: serde_json::Value) -> Option<String> {
        serde_json::from_value::<Metadata>(metadata)
            .unwrap()
            .report(Kind::Pod)
    }

    #[test]
    fn an_old_annotation_of_app_armor_counts_where_pods_get_it() {
        let demands = |kind: Kind, object: serde_json::Value| {
            let subject = kind.read(&object.to_string()).unwrap();
            Workload::from(subject.pod).images[0].security.app_armor
        };
        let key = "container.apparmor.security.beta.kubernetes.io/web";
        let annotated = json!({"annotations": {key: "runtime/default"}});
        let spec = json!({"containers": [{"name": "web", "image": "a.example/web:1"}]});
        let pod = json!({"metadata": annotated, "spec": spec});
        assert!(demands(Kind::Pod, pod.clone()));
        assert!(demands(
            Kind::Deployment,
            json!({"spec": {"template": pod}})
        ));
        // Its pods do not get what stands at the Deployment itself.
        let deployment = json!({"metadata": annotated, "spec": {"template": {"spec": spec}}});
        assert!(!demands(Kind::Deployment, deployment));
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
