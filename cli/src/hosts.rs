//! `--host`: built in, or in a file.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context as _, anyhow, bail};
use hostfit_crds::{HostFacts, HostProfile, names};
use hostfit_engine::finding::nearest;
use hostfit_engine::host::{self, Host, HostName, builtin};
use hostfit_host::Machine;
use serde_json::{Value, json};

use crate::document::Origin;
use crate::read::documents;
use crate::target::is_path;

/// What stands after `--host`.
#[derive(Debug, Clone)]
pub(crate) enum HostArg {
    /// `builtin/NAME`
    BuiltIn(String),
    /// `file:PATH`
    File(String),
    /// `local`
    Local,
    /// The name of a HostProfile of the cluster.
    Profile(String),
}

impl FromStr for HostArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(name) = text.strip_prefix("builtin/") {
            return Ok(Self::BuiltIn(name.to_owned()));
        }
        if text == "local" {
            return Ok(Self::Local);
        }
        match text.strip_prefix("file:") {
            Some("") => Err("write file:PATH, a file of HostProfiles".to_owned()),
            Some(path) => Ok(Self::File(path.to_owned())),
            None if is_path(text) => Err(format!("HostProfiles in a file are named file:{text}")),
            None if !text.is_empty() && !text.contains(['/', ':']) => {
                Ok(Self::Profile(text.to_owned()))
            }
            None => Err(
                "write builtin/NAME (hostfit catalog list hosts), file:PATH, local, or the name of a HostProfile of the cluster".to_owned(),
            ),
        }
    }
}

impl fmt::Display for HostArg {
    /// As it is written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn(name) => write!(f, "builtin/{name}"),
            Self::File(path) => write!(f, "file:{path}"),
            Self::Local => f.write_str("local"),
            Self::Profile(name) => f.write_str(name),
        }
    }
}

impl HostArg {
    /// The built-in host that a name of no HostProfile may mean.
    pub(crate) fn built_in_instead(&self) -> Option<String> {
        let Self::Profile(name) = self else {
            return None;
        };
        let near = nearest(name, &built_in_names())?;
        Some(format!("did you mean builtin/{near}?"))
    }

    /// Who says what the hosts offer; of a profile, the cluster knows.
    pub(crate) fn origin(&self) -> Option<Origin> {
        match self {
            Self::BuiltIn(_) => Some(Origin::BuiltIn),
            Self::File(_) => Some(Origin::File),
            Self::Local => Some(Origin::Local),
            Self::Profile(_) => None,
        }
    }

    /// The hosts that it names.
    pub(crate) fn read(&self) -> anyhow::Result<Vec<Host>> {
        match self {
            Self::BuiltIn(name) => Ok(vec![built_in(name)?]),
            Self::Local => Ok(vec![Host {
                name: HostName("local".to_owned()),
                nodes: 0,
                facts: Machine::local().facts(),
                claimed: Default::default(),
            }]),
            Self::Profile(name) => bail!(
                "write builtin/NAME (hostfit catalog list hosts), file:PATH or local: {name} alone is a HostProfile of a cluster, and none is asked here"
            ),
            Self::File(path) => {
                let text = std::fs::read_to_string(path).with_context(|| format!("read {path}"))?;
                of_text(&text, path).with_context(|| format!("read hosts of {path}"))
            }
        }
    }
}

/// Takes a host in, unless it is there already.
///
/// # Errors
///
/// If another one has its name: nobody could tell them apart.
pub(crate) fn add(hosts: &mut Vec<Host>, host: Host) -> anyhow::Result<()> {
    match hosts.iter().find(|it| it.name == host.name) {
        None => hosts.push(host),
        Some(same) if same.facts == host.facts => {}
        Some(_) => bail!("two hosts of --host are called {}: rename one", host.name),
    }
    Ok(())
}

fn built_in_names() -> Vec<&'static str> {
    let hosts = builtin::hosts().iter();
    hosts.map(|it| it.name.0.as_str()).collect()
}

fn built_in(name: &str) -> anyhow::Result<Host> {
    let found = builtin::hosts().iter().find(|host| host.name.0 == name);
    let found = found.cloned().ok_or_else(|| {
        let near = nearest(name, &built_in_names());
        let near = near.map(|near| format!(": did you mean builtin/{near}?"));
        anyhow!(
            "there is no host builtin/{name}{} (hostfit catalog list hosts shows them all)",
            near.unwrap_or_default()
        )
    })?;
    Ok(Host {
        name: HostName(format!("builtin/{name}")),
        ..found
    })
}

