//! What people read, whole, on a snapshot of a real cluster. `UPDATE=1` writes it anew.

use std::fs;
use std::path::Path;

use hostfit_engine::{RULES_PUBLISHED, RULES_VERSION};

use crate::acme;
use crate::kit::{Folder, hostfit};

/// A snapshot of a cluster of seven nodes in three classes, on which the operator had reported.
pub(crate) const SHOP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/shop.json");

/// A class of hosts that somebody plans.
const GRAVITON: &str = include_str!("graviton.yaml");

#[track_caller]
fn check(name: &str, code: i32, arguments: &[&str]) {
    let folder = Folder::new(name);
    fs::write(folder.0.join("graviton.yaml"), GRAVITON).unwrap();
    let place = ["--snapshot", SHOP, "--as-of", "2026-11-25"];
    shown(&folder, name, code, &place, arguments);
}

/// The situations of the mock-ups, on a cluster like theirs.
#[track_caller]
fn mocked(name: &str, code: i32, arguments: &[&str]) {
    let folder = Folder::new(name);
    let snapshot = acme::snapshot().to_string();
    fs::write(folder.0.join("acme.json"), snapshot).unwrap();
    let place = ["--snapshot", "acme.json", "--as-of", "2026-04-01"];
    shown(&folder, name, code, &place, arguments);
}

#[track_caller]
fn shown(folder: &Folder, name: &str, code: i32, place: &[&str], arguments: &[&str]) {
    let mut all = place.to_vec();
    all.extend(arguments);
    let output = hostfit(folder, &all);
    let error = String::from_utf8(output.stderr).unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    let shown = format!("$ hostfit {}\n{shown}{error}", arguments.join(" "));
    let shown = without_version(&shown.replace(SHOP, "shop.json"));
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/it/golden/{name}.txt"));
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&file, &shown).unwrap();
    }
    let expected = fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(shown, expected, "UPDATE=1 writes {}", file.display());
    assert_eq!(output.status.code(), Some(code), "{shown}");
}

/// Rules come and go, and grow old by the day.
fn without_version(text: &str) -> String {
    let published = [
        (
            format!("rules_published\": \"{RULES_PUBLISHED}"),
            "rules_published\": \"DATE",
        ),
        (
            format!("rules VERSION of {RULES_PUBLISHED}"),
            "rules VERSION of DATE",
        ),
    ];
    let text = text.replace(RULES_VERSION, "VERSION");
    let replaced = |text: String, (old, new): &(String, &str)| text.replace(old, new);
    let text = published.iter().fold(text, replaced);
    let lines = text
        .lines()
        .map(|line| match line.split_once("rules VERSION, ") {
            Some((before, _)) => format!("{before}rules VERSION, N days old\n"),
            None => format!("{line}\n"),
        });
    lines.collect()
}

#[test]
fn verdicts_of_a_cluster() {
    check("check", 1, &["check"]);
    check("check-wide", 1, &["check", "-o", "wide"]);
    check("check-names", 1, &["check", "-o", "name"]);
    check("check-one", 0, &["check", "-n", "shop", "deploy/web"]);
    check(
        "check-elsewhere",
        1,
        &["check", "--host", "builtin/al2023", "--host", "amzn2-k510"],
    );
}

#[test]
fn what_is_not_there_is_answered_with_the_nearest() {
    check("check-no-workload", 2, &["check", "deploy/fats"]);
    check("check-no-host", 2, &["check", "--host", "amzn2-k51"]);
}

