//! The statuses of CompatExceptions: what they accept now, whether anybody may, and how long.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use hostfit_crds::compat_exception::{CompatExceptionStatus, ExceptionError, State};
use hostfit_crds::condition::{self, Status, Wanted};
use hostfit_crds::policies::Policies;
use hostfit_crds::{CompatException, names};
use hostfit_engine::exception::Exception;
use hostfit_engine::finding::Code;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::runtime::events::{Event, EventType};
use kube::{Resource, ResourceExt};
use tracing::warn;

use super::event;
use crate::apply::{Writer, Written};

/// How long before the end it is announced.
const ANNOUNCED: SignedDuration = SignedDuration::from_hours(7 * 24);
/// How exact the time of the last match is while there are matches.
const MATCHED: SignedDuration = SignedDuration::from_hours(1);

/// What the statuses depend on.
pub(super) struct Facts<'a> {
    pub(super) exceptions: &'a [Arc<CompatException>],
    pub(super) policies: &'a Policies,
    pub(super) namespaces: &'a HashMap<String, BTreeMap<String, String>>,
    /// Names of the HostProfiles that there are.
    pub(super) profiles: &'a [&'a str],
    /// Workloads of which each accepts a finding.
    pub(super) accepted: &'a BTreeMap<(String, String), i32>,
    pub(super) now: &'a Time,
}

/// The statuses, as they are to be.
pub(super) struct Plan {
    all: Vec<(Arc<CompatException>, CompatExceptionStatus)>,
}

/// What every exception is to show.
pub(super) fn plan(facts: &Facts<'_>) -> Plan {
    let status = |exception: &Arc<CompatException>| (exception.clone(), status(exception, facts));
    Plan {
        all: facts.exceptions.iter().map(status).collect(),
    }
}

impl Plan {
    /// Exceptions by state.
    pub(super) fn by_state(&self) -> BTreeMap<State, usize> {
        let mut counts: BTreeMap<_, _> = State::ALL.map(|state| (state, 0)).into();
        for state in self.all.iter().filter_map(|(_, status)| status.state) {
            *counts.entry(state).or_default() += 1;
        }
        counts
    }

    /// Exceptions that accept something now, by namespace.
    pub(super) fn active(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for (exception, status) in &self.all {
            if status.state == Some(State::Active) {
                let namespace = exception.namespace().unwrap_or_default();
                *counts.entry(namespace).or_default() += 1;
            }
        }
        counts
    }

