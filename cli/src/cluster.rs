//! The door to a cluster: a client as kubectl would make it from the same flags and files.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use hostfit_engine::finding::nearest;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::time::timeout;

use crate::flags::ClusterArgs;

/// Connecting may take this long, and no longer than one answer.
const CONNECT: Duration = Duration::from_secs(10);

/// A cluster, and what of it was asked for.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) client: Client,
    /// The context of the kubeconfig, or how else it was found.
    pub(crate) name: String,
    /// Where its API server is, for messages.
    server: String,
    /// The namespace of `-n`, else that of the context; none with `-A`.
    pub(crate) namespace: Option<String>,
    patience: Duration,
}

impl Cluster {
    /// A client for the cluster that the flags name. Nothing is asked yet.
    ///
    /// # Errors
    ///
    /// If there is no kubeconfig, it is none, or it does not name the context.
    pub(crate) async fn open(args: &ClusterArgs) -> anyhow::Result<Self> {
        let (mut config, name) = config(args).await?;
        let patience = args.request_timeout.0;
        config.connect_timeout = Some(CONNECT.min(patience));
        // Asking again is for processes; here a person waits.
        config.default_retry = false;
        if let Some(user) = &args.as_user {
            config.auth_info.impersonate = Some(user.clone());
        }
        let namespace = args.namespace.clone();
        let namespace = namespace.unwrap_or_else(|| config.default_namespace.clone());
        let server = config.cluster_url.to_string();
        let plugin = config.auth_info.exec.as_ref();
        let plugin = plugin.and_then(|it| it.command.clone());
        let by = plugin.map(|it| format!(" by {it}")).unwrap_or_default();
        let client = Client::try_from(config).map_err(|error| {
            anyhow!(
                "use the credentials of context {name}{by}: {}",
                causes(&error)
            )
        })?;
        Ok(Self {
            client,
            name,
            server: server.trim_end_matches('/').to_owned(),
            namespace: (!args.all_namespaces).then_some(namespace),
            patience,
        })
    }

    /// One call, no longer than the user waits for an answer.
    ///
    /// # Errors
    ///
    /// What the API server refused; that it cannot be reached, and then where and why.
    pub(crate) async fn ask<T>(
        &self,
        call: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, Refusal> {
        match timeout(self.patience, call).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(kube::Error::Api(status))) => Err(match status.code {
                401 => Refusal::Trouble(anyhow!(
                    "{} does not know you ({}): log in again, or name another user with --context",
                    self.server,
                    status.message
                )),
                403 => Refusal::Forbidden(status.message.clone()),
                404 => Refusal::Absent,
                code => Refusal::Trouble(anyhow!(
                    "{} answered {code}: {}",
                    self.server,
                    status.message
                )),
            }),
            Ok(Err(error)) => Err(Refusal::Trouble(anyhow!(
                "the cluster at {} cannot be asked: {}; is it up, and is --context right (it is {})?",
                self.server,
                causes(&error),
                self.name
            ))),
            Err(_) => Err(Refusal::Trouble(anyhow!(
                "the cluster at {} did not answer within {:?} (--request-timeout); is it up, and is --context right (it is {})?",
                self.server,
                self.patience,
                self.name
            ))),
        }
    }
}

/// Nobody said which cluster, and nothing tells it. What can be done instead, each command knows.
#[derive(Debug)]
pub(crate) struct NoKubeconfig;

impl fmt::Display for NoKubeconfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is no kubeconfig: name one with --kubeconfig or $KUBECONFIG")
    }
}

impl std::error::Error for NoKubeconfig {}

/// Why a call gave nothing.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The user may not. What the API server said.
    Forbidden(String),
    /// There is no such object, or no such kind.
    Absent,
    /// Nothing else can be asked either.
    Trouble(anyhow::Error),
}

/// An error with its causes, each once: some errors print their cause themselves. In which part of a client it arose helps nobody.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        source = error.source();
    }
    text.replace("ServiceError: ", "")
        .replace("client error (Connect): ", "")
}

/// The settings of the cluster, and its name for people.
async fn config(args: &ClusterArgs) -> anyhow::Result<(Config, String)> {
    let Some(kubeconfig) = kubeconfig(args.kubeconfig.as_deref())? else {
        return match Config::incluster() {
            Ok(config) => Ok((config, "the cluster that this runs in".to_owned())),
            Err(_) => Err(NoKubeconfig.into()),
        };
    };
    let context = args
        .context
        .clone()
        .or_else(|| kubeconfig.current_context.clone())
        .filter(|name| !name.is_empty());
    let names: Vec<_> = kubeconfig
        .contexts
        .iter()
        .map(|it| it.name.as_str())
        .collect();
    let Some(context) = context else {
        bail!(
            "the kubeconfig has no current context: name one with --context ({})",
            list(&names)
        );
    };
    if !names.contains(&context.as_str()) {
        let near = nearest(&context, &names).map(|near| format!(": did you mean {near}?"));
        bail!(
            "the kubeconfig has no context {context}{} It has {}",
            near.unwrap_or_else(|| ".".to_owned()),
            list(&names)
        );
    }
    let options = KubeConfigOptions {
        context: Some(context.clone()),
        ..KubeConfigOptions::default()
    };
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
    let config = config.with_context(|| format!("use context {context} of the kubeconfig"))?;
    Ok((config, context))
}

/// Names for people, few of them.
fn list(names: &[&str]) -> String {
    const MOST: usize = 8;
    let shown = names
        .iter()
        .take(MOST)
        .copied()
        .collect::<Vec<_>>()
        .join(", ");
    match names.len() {
        0 => "no contexts".to_owned(),
        many if many > MOST => format!("{shown} and {} more", many - MOST),
        _ => shown,
    }
}

/// The kubeconfig that kubectl would take; nothing where nobody named one and the usual place is empty.
fn kubeconfig(named: Option<&Path>) -> anyhow::Result<Option<Kubeconfig>> {
    let listed = std::env::var_os("KUBECONFIG").filter(|it| !it.is_empty());
    let paths: Vec<PathBuf> = match (named, listed) {
        (Some(path), _) => {
            if !path.exists() {
                bail!("there is no kubeconfig {}", path.display());
            }
            vec![path.to_owned()]
        }
        // Of a list, those that are there.
        (None, Some(listed)) => {
            let all: Vec<_> = std::env::split_paths(&listed).collect();
            let there: Vec<_> = all.iter().filter(|path| path.exists()).cloned().collect();
            if there.is_empty() {
                bail!("there is no kubeconfig {} ($KUBECONFIG)", listed.display());
            }
            there
        }
        (None, None) => {
            let home = std::env::home_dir().map(|home| home.join(".kube/config"));
            home.filter(|path| path.exists()).into_iter().collect()
        }
    };
    let mut merged: Option<Kubeconfig> = None;
    for path in paths {
        let read = Kubeconfig::read_from(&path)
            .map_err(|error| anyhow!(causes(&error)))
            .and_then(|read| match read.kind.as_deref() {
                None | Some("Config") => Ok(read),
                Some(kind) => Err(anyhow!("its kind is {kind}, not Config")),
            })
            .with_context(|| format!("{} is no kubeconfig", path.display()))?;
        merged = Some(match merged {
            Some(before) => before.merge(read)?,
            None => read,
        });
    }
    Ok(merged)
}
