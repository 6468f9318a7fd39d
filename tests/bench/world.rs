//! What stands around the webhook in a measurement: a registry, an API server, a certificate.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use anyhow::Context as _;
use hostfit_tests::certificate::Authority;
use hostfit_tests::cluster::FakeCluster;
use hostfit_tests::registry::{FakeRegistry, Image};
use tokio::net::{TcpListener, TcpStream};

use crate::{Lab, fleet};

/// It stops when it is dropped.
pub(crate) struct World {
    pub(crate) registry: FakeRegistry,
    /// Where the webhook finds the registry.
    pub(crate) registry_host: String,
    pub(crate) scratch: PathBuf,
    cluster: FakeCluster,
}

impl World {
    pub(crate) async fn start(lab: &Lab) -> anyhow::Result<Self> {
        let registry = FakeRegistry::start().await;
        let registry_host = forward(lab.address, registry.port()).await?;
        let cluster = fleet::start().await;
        let authority = Authority::new();
        let leaf = authority.issue("127.0.0.1");
        let world = Self {
            registry,
            registry_host,
            scratch: lab.scratch.clone(),
            cluster,
        };
        std::fs::write(world.kubeconfig(), world.cluster.kubeconfig())?;
        std::fs::write(world.ca(), authority.pem())?;
        std::fs::write(world.scratch.join("tls.crt"), leaf.certificate)?;
        std::fs::write(world.scratch.join("tls.key"), leaf.key)?;
        Ok(world)
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.scratch.join("kubeconfig")
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.scratch.join("ca.crt")
    }

    /// Serves an image with the labels of a Red Hat base, and gives its reference.
    pub(crate) fn push(&self, repository: &str, tag: &str, ubi: (&str, &str)) -> String {
        self.registry
            .push(repository, tag, &image(repository, tag, ubi));
        format!("{}/{repository}:{tag}", self.registry_host)
    }
}

/// An image of common size, like no other.
pub(crate) fn image(repository: &str, tag: &str, (base, version): (&str, &str)) -> Image {
    let mut image = Image::default()
        .label("name", base)
        .label("version", version)
        .label("com.redhat.component", &format!("{base}-container"))
        .label("vendor", "Red Hat, Inc.")
        .label(
            "org.opencontainers.image.ref.name",
            &format!("{repository}:{tag}"),
        );
    image
        .env
        .extend((0..8).map(|n| format!("SETTING_{n}=some value of setting {n}")));
    image
        .history
        .extend((0..12).map(|n| format!("RUN /bin/sh -c step {n} of the build of an application")));
    image
}

/// Forwards a port of `address` to one of loopback, where the fake registry listens and the webhook asks nobody.
async fn forward(address: Ipv4Addr, port: u16) -> anyhow::Result<String> {
    let listener = TcpListener::bind((address, 0)).await;
    let listener = listener.with_context(|| format!("{address} is no address of this machine"))?;
    let host = listener.local_addr()?.to_string();
    tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut to = TcpStream::connect(("127.0.0.1", port)).await?;
                from.set_nodelay(true)?;
                to.set_nodelay(true)?;
                tokio::io::copy_bidirectional(&mut from, &mut to).await
            });
        }
    });
    Ok(host)
}
