//! Clusters with the operator and with nothing installed, seen by who may and who may not; clusters that are not there.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::api::Api;
use crate::golden::SHOP;
use crate::kit::{Folder, check, hostfit};

fn kubeconfig(server: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: demo\nclusters: [{{name: c, cluster: {{server: '{server}'}}}}]\n\
         contexts: [{{name: demo, context: {{cluster: c, user: u}}}}]\nusers: [{{name: u, user: {{token: secret}}}}]\n"
    )
}

/// The command on the cluster that this folder's kubeconfig leads to.
#[track_caller]
fn on(folder: &Folder, arguments: &[&str], code: i32, says: &[&str]) -> String {
    let kubeconfig = [
        "--kubeconfig",
        "kubeconfig",
        "--as-of",
        "2026-11-25",
        "--no-cache",
    ];
    check(folder, &[arguments, &kubeconfig].concat(), code, says)
}

/// The lines of workloads that do not simply fit.
pub(crate) fn rows(table: &str) -> Vec<&str> {
    let words = ["FAIL ", "PARTIAL ", "WARN ", "UNKNOWN "];
    let lines = table.lines();
    lines
        .filter(|line| words.iter().any(|word| line.starts_with(word)))
        .collect()
}

#[test]
fn a_cluster_that_cannot_be_asked_is_named_with_what_to_do() {
    let folder = Folder::new("unreachable");
    let write = |name: &str, text: &str| fs::write(folder.0.join(name), text).unwrap();
    let say = |kubeconfig: &str, more: &[&str], says: &[&str]| {
        let arguments = [&["check", "-A", "--kubeconfig", kubeconfig], more].concat();
        check(&folder, &arguments, 2, says);
    };
    check(
        &folder,
        &["check"],
        2,
        &[
            "there is no kubeconfig",
            "--kubeconfig",
            "check -f DIR --host",
        ],
    );
    write("good", &kubeconfig("http://127.0.0.1:1"));
    say(
        "good",
        &[],
        &[
            "http://127.0.0.1:1",
            "cannot be asked: tcp connect error: Connection refused",
            "is it up",
            "it is demo",
        ],
    );
    say(
        "good",
        &["--context", "demi"],
        &["no context demi", "did you mean demo?"],
    );
    say("absent", &[], &["there is no kubeconfig absent"]);
    write("garbage", "root:x:0:0\n- [");
    say("garbage", &[], &["garbage is no kubeconfig"]);
    write("pod", "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\n");
    say("pod", &[], &["pod is no kubeconfig: its kind is Pod"]);
    write("empty", "apiVersion: v1\nkind: Config\n");
    say("empty", &[], &["no current context"]);
}

#[test]
fn with_the_operator_its_word_counts_and_no_registry_is_asked() {
    let folder = Folder::new("operator");
    let asked = Api::shop().serve(&folder);
    let live = on(&folder, &["check", "-A"], 1, &[]);
    let then = check(
        &folder,
        &["check", "--snapshot", SHOP, "--as-of", "2026-11-25"],
        1,
        &[],
    );
    // Names of registries in it lead nowhere: one that was asked would not have answered.
    assert_eq!(rows(&live), rows(&then));
    assert!(!live.contains("permissions used"), "{live}");
    let asked = asked.lock().unwrap();
    assert!(
        !asked.iter().any(|path| path.contains("nodefeatures")),
        "{asked:?}"
    );
    assert!(asked.len() < 30, "{asked:?}");
}

#[test]
fn with_nothing_installed_nodes_and_registries_are_asked() {
    let folder = Folder::new("nothing");
    Api::shop().without_hostfit().serve(&folder);
    let hosts = on(&folder, &["nodes"], 0, &[]);
    for host in [
        "amzn2-k510     3 ",
        "debian12-k618  1 ",
        "rhel94-k514    3 ",
    ] {
        assert!(hosts.contains(host), "{host}:\n{hosts}");
    }
    let says = [
        "7 unknown",
        "7 could not be told",
        "permissions used: ",
        "list deployments.apps in namespace shop",
    ];
    let table = on(
        &folder,
        &["check", "--registry-allow", "nobody.example"],
        0,
        &says,
    );
    assert!(table.contains("HF907"), "{table}");
}

