//! Reads one image: resolves its reference, lists its platforms, reads the contents of the wanted ones.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream;
use hostfit_engine::fact::{Evidence, Fact, Gap, Strength};
use hostfit_engine::files::Reading;
use hostfit_engine::image::{Digest, ImageFacts, ImageRef, Platform, PlatformFacts, Start};

use crate::cache::Cache;
use crate::client::{Found, Session, WRONG_DIGEST};
use crate::digest::contradicts;
use crate::error::Failure;
use crate::known::{Depth, Known, NOT_READ, is_open};
use crate::layers::{self, Layer};
use crate::parse::{self, Descriptor, Document, Entry, INDEX_ENTRIES, Manifest};
use crate::platforms::Platforms;

/// Platforms of one image that are read at a time.
const AT_ONCE: usize = 4;

/// Where manifests, configs and layers come from, checked against their digests: a registry, or a folder.
pub(crate) trait Source: Sync {
    /// The manifest or index with this digest, and with this size if it is known.
    fn by_digest(
        &self,
        digest: &Digest,
        size: Option<u64>,
    ) -> impl Future<Output = Result<Found, Failure>> + Send;

    /// The config that a manifest names.
    fn config(&self, config: &Descriptor) -> impl Future<Output = Result<Bytes, Failure>> + Send;

    /// What one layer says. `None` where layers are not read.
    fn layer(
        &self,
        layer: &Descriptor,
    ) -> impl Future<Output = Result<Option<Arc<Layer>>, Failure>> + Send;

    /// Registry, as in the image reference; for a folder its name.
    fn name(&self) -> &str;
}

/// One image, read.
pub(crate) struct Fetched {
    pub(crate) digest: Digest,
    /// For those who asked: with the gaps of this time.
    pub(crate) fact: Arc<Fact<ImageFacts>>,
    /// For everybody.
    pub(crate) known: Arc<Known>,
    /// Whether something that was wanted could not be read this time.
    pub(crate) has_gaps: bool,
    /// Whether something's turn did not come: of that the registry has said nothing.
    pub(crate) is_late: bool,
}

/// A list of platforms, some of them with contents.
struct Listing {
    digest: Digest,
    from: String,
    platforms: Vec<(Descriptor, PlatformFacts)>,
    /// How many more the index has.
    left_out: usize,
}

/// Reads `image` as the session's credentials allow. What `cache` holds is used only after the registry
/// has shown that these credentials lead to it.
pub(crate) async fn fetch(
    session: &Session<'_>,
    image: &ImageRef,
    platforms: &Platforms,
    depth: Depth,
    cache: &Cache,
) -> Result<Fetched, Failure> {
    let known = match resolve(session, image, cache).await? {
        Resolved::Known(digest, known) if known.covers(platforms, depth) => {
            return Ok(Fetched {
                digest,
                fact: Arc::clone(&known.fact),
                known,
                has_gaps: false,
                is_late: false,
            });
        }
        Resolved::Known(digest, known) if known.lists(platforms) => listing_of(digest, &known),
        // Whoever kept it left out what is wanted now: the whole list, with what is known of it.
        Resolved::Known(digest, known) => {
            let found = session.by_digest(&digest, None).await?;
            let whole = finish(list(session, found).await?, Vec::new()).known;
            listing_of(digest, &known.merged(&whole))
        }
        Resolved::Found(found) => list(session, found).await?,
    };
    read_wanted(session, known, platforms, depth).await
}

/// Reads what `found` leads to: the way of a source that has no tags and asks for no credentials.
pub(crate) async fn read(
    source: &impl Source,
    found: Found,
    platforms: &Platforms,
) -> Result<Fetched, Failure> {
    let listing = list(source, found).await?;
    read_wanted(source, listing, platforms, Depth::Files).await
}

enum Resolved {
    Known(Digest, Arc<Known>),
    Found(Found),
}

