//! A healthy install, and one thing of it broken at a time.

pub(super) mod install;

use hostfit_crds::support_matrix::Mode;
use k8s_openapi::ByteString;
use serde_json::json;

use super::*;
use install::{base, certificate, certified, configuration, deployment, healthy, lease, of};

/// What is not fine, a line each.
fn told(checks: &[Check]) -> String {
    let bad = checks.iter().filter(|it| it.state != State::Fine);
    let bad: Vec<_> = bad
        .map(|it| {
            let fix = it.fix.as_deref().unwrap_or_default();
            format!("{} {}: {} [{fix}]", it.state.name(), it.section, it.says)
        })
        .collect();
    bad.join("\n")
}

/// One thing broken: the first line that is told has all of these parts, and nothing is told of an install in which it is not.
#[track_caller]
fn check(break_it: impl FnOnce(&mut Read), parts: &[&str]) -> String {
    let mut read = healthy();
    break_it(&mut read);
    let told = told(&all(&read));
    let first = told.lines().next().unwrap_or_default();
    for part in parts {
        assert!(first.contains(part), "{part:?} is missing:\n{told}");
    }
    told
}

#[test]
fn of_a_healthy_install_nothing_is_told() {
    let read = healthy();
    assert_eq!(told(&all(&read)), "");
    let says: Vec<_> = all(&read).into_iter().map(|it| it.says).collect();
    for part in [
        "Kubernetes v1.35.2",
        "CRDs v1alpha1, no old stored versions",
        "hostfit-operator 2/2",
        "answers through the API server: 6 ms",
        "certificate 89 days left, CA bundle matches",
        "all registries answered, as of the 1 reports",
        "all BaseImages are followed: 1",
    ] {
        assert!(
            says.iter().any(|it| it.contains(part)),
            "{part:?}: {says:?}"
        );
    }
}

#[test]
fn the_install_of_the_mock_up() {
    let mut read = healthy();
    let hooks = read.validating.as_mut().unwrap()[0].webhooks.as_mut();
    hooks.unwrap()[0].failure_policy = Some("Ignore".to_owned());
    let names: Vec<_> = (1..=14).map(|index| format!("node-{index:02}")).collect();
    let nodes = names.iter().map(|name| {
        of(json!({
            "metadata": {"name": name, "labels": {"kubernetes.io/arch": "amd64"}},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        }))
    });
    read.nodes = Ok(nodes.collect());
    let profiles = names.iter().enumerate().map(|(index, name)| {
        let facts = match index {
            0..3 => json!({"os": "ubuntu"}),
            _ => json!({"os": "ubuntu", "cpuLevel": 3}),
        };
        of(json!({"metadata": {"name": name}, "spec": {}, "status": {"facts": facts}}))
    });
    read.node_profiles = Ok(profiles.collect());
    read.leases = Ok(names.iter().map(|name| of(lease(name, read.now))).collect());
    let gap = hostfit_engine::fact::Gap::Unauthorized {
        registry: "registry.acme.example".to_owned(),
    };
    let finding = gap.finding();
    read.reports = Ok(vec![of(json!({
        "metadata": {"name": "sts-carts", "namespace": "shop"},
        "spec": {"targetRef": {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "carts", "uid": ""}},
        "status": {"verdict": "Unknown", "findings": [{
            "code": finding.code.as_str(), "severity": "Unknown", "verdict": "Unknown",
            "message": finding.message(), "remediation": finding.fix,
        }]},
    }))]);
    let signs = crate::doctor::Signs { is_utf8: true };
    let shown = crate::doctor::table(&all(&read), &signs);
    let shown = anstream::adapter::strip_str(&shown).to_string();
    // How many rules there are changes, and how old they are does by the day.
    let lines = shown.lines().map(|line| match line.contains(" rules") {
        true => "√ … rules …\n".to_owned(),
        false => format!("{line}\n"),
    });
    let shown: String = lines.collect();
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/it/golden/acme-doctor.txt"
    );
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(file, &shown).unwrap();
    }
    let expected = std::fs::read_to_string(file).unwrap_or_default();
    assert_eq!(shown, expected, "UPDATE=1 writes {file}");
}

