//! What doctor looks at. Nothing is changed: the one pod that is created is created as a dry run.

mod install;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::time::{Duration, Instant};

use hostfit_crds::{BaseImage, CompatReport, NodeProfile, SupportMatrix, names};
use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec, SubjectAccessReview,
    SubjectAccessReviewSpec,
};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, Secret};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ListParams, PostParams};
use kube::{Client, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::checks::rights::{self, Right};
use crate::cluster::{Cluster, Refusal};
pub(super) use install::is_ours;

/// What was read; else why not, in words.
pub(super) type Answer<T> = Result<T, String>;

/// Everything that the checks look at.
#[derive(Debug, Clone)]
pub(super) struct Read {
    /// This machine's clock, at about the time of `call`.
    pub(super) now: Timestamp,
    /// `v1.35.2`
    pub(super) version: String,
    /// Ours.
    pub(super) crds: Answer<Vec<CustomResourceDefinition>>,
    /// Of Hostfit, of all releases.
    pub(super) deployments: Answer<Vec<Deployment>>,
    /// In the namespaces of all releases: of Hostfit.
    pub(super) pods: Answer<Vec<Pod>>,
    /// Of Hostfit, of all releases.
    pub(super) validating: Answer<Vec<ValidatingWebhookConfiguration>>,
    pub(super) mutating: Answer<Vec<MutatingWebhookConfiguration>>,
    /// The webhook's certificate, of the first release.
    pub(super) secret: Answer<Secret>,
    /// Namespace and name of each Secret of `registry.listed`, and whether it is there.
    pub(super) listed: Answer<Vec<(String, String, bool)>>,
    /// Addresses of the webhook's Service, of the first release.
    pub(super) endpoints: Answer<Vec<EndpointSlice>>,
    pub(super) matrices: Answer<Vec<SupportMatrix>>,
    pub(super) bases: Answer<Vec<BaseImage>>,
    pub(super) reports: Answer<Vec<CompatReport>>,
    pub(super) node_profiles: Answer<Vec<NodeProfile>>,
    pub(super) nodes: Answer<Vec<Node>>,
    /// Signs of life of the kubelets, by their clocks.
    pub(super) leases: Answer<Vec<Lease>>,
    pub(super) call: Answer<Call>,
    /// Rights of Hostfit that were asked for, and whether they are there; of the user, before an install.
    pub(super) rights: Answer<Vec<(Right, bool)>>,
}

/// A pod that the API server was asked to pretend to create.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Call {
    pub(super) namespace: String,
    /// Labels of the namespace.
    pub(super) labels: BTreeMap<String, String>,
    pub(super) took: Duration,
    /// Our webhook has annotated it.
    pub(super) annotated: bool,
    /// Why it was refused.
    pub(super) refused: Option<String>,
    /// The API server's clock.
    pub(super) server: Option<Timestamp>,
}

