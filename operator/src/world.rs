//! Everything that the operator watches, pruned to what it reads.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use hostfit_crds::item::{self, Item};
use hostfit_crds::node::Agents;
use hostfit_crds::workload::{CronJobSpec, PodSpec, PodStatus, Pods, TemplateSpec};
use hostfit_crds::{
    BaseImage, ClusterCompatReport, CompatException, CompatReport, HostProfile, KeptImageProfile,
    NodeProfile, SupportMatrix, fleet, runtime_class,
};
use hostfit_engine::image::Digest;
use hostfit_process::watch::{self, Keep};
use hostfit_process::{Changed, Health, Tasks, Watched};
use k8s_openapi::api::core::v1::{Namespace, Node};
use k8s_openapi::api::node::v1::RuntimeClass;
use kube::core::Object;
use kube::core::object::NotUsed;
use kube::discovery::ApiResource;
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt};

use crate::node_features::NodeFeatures;

/// The stores, and the signals that they fire.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) nodes: Watched<Node>,
    pub(crate) namespaces: Watched<Namespace>,
    pub(crate) profiles: Watched<HostProfile>,
    pub(crate) node_profiles: Watched<NodeProfile>,
    pub(crate) node_features: NodeFeatures,
    /// What node agents are worth.
    pub(crate) agents: Agents,
    pub(crate) runtime_classes: Watched<RuntimeClass>,
    pub(crate) matrices: Watched<SupportMatrix>,
    pub(crate) bases: Watched<BaseImage>,
    pub(crate) exceptions: Watched<CompatException>,
    pub(crate) image_profiles: Watched<KeptImageProfile>,
    pub(crate) reports: Watched<CompatReport>,
    pub(crate) cluster_reports: Watched<ClusterCompatReport>,
    templates: Vec<Kind<TemplateSpec>>,
    cron_jobs: Kind<CronJobSpec>,
    pods: Kind<PodSpec, PodStatus>,
    /// Nodes, what is told of them, or profiles changed.
    pub(crate) hosts_changed: Changed,
    /// A BaseImage changed.
    pub(crate) bases_changed: Changed,
    /// An ImageProfile changed.
    pub(crate) images_changed: Changed,
    /// Anything that a report depends on changed.
    pub(crate) anything_changed: Changed,
}

/// What is believed and asked of nodes.
pub(crate) struct Settings {
    pub(crate) agents: Agents,
    pub(crate) node_features: bool,
}

/// All objects of a kind. Objects of a list do not say of what kind they are.
#[derive(Clone)]
struct Kind<S: Clone + 'static, U: Clone + 'static = NotUsed> {
    resource: ApiResource,
    watched: Watched<Object<S, U>>,
}

impl World {
    /// Starts every watch as a background task.
    pub(crate) fn watch(
        client: &Client,
        settings: &Settings,
        health: &Health,
        tasks: &mut Tasks,
    ) -> Self {
        let hosts_changed = Changed::default();
        let bases_changed = Changed::default();
        let images_changed = Changed::default();
        let anything_changed = Changed::default();
        let config = watcher::Config::default;
        macro_rules! typed {
            ($kind:ty, $name:literal, $prune:expr, $signal:expr) => {{
                let ready = health.condition(concat!("watch ", $name));
                let api = Api::all(client.clone());
                let (watched, follow) =
                    watch::watch::<$kind>(api, config(), $prune, ready, $signal.clone());
                tasks.background(concat!("watch ", $name), follow);
                watched
            }};
        }
        macro_rules! dynamic {
            ($spec:ty, $status:ty, $kind:ty, $name:literal, $is_same:expr) => {{
                let ready = health.condition(concat!("watch ", $name));
                let resource = ApiResource::erase::<$kind>(&());
                let api = Api::all_with(client.clone(), &resource);
                let (watched, follow) = watch::watch_dynamic::<Object<$spec, $status>>(
                    resource.clone(),
                    api,
                    config(),
                    Keep {
                        prune: prune_metadata,
                        is_same: $is_same,
                    },
                    ready,
                    anything_changed.clone(),
                );
                tasks.background(concat!("watch ", $name), follow);
                Kind { resource, watched }
            }};
        }
        macro_rules! templates {
            ($spec:ty, $kind:ty, $name:literal) => {
                dynamic!($spec, NotUsed, $kind, $name, is_same)
            };
        }
        use k8s_openapi::api::{apps::v1 as apps, batch::v1 as batch, core::v1 as core};
        Self {
            nodes: typed!(Node, "nodes", fleet::prune, hosts_changed),
            profiles: typed!(HostProfile, "hostprofiles", |_| {}, hosts_changed),
            node_profiles: typed!(NodeProfile, "nodeprofiles", |_| {}, hosts_changed),
            node_features: NodeFeatures::watch(
                client,
                settings.node_features,
                tasks,
                &hosts_changed,
            ),
            agents: settings.agents,
            runtime_classes: typed!(
                RuntimeClass,
                "runtimeclasses",
                runtime_class::prune,
                anything_changed
            ),
            namespaces: typed!(Namespace, "namespaces", prune_namespace, anything_changed),
            matrices: typed!(SupportMatrix, "supportmatrices", |_| {}, anything_changed),
            bases: typed!(BaseImage, "baseimages", |_| {}, bases_changed),
            exceptions: typed!(
                CompatException,
                "compatexceptions",
                prune_exception,
                anything_changed
            ),
            image_profiles: typed!(KeptImageProfile, "imageprofiles", |_| {}, images_changed),
            reports: typed!(CompatReport, "compatreports", |_| {}, anything_changed),
            cluster_reports: typed!(
                ClusterCompatReport,
                "clustercompatreports",
                |_| {},
                anything_changed
            ),
            templates: vec![
                templates!(TemplateSpec, apps::Deployment, "deployments"),
                templates!(TemplateSpec, apps::StatefulSet, "statefulsets"),
                templates!(TemplateSpec, apps::DaemonSet, "daemonsets"),
                templates!(TemplateSpec, apps::ReplicaSet, "replicasets"),
                templates!(TemplateSpec, batch::Job, "jobs"),
            ],
            cron_jobs: templates!(CronJobSpec, batch::CronJob, "cronjobs"),
            pods: dynamic!(PodSpec, PodStatus, core::Pod, "pods", |one, other| {
                is_same(one, other) && one.status == other.status
            }),
            hosts_changed,
            bases_changed,
            images_changed,
            anything_changed,
        }
    }

