//! What Hostfit says of an image on a host, from the image's files and what the guest's agent told.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, anyhow, ensure};
use hostfit_crds::HostFacts;
use hostfit_crds::workload::PodSpec;
use hostfit_engine::host::{self, HostName};
use hostfit_engine::landing::Fleet;
use hostfit_engine::lineage::Catalog;
use hostfit_engine::matrix::{Knowledge, evaluate};
use hostfit_engine::policy::Policy;
use hostfit_engine::workload::Workload;
use serde_json::{Map, Value, json};

use crate::case::Image;

/// Codes that were found, with their verdicts.
pub(crate) type Findings = BTreeMap<String, String>;

/// The facts that the agent told, and over them what the kubelet reports.
pub(crate) fn merged(told: &HostFacts, reports: &Map<String, Value>) -> Result<HostFacts> {
    let mut facts = serde_json::to_value(told)?;
    let fields = facts.as_object_mut().context("facts are no object")?;
    fields.extend(reports.clone());
    serde_json::from_value(facts).context("what the host reports")
}

/// By the command line, as anybody would ask.
pub(crate) fn by_command(
    hostfit: &Path,
    folder: &Path,
    layout: &Path,
    facts: &HostFacts,
) -> Result<Findings> {
    let profile = json!({
        "apiVersion": "hostfit.dev/v1alpha1", "kind": "HostProfile",
        "metadata": {"name": "guest"}, "spec": {"facts": facts},
    });
    let host = folder.join("host.yaml");
    fs::write(&host, serde_json::to_vec_pretty(&profile)?)?;
    let output = Command::new(hostfit)
        .args(["check", "image"])
        .arg(format!("oci:{}", layout.display()))
        .arg("--host")
        .arg(format!("file:{}", host.display()))
        .args(["-o", "json"])
        .output()
        .context("start hostfit")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(
        matches!(output.status.code(), Some(0 | 1)),
        "hostfit: {errors}"
    );
    fs::write(folder.join("verdict.json"), &output.stdout)?;
    let document: Value = serde_json::from_slice(&output.stdout)?;
    let findings = document
        .pointer("/items/0/findings")
        .and_then(Value::as_array);
    let mut found = Findings::new();
    for finding in findings.context("no findings")? {
        let text = |field: &str| {
            finding
                .get(field)
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let code = text("code").context("no code")?;
        found.insert(code, text("verdict").context("no verdict")?);
    }
    Ok(found)
}

/// By the same judge, in this process: the command knows no pods.
pub(crate) async fn by_pod(layout: &Path, facts: &HostFacts, image: &Image) -> Result<Findings> {
    let read = hostfit_registry::local::layout(layout, None).await?;
    let mut container = image.container.clone();
    container.insert("name".to_owned(), "app".into());
    container.insert("image".to_owned(), "registry.example/lab/app:1".into());
    let mut pod = image.pod.clone();
    pod.insert("containers".to_owned(), json!([container]));
    let pod: PodSpec = serde_json::from_value(pod.into()).context("pod")?;
    let facts = host::HostFacts::try_from(facts).map_err(|error| anyhow!("{error}"))?;
    let host = host::Host {
        name: HostName("guest".to_owned()),
        nodes: 0,
        facts,
        claimed: Default::default(),
    };
    let fleet = Fleet::of_hosts(vec![host]);
    let policy = Policy::report_only();
    let knowledge = Knowledge {
        fleet: &fleet,
        catalog: &Catalog::default(),
        rules: &policy.rules,
        today: hostfit_crds::date(jiff::Timestamp::now()),
        exceptions: &[],
    };
    let judgement = evaluate(&Workload::from(pod), &[&*read], &knowledge);
    let findings = judgement.reasons.iter().map(|reason| {
        let finding = &reason.finding;
        (
            finding.code.as_str().to_owned(),
            finding.verdict.as_str().to_owned(),
        )
    });
    Ok(findings.collect())
}
