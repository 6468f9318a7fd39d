//! Pure: what a review asks → what is judged → what was found and decided.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hostfit_crds::names;
use hostfit_crds::policies::Judge;
use hostfit_crds::workload::{Affinity, PullSecretNames};
use hostfit_engine::image::Digest;
use hostfit_engine::policy::{Decision, Mode, decide};
use hostfit_engine::steering::{Steering, steering};
use hostfit_engine::verdict::{Judgement, User};
use hostfit_engine::workload::{Operator, Placement, Requirement, Workload};
use hostfit_registry::SharedFacts;

use crate::memo::Case;
use crate::metrics::Route;
use crate::review::Request;
use crate::snapshot::Snapshot;
use crate::subject::{Kind, Metadata};

/// Before the names of the hosts that a pod is kept away from, in its annotation.
const AWAY_FROM: &str = "away from ";

/// What came of a review.
pub(crate) enum Verdict {
    /// Not for us to say: another kind, an excluded namespace, an update that leaves images and placement alone.
    NotJudged,
    /// The object cannot be read.
    Unreadable(Kind),
    /// It was judged.
    Judged(Box<Judged>),
}

/// What is to be judged.
pub(crate) struct Question {
    pub(crate) workload: Workload,
    pub(crate) snapshot: Arc<Snapshot>,
    kind: Kind,
    name: Option<String>,
    metadata: Option<Metadata>,
    pub(crate) pull_secrets: PullSecretNames,
    judge: Arc<Judge>,
    namespace: String,
    /// Labels of the pod.
    labels: BTreeMap<String, String>,
    is_update: bool,
    steered: Option<Steered>,
}

/// A pod that may be steered.
struct Steered {
    affinity: Option<Affinity>,
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
    /// What JSON patches add to the affinity: pointers and values.
    pub(crate) affinity: Vec<(String, serde_json::Value)>,
    /// What is told of steering.
    pub(crate) steering: Option<String>,
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

impl Question {
    /// What a review asks; else what is answered without a judgement.
    pub(crate) fn of(
        route: Route,
        request: &Request<'_>,
        snapshot: Arc<Snapshot>,
    ) -> Result<Self, Verdict> {
        let Some((kind, object)) = request.kind().zip(request.object) else {
            return Err(Verdict::NotJudged);
        };
        let namespace = request.namespace.as_deref().unwrap_or_default();
        let judge = snapshot.judge(namespace).clone();
        if matches!(judge.mode, Mode::Off | Mode::Audit) {
            return Err(Verdict::NotJudged);
        }
        let Ok(subject) = kind.read(object.get()) else {
            return Err(Verdict::Unreadable(kind));
        };
        let metadata = subject.metadata;
        if metadata.as_ref().is_some_and(|it| request.is_mirror(it)) {
            return Err(Verdict::NotJudged);
        }
        let labels = match kind.is_template() {
            true => subject.template_labels,
            false => metadata
                .as_ref()
                .and_then(|it| it.labels.clone())
                .unwrap_or_default(),
        };
        let before = request.before().and_then(|old| kind.read(old.get()).ok());
        let is_update = before.is_some();
        // Pods are steered when they are made. Of a template what counts is where its pods will be steered. Those of a
        // DaemonSet belong to their nodes.
        let is_new_pod = route == Route::Mutate && !is_update;
        let of_daemon_set =
            kind == Kind::DaemonSet || metadata.as_ref().is_some_and(Metadata::is_of_a_daemon_set);
        let steers = judge.policy.steer && !of_daemon_set && (kind.is_template() || is_new_pod);
        let steered = steers.then(|| Steered {
            affinity: subject.pod.affinity().cloned(),
        });
        let pull_secrets = subject.pod.pull_secrets();
        let mut workload = Workload::from(subject.pod);
        if let Some(before) = before {
            workload = changed(workload, &before.pod.into(), kind).ok_or(Verdict::NotJudged)?;
        }
        let name = request.name.as_deref().filter(|name| !name.is_empty());
        Ok(Self {
            workload,
            snapshot,
            kind,
            name: name.map(str::to_owned),
            metadata,
            pull_secrets,
            judge,
            namespace: namespace.to_owned(),
            labels,
            is_update,
            steered,
        })
    }

