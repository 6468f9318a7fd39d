//! CompatException: findings that people accept in a namespace until a date.

use std::collections::BTreeSet;

use hostfit_engine::exception::{Exception, Exceptions, ImagePattern, UnknownCode, codes};
use hostfit_engine::finding::Code;
use hostfit_engine::image::ImageRefError;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, ResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Condition, Selector};

/// Lets named findings pass until a date: in this namespace, at admission, in reports, plans and on the command line.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "hostfit.dev",
    version = "v1alpha1",
    kind = "CompatException",
    shortname = "cex",
    category = "hostfit",
    label("app.kubernetes.io/part-of", "hostfit"),
    namespaced,
    status = "CompatExceptionStatus",
    derive = "PartialEq",
    doc = "Lets named findings pass until a date: in this namespace, at admission, in reports, plans and on the command line.",
    printcolumn = r#"{"name":"State","type":"string","jsonPath":".status.state","description":"Active, Unused, Expired or Invalid"}"#,
    printcolumn = r#"{"name":"Matches","type":"integer","jsonPath":".status.matches","description":"Workloads of which it accepts a finding"}"#,
    printcolumn = r#"{"name":"Expires","type":"string","jsonPath":".spec.expirationTime"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status","priority":1,"description":"Whether it is read and used"}"#,
    printcolumn = r#"{"name":"Codes","type":"string","jsonPath":".spec.codes","priority":1}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".spec.reason","priority":1}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "(has(self.images) && size(self.images) > 0) || (has(self.selector) && ((has(self.selector.matchLabels) && size(self.selector.matchLabels) > 0) || (has(self.selector.matchExpressions) && size(self.selector.matchExpressions) > 0)))",
    "message": "say what is excepted: a selector that is not empty, or images; images: [\"*\"] means all workloads of the namespace"
}]))]
pub struct CompatExceptionSpec {
    /// Codes of the findings: HF101, HF5* for all that begin so, * for all.
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 8)))]
    pub codes: Vec<String>,
    /// Labels of the pods (those of the template for a workload). All pods, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<Selector>,
    /// Images: registry.example/shop/search for all of its tags and digests, with one of them for it alone; a * at the end
    /// matches the rest. All images, if absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 512)))]
    pub images: Vec<String>,
    /// Names of HostProfiles; a * at the end matches the rest. All, if absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 253)))]
    pub host_profiles: Vec<String>,
    /// Why this is accepted, for the one who reads it in a year.
    #[schemars(length(min = 10, max = 500))]
    pub reason: String,
    /// From this second on nothing is accepted any more: "2026-12-31T00:00:00Z".
    pub expiration_time: Time,
    /// Where it is written down.
    #[serde(default, rename = "ticketURL", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048), regex(pattern = "^https?://"))]
    pub ticket_url: Option<String>,
}

/// What the operator makes of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CompatExceptionStatus {
    /// Generation of the spec that this speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Active: it accepts findings. Unused: it could, and there are none. Expired: it is over. Invalid: it cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// Workloads of which it accepts a finding now.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub matches: i32,
    /// When it last accepted a finding, to the hour while it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_match_time: Option<Time>,
    /// Ready: it is read and used. If not, it accepts nothing, and the message says why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub conditions: Vec<Condition>,
}

/// What an exception does.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum State {
    /// It accepts findings.
    Active,
    /// It could, and there are none.
    Unused,
    /// It is over.
    Expired,
    /// It cannot be read: it accepts nothing, and the condition Ready says why.
    Invalid,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Active, Self::Unused, Self::Expired, Self::Invalid];

    /// The name in objects.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "Active",
            Self::Unused => "Unused",
            Self::Expired => "Expired",
            Self::Invalid => "Invalid",
        }
    }
}

/// Why an exception accepts nothing at all. Shown in its condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExceptionError {
    /// A code that is none.
    #[error("codes: {0}")]
    Code(#[from] UnknownCode),
    /// No code.
    #[error("codes is empty: name the findings, or \"*\" for all")]
    NoCode,
    /// An image that is none.
    #[error("images: {written:?}: {error}")]
    Image {
        /// What was written.
        written: String,
        /// What is wrong with it.
        error: ImageRefError,
    },
    /// Neither selector nor images.
    #[error(
        "nothing is selected: give it a selector, or images; images: [\"*\"] means all workloads of the namespace"
    )]
    Everything,
}

impl TryFrom<&CompatException> for Exception {
    type Error = ExceptionError;

