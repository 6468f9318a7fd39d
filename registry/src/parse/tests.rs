mod start;
mod zstd;

use serde_json::{Value, json};

use super::*;

const OCI: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const ARTIFACT: &str = "application/vnd.example.artifact.v1+json";

fn digest(letter: char) -> String {
    format!("sha256:{}", letter.to_string().repeat(64))
}

fn image_json() -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": OCI,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": digest('c'), "size": 7023,
        },
        "layers": [
            {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest('a'), "size": 32654},
            {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest('b'), "size": 16724},
        ],
        "annotations": {"org.opencontainers.image.base.name": "docker.io/library/debian:12"},
    })
}

fn entry_json(letter: char, platform: Value) -> Value {
    json!({"mediaType": OCI, "digest": digest(letter), "size": 10, "platform": platform})
}

fn index_json() -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [
            entry_json('a', json!({"os": "linux", "architecture": "amd64"})),
            entry_json('b', json!({"os": "linux", "architecture": "arm", "variant": "v7"})),
            entry_json('c', json!({"os": "windows", "architecture": "amd64", "os.version": "10.0.20348.2700"})),
            entry_json('d', json!({"os": "unknown", "architecture": "unknown"})),
        ],
    })
}

/// One change of a document, by JSON pointer; `Null` removes the field.
fn with(mut document: Value, pointer: &str, value: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = document.pointer_mut(parent).unwrap();
    match (value, parent) {
        (Value::Null, Value::Object(parent)) => drop(parent.remove(key)),
        (value, Value::Object(parent)) => drop(parent.insert(key.to_owned(), value)),
        (value, parent) => parent[key.parse::<usize>().unwrap()] = value,
    }
    document
}

/// `expected`: the platforms of an index, the size of an image, or the sentence of the failure.
#[track_caller]
fn check(document: &Value, content_type: Option<&str>, expected: &str) {
    let got = match super::document(document.to_string().as_bytes(), content_type) {
        Ok(Document::Index(entries)) => entries
            .iter()
            .map(|entry| match &entry.platform {
                Some(platform) => format!(
                    "{platform} {}",
                    platform.os_version.as_deref().unwrap_or("")
                ),
                None => "? ".to_owned(),
            })
            .map(|text| text.trim().to_owned())
            .collect::<Vec<_>>()
            .join(", "),
        Ok(Document::Image(manifest)) => format!(
            "image of {} bytes",
            manifest.layers.iter().map(|layer| layer.size).sum::<u64>()
        ),
        Ok(Document::Retired(image)) => format!("retired, for {}", image.0),
        Err(failure) => failure.to_string(),
    };
    assert!(got.contains(expected), "{got:?} instead of {expected:?}");
}

#[test]
fn images_and_indexes_are_told_apart() {
    check(&image_json(), Some(OCI), "image of 49378 bytes");
    check(&image_json(), None, "image of");
    check(
        &with(image_json(), "/mediaType", Value::Null),
        Some(OCI),
        "image of",
    );
    check(
        &with(image_json(), "/mediaType", Value::Null),
        None,
        "image of",
    );
    check(
        &with(image_json(), "/mediaType", Value::Null),
        Some("application/json"),
        "image of",
    );
    check(
        &with(image_json(), "/layers", json!([])),
        Some(OCI),
        "image of 0 bytes",
    );
    let platforms = "linux/amd64, linux/arm/v7, windows/amd64 10.0.20348.2700";
    check(&index_json(), Some(INDEX), platforms);
    check(
        &index_json(),
        Some(&format!("{INDEX}; charset=utf-8")),
        platforms,
    );
    check(
        &with(index_json(), "/mediaType", Value::Null),
        None,
        platforms,
    );
}

#[test]
fn what_contradicts_itself_is_refused() {
    check(
        &with(image_json(), "/manifests", json!([])),
        None,
        "an index and an image at once",
    );
    check(
        &with(index_json(), "/layers", json!([])),
        None,
        "an index and an image at once",
    );
    check(
        &with(index_json(), "/config", json!({})),
        None,
        "an index and an image at once",
    );
    check(
        &image_json(),
        Some(INDEX),
        "another media type than the manifest itself",
    );
    check(&image_json(), Some("text/html"), "another media type");
    check(
        &with(image_json(), "/mediaType", json!(INDEX)),
        None,
        "does not fit the content",
    );
    check(
        &with(image_json(), "/mediaType", Value::Null),
        Some(INDEX),
        "does not fit the content",
    );
    let twice = br#"{"schemaVersion": 2, "manifests": [], "manifests": []}"#;
    assert!(super::document(twice, None).is_err());
}

