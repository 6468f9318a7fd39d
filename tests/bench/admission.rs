//! The webhook beside the floor.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
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
    let fits = Body::of(&world, ("ubi8", "8.10"))?;
    // Of a person: what a controller makes is warned of on its template.
    let warns = Body::of(&world, ("ubi7", "7.9"))?.without_owner();
    let first = fits.never_alike().write(&world.scratch.join("first"))?;
    let fits = fits.write(&world.scratch.join("fits"))?;
    let warns = warns.write(&world.scratch.join("warns"))?;
    bench.registry_requests(&world, &fits)?;
    // No number before it is known that what should be measured is measured.
    bench.check(&fits, "\"allowed\":true}", "Pass")?;
    bench.check(&warns, "HF501", "Warn")?;
    for route in ROUTES {
        bench.hit("hit", route, &fits)?;
    }
    for route in ROUTES {
        bench.hit("hit with findings", route, &warns)?;
    }
    bench.first(&first)
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
    fn registry_requests(&self, world: &World, body: &Path) -> anyhow::Result<()> {
        world.registry.take();
        for route in ROUTES {
            self.webhook
                .measure(route, body, MANY, Limit::Requests(PODS))?;
        }
        let asked = world.registry.take().len() as f64;
        let name = "1,000 equal pods of 2 images: registry requests";
        rows::counted(name, asked, "", &Goal::AtMost(4.0));
        Ok(())
    }

    /// Whether both routes say what they should.
    fn check(&self, body: &Path, answer: &str, verdict: &str) -> anyhow::Result<()> {
        let one = Limit::Requests(1);
        let validated = self.webhook.measure("/validate", body, 1, one)?.load.first;
        ensure!(
            validated.contains(answer),
            "{answer} was to be answered, not {validated}"
        );
        let mutated = self.webhook.measure("/mutate", body, 1, one)?.load.first;
        let review: Value = serde_json::from_str(&mutated)?;
        let patch = review.pointer("/response/patch").and_then(Value::as_str);
        let patch = STANDARD.decode(patch.context("there is no patch")?)?;
        let patch = String::from_utf8(patch)?;
        ensure!(
            patch.contains(verdict),
            "{verdict} was to be annotated, not {patch}"
        );
        Ok(())
    }

    fn hit(&self, what: &str, route: &str, body: &Path) -> anyhow::Result<()> {
        let name = format!("{route} {what}:");
        let many = self.rounds(route, body, MANY)?;
        let pairs = pick(&many, |it| it.rate);
        let goal = Goal::AtLeast(0.6);
        rows::compared(&format!("{name} {MANY} connections"), "/s", &pairs, &goal);
        let pairs = pick(&many, |it| it.cpu);
        rows::compared(
            &format!("{name} {MANY} connections, CPU"),
            "us",
            &pairs,
            &Goal::None,
        );
        self.alone(&name, route, body, &Goal::AtMost(1.5))
    }

    /// Known images in pods that were not judged before.
    fn first(&self, body: &Path) -> anyhow::Result<()> {
        let name = "/validate first evaluation:";
        let many = self.rounds("/validate", body, MANY)?;
        let pairs = pick(&many, |it| it.rate);
        rows::compared(
            &format!("{name} {MANY} connections"),
            "/s",
            &pairs,
            &Goal::None,
        );
        self.alone(name, "/validate", body, &Goal::None)
    }

    /// One connection.
    fn alone(&self, name: &str, route: &str, body: &Path, goal: &Goal) -> anyhow::Result<()> {
        let one = self.rounds(route, body, 1)?;
        let pairs = pick(&one, |it| it.p50);
        rows::compared(
            &format!("{name} 1 connection, median"),
            "ms",
            &pairs,
            &Goal::None,
        );
        // The last percent is whatever else runs on this machine, but for the quietest round of each.
        let quietest = |pairs: &[(f64, f64)]| {
            pairs
                .iter()
                .copied()
                .reduce(|one, other| (one.0.min(other.0), one.1.min(other.1)))
        };
        let pair: Vec<_> = quietest(&pick(&one, |it| it.p99)).into_iter().collect();
        rows::compared(
            &format!("{name} 1 connection, p99, quietest round"),
            "ms",
            &pair,
            goal,
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

fn pick(pairs: &[(Cell, Cell)], number: fn(&Cell) -> f64) -> Vec<(f64, f64)> {
    let both = |(ours, floor): &(Cell, Cell)| (number(ours), number(floor));
    pairs.iter().map(both).collect()
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
    fn never_alike(&self) -> Self {
        let mut own = self.0.clone();
        if let Some(name) = own.pointer_mut("/request/object/spec/containers/0/name") {
            *name = format!("web-{NUMBER}").into();
        }
        Self(own)
    }

    fn without_owner(mut self) -> Self {
        if let Some(Value::Object(metadata)) = self.0.pointer_mut("/request/object/metadata") {
            metadata.remove("ownerReferences");
        }
        self
    }

    fn write(&self, file: &Path) -> anyhow::Result<PathBuf> {
        std::fs::write(file, self.0.to_string())
            .with_context(|| format!("write {}", file.display()))?;
        Ok(file.to_owned())
    }
}
