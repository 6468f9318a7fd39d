//! Controller: Node → HostProfile, and the labels by which people select nodes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hostfit_crds::classes;
use hostfit_crds::compat_report::VerdictCounts;
use hostfit_crds::condition::{self, Status, Wanted};
use hostfit_crds::host_profile::{HostProfileStatus, Origin};
use hostfit_crds::seen::Seen;
use hostfit_crds::{HostFacts, HostProfile, NodeProfile, NodeProfileStatus, names};
use hostfit_engine::host;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{Resource, ResourceExt};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::apply::{Writer, Written};
use crate::world::World;

mod declared;
mod profiles;

/// Between two looks: changes that come together are taken together.
const DEBOUNCE: Duration = Duration::from_millis(300);
/// After a write that failed; longer each time.
const RETRY: Duration = Duration::from_secs(3);
/// Look again even if nothing seems to have changed.
const IDLE: Duration = Duration::from_secs(600);

/// Objects that could not be written, and what the API server said of the first.
struct Failed {
    count: usize,
    first: kube::Error,
}

/// What the reports found on each host profile, for its status; nothing before all workloads were judged once.
pub(crate) type Counts = Option<BTreeMap<String, VerdictCounts>>;

/// Runs for ever, by the leader only. It may be dropped at any moment.
pub(crate) async fn run(
    world: World,
    writer: Writer,
    label_nodes: bool,
    mut counts: watch::Receiver<Counts>,
) {
    let mut changes = world.hosts_changed.subscribe();
    let (mut again, mut pause) = (Instant::now() + IDLE, RETRY);
    loop {
        tokio::select! {
            () = tokio::time::sleep_until(again) => {}
            () = changes.next() => {}
            changed = counts.changed() => if changed.is_err() { return },
        }
        tokio::time::sleep(DEBOUNCE).await;
        let now = counts.borrow_and_update().clone();
        match once(&world, &writer, label_nodes, &now).await {
            Ok(()) => (again, pause) = (Instant::now() + IDLE, RETRY),
            Err(failed) => {
                let Failed { count, first } = failed;
                warn!(count, %first, ?pause, "profiles or node labels not written; trying again");
                again = Instant::now() + pause;
                pause = (pause * 2).min(IDLE);
            }
        }
    }
}

/// What the cluster is to show of its nodes now; nothing before the watches have synced.
pub(crate) fn planned(world: &World) -> Option<Seen> {
    Some(Seen::new(
        world.nodes.state()?,
        world.profiles.state()?,
        world.node_profiles.state()?,
        &world.node_features.by_node()?,
        world.agents,
    ))
}

async fn once(
    world: &World,
    writer: &Writer,
    label_nodes: bool,
    counts: &Counts,
) -> Result<(), Failed> {
    let Some(Seen {
        plan,
        nodes,
        profiles,
        node_profiles,
        observed: known,
    }) = planned(world)
    else {
        return Ok(());
    };
    let mut failed: Option<Failed> = None;
    // Each on its own: one object that the API server refuses must not keep the others waiting.
    let mut keep = |what: &str, written: kube::Result<Written>| {
        let Err(error) = written else { return };
        debug!(what, %error, "not written");
        match &mut failed {
            Some(failed) => failed.count += 1,
            None => {
                failed = Some(Failed {
                    count: 1,
                    first: error,
                });
            }
        }
    };
    let by_name: BTreeMap<_, _> = profiles.iter().map(|p| (p.name_any(), p)).collect();
    for (name, wanted) in &plan.profiles {
        let current = by_name.get(name).copied();
        let written = observed(writer, name, wanted, current, of(counts, name)).await;
        keep(name, written);
    }
    // Nodes move to their profiles before old ones go, so that a node never belongs to nothing for long.
    let now = Time(jiff::Timestamp::now());
    for node in &nodes {
        let name = node.name_any();
        let Some(observed) = known.get(&name) else {
            continue;
        };
        let host_profile = plan.labels.get(&name);
        let host_profile = host_profile.and_then(|labels| labels.get(names::HOST_PROFILE));
        let current = node_profiles.get(&name).map(AsRef::as_ref);
        let status = profiles::status(observed, host_profile, current, &now);
        keep(&name, node_profile(writer, node, current, status).await);
    }
    for (name, profile) in &node_profiles {
        // What the node owns goes with it.
        if !known.contains_key(name) && profile.owner_references().is_empty() {
            let status = profiles::without_node(profile, &now);
            keep(name, write_node_status(writer, profile, status).await);
        }
    }
    if label_nodes {
        for node in &nodes {
            if let Some(wanted) = plan.labels.get(&node.name_any()) {
                keep(&node.name_any(), label(writer, node, wanted).await);
            }
        }
    }
    for profile in &profiles {
        let name = profile.name_any();
        let written = if !profile.is_ours() {
            let mut status = declared::status(profile, of(counts, &name), &plan);
            // Where nobody can land and nothing is replaced, there is nothing to count: zero would look like good news.
            if counts.as_ref().is_some_and(|it| !it.contains_key(&name)) {
                status.workloads = None;
            }
            let notice = declared::notice(profile.status.as_ref(), &status);
            let written = write_status(writer, &name, Some(profile), status).await;
            if let (Ok(Written::Done), Some(event)) = (&written, notice) {
                writer.event(&event, &profile.object_ref(&())).await;
            }
            written
        } else if plan.profiles.contains_key(&name) {
            Ok(Written::Done)
        } else {
            match declared::copied(profile) {
                None => info!(profile = name, "no node is of this class any more"),
                Some(event) => {
                    let why = event.note.as_deref();
                    warn!(profile = name, why, "a copy of an observed profile");
                    writer.event(&event, &profile.object_ref(&())).await;
                }
            }
            writer.delete_host_profile(profile).await
        };
        keep(&name, written);
    }
    failed.map_or(Ok(()), Err)
}

