//! BaseImage: a repository whose tags the operator follows, so that lineage can be proven by layers.

use hostfit_engine::distribution::Distribution;
use hostfit_engine::fact::Strength;
use hostfit_engine::image::Digest;
use hostfit_engine::lineage::KnownBase;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, ResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Condition;

/// A base image that the operator follows: images whose first layers are those of one of its tags stand on it.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "hostfit.dev",
    version = "v1alpha1",
    kind = "BaseImage",
    shortname = "bimg",
    category = "hostfit",
    label("app.kubernetes.io/part-of", "hostfit"),
    status = "BaseImageStatus",
    derive = "PartialEq",
    doc = "A base image that the operator follows, so that lineage can be proven by layers.",
    printcolumn = r#"{"name":"Repository","type":"string","jsonPath":".spec.repository","description":"Registry and repository"}"#,
    printcolumn = r#"{"name":"Chains","type":"integer","jsonPath":".status.chainCount","description":"Known chains of layers"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status","description":"Whether every tag could be read"}"#,
    printcolumn = r#"{"name":"Tags","type":"string","jsonPath":".spec.tags","priority":1}"#,
    printcolumn = r#"{"name":"Agree","type":"string","jsonPath":".status.conditions[?(@.type==\"FactsAgree\")].status","description":"Whether spec.facts and the base itself say the same","priority":1}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct BaseImageSpec {
    /// Registry and repository, without tag or digest: registry.access.redhat.com/ubi9/ubi.
    #[schemars(length(min = 1, max = 255))]
    #[schemars(extend("x-kubernetes-validations" = [
        {"rule": "self == oldSelf", "message": "repository is immutable: create another BaseImage"},
        {"rule": "!self.contains('@') && !self.matches(':[^/]*$')", "message": "write it without tag or digest, as in registry.example/base/java: the tags to follow stand in spec.tags"}
    ]))]
    pub repository: String,
    /// Tags to follow. * stands for any characters and ? for one: of what matches, the newest are followed, 32 tags in all.
    #[schemars(
        length(min = 1, max = 32),
        inner(
            length(min = 1, max = 128),
            regex(pattern = "^[A-Za-z0-9_*?][A-Za-z0-9_.*?-]*$")
        )
    )]
    pub tags: Vec<String>,
    /// What the base is, where its own labels do not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<BaseFacts>,
}

/// Facts that people know of a base image. They count as proven for images that stand on its layers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BaseFacts {
    /// Distribution, by the ID of os-release.
    #[schemars(length(min = 1, max = 64))]
    pub distro: String,
    /// Release, by the VERSION_ID of os-release.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub distro_version: String,
}

/// What the operator learned of the base.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BaseImageStatus {
    /// Generation of the spec that this speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The chains of layers that prove this base: those of the tags, then those of moved tags, each newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200))]
    pub chains: Vec<Chain>,
    /// How many chains are known.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub chain_count: i32,
    /// Chains of the tags that are not listed because there are more than 200.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub chains_omitted: i32,
    /// Ready: every tag could be read. FactsAgree: what the base itself tells does not contradict spec.facts, if there are any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub conditions: Vec<Condition>,
}

/// One state of one tag on one platform.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Chain {
    /// The tag.
    #[schemars(length(max = 128))]
    pub tag: String,
    /// Digest that the tag had.
    #[schemars(length(max = 140))]
    pub digest: String,
    /// Platform: linux/amd64.
    #[schemars(length(max = 64))]
    pub platform: String,
    /// Chain ID of all its layers, as the OCI image specification defines it.
    #[serde(rename = "topChainID")]
    #[schemars(length(max = 140))]
    pub top_chain_id: String,
    /// Number of its layers.
    #[schemars(range(min = 0))]
    pub layers: i32,
    /// Distribution that the base's own config states.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub distro: Option<String>,
    /// Release of that distribution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub distro_version: Option<String>,
    /// The distribution is a guess, by the name, the tag or the history of the base: it proves nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub distro_guessed: bool,
    /// When the operator first saw it.
    pub first_seen: Time,
}

impl BaseImage {
    /// The chains that prove this base. What people state of it wins over what its config says.
    pub fn known_bases(&self) -> impl Iterator<Item = (Digest, KnownBase)> {
        let chains = self.status.iter().flat_map(|status| &status.chains);
        chains.filter_map(|chain| {
            let stated = self.spec.facts.as_ref().map(|facts| {
                let distribution = Distribution::new(&facts.distro, &facts.distro_version);
                (distribution, Strength::Stated)
            });
            let own = chain.distro.as_ref().map(|distro| {
                let version = chain.distro_version.clone().unwrap_or_default();
                let strength = match chain.distro_guessed {
                    true => Strength::Hint,
                    false => Strength::Stated,
                };
                (Distribution::new(distro, version), strength)
            });
            let name = self.name_any();
            let base = KnownBase {
                source: format!("BaseImage {name}"),
                name: format!("{name}:{}", chain.tag),
                distribution: stated.or(own),
            };
            Some((chain.top_chain_id.parse().ok()?, base))
        })
    }
}
