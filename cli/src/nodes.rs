//! `hostfit nodes [NODE]`: what hosts offer, who told it, and what nobody tells.

use std::collections::BTreeMap;

use anyhow::anyhow;
use hostfit_engine::finding::{nearest, plain};
use hostfit_engine::host::{Host, HostFact, HostFacts};
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
    /// One node, or one host profile; all host profiles, if none is named.
    #[arg(value_name = "NODE|PROFILE")]
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
    let known = [
        Format::Table,
        Format::Wide,
        Format::Name,
        Format::Json,
        Format::Yaml,
    ];
    let format = common.output.format.one_of(&known, "nodes")?;
    let survey = Survey::of_hosts(&Question {
        common,
        reading: &args.reading,
        files: &[],
        hosts: &[],
        targets: &[],
    })
    .await?;
    let Some(name) = args.node else {
        all(&survey, format)?;
        return Ok(Exit::Fine);
    };
    let mut profiles = survey.fleet.hosts().iter();
    match (
        known_of(&survey, &name)?,
        profiles.find(|it| it.name.0 == name),
    ) {
        (Some(known), _) => one(&name, &known, format)?,
        (None, Some(host)) => profile(&survey, host, format)?,
        (None, None) => return Err(absent(&survey, &name).into()),
    }
    Ok(Exit::Fine)
}

/// What to say of a name that is neither a node nor a profile.
fn absent(survey: &Survey, name: &str) -> anyhow::Error {
    let seen = survey.objects.seen();
    let nodes = seen.observed.keys().map(String::as_str);
    let profiles = survey.fleet.hosts().iter().map(|it| it.name.0.as_str());
    let names: Vec<_> = nodes.chain(profiles).collect();
    let near = nearest(name, &names).map(|near| format!("did you mean {near}?"));
    let near = near.unwrap_or_else(|| format!("{} nodes shows them", crate::program()));
    anyhow!(
        "there is no node and no host profile {name} in {}: {near}",
        survey.from,
    )
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
    let may_be = |name| facts.architecture.as_deref().is_none_or(|own| own == name);
    let matters = |fact: &HostFact| match fact {
        HostFact::NvidiaDriver | HostFact::Cuda | HostFact::ComputeCapability => has_gpu,
        HostFact::Ia32 | HostFact::Vsyscall => is_linux && may_be("amd64"),
        HostFact::Aarch32 => is_linux && may_be("arm64"),
        _ => is_linux,
    };
    let all = HostFact::ALL.into_iter().filter(matters);
    let untold = all.filter(|fact| facts.show(*fact).is_none());
    untold.map(HostFact::name).collect()
}

fn item(survey: &Survey, host: &Host) -> Value {
    json!({
        "name": host.name.0, "nodes": host.nodes, "declared": survey.is_declared(&host.name),
        "facts": hostfit_crds::HostFacts::from(&host.facts), "missing": missing(&host.facts),
    })
}

fn all(survey: &Survey, format: Format) -> anyhow::Result<()> {
    let hosts = survey.fleet.hosts();
    match format {
        Format::Json | Format::Yaml => {
            let items = hosts.iter().map(|host| item(survey, host));
            return document(format, items.collect());
        }
        Format::Name => {
            for host in hosts {
                say!("{}", plain(&host.name.0, VALUE));
            }
            return Ok(());
        }
        _ => {}
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

/// A class of nodes: what all of them offer.
fn profile(survey: &Survey, host: &Host, format: Format) -> anyhow::Result<()> {
    let nodes = members(survey, &host.name.0);
    if matches!(format, Format::Json | Format::Yaml) {
        let mut item = item(survey, host);
        if let Some(item) = item.as_object_mut() {
            item.insert("node_names".to_owned(), nodes.into());
        }
        return document(format, vec![item]);
    }
    let name = plain(&host.name.0, VALUE);
    if format == Format::Name {
        say!("{name}");
        return Ok(());
    }
    match host.nodes {
        0 => say!("{name}    host profile, no nodes"),
        _ => say!("{name}    host profile of {}", nodes.join(", ")),
    }
    let mut rows = vec![["FACT", "VALUE"].map(str::to_owned)];
    for fact in HostFact::ALL {
        if let Some(value) = host.facts.show(fact) {
            rows.push([fact.name().to_owned(), plain(&value, VALUE)]);
        }
    }
    style::columns(&rows);
    remedies(&missing(&host.facts));
    Ok(())
}

/// The nodes of a profile.
fn members(survey: &Survey, profile: &str) -> Vec<String> {
    let objects = &survey.objects;
    if objects.has_operator() {
        let profiles = objects.node_profiles.iter();
        let members = profiles.filter(|it| {
            let status = it.status.as_ref();
            status.and_then(|it| it.host_profile_name.as_deref()) == Some(profile)
        });
        return members.map(|it| plain(&it.name_any(), VALUE)).collect();
    }
    let seen = objects.seen();
    let labels = seen.plan.labels.iter();
    let members = labels.filter(|(_, labels)| {
        let name = labels.get(hostfit_crds::names::HOST_PROFILE);
        name.is_some_and(|it| it == profile)
    });
    members.map(|(node, _)| plain(node, VALUE)).collect()
}

fn one(name: &str, known: &Known, format: Format) -> anyhow::Result<()> {
    let facts = HostFact::ALL.into_iter();
    let facts = facts.filter_map(|fact| Some((fact, known.facts.show(fact)?)));
    let told: Vec<_> = facts
        .map(|(fact, value)| (fact, value, known.sources.get(fact.name())))
        .collect();
    let missing = missing(&known.facts);
    match format {
        Format::Json | Format::Yaml => {
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
        Format::Name => {
            say!("{}", plain(name, VALUE));
            return Ok(());
        }
        _ => {}
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
    remedies(&missing);
    Ok(())
}

/// What nobody tells, by what would tell it.
fn remedies(missing: &[&str]) {
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
}

/// What the operator merged, if there is one; else what the node and node-feature-discovery tell. Nothing if there is no such
/// node.
fn known_of(survey: &Survey, name: &str) -> anyhow::Result<Option<Known>> {
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
        return Ok(Some(Known {
            profile: status.host_profile_name.clone(),
            facts: facts.transpose()?.unwrap_or_default(),
            sources: status.sources.clone(),
            contradictions: disagree.map(|it| it.message.clone()).collect(),
        }));
    }
    let seen = objects.seen();
    let Some(observed) = seen.observed.get(name) else {
        return Ok(None);
    };
    let labels = seen.plan.labels.get(name);
    let sources = observed.sources.iter();
    Ok(Some(Known {
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
    }))
}

fn document(format: Format, items: Vec<Value>) -> anyhow::Result<()> {
    let document =
        json!({"apiVersion": crate::document::API_VERSION, "kind": "Nodes", "items": items});
    print::machine(format, &document)
}
