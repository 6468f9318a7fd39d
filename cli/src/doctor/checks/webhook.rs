//! The webhook: that it is called, trusted and there.

use std::collections::BTreeSet;
use std::sync::Arc;

use hostfit_crds::names::{ENFORCED, NEW_PODS};
use hostfit_crds::policies::Policies;
use hostfit_crds::{names, support_matrix};
use hostfit_engine::policy::Mode;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::ResourceExt as _;

use super::super::certificate::{self, Wrong};
use super::super::read::{Call, Read, is_ours};
use super::deployment::{INSTALL, available, is_absent, restart};
use super::rights::component;
use super::{Group, few};

/// The webhooks whose failure policy is `webhook.failurePolicy`. Those of templates never fail closed: their pods are judged.
const OF_PODS: [&str; 3] = [NEW_PODS, ENFORCED, "updates.hostfit.dev"];
/// Days that a certificate has left at least: it is renewed after two thirds of its 90 days.
const LEFT: i64 = 25;

pub(super) fn webhook(read: &Read) -> Group {
    let mut group = Group::new("webhook");
    let hooks = match hooks(read) {
        Ok(hooks) => hooks,
        Err(why) => {
            group.unseen("webhook", "webhook configurations", why);
            return group;
        }
    };
    let configurations: BTreeSet<_> = hooks.iter().map(|it| it.configuration.as_str()).collect();
    if hooks.is_empty() {
        group.problem(
            "webhook",
            "there is no webhook configuration: nothing is said at admission",
            match is_absent(read) {
                true => INSTALL,
                false => {
                    "somebody has switched it off; helm upgrade --force-conflicts brings it back"
                }
            },
        );
        return group;
    }
    if configurations.len() > 1 {
        let names: Vec<_> = configurations.iter().map(|it| it.to_string()).collect();
        group.problem(
            "two-releases",
            format!("two releases are called for each pod: {}", few(&names)),
            "uninstall all but one (helm uninstall)",
        );
    }
    asked(read, &mut group);
    reachable(read, &mut group);
    certificates(read, &hooks, &mut group);
    match &read.call {
        Ok(call) => answers(read, call, &mut group),
        Err(why) => group.unseen("webhook", "answer through the API server", why),
    }
    let mut of_pods = hooks.iter().filter(|it| OF_PODS.contains(&&*it.name));
    if of_pods.any(|it| it.failure_policy == "Ignore") {
        group.warning(
            "failure-policy",
            "failurePolicy Ignore: pods are let in while the webhook is down",
            "set webhook.failurePolicy=Fail where nothing may start unjudged, and read what that costs first",
        );
    }
    group
}

/// One webhook of a configuration of ours.
struct Hook {
    configuration: String,
    name: String,
    failure_policy: String,
    bundle: Vec<u8>,
}

fn hooks(read: &Read) -> Result<Vec<Hook>, &String> {
    let (validating, mutating) = (read.validating.as_ref()?, read.mutating.as_ref()?);
    // Both kinds of configurations have webhooks, each of a type of its own with the same fields.
    macro_rules! all {
        ($configurations:expr) => {
            $configurations.iter().flat_map(|one| {
                let hooks = one.webhooks.iter().flatten();
                hooks.map(|it| {
                    let (policy, client) = (&it.failure_policy, &it.client_config);
                    (one.name_any(), &it.name, policy, client)
                })
            })
        };
    }
    let all = all!(validating).chain(all!(mutating));
    let ours = all.filter(|(_, name, ..)| is_ours(name));
    let hooks = ours.map(|(configuration, name, policy, client)| Hook {
        configuration,
        name: name.clone(),
        failure_policy: policy.clone().unwrap_or_else(|| "Fail".to_owned()),
        bundle: client.ca_bundle.clone().unwrap_or(ByteString(Vec::new())).0,
    });
    Ok(hooks.collect())
}

/// That the API server asks where something refuses.
fn asked(read: &Read, group: &mut Group) {
    let mut matrices = read.matrices.iter().flatten();
    let Some(refuses) = matrices.find(|it| it.spec.mode == support_matrix::Mode::Enforce) else {
        return;
    };
    let configurations = read.validating.iter().flatten();
    let hooks = configurations.flat_map(|it| it.webhooks.iter().flatten());
    let selectors = hooks
        .filter(|it| it.name == NEW_PODS)
        .filter_map(|it| it.object_selector.as_ref()?.match_expressions.as_ref());
    let mut keys = selectors.flatten().map(|it| it.key.as_str());
    if keys.any(|key| key == names::VALIDATE) {
        group.problem(
            "spared",
            format!(
                "SupportMatrix {} refuses, but the API server does not ask about new pods",
                refuses.name_any()
            ),
            format!(
                "the operator changes that within seconds, if it runs and may: {}",
                restart(read)
            ),
        );
    }
}

