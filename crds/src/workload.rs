//! Pods and what makes pods, read as far as the judge needs them, on their way to the engine's `Workload`.
//!
//! Unknown fields and values are tolerated: a newer API server may send them.

mod affinity;
mod container;
mod ran;

use std::collections::BTreeMap;

use hostfit_engine::workload as engine;
use serde::{Deserialize, Deserializer, Serialize};

pub use self::affinity::Affinity;
pub use self::ran::PodStatus;

use self::container::{Common, Container, HostAccess, SecurityContext};

/// The parts of a pod's spec that matter to us.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSpec {
    #[serde(deserialize_with = "null_is_default")]
    containers: Vec<Container>,
    #[serde(deserialize_with = "null_is_default")]
    init_containers: Vec<Container>,
    #[serde(deserialize_with = "null_is_default")]
    ephemeral_containers: Vec<Container>,
    #[serde(deserialize_with = "null_is_default")]
    volumes: Vec<Volume>,
    node_name: Option<String>,
    #[serde(deserialize_with = "null_is_default")]
    node_selector: BTreeMap<String, String>,
    affinity: Option<Affinity>,
    #[serde(deserialize_with = "null_is_default")]
    tolerations: Vec<Toleration>,
    runtime_class_name: Option<String>,
    service_account_name: Option<String>,
    #[serde(deserialize_with = "null_is_default")]
    image_pull_secrets: Vec<SecretReference>,
    #[serde(deserialize_with = "null_is_default")]
    security_context: SecurityContext,
    host_users: Option<bool>,
    #[serde(rename = "hostPID", deserialize_with = "null_is_default")]
    host_pid: bool,
    #[serde(deserialize_with = "null_is_default")]
    host_network: bool,
}

/// The annotation that demanded a profile of AppArmor of one container, before there was a field for it.
const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct SecretReference {
    name: Option<String>,
}

/// What tells which pull secrets a pod has.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PullSecretNames {
    /// Its service account.
    pub account: String,
    /// Those that it names itself.
    pub own: Vec<String>,
}

impl PodSpec {
    /// Whether it has any container: the API server takes no pod without.
    pub fn has_containers(&self) -> bool {
        !self.containers.is_empty()
    }

    /// Which pull secrets the pod has.
    pub fn pull_secrets(&self) -> PullSecretNames {
        let account = self.service_account_name.as_deref();
        let account = account.filter(|name| !name.is_empty());
        let own = self.image_pull_secrets.iter();
        let own = own.filter_map(|it| it.name.clone().filter(|name| !name.is_empty()));
        PullSecretNames {
            account: account.unwrap_or("default").to_owned(),
            own: own.collect(),
        }
    }

    /// Takes what annotations of the pod demand of its containers in the old way, where their own fields say nothing: so does
    /// the API server of a pod, and not of a template.
    pub fn heed(&mut self, annotations: &BTreeMap<String, String>) {
        for (key, profile) in annotations {
            let Some(name) = key.strip_prefix(APP_ARMOR) else {
                continue;
            };
            let containers = self.containers.iter_mut().chain(&mut self.init_containers);
            let containers = containers.chain(&mut self.ephemeral_containers);
            for container in containers.filter(|it| it.name == name) {
                container.heed_app_armor(profile);
            }
        }
    }

    /// Its affinity, for who adds to it.
    pub fn affinity(&self) -> Option<&Affinity> {
        self.affinity.as_ref()
    }
}

/// Absent, null and empty mean the same in the Kubernetes API.
fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Volume {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<VolumeImage>,
    #[serde(rename = "hostPath", skip_serializing_if = "Option::is_none")]
    host_path: Option<HostPath>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct HostPath {
    path: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct VolumeImage {
    reference: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Toleration {
    #[serde(deserialize_with = "null_is_default")]
    key: String,
    #[serde(deserialize_with = "null_is_default")]
    operator: String,
    #[serde(deserialize_with = "null_is_default")]
    value: String,
    #[serde(deserialize_with = "null_is_default")]
    effect: String,
}

impl From<PodSpec> for engine::Workload {
    fn from(spec: PodSpec) -> Self {
        let paths = spec.volumes.iter();
        let paths = paths.filter_map(|volume| volume.host_path.as_ref()?.path.clone());
        let pod = &Common {
            security: spec.security_context,
            host: HostAccess {
                host_users: spec.host_users,
                host_pid: spec.host_pid,
                host_network: spec.host_network,
                paths: paths.collect(),
            },
        };
        let container =
            |role: engine::Role| move |container: Container| container.into_engine(role, pod);
        let volume = |volume: Volume| {
            let reference = volume.image?.reference?;
            // An image volume may name no image yet, in a template that somebody else fills in.
            let role = engine::Role::Volume;
            (!reference.is_empty())
                .then(|| engine::WorkloadImage::new(volume.name, role, reference.parse()))
        };
        let mut images: Vec<_> = spec
            .containers
            .into_iter()
            .map(container(engine::Role::Container))
            .collect();
        let init = spec.init_containers.into_iter();
        images.extend(init.map(container(engine::Role::InitContainer)));
        let ephemeral = spec.ephemeral_containers.into_iter();
        images.extend(ephemeral.map(container(engine::Role::EphemeralContainer)));
        images.extend(spec.volumes.into_iter().filter_map(volume));
        Self {
            images,
            placement: engine::Placement {
                node_name: spec.node_name.filter(|name| !name.is_empty()),
                node_selector: spec.node_selector,
                terms: spec.affinity.and_then(Affinity::required),
                tolerations: spec.tolerations.into_iter().map(Into::into).collect(),
                runtime_class: spec.runtime_class_name.filter(|name| !name.is_empty()),
            },
        }
    }
}

impl From<Toleration> for engine::Toleration {
    fn from(toleration: Toleration) -> Self {
        Self {
            // An operator that we do not know may tolerate any value: rather a host too many than one too few.
            exists: !matches!(toleration.operator.as_str(), "" | "Equal"),
            key: toleration.key,
            value: toleration.value,
            effect: toleration.effect,
        }
    }
}

/// Spec of a Deployment, StatefulSet, DaemonSet, ReplicaSet or Job.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TemplateSpec {
    /// The template of its pods.
    pub template: PodTemplate,
}

/// Spec of a CronJob.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CronJobSpec {
    /// The template of its jobs.
    pub job_template: JobTemplate,
}

/// Template of a job.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct JobTemplate {
    /// Spec of the job.
    pub spec: TemplateSpec,
}

