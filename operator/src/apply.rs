//! The only writes of the operator: server-side apply, and the deletion of what it made itself.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use hostfit_crds::{
    BaseImage, ClusterCompatReport, CompatException, CompatReport, HostProfile, ImageProfile,
    KeptImageProfile, NodeProfile, SupportMatrix, names,
};
use hostfit_process::Lease;
use hostfit_process::client::{CALL, within};
use k8s_openapi::api::core::v1::{Node, ObjectReference, Secret};
use kube::api::{Api, DeleteParams, Patch, PatchParams, Preconditions};
use kube::core::DynamicObject;
use kube::discovery::ApiResource;
use kube::runtime::events::{Event, Recorder, Reporter};
use kube::{Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tracing::warn;

/// Writes to one cluster, while this process leads.
#[derive(Clone)]
pub(crate) struct Writer {
    client: Client,
    lease: Arc<Lease>,
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// It is there.
    Done,
    /// The object, or its namespace, is gone or going: nothing to do.
    Gone,
}

impl Writer {
    pub(crate) fn new(client: Client, lease: Arc<Lease>) -> Self {
        Self { client, lease }
    }

    /// Whether this process leads.
    pub(crate) fn leads(&self) -> bool {
        self.lease.is_held()
    }

    /// The client, if this process leads at this moment: one that was stopped for a while must not write any more.
    fn client(&self) -> kube::Result<Client> {
        match self.leads() {
            true => Ok(self.client.clone()),
            false => Err(kube::Error::Service(
                "this process does not lead any more".into(),
            )),
        }
    }

    /// Observed profiles carry no spec; the label tells them from those that people make.
    pub(crate) async fn host_profile(&self, name: &str) -> kube::Result<Written> {
        let mut profile = HostProfile::new(name, Default::default());
        profile
            .labels_mut()
            .insert(names::MANAGED_BY.to_owned(), names::HOSTFIT.to_owned());
        upsert(&Api::all(self.client()?), &profile, names::MANAGER, true).await
    }

    pub(crate) async fn host_profile_status(&self, profile: &HostProfile) -> kube::Result<Written> {
        status(&Api::all(self.client()?), profile).await
    }

    pub(crate) async fn delete_host_profile(&self, profile: &HostProfile) -> kube::Result<Written> {
        delete(&Api::all(self.client()?), profile).await
    }

    /// The profile of a node, which owns it. What people override in it is theirs.
    pub(crate) async fn node_profile(&self, node: &Node) -> kube::Result<Written> {
        let name = node.name_any();
        let mut profile = NodeProfile::new(&name, Default::default());
        let managed = (names::MANAGED_BY.to_owned(), names::HOSTFIT.to_owned());
        profile.labels_mut().extend([managed]);
        profile.owner_references_mut().extend(node.owner_ref(&()));
        upsert(&Api::all(self.client()?), &profile, names::MANAGER, true).await
    }

    pub(crate) async fn node_profile_status(&self, profile: &NodeProfile) -> kube::Result<Written> {
        status(&Api::all(self.client()?), profile).await
    }

    pub(crate) async fn support_matrix_status(
        &self,
        matrix: &SupportMatrix,
    ) -> kube::Result<Written> {
        status(&Api::all(self.client()?), matrix).await
    }

    pub(crate) async fn exception_status(
        &self,
        exception: &CompatException,
    ) -> kube::Result<Written> {
        let namespace = exception.namespace().unwrap_or_default();
        status(&Api::namespaced(self.client()?, &namespace), exception).await
    }

    pub(crate) async fn base_image_status(&self, base: &BaseImage) -> kube::Result<Written> {
        status(&Api::all(self.client()?), base).await
    }

    /// What was learned of an image: two writes, because the status is a subresource.
    pub(crate) async fn image_profile(&self, profile: &ImageProfile) -> kube::Result<Written> {
        let api = Api::all(self.client()?);
        let mut spec = profile.clone();
        spec.status = None;
        match upsert(&api, &spec, names::MANAGER, true).await? {
            Written::Done => status(&api, profile).await,
            Written::Gone => Ok(Written::Gone),
        }
    }

    /// Writes since when an image is unused, unless its profile has changed meanwhile: what was learned since must stay.
    pub(crate) async fn image_profile_mark(&self, profile: &ImageProfile) -> kube::Result<Written> {
        let version = profile.resource_version();
        status_at(&Api::all(self.client()?), profile, version).await
    }

    pub(crate) async fn delete_image_profile(
        &self,
        profile: &KeptImageProfile,
    ) -> kube::Result<Written> {
        delete(&Api::all(self.client()?), profile).await
    }

    /// The report and its status: two writes, because the status is a subresource.
    pub(crate) async fn report(&self, report: &CompatReport) -> kube::Result<Written> {
        let namespace = report.namespace().unwrap_or_default();
        let api = Api::namespaced(self.client()?, &namespace);
        let mut spec = report.clone();
        spec.status = None;
        match upsert(&api, &spec, names::MANAGER, true).await? {
            Written::Done => status(&api, report).await,
            Written::Gone => Ok(Written::Gone),
        }
    }

    pub(crate) async fn delete_report(&self, report: &CompatReport) -> kube::Result<Written> {
        let namespace = report.namespace().unwrap_or_default();
        delete(&Api::namespaced(self.client()?, &namespace), report).await
    }

    /// The report on a profile, which owns it, and its status: two writes, because the status is a subresource.
    pub(crate) async fn cluster_report(
        &self,
        report: &ClusterCompatReport,
    ) -> kube::Result<Written> {
        let api = Api::all(self.client()?);
        let mut spec = report.clone();
        spec.status = None;
        match upsert(&api, &spec, names::MANAGER, true).await? {
            Written::Done => status(&api, report).await,
            Written::Gone => Ok(Written::Gone),
        }
    }

    /// What is told of a report that somebody else made: nothing else of it is ours.
    pub(crate) async fn cluster_report_status(
        &self,
        report: &ClusterCompatReport,
    ) -> kube::Result<Written> {
        status(&Api::all(self.client()?), report).await
    }

    pub(crate) async fn delete_cluster_report(
        &self,
        report: &ClusterCompatReport,
    ) -> kube::Result<Written> {
        delete(&Api::all(self.client()?), report).await
    }

    /// The labels of a node: those that we own and that are absent here are removed. The UID keeps us from making a
    /// node that is gone.
    pub(crate) async fn node_labels(
        &self,
        node: &Node,
        labels: &BTreeMap<&'static str, String>,
    ) -> kube::Result<Written> {
        let patch = json!({
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": node.name_any(), "uid": node.uid(), "labels": labels},
        });
        let api: Api<Node> = Api::all(self.client()?);
        let parameters = PatchParams::apply(names::MANAGER).force();
        let patch = Patch::Apply(&patch);
        gone(
            within(CALL, api.patch(&node.name_any(), &parameters, &patch))
                .await
                .map(drop),
        )
    }

    /// Takes labels off a node, also those that somebody else wrote: apply only removes our own.
    pub(crate) async fn remove_node_labels(
        &self,
        node: &Node,
        keys: &[&'static str],
    ) -> kube::Result<Written> {
        let labels: BTreeMap<_, ()> = keys.iter().map(|key| (*key, ())).collect();
        let patch = json!({"metadata": {"uid": node.uid(), "labels": labels}});
        let api: Api<Node> = Api::all(self.client()?);
        let (name, patch) = (node.name_any(), Patch::Merge(&patch));
        let parameters = PatchParams {
            field_manager: Some(names::MANAGER.to_owned()),
            ..PatchParams::default()
        };
        gone(
            within(CALL, api.patch(&name, &parameters, &patch))
                .await
                .map(drop),
        )
    }

    /// Tells about an object. What is told stands in a status as well: that it could not be told is only logged.
    pub(crate) async fn event(&self, event: &Event, about: &ObjectReference) {
        let told = async {
            let reporter = Reporter {
                controller: names::EVENTS_FROM.to_owned(),
                instance: None,
            };
            // A recorder counts an event that it knows, and tells its first note again: each of ours is new.
            let recorder = Recorder::new(self.client()?, reporter);
            within(CALL, recorder.publish(event, about)).await
        };
        if let Err(error) = told.await {
            let name = about.name.as_deref();
            warn!(name, reason = event.reason, %error, "event not written");
        }
    }

    /// The certificate of the webhook.
    pub(crate) async fn secret(&self, secret: &Secret) -> kube::Result<Written> {
        let namespace = secret.namespace().unwrap_or_default();
        upsert(
            &Api::namespaced(self.client()?, &namespace),
            secret,
            names::CA_MANAGER,
            true,
        )
        .await
    }

    /// Fields of webhooks that are ours, each kind by a manager of its own. A configuration that is gone stays gone: deleting
    /// it is how people switch Hostfit off in an emergency.
    pub(crate) async fn webhooks<K>(
        &self,
        configuration: &K,
        manager: &str,
        patch: &serde_json::Value,
    ) -> kube::Result<Written>
    where
        K: Resource<Scope = k8s_openapi::ClusterResourceScope, DynamicType = ()>
            + Clone
            + Debug
            + DeserializeOwned,
    {
        let api: Api<K> = Api::all(self.client()?);
        let parameters = PatchParams::apply(manager).force();
        let (name, patch) = (configuration.name_any(), Patch::Apply(patch));
        gone(
            within(CALL, api.patch(&name, &parameters, &patch))
                .await
                .map(drop),
        )
    }

    /// The chart's defaults: not forced, so that what people changed stays theirs.
    pub(crate) async fn default_object(
        &self,
        resource: &ApiResource,
        name: &str,
        object: &serde_json::Value,
    ) -> kube::Result<()> {
        let api: Api<DynamicObject> = Api::all_with(self.client()?, resource);
        let parameters = PatchParams::apply(names::DEFAULTS_MANAGER);
        within(CALL, api.patch(name, &parameters, &Patch::Apply(object)))
            .await
            .map(drop)
    }
}

async fn upsert<K>(api: &Api<K>, object: &K, manager: &str, force: bool) -> kube::Result<Written>
where
    K: Resource + Clone + Debug + Serialize + DeserializeOwned,
{
    let parameters = PatchParams {
        force,
        ..PatchParams::apply(manager)
    };
    gone(
        within(
            CALL,
            api.patch(&object.name_any(), &parameters, &Patch::Apply(object)),
        )
        .await
        .map(drop),
    )
}

async fn status<K>(api: &Api<K>, object: &K) -> kube::Result<Written>
where
    K: Resource + Clone + Debug + Serialize + DeserializeOwned,
{
    status_at(api, object, None).await
}

/// The same, if the object still has this version where one is given.
async fn status_at<K>(api: &Api<K>, object: &K, version: Option<String>) -> kube::Result<Written>
where
    K: Resource + Clone + Debug + Serialize + DeserializeOwned,
{
    let (name, object) = (object.name_any(), status_patch(object, version)?);
    let parameters = PatchParams::apply(names::MANAGER).force();
    gone(
        within(
            CALL,
            api.patch_status(&name, &parameters, &Patch::Apply(&object)),
        )
        .await
        .map(drop),
    )
}

fn status_patch<K: Resource + Serialize>(
    object: &K,
    version: Option<String>,
) -> kube::Result<serde_json::Value> {
    let name = object.name_any();
    let mut object = serde_json::to_value(object).map_err(kube::Error::SerdeError)?;
    if let Some(object) = object.as_object_mut() {
        object.remove("spec");
    }
    // Only the name: what else is in the metadata belongs to others.
    if let Some(metadata) = object.get_mut("metadata") {
        *metadata = json!({"name": name});
        if let Some(version) = version {
            metadata["resourceVersion"] = version.into();
        }
    }
    Ok(object)
}

/// Deletes exactly this object, not one of the same name that came after it.
async fn delete<K>(api: &Api<K>, object: &K) -> kube::Result<Written>
where
    K: Resource + Clone + Debug + DeserializeOwned,
{
    let parameters = DeleteParams {
        preconditions: Some(Preconditions {
            uid: object.uid(),
            resource_version: None,
        }),
        ..DeleteParams::default()
    };
    gone(
        within(CALL, api.delete(&object.name_any(), &parameters))
            .await
            .map(drop),
    )
}

/// Not there, another one of that name, or its namespace is being deleted: there is nothing left to write to.
fn gone(result: kube::Result<()>) -> kube::Result<Written> {
    match result {
        Ok(()) => Ok(Written::Done),
        Err(kube::Error::Api(status))
            if status.code == 404 || status.code == 409 || is_terminating(&status) =>
        {
            Ok(Written::Gone)
        }
        Err(error) => Err(error),
    }
}

fn is_terminating(status: &kube::core::Status) -> bool {
    status.code == 403 && status.message.contains("is being terminated")
}

/// Whether the API server refuses what is written for what stands in it: the same will be refused again.
pub(crate) fn is_refused(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 422)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_for_the_version_that_was_seen() {
        let mut profile = ImageProfile::new("a", Default::default());
        profile.metadata.resource_version = Some("7".to_owned());
        profile.metadata.labels = Some(BTreeMap::new());
        let written = |version| status_patch(&profile, version).unwrap()["metadata"].clone();
        let seen = json!({"name": "a", "resourceVersion": "7"});
        assert_eq!(written(profile.resource_version()), seen);
        assert_eq!(written(None), json!({"name": "a"}));
    }

    #[test]
    fn only_what_stands_in_an_object_is_refused_for_good() {
        for (code, expected) in [(422, true), (409, false), (403, false), (500, false)] {
            let status = kube::core::Status {
                code,
                ..Default::default()
            };
            let error = kube::Error::Api(Box::new(status));
            assert_eq!(is_refused(&error), expected, "{code}");
        }
    }
}
