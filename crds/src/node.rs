//! Node → facts, each with its source, and the class of nodes that offer the same. Labels of node-feature-discovery and
//! GPU feature discovery add what the node's own status does not tell.

use std::collections::BTreeMap;

use hostfit_engine::distribution::Distribution;
use hostfit_engine::host::{HostFact, HostFacts, Runtime, Selinux};
use hostfit_engine::version::{DottedVersion, KernelVersion};
use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt;

use crate::{host_facts, names};

mod os_image;

/// Where a fact was read.
const NODE_STATUS: &str = "NodeStatus";
const NODE_LABELS: &str = "NodeLabels";
const NODE_FEATURE: &str = "NodeFeature";
const GPU_LABELS: &str = "GPULabels";

/// What one node tells of itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observed {
    /// What the node offers.
    pub facts: HostFacts,
    /// Where each fact was read.
    pub sources: BTreeMap<HostFact, &'static str>,
}

/// Reads a node. Nonsense is not known: it never becomes a fact.
pub fn observe(node: &Node) -> Observed {
    let mut observed = Observed::default();
    let info = node
        .status
        .as_ref()
        .and_then(|status| status.node_info.as_ref());
    if let Some(info) = info {
        let kernel = info.kernel_version.parse().ok();
        let windows = info.operating_system == "windows";
        let os = match windows {
            true => windows_release(&info.kernel_version),
            false => os_image::distribution(&info.os_image, kernel.as_ref()),
        };
        observed.os(os, NODE_STATUS);
        observed.kernel(kernel.filter(|_| !windows), NODE_STATUS);
        observed.set(
            HostFact::Architecture,
            word(&info.architecture),
            NODE_STATUS,
            |facts| &mut facts.architecture,
        );
        let runtime = runtime(&info.container_runtime_version);
        observed.set(HostFact::Runtime, runtime, NODE_STATUS, |facts| {
            &mut facts.runtime
        });
        let kubelet = numbers(&info.kubelet_version);
        observed.set(HostFact::Kubelet, kubelet, NODE_STATUS, |facts| {
            &mut facts.kubelet
        });
    }
    observed.labels(node.labels());
    observed
}

impl Observed {
    fn set<T>(
        &mut self,
        fact: HostFact,
        value: Option<T>,
        source: &'static str,
        field: fn(&mut HostFacts) -> &mut Option<T>,
    ) {
        if value.is_some() {
            *field(&mut self.facts) = value;
            self.sources.insert(fact, source);
        }
    }

    fn os(&mut self, os: Option<Distribution>, source: &'static str) {
        if os.as_ref().is_some_and(|os| !os.version().is_empty()) {
            self.sources.insert(HostFact::OsVersion, source);
        }
        self.set(HostFact::Os, os, source, |facts| &mut facts.os);
    }

    fn kernel(&mut self, kernel: Option<KernelVersion>, source: &'static str) {
        self.set(HostFact::Kernel, kernel, source, |facts| &mut facts.kernel);
    }

