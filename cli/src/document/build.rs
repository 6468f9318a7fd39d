//! What was judged → the document.

use std::borrow::Borrow;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use hostfit_crds::HostFacts;
use hostfit_engine::fact::Fact;
use hostfit_engine::finding::{CellVerdict, Code, plain};
use hostfit_engine::host::{Host, HostName};
use hostfit_engine::image::{ImageFacts, ImageRef, PlatformFacts};
use hostfit_engine::lineage::Catalog;
use hostfit_engine::matrix;
use hostfit_engine::verdict::{Judgement, Reason, Verdict};
use hostfit_engine::workload::Workload;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{
    API_VERSION, Container, Document, Evidence, Facts, Finding, HostEntry, Item, Kind, OnHost,
    Origin, Source, Summary, Target, WorkloadEntry, of_cell,
};
use crate::print;

/// Longest text of an image, or from a cluster, that is shown.
const TEXT: usize = 300;

/// What to do about a reason.
pub(crate) type Fix<'a> = Box<dyn Fn(&Reason) -> String + 'a>;

/// Collects what was judged.
pub(crate) struct Builder<'a> {
    catalog: &'a Catalog,
    /// What to do about a finding, in words that fit where it is read.
    fix: Fix<'a>,
    document: Document,
    hosts: BTreeMap<HostName, (&'a Host, Arc<str>, Facts)>,
    cells: HashMap<(Arc<str>, Arc<str>), usize>,
    images: HashMap<(Arc<str>, Arc<str>), Facts>,
    names: HashMap<String, Arc<str>>,
}

/// A workload, what is known of its images, and what the judge said.
pub(crate) struct Subject<'a, F> {
    /// Absent for an image that nobody deploys here: the cell is all there is.
    pub(crate) target: Option<Target>,
    pub(crate) workload: &'a Workload,
    /// What people call the images, in the order of the workload.
    pub(crate) named: &'a [String],
    /// What the registries told of them, in the same order.
    pub(crate) facts: &'a [F],
    pub(crate) judgement: &'a Judgement,
}

impl<'a> Builder<'a> {
    /// Nothing judged yet.
    pub(crate) fn new(
        kind: Kind,
        source: Option<Source>,
        catalog: &'a Catalog,
        fix: Fix<'a>,
        now: Timestamp,
    ) -> Self {
        let to_the_second = |time: Timestamp| {
            let seconds = Timestamp::from_second(time.as_second());
            seconds.unwrap_or(time)
        };
        let document = Document {
            api_version: API_VERSION,
            kind,
            rules: hostfit_engine::RULES_VERSION,
            rules_published: hostfit_engine::RULES_PUBLISHED,
            judged: to_the_second(now),
            source: source.map(|source| Source {
                read: to_the_second(source.read),
                ..source
            }),
            summary: Summary::default(),
            hosts: Vec::new(),
            workloads: Vec::new(),
            items: Vec::new(),
            excepted: Vec::new(),
            plan: None,
            not_read: Vec::new(),
            is_broken: false,
            not_judged: Vec::new(),
            permissions: None,
        };
        Self {
            catalog,
            fix,
            document,
            hosts: BTreeMap::new(),
            cells: HashMap::new(),
            images: HashMap::new(),
            names: HashMap::new(),
        }
    }

    /// A host that workloads may be judged on. All come before the workloads.
    pub(crate) fn host(&mut self, host: &'a Host, origin: Origin) {
        let name: Arc<str> = plain(&host.name.0, TEXT).into();
        let facts = host_facts(host);
        self.document.hosts.push(HostEntry {
            name: name.clone(),
            origin,
            nodes: host.nodes,
            facts: facts.clone(),
        });
        self.hosts.insert(host.name.clone(), (host, name, facts));
    }

