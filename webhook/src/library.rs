//! What the operator has learned of images, by its ImageProfiles: the webhook itself reads no layers.

use std::sync::Arc;
use std::time::Duration;

use hostfit_crds::image_profile::{KeptImageProfile, find};
use hostfit_process::{Changed, Health, Tasks, watch};
use hostfit_registry::{Library, Registry};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use kube::{Api, Client};

/// Between two looks: changes that come together are taken together.
const DEBOUNCE: Duration = Duration::from_millis(200);

/// Starts the watch; the signal is fired when something was learned.
pub(crate) fn library(client: &Client, health: &Health, tasks: &mut Tasks) -> (Library, Changed) {
    let changed = Changed::default();
    let ready = health.condition("watch imageprofiles");
    let api = Api::all(client.clone());
    let (profiles, watching) = watch::watch::<KeptImageProfile>(
        api,
        watcher::Config::default(),
        |_| {},
        ready,
        changed.clone(),
    );
    tasks.background("watch imageprofiles", watching);
    let library: Library = Arc::new(move |digest| {
        let store = profiles.store()?;
        find(digest, |name| store.get(&ObjectRef::new(name)))
    });
    (library, changed)
}

/// Completes what is known of images whenever something was learned.
pub(crate) async fn follow(registry: Registry, changed: Changed) {
    let mut changes = changed.subscribe();
    loop {
        changes.next().await;
        tokio::time::sleep(DEBOUNCE).await;
        registry.look_up();
    }
}
