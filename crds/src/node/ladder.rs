//! What several sources tell of one node → one set of facts, each with its source, and where the sources differ.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use hostfit_engine::host::{HostFact, HostFacts};

/// Who told a fact, the strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// People, in spec.overrides of the NodeProfile.
    Override,
    /// The node agent.
    Agent,
    /// Objects NodeFeature of node-feature-discovery.
    NodeFeature,
    /// Status of the node.
    NodeStatus,
    /// Labels of the node: Kubernetes' own, and those of node-feature-discovery.
    NodeLabels,
    /// Labels of GPU feature discovery.
    GpuLabels,
}

impl Source {
    /// Every source.
    pub const ALL: [Self; 6] = [
        Self::Override,
        Self::Agent,
        Self::NodeFeature,
        Self::NodeStatus,
        Self::NodeLabels,
        Self::GpuLabels,
    ];

    /// The name in objects.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Override => "Override",
            Self::Agent => "Agent",
            Self::NodeFeature => "NodeFeature",
            Self::NodeStatus => "NodeStatus",
            Self::NodeLabels => "NodeLabels",
            Self::GpuLabels => "GPULabels",
        }
    }

    /// Whether the Node object itself tells it, without any other object.
    pub(crate) fn is_on_node(self) -> bool {
        match self {
            Self::NodeStatus | Self::NodeLabels | Self::GpuLabels => true,
            Self::Override | Self::Agent | Self::NodeFeature => false,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What node agents are worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agents {
    /// They are believed.
    Believed,
    /// They only fill gaps, and what only they tell is claimed.
    Claimed,
    /// None runs: what one read once does not count.
    Off,
}

/// What is known of one node.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observed {
    /// What the node offers.
    pub facts: HostFacts,
    /// Who told each fact.
    pub sources: BTreeMap<HostFact, Source>,
    /// Facts that nobody but an agent tells that is not trusted.
    pub claimed: BTreeSet<HostFact>,
    /// Where sources differ.
    pub contradictions: Vec<Contradiction>,
}

/// Two sources that do not tell the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contradiction {
    /// Of what.
    pub fact: HostFact,
    /// Whose word counts, and what it is.
    pub counts: (Source, String),
    /// The other.
    pub other: (Source, String),
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            fact,
            counts,
            other,
        } = self;
        let ((winner, value), (loser, not)) = (counts, other);
        write!(f, "{fact} is {value} ({winner}), not {not} ({loser})")
    }
}

/// The facts of a node, from what each source tells, the strongest first. An agent that only claims comes last.
pub fn settle(told: &[(Source, &HostFacts)], agents: Agents) -> Observed {
    let mut told = told.to_vec();
    let is_claim = |source: Source| source == Source::Agent && agents == Agents::Claimed;
    told.retain(|(source, _)| *source != Source::Agent || agents != Agents::Off);
    told.sort_by_key(|(source, _)| (is_claim(*source), *source));
    let mut observed = Observed::default();
    for (source, facts) in told {
        for fact in HostFact::ALL {
            observed.hear(fact, source, facts, is_claim(source));
        }
    }
    observed
}

impl Observed {
    fn hear(&mut self, fact: HostFact, source: Source, facts: &HostFacts, is_claim: bool) {
        if !facts.knows(fact) {
            return;
        }
        let Some(winner) = self.sources.get(&fact).copied() else {
            self.facts.take(fact, facts);
            if self.facts.knows(fact) {
                self.sources.insert(fact, source);
                self.claim(fact, is_claim);
            }
            return;
        };
        // Each setting is a fact of its own.
        if fact == HostFact::Sysctls {
            for (name, value) in &facts.sysctls {
                if !self.facts.sysctls.contains_key(name) {
                    self.facts.sysctls.insert(name.clone(), value.clone());
                    self.claim(fact, is_claim);
                }
            }
        }
        // People override because the others are wrong: that they differ is no news.
        if winner != Source::Override
            && !agree(fact, &self.facts, facts)
            && let (Some(mine), Some(theirs)) = (self.facts.show(fact), facts.show(fact))
        {
            self.contradictions.push(Contradiction {
                fact,
                counts: (winner, mine),
                other: (source, theirs),
            });
        }
    }

    fn claim(&mut self, fact: HostFact, is_claim: bool) {
        if is_claim {
            self.claimed.insert(fact);
        }
    }
}

/// Whether two sources tell the same, as far as both tell it.
fn agree(fact: HostFact, one: &HostFacts, other: &HostFacts) -> bool {
    match fact {
        HostFact::OsVersion => {
            let (Some(one), Some(other)) = (&one.os, &other.os) else {
                return true;
            };
            // Where the distributions differ that is told already; 15 and 15.5 may be the same release.
            one.id() != other.id()
                || one.version() == other.version()
                || one
                    .dotted()
                    .zip(other.dotted())
                    .is_some_and(|(one, other)| one.starts_with(&other) || other.starts_with(&one))
        }
        HostFact::NvidiaDriver => shorter(&one.nvidia_driver, &other.nvidia_driver),
        HostFact::Cuda => shorter(&one.cuda, &other.cuda),
        HostFact::Sysctls => {
            let mut settings = other.sysctls.iter();
            settings.all(|(name, value)| one.sysctls.get(name).is_none_or(|mine| mine == value))
        }
        fact => one.show(fact) == other.show(fact),
    }
}

