//! The admission webhook: answers, before a pod runs, whether its images fit the hosts that it may land on, and whether
//! anyone will support them there.
//!
//! ```text
//! review in ─▶ review.rs ─▶ admit.rs ──▶ registry (one deadline) ─▶ memo.rs ─▶ engine
//! review out ◀─ respond.rs ◀─ message.rs, patch.rs ◀── policy ◀──────────────────┘
//! ```
//!
//! On a hit no API is called and no lock is held: everything stands in one immutable snapshot.

use std::sync::Arc;

use anyhow::Context;
use hostfit_process::metrics::{Identity, identified};
use hostfit_process::{
    Drain, Health, Limits, PodSecrets, Shutdown, Tasks, admin, client, http, log, tasks,
};
use hostfit_registry::{PullSecrets, Registry};
use tokio::net::TcpListener;

mod admit;
mod args;
mod credentials;
mod library;
mod memo;
mod message;
mod metrics;
mod patch;
mod question;
mod ran;
mod respond;
mod review;
mod server;
mod snapshot;
mod subject;
pub mod tls;

pub use args::Args;

use admit::Admission;
use credentials::Secrets;
use metrics::Metrics;
use snapshot::World;

/// Runs the webhook until a signal.
///
/// # Errors
///
/// If a setting or the certificate is wrong, or a port cannot be listened on.
pub async fn run(args: Args) -> anyhow::Result<()> {
    log::init()?;
    log::install_crypto();
    let mut tasks = Tasks::new()?;
    let shutdown = tasks.shutdown();
    let health = Health::new(shutdown.clone());
    let config = args.registry.config()?;
    let secrets = PullSecrets::load(args.registry.registry_credentials_dir.clone())?;
    let certificate = tls::Certificate::load(&args.tls_dir).await?;
    let client = client::connect(concat!("hostfit-webhook/", env!("CARGO_PKG_VERSION"))).await?;

    let metrics = Arc::new(Metrics::default());
    let mut exposed = prometheus_client::registry::Registry::default();
    let identity = Identity {
        version: env!("CARGO_PKG_VERSION"),
        rules: hostfit_engine::RULES_VERSION,
        rules_published: hostfit_engine::RULES_PUBLISHED,
    };
    let shown = identified(&mut exposed, identity);
    metrics.register(shown, certificate.expiry());
    let certificate_ready = health.condition("certificate");
    let world = World::watch(&client, &health, &mut tasks);
    let reports = ran::Reports::watch(&client, &health, &mut tasks);
    let (library, learned) = library::library(&client, &health, &mut tasks);
    let registry = Registry::with_library(config, Some(library))?;
    registry.stats().register(shown);
    tasks.background("image profiles", library::follow(registry.clone(), learned));
    let admission = Admission::new(
        world,
        reports,
        registry,
        Secrets {
            mounted: secrets.clone(),
            of_pods: PodSecrets::watch(&client, &args.pull_secret_namespaces, &mut tasks),
        },
        args.patience(),
        args.namespace.clone(),
        metrics,
    );
    let router = server::router(admission, args.annotate_pods);

    let listen = |address| async move {
        TcpListener::bind(address)
            .await
            .with_context(|| format!("listen on {address}"))
    };
    let tls = Some(certificate.config());
    let (webhook, drain) = (listen(args.listen).await?, Drain::new(shutdown));
    tasks.spawn(
        "webhook",
        http::serve(webhook, tls, router, Limits::default(), drain),
    );
    let (port, never) = (
        listen(args.admin_listen).await?,
        Drain::new(Shutdown::never()),
    );
    let admin = admin::router(health, exposed);
    tasks.background(
        "admin",
        http::serve(port, None, admin, Limits::default(), never),
    );
    tasks.background("certificate", certificate.follow(certificate_ready));
    tasks.background("pull secrets", secrets.follow());
    Ok(tasks.run(tasks::GRACE).await?)
}
