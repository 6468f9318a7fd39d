//! `REF|oci:DIR[:NAME|@DIGEST]|docker-archive:FILE[:NAME]` → what is known of the image.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use hostfit_engine::image::ImageRef;
use hostfit_registry::{
    Credentials, Platforms, PullSecret, Registry, Settings, SharedFacts, local,
};
use tokio::time::Instant;

/// How long one image may take, layers included.
const DEADLINE: Duration = Duration::from_secs(600);
/// Bytes of what layers say that are kept for the next image.
const LAYERS: u64 = 64 << 20;

/// An image as it was named, what it is called where names matter, and what is known of it.
pub(crate) struct Image {
    /// As on the command line.
    pub(crate) named: String,
    pub(crate) reference: ImageRef,
    pub(crate) facts: SharedFacts,
}

/// Reads images; a registry is only asked where a reference needs one.
pub(crate) struct Reader {
    settings: Settings,
    asked: Option<(Registry, Credentials)>,
}

impl Reader {
    pub(crate) fn new(settings: Settings) -> Self {
        let asked = None;
        Self { settings, asked }
    }

    /// Everything that is known of the image.
    pub(crate) async fn read(&mut self, named: &str) -> anyhow::Result<Image> {
        let local = |facts| {
            Ok(Image {
                named: named.to_owned(),
                // A name of no registry: nothing can be learned from it.
                reference: "hostfit.invalid/local".parse()?,
                facts,
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
        let reference: ImageRef = named.parse().with_context(|| {
            format!("{named:?} is neither a reference, oci:DIR nor docker-archive:FILE")
        })?;
        let (registry, credentials) = self.registry()?;
        let deadline = Instant::now() + DEADLINE;
        let inspection = registry
            .inspect(&reference, credentials, &Platforms::All, deadline)
            .await;
        Ok(Image {
            named: named.to_owned(),
            reference,
            facts: inspection.facts,
        })
    }

    fn registry(&mut self) -> anyhow::Result<&(Registry, Credentials)> {
        if self.asked.is_none() {
            let mut config = self.settings.config()?;
            config.layer_bytes = Some(LAYERS);
            // Here the user names the registries, and may name one on this machine.
            config.allow_loopback = true;
            let credentials = credentials()?;
            self.asked = Some((Registry::new(config)?, credentials));
        }
        self.asked.as_ref().context("no registry")
    }
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
