//! What the registries tell of the images that workloads name: asked in the background, kept, asked again in time.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use hostfit_engine::fact::{Fact, Gap};
use hostfit_engine::image::{Digest, ImageRef};
use hostfit_process::watch::Changes;
use hostfit_registry::{Platforms, Registry, SharedFacts};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::credentials::{Ask, Secrets};
use crate::image_profiles::InUse;
use hostfit_crds::item::Item;

/// How long one image may take, queueing included.
const PATIENCE: Duration = Duration::from_secs(35);
/// Images that are asked for at a time. The others wait here, without a deadline.
const AT_ONCE: usize = 256;
/// When to ask again for an image that could not be read.
const RETRY: Duration = Duration::from_secs(45);

/// References of one image by which its layers may be read.
const MOST_REFERENCES: usize = 8;

/// The images in use.
pub(crate) struct Images {
    registry: Registry,
    secrets: Secrets,
    refresh: Duration,
    platforms: Platforms,
    book: HashMap<Ask, Entry>,
    flights: JoinSet<(Ask, Platforms, SharedFacts)>,
    turns: Arc<Semaphore>,
}

/// Images by what is known of them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ImageCounts {
    /// The registry told what they are.
    pub(crate) known: usize,
    /// It did not.
    pub(crate) unknown: usize,
    /// It has not answered yet.
    pub(crate) pending: usize,
}

#[derive(Default)]
struct Entry {
    facts: Option<SharedFacts>,
    /// What it led to last. A registry that is down takes no image out of use.
    digest: Option<Digest>,
    due: Option<Instant>,
    flying: bool,
}

