//! Whose layers are read next: few images at a time, one of each registry, and registries take turns. A registry that is
//! slow, or many images of one registry, keep nobody else waiting for long.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use hostfit_engine::image::Digest;
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;

use crate::credentials::Ask;

/// Images whose layers are asked for at a time. How many layers are unpacked at a time, the registry client limits.
const AT_ONCE: usize = 2;
/// When to try again what could not be read or written; longer each time.
pub(super) const RETRY: Duration = Duration::from_secs(60);
const LONGEST_RETRY: Duration = Duration::from_secs(3600);

/// Inspections on their way, and those that are to be tried again.
pub(super) struct Work<T> {
    flights: JoinSet<T>,
    /// What each flight is about.
    flying: HashMap<Id, (Digest, Ask)>,
    rests: HashMap<Digest, Rest>,
    /// When each registry had its last turn.
    turns: HashMap<String, Instant>,
}

/// Between two inspections of one image.
struct Rest {
    /// Nothing where another one would bring the same again.
    until: Option<Instant>,
    /// How long the next one is.
    pause: Duration,
    /// Inspections so far: each takes the next of the image's references.
    tries: usize,
    /// References that there were at the last one.
    references: usize,
}

impl<T: Send + 'static> Work<T> {
    pub(super) fn new() -> Self {
        Self {
            flights: JoinSet::new(),
            flying: HashMap::new(),
            rests: HashMap::new(),
            turns: HashMap::new(),
        }
    }

    /// Starts what may be started of these images, each with references that lead to it. When another one is due, if
    /// none has to land before.
    pub(super) fn start<F>(
        &mut self,
        open: Vec<(Digest, Vec<Ask>)>,
        fly: impl Fn(Ask) -> F,
    ) -> Option<Instant>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let now = Instant::now();
        let wanted: BTreeSet<_> = open.iter().map(|(digest, _)| digest).collect();
        let is_flying: BTreeSet<_> = self.flying.values().map(|(it, _)| it.clone()).collect();
        self.rests
            .retain(|digest, _| wanted.contains(digest) || is_flying.contains(digest));
        let mut due = None;
        let mut candidates = Vec::new();
        for (digest, references) in open {
            if is_flying.contains(&digest) {
                continue;
            }
            let rest = self.rests.entry(digest.clone()).or_insert(Rest {
                until: Some(now),
                pause: RETRY,
                tries: 0,
                references: 0,
            });
            rest.references = references.len();
            let ask = references.into_iter().cycle().nth(rest.tries);
            match (ask, rest.until) {
                (Some(ask), Some(until)) if until <= now => candidates.push((digest, ask)),
                (Some(_), Some(until)) => {
                    due = Some(due.map_or(until, |due: Instant| due.min(until)));
                }
                (None, _) | (_, None) => {}
            }
        }
        let named: BTreeSet<_> = candidates
            .iter()
            .map(|(_, it)| it.image.registry())
            .collect();
        self.turns
            .retain(|registry, _| named.contains(registry.as_str()));
        // Stable: among the images of a registry the first.
        candidates.sort_by_key(|(_, it)| self.turns.get(it.image.registry()).copied());
        for (digest, ask) in candidates {
            let registry = ask.image.registry();
            let mut busy = self.flying.values();
            if self.flying.len() >= AT_ONCE || busy.any(|(_, it)| it.image.registry() == registry) {
                continue;
            }
            self.turns.insert(registry.to_owned(), now);
            let flight = self.flights.spawn(fly(ask.clone()));
            self.flying.insert(flight.id(), (digest, ask));
        }
        due
    }

    /// The next inspection that ends, and what it brought: nothing if it broke off. It rests from now on. Waits for ever
    /// if none is on its way.
    pub(super) async fn landed(&mut self) -> (Digest, Ask, Option<T>) {
        loop {
            let (id, brought) = match self.flights.join_next_with_id().await {
                Some(Ok((id, brought))) => (id, Some(brought)),
                Some(Err(error)) => (error.id(), None),
                None => return std::future::pending().await,
            };
            if let Some((digest, ask)) = self.flying.remove(&id) {
                if let Some(rest) = self.rests.get_mut(&digest) {
                    rest.until = Some(Instant::now() + rest.pause);
                    rest.tries += 1;
                    // Once each reference has had its turn, it takes longer.
                    if rest.tries.is_multiple_of(rest.references) {
                        rest.pause = (rest.pause * 2).min(LONGEST_RETRY);
                    }
                }
                return (digest, ask, brought);
            }
        }
    }

    /// There is no use in trying this image again, as long as it is in use and this process runs.
    pub(super) fn give_up(&mut self, digest: &Digest) {
        if let Some(rest) = self.rests.get_mut(digest) {
            rest.until = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    type Open = Vec<(Digest, Vec<Ask>)>;

    /// `a: x/1 y/1` is an image with the digest aaa… and two references, at registries x and y.
    fn open(images: &[&str]) -> Open {
        let image = |text: &&str| {
            let (letter, references) = text.split_once(": ").unwrap();
            let digest = format!("sha256:{}", letter.repeat(64)).parse().unwrap();
            let reference = |it: &str| Ask {
                image: it.replacen('/', ".example/", 1).parse().unwrap(),
                puller: None,
            };
            (digest, references.split(' ').map(reference).collect())
        };
        images.iter().map(image).collect()
    }

    /// Starts what may be started; `slow` registries never answer, `bad` ones break off. Which were asked.
    fn start(work: &mut Work<()>, images: &[&str]) -> String {
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        work.start(open(images), |ask| {
            let image = ask.image;
            let (registry, _) = image.registry().split_once('.').unwrap();
            let asking = format!("{registry}/{}", image.repository());
            asked.lock().unwrap().push(asking);
            let (is_slow, is_bad) = (registry.starts_with("slow"), registry.starts_with("bad"));
            async move {
                if is_slow {
                    std::future::pending::<()>().await;
                }
                assert!(!is_bad, "it breaks off");
            }
        });
        asked.lock().unwrap().join(" ")
    }

    #[tokio::test(start_paused = true)]
    async fn one_image_of_a_registry_at_a_time() {
        let mut work = Work::new();
        let images = ["a: slow/1", "b: slow/2", "c: good/3", "d: good/4"];
        assert_eq!(start(&mut work, &images), "slow/1 good/3");
        assert_eq!(start(&mut work, &images), "");
        work.landed().await;
        assert_eq!(start(&mut work, &images), "good/4");
    }

    #[tokio::test(start_paused = true)]
    async fn registries_take_turns() {
        let mut work = Work::new();
        let images = [
            "a: bad/1",
            "b: bad/2",
            "c: other/3",
            "d: other/4",
            "e: good/5",
        ];
        assert_eq!(start(&mut work, &images), "bad/1 other/3");
        work.landed().await;
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(start(&mut work, &images), "good/5");
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_try_takes_the_next_reference() {
        let mut work = Work::new();
        let images = ["a: bad/1 good/1"];
        let mut asked = Vec::new();
        for _ in 0..2 {
            asked.push(start(&mut work, &images));
            let (_, _, brought) = work.landed().await;
            assert_eq!(brought.is_some(), asked.last().unwrap() == "good/1");
            assert_eq!(start(&mut work, &images), "", "it rests");
            // The second one need not wait longer for the first one's failure.
            tokio::time::advance(RETRY).await;
        }
        assert_eq!(asked, ["bad/1", "good/1"]);
        assert_eq!(start(&mut work, &images), "bad/1");
        work.landed().await;
        tokio::time::advance(RETRY).await;
        assert_eq!(
            start(&mut work, &images),
            "",
            "after a round it rests longer"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_of_no_use_is_not_tried_again_while_it_is_in_use() {
        let mut work = Work::new();
        start(&mut work, &["a: good/1"]);
        let (digest, ..) = work.landed().await;
        work.give_up(&digest);
        tokio::time::advance(2 * LONGEST_RETRY).await;
        assert_eq!(start(&mut work, &["a: good/1"]), "");
        assert_eq!(start(&mut work, &[]), "");
        assert_eq!(start(&mut work, &["a: good/1"]), "good/1");
    }
}
