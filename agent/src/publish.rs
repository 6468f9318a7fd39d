//! The only writer of the agent: what it read, into `status.agent` of its node's NodeProfile, by server-side apply.

use hostfit_crds::{AgentReport, HostFacts, NodeProfile, names};
use hostfit_engine::host;
use hostfit_process::client::{CALL, within};
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, Resource};
use serde_json::json;

/// Writes to the NodeProfile of one node.
pub(crate) struct Publisher {
    api: Api<NodeProfile>,
    node: String,
}

/// What became of the facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Published {
    /// They are written.
    Written,
    /// They stand there already.
    Same,
    /// The operator has not made the NodeProfile yet.
    NoProfile,
}

/// Why the facts were not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(
        "the API server does not let this agent write NodeProfile {node}: it may write that of its own node only, with a token \
         that names the node (is HOSTFIT_NODE_NAME spec.nodeName of the pod, and is the agent's ClusterRole there?)"
    )]
    Forbidden {
        node: String,
        #[source]
        source: kube::Error,
    },
    #[error(
        "the API server does not take the facts of node {node}: are CRDs and agent of one release?"
    )]
    Refused {
        node: String,
        #[source]
        source: kube::Error,
    },
    #[error("reach the API server about NodeProfile {node}; it is tried again")]
    Unreachable {
        node: String,
        #[source]
        source: kube::Error,
    },
}

impl Publisher {
    pub(crate) fn new(client: Client, node: String) -> Self {
        Self {
            api: Api::all(client),
            node,
        }
    }

    /// Writes the facts, if they are not there already.
    pub(crate) async fn publish(&self, facts: &host::HostFacts) -> Result<Published, Error> {
        let report = AgentReport {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            facts: HostFacts::from(facts),
        };
        let current = match within(CALL, self.api.get(&self.node)).await {
            Ok(current) => current,
            // By code: without the kind the API server answers in plain text.
            Err(kube::Error::Api(status)) if status.code == 404 => {
                return Ok(Published::NoProfile);
            }
            Err(error) => return Err(self.error(error)),
        };
        if current.status.and_then(|status| status.agent).as_ref() == Some(&report) {
            return Ok(Published::Same);
        }
        let patch = json!({
            "apiVersion": NodeProfile::api_version(&()),
            "kind": NodeProfile::kind(&()),
            "metadata": {"name": self.node},
            "status": {"agent": report},
        });
        let parameters = PatchParams::apply(names::AGENT_MANAGER).force();
        let patch = Patch::Apply(&patch);
        let written = self.api.patch_status(&self.node, &parameters, &patch);
        match within(CALL, written).await {
            Ok(_) => Ok(Published::Written),
            // Gone since we looked: the operator makes it anew.
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(Published::NoProfile),
            Err(error) => Err(self.error(error)),
        }
    }

    fn error(&self, source: kube::Error) -> Error {
        let node = self.node.clone();
        match &source {
            kube::Error::Api(status) if matches!(status.code, 401 | 403) => {
                Error::Forbidden { node, source }
            }
            kube::Error::Api(status) if matches!(status.code, 400 | 422) => {
                Error::Refused { node, source }
            }
            _ => Error::Unreachable { node, source },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::{Arc, Mutex};

    use http::{Method, Request, Response};
    use http_body_util::BodyExt;
    use kube::client::Body;
    use serde_json::Value;

    use super::*;

    type Asked = Arc<Mutex<Vec<(Method, String, Value)>>>;

    /// An API server that gives these answers one after the other, and keeps what it was asked.
    fn publisher(answers: Vec<(u16, Value)>) -> (Publisher, Asked) {
        let asked = Asked::default();
        let (log, answers) = (asked.clone(), Arc::new(Mutex::new(answers.into_iter())));
        let service = tower::service_fn(move |request: Request<Body>| {
            let (log, answers) = (log.clone(), answers.clone());
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
                let uri = parts.uri.to_string();
                log.lock().unwrap().push((parts.method, uri, body));
                let (code, body) = answers.lock().unwrap().next().unwrap();
                let body = Body::from(body.to_string().into_bytes());
                Ok::<_, Infallible>(Response::builder().status(code).body(body).unwrap())
            }
        });
        let client = Client::new(service, "default");
        (Publisher::new(client, "n".to_owned()), asked)
    }

    fn profile(status: Value) -> (u16, Value) {
        let profile = json!({"apiVersion": "hostfit.dev/v1alpha1", "kind": "NodeProfile",
                             "metadata": {"name": "n"}, "spec": {}, "status": status});
        (200, profile)
    }

    fn refusal(code: u16) -> (u16, Value) {
        let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                            "message": "no", "reason": "", "code": code});
        (code, status)
    }

    fn facts() -> host::HostFacts {
        host::HostFacts {
            cgroup: Some(2),
            nvidia_driver: "535.183.01".parse().ok(),
            ..host::HostFacts::default()
        }
    }

    #[tokio::test]
    async fn what_changed_is_applied_to_nothing_but_the_agents_own_part() {
        let (publisher, asked) =
            publisher(vec![profile(json!({"known": "1/2"})), profile(json!({}))]);
        assert_eq!(
            publisher.publish(&facts()).await.unwrap(),
            Published::Written
        );
        let asked = asked.lock().unwrap();
        let (method, uri, body) = &asked[1];
        assert_eq!(method, Method::PATCH);
        assert!(
            uri.contains("/apis/hostfit.dev/v1alpha1/nodeprofiles/n/status?"),
            "{uri}"
        );
        assert!(uri.contains("fieldManager=hostfit-agent"), "{uri}");
        let expected = json!({
            "apiVersion": "hostfit.dev/v1alpha1", "kind": "NodeProfile", "metadata": {"name": "n"},
            "status": {"agent": {"version": env!("CARGO_PKG_VERSION"),
                                 "facts": {"cgroup": 2, "nvidiaDriver": "535.183.1"}}},
        });
        assert_eq!(*body, expected);
    }

    #[tokio::test]
    async fn what_stands_there_is_not_written_again() {
        let agent = json!({"version": env!("CARGO_PKG_VERSION"), "facts": {"cgroup": 2, "nvidiaDriver": "535.183.1"}});
        let (publisher, asked) = publisher(vec![profile(json!({"agent": agent}))]);
        assert_eq!(publisher.publish(&facts()).await.unwrap(), Published::Same);
        assert_eq!(asked.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_profile_is_waited_for_and_a_refusal_says_what_to_do() {
        #[track_caller]
        fn says(error: Error, words: &str) {
            assert!(error.to_string().contains(words), "{error}");
        }
        let one = |answers| publisher(answers).0;
        let none = one(vec![refusal(404)]).publish(&facts()).await;
        assert_eq!(none.unwrap(), Published::NoProfile);
        let gone = one(vec![profile(json!({})), refusal(404)]);
        assert_eq!(gone.publish(&facts()).await.unwrap(), Published::NoProfile);
        let forbidden = one(vec![profile(json!({})), refusal(403)]);
        says(
            forbidden.publish(&facts()).await.unwrap_err(),
            "of its own node only",
        );
        let refused = one(vec![profile(json!({})), refusal(422)]);
        says(
            refused.publish(&facts()).await.unwrap_err(),
            "of one release",
        );
        let broken = one(vec![refusal(500)]);
        says(broken.publish(&facts()).await.unwrap_err(), "tried again");
    }
}
