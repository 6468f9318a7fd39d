//! Everything that is judged at once: hosts, workloads, policies and images, wherever they come from.
//!
//! ```text
//! cluster   ─list─▶ Objects ┐
//! snapshot  ─read─▶ Objects ┼─▶ fleet, items, policies ┐
//! manifests ─read─▶ Objects ┘                          ├─evaluate─▶ Judgement each
//! reports, ImageProfiles, registries, the snapshot ────┘
//! ```

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use anyhow::{anyhow, bail};
use hostfit_crds::compat_exception;
use hostfit_crds::item::Item;
use hostfit_crds::policies::{Judge, Policies};
use hostfit_engine::exception::{Exception, Exceptions};
use hostfit_engine::fact::{Fact, Gap};
use hostfit_engine::host::HostName;
use hostfit_engine::image::{ImageFacts, ImageRef};
use hostfit_engine::landing::Fleet;
use hostfit_engine::lineage::Catalog;
use hostfit_engine::matrix::{Knowledge, evaluate};
use hostfit_engine::verdict::Judgement;
use hostfit_engine::workload::WorkloadImage;
use hostfit_registry::{Platforms, SharedFacts};
use jiff::Timestamp;

use crate::cluster::Cluster;
use crate::document::{NotJudged, Origin};
use crate::flags::Common;
use crate::hosts::{HostArg, add};
use crate::progress::Progress;
use crate::read::{Image, ReadArgs, Reader};
use crate::target::Target;

mod documented;
mod doubts;
mod hosts;
mod known;
mod labels;
mod list;
pub(crate) mod manifests;
mod objects;
mod redacted;
mod snapshot;
mod told;

pub(crate) use labels::Labels;
pub(crate) use objects::{Declared, Hidden, Objects, Permissions};
use told::Told;

/// What is asked for, and where.
pub(crate) struct Question<'a> {
    pub(crate) common: &'a Common,
    pub(crate) reading: &'a ReadArgs,
    /// Manifests instead of a cluster: files, folders, or `-`.
    pub(crate) files: &'a [String],
    /// Hosts instead of those of the cluster: everything may land there.
    pub(crate) hosts: &'a [HostArg],
    /// Only these workloads; all, if none is named.
    pub(crate) targets: &'a [Target],
}

/// Hosts, workloads, policies and images.
pub(crate) struct Survey {
    /// For people: `cluster kind-demo`, `snapshot demo.json`, `manifests`.
    pub(crate) from: String,
    /// When it was read.
    pub(crate) read: Timestamp,
    pub(crate) objects: Objects,
    pub(crate) fleet: Fleet,
    pub(crate) catalog: Catalog,
    pub(crate) items: Vec<Item>,
    pub(crate) images: HashMap<ImageRef, SharedFacts>,
    pub(crate) permissions: Permissions,
    /// What of the input could not be read.
    pub(crate) broken: Vec<NotJudged>,
    /// Whether that is trouble.
    pub(crate) is_broken: bool,
    /// What of the input may make pods and is of no kind that is read.
    pub(crate) not_judged: Vec<NotJudged>,
    /// Who says what hosts offer that are not the cluster's.
    origins: HashMap<HostName, Origin>,
    /// As of when it is judged.
    pub(crate) now: Timestamp,
    policies: Policies,
    exceptions: Exceptions,
    /// What the operator says, where what it rests on is hidden.
    told: Told,
}

