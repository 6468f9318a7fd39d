//! Where a pod may land: the host profiles that have at least one node which admits it.

use std::collections::{BTreeMap, BTreeSet};

use crate::host::{Host, HostFacts, HostName};
use crate::runtime_class::RuntimeClasses;
use crate::workload::{Placement, Requirement, Taint, Term};

/// Label that differs on every node. It is kept beside the class of labels, not in it.
pub const HOSTNAME_LABEL: &str = "kubernetes.io/hostname";

/// The hosts, and the distinct sets of labels and taints under which their nodes can be reached.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fleet {
    hosts: Vec<Host>,
    classes: Vec<NodeClass>,
    runtime_classes: RuntimeClasses,
}

/// Nodes with the same profile, labels and taints.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeClass {
    /// Index of the host in the fleet; `None` while the operator has not yet profiled the nodes.
    pub host: Option<usize>,
    /// Labels, without the hostname.
    pub labels: BTreeMap<String, String>,
    /// Taints that keep pods away.
    pub taints: BTreeSet<Taint>,
    /// The members: name, and hostname label. Empty for a class that is only declared.
    pub nodes: Vec<(String, Option<String>)>,
}

impl Fleet {
    /// A fleet of these hosts and classes; a class that points at no host counts as not profiled.
    pub fn new(hosts: Vec<Host>, mut classes: Vec<NodeClass>) -> Self {
        for class in &mut classes {
            class.host = class.host.filter(|index| *index < hosts.len());
        }
        Self {
            hosts,
            classes,
            runtime_classes: RuntimeClasses::default(),
        }
    }

    /// Hosts of which nothing but what they offer is known: whatever asks for no label may land on each of them.
    pub fn of_hosts(hosts: Vec<Host>) -> Self {
        let class = |index| NodeClass {
            host: Some(index),
            labels: BTreeMap::new(),
            taints: BTreeSet::new(),
            nodes: Vec::new(),
        };
        let classes = (0..hosts.len()).map(class).collect();
        Self::new(hosts, classes)
    }

    /// The same fleet, in a cluster with these RuntimeClasses.
    #[must_use]
    pub fn with_runtime_classes(self, runtime_classes: RuntimeClasses) -> Self {
        Self {
            runtime_classes,
            ..self
        }
    }

    /// The RuntimeClasses of the cluster.
    pub fn runtime_classes(&self) -> &RuntimeClasses {
        &self.runtime_classes
    }

    /// Every host.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// Operating system and architecture of every host: the contents of images that are wanted.
    pub fn platforms(&self) -> BTreeSet<(String, String)> {
        let facts = self.hosts.iter().map(|host| &host.facts);
        let platform =
            |facts: &HostFacts| Some((facts.os_family()?.to_owned(), facts.architecture.clone()?));
        facts.filter_map(platform).collect()
    }

    /// The host of this name.
    pub fn host(&self, name: &HostName) -> Option<&Host> {
        self.hosts.iter().find(|host| host.name == *name)
    }

    /// Whether the placement allows the host.
    pub fn admits(&self, host: &HostName, placement: &Placement) -> bool {
        self.classes_of(host).any(|class| class.admits(placement))
    }

    /// Whether people say by labels who may land on the host, and no node is of it yet.
    pub fn is_declared(&self, host: &HostName) -> bool {
        let mut classes = self.classes_of(host).peekable();
        classes.peek().is_some() && classes.all(|class| class.nodes.is_empty())
    }

    fn classes_of<'a>(&'a self, host: &HostName) -> impl Iterator<Item = &'a NodeClass> {
        let index = self.hosts.iter().position(|it| it.name == *host);
        let classes = self.classes.iter();
        classes.filter(move |class| class.host.is_some() && class.host == index)
    }

    /// The classes of nodes that the placement allows, each with its host once it is profiled.
    pub fn admitting(&self, placement: &Placement) -> impl Iterator<Item = Admitting<'_>> {
        let classes = self.admitted(placement).into_iter();
        classes.map(|class| Admitting {
            host: class.host.and_then(|index| self.hosts.get(index)),
            labels: &class.labels,
        })
    }

    /// The classes that the placement allows, with what its RuntimeClass adds to it.
    fn admitted(&self, placement: &Placement) -> Vec<&NodeClass> {
        let placement = self.runtime_classes.applied_to(placement);
        let classes = self.classes.iter();
        classes.filter(|class| class.admits(&placement)).collect()
    }

    /// The hosts that the placement allows, in the order of the fleet.
    pub fn landing(&self, placement: &Placement) -> Landing<'_> {
        let mut admitted = BTreeSet::new();
        let mut unprofiled = false;
        for class in self.admitted(placement) {
            match class.host {
                Some(index) => {
                    admitted.insert(index);
                }
                None => unprofiled = true,
            }
        }
        Landing {
            hosts: admitted
                .iter()
                .filter_map(|index| self.hosts.get(*index))
                .collect(),
            unprofiled,
        }
    }
}

