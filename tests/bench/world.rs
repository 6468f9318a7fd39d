//! What stands around the webhook in a measurement: a registry, an API server, a certificate.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use hostfit_tests::registry::{FakeRegistry, Image};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio::net::{TcpListener, TcpStream};

use crate::{Lab, fake_api};

/// It stops when it is dropped.
pub(crate) struct World {
    pub(crate) registry: FakeRegistry,
    /// Where the webhook finds the registry.
    pub(crate) registry_host: String,
    pub(crate) scratch: PathBuf,
}

impl World {
    pub(crate) async fn start(lab: &Lab) -> anyhow::Result<Self> {
        let registry = FakeRegistry::start().await;
        let registry_host = forward(lab.address, registry.port()).await?;
        let api = TcpListener::bind("127.0.0.1:0").await?;
        let server = format!("http://{}", api.local_addr()?);
        fake_api::serve(api);
        let world = Self {
            registry,
            registry_host,
            scratch: lab.scratch.clone(),
        };
        std::fs::write(world.kubeconfig(), kubeconfig(&server))?;
        certificate(&world.scratch)?;
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

fn kubeconfig(server: &str) -> String {
    serde_json::json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "bench",
        "clusters": [{"name": "bench", "cluster": {"server": server}}],
        "users": [{"name": "bench", "user": {}}],
        "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}],
    })
    .to_string()
}

/// Writes `ca.crt`, and `tls.crt` and `tls.key` for 127.0.0.1.
fn certificate(folder: &Path) -> anyhow::Result<()> {
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.distinguished_name
        .push(DnType::CommonName, "hostfit bench authority");
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let leaf = CertificateParams::new(["127.0.0.1".to_owned()])?.signed_by(&key, &ca)?;
    std::fs::write(folder.join("ca.crt"), ca.pem())?;
    std::fs::write(folder.join("tls.crt"), leaf.pem())?;
    std::fs::write(folder.join("tls.key"), key.serialize_pem())?;
    Ok(())
}
