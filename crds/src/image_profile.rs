//! ImageProfile: what was learned of one image, by its digest. Every process reads it instead of the image's layers.

use std::sync::Arc;

use hostfit_engine::fact::{Evidence, Fact, Gap, Strength};
use hostfit_engine::files::Reading;
use hostfit_engine::image::{
    Contents, Digest, ImageFacts, Inspected, Manifest, Platform, PlatformFacts,
};
use hostfit_engine::matrix::listed;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Condition;
use crate::compat_report::is_zero;

mod config;
mod files;
mod kept;
mod program;

pub use config::ConfigProfile;
pub use files::FilesProfile;
pub use kept::KeptImageProfile;

/// The version of what is read of layers. A profile of another one is made anew.
pub const READ_BY: &str = "5";
/// Longest text of a path or of a sentence.
const LONGEST: usize = 255;

/// One image, by the digest that its reference leads to.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "hostfit.dev",
    version = "v1alpha1",
    kind = "ImageProfile",
    shortname = "iprof",
    category = "hostfit",
    label("app.kubernetes.io/part-of", "hostfit"),
    status = "ImageProfileStatus",
    derive = "PartialEq",
    doc = "What was learned of one image, by its digest: read once a cluster, used by operator and webhook.",
    printcolumn = r#"{"name":"Repository","type":"string","jsonPath":".spec.repository","description":"Where it was read"}"#,
    printcolumn = r#"{"name":"Distro","type":"string","jsonPath":".status.distro","description":"Distribution that its files tell"}"#,
    printcolumn = r#"{"name":"Base","type":"string","jsonPath":".status.baseImage","description":"Base image that its layers prove"}"#,
    printcolumn = r#"{"name":"Libc","type":"string","jsonPath":".status.libc","priority":1}"#,
    printcolumn = r#"{"name":"Inspected","type":"string","jsonPath":".status.conditions[?(@.type==\"Inspected\")].reason","priority":1}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct ImageProfileSpec {
    /// Registry and repository that it was read from. Others may hold the same digest.
    #[schemars(length(min = 1, max = 255))]
    #[schemars(extend("x-kubernetes-validations" = [{"rule": "self == oldSelf", "message": "repository is immutable: delete the profile, and it is made anew"}]))]
    pub repository: String,
    /// Digest of the manifest or index.
    #[schemars(length(min = 1, max = 140))]
    #[schemars(extend("x-kubernetes-validations" = [{"rule": "self == oldSelf", "message": "digest is immutable: delete the profile, and it is made anew"}]))]
    pub digest: String,
}

/// What the operator learned of the image.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImageProfileStatus {
    /// Distribution that the files of the first platform that was read tell, for tables: rhel-10.0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 129))]
    pub distro: Option<String>,
    /// C library of that platform, for tables: glibc-2.39.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub libc: Option<String>,
    /// Base image that the layers of that platform prove, for tables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub base_image: Option<String>,
    /// The platforms, in the order of the index.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub platforms: Vec<PlatformProfile>,
    /// Platforms of the index that are not listed. Those that nodes of Linux choose are, then Windows, then others; for a
    /// node of which the list does not tell, the index is read again.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0))]
    pub platforms_omitted: i32,
    /// Version of what is read of layers: another one reads the image again.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub read_by: String,
    /// When its layers were read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inspected_time: Option<Time>,
    /// Since when no workload uses the image. Some time after that the profile is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unused_since: Option<Time>,
    /// Inspected: its layers were read, or will never be readable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub conditions: Vec<Condition>,
}

/// One platform of the image.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlatformProfile {
    /// Operating system, architecture and variant: linux/arm/v7.
    #[schemars(length(max = 128))]
    pub platform: String,
    /// Build of Windows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub os_version: Option<String>,
    /// Digest of its manifest.
    #[schemars(length(max = 140))]
    pub manifest: String,
    /// Size of its manifest in bytes.
    #[schemars(range(min = 0))]
    pub manifest_size: i64,
    /// Why its files never will be readable; where there is no config either, why nothing of it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub problem: Option<String>,
    /// Which config was read. Absent for platforms that no node of the cluster has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub evidence: Option<String>,
    /// What its config says, cut to what rules read: no variable or argument that might hold a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<ConfigProfile>,
    /// What its files say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<FilesProfile>,
}

