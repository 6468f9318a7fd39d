//! What layers said, kept on disk by digest: what is behind a digest never changes, and reading it again is slow.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use hostfit_crds::ImageProfileStatus;
use hostfit_crds::image_profile::READ_BY;
use hostfit_engine::image::{Digest, Inspected};
use hostfit_registry::Library;

/// A folder with a file for each digest, as ImageProfiles say it. Whatever cannot be read there is not known.
pub(crate) struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// The user's; nothing where there is no home.
    pub(crate) fn open() -> Option<Self> {
        let variable = |name: &str| {
            let path = std::env::var_os(name).map(PathBuf::from);
            path.filter(|path| path.is_absolute())
        };
        let cache =
            variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")))?;
        // What another version reads of layers is another matter.
        let folder = cache.join("hostfit/images").join(READ_BY);
        Some(Self { folder })
    }

    /// Looks digests up here.
    pub(crate) fn library(&self) -> Library {
        let folder = self.folder.clone();
        Arc::new(move |digest: &Digest| {
            let text = fs::read(file(&folder, digest)).ok()?;
            let status: ImageProfileStatus = serde_json::from_slice(&text).ok()?;
            status.facts(digest.clone())
        })
    }

    /// Keeps what is known of an image. A cache that cannot be written costs time, and nothing else.
    pub(crate) fn keep(&self, image: &Inspected) {
        let path = file(&self.folder, &image.facts.digest);
        let Ok(text) = serde_json::to_vec(&ImageProfileStatus::of(image)) else {
            return;
        };
        if fs::read(&path).is_ok_and(|known| known == text) {
            return;
        }
        // Whoever reads meanwhile sees the old file or the new one.
        let draft = path.with_extension(format!("{}.draft", std::process::id()));
        let _ = fs::create_dir_all(&self.folder);
        if fs::write(&draft, text).is_err() || fs::rename(&draft, &path).is_err() {
            let _ = fs::remove_file(&draft);
            tracing::info!(path = %path.display(), "not kept");
        }
    }
}

fn file(folder: &std::path::Path, digest: &Digest) -> PathBuf {
    let (algorithm, digits) = digest.parts();
    folder.join(format!("{algorithm}-{digits}.json"))
}
