//! NodeFeature: what node-feature-discovery tells of a node beyond its labels. The kind is not ours, and need not be there.

use std::collections::{BTreeMap, BTreeSet};

use hostfit_engine::distribution::Distribution;
use hostfit_engine::host::{CPU_FEATURES, HostFacts, Selinux, Vsyscall};
use hostfit_engine::os_release;
use hostfit_engine::version::KernelVersion;
use kube::{CustomResource, ResourceExt};
use serde::{Deserialize, Serialize};

use super::os_image;
use crate::names;

/// What a worker of node-feature-discovery found on its node. Only what we read of it.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "nfd.k8s-sigs.io",
    version = "v1alpha1",
    kind = "NodeFeature",
    namespaced,
    schema = "disabled",
    derive = "PartialEq"
)]
pub struct NodeFeatureSpec {
    /// What was found.
    #[serde(default)]
    pub features: Features,
}

/// Features by their kind.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Features {
    /// Names that are there or not: `cpu.cpuid`, `kernel.loadedmodule`.
    #[serde(default)]
    pub flags: BTreeMap<String, Flags>,
    /// Names with values: `kernel.config`, `system.osrelease`.
    #[serde(default)]
    pub attributes: BTreeMap<String, Attributes>,
}

/// The names of one kind.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Flags {
    /// By name.
    #[serde(default)]
    pub elements: BTreeMap<String, Flag>,
}

/// Nothing: the name says it all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Flag {}

/// The values of one kind.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Attributes {
    /// By name.
    #[serde(default)]
    pub elements: BTreeMap<String, String>,
}

const CPUID: &str = "cpu.cpuid";
const LOADED: &str = "kernel.loadedmodule";
const ENABLED: &str = "kernel.enabledmodule";
const CONFIG: &str = "kernel.config";
const VERSION: &str = "kernel.version";
const SELINUX: &str = "kernel.selinux";
const OS_RELEASE: &str = "system.osrelease";

/// Every kernel that runs containers has it: a list without it is not the whole list.
const ALWAYS: &str = "NET";
const OPTIONS: [&str; 14] = [
    ALWAYS,
    "ARM64_4K_PAGES",
    "ARM64_16K_PAGES",
    "ARM64_64K_PAGES",
    "COMPAT",
    "DEBUG_INFO_BTF",
    "IA32_EMULATION",
    "X86_VSYSCALL_EMULATION",
    "SECURITY_APPARMOR",
    "IP_NF_IPTABLES",
    "IP_NF_FILTER",
    "IP_NF_NAT",
    "NF_TABLES",
    "MODULE_SIG_FORCE",
];
/// Modules that rules ask for, and the options that build them.
const MODULES: [(&str, &str); 4] = [
    ("ip_tables", "IP_NF_IPTABLES"),
    ("iptable_filter", "IP_NF_FILTER"),
    ("iptable_nat", "IP_NF_NAT"),
    ("nf_tables", "NF_TABLES"),
];
/// Flags that each level of x86-64 wants beyond the one before, in the names of node-feature-discovery.
const LEVELS: [(u8, &[&str]); 4] = [
    (1, &["SSE2"]),
    (
        2,
        &["CX16", "LAHF", "POPCNT", "SSE3", "SSSE3", "SSE4", "SSE42"],
    ),
    (
        3,
        &[
            "AVX", "AVX2", "BMI1", "BMI2", "F16C", "FMA3", "LZCNT", "MOVBE", "OSXSAVE",
        ],
    ),
    (
        4,
        &["AVX512F", "AVX512BW", "AVX512CD", "AVX512DQ", "AVX512VL"],
    ),
];
const OS_KEYS: [&str; 5] = [
    "ID",
    "VERSION_ID",
    "NAME",
    "PRETTY_NAME",
    "VERSION_CODENAME",
];

impl NodeFeature {
    /// The node that it speaks of.
    pub fn node(&self) -> Option<&str> {
        self.labels().get(names::NFD_NODE).map(String::as_str)
    }

