//! Leadership as a value: at most one process holds a Lease at a time.
//!
//! The rules are those of client-go. A holder renews every two seconds and gives up when it could
//! not for ten; others take over when the record has not changed for fifteen. All this is measured
//! by our own monotonic clock, from when we saw the change: the times in the record were written
//! by another host's clock and are never compared.
//!
//! A process that was stopped for a while still believes in its leadership when it goes on. So ask
//! [`Lease::is_held`] right before each write.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use k8s_openapi::{
    api::coordination::v1::{Lease as Record, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, OwnerReference},
    jiff::Timestamp,
};
use kube::{Api, Client, api::PostParams};
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{info, warn};

use crate::client::{reason, within};

/// How long a record must stay unchanged before others take over.
const DURATION: Duration = Duration::from_secs(15);
/// How long a holder goes on without having renewed. The rest of [`DURATION`] is its lead.
const DEADLINE: Duration = Duration::from_secs(10);
/// The pause between two attempts to acquire or to renew.
const RETRY: Duration = Duration::from_secs(2);
/// What one call may take.
const CALL: Duration = Duration::from_secs(5);

/// One candidate for the leadership that a Lease object stands for.
#[derive(Debug)]
pub struct Lease {
    api: Api<Record>,
    name: String,
    identity: String,
    owner: Option<OwnerReference>,
    state: Mutex<State>,
}

/// Why leadership ended. The process should end as well: it may have begun what another one now
/// does again.
#[derive(Debug, thiserror::Error)]
pub enum LeaseLost {
    /// The record names somebody else, or nobody.
    #[error("the lease is now held by {holder:?}")]
    Taken {
        /// Who holds it; empty if nobody.
        holder: String,
    },
    /// The object was deleted.
    #[error("the lease was deleted")]
    Deleted,
    /// The API server could not be reached, or refused, for too long.
    #[error("the lease could not be renewed for {DEADLINE:?}: {reason}")]
    NotRenewed {
        /// What the last attempt said.
        reason: String,
    },
}

#[derive(Debug, Default)]
struct State {
    /// Somebody's record, and when we first saw it like this.
    observed: Option<(LeaseSpec, Instant)>,
    /// The object as we last wrote it; nothing if that is not sure.
    written: Option<Record>,
    /// When the last renewal that succeeded was sent.
    renewed: Option<Instant>,
}

