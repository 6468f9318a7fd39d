//! The credentials of one pod: its pull secrets, and those that serve all.

use std::sync::Arc;

use hostfit_engine::fact::{Fact, Gap, Withheld};

use crate::SharedFacts;
use crate::credentials::{Credentials, PullSecret};

/// What came of looking for one of the pull secrets that a pod names.
#[derive(Debug, Clone, Copy)]
pub enum Named<'a> {
    /// What is in it.
    There(PullSecret<'a>),
    /// It was not read.
    Withheld(Withheld),
}

/// What may be shown to registries for a pod.
#[derive(Debug, Clone)]
pub struct PodCredentials {
    /// The logins.
    pub credentials: Credentials,
    /// A pull secret that the pod names and that is not among them.
    withheld: Option<(String, Withheld)>,
}

impl PodCredentials {
    /// The pull secrets that a pod of `namespace` names, before those that serve all. One that cannot be used takes none of
    /// the others away, as for the kubelet.
    pub fn new<'a>(
        all: &Credentials,
        namespace: &str,
        named: impl IntoIterator<Item = (&'a str, Named<'a>)>,
    ) -> Self {
        let (mut own, mut withheld) = (Vec::new(), None);
        for (name, named) in named {
            let why = match named {
                Named::There(secret) => match Credentials::parse([secret]) {
                    Ok(credentials) => {
                        own.push(credentials);
                        continue;
                    }
                    Err(_) => Withheld::Unusable,
                },
                Named::Withheld(why) => why,
            };
            withheld.get_or_insert_with(|| (format!("{namespace}/{name}"), why));
        }
        Self {
            credentials: all.after(&own),
            withheld,
        }
    }

    /// The facts; where the registry refused, with the pull secret that might have changed its mind.
    pub fn explain(&self, facts: SharedFacts) -> SharedFacts {
        match (&*facts, &self.withheld) {
            (Fact::Unknown(Gap::Unauthorized { registry }), Some((secret, why))) => {
                Arc::new(Fact::Unknown(Gap::SecretNotRead {
                    registry: registry.clone(),
                    secret: secret.clone(),
                    why: *why,
                }))
            }
            _ => facts,
        }
    }
}

impl From<Credentials> for PodCredentials {
    fn from(credentials: Credentials) -> Self {
        Self {
            credentials,
            withheld: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(named: &[(&'static str, Named<'static>)], gap: Gap) -> String {
        let pod = PodCredentials::new(&Credentials::none(), "shop", named.iter().copied());
        let facts = pod.explain(Arc::new(Fact::Unknown(gap)));
        match &*facts {
            Fact::Unknown(gap) => gap.finding().image,
            Fact::Known(..) => unreachable!("nothing is known"),
        }
    }

    fn refused() -> Gap {
        let registry = "a.example".to_owned();
        Gap::Unauthorized { registry }
    }

    #[test]
    fn a_refusal_names_the_secret_that_was_not_shown() {
        let withheld = |why| [("regcred", Named::Withheld(why))];
        let refusal = "registry a.example refused access";
        for (why, is) in [
            (
                Withheld::NotPermitted,
                "is outside registry.pullSecretNamespaces",
            ),
            (Withheld::NotThere, "is not there"),
            (Withheld::NotYet, "has not been read yet"),
        ] {
            let expected = format!("not checked: pull secret shop/regcred {is}, and {refusal}");
            assert_eq!(explained(&withheld(why), refused()), expected);
        }
        let bad = PullSecret::DockerConfigJson(b"s3cret");
        let expected = format!("not checked: pull secret shop/bad holds no login, and {refusal}");
        assert_eq!(
            explained(&[("bad", Named::There(bad))], refused()),
            expected
        );
        // What was shown, and what did not matter, is not named.
        let good = PullSecret::DockerConfigJson(b"{}");
        assert_eq!(
            explained(&[("good", Named::There(good))], refused()),
            format!("not checked: {refusal}")
        );
        let late = explained(&withheld(Withheld::NotThere), Gap::NotFetchedInTime);
        assert!(!late.contains("regcred"), "{late}");
    }

    #[test]
    fn a_bad_secret_takes_none_of_the_others_away_and_a_pods_own_come_first() {
        let all = br#"{"a.example": {"username": "all", "password": "p"}}"#;
        let all = Credentials::parse([PullSecret::DockerCfg(all)]).unwrap();
        let own = br#"{"a.example": {"username": "own", "password": "p"}}"#;
        let named = [
            ("bad", Named::There(PullSecret::DockerCfg(b"x"))),
            ("own", Named::There(PullSecret::DockerCfg(own))),
        ];
        let pod = PodCredentials::new(&all, "shop", named);
        let logins = pod.credentials.logins("a.example", "x");
        let own = Credentials::parse([PullSecret::DockerCfg(own)]).unwrap();
        assert_eq!(logins.first(), own.logins("a.example", "x").first());
        assert_eq!(logins.get(1), all.logins("a.example", "x").first());
    }
}