    fn labels(&mut self, labels: &BTreeMap<String, String>) {
        let label = |key: &str| labels.get(key).map(String::as_str);
        // The node's own status is the truth about what it carries; labels only fill its gaps.
        if self.facts.architecture.is_none() {
            let architecture = label(names::ARCHITECTURE).and_then(word);
            self.set(HostFact::Architecture, architecture, NODE_LABELS, |facts| {
                &mut facts.architecture
            });
        }
        if self.facts.kernel.is_none() && label(names::WINDOWS_BUILD).is_none() {
            let kernel = label(names::NFD_KERNEL).and_then(|text| text.parse().ok());
            self.kernel(kernel, NODE_FEATURE);
        }
        if self.facts.os.is_none() {
            let version = label(names::NFD_OS_VERSION).unwrap_or_default();
            let os = label(names::NFD_OS).map(|id| Distribution::new(id, version));
            self.os(os, NODE_FEATURE);
        }
        let level = (1..=4).rev().find(|level| {
            let key = format!("{}{level}", names::NFD_CPU_LEVEL);
            label(&key) == Some("true")
        });
        self.set(HostFact::CpuLevel, level, NODE_FEATURE, |facts| {
            &mut facts.cpu_level
        });
        // `false` also stands for permissive, so only `true` is a fact.
        let selinux = (label(names::NFD_SELINUX) == Some("true")).then_some(Selinux::Enforcing);
        self.set(HostFact::Selinux, selinux, NODE_FEATURE, |facts| {
            &mut facts.selinux
        });
        let version = |key: &str| label(key).and_then(|text| text.parse().ok());
        self.set(
            HostFact::NvidiaDriver,
            version(names::GPU_DRIVER),
            GPU_LABELS,
            |facts| &mut facts.nvidia_driver,
        );
        self.set(
            HostFact::Cuda,
            version(names::GPU_CUDA),
            GPU_LABELS,
            |facts| &mut facts.cuda,
        );
        let compute = label(names::GPU_COMPUTE_MAJOR)
            .zip(label(names::GPU_COMPUTE_MINOR))
            .and_then(|(major, minor)| format!("{major}.{minor}").parse().ok());
        self.set(HostFact::ComputeCapability, compute, GPU_LABELS, |facts| {
            &mut facts.compute_capability
        });
    }
}

/// What makes nodes the same: nodes and profiles of one class belong together. Patches of versions do not count, else
/// every security update would make a new class.
pub fn class(facts: &HostFacts) -> Vec<String> {
    let show = |value: Option<String>| value.unwrap_or_default();
    let series = |version: &Option<DottedVersion>| show(version.as_ref().map(minor));
    vec![
        show(facts.os.as_ref().map(ToString::to_string)),
        show(facts.kernel.as_ref().map(|kernel| kernel.series())),
        show(facts.architecture.clone()),
        show(facts.cpu_level.map(|level| level.to_string())),
        show(facts.cgroup.map(|version| version.to_string())),
        show(facts.selinux.map(|selinux| selinux.to_string())),
        show(facts.runtime.as_ref().map(|runtime| {
            format!(
                "{}{}",
                runtime.name,
                series(&runtime.version).replace('.', "")
            )
        })),
        series(&facts.kubelet),
        series(&facts.nvidia_driver),
        series(&facts.cuda),
        series(&facts.compute_capability),
        // What only an agent or a person tells.
        format!(
            "{:?} {:?} {} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
            facts.vsyscall,
            facts.apparmor,
            series(&facts.libseccomp),
            facts.seccomp_default,
            facts.page_size,
            facts.proc_cgroups,
            facts.fips,
            facts.ia32,
            facts.btf,
            facts.modules,
            facts.sysctls,
        ),
    ]
}

/// Major and minor number.
fn minor(version: &DottedVersion) -> String {
    version
        .to_string()
        .split('.')
        .take(2)
        .collect::<Vec<_>>()
        .join(".")
}

fn word(text: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    (!text.is_empty() && text.len() <= 32 && text.chars().all(plain)).then(|| text.to_owned())
}

/// `10.0.20348.1668` is the build 10.0.20348.
fn windows_release(kernel: &str) -> Option<Distribution> {
    let build: Vec<_> = kernel.split('.').take(3).collect();
    let build = build.join(".");
    build.parse::<DottedVersion>().ok()?;
    Some(Distribution::new("windows", build))
}

/// The numbers at the start of a version, without what vendors add: `v1.34.4+k3s1`, `2.1.5-k3s1`, `1.32.6-3.rhaos4.19`.
pub(crate) fn numbers(text: &str) -> Option<DottedVersion> {
    let text = text.strip_prefix('v').unwrap_or(text);
    text.split(['-', '+', '~']).next()?.parse().ok()
}

