//! Which hosts a pod is kept away from: those that do not fit, where another one does.
//!
//! Only a definite Fail keeps a pod away, and never from a node that admits it now and may fit.

use std::collections::BTreeSet;

use crate::finding::CellVerdict;
use crate::landing::Fleet;
use crate::verdict::Judgement;
use crate::workload::{Operator, Placement, Requirement, Term};

/// Characters of the value of a label.
const LONGEST: usize = 63;

/// What is made of a pod that may land where it does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Steering {
    /// Nothing does not fit, or it is already kept away from it.
    Unneeded,
    /// It is to be kept away from the nodes that carry one of these names as their label. Not empty.
    Away(BTreeSet<String>),
    /// It would help nobody, and why.
    Impossible(&'static str),
}

/// What is to be made of a judged pod. `label` is the label of nodes that holds the name of their host.
pub fn steering(
    judgement: &Judgement,
    fleet: &Fleet,
    placement: &Placement,
    label: &str,
) -> Steering {
    let is = |wanted: CellVerdict| judgement.by_host.iter().any(|(_, worst)| *worst == wanted);
    let failing: BTreeSet<&str> = judgement
        .by_host
        .iter()
        .filter(|(_, worst)| *worst == CellVerdict::Fail)
        .map(|(host, _)| host.0.as_str())
        .collect();
    // Without the scheduler nobody asks for an affinity.
    if failing.is_empty() || placement.node_name.is_some() {
        return Steering::Unneeded;
    }
    if !is(CellVerdict::Pass) && !is(CellVerdict::Warn) {
        return Steering::Impossible(match is(CellVerdict::Unknown) {
            true => "of no host profile that it may land on it is known that it fits",
            false => "no host profile that it may land on fits",
        });
    }
    // A label may lag behind its node, or a kubelet may have written it: no node that may fit is lost by that.
    let needed: BTreeSet<&str> = fleet
        .admitting(placement)
        .filter(|class| {
            class
                .host
                .is_none_or(|host| !failing.contains(host.name.0.as_str()))
        })
        .filter_map(|class| class.labels.get(label).map(String::as_str))
        .collect();
    let away: BTreeSet<String> = failing
        .difference(&needed)
        .filter(|name| name.len() <= LONGEST)
        .map(|name| (*name).to_owned())
        .collect();
    let known = placement.kept_away_from(label);
    if away.is_empty() && known.is_empty() {
        return Steering::Impossible(
            "the labels of nodes cannot tell the host profiles that fit from those that do not",
        );
    }
    let away: BTreeSet<String> = away.difference(&known).cloned().collect();
    match away.is_empty() {
        true => Steering::Unneeded,
        false => Steering::Away(away),
    }
}

impl Placement {
    /// The values of a label that every node selector term excludes. A term without requirements matches no node, so that
    /// it does not count.
    pub fn kept_away_from(&self, label: &str) -> BTreeSet<String> {
        let excluded = |term: &Term| -> BTreeSet<String> {
            let excluding = term.labels.iter();
            let excluding =
                excluding.filter(|it| it.key == label && it.operator == Operator::NotIn);
            excluding.flat_map(|it| it.values.iter().cloned()).collect()
        };
        let terms = self.terms.iter().flatten().filter(|term| !term.is_empty());
        let common = terms.map(excluded).reduce(|one, other| &one & &other);
        common.unwrap_or_default()
    }

    /// The same placement, of which every node selector term also demands something; one is added if there are none.
    #[must_use]
    pub fn demanding(mut self, requirement: &Requirement) -> Self {
        let terms = self.terms.get_or_insert_with(|| {
            vec![Term {
                labels: vec![requirement.clone()],
                names: Vec::new(),
            }]
        });
        for term in terms.iter_mut().filter(|term| !term.is_empty()) {
            if !term.labels.contains(requirement) {
                term.labels.push(requirement.clone());
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABEL: &str = "host";

    fn not_in(values: &[&str]) -> Requirement {
        Requirement {
            key: LABEL.to_owned(),
            operator: Operator::NotIn,
            values: values.iter().map(|it| (*it).to_owned()).collect(),
        }
    }

    fn term(labels: Vec<Requirement>) -> Term {
        Term {
            labels,
            names: Vec::new(),
        }
    }

    #[test]
    fn only_what_every_term_excludes_is_kept_away_from() {
        let kept = |terms: Option<Vec<Term>>| {
            let placement = Placement {
                terms,
                ..Placement::default()
            };
            let kept = placement.kept_away_from(LABEL);
            kept.into_iter().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(kept(None), "");
        assert_eq!(kept(Some(vec![])), "");
        assert_eq!(kept(Some(vec![term(vec![not_in(&["a", "b"])])])), "a b");
        let two = vec![
            term(vec![not_in(&["a", "b"])]),
            term(vec![not_in(&["b", "c"])]),
        ];
        assert_eq!(kept(Some(two)), "b");
        let with_empty = vec![term(vec![not_in(&["a"])]), Term::default()];
        assert_eq!(kept(Some(with_empty)), "a");
        let other = Requirement {
            key: "pool".to_owned(),
            ..not_in(&["a"])
        };
        assert_eq!(kept(Some(vec![term(vec![other])])), "");
    }

    #[test]
    fn a_demand_is_made_once_and_never_of_an_empty_term() {
        let placement = Placement {
            terms: Some(vec![Term::default(), term(vec![not_in(&["x"])])]),
            ..Placement::default()
        };
        let once = placement.demanding(&not_in(&["a"]));
        let terms = once.terms.clone().unwrap();
        assert_eq!(terms[0], Term::default());
        assert_eq!(terms[1].labels, [not_in(&["x"]), not_in(&["a"])]);
        assert_eq!(once.clone().demanding(&not_in(&["a"])), once);
        let none = Placement::default().demanding(&not_in(&["a"]));
        assert_eq!(none.terms.unwrap(), [term(vec![not_in(&["a"])])]);
    }
}
