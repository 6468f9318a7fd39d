//! What is known of the image behind a digest, and how much of it.

use std::cmp::{Ordering, Reverse};
use std::collections::HashMap;
use std::sync::Arc;

use hostfit_engine::fact::{Evidence, Fact, Gap, Strength};
use hostfit_engine::files::Reading;
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
            platforms.are_listed(facts)
                && all
                    .clone()
                    .all(|one| !is_open(one, all.clone(), platforms, depth))
        })
    }

    /// Whether its list has every wanted platform.
    pub(crate) fn lists(&self, platforms: &Platforms) -> bool {
        let facts = self.fact.value();
        facts.is_none_or(|facts| platforms.are_listed(facts))
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
        // The list of one may be a part of the other's.
        let part = |facts: &ImageFacts| (facts.left_out, Reverse(facts.platforms.len()));
        match part(facts).cmp(&part(others)) {
            Ordering::Less => return self.completed(other),
            Ordering::Greater => return other.completed(self),
            Ordering::Equal => {}
        }
        let pairs = facts.platforms.iter().zip(&others.platforms);
        // The same stays the same: whoever remembers what was made of it finds it again.
        if pairs.clone().all(|(own, other)| rank(own) >= rank(other)) {
            return Arc::clone(self);
        }
        if pairs.clone().all(|(own, other)| rank(own) <= rank(other)) {
            return Arc::clone(other);
        }
        let better = pairs.map(|(own, other)| match rank(own) > rank(other) {
            true => own.clone(),
            false => other.clone(),
        });
        let facts = ImageFacts {
            digest: facts.digest.clone(),
            platforms: better.collect(),
            left_out: facts.left_out,
        };
        Arc::new(Self {
            fact: Arc::new(Fact::Known(facts, evidence.clone())),
            manifests: self.manifests.clone(),
        })
    }

    /// With what one that lists fewer of its platforms knows better of them.
    fn completed(self: &Arc<Self>, part: &Self) -> Arc<Self> {
        let (Fact::Known(facts, evidence), Fact::Known(others, _)) = (&*self.fact, &*part.fact)
        else {
            return Arc::clone(self);
        };
        let others = part.manifests.iter().zip(&others.platforms);
        let others: HashMap<_, _> = others
            .map(|(manifest, other)| ((&manifest.digest, &other.platform), other))
            .collect();
        let mut better = facts.clone();
        let mut is_same = true;
        for (manifest, own) in self.manifests.iter().zip(&mut better.platforms) {
            if let Some(other) = others.get(&(&manifest.digest, &own.platform))
                && rank(other) > rank(own)
            {
                own.contents = other.contents.clone();
                is_same = false;
            }
        }
        if is_same {
            return Arc::clone(self);
        }
        Arc::new(Self {
            fact: Arc::new(Fact::Known(better, evidence.clone())),
            manifests: self.manifests.clone(),
        })
    }
}

/// How much is known of a platform.
fn rank(one: &PlatformFacts) -> u8 {
    match &one.contents {
        Fact::Unknown(Gap::NotFetchedInTime) => 0,
        Fact::Unknown(_) => 1,
        Fact::Known(..) if one.lacks_files() => 2,
        Fact::Known(contents, _) => match &contents.files {
            Reading::Unreadable { .. } => 3,
            Reading::NotRead | Reading::Read(_) => 4,
        },
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

#[cfg(test)]
mod tests {
    use hostfit_engine::files::Files;
    use hostfit_engine::image::Platform;

    use super::*;

    fn known(contents: impl IntoIterator<Item = Fact<Contents>>) -> Arc<Known> {
        let platform = |contents| PlatformFacts {
            platform: Platform::new("linux", "amd64"),
            contents,
        };
        let facts = ImageFacts {
            digest: format!("sha256:{}", "a".repeat(64)).parse().unwrap(),
            platforms: contents.into_iter().map(platform).collect(),
            left_out: 0,
        };
        Arc::new(Known {
            fact: Arc::new(Fact::Known(facts, Evidence::new(Strength::Stated, "test"))),
            manifests: Vec::new(),
        })
    }

    fn read(files: Reading) -> Fact<Contents> {
        let contents = Contents {
            files,
            ..Contents::default()
        };
        Fact::Known(contents, Evidence::new(Strength::Stated, "test"))
    }

    /// What can be known of a platform, each better than the one before.
    fn ladder() -> [Fact<Contents>; 5] {
        let what = || "a layer of it is a bomb".to_owned();
        [
            NOT_READ,
            Fact::Unknown(Gap::Malformed { what: what() }),
            read(Reading::NotRead),
            read(Reading::Unreadable { what: what() }),
            read(Files::default().into()),
        ]
    }

    #[test]
    fn the_better_of_two_is_kept_whichever_came_first() {
        for (step, better) in ladder().into_iter().enumerate() {
            for worse in ladder().into_iter().take(step) {
                let (one, other) = (known([better.clone()]), known([worse.clone()]));
                assert_eq!(one.merged(&other).fact, one.fact, "{worse:?}");
                assert_eq!(other.merged(&one).fact, one.fact, "{worse:?}");
            }
        }
        let [_, malformed, config, _, files] = ladder();
        let one = known([malformed, files.clone()]);
        let other = known([config.clone(), NOT_READ]);
        assert_eq!(one.merged(&other).fact, known([config, files]).fact);
    }

    #[test]
    fn what_brings_nothing_new_changes_nothing() {
        let [not_read, _, config, ..] = ladder();
        let before = known([config.clone(), not_read.clone()]);
        for same in [
            known([config.clone(), not_read.clone()]),
            known([not_read.clone(), not_read]),
        ] {
            assert!(Arc::ptr_eq(&before.merged(&same), &before));
        }
    }

    #[test]
    fn files_that_nobody_can_read_are_asked_for_once() {
        let [_, _, config, unreadable, _] = ladder();
        assert!(!known([config]).covers(&Platforms::All, Depth::Files));
        assert!(known([unreadable]).covers(&Platforms::All, Depth::Files));
    }
}
