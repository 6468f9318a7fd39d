//! Clusters that are not there, and snapshots that are none.

use std::fs;

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