#[test]
fn what_no_runtime_runs_is_no_image() {
    let kind = "/config/mediaType";
    check(&with(image_json(), kind, json!(ARTIFACT)), None, "artifact");
    check(
        &with(image_json(), "/layers", Value::Null),
        None,
        "artifact",
    );
    check(
        &json!({"schemaVersion": 1, "fsLayers": [], "history": []}),
        None,
        "schema 1",
    );
    check(
        &json!({"schemaVersion": 2}),
        None,
        "neither layers nor platforms",
    );
    check(&json!({}), None, "neither layers nor platforms");
    check(&json!([]), None, "not a manifest");
    check(&json!("<html>"), None, "not a manifest");
}

#[test]
fn impossible_numbers_and_digests_are_refused() {
    check(
        &with(image_json(), "/layers/0/size", json!(-1)),
        None,
        "negative size",
    );
    let most = with(image_json(), "/layers/0/size", json!(i64::MAX));
    let most = with(most, "/layers/1/size", json!(i64::MAX));
    check(&most, None, "image of 18446744073709551614 bytes");
    check(
        &with(image_json(), "/config/size", json!(-1)),
        None,
        "negative size",
    );
    check(
        &with(image_json(), "/config/size", json!(1.5)),
        None,
        "wrong type",
    );
    check(
        &with(image_json(), "/config/digest", json!("sha256:x")),
        None,
        "malformed digest",
    );
    check(
        &with(index_json(), "/manifests/0/digest", json!("")),
        None,
        "malformed digest",
    );
    check(
        &with(index_json(), "/manifests/0/size", json!(-5)),
        None,
        "negative size",
    );
    let many = vec![entry_json('a', json!({"os": "linux", "architecture": "amd64"})); 1001];
    check(
        &with(index_json(), "/manifests", json!(many[..1000])),
        None,
        "linux/amd64",
    );
    check(
        &with(index_json(), "/manifests", json!(many)),
        None,
        "more than 1,000",
    );
}

#[test]
fn entries_that_are_no_images_are_skipped() {
    let attestation = json!({
        "mediaType": OCI, "digest": digest('a'), "size": 1,
        "annotations": {"vnd.docker.reference.type": "attestation-manifest"},
    });
    let signature =
        json!({"mediaType": OCI, "digest": digest('a'), "size": 1, "artifactType": ARTIFACT});
    let other = json!({"mediaType": ARTIFACT, "digest": "", "size": 1});
    let bare = json!({"mediaType": OCI, "digest": digest('a'), "size": 1});
    let nested = json!({"mediaType": INDEX, "digest": digest('a'), "size": 1});
    let empty = entry_json('a', json!({"os": "", "architecture": ""}));
    let all = json!([attestation, signature, other, bare, nested, empty]);
    check(&with(index_json(), "/manifests", all), None, "?, ?, ?");
}

fn config_json() -> Value {
    json!({
        "created": "",
        "architecture": "arm64", "variant": "v8", "os": "linux", "os.version": "",
        "config": {
            "Labels": {"version": "12", "org.opencontainers.image.base.name": "own"},
            "Env": ["PATH=/bin", "EMPTY=", "BARE", "EQ=a=b"],
        },
        "rootfs": {"type": "layers", "diff_ids": [digest('1'), digest('2')]},
        "history": [{"created_by": "ADD rootfs"}, {"comment": "none"}, {"created_by": "CMD sh"}],
    })
}

#[track_caller]
fn read(config: &Value) -> Result<(Platform, hostfit_engine::image::Contents), String> {
    let Ok(Document::Image(manifest)) = document(image_json().to_string().as_bytes(), None) else {
        panic!("the manifest is good");
    };
    super::config(config.to_string().as_bytes(), manifest, None).map_err(|e| e.to_string())
}

