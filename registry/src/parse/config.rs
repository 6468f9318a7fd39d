//! The config of an image: what it says of its platform, its layers and how it was made.

use std::collections::BTreeMap;

use hostfit_engine::files::Reading;
use hostfit_engine::image::{Contents, Digest, Platform, Start};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::bounded::Bounded;
use super::{LAYERS, Manifest, platform};
use crate::digest::chain_ids;
use crate::error::Failure;

const HISTORY: usize = 1_000;
const LABELS: usize = 4_096;
/// Words of a command that are kept; programs that only start others stand before the one that matters.
const WORDS: usize = 64;
const PORTS: usize = 256;
/// Bytes that the labels of one image may keep; the same for environment and history each.
const KEEP: usize = 64 << 10;

#[derive(Deserialize)]
#[serde(bound = "'de: 'a")]
struct Config<'a> {
    architecture: Option<String>,
    os: Option<String>,
    variant: Option<String>,
    #[serde(rename = "os.version")]
    os_version: Option<String>,
    #[serde(borrow)]
    config: Option<Execution<'a>>,
    rootfs: Option<RootFs>,
    #[serde(default)]
    history: Bounded<HISTORY, Step>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase")]
struct Execution<'a> {
    #[serde(borrow)]
    labels: Option<BTreeMap<String, &'a RawValue>>,
    #[serde(default)]
    env: Bounded<HISTORY, String>,
    #[serde(borrow)]
    entrypoint: Option<&'a RawValue>,
    #[serde(borrow)]
    cmd: Option<&'a RawValue>,
    working_dir: Option<String>,
    user: Option<String>,
    exposed_ports: Option<BTreeMap<String, IgnoredAny>>,
}

#[derive(Deserialize, Default)]
struct RootFs {
    #[serde(default)]
    diff_ids: Bounded<LAYERS, String>,
}

#[derive(Deserialize)]
struct Step {
    created_by: Option<String>,
}

/// Reads the config of `manifest`, whose digest has been checked. `listed` is what the index says of the
/// platform: the runtime chooses by it and does not look at the config then.
pub(crate) fn config(
    body: &[u8],
    manifest: Manifest,
    listed: Option<&Platform>,
) -> Result<(Platform, Contents), Failure> {
    let config: Config<'_> = serde_json::from_slice(body)
        .map_err(|_| Failure::Invalid("a field of its config is missing or of the wrong type"))?;
    let field =
        |own: Option<String>, listed: Option<String>| listed.or(own.filter(|own| !own.is_empty()));
    let os = field(config.os, listed.map(|p| p.os.clone()));
    let arch = field(config.architecture, listed.map(|p| p.architecture.clone()));
    let (Some(os), Some(arch)) = (os, arch) else {
        return Err(Failure::Invalid(
            "its config states no operating system or no architecture",
        ));
    };
    let variant = field(config.variant, listed.and_then(|p| p.variant.clone()));
    let version = field(config.os_version, listed.and_then(|p| p.os_version.clone()));
    let platform = platform(&os, &arch, variant.as_deref(), version.as_deref());

    let diff_ids = parse_all(config.rootfs.unwrap_or_default())?;
    let execution = config.config.unwrap_or_default();
    let text = |raw: &RawValue| serde_json::from_str::<String>(raw.get()).ok();
    let mut labels: BTreeMap<String, String> = execution
        .labels
        .unwrap_or_default()
        .into_iter()
        .take(LABELS)
        .filter_map(|(key, value)| Some((key, text(value)?)))
        .collect();
    for (key, value) in manifest.annotations {
        labels.entry(key).or_insert(value);
    }
    let mut room = KEEP;
    let mut path = execution.env.0.iter();
    let path = path.find_map(|line| Some(line.strip_prefix("PATH=")?.to_owned()));
    let entrypoint = words(execution.entrypoint);
    let words = [entrypoint.as_slice(), &words(execution.cmd)].concat();
    let ports = execution.exposed_ports.iter().flat_map(BTreeMap::keys);
    let start = Start {
        path: path.map(|path| cut(path, &mut room)),
        folder: cut(execution.working_dir.unwrap_or_default(), &mut room),
        user: cut(execution.user.unwrap_or_default(), &mut room),
        ports: ports
            .filter_map(|port| port.split('/').next()?.parse().ok())
            .take(PORTS)
            .collect(),
        command: words.into_iter().map(|word| cut(word, &mut room)).collect(),
        entrypoint: entrypoint.len(),
    };
    let env = execution.env.0.into_iter().map(|line| {
        let (key, value) = line.split_once('=').unwrap_or((&line, ""));
        (key.to_owned(), value.to_owned())
    });
    let mut room = KEEP;
    let commands = config
        .history
        .0
        .into_iter()
        .filter_map(|step| step.created_by);
    let contents = Contents {
        chain_ids: chain_ids(diff_ids),
        size: manifest
            .layers
            .iter()
            .fold(0, |sum, layer| layer.size.saturating_add(sum)),
        zstd: manifest.zstd,
        is_schema1: false,
        labels: keep_smallest(labels),
        env: keep_smallest(env.collect()),
        history: commands.map(|command| cut(command, &mut room)).collect(),
        start,
        files: Reading::NotRead,
    };
    Ok((platform, contents))
}

/// The diff_ids of the layers that a config lists.
pub(crate) fn diff_ids(body: &[u8]) -> Result<Vec<Digest>, Failure> {
    #[derive(Deserialize)]
    struct Layers {
        rootfs: Option<RootFs>,
    }
    let Layers { rootfs } = serde_json::from_slice(body)
        .map_err(|_| Failure::Invalid("a field of its config is missing or of the wrong type"))?;
    parse_all(rootfs.unwrap_or_default())
}

fn parse_all(rootfs: RootFs) -> Result<Vec<Digest>, Failure> {
    let digests = rootfs.diff_ids.0.iter().map(|text| text.parse());
    digests
        .collect::<Result<_, _>>()
        .map_err(|_| Failure::Invalid("its config holds a malformed digest"))
}

/// A command is a list of words; old builders wrote a single one as it is.
fn words(raw: Option<&RawValue>) -> Vec<String> {
    let Some(raw) = raw else { return Vec::new() };
    match serde_json::from_str::<Bounded<WORDS, String>>(raw.get()) {
        Ok(words) => words.0,
        Err(_) => serde_json::from_str(raw.get()).into_iter().collect(),
    }
}

/// Drops the largest pairs until the rest fits.
fn keep_smallest(mut map: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let size = |key: &String, value: &String| key.len() + value.len();
    let mut total: usize = map.iter().map(|(key, value)| size(key, value)).sum();
    if total <= KEEP {
        return map;
    }
    let mut keys: Vec<(usize, String)> = map
        .iter()
        .map(|(key, value)| (size(key, value), key.clone()))
        .collect();
    keys.sort();
    while let Some((size, key)) = keys.pop().filter(|_| total > KEEP) {
        map.remove(&key);
        total -= size;
    }
    map
}

/// `text`, cut to the room that is left, which gets smaller by it.
fn cut(mut text: String, room: &mut usize) -> String {
    if text.len() > *room {
        text.truncate(text.floor_char_boundary(*room));
    }
    *room -= text.len();
    text
}
