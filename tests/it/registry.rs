//! The registry client against a registry that counts requests, guards its images and misbehaves.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use hostfit_engine::fact::{Fact, Gap, Unreachable};
use hostfit_engine::image::{ImageFacts, ImageRef};
use hostfit_registry::{Config, Credentials, Error, Platforms, PullSecret, Registry};
use hostfit_tests::registry::{FakeRegistry, Guard, Image, digest};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout_at};

fn config(fake: &FakeRegistry) -> Config {
    Config {
        plain_http: vec![fake.host().to_owned()],
        allow_loopback: true,
        ..Config::default()
    }
}

/// Every answer must be asked for again.
fn forgetful(fake: &FakeRegistry) -> Config {
    Config {
        tag_ttl: Duration::ZERO,
        failure_ttl: Duration::ZERO,
        ..config(fake)
    }
}

fn start(config: Config) -> Registry {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Registry::new(config).unwrap()
}

fn image(fake: &FakeRegistry, name: &str) -> ImageRef {
    format!("{}/{name}", fake.host()).parse().unwrap()
}

fn login(host: &str, login: &str) -> Credentials {
    logins(&[(host, login)])
}

fn logins(all: &[(&str, &str)]) -> Credentials {
    let secrets: Vec<_> = all
        .iter()
        .map(|(host, login)| {
            let (username, password) = login.split_once(':').unwrap();
            json!({"auths": {*host: {"username": username, "password": password}}}).to_string()
        })
        .collect();
    let secrets = secrets
        .iter()
        .map(|json| PullSecret::DockerConfigJson(json.as_bytes()));
    Credentials::parse(secrets).unwrap()
}

fn amd64() -> Platforms {
    Platforms::of([("linux", "amd64")])
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(8)
}

async fn ask(registry: &Registry, image: &ImageRef) -> Arc<Fact<ImageFacts>> {
    ask_as(registry, image, &Credentials::none()).await
}

async fn ask_as(
    registry: &Registry,
    image: &ImageRef,
    credentials: &Credentials,
) -> Arc<Fact<ImageFacts>> {
    registry
        .facts(image, credentials, &amd64(), None, soon())
        .await
}

/// The platforms with what is known of them, or the gap.
fn show(fact: &Fact<ImageFacts>) -> String {
    match fact {
        Fact::Known(facts, _) => {
            let platform = |one: &hostfit_engine::image::PlatformFacts| match &one.contents {
                Fact::Known(contents, _) => format!("{} {}", one.platform, contents.size),
                Fact::Unknown(gap) => format!("{} {}", one.platform, name(gap)),
            };
            let all: Vec<_> = facts.platforms.iter().map(platform).collect();
            all.join(", ")
        }
        Fact::Unknown(gap) => name(gap),
    }
}

fn name(gap: &Gap) -> String {
    match gap {
        Gap::Unauthorized { .. } => "unauthorized".to_owned(),
        Gap::RateLimited { .. } => "rate limited".to_owned(),
        Gap::NotFetchedInTime => "not in time".to_owned(),
        Gap::NotFound { .. } => "not found".to_owned(),
        Gap::Unreachable {
            why: Unreachable::NoAnswer,
            ..
        } => "no answer".to_owned(),
        Gap::Unreachable {
            why: Unreachable::NotAllowed,
            ..
        } => "not allowed".to_owned(),
        Gap::Malformed { what } => format!("malformed: {what}"),
        other => format!("{other:?}"),
    }
}

#[track_caller]
fn check(fact: &Arc<Fact<ImageFacts>>, expected: &str) {
    let got = show(fact);
    assert!(got.starts_with(expected), "{got:?} instead of {expected:?}");
}

#[tokio::test]
async fn a_challenge_that_leads_nowhere_spoils_no_other_image() {
    let fake = FakeRegistry::start().await;
    fake.push("open", "1", &Image::default());
    fake.push("guarded", "1", &Image::default());
    fake.guard("guarded", Guard::Anonymous);
    for fault in ["realm-metadata", "token-html", "token-500"] {
        let registry = start(config(&fake));
        let spoilt = image(&fake, &format!("evil/{fault}:1"));
        assert!(ask(&registry, &spoilt).await.value().is_none(), "{fault}");
        for name in ["open:1", "guarded:1"] {
            let own = image(&fake, name);
            check(&ask(&registry, &own).await, "linux/amd64 1000");
        }
    }
}

