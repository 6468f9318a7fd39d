//! Registries: slow, refusing, lying, absent. What cannot be read is unknown, in time, and never passes.

use std::time::Duration;

use hostfit_crds::image_profile::READ_BY;
use hostfit_tests::cluster::{Kind, TOKEN};
use hostfit_tests::registry::{FakeRegistry, Guard, Image, digest};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::pods::fitting;
use super::review::{create, pod};
use super::stand::{Setup, named};

#[tokio::test]
async fn whatever_a_registry_does_the_verdict_is_unknown_with_its_code() {
    let stand = Setup::ordinary(json!({"mode": "Enforce"}))
        .await
        .ready()
        .await;
    for (fault, code) in [
        ("401", "HF901"),
        ("401-always", "HF901"),
        ("403", "HF901"),
        ("404", "HF906"),
        ("418", "HF908"),
        ("html", "HF908"),
        ("lying-header", "HF908"),
        ("lying-config", "HF908"),
        ("lying-size", "HF908"),
        ("wrong-type", "HF908"),
        ("both-kinds", "HF908"),
        ("huge-manifest", "HF908"),
        ("huge-config", "HF908"),
        ("schema-1", "HF908"),
        ("artifact", "HF908"),
        ("no-rootfs", "HF903"),
        ("index-cycle", "HF908"),
        ("index-deep", "HF908"),
        ("index-wide", "HF908"),
        ("redirect-loop", "HF907"),
        ("redirect-metadata", "HF907"),
        ("redirect-file", "HF907"),
        ("realm-metadata", "HF907"),
        ("realm-file", "HF907"),
        ("token-html", "HF908"),
        // These two speak of the whole registry, which is then left alone for a while.
        ("500", "HF907"),
        ("429", "HF902"),
    ] {
        let image = stand.image(&format!("evil/{fault}:1"));
        let judged = stand.judge(pod(&image)).await;
        assert_eq!(judged, format!("Unknown {code}: warned {code}"), "{fault}");
        // One that is known beside it changes nothing.
        let mut both = pod(&image);
        stand.registry.push("good", "1", &fitting());
        let good = json!({"name": "good", "image": stand.image("good:1")});
        both["spec"]["initContainers"] = json!([good]);
        let judged = stand.judge(both).await;
        assert_eq!(judged, format!("Unknown {code}: warned {code}"), "{fault}");
        stand.registry.take();
    }
    assert!(!stand.log().contains("panicked"), "{}", stand.log());
}

#[tokio::test]
async fn registries_that_are_not_there_or_may_not_be_asked_are_unreachable() {
    let stand = Setup::ordinary(json!({})).await.ready().await;
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = gone.local_addr().unwrap().port();
    drop(gone);
    let message = async |reference: &str| {
        let judged = stand.judge(pod(reference)).await;
        assert_eq!(judged, "Unknown HF907: warned HF907", "{reference}");
        stand
            .validate(create(pod(reference)))
            .await
            .warnings
            .remove(0)
    };
    let warning = message(&format!("127.0.0.1:{port}/app:1")).await;
    assert!(warning.contains("cannot be reached"), "{warning}");
    for host in [
        "169.254.169.254",
        "169.254.169.254:80",
        "[fe80::1]:443",
        "[::ffff:169.254.169.254]",
        "[fd00:ec2::254]",
        "100.100.100.200",
        "168.63.129.16",
        "0.0.0.0:5000",
        "224.0.0.1",
        "255.255.255.255",
    ] {
        let started = Instant::now();
        let warning = message(&format!("{host}/latest/meta-data:1")).await;
        assert!(warning.contains("may not be asked"), "{warning}");
        assert!(
            started.elapsed() < Duration::from_secs(1),
            "{host} was waited for"
        );
    }
}