#[test]
fn a_bundle_that_is_not_there() {
    let without = |read: &mut Read| {
        read.validating = Ok(vec![of(configuration("hostfit", b"", "Fail"))]);
    };
    check(
        without,
        &[
            "Problem ca-bundle",
            "no CA bundle in webhook configuration hostfit",
            "rollout restart deploy/hostfit-operator",
        ],
    );
    let garbage = |read: &mut Read| {
        read.mutating = Ok(vec![of(configuration("hostfit", b"garbage", "Fail"))]);
    };
    check(garbage, &["Problem ca-bundle", "holds no certificate"]);
}

#[test]
fn a_certificate_of_somebody_else() {
    let other = |read: &mut Read| {
        let (_, leaf) = certificate(-1, 89);
        let data = read.secret.as_mut().unwrap().data.as_mut().unwrap();
        data.insert("tls.crt".to_owned(), ByteString(leaf));
    };
    check(
        other,
        &[
            "Problem certificate",
            "does not match the CA bundle",
            "delete secret hostfit-webhook-tls",
        ],
    );
    let none = |read: &mut Read| {
        let data = read.secret.as_mut().unwrap().data.as_mut().unwrap();
        data.insert("tls.crt".to_owned(), ByteString(b"garbage".to_vec()));
    };
    check(none, &["Problem certificate", "holds no certificate"]);
}

#[test]
fn a_certificate_whose_time_is_over() {
    check(
        |read| certified(read, -100, -10),
        &[
            "Problem certificate-expired",
            "has expired, on 20",
            "operator",
        ],
    );
    check(
        |read| certified(read, -80, 10),
        &["Warning certificate", "days left", "why it was not"],
    );
}

#[test]
fn a_webhook_that_cannot_be_reached() {
    let silent = |read: &mut Read| {
        read.call.as_mut().unwrap().annotated = false;
    };
    check(
        silent,
        &[
            "Problem unreachable",
            "does not get an answer",
            "network policy",
        ],
    );
    let audit = |read: &mut Read| {
        silent(read);
        let matrix = json!({"metadata": {"name": "default"}, "spec": {"mode": "Audit"}});
        read.matrices = Ok(vec![of(matrix)]);
    };
    check(audit, &["Unseen webhook", "the mode there is audit or off"]);
    let hidden = |read: &mut Read| {
        silent(read);
        read.matrices = Err("you may not list supportmatrices.hostfit.dev".to_owned());
    };
    let told = check(hidden, &["Unseen matrices", "you may not list"]);
    assert!(told.contains("the mode there is not known"), "{told}");
    let failed = |read: &mut Read| {
        silent(read);
        read.call.as_mut().unwrap().refused =
            Some("failed calling webhook \"pods.hostfit.dev\": connection refused".to_owned());
    };
    check(failed, &["Problem unreachable", "connection refused"]);
    let refused = |read: &mut Read| {
        silent(read);
        read.call.as_mut().unwrap().refused =
            Some("admission webhook \"pods.hostfit.dev\" denied the request: …".to_owned());
    };
    assert_eq!(check(refused, &[]), "", "a refusal is an answer");
    check(
        |read| read.endpoints = Ok(Vec::new()),
        &[
            "Problem unreachable",
            "Service hostfit/hostfit-webhook has no address",
            "get pods",
        ],
    );
    let down = |read: &mut Read| {
        let webhook = &mut read.deployments.as_mut().unwrap()[1];
        webhook.status = None;
    };
    check(
        down,
        &[
            "Problem unreachable",
            "none of 2 is ready",
            "kubectl -n hostfit describe pods -l app.kubernetes.io/component=webhook,app.kubernetes.io/instance=hostfit tells",
            "logs deploy/hostfit-webhook",
        ],
    );
    let ended = |read: &mut Read, ready: i32| {
        let webhook = &mut read.deployments.as_mut().unwrap()[1];
        webhook.status.as_mut().unwrap().ready_replicas = Some(ready);
        let labels = webhook.spec.as_ref().unwrap().selector.match_labels.clone();
        read.pods = Ok(vec![of(json!({
            "metadata": {"name": "p", "namespace": "hostfit", "labels": labels},
            "status": {"containerStatuses": [{
                "name": "webhook", "ready": false, "restartCount": 4, "image": "i", "imageID": "",
                "lastState": {"terminated": {"exitCode": 1, "message": "Error: listen on 0.0.0.0:80\n"}},
            }]},
        }))]);
    };
    let why = "it ended with 1: listen on 0.0.0.0:80";
    check(
        |read| ended(read, 0),
        &["Problem unreachable", "none of 2 is ready", why],
    );
    check(
        |read| ended(read, 1),
        &["Warning unreachable", "hostfit-webhook 1/2", why],
    );
    // The old ones go on.
    check(
        |read| ended(read, 2),
        &[
            "Warning unreachable",
            "a new pod does not become ready",
            why,
        ],
    );
    let scaled = |read: &mut Read| {
        let webhook = &mut read.deployments.as_mut().unwrap()[1];
        webhook.spec.as_mut().unwrap().replicas = Some(0);
    };
    check(
        scaled,
        &[
            "Problem unreachable",
            "scaled to 0",
            "--replicas 2, or what your values say (webhook.replicas)",
        ],
    );
}