/// HostProfiles of a file: one, several documents, or a list. Read strictly: a field that nobody reads is an error.
fn of_text(text: &str, path: &str) -> anyhow::Result<Vec<Host>> {
    let documents = documents(text, 0)?;
    let mut profiles = Vec::new();
    for document in documents {
        match document {
            Value::Null => {}
            Value::Array(list) => profiles.extend(list),
            Value::Object(mut list) if list.get("kind").is_some_and(|it| it == "List") => {
                match list.remove("items") {
                    Some(Value::Array(items)) => profiles.extend(items),
                    _ => bail!("the List has no items"),
                }
            }
            one => profiles.push(one),
        }
    }
    if profiles.is_empty() {
        bail!("there is no HostProfile in it");
    }
    let number = profiles.len();
    let one = |(index, profile): (usize, Value)| {
        let fallback = Path::new(path).file_stem();
        let fallback = fallback.map_or_else(|| path.to_owned(), |it| it.to_string_lossy().into());
        profile_of(profile, fallback)
            .with_context(|| format!("HostProfile {} of {number}", index + 1))
    };
    profiles.into_iter().enumerate().map(one).collect()
}

/// A fact that is a number and should be a text: a version that was not quoted.
pub(crate) fn without_quotes(facts: &Value) -> Option<&String> {
    let reads = |name: &str, value: Value| {
        serde_json::from_value::<HostFacts>(json!({name: value})).is_ok()
    };
    let facts = facts.as_object()?.iter();
    let mut facts = facts.filter(|(name, value)| {
        value.is_number() && !reads(name, (*value).clone()) && reads(name, value.to_string().into())
    });
    facts.next().map(|(name, _)| name)
}

pub(crate) fn profile_of(written: Value, fallback: String) -> anyhow::Result<Host> {
    let kind = written.get("kind").and_then(Value::as_str);
    if kind != Some("HostProfile") {
        bail!("kind is {}, not HostProfile", kind.unwrap_or("missing"));
    }
    let wanted = format!("{}/{}", names::GROUP, names::VERSION);
    let api = written.get("apiVersion").and_then(Value::as_str);
    if api != Some(&wanted) {
        bail!("apiVersion is {}, not {wanted}", api.unwrap_or("missing"));
    }
    let name = written.pointer("/metadata/name").and_then(Value::as_str);
    let name = name.map_or(fallback, str::to_owned);
    let (place, facts) = ["spec", "status"]
        .iter()
        .find_map(|part| Some((*part, written.pointer(&format!("/{part}/facts"))?)))
        .ok_or_else(|| anyhow!("HostProfile {name} has no spec.facts"))?;
    if let Some(fact) = without_quotes(facts) {
        bail!(
            "{place}.facts.{fact} of HostProfile {name} is read as a number (5.10 is 5.1): put it in quotes"
        );
    }
    let read: HostFacts = serde_json::from_value(facts.clone())
        .with_context(|| format!("{place}.facts of HostProfile {name}"))?;
    let kept = serde_json::to_value(&read)?;
    let known = |key: &&String| kept.get(key.as_str()).is_some();
    let keys = facts.as_object().into_iter().flat_map(|facts| facts.keys());
    if let Some(unread) = keys
        .filter(|key| facts.get(key.as_str()) != Some(&Value::Null))
        .find(|key| !known(key))
    {
        let names: Vec<_> = host::HostFact::ALL.iter().map(|fact| fact.name()).collect();
        let near = nearest(unread, &names);
        let near = near.map(|near| format!("; did you mean {near}?"));
        bail!(
            "{place}.facts.{unread} of HostProfile {name} is no fact of a host{}",
            near.unwrap_or_default()
        );
    }
    // As an object it must be one that the API server takes.
    let _: HostProfile =
        serde_json::from_value(written).with_context(|| format!("HostProfile {name}"))?;
    let facts = host::HostFacts::try_from(&read)
        .map_err(|error| anyhow!("{place}.{error} (HostProfile {name})"))?;
    Ok(Host {
        name: HostName(name),
        nodes: 0,
        facts,
        claimed: Default::default(),
    })
}