/// Template of a pod.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "WrittenTemplate")]
pub struct PodTemplate {
    /// Metadata of the pod.
    pub metadata: TemplateMetadata,
    /// Spec of the pod, with what its annotations say.
    pub spec: PodSpec,
}

/// A template as people write it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct WrittenTemplate {
    metadata: WrittenMetadata,
    spec: PodSpec,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WrittenMetadata {
    #[serde(deserialize_with = "null_is_default")]
    labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "null_is_default")]
    annotations: BTreeMap<String, String>,
}

impl From<WrittenTemplate> for PodTemplate {
    fn from(written: WrittenTemplate) -> Self {
        let WrittenMetadata {
            labels,
            annotations,
        } = written.metadata;
        let mut spec = written.spec;
        spec.heed(&annotations);
        Self {
            metadata: TemplateMetadata { labels },
            spec,
        }
    }
}

/// Metadata of a template, as far as it is kept.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct TemplateMetadata {
    /// Labels that its pods will have.
    pub labels: BTreeMap<String, String>,
}

/// What runs as pods.
pub trait Pods {
    /// The spec of its pods.
    fn pod(&self) -> &PodSpec;

    /// The labels that its pods will have; `None` if it is a pod itself.
    fn labels(&self) -> Option<&BTreeMap<String, String>>;

    /// The spec of its pods, with what the annotations of the object say of it if it is a pod itself.
    fn annotated_pod(&self, annotations: &BTreeMap<String, String>) -> PodSpec {
        let mut pod = self.pod().clone();
        if self.labels().is_none() {
            pod.heed(annotations);
        }
        pod
    }
}

impl Pods for PodSpec {
    fn pod(&self) -> &PodSpec {
        self
    }

    fn labels(&self) -> Option<&BTreeMap<String, String>> {
        None
    }
}

impl Pods for TemplateSpec {
    fn pod(&self) -> &PodSpec {
        &self.template.spec
    }

    fn labels(&self) -> Option<&BTreeMap<String, String>> {
        Some(&self.template.metadata.labels)
    }
}

impl Pods for CronJobSpec {
    fn pod(&self) -> &PodSpec {
        self.job_template.spec.pod()
    }