/// `containerd://1.7.27`; the name may be anything that is harmless in a label.
fn runtime(text: &str) -> Option<Runtime> {
    let (name, _) = text.split_once("://")?;
    word(name)?;
    Some(host_facts::runtime(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn node(status: serde_json::Value, labels: serde_json::Value) -> Observed {
        let node = json!({"metadata": {"name": "n", "labels": labels}, "status": status});
        observe(&serde_json::from_value(node).unwrap())
    }

    fn info(os_image: &str, kernel: &str, runtime: &str, os: &str) -> serde_json::Value {
        json!({"nodeInfo": {
            "architecture": "amd64", "bootID": "", "containerRuntimeVersion": runtime,
            "kernelVersion": kernel, "kubeProxyVersion": "", "kubeletVersion": "v1.34.4+k3s1",
            "machineID": "", "operatingSystem": os, "osImage": os_image, "systemUUID": "",
        }})
    }

    #[test]
    fn the_status_of_a_node_tells_most() {
        let observed = node(
            info(
                "Red Hat Enterprise Linux 9.4 (Plow)",
                "5.14.0-427.el9_4.x86_64",
                "cri-o://1.29.5-3.rhaos4.16",
                "linux",
            ),
            json!({}),
        );
        let facts = observed.facts;
        assert_eq!(facts.os, Some(Distribution::new("rhel", "9.4")));
        assert_eq!(facts.kernel.unwrap().release(), "5.14.0-427.el9_4.x86_64");
        assert_eq!(facts.runtime.unwrap().to_string(), "cri-o-1.29.5");
        assert_eq!(facts.kubelet.unwrap().to_string(), "1.34.4");
        assert_eq!(facts.cpu_level, None);
        assert_eq!(
            observed.sources.get(&HostFact::OsVersion),
            Some(&NODE_STATUS)
        );
        assert_eq!(observed.sources.get(&HostFact::CpuLevel), None);
    }

    #[test]
    fn labels_add_what_the_status_does_not_tell() {
        let observed = node(
            info(
                "Ubuntu 22.04.4 LTS",
                "5.15.0-107-generic",
                "containerd://1.7.12",
                "linux",
            ),
            json!({
                "feature.node.kubernetes.io/cpu-cpuid.X86_64_V1": "true",
                "feature.node.kubernetes.io/cpu-cpuid.X86_64_V2": "true",
                "feature.node.kubernetes.io/cpu-cpuid.X86_64_V3": "true",
                "feature.node.kubernetes.io/kernel-selinux.enabled": "false",
                "feature.node.kubernetes.io/system-os_release.ID": "debian",
                "nvidia.com/cuda.driver-version.full": "535.183.01",
                "nvidia.com/cuda.runtime-version.full": "12.2",
                "nvidia.com/gpu.compute.major": "8",
                "nvidia.com/gpu.compute.minor": "0",
            }),
        );
        assert_eq!(observed.facts.cpu_level, Some(3));
        assert_eq!(observed.facts.selinux, None);
        assert_eq!(
            observed.facts.os,
            Some(Distribution::new("ubuntu", "22.04"))
        );
        assert_eq!(
            observed.facts.nvidia_driver.unwrap().to_string(),
            "535.183.1"
        );
        assert_eq!(
            observed.facts.compute_capability.unwrap().to_string(),
            "8.0"
        );
        assert_eq!(observed.sources.get(&HostFact::Cuda), Some(&GPU_LABELS));
    }

    #[test]
    fn windows_is_told_by_its_build() {
        let observed = node(
            info(
                "Windows Server 2022 Datacenter",
                "10.0.20348.1668",
                "containerd://1.7.0",
                "windows",
            ),
            json!({}),
        );
        assert_eq!(
            observed.facts.os,
            Some(Distribution::new("windows", "10.0.20348"))
        );
        assert_eq!(observed.facts.kernel, None);
    }

    #[test]
    fn nonsense_is_not_known() {
        assert_eq!(node(json!({}), json!({})), Observed::default());
        let observed = node(
            info("", "new", "docker", "linux"),
            json!({
                "nvidia.com/cuda.driver-version.full": "latest",
                "feature.node.kubernetes.io/cpu-cpuid.X86_64_V3": "maybe",
                "nvidia.com/gpu.compute.major": "8",
            }),
        );
        let known: Vec<_> = observed.sources.keys().copied().collect();
        assert_eq!(known, [HostFact::Architecture, HostFact::Kubelet]);
    }
}
