//! From findings on single cells to the verdict on a workload.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;

use crate::exception::Exception;
use crate::finding::{CellVerdict, Finding};
use crate::host::HostName;
use crate::workload::Role;

/// The verdict on a workload, over all its images and every host that it may land on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verdict {
    /// Every host fits.
    Pass,
    /// Every host fits; something is advised against.
    Warn,
    /// Some hosts do not fit, some do.
    Partial,
    /// We could not tell.
    Unknown,
    /// No host fits.
    Fail,
}

impl Verdict {
    /// Every verdict.
    pub const ALL: [Self; 5] = [
        Self::Pass,
        Self::Warn,
        Self::Partial,
        Self::Fail,
        Self::Unknown,
    ];

    /// The name in objects.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "Pass",
            Self::Warn => "Warn",
            Self::Partial => "Partial",
            Self::Unknown => "Unknown",
            Self::Fail => "Fail",
        }
    }
}

/// A user of an image in the workload: its role and name.
pub type User = (Role, String);

/// A finding, with all users and hosts that it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// What was found.
    pub finding: Finding,
    /// Containers and volumes.
    pub users: BTreeSet<User>,
    /// Host profiles, empty if the finding is not about a host.
    pub hosts: BTreeSet<HostName>,
}

/// A finding that people accept: it does not count, and stays listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excepted {
    /// Name of the exception in the workload's namespace.
    pub exception: String,
    /// When it expires: from then on the finding counts.
    pub expires: Timestamp,
    /// What was found.
    pub reason: Reason,
}

/// What was found on a workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// How many of the host profiles fit; `None` if we could not tell.
    pub fitting: Option<usize>,
    /// How many host profiles the workload may land on.
    pub landing: usize,
    /// The worst that was found on each host.
    pub by_host: Vec<(HostName, CellVerdict)>,
    /// Why, worst first. Not empty unless the verdict is Pass, or what could not be told is accepted.
    pub reasons: Vec<Reason>,
    /// What was found as well, and is accepted.
    pub excepted: Vec<Excepted>,
}

impl Judgement {
    /// `1/2`: host profiles that fit, of those that the workload may land on. `?/2` if we could not tell.
    pub fn hosts(&self) -> String {
        match self.fitting {
            Some(fitting) => format!("{fitting}/{}", self.landing),
            None => format!("?/{}", self.landing),
        }
    }
}

/// Collects the findings of the cells of one workload.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Each finding once: the same is found of many cells.
    found: HashMap<Finding, About>,
    /// The same of what is accepted, by exception.
    excepted: BTreeMap<(String, Timestamp), HashMap<Finding, About>>,
    hosts: Vec<(HostName, CellVerdict)>,
    /// Nodes without a profile would take the workload, too.
    unprofiled: bool,
}

/// The users and hosts that a finding is about, and when it came first.
#[derive(Debug, Default)]
struct About {
    turn: usize,
    users: BTreeSet<User>,
    hosts: BTreeSet<HostName>,
}

/// Worst verdict first, then severity, then code, then text.
type SortKey = (
    std::cmp::Reverse<CellVerdict>,
    crate::finding::Severity,
    &'static str,
    String,
);

impl Tally {
    /// Records a finding about a user of an image, on one host if it says something of the host; as accepted if there is
    /// an exception.
    pub(crate) fn add(
        &mut self,
        finding: &Finding,
        user: &User,
        host: Option<&HostName>,
        exception: Option<&Exception>,
    ) {
        let found = match exception {
            None => &mut self.found,
            Some(exception) => {
                let key = (exception.name.clone(), exception.expires);
                self.excepted.entry(key).or_default()
            }
        };
        let turn = found.len();
        let about = match found.get_mut(finding) {
            Some(about) => about,
            None => found.entry(finding.clone()).or_insert(About {
                turn,
                ..About::default()
            }),
        };
        if !about.users.contains(user) {
            about.users.insert(user.clone());
        }
        if let Some(host) = host.filter(|_| finding.host.is_some())
            && !about.hosts.contains(host)
        {
            about.hosts.insert(host.clone());
        }
    }

