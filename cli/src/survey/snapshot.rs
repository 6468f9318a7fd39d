//! A survey in a file: what a cluster is asked for, kept. Whoever has the file judges as whoever has the cluster.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use hostfit_crds::ImageProfileStatus;
use hostfit_engine::fact::{Evidence, Fact, Gap, Strength, Unreachable};
use hostfit_engine::image::{Digest, ImageFacts, ImageRef, Inspected, Manifest};
use hostfit_registry::SharedFacts;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::redacted::redact;
use super::{Objects, Permissions, Survey};

/// What this version writes.
const VERSION: &str = "snapshot.hostfit.dev/v1";
const KIND: &str = "Snapshot";

/// What stands in a snapshot, ready for use.
pub(super) struct Snapshot {
    pub(super) taken: Timestamp,
    pub(super) objects: Objects,
    pub(super) permissions: Permissions,
    pub(super) images: HashMap<ImageRef, SharedFacts>,
}

/// The file.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    api_version: String,
    kind: String,
    /// The version of the program that wrote it.
    written_by: String,
    taken: String,
    #[serde(default)]
    permissions: Permissions,
    objects: Objects,
    /// What each reference leads to.
    images: BTreeMap<String, Led>,
    /// What is behind digests, as ImageProfiles say it.
    profiles: BTreeMap<String, ImageProfileStatus>,
}

/// Where a reference led to, or why nowhere.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Led {
    Digest(String),
    /// HF901
    Unauthorized,
    /// HF902
    RateLimited,
    /// HF903
    NothingTells,
    /// HF905
    NotInTime,
    /// HF906
    NotFound,
    /// HF907
    NoAnswer,
    /// HF907
    NotAllowed,
    /// HF908
    Malformed(String),
}

impl Led {
    fn of(gap: &Gap) -> Self {
        match gap {
            Gap::Unauthorized { .. } | Gap::SecretNotRead { .. } => Self::Unauthorized,
            Gap::RateLimited { .. } => Self::RateLimited,
            Gap::NotFound { .. } => Self::NotFound,
            Gap::Unreachable {
                why: Unreachable::NoAnswer,
                ..
            } => Self::NoAnswer,
            Gap::Unreachable {
                why: Unreachable::NotAllowed,
                ..
            } => Self::NotAllowed,
            Gap::Malformed { what } => Self::Malformed(what.clone()),
            Gap::NotFetchedInTime => Self::NotInTime,
            // The others are about files, a host or a row, not about where an image led to.
            Gap::NothingTells
            | Gap::FilesUnreadable { .. }
            | Gap::ImageFactMissing { .. }
            | Gap::HostFactMissing { .. }
            | Gap::NoHost
            | Gap::NotProfiled => Self::NothingTells,
        }
    }

    fn gap(self, image: &ImageRef) -> Gap {
        let registry = image.registry().to_owned();
        match self {
            Self::Unauthorized => Gap::Unauthorized { registry },
            Self::RateLimited => Gap::RateLimited { registry },
            Self::NotFound => Gap::NotFound { registry },
            Self::NoAnswer => Gap::Unreachable {
                registry,
                why: Unreachable::NoAnswer,
            },
            Self::NotAllowed => Gap::Unreachable {
                registry,
                why: Unreachable::NotAllowed,
            },
            Self::Malformed(what) => Gap::Malformed { what },
            Self::NotInTime => Gap::NotFetchedInTime,
            Self::NothingTells => Gap::NothingTells,
            // A digest of which the file says nothing.
            Self::Digest(_) => Gap::NotFetchedInTime,
        }
    }
}

/// Reads a snapshot.
///
/// # Errors
///
/// If it cannot be read, is none, or is of a newer version.
pub(super) fn read(path: &Path) -> anyhow::Result<Snapshot> {
    let name = path.display();
    let file = File::open(path).with_context(|| format!("open snapshot {name}"))?;
    let mut text = Vec::new();
    BufReader::new(file)
        .read_to_end(&mut text)
        .with_context(|| format!("read snapshot {name}"))?;
    parse(&text).with_context(|| format!("read snapshot {name}"))
}

