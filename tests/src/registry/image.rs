//! Small images of every shape that tests need.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

pub(super) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// An image of one platform. Fill in what the test is about and leave the rest.
#[derive(Debug, Clone)]
pub struct Image {
    /// `linux`, `windows`.
    pub os: String,
    /// `amd64`, `arm64`.
    pub architecture: String,
    /// `v7`, if any.
    pub variant: Option<String>,
    /// Build of Windows, if any.
    pub os_version: Option<String>,
    /// Labels of the config.
    pub labels: BTreeMap<String, String>,
    /// Environment of the config, as `NAME=value`.
    pub env: Vec<String>,
    /// Digests of the uncompressed layers.
    pub diff_ids: Vec<String>,
    /// The commands that made the layers.
    pub history: Vec<String>,
    /// Annotations of the manifest.
    pub annotations: BTreeMap<String, String>,
    /// Size of each layer in bytes, in the manifest. No layer is ever served.
    pub layer_sizes: Vec<u64>,
}

impl Default for Image {
    /// linux/amd64, one layer of 1,000 bytes.
    fn default() -> Self {
        Self {
            os: "linux".to_owned(),
            architecture: "amd64".to_owned(),
            variant: None,
            os_version: None,
            labels: BTreeMap::new(),
            env: vec!["PATH=/bin".to_owned()],
            diff_ids: vec![digest(b"layer")],
            history: vec!["ADD rootfs.tar /".to_owned()],
            annotations: BTreeMap::new(),
            layer_sizes: vec![1_000],
        }
    }
}

impl Image {
    /// The default image for another platform.
    pub fn of(os: &str, architecture: &str) -> Self {
        Self {
            os: os.to_owned(),
            architecture: architecture.to_owned(),
            ..Self::default()
        }
    }

    /// The same image with one more label.
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Media type of the manifest.
    pub fn media_type(&self) -> &'static str {
        MANIFEST
    }

    /// The config as it is served.
    pub fn config_bytes(&self) -> Vec<u8> {
        let mut config = json!({
            "architecture": self.architecture,
            "os": self.os,
            "config": {"Labels": self.labels, "Env": self.env},
            "rootfs": {"type": "layers", "diff_ids": self.diff_ids},
            "history": self.history.iter().map(|by| json!({"created_by": by})).collect::<Vec<_>>(),
        });
        self.add_details(&mut config);
        config.to_string().into_bytes()
    }

    /// The manifest as it is served.
    pub fn manifest_bytes(&self) -> Vec<u8> {
        self.manifest().to_string().into_bytes()
    }

    /// The manifest as JSON, for tests that change it.
    pub fn manifest(&self) -> Value {
        let config = self.config_bytes();
        let layer = |(size, diff_id): (&u64, &String)| {
            json!({
                "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                "digest": digest(diff_id.as_bytes()),
                "size": size,
            })
        };
        let layers: Vec<_> = self
            .layer_sizes
            .iter()
            .zip(&self.diff_ids)
            .map(layer)
            .collect();
        json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": digest(&config),
                "size": config.len(),
            },
            "layers": layers,
            "annotations": self.annotations,
        })
    }

    /// The entry of this image in an index, as JSON.
    pub fn entry(&self) -> Value {
        let manifest = self.manifest_bytes();
        let mut platform = json!({"os": self.os, "architecture": self.architecture});
        self.add_details(&mut platform);
        json!({
            "mediaType": MANIFEST,
            "digest": digest(&manifest),
            "size": manifest.len(),
            "platform": platform,
        })
    }

    fn add_details(&self, json: &mut Value) {
        let details = [("variant", &self.variant), ("os.version", &self.os_version)];
        for (key, value) in details {
            if let (Some(map), Some(value)) = (json.as_object_mut(), value) {
                map.insert(key.to_owned(), json!(value));
            }
        }
    }
}

/// An index of `images`, and of `extra` entries.
pub(super) fn index(images: &[Image], extra: &[Value]) -> Vec<u8> {
    let entries: Vec<_> = images
        .iter()
        .map(Image::entry)
        .chain(extra.iter().cloned())
        .collect();
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries});
    index.to_string().into_bytes()
}

/// The sha256 of `bytes`, as in manifests.
pub fn digest(bytes: &[u8]) -> String {
    let hex = Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<String>();
    format!("sha256:{hex}")
}