#[test]
fn what_breaks_if_nodes_change() {
    let plan = |more: &[&'static str]| [&["plan", "--from", "rhel94-k514"], more].concat();
    check("plan", 1, &plan(&["-f", "graviton.yaml"]));
    check(
        "plan-markdown",
        1,
        &plan(&["-f", "graviton.yaml", "-o", "markdown"]),
    );
    check(
        "plan-json",
        1,
        &plan(&["-f", "graviton.yaml", "-o", "json"]),
    );
    let fixes = ["--to", "builtin/rhel-10", "--same-machines"];
    check("plan-fixes", 0, &plan(&fixes));
    check(
        "plan-strict",
        3,
        &plan(&[&fixes[..], &["-q", "--fail-on", "unknown"]].concat()),
    );
    check("plan-from-which", 2, &["plan", "--to", "builtin/rhel-10"]);
}

#[test]
fn why_a_workload_has_its_verdict() {
    check("explain", 1, &["explain", "-n", "shop", "deploy/fast"]);
    check("explain-unknown", 0, &["explain", "shop/deploy/secret"]);
    check("explain-pass", 0, &["explain", "shop/deploy/web"]);
    let two = [
        "--host",
        "rhel94-k514",
        "--host",
        "amzn2-k510",
        "--host",
        "builtin/x86-64-v3",
    ];
    check(
        "explain-partial",
        0,
        &[&["explain", "shop/deploy/ledger"], &two[..]].concat(),
    );
    check("explain-code", 0, &["explain", "hf250"]);
    check("explain-no-code", 2, &["explain", "HF10l"]);
}

#[test]
fn what_fits_where() {
    check("matrix", 1, &["matrix"]);
    check("matrix-workloads", 1, &["matrix", "--by", "workload", "-a"]);
    let hosts = [
        "--host",
        "rhel94-k514",
        "--host",
        "builtin/al2023",
        "--host",
        "builtin/x86-64-v3",
    ];
    check(
        "matrix-bases",
        1,
        &[&["matrix", "--by", "base"], &hosts[..]].concat(),
    );
}

#[test]
fn what_is_known_of_images() {
    check("images", 0, &["images"]);
}

#[test]
fn what_hosts_offer() {
    check("nodes", 0, &["nodes"]);
    check("node", 0, &["nodes", "rhel9-1"]);
    check("node-json", 0, &["nodes", "node-1", "-o", "json"]);
    check("node-absent", 2, &["nodes", "rhel9-11"]);
}

#[test]
fn an_exception_is_printed_and_a_wrong_one_is_not() {
    let except = |more: &[&'static str]| [&["except", "shop/deploy/fast"], more].concat();
    let because = ["--reason", "the new nodes come in December"];
    check(
        "except",
        0,
        &except(&[&["HF101", "--until", "2026-12-31"], &because[..]].concat()),
    );
    check(
        "except-over",
        2,
        &except(&[&["HF101", "--until", "2020-12-31"], &because[..]].concat()),
    );
    check(
        "except-code",
        2,
        &except(&[&["HF10l", "--until", "+30d"], &because[..]].concat()),
    );
    check(
        "except-absent",
        2,
        &except(&[&["HF401", "--until", "+30d"], &because[..]].concat()),
    );
    check(
        "except-reason",
        2,
        &except(&["HF101", "--until", "+30d", "--reason", "short"]),
    );
    let several = ["except", "-n", "shop", "deploy", "fast", "ledger"];
    let several = [
        &several[..],
        &["HF501", "HF101", "--until", "+30d"],
        &because,
    ]
    .concat();
    check("except-several", 0, &several);
    check(
        "except-no-code",
        2,
        &except(&[&["--until", "+30d"], &because[..]].concat()),
    );
    let image = ["except", "image", "registry.example/shop/fast:1", "HF101"];
    let image = [&image[..], &["--until", "+30d"], &because].concat();
    check("except-image", 2, &image);
    let ticket = [
        &["HF101", "--until", "+30d", "--ticket", "OPS-1"],
        &because[..],
    ]
    .concat();
    check("except-ticket", 2, &except(&ticket));
    let applied = [&["HF101", "--apply", "--until", "+30d"], &because[..]].concat();
    check("except-apply", 2, &except(&applied));
}

#[test]
fn the_situations_of_the_mock_ups() {
    mocked("acme-check", 1, &["check", "-A"]);
    let target = ["-n", "shop", "deploy/search"];
    mocked("acme-explain", 0, &[&["explain"], &target[..]].concat());
    mocked("acme-matrix", 1, &["matrix"]);
    let plan = ["plan", "--from", "amzn2-k510", "--to", "amzn2023-k61"];
    mocked("acme-plan", 0, &plan);
    mocked(
        "acme-plan-strict",
        1,
        &[&plan[..], &["-q", "--fail-on", "warn"]].concat(),
    );
    mocked("acme-nodes", 0, &["nodes"]);
    mocked(
        "acme-image",
        1,
        &[
            "check",
            "image",
            "registry.acme.example/shop/search:4.1",
            "--host",
            "builtin/x86-64-v2",
        ],
    );
}
