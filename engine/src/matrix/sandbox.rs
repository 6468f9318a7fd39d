//! HF250: a RuntimeClass with a sandbox gives the pod a kernel of its own, so rules on the node's kernel are not applied.
//! It is said of those that would have had something to say, and of those that what is known of the sandbox's kernel breaks.
//!
//! A pod names its RuntimeClass and not the handler, so a sandbox is known by the name that people give its class. Of any
//! other class nothing is known: there rules on the kernel are only possible.

use std::collections::BTreeSet;

use crate::fact::{Evidence, Strength};
use crate::finding::{Code, Severity};
use crate::host::{Host, HostFacts, Vsyscall};
use crate::matrix::rules::KernelRule;
use crate::matrix::{Cell, Outcome, Said};

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
pub(super) struct Sandbox {
    name: &'static str,
    facts: HostFacts,
}

impl Sandbox {
    /// By the beginnings of the names that handlers have.
    pub(super) fn of(runtime_class: &str) -> Option<Self> {
        let is_one_of = |handlers: &[&str]| handlers.iter().any(|it| runtime_class.starts_with(it));
        let (name, facts) = match () {
            () if is_one_of(&["gvisor", "runsc"]) => ("gVisor", gvisor()),
            () if is_one_of(&["kata"]) => ("Kata Containers", kata()),
            () => return None,
        };
        Some(Self { name, facts })
    }

    /// What is to be said of rules on the kernel where the container of a cell runs in the sandbox.
    pub(super) fn check(&self, cell: &Cell<'_>, rules: &[KernelRule]) -> Outcome {
        let host = Host {
            facts: HostFacts {
                architecture: cell.host.facts.architecture.clone(),
                ..self.facts.clone()
            },
            ..cell.host.clone()
        };
        let inside = Cell {
            host: &host,
            ..*cell
        };
        let counts = |(_, check): &&KernelRule| {
            check(cell) != Outcome::Compatible || matches!(check(&inside), Outcome::Incompatible(_))
        };
        let codes = rules.iter().filter(counts);
        let codes: Vec<_> = codes.map(|(code, _)| code.as_str()).collect();
        if codes.is_empty() {
            return Outcome::Compatible;
        }
        cell.says(Said {
            code: Code::HF250,
            severity: Severity::Degraded,
            image: format!("is not judged by {}", codes.join(", ")),
            host: format!(
                "has another kernel than RuntimeClass {} ({})",
                cell.runtime_class.unwrap_or_default(),
                self.name
            ),
            fix: "try it under that RuntimeClass, or write a row for it into the SupportMatrix"
                .to_owned(),
            evidence: Some(Evidence::new(
                Strength::Stated,
                "runtimeClassName of the pod",
            )),
            doubt: None,
        })
    }
}
