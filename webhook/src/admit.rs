//! The pipeline of admission, and its deadline: read → ask for all images at once → judge → decide.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hostfit_crds::policies::Judge;
use hostfit_engine::fact::{Fact, Gap};
use hostfit_engine::policy::{Decision, Mode, decide};
use hostfit_engine::verdict::{Judgement, User};
use hostfit_engine::workload::{Workload, WorkloadImage};
use hostfit_registry::{Credentials, Platforms, PullSecrets, Registry, SharedFacts};
use tokio::time::Instant;

use crate::memo::Question;
use crate::metrics::{Lookup, Metrics};
use crate::ran::Reports;
use crate::review::Request;
use crate::snapshot::{Snapshot, World};
use crate::subject::{Kind, Metadata};

/// Images of one pod that are asked for. Beyond them the answer is "not inspected", never a guess.
const MOST_IMAGES: usize = 64;

/// Everything that a judgement needs.
pub(crate) struct Admission {
    pub(crate) world: World,
    pub(crate) reports: Reports,
    pub(crate) registry: Registry,
    pub(crate) secrets: PullSecrets,
    pub(crate) patience: Duration,
    pub(crate) namespace: String,
    pub(crate) metrics: Arc<Metrics>,
    /// For every reference that is none: the finding is the reference itself.
    unreadable: SharedFacts,
}

/// A pod or template that was judged.
pub(crate) struct Judged {
    pub(crate) kind: Kind,
    pub(crate) metadata: Option<Metadata>,
    pub(crate) judgement: Arc<Judgement>,
    pub(crate) decision: Decision,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) judge: Arc<Judge>,
    /// A controller makes it now, of an object that was judged before or is not ours to judge: nobody reads warnings.
    pub(crate) is_unattended: bool,
    name: Option<String>,
}

impl Judged {
    /// Name of the object; what it will begin with, if it has none yet.
    pub(crate) fn name(&self) -> &str {
        let metadata = self.metadata.as_ref();
        let own = metadata.and_then(|it| it.name.as_deref().or(it.generate_name.as_deref()));
        self.name.as_deref().or(own).unwrap_or("(unnamed)")
    }
}

/// What came of a review.
pub(crate) enum Verdict {
    /// Not for us to say: another kind, an excluded namespace, an update that leaves images and placement alone.
    NotJudged,
    /// The object cannot be read.
    Unreadable(Kind),
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
        reports: Reports,
        registry: Registry,
        secrets: PullSecrets,
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
    pub(crate) async fn judge(&self, request: &Request<'_>) -> Verdict {
        let Some((kind, object)) = request.kind().zip(request.object) else {
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
        let Ok(subject) = kind.read(object.get()) else {
            return Verdict::Unreadable(kind);
        };
        let (metadata, of_template) = (subject.metadata, subject.template_labels);
        if metadata.as_ref().is_some_and(|it| request.is_mirror(it)) {
            return Verdict::NotJudged;
        }
        let mut workload = Workload::from(subject.pod);
        let before = request.before().and_then(|old| kind.read(old.get()).ok());
        let is_update = before.is_some();
        if let Some(before) = before {
            match changed(workload, &before.pod.into(), kind) {
                Some(changed) => workload = changed,
                None => return Verdict::NotJudged,
            }
        }
        // Whoever fills in a template has not done so yet: its pods will be judged.
        let mode = match kind.is_template() && workload.has_placeholders() {
            true => judge.mode.min(Mode::Warn),
            false => judge.mode,
        };
        let facts = self
            .facts(&workload.images, namespace, &snapshot, deadline)
            .await;
        // The only clock that the judgement knows is asked here.
        let now = jiff::Timestamp::now();
        let workload = Arc::new(workload);
        let none = BTreeMap::new();
        let of_pod = metadata.as_ref().and_then(|it| it.labels.as_ref());
        let judgement = snapshot.evaluate(Question {
            workload: workload.clone(),
            facts: facts.clone(),
            judge: &judge,
            namespace,
            labels: match kind.is_template() {
                true => &of_template,
                false => of_pod.unwrap_or(&none),
            },
            now,
        });
        let already_ran = |user: &User| {
            let mut images = workload.images.iter().zip(facts.iter());
            let image = images.find(|(image, _)| (image.role, &image.name) == (user.0, &user.1));
            let facts = image.and_then(|(_, facts)| facts.value());
            facts.is_some_and(|facts| self.reports.tell_that(&facts.digest, namespace))
        };
        let decision = decide(&judgement, &judge.policy, mode, already_ran);
        Verdict::Judged(Box::new(Judged {
            kind,
            name: request
                .name
                .as_deref()
                .filter(|name| !name.is_empty())
                .map(str::to_owned),
            is_unattended: !is_update && metadata.as_ref().is_some_and(Metadata::is_owned),
            metadata,
            judgement,
            decision,
            snapshot,
            judge,
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

/// What an update answers for; nothing if it touches neither images nor placement.
fn changed(workload: Workload, before: &Workload, kind: Kind) -> Option<Workload> {
    let moves = workload.placement != before.placement;
    let new = workload.clone().without_images_of(before);
    let brings = !new.images.is_empty();
    if kind.is_template() {
        // Its next pods start with all images, wherever they may land then.
        return (brings || moves).then_some(workload);
    }
    // A pod runs where it is: it answers for what it changes, not for what runs already.
    brings.then_some(new)
}