#[tokio::test]
async fn only_listed_registries_are_asked() {
    let mut setup = Setup::ordinary(json!({})).await;
    let other = FakeRegistry::start().await;
    other.push("app", "1", &fitting());
    let plain = format!("{},{}", setup.registry.host(), other.host());
    let allowed = setup.registry.host().to_owned();
    setup
        .set("HOSTFIT_REGISTRY_PLAIN_HTTP", plain)
        .set("HOSTFIT_REGISTRY_ALLOW", allowed);
    let stand = setup.ready().await;
    stand.registry.push("app", "1", &fitting());
    assert_eq!(
        stand.judge(pod(&stand.image("app:1"))).await,
        "Pass -: let in"
    );
    let judged = stand.judge(pod(&format!("{}/app:1", other.host()))).await;
    assert_eq!(judged, "Unknown HF907: warned HF907");
    assert_eq!(other.take(), [""; 0]);
}

#[tokio::test]
async fn a_registry_that_hangs_costs_a_second_once_and_warms_the_next_answer() {
    let mut setup = Setup::ordinary(json!({"mode": "Enforce"})).await;
    setup.set("HOSTFIT_PATIENCE_MS", "1000");
    let stand = setup.ready().await;
    let mut took = Duration::MAX;
    // A machine that is busy may be late once.
    for tag in ["1", "2"] {
        let image = stand.image(&format!("evil/hang:{tag}"));
        let started = Instant::now();
        let answer = stand.validate(create(pod(&image))).await;
        took = took.min(started.elapsed());
        assert_eq!(answer.summary(), "warned HF905");
        assert!(
            answer.warnings[0].contains("not inspected yet"),
            "{answer:?}"
        );
        if took <= Duration::from_millis(1_500) {
            break;
        }
    }
    assert!(
        took >= Duration::from_millis(1_000),
        "it did not even wait: {took:?}"
    );
    assert!(
        took <= Duration::from_millis(1_500),
        "answered after {took:?}"
    );
    stand.registry.take();

    stand.registry.release();
    let image = stand.image("evil/hang:1");
    let learned = async || stand.validate(create(pod(&image))).await.summary() != "warned HF905";
    stand.until("the image is known", learned).await;
    assert_eq!(
        stand.judge(pod(&image)).await,
        "Unknown HF903: warned HF903"
    );
    // The flight that was under way told it: the manifest was not asked for once more.
    let again: Vec<_> = stand
        .registry
        .take()
        .into_iter()
        .filter(|it| it.contains("/manifests/"))
        .collect();
    assert_eq!(again, [""; 0]);
}