    /// Writes what differs: at once what people wait for, numbers only if they are due. Each on its own: one that the API
    /// server refuses must not keep the others waiting.
    pub(super) async fn write(
        &self,
        writer: &Writer,
        numbers_due: bool,
        events: bool,
    ) -> kube::Result<()> {
        let mut failed = None;
        for (exception, status) in &self.all {
            let before = exception.status.clone().unwrap_or_default();
            let is_urgent = before.state != status.state
                || before.conditions != status.conditions
                || before.observed_generation != status.observed_generation;
            if !(is_urgent || (numbers_due && before != *status)) {
                continue;
            }
            let mut wanted = CompatException::clone(exception);
            wanted.status = Some(status.clone());
            match writer.exception_status(&wanted).await {
                Ok(Written::Gone) => {}
                Ok(Written::Done) => {
                    if let Some(event) = notice(exception, &before, status).filter(|_| events) {
                        writer.event(&event, &exception.object_ref(&())).await;
                    }
                }
                Err(error) => {
                    let (namespace, name) = (exception.namespace(), exception.name_any());
                    warn!(namespace, exception = name, %error, "status of an exception not written");
                    failed = Some(error);
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

fn status(exception: &CompatException, facts: &Facts<'_>) -> CompatExceptionStatus {
    let before = exception.status.clone().unwrap_or_default();
    let namespace = exception.namespace().unwrap_or_default();
    let (now, expires) = (facts.now.0, exception.spec.expiration_time.0);
    let read = Exception::try_from(exception);
    let key = (namespace.clone(), exception.name_any());
    let matches = facts.accepted.get(&key).copied().unwrap_or_default();
    let state = match (now >= expires, matches) {
        (true, _) => State::Expired,
        (false, _) if read.is_err() => State::Invalid,
        (false, 0) => State::Unused,
        (false, _) => State::Active,
    };
    let is_stale = |last: &Time| now.duration_since(last.0) >= MATCHED;
    let last_match_time = match matches > 0 && before.last_match_time.as_ref().is_none_or(is_stale)
    {
        true => Some(facts.now.clone()),
        false => before.last_match_time,
    };
    let ready = match read {
        Err(error) => unreadable(&error),
        Ok(_) if now >= expires => Wanted {
            type_: names::READY,
            status: Status::False,
            reason: "Expired",
            message: format!(
                "accepts nothing since {expires}: delete it, or give it another date and reason"
            ),
        },
        Ok(read) => allowed(exception, &read, &namespace, facts),
    };
    let left = expires.duration_since(now);
    let is_expiring = now < expires && left <= ANNOUNCED;
    let expiring = Wanted {
        type_: names::EXPIRING,
        status: is_expiring.into(),
        reason: match (now < expires, is_expiring) {
            (false, _) => "Expired",
            (true, true) => "Soon",
            (true, false) => "Later",
        },
        message: format!("expires {expires}"),
    };
    let generation = exception.metadata.generation;
    CompatExceptionStatus {
        observed_generation: generation,
        state: Some(state),
        matches,
        last_match_time,
        conditions: condition::merge(
            &before.conditions,
            &[ready, expiring],
            generation,
            facts.now,
        ),
    }
}

fn unreadable(error: &ExceptionError) -> Wanted<'static> {
    Wanted {
        type_: names::READY,
        status: Status::False,
        reason: match error {
            ExceptionError::Code(_) => "UnknownCode",
            ExceptionError::NoCode => "NoCode",
            ExceptionError::Image { .. } => "UnreadableImage",
            ExceptionError::Everything => "NothingSelected",
        },
        message: format!("accepts nothing: {error}"),
    }
}

/// Whether the matrices let it accept what it names, and how much that is.
fn allowed(
    exception: &CompatException,
    read: &Exception,
    namespace: &str,
    facts: &Facts<'_>,
) -> Wanted<'static> {
    let none = BTreeMap::new();
    let labels = facts.namespaces.get(namespace).unwrap_or(&none);
    let exceptable = facts.policies.judge(labels).policy.rules.exceptable;
    let codes = |codes: &mut dyn Iterator<Item = &Code>| {
        let codes: Vec<_> = codes.map(|code| code.as_str()).collect();
        match codes.len() == Code::ALL.len() {
            true => "every finding".to_owned(),
            false => codes.join(", "),
        }
    };
    let expires = read.expires;
    let unknown = read.unknown_names(facts.profiles);
    let unknown: Vec<_> = unknown.iter().map(ToString::to_string).collect();
    let beyond: Vec<_> = read.codes.difference(&exceptable).collect();
    let (status, reason, message) = if !beyond.is_empty() {
        let forbids = |policy: &hostfit_engine::policy::Policy| {
            beyond
                .iter()
                .any(|code| !policy.rules.exceptable.contains(code))
        };
        let active = facts.policies.active();
        let forbidding = active.filter(|(it, policy)| it.selects(labels) && forbids(policy));
        let forbidding: Vec<_> = forbidding.map(|(matrix, _)| matrix.name_any()).collect();
        let text = format!(
            "exceptionCodes of SupportMatrix {} does not allow to except {} in this namespace",
            forbidding.join(", "),
            codes(&mut beyond.iter().copied()),
        );
        match beyond.len() == read.codes.len() {
            true => (false, "NotAllowed", format!("accepts nothing: {text}")),
            false => (
                true,
                "PartlyAllowed",
                format!("{text}; the other codes count"),
            ),
        }
    } else if !unknown.is_empty() {
        let what = codes(&mut read.codes.iter());
        let text = format!("accepts {what} until {expires}");
        // What bears the name may come: it is no error.
        let message = format!("{text}; {}", unknown.join("; "));
        (true, "UnknownHostProfile", message)
    } else if exception.is_broad() {
        let what = codes(&mut read.codes.iter());
        let text = format!("accepts {what} of all that it selects until {expires}");
        (
            true,
            "Broad",
            format!("{text}: name codes, labels or images if you can"),
        )
    } else {
        let what = codes(&mut read.codes.iter());
        (true, "Accepted", format!("accepts {what} until {expires}"))
    };
    Wanted {
        type_: names::READY,
        status: Status::from(status),
        reason,
        message,
    }
}

/// What to tell people: once when it is over within days, once when it is over.
fn notice(
    exception: &CompatException,
    before: &CompatExceptionStatus,
    after: &CompatExceptionStatus,
) -> Option<Event> {
    let is_expiring = |status: &CompatExceptionStatus| {
        let mut conditions = status.conditions.iter();
        conditions.any(|it| it.type_ == names::EXPIRING && it.status == "True")
    };
    let expires: Timestamp = exception.spec.expiration_time.0;
    let workloads = |count: i32| match count {
        1 => "1 workload".to_owned(),
        count => format!("{count} workloads"),
    };
    let (reason, text) = if after.state == Some(State::Expired) {
        if before.state == after.state {
            return None;
        }
        let was = match before.matches {
            0 => "nothing used it".to_owned(),
            count => format!("what it accepted of {} counts again", workloads(count)),
        };
        ("ExceptionExpired", format!("expired {expires}: {was}"))
    } else if is_expiring(after) && !is_expiring(before) {
        let used = match after.matches {
            0 => "nothing uses it".to_owned(),
            count => format!("{} will be judged without it", workloads(count)),
        };
        ("ExceptionExpiring", format!("expires {expires}: {used}"))
    } else {
        return None;
    };
    Some(Event {
        type_: EventType::Warning,
        reason: reason.to_owned(),
        note: Some(event::note(&text, "")),
        action: "Evaluate".to_owned(),
        secondary: None,
    })
}

#[cfg(test)]
mod tests;
