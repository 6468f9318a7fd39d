//! The pipeline of admission, and its deadline: read → ask for all images at once → judge → decide.

use std::sync::Arc;
use std::time::Duration;

use hostfit_engine::fact::{Fact, Gap};
use hostfit_engine::image::Digest;
use hostfit_engine::workload::WorkloadImage;
use hostfit_registry::{Platforms, PodCredentials, Registry, SharedFacts};
use tokio::time::Instant;

use crate::credentials::Secrets;
use crate::metrics::{Lookup, Metrics, Route};
use crate::question::{Question, Verdict};
use crate::ran::Reports;
use crate::review::Request;
use crate::snapshot::{Snapshot, World};

/// Images of one pod that are asked for. Beyond them the answer is "not inspected", never a guess.
const MOST_IMAGES: usize = 64;

/// Everything that a judgement needs.
pub(crate) struct Admission {
    pub(crate) world: World,
    pub(crate) reports: Reports,
    pub(crate) registry: Registry,
    pub(crate) secrets: Secrets,
    pub(crate) patience: Duration,
    pub(crate) namespace: String,
    pub(crate) metrics: Arc<Metrics>,
    /// For every reference that is none: the finding is the reference itself.
    unreadable: SharedFacts,
}

/// How the images of one pod are asked for.
struct Terms<'a> {
    secrets: &'a PodCredentials,
    platforms: &'a Platforms,
    tenant: &'a str,
    deadline: Instant,
}

impl Admission {
    pub(crate) fn new(
        world: World,
        reports: Reports,
        registry: Registry,
        secrets: Secrets,
        patience: Duration,
        namespace: String,
        metrics: Arc<Metrics>,
    ) -> Self {
        let unreadable = Arc::new(Fact::Unknown(Gap::NothingTells));
        Self {
            world,
            reports,
            registry,
            secrets,
            patience,
            namespace,
            metrics,
            unreadable,
        }
    }

    /// Judges the object of a review. No API call, and no wait unless an image is new.
    pub(crate) async fn judge(&self, route: Route, request: &Request<'_>) -> Verdict {
        let namespace = request.namespace.as_deref().unwrap_or_default();
        // The chart keeps our own pods out; whoever registers us otherwise must not lock us out.
        if request.kind().is_none() || namespace == self.namespace {
            return Verdict::NotJudged;
        }
        // One deadline for all that has to be waited for.
        let deadline = Instant::now() + self.patience;
        let snapshot = self.world.knowing(namespace, deadline).await;
        let question = match Question::of(route, request, snapshot) {
            Ok(question) => question,
            Err(verdict) => return verdict,
        };
        let images = &question.workload.images;
        let secrets = self.secrets.of(namespace, &question.pull_secrets);
        let facts = self
            .facts(images, &secrets, namespace, &question.snapshot, deadline)
            .await;
        // The only clock that the judgement knows is asked here.
        let now = jiff::Timestamp::now();
        let already_ran = |digest: &Digest| self.reports.already_ran(digest, namespace);
        Verdict::Judged(Box::new(question.answer(&facts, now, already_ran)))
    }

    /// What is known of each image, by the deadline at the latest. All are asked for at once.
    async fn facts(
        &self,
        images: &[WorkloadImage],
        secrets: &PodCredentials,
        tenant: &str,
        snapshot: &Snapshot,
        deadline: Instant,
    ) -> Arc<[SharedFacts]> {
        let mut known: Vec<Option<SharedFacts>> = images
            .iter()
            .map(|image| match &image.reference {
                Ok(reference) => {
                    let credentials = &secrets.credentials;
                    let known = self
                        .registry
                        .cached(reference, credentials, &snapshot.platforms);
                    known.map(|facts| secrets.explain(facts))
                }
                Err(_) => Some(self.unreadable.clone()),
            })
            .collect();
        let missing = known.iter().filter(|facts| facts.is_none()).count();
        self.metrics.looked_up(Lookup::Hit, known.len() - missing);
        if missing > 0 {
            let terms = Terms {
                secrets,
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
                        secrets,
                        platforms,
                        tenant,
                        deadline,
                    } = terms;
                    let credentials = &secrets.credentials;
                    let facts = self
                        .registry
                        .facts(reference, credentials, platforms, Some(tenant), *deadline)
                        .await;
                    secrets.explain(facts)
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
