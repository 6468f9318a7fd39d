//! The operator: gathers the nodes' facts, follows base images, writes profiles and reports.
//!
//! Every controller is `fetch` (IO) → `plan` (pure) → `apply` (IO). One replica leads and writes; the others watch.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Context;
use hostfit_process::metrics::{Identity, identified};
use hostfit_process::{
    Drain, Health, Lease, Limits, PodSecrets, Shutdown, Tasks, admin, client, http, log, tasks,
};
use hostfit_registry::{Config, PullSecrets, Registry};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Api, Client, ResourceExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

mod apply;
mod args;
mod certificates;
mod credentials;
mod defaults;
mod image_profiles;
mod lineage;
mod metrics;
mod node_features;
mod nodes;
mod reports;
mod scope;
mod world;

pub use args::Args;
#[doc(hidden)]
pub use reports::offline;

use apply::Writer;
use credentials::Secrets;
use defaults::Defaults;
use image_profiles::{ImageProfiles, InUse};
use reports::{Images, Reports};
use world::{Settings, World};

/// Bytes of what layers say that are kept for the next image on them.
const LAYER_BYTES: u64 = 16 << 20;

/// Runs the operator until a signal.
///
/// # Errors
///
/// If a setting is wrong, the cluster cannot be reached at all, or leadership was lost.
pub async fn run(args: Args) -> anyhow::Result<()> {
    log::init()?;
    log::install_crypto();
    let mut tasks = Tasks::new()?;
    let shutdown = tasks.shutdown();
    let health = Health::new(shutdown.clone());
    let defaults = defaults::read(args.defaults_file.clone())?;
    let secrets = PullSecrets::load(args.registry.registry_credentials_dir.clone())?;
    let client = client::connect(concat!("hostfit-operator/", env!("CARGO_PKG_VERSION"))).await?;

    let metrics = Arc::new(metrics::Metrics::default());
    let mut exposed = prometheus_client::registry::Registry::default();
    let identity = Identity {
        version: env!("CARGO_PKG_VERSION"),
        rules: hostfit_engine::RULES_VERSION,
        rules_published: hostfit_engine::RULES_PUBLISHED,
    };
    let shown = identified(&mut exposed, identity);
    metrics.register(shown);
    let certificates_ready = health.condition("certificates");
    let settings = Settings {
        agents: args.agents.into(),
        node_features: args.node_features,
    };
    let world = World::watch(&client, &settings, &health, &mut tasks);
    let config = Config {
        layer_bytes: args.inspect_layers.then_some(LAYER_BYTES),
        ..args.registry.config()?
    };
    let library = image_profiles::library(world.image_profiles.clone());
    let registry = Registry::with_library(config, Some(library))?;
    registry.stats().register(shown);
    let listener = TcpListener::bind(args.admin_listen)
        .await
        .with_context(|| format!("listen on {}", args.admin_listen))?;
    let router = admin::router(health, exposed);
    tasks.background(
        "admin",
        http::serve(
            listener,
            None,
            router,
            Limits::default(),
            Drain::new(Shutdown::never()),
        ),
    );
    tasks.background("pull secrets", secrets.clone().follow());

    let owner = owner(&client, &args).await;
    let lease = Arc::new(Lease::new(
        client.clone(),
        &args.namespace,
        args.lease_name.clone(),
        args.identity.clone(),
        owner.clone(),
    ));
    let target = certificates::Target {
        namespace: args.namespace.clone(),
        secret: args.tls_secret.clone(),
        service: args.service.clone(),
        configuration: args.webhook_configuration.clone(),
        owner,
        leaf_lifetime: args.leaf_lifetime,
        ca_lifetime: args.ca_lifetime,
    };
    let writer = Writer::new(client.clone(), lease.clone());
    let secrets = Secrets {
        mounted: secrets,
        of_pods: PodSecrets::watch(&client, &args.pull_secret_namespaces, &mut tasks),
    };
    tasks.spawn(
        "certificates",
        certificates::run(
            client.clone(),
            target,
            writer.clone(),
            certificates_ready,
            shutdown.clone(),
        ),
    );
    let leader = Leader {
        client,
        args,
        world,
        registry,
        secrets,
        defaults,
        metrics,
        writer,
    };
    tasks.spawn("leader", leader.run(lease, shutdown));
    Ok(tasks.run(tasks::GRACE).await?)
}

