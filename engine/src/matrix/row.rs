//! HF506: the rows of people's SupportMatrix. A row beats every pack for the pairs that it speaks of.

use std::collections::{BTreeMap, BTreeSet};

use crate::fact::{Fact, Gap, Strength};
use crate::finding::{CellVerdict, Code, Finding, Severity, nearest};
use crate::host::HostFact;
use crate::image::architecture;
use crate::matrix::{Cell, Outcome, unproven};
use crate::version::{DottedVersion, RangeError, VersionRange};

mod error;
mod image;
mod names;

pub use error::RowError;
use image::ImageFact;
pub use names::UnknownName;

/// What a row says of the pairs that it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Support {
    /// Passes.
    Supported,
    /// Warns.
    BestEffort,
    /// Fails.
    Unsupported,
}

/// A row as people write it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RowSpec {
    /// Its name, unique in the matrix.
    pub name: String,
    /// Facts of the image, each with its alternatives.
    pub image: BTreeMap<String, Vec<String>>,
    /// Facts of the host, each with its alternatives.
    pub host: BTreeMap<String, Vec<String>>,
    /// What people say about it.
    pub message: Option<String>,
    /// What to do about it.
    pub remediation: Option<String>,
}

/// A row that can be evaluated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its name.
    pub name: String,
    image: Vec<(ImageFact, Vec<Pattern>)>,
    host: Vec<(HostSelector, Vec<Pattern>)>,
    support: Support,
    severity: Severity,
    message: Option<String>,
    remediation: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HostSelector {
    Profile,
    Fact(HostFact),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    /// The text itself, or everything that starts with it if it ends in `*`.
    Text(String),
    Range(VersionRange),
}

/// The name under which a row selects host profiles by their names.
const PROFILES: &str = "profiles";

/// Reads the rows of one matrix; the first error is returned.
pub fn parse(rows: &[(RowSpec, Support, Option<Severity>)]) -> Result<Vec<Row>, RowError> {
    let mut parsed: Vec<Row> = Vec::new();
    for (spec, support, severity) in rows {
        let row = Row::parse(spec, *support, *severity)?;
        if let Some(twin) = parsed.iter().find(|other| other.name == row.name) {
            return Err(RowError::Duplicate {
                name: twin.name.clone(),
            });
        }
        let same = |other: &&Row| other.image == row.image && other.host == row.host;
        if let Some(twin) = parsed.iter().find(same)
            && twin.support != row.support
        {
            return Err(RowError::Contradiction {
                first: twin.name.clone(),
                second: row.name,
            });
        }
        parsed.push(row);
    }
    Ok(parsed)
}

impl Row {
    fn parse(
        spec: &RowSpec,
        support: Support,
        severity: Option<Severity>,
    ) -> Result<Self, RowError> {
        if spec.image.is_empty() && spec.host.is_empty() {
            return Err(RowError::Empty {
                row: spec.name.clone(),
            });
        }
        let image_fact = |name: &str, value: &str| {
            let fact = ImageFact::find(name)?;
            Some(fact.pattern(value).map(|pattern| (fact, pattern)))
        };
        let host_fact = |name: &str, value: &str| {
            let selector = match name {
                PROFILES => HostSelector::Profile,
                _ => HostSelector::Fact(HostFact::ALL.into_iter().find(|it| it.name() == name)?),
            };
            Some(selector.pattern(value).map(|pattern| (selector, pattern)))
        };
        let host_names = HostFact::ALL.iter().map(|fact| fact.name());
        let host_names: Vec<_> = host_names.chain([PROFILES]).map(str::to_owned).collect();
        let image_names = ImageFact::names();
        Ok(Self {
            name: spec.name.clone(),
            image: selectors(&spec.name, "image", &spec.image, image_fact, &image_names)?,
            host: selectors(&spec.name, "host", &spec.host, host_fact, &host_names)?,
            support,
            severity: severity.unwrap_or(Severity::Unsupported),
            message: spec.message.clone(),
            remediation: spec.remediation.clone(),
        })
    }

    /// Whether the row speaks of the cell, or which gap keeps us from telling.
    fn speaks_of(&self, cell: &Cell<'_>) -> Result<bool, Gap> {
        let mut open = None;
        let image = self.image.iter().map(|(fact, any)| fact.matches(any, cell));
        let host = self
            .host
            .iter()
            .map(|(fact, any)| host_matches(*fact, any, cell));
        for matched in image.chain(host) {
            match matched {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(gap) => open = Some(gap),
            }
        }
        open.map_or(Ok(true), Err)
    }

