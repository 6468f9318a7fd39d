//! Pure: bytes of manifests, indexes and configs into what the engine reads. The bytes are hostile:
//! every list is bounded before it is built, and nothing of their text gets into a message.

mod bounded;
mod config;
mod schema1;

use std::collections::BTreeMap;

use hostfit_engine::image::{Contents, Digest, Platform, Zstd};
use oci_distribution::manifest::{self as oci, ImageIndexEntry, OciImageIndex, OciImageManifest};
use serde::Deserialize;
use serde::de::IgnoredAny;

use self::bounded::{Bounded, Count};
pub(crate) use self::config::{config, diff_ids};
pub(crate) use self::schema1::{payload, retired};
use crate::error::Failure;

/// What may stand in `Accept`: everything that [`document`] can tell apart.
pub(crate) const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.docker.distribution.manifest.v2+json, \
    application/vnd.docker.distribution.manifest.v1+prettyjws;q=0.1, \
    application/vnd.docker.distribution.manifest.v1+json;q=0.1";

/// Most entries of an index, nested ones included.
pub(crate) const INDEX_ENTRIES: usize = 1_000;
const LAYERS: usize = 1_000;
/// A page of so many tags is not read.
const TAGS: usize = 20_000;

/// Content by digest, with the size that it must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Descriptor {
    pub(crate) digest: Digest,
    /// In bytes.
    pub(crate) size: u64,
}

/// What a reference leads to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Document {
    Index(Vec<Entry>),
    Image(Manifest),
    /// A manifest of schema 1, which has its config inside.
    Retired(Box<(Platform, Contents)>),
}

/// One image, or one nested index, of an index.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) descriptor: Descriptor,
    pub(crate) is_index: bool,
    pub(crate) platform: Option<Platform>,
}

/// The manifest of one platform.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) config: Descriptor,
    /// Base first.
    pub(crate) layers: Vec<Descriptor>,
    /// Layers compressed with zstd.
    pub(crate) zstd: Option<Zstd>,
    pub(crate) annotations: BTreeMap<String, String>,
}

/// Reads a manifest or an index whose digest has been checked. `content_type` is what the registry called it.
pub(crate) fn document(body: &[u8], content_type: Option<&str>) -> Result<Document, Failure> {
    let shape: Shape = serde_json::from_slice(body)
        .map_err(|_| Failure::Broken("the registry's answer is not a manifest"))?;
    let stated = shape.media_type.as_deref();
    if shape.schema_version == Some(1) || shape.fs_layers.is_some() {
        return Ok(Document::Retired(Box::new(schema1::read(body)?)));
    }
    let media_type = |text: &str| {
        let bare = text.split(';').next().unwrap_or_default();
        bare.trim().to_ascii_lowercase()
    };
    let is_index = match (&shape.manifests, &shape.layers, &shape.config) {
        (Some(_), Some(_), _) | (Some(_), _, Some(_)) => {
            return Err(Failure::Invalid(
                "its manifest claims to be an index and an image at once",
            ));
        }
        (Some(_), None, None) => true,
        (None, Some(_), Some(_)) => false,
        (None, None, Some(_)) => return Err(Failure::NotAnImage),
        (None, _, None) => {
            return Err(Failure::Invalid(
                "its manifest lists neither layers nor platforms",
            ));
        }
    };
    if let (Some(stated), Some(called)) = (stated, content_type)
        && media_type(stated) != media_type(called)
    {
        return Err(Failure::Broken(
            "the registry calls its manifest by another media type than the manifest itself",
        ));
    }
    for name in [stated, content_type].into_iter().flatten() {
        let kind = kind(&media_type(name));
        if kind.is_some_and(|kind| kind != is_index) {
            return Err(Failure::Broken(
                "the media type of its manifest does not fit the content",
            ));
        }
    }
    let too_many = |count: &Option<Count>, limit| count.as_ref().is_some_and(|n| n.0 > limit);
    if too_many(&shape.manifests, INDEX_ENTRIES) || too_many(&shape.layers, LAYERS) {
        return Err(Failure::Invalid("its manifest has more than 1,000 entries"));
    }
    let malformed = |_| Failure::Invalid("a field of its manifest is missing or of the wrong type");
    if is_index {
        let index: OciImageIndex = serde_json::from_slice(body).map_err(malformed)?;
        let entries = index.manifests.iter().filter_map(entry);
        Ok(Document::Index(entries.collect::<Result<_, _>>()?))
    } else {
        let image: OciImageManifest = serde_json::from_slice(body).map_err(malformed)?;
        Ok(Document::Image(manifest(image)?))
    }
}

/// Reads a page of the list of tags.
pub(crate) fn tags(body: &[u8]) -> Result<Vec<String>, Failure> {
    #[derive(Deserialize)]
    struct Page {
        #[serde(default)]
        tags: Bounded<TAGS, String>,
    }
    let page = serde_json::from_slice(body);
    let Page { tags } =
        page.map_err(|_| Failure::Broken("the registry's answer is no list of tags"))?;
    match tags.0.len() < TAGS {
        true => Ok(tags.0),
        false => Err(Failure::Broken(
            "a page of its tags is longer than is read: write the tags out",
        )),
    }
}