#[test]
fn manifests_are_judged_on_a_host_profile_of_the_cluster() {
    let folder = Folder::new("manifests-of-cluster");
    let mut api = Api::shop();
    api.forbidden.extend(["statefulsets", "baseimages"]);
    let asked = api.serve(&folder);
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: new}\nspec: {containers: [{name: c, image: 'x.example/y:1'}]}\n";
    fs::write(folder.0.join("new.yaml"), pod).unwrap();
    let place = [
        "--host",
        "rhel94-k514",
        "--registry-allow",
        "nobody.example",
    ];
    let says = [
        "1 workload, 1 image, 1 host (3 nodes)",
        "HF907",
        "may not list baseimages.hostfit.dev",
    ];
    on(
        &folder,
        &[&["check", "-f", "new.yaml"], &place[..]].concat(),
        0,
        &says,
    );
    let asked = asked.lock().unwrap();
    // Policies are, workloads are not.
    assert!(
        asked.iter().any(|path| path.contains("supportmatrices")),
        "{asked:?}"
    );
    assert!(
        !asked.iter().any(|path| path.contains("deployments")),
        "{asked:?}"
    );
    drop(asked);
    let wrong = ["check", "-f", "new.yaml", "--host", "rhel94-k51"];
    on(&folder, &wrong, 2, &["did you mean rhel94-k514?"]);
}

#[test]
fn of_several_exceptions_each_is_made_that_can_be() {
    let folder = Folder::new("except-apply");
    let command = |more: &[&'static str]| {
        let until = ["HF501", "--until", "+30d", "--apply", "--reason"];
        [&["except", "deploy"], more, &until, &["new nodes come"]].concat()
    };
    let of = |name: &str| format!("compatexception.hostfit.dev/deploy-{name}-hf501 in shop");
    let mut api = Api::shop();
    let asked = api.clone().serve(&folder);
    let both = command(&["fast", "ledger"]);
    let out = on(&folder, &both, 0, &[]);
    let made = ["fast", "ledger"].map(|it| format!("{} applied\n", of(it)));
    assert_eq!(out, made.concat());
    let written = "/apis/hostfit.dev/v1alpha1/namespaces/shop/compatexceptions/deploy-fast-hf501?";
    let asked = asked.lock().unwrap();
    let written = asked.iter().find(|it| it.starts_with(written)).unwrap();
    assert!(
        written.contains("fieldManager=hostfit-cli") && !written.contains("force=true"),
        "{written}"
    );
    // The first one is refused: the second is made nevertheless.
    for (code, words, says) in [
        (
            409,
            "conflict with \"argocd\": .spec.reason",
            "somebody else wrote it (conflict with \"argocd\": .spec.reason); change it where it was written",
        ),
        (
            403,
            "User \"dev\" cannot patch compatexceptions",
            "User \"dev\" cannot patch compatexceptions; print it without --apply, and give it to whoever may",
        ),
        (
            422,
            "spec.codes: Too many",
            "the API server does not take it (spec.codes: Too many); print it",
        ),
        (404, "no", "the cluster has no CompatExceptions; install"),
    ] {
        api.refused = [("deploy-fast-hf501", (code, words))].into();
        api.clone().serve(&folder);
        let says = format!("error: {} is not made: {says}", of("fast"));
        let out = on(&folder, &both, 2, &[&says]);
        assert_eq!(out, made[1], "{code}");
    }
    // A server that fails is not asked again and again.
    api.refused = [("deploy-fast-hf501", (500, "etcd is gone"))].into();
    let asked = api.serve(&folder);
    let out = on(&folder, &both, 2, &["answered 500: etcd is gone"]);
    assert_eq!(out, "");
    let asked = asked.lock().unwrap();
    assert!(!asked.iter().any(|it| it.contains("ledger-hf501")));
}

#[test]
fn what_may_not_be_seen_is_named_and_is_no_pass() {
    let folder = Folder::new("hidden");
    let mut api = Api::shop();
    api.forbidden.extend(["statefulsets", "supportmatrices"]);
    api.serve(&folder);
    let arguments = ["check", "deploy/web", "--fail-on", "unknown"];
    let says = [
        "1 pass",
        "may not list statefulsets.apps in namespace shop: no statefulsets there are judged",
        "may not list supportmatrices.hostfit.dev: the default rules were used",
        "1 kind of workloads is hidden: it is no pass",
    ];
    on(&folder, &arguments, 3, &says);
}

#[test]
fn who_sees_reports_but_not_nodes_gets_the_verdicts_of_the_operator() {
    let folder = Folder::new("tenant");
    let mut api = Api::shop();
    api.forbidden
        .extend(["nodes", "hostprofiles", "imageprofiles"]);
    let asked = api.serve(&folder);
    let table = on(
        &folder,
        &["check"],
        0,
        &["6 warn", "1 unknown", "may not list nodes"],
    );
    assert_eq!(rows(&table).len(), 7, "{table}");
    assert!(
        asked
            .lock()
            .unwrap()
            .iter()
            .all(|path| !path.contains("nodes?continue"))
    );
}