    fn outcome(&self, cell: &Cell<'_>) -> Outcome {
        let (verdict, word) = match self.support {
            Support::Supported => return Outcome::Compatible,
            Support::BestEffort => (CellVerdict::Warn, "best effort"),
            Support::Unsupported => (CellVerdict::Fail, "unsupported"),
        };
        let (image, evidence) = match &cell.lineage.distribution {
            Fact::Known(distribution, evidence) => {
                (format!("stands on {distribution}"), Some(evidence.clone()))
            }
            Fact::Unknown(_) => (format!("is {}", cell.image.name()), None),
        };
        let says = match &self.message {
            Some(message) => format!("{word}, {message}"),
            None => word.to_owned(),
        };
        let mut facts = self.image.iter().map(|(fact, _)| fact);
        let asks_for_distribution = facts.any(|fact| fact.rests_on_distribution(cell));
        // A row that does not ask for the distribution does not rest on it.
        let doubt = evidence
            .as_ref()
            .filter(|_| asks_for_distribution)
            .and_then(|evidence| unproven(evidence, Strength::Stated));
        let host = &cell.host.name;
        let finding = Finding {
            code: Code::HF506,
            severity: self.severity,
            verdict,
            image,
            host: Some(format!(
                "is {host}: row {} of the SupportMatrix says {says}",
                self.name
            )),
            fix: self
                .remediation
                .clone()
                .unwrap_or_else(|| "choose another base image, or other nodes".to_owned()),
            evidence,
        };
        match self.support {
            Support::Unsupported => cell.broken(finding, doubt),
            Support::Supported | Support::BestEffort => Outcome::Incompatible(finding),
        }
    }
}

/// What the rows say together: the first that speaks of the cell decides.
pub(super) enum Rows {
    /// A row speaks of the pair.
    Decided(Outcome),
    /// None does; or one might that speaks against it, and a fact is missing to tell.
    Open(Option<Gap>),
}

pub(super) fn decide(cell: &Cell<'_>) -> Rows {
    let (mut against, mut in_favour) = (None, None);
    for row in &cell.rules.rows {
        match row.speaks_of(cell) {
            Ok(false) => {}
            Ok(true) if against.is_some() => break,
            Ok(true) => {
                return match in_favour {
                    // An earlier row may support the pair: what is not known never refuses.
                    Some(gap) if row.support != Support::Supported => Rows::Open(Some(gap)),
                    _ => Rows::Decided(row.outcome(cell)),
                };
            }
            Err(gap) if row.support == Support::Supported => in_favour = in_favour.or(Some(gap)),
            Err(gap) => against = against.or(Some(gap)),
        }
    }
    Rows::Open(against)
}

type Selectors<F> = Vec<(F, Vec<Pattern>)>;

/// Reads the selectors of one side; `read` finds a fact by its name, and reads what is written of it.
fn selectors<F: Copy>(
    row: &str,
    side: &'static str,
    written: &BTreeMap<String, Vec<String>>,
    read: impl Fn(&str, &str) -> Option<Result<(F, Pattern), RangeError>>,
    names: &[String],
) -> Result<Selectors<F>, RowError> {
    let selector = |(name, values): (&String, &Vec<String>)| {
        let mut selector = None;
        for value in values {
            let found = read(name, value).ok_or_else(|| RowError::UnknownFact {
                row: row.to_owned(),
                side,
                name: name.clone(),
                nearest: near(name, names),
            })?;
            let (fact, pattern) = found.map_err(|error| RowError::Range {
                row: row.to_owned(),
                side,
                name: name.clone(),
                error,
            })?;
            let (_, patterns) = selector.get_or_insert((fact, Vec::new()));
            patterns.push(pattern);
        }
        Ok(selector)
    };
    let selectors = written.iter().map(selector);
    selectors.filter_map(Result::transpose).collect()
}

/// The name that was meant: the nearest, or one that ends so (`java` is `runtimes.java`).
fn near(written: &str, names: &[String]) -> Option<String> {
    let borrowed: Vec<_> = names.iter().map(String::as_str).collect();
    let ends_so = |name: &&str| {
        let last = name.rsplit_once('.');
        last.is_some_and(|(_, last)| last.eq_ignore_ascii_case(written))
    };
    let found = borrowed.iter().find(|name| ends_so(name)).copied();
    found
        .or_else(|| nearest(written, &borrowed))
        .map(str::to_owned)
}

impl HostSelector {
    fn pattern(self, written: &str) -> Result<Pattern, RangeError> {
        match self {
            Self::Fact(fact) if is_version(fact) => written.parse().map(Pattern::Range),
            Self::Fact(HostFact::Architecture) => {
                Ok(Pattern::Text(architecture(written).to_owned()))
            }
            Self::Fact(_) | Self::Profile => Ok(Pattern::Text(written.to_owned())),
        }
    }
}