impl Lease {
    /// A candidate. `identity` must be unique among processes that live at the same time: the name
    /// of the pod. `owner` is set on the object, so that it goes when its owner goes.
    #[must_use]
    pub fn new(
        client: Client,
        namespace: &str,
        name: impl Into<String>,
        identity: impl Into<String>,
        owner: Option<OwnerReference>,
    ) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            name: name.into(),
            identity: identity.into(),
            owner,
            state: Mutex::default(),
        }
    }

    /// Waits until this process leads. Trouble is logged when it changes, and waited for.
    pub async fn acquire(&self) {
        let mut last = String::new();
        loop {
            let waiting = match self.try_acquire().await {
                Ok(None) => break,
                Ok(Some(holder)) => format!("held by {holder:?}"),
                Err(error) => reason(&error),
            };
            if waiting != last {
                info!(
                    lease = self.name,
                    reason = waiting,
                    "waiting for leadership"
                );
                last = waiting;
            }
            sleep(RETRY).await;
        }
        info!(lease = self.name, identity = self.identity, "leading");
    }

    /// Renews until leadership is lost; call it after [`Lease::acquire`], and keep polling it.
    pub async fn hold(&self) -> LeaseLost {
        let lost = self.renew_until_lost().await;
        self.state().renewed = None;
        lost
    }

    /// Whether this process leads at this moment.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.renewed().is_some_and(|at| at.elapsed() < DEADLINE)
    }

    /// Gives leadership up, so that the next one need not wait. Stop all work first.
    pub async fn release(&self) {
        if self.state().renewed.take().is_none() {
            return;
        }
        match within(CALL, self.try_release()).await {
            Ok(()) => info!(lease = self.name, "leadership released"),
            Err(error) => {
                let reason = reason(&error);
                warn!(lease = self.name, reason, "leadership not released");
            }
        }
    }

    /// Takes the lease if it is free: nothing if we lead now, else who does.
    async fn try_acquire(&self) -> kube::Result<Option<String>> {
        let asked = Instant::now();
        let current = within(CALL, self.api.get_opt(&self.name)).await?;
        if let Some(holder) = current
            .as_ref()
            .and_then(|record| self.valid_holder(record))
        {
            return Ok(Some(holder));
        }
        self.write(self.claimed(current), asked).await?;
        Ok(None)
    }

    /// Who else holds a record that is not yet due.
    fn valid_holder(&self, record: &Record) -> Option<String> {
        let spec = record.spec.clone().unwrap_or_default();
        let holder = holder(&spec);
        if holder.is_empty() || holder == self.identity {
            return None;
        }
        let holder = holder.to_owned();
        let seconds = spec
            .lease_duration_seconds
            .and_then(|s| u64::try_from(s).ok());
        let duration = seconds.map_or(DURATION, Duration::from_secs);
        let now = Instant::now();
        let mut state = self.state();
        let since = match &state.observed {
            Some((observed, since)) if *observed == spec => *since,
            _ => now,
        };
        state.observed = Some((spec, since));
        (now.duration_since(since) < duration).then_some(holder)
    }

    async fn renew_until_lost(&self) -> LeaseLost {
        let mut last = "not acquired".to_owned();
        loop {
            sleep(RETRY).await;
            // Looked at first: who was stopped for long must not even try.
            let Some(deadline) = self.renewed().map(|at| at + DEADLINE) else {
                return LeaseLost::NotRenewed { reason: last };
            };
            if Instant::now() >= deadline {
                return LeaseLost::NotRenewed { reason: last };
            }
            match timeout_at(deadline, self.renew()).await {
                Ok(Ok(None)) => {}
                Ok(Ok(Some(lost))) => return lost,
                Ok(Err(error)) => {
                    last = reason(&error);
                    warn!(
                        lease = self.name,
                        reason = last,
                        "lease not renewed, trying again"
                    );
                }
                Err(_) => return LeaseLost::NotRenewed { reason: last },
            }
        }
    }

    async fn renew(&self) -> kube::Result<Option<LeaseLost>> {
        let asked = Instant::now();
        // Whatever fails from here on, the next attempt looks at the object anew.
        let written = self.state().written.take();
        if let Some(record) = written {
            match self.write(self.claimed(Some(record)), asked).await {
                Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
                result => return result.map(|()| None),
            }
        }
        let Some(record) = within(CALL, self.api.get_opt(&self.name)).await? else {
            return Ok(Some(LeaseLost::Deleted));
        };
        let spec = record.spec.as_ref();
        let holder = spec.map(holder).unwrap_or_default();
        if holder != self.identity {
            let holder = holder.to_owned();
            return Ok(Some(LeaseLost::Taken { holder }));
        }
        self.write(self.claimed(Some(record)), asked).await?;
        Ok(None)
    }

    async fn try_release(&self) -> kube::Result<()> {
        let written = self.state().written.take();
        let record = match written {
            Some(record) => Some(record),
            None => self.api.get_opt(&self.name).await?,
        };
        let Some(mut record) = record else {
            return Ok(());
        };
        let spec = record.spec.get_or_insert_default();
        if holder(spec) != self.identity {
            return Ok(());
        }
        spec.holder_identity = None;
        spec.lease_duration_seconds = Some(1);
        self.put(&record).await.map(drop)
    }

    /// The record with us as its holder from now on.
    fn claimed(&self, current: Option<Record>) -> Record {
        let mut record = current.unwrap_or_default();
        record.metadata.name = Some(self.name.clone());
        if let Some(owner) = &self.owner {
            record.metadata.owner_references = Some(vec![owner.clone()]);
        }
        let now = Some(MicroTime(Timestamp::now()));
        let spec = record.spec.get_or_insert_default();
        if holder(spec) != self.identity {
            let transitions = spec.lease_transitions;
            // As in client-go, the first holder of a new object is no transition.
            spec.lease_transitions = if record.metadata.resource_version.is_some() {
                Some(transitions.unwrap_or(0).saturating_add(1))
            } else {
                Some(0)
            };
            spec.acquire_time.clone_from(&now);
            spec.holder_identity = Some(self.identity.clone());
        }
        spec.lease_duration_seconds = i32::try_from(DURATION.as_secs()).ok();
        spec.renew_time = now;
        record
    }

    /// Writes our claim; `asked` is when we began to look at what it rests on.
    async fn write(&self, record: Record, asked: Instant) -> kube::Result<()> {
        let record = within(CALL, self.put(&record)).await?;
        let mut state = self.state();
        state.written = Some(record);
        state.renewed = Some(asked);
        Ok(())
    }

    /// Creates or replaces the object; a conflict if anybody else was faster.
    async fn put(&self, record: &Record) -> kube::Result<Record> {
        let params = PostParams::default();
        if record.metadata.resource_version.is_some() {
            self.api.replace(&self.name, &params, record).await
        } else {
            self.api.create(&params, record).await
        }
    }

    fn renewed(&self) -> Option<Instant> {
        self.state().renewed
    }

    /// Never held across an await; a panic cannot leave it half changed.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn holder(spec: &LeaseSpec) -> &str {
    spec.holder_identity.as_deref().unwrap_or_default()
}

#[cfg(test)]
mod tests;
