//! The hosts of a case → the fleet on which its pod may land.

use std::collections::BTreeSet;
use std::path::Path;

use hostfit_crds::HostFacts;
use hostfit_engine::finding::nearest;
use hostfit_engine::host::{self, HostFact};
use hostfit_engine::landing::{Fleet, NodeClass};
use k8s_openapi::api::core::v1::Node;
use serde_json::{Map, Value, json};

use super::case::Host;
use super::folder;
use super::strict;
use super::world::World;
use crate::hosts::{self, HostArg};

/// What stands among the facts of a host and is none: what its nodes are, and what of it is only claimed.
const BESIDE: [&str; 6] = [
    "like",
    "name",
    "nodeLabels",
    "taints",
    "declared",
    "claimed",
];

/// The name of a host and its facts, as they are written, with labels and taints of its nodes.
pub(super) type Named = (String, Map<String, Value>);

/// One profile for each host, and one node of it; none of a profile that is only declared.
pub(super) fn fleet(written: &[Host], world: &World, base: &Path) -> Result<Fleet, String> {
    let (mut hosts, mut classes) = (Vec::new(), Vec::new());
    let mut add = |name: String, mut facts: Map<String, Value>| {
        facts.retain(|_, value| value != "unknown");
        let labels = facts.remove("nodeLabels").unwrap_or_else(|| json!({}));
        let taints = facts.remove("taints").unwrap_or_else(|| json!([]));
        let is_declared = facts.remove("declared").is_some_and(|it| it == true);
        let claimed = facts.remove("claimed");
        let mut class = class(Some(hosts.len()), classes.len(), &labels, taints)?;
        if is_declared {
            class.nodes.clear();
        }
        classes.push(class);
        hosts.push(host::Host {
            facts: read(&name, facts)?,
            claimed: self::claimed(claimed)?,
            name: host::HostName(name),
            nodes: u32::from(!is_declared),
        });
        Ok::<_, String>(())
    };
    let mut not_profiled = 0;
    for one in written {
        match one {
            Host::Name(name) if name == "none" => {}
            Host::Name(name) if name == "not profiled yet" => not_profiled += 1,
            Host::Name(name) => {
                for (name, facts) in named(name, world, base)? {
                    add(name, facts)?;
                }
            }
            Host::Facts(own) => {
                let (name, facts) = changed(own, world, base)?;
                add(name, facts)?;
            }
        }
    }
    for _ in 0..not_profiled {
        classes.push(class(None, classes.len(), &json!({}), json!([]))?);
    }
    Ok(Fleet::new(hosts, classes))
}

/// The hosts of a name, with their facts: a built-in one, those of a file, or a HostProfile beside the case.
fn named(name: &str, world: &World, base: &Path) -> Result<Vec<Named>, String> {
    if let Some(path) = name.strip_prefix("file:") {
        let mut file = World::default();
        folder::objects(&base.join(path), &mut file).map_err(|error| format!("host: {error}"))?;
        let hosts: Vec<_> = file.into_hosts().collect();
        return match hosts.is_empty() {
            true => Err(format!("host: there is no HostProfile in {path}")),
            false => Ok(hosts),
        };
    }
    if let Some(built_in) = name.strip_prefix("builtin/") {
        let read = HostArg::BuiltIn(built_in.to_owned()).read();
        let read = read.map_err(|error| format!("host: {error:#}"))?;
        let facts = |host: host::Host| {
            let facts = serde_json::to_value(HostFacts::from(&host.facts));
            let facts = facts.map_err(|error| error.to_string())?;
            Ok((host.name.0, facts.as_object().cloned().unwrap_or_default()))
        };
        return read.into_iter().map(facts).collect();
    }
    Ok(vec![(name.to_owned(), world.host_facts(name)?.clone())])
}