fn is_version(fact: HostFact) -> bool {
    match fact {
        HostFact::OsVersion
        | HostFact::Kernel
        | HostFact::CpuLevel
        | HostFact::Cgroup
        | HostFact::Kubelet
        | HostFact::NvidiaDriver
        | HostFact::Cuda
        | HostFact::ComputeCapability
        | HostFact::Libseccomp
        | HostFact::PageSize => true,
        HostFact::Os
        | HostFact::Architecture
        | HostFact::Selinux
        | HostFact::Runtime
        | HostFact::Vsyscall
        | HostFact::Apparmor
        | HostFact::SeccompDefault
        | HostFact::CpuFeatures
        | HostFact::ProcCgroups
        | HostFact::Fips
        | HostFact::Ia32
        | HostFact::Aarch32
        | HostFact::Btf
        | HostFact::Modules
        | HostFact::SignedModules
        | HostFact::Iptables
        | HostFact::Sysctls => false,
    }
}

/// A `*` at the end of a pattern matches the rest.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => text.starts_with(beginning),
        None => text == pattern,
    }
}

fn any_text(patterns: &[Pattern], value: &str) -> bool {
    patterns.iter().any(|pattern| match pattern {
        Pattern::Text(text) => matches(text, value),
        Pattern::Range(_) => false,
    })
}

fn any_range(patterns: &[Pattern], version: &DottedVersion) -> bool {
    patterns.iter().any(|pattern| match pattern {
        Pattern::Range(range) => range.contains(version),
        Pattern::Text(_) => false,
    })
}

fn host_matches(selector: HostSelector, any: &[Pattern], cell: &Cell<'_>) -> Result<bool, Gap> {
    let fact = match selector {
        HostSelector::Profile => return Ok(any_text(any, &cell.host.name.0)),
        HostSelector::Fact(fact) => fact,
    };
    let facts = &cell.host.facts;
    let text = |value: Option<String>| value.map(|value| any_text(any, &value));
    let version = |value: Option<DottedVersion>| value.map(|value| any_range(any, &value));
    let number = |value: Option<u32>| version(value.and_then(|it| it.to_string().parse().ok()));
    let truth = |value: Option<bool>| text(value.map(|value| value.to_string()));
    // Of several any one: `modules: ip_tables`, `sysctls: "vm.overcommit_memory=2"`.
    let several = |values: &BTreeSet<String>| values.iter().any(|value| any_text(any, value));
    let matched = match fact {
        HostFact::Os => text(facts.os.as_ref().map(|os| os.id().to_owned())),
        HostFact::OsVersion => version(facts.os.as_ref().and_then(|os| os.dotted())),
        HostFact::Kernel => version(facts.kernel.as_ref().map(|kernel| kernel.dotted())),
        HostFact::Architecture => text(facts.architecture.clone()),
        HostFact::CpuLevel => number(facts.cpu_level.map(u32::from)),
        HostFact::CpuFeatures => facts.cpu_features.as_ref().map(several),
        HostFact::Cgroup => number(facts.cgroup.map(u32::from)),
        HostFact::Selinux => text(facts.selinux.map(|selinux| selinux.to_string())),
        HostFact::Runtime => text(facts.runtime.as_ref().map(|runtime| runtime.to_string())),
        HostFact::Kubelet => version(facts.kubelet.clone()),
        HostFact::NvidiaDriver => version(facts.nvidia_driver.clone()),
        HostFact::Cuda => version(facts.cuda.clone()),
        HostFact::ComputeCapability => version(facts.compute_capability.clone()),
        HostFact::Vsyscall => text(facts.vsyscall.map(|it| it.to_string())),
        HostFact::Apparmor => truth(facts.apparmor),
        HostFact::Libseccomp => version(facts.libseccomp.clone()),
        HostFact::SeccompDefault => truth(facts.seccomp_default),
        HostFact::PageSize => number(facts.page_size),
        HostFact::ProcCgroups => facts.proc_cgroups.as_ref().map(several),
        HostFact::Fips => truth(facts.fips),
        HostFact::Ia32 => truth(facts.ia32),
        HostFact::Aarch32 => truth(facts.aarch32),
        HostFact::Btf => truth(facts.btf),
        HostFact::Modules => facts.modules.as_ref().map(several),
        HostFact::SignedModules => truth(facts.signed_modules),
        HostFact::Iptables => text(facts.iptables.map(|it| it.to_string())),
        HostFact::Sysctls => (!facts.sysctls.is_empty()).then(|| {
            let pairs = facts.sysctls.iter();
            let pairs: BTreeSet<_> = pairs
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            several(&pairs)
        }),
    };
    matched.ok_or(Gap::HostFactMissing { fact })
}
