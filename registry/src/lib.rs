//! What a container registry tells: of an image by [`Registry::facts`], of a repository's tags by
//! [`Registry::tags`]. There is no other door.
//!
//! ```text
//! facts ─▶ cache ──hit──────────────────────────────▶ Arc<Fact<ImageFacts>>
//!            └─miss─▶ flight (one per question) ─▶ fetch ─▶ client ─▶ transport ─▶ registry
//!                                                   │         └─ access (challenges, tokens)
//!                                                   └─ parse (pure)
//! ```
//!
//! Registries and references are chosen by whoever may create a pod: both are hostile. Every wait has a
//! deadline, every answer a limit in bytes, every connection a checked address, and credentials go only
//! to the registry that they were written for. Facts are public, access is not: what is behind a digest
//! is learned once, but each credential must show that it leads there.

mod access;
mod address;
mod cache;
mod challenge;
mod client;
mod config;
mod credentials;
mod digest;
mod endpoint;
mod error;
mod fetch;
mod flight;
mod known;
mod layers;
pub mod local;
mod mirror;
mod parse;
mod platforms;
mod pod;
mod pull_secrets;
mod retry_after;
mod settings;
mod stats;
mod tags;
mod told;
mod transport;

use std::sync::Arc;

use futures::FutureExt as _;
use hostfit_engine::fact::{Fact, Gap, Unreachable};
use hostfit_engine::image::{ImageFacts, ImageRef, Inspected};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::access::Access;
pub use crate::cache::Library;
use crate::cache::{Cache, Key};
use crate::client::Session;
pub use crate::config::{Config, Network};
use crate::credentials::Fingerprint;
pub use crate::credentials::{Credentials, PullSecret};
use crate::endpoint::{Place, Wire};
pub use crate::error::Error;
use crate::error::Failure;
use crate::flight::Flights;
use crate::known::Depth;
use crate::layers::Layers;
pub use crate::mirror::Mirror;
pub use crate::platforms::Platforms;
pub use crate::pod::{Named, PodCredentials};
pub use crate::pull_secrets::PullSecrets;
pub use crate::settings::Settings;
pub use crate::stats::Stats;
use crate::told::{Question, Told};
use crate::transport::{Budget, Transport};

/// What is known of an image, shared by all who asked for it.
pub type SharedFacts = Arc<Fact<ImageFacts>>;

/// What came of an inspection.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// What is known of the image. Without the files of a platform whose layers cannot be had this time.
    pub facts: SharedFacts,
    /// The whole, to be kept, if nothing that was wanted is missing.
    pub whole: Option<Inspected>,
}

impl Inspection {
    fn of(fact: Fact<ImageFacts>) -> Self {
        Self {
            facts: Arc::new(fact),
            whole: None,
        }
    }
}

/// Largest config that may be set, in bytes.
const CONFIG_BYTES_MOST: u64 = 8 << 20;

/// All registries. Cheap to clone; clones share cache, connections and limits.
#[derive(Clone)]
pub struct Registry(Arc<Inner>);

struct Inner {
    config: Config,
    transport: Transport,
    access: Access,
    cache: Cache,
    flights: Flights,
    layers: Option<Layers>,
    stats: Arc<Stats>,
    told: Told,
}

impl Registry {
    /// Registries as `config` allows. Nothing is connected yet.
    ///
    /// # Errors
    ///
    /// If the CA bundle cannot be read, the HTTP client not be built, or no rustls provider is installed.
    pub fn new(config: Config) -> Result<Self, Error> {
        Self::with_library(config, None)
    }