/// One HEAD where this reference has led to what is known before, else one GET.
///
/// Who only names a digest has not shown that he has what it is of: the first answer of each reference is the manifest
/// itself, and a HEAD only tells that it still leads there.
async fn resolve(
    session: &Session<'_>,
    image: &ImageRef,
    cache: &Cache,
) -> Result<Resolved, Failure> {
    let wanted = image.digest();
    let reference = wanted.map_or(image.tag().unwrap_or("latest"), Digest::as_str);
    let mut moved = None;
    if let Some(last) = cache.last_digest(image)
        && let Some(known) = cache.known(&last)
        && let Some(digest) = session.head(reference).await?
    {
        if wanted.is_some_and(|wanted| contradicts(&digest, wanted)) {
            return Err(WRONG_DIGEST);
        }
        if wanted.is_some() || digest == last {
            return Ok(Resolved::Known(last, known));
        }
        moved = Some(digest);
    }
    let found = match wanted.or(moved.as_ref()) {
        Some(digest) => session.by_digest(digest, None).await?,
        None => session.tagged(reference).await?,
    };
    let digest = found.descriptor.digest.clone();
    Ok(match cache.known(&digest) {
        Some(known) => Resolved::Known(digest, known),
        None => Resolved::Found(found),
    })
}

fn listing_of(digest: Digest, known: &Known) -> Listing {
    let (facts, left_out, from) = match &*known.fact {
        Fact::Known(facts, evidence) => {
            let from = evidence.from.clone();
            (facts.platforms.as_slice(), facts.left_out, from)
        }
        Fact::Unknown(_) => (&[][..], 0, String::new()),
    };
    let manifests = known.manifests.iter().cloned();
    Listing {
        digest,
        from,
        platforms: manifests.zip(facts.iter().cloned()).collect(),
        left_out,
    }
}

/// The platforms of what was found. What tells its platform only in its config is read at once: without
/// it the list would not be whole, and a missing platform means "does not run there".
async fn list(source: &impl Source, found: Found) -> Result<Listing, Failure> {
    let Found {
        descriptor,
        document,
    } = found;
    let digest = descriptor.digest.clone();
    let entries = match document {
        Document::Image(manifest) => {
            let facts = read_config(source, &descriptor, manifest, None).await?;
            return Ok(Listing {
                from: format!("manifest {}", digest.short()),
                digest,
                platforms: vec![(descriptor, facts)],
                left_out: 0,
            });
        }
        Document::Retired(image) => {
            return Ok(Listing {
                from: format!("manifest {}", digest.short()),
                platforms: vec![(descriptor, parse::retired(&digest, *image))],
                left_out: 0,
                digest,
            });
        }
        Document::Index(entries) => flatten(source, entries).await?,
    };
    let mut platforms = Vec::new();
    for entry in entries {
        let facts = match entry.platform {
            Some(platform) => PlatformFacts {
                platform,
                contents: NOT_READ,
            },
            None => match read_platform(source, &entry.descriptor, None).await {
                Err(Failure::NotAnImage) => continue,
                facts => facts?,
            },
        };
        platforms.push((entry.descriptor, facts));
    }
    if platforms.is_empty() {
        return Err(Failure::Invalid("its index lists no image"));
    }
    Ok(Listing {
        from: format!("index {}", digest.short()),
        digest,
        platforms,
        left_out: 0,
    })
}

/// Replaces each index in an index by its entries, one level deep.
async fn flatten(source: &impl Source, entries: Vec<Entry>) -> Result<Vec<Entry>, Failure> {
    let mut flat = Vec::new();
    for entry in entries {
        if !entry.is_index {
            flat.push(entry);
            continue;
        }
        let Descriptor { digest, size } = &entry.descriptor;
        match source.by_digest(digest, Some(*size)).await?.document {
            Document::Image(_) | Document::Retired(_) => {
                return Err(Failure::Invalid("its index calls an image an index"));
            }
            Document::Index(inner) if inner.iter().any(|entry| entry.is_index) => {
                return Err(Failure::Invalid("its index is nested too deeply"));
            }
            Document::Index(inner) => flat.extend(inner),
        }
        if flat.len() > INDEX_ENTRIES {
            return Err(Failure::Invalid("its index has more than 1,000 entries"));
        }
    }
    Ok(flat)
}

