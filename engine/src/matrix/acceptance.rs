//! Versions of the rules. What an upgrade brings only warns until people accept its version, so that an upgrade never
//! refuses what it let in the day before.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use crate::finding::{CellVerdict, Code, Finding};

/// A version of the built-in rules and tables: year, month, and the number within the month, as `2026.11.2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RulesVersion(u16, u8, u8);

impl RulesVersion {
    /// The version of the rules that are compiled in.
    pub const CURRENT: Self = Self(2026, 11, 2);
    /// Whatever version there is, and will be.
    pub const LATEST: Self = Self(u16::MAX, u8::MAX, u8::MAX);
    /// The first that there was.
    const FIRST: Self = Self(2026, 11, 1);

    /// The version that brought what is found under this code, or that last made it refuse more.
    pub fn of(code: Code) -> Self {
        match code {
            Code::HF240 | Code::HF241 | Code::HF250 | Code::HF310 | Code::HF505 => {
                Self(2026, 11, 2)
            }
            _ => Self::FIRST,
        }
    }

    /// The finding, as far as a matrix that accepts this version lets it go.
    pub(super) fn limit(self, finding: &Finding) -> Cow<'_, Finding> {
        let brought = Self::of(finding.code);
        if finding.verdict != CellVerdict::Fail || brought <= self {
            return Cow::Borrowed(finding);
        }
        Cow::Owned(Finding {
            verdict: CellVerdict::Warn,
            fix: format!(
                "{}; new in rules {brought}: it refuses once the SupportMatrix has rulesVersion {brought}",
                finding.fix
            ),
            ..finding.clone()
        })
    }
}

impl fmt::Display for RulesVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::LATEST => f.write_str("latest"),
            Self(year, month, number) => write!(f, "{year}.{month}.{number}"),
        }
    }
}

/// What is no version of rules.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no version of the rules: write one like {current}, or latest", current = RulesVersion::CURRENT)]
pub struct NoRulesVersion(String);

impl FromStr for RulesVersion {
    type Err = NoRulesVersion;

    fn from_str(text: &str) -> Result<Self, NoRulesVersion> {
        let error = || NoRulesVersion(text.to_owned());
        if text == "latest" {
            return Ok(Self::LATEST);
        }
        let mut parts = text.split('.');
        let mut next = || parts.next().ok_or_else(error);
        let (year, month, number) = (next()?, next()?, next()?);
        if parts.next().is_some() {
            return Err(error());
        }
        let year = year.parse().map_err(|_| error())?;
        let month = month.parse().map_err(|_| error())?;
        let number = number.parse().map_err(|_| error())?;
        let is_month = (1..=12).contains(&month);
        is_month
            .then_some(Self(year, month, number))
            .ok_or_else(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_ordered() {
        let read = |text: &str| text.parse::<RulesVersion>().unwrap();
        assert_eq!(read(crate::RULES_VERSION), RulesVersion::CURRENT);
        assert_eq!(RulesVersion::CURRENT.to_string(), crate::RULES_VERSION);
        assert!(read("2026.9.12") < read("2026.11.1"));
        assert!(read("2099.1.1") < read("latest"));
        for wrong in [
            "",
            "2026",
            "2026.11",
            "2026.11.1.1",
            "v2026.11.1",
            "2026.300.1",
            "2026.13.1",
            "2026.0.1",
        ] {
            let error = wrong.parse::<RulesVersion>().unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("{wrong:?} is no version")),
                "{error}"
            );
        }
    }

    #[test]
    fn no_rule_is_newer_than_the_rules() {
        for code in Code::ALL {
            assert!(RulesVersion::of(*code) <= RulesVersion::CURRENT, "{code:?}");
        }
    }
}