    /// The same, with what others have learned of images, by their digests. Nobody gets to see it whose credentials do
    /// not lead to the digest.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn with_library(mut config: Config, library: Option<Library>) -> Result<Self, Error> {
        let canonical = |list: &mut Vec<String>| {
            list.iter_mut().for_each(|one| one.make_ascii_lowercase());
        };
        let plain = config.mirrors.iter().filter_map(Mirror::plain_host);
        config.plain_http.extend(plain.map(str::to_owned));
        canonical(&mut config.plain_http);
        canonical(&mut config.allow);
        canonical(&mut config.trusted_realms);
        config.config_bytes = config.config_bytes.min(CONFIG_BYTES_MOST);
        let stats = Arc::new(Stats::default());
        Ok(Self(Arc::new(Inner {
            transport: Transport::new(&config, Arc::clone(&stats))?,
            access: Access::new(&config),
            cache: Cache::new(config.cache_bytes, library),
            layers: config.layer_bytes.map(Layers::new),
            // As many as with one registry: what waits for one takes nothing from the other tenants.
            flights: Flights::new(config.flights, config.per_host.max(1)),
            stats,
            told: Told::default(),
            config,
        })))
    }

    /// What the registry tells of `image`, by `deadline` at the latest. If it comes to that the answer is
    /// `Unknown(NotFetchedInTime)`, and the fetch goes on so that a later question finds it.
    ///
    /// Platforms that are not wanted are listed, with unknown contents. `tenant` is who caused the question, for example
    /// a namespace, and has its share of the queues; `None` is the process itself.
    pub async fn facts(
        &self,
        image: &ImageRef,
        credentials: &Credentials,
        platforms: &Platforms,
        tenant: Option<&str>,
        deadline: Instant,
    ) -> SharedFacts {
        if let Some(fact) = self.cached(image, credentials, platforms) {
            Stats::count(&self.0.stats.hits);
            return fact;
        }
        Stats::count(&self.0.stats.misses);
        let key = Key {
            image: image.clone(),
            credentials: self.0.fingerprint(image, credentials),
            platforms: platforms.clone(),
        };
        let flight = self.0.flights.join(&key, tenant, |exchanges| {
            let cached = self.0.cache.answer(&key, Instant::now());
            cached.ok_or_else(|| {
                Stats::count(&self.0.stats.flights);
                Arc::clone(&self.0)
                    .fly(key.clone(), credentials.clone(), exchanges)
                    .boxed()
            })
        });
        let answer = match flight {
            Some(flight) => flight.wait(deadline).await,
            None => {
                Stats::count(&self.0.stats.overflows);
                None
            }
        };
        answer.unwrap_or_else(|| Arc::new(Fact::Unknown(Gap::NotFetchedInTime)))
    }

    /// What can be told now, without a wait: `None` means that [`facts`](Self::facts) would have to ask.
    pub fn cached(
        &self,
        image: &ImageRef,
        credentials: &Credentials,
        platforms: &Platforms,
    ) -> Option<SharedFacts> {
        if !self.0.config.allows(image.registry()) {
            return Some(Arc::new(Fact::Unknown(not_allowed(image.registry()))));
        }
        let key = Key {
            image: image.clone(),
            credentials: self.0.fingerprint(image, credentials),
            platforms: platforms.clone(),
        };
        self.0.cache.answer(&key, Instant::now())
    }

    /// What the layers of the wanted platforms of `image` say, by `deadline` at the latest. Layers that are known are not
    /// read again; how many are read at a time is limited, so this may take long.
    pub async fn inspect(
        &self,
        image: &ImageRef,
        credentials: &Credentials,
        platforms: &Platforms,
        deadline: Instant,
    ) -> Inspection {
        if !self.0.config.allows(image.registry()) {
            return Inspection::of(Fact::Unknown(not_allowed(image.registry())));
        }
        let inner = &self.0;
        let fetched = match inner.session(image, credentials, None, Depth::Files, deadline) {
            Ok(session) => {
                fetch::fetch(&session, image, platforms, Depth::Files, &inner.cache).await
            }
            Err(failure) => Err(failure),
        };
        match fetched {
            Ok(fetched) => {
                inner.told.over(Question::Layers, image);
                let known = inner.cache.learn(image, &fetched.digest, fetched.known);
                let is_whole = !fetched.has_gaps && known.covers(platforms, Depth::Files);
                Inspection {
                    facts: match fetched.has_gaps {
                        true => fetched.fact,
                        false => Arc::clone(&known.fact),
                    },
                    whole: is_whole.then(|| known.inspected()).flatten(),
                }
            }
            Err(failure) => Inspection::of(Fact::Unknown(inner.told.failed(
                Question::Layers,
                image,
                &failure,
            ))),
        }
    }

    /// Takes from the library whatever it has learned of images that are known without their files. After a change of
    /// the library.
    pub fn look_up(&self) {
        self.0.cache.look_up();
    }

    /// What is known now of an image of which something is known: the same, or more of it.
    pub fn latest(&self, facts: &SharedFacts) -> SharedFacts {
        let known = facts.value().and_then(|it| self.0.cache.known(&it.digest));
        known.map_or_else(|| Arc::clone(facts), |known| Arc::clone(&known.fact))
    }

    /// The tags of the repository of `image`, by `deadline` at the latest. Nothing of it is kept.
    ///
    /// # Errors
    ///
    /// The gap, if the registry does not tell.
    pub async fn tags(
        &self,
        image: &ImageRef,
        credentials: &Credentials,
        deadline: Instant,
    ) -> Result<Vec<String>, Gap> {
        let registry = image.registry();
        if !self.0.config.allows(registry) {
            return Err(not_allowed(registry));
        }
        let listed = match self
            .0
            .session(image, credentials, None, Depth::Config, deadline)
        {
            Ok(session) => tags::tags(&session).await,
            Err(failure) => Err(failure),
        };
        let told = &self.0.told;
        listed
            .inspect(|_| told.over(Question::Tags, image))
            .map_err(|failure| told.failed(Question::Tags, image, &failure))
    }

    /// Counters since the start.
    pub fn stats(&self) -> &Stats {
        &self.0.stats
    }
}