#[test]
fn a_config_gives_platform_layers_labels_environment_and_history() {
    let (platform, contents) = read(&config_json()).unwrap();
    assert_eq!(platform.to_string(), "linux/arm64/v8");
    assert_eq!(platform.os_version, None);
    assert_eq!(contents.chain_ids.len(), 2);
    assert_eq!(contents.chain_ids[0].as_str(), digest('1'));
    assert_eq!(contents.size, 49378);
    assert_eq!(contents.history, ["ADD rootfs", "CMD sh"]);
    assert_eq!(contents.env["EQ"], "a=b");
    assert_eq!(contents.env["BARE"], "");
    // The config's own label wins over the annotation of the manifest.
    assert_eq!(contents.labels["org.opencontainers.image.base.name"], "own");
    let (_, contents) = read(&with(config_json(), "/config/Labels", Value::Null)).unwrap();
    let base = &contents.labels["org.opencontainers.image.base.name"];
    assert_eq!(base, "docker.io/library/debian:12");
}

#[test]
fn a_config_may_leave_out_almost_everything() {
    let bare = json!({"architecture": "amd64", "os": "linux"});
    let nulls = json!({
        "architecture": "amd64", "os": "linux", "variant": null, "os.version": null,
        "config": {"Labels": null, "Env": null}, "rootfs": {"diff_ids": null}, "history": null,
    });
    let null = json!({"architecture": "amd64", "os": "linux", "config": null, "rootfs": null});
    for config in [bare, nulls, null] {
        let (platform, contents) = read(&config).unwrap();
        assert_eq!(platform, Platform::new("linux", "amd64"));
        assert!(contents.chain_ids.is_empty() && contents.env.is_empty());
    }
    let odd = with(config_json(), "/config/Labels/version", json!(12));
    assert!(!read(&odd).unwrap().1.labels.contains_key("version"));
}

#[test]
fn a_config_that_says_nothing_or_nonsense_is_refused() {
    let refused = |config: Value, expected: &str| {
        let error = read(&config).unwrap_err();
        assert!(error.contains(expected), "{error}");
    };
    refused(json!({}), "no operating system or no architecture");
    refused(with(config_json(), "/os", json!("")), "no operating system");
    refused(with(config_json(), "/os", json!(1)), "wrong type");
    refused(json!("x"), "wrong type");
    refused(
        with(config_json(), "/rootfs/diff_ids/0", json!("x")),
        "malformed digest",
    );
}

#[test]
fn the_index_decides_and_the_config_fills_what_it_leaves_open() {
    let listed = platform("linux", "arm", Some("v6"), None);
    let read = |config: Value| {
        let Ok(Document::Image(manifest)) = document(image_json().to_string().as_bytes(), None)
        else {
            panic!("the manifest is good");
        };
        let body = config.to_string();
        super::config(body.as_bytes(), manifest, Some(&listed))
            .unwrap()
            .0
            .to_string()
    };
    assert_eq!(read(json!({})), "linux/arm/v6");
    assert_eq!(
        read(json!({"os": "linux", "architecture": "arm"})),
        "linux/arm/v6"
    );
    // The runtime chose by the index and never looks at the platform of the config.
    assert_eq!(read(config_json()), "linux/arm/v6");
}

#[test]
fn labels_are_kept_until_the_room_ends_the_largest_dropped_first() {
    let mut labels = serde_json::Map::new();
    for n in 0..100 {
        labels.insert(format!("small-{n}"), json!("x"));
    }
    labels.insert("large".to_owned(), json!("x".repeat(50_000)));
    labels.insert("largest".to_owned(), json!("x".repeat(60_000)));
    let (_, contents) = read(&with(config_json(), "/config/Labels", json!(labels))).unwrap();
    assert!(contents.labels.contains_key("small-99"));
    assert!(contents.labels.contains_key("large"));
    assert!(!contents.labels.contains_key("largest"));
    let long = json!([{"created_by": "ä".repeat(40_000)}, {"created_by": "RUN b"}]);
    let (_, contents) = read(&with(config_json(), "/history", long)).unwrap();
    assert_eq!(
        contents.history.iter().map(String::len).sum::<usize>(),
        64 << 10
    );
}

#[test]
fn platforms_are_spelled_as_go_does() {
    #[track_caller]
    fn check(os: &str, arch: &str, variant: &str, expected: &str) {
        assert_eq!(
            platform(os, arch, Some(variant), None).to_string(),
            expected
        );
    }
    check("Linux", "x86_64", "", "linux/amd64");
    check("linux", "aarch64", "8", "linux/arm64/v8");
    check("linux", "armhf", "", "linux/arm/v7");
    check("linux", "arm", "7", "linux/arm/v7");
    check("linux", "arm", "v6", "linux/arm/v6");
    check("linux", "amd64", "v3", "linux/amd64/v3");
    check("linux", "i386", "", "linux/386");
    check("macos", "arm64", "", "darwin/arm64");
}
