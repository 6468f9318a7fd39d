//! What is known of one node → its NodeProfile.

use hostfit_crds::condition::{self, Status, Wanted};
use hostfit_crds::node::Observed;
use hostfit_crds::{HostFacts, NodeProfile, NodeProfileStatus, names};
use hostfit_engine::host;
use hostfit_engine::version::KernelVersion;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;

/// How many contradictions, and missing facts, one message holds.
const TOLD: usize = 6;

/// The status that the operator is to write: all but what the agent writes itself.
pub(crate) fn status(
    observed: &Observed,
    host_profile: Option<&String>,
    current: Option<&NodeProfile>,
    now: &Time,
) -> NodeProfileStatus {
    let facts = &observed.facts;
    let asked = facts.askable();
    let missing: Vec<_> = asked.iter().filter(|fact| !facts.knows(**fact)).collect();
    let conditions = [
        readable(observed, current),
        complete(&missing.iter().map(|fact| fact.name()).collect::<Vec<_>>()),
        agreeing(observed),
    ];
    let before = current.and_then(|current| current.status.as_ref());
    let sources = observed.sources.iter();
    let mut status = NodeProfileStatus {
        host_profile_name: host_profile.cloned(),
        known: Some(format!("{}/{}", asked.len() - missing.len(), asked.len())),
        os: facts.os.as_ref().map(|os| os.to_string().replace(' ', "-")),
        kernel: facts.kernel.as_ref().map(numbers),
        facts: Some(HostFacts::from(facts)),
        sources: sources
            .map(|(fact, source)| (fact.name().to_owned(), source.to_string()))
            .collect(),
        ..merged(&conditions, current, now)
    };
    let same = before.filter(|before| {
        before.facts == status.facts && before.host_profile_name == status.host_profile_name
    });
    let since = same.and_then(|before| before.last_change_time.clone());
    status.last_change_time = Some(since.unwrap_or_else(|| now.clone()));
    status
}

/// The status of a profile that people made for a node that there is not.
pub(crate) fn without_node(profile: &NodeProfile, now: &Time) -> NodeProfileStatus {
    let name = profile.name_any();
    let condition = Wanted {
        type_: names::READY,
        status: Status::False,
        reason: "NoNode",
        message: format!("there is no node {name}: a NodeProfile has the name of its node"),
    };
    merged(&[condition], Some(profile), now)
}

/// What the operator has written so far.
pub(crate) fn written(profile: &NodeProfile) -> NodeProfileStatus {
    NodeProfileStatus {
        agent: None,
        ..profile.status.clone().unwrap_or_default()
    }
}

fn merged(wanted: &[Wanted<'_>], current: Option<&NodeProfile>, now: &Time) -> NodeProfileStatus {
    let before = current.and_then(|current| current.status.as_ref());
    let conditions = before
        .map(|status| status.conditions.as_slice())
        .unwrap_or_default();
    let generation = current.and_then(|current| current.metadata.generation);
    NodeProfileStatus {
        observed_generation: generation,
        conditions: condition::merge(conditions, wanted, generation, now),
        ..NodeProfileStatus::default()
    }
}

fn readable(observed: &Observed, current: Option<&NodeProfile>) -> Wanted<'static> {
    let overrides = current.map(|profile| profile.overrides(&observed.facts));
    let (status, reason, message) = match overrides {
        Some(Err(error)) => (
            false,
            "UnreadableOverride",
            format!("spec.overrides: {error}; until it is corrected none of them counts"),
        ),
        Some(Ok(facts)) if facts != host::HostFacts::default() => (
            true,
            "Overridden",
            "what spec.overrides says wins over what is read".to_owned(),
        ),
        Some(Ok(_)) | None => (true, "Observed", "facts gathered of the node".to_owned()),
    };
    Wanted {
        type_: names::READY,
        status: Status::from(status),
        reason,
        message,
    }
}

fn complete(missing: &[&str]) -> Wanted<'static> {
    let message = match missing.is_empty() {
        true => "every fact that rules may ask for is known".to_owned(),
        false => format!(
            "not known: {}; run the node agent (agent.enabled=true) or state them in spec.overrides",
            listed(missing, ", ")
        ),
    };
    Wanted {
        type_: names::FACTS_COMPLETE,
        status: missing.is_empty().into(),
        reason: if missing.is_empty() {
            "Complete"
        } else {
            "FactsMissing"
        },
        message,
    }
}

fn agreeing(observed: &Observed) -> Wanted<'static> {
    let told: Vec<_> = observed
        .contradictions
        .iter()
        .map(ToString::to_string)
        .collect();
    let agree = told.is_empty();
    Wanted {
        type_: names::FACTS_AGREE,
        status: agree.into(),
        reason: if agree { "Agree" } else { "SourcesDiffer" },
        message: match agree {
            true => "no two sources differ".to_owned(),
            false => format!(
                "{}; if the first is wrong, correct it in spec.overrides",
                listed(&told, "; ")
            ),
        },
    }
}

fn listed<T: AsRef<str>>(words: &[T], between: &str) -> String {
    let shown: Vec<_> = words.iter().take(TOLD).map(AsRef::as_ref).collect();
    let more = words.len().saturating_sub(TOLD);
    match more {
        0 => shown.join(between),
        more => format!("{} and {more} more", shown.join(between)),
    }
}

