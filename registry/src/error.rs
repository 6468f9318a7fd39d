//! What can go wrong, in two kinds: what the caller gave us ([`Error`]), and what a registry did
//! ([`Failure`], which leaves this crate only as a [`Gap`]).

use std::time::Duration;

use hostfit_engine::fact::{Gap, Unreachable};
use hostfit_engine::files::Reading;

/// Why a [`Registry`](crate::Registry), its settings or [`Credentials`](crate::Credentials) cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The CA bundle of the configuration holds something else than PEM certificates, or none.
    #[error("read the CA bundle: it must hold one or more PEM certificates")]
    CaBundle(#[source] Option<reqwest::Error>),
    /// The HTTP client could not be built, for example because there are no system roots.
    #[error("build the HTTP client for registries")]
    Client(#[source] reqwest::Error),
    /// No process-wide rustls provider.
    #[error("no TLS provider is installed: install the one of aws-lc-rs first")]
    NoTlsProvider,
    /// A file or folder of the settings cannot be read.
    #[error("read {}", path.display())]
    File {
        /// Which one.
        path: std::path::PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Not an address with a prefix length.
    #[error("{text:?} is not a network: write address/prefix, for example 10.0.0.0/8")]
    Network {
        /// What was given.
        text: String,
    },
    /// Not a registry with the URL of a mirror.
    #[error(
        "{} is no mirror: write registry=https://host/prefix, without a login",
        shown(text)
    )]
    Mirror {
        /// What was given.
        text: String,
    },
    /// A pull secret cannot be used. The message never holds any of its content.
    #[error("pull secret {number}: {problem}")]
    PullSecret {
        /// Which of the given secrets, from 1.
        number: usize,
        /// What to fix.
        problem: String,
    },
}

/// What was written, without what may be a password.
fn shown(text: &str) -> String {
    match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{:?}", format!("{scheme}://…@{rest}")),
        _ => format!("{text:?}"),
    }
}

/// Why one image could not be read. The texts are for the operator's log; users see the [`Gap`].
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Failure {
    #[error("the registry refused every credential that may be used")]
    Unauthorized,
    #[error("the registry limits our rate for {0:?}")]
    RateLimited(Duration),
    #[error("the registry has no such image")]
    NotFound,
    #[error("no answer: {0}")]
    NoAnswer(String),
    #[error("not allowed: {0}")]
    NotAllowed(&'static str),
    /// The transfer is wrong: another registry, or another time, may give the same digest rightly.
    #[error("{0}")]
    Broken(&'static str),
    /// The content is wrong, proven by its digest: it stays so for ever.
    #[error("{0}")]
    Invalid(&'static str),
    /// Proven as well: an artifact that no runtime can run.
    #[error("it is an artifact, not a container image")]
    NotAnImage,
    #[error("reading it takes more requests than one image may")]
    Exhausted,
    #[error("the time ran out in the queue")]
    Late,
}

impl Failure {
    /// What users see: the registry as they wrote it, and a coarse class.
    pub(crate) fn gap(&self, registry: &str) -> Gap {
        let registry = registry.to_owned();
        let unreachable = |why| Gap::Unreachable {
            registry: registry.clone(),
            why,
        };
        match self {
            Self::Unauthorized => Gap::Unauthorized { registry },
            Self::RateLimited(_) => Gap::RateLimited { registry },
            Self::NotFound => Gap::NotFound { registry },
            Self::NoAnswer(_) => unreachable(Unreachable::NoAnswer),
            Self::NotAllowed(_) => unreachable(Unreachable::NotAllowed),
            Self::Broken(_) | Self::Invalid(_) | Self::NotAnImage | Self::Exhausted => {
                Gap::Malformed {
                    what: self.to_string(),
                }
            }
            Self::Late => Gap::NotFetchedInTime,
        }
    }

    /// Whether asking again can never help, whoever asks, wherever.
    pub(crate) fn is_lasting(&self) -> bool {
        matches!(self, Self::Invalid(_) | Self::NotAnImage)
    }
}

/// What a layer that was not read leaves of the files: what is settled, or nothing.
impl From<Failure> for Reading {
    fn from(failure: Failure) -> Self {
        match failure.is_lasting() {
            true => Self::Unreadable {
                what: failure.to_string(),
            },
            false => Self::NotRead,
        }
    }
}