fn shorter(
    one: &Option<hostfit_engine::version::DottedVersion>,
    other: &Option<hostfit_engine::version::DottedVersion>,
) -> bool {
    one.as_ref()
        .zip(other.as_ref())
        .is_none_or(|(one, other)| one.starts_with(other) || other.starts_with(one))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hostfit_engine::distribution::Distribution;

    fn told(change: impl FnOnce(&mut HostFacts)) -> HostFacts {
        let mut facts = HostFacts::default();
        change(&mut facts);
        facts
    }

    #[test]
    fn the_stronger_source_wins_whatever_the_order() {
        let people = told(|it| it.cpu_level = Some(2));
        let agent = told(|it| {
            it.cpu_level = Some(3);
            it.cgroup = Some(2);
            it.kernel = "6.1.5".parse().ok();
        });
        let node = told(|it| {
            it.kernel = "6.1.4".parse().ok();
            it.architecture = Some("amd64".to_owned());
        });
        let observed = settle(
            &[
                (Source::NodeStatus, &node),
                (Source::Agent, &agent),
                (Source::Override, &people),
            ],
            Agents::Believed,
        );
        assert_eq!(observed.facts.cpu_level, Some(2));
        assert_eq!(observed.facts.cgroup, Some(2));
        assert_eq!(observed.facts.kernel.as_ref().unwrap().release(), "6.1.5");
        assert_eq!(observed.sources[&HostFact::CpuLevel], Source::Override);
        assert_eq!(observed.sources[&HostFact::Kernel], Source::Agent);
        assert_eq!(
            observed.sources[&HostFact::Architecture],
            Source::NodeStatus
        );
        // An override says more than the others: only the kernel is contradicted.
        let words: Vec<_> = observed
            .contradictions
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(words, ["kernel is 6.1.5 (Agent), not 6.1.4 (NodeStatus)"]);
        assert!(observed.claimed.is_empty());
    }

    #[test]
    fn an_agent_that_is_not_trusted_only_fills_gaps() {
        let agent = told(|it| {
            it.kernel = "6.1.5".parse().ok();
            it.cgroup = Some(1);
            it.sysctls.insert("a".to_owned(), "1".to_owned());
        });
        let node = told(|it| it.kernel = "6.1.4".parse().ok());
        let people = told(|it| {
            it.sysctls.insert("b".to_owned(), "2".to_owned());
        });
        let told = [
            (Source::Agent, &agent),
            (Source::NodeStatus, &node),
            (Source::Override, &people),
        ];
        let observed = settle(&told, Agents::Claimed);
        assert_eq!(observed.facts.kernel.as_ref().unwrap().release(), "6.1.4");
        assert_eq!(
            observed.claimed,
            [HostFact::Cgroup, HostFact::Sysctls].into()
        );
        assert_eq!(observed.contradictions.len(), 1);
        assert_eq!(settle(&told, Agents::Believed).claimed, BTreeSet::new());
        let off = settle(&told, Agents::Off);
        assert_eq!((off.facts.cgroup, off.contradictions), (None, Vec::new()));
    }

    #[track_caller]
    fn differ(one: (&str, &str), other: (&str, &str), expected: &[&str]) {
        let of =
            |(id, version): (&str, &str)| told(|it| it.os = Some(Distribution::new(id, version)));
        let (one, other) = (of(one), of(other));
        let observed = settle(
            &[(Source::Agent, &one), (Source::NodeStatus, &other)],
            Agents::Believed,
        );
        let words = observed.contradictions.iter().map(ToString::to_string);
        assert_eq!(words.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn releases_are_compared_as_far_as_both_tell_them() {
        differ(("sles", "15.5"), ("sles", "15"), &[]);
        differ(("cos", "109"), ("cos", ""), &[]);
        differ(("arch", ""), ("arch", ""), &[]);
        differ(
            ("rhel", "9.4"),
            ("rhel", "9.6"),
            &["osVersion is 9.4 (Agent), not 9.6 (NodeStatus)"],
        );
        differ(
            ("debian", "12"),
            ("ubuntu", "22.04"),
            &["os is debian (Agent), not ubuntu (NodeStatus)"],
        );
    }

    #[test]
    fn a_release_comes_with_its_distribution() {
        let agent = told(|it| it.os = Some(Distribution::new("cos", "")));
        let node = told(|it| it.os = Some(Distribution::new("cos", "109")));
        let other = told(|it| it.os = Some(Distribution::new("debian", "12")));
        let observed = settle(
            &[(Source::Agent, &agent), (Source::NodeStatus, &node)],
            Agents::Believed,
        );
        assert_eq!(observed.facts.os, Some(Distribution::new("cos", "109")));
        let observed = settle(
            &[(Source::Agent, &agent), (Source::NodeStatus, &other)],
            Agents::Believed,
        );
        assert_eq!(observed.facts.os, Some(Distribution::new("cos", "")));
        assert_eq!(observed.sources.get(&HostFact::OsVersion), None);
    }
}
