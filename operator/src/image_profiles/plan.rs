//! Pure: images in use and the profiles that there are → what to inspect, to mark and to delete.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hostfit_crds::condition::{self, Wanted};
use hostfit_crds::image_profile::{ImageProfileSpec, ImageProfileStatus, KeptImageProfile};
use hostfit_crds::{ImageProfile, names};
use hostfit_engine::fact::{Fact, Gap};
use hostfit_engine::files::Reading;
use hostfit_engine::finding::plain;
use hostfit_engine::image::{Digest, ImageFacts, ImageRef, Inspected, PlatformFacts};
use hostfit_engine::lineage::Catalog;
use hostfit_registry::Platforms;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;

use super::InUse;
use crate::credentials::Ask;

/// What is to be done now, and how long nothing more is to be done by itself.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    pub(super) pause: Option<Duration>,
}

/// One thing to do.
pub(super) enum Step {
    /// Read the layers of an image.
    Inspect(Digest, Vec<Ask>),
    /// Write since when an image is unused, or that it is used again.
    Mark(Box<ImageProfile>),
    /// Nobody has used it for long, or nobody can find it.
    Delete(Arc<KeptImageProfile>),
}

/// The profiles that there are. Each is unpacked once, and again when it changes.
#[derive(Default)]
pub(super) struct Have {
    platforms: Option<Platforms>,
    entries: HashMap<Digest, Entry>,
    /// Under a name by which nobody looks, beside another one of the same image, or damaged.
    lost: Vec<Arc<KeptImageProfile>>,
}

struct Entry {
    profile: Arc<KeptImageProfile>,
    /// Whether it tells everything of every platform of the cluster.
    is_whole: bool,
    unused_since: Option<Time>,
}

impl Have {
    /// Takes what has changed.
    pub(super) fn remember(&mut self, profiles: Vec<Arc<KeptImageProfile>>, platforms: &Platforms) {
        let mut before = std::mem::take(&mut self.entries);
        if self.platforms.as_ref() != Some(platforms) {
            self.platforms = Some(platforms.clone());
            before.clear();
        }
        self.lost.clear();
        // The one that is found first counts: the short name comes before the long one.
        let mut profiles = profiles;
        profiles.sort_by_key(|profile| profile.name_any().len());
        for profile in profiles {
            let Some(digest) = profile.digest() else {
                self.lost.push(profile);
                continue;
            };
            if self.entries.contains_key(&digest) {
                self.lost.push(profile);
                continue;
            }
            let same = before.remove(&digest);
            let same = same.filter(|entry| Arc::ptr_eq(&entry.profile, &profile));
            let entry = same.or_else(|| Entry::of(&digest, &profile, platforms));
            match entry {
                Some(entry) => drop(self.entries.insert(digest, entry)),
                None => self.lost.push(profile),
            }
        }
    }
}

impl Entry {
    fn of(digest: &Digest, profile: &Arc<KeptImageProfile>, platforms: &Platforms) -> Option<Self> {
        let status = profile.unpacked()?.status;
        let inspected = profile.inspected(digest);
        Some(Self {
            profile: Arc::clone(profile),
            is_whole: inspected.is_some_and(|image| is_whole(&image.facts, platforms)),
            unused_since: status.and_then(|status| status.unused_since),
        })
    }

    /// The profile with another mark.
    fn marked(&self, unused_since: Option<&Time>) -> Option<Step> {
        let mut profile = self.profile.unpacked()?;
        profile.status.as_mut()?.unused_since = unused_since.cloned();
        Some(Step::Mark(Box::new(profile)))
    }
}

/// Whether the files of every wanted platform were read, or never can be.
fn is_whole(facts: &ImageFacts, platforms: &Platforms) -> bool {
    let all = facts.platforms.iter().map(|it| &it.platform);
    let is_read = |it: &PlatformFacts| match &it.contents {
        Fact::Known(..) => !it.lacks_files(),
        Fact::Unknown(Gap::Malformed { .. }) => true,
        Fact::Unknown(_) => false,
    };
    let mut wanted = facts.platforms.iter();
    wanted.all(|it| is_read(it) || !platforms.wants(&it.platform, all.clone()))
}

