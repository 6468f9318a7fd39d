//! A cluster → its objects, by lists and nothing else. What is forbidden is named, with what is missing because of it.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Mutex;

use futures::try_join;
use hostfit_crds::node::NodeFeature;
use hostfit_crds::workload::{CronJobSpec, PodSpec, Pods, TemplateSpec};
use hostfit_crds::{
    BaseImage, CompatException, CompatReport, HostProfile, NodeProfile, SupportMatrix, fleet, item,
};
use k8s_openapi::api::core::v1::{Namespace, Node};
use k8s_openapi::api::{apps::v1 as apps, batch::v1 as batch, core::v1 as core};
use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope};
use kube::api::ListParams;
use kube::core::object::NotUsed;
use kube::core::{DeserializeGuard, Object};
use kube::discovery::ApiResource;
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;

use super::{Declared, Hidden, Objects, Permissions};
use crate::cluster::{Cluster, Refusal};

/// Objects of one answer.
const PAGE: u32 = 500;
/// Objects of one answer that may have a hundred kilobytes each.
const SMALL_PAGE: u32 = 50;
/// Namespaces of Kubernetes itself: the chart leaves them out, too. `-n` shows them.
const LEFT_OUT: [&str; 2] = ["kube-system", "kube-node-lease"];

/// What was listed.
pub(super) struct Listed {
    pub(super) objects: Objects,
    /// What the operator found, where there is one.
    pub(super) reports: Vec<CompatReport>,
    pub(super) permissions: Permissions,
}

/// Lists what decides, all kinds at a time.
///
/// # Errors
///
/// If the API server cannot be asked at all.
pub(super) async fn list(cluster: &Cluster) -> anyhow::Result<Listed> {
    let lister = &Lister::new(cluster);
    let (place, reports, workloads) = try_join!(
        lister.place(),
        lister.namespaced::<CompatReport>(
            "compatreports.hostfit.dev",
            "what the operator found is not used, registries are asked"
        ),
        lister.workloads(),
    )?;
    let objects = Objects { workloads, ..place };
    Ok(lister.listed(objects, reports))
}

/// Lists what decides of workloads that are not there yet.
///
/// # Errors
///
/// As [`list`].
pub(super) async fn place(cluster: &Cluster) -> anyhow::Result<Listed> {
    let lister = &Lister::new(cluster);
    let objects = lister.place().await?;
    Ok(lister.listed(objects, Vec::new()))
}

/// Lists what tells of hosts, and nothing else.
///
/// # Errors
///
/// As [`list`].
pub(super) async fn hosts(cluster: &Cluster) -> anyhow::Result<Listed> {
    let lister = &Lister::new(cluster);
    let objects = lister.hosts().await?;
    Ok(lister.listed(objects, Vec::new()))
}

struct Lister<'a> {
    cluster: &'a Cluster,
    permissions: Mutex<Permissions>,
}

impl<'a> Lister<'a> {
    fn new(cluster: &'a Cluster) -> Self {
        Self {
            cluster,
            permissions: Mutex::default(),
        }
    }

    fn listed(&self, objects: Objects, reports: Vec<CompatReport>) -> Listed {
        let permissions = self.permissions.lock();
        let mut permissions = permissions.unwrap_or_else(|it| it.into_inner()).clone();
        permissions.used.sort();
        permissions
            .lacked
            .sort_by(|a, b| a.permission.cmp(&b.permission));
        Listed {
            objects,
            reports,
            permissions,
        }
    }

    /// Everything but workloads and what is known of them.
    async fn place(&self) -> anyhow::Result<Objects> {
        let (hosts, matrices, bases, namespaces, exceptions) = try_join!(
            self.hosts(),
            self.guarded::<SupportMatrix>(
                "supportmatrices.hostfit.dev",
                "the default rules were used, not the cluster's"
            ),
            self.guarded::<BaseImage>("baseimages.hostfit.dev", "its base images are not known"),
            self.namespaces(),
            self.namespaced::<CompatException>(
                "compatexceptions.hostfit.dev",
                "what people accept counts as if they did not"
            ),
        )?;
        Ok(Objects {
            matrices,
            bases,
            namespaces,
            exceptions,
            ..hosts
        })
    }

