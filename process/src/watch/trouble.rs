//! What keeps a watch from working, in words, and where to say it.

use kube::{Resource, core::Status, runtime::watcher};
use tracing::{info, warn};

use crate::{Condition, client::reason};

/// How the API calls a kind.
#[derive(Debug)]
pub(super) struct Kind {
    kind: String,
    /// `apps/v1`, or just `v1`.
    version: String,
    /// `deployments.apps`, or just `nodes`.
    resource: String,
}

impl Kind {
    pub(super) fn of<K: Resource>(kind: &K::DynamicType) -> Self {
        let (group, version, plural) = (K::group(kind), K::version(kind), K::plural(kind));
        let (version, resource) = if group.is_empty() {
            (version.into_owned(), plural.into_owned())
        } else {
            (format!("{group}/{version}"), format!("{plural}.{group}"))
        };
        Self {
            kind: K::kind(kind).into_owned(),
            version,
            resource,
        }
    }

    fn describe(&self, error: &watcher::Error) -> String {
        match error {
            watcher::Error::InitialListFailed(kube::Error::Api(status)) => {
                self.refused("list", status)
            }
            watcher::Error::WatchStartFailed(kube::Error::Api(status)) => {
                self.refused("watch", status)
            }
            watcher::Error::InitialListFailed(error) => {
                format!("cannot list {}: {}", self.resource, reason(error))
            }
            watcher::Error::WatchStartFailed(error) | watcher::Error::WatchFailed(error) => {
                format!("cannot watch {}: {}", self.resource, reason(error))
            }
            watcher::Error::WatchError(status) => {
                format!("cannot watch {}: {}", self.resource, status.message)
            }
            watcher::Error::NoResourceVersion => {
                format!("cannot watch {}: {error}", self.resource)
            }
        }
    }

    fn refused(&self, verb: &str, status: &Status) -> String {
        let Self {
            kind,
            version,
            resource,
        } = self;
        // By code: the API server says "404 page not found" in plain text when it has no such kind,
        // and kube 5 recognises what it refuses by the reason of a proper status only.
        if status.code == 404 {
            format!(
                "the API server has no kind {kind} of {version}: \
                 install the CustomResourceDefinition {resource}"
            )
        } else if status.code == 403 {
            format!(
                "not allowed to {verb} {resource}: \
                 grant the verb {verb} on {resource} to the service account of this pod"
            )
        } else {
            format!(
                "cannot {verb} {resource}: {} ({})",
                status.message, status.code
            )
        }
    }
}

/// The trouble of one watch: logged when it changes, and shown by a condition.
#[derive(Debug)]
pub(super) struct Trouble {
    kind: Kind,
    ready: Condition,
    current: Option<String>,
}

impl Trouble {
    pub(super) fn new(kind: Kind, ready: Condition) -> Self {
        ready.set_unready(format!("listing {}", kind.resource));
        Self {
            kind,
            ready,
            current: None,
        }
    }

    pub(super) fn kind(&self) -> &str {
        &self.kind.kind
    }

    pub(super) fn report(&mut self, error: &watcher::Error, synced: bool) {
        // A watch that breaks off is resumed as a rule and says nothing when it is, so that only
        // what stays wrong is shown.
        let lasting = match error {
            watcher::Error::InitialListFailed(_) => true,
            watcher::Error::WatchStartFailed(kube::Error::Api(status)) => {
                matches!(status.code, 403 | 404)
            }
            _ => false,
        };
        let text = self.kind.describe(error);
        if lasting || !synced {
            self.set(text, synced);
        } else {
            info!(reason = text, "watch interrupted");
        }
    }

    pub(super) fn report_hanging(&mut self, synced: bool) {
        let text = format!("cannot list {}: no answer", self.kind.resource);
        self.set(text, synced);
    }

    fn set(&mut self, text: String, synced: bool) {
        if synced {
            self.ready.set_degraded(&text);
        } else {
            self.ready.set_unready(&text);
        }
        if self.current.as_ref() != Some(&text) {
            warn!(reason = text, synced, "watch does not work");
            self.current = Some(text);
        }
    }

    pub(super) fn over(&mut self) {
        self.ready.set_ready();
        if self.current.take().is_some() {
            info!(kind = self.kind.kind, "watch works again");
        }
    }
}
