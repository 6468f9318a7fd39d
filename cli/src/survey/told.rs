//! What the operator's report tells of a workload, for whoever may see the report but not the nodes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use hostfit_crds::CompatReport;
use hostfit_crds::compat_report::{ReportFinding, TargetRef};
use hostfit_crds::item::Item;
use hostfit_engine::fact::{Evidence, Fact, Strength};
use hostfit_engine::finding::{CellVerdict, Code, Finding, Severity};
use hostfit_engine::host::HostName;
use hostfit_engine::verdict::{Judgement, Reason, Verdict};
use hostfit_engine::workload::Role;
use kube::ResourceExt as _;

use super::{Hidden, Survey};

/// Judgements of the operator, by namespace and workload.
pub(super) type Told = HashMap<(String, TargetRef), Judgement>;

/// What reports tell of items as they are declared now. One that this version cannot read tells nothing.
pub(super) fn told(reports: &[CompatReport], items: &[Item]) -> Told {
    let now: HashMap<_, _> = items
        .iter()
        .map(|item| ((item.namespace.clone(), &item.target), item.generation))
        .collect();
    let told = reports.iter().filter_map(|report| {
        let (namespace, target) = (report.namespace()?, &report.spec.target_ref);
        let generation = now.get(&(namespace.clone(), target))?;
        let status = report.status.as_ref()?;
        let is_current = status.observed_generation == *generation;
        is_current.then_some(((namespace, target.clone()), judgement(report)?))
    });
    told.collect()
}

impl Survey {
    /// Takes the operator's word for workloads of which an image cannot be read here, but could be there: it knows the
    /// image by an older reading, or has other rights.
    pub(super) fn take_word(&mut self, mut word: Told) {
        let unread = |item: &&Item| {
            let facts = self.facts(item);
            facts.iter().any(|facts| matches!(facts, Fact::Unknown(_)))
        };
        let unread: BTreeSet<_> = self
            .items
            .iter()
            .filter(unread)
            .map(|item| (item.namespace.clone(), item.target.clone()))
            .collect();
        word.retain(|key, judgement| judgement.verdict != Verdict::Unknown && unread.contains(key));
        if !word.is_empty() {
            self.permissions.lacked.push(Hidden {
                permission: format!("read the images of {} workloads here", word.len()),
                therefore: "the operator's verdicts stand for them".to_owned(),
                hides_workloads: false,
            });
        }
        self.told = word;
    }
}

fn judgement(report: &CompatReport) -> Option<Judgement> {
    let status = report.status.as_ref()?;
    let verdict = status.verdict?;
    let verdict = Verdict::ALL
        .into_iter()
        .find(|it| verdict == (*it).into())?;
    let (fitting, landing) = status.hosts.split_once('/')?;
    let reasons: Vec<Reason> = status.findings.iter().map(reason).collect::<Option<_>>()?;
    // Hosts on which nothing was found are not named.
    let mut by_host: BTreeMap<&HostName, CellVerdict> = BTreeMap::new();
    for reason in &reasons {
        for host in &reason.hosts {
            let worst = by_host.entry(host).or_insert(CellVerdict::Pass);
            *worst = reason.finding.verdict.max(*worst);
        }
    }
    let by_host = by_host.into_iter();
    Some(Judgement {
        verdict,
        fitting: fitting.parse().ok(),
        landing: landing.parse().ok()?,
        by_host: by_host.map(|(host, worst)| (host.clone(), worst)).collect(),
        reasons,
        excepted: Vec::new(),
    })
}

fn reason(told: &ReportFinding) -> Option<Reason> {
    let verdict = [CellVerdict::Warn, CellVerdict::Unknown, CellVerdict::Fail];
    let severity = [
        Severity::BreaksAtStart,
        Severity::BreaksFeature,
        Severity::Degraded,
        Severity::Unsupported,
        Severity::Limited,
        Severity::EndOfLife,
        Severity::Unknown,
    ];
    let strength = [
        Strength::File,
        Strength::Layers,
        Strength::Stated,
        Strength::Hint,
    ];
    let strength = strength
        .into_iter()
        .find(|it| Some(it.to_string()) == told.strength);
    let message = told.message.strip_prefix("image ");
    let finding = Finding {
        code: *Code::ALL.iter().find(|it| it.as_str() == told.code)?,
        severity: severity
            .into_iter()
            .find(|it| it.as_str() == told.severity)?,
        verdict: verdict.into_iter().find(|it| it.as_str() == told.verdict)?,
        image: message.unwrap_or(&told.message).to_owned(),
        host: None,
        fix: told.remediation.clone(),
        evidence: strength
            .zip(told.evidence.as_ref())
            .map(|(strength, from)| Evidence::new(strength, from)),
    };
    let users = told.containers.iter();
    let hosts = told.host_profiles.iter();
    Some(Reason {
        finding,
        users: users.map(|it| (Role::Container, it.clone())).collect(),
        hosts: hosts.map(|it| HostName(it.clone())).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use hostfit_crds::workload::PodSpec;
    use serde_json::json;

    #[test]
    fn a_report_is_taken_at_its_word() {
        let report = |code: &str| {
            serde_json::from_value::<CompatReport>(json!({
                "apiVersion": "hostfit.dev/v1alpha1", "kind": "CompatReport",
                "metadata": {"name": "deploy-a", "namespace": "shop"},
                "spec": {"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "a", "uid": "u"}},
                "status": {"verdict": "Partial", "hosts": "1/2", "findings": [{
                    "code": code, "severity": "BreaksAtStart", "verdict": "Fail", "containers": ["web"],
                    "hostProfiles": ["old"], "message": "image needs CPU level x86-64-v3, host has v2",
                    "remediation": "use ubi9", "evidence": "etc/os-release", "strength": "file"}]},
            }))
            .unwrap()
        };
        let item = |uid: &str| Item {
            namespace: "shop".to_owned(),
            target: TargetRef {
                api_version: "apps/v1".to_owned(),
                kind: "Deployment".to_owned(),
                name: "a".to_owned(),
                uid: uid.to_owned(),
            },
            generation: None,
            labels: BTreeMap::new(),
            pull_secrets: Default::default(),
            workload: PodSpec::default().into(),
        };
        let reports = [report("HF101"), report("HF999")];
        assert!(told(&reports, &[item("of another one")]).is_empty());
        let told = told(&reports, &[item("u")]);
        let [judgement] = &told.into_values().collect::<Vec<_>>()[..] else {
            panic!("a report with a code of another version tells nothing")
        };
        assert_eq!(judgement.verdict, Verdict::Partial);
        assert_eq!(judgement.hosts(), "1/2");
        assert_eq!(
            judgement.by_host,
            [(HostName("old".to_owned()), CellVerdict::Fail)]
        );
        let message = judgement.reasons[0].finding.message();
        assert_eq!(message, "image needs CPU level x86-64-v3, host has v2");
    }
}
