//! Controller: images in use → ImageProfiles. The layers of an image are read once a cluster, here; every other process
//! takes what they say from the profile.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use hostfit_crds::ImageProfile;
use hostfit_crds::image_profile::{self, KeptImageProfile};
use hostfit_engine::image::{Digest, ImageRef, Inspected};
use hostfit_engine::lineage::Catalog;
use hostfit_process::Watched;
use hostfit_registry::{Inspection, Library, Platforms, PullSecrets, Registry};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::apply::Writer;
use crate::world::World;

mod plan;

use plan::{Have, Plan, Step};

/// Between two looks: changes that come together are taken together.
const DEBOUNCE: Duration = Duration::from_millis(500);
/// How long the layers of one image may take, its turn not counted.
const PATIENCE: Duration = Duration::from_secs(1800);
/// Images whose layers are asked for at a time. How many layers are unpacked at a time, the registry client limits.
const AT_ONCE: usize = 2;
/// When to try again what could not be read or written; longer each time.
const RETRY: Duration = Duration::from_secs(60);
const LONGEST_RETRY: Duration = Duration::from_secs(3600);
/// Look again even if nothing changes: profiles that nobody uses get old.
const IDLE: Duration = Duration::from_secs(600);

/// The images that workloads use.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct InUse {
    /// By their digests, each with a reference that leads to it.
    pub(crate) images: BTreeMap<Digest, ImageRef>,
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
    pub(crate) secrets: PullSecrets,
    pub(crate) in_use: watch::Receiver<InUse>,
    /// How long a profile stays that no workload uses.
    pub(crate) keep_unused: Duration,
}

/// Inspections on their way, and those that are to be tried again.
struct Work {
    flights: JoinSet<(Digest, ImageRef, Inspection)>,
    turns: Arc<Semaphore>,
    rests: HashMap<Digest, Rest>,
}

/// Between two inspections of one image.
struct Rest {
    /// Nothing while one is on its way.
    until: Option<Instant>,
    /// How long the next one is.
    pause: Duration,
}

impl ImageProfiles {
    /// Runs for ever, by the leader only. It may be dropped at any moment.
    pub(crate) async fn run(mut self) {
        let mut changes = self.world.images_changed.subscribe();
        let mut work = Work {
            flights: JoinSet::new(),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            rests: HashMap::new(),
        };
        let mut have = Have::default();
        let mut again = Instant::now() + IDLE;
        loop {
            tokio::select! {
                () = changes.next() => tokio::time::sleep(DEBOUNCE).await,
                changed = self.in_use.changed() => if changed.is_err() { return },
                Some(landed) = work.flights.join_next() => {
                    if let Ok((digest, image, inspection)) = landed {
                        let is_lasting = self.landed(&image, inspection).await;
                        work.rest(digest, is_lasting);
                    }
                }
                () = tokio::time::sleep_until(again) => {}
            }
            again = self.look(&mut work, &mut have).await;
        }
    }

    /// Looks at all images and profiles. When to look again.
    async fn look(&mut self, work: &mut Work, have: &mut Have) -> Instant {
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
        let open: BTreeSet<_> = steps.iter().filter_map(Step::inspects).collect();
        work.rests
            .retain(|digest, rest| rest.until.is_none() || open.contains(digest));
        for step in steps {
            let written = match step {
                Step::Inspect(digest, image) => {
                    let due = work.inspect(self, digest, image, platforms);
                    next = due.map_or(next, |due| due.min(next));
                    continue;
                }
                Step::Mark(profile) => self.writer.image_profile_status(&profile).await,
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
        next
    }

    /// Writes what an inspection brought. Whether there is no use in trying again soon.
    async fn landed(&self, image: &ImageRef, inspection: Inspection) -> bool {
        let Some(whole) = &inspection.whole else {
            return false;
        };
        let Some(profile) = self.profile(image, whole) else {
            warn!(%image, "the image has more platforms than a profile lists: its files are not used");
            return true;
        };
        if let Err(error) = self.writer.image_profile(&profile).await {
            warn!(%image, %error, "an ImageProfile is not written; trying again");
        }
        false
    }

    /// The profile of an image, under the short name unless another image has it.
    fn profile(&self, image: &ImageRef, whole: &Inspected) -> Option<ImageProfile> {
        let digest = &whole.facts.digest;
        let store = self.world.image_profiles.store();
        let there = |name: &str| store.and_then(|store| store.get(&ObjectRef::new(name)));
        let is_free = |name: &&str| there(name).is_none_or(|there| there.is_about(digest));
        let name = image_profile::names(digest).into_iter().find(is_free)?;
        // Where it was first read cannot be changed.
        let before = there(name).and_then(|there| there.unpacked());
        let repository = before.map_or_else(|| image.name(), |before| before.spec.repository);
        let bases = self.world.bases.state().unwrap_or_default();
        let catalog = Catalog::new(bases.iter().flat_map(|base| base.known_bases()));
        let now = Time(jiff::Timestamp::now());
        plan::profile(name, repository, image, whole, &catalog, &now)
    }
}

impl Work {
    /// Starts an inspection, unless it is on its way or was tried just now. When it may be started, if not now.
    fn inspect(
        &mut self,
        by: &ImageProfiles,
        digest: Digest,
        image: ImageRef,
        platforms: &Platforms,
    ) -> Option<Instant> {
        let now = Instant::now();
        let rest = self.rests.entry(digest.clone()).or_insert(Rest {
            until: Some(now),
            pause: RETRY,
        });
        let until = rest.until?;
        if until > now {
            return Some(until);
        }
        rest.until = None;
        let (registry, secrets) = (by.registry.clone(), by.secrets.clone());
        let (platforms, turns) = (platforms.clone(), self.turns.clone());
        self.flights.spawn(async move {
            let _turn = turns.acquire().await;
            let credentials = secrets.current();
            let deadline = Instant::now() + PATIENCE;
            let inspection = registry
                .inspect(&image, &credentials, &platforms, deadline)
                .await;
            (digest, image, inspection)
        });
        None
    }

    /// After an inspection: until the watch shows its profile, or until it is worth another try.
    fn rest(&mut self, digest: Digest, is_lasting: bool) {
        let Some(rest) = self.rests.get_mut(&digest) else {
            return;
        };
        if is_lasting {
            rest.pause = LONGEST_RETRY;
        }
        rest.until = Some(Instant::now() + rest.pause);
        rest.pause = (rest.pause * 2).min(LONGEST_RETRY);
    }
}
