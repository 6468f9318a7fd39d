//! One fetch per question, however many ask. Who asks may leave; the fetch goes on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared, ready};
use hostfit_engine::fact::{Fact, Gap};
use hostfit_engine::image::ImageFacts;

use crate::cache::Key;

type Answer = Arc<Fact<ImageFacts>>;
type Flight = Shared<BoxFuture<'static, Answer>>;
type Map = Arc<Mutex<HashMap<Key, Flight>>>;

/// The fetches on their way, each of which ends by its own deadline.
pub(crate) struct Flights {
    map: Map,
    most: usize,
}

/// Takes the flight off the map, even if it panics.
struct Landing(Map, Key);

impl Drop for Landing {
    fn drop(&mut self) {
        let Self(map, key) = self;
        map.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(key);
    }
}

impl Flights {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            map: Map::default(),
            most,
        }
    }

    /// The flight for `key`. If there is none, `start` gives the answer at once or a new flight; `None`
    /// if there are too many already.
    pub(crate) fn join(
        &self,
        key: &Key,
        start: impl FnOnce() -> Result<Answer, BoxFuture<'static, Answer>>,
    ) -> Option<Flight> {
        let mut map = self.map.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = map.get(key) {
            return Some(flight.clone());
        }
        if map.len() >= self.most {
            return None;
        }
        let flight = match start() {
            Ok(answer) => return Some(ready(answer).boxed().shared()),
            Err(flight) => flight,
        };
        let landing = Landing(Arc::clone(&self.map), key.clone());
        let task = tokio::spawn(async move {
            let _landing = landing;
            flight.await
        });
        let answer = task.map(|result| {
            result.unwrap_or_else(|_| Arc::new(Fact::Unknown(Gap::NotFetchedInTime)))
        });
        let flight = answer.boxed().shared();
        map.insert(key.clone(), flight.clone());
        Some(flight)
    }
}