#[tokio::test]
async fn a_plain_image_takes_two_requests_then_none_then_one_a_reference() {
    let fake = FakeRegistry::start().await;
    let digest = fake.push("app", "1", &Image::default().label("version", "12"));
    let registry = start(config(&fake));
    let tagged = image(&fake, "app:1");
    let fact = ask(&registry, &tagged).await;
    check(&fact, "linux/amd64 1000");
    let facts = fact.value().unwrap();
    assert_eq!(facts.digest.as_str(), digest);
    let contents = facts.platforms[0].contents.value().unwrap();
    assert_eq!(contents.labels["version"], "12");
    assert_eq!(contents.env["PATH"], "/bin");
    assert_eq!(
        fake.take(),
        ["GET /v2/app/manifests/1", "GET /v2/app/blobs/sha256"]
    );

    check(&ask(&registry, &tagged).await, "linux/amd64 1000");
    assert_eq!(fake.take(), [""; 0]);
    let other = image(&fake, &format!("app@{digest}"));
    check(&ask(&registry, &other).await, "linux/amd64 1000");
    // Its repository has to show the manifest, not only to know its digest.
    assert_eq!(fake.take(), ["GET /v2/app/manifests/sha256"]);
    let cached = registry.cached(&tagged, &Credentials::none(), &amd64());
    check(&cached.unwrap(), "linux/amd64 1000");
    let stats = registry.stats();
    assert_eq!(stats.hits.load(Relaxed), 1);
    assert_eq!(stats.misses.load(Relaxed), 2);
    assert_eq!(stats.requests.load(Relaxed), 3);
}

#[tokio::test]
async fn a_tag_is_revalidated_by_one_head_and_followed_when_it_moves() {
    let fake = FakeRegistry::start().await;
    fake.push("app", "1", &Image::default());
    let registry = start(forgetful(&fake));
    let app = image(&fake, "app:1");
    ask(&registry, &app).await;
    fake.take();
    check(&ask(&registry, &app).await, "linux/amd64 1000");
    assert_eq!(fake.take(), ["HEAD /v2/app/manifests/1"]);
    let moved = fake.push("app", "1", &Image::default().label("new", "yes"));
    let fact = ask(&registry, &app).await;
    assert_eq!(fact.value().unwrap().digest.as_str(), moved);
    let by_digest = "GET /v2/app/manifests/sha256";
    let requests = [
        "HEAD /v2/app/manifests/1",
        by_digest,
        "GET /v2/app/blobs/sha256",
    ];
    assert_eq!(fake.take(), requests);
}

#[tokio::test]
async fn of_an_index_only_what_is_wanted_is_fetched() {
    let fake = FakeRegistry::start().await;
    let images = [
        Image::default(),
        Image::of("linux", "arm64"),
        Image::of("windows", "amd64"),
    ];
    let attestation = json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest(b"a"), "size": 1,
        "platform": {"os": "unknown", "architecture": "unknown"},
    });
    fake.push_index("app", "1", &images, &[attestation]);
    let registry = start(config(&fake));
    let app = image(&fake, "app:1");
    let fact = ask(&registry, &app).await;
    check(
        &fact,
        "linux/amd64 1000, linux/arm64 not in time, windows/amd64 not in time",
    );
    assert_eq!(fake.take().len(), 3);

    let none = Credentials::none();
    let both = Platforms::of([("linux", "amd64"), ("linux", "arm64")]);
    assert_eq!(registry.cached(&app, &none, &both), None);
    let fact = registry.facts(&app, &none, &both, None, soon()).await;
    check(
        &fact,
        "linux/amd64 1000, linux/arm64 1000, windows/amd64 not in time",
    );
    let requests = [
        "HEAD /v2/app/manifests/1",
        "GET /v2/app/manifests/sha256",
        "GET /v2/app/blobs/sha256",
    ];
    assert_eq!(fake.take(), requests);
    let fact = registry
        .facts(&app, &none, &Platforms::All, None, soon())
        .await;
    check(
        &fact,
        "linux/amd64 1000, linux/arm64 1000, windows/amd64 1000",
    );
}

