//! `hostfit nodes [NODE]`: what hosts offer, who told it, and what nobody tells.

use std::collections::BTreeMap;

use anyhow::anyhow;
use hostfit_engine::finding::{nearest, plain};
use hostfit_engine::host::{HostFact, HostFacts};
use kube::ResourceExt as _;
use serde_json::{Value, json};

use crate::exit::{Exit, Trouble};
use crate::flags::{Common, Format};
use crate::out::say;
use crate::print;
use crate::read::ReadArgs;
use crate::style;
use crate::survey::{Question, Survey};

/// Longest value that is shown.
const VALUE: usize = 60;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// One node; all classes of nodes, if none is named.
    #[arg(value_name = "NODE")]
    node: Option<String>,
    #[command(flatten)]
    reading: ReadArgs,
}

/// What is known of a node.
struct Known {
    profile: Option<String>,
    facts: HostFacts,
    /// Who told each fact.
    sources: BTreeMap<String, String>,
    contradictions: Vec<String>,
}

pub(crate) async fn run(args: Args, common: &Common) -> Result<Exit, Trouble> {
    let known = [Format::Table, Format::Wide, Format::Json, Format::Yaml];
    let format = common.output.format.one_of(&known, "nodes")?;
    let survey = Survey::of_hosts(&Question {
        common,
        reading: &args.reading,
        files: &[],
        hosts: &[],
        targets: &[],
    })
    .await?;
    match args.node {
        None => all(&survey, format)?,
        Some(name) => one(&survey, &name, format)?,
    }
    Ok(Exit::Fine)
}

/// A fact as a cell of a table.
fn cell(facts: &HostFacts, fact: HostFact) -> String {
    facts
        .show(fact)
        .map_or_else(|| "?".to_owned(), |it| plain(&it, VALUE))
}

/// Facts that nobody tells of hosts of this kind.
fn missing(facts: &HostFacts) -> Vec<&'static str> {
    let is_linux = facts.os_family() != Some("windows");
    let has_gpu = facts.nvidia_driver.is_some();
    let matters = |fact: &HostFact| match fact {
        HostFact::NvidiaDriver | HostFact::Cuda | HostFact::ComputeCapability => has_gpu,
        _ => is_linux,
    };
    let all = HostFact::ALL.into_iter().filter(matters);
    let untold = all.filter(|fact| facts.show(*fact).is_none());
    untold.map(HostFact::name).collect()
}

fn all(survey: &Survey, format: Format) -> anyhow::Result<()> {
    if matches!(format, Format::Json | Format::Yaml) {
        let items = survey.fleet.hosts().iter().map(|host| {
            json!({
                "name": host.name.0, "nodes": host.nodes, "declared": survey.fleet.is_declared(&host.name),
                "facts": hostfit_crds::HostFacts::from(&host.facts), "missing": missing(&host.facts),
            })
        });
        return document(format, items.collect());
    }
    let title = [
        "HOST PROFILE",
        "NODES",
        "OS",
        "KERNEL",
        "CPU",
        "CGROUP",
        "RUNTIME",
        "NOT TOLD",
    ];
    let mut rows = vec![title.map(str::to_owned)];
    for host in survey.fleet.hosts() {
        let facts = &host.facts;
        let os = facts.os.as_ref().map(ToString::to_string);
        let untold = missing(facts);
        rows.push([
            plain(&host.name.0, VALUE),
            match host.nodes {
                0 => "0 (declared)".to_owned(),
                nodes => nodes.to_string(),
            },
            os.unwrap_or_else(|| "?".to_owned()),
            facts
                .kernel
                .as_ref()
                .map_or_else(|| "?".to_owned(), |it| it.series()),
            cell(facts, HostFact::CpuLevel),
            cell(facts, HostFact::Cgroup),
            cell(facts, HostFact::Runtime),
            match format {
                Format::Wide => untold.join(","),
                _ => format!("{} facts", untold.len()),
            },
        ]);
    }
    style::columns(&rows);
    style::permissions(survey);
    Ok(())
}