#[test]
fn without_a_matrix_nothing_is_said() {
    let none = |read: &mut Read| {
        read.matrices = Ok(Vec::new());
        read.call.as_mut().unwrap().annotated = false;
    };
    let mut read = healthy();
    none(&mut read);
    let is_problem = |it: &Check| it.state == State::Problem;
    assert!(!all(&read).iter().any(is_problem), "{}", told(&all(&read)));
    let told = check(
        none,
        &[
            "Warning matrices",
            "there is no SupportMatrix: nothing is refused or warned of, hostfit only reports",
            "kubectl -n hostfit rollout restart deploy/hostfit-operator",
            "matrix.create=false",
        ],
    );
    assert!(
        told.contains("nothing was said: there is no SupportMatrix"),
        "{told}"
    );
    let nothing = |read: &mut Read| {
        none(read);
        read.deployments = Ok(Vec::new());
    };
    let told = check(nothing, &["Problem operator", "not installed"]);
    assert!(!told.contains("Warning matrices"), "{told}");
}

#[test]
fn crds_of_before() {
    let older = |read: &mut Read| {
        let crds = read.crds.as_mut().unwrap().iter_mut();
        let mut crds = crds.filter(|it| it.spec.names.kind == "CompatReport");
        let reports = crds.next().unwrap();
        let schema = reports.spec.versions[0].schema.as_mut().unwrap();
        let schema = schema.open_api_v3_schema.as_mut().unwrap();
        let status = schema
            .properties
            .as_mut()
            .unwrap()
            .get_mut("status")
            .unwrap();
        status.properties.as_mut().unwrap().remove("topFinding");
    };
    check(
        older,
        &[
            "Problem crds",
            "compatreports.hostfit.dev (status.topFinding, 1 in all)",
            "apply the CRDs",
        ],
    );
    check(
        |read| {
            read.crds.as_mut().unwrap().remove(0);
        },
        &[
            "Problem crds",
            "CRDs are missing: supportmatrices.hostfit.dev",
        ],
    );
}

#[test]
fn a_right_that_is_missing() {
    let without = |read: &mut Read| {
        let rights = read.rights.as_mut().unwrap();
        let pods = rights.iter_mut().find(|(it, _)| it.resource == "pods");
        pods.unwrap().1 = false;
    };
    check(
        without,
        &[
            "Problem rights",
            "hostfit-operator: list pods",
            "helm upgrade",
        ],
    );
    check(
        |read| read.rights = Err("you may not create subjectaccessreviews".to_owned()),
        &["Unseen rights", "you may not create subjectaccessreviews"],
    );
}

#[test]
fn a_registry_that_refuses() {
    let refuses = |read: &mut Read| {
        let report = &mut read.reports.as_mut().unwrap()[0];
        report.status = Some(of(json!({"findings": [{
            "code": "HF901", "severity": "Unknown", "verdict": "Unknown",
            "message": "image not checked: registry registry.example refused access",
            "remediation": "name a pull secret for it in registry.listed",
        }]})));
    };
    check(
        refuses,
        &[
            "Problem registries",
            "registry registry.example refused access (HF901, used by shop/carts)",
            "name a pull secret",
        ],
    );
    let missing = |read: &mut Read| {
        refuses(read);
        read.listed.as_mut().unwrap()[0].2 = false;
    };
    let told = check(
        missing,
        &[
            "Problem registries",
            "registry.listed names Secrets that are not there: hostfit/regcred",
            "kubectl -n hostfit create secret docker-registry regcred",
        ],
    );
    assert!(
        told.contains("[first make the Secrets that registry.listed names"),
        "{told}"
    );
    assert!(!told.contains("name a pull secret"), "{told}");
    check(
        |read| read.listed = Err("you may not get Secret hostfit/regcred".to_owned()),
        &["Unseen registries", "you may not get Secret"],
    );
}