#[tokio::test]
async fn an_entry_without_a_platform_is_what_its_config_says() {
    let fake = FakeRegistry::start().await;
    let arm = Image::of("linux", "arm64");
    let mut entry = arm.entry();
    entry.as_object_mut().unwrap().remove("platform");
    fake.push("app", "arm", &arm);
    fake.push_index("app", "1", &[Image::default()], &[entry]);
    let registry = start(config(&fake));
    let fact = ask(&registry, &image(&fake, "app:1")).await;
    check(&fact, "linux/amd64 1000, linux/arm64 1000");
}

#[tokio::test]
async fn a_platform_that_cannot_be_read_is_a_gap_of_its_own() {
    let fake = FakeRegistry::start().await;
    let arm = Image::of("linux", "arm64");
    fake.push_index("app", "1", &[Image::default(), arm.clone()], &[]);
    fake.remove("app", &digest(&arm.manifest_bytes()));
    let registry = start(Config {
        failure_ttl: Duration::ZERO,
        ..config(&fake)
    });
    let (app, none) = (image(&fake, "app:1"), Credentials::none());
    let fact = registry
        .facts(&app, &none, &Platforms::All, None, soon())
        .await;
    check(&fact, "linux/amd64 1000, linux/arm64 not found");
    fake.push("app", "arm", &arm);
    let fact = registry
        .facts(&app, &none, &Platforms::All, None, soon())
        .await;
    check(&fact, "linux/amd64 1000, linux/arm64 1000");
}

#[tokio::test]
async fn a_token_costs_two_requests_once_and_one_thereafter() {
    let fake = FakeRegistry::start().await;
    for name in ["one", "two"] {
        fake.push(name, "1", &Image::default().label("name", name));
        fake.guard(name, Guard::Bearer("alice:secret".to_owned()));
    }
    let registry = start(config(&fake));
    let alice = login(fake.host(), "alice:secret");
    check(
        &ask_as(&registry, &image(&fake, "one:1"), &alice).await,
        "linux/amd64",
    );
    let requests = [
        "GET /v2/one/manifests/1",
        "GET /token",
        "GET /v2/one/manifests/1",
        "GET /v2/one/blobs/sha256",
    ];
    assert_eq!(fake.take(), requests);
    check(
        &ask_as(&registry, &image(&fake, "two:1"), &alice).await,
        "linux/amd64",
    );
    let requests = [
        "GET /token",
        "GET /v2/two/manifests/1",
        "GET /v2/two/blobs/sha256",
    ];
    assert_eq!(fake.take(), requests);
}

#[tokio::test]
async fn an_open_image_beside_guarded_ones_is_still_open() {
    let fake = FakeRegistry::start().await;
    fake.push("guarded", "1", &Image::default());
    fake.guard("guarded", Guard::Bearer("alice:secret".to_owned()));
    fake.push("open", "1", &Image::default());
    let registry = start(config(&fake));
    check(
        &ask(&registry, &image(&fake, "guarded:1")).await,
        "unauthorized",
    );
    fake.take();
    check(
        &ask(&registry, &image(&fake, "open:1")).await,
        "linux/amd64",
    );
    let requests = [
        "GET /token",
        "GET /v2/open/manifests/1",
        "GET /v2/open/blobs/sha256",
    ];
    assert_eq!(fake.take(), requests);
}

#[tokio::test]
async fn every_kind_of_login_gets_in() {
    let fake = FakeRegistry::start().await;
    let registry = start(config(&fake));
    let refresh = json!({fake.host(): {"identitytoken": "refresh&me"}}).to_string();
    let refresh = Credentials::parse([PullSecret::DockerCfg(refresh.as_bytes())]).unwrap();
    let alice = login(fake.host(), "alice:secret");
    for (name, guard, credentials) in [
        (
            "basic",
            Guard::Basic("alice:secret".to_owned()),
            alice.clone(),
        ),
        (
            "bearer",
            Guard::Bearer("alice:secret".to_owned()),
            alice.clone(),
        ),
        ("refresh", Guard::Refresh("refresh&me".to_owned()), refresh),
        ("anonymous", Guard::Anonymous, Credentials::none()),
        ("open", Guard::Anonymous, alice),
    ] {
        fake.push(name, "1", &Image::default());
        fake.guard(name, guard);
        let fact = ask_as(&registry, &image(&fake, &format!("{name}:1")), &credentials).await;
        check(&fact, "linux/amd64");
    }
}

