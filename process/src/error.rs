//! What can go wrong in a process as such.

use std::error::Error as StdError;

/// Why a process could not start, or had to end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log filter of the environment is malformed.
    #[error(
        "read the log filter {variable}={value:?}: give a level (error, warn, info, debug, trace), \
         or levels by module such as \"info,hostfit_webhook=debug\""
    )]
    LogFilter {
        /// The environment variable.
        variable: &'static str,
        /// What it holds.
        value: String,
        /// Why that is no filter.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// Somebody else has installed a log subscriber.
    #[error("start logging")]
    LogInstalled(#[source] Box<dyn StdError + Send + Sync>),
    /// There is neither a service account nor a kubeconfig.
    #[error(
        "find the Kubernetes API server: run in a pod with a service account, or set KUBECONFIG"
    )]
    NoCluster(#[source] kube::config::InferConfigError),
    /// The settings of the API server cannot be used.
    #[error("prepare the Kubernetes client")]
    Client(#[source] kube::Error),
    /// The handlers of SIGTERM and SIGINT could not be installed.
    #[error("listen to SIGTERM and SIGINT")]
    Signals(#[source] std::io::Error),
    /// A task returned while the process still needed it.
    #[error("task {task:?} ended, but the process needs it")]
    TaskEnded {
        /// Its name.
        task: &'static str,
    },
    /// A task returned an error.
    #[error("task {task:?} failed")]
    TaskFailed {
        /// Its name.
        task: &'static str,
        /// What it returned.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// A task panicked.
    #[error("task {task:?} panicked: {message}")]
    TaskPanicked {
        /// Its name.
        task: &'static str,
        /// What it panicked with.
        message: String,
    },
}
