//! A client that keeps connections busy: the next request leaves when the last answer is there.

use std::net::ToSocketAddrs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::rows::percentile;

/// Stands in a body for a number of the same width that no other request has.
pub(crate) const NUMBER: &str = "@@@@@@@@";
/// Not counted: connections open, caches fill.
const WARM_UP: Duration = Duration::from_millis(200);

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where to: https only.
    #[arg(long)]
    url: url::Url,
    #[arg(long)]
    connections: usize,
    /// How long.
    #[arg(
        long,
        conflicts_with = "requests",
        required_unless_present = "requests"
    )]
    seconds: Option<f64>,
    /// How many, all connections together. There is no warm-up.
    #[arg(long)]
    requests: Option<u64>,
    /// PEM of the authority that the server's certificate comes from.
    #[arg(long)]
    ca: PathBuf,
    /// What is sent, with @@@@@@@@ for the request's number.
    #[arg(long)]
    body: PathBuf,
    /// File with a bearer token.
    #[arg(long)]
    token: Option<PathBuf>,
}

/// When to stop.
#[derive(Clone, Copy)]
pub(crate) enum Limit {
    Seconds(f64),
    Requests(u64),
}

impl Limit {
    pub(crate) fn to_flag(self) -> String {
        match self {
            Self::Seconds(seconds) => format!("--seconds={seconds}"),
            Self::Requests(requests) => format!("--requests={requests}"),
        }
    }
}

/// What came of it.
#[derive(Serialize, Deserialize)]
pub(crate) struct Load {
    /// All requests, those of the warm-up too.
    pub(crate) sent: u64,
    /// Answers that were not 2xx.
    pub(crate) errors: u64,
    /// Requests a second.
    pub(crate) rate: f64,
    /// Milliseconds.
    pub(crate) p50: f64,
    /// Milliseconds.
    pub(crate) p99: f64,
    /// Body of the first answer, or of the first bad one.
    pub(crate) first: String,
}

struct Plan {
    url: url::Url,
    host: String,
    authorization: Option<String>,
    body: String,
    tls: TlsConnector,
    number: AtomicU64,
    requests: u64,
    from: Instant,
    until: Instant,
    bad: Mutex<Option<String>>,
    first: Mutex<Option<String>>,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let host = args
        .url
        .host_str()
        .context("the URL has no host")?
        .to_owned();
    let token = args
        .token
        .as_deref()
        .map(std::fs::read_to_string)
        .transpose()?;
    let warm_up = if args.requests.is_some() {
        Duration::ZERO
    } else {
        WARM_UP
    };
    let from = Instant::now() + warm_up;
    // A limit in requests ends it before.
    let seconds = args.seconds.unwrap_or(600.0);
    let plan = Arc::new(Plan {
        body: std::fs::read_to_string(&args.body)?.trim_end().to_owned(),
        authorization: token.map(|token| format!("Bearer {}", token.trim())),
        tls: connector(&args.ca)?,
        url: args.url,
        host,
        number: AtomicU64::new(0),
        requests: args.requests.unwrap_or(u64::MAX),
        from,
        until: from + Duration::from_secs_f64(seconds),
        bad: Mutex::default(),
        first: Mutex::default(),
    });
    let connections: Vec<_> = (0..args.connections)
        .map(|_| tokio::spawn(connection(Arc::clone(&plan))))
        .collect();
    let (mut times, mut errors) = (Vec::new(), 0);
    for connection in connections {
        let (own, bad) = connection.await??;
        times.extend(own);
        errors += bad;
    }
    let took = plan.from.elapsed().as_secs_f64();
    times.sort_by(f64::total_cmp);
    let text =
        |text: &Mutex<Option<String>>| text.lock().unwrap_or_else(PoisonError::into_inner).take();
    let load = Load {
        sent: plan.number.load(Ordering::Relaxed).min(plan.requests),
        errors,
        rate: times.len() as f64 / took,
        p50: percentile(&times, 50),
        p99: percentile(&times, 99),
        first: text(&plan.bad)
            .or_else(|| text(&plan.first))
            .unwrap_or_default(),
    };
    println!("{}", serde_json::to_string(&load)?);
    Ok(())
}

/// Times in milliseconds, and how many answers were bad.
async fn connection(plan: Arc<Plan>) -> anyhow::Result<(Vec<f64>, u64)> {
    let mut sender = connect(&plan).await?;
    let (mut times, mut bad) = (Vec::with_capacity(1 << 16), 0);
    while Instant::now() < plan.until {
        let number = plan.number.fetch_add(1, Ordering::Relaxed);
        if number >= plan.requests {
            break;
        }
        let request = plan.request(number)?;
        let began = Instant::now();
        sender.ready().await?;
        let answer = sender.send_request(request).await?;
        let is_good = answer.status().is_success();
        let body = answer.into_body().collect().await?.to_bytes();
        if began >= plan.from {
            times.push(began.elapsed().as_secs_f64() * 1e3);
        }
        if number == 0 || !is_good {
            let place = if is_good { &plan.first } else { &plan.bad };
            let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
            place.get_or_insert_with(|| String::from_utf8_lossy(&body).into_owned());
        }
        bad += u64::from(!is_good);
    }
    Ok((times, bad))
}

async fn connect(plan: &Plan) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let port = plan.url.port_or_known_default().unwrap_or(443);
    let address = (plan.host.as_str(), port).to_socket_addrs()?.next();
    let stream = TcpStream::connect(address.context("no such host")?).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from(plan.host.clone())?;
    let stream = plan.tls.connect(name, stream).await?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

impl Plan {
    fn request(&self, number: u64) -> anyhow::Result<Request<Full<Bytes>>> {
        let path = match self.url.query() {
            Some(query) => format!("{}?{query}", self.url.path()),
            None => self.url.path().to_owned(),
        };
        let body = self.body.replace(NUMBER, &format!("{number:08}"));
        let mut request = Request::post(path)
            .header(header::HOST, &self.host)
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        Ok(request.body(Full::new(Bytes::from(body)))?)
    }
}

fn connector(ca: &PathBuf) -> anyhow::Result<TlsConnector> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca)? {
        roots.add(certificate?)?;
    }
    if roots.is_empty() {
        bail!("{} holds no certificate", ca.display());
    }
    let config = rustls::ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
