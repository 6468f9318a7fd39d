//! The cluster of the mock-ups of the product's design, judged by the judge: 38 workloads, 14 nodes in three classes and one
//! that is planned. Nothing is installed: facts come from nodes, node-feature-discovery's labels and people's overrides.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::kit::sha256;

/// A file of the release's own layout of RHEL 10, Debian 10 and so on, as layers tell it.
fn files(distro: &str, libc: Option<(&str, &str, u8)>) -> Value {
    let mut files = json!({"distro": {"from": "etc/os-release", "value": distro}});
    if let Some((name, version, level)) = libc {
        files["libc"] = json!({
            "name": name, "version": version, "cpuLevel": level, "minKernel": "3.2.0", "from": "lib64/libc.so.6",
        });
    }
    files
}

/// An image, as it is behind its digest.
struct Image {
    name: &'static str,
    files: Value,
    env: Value,
}

fn image(name: &'static str, distro: &str, env: Value) -> Image {
    let libc = match distro {
        "rhel 10.0" => Some(("glibc", "2.39", 3)),
        "debian 10" => Some(("glibc", "2.28", 1)),
        "alpine 3.22" => Some(("musl", "1.2.5", 1)),
        _ => Some(("glibc", "2.36", 1)),
    };
    Image {
        name,
        files: files(distro, libc),
        env,
    }
}

/// The images of which something is known.
fn images() -> Vec<Image> {
    let cuda = json!({"NVIDIA_REQUIRE_CUDA": "cuda>=12.8", "CUDA_VERSION": "12.8.0"});
    let java = |version: &str| json!({"JAVA_VERSION": version});
    let mut all = vec![
        image("ml/trainer:2.0", "ubuntu 24.04", cuda),
        image("shop/search:4.1", "rhel 10.0", json!({})),
        image("shop/legacy-api:0.9", "debian 10", json!({})),
        image("billing/invoice:1.9", "debian 13", java("8u342")),
        image("billing/ledger:3.2", "debian 13", java("11.0.12")),
    ];
    let fine = [
        "web", "cart", "login", "mail", "price", "stock", "tax", "user", "ship", "pay", "ads",
        "blog", "chat", "feed", "geo", "help", "i18n", "jobs", "kiosk", "logs",
    ];
    all.extend(fine.map(|name| {
        let name: &'static str = Box::leak(format!("shop/{name}:1").into_boxed_str());
        image(name, "alpine 3.22", json!({}))
    }));
    all
}

fn node(name: &str, pool: &str, os: &str, kernel: &str, level: u8, gpu: bool) -> Value {
    let mut labels: BTreeMap<String, String> = BTreeMap::new();
    labels.insert("kubernetes.io/arch".to_owned(), "amd64".to_owned());
    labels.insert("pool".to_owned(), pool.to_owned());
    for level in 1..=level {
        let label = format!("feature.node.kubernetes.io/cpu-cpuid.X86_64_V{level}");
        labels.insert(label, "true".to_owned());
    }
    let mut spec = json!({});
    if gpu {
        for (label, value) in [
            ("nvidia.com/cuda.driver-version.full", "535.183.01"),
            ("nvidia.com/cuda.runtime-version.full", "12.2"),
            ("nvidia.com/gpu.compute.major", "8"),
            ("nvidia.com/gpu.compute.minor", "0"),
        ] {
            labels.insert(label.to_owned(), value.to_owned());
        }
        spec = json!({"taints": [{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}]});
    }
    json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "spec": spec,
        "status": {"nodeInfo": {
            "architecture": "amd64", "bootID": "", "containerRuntimeVersion": "containerd://1.7.27",
            "kernelVersion": kernel, "kubeProxyVersion": "v1.34.4", "kubeletVersion": "v1.34.4", "machineID": "",
            "operatingSystem": "linux", "osImage": os, "systemUUID": "",
        }},
    })
}

/// What no node tells of itself, people state.
fn overrides(name: &str, cgroup: u8) -> Value {
    json!({
        "apiVersion": "hostfit.dev/v1alpha1", "kind": "NodeProfile", "metadata": {"name": name},
        "spec": {"overrides": {"cgroup": cgroup}},
    })
}

fn workload(namespace: &str, kind: &str, name: &str, image: &str, pod: Value) -> Value {
    let group = match kind {
        "Job" | "CronJob" => "batch/v1",
        _ => "apps/v1",
    };
    let mut spec = json!({"containers": [{"name": "web", "image": image}]});
    for (key, value) in pod.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    json!({
        "apiVersion": group, "kind": kind, "namespace": namespace, "name": name, "uid": format!("{kind}-{name}"),
        "labels": {"app": name}, "podLabels": {"app": name}, "pod": spec,
    })
}

