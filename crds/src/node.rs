//! Node, NodeProfile and NodeFeatures → facts, each with its source, and the class of nodes that offer the same.

use std::collections::BTreeMap;

use hostfit_engine::distribution::Distribution;
use hostfit_engine::host::{AVX, HostFact, HostFacts, Runtime, Selinux};
use hostfit_engine::version::DottedVersion;
use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt;

use crate::{NodeProfile, host_facts, names};

pub mod features;
mod ladder;
mod os_image;

pub use features::NodeFeature;
pub use ladder::{Agents, Contradiction, Observed, Source, settle};
pub(crate) use os_image::canonical;

/// What the operator knows of a node: from its Node, its NodeProfile and its NodeFeatures. An override that cannot be read
/// is left out: [`NodeProfile::overrides`] says why.
pub fn observe(
    node: &Node,
    profile: Option<&NodeProfile>,
    features: &[&NodeFeature],
    agents: Agents,
) -> Observed {
    let own = own_facts(node);
    let kernel = own.iter().find_map(|(_, facts)| facts.kernel.as_ref());
    let mut told: Vec<(Source, &HostFacts)> =
        own.iter().map(|(source, facts)| (*source, facts)).collect();
    let features = features::facts(features, kernel);
    told.push((Source::NodeFeature, &features));
    let agent = profile.and_then(|profile| profile.agent_facts(kernel));
    let agent_kernel = agent.as_ref().and_then(|facts| facts.kernel.as_ref());
    // Another kernel has started since the agent looked: what it read is of the time before.
    let old = agent_kernel.zip(kernel).filter(|(old, now)| old != now);
    if old.is_none() {
        told.extend(agent.iter().map(|facts| (Source::Agent, facts)));
    }
    let mut below = settle(&told, agents);
    let outdated = old
        .filter(|_| agents != Agents::Off)
        .map(|(old, now)| Contradiction {
            fact: HostFact::Kernel,
            counts: (Source::NodeStatus, now.to_string()),
            other: (Source::Agent, old.to_string()),
        });
    let overrides = profile.and_then(|profile| profile.overrides(&below.facts).ok());
    let Some(overrides) = overrides.filter(|facts| *facts != HostFacts::default()) else {
        below.contradictions.extend(outdated);
        return below;
    };
    told.push((Source::Override, &overrides));
    let mut observed = settle(&told, agents);
    observed.contradictions.extend(outdated);
    // Where only the release is overridden, the distribution is still the others' word.
    let written = profile.and_then(|profile| profile.spec.overrides.as_ref());
    if written.is_some_and(|written| written.os.is_none())
        && let Some(source) = below.sources.get(&HostFact::Os)
    {
        observed.sources.insert(HostFact::Os, *source);
    }
    observed
}

/// What a node offers, for whoever reads what the operator found instead of finding it: the Node itself, and of its
/// NodeProfile what the Node does not tell.
pub fn offered(node: &Node, profile: Option<&NodeProfile>) -> HostFacts {
    let own = own_facts(node);
    let found = profile.and_then(NodeProfile::found_elsewhere);
    let mut told: Vec<(Source, &HostFacts)> =
        own.iter().map(|(source, facts)| (*source, facts)).collect();
    told.extend(found.iter().map(|facts| (Source::Override, facts)));
    settle(&told, Agents::Believed).facts
}

/// Reads a node. Nonsense is not known: it never becomes a fact.
fn own_facts(node: &Node) -> [(Source, HostFacts); 3] {
    let labels = node.labels();
    [
        (Source::NodeStatus, status_facts(node)),
        (Source::NodeLabels, label_facts(labels)),
        (Source::GpuLabels, gpu_facts(labels)),
    ]
}

fn status_facts(node: &Node) -> HostFacts {
    let status = node.status.as_ref();
    let Some(info) = status.and_then(|status| status.node_info.as_ref()) else {
        return HostFacts::default();
    };
    let kernel = info.kernel_version.parse().ok();
    let windows = info.operating_system == "windows";
    HostFacts {
        os: match windows {
            true => windows_release(&info.kernel_version),
            false => os_image::distribution(&info.os_image, kernel.as_ref()),
        },
        kernel: kernel.filter(|_| !windows),
        architecture: word(&info.architecture),
        page_size: large_pages(&info.kernel_version),
        runtime: runtime(&info.container_runtime_version),
        kubelet: numbers(&info.kubelet_version),
        ..HostFacts::default()
    }
}

