//! Snapshots: versions, names, and exceptions that end.

use std::fs;

use serde_json::{Value, json};

use crate::cluster::rows;
use crate::golden::SHOP;
use crate::kit::{Folder, check, hostfit};

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
    say(
        "cut",
        &[
            "read snapshot cut",
            "make it again with hostfit snapshot: EOF",
        ],
    );
    say(
        "other",
        &["it is no snapshot: make one with hostfit snapshot"],
    );
    say("yaml", &["no JSON"]);
    say("absent", &["open snapshot absent"]);
}

#[test]
fn what_is_declared_and_says_nothing_is_noted() {
    let folder = Folder::new("doubts");
    let mut snapshot: Value = serde_json::from_str(&fs::read_to_string(SHOP).unwrap()).unwrap();
    let objects = &mut snapshot["objects"];
    objects["matrices"][0]["spec"]["rules"] = json!([
        {"name": "a", "verdict": "Supported", "host": {"profiles": ["rhel94-k541", "amzn2-*"], "os": "rhel"}},
        {"name": "b", "verdict": "Supported", "image": {"distro": ["rehl", "acme"]}},
    ]);
    let exception = |name: &str, namespace: &str, codes: &str, until: &str| {
        json!({
            "apiVersion": "hostfit.dev/v1alpha1", "kind": "CompatException",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"codes": [codes], "images": ["*"], "hostProfiles": ["elsewhere"],
                     "reason": "moves in spring", "expirationTime": format!("{until}T00:00:00Z")},
        })
    };
    objects["exceptions"] = json!([
        exception("now", "shop", "HF101", "2027-01-01"),
        exception("over", "shop", "HF101", "2026-01-01"),
        exception("other", "nowhere", "HF101", "2027-01-01"),
        exception("misspelt", "shop", "HF10l", "2027-01-01"),
    ]);
    fs::write(folder.0.join("s.json"), snapshot.to_string()).unwrap();
    let look = [
        "check",
        "-A",
        "--snapshot",
        "s.json",
        "--as-of",
        "2026-11-25",
    ];
    let noted = |arguments: &[&str]| {
        let output = hostfit(&folder, arguments);
        assert_eq!(output.status.code(), Some(1));
        let error = String::from_utf8(output.stderr).unwrap();
        error.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(
        noted(&look),
        [
            "note: SupportMatrix default: row \"a\": host.profiles: there is no HostProfile rhel94-k541; did you mean rhel94-k514?",
            "note: SupportMatrix default: row \"b\": image.distro: there is no distribution rehl; did you mean rhel?",
            "note: CompatException shop/now: hostProfiles: there is no HostProfile elsewhere",
            "note: CompatException shop/misspelt accepts nothing: codes: there is no finding \"HF10l\"; did you mean HF101?",
        ]
    );
    assert!(noted(&[&look[..], &["-q"]].concat()).is_empty());
    // On other hosts the names of the cluster's are none the less.
    let other = [&look[..], &["--host", "builtin/x86-64-v1"]].concat();
    assert_eq!(noted(&other).len(), 4);
    let rules = &mut snapshot["objects"]["matrices"][0]["spec"]["rules"];
    rules[0]["host"] = json!({"kernal": ">=5"});
    fs::write(folder.0.join("s.json"), snapshot.to_string()).unwrap();
    assert_eq!(
        noted(&look)[0],
        "note: SupportMatrix default: none of its rows counts: row \"a\": host has no fact \"kernal\"; did you mean \"kernel\"?"
    );
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