/// Whether a media type names an index (true) or an image (false); `None` if it names neither.
fn kind(media_type: &str) -> Option<bool> {
    match media_type {
        oci::OCI_IMAGE_INDEX_MEDIA_TYPE | oci::IMAGE_MANIFEST_LIST_MEDIA_TYPE => Some(true),
        oci::OCI_IMAGE_MEDIA_TYPE | oci::IMAGE_MANIFEST_MEDIA_TYPE | SCHEMA1 | SCHEMA1_SIGNED => {
            Some(false)
        }
        _ => None,
    }
}

const SCHEMA1: &str = "application/vnd.docker.distribution.manifest.v1+json";
const SCHEMA1_SIGNED: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";

/// `None` for what no runtime would run: attestations, signatures, other artifacts.
fn entry(entry: &ImageIndexEntry) -> Option<Result<Entry, Failure>> {
    let is_index = kind(&entry.media_type.to_ascii_lowercase())?;
    let attestation = entry.annotations.as_ref().is_some_and(|annotations| {
        let kind = annotations.get("vnd.docker.reference.type");
        kind.is_some_and(|kind| kind == "attestation-manifest")
    });
    let stated = entry.platform.as_ref().map(|stated| {
        let arch = stated.architecture.to_string();
        let os = stated.os.to_string();
        (os, arch, stated)
    });
    let platform = match &stated {
        Some((os, arch, _)) if os == "unknown" && arch == "unknown" => return None,
        Some((os, arch, stated)) if !os.is_empty() && !arch.is_empty() => {
            let (variant, version) = (stated.variant.as_deref(), stated.os_version.as_deref());
            Some(platform(os, arch, variant, version))
        }
        _ => None,
    };
    if attestation || (platform.is_none() && entry.artifact_type.is_some()) {
        return None;
    }
    Some(
        descriptor(&entry.digest, entry.size).map(|descriptor| Entry {
            descriptor,
            is_index,
            platform,
        }),
    )
}

fn manifest(image: OciImageManifest) -> Result<Manifest, Failure> {
    let config_types = [
        oci::IMAGE_CONFIG_MEDIA_TYPE,
        oci::IMAGE_DOCKER_CONFIG_MEDIA_TYPE,
    ];
    if !config_types.contains(&image.config.media_type.as_str()) {
        return Err(Failure::NotAnImage);
    }
    let layers = image.layers.iter();
    let layers = layers.map(|layer| descriptor(&layer.digest, layer.size));
    let layers = layers.collect::<Result<Vec<_>, _>>()?;
    let sum = |sum: u64, layer: &Descriptor| sum.checked_add(layer.size);
    if layers.iter().try_fold(0, sum).is_none() {
        return Err(Failure::Invalid(
            "a layer of its manifest has an impossible size",
        ));
    }
    let zstd = image
        .layers
        .iter()
        .filter_map(|layer| zstd(&layer.media_type));
    Ok(Manifest {
        zstd: zstd.max(),
        config: descriptor(&image.config.digest, image.config.size)?,
        layers,
        annotations: image.annotations.unwrap_or_default(),
    })
}

fn zstd(media_type: &str) -> Option<Zstd> {
    match media_type {
        "application/vnd.oci.image.layer.v1.tar+zstd" => Some(Zstd::Oci),
        "application/vnd.docker.image.rootfs.diff.tar.zstd" => Some(Zstd::Docker),
        _ => None,
    }
}

fn descriptor(digest: &str, size: i64) -> Result<Descriptor, Failure> {
    let digest = digest
        .parse()
        .map_err(|_| Failure::Invalid("its manifest holds a malformed digest"))?;
    let size =
        u64::try_from(size).map_err(|_| Failure::Invalid("its manifest holds a negative size"))?;
    Ok(Descriptor { digest, size })
}

/// A platform in Go's spelling; other spellings are understood as containerd understands them.
fn platform(os: &str, arch: &str, variant: Option<&str>, version: Option<&str>) -> Platform {
    let os = match os.to_ascii_lowercase().as_str() {
        "macos" => "darwin".to_owned(),
        os => os.to_owned(),
    };
    let lower = arch.to_ascii_lowercase();
    let (arch, implied) = match lower.as_str() {
        "x86_64" | "x86-64" => ("amd64", None),
        "aarch64" => ("arm64", None),
        "i386" | "i686" => ("386", None),
        "armhf" => ("arm", Some("v7")),
        "armel" => ("arm", Some("v6")),
        arch => (arch, None),
    };
    let variant = variant.filter(|v| !v.is_empty()).or(implied).map(|v| {
        let digit = v.len() == 1 && v.bytes().all(|b| b.is_ascii_digit());
        if digit {
            format!("v{v}")
        } else {
            v.to_ascii_lowercase()
        }
    });
    Platform {
        variant,
        os_version: version.filter(|v| !v.is_empty()).map(str::to_owned),
        ..Platform::new(os, arch)
    }
}

/// What a manifest is, told without building any of it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    schema_version: Option<i64>,
    media_type: Option<String>,
    manifests: Option<Count>,
    layers: Option<Count>,
    config: Option<IgnoredAny>,
    fs_layers: Option<IgnoredAny>,
}

#[cfg(test)]
mod tests;
