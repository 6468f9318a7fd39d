//! Reviews, as the API server sends them, and what every answer must be, whatever the question.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::stand::Stand;

/// A pod of one container in the namespace `shop`.
pub(super) fn pod(image: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"containers": [{"name": "web", "image": image}]},
    })
}

/// The creation of a pod.
pub(super) fn create(pod: Value) -> Value {
    let namespace = pod["metadata"]["namespace"].as_str().unwrap_or("shop");
    json!({
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "requestKind": {"group": "", "version": "v1", "kind": "Pod"},
        "requestResource": {"group": "", "version": "v1", "resource": "pods"},
        "name": "web", "namespace": namespace, "operation": "CREATE",
        "userInfo": {"username": "alice", "groups": ["system:authenticated"]},
        "object": pod, "oldObject": null, "dryRun": false,
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
    })
}

/// The creation of an object of another kind, for example `("apps", "deployments")`.
pub(super) fn create_other((group, resource): (&str, &str), object: Value) -> Value {
    let mut request = create(object);
    let name = request["object"]["metadata"]["name"].clone();
    let kind = json!({"group": group, "version": "v1", "kind": request["object"]["kind"]});
    let resource = json!({"group": group, "version": "v1", "resource": resource});
    request["name"] = name;
    for (field, value) in [("kind", &kind), ("resource", &resource)] {
        request[field] = value.clone();
    }
    request["requestKind"] = kind;
    request["requestResource"] = resource;
    request
}

/// The change of a pod into another one.
pub(super) fn update(old: Value, new: Value) -> Value {
    updating(create(new), old)
}

/// The creation of an object as the change of another one into it.
pub(super) fn updating(mut request: Value, old: Value) -> Value {
    request["operation"] = json!("UPDATE");
    request["oldObject"] = old;
    request
}

/// An answer that keeps the contract.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    pub(super) allowed: bool,
    pub(super) warnings: Vec<String>,
    /// The operations of the patch, none if there is no patch.
    pub(super) patch: Vec<Value>,
    /// The status of a refusal.
    pub(super) status: Value,
}

impl Answer {
    /// Whether it was let in, and nothing was said or changed.
    pub(super) fn is_silent(&self) -> bool {
        self.allowed && self.warnings.is_empty() && self.patch.is_empty() && self.status.is_null()
    }

    /// The message of a refusal.
    pub(super) fn denial(&self) -> &str {
        self.status["message"].as_str().unwrap_or_default()
    }

    /// `refused HF110`, `warned HF501 HF903`, or `let in`: the codes of the warnings or causes.
    pub(super) fn summary(&self) -> String {
        let causes = self.status["details"]["causes"].as_array();
        let of_causes = causes.into_iter().flatten().map(|it| it["reason"].as_str());
        let of_warnings = self.warnings.iter().map(|it| it.rsplit(' ').next());
        let mut codes: Vec<_> = of_causes.chain(of_warnings).flatten().collect();
        codes.dedup();
        match (self.allowed, codes.is_empty()) {
            (true, true) => "let in".to_owned(),
            (true, false) => format!("warned {}", codes.join(" ")),
            (false, _) => format!("refused {}", codes.join(" ")),
        }
    }
}

impl Stand {
    pub(super) async fn mutate(&self, request: Value) -> Answer {
        let answer = self.ask("/mutate", request).await;
        assert!(answer.allowed, "/mutate refuses: {answer:?}");
        answer
    }

    pub(super) async fn validate(&self, request: Value) -> Answer {
        let answer = self.ask("/validate", request).await;
        assert!(answer.patch.is_empty(), "/validate patches: {answer:?}");
        answer
    }

    /// What the annotations of a created pod say, and what becomes of it: `Fail HF110: refused HF110`.
    pub(super) async fn judge(&self, pod: Value) -> String {
        let patched = patched(&pod, &self.mutate(create(pod.clone())).await);
        let own = &patched["metadata"]["annotations"];
        let annotation = |key: &str| own[key].as_str().unwrap_or("-").to_owned();
        let verdict = annotation("hostfit.dev/verdict");
        let findings = annotation("hostfit.dev/findings");
        let answer = self.validate(create(patched)).await;
        format!("{verdict} {findings}: {}", answer.summary())
    }

    async fn ask(&self, path: &str, request: Value) -> Answer {
        let uid = request["uid"].clone();
        let body = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request,
        });
        let response = self.client.post(self.url(path)).json(&body);
        let response = response.send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        assert_eq!(status, 200, "{text}");
        read(&text, &uid)
    }
}

/// Reads an answer, and holds it to what the API server and people expect of every one.
pub(super) fn read(text: &str, uid: &Value) -> Answer {
    let answer: Value = serde_json::from_str(text).unwrap();
    assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(answer["kind"], "AdmissionReview");
    let response = &answer["response"];
    assert_eq!(response["uid"], *uid);
    let patch = response.get("patch").map(|patch| {
        assert_eq!(response["patchType"], "JSONPatch");
        let bytes = STANDARD.decode(patch.as_str().unwrap()).unwrap();
        serde_json::from_slice::<Vec<Value>>(&bytes).unwrap()
    });
    assert_ne!(patch, Some(Vec::new()), "an empty patch is sent: {text}");
    assert!(patch.is_some() || response.get("patchType").is_none());
    let warnings = response["warnings"].as_array().cloned().unwrap_or_default();
    let warnings: Vec<_> = warnings
        .iter()
        .map(|warning| warning.as_str().unwrap().to_owned())
        .collect();
    assert!(warnings.len() <= 6, "{} warnings", warnings.len());
    for warning in &warnings {
        assert!(warning.chars().count() <= 120, "too long: {warning}");
        assert_harmless(warning);
        let code = warning.rsplit(' ').next().unwrap();
        let is_summary = warning.starts_with("hostfit: ") && warning.contains(" more findings");
        assert!(
            code.starts_with("HF") || is_summary,
            "without a code: {warning}"
        );
    }
    let allowed = response["allowed"].as_bool().unwrap();
    let status = response.get("status").cloned().unwrap_or_default();
    assert_eq!(allowed, status.is_null(), "a refusal has a status: {text}");
    if !allowed {
        assert_eq!(
            (&status["code"], &status["reason"]),
            (&json!(403), &json!("Forbidden"))
        );
        let message = status["message"].as_str().unwrap();
        assert!(message.chars().count() <= 1_000, "too long: {message}");
        message.lines().for_each(assert_harmless);
        assert!(
            message.contains("https://hostfit.dev/c/HF"),
            "no docs: {message}"
        );
        let causes = status["details"]["causes"].as_array().unwrap();
        assert!(!causes.is_empty(), "no causes: {text}");
        for cause in causes {
            for field in ["reason", "field", "message"] {
                assert_harmless(cause[field].as_str().unwrap());
            }
        }
        assert!(patch.is_none() && warnings.is_empty(), "{text}");
    }
    Answer {
        allowed,
        warnings,
        patch: patch.unwrap_or_default(),
        status,
    }
}

/// Nothing that terminals, logs or browsers obey.
#[track_caller]
fn assert_harmless(text: &str) {
    let obeyed = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    assert!(!text.contains(obeyed), "harmful: {text:?}");
}

/// The pod after the patch, by an implementation that is not ours.
pub(super) fn patched(pod: &Value, answer: &Answer) -> Value {
    let patch: json_patch::Patch =
        serde_json::from_value(Value::Array(answer.patch.clone())).unwrap();
    let mut pod = pod.clone();
    json_patch::patch(&mut pod, &patch).unwrap_or_else(|error| panic!("{error}: {patch} on {pod}"));
    pod
}
