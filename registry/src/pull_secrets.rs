//! Pull secrets in a folder, as Kubernetes mounts Secrets: read again when they change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::credentials::{Credentials, PullSecret};
use crate::error::Error;

/// How often the folder is read. The kubelet itself takes up to a minute to update a mount.
const POLL: Duration = Duration::from_secs(10);

/// The credentials of a folder. Cheap to clone; clones share what was read last.
#[derive(Debug, Clone)]
pub struct PullSecrets {
    folder: Option<PathBuf>,
    current: Arc<ArcSwap<Credentials>>,
}

impl PullSecrets {
    /// Reads the folder once. No folder, or an empty one, means anonymous access.
    ///
    /// # Errors
    ///
    /// If a secret is there and cannot be read.
    pub fn load(folder: Option<PathBuf>) -> Result<Self, Error> {
        let credentials = match &folder {
            Some(folder) => read(folder)?,
            None => Credentials::none(),
        };
        Ok(Self {
            folder,
            current: Arc::new(ArcSwap::from_pointee(credentials)),
        })
    }

    /// What was read last.
    pub fn current(&self) -> Arc<Credentials> {
        self.current.load_full()
    }

    /// Reads the folder again and again, for ever. What cannot be read leaves the last good state in place.
    pub async fn follow(self) {
        let Some(folder) = self.folder else {
            return std::future::pending().await;
        };
        let mut last = String::new();
        loop {
            tokio::time::sleep(POLL).await;
            match read(&folder) {
                Ok(credentials) => {
                    last.clear();
                    self.current.store(Arc::new(credentials));
                }
                Err(error) if error.to_string() != last => {
                    last = error.to_string();
                    tracing::warn!(%error, "pull secrets not read again; the last good ones stay");
                }
                Err(_) => {}
            }
        }
    }
}

/// Every `NAME/.dockerconfigjson` and `NAME/.dockercfg`, in the order of the names.
fn read(folder: &Path) -> Result<Credentials, Error> {
    let file = |path: PathBuf| match std::fs::read(&path) {
        Ok(bytes) => Ok(Some(bytes)),
        // A Secret that does not exist is mounted as an empty folder.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::File { path, source }),
    };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Credentials::none());
        }
        Err(source) => {
            return Err(Error::File {
                path: folder.to_owned(),
                source,
            });
        }
    };
    let mut secrets: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    secrets.sort();
    let mut contents = Vec::new();
    for secret in secrets {
        let json = file(secret.join(".dockerconfigjson"))?;
        let legacy = file(secret.join(".dockercfg"))?;
        let name = secret
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let name: String = name.unwrap_or_default();
        contents.extend(json.map(|bytes| (name.clone(), bytes, false)));
        contents.extend(legacy.map(|bytes| (name, bytes, true)));
    }
    let usable = contents.iter().filter_map(|(name, bytes, legacy)| {
        let secret = PullSecret::new(*legacy, bytes);
        // One bad Secret must not take the others away, nor keep a process from starting.
        match Credentials::parse([secret]) {
            Ok(_) => Some(secret),
            Err(error) => {
                tracing::warn!(secret = name, %error, "pull secret not used");
                None
            }
        }
    });
    Credentials::parse(usable)
}
