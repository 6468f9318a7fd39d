//! `REF|oci:DIR[:NAME|@DIGEST]|docker-archive:FILE[:NAME]` → what is known of the image.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use clap::builder::FalseyValueParser;
use futures::{StreamExt as _, stream};
use hostfit_engine::fact::{Fact, Gap, Unreachable};
use hostfit_engine::files::Reading;
use hostfit_engine::finding::plain;
use hostfit_engine::image::{ImageFacts, ImageRef};
use hostfit_registry::{
    Credentials, Platforms, PullSecret, Registry, Settings, SharedFacts, local,
};
use serde_json::Value;
use tokio::time::Instant;

use crate::cache::Cache;
use crate::progress::Progress;

/// How long one image may take, layers included.
const DEADLINE: Duration = Duration::from_secs(600);
/// Bytes of what layers say that are kept for the next image.
const LAYERS: u64 = 64 << 20;
/// Images that are read at a time.
const AT_ONCE: usize = 16;
/// After so many images, a registry that does not answer is given up.
const SILENT: usize = 3;

/// An image as it was named, what it is called where names matter, and what is known of it.
pub(crate) struct Image {
    /// As on the command line.
    pub(crate) named: String,
    pub(crate) reference: ImageRef,
    pub(crate) facts: SharedFacts,
}

/// How images are read.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ReadArgs {
    #[command(flatten)]
    registry: Settings,
    /// Read manifests and configs of images, not their layers: quicker, and less can be told.
    #[arg(long, env = "HOSTFIT_ONLY_CONFIG", value_parser = FalseyValueParser::new(), help_heading = "Images")]
    only_config: bool,
    /// Neither read nor keep what layers said ($XDG_CACHE_HOME/hostfit).
    #[arg(long, env = "HOSTFIT_NO_CACHE", value_parser = FalseyValueParser::new(), help_heading = "Images")]
    no_cache: bool,
}

/// Reads images; a registry is only asked where a reference needs one.
pub(crate) struct Reader<'a> {
    args: &'a ReadArgs,
    asked: Option<Arc<Asked>>,
}

/// What it takes to ask registries.
struct Asked {
    registry: Registry,
    credentials: Credentials,
    cache: Option<Cache>,
    only_config: bool,
    /// How often each registry did not answer: one that is down is not asked for every image.
    silent: Mutex<HashMap<String, usize>>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(args: &'a ReadArgs) -> Self {
        Self { args, asked: None }
    }

    /// Everything that is known of the image, on these platforms.
    pub(crate) async fn read(
        &mut self,
        named: &str,
        platforms: &Platforms,
    ) -> anyhow::Result<Image> {
        let only_config = self.args.only_config;
        let local = |facts: SharedFacts| {
            Ok(Image {
                named: named.to_owned(),
                // A name of no registry: nothing can be learned from it.
                reference: "hostfit.invalid/local".parse()?,
                facts: match only_config {
                    true => Arc::new(without_files(&facts)),
                    false => facts,
                },
            })
        };
        if let Some(place) = named.strip_prefix("oci:") {
            let (path, name) = split(place);
            return local(local::layout(&path, name.as_deref()).await?);
        }
        if let Some(place) = named.strip_prefix("docker-archive:") {
            let (path, name) = split(place);
            return local(local::archive(&path, name.as_deref())?);
        }
        let reference: anyhow::Result<ImageRef> = named.parse().with_context(|| {
            format!("{named:?} is neither a reference, oci:DIR nor docker-archive:FILE")
        });
        if let Some(meant) = on_disk(named, reference.is_err()) {
            bail!("{named} lies on this disk: {meant}");
        }
        let reference = reference?;
        let facts = self.asked()?.read(&reference, platforms).await;
        Ok(Image {
            named: named.to_owned(),
            reference,
            facts,
        })
    }

    /// Everything that is known of many images, on these platforms.
    ///
    /// # Errors
    ///
    /// If the user's credentials or settings cannot be read. Trouble with a registry is told by what is known.
    pub(crate) async fn read_all(
        &mut self,
        images: BTreeSet<ImageRef>,
        platforms: &Platforms,
        progress: &Progress,
    ) -> anyhow::Result<HashMap<ImageRef, SharedFacts>> {
        let asked = self.asked()?;
        let all = images.len();
        let mut left: BTreeMap<String, usize> = BTreeMap::new();
        for image in &images {
            *left.entry(image.registry().to_owned()).or_default() += 1;
        }
        let mut read = HashMap::new();
        let reading = stream::iter(images).map(async |image: ImageRef| {
            let facts = asked.read(&image, platforms).await;
            (image, facts)
        });
        let mut reading = pin!(reading.buffer_unordered(AT_ONCE));
        loop {
            let most = left.iter().max_by_key(|(_, left)| **left);
            if let Some((registry, left)) = most {
                let registry = plain(registry, 60);
                progress.say(&format!(
                    "images {}/{all}  {registry} {left} left",
                    read.len()
                ));
            }
            let Some((image, facts)) = reading.next().await else {
                return Ok(read);
            };
            if let Some(left) = left.get_mut(image.registry()) {
                *left = left.saturating_sub(1);
            }
            read.insert(image, facts);
        }
    }

