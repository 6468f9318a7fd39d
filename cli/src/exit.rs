//! Exit codes: 0 fine, 1 findings, 2 trouble, 3 could not tell. The worst of what happened, in the order 2, 1, 3, 0.

use std::process::ExitCode;

use clap::ValueEnum;
use hostfit_engine::verdict::Verdict;

/// How the command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Fine,
    Findings,
    Trouble,
    Unknown,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Fine => 0,
            Exit::Findings => 1,
            Exit::Trouble => 2,
            Exit::Unknown => 3,
        })
    }
}

/// Usage, local input: what the user can mend. (Trouble with a registry is Unknown, not this.)
#[derive(Debug)]
pub(crate) struct Trouble(pub(crate) anyhow::Error);

impl<E: Into<anyhow::Error>> From<E> for Trouble {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

/// From which verdict on the command fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailOn {
    /// Something fits nowhere.
    Fail,
    /// Something does not fit somewhere. (A single image on a single host is never partial.)
    Partial,
    /// Something is advised against.
    Warn,
    /// As `warn`, and exit 3 where nothing speaks against it but it could not be told.
    Unknown,
    /// Never.
    Never,
}

impl FailOn {
    /// The exit for these verdicts.
    pub(crate) fn exit(self, verdicts: impl Iterator<Item = Verdict> + Clone) -> Exit {
        let any = |verdict| verdicts.clone().any(|it| it == verdict);
        match self {
            Self::Never => Exit::Fine,
            _ if any(Verdict::Fail) => Exit::Findings,
            Self::Partial | Self::Warn | Self::Unknown if any(Verdict::Partial) => Exit::Findings,
            Self::Warn | Self::Unknown if any(Verdict::Warn) => Exit::Findings,
            Self::Unknown if any(Verdict::Unknown) => Exit::Unknown,
            _ => Exit::Fine,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Verdict::{Fail, Partial, Pass, Unknown, Warn};

    #[track_caller]
    fn check(fail_on: FailOn, verdicts: &[Verdict], expected: Exit) {
        assert_eq!(fail_on.exit(verdicts.iter().copied()), expected);
    }

    #[test]
    fn findings_come_before_what_could_not_be_told() {
        check(FailOn::Fail, &[Pass, Warn, Partial, Unknown], Exit::Fine);
        check(FailOn::Fail, &[Fail, Unknown], Exit::Findings);
        check(FailOn::Partial, &[Partial], Exit::Findings);
        check(FailOn::Partial, &[Warn, Unknown], Exit::Fine);
        check(FailOn::Warn, &[Warn], Exit::Findings);
        check(FailOn::Warn, &[Unknown], Exit::Fine);
        check(FailOn::Unknown, &[Pass, Unknown], Exit::Unknown);
        check(FailOn::Unknown, &[Warn, Unknown], Exit::Findings);
        check(FailOn::Unknown, &[Fail, Unknown], Exit::Findings);
        check(FailOn::Never, &[Fail], Exit::Fine);
    }
}
