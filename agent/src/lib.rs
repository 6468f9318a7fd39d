//! The node agent: reads the facts of its node, and writes them into the node's NodeProfile when they change. It holds no
//! watch and serves nothing: it wakes, looks, and sleeps.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::Write as _;
use std::time::Duration;

use anyhow::Context;
use hostfit_crds::{HostFacts, names};
use hostfit_host::Machine;
use hostfit_process::{Shutdown, Tasks, client, log, tasks};
use serde_json::json;
use tracing::{debug, info, warn};

mod args;
mod publish;

pub use args::Args;

use publish::{Published, Publisher};

/// How soon to look again for a NodeProfile that the operator is about to make, or after an error; longer each time.
const RETRY: Duration = Duration::from_secs(5);

/// Runs the agent until a signal, or prints the facts.
///
/// # Errors
///
/// If a setting is wrong, or no cluster is configured.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let machine = Machine::mounted(&args.host_root);
    if args.print {
        let name = args.node_name.as_deref().unwrap_or("this-host");
        let document = document(name, &machine)?;
        return std::io::stdout()
            .write_all(document.as_bytes())
            .context("write to stdout");
    }
    log::init()?;
    log::install_crypto();
    let mut tasks = Tasks::new()?;
    let shutdown = tasks.shutdown();
    let node = args
        .node_name
        .context("set HOSTFIT_NODE_NAME to the name of the node")?;
    let client = client::connect(concat!("hostfit-agent/", env!("CARGO_PKG_VERSION"))).await?;
    let publisher = Publisher::new(client, node);
    tasks.spawn("facts", follow(machine, publisher, args.interval, shutdown));
    Ok(tasks.run(tasks::GRACE).await?)
}

/// The facts as the HostProfile that the command line reads as `file:PATH`.
fn document(name: &str, machine: &Machine) -> anyhow::Result<String> {
    let document = json!({
        "apiVersion": format!("{}/{}", names::GROUP, names::VERSION),
        "kind": "HostProfile",
        "metadata": {"name": name},
        "spec": {"facts": HostFacts::from(&machine.facts())},
    });
    serde_saphyr::to_string(&document).context("write the facts as YAML")
}

async fn follow(machine: Machine, publisher: Publisher, interval: Duration, shutdown: Shutdown) {
    let mut retry = RETRY;
    loop {
        let facts = machine.facts();
        let published = tokio::select! {
            () = shutdown.cancelled() => return,
            published = publisher.publish(&facts) => published,
        };
        let pause = match &published {
            Ok(Published::Written) => {
                info!("facts of this node have changed and are written");
                interval
            }
            Ok(Published::Same) => {
                debug!("nothing has changed");
                interval
            }
            Ok(Published::NoProfile) => {
                info!("this node has no NodeProfile yet: the operator makes it");
                retry
            }
            Err(error) => {
                let cause = std::error::Error::source(error).map(ToString::to_string);
                warn!(%error, cause, "facts of this node are not written");
                retry
            }
        };
        retry = match published {
            Ok(Published::Written | Published::Same) => RETRY,
            _ => (retry * 2).min(interval.max(RETRY)),
        };
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(spread(pause)) => {}
        }
    }
}

/// Up to a fifth longer, so that the agents of many nodes do not ask at one moment.
fn spread(pause: Duration) -> Duration {
    let random = RandomState::new().build_hasher().finish() % 1000;
    let share = u32::try_from(random).unwrap_or_default();
    pause + pause * share / 5000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_printed_document_is_one_that_the_command_line_reads() {
        let text = document("n1", &Machine::local()).unwrap();
        let profile: hostfit_crds::HostProfile = serde_saphyr::from_str(&text).unwrap();
        let facts = profile.facts().unwrap();
        assert_eq!(profile.metadata.name.as_deref(), Some("n1"));
        assert!(
            facts.kernel.is_some() && facts.page_size.is_some(),
            "{text}"
        );
        assert!(text.contains("kind: HostProfile"), "{text}");
    }

    #[test]
    fn pauses_are_spread_over_a_fifth() {
        for _ in 0..100 {
            let pause = spread(Duration::from_secs(300));
            assert!((300..=360).contains(&pause.as_secs()), "{pause:?}");
        }
    }
}