/// Kernels whose names tell the size of their pages, all for arm64: that of the Raspberry Pi 5, those of Fedora for Apple's
/// machines, and the `64k` of Red Hat's family and of Ubuntu.
fn large_pages(kernel: &str) -> Option<u32> {
    const NAMES: &[(&str, u32)] = &[
        ("+rpt-rpi-2712", 16_384),
        ("+16k", 16_384),
        ("+64k", 65_536),
        ("-64k", 65_536),
    ];
    let name = NAMES.iter().find(|(name, _)| kernel.ends_with(name));
    name.map(|(_, size)| *size)
}

fn label_facts(labels: &BTreeMap<String, String>) -> HostFacts {
    let label = |key: &str| labels.get(key).map(String::as_str);
    let kernel = label(names::NFD_KERNEL).filter(|_| label(names::WINDOWS_BUILD).is_none());
    let kernel = kernel.and_then(|text| text.parse().ok());
    let version = label(names::NFD_OS_VERSION).unwrap_or_default();
    let windows = label(names::WINDOWS_BUILD).and_then(windows_release);
    let os = windows.or_else(|| Some(Distribution::new(label(names::NFD_OS)?, version)));
    let level = (1..=4).rev().find(|level| {
        let key = format!("{}{level}", names::NFD_CPU_LEVEL);
        label(&key) == Some("true")
    });
    HostFacts {
        os: os.map(|os| os_image::canonical(os, kernel.as_ref())),
        kernel,
        architecture: label(names::ARCHITECTURE).and_then(word),
        cpu_level: level,
        // That there is no such label says nothing: which features become labels is configured.
        cpu_features: (label(names::NFD_AVX) == Some("true")).then(|| [AVX.to_owned()].into()),
        // `false` also stands for permissive, so only `true` is a fact.
        selinux: (label(names::NFD_SELINUX) == Some("true")).then_some(Selinux::Enforcing),
        ..HostFacts::default()
    }
}

fn gpu_facts(labels: &BTreeMap<String, String>) -> HostFacts {
    let label = |key: &str| labels.get(key).map(String::as_str);
    let version = |key: &str| label(key).and_then(|text| text.parse().ok());
    let compute = label(names::GPU_COMPUTE_MAJOR)
        .zip(label(names::GPU_COMPUTE_MINOR))
        .and_then(|(major, minor)| format!("{major}.{minor}").parse().ok());
    HostFacts {
        nvidia_driver: version(names::GPU_DRIVER),
        cuda: version(names::GPU_CUDA),
        compute_capability: compute,
        ..HostFacts::default()
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
        // What the Node does not tell.
        show(facts.vsyscall.map(|vsyscall| vsyscall.to_string())),
        show(facts.apparmor.map(|on| on.to_string())),
        series(&facts.libseccomp),
        show(facts.seccomp_default.map(|on| on.to_string())),
        show(facts.page_size.map(|size| size.to_string())),
        show(facts.fips.map(|on| on.to_string())),
        show(facts.ia32.map(|on| on.to_string())),
        show(facts.btf.map(|on| on.to_string())),
        show(facts.show(HostFact::ProcCgroups)),
        show(facts.show(HostFact::Modules)),
        settings(facts),
        show(facts.show(HostFact::CpuFeatures)),
        show(facts.aarch32.map(|on| on.to_string())),
        show(facts.signed_modules.map(|on| on.to_string())),
        show(facts.iptables.map(|variant| variant.to_string())),
    ]
}