/// The snapshot.
pub(crate) fn snapshot() -> Value {
    let registry = |name: &str| format!("registry.acme.example/{name}");
    let (mut led, mut profiles) = (Map::new(), Map::new());
    for Image { name, files, env } in images() {
        let digest = format!("sha256:{}", sha256(name.as_bytes()));
        led.insert(registry(name), json!({"digest": digest}));
        let platform = json!({
            "platform": "linux/amd64", "manifest": digest, "manifestSize": 0, "evidence": "config",
            "config": {"size": 1, "user": "1000", "env": env}, "files": files,
        });
        profiles.insert(digest, json!({"platforms": [platform], "readBy": "1"}));
    }
    led.insert(registry("shop/carts:3"), json!("unauthorized"));
    led.insert(registry("shop/report:2"), json!("nothingTells"));
    let mut nodes = Vec::new();
    let mut stated = Vec::new();
    let amzn = ("Amazon Linux 2", "5.10.245-241.976.amzn2.x86_64");
    let ubuntu20 = ("Ubuntu 20.04.6 LTS", "5.15.0-139-generic");
    let ubuntu22 = ("Ubuntu 22.04.5 LTS", "5.15.0-151-generic");
    for (many, pool, (os, kernel), level, cgroup) in [
        (9, "workers", amzn, 3, 1),
        (3, "workers", ubuntu20, 2, 1),
        (2, "gpu", ubuntu22, 3, 2),
    ] {
        for index in 1..=many {
            let name = format!("{pool}-v{level}-{index}");
            nodes.push(node(&name, pool, os, kernel, level, pool == "gpu"));
            stated.push(overrides(&name, cgroup));
        }
    }
    let workers = || json!({"nodeSelector": {"pool": "workers"}});
    let amazon = || {
        let level3 = "feature.node.kubernetes.io/cpu-cpuid.X86_64_V3";
        json!({"nodeSelector": {"pool": "workers", level3: "true"}})
    };
    let gpu = json!({
        "nodeSelector": {"pool": "gpu"}, "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
        "containers": [{
            "name": "train", "image": registry("ml/trainer:2.0"),
            "resources": {"limits": {"nvidia.com/gpu": "1"}},
        }],
    });
    let mut workloads = vec![
        workload("ml", "Job", "trainer", "", gpu),
        workload(
            "shop",
            "Deployment",
            "search",
            &registry("shop/search:4.1"),
            workers(),
        ),
        workload(
            "shop",
            "Deployment",
            "legacy-api",
            &registry("shop/legacy-api:0.9"),
            amazon(),
        ),
        workload(
            "shop",
            "StatefulSet",
            "carts",
            &registry("shop/carts:3"),
            amazon(),
        ),
        workload(
            "shop",
            "CronJob",
            "report",
            &registry("shop/report:2"),
            amazon(),
        ),
        workload(
            "billing",
            "Deployment",
            "invoice",
            &registry("billing/invoice:1.9"),
            amazon(),
        ),
        workload(
            "billing",
            "Deployment",
            "ledger",
            &registry("billing/ledger:3.2"),
            amazon(),
        ),
    ];
    let fine: Vec<_> = images().into_iter().skip(5).map(|it| it.name).collect();
    for index in 0..31 {
        let image = registry(fine[index % fine.len()]);
        workloads.push(workload(
            "team",
            "Deployment",
            &format!("app-{index:02}"),
            &image,
            amazon(),
        ));
    }
    let planned = json!({
        "apiVersion": "hostfit.dev/v1alpha1", "kind": "HostProfile", "metadata": {"name": "amzn2023-k61"},
        "spec": {
            "baselineName": "amzn2-k510",
            "facts": {
                "os": "amzn", "osVersion": "2023", "kernel": "6.1", "architecture": "amd64", "cpuLevel": 3, "cgroup": 2,
                "runtime": "containerd-1.7.27",
            },
        },
    });
    json!({
        "apiVersion": "snapshot.hostfit.dev/v1", "kind": "Snapshot", "writtenBy": "0.1.0",
        "taken": "2026-04-01T00:00:00Z", "permissions": {"used": [], "lacked": []}, "images": led,
        "profiles": profiles,
        "objects": {"nodes": nodes, "nodeProfiles": stated, "hostProfiles": [planned], "workloads": workloads},
    })
}