/// A host with some facts of its own, perhaps on top of a named one.
fn changed(own: &Map<String, Value>, world: &World, base: &Path) -> Result<Named, String> {
    let mut own = own.clone();
    let mut word = |key: &str| match own.remove(key) {
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("host: {key} is a name")),
        None => Ok(None),
    };
    let (like, name) = (word("like")?, word("name")?);
    let mut facts = Map::new();
    if let Some(like) = &like {
        let mut hosts = named(like, world, base)?.into_iter();
        match (hosts.next(), hosts.next()) {
            (Some((_, first)), None) => facts = first,
            _ => {
                return Err(format!(
                    "host: {like} holds several hosts: like one of them"
                ));
            }
        }
    }
    facts.extend(own);
    let name = name.or(like).unwrap_or_else(|| "host".to_owned());
    Ok((name, facts))
}

/// A HostProfile as a named host: its facts, with labels and taints of its nodes.
pub(super) fn profile(object: Value) -> Result<Named, String> {
    let at = |path: &str| object.pointer(path).cloned();
    let mut facts = match at("/spec/facts").or_else(|| at("/status/facts")) {
        Some(Value::Object(facts)) => facts,
        _ => Map::new(),
    };
    let beside = [
        ("nodeLabels", at("/spec/nodeLabels")),
        ("taints", at("/spec/nodeTaints")),
        ("claimed", at("/status/claimed")),
    ];
    let beside = beside
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    facts.extend(beside);
    let Some(name) = at("/metadata/name").and_then(|it| it.as_str().map(str::to_owned)) else {
        return Err("HostProfile: it has no metadata.name".to_owned());
    };
    strict::object("HostProfile", &object)
        .map_err(|error| format!("HostProfile {name}: {error}"))?;
    // It must be one that would be taken as a file after --host, too.
    hosts::profile_of(object, String::new()).map_err(|error| format!("{error:#}"))?;
    Ok((name, facts))
}

fn read(name: &str, facts: Map<String, Value>) -> Result<host::HostFacts, String> {
    let facts = Value::Object(facts);
    if let Some(fact) = hosts::without_quotes(&facts) {
        return Err(format!(
            "host: {fact} is read as a number (5.10 is 5.1): put it in quotes"
        ));
    }
    let written: HostFacts =
        serde_json::from_value(facts.clone()).map_err(|it| format!("host {name}: {it}"))?;
    let kept = serde_json::to_value(&written).map_err(|it| it.to_string())?;
    let keys = facts.as_object().into_iter().flat_map(Map::keys);
    if let Some(unread) = keys.into_iter().find(|key| kept.get(key).is_none()) {
        let names = HostFact::ALL.iter().map(|fact| fact.name());
        let names: Vec<_> = names.chain(BESIDE).collect();
        let near = nearest(unread, &names).map(|near| format!("; did you mean {near}?"));
        let near = near.unwrap_or_default();
        return Err(format!("host: {unread} is no fact of a host{near}"));
    }
    host::HostFacts::try_from(&written).map_err(|it| format!("host {name}: {it}"))
}

/// Facts that only the node claims, where that is not believed.
fn claimed(written: Option<Value>) -> Result<BTreeSet<HostFact>, String> {
    let Some(written) = written else {
        return Ok(BTreeSet::new());
    };
    let written: Vec<String> = serde_json::from_value(written)
        .map_err(|_| "host: claimed is a list of facts".to_owned())?;
    let fact = |name: &String| {
        let found = HostFact::ALL.into_iter().find(|fact| fact.name() == name);
        found.ok_or_else(|| format!("host: claimed: {name} is no fact of a host"))
    };
    written.iter().map(fact).collect()
}

fn class(
    host: Option<usize>,
    number: usize,
    labels: &Value,
    taints: Value,
) -> Result<NodeClass, String> {
    let name = format!("node-{number}");
    let node = json!({"metadata": {"name": name, "labels": labels}, "spec": {"taints": taints}});
    let node: Node = serde_json::from_value(node).map_err(|it| format!("host: {it}"))?;
    let taints: BTreeSet<_> = hostfit_crds::fleet::taints(&node);
    Ok(NodeClass {
        host,
        labels: node.metadata.labels.unwrap_or_default(),
        taints,
        nodes: vec![(name, None)],
    })
}
