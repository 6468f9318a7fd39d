//! Which platforms of an image are worth a request.

use std::collections::BTreeSet;
use std::sync::Arc;

use hostfit_engine::image::{ImageFacts, Platform};
use hostfit_engine::matrix::{runnable, tells};

/// The platforms whose contents are wanted. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Platforms {
    /// Every platform that an image has.
    All,
    /// These pairs of operating system and architecture, in Go's spelling.
    Of(Arc<BTreeSet<(String, String)>>),
}

impl Platforms {
    /// The given pairs of operating system and architecture, for example `("linux", "arm64")`.
    pub fn of<O: Into<String>, A: Into<String>>(pairs: impl IntoIterator<Item = (O, A)>) -> Self {
        let pairs = pairs.into_iter().map(|(os, arch)| (os.into(), arch.into()));
        Self::Of(Arc::new(pairs.collect()))
    }

    /// Whether the list of an image has all of these: a whole list has.
    pub(crate) fn are_listed(&self, facts: &ImageFacts) -> bool {
        let listed = facts.platforms.iter().map(|it| &it.platform);
        match self {
            _ if facts.left_out == 0 => true,
            Self::All => false,
            Self::Of(pairs) => pairs
                .iter()
                .all(|(os, architecture)| tells(listed.clone(), os, architecture)),
        }
    }

    /// Whether the contents of `platform` are wanted, whatever its variant and version: it is what a host would choose
    /// among `all` platforms of the image. A 32-bit platform is only chosen where the host's own is missing.
    pub fn wants<'a>(
        &self,
        platform: &Platform,
        all: impl Iterator<Item = &'a Platform> + Clone,
    ) -> bool {
        let Self::Of(pairs) = self else { return true };
        pairs
            .iter()
            .filter(|(os, _)| *os == platform.os)
            .any(|(os, own)| {
                let listed = |wanted: &&str| {
                    all.clone()
                        .any(|it| it.os == *os && it.architecture == *wanted)
                };
                runnable(own).find(listed) == Some(platform.architecture.as_str())
            })
    }
}
