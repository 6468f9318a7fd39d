//! A profile as processes keep it: there may be ten thousand, and few of them are read at a time.

use std::borrow::Cow;

use hostfit_engine::image::{Digest, Inspected};
use k8s_openapi::ClusterResourceScope;
use kube::Resource;
use kube::core::ObjectMeta;
use serde::Deserialize;

use super::{ImageProfile, ImageProfileSpec, ImageProfileStatus};

/// An [`ImageProfile`], its contents packed.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(from = "ImageProfile")]
pub struct KeptImageProfile {
    metadata: ObjectMeta,
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
            ..ObjectMeta::default()
        };
        // Maps have texts as keys, so this cannot fail; what cannot be unpacked counts as damaged.
        let packed = serde_json::to_vec(&(spec, status)).unwrap_or_default();
        Self {
            metadata,
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

    /// What is known of the image with this digest, if it is about that one and as this version reads layers.
    pub fn inspected(&self, digest: &Digest) -> Option<Inspected> {
        let profile = self.unpacked()?;
        let status = profile.status.filter(|it| it.read_by == super::READ_BY)?;
        let is_about_it = profile.spec.digest == digest.as_str();
        is_about_it.then(|| status.facts(digest.clone()))?
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