    fn try_from(exception: &CompatException) -> Result<Self, ExceptionError> {
        let spec = &exception.spec;
        let codes = codes(&spec.codes)?;
        if codes.is_empty() {
            return Err(ExceptionError::NoCode);
        }
        let pods = spec.selector.iter().flat_map(Selector::requirements);
        let pods: Vec<_> = pods.collect();
        // The API server asks for this as well; files do not come through it.
        if pods.is_empty() && spec.images.is_empty() {
            return Err(ExceptionError::Everything);
        }
        let image = |written: &String| {
            let pattern = written.parse::<ImagePattern>();
            pattern.map_err(|error| ExceptionError::Image {
                written: written.chars().take(64).collect(),
                error,
            })
        };
        Ok(Self {
            name: exception.name_any(),
            codes,
            pods,
            images: spec.images.iter().map(image).collect::<Result<_, _>>()?,
            hosts: spec.host_profiles.clone(),
            expires: spec.expiration_time.0,
        })
    }
}

impl CompatException {
    /// What it accepts that no policy lets it.
    pub fn beyond(&self, exceptable: &BTreeSet<Code>) -> BTreeSet<Code> {
        let wanted = codes(&self.spec.codes).unwrap_or_default();
        wanted.difference(exceptable).copied().collect()
    }

    /// Whether it speaks of all workloads of its namespace, or of all findings.
    pub fn is_broad(&self) -> bool {
        let spec = &self.spec;
        let all_pods = spec
            .selector
            .as_ref()
            .is_none_or(|it| it.requirements().next().is_none());
        let all_images = spec.images.is_empty() || spec.images.iter().any(|it| it == "*");
        spec.codes.iter().any(|code| code == "*") || (all_pods && all_images)
    }

    /// Drops what nobody who judges reads, before it is kept.
    pub fn prune(&mut self) {
        self.metadata.annotations = None;
        self.metadata.labels = None;
        self.metadata.managed_fields = None;
        self.spec.reason = String::new();
        self.spec.ticket_url = None;
        self.status = None;
    }
}

/// The exceptions that can be read, for whoever judges.
pub fn exceptions<'a>(all: impl IntoIterator<Item = &'a CompatException>) -> Exceptions {
    let read = |it: &'a CompatException| Some((it.namespace()?, Exception::try_from(it).ok()?));
    Exceptions::new(all.into_iter().filter_map(read))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(spec: Value) -> Result<Exception, String> {
        let object = json!({
            "apiVersion": "hostfit.dev/v1alpha1", "kind": "CompatException",
            "metadata": {"name": "one", "namespace": "shop"}, "spec": spec,
        });
        let object: CompatException = serde_json::from_value(object).map_err(|e| e.to_string())?;
        Exception::try_from(&object).map_err(|error| error.to_string())
    }

    fn valid() -> Value {
        json!({
            "codes": ["HF101"], "selector": {"matchLabels": {"app": "search"}},
            "reason": "old nodes go in December", "expirationTime": "2026-12-31T00:00:00Z",
        })
    }

    #[test]
    fn an_exception_says_what_it_accepts() {
        let exception = read(valid()).unwrap();
        assert_eq!(exception.name, "one");
        assert_eq!(exception.codes, [Code::HF101].into());
        assert_eq!(exception.pods.len(), 1);
        assert_eq!(exception.expires.to_string(), "2026-12-31T00:00:00Z");
    }

    #[track_caller]
    fn check(change: &[(&str, Value)], expected: &str) {
        let mut spec = valid();
        for (key, value) in change {
            spec[*key] = value.clone();
        }
        let error = read(spec).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }

    #[test]
    fn one_that_accepts_nothing_says_why() {
        check(
            &[("codes", json!(["HF010"]))],
            "codes: there is no finding \"HF010\"; did you mean HF110?",
        );
        check(&[("codes", json!([]))], "codes is empty");
        check(
            &[("images", json!(["x.y/UPPER"]))],
            "images: \"x.y/UPPER\": the repository",
        );
        check(&[("selector", Value::Null)], "nothing is selected");
        check(&[("selector", json!({}))], "nothing is selected");
        check(&[("expirationTime", Value::Null)], "invalid type: null");
        check(&[("expirationTime", json!("tomorrow"))], "");
    }

    #[test]
    fn one_that_speaks_of_everything_is_broad() {
        let broad = |change: Value| {
            let mut spec = valid();
            for (key, value) in change.as_object().unwrap() {
                spec[key] = value.clone();
            }
            let object: CompatExceptionSpec = serde_json::from_value(spec).unwrap();
            CompatException::new("one", object).is_broad()
        };
        assert!(!broad(json!({})));
        assert!(!broad(json!({"images": ["*"]})));
        assert!(broad(json!({"codes": ["*"]})));
        assert!(broad(json!({"selector": null, "images": ["*"]})));
        assert!(!broad(json!({"selector": null, "images": ["x.y/shop/*"]})));
    }
}
