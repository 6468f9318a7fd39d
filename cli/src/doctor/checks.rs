//! What was read → what is fine, and what is to be done. Pure.

mod cluster;
mod deployment;
mod facts;
mod pods;
mod registries;
pub(super) mod rights;
mod webhook;

use super::read::Read;

/// What a check came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Fine,
    /// It works, but.
    Warning,
    Problem,
    /// It could not be looked at, and why stands there.
    Unseen,
}

impl State {
    /// In documents.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Fine => "Fine",
            Self::Warning => "Warning",
            Self::Problem => "Problem",
            Self::Unseen => "Unseen",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Check {
    pub(super) group: &'static str,
    /// Section of docs/checks.md.
    section: &'static str,
    pub(super) state: State,
    pub(super) says: String,
    /// Unless it is fine.
    pub(super) fix: Option<String>,
}

impl Check {
    /// Where it is explained.
    pub(super) fn docs(&self) -> String {
        format!("https://hostfit.dev/checks#{}", self.section)
    }
}

/// A group of checks, as it is filled.
struct Group {
    name: &'static str,
    checks: Vec<Check>,
}

impl Group {
    fn new(name: &'static str) -> Self {
        let checks = Vec::new();
        Self { name, checks }
    }

    fn add(&mut self, section: &'static str, state: State, says: String, fix: Option<String>) {
        self.checks.push(Check {
            group: self.name,
            section,
            state,
            says,
            fix,
        });
    }

    fn fine(&mut self, section: &'static str, says: impl Into<String>) {
        self.add(section, State::Fine, says.into(), None);
    }

    fn warning(&mut self, section: &'static str, says: impl Into<String>, fix: impl Into<String>) {
        self.add(section, State::Warning, says.into(), Some(fix.into()));
    }

    fn problem(&mut self, section: &'static str, says: impl Into<String>, fix: impl Into<String>) {
        self.add(section, State::Problem, says.into(), Some(fix.into()));
    }

    fn unseen(&mut self, section: &'static str, what: &str, why: &str) {
        self.add(
            section,
            State::Unseen,
            format!("{what}: not looked at, {why}"),
            None,
        );
    }
}

/// Everything, of an install.
pub(super) fn all(read: &Read) -> Vec<Check> {
    let groups = [
        cluster::cluster(read),
        cluster::operator(read),
        webhook::webhook(read),
        facts::facts(read),
        registries::registries(read),
    ];
    groups.into_iter().flat_map(|it| it.checks).collect()
}

/// Before an install.
pub(super) fn before(read: &Read) -> Vec<Check> {
    cluster::before(read).checks
}

/// A few names, and how many more there are.
fn few(names: &[String]) -> String {
    const SHOWN: usize = 4;
    let shown = names.iter().take(SHOWN).map(String::as_str);
    let shown: Vec<_> = shown.collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests;
