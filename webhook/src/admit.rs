//! The pipeline of admission, and its deadline: read → ask for all images at once → judge → decide.

use std::sync::Arc;
use std::time::Duration;

use hostfit_crds::workload::PodSpec;
use hostfit_engine::fact::{Fact, Gap};
use hostfit_engine::policy::{Decision, Mode, decide};
use hostfit_engine::verdict::Judgement;
use hostfit_engine::workload::{Workload, WorkloadImage};
use hostfit_registry::{Credentials, Platforms, PullSecrets, Registry, SharedFacts};
use tokio::time::Instant;

use crate::metrics::{Lookup, Metrics};
use crate::review::{Metadata, Pod, Request};
use crate::snapshot::{Snapshot, World};

/// Images of one pod that are asked for. Beyond them the answer is "not inspected", never a guess.
const MOST_IMAGES: usize = 64;

/// Everything that a judgement needs.
pub(crate) struct Admission {
    pub(crate) world: World,
    pub(crate) registry: Registry,
    pub(crate) secrets: PullSecrets,
    pub(crate) patience: Duration,
    pub(crate) namespace: String,
    pub(crate) metrics: Arc<Metrics>,
    /// For every reference that is none: the finding is the reference itself.
    unreadable: SharedFacts,
}

/// A pod that was judged.
pub(crate) struct Judged {
    pub(crate) metadata: Option<Metadata>,
    pub(crate) judgement: Arc<Judgement>,
    pub(crate) decision: Decision,
    pub(crate) snapshot: Arc<Snapshot>,
    name: Option<String>,
}

impl Judged {
    /// Name of the pod; what it will begin with, if it has none yet.
    pub(crate) fn pod_name(&self) -> &str {
        let metadata = self.metadata.as_ref();
        let own = metadata.and_then(|it| it.name.as_deref().or(it.generate_name.as_deref()));
        self.name.as_deref().or(own).unwrap_or("(unnamed)")
    }
}

/// What came of a review.
pub(crate) enum Verdict {
    /// Not for us to say: another kind, an excluded namespace, an update that leaves the images alone.
    NotJudged,
    /// The pod cannot be read.
    Unreadable,
    /// It was judged.
    Judged(Box<Judged>),
}

/// How the images of one pod are asked for.
struct Terms<'a> {
    credentials: &'a Credentials,
    platforms: &'a Platforms,
    tenant: &'a str,
    deadline: Instant,
}

impl Admission {
    pub(crate) fn new(
        world: World,
        registry: Registry,
        secrets: PullSecrets,
        patience: Duration,
        namespace: String,
        metrics: Arc<Metrics>,
    ) -> Self {
        let unreadable = Arc::new(Fact::Unknown(Gap::NothingTells));
        Self {
            world,
            registry,
            secrets,
            patience,
            namespace,
            metrics,
            unreadable,
        }
    }

    /// Judges the pod of a review. No API call, and no wait unless an image is new.
    pub(crate) async fn judge(&self, request: &Request<'_>) -> Verdict {
        let Some(object) = request.object.filter(|_| request.is_about_a_pod()) else {
            return Verdict::NotJudged;
        };
        let namespace = request.namespace.as_deref().unwrap_or_default();
        // The chart keeps our own pods out; whoever registers us otherwise must not lock us out.
        if namespace == self.namespace {
            return Verdict::NotJudged;
        }
        // One deadline for all that has to be waited for.
        let deadline = Instant::now() + self.patience;
        let snapshot = self.world.knowing(namespace, deadline).await;
        let judge = snapshot.judge(namespace).clone();
        if matches!(judge.mode, Mode::Off | Mode::Audit) {
            return Verdict::NotJudged;
        }
        let Ok(pod) = serde_json::from_str::<Pod>(object.get()) else {
            return Verdict::Unreadable;
        };
        if pod
            .metadata
            .as_ref()
            .is_some_and(|metadata| request.is_mirror(metadata))
        {
            return Verdict::NotJudged;
        }
        let mut workload = Workload::from(pod.spec);
        let old = request
            .old_object
            .filter(|_| &*request.operation == "UPDATE");
        // An update answers for what it changes, not for what runs already.
        if let Some(before) = old.and_then(|old| images_of(old.get())) {
            workload.images.retain(|image| !before.contains(image));
            if workload.images.is_empty() {
                return Verdict::NotJudged;
            }
        }
        let facts = self
            .facts(&workload.images, namespace, &snapshot, deadline)
            .await;
        // The only clock that the judgement knows is asked here.
        let today = hostfit_crds::date(jiff::Timestamp::now());
        let judgement = snapshot.evaluate(Arc::new(workload), facts, &judge, today);
        let decision = decide(&judgement, &judge.policy, judge.mode);
        Verdict::Judged(Box::new(Judged {
            name: request
                .name
                .as_deref()
                .filter(|name| !name.is_empty())
                .map(str::to_owned),
            metadata: pod.metadata,
            judgement,
            decision,
            snapshot,
        }))
    }

    /// What is known of each image, by the deadline at the latest. All are asked for at once.
    async fn facts(
        &self,
        images: &[WorkloadImage],
        tenant: &str,
        snapshot: &Snapshot,
        deadline: Instant,
    ) -> Arc<[SharedFacts]> {
        let credentials = self.secrets.current();
        let mut known: Vec<Option<SharedFacts>> = images
            .iter()
            .map(|image| match &image.reference {
                Ok(reference) => self
                    .registry
                    .cached(reference, &credentials, &snapshot.platforms),
                Err(_) => Some(self.unreadable.clone()),
            })
            .collect();
        let missing = known.iter().filter(|facts| facts.is_none()).count();
        self.metrics.looked_up(Lookup::Hit, known.len() - missing);
        if missing > 0 {
            let terms = Terms {
                credentials: &credentials,
                platforms: &snapshot.platforms,
                tenant,
                deadline,
            };
            self.fetch(images, &mut known, &terms).await;
        }
        known.into_iter().flatten().collect()
    }

    /// Fills what is not known, all at once.
    async fn fetch(
        &self,
        images: &[WorkloadImage],
        known: &mut [Option<SharedFacts>],
        terms: &Terms<'_>,
    ) {
        let open = images
            .iter()
            .zip(known)
            .filter(|(_, facts)| facts.is_none());
        let fetches = open.enumerate().map(|(index, (image, slot))| async move {
            let facts = match &image.reference {
                Ok(reference) if index < MOST_IMAGES => {
                    let Terms {
                        credentials,
                        platforms,
                        tenant,
                        deadline,
                    } = terms;
                    self.registry
                        .facts(reference, credentials, platforms, Some(tenant), *deadline)
                        .await
                }
                Ok(_) | Err(_) => Arc::new(Fact::Unknown(Gap::NotFetchedInTime)),
            };
            let in_time = !matches!(*facts, Fact::Unknown(Gap::NotFetchedInTime));
            let lookup = if in_time {
                Lookup::Pending
            } else {
                Lookup::Unknown
            };
            self.metrics.looked_up(lookup, 1);
            *slot = Some(facts);
        });
        futures::future::join_all(fetches).await;
    }
}

/// The images of an object as it was before an update.
fn images_of(object: &str) -> Option<Vec<WorkloadImage>> {
    #[derive(Default, serde::Deserialize)]
    #[serde(default)]
    struct Old {
        spec: PodSpec,
    }
    let old: Old = serde_json::from_str(object).ok()?;
    Some(Workload::from(old.spec).images)
}
