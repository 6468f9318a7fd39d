//! What `docker save` and `podman save` write: one tar archive of a list of images, their configs and layers.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use hostfit_engine::fact::{Evidence, Fact, Strength};
use hostfit_engine::image::{Digest, ImageFacts, ImageRef, PlatformFacts};
use serde::Deserialize;

use super::{DOCUMENT, LocalError, lasting};
use crate::SharedFacts;
use crate::digest::sha256;
use crate::error::Failure;
use crate::layers;
use crate::parse::{self, Descriptor, Manifest};

const KIND: &str = "archive of docker save";

/// What an image in such an archive says; `name` chooses by its tag.
///
/// # Errors
///
/// If the file is no such archive, or does not say which image is meant. What is wrong with the image itself is a gap.
pub fn archive(path: &Path, name: Option<&str>) -> Result<SharedFacts, LocalError> {
    let failed = |source| LocalError::File {
        path: path.to_owned(),
        source,
    };
    let kind = |problem: String| LocalError::Kind {
        path: path.to_owned(),
        kind: KIND,
        problem,
    };
    let file = File::open(path).map_err(failed)?;
    let mut magic = [0; 2];
    if (&file).read_exact(&mut magic).is_ok() && magic == [0x1f, 0x8b] {
        return Err(kind("it is compressed: unpack it with gunzip".to_owned()));
    }
    // What the error says may hold any bytes of the file.
    let members = Members::list(&file).map_err(|_| kind("it cannot be read as tar".to_owned()))?;
    let list = members
        .document(&file, "manifest.json")
        .map_err(|_| kind("it has no manifest.json".to_owned()))?;
    let images: Vec<Saved> =
        serde_json::from_slice(&list).map_err(|error| kind(error.to_string()))?;
    let names = || {
        images
            .iter()
            .flat_map(|image| image.repo_tags.iter().flatten())
    };
    let chosen = match (name, images.as_slice()) {
        (Some(name), all) => all.iter().find(|image| {
            let tags = image.repo_tags.iter().flatten();
            tags.into_iter().any(|tag| is_same(tag, name))
        }),
        (None, [one]) => Some(one),
        (None, _) => None,
    };
    let chosen = chosen.ok_or_else(|| LocalError::Name {
        path: path.to_owned(),
        names: names().map(|name| format!(":{name}")).collect(),
    })?;
    let digest = sha256(&list);
    Ok(Arc::new(match read(&file, &members, chosen) {
        Ok(platform) => {
            let from = format!("manifest {}", digest.short());
            let facts = ImageFacts {
                digest,
                platforms: vec![platform],
                left_out: 0,
            };
            Fact::Known(facts, Evidence::new(Strength::Stated, from))
        }
        Err(failure) => Fact::Unknown(failure.gap("of the archive")),
    }))
}

/// Whether two names mean one image: some tools write `docker.io/library/app:1` for `app:1`.
fn is_same(one: &str, other: &str) -> bool {
    let parse = |name: &str| name.parse::<ImageRef>().ok();
    one == other || parse(one).is_some_and(|one| Some(one) == parse(other))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// Where each member of the archive lies.
struct Members {
    files: HashMap<String, (u64, u64)>,
    links: HashMap<String, String>,
}

impl Members {
    fn list(mut file: &File) -> io::Result<Self> {
        let (mut files, mut links) = (HashMap::new(), HashMap::new());
        file.seek(SeekFrom::Start(0))?;
        for entry in tar::Archive::new(file).entries_with_seek()? {
            let entry = entry?;
            let path = entry.path()?.to_string_lossy().into_owned();
            match entry.link_name()? {
                // A layer that an image has twice is a link to the first, out of one folder into the next.
                Some(target) => {
                    let target = target.to_string_lossy();
                    let target = target.trim_start_matches("../").to_owned();
                    links.insert(path, target);
                }
                None => {
                    files.insert(path, (entry.raw_file_position(), entry.size()));
                }
            }
        }
        Ok(Self { files, links })
    }

    fn find(&self, path: &str) -> Option<(u64, u64)> {
        let target = self.links.get(path).map_or(path, String::as_str);
        self.files.get(target).copied()
    }

    fn document(&self, mut file: &File, path: &str) -> io::Result<Vec<u8>> {
        let found = self.find(path).filter(|(_, size)| *size <= DOCUMENT);
        let (start, size) = found.ok_or(io::ErrorKind::NotFound)?;
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.take(size).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

fn read(mut file: &File, members: &Members, image: &Saved) -> Result<PlatformFacts, Failure> {
    const MISSING: Failure = Failure::Invalid("a file of it is missing in the archive");
    let config = members.document(file, &image.config).map_err(|_| MISSING)?;
    let manifest = |layers| Manifest {
        config: Descriptor {
            digest: sha256(&config),
            size: config.len() as u64,
        },
        layers,
        zstd: None,
        annotations: Default::default(),
    };
    let diff_ids = parse::diff_ids(&config)?;
    if diff_ids.len() != image.layers.len() {
        return Err(Failure::Invalid(
            "its config lists other layers than the archive",
        ));
    }
    let mut descriptors = Vec::new();
    let mut read: Result<_, Failure> = Ok(Vec::new());
    for (layer, diff_id) in image.layers.iter().zip(diff_ids) {
        let (start, size) = members.find(layer).ok_or(MISSING)?;
        // Newer archives hold the layers as registries do, under their digests; older ones hold them unpacked.
        let digest = named_digest(layer).unwrap_or(diff_id);
        let descriptor = Descriptor { digest, size };
        file.seek(SeekFrom::Start(start)).map_err(|_| MISSING)?;
        read = read.and_then(|mut read| {
            let layer = layers::read(&descriptor, file.take(size)).map_err(lasting)?;
            read.push(Box::new(layer));
            Ok(read)
        });
        descriptors.push(descriptor);
    }
    let (platform, mut contents) = parse::config(&config, manifest(descriptors), None)?;
    if platform.os == "linux" {
        contents.files = match read {
            Ok(read) => layers::files(&read, &contents.start, &platform.architecture).into(),
            Err(failure) => failure.into(),
        };
    }
    let from = format!("config {}", sha256(&config).short());
    let evidence = Evidence::new(Strength::Stated, from);
    Ok(PlatformFacts {
        platform,
        contents: Fact::Known(contents, evidence),
    })
}

/// The digest in `blobs/sha256/0123…`.
fn named_digest(path: &str) -> Option<Digest> {
    let (algorithm, hex) = path.strip_prefix("blobs/")?.split_once('/')?;
    format!("{algorithm}:{hex}").parse().ok()
}