#[tokio::test]
async fn logins_are_tried_in_turn_the_anonymous_one_last() {
    let fake = FakeRegistry::start().await;
    fake.push("app", "1", &Image::default());
    let host = fake.host();
    let three = logins(&[
        (host, "bob:wrong"),
        (host, "carol:wrong"),
        (host, "alice:secret"),
    ]);
    for guard in ["basic", "bearer"] {
        let alice = "alice:secret".to_owned();
        fake.guard(
            "app",
            match guard {
                "basic" => Guard::Basic(alice),
                _ => Guard::Bearer(alice),
            },
        );
        let registry = start(config(&fake));
        let app = image(&fake, "app:1");
        check(&ask_as(&registry, &app, &three).await, "linux/amd64");
        check(
            &ask_as(&registry, &app, &login(host, "bob:wrong")).await,
            "unauthorized",
        );
        check(&ask(&registry, &app).await, "unauthorized");
    }
    fake.guard("app", Guard::Anonymous);
    let registry = start(config(&fake));
    check(
        &ask_as(&registry, &image(&fake, "app:1"), &three).await,
        "linux/amd64",
    );
}

#[tokio::test]
async fn what_one_credential_reaches_another_must_reach_itself() {
    let fake = FakeRegistry::start().await;
    let digest = fake.push("app", "1", &Image::default());
    fake.guard("app", Guard::Bearer("alice:secret".to_owned()));
    let registry = start(config(&fake));
    let alice = login(fake.host(), "alice:secret");
    let bob = login(fake.host(), "bob:guess");
    for name in ["app:1".to_owned(), format!("app@{digest}")] {
        let app = image(&fake, &name);
        check(&ask_as(&registry, &app, &alice).await, "linux/amd64");
        assert_eq!(registry.cached(&app, &bob, &amd64()), None);
        check(&ask_as(&registry, &app, &bob).await, "unauthorized");
        check(&ask(&registry, &app).await, "unauthorized");
    }
    // Another secret of the same content is no other credential; another key is none either.
    fake.take();
    let same = login(fake.host(), "alice:secret");
    check(
        &ask_as(&registry, &image(&fake, "app:1"), &same).await,
        "linux/amd64",
    );
    assert_eq!(fake.take(), [""; 0]);
}

#[tokio::test]
async fn an_expired_token_is_renewed_once() {
    let fake = FakeRegistry::start().await;
    fake.push("app", "1", &Image::default());
    fake.guard("app", Guard::Bearer("alice:secret".to_owned()));
    let registry = start(forgetful(&fake));
    let alice = login(fake.host(), "alice:secret");
    let app = image(&fake, "app:1");
    ask_as(&registry, &app, &alice).await;
    fake.expire_tokens();
    fake.take();
    check(&ask_as(&registry, &app, &alice).await, "linux/amd64");
    let head = "HEAD /v2/app/manifests/1";
    assert_eq!(fake.take(), [head, "GET /token", head]);
    fake.guard("app", Guard::Bearer("alice:changed".to_owned()));
    fake.expire_tokens();
    check(&ask_as(&registry, &app, &alice).await, "unauthorized");
    assert!(fake.take().len() <= 3);
}

#[tokio::test]
async fn tags_are_listed_page_by_page_and_never_beside_their_list() {
    let fake = FakeRegistry::start().await;
    for tag in ["9.1", "9.2", "9.3", "9.10", "latest"] {
        fake.push("team/app", tag, &Image::default());
    }
    fake.guard("team/app", Guard::Bearer("alice:secret".to_owned()));
    let registry = start(config(&fake));
    let alice = login(fake.host(), "alice:secret");
    let app = image(&fake, "team/app:latest");
    let tags = registry.tags(&app, &alice, soon()).await.unwrap();
    assert_eq!(tags, ["9.1", "9.10", "9.2", "9.3", "latest"]);
    let refused = registry.tags(&app, &Credentials::none(), soon()).await;
    assert_eq!(name(&refused.unwrap_err()), "unauthorized");
    for (fault, expected) in [
        ("tags-endless", "malformed"),
        ("tags-elsewhere", "4 tags"),
        ("tags-blob", "4 tags"),
        ("tags-null", "0 tags"),
        ("tags-html", "malformed"),
    ] {
        let evil = image(&fake, &format!("evil/{fault}:1"));
        let said = match registry.tags(&evil, &Credentials::none(), soon()).await {
            Ok(tags) => format!("{} tags", tags.len()),
            Err(gap) => name(&gap),
        };
        assert!(said.starts_with(expected), "{fault}: {said}");
    }
}