fn parse(text: &[u8]) -> anyhow::Result<Snapshot> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Head {
        #[serde(default)]
        api_version: String,
        #[serde(default)]
        kind: String,
        #[serde(default)]
        written_by: String,
    }
    let head: Head = serde_json::from_slice(text).with_context(|| {
        format!(
            "it is no JSON object, or only a part of one; make it again with {} snapshot",
            crate::program()
        )
    })?;
    if head.kind != KIND || !head.api_version.starts_with("snapshot.hostfit.dev/") {
        bail!(
            "it is no snapshot: make one with {} snapshot",
            crate::program()
        );
    }
    if head.api_version != VERSION {
        bail!(
            "it is of version {}, and this program reads {VERSION}: take hostfit {} or newer, or make the snapshot again",
            head.api_version,
            head.written_by
        );
    }
    let written: Written = serde_json::from_slice(text).with_context(|| {
        format!(
            "it is damaged; make it again with {} snapshot",
            crate::program()
        )
    })?;
    let mut profiles = HashMap::new();
    for (digest, status) in written.profiles {
        let digest: Digest = digest.parse().with_context(|| format!("digest {digest}"))?;
        if let Some(known) = status.facts(digest.clone()) {
            let from = format!("manifest {}", digest.short());
            let evidence = Evidence::new(Strength::Stated, from);
            profiles.insert(digest, Arc::new(Fact::Known(known.facts, evidence)));
        }
    }
    let mut images = HashMap::new();
    for (reference, led) in written.images {
        let image: ImageRef = reference
            .parse()
            .with_context(|| format!("image {reference}"))?;
        let known = match &led {
            Led::Digest(digest) => digest.parse().ok().and_then(|it: Digest| profiles.get(&it)),
            _ => None,
        };
        let facts = known.cloned();
        let facts = facts.unwrap_or_else(|| Arc::new(Fact::Unknown(led.gap(&image))));
        images.insert(image, facts);
    }
    Ok(Snapshot {
        taken: written.taken.parse().context("when it was taken")?,
        objects: written.objects,
        permissions: written.permissions,
        images,
    })
}

impl Survey {
    /// The survey as a file, in one line of JSON; without names, if they are to be taken out.
    ///
    /// # Errors
    ///
    /// If it cannot be written as JSON.
    pub(crate) fn snapshot(&self, redacted: bool) -> anyhow::Result<String> {
        let mut images = BTreeMap::new();
        let mut profiles = BTreeMap::new();
        for (reference, facts) in &self.images {
            let led = match &**facts {
                Fact::Known(facts, _) => {
                    let digest = facts.digest.to_string();
                    profiles.insert(digest.clone(), kept(facts));
                    Led::Digest(digest)
                }
                Fact::Unknown(gap) => Led::of(gap),
            };
            images.insert(reference.to_string(), led);
        }
        let written = Written {
            api_version: VERSION.to_owned(),
            kind: KIND.to_owned(),
            written_by: env!("CARGO_PKG_VERSION").to_owned(),
            taken: self.read.to_string(),
            permissions: self.permissions.clone(),
            objects: self.objects.clone(),
            images,
            profiles,
        };
        let mut written = serde_json::to_value(&written)?;
        prune(&mut written);
        if redacted {
            redact(&mut written);
        }
        Ok(serde_json::to_string(&written)?)
    }
}

/// An image as ImageProfiles keep it. What is kept of manifests serves reading layers, which nobody does with a snapshot.
fn kept(facts: &ImageFacts) -> ImageProfileStatus {
    let manifest = Manifest {
        digest: facts.digest.clone(),
        size: 0,
    };
    ImageProfileStatus::of(&Inspected {
        facts: facts.clone(),
        manifests: vec![manifest; facts.platforms.len()],
    })
}

/// Drops what is absent anyway: most of a pod is.
fn prune(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(prune);
            fields.retain(|name, value| match value {
                Value::Null => false,
                // Who wrote what says nothing here.
                _ if name == "managedFields" => false,
                // Empty says something in spec.affinity and in selectors.
                Value::Array(list) => !list.is_empty() || name == "nodeSelectorTerms",
                _ => true,
            });
        }
        Value::Array(list) => list.iter_mut().for_each(prune),
        _ => {}
    }
}
