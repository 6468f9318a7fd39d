//! About which new pods the API server asks `/validate`: about all of them where a SupportMatrix refuses. Elsewhere `/mutate` has
//! warned already, and each call costs the API server more than us.
//!
//! Namespaces that ask for `enforce` by their label have a webhook of their own in the chart, which nothing here touches.

use std::sync::Arc;
use std::time::Duration;

use hostfit_crds::names::{ENFORCED, NEW_PODS};
use hostfit_crds::policies::Policies;
use hostfit_crds::{SupportMatrix, names, support_matrix};
use hostfit_engine::policy::Mode;
use hostfit_process::client::{CALL, within};
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::apply::{Writer, Written};
use crate::world::World;

/// A selector that other tools changed is back after this.
const PERIOD: Duration = Duration::from_secs(5);
/// After a call that failed.
const RETRY: Duration = Duration::from_secs(1);
/// Nothing has to refuse for that long before pods are spared: a matrix that is made anew is gone for a moment.
const CALM: Duration = Duration::from_secs(10);

/// What is to be done about new pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// Something refuses.
    All,
    /// Nothing does, for a while now.
    Spared,
    /// It stays as it is: that of a matrix with a mistake may be what other processes remember of it.
    Kept,
}

/// Runs as long as this process leads.
pub(crate) async fn run(client: Client, world: World, writer: Writer, configuration: String) {
    let api: Api<ValidatingWebhookConfiguration> = Api::all(client);
    let mut changes = world.anything_changed.subscribe();
    let mut matrices = Matrices::default();
    let (mut last, mut due) = (Scope::Kept, Instant::now());
    loop {
        tokio::select! {
            () = changes.next() => {}
            () = tokio::time::sleep_until(due) => {}
        }
        let now = Instant::now();
        let scope = match world.matrices.state() {
            Some(read) => matrices.scope(read, now),
            None => Scope::Kept,
        };
        if scope == last && now < due {
            continue;
        }
        (last, due) = match set(&api, &writer, &configuration, scope).await {
            Ok(()) => (scope, now + PERIOD),
            Err(error) => {
                warn!(%error, "which new pods are validated could not be set; trying again");
                tokio::time::sleep(RETRY).await;
                (Scope::Kept, Instant::now())
            }
        };
    }
}

/// The matrices that were seen last.
#[derive(Default)]
struct Matrices {
    read: Vec<Arc<SupportMatrix>>,
    policies: Policies,
    verdict: Option<Scope>,
    calm_since: Option<Instant>,
}

impl Matrices {
    fn scope(&mut self, read: Vec<Arc<SupportMatrix>>, now: Instant) -> Scope {
        let is_same = self.read.len() == read.len()
            && self
                .read
                .iter()
                .zip(&read)
                .all(|(one, other)| Arc::ptr_eq(one, other));
        let verdict = match self.verdict {
            Some(verdict) if is_same => verdict,
            _ => self.judge(&read),
        };
        self.read = read;
        self.verdict = Some(verdict);
        if verdict != Scope::Spared {
            self.calm_since = None;
            return verdict;
        }
        let since = *self.calm_since.get_or_insert(now);
        match now >= since + CALM {
            true => Scope::Spared,
            false => Scope::Kept,
        }
    }

    fn judge(&mut self, read: &[Arc<SupportMatrix>]) -> Scope {
        let (policies, errors) = Policies::read(read.to_vec(), &self.policies);
        self.policies = policies;
        let mut active = self.policies.active();
        let mut stated = read.iter();
        let refuses = active.any(|(_, policy)| policy.mode == Mode::Enforce)
            || stated.any(|it| it.spec.mode == support_matrix::Mode::Enforce);
        match (refuses, errors.is_empty()) {
            (true, _) => Scope::All,
            (false, true) => Scope::Spared,
            (false, false) => Scope::Kept,
        }
    }
}

async fn set(
    api: &Api<ValidatingWebhookConfiguration>,
    writer: &Writer,
    configuration: &str,
    scope: Scope,
) -> kube::Result<()> {
    if scope == Scope::Kept {
        return Ok(());
    }
    let Some(found) = within(CALL, api.get_opt(configuration)).await? else {
        return Ok(());
    };
    let Some(patch) = plan(&found, scope) else {
        return Ok(());
    };
    match writer
        .webhooks(&found, names::SCOPE_MANAGER, &patch)
        .await?
    {
        Written::Done => info!(
            ?scope,
            "the API server is told which new pods are validated"
        ),
        Written::Gone => {}
    }
    Ok(())
}

/// What to apply, if the selector is not as it should be. What people wrote of it stays.
fn plan(configuration: &ValidatingWebhookConfiguration, scope: Scope) -> Option<Value> {
    let webhooks = configuration.webhooks.as_deref().unwrap_or_default();
    let named = |name: &str| webhooks.iter().find(|it| it.name == name);
    let mut selector = named(NEW_PODS)?.object_selector.clone().unwrap_or_default();
    match scope {
        // Charts without the other one need this one for those namespaces, too.
        Scope::Spared if selector == LabelSelector::default() && named(ENFORCED).is_some() => {
            selector.match_expressions = Some(vec![asks()]);
        }
        Scope::All => {
            let ours = selector.match_expressions.as_mut()?;
            let before = ours.len();
            ours.retain(|it| it.key != names::VALIDATE);
            if ours.len() == before {
                return None;
            }
            selector.match_expressions.take_if(|it| it.is_empty());
        }
        Scope::Spared | Scope::Kept => return None,
    }
    let meta = &configuration.metadata;
    Some(json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": meta.name, "uid": meta.uid},
        "webhooks": [{"name": NEW_PODS, "objectSelector": selector}],
    }))
}

