//! Flags → what the operator runs with. Flag = environment variable = Helm value.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use hostfit_crds::node::Agents;
use hostfit_process::duration;

/// Gathers the nodes' facts, follows base images, writes profiles and reports.
#[derive(Debug, Clone, Parser)]
#[command(name = "hostfit-operator", version)]
pub struct Args {
    /// Address of /livez, /readyz and /metrics.
    #[arg(long, env = "HOSTFIT_ADMIN_LISTEN", default_value = "0.0.0.0:8080")]
    pub admin_listen: SocketAddr,

    /// Namespace of this release.
    #[arg(long, env = "HOSTFIT_NAMESPACE")]
    pub namespace: String,

    /// Name of this process among its replicas: the name of its pod.
    #[arg(long, env = "HOSTFIT_IDENTITY")]
    pub identity: String,

    /// Lease by which one replica leads.
    #[arg(long, env = "HOSTFIT_LEASE_NAME", default_value = "hostfit-operator")]
    pub lease_name: String,

    /// Deployment of the operator: owns the Secret and the Lease, so that they go with it.
    #[arg(long, env = "HOSTFIT_DEPLOYMENT")]
    pub deployment: Option<String>,

    /// Secret that holds the webhook's certificate.
    #[arg(
        long,
        env = "HOSTFIT_TLS_SECRET",
        default_value = "hostfit-webhook-tls"
    )]
    pub tls_secret: String,

    /// Service of the webhook: the certificate is made for it.
    #[arg(long, env = "HOSTFIT_SERVICE", default_value = "hostfit-webhook")]
    pub service: String,

    /// Name of the MutatingWebhookConfiguration and the ValidatingWebhookConfiguration whose caBundle is kept current.
    #[arg(long, env = "HOSTFIT_WEBHOOK_CONFIGURATION", default_value = "hostfit")]
    pub webhook_configuration: String,

    /// File with the chart's defaults: a SupportMatrix and the first BaseImages.
    #[arg(long, env = "HOSTFIT_DEFAULTS_FILE")]
    pub defaults_file: Option<PathBuf>,

    /// Whether nodes are labelled with their facts.
    #[arg(long, env = "HOSTFIT_LABEL_NODES", default_value_t = true, action = clap::ArgAction::Set)]
    pub label_nodes: bool,

    /// What node agents are worth.
    #[arg(long, env = "HOSTFIT_AGENTS", value_enum, default_value = "believed")]
    pub agents: AgentsArg,

    /// Whether NodeFeatures of node-feature-discovery are read, where there are any.
    #[arg(long, env = "HOSTFIT_NODE_FEATURES", default_value_t = true, action = clap::ArgAction::Set)]
    pub node_features: bool,

    /// Whether a verdict that changed is told as an Event of the workload.
    #[arg(long, env = "HOSTFIT_EVENTS", default_value_t = true, action = clap::ArgAction::Set)]
    pub events: bool,

    /// Namespaces whose workloads are not reported.
    #[arg(long, env = "HOSTFIT_EXCLUDED_NAMESPACES", value_delimiter = ',')]
    pub excluded_namespaces: Vec<String>,

    /// How long the webhook's certificate is valid. It is renewed after two thirds of that.
    #[arg(long, env = "HOSTFIT_LEAF_LIFETIME", default_value = "90d", value_parser = duration)]
    pub leaf_lifetime: Duration,

    /// How long the authority that signs it is valid. It is renewed after two thirds of that.
    #[arg(long, env = "HOSTFIT_CA_LIFETIME", default_value = "3650d", value_parser = duration)]
    pub ca_lifetime: Duration,

    /// How often tags are resolved again.
    #[arg(long, env = "HOSTFIT_REFRESH", default_value = "10m", value_parser = duration)]
    pub refresh: Duration,

    /// Whether the layers of images are read. Otherwise only manifests and configs are.
    #[arg(long, env = "HOSTFIT_INSPECT_LAYERS", default_value_t = true, action = clap::ArgAction::Set)]
    pub inspect_layers: bool,

    /// How long an ImageProfile stays that no workload uses.
    #[arg(long, env = "HOSTFIT_KEEP_UNUSED_IMAGES", default_value = "72h", value_parser = duration)]
    pub keep_unused_images: Duration,

    /// Namespaces whose pull secrets are read, for the workloads that name them.
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

/// What node agents are worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum AgentsArg {
    /// What they read counts.
    Believed,
    /// It only fills gaps, and what rests on it alone warns at most.
    Claimed,
    /// None runs: what one read once does not count.
    Off,
}

impl From<AgentsArg> for Agents {
    fn from(written: AgentsArg) -> Self {
        match written {
            AgentsArg::Believed => Self::Believed,
            AgentsArg::Claimed => Self::Claimed,
            AgentsArg::Off => Self::Off,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(more: &[&str]) -> Result<Args, String> {
        let base = ["hostfit-operator", "--namespace=hostfit", "--identity=pod"];
        Args::try_parse_from(base.iter().chain(more)).map_err(|error| error.to_string())
    }

    #[test]
    fn wrong_flags_are_refused_with_the_value_and_what_is_expected() {
        assert_eq!(
            parse(&["--refresh=90s"]).unwrap().refresh,
            Duration::from_secs(90)
        );
        assert!(!parse(&["--label-nodes=false"]).unwrap().label_nodes);
        for (flag, words) in [
            ("--refresh=soon", "write for example 90s"),
            ("--refresh=0s", "write for example 90s"),
            ("--admin-listen=here", "here"),
            ("--label-nodes=maybe", "maybe"),
            (
                "--agents=perhaps",
                "[possible values: believed, claimed, off]",
            ),
            ("--unheard-of", "--unheard-of"),
        ] {
            let error = parse(&[flag]).unwrap_err();
            assert!(error.contains(words), "{flag}: {error}");
        }
    }
}
