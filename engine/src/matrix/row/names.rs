//! Names in rows and exceptions that nothing here bears. No errors: what bears them may come. Mostly they are misspelt.

use std::fmt;

use super::image::ImageFact;
use super::{HostSelector, Pattern, Row, matches};
use crate::distribution;
use crate::exception::Exception;
use crate::finding::{is_typo, nearest};
use crate::host::HostFact;

/// A name that nothing bears, in words for the one who wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownName {
    /// Where it stands: `row "old": host.profiles`.
    place: String,
    /// What bears such names.
    kind: &'static str,
    written: String,
    nearest: Option<String>,
}

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            place,
            kind,
            written,
            nearest,
        } = self;
        write!(f, "{place}: there is no {kind} {written}")?;
        match nearest {
            Some(nearest) => write!(f, "; did you mean {nearest}?"),
            None => Ok(()),
        }
    }
}

impl UnknownName {
    /// The name that was meant, if one is like it.
    pub fn nearest(&self) -> Option<&str> {
        self.nearest.as_deref()
    }

    /// Where none of these profiles bears the name, or begins as it says. Of a cluster without profiles nothing is known.
    fn of_profile(place: &str, written: &str, profiles: &[&str]) -> Option<Self> {
        if profiles.is_empty() || profiles.iter().any(|it| matches(written, it)) {
            return None;
        }
        Some(Self {
            place: place.to_owned(),
            kind: "HostProfile",
            written: written.to_owned(),
            nearest: nearest(written, profiles).map(str::to_owned),
        })
    }

    /// Of distributions our tables do not know all: only what is hardly anything but a misspelt one counts.
    fn of_distribution(place: &str, written: &str) -> Option<Self> {
        let known = distribution::ids();
        if known.clone().any(|it| matches(written, it)) {
            return None;
        }
        let nearest = known.filter(|it| is_typo(written, it)).min()?;
        Some(Self {
            place: place.to_owned(),
            kind: "distribution",
            written: written.to_owned(),
            nearest: Some(nearest.to_owned()),
        })
    }
}

fn texts(patterns: &[Pattern]) -> impl Iterator<Item = &String> {
    patterns.iter().filter_map(|it| match it {
        Pattern::Text(text) => Some(text),
        Pattern::Range(_) => None,
    })
}

impl Row {
    /// The names in it that no host profile bears, of these, and no distribution.
    pub fn unknown_names(&self, profiles: &[&str]) -> Vec<UnknownName> {
        let mut unknown = Vec::new();
        let place = |fact: &str| format!("row {:?}: {fact}", self.name);
        for (fact, patterns) in &self.image {
            if *fact == ImageFact::Distro {
                let place = place("image.distro");
                let names = texts(patterns).map(|it| UnknownName::of_distribution(&place, it));
                unknown.extend(names.flatten());
            }
        }
        for (selector, patterns) in &self.host {
            match selector {
                HostSelector::Profile => {
                    let place = place("host.profiles");
                    let names =
                        texts(patterns).map(|it| UnknownName::of_profile(&place, it, profiles));
                    unknown.extend(names.flatten());
                }
                HostSelector::Fact(HostFact::Os) => {
                    let place = place("host.os");
                    let names = texts(patterns).map(|it| UnknownName::of_distribution(&place, it));
                    unknown.extend(names.flatten());
                }
                HostSelector::Fact(_) => {}
            }
        }
        unknown
    }
}

impl Exception {
    /// The names in it that no host profile bears, of these.
    pub fn unknown_names(&self, profiles: &[&str]) -> Vec<UnknownName> {
        let names = self.hosts.iter();
        let names = names.map(|it| UnknownName::of_profile("hostProfiles", it, profiles));
        names.flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::matrix::row::{RowSpec, Support, parse};

    const PROFILES: [&str; 2] = ["rhel94-k514", "gpu-535"];

    #[track_caller]
    fn check(side: &str, fact: &str, written: &[&str], expected: &[&str]) {
        let facts = [(
            fact.to_owned(),
            written.iter().map(|it| (*it).to_owned()).collect(),
        )];
        let mut spec = RowSpec {
            name: "r".to_owned(),
            ..RowSpec::default()
        };
        match side {
            "image" => spec.image = facts.into(),
            _ => spec.host = facts.into(),
        }
        let rows = parse(&[(spec, Support::Unsupported, None)]).unwrap();
        let unknown = rows[0].unknown_names(&PROFILES);
        let said: Vec<_> = unknown.iter().map(ToString::to_string).collect();
        assert_eq!(said, expected);
    }

    #[test]
    fn profiles_are_those_that_are_there() {
        check("host", "profiles", &["rhel94-k514", "gpu-*", "*"], &[]);
        let near = r#"row "r": host.profiles: there is no HostProfile rhel94-k541; did you mean rhel94-k514?"#;
        check("host", "profiles", &["gpu-535", "rhel94-k541"], &[near]);
        let other = r#"row "r": host.profiles: there is no HostProfile arm*"#;
        check("host", "profiles", &["arm*"], &[other]);
        let rows = parse(&[(
            RowSpec {
                name: "r".to_owned(),
                host: [("profiles".to_owned(), vec!["x".to_owned()])].into(),
                ..RowSpec::default()
            },
            Support::Unsupported,
            None,
        )]);
        assert_eq!(rows.unwrap()[0].unknown_names(&[]), []);
    }

    #[test]
    fn of_distributions_only_what_is_misspelt_is_told() {
        let said = |place, written, meant| {
            format!(
                r#"row "r": {place}: there is no distribution {written}; did you mean {meant}?"#
            )
        };
        for (written, meant) in [
            ("rehl", "rhel"),
            ("RHEL", "rhel"),
            ("ubunut", "ubuntu"),
            ("debain", "debian"),
            ("alpin", "alpine"),
        ] {
            check(
                "image",
                "distro",
                &[written],
                &[&said("image.distro", written, meant)],
            );
        }
        check("host", "os", &["slse"], &[&said("host.os", "slse", "sles")]);
        let own = [
            "rhel", "ub*", "windows", "gentoo", "kali", "acme", "nixos", "flatcar",
        ];
        check("image", "distro", &own, &[]);
        check("host", "os", &own, &[]);
        check("image", "repository", &["rehl"], &[]);
    }
}
