//! What the status of a pod says of the images that ran in it.

use std::collections::BTreeSet;

use hostfit_engine::image::Digest;
use serde::{Deserialize, Serialize};

use super::null_is_default;

/// The part of a pod's status that matters to us.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Status")]
pub struct PodStatus {
    /// Digests of the images of containers that were ready, or ended well, as the runtime names them.
    /// Kept small: there may be a hundred thousand pods.
    #[serde(skip)]
    pub ran: Box<[Digest]>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    #[serde(deserialize_with = "null_is_default")]
    container_statuses: Vec<ContainerStatus>,
    #[serde(deserialize_with = "null_is_default")]
    init_container_statuses: Vec<ContainerStatus>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ContainerStatus {
    image: String,
    #[serde(rename = "imageID")]
    image_id: String,
    ready: bool,
    state: State,
    last_state: State,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct State {
    terminated: Option<Terminated>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Terminated {
    exit_code: i32,
}

impl ContainerStatus {
    /// It did what it is for: a container that only crashes has not run.
    fn ran(&self) -> bool {
        let ended_well = |state: &State| {
            state
                .terminated
                .as_ref()
                .is_some_and(|it| it.exit_code == 0)
        };
        self.ready || ended_well(&self.state) || ended_well(&self.last_state)
    }

    /// What the runtime pulled: `registry/repository@sha256:…`, after the scheme of some runtimes. The bare digest of a
    /// config is no digest of an image. Without any, what the pod asked for, if that was by digest.
    fn digest(&self) -> Option<Digest> {
        let digest = |text: &str| text.rsplit_once('@')?.1.parse().ok();
        digest(&self.image_id).or_else(|| digest(&self.image))
    }
}

impl From<Status> for PodStatus {
    fn from(status: Status) -> Self {
        let containers = status.container_statuses.iter();
        let containers = containers.chain(&status.init_container_statuses);
        let ran = containers.filter(|it| it.ran());
        let ran: BTreeSet<_> = ran.filter_map(ContainerStatus::digest).collect();
        Self {
            ran: ran.into_iter().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[track_caller]
    fn check(container: Value, expected: Option<char>) {
        let status = json!({"initContainerStatuses": null, "containerStatuses": [container]});
        let status: PodStatus = serde_json::from_value(status).unwrap();
        let digits = |digit: char| format!("sha256:{}", digit.to_string().repeat(64));
        let ran: Vec<_> = status.ran.iter().map(ToString::to_string).collect();
        let expected: Vec<_> = expected.map(digits).into_iter().collect();
        assert_eq!(ran, expected);
    }

    #[test]
    fn an_image_ran_where_its_container_was_ready_or_ended_well() {
        let id = |digit: &str| format!("registry.example/app@sha256:{}", digit.repeat(64));
        let ended = |code: i32| json!({"terminated": {"exitCode": code}});
        check(json!({"imageID": id("a"), "ready": true}), Some('a'));
        check(
            json!({"imageID": id("a"), "ready": false, "state": ended(0)}),
            Some('a'),
        );
        check(
            json!({"imageID": id("a"), "lastState": ended(0), "state": {"waiting": {}}}),
            Some('a'),
        );
        check(
            json!({"imageID": id("a"), "ready": false, "state": ended(127)}),
            None,
        );
        check(json!({"imageID": id("a"), "state": {"running": {}}}), None);
        check(
            json!({"imageID": format!("docker-pullable://{}", id("b")), "ready": true}),
            Some('b'),
        );
        check(
            json!({"imageID": format!("sha256:{}", "c".repeat(64)), "image": "app:1", "ready": true}),
            None,
        );
        check(
            json!({"image": id("d"), "imageID": "", "ready": true}),
            Some('d'),
        );
        check(
            json!({"image": "app:1", "imageID": "", "ready": true}),
            None,
        );
    }
}