impl ImageProfileStatus {
    /// What is to be kept of an image.
    pub fn of(image: &Inspected) -> Self {
        let Inspected { facts, manifests } = image;
        let all: Vec<_> = facts.platforms.iter().map(|it| &it.platform).collect();
        let (listed, omitted) = listed(&all);
        let platforms = listed.into_iter();
        let platforms = platforms
            .filter_map(|index| Some((facts.platforms.get(index)?, manifests.get(index)?)));
        let platforms: Vec<_> = platforms.collect();
        let read = platforms.iter().find_map(|(it, _)| it.contents.value());
        let files = read.and_then(Contents::files);
        let distro = files.and_then(|files| files.distribution.as_ref());
        let libc = files.and_then(|files| files.libc.as_ref());
        Self {
            distro: distro.map(|seen| match seen.value.version() {
                "" => cut(seen.value.id(), 129),
                version => cut(&format!("{}-{version}", seen.value.id()), 129),
            }),
            libc: libc.map(|libc| match &libc.version {
                Some(version) => cut(&format!("{}-{version}", libc.kind), 64),
                None => libc.kind.to_string(),
            }),
            platforms: platforms
                .into_iter()
                .map(|(facts, manifest)| PlatformProfile::of(facts, manifest))
                .collect(),
            platforms_omitted: i32::try_from(facts.left_out + omitted).unwrap_or(i32::MAX),
            read_by: READ_BY.to_owned(),
            ..Self::default()
        }
    }

    /// What is known of the image with this digest. `None` if the profile is damaged: then it is as if there were none.
    pub fn facts(&self, digest: Digest) -> Option<Inspected> {
        let platforms = self.platforms.iter().map(PlatformProfile::facts);
        let (platforms, manifests) = platforms.collect::<Option<Vec<_>>>()?.into_iter().unzip();
        Some(Inspected {
            facts: ImageFacts {
                digest,
                platforms,
                left_out: usize::try_from(self.platforms_omitted).ok()?,
            },
            manifests,
        })
    }
}

impl PlatformProfile {
    fn of(facts: &PlatformFacts, manifest: &Manifest) -> Self {
        let (problem, known) = match &facts.contents {
            Fact::Known(contents, evidence) => {
                let problem = match &contents.files {
                    Reading::Unreadable { what } => Some(cut(what, LONGEST)),
                    Reading::NotRead | Reading::Read(_) => None,
                };
                (problem, Some((contents, evidence)))
            }
            Fact::Unknown(Gap::Malformed { what }) => (Some(cut(what, LONGEST)), None),
            // Of what nobody wanted yet, or could not be had this time, nothing is kept.
            Fact::Unknown(_) => (None, None),
        };
        let contents = known.map(|(contents, _)| contents);
        Self {
            platform: written(&facts.platform),
            os_version: facts.platform.os_version.as_deref().map(|it| cut(it, 64)),
            manifest: manifest.digest.to_string(),
            manifest_size: i64::try_from(manifest.size).unwrap_or(i64::MAX),
            problem,
            evidence: known.map(|(_, evidence)| cut(&evidence.from, LONGEST)),
            config: contents.map(|contents| ConfigProfile::of(&contents.distilled())),
            files: contents.and_then(|it| it.files().map(FilesProfile::of)),
        }
    }

    fn facts(&self) -> Option<(PlatformFacts, Manifest)> {
        let mut parts = self.platform.splitn(3, '/').map(str::to_owned);
        let platform = Platform {
            os: parts.next()?,
            architecture: parts.next()?,
            variant: parts.next(),
            os_version: self.os_version.clone(),
        };
        let contents = match (&self.problem, &self.config) {
            (Some(what), None) => Fact::Unknown(Gap::Malformed { what: what.clone() }),
            (problem, Some(config)) => {
                let contents = Contents {
                    files: match (problem, &self.files) {
                        (Some(what), _) => Reading::Unreadable { what: what.clone() },
                        (None, Some(files)) => files.facts()?.into(),
                        (None, None) => Reading::NotRead,
                    },
                    ..config.contents()?
                };
                let from = self.evidence.clone().unwrap_or_default();
                Fact::Known(contents, Evidence::new(Strength::Stated, from))
            }
            (None, None) => Fact::Unknown(Gap::NotFetchedInTime),
        };
        let manifest = Manifest {
            digest: self.manifest.parse().ok()?,
            size: u64::try_from(self.manifest_size).ok()?,
        };
        Some((PlatformFacts { platform, contents }, manifest))
    }
}

