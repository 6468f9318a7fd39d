//! Schema 1: what Docker wrote before its manifests had configs of their own. The config stands inside, as a text, and
//! signatures may stand behind that of which the digest is.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hostfit_engine::fact::{Evidence, Fact, Strength};
use hostfit_engine::image::{Contents, Digest, Platform, PlatformFacts};
use serde::Deserialize;

use super::bounded::Bounded;
use super::{Descriptor, LAYERS, Manifest, config};
use crate::digest::sha256;
use crate::error::Failure;

#[derive(Deserialize)]
struct Schema1 {
    architecture: Option<String>,
    #[serde(default)]
    history: Bounded<LAYERS, Step>,
}

/// What a layer was made of, the newest first: the first is the config of the image.
#[derive(Deserialize)]
struct Step {
    #[serde(rename = "v1Compatibility")]
    config: String,
}

/// What such a manifest says of its image. Of its layers it tells neither sizes nor diff_ids, so they are not read.
pub(super) fn read(body: &[u8]) -> Result<(Platform, Contents), Failure> {
    const UNREADABLE: Failure = Failure::Invalid(
        "its manifest has the retired schema 1 and no config that can be read: build and push the image again",
    );
    #[derive(Deserialize)]
    struct Os {
        os: Option<String>,
        architecture: Option<String>,
    }
    let schema1: Schema1 = serde_json::from_slice(body).map_err(|_| UNREADABLE)?;
    let Step { config: text } = schema1.history.0.first().ok_or(UNREADABLE)?;
    let own: Os = serde_json::from_str(text).map_err(|_| UNREADABLE)?;
    let os = own.os.unwrap_or_else(|| "linux".to_owned());
    let architecture = own.architecture.or(schema1.architecture);
    let platform = Platform::new(os, architecture.ok_or(UNREADABLE)?);
    let manifest = Manifest {
        config: Descriptor {
            digest: sha256(text.as_bytes()),
            size: text.len() as u64,
        },
        layers: Vec::new(),
        zstd: None,
        annotations: Default::default(),
    };
    let (platform, contents) = config(text.as_bytes(), manifest, Some(&platform))?;
    let contents = Contents {
        is_schema1: true,
        ..contents
    };
    Ok((platform, contents))
}

/// The facts of an image with such a manifest, which tells all that is read of it.
pub(crate) fn retired(
    digest: &Digest,
    (platform, contents): (Platform, Contents),
) -> PlatformFacts {
    let from = format!("manifest {}", digest.short());
    PlatformFacts {
        platform,
        contents: Fact::Known(contents, Evidence::new(Strength::Stated, from)),
    }
}

/// That of which the digest of a signed manifest is: all but the signatures. `None` if it is not signed.
pub(crate) fn payload(body: &[u8]) -> Option<Vec<u8>> {
    #[derive(Deserialize)]
    struct Signed {
        signatures: Bounded<1, Signature>,
    }
    #[derive(Deserialize)]
    struct Signature {
        protected: String,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Protected {
        format_length: usize,
        format_tail: String,
    }
    let signed: Signed = serde_json::from_slice(body).ok()?;
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok();
    let protected = decode(&signed.signatures.0.first()?.protected)?;
    let protected: Protected = serde_json::from_slice(&protected).ok()?;
    let mut payload = body.get(..protected.format_length)?.to_vec();
    payload.extend(decode(&protected.format_tail)?);
    Some(payload)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// `expected`: platform and environment, or the sentence of the failure.
    #[track_caller]
    fn check(config: &Value, expected: &str) {
        let manifest = json!({
            "schemaVersion": 1, "architecture": "arm64", "fsLayers": [{"blobSum": "sha256:0"}],
            "history": [{"v1Compatibility": config.to_string()}, {"v1Compatibility": "{}"}],
        });
        let got = match read(manifest.to_string().as_bytes()) {
            Ok((platform, contents)) => {
                assert!(contents.is_schema1 && contents.files().is_none());
                format!("{platform} {:?}", contents.env)
            }
            Err(failure) => failure.to_string(),
        };
        assert!(got.contains(expected), "{got:?} instead of {expected:?}");
    }

    #[test]
    fn the_retired_schema_has_its_config_inside() {
        let whole = json!({"architecture": "amd64", "os": "linux", "config": {"Env": ["A=1"]}});
        check(&whole, r#"linux/amd64 {"A": "1"}"#);
        check(&json!({}), "linux/arm64 {}");
        check(&json!([]), "no config that can be read");
        check(&json!({"os": 1}), "no config that can be read");
    }
}
