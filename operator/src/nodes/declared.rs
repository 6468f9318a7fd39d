//! What people declare of a class of hosts → the status of its HostProfile, and what to tell them of it.

use std::sync::Arc;

use hostfit_crds::classes;
use hostfit_crds::compat_report::VerdictCounts;
use hostfit_crds::condition::{Status, Wanted};
use hostfit_crds::host_profile::{HostProfileStatus, Origin};
use hostfit_crds::{HostProfile, names};
use hostfit_engine::host;
use kube::ResourceExt;
use kube::runtime::events::{Event, EventType};

use super::summary;
use crate::reports::note;

/// What the operator knows of a profile that people made, beside the classes of the nodes.
pub(super) fn status(
    profile: &Arc<HostProfile>,
    counts: Option<VerdictCounts>,
    plan: &classes::Plan,
) -> HostProfileStatus {
    let stated = profile.spec.facts.as_ref();
    // What stood in the status before was never observed of a node.
    let declared = stated.and_then(|_| profile.facts());
    let (facts, reason, message) = match declared.map(host::HostFacts::try_from) {
        None => (
            None,
            "NoFacts",
            "declare spec.facts: without facts nothing can be judged".to_owned(),
        ),
        Some(Ok(facts)) => (
            Some(facts),
            "Declared",
            "facts are declared in spec.facts".to_owned(),
        ),
        Some(Err(error)) => (None, "UnreadableFacts", error.to_string()),
    };
    let ready = Wanted {
        type_: names::READY,
        status: facts.is_some().into(),
        reason,
        message,
    };
    let conditions: Vec<_> = [ready].into_iter().chain(shared(profile, plan)).collect();
    let facts = facts.unwrap_or_default();
    HostProfileStatus {
        origin: Some(Origin::Declared),
        observed_generation: profile.metadata.generation,
        ..summary(
            Some(profile),
            &facts,
            declared.cloned(),
            counts,
            &conditions,
        )
    }
}

/// That nodes would have the name of the profile, as when somebody writes facts into an observed one: they have another
/// one then, and what names the profile does not speak of them any more.
fn shared(profile: &HostProfile, plan: &classes::Plan) -> Option<Wanted<'static>> {
    let name = profile.name_any();
    let is_instead = |other: &str| {
        let number = other
            .strip_prefix(&name)
            .and_then(|it| it.strip_prefix('-'));
        number.is_some_and(|it| it.parse::<u32>().is_ok())
    };
    let (other, class) = plan.profiles.iter().find(|(it, _)| is_instead(it))?;
    let nodes = match class.nodes {
        1 => "1 node of this cluster".to_owned(),
        count => format!("{count} nodes of this cluster"),
    };
    Some(Wanted {
        type_: names::NAME_UNIQUE,
        status: Status::False,
        reason: "NodesHaveIt",
        message: format!(
            "{nodes} would have the name {name}, too, and have HostProfile {other} instead: rows and plans that name {name} \
             do not speak of them. To correct what is known of nodes, use spec.overrides of their NodeProfiles. \
             kubectl delete hostprofile {name} {other} gives them the name back"
        ),
    })
}

/// One Event when nodes lose their name to a declared profile.
pub(super) fn notice(
    before: Option<&HostProfileStatus>,
    after: &HostProfileStatus,
) -> Option<Event> {
    fn lost(status: &HostProfileStatus) -> Option<&str> {
        let mut conditions = status.conditions.iter();
        let lost = conditions.find(|it| it.type_ == names::NAME_UNIQUE)?;
        Some(&lost.message)
    }
    let text = lost(after).filter(|_| before.and_then(lost).is_none())?;
    Some(warning("NameTaken", "Name", text))
}

/// What is told of a profile that goes as soon as it came: a copy of an observed one, whose status the API server left out.
pub(super) fn copied(profile: &HostProfile) -> Option<Event> {
    let status = profile.status.as_ref();
    let is_copy = status.is_none_or(|status| status.origin.is_none());
    let text = format!(
        "deleted: no node is of this class, and it declares no facts. Those of an observed profile stand in its status, which \
         is not applied: write them in spec.facts, without the label {}",
        names::MANAGED_BY
    );
    is_copy.then(|| warning("NothingDeclared", "Delete", &text))
}