impl Images {
    pub(crate) fn new(registry: Registry, secrets: Secrets, refresh: Duration) -> Self {
        Self {
            registry,
            secrets,
            refresh,
            platforms: Platforms::All,
            book: HashMap::new(),
            flights: JoinSet::new(),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// What is known of an image now; nothing before its first answer.
    pub(crate) fn facts(&self, ask: &Ask) -> Option<&SharedFacts> {
        self.book.get(ask)?.facts.as_ref()
    }

    /// What the registries have told of each.
    pub(crate) fn told(&self) -> impl Iterator<Item = &SharedFacts> {
        self.book.values().filter_map(|it| it.facts.as_ref())
    }

    /// How an image of a workload is asked for: with the pull secrets of its pods.
    pub(crate) fn ask(&self, item: &Item, image: &ImageRef) -> Ask {
        Ask {
            image: image.clone(),
            puller: self.secrets.puller(&item.namespace, &item.pull_secrets),
        }
    }

    /// Tells when a pull secret of a pod has changed.
    pub(crate) fn secrets_changed(&self) -> Changes {
        self.secrets.of_pods.changed().subscribe()
    }

    /// Asks again for whatever is asked for with pull secrets of pods, and was refused.
    pub(crate) fn with_other_secrets(&mut self) {
        let refused = |facts: &SharedFacts| matches!(**facts, Fact::Unknown(_));
        for (ask, entry) in &mut self.book {
            if ask.puller.is_some() && entry.facts.as_ref().is_some_and(refused) {
                entry.due = Some(Instant::now());
            }
        }
    }

    /// Takes what has been learned of the files of images since they were asked for.
    pub(crate) fn look_up(&mut self) {
        self.registry.look_up();
        for facts in self.book.values_mut().filter_map(|it| it.facts.as_mut()) {
            *facts = self.registry.latest(facts);
        }
    }

    /// The images by what they resolve to.
    pub(crate) fn in_use(&self, is_complete: bool) -> InUse {
        let resolved = self
            .book
            .iter()
            .filter_map(|(ask, entry)| Some((entry.digest.clone()?, ask.clone())));
        let mut images: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (digest, ask) in resolved {
            images.entry(digest).or_default().push(ask);
        }
        images.values_mut().for_each(|it| some(it, MOST_REFERENCES));
        InUse {
            images,
            platforms: Some(self.platforms.clone()),
            is_complete,
        }
    }

    /// How many there are, by what is known of them.
    pub(crate) fn count(&self) -> ImageCounts {
        let mut counts = ImageCounts::default();
        for entry in self.book.values() {
            let counter = match entry.facts.as_deref() {
                Some(Fact::Known(..)) => &mut counts.known,
                Some(Fact::Unknown(_)) => &mut counts.unknown,
                None => &mut counts.pending,
            };
            *counter += 1;
        }
        counts
    }

    /// Keeps exactly these images, and asks for what is new or due. When the next one is due.
    pub(crate) fn want(&mut self, asks: BTreeSet<Ask>, platforms: Platforms) -> Option<Instant> {
        let now = Instant::now();
        if self.platforms != platforms {
            self.platforms = platforms;
            self.book
                .values_mut()
                .for_each(|entry| entry.due = Some(now));
        }
        self.book.retain(|ask, _| asks.contains(ask));
        for ask in asks {
            let entry = self.book.entry(ask.clone()).or_default();
            let is_due = entry.due.is_none_or(|due| due <= now);
            if entry.flying || !is_due {
                continue;
            }
            entry.flying = true;
            let (registry, secrets) = (self.registry.clone(), self.secrets.clone());
            let (platforms, turns) = (self.platforms.clone(), self.turns.clone());
            self.flights.spawn(async move {
                let _turn = turns.acquire().await;
                let pod = secrets.of(ask.puller.as_ref());
                let deadline = Instant::now() + PATIENCE;
                let facts = registry
                    .facts(&ask.image, &pod.credentials, &platforms, None, deadline)
                    .await;
                (ask, platforms, pod.explain(facts))
            });
        }
        let waiting = self.book.values().filter(|entry| !entry.flying);
        waiting.filter_map(|entry| entry.due).min()
    }

    /// Waits until at least one answer has come, and takes all that have.
    pub(crate) async fn landed(&mut self) {
        match self.flights.join_next().await {
            Some(landed) => self.take(landed.ok()),
            None => std::future::pending().await,
        }
        while let Some(landed) = self.flights.try_join_next() {
            self.take(landed.ok());
        }
    }

    fn take(&mut self, landed: Option<(Ask, Platforms, SharedFacts)>) {
        let Some((ask, platforms, facts)) = landed else {
            return;
        };
        let Some(entry) = self.book.get_mut(&ask) else {
            return;
        };
        entry.flying = false;
        let pause = match facts.as_ref() {
            // Asked before the cluster had nodes of another platform: that one is not known yet.
            _ if platforms != self.platforms => Duration::ZERO,
            Fact::Known(..) => self.refresh,
            Fact::Unknown(_) => RETRY.min(self.refresh),
        };
        entry.due = Some(Instant::now() + pause);
        // An answer that did not come in time says nothing new: what was known stays.
        let late = matches!(facts.as_ref(), Fact::Unknown(Gap::NotFetchedInTime));
        if !late {
            let digest = facts.value().map(|facts| facts.digest.clone());
            entry.digest = digest.or(entry.digest.take());
            entry.facts = Some(facts);
        }
    }
}

/// Keeps so many references, always the same and of as many registries as there are: the first of each comes first.
fn some(references: &mut Vec<Ask>, most: usize) {
    references.sort();
    let mut before = HashMap::new();
    references.sort_by_cached_key(|ask| {
        let registry = ask.image.registry().to_owned();
        let count: &mut usize = before.entry(registry).or_default();
        *count += 1;
        *count
    });
    references.truncate(most);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_registry_does_not_push_the_others_out() {
        let ask = |it: &str| Ask {
            image: it.parse().unwrap(),
            puller: None,
        };
        let named = ["a.example/3", "a.example/1", "b.example/1", "a.example/2"];
        let mut references = named.map(ask).to_vec();
        some(&mut references, 3);
        let names: Vec<_> = references.iter().map(|ask| ask.image.name()).collect();
        assert_eq!(names, ["a.example/1", "b.example/1", "a.example/2"]);
    }
}
