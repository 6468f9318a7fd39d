//! Guarded watches: what the cluster holds of one kind, kept up to date.
//!
//! One object that cannot be read does not stop a watch: its last readable version stays. A watch
//! that has not synced cannot be read at all, so that it is never mistaken for "there is none".

use std::{collections::HashMap, fmt::Debug, hash::Hash, pin::pin, sync::Arc, time::Duration};

use futures::StreamExt;
use kube::{
    Api, Resource, ResourceExt,
    core::DeserializeGuard,
    runtime::{
        reflector::{ObjectRef, Store, store::Writer},
        utils::Backoff,
        watcher::{self, DefaultBackoff, Event, watcher},
    },
};
use serde::de::DeserializeOwned;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tracing::{info, warn};

use crate::Condition;

mod trouble;

use trouble::{Kind, Trouble};

/// An object, or why it cannot be read. Make a watch's `Api` of it; the compiler infers it in
/// `watch(Api::all(client), …)`.
pub type Guarded<K> = DeserializeGuard<K>;

/// How long a page of a list may take, with the retries of the client.
const PAGE: Duration = Duration::from_secs(60);
/// How long one watch request lasts; a dead connection is noticed five seconds later.
const WATCH_SECONDS: u32 = 120;
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);

/// Says that something changed; several changes may count as one. Cheap to clone, and one signal
/// can be shared by many watches.
#[derive(Clone, Debug)]
pub struct Changed(watch::Sender<()>);

/// Waits for a [`Changed`].
#[derive(Debug)]
pub struct Changes {
    receiver: watch::Receiver<()>,
    /// Keeps the channel open.
    _signal: Changed,
}

impl Default for Changed {
    fn default() -> Self {
        Self(watch::channel(()).0)
    }
}

impl Changed {
    /// Tells all subscribers.
    pub fn fire(&self) {
        self.0.send_replace(());
    }

    /// Changes from now on. The first wait ends at once, so that nothing that happened before is
    /// missed.
    #[must_use]
    pub fn subscribe(&self) -> Changes {
        let mut receiver = self.0.subscribe();
        receiver.mark_changed();
        Changes {
            receiver,
            _signal: self.clone(),
        }
    }
}

impl Changes {
    /// Waits for the next change since the last call.
    pub async fn next(&mut self) {
        // It only fails when there is no sender, and we hold one.
        let _ = self.receiver.changed().await;
    }
}

/// What a watch knows. Cheap to clone.
#[derive(Clone)]
pub struct Watched<K: Resource<DynamicType: Hash + Eq> + Clone + 'static> {
    store: Store<K>,
    synced: watch::Receiver<bool>,
}

impl<K: Resource<DynamicType: Hash + Eq + Clone> + Clone + 'static> Watched<K> {
    /// All objects; nothing before the first sync.
    #[must_use]
    pub fn state(&self) -> Option<Vec<Arc<K>>> {
        self.store().map(Store::state)
    }

    /// The store, to look objects up; nothing before the first sync.
    #[must_use]
    pub fn store(&self) -> Option<&Store<K>> {
        self.is_synced().then_some(&self.store)
    }

    /// Whether all objects have been listed once.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        *self.synced.borrow()
    }

    /// Waits for the first sync.
    pub async fn synced(&self) {
        let mut synced = self.synced.clone();
        if synced.wait_for(|synced| *synced).await.is_err() {
            // The watch is gone, and so will be the process.
            std::future::pending::<()>().await;
        }
    }
}

/// Watches a kind. Run the future as a background task: it never ends.
///
/// `prune` drops what nobody reads, before it is kept (managed fields and the resource version are
/// dropped anyway); it must leave name and namespace alone. `ready` becomes ready at the first sync, and says why
/// if that does not come about: a kind that is not installed, a right that is missing.
/// After the first sync it stays ready, degraded at most: old knowledge is better than none.
/// `changed` is fired after the sync and after each change of what is kept: a heartbeat is none.
pub fn watch<K>(
    api: Api<Guarded<K>>,
    config: watcher::Config,
    prune: fn(&mut K),
    ready: Condition,
    changed: Changed,
) -> (Watched<K>, impl Future<Output = ()> + Send + use<K>)
where
    K: Resource<DynamicType: Hash + Eq + Clone + Default + Send + Sync>
        + Clone
        + Debug
        + PartialEq
        + DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    watch_dynamic(
        K::DynamicType::default(),
        api,
        config,
        Keep {
            prune,
            is_same: K::eq,
        },
        ready,
        changed,
    )
}

/// What is kept of an object.
pub struct Keep<K> {
    /// Drops what nobody reads.
    pub prune: fn(&mut K),
    /// Whether nothing that is kept has changed.
    pub is_same: fn(&K, &K) -> bool,
}

