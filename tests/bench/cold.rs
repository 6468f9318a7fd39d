//! An image that nobody has asked for, beside the two requests that it cannot do without.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use hostfit_engine::image::ImageRef;
use hostfit_registry::{Config, Credentials, Platforms, Registry};
use hostfit_tests::registry::{FakeRegistry, Image, digest};
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Client, StatusCode};

use crate::rows::{self, Goal, percentile};
use crate::world::image;

const REPOSITORY: &str = "bench/cold";
/// Images that only warm the connections.
const WARM_UP: usize = 20;
/// Images of one cell: the ratio is that of the medians of neighbours.
const ROUND: usize = 20;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Host and port of a docker-registry without TLS that may be pushed to; without it, the fake registry.
    #[arg(long)]
    registry: Option<String>,
    /// How many images.
    #[arg(long, default_value_t = 400)]
    images: usize,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let client = Client::builder().no_proxy().build()?;
    let images: Vec<Image> = (0..args.images + WARM_UP)
        .map(|number| image(REPOSITORY, &number.to_string(), ("ubi8", "8.10")))
        .collect();
    let (fake, host, name) = match args.registry {
        Some(host) => {
            push(&client, &host, &images).await?;
            (None, host, "docker-registry")
        }
        None => {
            let fake = FakeRegistry::start().await;
            for (number, image) in images.iter().enumerate() {
                fake.push(REPOSITORY, &number.to_string(), image);
            }
            let host = fake.host().to_owned();
            (Some(fake), host, "fake registry")
        }
    };
    let ours = Ours::new(&host)?;
    let mut pairs = Vec::new();
    for (number, image) in images.iter().enumerate() {
        // Each goes first half of the time.
        let (own, raw) = if number % 2 == 0 {
            let own = ours.ask(number).await?;
            (own, raw(&client, &host, number, image).await?)
        } else {
            let raw = raw(&client, &host, number, image).await?;
            (ours.ask(number).await?, raw)
        };
        if number >= WARM_UP {
            pairs.push((own, raw));
        }
    }
    drop(fake);
    for (what, percent) in [("median", 50), ("p99", 99)] {
        let of = |pairs: &[(f64, f64)], pick: fn(&(f64, f64)) -> f64| {
            let mut times: Vec<f64> = pairs.iter().map(pick).collect();
            times.sort_by(f64::total_cmp);
            percentile(&times, percent)
        };
        let cells = if percent == 50 {
            pairs.chunks(ROUND)
        } else {
            pairs.chunks(pairs.len())
        };
        let cells: Vec<_> = cells
            .map(|cell| (of(cell, |it| it.0), of(cell, |it| it.1)))
            .collect();
        let goal = if percent == 50 {
            Goal::AtMost(1.5)
        } else {
            Goal::None
        };
        rows::compared(&format!("cold image, {name}: {what}"), "ms", &cells, &goal);
    }
    Ok(())
}

/// The library as the webhook uses it.
struct Ours {
    registry: Registry,
    host: String,
    platforms: Platforms,
}

impl Ours {
    fn new(host: &str) -> anyhow::Result<Self> {
        let config = Config {
            plain_http: vec![host.to_owned()],
            allow_loopback: true,
            ..Config::default()
        };
        Ok(Self {
            registry: Registry::new(config)?,
            host: host.to_owned(),
            platforms: Platforms::of([("linux", "amd64")]),
        })
    }

    async fn ask(&self, number: usize) -> anyhow::Result<f64> {
        let image: ImageRef = format!("{}/{REPOSITORY}:{number}", self.host).parse()?;
        let began = Instant::now();
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        let facts = self
            .registry
            .facts(
                &image,
                &Credentials::none(),
                &self.platforms,
                None,
                deadline,
            )
            .await;
        let took = began.elapsed().as_secs_f64() * 1e3;
        ensure!(
            facts.value().is_some(),
            "image {number} was not read: {facts:?}"
        );
        Ok(took)
    }
}

/// Manifest and config by a client that checks and parses nothing.
async fn raw(client: &Client, host: &str, number: usize, image: &Image) -> anyhow::Result<f64> {
    let manifest = format!("http://{host}/v2/{REPOSITORY}/manifests/{number}");
    let config = format!(
        "http://{host}/v2/{REPOSITORY}/blobs/{}",
        digest(&image.config_bytes())
    );
    let began = Instant::now();
    for url in [manifest, config] {
        let answer = client
            .get(url)
            .header(ACCEPT, image.media_type())
            .send()
            .await?;
        answer.error_for_status()?.bytes().await?;
    }
    Ok(began.elapsed().as_secs_f64() * 1e3)
}

async fn push(client: &Client, host: &str, images: &[Image]) -> anyhow::Result<()> {
    // The manifests name one layer: docker-registry takes none whose layers it has not.
    let layer = images
        .first()
        .context("no images")?
        .diff_ids
        .concat()
        .into_bytes();
    push_blob(client, host, layer).await?;
    for (number, image) in images.iter().enumerate() {
        push_blob(client, host, image.config_bytes()).await?;
        let url = format!("http://{host}/v2/{REPOSITORY}/manifests/{number}");
        let put = client.put(url).header(CONTENT_TYPE, image.media_type());
        let answer = put.body(image.manifest_bytes()).send().await?;
        ensure!(
            answer.status() == StatusCode::CREATED,
            "manifest {number}: {}",
            answer.text().await?
        );
    }
    Ok(())
}

async fn push_blob(client: &Client, host: &str, bytes: Vec<u8>) -> anyhow::Result<()> {
    let start = client
        .post(format!("http://{host}/v2/{REPOSITORY}/blobs/uploads/"))
        .send()
        .await?;
    let location = start
        .headers()
        .get("location")
        .context("no place to upload to")?
        .to_str()?;
    let mut url = url::Url::parse(&format!("http://{host}"))?.join(location)?;
    url.query_pairs_mut().append_pair("digest", &digest(&bytes));
    let answer = client
        .put(url)
        .header(CONTENT_TYPE, "application/octet-stream")
        .body(bytes)
        .send()
        .await?;
    ensure!(
        answer.status() == StatusCode::CREATED,
        "blob: {}",
        answer.text().await?
    );
    Ok(())
}
