//! What a config says, as it stands in a profile.

use std::collections::BTreeMap;

use hostfit_engine::files::Reading;
use hostfit_engine::image::{Contents, Digest, Start, Zstd};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bounds;

/// Layers whose chain is kept. A base image has fewer; and what files say needs no proof by layers.
const MOST_CHAINS: usize = 24;

/// What the config of a platform says, as far as rules read it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigProfile {
    /// Chain IDs of the first layer, the first two layers, and so on: what images on the same base share.
    #[serde(default, rename = "chainIDs", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 24), inner(length(max = 140)))]
    pub chain_ids: Vec<String>,
    /// Sum of the layers' sizes in bytes, compressed.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub size: i64,
    /// Media type of layers compressed with zstd: Oci or Docker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub zstd: Option<String>,
    /// Its manifest has the retired schema 1.
    #[serde(
        default,
        rename = "schema1",
        skip_serializing_if = "std::ops::Not::not"
    )]
    pub is_schema1: bool,
    /// Labels and annotations that tell the base.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "bounds::texts")]
    pub labels: BTreeMap<String, String>,
    /// Variables that rules read: versions of Java, CUDA and MongoDB, demands of NVIDIA, limits of memory.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "bounds::texts")]
    pub env: BTreeMap<String, String>,
    /// The step of the history that tells the base.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub history: Option<String>,
    /// Arguments of the command that give a Java its memory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(max = 512)))]
    pub java_options: Vec<String>,
    /// User of the config; empty is root.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 512))]
    pub user: String,
    /// The lowest exposed port below 1024.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low_port: Option<u16>,
}

impl ConfigProfile {
    /// `contents` are distilled.
    pub(super) fn of(contents: &Contents) -> Self {
        // Whole: who adds something to a config decides here whether it is kept.
        let Contents {
            chain_ids,
            size,
            zstd,
            is_schema1,
            labels,
            env,
            history,
            start,
            files: _,
        } = contents;
        let Start {
            command,
            entrypoint: _,
            path: _,
            folder: _,
            user,
            ports,
        } = start;
        Self {
            chain_ids: chain_ids
                .iter()
                .take(MOST_CHAINS)
                .map(Digest::to_string)
                .collect(),
            size: i64::try_from(*size).unwrap_or(i64::MAX),
            zstd: zstd.map(|zstd| {
                match zstd {
                    Zstd::Oci => OCI,
                    Zstd::Docker => DOCKER,
                }
                .to_owned()
            }),
            is_schema1: *is_schema1,
            labels: few(labels),
            env: few(env),
            history: history.first().cloned(),
            java_options: command.clone(),
            user: user.clone(),
            low_port: ports.first().copied(),
        }
    }

    pub(super) fn contents(&self) -> Option<Contents> {
        let chains = self.chain_ids.iter().map(|chain| chain.parse().ok());
        Some(Contents {
            chain_ids: chains.collect::<Option<_>>()?,
            size: u64::try_from(self.size).ok()?,
            zstd: match self.zstd.as_deref() {
                None => None,
                Some(OCI) => Some(Zstd::Oci),
                Some(DOCKER) => Some(Zstd::Docker),
                Some(_) => return None,
            },
            is_schema1: self.is_schema1,
            labels: self.labels.clone(),
            env: self.env.clone(),
            history: self.history.iter().cloned().collect(),
            start: Start {
                command: self.java_options.clone(),
                user: self.user.clone(),
                ports: self.low_port.into_iter().collect(),
                ..Start::default()
            },
            files: Reading::NotRead,
        })
    }
}

/// As many as the API server takes.
fn few(texts: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let few = texts.iter().take(bounds::MOST_TEXTS);
    few.map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

const OCI: &str = "Oci";
const DOCKER: &str = "Docker";