/// The same for a kind that the type alone does not tell, such as `kube::core::Object`.
/// Make its `Api` with `Api::all_with(client, &kind)`.
pub fn watch_dynamic<K>(
    kind: K::DynamicType,
    api: Api<Guarded<K>>,
    mut config: watcher::Config,
    keep: Keep<K>,
    ready: Condition,
    changed: Changed,
) -> (Watched<K>, impl Future<Output = ()> + Send + use<K>)
where
    K: Resource<DynamicType: Hash + Eq + Clone + Send + Sync>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    config.timeout.get_or_insert(WATCH_SECONDS);
    let writer = Writer::new(kind.clone());
    let (synced, is_synced) = watch::channel(false);
    let watched = Watched {
        store: writer.as_reader(),
        synced: is_synced,
    };
    let mirror = Mirror {
        store: writer.as_reader(),
        writer,
        keep,
        unreadable: HashMap::new(),
        trouble: Trouble::new(Kind::of::<K>(&kind), ready),
        kind,
        synced,
        changed,
    };
    (watched, follow(api, config, mirror))
}

async fn follow<K>(api: Api<Guarded<K>>, config: watcher::Config, mut mirror: Mirror<K>)
where
    K: Resource<DynamicType: Hash + Eq + Clone> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    // Not as a layer of the stream: there, every attempt to list would begin with a good event,
    // which resets it.
    let mut backoff = DefaultBackoff::default();
    loop {
        let mut events = pin!(watcher(api.clone(), config.clone()));
        let mut listing = true;
        loop {
            let event = if listing {
                timeout(PAGE, events.next()).await
            } else {
                Ok(events.next().await)
            };
            match event {
                Ok(Some(Ok(event))) => {
                    listing = matches!(event, Event::Init | Event::InitApply(_));
                    if !listing {
                        backoff.reset();
                    }
                    mirror.apply(event);
                }
                Ok(Some(Err(error))) => {
                    mirror.trouble.report(&error, mirror.is_synced());
                    let pause = backoff.next().unwrap_or(LONGEST_BACKOFF);
                    sleep(pause.min(LONGEST_BACKOFF)).await;
                }
                // The list hangs: begin anew. (The stream itself has no end.)
                Err(_) | Ok(None) => {
                    mirror.trouble.report_hanging(mirror.is_synced());
                    break;
                }
            }
        }
    }
}

/// The one writer of a store.
struct Mirror<K: Resource<DynamicType: Hash + Eq + Clone> + Clone + 'static> {
    kind: K::DynamicType,
    writer: Writer<K>,
    store: Store<K>,
    keep: Keep<K>,
    /// Objects that cannot be read, and why: each is logged once.
    unreadable: HashMap<ObjectRef<K>, String>,
    trouble: Trouble,
    synced: watch::Sender<bool>,
    changed: Changed,
}

impl<K: Resource<DynamicType: Hash + Eq + Clone> + Clone + 'static> Mirror<K> {
    fn is_synced(&self) -> bool {
        *self.synced.borrow()
    }

    fn apply(&mut self, event: Event<Guarded<K>>) {
        let event = match event {
            Event::Init => Some(Event::Init),
            Event::InitApply(object) => self.readable(object).map(Event::InitApply),
            Event::InitDone => Some(Event::InitDone),
            Event::Apply(object) => self.readable(object).map(Event::Apply),
            Event::Delete(object) => self.gone(object).map(Event::Delete),
        };
        let Some(event) = event else { return };
        if self.is_heartbeat(&event) {
            self.trouble.over();
            return;
        }
        self.writer.apply_watcher_event(&event);
        if matches!(event, Event::Init | Event::InitApply(_)) {
            return;
        }
        if !self.synced.send_replace(true) {
            info!(
                kind = self.trouble.kind(),
                objects = self.store.len(),
                "synced"
            );
        }
        self.trouble.over();
        self.changed.fire();
    }

    /// Whether nothing that is kept has changed: nodes and workloads write their status all the time.
    fn is_heartbeat(&self, event: &Event<K>) -> bool {
        let Event::Apply(object) = event else {
            return false;
        };
        let kept = self
            .store
            .get(&ObjectRef::from_obj_with(object, self.kind.clone()));
        self.is_synced() && kept.is_some_and(|kept| (self.keep.is_same)(&kept, object))
    }

    /// The object, pruned; if it cannot be read, the last version of it that could.
    fn readable(&mut self, object: Guarded<K>) -> Option<K> {
        let reference = self.reference(&object);
        match object.0 {
            Ok(mut object) => {
                self.unreadable.remove(&reference);
                object.meta_mut().managed_fields = None;
                object.meta_mut().resource_version = None;
                (self.keep.prune)(&mut object);
                Some(object)
            }
            Err(invalid) => {
                let last = self.unreadable.get(&reference);
                if last != Some(&invalid.error) {
                    let kept = self.store.get(&reference).is_some();
                    warn!(object = %reference, error = invalid.error, kept, "cannot read an object");
                    self.unreadable.insert(reference.clone(), invalid.error);
                }
                self.kept(&reference)
            }
        }
    }

    /// What to delete from the store.
    fn gone(&mut self, object: Guarded<K>) -> Option<K> {
        let reference = self.reference(&object);
        self.unreadable.remove(&reference);
        object.0.ok().or_else(|| self.kept(&reference))
    }

    fn kept(&self, reference: &ObjectRef<K>) -> Option<K> {
        self.store.get(reference).map(Arc::unwrap_or_clone)
    }

    fn reference(&self, object: &Guarded<K>) -> ObjectRef<K> {
        let reference = ObjectRef::new_with(&object.name_any(), self.kind.clone());
        match object.namespace() {
            Some(namespace) => reference.within(&namespace),
            None => reference,
        }
    }
}

#[cfg(test)]
mod tests;