    async fn hosts(&self) -> anyhow::Result<Objects> {
        let nodes = Api::<Node>::all(self.cluster.client.clone());
        let therefore = "no host is known, and so nothing of what fits them";
        let (host_profiles, node_profiles, nodes) = try_join!(
            self.guarded::<HostProfile>(
                "hostprofiles.hostfit.dev",
                "classes of hosts are named by their nodes alone"
            ),
            self.guarded::<NodeProfile>(
                "nodeprofiles.hostfit.dev",
                "facts that agents and people told are not known"
            ),
            self.all(nodes, "nodes", therefore, PAGE),
        )?;
        let mut objects = Objects {
            host_profiles,
            node_profiles,
            nodes,
            ..Objects::default()
        };
        objects.nodes.iter_mut().for_each(fleet::prune);
        if !objects.has_operator() {
            let features = Api::<NodeFeature>::all(self.cluster.client.clone());
            let what = "nodefeatures.nfd.k8s-sigs.io";
            let therefore = "what node-feature-discovery found is not known";
            objects.node_features = self.all(features, what, therefore, SMALL_PAGE).await?;
            let features = objects.node_features.iter_mut();
            features.for_each(NodeFeature::prune);
        }
        Ok(objects)
    }

    fn permissions(&self, change: impl FnOnce(&mut Permissions)) {
        change(&mut self.permissions.lock().unwrap_or_else(|it| it.into_inner()));
    }

    fn lacked(&self, permission: &str, therefore: &str, hides_workloads: bool) {
        self.permissions(|permissions| {
            permissions.lacked.push(Hidden {
                permission: permission.to_owned(),
                therefore: therefore.to_owned(),
                hides_workloads,
            });
        });
    }

    /// All objects of a kind, page by page; none of a kind that is not installed, or may not be listed.
    async fn all<K: Clone + Debug + DeserializeOwned>(
        &self,
        api: Api<K>,
        what: &str,
        therefore: &str,
        page: u32,
    ) -> anyhow::Result<Vec<K>> {
        self.pages(api, &format!("list {what}"), therefore, page, false)
            .await
    }

    async fn pages<K: Clone + Debug + DeserializeOwned>(
        &self,
        api: Api<K>,
        permission: &str,
        therefore: &str,
        page: u32,
        hides_workloads: bool,
    ) -> anyhow::Result<Vec<K>> {
        let mut all = Vec::new();
        let mut params = ListParams::default().limit(page);
        loop {
            match self.cluster.ask(api.list(&params)).await {
                Ok(list) => {
                    all.extend(list.items);
                    params.continue_token = list.metadata.continue_.filter(|it| !it.is_empty());
                    if params.continue_token.is_none() {
                        self.permissions(|it| it.used.push(permission.to_owned()));
                        return Ok(all);
                    }
                }
                Err(Refusal::Absent) => return Ok(Vec::new()),
                Err(Refusal::Forbidden(_)) => {
                    self.lacked(permission, therefore, hides_workloads);
                    return Ok(Vec::new());
                }
                Err(Refusal::Trouble(error)) => return Err(error),
            }
        }
    }

    /// Objects of a kind of ours; one that a newer version wrote and this one cannot read is named and left out.
    async fn guarded<K>(&self, what: &str, therefore: &str) -> anyhow::Result<Vec<K>>
    where
        K: Resource<DynamicType = (), Scope = ClusterResourceScope>
            + Clone
            + Debug
            + DeserializeOwned,
    {
        let api = Api::<DeserializeGuard<K>>::all(self.cluster.client.clone());
        let all = self.all(api, what, therefore, PAGE).await?;
        Ok(self.readable(all, what))
    }

    fn readable<K: Resource>(&self, all: Vec<DeserializeGuard<K>>, what: &str) -> Vec<K> {
        let mut readable = Vec::new();
        for object in all {
            match object.0 {
                Ok(object) => readable.push(object),
                Err(invalid) => {
                    let name = invalid.metadata.name.unwrap_or_default();
                    let therefore =
                        format!("it is left out, since it cannot be read: {}", invalid.error);
                    self.lacked(&format!("read {what}/{name}"), &therefore, false);
                }
            }
        }
        readable
    }

