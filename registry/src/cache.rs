//! What has been learned: who may reach which digest (short-lived), what is behind a digest (for good),
//! what failed (short-lived). Bounded by bytes; no lock is held over a wait.

use std::sync::Arc;
use std::time::Duration;

use hostfit_engine::fact::Fact;
use hostfit_engine::image::{Digest, ImageFacts, ImageRef, Inspected, PlatformFacts};
use moka::sync::Cache as Store;
use tokio::time::Instant;

use crate::credentials::Fingerprint;
use crate::known::{Depth, Known};
use crate::platforms::Platforms;

/// One question: an image, asked with certain credentials, about certain platforms.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) image: ImageRef,
    pub(crate) credentials: Fingerprint,
    pub(crate) platforms: Platforms,
}

/// All that is remembered.
pub(crate) struct Cache {
    /// Access: these credentials led from this image to this digest.
    digests: Store<Key, (Digest, Instant)>,
    /// Facts, whoever may reach them. Never read without an access, or a resolve, that leads here.
    known: Store<Digest, Arc<Known>>,
    /// A hint, no access: which digest an image had last, for whomever.
    last: Store<ImageRef, Digest>,
    /// In a room of its own: made-up references must not push out what is known.
    failures: Store<Key, (Arc<Fact<ImageFacts>>, Instant)>,
    library: Option<Library>,
}

/// What others have learned of the image with a digest, for example of its layers. It may take some time to look up.
pub type Library = Arc<dyn Fn(&Digest) -> Option<Inspected> + Send + Sync>;

/// What the store itself and its keys take per entry, in bytes.
const ENTRY: usize = 512;

impl Cache {
    pub(crate) fn new(bytes: u64, library: Option<Library>) -> Self {
        let small = bytes / 8;
        Self {
            digests: store(small, |_, _| ENTRY),
            known: store(bytes - 3 * small, |_, known| {
                ENTRY + known.manifests.len() * 100 + weight(&known.fact)
            }),
            last: store(small, |_, _| ENTRY),
            failures: store(small, |_, (fact, _)| ENTRY + weight(fact)),
            library,
        }
    }

    /// The answer to `key`, if it may still be given.
    pub(crate) fn answer(&self, key: &Key, now: Instant) -> Option<Arc<Fact<ImageFacts>>> {
        if let Some((digest, until)) = self.digests.get(key)
            && now < until
            && let Some(known) = self.known.get(&digest)
            && known.covers(&key.platforms, Depth::Config)
        {
            return Some(Arc::clone(&known.fact));
        }
        let (fact, until) = self.failures.get(key)?;
        (now < until).then_some(fact)
    }

    pub(crate) fn last_digest(&self, image: &ImageRef) -> Option<Digest> {
        self.last.get(image)
    }

    /// What is behind a digest, by own reading or by the library.
    pub(crate) fn known(&self, digest: &Digest) -> Option<Arc<Known>> {
        let own = self.known.get(digest);
        if own.as_ref().is_some_and(|own| !own.lacks_files()) {
            return own;
        }
        match self.library.as_ref().and_then(|library| library(digest)) {
            Some(told) => Some(self.keep(digest, Arc::new(told.into()))),
            None => own,
        }
    }

    /// Looks up in the library whatever lacks the files of an image.
    pub(crate) fn look_up(&self) {
        for (digest, known) in &self.known {
            if known.lacks_files() {
                self.known(&digest);
            }
        }
    }

    /// Keeps what is behind a digest, and that `image` led there. What is now known of the digest.
    pub(crate) fn learn(&self, image: &ImageRef, digest: &Digest, known: Arc<Known>) -> Arc<Known> {
        self.last.insert(image.clone(), digest.clone());
        self.keep(digest, known)
    }

    /// What was known better stays.
    fn keep(&self, digest: &Digest, known: Arc<Known>) -> Arc<Known> {
        let known = match self.known.get(digest) {
            Some(before) => before.merged(&known),
            None => known,
        };
        self.known.insert(digest.clone(), Arc::clone(&known));
        known
    }

    /// Keeps that the credentials of `key` lead to `digest`.
    pub(crate) fn admit(&self, key: Key, digest: Digest, ttl: Duration) {
        self.digests.insert(key, (digest, Instant::now() + ttl));
    }

    /// Keeps an answer that is a gap, or has gaps.
    pub(crate) fn remember(&self, key: Key, fact: Arc<Fact<ImageFacts>>, ttl: Duration) {
        self.failures.insert(key, (fact, Instant::now() + ttl));
    }
}

fn store<K, V>(bytes: u64, weigh: fn(&K, &V) -> usize) -> Store<K, V>
where
    K: std::hash::Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    Store::builder()
        .max_capacity(bytes)
        .weigher(move |key, value| u32::try_from(weigh(key, value)).unwrap_or(u32::MAX))
        .build()
}

/// Bytes that a fact takes, near enough: texts, and what the collections add to each.
fn weight(fact: &Fact<ImageFacts>) -> usize {
    let Some(facts) = fact.value() else {
        return 256;
    };
    facts.platforms.iter().map(platform_weight).sum()
}

