//! What people accept until a date: findings that stop counting, and stay listed.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::finding::{CellVerdict, Code, Finding, nearest};
use crate::host::HostName;
use crate::image::{ImageRef, ImageRefError};
use crate::matrix::Knowledge;
use crate::matrix::row::matches;
use crate::verdict::User;
use crate::workload::{Requirement, Workload};

/// Findings that people accept in a namespace until a date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exception {
    /// Its name in the namespace.
    pub name: String,
    /// Which findings.
    pub codes: BTreeSet<Code>,
    /// Labels of the pods; none: all pods.
    pub pods: Vec<Requirement>,
    /// Images; none: all images.
    pub images: Vec<ImagePattern>,
    /// Names of hosts, a `*` at the end matches the rest; none: all hosts.
    pub hosts: Vec<String>,
    /// From this moment on it accepts nothing.
    pub expires: Timestamp,
}

/// A reference without tag and digest means all of them, a `*` at the end matches the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImagePattern {
    /// This reference.
    Exactly(ImageRef),
    /// Every tag and digest of a repository: `registry/repository`.
    Repository(String),
    /// What begins like this, as reports write references.
    Beginning(String),
}

/// Why a code is none. Shown in conditions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no finding {written:?}{}", .nearest.map(|code| format!("; did you mean {code}?")).unwrap_or_default())]
pub struct UnknownCode {
    /// What was written.
    pub written: String,
    /// A code that looks like it.
    pub nearest: Option<&'static str>,
}

/// The codes that are meant: `HF501`, `HF5*` for those that begin so, `*` for all.
///
/// # Errors
///
/// For the first that means none.
pub fn codes<S: AsRef<str>>(
    written: impl IntoIterator<Item = S>,
) -> Result<BTreeSet<Code>, UnknownCode> {
    let mut codes = BTreeSet::new();
    for written in written {
        let written = written.as_ref();
        let meant = |code: &&Code| matches(written, code.as_str());
        let mut meant = Code::ALL.iter().filter(meant).peekable();
        if meant.peek().is_none() {
            let all: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
            return Err(UnknownCode {
                written: written.chars().take(16).collect(),
                nearest: nearest(written, &all),
            });
        }
        codes.extend(meant);
    }
    Ok(codes)
}

impl std::str::FromStr for ImagePattern {
    type Err = ImageRefError;

    fn from_str(written: &str) -> Result<Self, ImageRefError> {
        if let Some(beginning) = written.strip_suffix('*') {
            return Ok(Self::Beginning(beginning.to_owned()));
        }
        let image: ImageRef = written.parse()?;
        let name = written.rsplit_once('/').map_or(written, |(_, name)| name);
        Ok(match name.contains([':', '@']) {
            true => Self::Exactly(image),
            false => Self::Repository(image.name()),
        })
    }
}

impl ImagePattern {
    fn matches(&self, image: &ImageRef) -> bool {
        match self {
            Self::Exactly(wanted) => wanted == image,
            Self::Repository(name) => *name == image.name(),
            Self::Beginning(beginning) => image.to_string().starts_with(beginning.as_str()),
        }
    }
}

impl Exception {
    /// Whether it counts at a moment. At the second of its expiry it does not any more.
    pub fn is_active(&self, now: Timestamp) -> bool {
        now < self.expires
    }

    fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        let admits = |it: &Requirement| it.admits(labels.get(&it.key).map(String::as_str));
        self.pods.iter().all(admits)
    }

    /// Whether it accepts a finding about an image; `image` is none where the reference is none, `host` where the finding
    /// is about no host.
    fn accepts(&self, code: Code, image: Option<&ImageRef>, host: Option<&HostName>) -> bool {
        let image_matches =
            || image.is_some_and(|image| self.images.iter().any(|it| it.matches(image)));
        let host_matches =
            || host.is_some_and(|host| self.hosts.iter().any(|it| matches(it, &host.0)));
        self.codes.contains(&code)
            && (self.images.is_empty() || image_matches())
            && (self.hosts.is_empty() || host_matches())
    }
}

/// The exceptions of a cluster, by namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exceptions(BTreeMap<String, Vec<Exception>>);

impl Exceptions {
    /// The exceptions, each with its namespace.
    pub fn new(all: impl IntoIterator<Item = (String, Exception)>) -> Self {
        let mut exceptions: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (namespace, exception) in all {
            exceptions.entry(namespace).or_default().push(exception);
        }
        for exceptions in exceptions.values_mut() {
            // Where several accept a finding, the one that does so longest is named.
            exceptions
                .sort_by(|one, other| (other.expires, &one.name).cmp(&(one.expires, &other.name)));
        }
        Self(exceptions)
    }

    /// What counts at a moment for pods with these labels: the judge is given nothing else.
    pub fn of(
        &self,
        namespace: &str,
        labels: &BTreeMap<String, String>,
        now: Timestamp,
    ) -> Vec<&Exception> {
        let of_namespace = self.0.get(namespace).into_iter().flatten();
        let counts = |it: &&Exception| it.is_active(now) && it.selects(labels);
        of_namespace.filter(counts).collect()
    }

    /// When the next one expires after a moment: then it is time to judge again.
    pub fn next_expiry(&self, now: Timestamp) -> Option<Timestamp> {
        let all = self.0.values().flatten();
        all.filter(|it| it.is_active(now))
            .map(|it| it.expires)
            .min()
    }
}

/// The exception that accepts a finding about a user of an image, if there is one and the policy lets exceptions name the
/// code.
pub(crate) fn accepting<'a>(
    workload: &Workload,
    (role, name): &User,
    code: Code,
    host: Option<&HostName>,
    knowledge: &Knowledge<'a>,
) -> Option<&'a Exception> {
    let Knowledge {
        exceptions, rules, ..
    } = knowledge;
    if exceptions.is_empty() || !rules.exceptable.contains(&code) {
        return None;
    }
    let mut images = workload.images.iter();
    let image = images.find(|image| image.role == *role && image.name == *name);
    let image = image.and_then(|image| image.reference.as_ref().ok());
    let mut exceptions = exceptions.iter().copied();
    exceptions.find(|exception| exception.accepts(code, image, host))
}

impl Finding {
    /// What an accepted finding leaves of the cell: what could not be told stays so, and is only not held against it.
    pub(crate) fn accepted(&self) -> CellVerdict {
        match self.verdict {
            CellVerdict::Unknown => CellVerdict::Unknown,
            CellVerdict::Pass | CellVerdict::Warn | CellVerdict::Fail => CellVerdict::Pass,
        }
    }
}

#[cfg(test)]
mod tests;