/// A class of nodes that would take a pod.
#[derive(Debug, Clone, Copy)]
pub struct Admitting<'a> {
    /// Its host; `None` while the operator has not yet profiled the nodes.
    pub host: Option<&'a Host>,
    /// Its labels, without the hostname.
    pub labels: &'a BTreeMap<String, String>,
}

/// Where one pod may land.
#[derive(Debug, Clone, PartialEq)]
pub struct Landing<'a> {
    /// The hosts.
    pub hosts: Vec<&'a Host>,
    /// Nodes without a profile would take it, too: what they are is not known yet.
    pub unprofiled: bool,
}

impl NodeClass {
    fn admits(&self, placement: &Placement) -> bool {
        if let Some(name) = &placement.node_name {
            return self.nodes.iter().any(|(node, _)| node == name);
        }
        let tolerated = |taint: &Taint| {
            placement
                .tolerations
                .iter()
                .any(|toleration| toleration.tolerates(taint))
        };
        self.taints.iter().all(tolerated) && self.selects(placement)
    }

    fn selects(&self, placement: &Placement) -> bool {
        let selector: Vec<_> = placement
            .node_selector
            .iter()
            .map(|(key, value)| Requirement {
                key: key.clone(),
                operator: crate::workload::Operator::In,
                values: vec![value.clone()],
            })
            .collect();
        let selector = Term {
            labels: selector,
            names: Vec::new(),
        };
        let terms = placement.terms.as_deref();
        if self.nodes.is_empty() {
            return terms.is_none_or(|terms| terms.iter().any(|term| self.term(term, None)))
                && self.requirements(&selector, None);
        }
        // Requirements on names can differ from node to node: one node has to fulfil them all.
        let per_node = |term: &Term| {
            !term.names.is_empty() || term.labels.iter().any(|label| label.key == HOSTNAME_LABEL)
        };
        let differs = per_node(&selector) || terms.is_some_and(|terms| terms.iter().any(per_node));
        let members = if differs {
            self.nodes.as_slice()
        } else {
            self.nodes.get(..1).unwrap_or_default()
        };
        members.iter().any(|node| {
            self.requirements(&selector, Some(node))
                && terms.is_none_or(|terms| terms.iter().any(|term| self.term(term, Some(node))))
        })
    }

    fn term(&self, term: &Term, node: Option<&(String, Option<String>)>) -> bool {
        !term.is_empty() && self.requirements(term, node)
    }