/// The name of the profile of a digest: its first twelve digits, as people know them. Where another image has them,
/// too, the whole.
pub fn names(digest: &Digest) -> [&str; 2] {
    [digest.short(), digest.parts().1]
}

/// The name for the profile of a digest: the one that it has, else the first that no other image has.
pub fn name_for(
    digest: &Digest,
    get: impl Fn(&str) -> Option<Arc<KeptImageProfile>>,
) -> Option<&str> {
    let names = names(digest);
    let is_own = |name: &&&str| get(name).is_some_and(|there| there.is_about(digest));
    let is_free = |name: &&&str| get(name).is_none();
    let found = names
        .iter()
        .find(is_own)
        .or_else(|| names.iter().find(is_free));
    found.copied()
}

/// What is known of the image with this digest, by the profiles that `get` finds by their names.
pub fn find(
    digest: &Digest,
    get: impl Fn(&str) -> Option<Arc<KeptImageProfile>>,
) -> Option<Inspected> {
    about(digest, get)?.inspected(digest)
}

/// The same, whichever version read it.
pub fn find_of_any_version(
    digest: &Digest,
    get: impl Fn(&str) -> Option<Arc<KeptImageProfile>>,
) -> Option<Inspected> {
    about(digest, get)?.told(digest)
}

fn about(
    digest: &Digest,
    get: impl Fn(&str) -> Option<Arc<KeptImageProfile>>,
) -> Option<Arc<KeptImageProfile>> {
    let mut named = names(digest).into_iter().filter_map(get);
    named.find(|profile| profile.is_about(digest))
}

/// A platform, so that it is read back as what it is. One with long parts is no host's, and stays none when they are cut.
fn written(platform: &Platform) -> String {
    let part = |text: &str| cut(&text.replace('/', "-"), 40);
    let written = Platform {
        os: part(&platform.os),
        architecture: part(&platform.architecture),
        variant: platform.variant.as_deref().map(part),
        os_version: None,
    };
    written.to_string()
}