#[tokio::test]
async fn a_thousand_questions_make_one_flight() {
    let fake = FakeRegistry::start().await;
    fake.push("app", "1", &Image::default());
    let registry = start(config(&fake));
    let app = image(&fake, "app:1");
    let all = (0..1_000).map(|_| ask(&registry, &app));
    for fact in futures::future::join_all(all).await {
        check(&fact, "linux/amd64");
    }
    assert_eq!(fake.take().len(), 2);
    assert_eq!(registry.stats().flights.load(Relaxed), 1);
}

#[tokio::test]
async fn who_asks_may_leave_and_the_flight_goes_on() {
    let fake = FakeRegistry::start().await;
    let registry = start(Config {
        flights: 1,
        ..config(&fake)
    });
    let hanging = image(&fake, "evil/hang:1");
    let none = Credentials::none();
    let deadline = Instant::now() + Duration::from_millis(20);
    check(
        &registry
            .facts(&hanging, &none, &amd64(), None, deadline)
            .await,
        "not in time",
    );
    assert!(deadline.elapsed() < Duration::from_millis(200));
    // There is room for one flight only: others are turned away at once.
    let other = image(&fake, "evil/none:1");
    check(
        &registry.facts(&other, &none, &amd64(), None, soon()).await,
        "not in time",
    );
    assert_eq!(registry.stats().overflows.load(Relaxed), 1);
    // Nobody waits a second time for what somebody has waited for in vain.
    let again = Instant::now();
    check(&ask(&registry, &hanging).await, "not in time");
    assert!(again.elapsed() < Duration::from_millis(200));
    fake.release();
    let landed = async || {
        while registry.cached(&hanging, &none, &amd64()).is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout_at(soon(), landed()).await.unwrap();
    check(&ask(&registry, &hanging).await, "linux/amd64");
    assert_eq!(
        fake.take(),
        [
            "GET /v2/evil/hang/manifests/1",
            "GET /v2/evil/hang/blobs/sha256"
        ]
    );
    check(&ask(&registry, &other).await, "linux/amd64");
}

#[tokio::test]
async fn a_tenant_whose_registries_hang_leaves_room_for_the_others() {
    let (slow, fast) = (FakeRegistry::start().await, FakeRegistry::start().await);
    for tag in ["1", "2", "3"] {
        fast.push("app", tag, &Image::default());
    }
    let registry = start(Config {
        plain_http: vec![slow.host().to_owned(), fast.host().to_owned()],
        flights: 16,
        per_host: 1,
        ..config(&slow)
    });
    let none = Credentials::none();
    let ask = async |image: ImageRef, tenant: &str, patience: u64| {
        let deadline = Instant::now() + Duration::from_millis(patience);
        let platforms = amd64();
        let fact = registry.facts(&image, &none, &platforms, Some(tenant), deadline);
        show(&*fact.await)
    };
    let hanging = image(&slow, "evil/hang:1");
    assert_eq!(ask(hanging, "greedy", 20).await, "not in time");
    // What a tenant asks of another registry waits for its own exchanges, …
    let app = |tag| image(&fast, &format!("app:{tag}"));
    assert_eq!(ask(app(1), "greedy", 20).await, "not in time");
    // … and beyond an eighth of all flights it is turned away. The others get theirs.
    assert_eq!(registry.stats().overflows.load(Relaxed), 0);
    assert_eq!(ask(app(2), "greedy", 8_000).await, "not in time");
    assert_eq!(registry.stats().overflows.load(Relaxed), 1);
    assert_eq!(ask(app(3), "modest", 8_000).await, "linux/amd64 1000");
    // Its share is free again when its flights have ended.
    slow.release();
    let free = async || {
        while ask(app(2), "greedy", 8_000).await == "not in time" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout_at(soon(), free()).await.unwrap();
}

#[tokio::test]
async fn a_flight_ends_by_its_own_deadline() {
    let fake = FakeRegistry::start().await;
    let image_deadline = Duration::from_millis(100);
    let registry = start(Config {
        image_deadline,
        ..config(&fake)
    });
    for (name, expected) in [("hang", "no answer"), ("drip", "no answer")] {
        let fact = ask(&registry, &image(&fake, &format!("evil/{name}:1"))).await;
        check(&fact, expected);
    }
}

#[tokio::test]
async fn each_fault_is_told_as_what_it_is() {
    let fake = FakeRegistry::start().await;
    let elsewhere = FakeRegistry::start().await;
    fake.set_elsewhere(&elsewhere.url());
    let alice = login(fake.host(), "alice:secret");
    for (fault, expected, requests) in [
        ("redirect-loop", "not allowed", 4),
        ("redirect-chain", "not allowed", 4),
        ("redirect-elsewhere", "unauthorized", 2),
        ("redirect-metadata", "not allowed", 1),
        ("redirect-mapped", "not allowed", 1),
        ("redirect-file", "not allowed", 1),
        ("redirect-userinfo", "not allowed", 1),
        ("realm-metadata", "not allowed", 1),
        ("realm-decimal", "not allowed", 1),
        ("realm-userinfo", "not allowed", 1),
        ("realm-file", "not allowed", 1),
        ("realm-elsewhere", "unauthorized", 2),
        ("token-newline", "malformed: the token service's answer", 2),
        ("token-html", "malformed: the token service's answer", 2),
        (
            "token-huge",
            "malformed: the registry's answer is larger",
            2,
        ),
        ("token-500", "no answer", 3),
        (
            "html",
            "malformed: the registry's answer is not a manifest",
            1,
        ),
        ("short-body", "no answer", 2),
        ("short-body-once", "linux/amd64", 3),
        (
            "huge-manifest",
            "malformed: the registry's answer is larger",
            1,
        ),
        ("huge-config", "malformed: its config is larger", 1),
        (
            "lying-header",
            "malformed: the registry's answer does not have the digest",
            1,
        ),
        (
            "lying-config",
            "malformed: the registry's answer does not have the digest",
            2,
        ),
        (
            "lying-size",
            "malformed: the registry's answer does not have the size",
            2,
        ),
        (
            "wrong-type",
            "malformed: the registry calls its manifest",
            1,
        ),
        ("both-kinds", "malformed: its manifest claims", 1),
        (
            "schema-1",
            "malformed: its manifest has the retired schema 1",
            1,
        ),
        ("schema-1-signed", "linux/amd64 0", 1),
        // What stands behind the signed part is not read.
        ("schema-1-forged", "linux/amd64 0", 1),
        ("artifact", "malformed: it is an artifact", 1),
        ("no-rootfs", "linux/amd64 1000", 2),
        (
            "index-cycle",
            "malformed: the registry's answer does not have the",
            2,
        ),
        ("index-deep", "malformed: its index is nested too deeply", 2),
        (
            "index-wide",
            "malformed: its manifest has more than 1,000",
            1,
        ),
        ("401", "unauthorized", 1),
        ("401-always", "unauthorized", 2),
        ("403", "unauthorized", 1),
        ("404", "not found", 1),
        (
            "418",
            "malformed: the registry answered with an unexpected status",
            1,
        ),
        ("500", "no answer", 2),
        ("500-once", "linux/amd64", 3),
    ] {
        // A registry each: what one fault teaches must not help the next.
        let registry = start(config(&fake));
        let name = format!("evil/{fault}:1");
        let fact = ask_as(&registry, &image(&fake, &name), &alice).await;
        let got = show(&fact);
        let seen = fake.take();
        assert!(
            got.starts_with(expected),
            "{fault}: {got:?} instead of {expected:?}"
        );
        assert!(seen.len() <= requests, "{fault}: {seen:?}");
        assert!(
            got.chars().all(|c| !c.is_control()) && !got.contains("secret"),
            "{got}"
        );
        // Remembered, with nothing asked again.
        check(
            &ask_as(&registry, &image(&fake, &name), &alice).await,
            expected,
        );
        assert_eq!(fake.take(), [""; 0], "{fault}");
    }
    let shown = elsewhere.seen();
    assert!(!shown.is_empty());
    assert!(
        shown.iter().all(|one| one.authorization.is_none()),
        "{shown:?}"
    );
    assert!(!format!("{shown:?}").contains("secret"), "{shown:?}");
}

#[tokio::test]
async fn a_registry_without_head_is_asked_again_in_full() {
    let fake = FakeRegistry::start().await;
    let registry = start(forgetful(&fake));
    let odd = image(&fake, "evil/no-head:1");
    check(&ask(&registry, &odd).await, "linux/amd64");
    fake.take();
    check(&ask(&registry, &odd).await, "linux/amd64");
    let manifest = "/v2/evil/no-head/manifests/1";
    assert_eq!(
        fake.take(),
        [format!("HEAD {manifest}"), format!("GET {manifest}")]
    );
}

#[tokio::test]
async fn a_registry_that_limits_us_is_left_alone() {
    let fake = FakeRegistry::start().await;
    fake.push("app", "1", &Image::default());
    for fault in ["429", "429-date", "429-forever"] {
        let registry = start(config(&fake));
        check(
            &ask(&registry, &image(&fake, &format!("evil/{fault}:1"))).await,
            "rate limited",
        );
        assert_eq!(fake.take().len(), 1);
        check(
            &ask(&registry, &image(&fake, "app:1")).await,
            "rate limited",
        );
        assert_eq!(fake.take(), [""; 0]);
        // The limit is that of a login.
        let alice = login(fake.host(), "alice:secret");
        check(
            &ask_as(&registry, &image(&fake, "app:1"), &alice).await,
            "linux/amd64",
        );
        fake.take();
    }
}

#[tokio::test]
async fn a_registry_that_gives_no_answer_is_left_alone() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let server = tokio::spawn(async move {
        let mut count = 0;
        while let Ok(Ok((stream, _))) =
            tokio::time::timeout(Duration::from_millis(500), listener.accept()).await
        {
            drop(stream);
            count += 1;
        }
        count
    });
    let registry = start(Config {
        plain_http: vec![host.clone()],
        allow_loopback: true,
        ..Config::default()
    });
    for n in 0..10 {
        let image = format!("{host}/app:{n}").parse().unwrap();
        check(&ask(&registry, &image).await, "no answer");
    }
    assert_eq!(server.await.unwrap(), 5);
}

#[tokio::test]
async fn addresses_and_registries_that_are_not_allowed_are_never_asked() {
    let fake = FakeRegistry::start().await;
    fake.push("app", "1", &Image::default());
    let closed = || Config {
        allow_loopback: false,
        ..config(&fake)
    };
    let named = format!("localhost:{}", fake.port());
    let plain = vec![fake.host().to_owned(), named.clone()];
    let registry = start(Config {
        plain_http: plain,
        ..closed()
    });
    let mapped = format!("[::ffff:127.0.0.1]:{}", fake.port());
    let hosts = [
        fake.host(),
        &named,
        &mapped,
        "169.254.169.254",
        "2852039166:80",
        "[::1]:2379",
    ];
    for host in hosts {
        let image = format!("{host}/app:1").parse().unwrap();
        check(&ask(&registry, &image).await, "not allowed");
    }
    let listed = Config {
        allow: vec!["docker.io".to_owned()],
        ..config(&fake)
    };
    check(
        &ask(&start(listed), &image(&fake, "app:1")).await,
        "not allowed",
    );
    assert_eq!(fake.take(), [""; 0]);
}

#[tokio::test]
async fn names_are_resolved_and_credentials_follow_their_own_registry() {
    let fake = FakeRegistry::start().await;
    fake.push("app", "1", &Image::default());
    fake.guard("app", Guard::Basic("alice:secret".to_owned()));
    let named = format!("localhost:{}", fake.port());
    let registry = start(Config {
        plain_http: vec![named.clone()],
        ..config(&fake)
    });
    let image: ImageRef = format!("{named}/app:1").parse().unwrap();
    check(
        &ask_as(&registry, &image, &login(&named, "alice:secret")).await,
        "linux/amd64",
    );
    fake.take();
    for other in ["localhost", "localhost:1", "*.example", fake.host()] {
        let other = login(other, "alice:secret");
        let registry = start(Config {
            plain_http: vec![named.clone()],
            ..config(&fake)
        });
        check(&ask_as(&registry, &image, &other).await, "unauthorized");
    }
    let seen = fake.seen();
    assert!(
        seen.iter().all(|one| one.authorization.is_none()),
        "{seen:?}"
    );
}

#[tokio::test]
async fn tls_is_neither_skipped_nor_fallen_back_from() {
    let fake = FakeRegistry::start_tls().await;
    fake.push("app", "1", &Image::default());
    fake.guard("app", Guard::Bearer("alice:secret".to_owned()));
    let app = image(&fake, "app:1");
    let alice = login(fake.host(), "alice:secret");
    let local = || Config {
        allow_loopback: true,
        ..Config::default()
    };
    check(&ask_as(&start(local()), &app, &alice).await, "no answer");
    let trusting = || Config {
        ca_bundle: fake.ca().map(|pem| pem.as_bytes().to_vec()),
        ..local()
    };
    check(
        &ask_as(&start(trusting()), &app, &alice).await,
        "linux/amd64 1000",
    );
    // What is reached by https is not sent on to http.
    let plain = FakeRegistry::start().await;
    fake.set_elsewhere(&plain.url());
    let registry = start(trusting());
    for fault in ["redirect-elsewhere", "realm-elsewhere"] {
        let image = image(&fake, &format!("evil/{fault}:1"));
        check(&ask_as(&registry, &image, &alice).await, "not allowed");
    }
    assert_eq!(plain.take(), [""; 0]);
    // Nor is a registry without TLS asked without it, unless it is listed.
    plain.push("app", "1", &Image::default());
    let named = format!("localhost:{}/app:1", plain.port()).parse().unwrap();
    check(&ask(&registry, &named).await, "no answer");
    assert_eq!(plain.take(), [""; 0]);
}

#[test]
fn a_ca_bundle_without_certificates_is_refused() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    for bundle in ["", "not PEM"] {
        let config = Config {
            ca_bundle: Some(bundle.into()),
            ..Config::default()
        };
        assert!(matches!(
            Registry::new(config).err(),
            Some(Error::CaBundle(_))
        ));
    }
}

