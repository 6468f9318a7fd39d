//! The world as admission sees it: watches → one immutable snapshot, swapped when something changed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use hostfit_crds::compat_exception::exceptions;
use hostfit_crds::fleet::{Class, fleet, prune};
use hostfit_crds::node::offered;
use hostfit_crds::policies::{Judge, Policies};
use hostfit_crds::runtime_class::{self, runtime_classes};
use hostfit_crds::{BaseImage, CompatException, HostProfile, NodeProfile, SupportMatrix};
use hostfit_engine::exception::Exceptions;
use hostfit_engine::landing::Fleet;
use hostfit_engine::lineage::Catalog;
use hostfit_process::{Changed, Condition, Health, Tasks, Watched, watch};
use hostfit_registry::Platforms;
use k8s_openapi::api::core::v1::{Namespace, Node};
use k8s_openapi::api::node::v1::RuntimeClass;
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt};
use tokio::time::{Instant, timeout_at};
use tracing::warn;

use crate::memo::Memo;

/// Between two snapshots: changes that come together are taken together.
const DEBOUNCE: Duration = Duration::from_millis(200);

/// How long a review waits for its namespace to be seen.
const UNSEEN: Duration = Duration::from_millis(500);

/// What is known at one moment.
pub(crate) struct Snapshot {
    pub(crate) fleet: Fleet,
    pub(crate) catalog: Catalog,
    /// The platforms of the fleet's hosts.
    pub(crate) platforms: Platforms,
    policies: HashMap<String, Arc<Judge>>,
    /// What people accept, by namespace.
    pub(crate) exceptions: Exceptions,
    /// For a namespace that the watch has not shown yet.
    unseen: Arc<Judge>,
    /// What was judged with this snapshot; it goes with it.
    pub(crate) memo: Memo,
}

impl Snapshot {
    fn knows(&self, namespace: &str) -> bool {
        self.policies.contains_key(namespace)
    }

    /// The policy of a namespace.
    pub(crate) fn judge(&self, namespace: &str) -> &Arc<Judge> {
        self.policies.get(namespace).unwrap_or(&self.unseen)
    }

    fn empty() -> Self {
        let known = Known {
            nodes: Vec::new(),
            namespaces: Vec::new(),
            profiles: Vec::new(),
            node_profiles: Vec::new(),
            runtimes: Vec::new(),
            bases: Vec::new(),
            exceptions: Vec::new(),
        };
        Self::build(&known, &Policies::default())
    }

    pub(crate) fn build(known: &Known, policies: &Policies) -> Self {
        let Known {
            nodes,
            namespaces,
            profiles,
            node_profiles,
            runtimes,
            bases,
            exceptions: of_people,
        } = known;
        let classes = profiles.iter().filter_map(|profile| Class::of(profile));
        let known: HashMap<_, _> = node_profiles.iter().map(|it| (it.name_any(), it)).collect();
        let nodes = nodes.iter().map(|node| {
            let known = known.get(&node.name_any());
            (
                node.as_ref(),
                offered(node, known.map(|known| known.as_ref())),
            )
        });
        let runtime_classes = runtime_classes(runtimes.iter().map(AsRef::as_ref));
        let fleet = fleet(classes, nodes).with_runtime_classes(runtime_classes);
        // Most namespaces have the same policy: they share one.
        let mut shared: Vec<Arc<Judge>> = Vec::new();
        let mut share = |labels: &BTreeMap<String, String>| {
            let judge = policies.judge(labels);
            let known = shared.iter().find(|known| ***known == judge).cloned();
            known.unwrap_or_else(|| {
                let judge = Arc::new(judge);
                shared.push(judge.clone());
                judge
            })
        };
        let unseen = share(&BTreeMap::new());
        Self {
            platforms: Platforms::of(fleet.platforms()),
            fleet,
            catalog: Catalog::new(bases.iter().flat_map(|base| base.known_bases())),
            policies: namespaces
                .iter()
                .map(|it| (it.name_any(), share(it.labels())))
                .collect(),
            exceptions: exceptions(of_people.iter().map(AsRef::as_ref)),
            unseen,
            memo: Memo::default(),
        }
    }
}

/// The current snapshot. Cheap to clone; clones share it.
#[derive(Clone)]
pub(crate) struct World {
    current: Arc<ArcSwap<Snapshot>>,
    /// Fired after each snapshot.
    built: Changed,
}