async fn read_wanted(
    source: &impl Source,
    mut listing: Listing,
    platforms: &Platforms,
    depth: Depth,
) -> Result<Fetched, Failure> {
    // The same manifest may stand in the index more than once.
    let mut open: HashMap<Digest, Vec<usize>> = HashMap::new();
    let mut order = Vec::new();
    let all = listing.platforms.iter().map(|(_, facts)| facts);
    for (position, (descriptor, facts)) in listing.platforms.iter().enumerate() {
        if is_open(facts, all.clone(), platforms, depth) {
            let positions = open.entry(descriptor.digest.clone()).or_default();
            if positions.is_empty() {
                order.push((descriptor.clone(), facts.platform.clone()));
            }
            positions.push(position);
        }
    }
    let read = stream::iter(order).map(|(descriptor, listed)| async move {
        let facts = read_platform(source, &descriptor, Some(&listed)).await;
        (descriptor.digest, facts)
    });
    let at_once = match depth {
        Depth::Config => AT_ONCE,
        // Few layers are read at a time, of all images: one image takes the place of one.
        Depth::Files => 1,
    };
    let read: Vec<_> = read.buffer_unordered(at_once).collect().await;

    let mut passing: Vec<(usize, Gap)> = Vec::new();
    for (digest, facts) in read {
        for position in open.remove(&digest).unwrap_or_default() {
            let Some((_, slot)) = listing.platforms.get_mut(position) else {
                continue;
            };
            match &facts {
                Ok(facts) => *slot = facts.clone(),
                Err(failure) => {
                    let gap = failure.gap(source.name());
                    if failure.is_lasting() {
                        slot.contents = Fact::Unknown(gap);
                    } else {
                        passing.push((position, gap));
                    }
                }
            }
        }
    }
    Ok(finish(listing, passing))
}

fn finish(listing: Listing, passing: Vec<(usize, Gap)>) -> Fetched {
    let (manifests, platforms) = listing.platforms.into_iter().unzip();
    let facts = ImageFacts {
        digest: listing.digest.clone(),
        platforms,
        left_out: listing.left_out,
    };
    let evidence = Evidence::new(Strength::Stated, listing.from);
    let has_gaps = !passing.is_empty();
    let is_late = passing.iter().any(|(_, gap)| *gap == Gap::NotFetchedInTime);
    let mut for_caller = has_gaps.then(|| facts.clone());
    for (position, gap) in passing {
        let slot = for_caller
            .as_mut()
            .and_then(|facts| facts.platforms.get_mut(position));
        if let Some(slot) = slot {
            slot.contents = Fact::Unknown(gap);
        }
    }
    let shared = Arc::new(Fact::Known(facts, evidence.clone()));
    let fact = for_caller.map(|facts| Arc::new(Fact::Known(facts, evidence)));
    Fetched {
        digest: listing.digest,
        fact: fact.unwrap_or_else(|| Arc::clone(&shared)),
        known: Arc::new(Known {
            fact: shared,
            manifests,
        }),
        has_gaps,
        is_late,
    }
}

async fn read_platform(
    source: &impl Source,
    descriptor: &Descriptor,
    listed: Option<&Platform>,
) -> Result<PlatformFacts, Failure> {
    let Descriptor { digest, size } = descriptor;
    match source.by_digest(digest, Some(*size)).await?.document {
        Document::Image(manifest) => read_config(source, descriptor, manifest, listed).await,
        Document::Retired(image) => Ok(parse::retired(digest, *image)),
        Document::Index(_) => Err(Failure::Invalid("its index calls an index an image")),
    }
}

async fn read_config(
    source: &impl Source,
    descriptor: &Descriptor,
    manifest: Manifest,
    listed: Option<&Platform>,
) -> Result<PlatformFacts, Failure> {
    let config = manifest.config.digest.clone();
    let body = source.config(&manifest.config).await?;
    let layers = manifest.layers.clone();
    let (platform, mut contents) = parse::config(&body, manifest, listed)?;
    if platform.os == "linux" {
        contents.files = read_files(source, layers, &contents.start, &platform).await;
    }
    let from = format!(
        "config {} of manifest {}",
        config.short(),
        descriptor.digest.short()
    );
    let evidence = Evidence::new(Strength::Stated, from);
    Ok(PlatformFacts {
        platform,
        contents: Fact::Known(contents, evidence),
    })
}

/// What the files of an image say. What the config says stands whatever becomes of a layer.
async fn read_files(
    source: &impl Source,
    layers: Vec<Descriptor>,
    start: &Start,
    platform: &Platform,
) -> Reading {
    let mut read = Vec::with_capacity(layers.len());
    for layer in &layers {
        match source.layer(layer).await {
            Ok(Some(layer)) => read.push(layer),
            Ok(None) => return Reading::NotRead,
            Err(failure) => {
                tracing::info!(layer = %layer.digest, %failure, "layer not read");
                return failure.into();
            }
        }
    }
    layers::files(&read, start, &platform.architecture).into()
}
