//! The hosts of a case → the fleet on which its pod may land.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::LazyLock;

use hostfit_crds::HostFacts;
use hostfit_engine::host::{self, HostFact};
use hostfit_engine::landing::{Fleet, NodeClass};
use k8s_openapi::api::core::v1::Node;
use serde_json::{Map, Value, json};

use super::case::Host;
use super::judge::unknown_field;
use super::root;

/// One profile for each host, and one node of it; none of a profile that is only declared.
pub(super) fn fleet(written: &[Host]) -> Result<Fleet, String> {
    let (mut hosts, mut classes) = (Vec::new(), Vec::new());
    for one in written {
        let (name, mut facts) = match one {
            Host::Name(name) if name == "none" => continue,
            Host::Name(name) if name == "not profiled yet" => {
                classes.push(class(None, classes.len(), &json!({}), json!([]))?);
                continue;
            }
            Host::Name(name) => (name.clone(), named(name)?),
            Host::Facts(own) => changed(own)?,
        };
        facts.retain(|_, value| value != "unknown");
        let labels = facts.remove("nodeLabels").unwrap_or_else(|| json!({}));
        let taints = facts.remove("taints").unwrap_or_else(|| json!([]));
        let is_declared = facts.remove("declared").is_some();
        let claimed = facts.remove("claimed").unwrap_or_else(|| json!([]));
        let is_claimed = |fact: &HostFact| {
            let mut names = claimed.as_array().into_iter().flatten();
            names.any(|name| name == fact.name())
        };
        let mut class = class(Some(hosts.len()), classes.len(), &labels, taints)?;
        if is_declared {
            class.nodes.clear();
        }
        classes.push(class);
        hosts.push(host::Host {
            facts: read(&name, facts)?,
            name: host::HostName(name),
            nodes: u32::from(!is_declared),
            claimed: HostFact::ALL.into_iter().filter(is_claimed).collect(),
        });
    }
    Ok(Fleet::new(hosts, classes))
}

/// A host with some facts of its own, perhaps on top of a named one.
fn changed(own: &Map<String, Value>) -> Result<(String, Map<String, Value>), String> {
    let mut own = own.clone();
    let mut word = |key: &str| {
        let value = own.remove(key);
        value.and_then(|value| value.as_str().map(str::to_owned))
    };
    let (like, name) = (word("like"), word("name"));
    let mut facts = like.as_deref().map_or_else(|| Ok(Map::new()), named)?;
    facts.extend(own);
    let name = name.or(like).unwrap_or_else(|| "host".to_owned());
    Ok((name, facts))
}

fn read(name: &str, facts: Map<String, Value>) -> Result<host::HostFacts, String> {
    let facts = Value::Object(facts);
    let written: HostFacts =
        serde_json::from_value(facts.clone()).map_err(|it| format!("host {name}: {it}"))?;
    let kept = serde_json::to_value(&written).map_err(|it| it.to_string())?;
    unknown_field(&facts, &kept, name).map_or(Ok(()), Err)?;
    host::HostFacts::try_from(&written).map_err(|it| format!("host {name}: {it}"))
}

fn class(
    host: Option<usize>,
    number: usize,
    labels: &Value,
    taints: Value,
) -> Result<NodeClass, String> {
    let name = format!("node-{number}");
    let node = json!({"metadata": {"name": name, "labels": labels}, "spec": {"taints": taints}});
    let node: Node = serde_json::from_value(node).map_err(|it| it.to_string())?;
    let taints: BTreeSet<_> = hostfit_crds::fleet::taints(&node);
    Ok(NodeClass {
        host,
        labels: node.metadata.labels.unwrap_or_default(),
        taints,
        nodes: vec![(name, None)],
    })
}

/// The facts of a host of hosts.yaml.
pub(super) fn named(name: &str) -> Result<Map<String, Value>, String> {
    static HOSTS: LazyLock<BTreeMap<String, Map<String, Value>>> = LazyLock::new(|| {
        let text = fs::read_to_string(root().join("tests/cases/hosts.yaml")).unwrap();
        serde_saphyr::from_str(&text).unwrap()
    });
    let found = HOSTS.get(name).cloned();
    found.ok_or_else(|| format!("hosts.yaml has no host {name}"))
}