/// The operator's own Deployment, so that what is made for it goes with it. Without it nothing is owned.
async fn owner(client: &Client, args: &Args) -> Option<OwnerReference> {
    let api: Api<Deployment> = Api::namespaced(client.clone(), &args.namespace);
    let name = args.deployment.as_deref()?;
    match client::within(client::CALL, api.get(name)).await {
        Ok(deployment) => Some(OwnerReference {
            api_version: "apps/v1".to_owned(),
            kind: "Deployment".to_owned(),
            uid: deployment.uid()?,
            name: name.to_owned(),
            ..OwnerReference::default()
        }),
        Err(error) => {
            tracing::warn!(%error, name, "own Deployment not found: Secret and Lease stay after an uninstall");
            None
        }
    }
}

/// What only the leader does.
struct Leader {
    client: Client,
    args: Args,
    world: World,
    registry: Registry,
    secrets: Secrets,
    defaults: Defaults,
    metrics: Arc<metrics::Metrics>,
    writer: Writer,
}

impl Leader {
    async fn run(self, lease: Arc<Lease>, shutdown: Shutdown) -> anyhow::Result<()> {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = lease.acquire() => {}
        }
        let Self {
            client,
            args,
            world,
            registry,
            secrets,
            defaults,
            metrics,
            writer,
        } = self;
        let (counts, counted) = watch::channel(nodes::Counts::None);
        let (telling, unapplied) = watch::channel(defaults::Unapplied::new());
        let (using, in_use) = watch::channel(InUse::default());
        let image_profiles = ImageProfiles {
            world: world.clone(),
            writer: writer.clone(),
            registry: registry.clone(),
            secrets: secrets.clone(),
            in_use,
            keep_unused: args.keep_unused_images,
        };
        let mut excluded: BTreeSet<String> = args.excluded_namespaces.iter().cloned().collect();
        excluded.insert(args.namespace.clone());
        let reports = Reports {
            world: world.clone(),
            writer: writer.clone(),
            images: Images::new(registry.clone(), secrets.clone(), args.refresh),
            excluded,
            counts,
            using,
            unapplied,
            metrics,
            label_nodes: args.label_nodes,
            events: args.events,
            started: tokio::time::Instant::now(),
        };
        let configuration = args.webhook_configuration.clone();
        let scope = scope::run(client, world.clone(), writer.clone(), configuration);
        let work = async {
            tokio::join!(
                defaults.run(world.clone(), writer.clone(), telling),
                nodes::run(world.clone(), writer.clone(), args.label_nodes, counted),
                lineage::run(
                    world.clone(),
                    writer,
                    registry,
                    secrets.mounted,
                    args.refresh
                ),
                reports.run(),
                async {
                    match args.inspect_layers {
                        true => image_profiles.run().await,
                        false => drop(image_profiles),
                    }
                },
            )
        };
        // In tasks of their own: work that takes long must keep neither from its time.
        let mut holding = JoinSet::new();
        let held = Arc::clone(&lease);
        holding.spawn(async move { held.hold().await });
        let mut scoping = JoinSet::new();
        scoping.spawn(scope);
        // All work can be dropped at any moment: whatever was not written, the next leader writes.
        tokio::select! {
            _ = work => {}
            () = shutdown.cancelled() => {}
            Some(lost) = holding.join_next() => return Err(lost?.into()),
        }
        scoping.shutdown().await;
        holding.shutdown().await;
        lease.release().await;
        Ok(())
    }
}
