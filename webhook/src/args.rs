//! Flags → what the webhook runs with. Flag = environment variable = Helm value.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

/// Answers, before a pod runs, whether its images fit the hosts that it may land on.
#[derive(Debug, Clone, Parser)]
#[command(name = "hostfit-webhook", version)]
pub struct Args {
    /// Address of /mutate and /validate, with TLS.
    #[arg(long, env = "HOSTFIT_LISTEN", default_value = "0.0.0.0:10250")]
    pub listen: SocketAddr,

    /// Address of /livez, /readyz and /metrics.
    #[arg(long, env = "HOSTFIT_ADMIN_LISTEN", default_value = "0.0.0.0:8080")]
    pub admin_listen: SocketAddr,

    /// Folder with tls.crt and tls.key. Read again when they change.
    #[arg(long, env = "HOSTFIT_TLS_DIR", default_value = "/tls")]
    pub tls_dir: PathBuf,

    /// Namespace of this release: its pods are never judged.
    #[arg(long, env = "HOSTFIT_NAMESPACE")]
    pub namespace: String,

    /// Whether judged pods are annotated.
    #[arg(long, env = "HOSTFIT_ANNOTATE_PODS", default_value_t = true, action = clap::ArgAction::Set)]
    pub annotate_pods: bool,

    /// How long an answer may wait for a registry that is asked for the first time, in milliseconds.
    #[arg(long, env = "HOSTFIT_PATIENCE_MS", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(0..=1500))]
    pub patience_ms: u64,

    /// Namespaces whose pull secrets are read, for the pods that name them.
    #[arg(
        long,
        env = "HOSTFIT_PULL_SECRET_NAMESPACES",
        value_delimiter = ',',
        value_name = "NAMESPACE"
    )]
    pub pull_secret_namespaces: Vec<String>,

    /// How registries may be spoken to.
    #[command(flatten)]
    pub registry: hostfit_registry::Settings,
}

impl Args {
    /// How long an answer may wait for a registry.
    pub fn patience(&self) -> Duration {
        Duration::from_millis(self.patience_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_flags_are_refused_with_the_value() {
        let parse = |flag: &str| {
            let flags = ["hostfit-webhook", "--namespace=hostfit", flag];
            Args::try_parse_from(flags).map_err(|error| error.to_string())
        };
        assert_eq!(
            parse("--patience-ms=250").unwrap().patience(),
            Duration::from_millis(250)
        );
        for flag in [
            "--patience-ms=1501",
            "--listen=nowhere",
            "--annotate-pods=maybe",
            "--unheard-of",
        ] {
            let error = parse(flag).unwrap_err();
            let written = flag.split('=').next_back().unwrap();
            assert!(error.contains(written), "{flag}: {error}");
        }
    }
}
