//! What the product's design shows of refusals, warnings and events: its situations, in our words.

use hostfit_tests::cluster::Kind;
use hostfit_tests::registry::{Guard, Image, digest};
use serde_json::{Value, json};

use super::review::{create, create_other, pod};
use super::stand::{Setup, named, namespace, node, profile};

/// The cluster of the design: GPU nodes with an old driver, workers of two kinds.
async fn acme(mode: &str) -> Setup {
    let setup = Setup::ordinary(json!({"mode": mode})).await;
    setup
        .cluster
        .put(Kind::Namespace, namespace("ml", &json!({})));
    let gpu = json!({
        "os": "ubuntu", "osVersion": "22.04", "kernel": "5.15.0-151-generic", "architecture": "amd64", "cpuLevel": 3,
        "nvidiaDriver": "535.183.01", "cuda": "12.2",
    });
    let old = json!({
        "os": "ubuntu", "osVersion": "24.04", "kernel": "5.15.0-139-generic", "architecture": "amd64", "cpuLevel": 2,
    });
    let new = json!({
        "os": "amzn", "osVersion": "2023", "kernel": "6.1.102-108.177.amzn2023.x86_64", "architecture": "amd64", "cpuLevel": 3,
    });
    for (name, facts, pool, nodes) in [
        ("ubuntu2204-gpu535", gpu, "gpu", 2),
        ("ubuntu2404-k515", old, "workers", 3),
        ("amzn2023-k61", new, "workers", 9),
    ] {
        for index in 1..=nodes {
            let mut node = node(&format!("{name}-{index}"), &facts);
            node["metadata"]["labels"]["pool"] = json!(pool);
            if pool == "gpu" {
                node["metadata"]["labels"]["nvidia.com/cuda.driver-version.full"] =
                    json!("535.183.01");
                node["metadata"]["labels"]["nvidia.com/cuda.runtime-version.full"] = json!("12.2");
            }
            setup.cluster.put(Kind::Node, node);
        }
        setup.cluster.put(Kind::HostProfile, profile(name, facts));
    }
    setup
}

fn workload(kind: &str, name: &str, image: &str, pool: &str) -> Value {
    let template = json!({"spec": {
        "nodeSelector": {"pool": pool}, "containers": [{"name": "web", "image": image}],
    }});
    json!({"kind": kind, "metadata": {"name": name, "namespace": "shop"}, "spec": {"template": template}})
}

#[tokio::test]
async fn a_pod_for_a_newer_driver_than_there_is_refused() {
    let stand = acme("Enforce").await.ready().await;
    let trainer = Image {
        env: vec![
            "NVIDIA_REQUIRE_CUDA=cuda>=12.8".to_owned(),
            "CUDA_VERSION=12.8.0".to_owned(),
        ],
        ..Image::default()
    };
    let trainer = trainer.label("org.opencontainers.image.base.name", "ubuntu:24.04");
    stand.registry.push("ml/trainer", "2.0", &trainer);
    let mut pod = pod(&stand.image("ml/trainer:2.0"));
    pod["metadata"]["namespace"] = json!("ml");
    pod["metadata"]["name"] = json!("trainer-x7k2p");
    pod["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "batch/v1", "kind": "Job", "name": "trainer", "uid": "1", "controller": true,
    }]);
    pod["spec"]["nodeSelector"] = json!({"pool": "gpu"});
    pod["spec"]["containers"][0]["name"] = json!("train");
    let mut request = create(pod);
    request["name"] = json!("trainer-x7k2p");
    let answer = stand.validate(request).await;
    assert_eq!(
        answer.denial(),
        "pod ml/trainer-x7k2p does not fit the one host profile that it may land on. HF401\n  \
         HF401 container train demands cuda>=12.8 of the NVIDIA driver; ubuntu2204-gpu535 (2 nodes) has driver 535.183.1, CUDA up to 12.2.\n        \
         fix: use an image for an older CUDA, or nodes with a newer driver.\n  \
         more: kubectl describe compat -n ml job-trainer  |  https://hostfit.dev/c/HF401"
    );
    let cause = &answer.status["details"]["causes"][0];
    assert_eq!(cause["field"], "spec.containers[train].image");
}

/// What proves that an image of the kit's layer stands on RHEL 10.
fn ubi10() -> Value {
    let mut base = named(
        "ubi10",
        json!({"repository": "registry.example/ubi10", "tags": ["10.0"]}),
    );
    base["status"] = json!({"chains": [{
        "tag": "10.0", "digest": digest(b"ubi10"), "platform": "linux/amd64", "topChainID": digest(b"layer"), "layers": 1,
        "distro": "rhel", "distroVersion": "10.0", "firstSeen": "2026-01-01T00:00:00Z",
    }]});
    base
}

#[tokio::test]
async fn templates_are_warned_of_by_workload_host_and_code() {
    let setup = acme("Warn").await;
    setup.cluster.put(Kind::BaseImage, ubi10());
    let stand = setup.ready().await;
    let search = Image {
        diff_ids: vec![digest(b"layer"), digest(b"own")],
        layer_sizes: vec![1_000, 5],
        ..Image::default()
    };
    let legacy = Image {
        diff_ids: vec![digest(b"debian")],
        ..Image::default()
    };
    let legacy = legacy.label("org.opencontainers.image.base.name", "debian:10");
    stand.registry.push("shop/search", "4.1", &search);
    stand.registry.push("shop/legacy-api", "0.9", &legacy);
    let guard = Guard::Basic("somebody:else".to_owned());
    stand.registry.guard("shop/carts", guard);
    let registry = stand.registry.host();
    for (resource, kind, name, image, warned) in [
        (
            "deployments",
            "Deployment",
            "search",
            "shop/search:4.1",
            "shop/Deployment/search: container web needs CPU level x86-64-v3 (rhel 10.0); ubuntu2404-k515 (3 nodes) has v2. HF101",
        ),
        (
            "deployments",
            "Deployment",
            "legacy-api",
            "shop/legacy-api:0.9",
            "shop/Deployment/legacy-api: container web stands on debian 10, past its end of support (2022-09-10). HF501",
        ),
        (
            "statefulsets",
            "StatefulSet",
            "carts",
            "shop/carts:3",
            &format!(
                "shop/StatefulSet/carts: container web not checked: registry {registry} refused access. HF901"
            ),
        ),
    ] {
        let object = workload(kind, name, &stand.image(image), "workers");
        let answer = stand
            .validate(create_other(("apps", resource), object))
            .await;
        assert_eq!(answer.warnings, [warned]);
    }
    let mut many = workload("Deployment", "many", "", "workers");
    let ended = [
        "debian:9",
        "debian:10",
        "ubuntu:16.04",
        "ubuntu:18.04",
        "alpine:3.10",
        "alpine:3.11",
        "alpine:3.12",
        "alpine:3.13",
    ];
    let containers = ended.map(|base| {
        let image = Image {
            diff_ids: vec![digest(base.as_bytes())],
            ..Image::default()
        };
        let image = image.label("org.opencontainers.image.base.name", base);
        let name = base.replace([':', '.'], "-");
        stand.registry.push(&name, "1", &image);
        json!({"name": name, "image": stand.image(&format!("{name}:1"))})
    });
    many["spec"]["template"]["spec"]["containers"] = json!(containers);
    let answer = stand
        .validate(create_other(("apps", "deployments"), many))
        .await;
    assert_eq!(answer.warnings.len(), 6, "{:?}", answer.warnings);
    let last = answer.warnings.last().map(String::as_str);
    let more = "hostfit: 3 more findings: kubectl describe compat -n shop deploy-many";
    assert_eq!(last, Some(more));
}