    /// A workload, or an image on a host.
    pub(crate) fn add<F: Borrow<Fact<ImageFacts>>>(&mut self, subject: &Subject<'_, F>) {
        let Subject {
            workload,
            judgement,
            ..
        } = subject;
        let target = subject.target.as_ref().map(|it| Arc::new(harmless(it)));
        let user = target.as_ref().map(|it| self.shared(&it.to_string()));
        let reasons = judgement.reasons.iter();
        let reasons: Vec<_> = reasons
            .map(|reason| (reason, Arc::new(self.finding(reason, target.is_some()))))
            .collect();
        let mut containers = Vec::new();
        for (index, image) in workload.images.iter().enumerate() {
            let named = match subject.named.get(index) {
                Some(named) => self.shared(&plain(named, TEXT)),
                None => self.shared(""),
            };
            let facts = match subject.facts.get(index).map(Borrow::borrow) {
                Some(Fact::Known(facts, _)) => Some(facts),
                _ => None,
            };
            let digest = facts.map(|it| self.shared(it.digest.as_str()));
            let about = |reason: &Reason| {
                // No host at all: nothing is said of the image.
                reason.finding.code != Code::HF909
                    && reason
                        .users
                        .iter()
                        .any(|(role, name)| *role == image.role && *name == image.name)
            };
            let of_image: Vec<_> = reasons.iter().filter(|(it, _)| about(it)).collect();
            for (host, worst) in &judgement.by_host {
                let here = |reason: &Reason| reason.hosts.is_empty() || reason.hosts.contains(host);
                let here = of_image.iter().filter(|(reason, _)| here(reason));
                let findings: Vec<_> = here
                    .filter(|(reason, _)| reason.finding.verdict <= *worst)
                    .map(|(_, finding)| finding.clone())
                    .collect();
                let reference = image.reference.as_ref().ok();
                self.cell(&named, facts.zip(reference), host, findings, user.clone());
            }
            containers.push(Container {
                name: plain(&image.name, TEXT),
                role: image.role.field(),
                image: named,
                digest,
            });
        }
        let Some(target) = target else { return };
        let by_host = judgement.by_host.iter().map(|(host, verdict)| OnHost {
            host: self.host_name(host),
            verdict: *verdict,
        });
        let entry = WorkloadEntry {
            target,
            verdict: judgement.verdict,
            hosts: judgement.hosts(),
            by_host: by_host.collect(),
            containers,
            findings: reasons.into_iter().map(|(_, finding)| finding).collect(),
        };
        self.document.workloads.push(entry);
    }

    /// The document, workloads sorted by what has to be done first.
    pub(crate) fn finish(self) -> Document {
        let mut document = self.document;
        document.summary = match document.is_of_workloads() {
            true => Summary::of(document.workloads.iter().map(|it| it.verdict)),
            false => Summary::of(document.items.iter().map(|it| of_cell(it.verdict))),
        };
        document
            .workloads
            .sort_by(|a, b| (urgency(a.verdict), &a.target).cmp(&(urgency(b.verdict), &b.target)));
        document
    }

    /// Adds what one workload found of an image on a host to the cell.
    fn cell(
        &mut self,
        image: &Arc<str>,
        known: Option<(&ImageFacts, &ImageRef)>,
        host: &HostName,
        findings: Vec<Arc<Finding>>,
        user: Option<Arc<str>>,
    ) {
        let Some((host, host_name, host_facts)) = self.hosts.get(host).cloned() else {
            return;
        };
        let verdict = findings.iter().map(|it| it.verdict).max();
        let verdict = verdict.unwrap_or(CellVerdict::Pass);
        let index = match self.cells.entry((image.clone(), host_name.clone())) {
            Entry::Occupied(index) => *index.get(),
            Entry::Vacant(free) => {
                let index = *free.insert(self.document.items.len());
                let platform = known
                    .and_then(|(facts, _)| Some((facts, matrix::platform_on(facts, &host.facts)?)));
                let item = Item {
                    image: image.clone(),
                    digest: known.map(|(facts, _)| self.shared(facts.digest.as_str())),
                    platform: platform.map(|(_, it)| self.shared(&it.platform.to_string())),
                    host: host_name,
                    verdict: CellVerdict::Pass,
                    image_facts: known
                        .zip(platform)
                        .map(|((_, name), (_, it))| self.image_facts(image, name, it)),
                    host_facts,
                    findings: Vec::new(),
                    workloads: Vec::new(),
                };
                self.document.items.push(item);
                index
            }
        };
        let Some(item) = self.document.items.get_mut(index) else {
            return;
        };
        item.verdict = item.verdict.max(verdict);
        for finding in findings {
            let same = |other: &Arc<Finding>| {
                (other.code, other.verdict, &other.message)
                    == (finding.code, finding.verdict, &finding.message)
            };
            if !item.findings.iter().any(same) {
                item.findings.push(finding);
            }
        }
        if let Some(user) = user.filter(|user| item.workloads.last() != Some(user)) {
            item.workloads.push(user);
        }
    }

