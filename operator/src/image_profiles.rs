//! Controller: images in use → ImageProfiles. The layers of an image are read once a cluster, here; every other process
//! takes what they say from the profile.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hostfit_crds::ImageProfile;
use hostfit_crds::image_profile::{self, KeptImageProfile};
use hostfit_engine::image::{Digest, ImageRef, Inspected};
use hostfit_engine::lineage::Catalog;
use hostfit_process::Watched;
use hostfit_registry::{Inspection, Library, Platforms, Registry};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::apply::{self, Writer};
use crate::credentials::{Ask, Secrets};
use crate::world::World;

mod plan;
mod work;

use plan::{Have, Plan, Step};
use work::{RETRY, Work};

/// Between two looks: changes that come together are taken together.
const DEBOUNCE: Duration = Duration::from_millis(500);
/// How long the layers of one image may take at most. The registry client gives up a slow one before.
const PATIENCE: Duration = Duration::from_secs(1800);
/// Look again even if nothing changes: profiles that nobody uses get old.
const IDLE: Duration = Duration::from_secs(600);

/// The images that workloads use.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct InUse {
    /// By their digests, each with a few references that lead to it: one of them may name a registry that is down, or bad.
    pub(crate) images: BTreeMap<Digest, Vec<Ask>>,
    /// The platforms of the cluster's hosts.
    pub(crate) platforms: Option<Platforms>,
    /// Whether these are all: no image is still being asked for the first time.
    pub(crate) is_complete: bool,
}

/// What the operator itself takes from the profiles.
pub(crate) fn library(profiles: Watched<KeptImageProfile>) -> Library {
    Arc::new(move |digest| {
        let store = profiles.store()?;
        image_profile::find(digest, |name| store.get(&ObjectRef::new(name)))
    })
}

/// What the controller needs besides the world.
pub(crate) struct ImageProfiles {
    pub(crate) world: World,
    pub(crate) writer: Writer,
    pub(crate) registry: Registry,
    pub(crate) secrets: Secrets,
    pub(crate) in_use: watch::Receiver<InUse>,
    /// How long a profile stays that no workload uses.
    pub(crate) keep_unused: Duration,
}

impl ImageProfiles {
    /// Runs for ever, by the leader only. It may be dropped at any moment.
    pub(crate) async fn run(mut self) {
        let mut changes = self.world.images_changed.subscribe();
        let mut work = Work::new();
        let mut have = Have::default();
        let mut again = Instant::now() + IDLE;
        loop {
            tokio::select! {
                () = changes.next() => tokio::time::sleep(DEBOUNCE).await,
                changed = self.in_use.changed() => if changed.is_err() { return },
                (digest, Ask { image, .. }, inspection) = work.landed() => match inspection {
                    Some(inspection) => if self.landed(&image, inspection).await {
                        work.give_up(&digest);
                    },
                    None => warn!(%image, "an inspection broke off; trying again"),
                },
                () = tokio::time::sleep_until(again) => {}
            }
            again = self.look(&mut work, &mut have).await;
        }
    }

    /// Looks at all images and profiles. When to look again.
    async fn look(&mut self, work: &mut Work<Inspection>, have: &mut Have) -> Instant {
        let now = Instant::now();
        let mut next = now + IDLE;
        let in_use = self.in_use.borrow_and_update().clone();
        let (Some(platforms), Some(profiles)) =
            (&in_use.platforms, self.world.image_profiles.state())
        else {
            return next;
        };
        have.remember(profiles, platforms);
        let time = Time(jiff::Timestamp::now());
        let Plan { steps, pause } = plan::plan(&in_use, have, &time, self.keep_unused);
        next = pause.map_or(next, |pause| next.min(now + pause));
        let mut open = Vec::new();
        for step in steps {
            let written = match step {
                Step::Inspect(digest, references) => {
                    open.push((digest, references));
                    continue;
                }
                Step::Mark(profile) => self.writer.image_profile_mark(&profile).await,
                Step::Delete(profile) => {
                    let name = profile.name_any();
                    info!(profile = name, "no workload uses the image any more");
                    self.writer.delete_image_profile(&profile).await
                }
            };
            if let Err(error) = written {
                warn!(%error, "an ImageProfile is not written; trying again");
                next = next.min(now + RETRY);
            }
        }
        let due = work.start(open, |ask| {
            let (registry, secrets) = (self.registry.clone(), self.secrets.clone());
            let platforms = platforms.clone();
            async move {
                let deadline = Instant::now() + PATIENCE;
                let pod = secrets.of(ask.puller.as_ref());
                registry
                    .inspect(&ask.image, &pod.credentials, &platforms, deadline)
                    .await
            }
        });
        due.map_or(next, |due| due.min(next))
    }

    /// Writes what an inspection brought. Whether there is no use in trying again.
    async fn landed(&self, image: &ImageRef, inspection: Inspection) -> bool {
        let Some(whole) = &inspection.whole else {
            return false;
        };
        let Some(profile) = self.profile(image, whole) else {
            warn!(%image, "other images have the names of its ImageProfile: its files are not used");
            return true;
        };
        match self.writer.image_profile(&profile).await {
            Ok(_) => false,
            Err(error) if apply::is_refused(&error) => {
                let profile = profile.name_any();
                warn!(%image, profile, %error, "the API server refuses an ImageProfile: the files of the image are not used");
                true
            }
            Err(error) => {
                warn!(%image, %error, "an ImageProfile is not written; trying again");
                false
            }
        }
    }

    /// The profile of an image, under the name that it has, else the short one unless another image has that.
    fn profile(&self, image: &ImageRef, whole: &Inspected) -> Option<ImageProfile> {
        let digest = &whole.facts.digest;
        let store = self.world.image_profiles.store();
        let there = |name: &str| store.and_then(|store| store.get(&ObjectRef::new(name)));
        let name = image_profile::name_for(digest, there)?;
        // Where it was first read cannot be changed.
        let before = there(name).and_then(|there| there.unpacked());
        let repository = before.map_or_else(|| image.name(), |before| before.spec.repository);
        let bases = self.world.bases.state().unwrap_or_default();
        let catalog = Catalog::new(bases.iter().flat_map(|base| base.known_bases()));
        let now = Time(jiff::Timestamp::now());
        let profile = plan::profile(name, repository, image, whole, &catalog, &now);
        Some(profile)
    }
}
