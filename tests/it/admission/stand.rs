//! A webhook with everything around it: a cluster, a registry, certificates. One for each test.

use std::collections::HashSet;
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use hostfit_tests::certificate::Authority;
use hostfit_tests::cluster::{FakeCluster, Kind};
use hostfit_tests::registry::FakeRegistry;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

/// More than anything here should ever take.
const PATIENCE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(10);

/// The namespace of the release.
pub(super) const OWN_NAMESPACE: &str = "hostfit";

/// What a webhook will find when it starts.
pub(super) struct Setup {
    pub(super) cluster: FakeCluster,
    pub(super) registry: FakeRegistry,
    pub(super) folder: Folder,
    environment: Vec<(&'static str, String)>,
}

impl Setup {
    /// An empty cluster, and a registry that may be asked.
    pub(super) async fn empty() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let (cluster, registry) = (FakeCluster::start().await, FakeRegistry::start().await);
        let environment = vec![
            ("HOSTFIT_NAMESPACE", OWN_NAMESPACE.to_owned()),
            ("HOSTFIT_REGISTRY_PLAIN_HTTP", registry.host().to_owned()),
            // Nothing here is slow by accident.
            ("HOSTFIT_PATIENCE_MS", "1500".to_owned()),
        ];
        Self {
            cluster,
            registry,
            folder: Folder::new(),
            environment,
        }
    }

    /// Two nodes of one profile, the namespace `shop`, and a SupportMatrix for all namespaces.
    pub(super) async fn ordinary(matrix: Value) -> Self {
        let setup = Self::empty().await;
        let cluster = &setup.cluster;
        cluster.put(Kind::HostProfile, profile("el9", rhel9()));
        cluster.put(Kind::Node, node("node-1", &rhel9()));
        cluster.put(Kind::Node, node("node-2", &rhel9()));
        cluster.put(Kind::Namespace, namespace("shop", &json!({})));
        cluster.put(Kind::SupportMatrix, named("default", matrix));
        setup
    }

    /// Another value of an environment variable of the webhook.
    pub(super) fn set(&mut self, name: &'static str, value: impl Into<String>) -> &mut Self {
        self.environment.retain(|(other, _)| *other != name);
        self.environment.push((name, value.into()));
        self
    }

    /// Starts the webhook, which need not become ready.
    pub(super) async fn start(self) -> Stand {
        let authority = Authority::new();
        let folder = &self.folder;
        folder.write("kubeconfig", &self.cluster.kubeconfig());
        let leaf = authority.issue("127.0.0.1");
        folder.write("tls/tls.crt", &leaf.certificate);
        folder.write("tls/tls.key", &leaf.key);
        let root = reqwest::Certificate::from_pem(authority.pem().as_bytes()).unwrap();
        let client = reqwest::Client::builder()
            .tls_certs_only([root])
            .no_proxy()
            .timeout(PATIENCE)
            .build()
            .unwrap();
        for _ in 0..5 {
            let process = Process::spawn(folder, &self.environment);
            if let Some(process) = process.listening(&client).await {
                return Stand {
                    cluster: self.cluster,
                    registry: self.registry,
                    folder: self.folder,
                    authority,
                    client,
                    process,
                };
            }
        }
        panic!("no webhook could listen:\n{}", folder.read("log"));
    }

    /// Starts the webhook, and waits until it is ready.
    pub(super) async fn ready(self) -> Stand {
        let stand = self.start().await;
        stand.until_ready().await;
        stand
    }

    /// What a webhook says that must not start.
    pub(super) async fn refused(self) -> String {
        let mut process = Process::spawn(&self.folder, &self.environment);
        let end = Instant::now() + PATIENCE;
        while process.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < end, "the webhook has not ended");
            sleep(POLL).await;
        }
        self.folder.read("log")
    }
}

/// A running webhook and its surroundings.
pub(super) struct Stand {
    pub(super) cluster: FakeCluster,
    pub(super) registry: FakeRegistry,
    pub(super) folder: Folder,
    pub(super) authority: Authority,
    pub(super) client: reqwest::Client,
    process: Process,
}

impl Stand {
    /// `https://127.0.0.1:…` and a path.
    pub(super) fn url(&self, path: &str) -> String {
        format!("https://127.0.0.1:{}{path}", self.process.port)
    }

    /// The port of /mutate and /validate.
    pub(super) fn port(&self) -> u16 {
        self.process.port
    }

    /// An image in the registry, as pods name it.
    pub(super) fn image(&self, name: &str) -> String {
        format!("{}/{name}", self.registry.host())
    }