    /// A finding; where it stands in a workload, with the containers and hosts that it is about.
    pub(crate) fn finding(&self, reason: &Reason, in_workload: bool) -> Finding {
        let finding = &reason.finding;
        let users = reason.users.iter().filter(|_| in_workload);
        let hosts = reason.hosts.iter().filter(|_| in_workload);
        let evidence = finding.evidence.iter().map(|it| Evidence {
            from: plain(&it.from, TEXT),
            strength: it.strength.to_string(),
        });
        Finding {
            code: finding.code.as_str(),
            verdict: finding.verdict,
            severity: finding.severity.as_str(),
            message: plain(&finding.message(), TEXT),
            fix: (self.fix)(reason),
            evidence: evidence.collect(),
            docs: finding.code.docs(),
            containers: users.map(|(_, name)| plain(name, TEXT)).collect(),
            hosts: hosts.map(|it| self.host_name(it)).collect(),
        }
    }

    fn host_name(&self, host: &HostName) -> Arc<str> {
        match self.hosts.get(host) {
            Some((_, name, _)) => name.clone(),
            None => plain(&host.0, TEXT).into(),
        }
    }

    fn image_facts(&mut self, name: &Arc<str>, image: &ImageRef, it: &PlatformFacts) -> Facts {
        let platform = self.shared(&it.platform.to_string());
        let catalog = self.catalog;
        let facts = self.images.entry((name.clone(), platform));
        facts
            .or_insert_with(|| match &it.contents {
                Fact::Known(contents, _) => {
                    let known = print::known(&catalog.lineage(image, contents), contents);
                    let facts = known.into_iter().map(|it| (it.name.to_owned(), it.value));
                    Facts(Arc::new(facts.collect()))
                }
                Fact::Unknown(_) => Facts::default(),
            })
            .clone()
    }

    /// One copy of a text that stands in many places.
    fn shared(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.names.get(text) {
            return known.clone();
        }
        let shared: Arc<str> = text.into();
        self.names.insert(text.to_owned(), shared.clone());
        shared
    }
}

/// Names as they may be shown.
fn harmless(target: &Target) -> Target {
    let optional = |text: &Option<String>| text.as_ref().map(|it| plain(it, TEXT));
    Target {
        namespace: optional(&target.namespace),
        kind: plain(&target.kind, TEXT),
        name: plain(&target.name, TEXT),
        file: optional(&target.file),
    }
}

/// The facts of a host by the names of the document: those of the file format in its style.
fn host_facts(host: &Host) -> Facts {
    let written = serde_json::to_value(HostFacts::from(&host.facts)).unwrap_or_default();
    let snake = |name: &str| {
        let mut snake = String::new();
        for c in name.chars() {
            if c.is_uppercase() {
                snake.push('_');
            }
            snake.extend(c.to_lowercase());
        }
        snake
    };
    let fields = written.as_object().into_iter().flatten();
    let fields: Map<String, Value> = fields
        .map(|(name, value)| (snake(name), value.clone()))
        .collect();
    Facts(Arc::new(fields))
}

/// What has to be done first.
fn urgency(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Fail => 0,
        Verdict::Partial => 1,
        Verdict::Warn => 2,
        Verdict::Unknown => 3,
        Verdict::Pass => 4,
    }
}