/// The settings that make hosts different. What a kernel computes from the memory of its machine differs from node to
/// node: of that only counts whether it is zero.
fn settings(facts: &HostFacts) -> String {
    let setting = |(name, value): (&String, &String)| match name.as_str() {
        "user.max_user_namespaces" if value != "0" => format!("{name}=some"),
        _ => format!("{name}={value}"),
    };
    facts
        .sysctls
        .iter()
        .map(setting)
        .collect::<Vec<_>>()
        .join(" ")
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

/// `10.0.20348.1668` is the build 10.0.20348, and so is `10.0 20348 (20348.1.amd64fre.fe_release…)` of older kubelets.
fn windows_release(kernel: &str) -> Option<Distribution> {
    let build: Vec<_> = kernel.split(['.', ' ']).take(3).collect();
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
        observe(
            &serde_json::from_value(node).unwrap(),
            None,
            &[],
            Agents::Believed,
        )
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
            Some(&Source::NodeStatus)
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
        assert_eq!(observed.sources[&HostFact::CpuLevel], Source::NodeLabels);
        let words: Vec<_> = observed
            .contradictions
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            words,
            ["os is ubuntu (NodeStatus), not debian (NodeLabels)"]
        );
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
        assert_eq!(
            observed.sources.get(&HostFact::Cuda),
            Some(&Source::GpuLabels)
        );
    }

    #[test]
    fn names_and_labels_tell_a_little_of_the_machine() {
        let pages = |kernel: &str| {
            let status = info(
                "Debian GNU/Linux 12 (bookworm)",
                kernel,
                "containerd://1.7.15",
                "linux",
            );
            node(status, json!({})).facts.page_size
        };
        assert_eq!(pages("6.6.28+rpt-rpi-2712"), Some(16_384));
        assert_eq!(pages("6.6.28+rpt-rpi-v8"), None);
        // `uname -r` of public reports.
        assert_eq!(pages("5.14.0-570.73.1.el9_6.aarch64+64k"), Some(65_536));
        assert_eq!(pages("6.17.0-1014-nvidia-64k"), Some(65_536));
        assert_eq!(pages("6.14.4-400.asahi.fc41.aarch64+16k"), Some(16_384));
        assert_eq!(pages("6.14.0-1008-nvidia"), None);
        let features = |labels: serde_json::Value| {
            let status = info(
                "Ubuntu 24.04.3 LTS",
                "6.8.0-84-generic",
                "containerd://1.7.27",
                "linux",
            );
            node(status, labels).facts.show(HostFact::CpuFeatures)
        };
        let avx = json!({"feature.node.kubernetes.io/cpu-cpuid.AVX": "true"});
        assert_eq!(features(avx).as_deref(), Some("avx"));
        let other = json!({"feature.node.kubernetes.io/cpu-cpuid.AESNI": "true"});
        assert_eq!(features(other), None);
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
    fn windows_is_told_in_several_ways() {
        #[track_caller]
        fn check(kernel: &str, label: &str, expected: &str) {
            let status = info("Windows Server", kernel, "containerd://1.7.0", "windows");
            let observed = node(status, json!({"node.kubernetes.io/windows-build": label}));
            let os = observed.facts.os.map(|os| os.to_string());
            assert_eq!(os.as_deref().unwrap_or_default(), expected);
        }
        check("10.0.26100.4652", "10.0.26100", "windows 10.0.26100");
        check("10.0.17763.4131", "", "windows 10.0.17763");
        check(
            "10.0 17763 (17763.1.amd64fre.rs5_release.180914-1434)",
            "",
            "windows 10.0.17763",
        );
        check("", "10.0.20348", "windows 10.0.20348");
        check("new", "soon", "");
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

    fn with_profile(spec: serde_json::Value, agent: serde_json::Value) -> NodeProfile {
        serde_json::from_value(json!({
            "apiVersion": "hostfit.dev/v1alpha1", "kind": "NodeProfile", "metadata": {"name": "n"},
            "spec": spec, "status": {"agent": {"version": "1", "facts": agent}},
        }))
        .unwrap()
    }

    fn real_node() -> Node {
        let status = info(
            "Red Hat Enterprise Linux CoreOS 416.94.202407231922-0",
            "5.14.0-427.26.1.el9_4.x86_64",
            "cri-o://1.29.5",
            "linux",
        );
        let labels = json!({"feature.node.kubernetes.io/cpu-cpuid.X86_64_V2": "true"});
        let node = json!({"metadata": {"name": "n", "labels": labels}, "status": status});
        serde_json::from_value(node).unwrap()
    }

    /// Every way of telling: who told what, in the end.
    #[track_caller]
    fn told(
        profile: &NodeProfile,
        features: &[&NodeFeature],
        expected: &[(HostFact, &str, Source)],
    ) {
        let observed = observe(&real_node(), Some(profile), features, Agents::Believed);
        for (fact, value, source) in expected {
            assert_eq!(
                observed.facts.show(*fact).as_deref(),
                Some(*value),
                "{fact}"
            );
            assert_eq!(observed.sources.get(fact), Some(source), "{fact}");
        }
    }

    #[test]
    fn overrides_come_before_the_agent_before_features_before_the_node() {
        use {HostFact as Fact, Source::*};
        let feature: features::NodeFeature = serde_json::from_value(json!({
            "apiVersion": "nfd.k8s-sigs.io/v1alpha1", "kind": "NodeFeature", "metadata": {"name": "n", "namespace": "nfd"},
            "spec": {"features": {"flags": {"cpu.cpuid": {"elements": {"X86_64_V3": {}}}},
                                  "attributes": {"kernel.config": {"elements": {"NET": "y"}}}}},
        }))
        .unwrap();
        let nobody = with_profile(json!({}), json!({}));
        told(
            &nobody,
            &[],
            &[
                (Fact::CpuLevel, "2", NodeLabels),
                (Fact::Os, "rhel", NodeStatus),
            ],
        );
        told(
            &nobody,
            &[&feature],
            &[
                (Fact::CpuLevel, "3", NodeFeature),
                (Fact::Btf, "false", NodeFeature),
            ],
        );
        let agent =
            json!({"os": "rhcos", "osVersion": "4.16", "cpuLevel": 4, "btf": true, "cgroup": 2});
        let agent = with_profile(
            json!({"overrides": {"cgroup": 1, "osVersion": "9.5"}}),
            agent,
        );
        told(
            &agent,
            &[&feature],
            &[
                (Fact::CpuLevel, "4", Agent),
                (Fact::Btf, "true", Agent),
                (Fact::Cgroup, "1", Override),
                (Fact::Os, "rhel", Agent),
                (Fact::OsVersion, "9.5", Override),
                (Fact::Kubelet, "1.34.4", NodeStatus),
            ],
        );
        // Red Hat CoreOS is the RHEL of its kernel, whoever tells it: no contradiction.
        let observed = observe(&real_node(), Some(&agent), &[], Agents::Believed);
        let words: Vec<_> = observed
            .contradictions
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(words, ["cpuLevel is 4 (Agent), not 2 (NodeLabels)"]);
    }

    #[test]
    fn an_override_that_cannot_be_read_does_not_count() {
        let profile = with_profile(
            json!({"overrides": {"kernel": "new", "cgroup": 1}}),
            json!({}),
        );
        let observed = observe(&real_node(), Some(&profile), &[], Agents::Believed);
        assert_eq!(observed.facts.cgroup, None);
        let error = profile.overrides(&observed.facts).unwrap_err();
        assert!(
            error.to_string().starts_with("facts.kernel is \"new\""),
            "{error}"
        );
    }

    #[test]
    fn what_an_agent_read_under_another_kernel_does_not_count() {
        let agent = |kernel: &str| with_profile(json!({}), json!({"kernel": kernel, "cgroup": 2}));
        let observed = |kernel: &str, agents: Agents| {
            let observed = observe(&real_node(), Some(&agent(kernel)), &[], agents);
            let words = observed.contradictions.iter().map(ToString::to_string);
            (observed.facts.cgroup, words.collect::<Vec<_>>())
        };
        let now = "5.14.0-427.26.1.el9_4.x86_64";
        assert_eq!(observed(now, Agents::Believed), (Some(2), Vec::new()));
        let words = format!("kernel is {now} (NodeStatus), not 4.18.0 (Agent)");
        assert_eq!(observed("4.18.0", Agents::Believed), (None, vec![words]));
        assert_eq!(observed("4.18.0", Agents::Off), (None, Vec::new()));
    }

    /// Operator and webhook must put a node into the same class.
    #[test]
    fn whoever_reads_a_profile_finds_the_class_that_the_operator_found() {
        for (overrides, agent, trust) in [
            (json!({}), json!({}), Agents::Believed),
            (json!({"osVersion": "9.5"}), json!({}), Agents::Believed),
            (
                json!({"os": "debian", "kernel": "6.1.0"}),
                json!({"cgroup": 2}),
                Agents::Believed,
            ),
            (
                json!({"sysctls": {"a": "1"}}),
                json!({"sysctls": {"b": "2"}, "cpuLevel": 4}),
                Agents::Believed,
            ),
            (
                json!({"sysctls": {"a": "1"}}),
                json!({"sysctls": {"b": "2"}, "cpuLevel": 4}),
                Agents::Claimed,
            ),
            (
                json!({}),
                json!({"os": "cos", "osVersion": "109", "nvidiaDriver": "535.183.01"}),
                Agents::Believed,
            ),
            (json!({}), json!({"os": "arch"}), Agents::Believed),
        ] {
            let mut profile = with_profile(json!({"overrides": overrides}), agent);
            let observed = observe(&real_node(), Some(&profile), &[], trust);
            let sources = observed.sources.iter();
            profile.status = Some(crate::NodeProfileStatus {
                facts: Some((&observed.facts).into()),
                sources: sources
                    .map(|(fact, source)| (fact.name().to_owned(), source.to_string()))
                    .collect(),
                ..Default::default()
            });
            profile.prune();
            let offered = offered(&real_node(), Some(&profile));
            assert_eq!(class(&offered), class(&observed.facts), "{overrides}");
        }
        assert_eq!(
            class(&offered(&real_node(), None)),
            class(&observe(&real_node(), None, &[], Agents::Believed).facts)
        );
    }

    #[test]
    fn what_a_kernel_computes_from_its_memory_makes_no_class() {
        let with = |users: &str, maps: &str| {
            let pairs = [
                ("user.max_user_namespaces", users),
                ("vm.max_map_count", maps),
            ];
            class(&HostFacts {
                sysctls: pairs
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .into(),
                ..HostFacts::default()
            })
        };
        assert_eq!(with("63000", "65530"), with("127000", "65530"));
        assert_ne!(with("63000", "65530"), with("0", "65530"));
        assert_ne!(with("63000", "65530"), with("63000", "262144"));
    }
}