#[tokio::test]
async fn an_image_of_many_platforms_is_read_in_several_flights() {
    let fake = FakeRegistry::start().await;
    let images: Vec<_> = (0..30)
        .map(|n| Image::of("linux", &format!("arch{n}")))
        .collect();
    fake.push_index("app", "1", &images, &[]);
    let registry = start(forgetful(&fake));
    let (app, none) = (image(&fake, "app:1"), Credentials::none());
    let read = |fact: &Fact<ImageFacts>| {
        let platforms = &fact.value().unwrap().platforms;
        platforms
            .iter()
            .filter(|one| one.contents.value().is_some())
            .count()
    };
    let first = registry
        .facts(&app, &none, &Platforms::All, None, soon())
        .await;
    assert!((15..=19).contains(&read(&first)), "{}", read(&first));
    assert!(fake.take().len() <= 40);
    let second = registry
        .facts(&app, &none, &Platforms::All, None, soon())
        .await;
    assert_eq!(read(&second), 30);
}

#[tokio::test]
async fn a_lie_in_one_registry_is_not_believed_in_another() {
    let [evil, good] = [FakeRegistry::start().await, FakeRegistry::start().await];
    let broken = Image::default();
    let index = good.push_index("app", "1", std::slice::from_ref(&broken), &[]);
    evil.push_index("app", "1", std::slice::from_ref(&broken), &[]);
    let manifest = digest(&broken.manifest_bytes());
    evil.remove("app", &manifest);
    let registry = start(Config {
        plain_http: vec![evil.host().to_owned(), good.host().to_owned()],
        ..config(&good)
    });
    let fact = ask(&registry, &image(&evil, "app:1")).await;
    assert_eq!(fact.value().unwrap().digest.as_str(), index);
    check(&fact, "linux/amd64 not found");
    check(
        &ask(&registry, &image(&good, "app:1")).await,
        "linux/amd64 1000",
    );
}