/// At most so many characters.
fn cut(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some((end, _)) => text.get(..end).unwrap_or_default().to_owned(),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use hostfit_engine::distribution::Distribution;
    use hostfit_engine::files::{Files, Go, KernelModule, Libc, LibcKind, Program, Seen};
    use hostfit_engine::image::Start;
    use hostfit_engine::package::{Family, PackageVersion};
    use kube::CustomResourceExt as _;
    use serde_json::Value;

    use super::*;

    /// Where `value` has more than the schema allows.
    fn excess(schema: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
        let most = |key: &str| schema[key].as_u64().and_then(|it| usize::try_from(it).ok());
        let (size, most) = match value {
            Value::String(text) => (text.chars().count(), most("maxLength")),
            Value::Array(items) => (items.len(), most("maxItems")),
            Value::Object(fields) => (fields.len(), most("maxProperties")),
            _ => (0, None),
        };
        if most.is_some_and(|most| size > most) {
            found.push(format!("{path} has {size}"));
        }
        for item in value.as_array().into_iter().flatten() {
            excess(&schema["items"], item, &format!("{path}[]"), found);
        }
        for (key, field) in value.as_object().into_iter().flatten() {
            let of_field = &schema["properties"][key];
            let of_field = if of_field.is_null() {
                &schema["additionalProperties"]
            } else {
                of_field
            };
            excess(of_field, field, &format!("{path}.{key}"), found);
        }
    }

    /// An image whose every text is as long as somebody likes, on a platform of these parts.
    fn hostile(os: &str, architecture: &str) -> Inspected {
        let long = || "\u{e4}/".repeat(3_000);
        let seen = || Seen::new(long(), long());
        let version = || Some(vec!["1"; 300].join(".").parse().unwrap());
        let texts = |prefix: &str| -> BTreeMap<_, _> {
            (0..100)
                .map(|number| (format!("{prefix}{number}"), "x".repeat(300)))
                .collect()
        };
        let files = Files {
            distribution: Some(Seen::new(Distribution::new(long(), long()), long())),
            libc: Some(Libc {
                kind: LibcKind::Glibc,
                version: version(),
                kernel: None,
                cpu_level: None,
                path: long(),
            }),
            program: Some(Program {
                path: long(),
                script: Some(long()),
                architecture: Some(long()),
                go: Some(Go {
                    version: long(),
                    amd64: 1,
                }),
                needs: vec![long(); 100],
                ..Program::default()
            }),
            kernel_modules: (0..16)
                .map(|number| {
                    let module = KernelModule {
                        path: long(),
                        is_signed: Some(true),
                    };
                    (format!("{number}{}", long()), module)
                })
                .collect(),
            java: Some(seen()),
            crypto_policy: Some(seen()),
            ebpf: Some(Seen::new((), long())),
            packages: (0..100)
                .map(|number| {
                    let version = PackageVersion::new(Family::Rpm, long());
                    (format!("{}{number}", long()), Seen::new(version, long()))
                })
                .collect(),
            unread: vec![long(); 100],
            ..Files::default()
        };
        let digest: Digest = format!("sha512:{}", "a".repeat(128)).parse().unwrap();
        let contents = Contents {
            chain_ids: vec![digest.clone(); 200],
            size: u64::MAX,
            labels: texts("com.suse.bci."),
            env: texts("NVIDIA_REQUIRE_"),
            history: vec![long()],
            start: Start {
                command: vec![format!("-Xmx{}", long()); 100],
                user: long(),
                ..Start::default()
            },
            files: files.into(),
            ..Contents::default()
        };
        let platform = PlatformFacts {
            platform: Platform {
                variant: Some(long()),
                os_version: Some(long()),
                ..Platform::new(os, architecture)
            },
            contents: Fact::Known(contents, Evidence::new(Strength::Stated, long())),
        };
        // As many as the registry client lets an index have, each another one.
        let platforms: Vec<_> = (0..1_000)
            .map(|number| {
                let mut platform = platform.clone();
                platform.platform.variant = Some(format!("{number}{}", long()));
                platform
            })
            .collect();
        let manifest = Manifest {
            digest: digest.clone(),
            size: u64::MAX,
        };
        let manifests = vec![manifest; platforms.len()];
        Inspected {
            facts: ImageFacts {
                digest,
                platforms,
                left_out: 0,
            },
            manifests,
        }
    }

    #[test]
    fn the_api_server_takes_whatever_an_image_says() {
        let crd = serde_json::to_value(ImageProfile::crd()).unwrap();
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        let image = hostile(&"o/".repeat(500), &"a".repeat(500));
        let status = ImageProfileStatus::of(&image);
        assert_eq!(
            (status.platforms.len(), status.platforms_omitted),
            (32, 968)
        );
        let mut found = Vec::new();
        let written = serde_json::to_value(&status).unwrap();
        excess(
            &schema["properties"]["status"],
            &written,
            "status",
            &mut found,
        );
        assert_eq!(found, Vec::<String>::new());
        assert!(
            status.platforms[0].files.is_some(),
            "nothing was left out for its length"
        );
        let read = status.facts(image.facts.digest).expect("it is not damaged");
        // A version that is cut would be another one.
        assert_eq!(read.facts.left_out, 968);
        let libc = read.facts.platforms[0]
            .contents
            .value()
            .unwrap()
            .files()
            .unwrap()
            .libc
            .clone();
        assert_eq!(libc.unwrap().version, None);
    }

    #[test]
    fn a_platform_that_is_none_does_not_become_one() {
        let image = hostile("linux/amd64", "x");
        let status = ImageProfileStatus::of(&image);
        let read = status
            .facts(image.facts.digest)
            .unwrap()
            .facts
            .platforms
            .remove(0);
        assert_eq!(read.platform.os, "linux-amd64");
    }
}
