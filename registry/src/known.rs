//! What is known of the image behind a digest, and how much of it.

use std::sync::Arc;

use hostfit_engine::fact::{Evidence, Fact, Gap, Strength};
use hostfit_engine::image::{Contents, ImageFacts, Inspected, Manifest, PlatformFacts};

use crate::parse::Descriptor;
use crate::platforms::Platforms;

/// How much of an image is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Manifest and config.
    Config,
    /// The files of its layers as well.
    Files,
}

/// What is known of the image behind one digest. Contents that nobody wanted yet are
/// `Unknown(NotFetchedInTime)`; no other gap is kept unless it can never change.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) fact: Arc<Fact<ImageFacts>>,
    /// The manifest of each platform, in the same order.
    pub(crate) manifests: Vec<Descriptor>,
}

/// Contents that nobody wanted yet.
pub(crate) const NOT_READ: Fact<Contents> = Fact::Unknown(Gap::NotFetchedInTime);

impl Known {
    /// Whether every wanted platform has been read, so far as that is wanted.
    pub(crate) fn covers(&self, platforms: &Platforms, depth: Depth) -> bool {
        let facts = self.fact.value();
        facts.is_some_and(|facts| {
            let all = facts.platforms.iter();
            all.clone()
                .all(|one| !is_open(one, all.clone(), platforms, depth))
        })
    }

    /// Whether a platform has been read, but not its files.
    pub(crate) fn lacks_files(&self) -> bool {
        let facts = self.fact.value();
        facts.is_some_and(|facts| facts.platforms.iter().any(PlatformFacts::lacks_files))
    }

    /// The better of what two know of each platform: both are about the same digest.
    pub(crate) fn merged(self: &Arc<Self>, other: &Arc<Self>) -> Arc<Self> {
        let (Fact::Known(facts, evidence), Fact::Known(others, _)) = (&*self.fact, &*other.fact)
        else {
            return Arc::clone(other);
        };
        let rank = |one: &PlatformFacts| match &one.contents {
            contents if *contents == NOT_READ => 0,
            _ if one.lacks_files() => 1,
            _ => 2,
        };
        let pairs = facts.platforms.iter().zip(&others.platforms);
        if facts.platforms.len() != others.platforms.len()
            || pairs.clone().all(|(own, other)| rank(own) <= rank(other))
        {
            return Arc::clone(other);
        }
        let better = pairs.map(|(own, other)| match rank(own) > rank(other) {
            true => own.clone(),
            false => other.clone(),
        });
        let facts = ImageFacts {
            digest: facts.digest.clone(),
            platforms: better.collect(),
        };
        Arc::new(Self {
            fact: Arc::new(Fact::Known(facts, evidence.clone())),
            manifests: self.manifests.clone(),
        })
    }
}

impl From<Inspected> for Known {
    fn from(image: Inspected) -> Self {
        let manifests = image.manifests.into_iter().map(|it| Descriptor {
            digest: it.digest,
            size: it.size,
        });
        let from = format!("manifest {}", image.facts.digest.short());
        let evidence = Evidence::new(Strength::Stated, from);
        Self {
            fact: Arc::new(Fact::Known(image.facts, evidence)),
            manifests: manifests.collect(),
        }
    }
}

impl Known {
    /// All of it, to be kept elsewhere.
    pub(crate) fn inspected(&self) -> Option<Inspected> {
        let manifests = self.manifests.iter().map(|it| Manifest {
            digest: it.digest.clone(),
            size: it.size,
        });
        Some(Inspected {
            facts: self.fact.value()?.clone(),
            manifests: manifests.collect(),
        })
    }
}

pub(crate) fn is_open<'a>(
    one: &PlatformFacts,
    all: impl Iterator<Item = &'a PlatformFacts> + Clone,
    platforms: &Platforms,
    depth: Depth,
) -> bool {
    let all = all.map(|one| &one.platform);
    let is_open = one.contents == NOT_READ || (depth == Depth::Files && one.lacks_files());
    is_open && platforms.wants(&one.platform, all)
}