/// Reads everything.
///
/// # Errors
///
/// If the cluster cannot be asked at all.
pub(super) async fn read(cluster: &Cluster, before: bool) -> anyhow::Result<Read> {
    let client = &cluster.client;
    let version = match cluster.ask(client.apiserver_version()).await {
        Ok(version) => version.git_version,
        Err(Refusal::Trouble(error)) => return Err(error),
        Err(Refusal::Forbidden(_) | Refusal::Absent) => String::new(),
    };
    let ours = ListParams::default().labels("app.kubernetes.io/part-of=hostfit");
    let all = ListParams::default();
    let (
        crds,
        deployments,
        validating,
        mutating,
        matrices,
        bases,
        reports,
        node_profiles,
        nodes,
        leases,
    ) = tokio::join!(
        list(
            cluster,
            Api::all(client.clone()),
            &all,
            "customresourcedefinitions"
        ),
        list(cluster, Api::all(client.clone()), &ours, "deployments.apps"),
        list(
            cluster,
            Api::all(client.clone()),
            &all,
            "validatingwebhookconfigurations"
        ),
        list(
            cluster,
            Api::all(client.clone()),
            &all,
            "mutatingwebhookconfigurations"
        ),
        list(
            cluster,
            Api::all(client.clone()),
            &all,
            "supportmatrices.hostfit.dev"
        ),
        list(
            cluster,
            Api::all(client.clone()),
            &all,
            "baseimages.hostfit.dev"
        ),
        list(
            cluster,
            Api::all(client.clone()),
            &all,
            "compatreports.hostfit.dev"
        ),
        list(
            cluster,
            Api::all(client.clone()),
            &all,
            "nodeprofiles.hostfit.dev"
        ),
        list(cluster, Api::all(client.clone()), &all, "nodes"),
        list(
            cluster,
            Api::namespaced(client.clone(), "kube-node-lease"),
            &all,
            "leases"
        ),
    );
    let crds: Answer<Vec<CustomResourceDefinition>> = crds;
    let deployments: Answer<Vec<Deployment>> = deployments;
    let mut read = Read {
        now: Timestamp::now(),
        version,
        crds: crds.map(|all| only(all, |it| it.spec.group == names::GROUP)),
        validating: validating.map(|all: Vec<ValidatingWebhookConfiguration>| {
            only(all, |it| {
                it.webhooks.iter().flatten().any(|it| is_ours(&it.name))
            })
        }),
        mutating: mutating.map(|all: Vec<MutatingWebhookConfiguration>| {
            only(all, |it| {
                it.webhooks.iter().flatten().any(|it| is_ours(&it.name))
            })
        }),
        deployments,
        pods: Ok(Vec::new()),
        secret: Err("there is no install".to_owned()),
        listed: Ok(Vec::new()),
        endpoints: Err("there is no install".to_owned()),
        matrices,
        bases,
        reports,
        node_profiles,
        nodes,
        leases,
        call: Err("there is no webhook".to_owned()),
        rights: Err("there is no install".to_owned()),
    };
    if before {
        read.rights = users(cluster).await;
        return Ok(read);
    }
    read.pods = pods(cluster, read.namespaces(), &ours).await;
    if let Some((namespace, secret)) = read.secret_name() {
        let api: Api<Secret> = Api::namespaced(client.clone(), &namespace);
        read.secret = get(
            cluster,
            api.get(&secret),
            "get the Secret of the certificate",
        )
        .await;
    }
    read.listed = are_there(cluster, read.listed_secrets()).await;
    if let Some((namespace, service, _)) = read.service() {
        let of = ListParams::default().labels(&format!("kubernetes.io/service-name={service}"));
        let api = Api::namespaced(client.clone(), &namespace);
        read.endpoints = list(cluster, api, &of, "endpointslices.discovery.k8s.io").await;
        let excluded = read.excluded();
        read.call = call(cluster, client, &excluded).await;
        read.now = Timestamp::now();
    }
    if let Ok(deployments) = &read.deployments
        && !deployments.is_empty()
    {
        read.rights = of_accounts(cluster, rights::of(deployments)).await;
    }
    Ok(read)
}

fn only<T>(mut all: Vec<T>, is: impl Fn(&T) -> bool) -> Vec<T> {
    all.retain(|it| is(it));
    all
}

async fn list<K: Clone + Debug + DeserializeOwned>(
    cluster: &Cluster,
    api: Api<K>,
    params: &ListParams,
    what: &str,
) -> Answer<Vec<K>> {
    match cluster.ask(api.list(params)).await {
        Ok(list) => Ok(list.items),
        Err(Refusal::Absent) => Ok(Vec::new()),
        Err(Refusal::Forbidden(_)) => Err(format!("you may not list {what}")),
        Err(Refusal::Trouble(error)) => Err(format!("list {what}: {error:#}")),
    }
}

async fn get<T>(
    cluster: &Cluster,
    call: impl Future<Output = kube::Result<T>>,
    what: &str,
) -> Answer<T> {
    match cluster.ask(call).await {
        Ok(it) => Ok(it),
        Err(Refusal::Absent) => Err("it is not there".to_owned()),
        Err(Refusal::Forbidden(_)) => Err(format!("you may not {what}")),
        Err(Refusal::Trouble(error)) => Err(format!("{what}: {error:#}")),
    }
}

async fn pods(
    cluster: &Cluster,
    namespaces: BTreeSet<String>,
    ours: &ListParams,
) -> Answer<Vec<Pod>> {
    let lists = namespaces.into_iter().map(|namespace| async move {
        let api = Api::namespaced(cluster.client.clone(), &namespace);
        list(cluster, api, ours, "pods").await
    });
    let all: Vec<Vec<Pod>> = futures::future::try_join_all(lists).await?;
    Ok(all.into_iter().flatten().collect())
}