impl World {
    /// The snapshot of this moment, or the first that knows `namespace`. A pod may come right behind its namespace,
    /// whose labels say what is to be done about it: they are waited for, but not for long.
    pub(crate) async fn knowing(&self, namespace: &str, deadline: Instant) -> Arc<Snapshot> {
        let now = self.current.load_full();
        if now.knows(namespace) {
            return now;
        }
        let mut built = self.built.subscribe();
        let known = async {
            loop {
                built.next().await;
                if self.current.load().knows(namespace) {
                    return;
                }
            }
        };
        // Too late is no error: without labels a namespace has the policy of all.
        let _ = timeout_at(deadline.min(Instant::now() + UNSEEN), known).await;
        self.current.load_full()
    }

    /// Starts the watches, and keeps the snapshot current. `ready` once every watch has synced.
    pub(crate) fn watch(client: &Client, health: &Health, tasks: &mut Tasks) -> Self {
        let changed = Changed::default();
        macro_rules! watched {
            ($kind:ty, $name:literal, $prune:expr) => {{
                let ready = health.condition(concat!("watch ", $name));
                let api = Api::all(client.clone());
                let config = watcher::Config::default();
                let (watched, follow) =
                    watch::watch::<$kind>(api, config, $prune, ready, changed.clone());
                tasks.background(concat!("watch ", $name), follow);
                watched
            }};
        }
        let stores = Stores {
            nodes: watched!(Node, "nodes", prune),
            namespaces: watched!(Namespace, "namespaces", prune_namespace),
            profiles: watched!(HostProfile, "hostprofiles", |_| {}),
            node_profiles: watched!(NodeProfile, "nodeprofiles", NodeProfile::prune),
            runtimes: watched!(RuntimeClass, "runtimeclasses", runtime_class::prune),
            bases: watched!(BaseImage, "baseimages", |_| {}),
            exceptions: watched!(CompatException, "compatexceptions", CompatException::prune),
            matrices: watched!(SupportMatrix, "supportmatrices", |_| {}),
        };
        let ready = health.condition("snapshot");
        let world = Self {
            current: Arc::new(ArcSwap::from_pointee(Snapshot::empty())),
            built: Changed::default(),
        };
        tasks.background("snapshot", stores.follow(world.clone(), changed, ready));
        world
    }
}

struct Stores {
    nodes: Watched<Node>,
    namespaces: Watched<Namespace>,
    profiles: Watched<HostProfile>,
    node_profiles: Watched<NodeProfile>,
    runtimes: Watched<RuntimeClass>,
    bases: Watched<BaseImage>,
    exceptions: Watched<CompatException>,
    matrices: Watched<SupportMatrix>,
}

/// What a snapshot is made of.
pub(crate) struct Known {
    pub(crate) nodes: Vec<Arc<Node>>,
    pub(crate) namespaces: Vec<Arc<Namespace>>,
    pub(crate) profiles: Vec<Arc<HostProfile>>,
    pub(crate) node_profiles: Vec<Arc<NodeProfile>>,
    pub(crate) runtimes: Vec<Arc<RuntimeClass>>,
    pub(crate) bases: Vec<Arc<BaseImage>>,
    pub(crate) exceptions: Vec<Arc<CompatException>>,
}

impl Stores {
    /// What the watches hold; nothing before all have synced.
    fn known(&self) -> Option<Known> {
        Some(Known {
            nodes: self.nodes.state()?,
            namespaces: self.namespaces.state()?,
            profiles: self.profiles.state()?,
            node_profiles: self.node_profiles.state()?,
            runtimes: self.runtimes.state()?,
            bases: self.bases.state()?,
            exceptions: self.exceptions.state()?,
        })
    }

    async fn follow(self, world: World, changed: Changed, ready: Condition) {
        let mut changes = changed.subscribe();
        let mut policies = Policies::default();
        loop {
            changes.next().await;
            tokio::time::sleep(DEBOUNCE).await;
            let (Some(known), Some(matrices)) = (self.known(), self.matrices.state()) else {
                continue;
            };
            let (read, errors) = Policies::read(matrices, &policies);
            policies = read;
            for (matrix, error) in errors {
                warn!(matrix, %error, "matrix not read; its last good state stays active");
            }
            let snapshot = Snapshot::build(&known, &policies);
            world.current.store(Arc::new(snapshot));
            world.built.fire();
            ready.set_ready();
        }
    }
}

fn prune_namespace(namespace: &mut Namespace) {
    namespace.metadata.annotations = None;
    namespace.metadata.managed_fields = None;
}