#[test]
fn base_images_that_cannot_be_read() {
    let none = |read: &mut Read| {
        let bases = ["ubi8", "ubi9"].map(|name| of(base(name, "False", &[])));
        read.bases = Ok(bases.into());
    };
    let told = check(
        none,
        &[
            "Warning registries",
            "2 of 2 BaseImages could not be read (ubi8: tag latest: registry of ubi8 does not answer)",
            "registry.mirrors",
        ],
    );
    assert_eq!(told.lines().count(), 1, "{told}");
    let partly = |read: &mut Read| {
        read.bases
            .as_mut()
            .unwrap()
            .push(of(base("ubi8", "False", &["latest"])));
    };
    check(
        partly,
        &[
            "Warning registries",
            "not every tag of 1 of 2 BaseImages could be read (ubi8: ",
            "kubectl describe baseimage ubi8",
        ],
    );
    let hidden = "you may not list baseimages.hostfit.dev";
    check(
        |read| read.bases = Err(hidden.to_owned()),
        &["Unseen registries", hidden],
    );
}

#[test]
fn nodes_of_which_something_is_not_known() {
    let without = |read: &mut Read| {
        let profile = &mut read.node_profiles.as_mut().unwrap()[0];
        profile
            .status
            .as_mut()
            .unwrap()
            .facts
            .as_mut()
            .unwrap()
            .cpu_level = None;
    };
    check(
        without,
        &[
            "Warning facts",
            "1 of 1 nodes: CPU level unknown (one)",
            "agent.enabled=true",
        ],
    );
    let enabled = |read: &mut Read| {
        without(read);
        let operator = &mut read.deployments.as_mut().unwrap()[0];
        let pod = operator.spec.as_mut().unwrap().template.spec.as_mut();
        let env = pod.unwrap().containers[0].env.as_mut().unwrap();
        env.push(of(json!({"name": "HOSTFIT_AGENTS", "value": "believed"})));
    };
    let told = check(
        enabled,
        &[
            "Warning facts",
            "does it run there (kubectl get pods -o wide -n hostfit -l app.kubernetes.io/component=agent)",
        ],
    );
    assert!(!told.contains("agent.enabled"), "{told}");
    let silent = |read: &mut Read| {
        enabled(read);
        let profile = &mut read.node_profiles.as_mut().unwrap()[0];
        profile.status.as_mut().unwrap().agent = Some(of(json!({})));
    };
    let told = check(
        silent,
        &[
            "Warning facts",
            "CPU level unknown (one)",
            "does not tell it either",
            "spec.overrides",
        ],
    );
    assert_eq!(told.lines().count(), 1, "{told}");
    let arm = |read: &mut Read| {
        without(read);
        let labels = read.nodes.as_mut().unwrap()[0]
            .metadata
            .labels
            .as_mut()
            .unwrap();
        labels.insert("kubernetes.io/arch".to_owned(), "arm64".to_owned());
    };
    assert_eq!(check(arm, &[]), "", "other processors have no levels");
    check(
        |read| read.node_profiles = Ok(Vec::new()),
        &["Problem facts", "1 of 1 nodes are not described yet: one"],
    );
}

#[test]
fn clocks_that_are_off() {
    let later = |seconds: i64| jiff::SignedDuration::from_secs(seconds);
    check(
        |read| read.now += later(3600),
        &["Problem clocks", "this machine is 3600 s ahead of", "NTP"],
    );
    for (seconds, told) in [(3600, "+3600 s"), (-3600, "-3600 s")] {
        check(
            |read| read.leases = Ok(vec![of(lease("one", read.now + later(seconds)))]),
            &["Problem clocks", "clocks of nodes are off: one", told],
        );
    }
    let asleep = |read: &mut Read| {
        read.leases = Ok(vec![of(lease("one", read.now - later(3600)))]);
        read.nodes.as_mut().unwrap()[0].status = None;
    };
    assert_eq!(check(asleep, &[]), "", "a node that is down has no clock");
    check(
        |read| certified(read, 1, 90),
        &["Problem clocks", "not valid yet"],
    );
}