fn warning(reason: &str, action: &str, text: &str) -> Event {
    Event {
        type_: EventType::Warning,
        reason: reason.to_owned(),
        note: Some(note(text, "")),
        action: action.to_owned(),
        secondary: None,
    }
}

#[cfg(test)]
mod tests {
    use hostfit_crds::seen::Seen;
    use k8s_openapi::api::core::v1::Node;
    use serde_json::{Value, json};

    use super::*;

    fn node(name: &str) -> Arc<Node> {
        let info = json!({
            "osImage": "Debian GNU/Linux 12 (bookworm)", "kernelVersion": "6.1.0-21-amd64", "architecture": "amd64",
            "containerRuntimeVersion": "containerd://1.7.24", "kubeletVersion": "v1.34.4",
            "machineID": "", "systemUUID": "", "bootID": "", "kubeProxyVersion": "", "operatingSystem": "linux",
        });
        let node = json!({"metadata": {"name": name}, "status": {"nodeInfo": info}});
        Arc::new(serde_json::from_value(node).unwrap())
    }

    fn profile(spec: Value) -> Arc<HostProfile> {
        let object = json!({
            "apiVersion": "hostfit.dev/v1alpha1", "kind": "HostProfile", "spec": spec,
            "metadata": {"name": "debian12-k61", "labels": {names::MANAGED_BY: names::HOSTFIT}},
        });
        Arc::new(serde_json::from_value(object).unwrap())
    }

    /// What the nodes are called beside a profile.
    fn classes(profile: &Arc<HostProfile>) -> classes::Plan {
        Seen::new(
            vec![node("a"), node("b")],
            vec![profile.clone()],
            Vec::new(),
            &Default::default(),
            hostfit_crds::node::Agents::Off,
        )
        .plan
    }

    #[test]
    fn who_writes_facts_into_an_observed_profile_is_told_what_became_of_its_nodes() {
        let declared =
            profile(json!({"facts": {"os": "debian", "osVersion": "12", "kernel": "6.1"}}));
        let plan = classes(&declared);
        let names: Vec<_> = plan.profiles.keys().map(String::as_str).collect();
        assert_eq!(names, ["debian12-k61-2"]);
        let after = status(&declared, None, &plan);
        let said: Vec<_> = after
            .conditions
            .iter()
            .map(|it| format!("{} {} {}", it.type_, it.status, it.reason))
            .collect();
        assert_eq!(
            said,
            ["Ready True Declared", "NameUnique False NodesHaveIt"]
        );
        let message = "2 nodes of this cluster would have the name debian12-k61, too, and have HostProfile debian12-k61-2 instead";
        assert!(after.conditions[1].message.starts_with(message));
        let told = notice(None, &after).and_then(|it| it.note);
        assert_eq!(told.as_ref(), Some(&after.conditions[1].message));
        assert_eq!(notice(Some(&after), &after).map(|it| it.reason), None);
    }

    #[test]
    fn a_name_that_no_node_would_have_is_nobodys_loss() {
        let mut other = (*profile(json!({"facts": {"os": "debian"}}))).clone();
        other.metadata.name = Some("debian12".to_owned());
        let other = Arc::new(other);
        let after = status(&other, None, &classes(&other));
        assert_eq!(after.conditions.len(), 1, "{:?}", after.conditions);
        assert!(notice(None, &after).is_none());
    }

    #[test]
    fn what_kubectl_prints_of_an_observed_profile_changes_nothing_where_it_is_applied() {
        // As the operator makes it, and as the API server takes it from kubectl: a status is not applied.
        let applied = profile(serde_json::to_value(&profile(json!({})).spec).unwrap());
        assert!(applied.is_ours());
        let plan = classes(&applied);
        assert_eq!(plan.profiles.keys().collect::<Vec<_>>(), ["debian12-k61"]);
        // Under a name that no node has, it is a copy that declares nothing.
        assert!(copied(&applied).is_some());
        let mut observed = (*applied).clone();
        observed.status = Some(HostProfileStatus {
            origin: Some(Origin::Observed),
            ..HostProfileStatus::default()
        });
        assert!(copied(&observed).is_none());
    }
}