fn not_allowed(registry: &str) -> Gap {
    Gap::Unreachable {
        registry: registry.to_owned(),
        why: Unreachable::NotAllowed,
    }
}

impl Inner {
    /// What tells apart who may see an image with other credentials: wherever it is asked for.
    fn fingerprint(&self, image: &ImageRef, credentials: &Credentials) -> Fingerprint {
        let mirrored = self.config.mirrors_of(image.registry()).map(|mirror| {
            let (registry, repository) = mirror.name(image);
            credentials.fingerprint(registry, &repository)
        });
        let own = credentials.fingerprint(image.registry(), image.repository());
        mirrored.fold(own, credentials::both)
    }

    /// A conversation about `image`, which ends at `deadline`.
    fn session<'a>(
        &'a self,
        image: &'a ImageRef,
        credentials: &Credentials,
        exchanges: Option<Arc<Semaphore>>,
        depth: Depth,
        deadline: Instant,
    ) -> Result<Session<'a>, Failure> {
        let budget = Budget::new(exchanges, deadline);
        let (budget, layers) = match (depth, &self.layers) {
            (Depth::Files, Some(layers)) => (budget.with_layers(), Some(layers)),
            (Depth::Files, None) | (Depth::Config, _) => (budget, None),
        };
        let wire = Wire {
            transport: &self.transport,
            access: &self.access,
            budget,
        };
        let places = Place::all(image, &self.config)?;
        let bytes = self.config.config_bytes;
        Ok(Session::new(
            wire,
            places,
            image,
            credentials,
            bytes,
            layers,
        ))
    }

    /// Asks the registry and keeps what it says.
    async fn fly(
        self: Arc<Self>,
        key: Key,
        credentials: Credentials,
        exchanges: Option<Arc<Semaphore>>,
    ) -> SharedFacts {
        let deadline = Instant::now() + self.config.image_deadline;
        let depth = Depth::Config;
        let fetched = match self.session(&key.image, &credentials, exchanges, depth, deadline) {
            Ok(session) => {
                fetch::fetch(&session, &key.image, &key.platforms, depth, &self.cache).await
            }
            Err(failure) => Err(failure),
        };
        match fetched {
            Ok(fetched) => {
                self.told.over(Question::Image, &key.image);
                let known = self.cache.learn(&key.image, &fetched.digest, fetched.known);
                if fetched.is_late {
                    // Who asks next may have more luck.
                } else if fetched.has_gaps {
                    let fact = Arc::clone(&fetched.fact);
                    self.cache.remember(key, fact, self.config.failure_ttl);
                } else {
                    self.cache.admit(key, fetched.digest, self.config.tag_ttl);
                    return Arc::clone(&known.fact);
                }
                fetched.fact
            }
            Err(failure) => {
                let gap = self.told.failed(Question::Image, &key.image, &failure);
                let fact = Arc::new(Fact::Unknown(gap));
                let ttl = match failure {
                    Failure::RateLimited(pause) => Some(pause),
                    // Its turn has not come: nothing is known of the registry.
                    Failure::Late => None,
                    _ => Some(self.config.failure_ttl),
                };
                if let Some(ttl) = ttl {
                    self.cache.remember(key, Arc::clone(&fact), ttl);
                }
                fact
            }
        }
    }
}