    /// What a path of the admin port says, and its status.
    pub(super) async fn admin(&self, path: &str) -> (u16, String) {
        let url = format!("http://127.0.0.1:{}{path}", self.process.admin_port);
        let response = self.client.get(url).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// What it has logged so far.
    pub(super) fn log(&self) -> String {
        self.folder.read("log")
    }

    pub(super) async fn until_ready(&self) {
        self.until("it is ready", async || self.admin("/readyz").await.0 == 200)
            .await;
    }

    /// Waits until something holds.
    pub(super) async fn until(&self, what: &str, holds: impl AsyncFn() -> bool) {
        let wait = async {
            while !holds().await {
                sleep(POLL).await;
            }
        };
        if timeout(PATIENCE, wait).await.is_err() {
            let (_, ready) = self.admin("/readyz").await;
            panic!("waited in vain until {what}\n{ready}\n{}", self.log());
        }
    }
}

struct Process {
    child: Child,
    port: u16,
    admin_port: u16,
}

impl Process {
    /// This very program, told to be the webhook.
    fn spawn(folder: &Folder, environment: &[(&'static str, String)]) -> Self {
        let (port, admin_port) = (free_port(), free_port());
        let log = fs::File::create(folder.0.join("log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_webhook-on-loopback"))
            .env_clear()
            .env("HOSTFIT_LISTEN", format!("127.0.0.1:{port}"))
            .env("HOSTFIT_ADMIN_LISTEN", format!("127.0.0.1:{admin_port}"))
            .env("HOSTFIT_TLS_DIR", folder.0.join("tls"))
            .env(
                "HOSTFIT_LOG",
                "info,hostfit_webhook=debug,hostfit_registry=debug",
            )
            .env("KUBECONFIG", folder.0.join("kubeconfig"))
            .envs(environment.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self {
            child,
            port,
            admin_port,
        }
    }

    /// The process when it listens on both ports; nothing if it could not, since somebody else got one of them.
    async fn listening(mut self, client: &reqwest::Client) -> Option<Self> {
        let urls = [
            format!("http://127.0.0.1:{}/livez", self.admin_port),
            format!("https://127.0.0.1:{}/", self.port),
        ];
        let end = Instant::now() + PATIENCE;
        for url in urls {
            while client.get(&url).send().await.is_err() {
                if self.child.try_wait().unwrap().is_some() {
                    return None;
                }
                assert!(Instant::now() < end, "nobody listens on {url}");
                sleep(POLL).await;
            }
        }
        Some(self)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that nobody listens on, and that this program has not given out before.
fn free_port() -> u16 {
    static GIVEN: LazyLock<Mutex<HashSet<u16>>> = LazyLock::new(Mutex::default);
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        if GIVEN.lock().unwrap().insert(port) {
            return port;
        }
    }
}

/// A folder for the files of one test.
pub(super) struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("hostfit-admission-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(super) fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    /// Writes a file in one step, so that nobody reads half of it.
    pub(super) fn write(&self, name: &str, text: &str) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let half = path.with_extension("half");
        fs::write(&half, text).unwrap();
        fs::rename(&half, &path).unwrap();
    }

    fn read(&self, name: &str) -> String {
        let bytes = fs::read(self.0.join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The facts of a host of RHEL 9, in support until 2032.
pub(super) fn rhel9() -> Value {
    json!({
        "os": "rhel", "osVersion": "9.4", "kernel": "5.14.0-427.13.1.el9_4.x86_64",
        "architecture": "amd64", "cpuLevel": 2,
    })
}

/// An object with a spec.
pub(super) fn named(name: &str, spec: Value) -> Value {
    json!({"metadata": {"name": name}, "spec": spec})
}

/// A profile as the operator observes it.
pub(super) fn profile(name: &str, facts: Value) -> Value {
    json!({"metadata": {"name": name}, "spec": {}, "status": {"facts": facts, "nodes": 1}})
}

/// A node that tells these facts: by its status, and by the labels of node-feature-discovery.
pub(super) fn node(name: &str, facts: &Value) -> Value {
    let text = |fact: &str| facts[fact].as_str().unwrap_or_default();
    let mut labels = json!({"kubernetes.io/hostname": name});
    for (fact, label) in [
        ("architecture", "kubernetes.io/arch"),
        ("os", "feature.node.kubernetes.io/system-os_release.ID"),
        (
            "osVersion",
            "feature.node.kubernetes.io/system-os_release.VERSION_ID",
        ),
    ] {
        if let Some(value) = facts[fact].as_str() {
            labels[label] = json!(value);
        }
    }
    for level in 1..=facts["cpuLevel"].as_u64().unwrap_or_default() {
        labels[format!("feature.node.kubernetes.io/cpu-cpuid.X86_64_V{level}")] = json!("true");
    }
    let info = json!({
        "architecture": text("architecture"), "kernelVersion": text("kernel"), "operatingSystem": "linux",
    });
    json!({"metadata": {"name": name, "labels": labels}, "spec": {}, "status": {"nodeInfo": info}})
}

pub(super) fn namespace(name: &str, labels: &Value) -> Value {
    json!({"metadata": {"name": name, "labels": labels}})
}
