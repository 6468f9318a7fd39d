//! Facts of nodes → the wanted profiles, readably named, and the wanted labels of each node.

use std::collections::{BTreeMap, BTreeSet};

use hostfit_engine::host::{HostFact, HostFacts};

use crate::names;
use crate::node::{Observed, Source, class};

/// A class of nodes, as its HostProfile is to say.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// Facts of the class. Where nodes differ in the patch of a version: the oldest.
    pub facts: HostFacts,
    /// Who told each fact: the strongest source of any node.
    pub sources: BTreeMap<HostFact, Source>,
    /// Facts that every node only claims.
    pub claimed: BTreeSet<HostFact>,
    /// How many nodes are of the class.
    pub nodes: usize,
}

/// What the cluster is to show of its nodes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// The profiles, by name.
    pub profiles: BTreeMap<String, Profile>,
    /// The labels of each node, by its name.
    pub labels: BTreeMap<String, BTreeMap<&'static str, String>>,
}

/// Groups nodes that offer the same, and names the groups. `known` are the classes that have a name already, and keep
/// it: people's rows speak of it. `taken` are names of profiles that people declared.
pub fn plan(
    nodes: &BTreeMap<String, Observed>,
    known: &BTreeMap<Vec<String>, String>,
    taken: &[String],
) -> Plan {
    let mut classes: BTreeMap<Vec<String>, (Profile, Vec<&String>)> = BTreeMap::new();
    for (node, observed) in nodes {
        let (profile, members) = classes.entry(class(&observed.facts)).or_insert_with(|| {
            let profile = Profile {
                facts: observed.facts.clone(),
                sources: observed.sources.clone(),
                claimed: observed.claimed.clone(),
                nodes: 0,
            };
            (profile, Vec::new())
        });
        oldest(&mut profile.facts, &observed.facts);
        for (fact, source) in &observed.sources {
            let strongest = profile.sources.entry(*fact).or_insert(*source);
            *strongest = (*strongest).min(*source);
        }
        // What one node proves, the others of its class do not only claim.
        profile
            .claimed
            .retain(|fact| observed.claimed.contains(fact));
        profile.nodes += 1;
        members.push(node);
    }
    let names = unique_names(&classes, known, taken);
    let mut plan = Plan::default();
    for ((profile, members), name) in classes.into_values().zip(names) {
        for node in members {
            let facts = nodes.get(node).map(|observed| &observed.facts);
            let labels = facts.map(|facts| labels(&name, facts)).unwrap_or_default();
            plan.labels.insert(node.clone(), labels);
        }
        plan.profiles.insert(name, profile);
    }
    plan
}

fn oldest(facts: &mut HostFacts, other: &HostFacts) {
    fn lower<T: Ord + Clone>(mine: &mut Option<T>, other: &Option<T>) {
        if let (Some(mine), Some(other)) = (mine, other)
            && *other < *mine
        {
            *mine = other.clone();
        }
    }
    lower(&mut facts.kernel, &other.kernel);
    lower(&mut facts.kubelet, &other.kubelet);
    lower(&mut facts.nvidia_driver, &other.nvidia_driver);
    if let (Some(mine), Some(other)) = (&mut facts.runtime, &other.runtime) {
        lower(&mut mine.version, &other.version);
    }
    // Numbers of which only some count for the class: the smallest.
    let number = |text: &String| text.parse::<u64>().ok();
    for (name, value) in &other.sysctls {
        if let Some(mine) = facts.sysctls.get_mut(name)
            && number(value) < number(mine)
        {
            mine.clone_from(value);
        }
    }
}