/// Whether these Secrets are there. What they hold is not asked for.
async fn are_there(
    cluster: &Cluster,
    secrets: BTreeSet<(String, String)>,
) -> Answer<Vec<(String, String, bool)>> {
    let asked = secrets.into_iter().map(|(namespace, name)| async move {
        let api: Api<Secret> = Api::namespaced(cluster.client.clone(), &namespace);
        match cluster.ask(api.get_metadata(&name)).await {
            Ok(_) => Ok((namespace, name, true)),
            Err(Refusal::Absent) => Ok((namespace, name, false)),
            Err(Refusal::Forbidden(_)) => Err(format!("you may not get Secret {namespace}/{name}")),
            Err(Refusal::Trouble(error)) => {
                Err(format!("get Secret {namespace}/{name}: {error:#}"))
            }
        }
    });
    futures::future::try_join_all(asked).await
}

/// Asks the API server to pretend to create a pod, in a namespace of which it asks us.
async fn call(cluster: &Cluster, client: &Client, excluded: &[String]) -> Answer<Call> {
    let namespaces: Vec<Namespace> = list(
        cluster,
        Api::all(client.clone()),
        &ListParams::default(),
        "namespaces",
    )
    .await?;
    let asked = |it: &&Namespace| {
        !excluded.contains(&it.name_any()) && it.metadata.deletion_timestamp.is_none()
    };
    let mut asked: Vec<_> = namespaces.iter().filter(asked).collect();
    asked.sort_by_key(|it| (it.name_any() != "default", it.name_any()));
    let namespace = asked.first().ok_or("every namespace is excluded")?;
    // A name that is no image: no registry is asked. The label: both webhooks are to answer.
    let pod: Pod = serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"generateName": "hostfit-doctor-", "labels": {names::VALIDATE: "doctor"}},
        "spec": {
            "automountServiceAccountToken": false,
            "containers": [{
                "name": "doctor", "image": "HOSTFIT-DOCTOR",
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            }],
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        },
    }))
    .map_err(|error| error.to_string())?;
    let params = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let api: Api<Pod> = Api::namespaced(client.clone(), &namespace.name_any());
    // The first call may have to wait for a connection.
    let _ = cluster.ask(api.create(&params, &pod)).await;
    let started = Instant::now();
    let answer = cluster.ask(api.create(&params, &pod)).await;
    let took = started.elapsed();
    let mut call = Call {
        namespace: namespace.name_any(),
        labels: namespace.labels().clone(),
        took,
        annotated: false,
        refused: None,
        server: None,
    };
    match answer {
        Ok(pod) => {
            call.annotated = pod.annotations().contains_key(names::VERDICT);
            call.server = pod.creation_timestamp().map(|it| it.0);
        }
        Err(Refusal::Forbidden(why)) if why.contains("is forbidden: User") => {
            return Err("you may not create pods".to_owned());
        }
        Err(Refusal::Forbidden(why)) => call.refused = Some(why),
        Err(Refusal::Trouble(error)) => call.refused = Some(format!("{error:#}")),
        Err(Refusal::Absent) => return Err("the namespace is gone".to_owned()),
    }
    Ok(call)
}

/// Whether accounts of Hostfit have rights.
async fn of_accounts(cluster: &Cluster, wanted: Vec<Right>) -> Answer<Vec<(Right, bool)>> {
    let api: &Api<SubjectAccessReview> = &Api::all(cluster.client.clone());
    let asked = wanted.into_iter().map(|right| async move {
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(right.user()),
                resource_attributes: Some(attributes(&right)),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let params = PostParams::default();
        let created = api.create(&params, &review);
        let answer = get(cluster, created, "create subjectaccessreviews").await?;
        let allowed = answer.status.is_some_and(|it| it.allowed);
        Ok((right, allowed))
    });
    futures::future::try_join_all(asked).await
}

/// Whether the user has the rights that an install takes.
async fn users(cluster: &Cluster) -> Answer<Vec<(Right, bool)>> {
    let api: &Api<SelfSubjectAccessReview> = &Api::all(cluster.client.clone());
    let asked = rights::of_install().into_iter().map(|right| async move {
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(attributes(&right)),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        };
        let params = PostParams::default();
        let created = api.create(&params, &review);
        let answer = get(cluster, created, "create selfsubjectaccessreviews").await?;
        let allowed = answer.status.is_some_and(|it| it.allowed);
        Ok((right, allowed))
    });
    futures::future::try_join_all(asked).await
}

fn attributes(right: &Right) -> ResourceAttributes {
    let optional = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    ResourceAttributes {
        group: optional(right.group),
        resource: optional(right.resource),
        subresource: optional(right.subresource),
        verb: optional(right.verb),
        namespace: right.namespace.clone(),
        name: right.name.clone(),
        ..ResourceAttributes::default()
    }
}
