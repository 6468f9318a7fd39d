//! Conditions, as the API conventions have them.

use hostfit_engine::finding::cut;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One aspect of an object's state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Which aspect.
    #[serde(rename = "type")]
    #[schemars(length(max = 64))]
    pub type_: String,
    /// True, False or Unknown.
    #[schemars(length(max = 7))]
    pub status: String,
    /// Why, as one word for programs.
    #[schemars(length(max = 64))]
    pub reason: String,
    /// Why, and what to do, as a sentence for people.
    #[schemars(length(max = 1024))]
    #[serde(default)]
    pub message: String,
    /// When the status last changed.
    pub last_transition_time: Time,
    /// Generation of the object that this speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// Whether an aspect holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It does.
    True,
    /// It does not.
    False,
    /// It could not be told.
    Unknown,
}

impl Status {
    /// As conditions spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<bool> for Status {
    fn from(holds: bool) -> Self {
        match holds {
            true => Self::True,
            false => Self::False,
        }
    }
}

/// A condition to be: what it says, without the time, which [`merge`] keeps where nothing changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted<'a> {
    /// Which aspect.
    pub type_: &'a str,
    /// Whether it holds.
    pub status: Status,
    /// One word.
    pub reason: &'a str,
    /// A sentence.
    pub message: String,
}

/// The conditions to write. Times change only with the status, so that writing twice changes nothing.
pub fn merge(
    current: &[Condition],
    wanted: &[Wanted<'_>],
    generation: Option<i64>,
    now: &Time,
) -> Vec<Condition> {
    let condition = |wanted: &Wanted<'_>| {
        let status = wanted.status.as_str();
        let before = current
            .iter()
            .find(|condition| condition.type_ == wanted.type_);
        let time = before
            .filter(|before| before.status == status)
            .map_or(now, |before| &before.last_transition_time);
        Condition {
            type_: wanted.type_.to_owned(),
            status: status.to_owned(),
            reason: wanted.reason.to_owned(),
            message: cut(wanted.message.clone(), 1024),
            last_transition_time: time.clone(),
            observed_generation: generation,
        }
    };
    wanted.iter().map(condition).collect()
}