    /// Why, worst first. Findings that differ only in their evidence are one.
    fn reasons(found: HashMap<Finding, About>) -> Vec<Reason> {
        let mut found: Vec<_> = found.into_iter().collect();
        found.sort_by_key(|(_, about)| about.turn);
        let mut reasons: BTreeMap<SortKey, Reason> = BTreeMap::new();
        for (finding, about) in found {
            let About { users, hosts, .. } = about;
            let key = (
                std::cmp::Reverse(finding.verdict),
                finding.severity,
                finding.code.as_str(),
                format!("{}\n{}", finding.message(), finding.fix),
            );
            match reasons.entry(key) {
                Entry::Vacant(free) => {
                    free.insert(Reason {
                        finding,
                        users,
                        hosts,
                    });
                }
                Entry::Occupied(mut same) => {
                    same.get_mut().users.extend(users);
                    same.get_mut().hosts.extend(hosts);
                }
            }
        }
        reasons.into_values().collect()
    }

    /// Records that all images were judged on one host, and the worst that was found.
    pub(crate) fn host(&mut self, host: &HostName, worst: CellVerdict) {
        self.hosts.push((host.clone(), worst));
    }

    /// Records that nodes without a profile would take the workload, too.
    pub(crate) fn unprofiled(&mut self) {
        self.unprofiled = true;
    }

    pub(crate) fn finish(self) -> Judgement {
        let count = |verdict| self.hosts.iter().filter(|(_, v)| *v == verdict).count();
        let (pass, warn) = (count(CellVerdict::Pass), count(CellVerdict::Warn));
        let unprofiled = usize::from(self.unprofiled);
        let (unknown, fail) = (
            count(CellVerdict::Unknown) + unprofiled,
            count(CellVerdict::Fail),
        );
        let landing = self.hosts.len() + unprofiled;
        let fitting = pass + warn;
        let verdict = match () {
            () if landing == 0 => Verdict::Unknown,
            () if fail == landing => Verdict::Fail,
            () if fail > 0 && fitting > 0 => Verdict::Partial,
            () if unknown > 0 => Verdict::Unknown,
            () if warn > 0 => Verdict::Warn,
            () => Verdict::Pass,
        };
        let excepted = self.excepted.into_iter();
        let excepted = excepted.flat_map(|((exception, expires), found)| {
            let excepted = move |reason| Excepted {
                exception: exception.clone(),
                expires,
                reason,
            };
            Self::reasons(found).into_iter().map(excepted)
        });
        Judgement {
            excepted: excepted.collect(),
            verdict,
            fitting: (unknown == 0 && landing > 0).then_some(fitting),
            landing,
            by_host: self.hosts,
            reasons: Self::reasons(self.found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use CellVerdict::*;

    #[track_caller]
    fn check(hosts: &[CellVerdict], expected: &str) {
        let tally = Tally {
            hosts: hosts
                .iter()
                .map(|v| (HostName("h".to_owned()), *v))
                .collect(),
            ..Tally::default()
        };
        let judgement = tally.finish();
        assert_eq!(
            format!("{} {}", judgement.verdict.as_str(), judgement.hosts()),
            expected
        );
    }

    #[test]
    fn the_verdict_of_a_workload_follows_from_its_hosts() {
        check(&[Pass, Pass], "Pass 2/2");
        check(&[Pass, Warn], "Warn 2/2");
        check(&[Pass, Fail], "Partial 1/2");
        check(&[Warn, Fail], "Partial 1/2");
        check(&[Fail, Fail], "Fail 0/2");
        check(&[Pass, Unknown], "Unknown ?/2");
        check(&[Fail, Unknown], "Unknown ?/2");
        check(&[Pass, Fail, Unknown], "Partial ?/3");
        check(&[], "Unknown ?/0");
    }
}