/// `rhel94-k514`, `ubuntu2204-gpu535`: what people would say. Where two classes would have one name, what they differ
/// in is added.
fn unique_names(
    classes: &BTreeMap<Vec<String>, (Profile, Vec<&String>)>,
    known: &BTreeMap<Vec<String>, String>,
    taken: &[String],
) -> Vec<String> {
    let short = |profile: &Profile| short_name(&profile.facts);
    // A class that has no node any more leaves its name to the next one of the same kind, for example to its own nodes when
    // more is known of them.
    let living = known
        .iter()
        .filter(|(class, _)| classes.contains_key(*class));
    let living = living.map(|(_, name)| name);
    let used: Vec<&String> = taken.iter().chain(living).collect();
    let mut names = Vec::new();
    let mut made: Vec<String> = Vec::new();
    for (key, (profile, _)) in classes {
        if let Some(name) = known.get(key).filter(|name| !taken.contains(name)) {
            names.push(name.clone());
            continue;
        }
        let mut unique = short(profile);
        let mut twins: Vec<_> = classes
            .iter()
            .filter(|(other, (profile, _))| *other != key && short(profile) == unique)
            .map(|(other, _)| other)
            .collect();
        for (part, prefix) in PARTS {
            let mine = key.get(*part).map(String::as_str).unwrap_or_default();
            if twins
                .iter()
                .any(|twin| twin.get(*part).is_none_or(|theirs| theirs != mine))
            {
                let text = if mine.is_empty() { "unknown" } else { mine };
                unique.push_str(&format!("-{prefix}{}", dns(text)));
                // Enough is said once it tells the class from all others.
                twins.retain(|twin| twin.get(*part).is_some_and(|theirs| theirs == mine));
            }
        }
        let mut name: String = unique.chars().take(LONGEST).collect();
        let mut number = 2;
        while used.contains(&&name) || made.contains(&name) {
            let suffix = format!("-{number}");
            name = unique
                .chars()
                .take(LONGEST - suffix.len())
                .chain(suffix.chars())
                .collect();
            number += 1;
        }
        made.push(name.clone());
        names.push(name);
    }
    names
}

/// A name is also the value of a label.
const LONGEST: usize = 63;

/// Parts of a class beyond the short name, with what makes them readable.
const PARTS: &[(usize, &str)] = &[
    (0, ""),
    (1, "k"),
    (2, ""),
    (3, "v"),
    (4, "cgroup"),
    (5, "selinux"),
    (6, ""),
    (7, "kubelet"),
    (8, "gpu"),
    (9, "cuda"),
    (10, "cc"),
    (11, "vsyscall"),
    (12, "apparmor"),
    (13, "libseccomp"),
    (14, "seccomp"),
    (15, "pages"),
    (16, "fips"),
    (17, "ia32"),
    (18, "btf"),
    (23, "aarch32"),
    (24, "signed"),
    (25, "iptables"),
];

fn short_name(facts: &HostFacts) -> String {
    let os = facts
        .os
        .as_ref()
        .map(|os| format!("{}{}", os.id(), os.version().replace('.', "")));
    let os = dns(&os.unwrap_or_else(|| "unknown".to_owned()));
    let last = match (&facts.nvidia_driver, &facts.kernel) {
        (Some(driver), _) => format!("-gpu{}", driver.major()),
        (None, Some(kernel)) => format!("-k{}", kernel.series().replace('.', "")),
        (None, None) => String::new(),
    };
    format!("{os}{last}")
}

/// What a name may hold: lower-case letters, digits and dashes, at most 40 of them.
fn dns(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let kept = lower
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
        .take(40);
    let kept: String = kept.collect();
    let trimmed = kept.trim_matches('-');
    if trimmed.is_empty() {
        "unknown".to_owned()
    } else {
        trimmed.to_owned()
    }
}