/// That somebody listens.
fn reachable(read: &Read, group: &mut Group) {
    let deployments = read.deployments.iter().flatten();
    for deployment in deployments.filter(|it| component(it) == Some("webhook")) {
        available(deployment, read, "unreachable", group);
    }
    let Some((namespace, service, _)) = read.service() else {
        return;
    };
    let slices = match &read.endpoints {
        Ok(slices) => slices,
        Err(why) => return group.unseen("unreachable", "addresses of the Service", why),
    };
    let ready = |it: &EndpointSlice| {
        let mut endpoints = it.endpoints.iter();
        endpoints.any(|it| {
            it.conditions
                .as_ref()
                .and_then(|it| it.ready)
                .unwrap_or(true)
        })
    };
    if !slices.iter().any(ready) {
        group.problem(
            "unreachable",
            format!("the webhook cannot be reached: Service {namespace}/{service} has no address that is ready"),
            format!("kubectl -n {namespace} get pods,endpointslices; is the Service there, and do its labels select the webhook's pods?"),
        );
    }
}

/// That the API server trusts who answers.
fn certificates(read: &Read, hooks: &[Hook], group: &mut Group) {
    let operator = restart(read);
    let without = hooks.iter().filter(|it| it.bundle.is_empty());
    let without: BTreeSet<_> = without.map(|it| it.configuration.clone()).collect();
    if !without.is_empty() {
        let names: Vec<_> = without.into_iter().collect();
        return group.problem(
            "ca-bundle",
            format!("there is no CA bundle in webhook configuration {}: no call is trusted", few(&names)),
            format!("the operator puts it there within 5 s, if it runs and may: {operator}; tell other tools to leave the field alone"),
        );
    }
    let secret = match &read.secret {
        Ok(secret) => secret,
        Err(why) => return group.unseen("certificate", "certificate", why),
    };
    let leaf = secret.data.as_ref().and_then(|it| it.get("tls.crt"));
    let leaf = leaf.map(|it| it.0.as_slice()).unwrap_or_default();
    let Some((namespace, service, _)) = read.service() else {
        return;
    };
    let name = format!("{service}.{namespace}.svc");
    let now = moment(read);
    let until = certificate::until(leaf).unwrap_or(now);
    let days = (until.as_second() - now.as_second()).div_euclid(24 * 3600);
    for hook in hooks {
        let Err(wrong) = certificate::verify(leaf, &hook.bundle, &name, now) else {
            continue;
        };
        let again = format!(
            "kubectl -n {namespace} delete secret {}; the operator issues another one ({operator}, if it does not)",
            secret.name_any()
        );
        let configuration = &hook.configuration;
        let (section, says, fix) = match wrong {
            Wrong::Expired => (
                "certificate-expired",
                format!(
                    "the certificate has expired, on {}",
                    until.strftime("%Y-%m-%d %H:%M UTC")
                ),
                format!("the operator renews it, if it runs and may: {operator}"),
            ),
            Wrong::NotYet => (
                "clocks",
                "the certificate is not valid yet: the clock of the operator's node is ahead"
                    .to_owned(),
                "set the clocks of the nodes (NTP), then issue it again".to_owned(),
            ),
            Wrong::NotTrusted => (
                "certificate",
                format!(
                    "the certificate does not match the CA bundle of {configuration}: somebody else signed it"
                ),
                again,
            ),
            Wrong::OtherName => (
                "certificate",
                format!("the certificate is not for {name}"),
                again,
            ),
            Wrong::Unreadable => (
                "certificate",
                "the Secret holds no certificate".to_owned(),
                again,
            ),
            Wrong::NoBundle => (
                "ca-bundle",
                format!("the CA bundle of {configuration} holds no certificate"),
                format!("the operator restores it within 5 s, if it runs and may: {operator}"),
            ),
            Wrong::Other(why) => (
                "certificate",
                format!("the certificate is refused: {why}"),
                again,
            ),
        };
        return group.problem(section, says, fix);
    }
    let says = format!("certificate {days} days left, CA bundle matches");
    match days < LEFT {
        true => group.warning(
            "certificate",
            says,
            format!("it is renewed at 30 days: look why it was not ({operator})"),
        ),
        false => group.fine("certificate", says),
    }
}