#[tokio::test]
async fn a_thousand_identical_pods_cost_few_requests() {
    let stand = Setup::ordinary(json!({"mode": "Enforce"}))
        .await
        .ready()
        .await;
    stand.registry.push("app", "1", &fitting());
    let request = create(pod(&stand.image("app:1")));
    let some = || async {
        for _ in 0..50 {
            assert!(stand.mutate(request.clone()).await.allowed);
            assert!(stand.validate(request.clone()).await.is_silent());
        }
    };
    futures::future::join_all((0..20).map(|_| some())).await;
    let asked = stand.registry.take();
    assert!(asked.len() <= 4, "{asked:?}");
    let metrics = stand.admin("/metrics").await.1;
    let answered = r#"hostfit_admission_requests_total{kind="validate",decision="allow"} 1000"#;
    assert!(metrics.contains(answered), "{metrics}");
    let host = stand.registry.host();
    let exchanges = format!(r#"hostfit_registry_requests_total{{registry="{host}",code="200"}} 2"#);
    assert!(metrics.contains(&exchanges), "{metrics}");
}

#[tokio::test]
async fn credentials_go_to_their_registry_and_nowhere_else() {
    let mut setup = Setup::ordinary(json!({"mode": "Enforce"})).await;
    let other = FakeRegistry::start().await;
    other.push("app", "1", &fitting());
    other.guard("locked", Guard::Basic("nobody:nothing".to_owned()));
    let plain = format!("{},{}", setup.registry.host(), other.host());
    setup.set("HOSTFIT_REGISTRY_PLAIN_HTTP", plain);
    let word = "correct-horse-battery";
    let auths = json!({"auths": {setup.registry.host(): {"username": "robot", "password": word}}});
    setup
        .folder
        .write("secrets/shop/.dockerconfigjson", &auths.to_string());
    let folder = setup.folder.path("secrets");
    setup
        .set("HOSTFIT_REGISTRY_CREDENTIALS_DIR", folder)
        .set("HOSTFIT_LOG", "trace");
    setup.registry.push("private", "1", &fitting());
    setup
        .registry
        .guard("private", Guard::Bearer(format!("robot:{word}")));
    setup
        .registry
        .guard("vault", Guard::Basic("somebody:else".to_owned()));
    setup.registry.set_elsewhere(&other.url());
    let stand = setup.ready().await;

    assert_eq!(
        stand.judge(pod(&stand.image("private:1"))).await,
        "Pass -: let in"
    );
    let mut said = String::new();
    for (image, code) in [
        (stand.image("vault:1"), "HF901"),
        (stand.image("evil/redirect-elsewhere:1"), "HF901"),
        (stand.image("evil/realm-elsewhere:1"), "HF901"),
        (stand.image("evil/401-always:1"), "HF901"),
        (format!("{}/locked:1", other.host()), "HF901"),
        (format!("{}/app:1", other.host()), ""),
    ] {
        let judged = stand.judge(pod(&image)).await;
        let expected = match code {
            "" => "Pass -: let in".to_owned(),
            code => format!("Unknown {code}: warned {code}"),
        };
        assert_eq!(judged, expected, "{image}");
        said.push_str(&format!("{:?}", stand.validate(create(pod(&image))).await));
    }
    let strangers: Vec<_> = other
        .seen()
        .into_iter()
        .filter_map(|it| it.authorization)
        .collect();
    assert_eq!(
        strangers, [""; 0],
        "credentials were shown to another registry"
    );
    let own: Vec<_> = stand
        .registry
        .seen()
        .into_iter()
        .filter_map(|it| it.authorization)
        .collect();
    assert!(own.iter().any(|it| it.starts_with("Basic ")), "{own:?}");
    let cluster = own.iter().filter(|it| it.contains(TOKEN)).count();
    assert_eq!(
        cluster, 0,
        "the token of the service account was shown to a registry"
    );

    said.push_str(&stand.log());
    said.push_str(&stand.admin("/metrics").await.1);
    said.push_str(&stand.admin("/readyz").await.1);
    let encoded: Vec<_> = own.iter().filter_map(|it| it.split(' ').nth(1)).collect();
    assert!(said.contains("vault"), "nothing was logged that could leak");
    for secret in [word, TOKEN].into_iter().chain(encoded) {
        assert!(!said.contains(secret), "{secret} leaks");
    }
}

#[tokio::test]
async fn pull_secrets_that_cannot_be_read_keep_it_from_starting_and_are_not_shown() {
    let mut setup = Setup::ordinary(json!({})).await;
    let text = r#"{"auths": {"registry.example": {"auth": "not base64: hunter2"}}}"#;
    setup.folder.write("secrets/shop/.dockerconfigjson", text);
    let folder = setup.folder.path("secrets");
    setup.set("HOSTFIT_REGISTRY_CREDENTIALS_DIR", folder);
    let log = setup.refused().await;
    assert!(log.contains("pull secret 1"), "{log}");
    assert!(!log.contains("hunter2"), "{log}");
}

#[tokio::test]
async fn a_base_image_that_the_cluster_follows_proves_what_stands_on_it() {
    let setup = Setup::ordinary(json!({"mode": "Enforce"})).await;
    let base = Image::default();
    let mut object = named(
        "ubi10",
        json!({"repository": "registry.example/ubi10", "tags": ["10.0"]}),
    );
    object["status"] = json!({"chains": [{
        "tag": "10.0", "digest": format!("sha256:{}", "b".repeat(64)), "platform": "linux/amd64",
        "topChainID": base.diff_ids[0], "layers": 1, "distro": "rhel", "distroVersion": "10.0",
        "firstSeen": "2026-01-01T00:00:00Z",
    }]});
    setup.cluster.put(Kind::BaseImage, object.clone());
    let stand = setup.ready().await;
    let mut derived = base.clone();
    derived
        .diff_ids
        .push(hostfit_tests::registry::digest(b"own layer"));
    derived.layer_sizes.push(5);
    stand.registry.push("app", "1", &derived);
    let image = stand.image("app:1");
    assert_eq!(stand.judge(pod(&image)).await, "Fail HF101: refused HF101");
    let denial = stand.validate(create(pod(&image))).await;
    let expected = "container web needs CPU level x86-64-v3 (rhel 10.0); el9 (2 nodes) has v2.";
    assert!(denial.denial().contains(expected), "{}", denial.denial());

    // What is only guessed of the base refuses nobody.
    let mut guessed = object;
    guessed["status"]["chains"][0]["distroGuessed"] = json!(true);
    stand.cluster.put(Kind::BaseImage, guessed);
    let weaker = async || stand.judge(pod(&image)).await == "Warn HF101: warned HF101";
    stand.until("the guess is taken for one", weaker).await;

    stand.cluster.delete(Kind::BaseImage, "ubi10");
    let forgotten = async || stand.judge(pod(&image)).await == "Unknown HF903: warned HF903";
    stand.until("the base is forgotten", forgotten).await;
}

/// The profile of an image whose files say that they are RHEL 10, for a CPU that the nodes have not.
fn profile_of(digest: &str) -> serde_json::Value {
    let short: String = digest["sha256:".len()..].chars().take(12).collect();
    let files = json!({
        "distro": {"value": "rhel 10.0", "from": "usr/lib/os-release"},
        "libc": {"name": "glibc", "version": "2.39", "cpuLevel": 3, "from": "usr/lib64/libc.so.6"},
        "program": {"path": "usr/bin/app"},
    });
    let platform = json!({
        "platform": "linux/amd64", "manifest": digest, "manifestSize": 1000,
        "evidence": "config", "config": {}, "files": files,
    });
    json!({
        "metadata": {"name": short},
        "spec": {"repository": "elsewhere.example/app", "digest": digest},
        "status": {"readBy": READ_BY, "platforms": [platform]},
    })
}

#[tokio::test]
async fn what_the_operator_learned_of_the_layers_decides() {
    let setup = Setup::ordinary(json!({"mode": "Enforce"})).await;
    let (early, late) = (fitting(), fitting().label("late", "yes"));
    setup.registry.push("early", "1", &early);
    setup.registry.push("late", "1", &late);
    let known = digest(&early.manifest_bytes());
    setup.cluster.put(Kind::ImageProfile, profile_of(&known));
    let stand = setup.ready().await;
    let judge = async |name: &str| stand.judge(pod(&stand.image(name))).await;
    // It costs one request to see that the reference leads there, and no config.
    let refused = "Fail HF101: refused HF101";
    assert_eq!(judge("early:1").await, refused);
    assert_eq!(stand.registry.take().len(), 1);
    // Until the operator has read the layers, the config is all there is.
    assert_eq!(judge("late:1").await, "Pass -: let in");
    let known = digest(&late.manifest_bytes());
    stand.cluster.put(Kind::ImageProfile, profile_of(&known));
    stand
        .until("the profile is used", async || {
            judge("late:1").await == refused
        })
        .await;
    // A profile lets nobody see an image that his credentials do not lead to.
    stand.registry.take();
    assert_eq!(
        judge("evil/401-always:1").await,
        "Unknown HF901: warned HF901"
    );
    assert!(!stand.log().contains("panicked"), "{}", stand.log());
}

#[tokio::test]
async fn a_profile_that_is_damaged_or_of_another_version_is_as_none() {
    let setup = Setup::ordinary(json!({"mode": "Enforce"})).await;
    setup.registry.push("app", "1", &fitting());
    let known = digest(&fitting().manifest_bytes());
    let stand = setup.ready().await;
    for (path, value) in [
        ("/status/readBy", json!("0")),
        ("/status/platforms/0/files/libc/name", json!("bionic")),
        ("/status/platforms/0/manifest", json!("sha256:x")),
        ("/status/platforms", json!("none")),
        ("/spec/digest", json!(digest(b"another"))),
    ] {
        let mut profile = profile_of(&known);
        *profile.pointer_mut(path).unwrap() = value;
        stand.cluster.put(Kind::ImageProfile, profile);
        tokio::time::sleep(Duration::from_millis(500)).await;
        let judged = stand.judge(pod(&stand.image("app:1"))).await;
        assert_eq!(judged, "Pass -: let in", "{path}");
    }
    assert!(!stand.log().contains("panicked"), "{}", stand.log());
}
