//! Images on disk: an OCI image layout, or what `docker save` writes. Everything can be tried without a registry.

mod archive;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use hostfit_engine::fact::Fact;
use hostfit_engine::image::Digest;
use serde::Deserialize;

pub use self::archive::archive;
use crate::SharedFacts;
use crate::client::Found;
use crate::digest::{is_digest_of, sha256};
use crate::error::Failure;
use crate::fetch::{self, Source};
use crate::layers::{self, Layer};
use crate::parse::{self, Descriptor};
use crate::platforms::Platforms;

/// Largest manifest, index or config in bytes.
const DOCUMENT: u64 = 8 << 20;

/// Why an image on disk cannot be read. The message names the file and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocalError {
    /// A file of it cannot be opened or read.
    #[error("read {}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Not a layout or an archive at all.
    #[error("{} is no {kind}: {problem}", path.display())]
    Kind {
        /// What was given.
        path: PathBuf,
        /// What it should be.
        kind: &'static str,
        /// What is missing.
        problem: String,
    },
    /// There are several images, or none of the wanted name.
    #[error("{} does not tell which image is meant: write one of {}", path.display(), whole(path, names))]
    Name {
        /// What was given.
        path: PathBuf,
        /// What it holds, each as it may be written after the path: `:NAME`, `@DIGEST`.
        names: Vec<String>,
    },
}

/// The names of an archive's or a layout's images, as they may be written.
fn whole(path: &Path, names: &[String]) -> String {
    let names = names.iter().map(|name| format!("{}{name}", path.display()));
    names.collect::<Vec<_>>().join(", ")
}

/// What an image on disk says.
///
/// An OCI image layout is a folder with `oci-layout` and `index.json`; `name` chooses by the annotation
/// `org.opencontainers.image.ref.name`, or is the digest of a manifest in the index.
///
/// # Errors
///
/// If the folder is no layout, or does not say which image is meant. What is wrong with the image itself is a gap.
pub async fn layout(folder: &Path, name: Option<&str>) -> Result<SharedFacts, LocalError> {
    let file = |name: &str| {
        let path = folder.join(name);
        read_document(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound if folder.exists() => LocalError::Kind {
                path: folder.to_owned(),
                kind: "OCI image layout",
                problem: format!("it has no {name}"),
            },
            _ => LocalError::File { path, source },
        })
    };
    file("oci-layout")?;
    let index = file("index.json")?;
    let entries: Index = serde_json::from_slice(&index).map_err(|error| LocalError::Kind {
        path: folder.join("index.json"),
        kind: "index of images",
        problem: error.to_string(),
    })?;
    let names = || {
        let path = folder.to_owned();
        let written = |entry: &Listed| match entry.name() {
            Some(name) => format!(":{name}"),
            None => format!("@{}", entry.digest),
        };
        let names: Vec<_> = entries.manifests.iter().map(written).collect();
        match names.is_empty() {
            true => LocalError::Kind {
                path,
                kind: "OCI image layout with an image",
                problem: "its index lists none".to_owned(),
            },
            false => LocalError::Name { path, names },
        }
    };
    let source = Folder(folder.to_owned());
    let chosen = match (name, entries.manifests.as_slice()) {
        (Some(name), all) => all
            .iter()
            .find(|entry| entry.name() == Some(name) || entry.digest == name)
            .ok_or_else(names)?,
        (None, [one]) => one,
        // The platforms of one image, without an index of their own.
        (None, all) if all.iter().all(|entry| entry.platform.is_some()) => {
            let found = parse::document(&index, Some(OCI_INDEX)).map(|document| Found {
                descriptor: Descriptor {
                    digest: sha256(&index),
                    size: index.len() as u64,
                },
                document,
            });
            return Ok(finish(&source, found).await);
        }
        (None, _) => return Err(names()),
    };
    let found = match chosen.digest.parse::<Digest>() {
        Ok(digest) => source.by_digest(&digest, chosen.size).await,
        Err(_) => Err(Failure::Invalid("its index holds a malformed digest")),
    };
    Ok(finish(&source, found).await)
}

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

async fn finish(source: &impl Source, found: Result<Found, Failure>) -> SharedFacts {
    let read = match found {
        Ok(found) => fetch::read(source, found, &Platforms::All).await,
        Err(failure) => Err(failure),
    };
    match read {
        Ok(read) => read.fact,
        Err(failure) => Arc::new(Fact::Unknown(failure.gap(source.name()))),
    }
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    digest: String,
    size: Option<u64>,
    platform: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    annotations: std::collections::BTreeMap<String, String>,
}

impl Listed {
    fn name(&self) -> Option<&str> {
        let name = self.annotations.get("org.opencontainers.image.ref.name");
        name.map(String::as_str)
    }
}

/// The blobs of an OCI image layout.
struct Folder(PathBuf);

impl Folder {
    fn blob(&self, digest: &Digest) -> PathBuf {
        let (algorithm, hex) = digest.parts();
        self.0.join("blobs").join(algorithm).join(hex)
    }

    fn document(&self, digest: &Digest, size: Option<u64>) -> Result<Vec<u8>, Failure> {
        let bytes = read_document(&self.blob(digest)).map_err(|error| missing(&error))?;
        if size.is_some_and(|size| size != bytes.len() as u64) {
            return Err(Failure::Invalid(
                "a blob of it does not have the size that it should have",
            ));
        }
        is_digest_of(digest, &bytes)
            .then_some(bytes)
            .ok_or(Failure::Invalid(
                "a blob of it does not have the digest that it should have",
            ))
    }
}

impl Source for Folder {
    async fn by_digest(&self, digest: &Digest, size: Option<u64>) -> Result<Found, Failure> {
        let bytes = self.document(digest, size)?;
        Ok(Found {
            document: parse::document(&bytes, None)?,
            descriptor: Descriptor {
                digest: digest.clone(),
                size: bytes.len() as u64,
            },
        })
    }

    async fn config(&self, config: &Descriptor) -> Result<Bytes, Failure> {
        Ok(self.document(&config.digest, Some(config.size))?.into())
    }

    async fn layer(&self, layer: &Descriptor) -> Result<Option<Arc<Layer>>, Failure> {
        let file = File::open(self.blob(&layer.digest)).map_err(|error| missing(&error))?;
        let read = layers::read(layer, file).map_err(lasting)?;
        Ok(Some(Arc::new(read)))
    }

    fn name(&self) -> &str {
        "of the folder"
    }
}

/// On disk nothing gets better by waiting.
fn lasting(failure: Failure) -> Failure {
    match failure {
        Failure::Broken(what) => Failure::Invalid(what),
        Failure::NoAnswer(error) => {
            tracing::info!(error, "blob not read");
            UNREADABLE
        }
        failure => failure,
    }
}

fn missing(error: &io::Error) -> Failure {
    tracing::info!(%error, "blob not read");
    UNREADABLE
}

const UNREADABLE: Failure = Failure::Invalid("a blob of it is missing or cannot be read");

fn read_document(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let mut bytes = Vec::new();
    file.take(DOCUMENT + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > DOCUMENT {
        true => Err(io::Error::other("it is larger than 8 MiB")),
        false => Ok(bytes),
    }
}