async fn observed(
    writer: &Writer,
    name: &str,
    wanted: &classes::Profile,
    current: Option<&Arc<HostProfile>>,
    counts: Option<VerdictCounts>,
) -> kube::Result<Written> {
    if current.is_none() {
        writer.host_profile(name).await?;
        info!(
            profile = name,
            nodes = wanted.nodes,
            "host profile observed"
        );
    }
    let status = observed_status(wanted, current, counts);
    write_status(writer, name, current, status).await
}

/// The profile of a node, and its status.
async fn node_profile(
    writer: &Writer,
    node: &Node,
    current: Option<&NodeProfile>,
    status: NodeProfileStatus,
) -> kube::Result<Written> {
    let uid = node.uid();
    let is_owned = current.is_some_and(|profile| {
        let mut owners = profile.owner_references().iter();
        owners.any(|owner| Some(&owner.uid) == uid.as_ref())
    });
    if !is_owned && writer.node_profile(node).await? == Written::Gone {
        return Ok(Written::Gone);
    }
    let missing = NodeProfile::new(&node.name_any(), Default::default());
    write_node_status(writer, current.unwrap_or(&missing), status).await
}

async fn write_node_status(
    writer: &Writer,
    current: &NodeProfile,
    status: NodeProfileStatus,
) -> kube::Result<Written> {
    if profiles::written(current) == status {
        return Ok(Written::Done);
    }
    let mut profile = NodeProfile::new(&current.name_any(), Default::default());
    profile.status = Some(status);
    writer.node_profile_status(&profile).await
}

/// Makes our labels what they are to be, whoever wrote them: a kubelet may label its own node.
async fn label(
    writer: &Writer,
    node: &Node,
    wanted: &BTreeMap<&'static str, String>,
) -> kube::Result<Written> {
    let (mut differ, mut foreign) = (false, Vec::new());
    for key in names::NODE_LABELS {
        match (node.labels().get(key), wanted.get(key)) {
            (current, Some(wanted)) => differ |= current != Some(wanted),
            (Some(_), None) => foreign.push(key),
            (None, None) => {}
        }
    }
    if differ {
        writer.node_labels(node, wanted).await?;
    }
    match foreign.is_empty() {
        true => Ok(Written::Done),
        false => writer.remove_node_labels(node, &foreign).await,
    }
}

fn of(counts: &Counts, profile: &str) -> Option<VerdictCounts> {
    let counts = counts.as_ref()?;
    Some(counts.get(profile).cloned().unwrap_or_default())
}

async fn write_status(
    writer: &Writer,
    name: &str,
    current: Option<&Arc<HostProfile>>,
    status: HostProfileStatus,
) -> kube::Result<Written> {
    if current.and_then(|current| current.status.as_ref()) == Some(&status) {
        return Ok(Written::Done);
    }
    let mut profile = HostProfile::new(name, Default::default());
    profile.status = Some(status);
    writer.host_profile_status(&profile).await
}

fn observed_status(
    wanted: &classes::Profile,
    current: Option<&Arc<HostProfile>>,
    counts: Option<VerdictCounts>,
) -> HostProfileStatus {
    let facts = HostFacts::from(&wanted.facts);
    let sources = wanted.sources.iter();
    let condition = Wanted {
        type_: names::READY,
        status: Status::True,
        reason: "Observed",
        message: "facts gathered from the nodes".to_owned(),
    };
    HostProfileStatus {
        origin: Some(Origin::Observed),
        nodes: i32::try_from(wanted.nodes).unwrap_or(i32::MAX),
        sources: sources
            .map(|(fact, source)| (fact.name().to_owned(), source.to_string()))
            .collect(),
        claimed: wanted
            .claimed
            .iter()
            .map(|fact| fact.name().to_owned())
            .collect(),
        ..summary(current, &wanted.facts, Some(facts), counts, &[condition])
    }
}

fn summary(
    current: Option<&Arc<HostProfile>>,
    facts: &host::HostFacts,
    wire: Option<HostFacts>,
    counts: Option<VerdictCounts>,
    wanted: &[Wanted<'_>],
) -> HostProfileStatus {
    let before = current.and_then(|current| current.status.as_ref());
    let conditions = before
        .map(|status| status.conditions.as_slice())
        .unwrap_or_default();
    let generation = current.and_then(|current| current.metadata.generation);
    let os = facts.os.as_ref().map(|os| os.to_string().replace(' ', "-"));
    HostProfileStatus {
        os,
        kernel: facts.kernel.as_ref().map(|kernel| kernel.series()),
        facts: wire,
        // What the leader before counted stays until this one has counted.
        workloads: counts.or_else(|| before.and_then(|before| before.workloads.clone())),
        conditions: condition::merge(
            conditions,
            wanted,
            generation,
            &Time(jiff::Timestamp::now()),
        ),
        ..HostProfileStatus::default()
    }
}