fn one(survey: &Survey, name: &str, format: Format) -> anyhow::Result<()> {
    let known = known(survey, name)?;
    let facts = HostFact::ALL.into_iter();
    let facts = facts.filter_map(|fact| Some((fact, known.facts.show(fact)?)));
    let told: Vec<_> = facts
        .map(|(fact, value)| (fact, value, known.sources.get(fact.name())))
        .collect();
    let missing = missing(&known.facts);
    if matches!(format, Format::Json | Format::Yaml) {
        let facts: Vec<_> = told
            .iter()
            .map(|(fact, value, source)| json!({"fact": fact.name(), "value": value, "source": source}))
            .collect();
        let item = json!({
            "name": name, "host_profile": known.profile, "facts": facts, "missing": missing,
            "contradictions": known.contradictions,
        });
        return document(format, vec![item]);
    }
    let profile = known.profile.as_deref();
    say!(
        "{}    host profile {}",
        plain(name, VALUE),
        plain(profile.unwrap_or("not known"), VALUE)
    );
    let mut rows = vec![["FACT", "VALUE", "FROM"].map(str::to_owned)];
    for (fact, value, source) in told {
        let source = source.map_or_else(|| "?".to_owned(), |it| plain(it, VALUE));
        rows.push([fact.name().to_owned(), plain(&value, VALUE), source]);
    }
    style::columns(&rows);
    for contradiction in &known.contradictions {
        say!("but {}", plain(contradiction, 200));
    }
    let mut remedies: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for fact in HostFact::ALL
        .into_iter()
        .filter(|it| missing.contains(&it.name()))
    {
        remedies.entry(fact.remedy()).or_default().push(fact.name());
    }
    for (remedy, facts) in remedies {
        say!("not told: {}", facts.join(", "));
        say!("  fix: {remedy}");
    }
    Ok(())
}

/// What the operator merged, if there is one; else what the node and node-feature-discovery tell.
fn known(survey: &Survey, name: &str) -> anyhow::Result<Known> {
    let objects = &survey.objects;
    let mut profiles = objects.node_profiles.iter();
    let status = profiles
        .find(|it| it.name_any() == name)
        .and_then(|it| it.status.as_ref());
    if let Some(status) = status.filter(|it| it.facts.is_some() && objects.has_operator()) {
        let facts = status.facts.as_ref().map(HostFacts::try_from);
        let disagree = status.conditions.iter();
        let disagree = disagree
            .filter(|it| it.type_ == hostfit_crds::names::FACTS_AGREE && it.status == "False");
        return Ok(Known {
            profile: status.host_profile_name.clone(),
            facts: facts.transpose()?.unwrap_or_default(),
            sources: status.sources.clone(),
            contradictions: disagree.map(|it| it.message.clone()).collect(),
        });
    }
    let seen = objects.seen();
    let observed = seen.observed.get(name).ok_or_else(|| {
        let names: Vec<_> = seen.observed.keys().map(String::as_str).collect();
        let near = nearest(name, &names).map(|near| format!(": did you mean {near}?"));
        anyhow!(
            "there is no node {name} in {}{}",
            survey.from,
            near.unwrap_or_default()
        )
    })?;
    let labels = seen.plan.labels.get(name);
    let sources = observed.sources.iter();
    Ok(Known {
        profile: labels.and_then(|it| it.get(hostfit_crds::names::HOST_PROFILE).cloned()),
        facts: observed.facts.clone(),
        sources: sources
            .map(|(fact, source)| (fact.name().to_owned(), source.to_string()))
            .collect(),
        contradictions: observed
            .contradictions
            .iter()
            .map(ToString::to_string)
            .collect(),
    })
}

fn document(format: Format, items: Vec<Value>) -> anyhow::Result<()> {
    let document =
        json!({"apiVersion": crate::document::API_VERSION, "kind": "Nodes", "items": items});
    print::machine(format, &document)
}
