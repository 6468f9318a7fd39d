//! Clusters with the operator and with nothing installed, seen by who may and who may not; clusters that are not there, and
//! snapshots that are none.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::api::Api;
use crate::golden::SHOP;
use crate::kit::{Folder, check};

fn kubeconfig(server: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: demo\nclusters: [{{name: c, cluster: {{server: '{server}'}}}}]\n\
         contexts: [{{name: demo, context: {{cluster: c, user: u}}}}]\nusers: [{{name: u, user: {{token: secret}}}}]\n"
    )
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
        &["http://127.0.0.1:1", "is it up", "it is demo"],
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
fn a_snapshot_is_versioned() {
    let folder = Folder::new("versions");
    let text = fs::read_to_string(SHOP).unwrap();
    let write = |name: &str, text: &str| fs::write(folder.0.join(name), text).unwrap();
    write(
        "newer",
        &text.replace("snapshot.hostfit.dev/v1", "snapshot.hostfit.dev/v2"),
    );
    write("cut", &text[..text.len() / 2]);
    write("other", r#"{"kind": "Pod"}"#);
    write("yaml", "kind: Snapshot");
    let say = |file: &str, says: &[&str]| {
        check(&folder, &["check", "--snapshot", file], 2, says);
    };
    say(
        "newer",
        &[
            "snapshot.hostfit.dev/v2",
            "this program reads snapshot.hostfit.dev/v1",
            "or newer",
        ],
    );
    say("cut", &["read snapshot cut"]);
    say(
        "other",
        &["it is no snapshot: make one with hostfit snapshot"],
    );
    say("yaml", &["no JSON"]);
    say("absent", &["open snapshot absent"]);
}

#[test]
fn a_snapshot_of_a_snapshot_is_the_same() {
    let folder = Folder::new("again");
    check(
        &folder,
        &["snapshot", "--snapshot", SHOP, "--output-file", "one"],
        0,
        &[],
    );
    check(
        &folder,
        &["snapshot", "--snapshot", "one", "--output-file", "two"],
        0,
        &[],
    );
    let read = |name: &str| fs::read_to_string(folder.0.join(name)).unwrap();
    assert_eq!(read("one"), read("two"));
    let verdicts = |file: &str| check(&folder, &["check", "-q", "--snapshot", file], 1, &[]);
    assert_eq!(verdicts(SHOP), verdicts("two"));
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
fn rows(table: &str) -> Vec<&str> {
    let words = ["FAIL ", "PARTIAL ", "WARN ", "UNKNOWN "];
    let lines = table.lines();
    lines
        .filter(|line| words.iter().any(|word| line.starts_with(word)))
        .collect()
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
    let table = on(&folder, &["check"], 0, &["7 warn", "may not list nodes"]);
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
fn a_redacted_snapshot_has_no_names_and_the_same_verdicts() {
    let folder = Folder::new("redacted");
    let to = [
        "snapshot",
        "--snapshot",
        SHOP,
        "--redact",
        "--output-file",
        "redacted.json",
    ];
    check(&folder, &to, 0, &[]);
    let text = fs::read_to_string(folder.0.join("redacted.json")).unwrap();
    for name in [
        "shop",
        "ledger",
        "legacy",
        "quiet",
        "secret",
        "registry.example",
        "private.example",
        "rhel9-1",
        "amzn2-1",
        "managedFields",
    ] {
        assert!(!text.contains(name), "{name}");
    }
    let counts = |file: &str| {
        let arguments = ["check", "-q", "--as-of", "2026-11-25", "--snapshot", file];
        let table = check(&folder, &arguments, 1, &[]);
        let codes = rows(&table)
            .into_iter()
            .filter_map(|row| row.split_whitespace().nth(2));
        let mut codes: Vec<_> = codes.map(str::to_owned).collect();
        codes.sort();
        codes
    };
    assert_eq!(counts("redacted.json"), counts(SHOP));
}

#[test]
fn what_is_excepted_does_not_count_until_its_second() {
    let folder = Folder::new("excepted");
    let target = ["shop/deploy/fast", "HF101", "--until", "2026-12-31"];
    let because = ["--reason", "the new nodes come in December", "-o", "json"];
    let day = ["--snapshot", SHOP, "--as-of", "2026-11-25"];
    let made = check(
        &folder,
        &[&["except"], &target[..], &because, &day].concat(),
        0,
        &[],
    );
    let exception: serde_json::Value = serde_json::from_str(&made).unwrap();
    let mut snapshot: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(SHOP).unwrap()).unwrap();
    snapshot["objects"]["exceptions"] = json!([exception]);
    fs::write(folder.0.join("shop.json"), snapshot.to_string()).unwrap();
    let on = |day: &'static str, code: i32, says: &[&str]| {
        let arguments = [
            "check",
            "--snapshot",
            "shop.json",
            "deploy/fast",
            "--as-of",
            day,
        ];
        check(&folder, &arguments, code, says);
    };
    on(
        "2026-12-30",
        0,
        &["HF501", "1 finding is accepted until 2026-12-31T00:00:00Z"],
    );
    on("2026-12-31", 1, &["HF101"]);
    let explain = [
        "explain",
        "--snapshot",
        "shop.json",
        "deploy/fast",
        "--as-of",
        "2026-12-30",
    ];
    check(
        &folder,
        &explain,
        0,
        &["HF101 accepted until 2026-12-31T00:00:00Z by exception deploy-fast-hf101"],
    );
    let json = [
        "check",
        "--snapshot",
        "shop.json",
        "--as-of",
        "2026-12-30",
        "-o",
        "json",
    ];
    check(
        &folder,
        &json,
        1,
        &["\"excepted\"", "the new nodes come in December"],
    );
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