    fn asked(&mut self) -> anyhow::Result<Arc<Asked>> {
        if let Some(asked) = &self.asked {
            return Ok(asked.clone());
        }
        let mut config = self.args.registry.config()?;
        config.layer_bytes = Some(LAYERS);
        // Here the user names the registries, and may name one on this machine.
        config.allow_loopback = true;
        let cache = (!self.args.no_cache).then(Cache::open).flatten();
        let library = cache.as_ref().map(Cache::library);
        let asked = Arc::new(Asked {
            registry: Registry::with_library(config, library)?,
            credentials: credentials()?,
            cache,
            only_config: self.args.only_config,
            silent: Mutex::default(),
        });
        self.asked = Some(asked.clone());
        Ok(asked)
    }
}

impl Asked {
    async fn read(&self, image: &ImageRef, platforms: &Platforms) -> SharedFacts {
        let silent = || self.silent.lock().unwrap_or_else(|it| it.into_inner());
        let name = image.registry();
        if silent().get(name).is_some_and(|times| *times >= SILENT) {
            let registry = name.to_owned();
            let why = Unreachable::NoAnswer;
            return Arc::new(Fact::Unknown(Gap::Unreachable { registry, why }));
        }
        let deadline = Instant::now() + DEADLINE;
        let (registry, credentials) = (&self.registry, &self.credentials);
        if self.only_config {
            return registry
                .facts(image, credentials, platforms, None, deadline)
                .await;
        }
        let read = registry
            .inspect(image, credentials, platforms, deadline)
            .await;
        if let (Some(cache), Some(whole)) = (&self.cache, &read.whole) {
            cache.keep(whole);
        }
        let is_silent = matches!(
            &*read.facts,
            Fact::Unknown(Gap::Unreachable {
                why: Unreachable::NoAnswer,
                ..
            })
        );
        if is_silent {
            *silent().entry(name.to_owned()).or_default() += 1;
        }
        read.facts
    }
}

/// The documents of a text in YAML or JSON that stands after so many lines of another.
///
/// # Errors
///
/// It says where it is none, and shows the place.
pub(crate) fn documents(text: &str, before: usize) -> anyhow::Result<Vec<Value>> {
    serde_saphyr::from_multiple(text).map_err(|error| {
        let line_offset = u64::try_from(before).unwrap_or_default();
        let options = serde_saphyr::render_options! { line_offset: line_offset };
        let error = error.render_with_options(options);
        let error = error.strip_prefix("error: ").unwrap_or(&error);
        anyhow!("it is no YAML: {}", error.trim_end())
    })
}

/// What manifest and config say; layers on this machine are cheap to read, but nobody wants to hear of them.
fn without_files(facts: &Fact<ImageFacts>) -> Fact<ImageFacts> {
    let mut facts = facts.clone();
    if let Fact::Known(image, _) = &mut facts {
        for platform in &mut image.platforms {
            if let Fact::Known(contents, _) = &mut platform.contents {
                contents.files = Reading::NotRead;
            }
        }
    }
    facts
}

/// What to write where a name leads to something that hardly means an image of a registry.
fn on_disk(named: &str, is_no_reference: bool) -> Option<String> {
    let path = Path::new(named);
    let ends = |all: &[&str]| all.iter().any(|it| named.ends_with(it));
    if path.join("oci-layout").exists() || (path.is_dir() && is_no_reference) {
        return Some(format!("write oci:{named}"));
    }
    if !path.is_file() {
        return None;
    }
    if ends(&[".yaml", ".yml", ".json"]) {
        let program = crate::program();
        return Some(format!(
            "of manifests, write {program} check -f {named} --host builtin/NAME"
        ));
    }
    let is_archive = is_no_reference || ends(&[".tar", ".tar.gz", ".tgz"]);
    is_archive.then(|| format!("write docker-archive:{named}"))
}

/// `PATH[:NAME|@DIGEST]`. A path that is there is meant as it stands, whatever colons are in it.
fn split(place: &str) -> (PathBuf, Option<String>) {
    if Path::new(place).exists() {
        return (place.into(), None);
    }
    let cut = place.match_indices([':', '@']).map(|(at, _)| at);
    let mut cut = cut.filter(|at| {
        place
            .get(..*at)
            .is_some_and(|path| Path::new(path).exists())
    });
    match cut
        .next()
        .and_then(|at| Some((place.get(..at)?, place.get(at + 1..)?)))
    {
        Some((path, name)) => (path.into(), Some(name.to_owned())),
        None => (place.into(), None),
    }
}

/// What Docker and Podman would show: the first of their files that is there.
fn credentials() -> anyhow::Result<Credentials> {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let home = variable("HOME");
    let files = [
        variable("REGISTRY_AUTH_FILE"),
        variable("DOCKER_CONFIG").map(|it| it.join("config.json")),
        variable("XDG_RUNTIME_DIR").map(|it| it.join("containers/auth.json")),
        home.as_ref()
            .map(|it| it.join(".config/containers/auth.json")),
        home.as_ref().map(|it| it.join(".docker/config.json")),
    ];
    let Some(file) = files.into_iter().flatten().find(|file| file.exists()) else {
        return Ok(Credentials::none());
    };
    let text = std::fs::read(&file).with_context(|| format!("read {}", file.display()))?;
    let has_auths = serde_json::from_slice::<serde_json::Value>(&text)
        .with_context(|| format!("{} is no JSON", file.display()))?
        .get("auths")
        .is_some();
    if !has_auths {
        // Helpers are programs that the file names: they are not run.
        return Ok(Credentials::none());
    }
    match Credentials::parse([PullSecret::DockerConfigJson(&text)]) {
        Ok(credentials) => Ok(credentials),
        Err(error) => bail!("{}: {error}", file.display()),
    }
}
