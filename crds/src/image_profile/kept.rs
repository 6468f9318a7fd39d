//! A profile as processes keep it: there may be ten thousand, and few of them are read at a time.

use std::borrow::Cow;

use hostfit_engine::image::{Digest, Inspected};
use k8s_openapi::ClusterResourceScope;
use kube::Resource;
use kube::core::ObjectMeta;
use serde::Deserialize;

use super::{ImageProfile, ImageProfileSpec, ImageProfileStatus, READ_BY, names};

/// An [`ImageProfile`], its contents packed.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(from = "ImageProfile")]
pub struct KeptImageProfile {
    metadata: ObjectMeta,
    digest: String,
    /// Which version of ours read it; empty where nothing was read.
    read_by: String,
    /// Spec and status as JSON.
    packed: Box<[u8]>,
}

impl From<ImageProfile> for KeptImageProfile {
    fn from(profile: ImageProfile) -> Self {
        let ImageProfile {
            metadata,
            spec,
            status,
        } = profile;
        let metadata = ObjectMeta {
            name: metadata.name,
            uid: metadata.uid,
            // Without it a watch does not know where it is.
            resource_version: metadata.resource_version,
            ..ObjectMeta::default()
        };
        let digest = spec.digest.clone();
        let read_by = status.as_ref().map(|status| status.read_by.clone());
        // Maps have texts as keys, so this cannot fail; what cannot be unpacked counts as damaged.
        let packed = serde_json::to_vec(&(spec, status)).unwrap_or_default();
        Self {
            metadata,
            digest,
            read_by: read_by.unwrap_or_default(),
            packed: packed.into(),
        }
    }
}

impl KeptImageProfile {
    /// The profile, without what nobody reads of its metadata. `None` if it is damaged.
    pub fn unpacked(&self) -> Option<ImageProfile> {
        let (spec, status): (ImageProfileSpec, Option<ImageProfileStatus>) =
            serde_json::from_slice(&self.packed).ok()?;
        Some(ImageProfile {
            metadata: self.metadata.clone(),
            spec,
            status,
        })
    }

    /// The digest that it is about. `None` if that is none, or its name is not one by which it is looked for.
    pub fn digest(&self) -> Option<Digest> {
        let digest: Digest = self.digest.parse().ok()?;
        let name = self.metadata.name.as_deref()?;
        names(&digest).contains(&name).then_some(digest)
    }

    /// Whether it is about the image with this digest.
    pub fn is_about(&self, digest: &Digest) -> bool {
        self.digest == digest.as_str()
    }

    /// What is known of the image with this digest, if it is about that one and as this version reads layers.
    pub fn inspected(&self, digest: &Digest) -> Option<Inspected> {
        // Looked up often, and unpacked only where something comes of it.
        (self.read_by == READ_BY).then(|| self.told(digest))?
    }

    /// The same, whichever version read it.
    pub fn told(&self, digest: &Digest) -> Option<Inspected> {
        let profile = self.is_about(digest).then(|| self.unpacked())??;
        profile.status?.facts(digest.clone())
    }
}

impl Resource for KeptImageProfile {
    type DynamicType = ();
    type Scope = ClusterResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        ImageProfile::kind(&())
    }
    fn group((): &()) -> Cow<'_, str> {
        ImageProfile::group(&())
    }
    fn version((): &()) -> Cow<'_, str> {
        ImageProfile::version(&())
    }
    fn plural((): &()) -> Cow<'_, str> {
        ImageProfile::plural(&())
    }
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_watch_needs_is_kept_and_the_rest_is_packed() {
        let json = r#"{"metadata": {"name": "aaaaaaaaaaaa", "uid": "u", "resourceVersion": "7", "labels": {"a": "b"}},
            "spec": {"repository": "a.example/x", "digest": "sha256:x"}, "status": {"readBy": "1"}}"#;
        let kept: KeptImageProfile = serde_json::from_str(json).unwrap();
        assert_eq!(kept.meta().resource_version.as_deref(), Some("7"));
        assert_eq!(kept.meta().labels, None);
        assert_eq!(kept.digest(), None, "not a digest");
        assert_eq!(kept.read_by, "1");
        let whole = kept.unpacked().unwrap();
        assert_eq!(whole.spec.repository, "a.example/x");
        assert_eq!(whole.status.unwrap().read_by, "1");
    }
}