/// A pod asks for it itself.
fn asks() -> LabelSelectorRequirement {
    LabelSelectorRequirement {
        key: names::VALIDATE.to_owned(),
        operator: "Exists".to_owned(),
        values: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration(selector: &Value, names: &[&str]) -> ValidatingWebhookConfiguration {
        let webhook = |name: &&str| {
            json!({
                "name": name, "sideEffects": "None", "admissionReviewVersions": ["v1"], "clientConfig": {}, "objectSelector": selector,
            })
        };
        let webhooks: Vec<_> = names.iter().map(webhook).collect();
        let object = json!({"metadata": {"name": "hostfit", "uid": "1"}, "webhooks": webhooks});
        serde_json::from_value(object).unwrap()
    }

    #[track_caller]
    fn check(selector: &Value, scope: Scope, expected: Option<&Value>) {
        let found = configuration(selector, &[NEW_PODS, "updates.hostfit.dev", ENFORCED]);
        let patch = plan(&found, scope);
        let expected = expected.map(|it| json!([{"name": NEW_PODS, "objectSelector": it}]));
        assert_eq!(patch.as_ref().map(|it| &it["webhooks"]), expected.as_ref());
        assert!(patch.is_none_or(|it| it["metadata"] == json!({"name": "hostfit", "uid": "1"})));
    }

    #[test]
    fn pods_are_spared_while_nothing_refuses() {
        let ours = json!({"key": "hostfit.dev/validate", "operator": "Exists"});
        let theirs = json!({"key": "team", "operator": "Exists"});
        let selector = |all: &[&Value]| json!({"matchExpressions": all});
        let spared = selector(&[&ours]);
        check(&json!({}), Scope::Spared, Some(&spared));
        check(&spared, Scope::Spared, None);
        check(&spared, Scope::All, Some(&json!({})));
        check(&json!({}), Scope::All, None);
        for any in [json!({}), spared.clone()] {
            check(&any, Scope::Kept, None);
        }
        // Whoever narrows it on purpose knows why.
        let own = json!({"matchLabels": {"team": "shop"}});
        check(&own, Scope::Spared, None);
        check(&own, Scope::All, None);
        let both = selector(&[&theirs, &ours]);
        check(&both, Scope::All, Some(&selector(&[&theirs])));
        // A chart of before: who asks for enforce would be let in.
        let old = configuration(&json!({}), &[NEW_PODS, "updates.hostfit.dev"]);
        assert_eq!(plan(&old, Scope::Spared), None);
        assert!(plan(&configuration(&spared, &[NEW_PODS]), Scope::All).is_some());
        assert_eq!(plan(&configuration(&json!({}), &[]), Scope::Spared), None);
    }

    #[test]
    fn what_refuses_counts_at_once_and_what_does_not_after_a_while() {
        let matrix = |name: &str, spec: Value| {
            let matrix = json!({"metadata": {"name": name}, "spec": spec});
            Arc::new(serde_json::from_value::<SupportMatrix>(matrix).unwrap())
        };
        let warns = matrix("a", json!({"mode": "Warn"}));
        let enforces = matrix("b", json!({"mode": "Enforce"}));
        let mistaken = |mode: &str| matrix("b", json!({"mode": mode, "rulesVersion": "never"}));
        let start = Instant::now();
        let mut seen = Matrices::default();
        let mut at = |seconds: u64, read: &[&Arc<SupportMatrix>]| {
            let read = read.iter().map(|it| Arc::clone(it)).collect();
            seen.scope(read, start + Duration::from_secs(seconds))
        };
        assert_eq!(at(0, &[]), Scope::Kept);
        assert_eq!(at(9, &[&warns]), Scope::Kept);
        assert_eq!(at(10, &[&warns]), Scope::Spared);
        assert_eq!(at(11, &[&warns, &enforces]), Scope::All);
        assert_eq!(at(12, &[&warns]), Scope::Kept);
        assert_eq!(at(13, &[&warns, &enforces]), Scope::All);
        // Its last good state refuses.
        assert_eq!(at(40, &[&warns, &mistaken("Warn")]), Scope::All);
        assert_eq!(at(41, &[&warns]), Scope::Kept);
        assert_eq!(at(51, &[&warns]), Scope::Spared);
        // Other processes may remember another state of it.
        assert_eq!(at(52, &[&warns, &mistaken("Warn")]), Scope::Kept);
        assert_eq!(at(90, &[&warns, &mistaken("Warn")]), Scope::Kept);
        assert_eq!(at(91, &[&warns, &mistaken("Enforce")]), Scope::All);
    }
}
