//! A case → the real judge and the real policy, by the same ways on which the cluster's objects come.

use std::collections::BTreeSet;
use std::sync::Arc;

use hostfit_crds::policies::Judge;
use hostfit_crds::runtime_class::runtime_classes;
use hostfit_crds::workload::PodSpec;
use hostfit_engine::exception::Exception;
use hostfit_engine::fact::Fact;
use hostfit_engine::image::ImageFacts;
use hostfit_engine::landing::Fleet;
use hostfit_engine::lineage::Catalog;
use hostfit_engine::matrix::{Knowledge, evaluate};
use hostfit_engine::policy::{Decision, decide};
use hostfit_engine::runtime_class::RuntimeClasses;
use hostfit_engine::verdict::{Judgement, Reason};
use hostfit_engine::version::Date;
use hostfit_engine::workload::Workload;
use jiff::tz::TimeZone;
use k8s_openapi::api::node::v1::RuntimeClass as RuntimeClassObject;
use serde::Serialize;
use serde_json::{Value, json};

use super::case::{Admission, Case, Expect, RuntimeClass, code_of};
use super::image::Role;
use super::world::{Images, World};
use super::{facts, strict};

/// A case as the judge takes it.
#[derive(Debug)]
pub struct Question {
    workload: Workload,
    facts: Vec<Arc<Fact<ImageFacts>>>,
    fleet: Fleet,
    catalog: Catalog,
    judge: Judge,
    exceptions: Vec<Exception>,
    today: Date,
}

impl Question {
    /// What a case asks.
    ///
    /// # Errors
    ///
    /// If something of it cannot be read, in a sentence.
    pub fn of(case: &Case, world: &World, images: &Images) -> Result<Self, String> {
        let workload = workload(case)?;
        let facts: Vec<_> = case
            .image
            .iter()
            .enumerate()
            .map(|(index, image)| facts::facts(index, image, images))
            .collect::<Result<_, _>>()?;
        if facts.len() != workload.images.len() {
            return Err("an image of the case is not in the pod".to_owned());
        }
        // Containers come before volumes in a workload, so the cases must write them in that order.
        let fleet = case
            .fleet(world)?
            .with_runtime_classes(classes(&case.runtime_classes)?);
        let followed = case.image.iter().enumerate();
        let followed = followed.map(|(index, image)| facts::followed(index, image));
        let followed: Vec<_> = followed.collect::<Result<_, _>>()?;
        let now = match &case.today {
            None => world.now,
            Some(today) => {
                let day = today.parse::<jiff::civil::Date>().ok();
                let day = day.and_then(|day| day.to_zoned(TimeZone::UTC).ok());
                let day = day.ok_or_else(|| format!("today: {today:?} is not like 2026-12-31"))?;
                day.timestamp()
            }
        };
        let exceptions = world.exceptions();
        let exceptions = exceptions.of(&case.place().name, &case.labels, now);
        Ok(Self {
            workload,
            facts,
            fleet,
            catalog: Catalog::new(followed.into_iter().flatten()),
            judge: world.judge(case)?,
            exceptions: exceptions.into_iter().cloned().collect(),
            today: hostfit_crds::date(now),
        })
    }

    /// What is known of the images.
    pub fn facts(&self) -> impl Iterator<Item = &Fact<ImageFacts>> {
        self.facts.iter().map(|facts| &**facts)
    }

    /// What is found if this is known of the images.
    pub fn judge(&self, facts: &[&Fact<ImageFacts>]) -> Judgement {
        let exceptions: Vec<_> = self.exceptions.iter().collect();
        let knowledge = Knowledge {
            fleet: &self.fleet,
            catalog: &self.catalog,
            rules: &self.judge.policy.rules,
            today: self.today,
            exceptions: &exceptions,
        };
        evaluate(&self.workload, facts, &knowledge)
    }

    /// What is found, and what becomes of the pod.
    pub fn answer(&self) -> Answer {
        let facts: Vec<_> = self.facts().collect();
        let judgement = self.judge(&facts);
        let decision = decide(&judgement, &self.judge.policy, self.judge.mode, |_| false);
        Answer {
            found: judgement.reasons.iter().map(text).collect(),
            excepted: judgement
                .excepted
                .iter()
                .map(|it| it.reason.finding.code.to_string())
                .collect(),
            hosts: judgement.hosts(),
            admission: admission(&decision),
            verdict: summary(&judgement),
        }
    }
}

/// What came.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Verdict and findings.
    pub verdict: Expect,
    /// How many hosts fit.
    pub hosts: String,
    /// What becomes of the pod.
    pub admission: Admission,
    /// Codes of the findings that are accepted.
    pub excepted: BTreeSet<String>,
    /// The findings in words, each with fix and evidence.
    pub found: Vec<String>,
}

/// What was expected, and what came instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// `verdict`, `hosts`, …
    pub what: &'static str,
    /// As the case says.
    pub expected: String,
    /// As it was judged.
    pub got: String,
}

