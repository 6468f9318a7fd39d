//! What the webhook finds in its cluster: three classes of hosts, three nodes of each, one namespace, one matrix.

use hostfit_tests::cluster::{FakeCluster, Kind};
use serde_json::{Value, json};

/// Profile, name of the operating system, its release, and kernel.
const HOSTS: [(&str, &str, &str, &str); 3] = [
    (
        "rhel810-k418",
        "Red Hat Enterprise Linux 8.10 (Ootpa)",
        "8.10",
        "4.18.0-553.el8_10.x86_64",
    ),
    (
        "rhel94-k514",
        "Red Hat Enterprise Linux 9.4 (Plow)",
        "9.4",
        "5.14.0-427.13.1.el9_4.x86_64",
    ),
    (
        "rhel96-k514",
        "Red Hat Enterprise Linux 9.6 (Plow)",
        "9.6",
        "5.14.0-570.12.1.el9_6.x86_64",
    ),
];
const NODES_OF_A_HOST: usize = 3;

pub(crate) async fn start() -> FakeCluster {
    let cluster = FakeCluster::start().await;
    cluster.put(Kind::Namespace, json!({"metadata": {"name": "shop"}}));
    cluster.put(
        Kind::SupportMatrix,
        json!({"metadata": {"name": "default"}, "spec": {"mode": "Warn"}}),
    );
    for (profile, image, release, kernel) in HOSTS {
        let facts = json!({
            "os": "rhel", "osVersion": release, "kernel": kernel, "architecture": "amd64",
            "runtime": "cri-o-1.29.5", "kubelet": "1.29.5",
        });
        let status = json!({"nodes": NODES_OF_A_HOST, "facts": facts});
        cluster.put(
            Kind::HostProfile,
            json!({"metadata": {"name": profile}, "spec": {}, "status": status}),
        );
        for number in 1..=NODES_OF_A_HOST {
            cluster.put(
                Kind::Node,
                node(&format!("{profile}-{number}"), image, kernel),
            );
        }
    }
    cluster
}

fn node(name: &str, image: &str, kernel: &str) -> Value {
    let labels = json!({"kubernetes.io/hostname": name, "kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux"});
    let info = json!({
        "osImage": image, "kernelVersion": kernel, "architecture": "amd64", "operatingSystem": "linux",
        "containerRuntimeVersion": "cri-o://1.29.5", "kubeletVersion": "v1.29.5", "kubeProxyVersion": "v1.29.5",
        "bootID": "", "machineID": "", "systemUUID": "",
    });
    json!({"metadata": {"name": name, "labels": labels}, "spec": {}, "status": {"nodeInfo": info}})
}
