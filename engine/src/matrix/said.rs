//! What rules have in common: what they ask of a cell, and how they say what they found.

use crate::fact::Evidence;
use crate::files::{Files, Libc, Program};
use crate::finding::{CellVerdict, Code, Finding, Severity};
use crate::host::HostFact;
use crate::matrix::{Cell, Outcome, Pack};
use crate::version::{DottedVersion, KernelVersion};

/// RHEL and what is built from its sources.
pub(super) const REBUILDS: [&str; 6] = [
    "almalinux",
    "centos",
    "centos-stream",
    "ol",
    "rhel",
    "rocky",
];

/// What a rule has to say: the verdict follows from the severity.
pub(super) struct Said {
    pub(super) code: Code,
    pub(super) severity: Severity,
    /// What the image does, as a predicate.
    pub(super) image: String,
    /// What the host does, as a predicate; empty where the host does not matter.
    pub(super) host: String,
    pub(super) fix: String,
    pub(super) evidence: Option<Evidence>,
    /// What speaks against being sure, as what would settle it.
    pub(super) doubt: Option<&'static str>,
}

impl<'a> Cell<'a> {
    /// What the image's files say, if they were read.
    pub(super) fn files(&self) -> Option<&'a Files> {
        self.contents.files()
    }

    /// The program that starts, if it is known: not what the image names if the pod names another one.
    pub(super) fn program(&self) -> Option<&'a Program> {
        let files = self.files().filter(|_| !self.uses.has_own_command)?;
        let is_replaced = |program: &&Program| program.is_argument && self.uses.has_own_arguments;
        files.program.as_ref().filter(|it| !is_replaced(it))
    }

    /// The image's C library, if its files were read and what starts uses it.
    pub(super) fn libc(&self) -> Option<&'a Libc> {
        match self.program() {
            Some(program) if program.is_static => None,
            _ => self.files()?.libc.as_ref(),
        }
    }

    /// The program, if it brings all of its code: nothing that the distribution's libraries need matters to it.
    pub(super) fn static_program(&self) -> Option<&'a Program> {
        self.program().filter(|program| program.is_static)
    }

    /// Version of the systemd that starts as the first process, with its evidence.
    pub(super) fn systemd(&self) -> Option<(DottedVersion, Evidence)> {
        let is_started = match self.uses.has_own_command {
            true => self.uses.starts_init,
            false => self.program().is_some_and(|program| program.is_systemd),
        };
        self.files().filter(|_| is_started)?;
        let package = self.files()?.package(&["systemd"])?;
        Some((package.value.upstream()?, package.evidence()))
    }
}

impl Cell<'_> {
    /// The outcome for what a rule has found.
    pub(super) fn says(&self, said: Said) -> Outcome {
        let verdict = match said.severity {
            Severity::BreaksAtStart | Severity::Unsupported => CellVerdict::Fail,
            Severity::BreaksFeature | Severity::EndOfLife => self.advised_against(),
            Severity::Degraded | Severity::Limited => CellVerdict::Warn,
            Severity::Unknown => CellVerdict::Unknown,
        };
        let finding = Finding {
            code: said.code,
            severity: said.severity,
            verdict,
            image: said.image,
            host: Some(said.host).filter(|host| !host.is_empty()),
            fix: said.fix,
            evidence: said.evidence,
        };
        self.broken(finding, said.doubt)
    }

    /// The outcome for what needs a level of x86-64; `said` is given the host's, and says nothing of the host itself.
    pub(super) fn needs_level(&self, needed: u8, said: impl FnOnce(u8) -> Said) -> Outcome {
        // Every amd64 CPU has level 1: such an image needs nothing of the host.
        if needed < 2 || self.platform.architecture != "amd64" {
            return Outcome::Compatible;
        }
        let Some(level) = self.host.facts.cpu_level else {
            return Outcome::missing(HostFact::CpuLevel);
        };
        if level >= needed {
            return Outcome::Compatible;
        }
        let host = format!("has v{level}");
        self.says(Said {
            host,
            ..said(level)
        })
    }

    /// The outcome for what compares the kernel's number; `said` says nothing of the host itself.
    pub(super) fn needs_kernel(
        &self,
        needed: &KernelVersion,
        said: impl FnOnce() -> Said,
    ) -> Outcome {
        let Some(kernel) = &self.host.facts.kernel else {
            return Outcome::missing(HostFact::Kernel);
        };
        if !kernel.older_than(needed) {
            return Outcome::Compatible;
        }
        let said = said();
        self.says(Said {
            host: format!("has {kernel}"),
            doubt: self.other_kernel().or(said.doubt),
            ..said
        })
    }

    /// Fail, unless there is a doubt: then it is only possible, and at most a warning that says what would settle it.
    pub(super) fn broken(&self, finding: Finding, doubt: Option<&'static str>) -> Outcome {
        let Some(doubt) = doubt else {
            return Outcome::Incompatible(finding);
        };
        Outcome::Incompatible(Finding {
            verdict: CellVerdict::Warn,
            image: format!("possibly {}", finding.image),
            fix: format!("{}; {doubt}", finding.fix),
            ..finding
        })
    }

    /// The doubt where a number of the kernel is compared that its vendor does not keep to: the kernels of RHEL 8 and 9 carry
    /// much of newer ones (`domain.md` 1).
    pub(super) fn carried_back(&self) -> Option<&'static str> {
        let facts = &self.host.facts;
        let of_kernel = facts.kernel.as_ref().and_then(|it| it.enterprise_linux());
        let os = facts.os.as_ref().filter(|os| REBUILDS.contains(&os.id()));
        let release = of_kernel.or_else(|| os?.dotted())?;
        (release.major() >= 8)
            .then_some("its vendor carries features of newer kernels back: try it there")
    }

    /// The doubt of every rule about the node's kernel where a RuntimeClass may bring another one.
    pub(super) fn other_kernel(&self) -> Option<&'static str> {
        self.runtime_class
            .is_some()
            .then_some("a RuntimeClass may bring a kernel of its own")
    }

    /// Warn, or Fail with the pack `strict`.
    pub(super) fn advised_against(&self) -> CellVerdict {
        match self.rules.packs.contains(&Pack::Strict) {
            true => CellVerdict::Fail,
            false => CellVerdict::Warn,
        }
    }
}