/// `5.15.0-151-generic` is 5.15.0-151 in a table.
fn numbers(kernel: &KernelVersion) -> String {
    let part =
        |part: &&str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit() || c == '.');
    let parts = kernel.release().split('-').take(2).take_while(part);
    let numbers = parts.collect::<Vec<_>>().join("-");
    let short: String = numbers.chars().take(32).collect();
    if short.is_empty() {
        kernel.series()
    } else {
        short
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hostfit_crds::node::{Agents, observe};
    use serde_json::{Value, json};

    fn time(seconds: i64) -> Time {
        Time(jiff::Timestamp::from_second(seconds).unwrap())
    }

    fn observed(profile: Option<&NodeProfile>) -> Observed {
        let node = json!({"metadata": {"name": "n"}, "status": {"nodeInfo": {
            "architecture": "amd64", "bootID": "", "containerRuntimeVersion": "containerd://2.1.4",
            "kernelVersion": "6.8.0-84-generic", "kubeProxyVersion": "", "kubeletVersion": "v1.34.4",
            "machineID": "", "operatingSystem": "linux", "osImage": "Ubuntu 24.04.3 LTS", "systemUUID": "",
        }}});
        observe(
            &serde_json::from_value(node).unwrap(),
            profile,
            &[],
            Agents::Believed,
        )
    }

    fn profile(spec: Value, status: Value) -> NodeProfile {
        serde_json::from_value(json!({
            "apiVersion": "hostfit.dev/v1alpha1", "kind": "NodeProfile",
            "metadata": {"name": "n", "generation": 3}, "spec": spec, "status": status,
        }))
        .unwrap()
    }

    fn told(status: &NodeProfileStatus, type_: &str) -> String {
        let condition = status
            .conditions
            .iter()
            .find(|it| it.type_ == type_)
            .unwrap();
        format!(
            "{} {}: {}",
            condition.status, condition.reason, condition.message
        )
    }

    #[test]
    fn a_profile_tells_what_is_known_of_its_node() {
        let name = "ubuntu2404-k68".to_owned();
        let status = status(&observed(None), Some(&name), None, &time(7));
        assert_eq!(status.os.as_deref(), Some("ubuntu-24.04"));
        assert_eq!(status.kernel.as_deref(), Some("6.8.0-84"));
        assert_eq!(status.known.as_deref(), Some("6/20"));
        assert_eq!(status.host_profile_name.as_deref(), Some("ubuntu2404-k68"));
        assert_eq!(status.sources["kernel"], "NodeStatus");
        assert_eq!(status.last_change_time, Some(time(7)));
        assert_eq!(
            told(&status, names::FACTS_COMPLETE),
            "False FactsMissing: not known: cpuLevel, cpuFeatures, cgroup, selinux, vsyscall, apparmor and 8 more; \
             run the node agent (agent.enabled=true) or state them in spec.overrides"
        );
        assert!(told(&status, names::FACTS_AGREE).starts_with("True"));
    }

    #[test]
    fn writing_twice_changes_nothing_and_leaves_the_agent_its_own() {
        let agent = json!({"agent": {"version": "1", "facts": {"kernel": "6.9.0"}}});
        let mut profile = profile(json!({"overrides": {"cgroup": 2}}), agent);
        let first = status(&observed(Some(&profile)), None, Some(&profile), &time(7));
        assert_eq!(first.agent, None);
        assert_eq!(first.observed_generation, Some(3));
        assert_eq!(
            told(&first, names::FACTS_AGREE),
            "False SourcesDiffer: kernel is 6.8.0-84-generic (NodeStatus), not 6.9.0 (Agent); \
             if the first is wrong, correct it in spec.overrides"
        );
        let agent = profile.status.take().and_then(|status| status.agent);
        profile.status = Some(NodeProfileStatus {
            agent,
            ..first.clone()
        });
        assert_eq!(written(&profile), first);
        let again = status(&observed(Some(&profile)), None, Some(&profile), &time(9));
        assert_eq!(again, first);
        let moved = status(
            &observed(Some(&profile)),
            Some(&"other".to_owned()),
            Some(&profile),
            &time(9),
        );
        assert_eq!(moved.last_change_time, Some(time(9)));
        assert!(told(&again, names::READY).starts_with("True Overridden"));
    }

    #[test]
    fn what_people_wrote_wrongly_is_said() {
        let wrong = profile(json!({"overrides": {"kernel": "new"}}), json!({}));
        let status = status(&observed(Some(&wrong)), None, Some(&wrong), &time(7));
        assert_eq!(
            told(&status, names::READY),
            "False UnreadableOverride: spec.overrides: facts.kernel is \"new\", which is not a kernel that can be \
             compared; until it is corrected none of them counts"
        );
        let lost = without_node(&wrong, &time(7));
        assert_eq!(
            told(&lost, names::READY),
            "False NoNode: there is no node n: a NodeProfile has the name of its node"
        );
    }

    #[test]
    fn kernels_are_short_in_tables() {
        let short = |release: &str| numbers(&release.parse().unwrap());
        assert_eq!(short("5.10.245-1.amzn2.x86_64"), "5.10.245");
        assert_eq!(short("5.15.0-151-generic"), "5.15.0-151");
        assert_eq!(short("6.6.28+rpt-rpi-2712"), "6.6");
    }
}