    /// Drops what nobody reads, before it is kept: the whole is a hundred kilobytes a node.
    pub fn prune(&mut self) {
        self.metadata.annotations = None;
        self.metadata.managed_fields = None;
        self.metadata.owner_references = None;
        let Features { flags, attributes } = &mut self.spec.features;
        flags.retain(|kind, flags| {
            match kind.as_str() {
                CPUID => flags.elements.retain(|name, _| is_cpu_flag(name)),
                LOADED | ENABLED => flags
                    .elements
                    .retain(|name, _| MODULES.iter().any(|(module, _)| module == name)),
                _ => return false,
            }
            true
        });
        attributes.retain(|kind, values| {
            let kept: &[&str] = match kind.as_str() {
                CONFIG => &OPTIONS,
                VERSION => &["full"],
                SELINUX => &["enabled"],
                OS_RELEASE => &OS_KEYS,
                _ => return false,
            };
            values
                .elements
                .retain(|name, _| kept.contains(&name.as_str()));
            true
        });
    }
}

fn is_cpu_flag(name: &str) -> bool {
    name.starts_with("X86_64_V")
        || feature(name).is_some()
        || LEVELS.iter().any(|(_, flags)| flags.contains(&name))
}

/// The facts that all objects of one node tell. What of them speaks first, of the same, is the one with the node's name.
pub(super) fn facts(all: &[&NodeFeature], kernel: Option<&KernelVersion>) -> HostFacts {
    let mut all = all.to_vec();
    all.sort_by_key(|one| {
        let name = one.name_any();
        (one.node() != Some(name.as_str()), one.namespace(), name)
    });
    let value = |kind: &str, name: &str| {
        let mut kinds = all
            .iter()
            .filter_map(|it| it.spec.features.attributes.get(kind));
        kinds
            .find_map(|values| values.elements.get(name))
            .map(String::as_str)
    };
    let flag = |kind: &str, name: &str| {
        let mut kinds = all.iter().filter_map(|it| it.spec.features.flags.get(kind));
        kinds.any(|flags| flags.elements.contains_key(name))
    };
    let option = |name: &str| value(CONFIG, name);
    let is_whole = option(ALWAYS).is_some();
    // An option that is absent is off, if the list is whole; one that is on may still be off by the command line.
    let never = |name: &str| is_whole && option(name).is_none();
    let told_kernel = value(VERSION, "full").and_then(|text| text.parse().ok());
    let os = os(&value).map(|os| os_image::canonical(os, told_kernel.as_ref().or(kernel)));
    let is_amd64 = level(&flag).is_some();
    let is_arm64 = page_size(&option).is_some();
    HostFacts {
        os,
        kernel: told_kernel,
        cpu_level: level(&flag),
        cpu_features: cpu_features(&all, is_amd64 || is_arm64),
        // `false` also stands for permissive, so only `true` is a fact.
        selinux: (value(SELINUX, "enabled") == Some("true")).then_some(Selinux::Enforcing),
        apparmor: never("SECURITY_APPARMOR").then_some(false),
        vsyscall: (is_amd64 && never("X86_VSYSCALL_EMULATION")).then_some(Vsyscall::None),
        ia32: (is_amd64 && never("IA32_EMULATION")).then_some(false),
        aarch32: (is_arm64 && never("COMPAT")).then_some(false),
        // Not forced by how it was built, it may be so by its command line.
        signed_modules: (option("MODULE_SIG_FORCE") == Some("y")).then_some(true),
        btf: is_whole.then(|| option("DEBUG_INFO_BTF") == Some("y")),
        page_size: page_size(&option),
        modules: is_whole.then(|| modules(&option, &flag)).flatten(),
        ..HostFacts::default()
    }
}

fn os<'a>(value: &impl Fn(&str, &str) -> Option<&'a str>) -> Option<Distribution> {
    let line = |key: &&str| {
        let value = value(OS_RELEASE, key)?.trim_matches('"');
        Some(format!("{key}=\"{value}\"\n"))
    };
    let text: String = OS_KEYS.iter().filter_map(line).collect();
    let read = |path: &str| (path == "etc/os-release").then_some(text.as_str());
    os_release::identify(read).map(|(os, _)| os)
}

/// The highest level whose flags, and those of all levels below, are there; newer versions tell the level itself.
fn level(flag: &impl Fn(&str, &str) -> bool) -> Option<u8> {
    let told = (1..=4_u8)
        .rev()
        .find(|level| flag(CPUID, &format!("X86_64_V{level}")));
    let has = |(_, flags): &&(u8, &[&str])| flags.iter().all(|name| flag(CPUID, name));
    told.or_else(|| {
        LEVELS
            .iter()
            .take_while(has)
            .last()
            .map(|(level, _)| *level)
    })
}

