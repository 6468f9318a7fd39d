//! The two servers that are compared, each a process of its own on the same CPU.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::load::{self, Load};
use crate::world::World;

const START: Duration = Duration::from_secs(20);

/// A server that is ended when it is dropped.
pub(crate) struct Server {
    process: Child,
    port: u16,
    ca: PathBuf,
}

/// What a client made of it.
pub(crate) struct Measured {
    pub(crate) load: Load,
    /// Of the server, in microseconds per request.
    pub(crate) cpu: f64,
}

impl Server {
    /// The webhook as it is shipped.
    pub(crate) async fn webhook(binary: &Path, world: &World) -> anyhow::Result<Self> {
        let (port, admin) = (free_port()?, free_port()?);
        let mut command = pinned(binary, 0);
        command
            .arg(format!("--listen=127.0.0.1:{port}"))
            .arg(format!("--admin-listen=127.0.0.1:{admin}"))
            .arg("--namespace=hostfit")
            .arg(format!("--registry-plain-http={}", world.registry_host))
            .arg("--tls-dir")
            .arg(&world.scratch)
            .env("KUBECONFIG", world.kubeconfig())
            .stdout(std::fs::File::create(world.scratch.join("webhook.log"))?);
        let server = Self::start(command, port, world)?;
        let ready = format!("http://127.0.0.1:{admin}/readyz");
        let client = reqwest::Client::builder().no_proxy().build()?;
        let began = Instant::now();
        loop {
            if let Ok(answer) = client.get(&ready).send().await
                && answer.status().is_success()
            {
                return Ok(server);
            }
            if began.elapsed() > START {
                bail!(
                    "the webhook was not ready in time: see {}",
                    world.scratch.join("webhook.log").display()
                );
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The floor beside it.
    pub(crate) async fn floor(world: &World) -> anyhow::Result<Self> {
        let port = free_port()?;
        let mut command = pinned(&std::env::current_exe()?, 0);
        command
            .arg("floor")
            .arg(format!("--listen=127.0.0.1:{port}"))
            .arg("--tls-dir")
            .arg(&world.scratch);
        let server = Self::start(command, port, world)?;
        let began = Instant::now();
        while tokio::net::TcpStream::connect(("127.0.0.1", port))
            .await
            .is_err()
        {
            if began.elapsed() > START {
                bail!("the floor was not ready in time");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(server)
    }

    fn start(mut command: Command, port: u16, world: &World) -> anyhow::Result<Self> {
        let process = command.stdin(Stdio::null()).spawn();
        Ok(Self {
            process: process.with_context(|| format!("start {command:?}"))?,
            port,
            ca: world.ca(),
        })
    }

    /// Lets a client of its own send `body` to `path`. `limit` is seconds or requests.
    pub(crate) fn measure(
        &self,
        path: &str,
        body: &Path,
        connections: usize,
        limit: load::Limit,
    ) -> anyhow::Result<Measured> {
        let mut command = pinned(&std::env::current_exe()?, 1);
        command
            .arg("load")
            .arg(format!("--url=https://127.0.0.1:{}{path}", self.port))
            .arg(format!("--connections={connections}"))
            .arg(limit.to_flag())
            .arg("--ca")
            .arg(&self.ca)
            .arg("--body")
            .arg(body);
        let before = self.cpu()?;
        let output = command.stderr(Stdio::inherit()).output()?;
        if !output.status.success() {
            bail!("{command:?} failed");
        }
        let load: Load = serde_json::from_slice(&output.stdout)?;
        if load.errors > 0 {
            bail!(
                "{path}: {} of {} requests failed; the first answer was {}",
                load.errors,
                load.sent,
                load.first
            );
        }
        let cpu = (self.cpu()? - before) * 1e6 / load.sent as f64;
        Ok(Measured { load, cpu })
    }

    /// Seconds of CPU so far.
    fn cpu(&self) -> anyhow::Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        // User and system time are fields 14 and 15, and the name before them may hold spaces.
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        let fields = after_name.split_whitespace().skip(11).take(2);
        let ticks: u64 = fields.filter_map(|field| field.parse::<u64>().ok()).sum();
        Ok(ticks as f64 / 100.0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Server and client each on a CPU of its own, if there are two.
fn pinned(program: &Path, cpu: usize) -> Command {
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.args(["-c", &cpu.to_string()]).arg(program);
    command
}

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
