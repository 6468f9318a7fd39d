//! Layers as a registry sends them: read once, checked, and told of when they are not what they should be.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use hostfit_crds::ImageProfileStatus;
use hostfit_engine::fact::Fact;
use hostfit_engine::files::Reading;
use hostfit_engine::image::{Contents, ImageRef, Inspected};
use hostfit_registry::{
    Config, Credentials, Library, Platforms, PullSecret, Registry, SharedFacts,
};
use hostfit_tests::registry::{FakeRegistry, Guard, Image, Seen, digest};
use serde_json::{Value, json};
use tokio::time::Instant;

fn tar(path: &str, text: &str) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, path, text.as_bytes()).unwrap();
    tar.into_inner().unwrap()
}

fn entry(layer: &[u8]) -> Value {
    json!({"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest(layer), "size": layer.len()})
}

/// Serves an image whose manifest lists these layers.
fn push(fake: &FakeRegistry, name: &str, layers: &[Value]) -> ImageRef {
    let image = Image::default();
    let mut manifest = image.manifest();
    *manifest.pointer_mut("/layers").unwrap() = layers.into();
    fake.push_blob(name, image.config_bytes());
    let bytes = manifest.to_string().into_bytes();
    fake.push_manifest(name, "1", image.media_type(), bytes);
    format!("{}/{name}:1", fake.host()).parse().unwrap()
}

fn config(fake: &FakeRegistry, layer_bytes: Option<u64>) -> Config {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Config {
        plain_http: vec![fake.host().to_owned()],
        allow_loopback: true,
        layer_bytes,
        ..Config::default()
    }
}

fn registry(fake: &FakeRegistry, layer_bytes: Option<u64>) -> Registry {
    Registry::new(config(fake, layer_bytes)).unwrap()
}

async fn contents(registry: &Registry, image: &ImageRef) -> Fact<Contents> {
    let deadline = Instant::now() + Duration::from_secs(8);
    let inspection = registry
        .inspect(image, &Credentials::none(), &Platforms::All, deadline)
        .await;
    match &*inspection.facts {
        Fact::Known(facts, _) => facts.platforms[0].contents.clone(),
        Fact::Unknown(gap) => Fact::Unknown(gap.clone()),
    }
}

/// What os-release says; `nothing` if it says nothing, `not read` if no files were read.
fn told(contents: &Fact<Contents>) -> String {
    let Some(contents) = contents.value() else {
        return "unknown".to_owned();
    };
    match &contents.files {
        Reading::NotRead => "not read".to_owned(),
        Reading::Unreadable { what } => format!("unreadable: {what}"),
        Reading::Read(files) => match &files.distribution {
            None => "nothing".to_owned(),
            Some(seen) => seen.value.to_string(),
        },
    }
}

fn layers_asked_for(fake: &FakeRegistry, layer: &[u8]) -> usize {
    let digest = digest(layer);
    let seen = fake.seen();
    seen.iter().filter(|one| one.path.contains(&digest)).count()
}

#[tokio::test]
async fn a_base_is_read_once_for_all_images_on_it() {
    let fake = FakeRegistry::start().await;
    let base = tar("etc/os-release", "ID=debian\nVERSION_ID=12\n");
    let own = tar("etc/os-release", "ID=mine\nVERSION_ID=1\n");
    for (repository, layer) in [("a", &base), ("b", &base), ("b", &own)] {
        fake.push_blob(repository, layer.clone());
    }
    let one = push(&fake, "a", &[entry(&base)]);
    let two = push(&fake, "b", &[entry(&base), entry(&own)]);
    let registry = registry(&fake, Some(1 << 20));
    assert_eq!(told(&contents(&registry, &one).await), "debian 12");
    assert_eq!(told(&contents(&registry, &two).await), "mine 1");
    let asked = |method: &str, layer: &[u8]| {
        let (digest, seen) = (digest(layer), fake.seen());
        let is = |one: &&Seen| one.method == method && one.path.contains(&digest);
        seen.iter().filter(is).count()
    };
    assert_eq!(asked("GET", &base), 1);
    assert_eq!(asked("GET", &own), 1);
    // That the second repository has it, too, is not believed of its manifest alone.
    assert_eq!(asked("HEAD", &base), 1);
}

#[tokio::test]
async fn a_registry_that_tells_nothing_by_a_head_sends_the_layer_again() {
    let fake = FakeRegistry::start().await;
    for repository in ["a", "b"] {
        fake.push_blob(repository, debian());
    }
    let own = tar("etc/own", "x");
    fake.push_blob("b", own.clone());
    fake.refuse_heads("b");
    let one = push(&fake, "a", &[entry(&debian())]);
    let two = push(&fake, "b", &[entry(&debian()), entry(&own)]);
    let registry = registry(&fake, Some(1 << 20));
    assert_eq!(told(&contents(&registry, &one).await), "debian 12");
    assert_eq!(told(&contents(&registry, &two).await), "debian 12");
}

#[tokio::test]
async fn who_names_a_layer_has_to_have_it() {
    let (fake, other) = (FakeRegistry::start().await, FakeRegistry::start().await);
    fake.push_blob("private", debian());
    let private = push(&fake, "private", &[entry(&debian())]);
    let mut config = config(&fake, Some(1 << 20));
    config.plain_http.push(other.host().to_owned());
    let registry = Registry::new(config).unwrap();
    assert_eq!(told(&contents(&registry, &private).await), "debian 12");
    let own = tar("etc/own", "x");
    fake.push_blob("nosy", own.clone());
    other.push_blob("nosy", own.clone());
    let nosy = push(&fake, "nosy", &[entry(&debian()), entry(&own)]);
    assert_eq!(told(&contents(&registry, &nosy).await), "not read");
    // Nor does another registry, whoever runs it, get to it by saying yes to everything.
    other.claim("nosy", &digest(&debian()));
    let elsewhere = push(&other, "nosy", &[entry(&debian()), entry(&own)]);
    assert_eq!(told(&contents(&registry, &elsewhere).await), "not read");
}

#[tokio::test]
async fn who_names_an_image_has_to_have_it() {
    let (fake, other) = (FakeRegistry::start().await, FakeRegistry::start().await);
    let private = Image::default().label("private", "yes");
    let digest = fake.push("private", "1", &private);
    fake.guard("private", Guard::Basic("me:secret".to_owned()));
    let mut config = config(&fake, None);
    config.plain_http.push(other.host().to_owned());
    config.tag_ttl = Duration::ZERO;
    let registry = Registry::new(config).unwrap();
    let json = format!(
        r#"{{"{}": {{"username": "me", "password": "secret"}}}}"#,
        fake.host()
    );
    let mine = Credentials::parse([PullSecret::DockerCfg(json.as_bytes())]).unwrap();
    let own: ImageRef = format!("{}/private@{digest}", fake.host()).parse().unwrap();
    let told = registry
        .facts(&own, &mine, &Platforms::All, None, soon())
        .await;
    assert!(told.value().is_some());
    // Without the credential, at another repository, and at a registry that claims to have it.
    other.push("nosy", "1", &Image::default());
    let before: ImageRef = format!("{}/nosy:1", other.host()).parse().unwrap();
    assert!(quickly(&registry, &before).await.value().is_some());
    other.claim("nosy", &digest);
    for reference in [
        own.to_string(),
        format!("{}/other@{digest}", fake.host()),
        format!("{}/nosy@{digest}", other.host()),
        before.to_string(),
    ] {
        let facts = quickly(&registry, &reference.parse().unwrap()).await;
        assert!(facts.value().is_none(), "{reference}: {facts:?}");
    }
    let told = registry
        .facts(&own, &mine, &Platforms::All, None, soon())
        .await;
    assert!(told.value().is_some());
}

#[tokio::test]
async fn a_lie_about_the_size_of_a_layer_stays_with_the_liar() {
    let fake = FakeRegistry::start().await;
    fake.push_blob("a", debian());
    let mut lie = entry(&debian());
    lie["size"] = (debian().len() + 7).into();
    let image = push(&fake, "a", &[entry(&debian())]);
    let registry = registry(&fake, Some(1 << 20));
    assert_eq!(told(&contents(&registry, &image).await), "debian 12");
    fake.push_blob("b", debian());
    let liar = push(&fake, "b", &[lie]);
    assert_eq!(told(&contents(&registry, &liar).await), "not read");
}

#[tokio::test]
async fn who_does_not_read_layers_asks_for_none() {
    let fake = FakeRegistry::start().await;
    let base = tar("etc/os-release", "ID=debian\n");
    fake.push_blob("a", base.clone());
    let image = push(&fake, "a", &[entry(&base)]);
    assert_eq!(
        told(&contents(&registry(&fake, None), &image).await),
        "not read"
    );
    assert_eq!(layers_asked_for(&fake, &base), 0);
}

#[tokio::test]
async fn a_layer_that_cannot_be_had_leaves_what_the_config_says() {
    let fake = FakeRegistry::start().await;
    let missing = tar("etc/os-release", "ID=debian\n");
    let image = push(&fake, "a", &[entry(&missing)]);
    let registry = registry(&fake, Some(1 << 20));
    assert_eq!(told(&contents(&registry, &image).await), "not read");
    // One that is shorter or longer than its manifest says is not believed either.
    for wrong in [missing.len() + 7, missing.len() - 7] {
        fake.push_blob("b", missing.clone());
        let mut lie = entry(&missing);
        lie["size"] = wrong.into();
        let image = push(&fake, "b", &[lie]);
        assert_eq!(told(&contents(&registry, &image).await), "not read");
    }
}

#[tokio::test]
async fn a_layer_that_nobody_can_read_is_told() {
    let fake = FakeRegistry::start().await;
    let garbage = vec![b'x'; 4_096];
    fake.push_blob("a", garbage.clone());
    let image = push(&fake, "a", &[entry(&garbage)]);
    let registry = registry(&fake, Some(1 << 20));
    let told_of = contents(&registry, &image).await;
    let what = told(&told_of);
    assert!(
        what.starts_with("unreadable: ") && what.contains("no tar archive"),
        "{what}"
    );
    // What the config says stands, and what is settled is not asked again.
    let config = told_of.value().unwrap();
    assert_eq!(config.chain_ids.len(), Image::default().diff_ids.len());
    let again = registry
        .inspect(&image, &Credentials::none(), &Platforms::All, soon())
        .await;
    assert!(again.whole.is_some(), "nothing is missing");
    assert_eq!(layers_asked_for(&fake, &garbage), 1);
}

fn debian() -> Vec<u8> {
    tar("etc/os-release", "ID=debian\nVERSION_ID=12\n")
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(8)
}

async fn quickly(registry: &Registry, image: &ImageRef) -> SharedFacts {
    let (nobody, all) = (Credentials::none(), Platforms::All);
    registry.facts(image, &nobody, &all, None, soon()).await
}

/// What os-release says, by facts.
fn told_by(facts: &SharedFacts) -> String {
    told(&facts.value().unwrap().platforms[0].contents)
}

#[tokio::test]
async fn layers_are_read_by_an_inspection_only_and_then_known_to_all_questions() {
    let fake = FakeRegistry::start().await;
    fake.push_blob("a", debian());
    let image = push(&fake, "a", &[entry(&debian())]);
    let registry = registry(&fake, Some(1 << 20));
    assert_eq!(told_by(&quickly(&registry, &image).await), "not read");
    assert_eq!(layers_asked_for(&fake, &debian()), 0);
    assert_eq!(told(&contents(&registry, &image).await), "debian 12");
    assert_eq!(told_by(&quickly(&registry, &image).await), "debian 12");
    assert_eq!(layers_asked_for(&fake, &debian()), 1);
}

#[tokio::test]
async fn what_one_process_has_learned_costs_the_next_one_request() {
    let fake = FakeRegistry::start().await;
    fake.push_blob("a", debian());
    let image = push(&fake, "a", &[entry(&debian())]);
    let inspected = registry(&fake, Some(1 << 20))
        .inspect(&image, &Credentials::none(), &Platforms::All, soon())
        .await;
    let learned = inspected.whole.expect("nothing was missing");
    let told_to = learned.facts.digest.clone();
    let library: Library = Arc::new(move |digest| (*digest == told_to).then(|| learned.clone()));
    let before = fake.seen().len();
    let warm = Registry::with_library(config(&fake, None), Some(library)).unwrap();
    assert_eq!(told_by(&quickly(&warm, &image).await), "debian 12");
    assert_eq!(
        fake.seen().len() - before,
        1,
        "{:?}",
        &fake.seen()[before..]
    );
}

#[tokio::test]
async fn what_is_learned_later_completes_what_is_known() {
    let fake = FakeRegistry::start().await;
    fake.push_blob("a", debian());
    let image = push(&fake, "a", &[entry(&debian())]);
    let shelf: Arc<Mutex<Option<Inspected>>> = Arc::default();
    let library: Library = {
        let shelf = Arc::clone(&shelf);
        Arc::new(move |_| shelf.lock().unwrap().clone())
    };
    let waiting = Registry::with_library(config(&fake, None), Some(library)).unwrap();
    let early = quickly(&waiting, &image).await;
    assert_eq!(told_by(&early), "not read");
    let inspected = registry(&fake, Some(1 << 20))
        .inspect(&image, &Credentials::none(), &Platforms::All, soon())
        .await;
    *shelf.lock().unwrap() = inspected.whole;
    let before = fake.seen().len();
    waiting.look_up();
    let cached = waiting.cached(&image, &Credentials::none(), &Platforms::All);
    assert_eq!(told_by(&cached.unwrap()), "debian 12");
    assert_eq!(told_by(&waiting.latest(&early)), "debian 12");
    assert_eq!(fake.seen().len(), before);
}

#[tokio::test]
async fn an_image_of_many_layers_is_read() {
    let fake = FakeRegistry::start().await;
    let layer = |number: usize| tar(&format!("opt/{number}"), "x");
    let mut layers = vec![debian()];
    layers.extend((1..127).map(layer));
    for layer in &layers {
        fake.push_blob("a", layer.clone());
    }
    let entries: Vec<_> = layers.iter().map(|layer| entry(layer)).collect();
    let image = push(&fake, "a", &entries);
    let registry = registry(&fake, Some(1 << 20));
    assert_eq!(told(&contents(&registry, &image).await), "debian 12");
}

/// Serves an index of very many platforms: two that are there and 40 that nobody asks for.
fn push_many(fake: &FakeRegistry, name: &str) -> ImageRef {
    let listed = |os: &str, architecture: &str, manifest: &[u8]| {
        json!({"mediaType": Image::default().media_type(), "digest": digest(manifest), "size": manifest.len(),
               "platform": {"os": os, "architecture": architecture}})
    };
    let mut entries: Vec<_> = (0..40_u8)
        .map(|number| listed("plan9", &format!("cpu-{number}"), &[number]))
        .collect();
    for architecture in ["amd64", "made-up"] {
        let image = Image::of("linux", architecture);
        let mut manifest = image.manifest();
        *manifest.pointer_mut("/layers").unwrap() = json!([entry(&debian())]);
        let manifest = manifest.to_string().into_bytes();
        entries.push(listed("linux", architecture, &manifest));
        fake.push_blob(name, image.config_bytes());
        fake.push_manifest(name, &digest(&manifest), image.media_type(), manifest);
    }
    let media_type = "application/vnd.oci.image.index.v1+json";
    let index = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": entries});
    fake.push_manifest(name, "1", media_type, index.to_string().into_bytes());
    format!("{}/{name}:1", fake.host()).parse().unwrap()
}

#[tokio::test]
async fn of_very_many_platforms_those_that_were_left_out_are_asked_for() {
    let fake = FakeRegistry::start().await;
    fake.push_blob("a", debian());
    let image = push_many(&fake, "a");
    let nobody = Credentials::none();
    let amd64 = Platforms::of([("linux", "amd64")]);
    let inspected = registry(&fake, Some(1 << 20))
        .inspect(&image, &nobody, &amd64, soon())
        .await;
    let whole = inspected.whole.expect("nothing was missing");
    let status = ImageProfileStatus::of(&whole);
    assert_eq!((status.platforms.len(), status.platforms_omitted), (32, 10));
    let short = status.facts(whole.facts.digest.clone()).unwrap();
    let library: Library = Arc::new(move |_| Some(short.clone()));
    let warm = Registry::with_library(config(&fake, None), Some(library)).unwrap();
    let on = |facts: &SharedFacts, architecture: &str| {
        let platforms = &facts.value().unwrap().platforms;
        let mut found = platforms.iter();
        let found = found.find(|it| it.platform.architecture == architecture);
        found.map(|it| told(&it.contents))
    };

    fake.take();
    let told = warm.facts(&image, &nobody, &amd64, None, soon()).await;
    assert_eq!(told.value().unwrap().left_out, 10);
    assert_eq!(on(&told, "amd64").as_deref(), Some("debian 12"));
    assert_eq!(on(&told, "made-up"), None);
    assert_eq!(fake.take().len(), 1);

    let both = Platforms::of([("linux", "amd64"), ("linux", "made-up")]);
    assert_eq!(warm.cached(&image, &nobody, &both), None);
    let told = warm.facts(&image, &nobody, &both, None, soon()).await;
    assert_eq!(told.value().unwrap().left_out, 0);
    assert_eq!(told.value().unwrap().platforms.len(), 42);
    assert_eq!(on(&told, "amd64").as_deref(), Some("debian 12"));
    assert_eq!(on(&told, "made-up").as_deref(), Some("not read"));
    let requests = [
        "HEAD /v2/a/manifests/1",
        "GET /v2/a/manifests/sha256",
        "GET /v2/a/manifests/sha256",
        "GET /v2/a/blobs/sha256",
    ];
    assert_eq!(fake.take(), requests);
    // What the profile says once more takes nothing away.
    warm.look_up();
    let told = warm.cached(&image, &nobody, &both).unwrap();
    assert_eq!(told.value().unwrap().left_out, 0);
}
