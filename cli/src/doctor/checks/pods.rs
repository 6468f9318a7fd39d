//! Why pods of a Deployment do not become ready, in the words of whoever keeps them from it.

use hostfit_engine::finding::plain;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::ResourceExt as _;

/// Characters of what is told: a line or two of a terminal.
const MOST: usize = 240;
/// While these are the reason everything is on its way.
const STARTING: [&str; 2] = ["ContainerCreating", "PodInitializing"];

/// What is told of the first pod of this Deployment that tells anything; the youngest first, as older ones may be of what was there
/// before.
pub(super) fn trouble(deployment: &Deployment, pods: &[Pod]) -> Option<String> {
    let spec = deployment.spec.as_ref()?;
    let labels = spec.selector.match_labels.as_ref()?;
    let is_own = |pod: &&Pod| {
        pod.namespace() == deployment.namespace()
            && pod.metadata.deletion_timestamp.is_none()
            && labels
                .iter()
                .all(|(label, value)| pod.labels().get(label) == Some(value))
    };
    let mut own: Vec<_> = pods.iter().filter(is_own).collect();
    own.sort_by_key(|pod| std::cmp::Reverse(pod.creation_timestamp().map(|it| it.0)));
    let told = own.into_iter().find_map(of_pod)?;
    let words: Vec<_> = told.split_whitespace().collect();
    Some(plain(&words.join(" "), MOST))
}

fn of_pod(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let containers = status.container_statuses.iter().flatten();
    let containers = status
        .init_container_statuses
        .iter()
        .flatten()
        .chain(containers);
    let unscheduled = || {
        let mut conditions = status.conditions.iter().flatten();
        let scheduled = conditions.find(|it| it.type_ == "PodScheduled" && it.status == "False");
        scheduled?.message.clone()
    };
    containers
        .filter(|it| !it.ready)
        .find_map(of_container)
        .or_else(unscheduled)
}

fn of_container(status: &ContainerStatus) -> Option<String> {
    let state = status.state.as_ref();
    let waiting = state.and_then(|it| it.waiting.as_ref());
    let reason = waiting.and_then(|it| it.reason.as_deref());
    let now = state.and_then(|it| it.terminated.as_ref());
    let before = status.last_state.as_ref();
    let ended = now.or(before.and_then(|it| it.terminated.as_ref()));
    if let Some(ended) = ended {
        let last_words = ended.message.as_deref().map(last_words);
        return Some(match last_words.filter(|it| !it.is_empty()) {
            Some(words) => format!("it ended with {}: {words}", ended.exit_code),
            None => {
                let reason = ended.reason.as_deref().unwrap_or("no reason");
                format!("it ended with {} ({reason})", ended.exit_code)
            }
        });
    }
    let reason = reason.filter(|it| !STARTING.contains(it))?;
    let message = waiting.and_then(|it| it.message.as_deref());
    Some(message.map_or_else(|| reason.to_owned(), |it| format!("{reason}: {it}")))
}

/// Of the end of a log, what a program says when it ends; its last line, if that is not told apart.
fn last_words(log: &str) -> String {
    let lines: Vec<_> = log.lines().map(str::trim).collect();
    let is_error = |line: &&str| line.to_ascii_lowercase().starts_with("error: ");
    let Some(from) = lines.iter().rposition(is_error) else {
        let last = lines.iter().rfind(|line| !line.is_empty());
        return last.copied().unwrap_or_default().to_owned();
    };
    let said = lines.into_iter().skip(from);
    let said: Vec<_> = said
        .filter(|line| !line.starts_with("For more information"))
        .collect();
    let said = said.join(" ");
    let (_, said) = said.split_once(": ").unwrap_or_default();
    said.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::tests::install::{deployment, of};
    use super::*;

    fn pod(created: u32, status: Value) -> Pod {
        of(json!({
            "metadata": {
                "name": "p", "namespace": "hostfit", "creationTimestamp": format!("2026-01-01T00:00:{created:02}Z"),
                "labels": {"app.kubernetes.io/component": "operator", "app.kubernetes.io/instance": "hostfit", "app.kubernetes.io/name": "hostfit"},
            },
            "status": status,
        }))
    }

    fn container(state: Value, last: Value) -> Value {
        json!({"containerStatuses": [{
            "name": "operator", "ready": false, "restartCount": 1, "image": "i", "imageID": "", "state": state, "lastState": last,
        }]})
    }

    #[track_caller]
    fn check(pods: &[Pod], expected: Option<&str>) {
        let deployment = of(deployment("operator", "hostfit"));
        assert_eq!(trouble(&deployment, pods).as_deref(), expected);
    }

    #[test]
    fn a_container_that_ends_again_and_again_is_told_by_its_last_words() {
        let ended = |message: &str| json!({"terminated": {"exitCode": 2, "reason": "Error", "message": message}});
        let waits = json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting failed container"}});
        let clap = "error: invalid value '10.0.0.0/33' for '--registry-deny-networks <NETWORK>': no network\n\nFor more information, try '--help'.\n";
        let told = "it ended with 2: invalid value '10.0.0.0/33' for '--registry-deny-networks <NETWORK>': no network";
        check(&[pod(1, container(waits.clone(), ended(clap)))], Some(told));
        check(&[pod(1, container(ended(clap), json!({})))], Some(told));
        let anyhow =
            "{\"level\":\"INFO\"}\nError: connect to the API server\n\nCaused by:\n    refused\n";
        check(
            &[pod(1, container(waits.clone(), ended(anyhow)))],
            Some("it ended with 2: connect to the API server Caused by: refused"),
        );
        check(
            &[pod(1, container(waits.clone(), ended("one\nlast\n\n")))],
            Some("it ended with 2: last"),
        );
        let killed = json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}});
        check(
            &[pod(1, container(waits.clone(), killed))],
            Some("it ended with 137 (OOMKilled)"),
        );
        check(
            &[pod(1, container(waits, json!({})))],
            Some("CrashLoopBackOff: back-off 5m0s restarting failed container"),
        );
    }

    #[test]
    fn what_keeps_a_pod_from_starting_is_told() {
        let image = json!({"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image \"x\""}});
        let image = pod(2, container(image, json!({})));
        let told = "ImagePullBackOff: Back-off pulling image \"x\"";
        check(std::slice::from_ref(&image), Some(told));
        let unscheduled = json!({"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}]});
        check(
            &[image, pod(3, unscheduled)],
            Some("0/3 nodes are available"),
        );
        let starting = json!({"waiting": {"reason": "ContainerCreating"}});
        check(&[pod(1, container(starting, json!({})))], None);
        check(&[], None);
        let mut other = pod(1, container(json!({"waiting": {"reason": "X"}}), json!({})));
        other.metadata.labels = None;
        check(&[other], None);
        // A terminal shows it.
        let evil = json!({"waiting": {"reason": "X", "message": format!("\u{1b}[31m{}", "long ".repeat(100))}});
        let evil = [pod(1, container(evil, json!({})))];
        let told = trouble(&of(deployment("operator", "hostfit")), &evil).unwrap();
        assert!(
            !told.contains('\u{1b}') && told.chars().count() <= MOST,
            "{told}"
        );
    }
}