#[test]
fn what_refuses_and_is_not_asked() {
    let spared =
        json!({"matchExpressions": [{"key": "hostfit.dev/validate", "operator": "Exists"}]});
    let spare = |read: &mut Read| {
        let hooks = read.validating.as_mut().unwrap()[0].webhooks.as_mut();
        hooks.unwrap()[0].object_selector = Some(of(spared.clone()));
    };
    let enforce = |read: &mut Read| {
        read.matrices.as_mut().unwrap()[0].spec.mode = Mode::Enforce;
    };
    for one in [&spare as &dyn Fn(&mut Read), &enforce] {
        let mut read = healthy();
        one(&mut read);
        assert_eq!(told(&all(&read)), "");
    }
    check(
        |read| {
            spare(read);
            enforce(read);
        },
        &[
            "Problem spared",
            "SupportMatrix default refuses, but the API server does not ask",
            "rollout restart deploy/hostfit-operator",
        ],
    );
}

#[test]
fn two_releases() {
    let both = |read: &mut Read| {
        let deployments = read.deployments.as_mut().unwrap();
        deployments.push(of(deployment("operator", "other")));
    };
    check(
        both,
        &[
            "Problem two-releases",
            "hostfit/hostfit, other/other",
            "helm uninstall",
        ],
    );
    let configurations = |read: &mut Read| {
        let bundle = read.validating.as_ref().unwrap()[0]
            .webhooks
            .as_ref()
            .unwrap()[0]
            .client_config
            .ca_bundle
            .clone();
        let other = configuration("other", &bundle.unwrap().0, "Fail");
        read.validating.as_mut().unwrap().push(of(other));
    };
    check(configurations, &["Problem two-releases", "hostfit, other"]);
}

#[test]
fn what_is_switched_off_or_not_there() {
    let off = |read: &mut Read| {
        (read.validating, read.mutating) = (Ok(Vec::new()), Ok(Vec::new()));
    };
    check(
        off,
        &[
            "Problem webhook",
            "nothing is said at admission",
            "helm upgrade --force-conflicts",
        ],
    );
    let uninstalled = |read: &mut Read| {
        off(read);
        read.deployments = Ok(Vec::new());
        read.crds = Ok(Vec::new());
    };
    let told = check(uninstalled, &["Problem crds", "helm install"]);
    assert!(told.contains("Problem webhook"), "{told}");
    assert!(!told.contains("helm upgrade"), "{told}");
    let nothing = |read: &mut Read| read.deployments = Ok(Vec::new());
    check(
        nothing,
        &["Problem operator", "not installed", "helm install"],
    );
    let ignore = |read: &mut Read| {
        let hooks = read.validating.as_mut().unwrap()[0]
            .webhooks
            .as_mut()
            .unwrap();
        hooks[0].failure_policy = Some("Ignore".to_owned());
    };
    check(
        ignore,
        &["Warning failure-policy", "let in while the webhook is down"],
    );
}

#[test]
fn before_an_install_the_users_rights_count() {
    let mut read = healthy();
    read.deployments = Ok(Vec::new());
    read.rights = Ok(rights::of_install()
        .into_iter()
        .map(|it| (it, true))
        .collect());
    assert_eq!(told(&before(&read)), "");
    read.rights.as_mut().unwrap()[0].1 = false;
    let told_now = told(&before(&read));
    assert!(
        told_now.contains("you may not create customresourcedefinitions"),
        "{told_now}"
    );
    read.version = "v1.29.3".to_owned();
    assert!(told(&before(&read)).contains("older than 1.30"));
}

#[test]
fn every_check_has_its_section() {
    let page = include_str!("../../../../docs/checks.md");
    let mut read = healthy();
    let mut all_checks = all(&read);
    read.deployments = Ok(Vec::new());
    all_checks.extend(before(&read));
    for section in [
        "ca-bundle",
        "certificate-expired",
        "two-releases",
        "failure-policy",
    ] {
        assert!(page.contains(&format!("## {section}\n")), "{section}");
    }
    for check in all_checks {
        assert!(
            page.contains(&format!("## {}\n", check.section)),
            "{}",
            check.section
        );
    }
}