    fn requirements(&self, term: &Term, node: Option<&(String, Option<String>)>) -> bool {
        let name = node.map(|(name, _)| name.as_str());
        let hostname = node.and_then(|(_, hostname)| hostname.as_deref());
        let label = |requirement: &Requirement| match requirement.key.as_str() {
            HOSTNAME_LABEL => requirement.admits(hostname),
            key => requirement.admits(self.labels.get(key).map(String::as_str)),
        };
        term.labels.iter().all(label) && term.names.iter().all(|field| field.admits(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::{Operator, Toleration};

    fn fleet() -> Fleet {
        let host = |name: &str| Host {
            name: HostName(name.to_owned()),
            nodes: 2,
            facts: HostFacts::default(),
            claimed: BTreeSet::new(),
        };
        let class = |host: usize, pool: &str, taint: Option<&str>, nodes: &[&str]| NodeClass {
            host: Some(host),
            labels: [
                ("pool".to_owned(), pool.to_owned()),
                ("cores".to_owned(), "8".to_owned()),
            ]
            .into(),
            taints: taint
                .map(|key| Taint {
                    key: key.to_owned(),
                    value: String::new(),
                    effect: "NoSchedule".to_owned(),
                })
                .into_iter()
                .collect(),
            nodes: nodes
                .iter()
                .map(|n| (n.to_string(), Some(format!("{n}.local"))))
                .collect(),
        };
        Fleet::new(
            vec![host("old"), host("new"), host("gpu"), host("later")],
            vec![
                class(0, "old", None, &["old-1", "old-2"]),
                class(1, "new", None, &["new-1"]),
                class(2, "gpu", Some("gpu"), &["gpu-1"]),
                class(3, "later", None, &[]),
                class(9, "strange", Some("fresh"), &["fresh-1"]),
            ],
        )
    }

    #[track_caller]
    fn check(placement: &Placement, expected: &str) {
        let fleet = fleet();
        let landing = fleet.landing(placement);
        let names: Vec<_> = landing
            .hosts
            .iter()
            .map(|host| host.name.to_string())
            .collect();
        let more = if landing.unprofiled {
            " and unprofiled"
        } else {
            ""
        };
        assert_eq!(format!("{}{more}", names.join(" ")), expected);
    }

    #[test]
    fn hosts_alone_take_whatever_asks_for_no_label() {
        let all = Fleet::of_hosts(fleet().hosts().to_vec());
        let landing = all.landing(&Placement::default());
        assert_eq!(landing.hosts.len(), 4);
        assert!(!landing.unprofiled);
        let pool = affinity(vec![labels(vec![require("pool", Operator::In, &["old"])])]);
        assert!(all.landing(&pool).hosts.is_empty());
    }

    fn affinity(terms: Vec<Term>) -> Placement {
        Placement {
            terms: Some(terms),
            ..Placement::default()
        }
    }

    fn require(key: &str, operator: Operator, values: &[&str]) -> Requirement {
        Requirement {
            key: key.to_owned(),
            operator,
            values: values.iter().map(|v| v.to_string()).collect(),
        }
    }

    fn labels(requirements: Vec<Requirement>) -> Term {
        Term {
            labels: requirements,
            names: Vec::new(),
        }
    }

    fn fields(requirement: Requirement) -> Term {
        Term {
            labels: Vec::new(),
            names: vec![requirement],
        }
    }

    #[test]
    fn a_pod_lands_where_selectors_affinity_and_taints_let_it() {
        let selector = |key: &str, value: &str| Placement {
            node_selector: [(key.to_owned(), value.to_owned())].into(),
            ..Placement::default()
        };
        check(&Placement::default(), "old new later");
        check(&selector("pool", "new"), "new");
        check(&selector("pool", "gpu"), "");
        check(&selector("kubernetes.io/hostname", "old-2.local"), "old");
        check(&selector("kubernetes.io/hostname", "nobody"), "");
        check(
            &Placement {
                node_name: Some("gpu-1".to_owned()),
                ..Placement::default()
            },
            "gpu",
        );
        check(
            &Placement {
                tolerations: vec![Toleration {
                    exists: true,
                    ..Toleration::default()
                }],
                ..Placement::default()
            },
            "old new gpu later and unprofiled",
        );
        check(
            &Placement {
                tolerations: vec![Toleration {
                    key: "gpu".to_owned(),
                    ..Toleration::default()
                }],
                ..Placement::default()
            },
            "old new gpu later",
        );
    }

    #[test]
    fn one_host_is_asked_as_all_are() {
        let fleet = fleet();
        let name = |name: &str| HostName(name.to_owned());
        let new = affinity(vec![labels(vec![require("pool", Operator::In, &["new"])])]);
        let admits = |host: &str| fleet.admits(&name(host), &new);
        assert_eq!((admits("old"), admits("new")), (false, true));
        let is_declared = |host: &str| fleet.is_declared(&name(host));
        assert!(is_declared("later") && !is_declared("old"));
        // Of what is not there, and of nodes without a profile, nothing is declared.
        assert!(!is_declared("strange") && !fleet.admits(&name("strange"), &Placement::default()));
    }

    #[test]
    fn terms_are_alternatives_and_an_empty_one_matches_nothing() {
        use Operator::*;
        check(&affinity(vec![]), "");
        check(&affinity(vec![Term::default()]), "");
        check(
            &affinity(vec![labels(vec![require("pool", In, &["old", "new"])])]),
            "old new",
        );
        check(
            &affinity(vec![labels(vec![require("pool", NotIn, &["old"])])]),
            "new later",
        );
        check(
            &affinity(vec![labels(vec![require("cores", Gt, &["8"])])]),
            "",
        );
        check(
            &affinity(vec![labels(vec![require("cores", Lt, &["9"])])]),
            "old new later",
        );
        check(
            &affinity(vec![labels(vec![require("zone", DoesNotExist, &[])])]),
            "old new later",
        );
        check(
            &affinity(vec![labels(vec![require("zone", Exists, &[])])]),
            "",
        );
        check(
            &affinity(vec![
                Term::default(),
                labels(vec![
                    require("pool", In, &["new"]),
                    require("cores", In, &["8"]),
                ]),
            ]),
            "new",
        );
        check(
            &affinity(vec![fields(require("metadata.name", In, &["new-1"]))]),
            "new",
        );
        check(
            &affinity(vec![fields(require("metadata.name", NotIn, &["new-1"]))]),
            "old later",
        );
    }
}
