//! The NodeFeatures of node-feature-discovery. The kind is not ours: it may be absent, or be installed later.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hostfit_crds::node::NodeFeature;
use hostfit_process::client::{CALL, within};
use hostfit_process::watch::{self, Guarded};
use hostfit_process::{Changed, Health, Shutdown, Tasks, Watched};
use kube::api::ListParams;
use kube::runtime::watcher;
use kube::{Api, Client};
use tokio::sync::watch as state;
use tokio::time::sleep;
use tracing::{info, warn};

/// How often a kind that is absent is looked for.
const LOOK: Duration = Duration::from_secs(60);
/// After an answer that tells neither.
const RETRY: Duration = Duration::from_secs(5);
/// One object may have a hundred kilobytes before it is pruned.
const PAGE: u32 = 20;

/// What is known of the kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    Unknown,
    Absent,
    Present,
}

/// The objects, if there are any. Cheap to clone.
#[derive(Clone)]
pub(crate) struct NodeFeatures {
    watched: Watched<NodeFeature>,
    told: state::Sender<Presence>,
}

/// The objects by the node that they speak of.
pub(crate) type ByNode = HashMap<String, Vec<Arc<NodeFeature>>>;

impl NodeFeatures {
    /// Looks for the kind, and watches it once it is there; never, if it is not wanted.
    pub(crate) fn watch(
        client: &Client,
        wanted: bool,
        tasks: &mut Tasks,
        changed: &Changed,
    ) -> Self {
        let (features, follow) = Self::followed(client, changed);
        if !wanted {
            features.told.send_replace(Presence::Absent);
            return features;
        }
        tasks.background("watch nodefeatures", follow);
        features
    }

    /// The objects, and the task that follows them: it never ends.
    fn followed(client: &Client, changed: &Changed) -> (Self, impl Future<Output = ()> + use<>) {
        let told = state::Sender::new(Presence::Unknown);
        // Of no weight for the readiness of the process: the kind is somebody else's.
        let ready = Health::new(Shutdown::never()).condition("watch nodefeatures");
        let config = watcher::Config::default().page_size(PAGE);
        let api: Api<Guarded<NodeFeature>> = Api::all(client.clone());
        let (watched, follow) =
            watch::watch::<NodeFeature>(api, config, NodeFeature::prune, ready, changed.clone());
        let look = look(Api::all(client.clone()), told.clone(), changed.clone());
        let follow = async move {
            look.await;
            follow.await;
        };
        (Self { watched, told }, follow)
    }

    /// All objects; nothing before it is known whether there are any.
    pub(crate) fn by_node(&self) -> Option<ByNode> {
        let mut by_node = ByNode::new();
        match *self.told.borrow() {
            Presence::Unknown => return None,
            Presence::Absent => return Some(by_node),
            Presence::Present => {}
        }
        for feature in self.watched.state()? {
            if let Some(node) = feature.node() {
                by_node.entry(node.to_owned()).or_default().push(feature);
            }
        }
        Some(by_node)
    }
}

/// Ends when the kind is there.
async fn look(api: Api<NodeFeature>, told: state::Sender<Presence>, changed: Changed) {
    let mut refused = false;
    loop {
        let first = ListParams::default().limit(1);
        let pause = match within(CALL, api.list_metadata(&first)).await {
            Ok(_) => break,
            Err(kube::Error::Api(status)) if status.code == 404 => LOOK,
            Err(kube::Error::Api(status)) if status.code == 403 => {
                if !std::mem::replace(&mut refused, true) {
                    warn!(
                        reason = status.message,
                        "NodeFeatures of node-feature-discovery are not read: grant list and watch on nodefeatures, or set facts.nodeFeatures=false"
                    );
                }
                LOOK
            }
            // The API server is in trouble: what was known before stays.
            Err(_) => {
                sleep(RETRY).await;
                continue;
            }
        };
        if told.send_replace(Presence::Absent) != Presence::Absent {
            changed.fire();
        }
        sleep(pause).await;
    }
    info!("NodeFeatures of node-feature-discovery are there, and are read from now on");
    told.send_replace(Presence::Present);
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Mutex;

    use http::{Request, Response};
    use kube::client::Body;
    use serde_json::{Value, json};

    use super::*;

    /// An API server that gives these answers one after the other, and then none.
    fn client(answers: Vec<(u16, Value)>) -> (Client, Arc<Mutex<Vec<String>>>) {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, answers) = (asked.clone(), Arc::new(Mutex::new(answers.into_iter())));
        let service = tower::service_fn(move |request: Request<Body>| {
            log.lock().unwrap().push(request.uri().path().to_owned());
            let answer = answers.lock().unwrap().next();
            async move {
                let Some((code, body)) = answer else {
                    return std::future::pending().await;
                };
                let body = Body::from(body.to_string().into_bytes());
                let response = Response::builder().status(code).body(body);
                Ok::<_, Infallible>(response.unwrap())
            }
        });
        (Client::new(service, "default"), asked)
    }

    fn refusal(code: u16) -> (u16, Value) {
        let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                            "message": "no", "reason": "", "code": code});
        (code, status)
    }

    fn list() -> (u16, Value) {
        let feature = json!({
            "apiVersion": "nfd.k8s-sigs.io/v1alpha1", "kind": "NodeFeature",
            "metadata": {"name": "n", "namespace": "nfd", "labels": {"nfd.node.kubernetes.io/node-name": "n"}},
            "spec": {"features": {"flags": {"cpu.cpuid": {"elements": {"X86_64_V1": {}}}}}},
        });
        (
            200,
            json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": "1"}, "items": [feature]}),
        )
    }

    #[tokio::test(start_paused = true)]
    async fn a_kind_that_is_absent_is_found_when_it_is_installed() {
        let (client, asked) = client(vec![refusal(404), refusal(500), list(), list()]);
        let changed = Changed::default();
        let mut changes = changed.subscribe();
        let (features, follow) = NodeFeatures::followed(&client, &changed);
        assert!(features.by_node().is_none(), "nothing is known yet");
        let follow = tokio::spawn(follow);
        changes.next().await;
        changes.next().await;
        assert!(features.by_node().unwrap().is_empty());
        changes.next().await;
        let by_node = features.by_node().unwrap();
        assert_eq!(by_node["n"].len(), 1);
        assert!(asked.lock().unwrap()[0].ends_with("/apis/nfd.k8s-sigs.io/v1alpha1/nodefeatures"));
        follow.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn without_the_right_to_read_them_there_are_none() {
        let (client, _) = client(vec![refusal(403)]);
        let changed = Changed::default();
        let mut changes = changed.subscribe();
        let (features, follow) = NodeFeatures::followed(&client, &changed);
        let follow = tokio::spawn(follow);
        changes.next().await;
        changes.next().await;
        assert!(features.by_node().unwrap().is_empty());
        follow.abort();
    }
}
