//! What a release offers besides image and chart: the files for k9s, Argo CD and krew.

use std::fs;
use std::path::Path;
use std::process::Command;

use hostfit_crds::{CompatReport, names};
use mlua::{Lua, LuaSerdeExt as _, Value as LuaValue};
use serde_json::{Value, json};

use crate::kit::{Folder, sha256};

fn text(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)).unwrap()
}

fn yaml(path: &str) -> Value {
    let text = text(path);
    serde_saphyr::from_str(&text).unwrap()
}

/// The health that Argo CD would show of an object.
fn health(object: &Value) -> (String, String) {
    // What the script reads must be what we write.
    let _: CompatReport = serde_json::from_value(object.clone()).unwrap();
    let lua = Lua::new();
    lua.globals()
        .set("obj", lua.to_value(object).unwrap())
        .unwrap();
    let script = text("release/argo-cd/health.lua");
    let health: LuaValue = lua.load(script).eval().unwrap();
    let health: Value = lua.from_value(health).unwrap();
    let text = |name: &str| health[name].as_str().unwrap().to_owned();
    (text("status"), text("message"))
}

#[test]
fn argo_cd_shows_a_report_with_its_message() {
    let version = format!("{}/{}", names::GROUP, names::VERSION);
    let mut report = json!({
        "apiVersion": version, "kind": "CompatReport", "metadata": {"name": "deploy-search", "namespace": "shop"},
        "spec": {"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "search", "uid": "1"}},
    });
    let (status, message) = health(&report);
    assert_eq!((&*status, &*message), ("Progressing", "not judged yet"));
    report["status"] = json!({"verdict": "Pass", "hosts": "2/2"});
    let (status, message) = health(&report);
    assert_eq!(
        (&*status, &*message),
        ("Healthy", "Pass, fits 2/2 host profiles")
    );
    report["status"] = json!({"verdict": "Partial", "hosts": "1/2", "findings": [{
        "code": "HF101", "severity": "BreaksAtStart", "verdict": "Fail",
        "message": "image needs CPU level x86-64-v3, host has v2", "remediation": "use a base image for x86-64-v2",
    }]});
    let (status, message) = health(&report);
    assert_eq!(
        status, "Healthy",
        "a report is a statement, not a part of the application"
    );
    assert_eq!(
        message,
        "Partial, fits 1/2 host profiles. HF101: image needs CPU level x86-64-v3, host has v2. Fix: use a base image for x86-64-v2"
    );
}

#[test]
fn k9s_runs_commands_that_there_are() {
    let plugins = yaml("release/k9s/hostfit.yaml");
    let plugins = plugins["plugins"].as_object().unwrap();
    assert!(!plugins.is_empty());
    let mut shortcuts = std::collections::BTreeSet::new();
    for (name, plugin) in plugins {
        assert!(
            shortcuts.insert(plugin["shortCut"].as_str().unwrap()),
            "{name}"
        );
        assert!(!plugin["scopes"].as_array().unwrap().is_empty(), "{name}");
        let command = plugin["args"][1].as_str().unwrap();
        let shell = Command::new("sh")
            .args(["-n", "-c", command])
            .status()
            .unwrap();
        assert!(shell.success(), "{name} is no command");
        let words: Vec<_> = command.split_whitespace().collect();
        assert_eq!(words[..2], ["kubectl", "hostfit"], "{name}");
        // What k9s puts there stands in quotes: names are people's.
        for variable in ["$NAMESPACE", "$RESOURCE_NAME/$NAME", "$CONTEXT"] {
            if command.contains(variable) {
                assert!(
                    command.contains(&format!("\"{variable}\"")),
                    "{name}: {command}"
                );
            }
        }
    }
}

#[test]
fn krew_finds_the_program_under_its_name() {
    let manifest = yaml("release/krew/hostfit.yaml");
    assert_eq!(manifest["kind"], "Plugin");
    assert_eq!(manifest["metadata"]["name"], "hostfit");
    assert_eq!(manifest["spec"]["platforms"][0]["bin"], "kubectl-hostfit");
    let short = manifest["spec"]["shortDescription"].as_str().unwrap();
    assert!(short.len() <= 50, "krew cuts longer ones: {}", short.len());
}

#[test]
fn the_folder_has_all_of_it_and_says_so() {
    let folder = Folder::new("release");
    let out = folder.0.join("out");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../release/folder.sh");
    // Only its name and version are asked; a program of a hundred megabytes would be packed for long.
    let program = folder.0.join("hostfit");
    let binary = env!("CARGO_BIN_EXE_hostfit");
    let make = |program: &Path, version: &str| {
        let mut command = Command::new("bash");
        command
            .arg(&script)
            .arg(program)
            .arg(&out)
            .arg(version)
            .output()
            .unwrap()
    };
    let stripped = Command::new("strip")
        .arg("-o")
        .arg(&program)
        .arg(binary)
        .status();
    assert!(stripped.unwrap().success());
    let refused = make(&program, "9.9.9");
    assert!(!refused.status.success());
    assert!(
        String::from_utf8(refused.stderr)
            .unwrap()
            .contains("not version 9.9.9")
    );
    let made = make(&program, env!("CARGO_PKG_VERSION"));
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let read = |path: &str| fs::read(out.join(path)).unwrap();
    let sums = String::from_utf8(read("checksums.txt")).unwrap();
    for line in sums.lines() {
        let (sum, path) = line.split_once("  ").unwrap();
        assert_eq!(sum, sha256(&read(path)), "{path}");
    }
    let krew: Value = serde_saphyr::from_slice(&read("krew/hostfit.yaml")).unwrap();
    let platform = &krew["spec"]["platforms"][0];
    let archive = platform["uri"]
        .as_str()
        .unwrap()
        .rsplit('/')
        .next()
        .unwrap();
    assert_eq!(platform["sha256"], sha256(&read(archive)));
    let listed = Command::new("tar")
        .arg("tzf")
        .arg(out.join(archive))
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    for path in [
        "./hostfit\n",
        "./kubectl-hostfit\n",
        "./completions/kubectl_complete-hostfit\n",
        "./LICENSE\n",
    ] {
        assert!(listed.contains(path), "{path:?} is missing: {listed}");
    }
}
