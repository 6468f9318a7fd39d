//! A fact is known, with the evidence for it, or unknown, with the gap that explains why.

use std::fmt;

use crate::host::HostFact;

/// How sure a fact about an image is, weakest first (so that `max` keeps the better one).
///
/// *Definite* findings need a minimum strength; weaker evidence makes them *possible*, at most Warn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Strength {
    /// History, environment, name of a tag: a guess.
    Hint,
    /// Somebody wrote it down: an annotation, a vendor's label, a field of the config.
    Stated,
    /// The first layers of the image are those of a known base image.
    Layers,
    /// Read from a verified layer.
    File,
}

impl fmt::Display for Strength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Strength::Hint => "hint",
            Strength::Stated => "stated",
            Strength::Layers => "layers",
            Strength::File => "file",
        })
    }
}

/// Where a fact came from, in words that a person can check, and how sure that is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Evidence {
    /// How sure.
    pub strength: Strength,
    /// What was read, for example `label version of the config`.
    pub from: String,
}

impl Evidence {
    /// Evidence of the given strength, read from `from`.
    pub fn new(strength: Strength, from: impl Into<String>) -> Self {
        Self {
            strength,
            from: from.into(),
        }
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.from, self.strength)
    }
}

/// A value that we know, with its evidence, or do not know, with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact<T> {
    /// The value and where it came from.
    Known(T, Evidence),
    /// Why we cannot tell. Never read as "fine".
    Unknown(Gap),
}

impl<T> Fact<T> {
    /// The value, if it is known.
    pub fn value(&self) -> Option<&T> {
        match self {
            Fact::Known(value, _) => Some(value),
            Fact::Unknown(_) => None,
        }
    }
}

/// Why something about an image could not be learned. Each is one of the codes HF901 to HF909.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Gap {
    /// HF901: the registry refused (401 or 403) with the credentials that we may use.
    Unauthorized {
        /// Registry, as in the image reference.
        registry: String,
    },
    /// HF901: the registry refused, and a pull secret that the pod names was not shown to it.
    SecretNotRead {
        /// Registry, as in the image reference.
        registry: String,
        /// Namespace and name of the secret.
        secret: String,
        /// Why not.
        why: Withheld,
    },
    /// HF902: the registry limits our rate (429).
    RateLimited {
        /// Registry, as in the image reference.
        registry: String,
    },
    /// HF903: nothing in the image tells what it stands on (scratch, squashed, encrypted).
    NothingTells,
    /// HF903: a row of a SupportMatrix asks for a fact of the image that nothing tells.
    ImageFactMissing {
        /// Which one, as rows name it.
        fact: &'static str,
    },
    /// HF905: not inspected yet. The deadline passed; the fetch goes on.
    NotFetchedInTime,
    /// HF906: the registry has no such image or digest.
    NotFound {
        /// Registry, as in the image reference.
        registry: String,
    },
    /// HF907: the registry cannot be reached, or may not be.
    Unreachable {
        /// Registry, as in the image reference.
        registry: String,
        /// One of few coarse classes: users see it, and it must not serve as a port scanner.
        why: Unreachable,
    },
    /// HF908: what the registry or the user gave is malformed, lies about its digest or size, or exceeds a limit.
    Malformed {
        /// What is wrong, without any text of the other side.
        what: String,
    },
    /// HF908: what the config says is known; the files never will be, since a layer is damaged or exceeds a limit.
    FilesUnreadable {
        /// What is wrong, without any text of the other side.
        what: String,
    },
    /// HF904: a fact of the host is missing that decides about this image.
    HostFactMissing {
        /// Which one.
        fact: HostFact,
    },
    /// HF909: no host profile can take the pod as it is constrained.
    NoHost,
    /// HF909: nodes that have no profile yet would take the pod.
    NotProfiled,
}

/// Why a pull secret that a pod names is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Withheld {
    /// Nobody has permitted to read those of its namespace.
    NotPermitted,
    /// There is none of this name that holds a login.
    NotThere,
    /// Those of its namespace have not been listed yet.
    NotYet,
    /// It is malformed.
    Unusable,
}

/// Coarse reasons for HF907.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unreachable {
    /// Connection refused, reset or timed out, name not found, TLS failure, or a server error (5xx).
    NoAnswer,
    /// The configuration, or our rules against request forgery, forbid the address.
    NotAllowed,
}