/// A feature that rules ask for, in the kernel's names, by that of node-feature-discovery: the kernel's in capitals.
fn feature(name: &str) -> Option<&'static str> {
    let mut asked = CPU_FEATURES.iter();
    asked.find(|it| it.eq_ignore_ascii_case(name)).copied()
}

/// Those of them that are there, if flags of a CPU are told at all.
fn cpu_features(all: &[&NodeFeature], has_some: bool) -> Option<BTreeSet<String>> {
    let flags = all
        .iter()
        .filter_map(|it| it.spec.features.flags.get(CPUID));
    let names: Vec<_> = flags.flat_map(|flags| flags.elements.keys()).collect();
    let is_told = has_some && !names.is_empty();
    let features = names.into_iter().filter_map(|name| feature(name));
    is_told.then(|| features.map(str::to_owned).collect())
}

fn page_size<'a>(option: &impl Fn(&str) -> Option<&'a str>) -> Option<u32> {
    let sizes = [
        ("ARM64_4K_PAGES", 4096),
        ("ARM64_16K_PAGES", 16384),
        ("ARM64_64K_PAGES", 65536),
    ];
    let mut set = sizes.iter().filter(|(name, _)| option(name) == Some("y"));
    set.next().map(|(_, size)| *size)
}

/// Which of the modules are there; nothing as long as one of them could be: a module that is not loaded may lie ready.
fn modules<'a>(
    option: &impl Fn(&str) -> Option<&'a str>,
    flag: &impl Fn(&str, &str) -> bool,
) -> Option<BTreeSet<String>> {
    let mut there = BTreeSet::new();
    for (module, built_by) in MODULES {
        let is_there = flag(LOADED, module) || flag(ENABLED, module);
        match option(built_by) {
            Some("y") => {}
            Some(_) if is_there => {}
            Some(_) => return None,
            None if is_there => {}
            None => continue,
        }
        there.insert(module.to_owned());
    }
    Some(there)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hostfit_engine::host::HostFact;
    use serde_json::{Value, json};

    fn feature(name: &str, flags: Value, attributes: Value) -> NodeFeature {
        let wrap = |it: Value| -> Value {
            let kinds = it.as_object().unwrap().iter();
            kinds
                .map(|(kind, elements)| (kind.clone(), json!({"elements": elements})))
                .collect()
        };
        serde_json::from_value(json!({
            "apiVersion": "nfd.k8s-sigs.io/v1alpha1", "kind": "NodeFeature",
            "metadata": {"name": name, "namespace": "nfd", "labels": {"nfd.node.kubernetes.io/node-name": "n"},
                         "annotations": {"big": "x"}},
            "spec": {"labels": {"a": "b"}, "features": {
                "flags": wrap(flags), "attributes": wrap(attributes),
                "instances": {"pci.device": {"elements": [{"attributes": {"class": "0200"}}]}}}},
        }))
        .unwrap()
    }

    fn flags(names: &[&str]) -> Value {
        names
            .iter()
            .map(|name| ((*name).to_owned(), json!({})))
            .collect()
    }

    fn of(one: &NodeFeature) -> HostFacts {
        facts(&[one], None)
    }

    const V2: [&str; 8] = [
        "SSE2", "CX16", "LAHF", "POPCNT", "SSE3", "SSSE3", "SSE4", "SSE42",
    ];

    #[test]
    fn a_feature_tells_more_than_labels_and_loses_nothing_by_pruning() {
        let mut whole = feature(
            "n",
            json!({
                "cpu.cpuid": flags(&[&V2[..], &["VMX"]].concat()),
                "kernel.loadedmodule": flags(&["ip_tables", "iptable_nat", "overlay"]),
            }),
            json!({
                "kernel.config": {"NET": "y", "DEBUG_INFO_BTF": "y", "IP_NF_IPTABLES": "m", "IP_NF_NAT": "m",
                                  "SECURITY_APPARMOR": "y", "IA32_EMULATION": "y", "HZ": "250"},
                "kernel.version": {"full": "5.14.0-427.el9_4.x86_64", "major": "5"},
                "kernel.selinux": {"enabled": "true"},
                "system.osrelease": {"ID": "rhcos", "VERSION_ID": "4.16", "NAME": "Red Hat Enterprise Linux CoreOS"},
                "cpu.model": {"vendor_id": "Intel"},
            }),
        );
        let before = of(&whole);
        whole.prune();
        assert_eq!(of(&whole), before);
        let kept = serde_json::to_string(&whole).unwrap();
        for word in ["VMX", "overlay", "HZ", "major", "Intel", "big"] {
            assert!(!kept.contains(word), "{word} is kept");
        }
        assert_eq!(whole.node(), Some("n"));
        assert_eq!(before.os, Some(Distribution::new("rhel", "9.4")));
        assert_eq!(before.kernel.unwrap().release(), "5.14.0-427.el9_4.x86_64");
        assert_eq!(before.cpu_level, Some(2));
        assert_eq!(before.selinux, Some(Selinux::Enforcing));
        assert_eq!(before.btf, Some(true));
        assert_eq!(before.vsyscall, Some(Vsyscall::None));
        // On, but the command line may say otherwise.
        assert_eq!((before.ia32, before.apparmor), (None, None));
        let modules = before.modules.unwrap();
        assert_eq!(
            modules.iter().collect::<Vec<_>>(),
            ["ip_tables", "iptable_nat"]
        );
    }

    #[test]
    fn a_list_that_is_not_whole_tells_of_nothing_that_it_is_missing() {
        let part = feature("n", json!({}), json!({"kernel.config": {"HZ": "250"}}));
        assert_eq!(of(&part), HostFacts::default());
        let ready = json!({"kernel.config": {"NET": "y", "NF_TABLES": "m"}});
        let ready = of(&feature("n", json!({}), ready));
        assert_eq!(ready.modules, None, "nf_tables may lie ready");
        assert_eq!(ready.btf, Some(false));
        assert_eq!(ready.vsyscall, None, "it is no amd64");
    }

    #[test]
    fn features_of_the_cpu_and_what_the_kernel_was_built_without_are_told() {
        let told = |names: &[&str], config: Value| {
            let config = json!({"kernel.config": config});
            of(&feature("n", json!({"cpu.cpuid": flags(names)}), config))
        };
        let features = |facts: &HostFacts| facts.show(HostFact::CpuFeatures);
        let with = told(&["SSE2", "AVX", "AVX2"], json!({"NET": "y"}));
        assert_eq!(features(&with).as_deref(), Some("avx"));
        assert_eq!((with.aarch32, with.signed_modules), (None, None));
        let without = told(&["SSE2"], json!({}));
        assert_eq!(features(&without).as_deref(), Some(""));
        let arm = json!({"NET": "y", "ARM64_64K_PAGES": "y", "MODULE_SIG_FORCE": "y"});
        let arm = told(&["FPHP", "ASIMDDP", "AES"], arm);
        assert_eq!(features(&arm).as_deref(), Some("asimddp fphp"));
        assert_eq!((arm.aarch32, arm.signed_modules), (Some(false), Some(true)));
        let compatible = json!({"NET": "y", "ARM64_4K_PAGES": "y", "COMPAT": "y"});
        assert_eq!(told(&["FPHP"], compatible).aarch32, None);
    }

    #[track_caller]
    fn check(names: &[&str], expected: Option<u8>) {
        let cpu = json!({"cpu.cpuid": flags(names)});
        assert_eq!(of(&feature("n", cpu, json!({}))).cpu_level, expected);
    }

    #[test]
    fn the_level_is_told_or_follows_from_the_flags() {
        check(&["ASIMD"], None);
        check(&["SSE2"], Some(1));
        check(&V2, Some(2));
        check(&[&V2[..], &["AVX2"]].concat(), Some(2));
        check(&[&V2[..], LEVELS[2].1].concat(), Some(3));
        check(&["X86_64_V1", "X86_64_V2", "X86_64_V3"], Some(3));
    }

    #[test]
    fn of_several_objects_that_of_the_worker_speaks_first() {
        let version = |full: &str| json!({"kernel.version": {"full": full}});
        let own = feature("n", json!({}), version("6.1.1"));
        let other = feature(
            "a-vendor",
            json!({"cpu.cpuid": flags(&["SSE2"])}),
            version("6.1.2"),
        );
        let both = facts(&[&other, &own], None);
        assert_eq!(both.kernel.unwrap().release(), "6.1.1");
        assert_eq!(both.cpu_level, Some(1));
    }
}
