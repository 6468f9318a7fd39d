//! A survey, judged → the document of which all formats are renderings.

use hostfit_engine::finding::{Code, Finding, plain};
use hostfit_engine::host::Host;
use hostfit_engine::verdict::Judgement;

use super::Survey;
use crate::advice;
use crate::document::{
    Builder, Document, Kind, Lacked, Origin, Permissions, Source, Subject, Target,
};

/// Longest fix that is shown.
const TEXT: usize = 300;

impl Survey {
    /// What the judge said of each item, in their order, as a document.
    pub(crate) fn document(&self, kind: Kind, judgements: &[Judgement]) -> Document {
        let source = Source {
            from: self.from.clone(),
            read: self.read,
        };
        let fix = match self.objects.has_operator() {
            true => of_operator,
            false => of_user,
        };
        let mut builder = Builder::new(kind, Some(source), &self.catalog, fix, self.now);
        for host in self.fleet.hosts() {
            builder.host(host, self.origin(host));
        }
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
        let mut document = builder.finish();
        let lacked = self.permissions.lacked.iter().map(|hidden| Lacked {
            permission: hidden.permission.clone(),
            therefore: hidden.therefore.clone(),
        });
        document.permissions = (!self.permissions.used.is_empty()
            || !self.permissions.lacked.is_empty())
        .then(|| Permissions {
            used: self.permissions.used.clone(),
            lacked: lacked.collect(),
        });
        document
    }

    /// Who says what a host offers.
    fn origin(&self, host: &Host) -> Origin {
        let said = self.origins.get(&host.name).copied();
        said.unwrap_or_else(|| match self.fleet.is_declared(&host.name) {
            true => Origin::Declared,
            false => Origin::Observed,
        })
    }
}

/// The operator's settings are the reader's.
fn of_operator(finding: &Finding) -> String {
    plain(&finding.fix, TEXT)
}

/// There is no operator: registries are asked with the user's own rights. What nodes do not tell is still the nodes'.
fn of_user(finding: &Finding) -> String {
    match finding.code {
        Code::HF904 => of_operator(finding),
        _ => advice::fix(finding),
    }
}