    fn labels(&self) -> Option<&BTreeMap<String, String>> {
        self.job_template.spec.labels()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(spec: serde_json::Value) -> engine::Workload {
        serde_json::from_value::<PodSpec>(spec).unwrap().into()
    }

    #[test]
    fn every_kind_of_image_user_is_found() {
        let workload = read(json!({
            "containers": [{"name": "web", "image": "a.example/web:1"}],
            "initContainers": [{"name": "setup", "image": "busybox", "restartPolicy": "Always"}],
            "ephemeralContainers": [{"name": "debug", "image": "${DEBUG}"}],
            "volumes": [
                {"name": "models", "image": {"reference": "a.example/models:2", "pullPolicy": "Always"}},
                {"name": "tmp", "emptyDir": {}},
                {"name": "later", "image": {"reference": ""}},
            ],
            "someday": {"new": true},
        }));
        let seen: Vec<_> = workload
            .images
            .iter()
            .map(|image| {
                let reference = image.reference.as_ref().map(ToString::to_string);
                format!(
                    "{} {} {}",
                    image.role.field(),
                    image.name,
                    reference.unwrap_or_else(|e| e.to_string())
                )
            })
            .collect();
        assert_eq!(
            seen,
            [
                "containers web a.example/web:1",
                "initContainers setup docker.io/library/busybox:latest",
                "ephemeralContainers debug the image reference is a placeholder that nothing has replaced",
                "volumes models a.example/models:2",
            ]
        );
    }

    #[test]
    fn a_profile_of_app_armor_is_demanded_in_the_old_way_too() {
        let annotation = |name: &str| format!("{APP_ARMOR}{name}");
        let template = json!({
            "metadata": {"annotations": {
                annotation("default"): "runtime/default", annotation("own"): "localhost/mine", annotation("setup"): "runtime/default",
                annotation("none"): "unconfined", annotation("newer"): "runtime/default", annotation("garbage"): "yes",
                annotation("gone"): "runtime/default", "other.example/none": "runtime/default",
            }},
            "spec": {
                "initContainers": [{"name": "setup"}],
                "containers": [
                    {"name": "default"}, {"name": "own"}, {"name": "none"}, {"name": "silent"}, {"name": "garbage"},
                    {"name": "newer", "securityContext": {"appArmorProfile": {"type": "Unconfined"}}},
                ],
            },
        });
        let demanding = |template: &serde_json::Value| {
            let template: PodTemplate = serde_json::from_value(template.clone()).unwrap();
            let images = engine::Workload::from(template.spec).images.into_iter();
            let images = images.filter(|it| it.security.app_armor);
            images.map(|it| it.name).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(demanding(&template), "default own setup");
        // The annotation of a container wins over what the pod says of all.
        let mut of_pod = template;
        of_pod["spec"]["securityContext"] = json!({"appArmorProfile": {"type": "RuntimeDefault"}});
        assert_eq!(demanding(&of_pod), "default own silent garbage setup");
        // What was read is written as the field, and read again.
        let read: PodTemplate = serde_json::from_value(of_pod).unwrap();
        let written = serde_json::to_value(&read).unwrap();
        assert_eq!(
            serde_json::from_value::<PodTemplate>(written).unwrap(),
            read
        );
    }

    #[test]
    fn null_and_absent_are_the_same() {
        let workload = read(json!({
            "containers": null, "volumes": null, "tolerations": null, "nodeSelector": null,
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": null}},
            "nodeName": "",
        }));
        assert_eq!(workload, read(json!({})));
        assert_eq!(workload.placement, engine::Placement::default());
    }

    #[test]
    fn placement_is_read_as_the_scheduler_reads_it() {
        let workload = read(json!({
            "nodeSelector": {"pool": "new"},
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                {"matchExpressions": [{"key": "cores", "operator": "Gt", "values": ["4"]}]},
                {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]},
            ]}}},
            "tolerations": [{"operator": "Exists"}, {"key": "gpu", "value": "yes", "effect": "NoSchedule"}],
            "runtimeClassName": "kata",
        }));
        let placement = workload.placement;
        assert_eq!(
            placement.node_selector.get("pool").map(String::as_str),
            Some("new")
        );
        let terms = placement.terms.unwrap();
        assert_eq!(terms[0].labels[0].operator, engine::Operator::Gt);
        assert_eq!(terms[1].names[0].values, ["n1"]);
        assert!(placement.tolerations[0].exists && !placement.tolerations[1].exists);
        assert_eq!(placement.runtime_class.as_deref(), Some("kata"));
    }

    #[test]
    fn what_rules_read_of_a_pod_survives_being_written() {
        let pod = json!({
            "containers": [{
                "name": "c", "image": "a.example/x:1", "command": ["java", "--password=secret", "-Xmx1g"], "args": ["-XX:+UseG1GC", "-p", "secret"],
                "env": [{"name": "JAVA_TOOL_OPTIONS", "value": "-Xss1m"}, {"name": "PASSWORD", "value": "secret"},
                        {"name": "NVIDIA_VISIBLE_DEVICES", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}],
                "resources": {"limits": {"nvidia.com/mig-1g.5gb": 1, "cpu": "2"}},
                "securityContext": {"seLinuxOptions": {"type": "spc_t"}, "privileged": true},
            }],
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}},
            "nodeSelector": {"pool": "gpu"}, "runtimeClassName": "gvisor", "hostUsers": false, "hostPID": true,
            "volumes": [{"name": "v", "image": {"reference": "a.example/v:1"}}, {"name": "h", "hostPath": {"path": "/proc"}}],
        });
        let read = |pod: serde_json::Value| serde_json::from_value::<PodSpec>(pod).unwrap();
        let once = read(pod);
        let written = serde_json::to_value(&once).unwrap();
        assert!(!written.to_string().contains("secret"), "{written}");
        let twice = read(written);
        let (once, twice): (engine::Workload, engine::Workload) = (once.into(), twice.into());
        assert_eq!(once, twice);
        assert!(once.images[0].wants_gpu && once.images[0].security.selinux_options);
        assert_eq!(once.images[0].java_options, ["-Xmx1g", "-XX:+UseG1GC"]);
        assert!(once.images[0].has_own_command && once.images[0].has_own_arguments);
        assert_eq!(once.images[0].env.len(), 1);
    }
}