    /// Every workload that nobody else makes, outside the excluded namespaces; nothing before all watches have synced.
    pub(crate) fn workloads(&self, excluded: &BTreeSet<String>) -> Option<Vec<Item>> {
        let mut items = Vec::new();
        for templates in &self.templates {
            items.extend(templates.items(excluded)?);
        }
        items.extend(self.cron_jobs.items(excluded)?);
        items.extend(self.pods.items(excluded)?);
        item::once(&mut items);
        Some(items)
    }

    /// The images that ran, by namespace; nothing before the watch of pods has synced.
    pub(crate) fn ran(&self) -> Option<HashMap<String, HashSet<Digest>>> {
        let mut ran: HashMap<_, HashSet<_>> = HashMap::new();
        for pod in self.pods.watched.state()? {
            let digests = pod.status.iter().flat_map(|status| &status.ran);
            if let Some(namespace) = pod.namespace() {
                ran.entry(namespace).or_default().extend(digests.cloned());
            }
        }
        Some(ran)
    }

    /// The labels of each namespace; nothing before the watch has synced.
    pub(crate) fn namespace_labels(&self) -> Option<HashMap<String, BTreeMap<String, String>>> {
        let namespaces = self.namespaces.state()?;
        let labels = |namespace: Arc<Namespace>| (namespace.name_any(), namespace.labels().clone());
        Some(namespaces.into_iter().map(labels).collect())
    }
}

impl<S: Pods + Clone, U: Clone> Kind<S, U> {
    /// The workloads among the objects; nothing before the watch has synced.
    fn items(&self, excluded: &BTreeSet<String>) -> Option<Vec<Item>> {
        let objects = self.watched.state()?;
        let is_ours = |object: &&Arc<Object<S, U>>| {
            let namespace = object.namespace();
            namespace.is_some_and(|namespace| !excluded.contains(&namespace))
        };
        let items = objects.iter().filter(is_ours);
        Some(
            items
                .filter_map(|object| item::item(&self.resource, object))
                .collect(),
        )
    }
}

/// Nothing of a workload that we read has changed, but for its status.
fn is_same<S: Clone + PartialEq, U: Clone>(one: &Object<S, U>, other: &Object<S, U>) -> bool {
    one.metadata == other.metadata && one.spec == other.spec
}

/// Drops what nobody reads of a workload, before it is kept.
fn prune_metadata<S: Pods + Clone, U: Clone>(object: &mut Object<S, U>) {
    object.metadata.annotations = None;
    object.metadata.managed_fields = None;
    // Exceptions ask for the labels of pods. Where a template speaks for them, it has them.
    if object.spec.labels().is_some() || item::is_made(object) {
        object.metadata.labels = None;
    }
}

fn prune_exception(exception: &mut CompatException) {
    exception.metadata.annotations = None;
    exception.metadata.managed_fields = None;
}

fn prune_namespace(namespace: &mut Namespace) {
    namespace.metadata.annotations = None;
    namespace.metadata.managed_fields = None;
}