#[test]
fn what_only_the_operator_can_read_it_is_believed_of() {
    let folder = Folder::new("word");
    let mut api = Api::shop();
    // It reads layers in another version.
    for profile in api.objects.get_mut("imageprofiles").unwrap() {
        profile["status"]["readBy"] = "0".into();
    }
    api.serve(&folder);
    let says = [
        "6 warn",
        "1 unknown",
        "HF901",
        "may not read the images of 6 workloads here: the operator's verdicts stand for them",
    ];
    on(&folder, &["check"], 0, &says);
    on(
        &folder,
        &["check", "--host", "builtin/rhel-9"],
        0,
        &["7 unknown"],
    );
}

#[test]
fn credentials_come_from_a_plugin_as_for_kubectl() {
    let folder = Folder::new("exec");
    let mut api = Api::shop();
    api.token = Some("of-the-plugin");
    api.serve(&folder);
    on(
        &folder,
        &["nodes"],
        2,
        &["does not know you", "log in again"],
    );
    let plugin = folder.0.join("plugin");
    let credential = r#"{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "of-the-plugin"}}"#;
    fs::write(&plugin, format!("#!/bin/sh\necho '{credential}'\n")).unwrap();
    fs::set_permissions(&plugin, fs::Permissions::from_mode(0o755)).unwrap();
    let text = fs::read_to_string(folder.0.join("kubeconfig")).unwrap();
    let mut kubeconfig: serde_json::Value = serde_json::from_str(&text).unwrap();
    kubeconfig["users"][0]["user"] = json!({"exec": {
        "apiVersion": "client.authentication.k8s.io/v1", "command": "./plugin", "interactiveMode": "Never",
    }});
    fs::write(folder.0.join("kubeconfig"), kubeconfig.to_string()).unwrap();
    on(&folder, &["nodes"], 0, &["rhel94-k514"]);
    fs::remove_file(&plugin).unwrap();
    on(
        &folder,
        &["nodes"],
        2,
        &["use the credentials of context ", " by ./plugin: "],
    );
}

#[test]
fn a_thousand_workloads_and_three_hundred_nodes_take_few_calls_and_little_time() {
    let folder = Folder::new("thousand");
    let mut api = Api::shop();
    let text = fs::read_to_string(SHOP).unwrap();
    let snapshot: serde_json::Value = serde_json::from_str(&text).unwrap();
    let shop = snapshot["objects"]["workloads"].as_array().unwrap();
    for index in 0..1000 {
        let mut workload = shop[index % shop.len()].clone();
        workload["name"] = format!("w-{index}").into();
        workload["uid"] = format!("u-{index}").into();
        api.workload(&workload, &snapshot["images"]);
    }
    let nodes = api.objects["nodes"].clone();
    for index in 0..300 {
        let mut node = nodes[index % nodes.len()].clone();
        node["metadata"]["name"] = format!("n-{index}").into();
        api.add("nodes", node);
    }
    let asked = api.serve(&folder);
    let began = Instant::now();
    on(
        &folder,
        &["check", "-A", "-q"],
        1,
        &["1007 workloads, 7 images, 3 hosts (307 nodes)"],
    );
    let took = began.elapsed();
    println!("{took:?}, {} calls", asked.lock().unwrap().len());
    let patience = if cfg!(debug_assertions) { 30 } else { 3 };
    assert!(took < Duration::from_secs(patience), "{took:?}");
    assert!(asked.lock().unwrap().len() < 40);
}

#[test]
fn doctor_names_a_cluster_that_cannot_be_asked() {
    let folder = Folder::new("doctor");
    fs::write(folder.0.join("good"), kubeconfig("http://127.0.0.1:1")).unwrap();
    let arguments = ["doctor", "--kubeconfig", "good"];
    check(&folder, &arguments, 2, &["http://127.0.0.1:1", "is it up"]);
    let format = [&arguments[..], &["-o", "html"]].concat();
    check(&folder, &format, 2, &["hostfit doctor has no format html"]);
}

#[test]
fn a_snapshot_without_workloads_says_where_it_looked() {
    let folder = Folder::new("nothing-there");
    let mut api = Api::shop();
    api.add("namespaces", json!({"metadata": {"name": "pay"}}));
    api.serve(&folder);
    let says = [
        "the snapshot has no workload: none was found in namespace pay of cluster fake",
        "-A takes all namespaces",
    ];
    let out = on(&folder, &["snapshot", "-n", "pay"], 0, &says);
    assert!(out.starts_with('{'), "{out}");
    // The namespace of the context.
    let selected = ["snapshot", "-l", "app=nobody"];
    let says = ["none with labels app=nobody was found in namespace shop"];
    on(&folder, &selected, 0, &says);
    let everywhere = ["snapshot", "-A", "-l", "app=nobody"];
    on(&folder, &everywhere, 0, &["(-n, -A and -l select)"]);
    let whole = ["snapshot", "--kubeconfig", "kubeconfig", "--no-cache"];
    let error = hostfit(&folder, &whole).stderr;
    let error = String::from_utf8(error).unwrap();
    assert!(!error.contains("no workload"), "{error}");
}
