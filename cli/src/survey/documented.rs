//! A survey, judged → the document of which all formats are renderings.

use std::sync::Arc;

use hostfit_engine::finding::{Code, Severity, plain};
use hostfit_engine::host::{Host, HostName};
use hostfit_engine::verdict::{Judgement, Reason};

use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt as _;

use super::{Permissions, Survey};
use crate::advice;
use crate::document::{
    self, Builder, Document, Kind, Lacked, NotJudged, Origin, Source, Subject, Target,
};

/// Longest fix that is shown.
const TEXT: usize = 300;

impl Survey {
    /// A document of this survey: its hosts, and nothing judged yet.
    pub(crate) fn builder(&self, kind: Kind) -> Builder<'_> {
        let source = Source {
            from: self.from.clone(),
            read: self.read,
        };
        let fix = Box::new(|reason: &Reason| self.fix(reason));
        let mut builder = Builder::new(kind, Some(source), &self.catalog, fix, self.now);
        for host in self.fleet.hosts() {
            builder.host(host, self.origin(host));
        }
        builder
    }

    /// What to do about a finding, in words for who reads of this survey.
    pub(crate) fn fix(&self, reason: &Reason) -> String {
        let finding = &reason.finding;
        let operator = || plain(&finding.fix, TEXT);
        let is_of_nodes = !reason.hosts.iter().any(|host| self.is_elsewhere(host));
        match (finding.code, finding.severity) {
            // What nodes do not tell is the nodes', and what files and our list do not tell is not.
            (Code::HF904, _) if is_of_nodes => operator(),
            // The operator's settings are the reader's, where it has asked the registries; else they are asked with the user's
            // own rights.
            (code, Severity::Unknown)
                if code != Code::HF904 && self.objects.has_operator() && self.is_of_cluster() =>
            {
                operator()
            }
            (_, Severity::Unknown) => advice::fix(finding),
            _ if is_of_nodes && self.bear(finding.selects()) => operator(),
            _ => advice::fix(finding),
        }
    }

    /// What to do about a finding of an image that was read here, on one of these hosts.
    pub(crate) fn fix_of_image(&self, reason: &Reason) -> String {
        let finding = &reason.finding;
        match (finding.code, finding.severity) {
            (Code::HF904, _) => self.fix(reason),
            (_, Severity::Unknown) => advice::fix(finding),
            _ => self.fix(reason),
        }
    }

    /// Whether a host is none of the cluster's, now or then.
    fn is_elsewhere(&self, host: &HostName) -> bool {
        match self.origins.get(host) {
            Some(Origin::BuiltIn | Origin::File | Origin::Local) => true,
            Some(Origin::Observed | Origin::Declared) | None => false,
        }
    }

    /// Whether there may be nodes that bear the label `KEY=VALUE`, so that it can be advised to select them.
    fn bear(&self, label: Option<&str>) -> bool {
        let Some((key, value)) = label.and_then(|it| it.split_once('=')) else {
            return true;
        };
        let nodes = &self.objects.nodes;
        let has = |node: &Node| node.labels().get(key).is_some_and(|it| it == value);
        // Who may not see them may select them all the same.
        nodes.is_empty() || nodes.iter().any(has)
    }

    /// The document that was built, with what the cluster let us read.
    pub(crate) fn finish(&self, builder: Builder<'_>) -> Document {
        let mut document = builder.finish();
        let harmless = |it: &NotJudged| NotJudged {
            file: plain(&it.file, TEXT),
            // What follows shows the place in the file.
            why: plain(it.why.lines().next().unwrap_or_default(), TEXT),
        };
        document.not_read = self.broken.iter().map(harmless).collect();
        document.is_broken = self.is_broken;
        document.not_judged = self.not_judged.iter().map(harmless).collect();
        let Permissions { used, lacked } = &self.permissions;
        let lacked = lacked.iter().map(|hidden| Lacked {
            permission: hidden.permission.clone(),
            therefore: hidden.therefore.clone(),
            hides_workloads: hidden.hides_workloads,
        });
        let permissions = document::Permissions {
            used: used.clone(),
            lacked: lacked.collect(),
        };
        document.permissions = (permissions != Default::default()).then_some(permissions);
        document
    }

    /// What the judge said of each item, in their order, as a document.
    pub(crate) fn document(&self, kind: Kind, judgements: &[Judgement]) -> Document {
        let mut builder = self.builder(kind);
        let declared = &self.objects.workloads;
        for ((item, declared), judgement) in self.items.iter().zip(declared).zip(judgements) {
            let named = item
                .workload
                .images
                .iter()
                .map(|image| match &image.reference {
                    Ok(reference) => reference.to_string(),
                    Err(error) => error.to_string(),
                });
            builder.add(&Subject {
                target: Some(Target {
                    namespace: Some(item.namespace.clone()),
                    kind: item.target.kind.clone(),
                    name: item.target.name.clone(),
                    file: declared.file.clone(),
                }),
                workload: &item.workload,
                named: &named.collect::<Vec<_>>(),
                facts: &self.facts(item),
                judgement,
            });
        }
        let excepted: Vec<_> = self
            .items
            .iter()
            .zip(judgements)
            .flat_map(|(item, judgement)| {
                let target = Arc::new(Target {
                    namespace: Some(item.namespace.clone()),
                    kind: item.target.kind.clone(),
                    name: item.target.name.clone(),
                    file: None,
                });
                let excepted = judgement.excepted.iter();
                excepted
                    .map(move |it| (item, target.clone(), it))
                    .collect::<Vec<_>>()
            })
            .map(|(item, target, it)| {
                let named = self.objects.exceptions.iter().find(|object| {
                    object.namespace().as_ref() == Some(&item.namespace)
                        && object.name_any() == it.exception
                });
                document::Excepted {
                    target,
                    finding: Arc::new(builder.finding(&it.reason, true)),
                    exception: plain(&it.exception, TEXT),
                    until: it.expires,
                    reason: named.map_or_else(String::new, |it| plain(&it.spec.reason, 500)),
                    ticket: named.and_then(|it| Some(plain(it.spec.ticket_url.as_ref()?, 2048))),
                }
            })
            .collect();
        let mut document = self.finish(builder);
        document.excepted = excepted;
        document
    }

    /// Who says what a host offers.
    pub(crate) fn origin(&self, host: &Host) -> Origin {
        let said = self.origins.get(&host.name).copied();
        said.unwrap_or_else(|| match self.is_declared(&host.name) {
            true => Origin::Declared,
            false => Origin::Observed,
        })
    }
}
