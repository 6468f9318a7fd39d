//! Mirrors: asked before the registry that an image names, and trusted with nothing that was not given for them.

use std::time::Duration;

use hostfit_engine::fact::Fact;
use hostfit_engine::image::ImageRef;
use hostfit_registry::{Config, Credentials, Platforms, PullSecret, Registry, SharedFacts};
use hostfit_tests::registry::{FakeRegistry, Guard, Image, digest};
use serde_json::json;
use tokio::time::Instant;

/// A registry, and its mirror below `hub/`.
struct Pair {
    origin: FakeRegistry,
    mirror: FakeRegistry,
}

impl Pair {
    async fn start() -> Self {
        Self {
            origin: FakeRegistry::start().await,
            mirror: FakeRegistry::start().await,
        }
    }

    fn config(&self) -> Config {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mirror = format!("{}={}/hub", self.origin.host(), self.mirror.url());
        Config {
            plain_http: vec![self.origin.host().to_owned()],
            mirrors: vec![mirror.parse().unwrap()],
            allow_loopback: true,
            ..Config::default()
        }
    }

    fn registry(&self) -> Registry {
        Registry::new(self.config()).unwrap()
    }

    fn image(&self, name: &str) -> ImageRef {
        format!("{}/{name}", self.origin.host()).parse().unwrap()
    }
}

fn login(at: &FakeRegistry) -> Credentials {
    let json = json!({at.host(): {"username": "me", "password": "secret"}}).to_string();
    Credentials::parse([PullSecret::DockerCfg(json.as_bytes())]).unwrap()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(8)
}

/// The label `from` of the image; the code of the gap if it is not known.
async fn ask(registry: &Registry, image: &ImageRef, credentials: &Credentials) -> String {
    let facts: SharedFacts = registry
        .facts(image, credentials, &Platforms::All, None, soon())
        .await;
    let contents = match &*facts {
        Fact::Known(facts, _) => facts.platforms[0].contents.clone(),
        Fact::Unknown(gap) => Fact::Unknown(gap.clone()),
    };
    match contents {
        Fact::Known(contents, _) => contents.labels["from"].clone(),
        Fact::Unknown(gap) => gap.code().to_string(),
    }
}

fn labelled(from: &str) -> Image {
    Image::default().label("from", from)
}

#[tokio::test]
async fn a_mirror_is_asked_first_and_told_for_whom() {
    let pair = Pair::start().await;
    pair.origin.push("app", "1", &labelled("origin"));
    pair.mirror.push("hub/app", "1", &labelled("mirror"));
    let (registry, nobody) = (pair.registry(), Credentials::none());
    assert_eq!(
        ask(&registry, &pair.image("app:1"), &nobody).await,
        "mirror"
    );
    assert_eq!(pair.origin.seen().len(), 0);
    let ns = pair.origin.host().replace(':', "%3A");
    let expected = format!("/v2/hub/app/manifests/1?ns={ns}");
    assert_eq!(pair.mirror.seen()[0].path, expected);
    // Who names the mirror itself asks it for itself.
    let own: ImageRef = format!("{}/hub/app:1", pair.mirror.host()).parse().unwrap();
    assert_eq!(ask(&registry, &own, &nobody).await, "mirror");
    let last = pair.mirror.seen().pop().unwrap();
    assert!(!last.path.contains("ns="), "{}", last.path);
}

#[tokio::test]
async fn what_a_mirror_does_not_give_the_registry_gives() {
    let pair = Pair::start().await;
    let nobody = Credentials::none();
    pair.origin.push("absent", "1", &labelled("origin"));
    for (name, guard) in [
        ("password", Guard::Basic("you:other".to_owned())),
        ("token", Guard::Bearer("you:other".to_owned())),
    ] {
        let mirrored = format!("hub/{name}");
        pair.origin.push(name, "1", &labelled("origin"));
        pair.mirror.push(&mirrored, "1", &labelled("mirror"));
        pair.mirror.guard(&mirrored, guard);
    }
    // Only the config is missing at the mirror.
    let half = labelled("origin");
    pair.origin.push("half", "1", &half);
    let (kind, bytes) = (half.media_type(), half.manifest_bytes());
    pair.mirror.push_manifest("hub/half", "1", kind, bytes);
    for name in ["absent:1", "password:1", "token:1", "half:1"] {
        let told = ask(&pair.registry(), &pair.image(name), &nobody).await;
        assert_eq!(told, "origin", "{name}");
    }
    let none = pair.image("none:1");
    assert_eq!(ask(&pair.registry(), &none, &nobody).await, "HF906");
    let (registry, image) = (pair.registry(), pair.image("absent:1"));
    drop(pair.mirror);
    assert_eq!(ask(&registry, &image, &nobody).await, "origin");
}

#[tokio::test]
async fn a_mirror_never_sees_the_logins_of_the_registry() {
    for (name, how) in [
        ("basic", Guard::Basic as fn(String) -> Guard),
        ("bearer", Guard::Bearer),
    ] {
        let pair = Pair::start().await;
        let (mirrored, guard) = (format!("hub/{name}"), || how("me:secret".to_owned()));
        pair.origin.push(name, "1", &labelled("origin"));
        pair.origin.guard(name, guard());
        pair.mirror.push(&mirrored, "1", &labelled("mirror"));
        pair.mirror.guard(&mirrored, guard());
        let (image, registry) = (pair.image(&format!("{name}:1")), pair.registry());
        let told = ask(&registry, &image, &login(&pair.origin)).await;
        assert_eq!(told, "origin", "{name}");
        let seen = pair.mirror.seen();
        let is_bare = seen.iter().all(|it| it.authorization.is_none());
        assert!(!seen.is_empty() && is_bare, "{seen:?}");
        // One that is written for the mirror is its own, and opens nothing for who has it not.
        let told = ask(&registry, &image, &login(&pair.mirror)).await;
        assert_eq!(told, "mirror", "{name}");
        let told = ask(&registry, &image, &Credentials::none()).await;
        assert_eq!(told, "HF901", "{name}");
    }
}