    async fn namespaces(&self) -> anyhow::Result<BTreeMap<String, BTreeMap<String, String>>> {
        let therefore = "labels of namespaces do not choose the rules";
        let api: Api<Namespace> = Api::all(self.cluster.client.clone());
        let namespaces = match &self.cluster.namespace {
            None => {
                self.pages(api, "list namespaces", therefore, PAGE, false)
                    .await?
            }
            Some(name) => match self.cluster.ask(api.get(name)).await {
                Ok(namespace) => {
                    self.permissions(|it| it.used.push("get namespaces".to_owned()));
                    vec![namespace]
                }
                Err(Refusal::Forbidden(_)) => {
                    self.lacked("get namespaces", therefore, false);
                    Vec::new()
                }
                Err(Refusal::Absent) => anyhow::bail!(
                    "there is no namespace {name} in {}: name another one with -n, or take all with -A",
                    self.cluster.name
                ),
                Err(Refusal::Trouble(error)) => return Err(error),
            },
        };
        let labels = |it: Namespace| (it.name_any(), it.metadata.labels.unwrap_or_default());
        Ok(namespaces.into_iter().map(labels).collect())
    }

    /// Objects of a kind of ours in the namespaces that are meant.
    async fn namespaced<K>(&self, what: &str, therefore: &str) -> anyhow::Result<Vec<K>>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned,
    {
        let client = self.cluster.client.clone();
        let api = match &self.cluster.namespace {
            None => Api::<DeserializeGuard<K>>::all(client),
            Some(name) => Api::namespaced(client, name),
        };
        let all = self.all(api, what, therefore, PAGE).await?;
        Ok(self.readable(all, what))
    }

    async fn workloads(&self) -> anyhow::Result<Vec<Declared>> {
        let (a, b, c, d, e, f, g) = try_join!(
            self.kind::<apps::Deployment, TemplateSpec>("deployments.apps"),
            self.kind::<apps::StatefulSet, TemplateSpec>("statefulsets.apps"),
            self.kind::<apps::DaemonSet, TemplateSpec>("daemonsets.apps"),
            self.kind::<apps::ReplicaSet, TemplateSpec>("replicasets.apps"),
            self.kind::<batch::Job, TemplateSpec>("jobs.batch"),
            self.kind::<batch::CronJob, CronJobSpec>("cronjobs.batch"),
            self.kind::<core::Pod, PodSpec>("pods"),
        )?;
        let mut all: Vec<_> = [a, b, c, d, e, f, g].into_iter().flatten().collect();
        if self.cluster.namespace.is_none() {
            all.retain(|it| !LEFT_OUT.contains(&it.namespace.as_str()));
        }
        // Of what an unheard-of controller makes, one speaks for all.
        let mut seen = std::collections::BTreeSet::new();
        all.retain(|it| seen.insert((it.namespace.clone(), it.target.clone())));
        Ok(all)
    }

    async fn kind<K, S>(&self, what: &str) -> anyhow::Result<Vec<Declared>>
    where
        K: Resource<DynamicType = ()>,
        S: Pods + Clone + Debug + DeserializeOwned,
    {
        let resource = ApiResource::erase::<K>(&());
        let client = self.cluster.client.clone();
        let api = match &self.cluster.namespace {
            None => Api::<Object<S, NotUsed>>::all_with(client, &resource),
            Some(name) => Api::namespaced_with(client, name, &resource),
        };
        let place = match &self.cluster.namespace {
            None => "in all namespaces".to_owned(),
            Some(name) => format!("in namespace {name}"),
        };
        let permission = format!("list {what} {place}");
        let therefore = format!(
            "no {} there are judged",
            what.split('.').next().unwrap_or(what)
        );
        let objects = self.pages(api, &permission, &therefore, PAGE, true).await?;
        let declared = objects.into_iter().filter_map(|object| {
            Some(Declared {
                namespace: object.namespace()?,
                target: item::target(&resource, &object)?,
                generation: object.metadata.generation,
                pod: object.spec.annotated_pod(object.annotations()),
                labels: object.metadata.labels.unwrap_or_default(),
                pod_labels: object.spec.labels().cloned(),
                file: None,
            })
        });
        Ok(declared.collect())
    }
}
