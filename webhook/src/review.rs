//! AdmissionReview in: read as far as we need it, borrowed from the body.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::subject::{Kind, Metadata};

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
    resource: Resource<'a>,
    #[serde(borrow, default)]
    sub_resource: Option<Cow<'a, str>>,
    #[serde(borrow)]
    operation: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) namespace: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(crate) name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(crate) object: Option<&'a RawValue>,
    #[serde(borrow, default)]
    old_object: Option<&'a RawValue>,
    #[serde(default)]
    user_info: UserInfo,
}

/// The resource that the request is about.
#[derive(Debug, Deserialize)]
struct Resource<'a> {
    #[serde(borrow, default)]
    group: Cow<'a, str>,
    #[serde(borrow)]
    resource: Cow<'a, str>,
}

/// Who asks.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct UserInfo {
    groups: Vec<String>,
}

impl Request<'_> {
    /// The kind of the object that is to be judged; nothing for what is not for us to judge.
    pub(crate) fn kind(&self) -> Option<Kind> {
        let resource = (&*self.resource.group, &*self.resource.resource);
        let kind = match (resource, self.sub_resource.as_deref().unwrap_or_default()) {
            (("", "pods"), "" | "ephemeralcontainers") => Kind::Pod,
            (("apps", "deployments"), "") => Kind::Deployment,
            (("apps", "statefulsets"), "") => Kind::StatefulSet,
            (("apps", "daemonsets"), "") => Kind::DaemonSet,
            (("apps", "replicasets"), "") => Kind::ReplicaSet,
            (("batch", "jobs"), "") => Kind::Job,
            (("batch", "cronjobs"), "") => Kind::CronJob,
            _ => return None,
        };
        matches!(&*self.operation, "CREATE" | "UPDATE").then_some(kind)
    }

    /// The object as it was, if the request changes one.
    pub(crate) fn before(&self) -> Option<&RawValue> {
        self.old_object.filter(|_| self.operation == "UPDATE")
    }

    /// A mirror pod runs whether it is admitted or not. The annotation alone would be easy to write for anybody.
    pub(crate) fn is_mirror(&self, metadata: &Metadata) -> bool {
        let by_a_node = self
            .user_info
            .groups
            .iter()
            .any(|group| group == "system:nodes");
        by_a_node && metadata.is_of_a_mirror()
    }
}