/// The API server's time, by which it judges certificates; else ours.
fn moment(read: &Read) -> Timestamp {
    let call = read.call.as_ref().ok();
    call.and_then(|it| it.server).unwrap_or(read.now)
}

/// That a pod that is created meets us.
fn answers(read: &Read, call: &Call, group: &mut Group) {
    let took = call.took.as_millis();
    let is_answer =
        |why: &String| why.contains("denied the request") && why.contains("pods.hostfit.dev");
    let unreachable = |group: &mut Group, why: &str| {
        group.problem(
            "unreachable",
            format!("the API server does not get an answer of the webhook{why}"),
            "look at the problems above; if there is none, may the API server reach pods of nodes (network policy, firewall, webhook.hostNetwork)?",
        );
    };
    match &call.refused {
        Some(why) if is_answer(why) => {
            group.fine(
                "webhook",
                format!("answers through the API server: {took} ms"),
            );
        }
        Some(why) if why.contains("failed calling webhook") && why.contains(".hostfit.dev") => {
            unreachable(group, &format!(": {why}"));
        }
        Some(why) => group.unseen(
            "webhook",
            "answer through the API server",
            &format!("a pod is refused by others: {why}"),
        ),
        None if call.annotated => {
            group.fine(
                "webhook",
                format!("answers through the API server: {took} ms"),
            );
        }
        None => {
            let is_silent = match (&read.matrices, mode(read, call)) {
                (Err(why), _) => Some(format!("the mode there is not known ({why})")),
                (Ok(matrices), _) if matrices.is_empty() => {
                    Some("there is no SupportMatrix".to_owned())
                }
                (Ok(_), Mode::Off | Mode::Audit) => {
                    Some("the mode there is audit or off".to_owned())
                }
                (Ok(_), Mode::Warn | Mode::Enforce) if !annotates(read) => {
                    Some("annotatePods is off".to_owned())
                }
                (Ok(_), Mode::Warn | Mode::Enforce) => None,
            };
            match is_silent {
                Some(why) => group.unseen(
                    "webhook",
                    "answer through the API server",
                    &format!("in namespace {} nothing was said: {why}", call.namespace),
                ),
                None => unreachable(group, ""),
            }
        }
    }
}

/// The mode in the namespace of the call.
fn mode(read: &Read, call: &Call) -> Mode {
    let matrices = read.matrices.iter().flatten().cloned().map(Arc::new);
    let (policies, _) = Policies::read(matrices.collect(), &Policies::default());
    policies.judge(&call.labels).mode
}

/// Whether pods are annotated at all.
fn annotates(read: &Read) -> bool {
    let deployments = read.deployments.iter().flatten();
    let webhook = deployments.filter(|it| component(it) == Some("webhook"));
    let pods = webhook.filter_map(|it| it.spec.as_ref()?.template.spec.as_ref());
    let containers = pods.flat_map(|it| &it.containers);
    let mut variables = containers.flat_map(|it| it.env.iter().flatten());
    !variables.any(|it| it.name == "HOSTFIT_ANNOTATE_PODS" && it.value.as_deref() == Some("false"))
}

#[cfg(test)]
mod tests {
    use super::OF_PODS;

    #[test]
    fn the_webhooks_of_pods_have_the_policy_that_people_set() {
        let chart =
            include_str!("../../../../charts/hostfit/templates/webhook/configurations.yaml");
        let mut set = Vec::new();
        for webhook in chart.split("\n  - name: ").skip(1) {
            let name = webhook.lines().next().unwrap();
            let policy = "failurePolicy: {{ .Values.webhook.failurePolicy }}";
            let new_pods = chart.split_once("define \"hostfit.newPods\"").unwrap().1;
            assert!(
                new_pods
                    .split_once("{{- end }}\n{{- end }}")
                    .unwrap()
                    .0
                    .contains(policy)
            );
            if webhook.contains(policy) || webhook.contains("include \"hostfit.newPods\"") {
                set.push(name);
            } else {
                assert!(webhook.contains("failurePolicy: Ignore"), "{name}");
                assert!(!OF_PODS.contains(&name), "{name}");
            }
        }
        set.dedup();
        assert_eq!(set, OF_PODS);
    }
}
