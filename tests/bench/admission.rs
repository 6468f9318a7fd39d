//! The webhook beside the floor.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::Lab;
use crate::load::{Limit, NUMBER};
use crate::rows::{self, Goal};
use crate::server::Server;
use crate::world::World;

/// A review as an API server sends it: a pod of a Deployment, 2 containers.
const REVIEW: &str = include_str!("review.json");
const ROUTES: [&str; 2] = ["/mutate", "/validate"];
const MANY: usize = 16;
const PODS: u64 = 1000;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The webhook's binary.
    #[arg(long)]
    webhook: PathBuf,
    #[command(flatten)]
    lab: Lab,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let world = World::start(&args.lab).await?;
    let webhook = Server::webhook(&args.webhook, &world).await?;
    let floor = Server::floor(&world).await?;
    let bench = Bench {
        webhook,
        floor,
        rounds: args.lab.rounds,
        seconds: args.lab.seconds,
    };
    bench.registry_requests(&world)?;
    for (pod, ubi, code) in [
        ("", ("ubi8", "8.10"), None),
        (", 2 findings", ("ubi7", "7.9"), Some("HF501")),
    ] {
        let body = Body::of(&world, ubi)?;
        let file = body.write(&world.scratch.join("review"))?;
        bench.warm_up(&file, code)?;
        for route in ROUTES {
            bench.hit(&format!("hit{pod}"), route, &file)?;
        }
        if code.is_none() {
            let first = body
                .never_alike()
                .write(&world.scratch.join("review-first"))?;
            bench.first(&first)?;
        }
    }
    Ok(())
}

struct Bench {
    webhook: Server,
    floor: Server,
    rounds: usize,
    seconds: f64,
}

/// Of one half of a round.
#[derive(Clone, Copy)]
struct Cell {
    rate: f64,
    p50: f64,
    p99: f64,
    cpu: f64,
}

impl Bench {
    /// Equal pods that come at once, before the webhook has seen any of their images.
    fn registry_requests(&self, world: &World) -> anyhow::Result<()> {
        let body = Body::of(world, ("ubi8", "8.10"))?.write(&world.scratch.join("review"))?;
        world.registry.take();
        for route in ROUTES {
            self.webhook
                .measure(route, &body, MANY, Limit::Requests(PODS))?;
        }
        let asked = world.registry.take();
        eprintln!("asked of the registry: {}", asked.join(", "));
        rows::counted(
            "1,000 equal pods of 2 images: registry requests",
            asked.len() as f64,
            "",
            &Goal::AtMost(4.0),
        );
        Ok(())
    }

    /// Both routes answer what they should, and the images are known.
    fn warm_up(&self, body: &Path, code: Option<&str>) -> anyhow::Result<()> {
        self.webhook
            .measure("/mutate", body, 1, Limit::Requests(1))?;
        let answer = self
            .webhook
            .measure("/validate", body, 1, Limit::Requests(1))?
            .load
            .first;
        let expected = match code {
            Some(code) => answer.contains(code),
            None => answer.contains("\"allowed\":true") && !answer.contains("warnings"),
        };
        ensure!(expected, "this is not what should be measured: {answer}");
        self.floor
            .measure("/validate", body, 1, Limit::Requests(1))?;
        Ok(())
    }

    fn hit(&self, what: &str, route: &str, body: &Path) -> anyhow::Result<()> {
        let many = self.rounds(route, body, MANY)?;
        let one = self.rounds(route, body, 1)?;
        let row = |what: &str, unit: &str, pairs: &[(Cell, Cell)], pick: fn(&Cell) -> f64, goal| {
            let pairs: Vec<_> = pairs
                .iter()
                .map(|(ours, floor)| (pick(ours), pick(floor)))
                .collect();
            rows::compared(what, unit, &pairs, &goal);
        };
        row(
            &format!("{route} {what}: {MANY} connections"),
            "/s",
            &many,
            |it| it.rate,
            Goal::AtLeast(0.6),
        );
        row(
            &format!("{route} {what}: {MANY} connections, CPU"),
            "us",
            &many,
            |it| it.cpu,
            Goal::None,
        );
        row(
            &format!("{route} {what}: 1 connection"),
            "/s",
            &one,
            |it| it.rate,
            Goal::None,
        );
        row(
            &format!("{route} {what}: 1 connection, median"),
            "ms",
            &one,
            |it| it.p50,
            Goal::None,
        );
        row(
            &format!("{route} {what}: 1 connection, p99"),
            "ms",
            &one,
            |it| it.p99,
            Goal::AtMost(1.5),
        );
        Ok(())
    }

    /// Known images in pods that were not judged before.
    fn first(&self, body: &Path) -> anyhow::Result<()> {
        let many = self.rounds("/validate", body, MANY)?;
        let one = self.rounds("/validate", body, 1)?;
        let pick = |pairs: &[(Cell, Cell)], pick: fn(&Cell) -> f64| -> Vec<_> {
            pairs
                .iter()
                .map(|(ours, floor)| (pick(ours), pick(floor)))
                .collect()
        };
        let name = "/validate first evaluation:";
        rows::compared(
            &format!("{name} {MANY} connections"),
            "/s",
            &pick(&many, |it| it.rate),
            &Goal::None,
        );
        rows::compared(
            &format!("{name} 1 connection, median"),
            "ms",
            &pick(&one, |it| it.p50),
            &Goal::None,
        );
        rows::compared(
            &format!("{name} 1 connection, p99"),
            "ms",
            &pick(&one, |it| it.p99),
            &Goal::None,
        );
        Ok(())
    }

    /// Ours and the floor's, alternating; each goes first every other time.
    fn rounds(
        &self,
        route: &str,
        body: &Path,
        connections: usize,
    ) -> anyhow::Result<Vec<(Cell, Cell)>> {
        let limit = Limit::Seconds(self.seconds);
        let of = |server: &Server| -> anyhow::Result<Cell> {
            let measured = server.measure(route, body, connections, limit)?;
            Ok(Cell {
                rate: measured.load.rate,
                p50: measured.load.p50,
                p99: measured.load.p99,
                cpu: measured.cpu,
            })
        };
        let round = |number: usize| -> anyhow::Result<(Cell, Cell)> {
            if number.is_multiple_of(2) {
                let ours = of(&self.webhook)?;
                return Ok((ours, of(&self.floor)?));
            }
            let floor = of(&self.floor)?;
            Ok((of(&self.webhook)?, floor))
        };
        (0..self.rounds).map(round).collect()
    }
}

/// A review.
struct Body(Value);

impl Body {
    /// Of a pod with two images on the same base.
    fn of(world: &World, ubi: (&str, &str)) -> anyhow::Result<Self> {
        let (base, _) = ubi;
        let web = world.push(&format!("{base}/web"), "1", ubi);
        let proxy = world.push(&format!("{base}/proxy"), "1", ubi);
        let text = REVIEW
            .replace("IMAGE-WEB", &web)
            .replace("IMAGE-PROXY", &proxy);
        Ok(Self(serde_json::from_str(&text)?))
    }

    /// With a container of another name in each request.
    fn never_alike(mut self) -> Self {
        if let Some(name) = self.0.pointer_mut("/request/object/spec/containers/0/name") {
            *name = format!("web-{NUMBER}").into();
        }
        self
    }

    fn write(&self, file: &Path) -> anyhow::Result<PathBuf> {
        std::fs::write(file, self.0.to_string())
            .with_context(|| format!("write {}", file.display()))?;
        Ok(file.to_owned())
    }
}