/// What is to be done now.
pub(super) fn plan(in_use: &InUse, have: &Have, now: &Time, keep_unused: Duration) -> Plan {
    let mut plan = Plan::default();
    let steps = &mut plan.steps;
    for (digest, references) in &in_use.images {
        match have.entries.get(digest) {
            Some(entry) if entry.unused_since.is_some() => steps.extend(entry.marked(None)),
            Some(entry) if entry.is_whole => {}
            Some(_) | None => steps.push(Step::Inspect(digest.clone(), references.clone())),
        }
    }
    steps.extend(have.lost.iter().cloned().map(Step::Delete));
    // While an image is still being asked for, nobody can say what is unused.
    if !in_use.is_complete {
        return plan;
    }
    let unused = have.entries.iter();
    for (_, entry) in unused.filter(|(digest, _)| !in_use.images.contains_key(digest)) {
        match &entry.unused_since {
            // One that was never finished is worth nothing.
            None => {
                let marked = entry.marked(Some(now));
                steps.push(marked.unwrap_or_else(|| Step::Delete(Arc::clone(&entry.profile))));
            }
            Some(since) => {
                let age = now.0.duration_since(since.0).unsigned_abs();
                match keep_unused.checked_sub(age) {
                    Some(left) if !left.is_zero() => {
                        plan.pause = Some(plan.pause.map_or(left, |pause| pause.min(left)));
                    }
                    _ => steps.push(Step::Delete(Arc::clone(&entry.profile))),
                }
            }
        }
    }
    plan
}

/// The profile of an image whose layers were read.
pub(super) fn profile(
    name: &str,
    repository: String,
    image: &ImageRef,
    whole: &Inspected,
    catalog: &Catalog,
    now: &Time,
) -> ImageProfile {
    let mut contents = whole.facts.platforms.iter().map(|it| &it.contents);
    let problem = whole
        .facts
        .platforms
        .iter()
        .find_map(|it| match &it.contents {
            Fact::Unknown(gap @ Gap::Malformed { .. }) => Some(gap.finding().message()),
            Fact::Known(contents, _) => match &contents.files {
                Reading::Unreadable { what } => Some(format!("its files: {what}")),
                Reading::NotRead | Reading::Read(_) => None,
            },
            Fact::Unknown(_) => None,
        });
    let base = contents.find_map(Fact::value);
    let base = base.and_then(|contents| catalog.lineage(image, contents).base);
    let status = ImageProfileStatus::of(whole);
    let omitted = (status.platforms_omitted > 0).then(|| {
        let (listed, omitted) = (status.platforms.len(), status.platforms_omitted);
        format!("{omitted} platforms of its index are left out, besides the {listed} that nodes are likeliest to choose")
    });
    let wanted = Wanted {
        type_: names::INSPECTED,
        status: problem.is_none().into(),
        reason: if problem.is_none() {
            "LayersRead"
        } else {
            "Malformed"
        },
        message: problem
            .map(|it| plain(&it, 512))
            .or(omitted)
            .unwrap_or_default(),
    };
    let spec = ImageProfileSpec {
        repository,
        digest: whole.facts.digest.to_string(),
    };
    let mut profile = ImageProfile::new(name, spec);
    let labels = profile.labels_mut();
    labels.insert(names::MANAGED_BY.to_owned(), names::HOSTFIT.to_owned());
    profile.status = Some(ImageProfileStatus {
        base_image: base.map(|base| plain(&base, 255)),
        inspected_time: Some(now.clone()),
        conditions: condition::merge(&[], &[wanted], None, now),
        ..status
    });
    profile
}

#[cfg(test)]
mod tests;