fn labels(profile: &str, facts: &HostFacts) -> BTreeMap<&'static str, String> {
    let os = facts.os.as_ref();
    let values = [
        (names::HOST_PROFILE, Some(profile.to_owned())),
        (names::OS, os.map(|os| os.id().to_owned())),
        (names::OS_VERSION, os.map(|os| os.version().to_owned())),
        (
            names::KERNEL,
            facts.kernel.as_ref().map(|kernel| kernel.series()),
        ),
        (
            names::KERNEL_CODE,
            facts
                .kernel
                .as_ref()
                .map(|kernel| kernel.code().to_string()),
        ),
        (
            names::CPU_LEVEL,
            facts.cpu_level.map(|level| level.to_string()),
        ),
        (
            names::CGROUP,
            facts.cgroup.map(|version| version.to_string()),
        ),
    ];
    let known = values
        .into_iter()
        .filter_map(|(key, value)| Some((key, label_value(&value?)?)));
    known.collect()
}

/// A value that Kubernetes accepts: at most 63 letters, digits, `.`, `_` and `-`, the ends being letters or digits.
fn label_value(text: &str) -> Option<String> {
    let kept = text
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
    let kept: String = kept.take(63).collect();
    let trimmed = kept.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    (!trimmed.is_empty()).then(|| trimmed.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hostfit_engine::distribution::Distribution;

    fn host(os: &str, version: &str, kernel: &str) -> HostFacts {
        HostFacts {
            os: Some(Distribution::new(os, version)),
            kernel: kernel.parse().ok(),
            architecture: Some("amd64".to_owned()),
            ..HostFacts::default()
        }
    }

    fn planned(facts: &[HostFacts], taken: &[&str]) -> Plan {
        let observed = |facts: &HostFacts| Observed {
            facts: facts.clone(),
            ..Observed::default()
        };
        let nodes = facts
            .iter()
            .enumerate()
            .map(|(i, facts)| (format!("n{i}"), observed(facts)));
        plan(
            &nodes.collect(),
            &BTreeMap::new(),
            &taken.iter().map(|t| t.to_string()).collect::<Vec<_>>(),
        )
    }

    #[track_caller]
    fn check(facts: &[HostFacts], expected: &[&str]) {
        let plan = planned(facts, &[]);
        let names: Vec<_> = plan
            .profiles
            .iter()
            .map(|(n, p)| format!("{n} {}", p.nodes))
            .collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn nodes_that_offer_the_same_are_one_profile_with_a_readable_name() {
        check(
            &[
                host("amzn", "2", "5.10.210-201.855.amzn2.x86_64"),
                host("amzn", "2", "5.10.245-1.amzn2.x86_64"),
                host("rhel", "9.4", "5.14.0-427.13.1.el9_4.x86_64"),
                HostFacts {
                    nvidia_driver: "535.183.01".parse().ok(),
                    ..host("ubuntu", "22.04", "5.15.0-1")
                },
                HostFacts::default(),
            ],
            &[
                "amzn2-k510 2",
                "rhel94-k514 1",
                "ubuntu2204-gpu535 1",
                "unknown 1",
            ],
        );
    }

    #[test]
    fn names_say_what_classes_differ_in() {
        let base = host("debian", "12", "6.1.0-21-amd64");
        check(
            &[
                base.clone(),
                HostFacts {
                    architecture: Some("arm64".to_owned()),
                    ..base.clone()
                },
            ],
            &["debian12-k61-amd64 1", "debian12-k61-arm64 1"],
        );
        check(
            &[
                HostFacts {
                    cpu_level: Some(2),
                    ..base.clone()
                },
                HostFacts {
                    cpu_level: Some(3),
                    ..base.clone()
                },
                base.clone(),
            ],
            &[
                "debian12-k61-v2 1",
                "debian12-k61-v3 1",
                "debian12-k61-vunknown 1",
            ],
        );
    }

    #[test]
    fn the_facts_of_a_class_are_those_of_its_oldest_node() {
        let plan = planned(
            &[
                host("amzn", "2", "5.10.245-1.amzn2"),
                host("amzn", "2", "5.10.210-2.amzn2"),
            ],
            &[],
        );
        let kernel = plan.profiles["amzn2-k510"].facts.kernel.as_ref().unwrap();
        assert_eq!(kernel.release(), "5.10.210-2.amzn2");
        // Labels tell what each node is.
        assert_eq!(plan.labels["n0"][names::KERNEL_CODE], "51000");
        assert_eq!(plan.labels["n1"][names::HOST_PROFILE], "amzn2-k510");
    }

    #[test]
    fn a_declared_name_is_not_taken_over() {
        let plan = planned(&[host("amzn", "2023", "6.1.97")], &["amzn2023-k61"]);
        assert_eq!(plan.profiles.keys().collect::<Vec<_>>(), ["amzn2023-k61-2"]);
    }

    #[test]
    fn a_class_keeps_its_name_when_another_one_appears() {
        let base = host("debian", "12", "6.1.0-21-amd64");
        let arm = HostFacts {
            architecture: Some("arm64".to_owned()),
            ..base.clone()
        };
        let known = [(class(&base), "debian12-k61".to_owned())].into();
        let observed = |facts: &HostFacts| Observed {
            facts: facts.clone(),
            ..Observed::default()
        };
        let nodes = [
            ("a".to_owned(), observed(&base)),
            ("b".to_owned(), observed(&arm)),
        ]
        .into();
        let plan = plan(&nodes, &known, &[]);
        assert_eq!(
            plan.profiles.keys().collect::<Vec<_>>(),
            ["debian12-k61", "debian12-k61-arm64"]
        );
    }

    #[test]
    fn a_class_that_has_no_node_leaves_its_name() {
        let before = host("debian", "12", "6.1.0-21-amd64");
        let known = [(class(&before), "debian12-k61".to_owned())].into();
        let after = HostFacts {
            cgroup: Some(2),
            ..before.clone()
        };
        let observed = |facts: &HostFacts| Observed {
            facts: facts.clone(),
            ..Observed::default()
        };
        let names = |nodes: &[(&str, &HostFacts)]| {
            let nodes = nodes.iter();
            let nodes = nodes.map(|(name, facts)| ((*name).to_owned(), observed(facts)));
            let plan = plan(&nodes.collect(), &known, &[]);
            plan.profiles.into_keys().collect::<Vec<_>>()
        };
        assert_eq!(names(&[("a", &after)]), ["debian12-k61"]);
        assert_eq!(
            names(&[("a", &after), ("b", &before)]),
            ["debian12-k61", "debian12-k61-cgroup2"]
        );
    }

    #[test]
    fn what_one_node_proves_is_not_only_claimed() {
        let observed = |source: Source, claimed: &[HostFact]| Observed {
            facts: HostFacts {
                cgroup: Some(2),
                ..host("debian", "12", "6.1.0")
            },
            sources: [(HostFact::Cgroup, source)].into(),
            claimed: claimed.iter().copied().collect(),
            ..Observed::default()
        };
        let claim = observed(Source::Agent, &[HostFact::Cgroup]);
        let proof = observed(Source::Override, &[]);
        let profile = |nodes: [&Observed; 2]| {
            let nodes = nodes.into_iter().cloned().enumerate();
            let nodes = nodes.map(|(index, node)| (format!("n{index}"), node));
            plan(&nodes.collect(), &BTreeMap::new(), &[]).profiles["debian12-k61"].clone()
        };
        assert_eq!(profile([&claim, &claim]).claimed, [HostFact::Cgroup].into());
        for nodes in [[&claim, &proof], [&proof, &claim]] {
            let profile = profile(nodes);
            assert_eq!(profile.claimed, BTreeSet::new());
            assert_eq!(profile.sources[&HostFact::Cgroup], Source::Override);
        }
    }

    #[test]
    fn labels_hold_what_kubernetes_accepts() {
        let labels = labels("p", &host("my os!", "1.0-", "6.1.0"));
        assert_eq!(labels[names::OS], "myos");
        assert_eq!(labels[names::OS_VERSION], "1.0");
        assert_eq!(labels[names::KERNEL], "6.1");
        assert!(!labels.contains_key(names::CPU_LEVEL));
    }
}