impl Survey {
    /// Reads everything.
    ///
    /// # Errors
    ///
    /// If the cluster cannot be asked, or a file not be read. What is only hidden from the user is no error: see
    /// [`Permissions`].
    pub(crate) async fn read(question: &Question<'_>) -> anyhow::Result<Self> {
        let common = question.common;
        let now = Timestamp::now();
        let progress = Progress::new(&common.output);
        let labels: Labels = match &common.cluster.selector {
            Some(text) => text
                .parse()
                .map_err(|error| anyhow!("-l {text}: {error}"))?,
            None => Labels::default(),
        };
        if !question.files.is_empty() {
            let namespace = common.cluster.namespace.as_deref();
            let mut read = manifests::read(question.files, namespace)?;
            let workloads = &mut read.workloads;
            workloads.retain(|it| labels.admit(&it.labels));
            let from = format!("manifests in {}", question.files.join(", "));
            let place = hosts::of_manifests(question).await?;
            let objects = Objects {
                workloads: std::mem::take(workloads),
                ..place.objects
            };
            let mut survey = Self::of(objects, from, now, question)?;
            survey.images = place.images;
            survey.permissions = place.permissions;
            survey.broken = read.broken;
            survey.not_judged = read.not_judged;
            survey.ask(question, &progress).await?;
            return Ok(survey);
        }
        if let Some(path) = &common.cluster.snapshot {
            let snapshot = snapshot::read(path)?;
            let mut objects = snapshot.objects;
            if let Some(namespace) = &common.cluster.namespace {
                objects.workloads.retain(|it| it.namespace == *namespace);
            }
            objects.workloads.retain(|it| labels.admit(&it.labels));
            let from = format!("snapshot {}", path.display());
            let mut survey = Self::of(objects, from, snapshot.taken, question)?;
            survey.images = snapshot.images;
            survey.permissions = snapshot.permissions;
            return Ok(survey);
        }
        let cluster = Cluster::open(&common.cluster).await?;
        progress.say(&format!("asking {}", cluster.name));
        let list::Listed {
            mut objects,
            reports,
            permissions,
        } = list::list(&cluster).await?;
        objects.workloads.retain(|it| labels.admit(&it.labels));
        let mut survey = Self::of(objects, format!("cluster {}", cluster.name), now, question)?;
        survey.permissions = permissions;
        let word = told::told(&reports, &survey.items);
        let are_hosts_hidden = survey.fleet.hosts().is_empty();
        if are_hosts_hidden {
            survey.told = word.clone();
        }
        survey.images = known::images(&cluster, &survey.items, &reports).await?;
        survey.ask(question, &progress).await?;
        if !are_hosts_hidden && question.hosts.is_empty() {
            survey.take_word(word);
        }
        Ok(survey)
    }

    /// Reads hosts and what is declared; no image is asked for.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub(crate) async fn of_hosts(question: &Question<'_>) -> anyhow::Result<Self> {
        let common = question.common;
        if let Some(path) = &common.cluster.snapshot {
            let snapshot = snapshot::read(path)?;
            let from = format!("snapshot {}", path.display());
            let mut survey = Self::of(snapshot.objects, from, snapshot.taken, question)?;
            survey.images = snapshot.images;
            return Ok(survey);
        }
        let cluster = Cluster::open(&common.cluster).await?;
        let listed = list::hosts(&cluster).await?;
        let from = format!("cluster {}", cluster.name);
        let mut survey = Self::of(listed.objects, from, Timestamp::now(), question)?;
        survey.permissions = listed.permissions;
        Ok(survey)
    }

    fn of(
        mut objects: Objects,
        from: String,
        read: Timestamp,
        question: &Question<'_>,
    ) -> anyhow::Result<Self> {
        only(&mut objects, question.targets, &from)?;
        let matrices = objects.matrices.iter().cloned().map(Arc::new).collect();
        let (policies, _) = Policies::read(matrices, &Policies::default());
        let items = objects.workloads.iter().map(Declared::item);
        let mut survey = Self {
            from,
            read,
            fleet: objects.fleet(),
            catalog: Catalog::new(objects.bases.iter().flat_map(|base| base.known_bases())),
            items: items.collect(),
            images: HashMap::new(),
            permissions: Permissions::default(),
            broken: Vec::new(),
            is_broken: false,
            not_judged: Vec::new(),
            origins: HashMap::new(),
            policies,
            exceptions: compat_exception::exceptions(&objects.exceptions),
            now: question.common.now(),
            told: Told::new(),
            objects,
        };
        if !question.hosts.is_empty() {
            let mut hosts = Vec::new();
            for arg in question.hosts {
                let read = survey.hosts(arg)?;
                survey.say_of(arg, &read);
                for host in read {
                    add(&mut hosts, host)?;
                }
            }
            survey.land_on(hosts);
        }
        Ok(survey)
    }

    /// Asks registries for the images of which nothing is known yet.
    async fn ask(&mut self, question: &Question<'_>, progress: &Progress) -> anyhow::Result<()> {
        // What is already judged needs no image.
        let items = self.items.iter().filter(|item| self.told(item).is_none());
        let wanted = items.flat_map(references);
        let wanted = wanted.filter(|it| !self.images.contains_key(*it));
        let wanted: BTreeSet<ImageRef> = wanted.cloned().collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let mut reader = Reader::new(question.reading);
        let platforms = Platforms::of(self.fleet.platforms());
        let read = reader.read_all(wanted, &platforms, progress).await?;
        self.images.extend(read);
        Ok(())
    }

    /// What is known here of an image by its name.
    pub(crate) fn image(&self, named: &str) -> Option<Image> {
        let reference: ImageRef = named.parse().ok()?;
        let facts = self.images.get(&reference)?.clone();
        Some(Image {
            named: named.to_owned(),
            reference,
            facts,
        })
    }

    /// What is known of the images of a workload, in its order.
    pub(crate) fn facts<'a>(&'a self, item: &'a Item) -> Vec<&'a Fact<ImageFacts>> {
        const NOT_ASKED: &Fact<ImageFacts> = &Fact::Unknown(Gap::NotFetchedInTime);
        let facts = |image: &'a WorkloadImage| {
            let reference = image.reference.as_ref().ok()?;
            Some(&**self.images.get(reference)?)
        };
        let images = item.workload.images.iter();
        images
            .map(|image| facts(image).unwrap_or(NOT_ASKED))
            .collect()
    }

    /// Whether it is of a cluster, now or then: what stands in manifests is found there.
    pub(crate) fn is_of_cluster(&self) -> bool {
        self.objects.workloads.iter().all(|it| it.file.is_none())
    }

    /// The policies of namespaces, each made once.
    pub(crate) fn judges(&self) -> Judges<'_> {
        Judges {
            survey: self,
            by_namespace: HashMap::new(),
        }
    }

    /// Judges every workload, in the order of the items.
    pub(crate) fn judge(&self) -> Vec<Judgement> {
        let mut judges = self.judges();
        let items = self.items.iter();
        items
            .map(|item| {
                if let Some(told) = self.told(item) {
                    return told.clone();
                }
                let judge = judges.of(&item.namespace);
                self.on(&self.fleet, item, &judge)
            })
            .collect()
    }

    fn told(&self, item: &Item) -> Option<&Judgement> {
        if self.told.is_empty() {
            return None;
        }
        self.told
            .get(&(item.namespace.clone(), item.target.clone()))
    }

    /// Judges one workload on the hosts of a fleet.
    pub(crate) fn on(&self, fleet: &Fleet, item: &Item, judge: &Judge) -> Judgement {
        let exceptions = self.exceptions(item);
        let knowledge = self.knowledge(fleet, judge, &exceptions);
        evaluate(&item.workload, &self.facts(item), &knowledge)
    }

    /// What the judge needs besides workloads and their images.
    pub(crate) fn knowledge<'a>(
        &'a self,
        fleet: &'a Fleet,
        judge: &'a Judge,
        exceptions: &'a [&'a Exception],
    ) -> Knowledge<'a> {
        Knowledge {
            fleet,
            catalog: &self.catalog,
            rules: &judge.policy.rules,
            today: hostfit_crds::date(self.now),
            exceptions,
        }
    }

    /// What people accept of a workload now.
    pub(crate) fn exceptions(&self, item: &Item) -> Vec<&Exception> {
        self.exceptions.of(&item.namespace, &item.labels, self.now)
    }
}

