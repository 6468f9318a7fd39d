//! HF250: a RuntimeClass with a sandbox gives the pod a kernel of its own, so rules on the node's kernel are not applied.
//! It is said of those that would have had something to say, and of those that what is known of the sandbox's kernel breaks.
//!
//! A sandbox is known by the handler of the class, by the beginnings of the names that handlers have. What people state of a
//! handler is judged as any host. Of any other handler nothing is known: there rules on the kernel are only possible.

use std::collections::BTreeSet;

use crate::fact::{Evidence, Strength};
use crate::finding::{Code, Finding, Severity};
use crate::host::{Host, HostFacts, Vsyscall};
use crate::matrix::rules::KernelRule;
use crate::matrix::{Cell, Knowledge, Outcome, Said};

/// gVisor answers 4.4.0, newer builds 4.19.0-gvisor (google/gvisor#11117).
fn gvisor() -> HostFacts {
    HostFacts {
        kernel: "4.4.0".parse().ok(),
        btf: Some(false),
        modules: Some(BTreeSet::new()),
        ..HostFacts::default()
    }
}

/// The guest has a configuration of its own (kata-containers/runtime#498, #265).
fn kata() -> HostFacts {
    HostFacts {
        vsyscall: Some(Vsyscall::None),
        ..HostFacts::default()
    }
}

/// The sandbox of a RuntimeClass, as a host for rules on the kernel.
pub(super) struct Sandbox<'a> {
    class: &'a str,
    /// The handler, if there is such a class.
    handler: Option<&'a str>,
    kernel: Kernel<'a>,
}

/// What is known of the kernel in a sandbox.
enum Kernel<'a> {
    /// What people state, and are believed.
    Stated(&'a HostFacts),
    /// What is known of all sandboxes of a kind.
    Usual(&'static str, Box<HostFacts>),
}

impl<'a> Sandbox<'a> {
    /// The sandbox of a RuntimeClass, if its handler is known to be one. A class that is not known (yet) is taken for its
    /// handler.
    pub(super) fn of(class: &'a str, knowledge: &Knowledge<'a>) -> Option<Self> {
        let handler = knowledge.fleet.runtime_classes().handler(class);
        let name = handler.unwrap_or(class);
        let is_one_of = |handlers: &[&str]| handlers.iter().any(|it| name.starts_with(it));
        let kernel = match knowledge.rules.runtime_handlers.get(name) {
            Some(facts) => Kernel::Stated(facts),
            None if is_one_of(&["gvisor", "runsc"]) => Kernel::Usual("gVisor", gvisor().into()),
            None if is_one_of(&["kata"]) => Kernel::Usual("Kata Containers", kata().into()),
            None => return None,
        };
        Some(Self {
            class,
            handler,
            kernel,
        })
    }

    /// What is to be said of rules on the kernel where the container of a cell runs in the sandbox.
    pub(super) fn check(&self, cell: &Cell<'_>, rules: &[KernelRule]) -> Vec<Finding> {
        let facts = match &self.kernel {
            Kernel::Stated(facts) => facts,
            Kernel::Usual(_, facts) => facts.as_ref(),
        };
        let host = Host {
            facts: HostFacts {
                architecture: cell.host.facts.architecture.clone(),
                ..facts.clone()
            },
            ..cell.host.clone()
        };
        let inside = Cell {
            host: &host,
            // It is this kernel, and no other one.
            runtime_class: None,
            ..*cell
        };
        let mut findings = Vec::new();
        let mut codes = Vec::new();
        for (code, check) in rules {
            let outcome = check(&inside);
            let is_left_open = match (&self.kernel, outcome) {
                (Kernel::Stated(_), Outcome::Incompatible(finding)) => {
                    findings.push(self.said_of(finding));
                    false
                }
                (Kernel::Stated(_), Outcome::Unknown(_)) => true,
                (Kernel::Stated(_), Outcome::Compatible) => false,
                (Kernel::Usual(..), Outcome::Incompatible(_)) => true,
                (Kernel::Usual(..), _) => check(cell) != Outcome::Compatible,
            };
            if is_left_open {
                codes.push(code.as_str());
            }
        }
        findings.extend(self.left_open(cell, &codes).finding());
        findings
    }

    /// A finding of the sandbox's kernel, which is not that of the nodes.
    fn said_of(&self, finding: Finding) -> Finding {
        let class = self.class;
        let host = finding.host.as_ref();
        Finding {
            host: host.map(|host| format!("{host} in RuntimeClass {class}")),
            ..finding
        }
    }

    /// HF250 of the rules that are not applied.
    fn left_open(&self, cell: &Cell<'_>, codes: &[&str]) -> Outcome {
        if codes.is_empty() {
            return Outcome::Compatible;
        }
        let (name, fix) = match (&self.kernel, self.handler) {
            (Kernel::Usual(name, _), _) => (
                *name,
                "try it under that RuntimeClass, or state the facts of its handler in the SupportMatrix",
            ),
            (Kernel::Stated(_), handler) => (
                handler.unwrap_or(self.class),
                "state more facts of that handler in the SupportMatrix, or try it there",
            ),
        };
        let from = match self.handler {
            Some(handler) => format!("handler {handler} of the pod's RuntimeClass"),
            None => "runtimeClassName of the pod".to_owned(),
        };
        cell.says(Said {
            code: Code::HF250,
            severity: Severity::Degraded,
            image: format!("is not judged by {}", codes.join(", ")),
            host: format!(
                "has another kernel than RuntimeClass {} ({name})",
                self.class
            ),
            fix: fix.to_owned(),
            evidence: Some(Evidence::new(Strength::Stated, from)),
            doubt: None,
        })
    }
}