fn platform_weight(facts: &PlatformFacts) -> usize {
    const PLATFORM: usize = 512;
    const TEXT: usize = 32;
    // A score of paths, and what stands at them.
    const FILES: usize = 8 << 10;
    let Some(contents) = facts.contents.value() else {
        return PLATFORM;
    };
    let pairs = contents.labels.iter().chain(&contents.env);
    let pairs = pairs.map(|(key, value)| key.len() + value.len() + 3 * TEXT);
    let history = contents.history.iter().map(|text| text.len() + TEXT);
    let digests = contents
        .chain_ids
        .iter()
        .map(|one| one.as_str().len() + TEXT);
    let start = &contents.start;
    let words = start.command.iter().chain(&start.path);
    let words = words.chain([&start.folder, &start.user]);
    let words = words.map(|text| text.len() + TEXT);
    let files = contents.files().map_or(0, |_| FILES);
    PLATFORM
        + pairs.sum::<usize>()
        + history.sum::<usize>()
        + digests.sum::<usize>()
        + words.sum::<usize>()
        + files
}

#[cfg(test)]
mod tests {
    use hostfit_engine::fact::{Evidence, Gap, Strength};
    use hostfit_engine::image::{Contents, Platform};

    use super::*;

    const TTL: Duration = Duration::from_secs(60);

    fn digest(letter: char) -> Digest {
        let text = format!("sha256:{}", letter.to_string().repeat(64));
        text.parse().unwrap()
    }

    fn key(image: &str, credentials: u8, platforms: &Platforms) -> Key {
        Key {
            image: image.parse().unwrap(),
            credentials: [credentials; 32],
            platforms: platforms.clone(),
        }
    }

    /// An image of which amd64 has been read and arm64 has not.
    fn known(letter: char, label: &str) -> Arc<Known> {
        let evidence = || Evidence::new(Strength::Stated, "test");
        let contents = Contents {
            labels: [("l".to_owned(), label.to_owned())].into(),
            ..Contents::default()
        };
        let platforms = vec![
            PlatformFacts {
                platform: Platform::new("linux", "amd64"),
                contents: Fact::Known(contents, evidence()),
            },
            PlatformFacts {
                platform: Platform::new("linux", "arm64"),
                contents: Fact::Unknown(Gap::NotFetchedInTime),
            },
        ];
        let facts = ImageFacts {
            digest: digest(letter),
            platforms,
            left_out: 0,
        };
        Arc::new(Known {
            fact: Arc::new(Fact::Known(facts, evidence())),
            manifests: Vec::new(),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn access_is_not_shared_and_ends() {
        let cache = Cache::new(1 << 20, None);
        let amd64 = Platforms::of([("linux", "amd64")]);
        let image: ImageRef = "a.example/x".parse().unwrap();
        cache.learn(&image, &digest('a'), known('a', ""));
        let mine = key("a.example/x", 1, &amd64);
        assert_eq!(cache.answer(&mine, Instant::now()), None);
        cache.admit(mine.clone(), digest('a'), TTL);
        let answer = cache.answer(&mine, Instant::now()).unwrap();
        assert_eq!(answer.value().unwrap().digest, digest('a'));
        assert_eq!(
            cache.answer(&key("a.example/x", 2, &amd64), Instant::now()),
            None
        );
        assert_eq!(
            cache.answer(&key("a.example/y", 1, &amd64), Instant::now()),
            None
        );
        tokio::time::advance(TTL).await;
        assert_eq!(cache.answer(&mine, Instant::now()), None);
        assert_eq!(cache.last_digest(&image), Some(digest('a')));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_covers_what_was_asked_for() {
        let cache = Cache::new(1 << 20, None);
        cache.learn(
            &"a.example/x".parse().unwrap(),
            &digest('a'),
            known('a', ""),
        );
        let arm64 = Platforms::of([("linux", "arm64")]);
        for (platforms, expected) in [
            (Platforms::of([("linux", "amd64")]), true),
            (Platforms::of([("windows", "amd64")]), true),
            (arm64, false),
            (Platforms::All, false),
        ] {
            let key = key("a.example/x", 1, &platforms);
            cache.admit(key.clone(), digest('a'), TTL);
            assert_eq!(
                cache.answer(&key, Instant::now()).is_some(),
                expected,
                "{platforms:?}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn failures_are_remembered_for_their_time() {
        let cache = Cache::new(1 << 20, None);
        let key = key("a.example/x", 1, &Platforms::All);
        let gap = Arc::new(Fact::Unknown(Gap::NothingTells));
        cache.remember(key.clone(), gap, TTL);
        assert!(cache.answer(&key, Instant::now()).is_some());
        tokio::time::advance(TTL).await;
        assert!(cache.answer(&key, Instant::now()).is_none());
    }

    #[test]
    fn facts_are_bounded_by_their_bytes() {
        let cache = Cache::new(1 << 20, None);
        let image: ImageRef = "a.example/x".parse().unwrap();
        for letter in "abcdef0123456789".chars() {
            cache.learn(&image, &digest(letter), known(letter, &"x".repeat(100_000)));
        }
        cache.known.run_pending_tasks();
        assert!(cache.known.weighted_size() <= 5 << 17);
        assert!((1..=6).contains(&cache.known.entry_count()));
    }
}
