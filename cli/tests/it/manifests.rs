//! Manifests instead of a cluster.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::kit::{Folder, check};

/// A Deployment of an image that no registry of this machine serves: it is Unknown, and said to be.
fn deployment(name: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}, namespace: shop, labels: {{app: {name}}}}}\n\
         spec: {{template: {{spec: {{containers: [{{name: web, image: \"127.0.0.1:1/{name}:1\"}}]}}}}}}\n"
    )
}

const HOST: [&str; 3] = ["--no-cache", "--host", "builtin/debian-12"];

fn arguments<'a>(first: &[&'a str]) -> Vec<&'a str> {
    [first, &HOST].concat()
}

#[test]
fn workloads_are_found_in_documents_lists_and_folders_and_the_rest_is_passed_over() {
    let folder = Folder::new("manifests");
    let deep = folder.0.join("deploy/more");
    fs::create_dir_all(&deep).unwrap();
    let other = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n---\n\
                 apiVersion: acme.example/v1\nkind: Gadget\nmetadata: {name: x}\nspec: {containers: 7}\n";
    let list = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: batch/v1, kind: CronJob, metadata: {name: nightly}, spec: \
                {jobTemplate: {spec: {template: {spec: {containers: [{name: c, image: '127.0.0.1:1/n:1'}]}}}}}}\n\
                - {apiVersion: v1, kind: Pod, metadata: {name: one}, spec: {containers: [{name: c, image: '127.0.0.1:1/p:1'}]}}\n";
    fs::write(
        folder.0.join("deploy/a.yaml"),
        format!("{}---\n{other}", deployment("a")),
    )
    .unwrap();
    fs::write(deep.join("b.yml"), list).unwrap();
    fs::write(
        folder.0.join("deploy/values.yaml"),
        "image: {{tag: 1}: x}\n",
    )
    .unwrap();
    fs::write(folder.0.join("deploy/values.yaml"), "replicas: 2\n").unwrap();
    fs::write(folder.0.join("deploy/README.md"), "not: [a manifest").unwrap();
    let out = check(&folder, &arguments(&["check", "-f", "deploy"]), 0, &[]);
    for name in [
        "shop/deploy/a ",
        "default/cronjob/nightly",
        "default/pod/one",
        "3 unknown",
        "3 could not be told",
    ] {
        assert!(out.contains(name), "{name} is missing:\n{out}");
    }
    let one = arguments(&["check", "-f", "deploy", "-l", "app=a"]);
    check(&folder, &one, 0, &["1 workload,"]);
    let target = arguments(&[
        "check",
        "-f",
        "deploy",
        "--fail-on",
        "unknown",
        "cronjob/nightly",
    ]);
    check(&folder, &target, 3, &["1 workload,"]);
    check(
        &folder,
        &["check", "-f", "deploy"],
        2,
        &["--host builtin/NAME"],
    );
    check(
        &folder,
        &arguments(&["check", "-f", "nowhere"]),
        2,
        &["read nowhere"],
    );
}

#[test]
fn of_a_thousand_files_ten_broken_ones_are_named_and_the_rest_judged() {
    let folder = Folder::new("broken");
    let deploy = folder.0.join("deploy");
    fs::create_dir_all(&deploy).unwrap();
    for index in 0..990 {
        let text = deployment(&format!("w{index}"));
        fs::write(deploy.join(format!("w{index}.yaml")), text).unwrap();
    }
    for index in 0..8 {
        fs::write(deploy.join(format!("bad{index}.yaml")), "a: [\n").unwrap();
    }
    let template = deployment("t").replace("name: t,", "name: {{ .Release.Name }},");
    fs::write(deploy.join("helm.yaml"), template).unwrap();
    let template = deployment("u").replace("127.0.0.1:1/u:1", "{{ .Values.image }}");
    fs::write(deploy.join("helm2.yaml"), template).unwrap();
    let all = arguments(&["check", "-f", "deploy", "-q"]);
    let says = [
        "990 workloads",
        "helm.yaml: Helm's templating",
        "helm2.yaml: Deployment u: Helm's templating",
        "bad7.yaml: it is no YAML",
    ];
    check(&folder, &all, 2, &says);
    let sarif = ["-o", "sarif"];
    let successful = |more: &[&str], code: i32| {
        let arguments = [&all[..], &sarif, more].concat();
        let log: serde_json::Value =
            serde_json::from_str(&check(&folder, &arguments, code, &[])).unwrap();
        let invocation = &log["runs"][0]["invocations"][0];
        let told = &invocation["toolExecutionNotifications"];
        assert_eq!(told.as_array().unwrap().len(), 10, "{told}");
        invocation["executionSuccessful"].as_bool().unwrap()
    };
    assert!(!successful(&[], 2));
    assert!(successful(&["--keep-going"], 0));
    check(&folder, &[&all[..], &["--keep-going"]].concat(), 0, &says);
}

#[test]
fn a_broken_document_does_not_hide_those_around_it() {
    let folder = Folder::new("documents");
    let all = [
        deployment("before"),
        deployment("t").replace("name: t,", "name: {{ .Release.Name }},"),
        deployment("between"),
        deployment("b").replace("kind: Deployment\n", "kind: [\n"),
        // A mark that is none, and one with words behind it.
        "data: |\n  ---\n".to_owned(),
        deployment("after"),
    ];
    let text = format!("# of a release\n---\n{}", all.join("--- # next\n"));
    fs::write(folder.0.join("all.yaml"), text).unwrap();
    let says = [
        "3 workloads,",
        "error: all.yaml: document 2 (line 7): Helm's templating is left in it",
        "error: all.yaml: document 4 (line 17): it is no YAML: line ",
        "\n19 | kind: [\n",
    ];
    let command = arguments(&["check", "-f", "all.yaml"]);
    let out = check(&folder, &command, 2, &says);
    for name in ["before", "between", "after"] {
        assert!(out.contains(&format!("shop/deploy/{name} ")), "{out}");
    }
    check(
        &folder,
        &[&command[..], &["--keep-going"]].concat(),
        0,
        &says,
    );
}

#[test]
fn manifests_come_by_a_pipe_as_well() {
    let folder = Folder::new("pipe");
    let mut child = Command::new(env!("CARGO_BIN_EXE_hostfit"))
        .args(arguments(&["check", "-f", "-", "-o", "json"]))
        .current_dir(&folder.0)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(deployment("piped").as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["workloads"][0]["name"], "piped");
    assert_eq!(document["workloads"][0]["file"], "stdin");
    assert_eq!(document["summary"]["unknown"], 1);
}

/// The lines of the design for GitHub, GitLab and step summaries.
#[test]
fn ci_systems_get_their_files() {
    let folder = Folder::new("ci");
    fs::create_dir_all(folder.0.join("deploy")).unwrap();
    fs::write(folder.0.join("deploy/web.yaml"), deployment("web")).unwrap();
    let hosts = "apiVersion: hostfit.dev/v1alpha1\nkind: HostProfile\nmetadata: {name: workers}\nspec: {facts: {os: debian, \
                 osVersion: \"12\", kernel: 6.1.0, architecture: amd64, cpuLevel: 3}}\n";
    fs::write(folder.0.join("hosts.yaml"), hosts).unwrap();
    let line = ["check", "-f", "deploy/", "--host", "file:hosts.yaml", "-o"];
    let file = |format: &str, name: &str| {
        let more = [format, "--output-file", name, "--no-cache"];
        let out = check(&folder, &[&line[..], &more].concat(), 0, &[]);
        assert_eq!(out, "", "stdout is for who asks for no file");
        fs::read_to_string(folder.0.join(name)).unwrap()
    };
    let log: serde_json::Value = serde_json::from_str(&file("sarif", "out.sarif")).unwrap();
    let result = &log["runs"][0]["results"][0];
    assert_eq!(result["ruleId"], "HF907");
    let place = &result["locations"][0]["physicalLocation"]["artifactLocation"];
    assert_eq!(place["uri"], "deploy/web.yaml");
    let junit = file("junit", "out.xml");
    assert!(
        junit.contains(r#"tests="1" skipped="0" failures="0" errors="1""#),
        "{junit}"
    );
    let markdown = file("markdown", "out.md");
    assert!(
        markdown.starts_with("## Hostfit: 1 of 1 workload could not be told"),
        "{markdown}"
    );
}

#[test]
fn what_judges_nothing_is_no_pass() {
    let folder = Folder::new("nothing-judged");
    let misspelt = deployment("web").replace("containers:", "container:");
    fs::write(folder.0.join("misspelt.yaml"), misspelt).unwrap();
    let says = ["Deployment web: its pods have no containers"];
    check(
        &folder,
        &arguments(&["check", "-f", "misspelt.yaml"]),
        2,
        &says,
    );
    fs::write(
        folder.0.join("service.yaml"),
        "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n",
    )
    .unwrap();
    fs::write(folder.0.join("web.yaml"), deployment("web")).unwrap();
    let none = arguments(&["check", "-f", "web.yaml", "-l", "app=other"]);
    let says = ["nothing is judged: "];
    check(&folder, &none, 0, &says);
    check(
        &folder,
        &[&none[..], &["--fail-on", "unknown"]].concat(),
        3,
        &says,
    );
    let says = ["nothing in service.yaml makes pods, so nothing is judged: it holds Service\n"];
    check(
        &folder,
        &arguments(&["check", "-f", "service.yaml"]),
        2,
        &says,
    );
    fs::write(folder.0.join("values.yaml"), "replicas: 2\n").unwrap();
    let says = ["so nothing is judged: it holds no manifest\n"];
    check(
        &folder,
        &arguments(&["check", "-f", "values.yaml"]),
        2,
        &says,
    );
}

#[test]
fn what_may_make_pods_and_is_not_judged_is_named() {
    let folder = Folder::new("not-judged");
    let template =
        "spec: {template: {spec: {containers: [{name: web, image: \"127.0.0.1:1/x:1\"}]}}}";
    let all = [
        deployment("web"),
        format!("apiVersion: apps/v1\nkind: Deploymnet\nmetadata: {{name: typo}}\n{template}\n"),
        format!(
            "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {{name: canary}}\n{template}\n"
        ),
        format!(
            "apiVersion: extensions/v1beta1\nkind: Deployment\nmetadata: {{name: old}}\n{template}\n"
        ),
        "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n".to_owned(),
    ];
    fs::write(folder.0.join("all.yaml"), all.join("---\n")).unwrap();
    let named = "not judged, and may make pods: Deploymnet typo (apps/v1): did you mean Deployment?; \
                 Rollout canary (argoproj.io/v1alpha1); \
                 Deployment old (extensions/v1beta1 has no Deployment: see kubectl api-resources)\n";
    let command = arguments(&["check", "-f", "all.yaml"]);
    check(&folder, &command, 0, &["1 workload,", named]);
    let strict = [&command[..], &["--fail-on", "unknown"]].concat();
    check(&folder, &strict, 3, &[named]);
    let json = [&command[..], &["-o", "json"]].concat();
    check(&folder, &json, 0, &["\"not_judged\": ["]);
    let html = [&command[..], &["-o", "html"]].concat();
    check(
        &folder,
        &html,
        0,
        &["<h2 id=\"not-judged-title\">", "Rollout canary"],
    );
    fs::write(folder.0.join("all.yaml"), &all[1]).unwrap();
    let says = "nothing in all.yaml is of a kind that is judged: Deploymnet typo (apps/v1): did you mean Deployment?";
    check(&folder, &command, 2, &[says]);
}

#[test]
fn what_is_no_yaml_is_shown_where_it_is_not() {
    let folder = Folder::new("no-yaml");
    let text = deployment("web").replace("kind: Deployment\n", "kind: [\n");
    fs::write(folder.0.join("web.yaml"), text).unwrap();
    let command = arguments(&["check", "-f", "web.yaml"]);
    let says = ["error: web.yaml: it is no YAML: line ", "\n2 | kind: [\n"];
    check(&folder, &command, 2, &says);
}