impl Answer {
    /// What differs from what the case expects.
    pub fn differences(&self, case: &Case) -> Vec<Difference> {
        let mut all = Vec::new();
        let mut differs = |what, expected: String, got: String| {
            all.push(Difference {
                what,
                expected,
                got,
            });
        };
        if !case.expect.is_met_by(&self.verdict) {
            differs("verdict", case.expect.to_string(), self.verdict.to_string());
        }
        if let Some(hosts) = case.hosts.as_ref().filter(|it| **it != self.hosts) {
            differs("hosts", hosts.clone(), self.hosts.clone());
        }
        if let Some(admission) = &case.admission
            && !admission.is_met_by(&self.admission)
        {
            differs(
                "admission",
                admission.to_string(),
                self.admission.to_string(),
            );
        }
        let excepted: BTreeSet<_> = case.excepted.iter().cloned().collect();
        if !excepted.is_empty() && excepted != self.excepted {
            let list = |codes: &BTreeSet<String>| match codes.is_empty() {
                true => "nothing".to_owned(),
                false => codes
                    .iter()
                    .map(String::as_str)
                    .collect::<Vec<_>>()
                    .join(", "),
            };
            differs("excepted", list(&excepted), list(&self.excepted));
        }
        let says = |part: &String| self.found.iter().any(|text| text.contains(part));
        for part in case.says.iter().filter(|it| !says(it)) {
            differs("says", part.clone(), "nothing says so".to_owned());
        }
        for part in case.silent.iter().filter(|it| says(it)) {
            differs("silent", part.clone(), "something says so".to_owned());
        }
        all
    }
}

fn summary(judgement: &Judgement) -> Expect {
    let findings: BTreeSet<_> = judgement
        .reasons
        .iter()
        .map(|reason| {
            let finding = &reason.finding;
            format!("{} {}", finding.code, finding.verdict.as_str())
        })
        .collect();
    Expect {
        verdict: judgement.verdict.as_str().to_owned(),
        findings: findings.into_iter().collect(),
    }
}

fn text(reason: &Reason) -> String {
    let finding = &reason.finding;
    let evidence = finding.evidence.as_ref().map(|it| format!(" [{it}]"));
    format!(
        "{} {}. {}{}",
        finding.code,
        finding.message(),
        finding.fix,
        evidence.unwrap_or_default()
    )
}

fn admission(decision: &Decision) -> Admission {
    let codes = |reasons: &[&Reason]| {
        let mut seen = Vec::new();
        for reason in reasons {
            let code = reason.finding.code.to_string();
            if !seen.contains(&code) {
                seen.push(code);
            }
        }
        seen
    };
    match decision {
        Decision::Ignore => Admission::new("ignored", Vec::new()),
        Decision::Admit { warnings, .. } if warnings.is_empty() => {
            Admission::new("admitted", Vec::new())
        }
        Decision::Admit { warnings, .. } => {
            Admission::new("warned", codes(&warnings.iter().collect::<Vec<_>>()))
        }
        Decision::Deny(refusal) => {
            let reasons = std::iter::once(&refusal.worst).chain(&refusal.others);
            Admission::new("refused", codes(&reasons.collect::<Vec<_>>()))
        }
    }
}

/// RuntimeClasses as they come from the API server.
fn classes(written: &[RuntimeClass]) -> Result<RuntimeClasses, String> {
    let class = |class: &RuntimeClass| {
        let scheduling = class.scheduling.clone().unwrap_or_else(|| json!({}));
        let object = json!({"metadata": {"name": class.name}, "handler": class.handler, "scheduling": scheduling});
        let object: RuntimeClassObject =
            serde_json::from_value(object).map_err(|it| format!("runtimeClass: {it}"))?;
        strict::unread(&scheduling, &object.scheduling, "runtimeClass.scheduling")?;
        Ok::<_, String>(object)
    };
    let objects = written.iter().map(class).collect::<Result<Vec<_>, _>>()?;
    Ok(runtime_classes(&objects))
}

fn workload(case: &Case) -> Result<Workload, String> {
    for code in &case.excepted {
        code_of("excepted", code)?;
    }
    if let Some(made) = &case.made {
        return Ok(made.clone().into());
    }
    let mut spec = case.pod.clone().unwrap_or_default();
    for (index, image) in case.image.iter().enumerate() {
        let name = format!("app-{index}");
        let reference = facts::reference(image);
        let (field, entry) = match image.detail.role {
            Role::Container => {
                let set = |(name, value)| json!({"name": name, "value": value});
                let env: Vec<_> = image.detail.pod_env.iter().map(set).collect();
                let limits = match image.detail.gpu {
                    true => json!({"cpu": "1", "nvidia.com/gpu": 1}),
                    false => json!({"cpu": "1"}),
                };
                let resources = json!({"limits": limits});
                let mut entry =
                    json!({"name": name, "image": reference, "env": env, "resources": resources});
                if let Value::Object(entry) = &mut entry {
                    entry.extend(image.detail.container.clone());
                }
                ("containers", entry)
            }
            Role::Init => ("initContainers", json!({"name": name, "image": reference})),
            Role::Ephemeral => {
                let entry = json!({"name": name, "image": reference});
                ("ephemeralContainers", entry)
            }
            Role::Volume => {
                let entry = json!({"name": name, "image": {"reference": reference}});
                ("volumes", entry)
            }
        };
        let list = spec.entry(field).or_insert_with(|| json!([]));
        let list = list.as_array_mut();
        let list = list.ok_or_else(|| format!("pod: {field} is no list"))?;
        list.push(entry);
    }
    let spec = Value::Object(spec);
    let whole: k8s_openapi::api::core::v1::PodSpec =
        serde_json::from_value(spec.clone()).map_err(|it| format!("pod: {it}"))?;
    strict::unread(&spec, &whole, "pod")?;
    let spec: PodSpec = serde_json::from_value(spec).map_err(|it| format!("pod: {it}"))?;
    Ok(spec.into())
}