#[tokio::test]
async fn the_allow_list_and_the_addresses_hold_for_mirrors() {
    let pair = Pair::start().await;
    pair.mirror.push("hub/app", "1", &labelled("mirror"));
    let (image, nobody) = (pair.image("app:1"), Credentials::none());
    let ask_by = async |config| ask(&Registry::new(config).unwrap(), &image, &nobody).await;
    let allowing = |registry: &str| Config {
        allow: vec![registry.to_owned()],
        ..pair.config()
    };
    assert_eq!(ask_by(allowing("other.example")).await, "HF907");
    let closed = Config {
        allow_loopback: false,
        ..pair.config()
    };
    assert_eq!(ask_by(closed).await, "HF907");
    assert_eq!(pair.mirror.seen().len(), 0);
    // The one that an image names is what is allowed; a mirror is, by being set.
    assert_eq!(ask_by(allowing(pair.origin.host())).await, "mirror");
}

#[tokio::test]
async fn a_mirror_of_an_own_authority_is_believed_with_its_bundle_only() {
    let pair = Pair {
        origin: FakeRegistry::start().await,
        mirror: FakeRegistry::start_tls().await,
    };
    pair.origin.push("app", "1", &labelled("origin"));
    pair.mirror.push("hub/app", "1", &labelled("mirror"));
    // Its token service shows the same certificate.
    pair.mirror.guard("hub/app", Guard::Anonymous);
    let ca = pair.mirror.ca().unwrap().as_bytes().to_vec();
    for (ca_bundle, expected) in [(None, "origin"), (Some(ca), "mirror")] {
        let config = Config {
            ca_bundle,
            ..pair.config()
        };
        let registry = Registry::new(config).unwrap();
        let told = ask(&registry, &pair.image("app:1"), &Credentials::none()).await;
        assert_eq!(told, expected);
    }
}

#[tokio::test]
async fn a_layer_that_a_mirror_does_not_give_whole_comes_from_the_registry() {
    let pair = Pair::start().await;
    let mut tar = tar::Builder::new(Vec::new());
    let text = b"ID=debian\nVERSION_ID=12\n";
    let mut header = tar::Header::new_gnu();
    header.set_size(text.len() as u64);
    tar.append_data(&mut header, "etc/os-release", &text[..])
        .unwrap();
    let layer = tar.into_inner().unwrap();
    let image = labelled("origin");
    let mut manifest = image.manifest();
    manifest["layers"] = json!([{
        "mediaType": "application/vnd.oci.image.layer.v1.tar",
        "digest": digest(&layer), "size": layer.len(),
    }]);
    let manifest = manifest.to_string().into_bytes();
    for (registry, name) in [(&pair.origin, "app"), (&pair.mirror, "hub/app")] {
        registry.push_manifest(name, "1", image.media_type(), manifest.clone());
        registry.push_blob(name, image.config_bytes());
    }
    pair.origin.push_blob("app", layer.clone());
    let told = async || {
        let config = Config {
            layer_bytes: Some(1 << 20),
            ..pair.config()
        };
        let (registry, nobody) = (Registry::new(config).unwrap(), Credentials::none());
        let image = pair.image("app:1");
        let told = registry.inspect(&image, &nobody, &Platforms::All, soon());
        let facts = told.await.facts;
        let contents = facts.value().unwrap().platforms[0]
            .contents
            .value()
            .cloned();
        let files = contents
            .unwrap()
            .files()
            .cloned()
            .expect("the layer was read");
        files.distribution.unwrap().value.to_string()
    };
    // The mirror has it not; then it breaks off in the middle.
    assert_eq!(told().await, "debian 12");
    pair.mirror.push_half("hub/app", &layer);
    assert_eq!(told().await, "debian 12");
    let asked = pair.mirror.take();
    assert!(
        asked.iter().any(|it| it == "GET /v2/hub/app/blobs/sha256"),
        "{asked:?}"
    );
}

#[tokio::test]
async fn a_refusal_is_told_as_the_registry_tells_it() {
    let pair = Pair::start().await;
    let (registry, nobody) = (pair.registry(), Credentials::none());
    pair.origin.push("app", "1", &labelled("origin"));
    pair.origin
        .guard("app", Guard::Basic("me:secret".to_owned()));
    let image = pair.image("app:1");
    drop(pair.mirror);
    assert_eq!(ask(&registry, &image, &nobody).await, "HF901");
    let gap = registry.tags(&image, &nobody, soon()).await.unwrap_err();
    assert_eq!(gap.code().to_string(), "HF901");
}

#[tokio::test]
async fn tags_are_listed_by_the_registry_and_by_its_mirror_if_need_be() {
    let pair = Pair::start().await;
    pair.origin.push("app", "1", &labelled("origin"));
    pair.origin.push("app", "2", &labelled("origin"));
    pair.mirror.push("hub/app", "1", &labelled("mirror"));
    let (registry, image) = (pair.registry(), pair.image("app:1"));
    let nobody = Credentials::none();
    let tags = async || registry.tags(&image, &nobody, soon()).await.unwrap();
    assert_eq!(tags().await, ["1", "2"]);
    drop(pair.origin);
    assert_eq!(tags().await, ["1"]);
}
