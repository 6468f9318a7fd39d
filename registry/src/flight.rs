//! One fetch per question, however many ask. Who asks may leave; the fetch goes on.
//!
//! Whoever may create a pod starts fetches, and may name registries that never answer: each tenant has a share of the
//! fetches and of their exchanges, so that the images of the others come through.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared, ready};
use hostfit_engine::fact::{Fact, Gap};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::SharedFacts;
use crate::cache::Key;

/// One tenant may have this part of all flights.
const SHARE: usize = 8;

/// The fetches on their way, each of which ends by its own deadline.
pub(crate) struct Flights {
    inner: Arc<Mutex<Inner>>,
    most: usize,
    /// Exchanges of one tenant at a time.
    exchanges: usize,
}

/// What is asked, and by whom: a flight takes its tenant's turns, and nobody else shall wait for them.
type Question = (Key, Option<String>);

#[derive(Default)]
struct Inner {
    flights: HashMap<Question, Flight>,
    tenants: HashMap<String, Tenant>,
}

/// What a tenant uses up. It is forgotten with its last flight.
struct Tenant {
    flights: usize,
    exchanges: Arc<Semaphore>,
}

/// A fetch that one may wait for.
#[derive(Clone)]
pub(crate) struct Flight {
    answer: Shared<BoxFuture<'static, SharedFacts>>,
    /// Somebody has waited for it in vain.
    is_overdue: Arc<AtomicBool>,
}

impl Flight {
    fn new(answer: BoxFuture<'static, SharedFacts>) -> Self {
        Self {
            answer: answer.shared(),
            is_overdue: Arc::default(),
        }
    }

    /// The answer, if it comes in time. Once somebody waited in vain, nobody waits again: the two reviews of one pod,
    /// or a thousand pods, must not each lose the time that one may.
    pub(crate) async fn wait(self, deadline: Instant) -> Option<SharedFacts> {
        if self.is_overdue.load(Ordering::Relaxed) {
            return self.answer.now_or_never();
        }
        let answer = timeout_at(deadline, self.answer).await.ok();
        if answer.is_none() {
            self.is_overdue.store(true, Ordering::Relaxed);
        }
        answer
    }
}

/// Takes the flight off the map, even if it panics.
struct Landing {
    inner: Arc<Mutex<Inner>>,
    question: Question,
}

impl Drop for Landing {
    fn drop(&mut self) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.flights.remove(&self.question);
        let (_, Some(name)) = &self.question else {
            return;
        };
        if let Some(tenant) = inner.tenants.get_mut(name) {
            tenant.flights -= 1;
            if tenant.flights == 0 {
                inner.tenants.remove(name);
            }
        }
    }
}

impl Flights {
    /// At most `most` flights, and `exchanges` of one tenant at a time.
    pub(crate) fn new(most: usize, exchanges: usize) -> Self {
        Self {
            inner: Arc::default(),
            most,
            exchanges,
        }
    }

    /// The flight for `key`. If there is none, `start` gives the answer at once or a new flight, which may have as many
    /// exchanges at a time as the semaphore allows; `None` if there are too many already, in all or of this tenant.
    pub(crate) fn join(
        &self,
        key: &Key,
        tenant: Option<&str>,
        start: impl FnOnce(
            Option<Arc<Semaphore>>,
        ) -> Result<SharedFacts, BoxFuture<'static, SharedFacts>>,
    ) -> Option<Flight> {
        let question = (key.clone(), tenant.map(str::to_owned));
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = inner.flights.get(&question) {
            return Some(flight.clone());
        }
        let own = tenant.and_then(|name| inner.tenants.get(name));
        let is_full = inner.flights.len() >= self.most
            || own.is_some_and(|own| own.flights >= self.most.div_ceil(SHARE));
        if is_full {
            return None;
        }
        let exchanges = tenant.map(|_| match own {
            Some(own) => Arc::clone(&own.exchanges),
            None => Arc::new(Semaphore::new(self.exchanges)),
        });
        let fetch = match start(exchanges.clone()) {
            Ok(answer) => return Some(Flight::new(ready(answer).boxed())),
            Err(fetch) => fetch,
        };
        if let Some((name, exchanges)) = tenant.zip(exchanges) {
            let new = Tenant {
                flights: 0,
                exchanges,
            };
            let tenant = inner.tenants.entry(name.to_owned()).or_insert(new);
            tenant.flights += 1;
        }
        let (land, landed) = oneshot::channel();
        let answer = landed.map(|answer| {
            answer.unwrap_or_else(|_| Arc::new(Fact::Unknown(Gap::NotFetchedInTime)))
        });
        let flight = Flight::new(answer.boxed());
        inner.flights.insert(question.clone(), flight.clone());
        // A runtime that is shutting down drops the task at once, and with it the landing, which takes the lock.
        drop(inner);
        let landing = Landing {
            inner: Arc::clone(&self.inner),
            question,
        };
        tokio::spawn(async move {
            let _landing = landing;
            // Whoever asked may be gone.
            let _ = land.send(fetch.await);
        });
        Some(flight)
    }
}