    /// Judges it. `already_ran` tells whether an image already ran in its namespace.
    pub(crate) fn answer(
        self,
        facts: &Arc<[SharedFacts]>,
        now: jiff::Timestamp,
        already_ran: impl Fn(&Digest) -> bool,
    ) -> Judged {
        let Self {
            workload,
            snapshot,
            kind,
            judge,
            namespace,
            labels,
            ..
        } = self;
        // Whoever fills in a template has not done so yet: its pods will be judged.
        let mode = match kind.is_template() && workload.has_placeholders() {
            true => judge.mode.min(Mode::Warn),
            false => judge.mode,
        };
        let evaluate = |workload: &Arc<Workload>| {
            snapshot.evaluate(Case {
                workload: workload.clone(),
                facts: facts.clone(),
                judge: &judge,
                namespace: &namespace,
                labels: &labels,
                now,
            })
        };
        let mut workload = Arc::new(workload);
        let mut judgement = evaluate(&workload);
        let mut affinity = Vec::new();
        let mut told = None;
        if let Some(steered) = self.steered {
            let placement = &workload.placement;
            let steering = steering(&judgement, &snapshot.fleet, placement, names::HOST_PROFILE);
            if let Steering::Away(from) = &steering {
                let values: Vec<_> = from.iter().map(String::as_str).collect();
                affinity =
                    Affinity::keeping_away(steered.affinity.as_ref(), names::HOST_PROFILE, &values);
                workload = Arc::new(Workload {
                    images: workload.images.clone(),
                    placement: workload.placement.clone().demanding(&keeping_away(&values)),
                });
                // What is told and decided is of the pod as it will be.
                judgement = evaluate(&workload);
            }
            told = tell(&steering, &workload.placement, self.metadata.as_ref());
        }
        let ran = |user: &User| {
            let mut images = workload.images.iter().zip(facts.iter());
            let image = images.find(|(image, _)| (image.role, &image.name) == (user.0, &user.1));
            let facts = image.and_then(|(_, facts)| facts.value());
            facts.is_some_and(|facts| already_ran(&facts.digest))
        };
        let decision = decide(&judgement, &judge.policy, mode, ran);
        Judged {
            kind,
            name: self.name,
            is_unattended: !self.is_update
                && self.metadata.as_ref().is_some_and(Metadata::is_owned),
            metadata: self.metadata,
            judgement,
            decision,
            snapshot,
            judge,
            affinity,
            steering: told,
        }
    }
}

/// The demand that a node is of none of these hosts. A node that is not labelled yet fulfils it.
fn keeping_away(hosts: &[&str]) -> Requirement {
    Requirement {
        key: names::HOST_PROFILE.to_owned(),
        operator: Operator::NotIn,
        values: hosts.iter().map(|host| (*host).to_owned()).collect(),
    }
}

/// What a pod's annotation tells of steering. What an earlier call has told stays as long as it holds, so that a second
/// one changes nothing.
fn tell(steering: &Steering, placement: &Placement, metadata: Option<&Metadata>) -> Option<String> {
    if let Steering::Impossible(why) = steering {
        return Some(format!("not steered: {why}"));
    }
    let before = metadata.and_then(|it| it.annotations.as_ref()?.get(names::STEERING));
    let before = before.and_then(|it| it.strip_prefix(AWAY_FROM));
    let before: BTreeSet<_> = before.iter().flat_map(|it| it.split(", ")).collect();
    let kept = placement.kept_away_from(names::HOST_PROFILE);
    let is_ours = |host: &&String| match steering {
        Steering::Away(from) => from.contains(*host) || before.contains(host.as_str()),
        Steering::Unneeded | Steering::Impossible(_) => before.contains(host.as_str()),
    };
    let ours: Vec<_> = kept.iter().filter(is_ours).map(String::as_str).collect();
    (!ours.is_empty()).then(|| format!("{AWAY_FROM}{}", ours.join(", ")))
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

#[cfg(test)]
mod tests;
