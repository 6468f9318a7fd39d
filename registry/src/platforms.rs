//! Which platforms of an image are worth a request.

use std::collections::BTreeSet;
use std::sync::Arc;

use hostfit_engine::image::Platform;

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

    /// Whether the contents of `platform` are wanted, whatever its variant and version.
    pub fn wants(&self, platform: &Platform) -> bool {
        match self {
            Self::All => true,
            Self::Of(pairs) => pairs
                .iter()
                .any(|(os, arch)| *os == platform.os && *arch == platform.architecture),
        }
    }
}