/// The images that a workload names.
fn references(item: &Item) -> impl Iterator<Item = &ImageRef> {
    let images = item.workload.images.iter();
    images.filter_map(|image| image.reference.as_ref().ok())
}

/// What policy holds in each namespace.
pub(crate) struct Judges<'a> {
    survey: &'a Survey,
    by_namespace: HashMap<&'a str, Arc<Judge>>,
}

impl<'a> Judges<'a> {
    /// The policy of a namespace, and its mode there.
    pub(crate) fn of(&mut self, namespace: &'a str) -> Arc<Judge> {
        let survey = self.survey;
        let judge = self.by_namespace.entry(namespace).or_insert_with(|| {
            let labels = survey.objects.namespaces.get(namespace).map(Cow::Borrowed);
            Arc::new(survey.policies.judge(&labels.unwrap_or_default()))
        });
        judge.clone()
    }
}

/// Keeps the workloads that are meant.
fn only(objects: &mut Objects, targets: &[Target], from: &str) -> anyhow::Result<()> {
    if targets.is_empty() {
        return Ok(());
    }
    let is =
        |target: &Target, it: &Declared| target.is(&it.namespace, &it.target.kind, &it.target.name);
    for target in targets {
        if !objects.workloads.iter().any(|it| is(target, it)) {
            let all = objects.workloads.iter();
            let all: Vec<_> = all
                .map(|it| (it.target.kind.as_str(), it.target.name.as_str()))
                .collect();
            let near = target.instead(&all);
            match target.is_one() {
                true => bail!("there is no workload {target} in {from}: {near}"),
                false => bail!("there is nothing of type {target} in {from}: {near}"),
            }
        }
    }
    let is_meant = |it: &Declared| targets.iter().any(|target| is(target, it));
    objects.workloads.retain(is_meant);
    Ok(())
}
