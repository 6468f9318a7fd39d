//! `hostfit test DIR`: cases of a matrix.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::kit::{Folder, RHEL, check, hostfit, layout};

/// The folder that the documentation explains.
const DOCUMENTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/examples/matrix");

/// A folder of the files of the documentation, to be changed.
fn documented(name: &str) -> Folder {
    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let to = to.join(entry.file_name());
            match entry.file_type().unwrap().is_dir() {
                true => copy(&entry.path(), &to),
                false => drop(fs::copy(entry.path(), to).unwrap()),
            }
        }
    }
    let folder = Folder::new(&format!("cases-{name}"));
    copy(Path::new(DOCUMENTED), &folder.0.join("policy"));
    folder
}

fn change(folder: &Folder, file: &str, from: &str, to: &str) {
    let file = folder.0.join("policy").join(file);
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains(from), "{from:?} is missing in {text}");
    fs::write(file, text.replace(from, to)).unwrap();
}

/// A file of cases beside the documented hosts and matrix.
fn add(folder: &Folder, file: &str, text: &str) {
    fs::write(folder.0.join("policy").join(file), text).unwrap();
}

#[test]
fn the_documented_cases_are_judged_as_they_say() {
    let folder = documented("documented");
    let out = check(&folder, &["test", "policy"], 0, &[]);
    assert_eq!(out, "11 as expected, 0 differ\n");
    // What the page shows is what is there, and what comes.
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/testing.md");
    let page = fs::read_to_string(page).unwrap();
    let block = |kind: &str| {
        let (_, rest) = page.split_once(&format!("```{kind}\n")).unwrap();
        rest.split_once("```").unwrap().0
    };
    let file = folder.0.join("policy/cases/production.yaml");
    let file = fs::read_to_string(file).unwrap();
    assert!(file.starts_with(block("yaml")), "{file}");
    let matrix = "matrices/production.yaml";
    change(&folder, matrix, "mode: Enforce", "mode: Warn");
    let run = ["test", "policy", "--run", "production.yaml"];
    let out = check(&folder, &run, 1, &[]);
    let shown = format!("$ hostfit {}\n{out}", run.join(" "));
    assert_eq!(block("console"), shown);
}

#[test]
fn a_matrix_that_says_something_else_than_expected_fails_case_by_case() {
    let folder = documented("differs");
    change(
        &folder,
        "matrices/production.yaml",
        "mode: Enforce",
        "mode: Warn",
    );
    change(
        &folder,
        "matrices/production.yaml",
        "ubuntu], distroVersion",
        "alpine], distroVersion",
    );
    let out = check(&folder, &["test", "policy"], 1, &[]);
    let expected = "\
DIFFERS  policy/cases/namespaces.yaml:5  a namespace of production: admission: expected refused, got warned HF101
DIFFERS  policy/cases/production.yaml:6  RHEL 10 is refused where only old CPUs are left: admission: expected refused HF101, got warned HF101
DIFFERS  policy/cases/production.yaml:25  Ubuntu 20.04 is refused by our own row: expected Fail (HF506 Fail), got Warn (HF501 Warn); \
admission: expected refused HF506, got warned HF501; nothing says \"Base the image on ubi9\"
DIFFERS  policy/cases/shop.yaml:15  from the last day of December on it may not: admission: expected refused, got warned HF101
7 as expected, 4 differ
next: the same with -o wide shows what was found
";
    assert_eq!(out, expected);
    let wide = check(&folder, &["test", "policy", "-o", "wide"], 1, &[]);
    assert!(wide.contains("         found: HF501 "), "{wide}");
    check(
        &folder,
        &["test", "policy", "--run", "UBI 9"],
        0,
        &["1 as expected"],
    );
    check(
        &folder,
        &["test", "policy", "--run", "shop.yaml"],
        1,
        &["3 as expected, 1 differs"],
    );
    let says = ["none of the 11 cases in policy has \"sles\""];
    check(&folder, &["test", "policy", "--run", "sles"], 2, &says);
}

#[test]
fn programs_get_an_object_and_test_reports_a_suite_for_each_file() {
    let folder = documented("reports");
    change(
        &folder,
        "matrices/production.yaml",
        "mode: Enforce",
        "mode: Audit",
    );
    add(
        &folder,
        "broken.yaml",
        "cases:\n- case: broken\n  imag: rhel 10 (layers)\n",
    );
    let json = check(&folder, &["test", "policy", "-o", "json"], 2, &[]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["kind"], "Test");
    let summary = &json["summary"];
    assert_eq!(summary["as_expected"].as_u64(), Some(3), "{summary}");
    assert_eq!(summary["differ"].as_u64(), Some(8), "{summary}");
    assert_eq!(summary["broken"].as_u64(), Some(1), "{summary}");
    let first = &json["cases"][0];
    assert_eq!(first["file"], "policy/cases/namespaces.yaml");
    assert_eq!(first["line"], 5);
    assert_eq!(first["as_expected"], false);
    assert_eq!(first["differences"][0]["what"], "admission");
    assert_eq!(first["differences"][0]["got"], "ignored");
    assert_eq!(json["broken"][0]["case"], "broken");
    let junit = check(&folder, &["test", "policy", "-o", "junit"], 2, &[]);
    for part in [
        "tests=\"12\" skipped=\"0\" failures=\"8\" errors=\"1\"",
        "<testsuite name=\"policy/cases/shop.yaml\" tests=\"4\" skipped=\"0\" errors=\"0\" failures=\"2\">",
        "<testcase name=\"UBI 9 is at home here\" classname=\"policy/cases/production.yaml\"",
        "file=\"policy/cases/namespaces.yaml\" line=\"5\"",
        "message=\"admission: expected refused, got ignored\"",
        "message=\"there is no field &quot;imag&quot;; did you mean &quot;image&quot;?\"",
    ] {
        assert!(junit.contains(part), "{part} is missing:\n{junit}");
    }
    check(&folder, &["test", "policy", "-o", "html"], 2, &["-o junit"]);
}

#[test]
fn what_is_broken_is_named_with_its_line_and_the_rest_is_judged() {
    let folder = documented("broken");
    let case = |more: &str| {
        let case = "image: rhel 10 (layers)\n  host: workers\n  expect: Pass\n";
        format!("cases:\n- case: one\n  {case}  {more}\n- case: good\n  {case}")
    };
    let broken = |file: &str, text: &str, says: &str| {
        add(&folder, file, text);
        let says = [&format!("error: policy/{file}:{says}"), "as expected"];
        check(&folder, &["test", "policy"], 2, &says);
        fs::remove_file(folder.0.join("policy").join(file)).unwrap();
    };
    let one = |more: &str, says: &str| {
        broken("x.yaml", &case(more), &format!("2: case \"one\": {says}"));
    };
    one(
        "nmaespace: shop",
        "there is no field \"nmaespace\"; did you mean \"namespace\"?",
    );
    one("today: tomorrow", "today: \"tomorrow\" is not like 2026-");
    one(
        "matrix: prodution",
        "matrix: there is no SupportMatrix prodution here; did you mean production?",
    );
    one(
        "matrix: ../absent.yaml",
        "matrix: policy/../absent.yaml: No such file",
    );
    one(
        "matrix: {rule: []}",
        "matrix: spec.rule: there is no field \"rule\"; did you mean \"rules\"?",
    );
    one(
        "matrix: {rules: [{name: r, image: {distor: rhel}, verdict: Unsupported}]}",
        "matrix: row \"r\": image has no fact \"distor\"; did you mean \"distro\"?",
    );
    one(
        "admission: refused HF10l",
        "admission: there is no finding \"HF10l\"; did you mean HF101?",
    );
    one("hosts: 1", "hosts is read as 1: put it in quotes");
    one(
        "labels: {version: 4}",
        "invalid type: integer `4`, expected a string: put it in quotes",
    );
    one(
        "admission: denied",
        "admission: \"denied\" is no answer: write one of ignored, admitted, warned, refused",
    );
    one(
        "excepted: HF010",
        "excepted: there is no finding \"HF010\"; did you mean HF110?",
    );
    one("pod: {nodeSelectr: {a: b}}", "pod.nodeSelectr is no field");
    let replaced = |from: &str, to: &str, says: &str| {
        let text = case("silent: nothing").replacen(from, to, 1);
        broken("x.yaml", &text, &format!("2: case \"one\": {says}"));
    };
    replaced(
        "expect: Pass",
        "expect: Fails",
        "expect: \"Fails\" is no verdict",
    );
    replaced(
        "expect: Pass",
        "expect: Fail (HF10l Fail)",
        "expect: there is no finding \"HF10l\"; did you mean HF101?",
    );
    replaced(
        "(layers)",
        "(layer)",
        "there is no word \"layer\"; did you mean \"layers\"?",
    );
    replaced(
        "rhel 10 (layers)",
        "rhel 10",
        "image: \"rhel 10\" is neither like \"rhel 10 (layers)\" nor a reference",
    );
    replaced(
        "host: workers",
        "host: worker",
        "host: there is no HostProfile worker here; did you mean workers?",
    );
    replaced(
        "host: workers",
        "host: builtin/rhel9",
        "host: there is no host builtin/rhel9: did you mean builtin/rhel-9?",
    );
    replaced(
        "host: workers",
        "host: {like: workers, cpulevel: 2}",
        "host: cpulevel is no fact of a host; did you mean cpuLevel?",
    );
    replaced(
        "host: workers",
        "host: {like: workers, osVersion: 9.4}",
        "host: osVersion is read as a number (5.10 is 5.1): put it in quotes",
    );
    broken("x.yaml", "cases:\n- case: [\n", "");
    broken("x.yaml", "cases: []\n", "1: it has no case");
    broken(
        "x.yaml",
        "case:\n- image: rhel 10 (layers)\n",
        "1: it is neither an object of Kubernetes",
    );
    let object = "apiVersion: hostfit.dev/v1alpha1\nmetadata: {name: x, namespace: shop}\n";
    let after = format!("---\napiVersion: v1\nkind: ConfigMap\n---\n{object}");
    broken(
        "x.yaml",
        &format!("{after}kind: SupportMatrx\n"),
        "5: hostfit.dev has no kind \"SupportMatrx\"; did you mean SupportMatrix?",
    );
    broken(
        "x.yaml",
        &format!("{after}kind: CompatException\nspec: {{code: [HF101]}}\n"),
        "5: CompatException x: spec.code: there is no field \"code\"; did you mean \"codes\"?",
    );
    broken(
        "x.yaml",
        &format!("{after}kind: HostProfile\nspec: {{facts: {{os: rhel}}, nodeLabel: {{a: b}}}}\n"),
        "5: HostProfile x: spec.nodeLabel: there is no field \"nodeLabel\"; did you mean \"nodeLabels\"?",
    );
    broken(
        "x.yaml",
        &fs::read_to_string(folder.0.join("policy/hosts.yaml")).unwrap(),
        "2: HostProfile workers stands in another file, too",
    );
}

#[test]
fn an_exception_that_accepts_nothing_or_everything_is_told() {
    let folder = documented("exceptions");
    let with = |spec: &str, code: i32, says: &str| {
        let text = format!(
            "apiVersion: hostfit.dev/v1alpha1\nkind: CompatException\nmetadata: {{name: e, namespace: other}}\nspec: {{{spec}}}\n"
        );
        add(&folder, "e.yaml", &text);
        check(
            &folder,
            &["test", "policy", "--as-of", "2026-11-28"],
            code,
            &[says],
        )
    };
    let of =
        |reason: &str, end: &str| format!("codes: [HF101], images: [x], reason: {reason}{end}");
    let reason = "moves in spring";
    with(
        &of(reason, ""),
        2,
        "CompatException e: it has no expirationTime, and an exception ends: write for example \"2026-12-31T00:00:00Z\"",
    );
    let day = of(reason, ", expirationTime: \"2027-01-01\"");
    with(&day, 2, "its expirationTime \"2027-01-01\" is no second");
    let end = ", expirationTime: \"2027-01-01T00:00:00Z\"";
    with(&of("short", end), 2, "its reason has 5 characters");
    with(
        &of(reason, end).replace("HF101", "HF10l"),
        2,
        "did you mean HF101?",
    );
    with(
        &of(reason, end).replace(", images: [x]", ""),
        2,
        "nothing is selected",
    );
    with(
        &of(reason, end).replace("[x]", "[\"*\"]"),
        0,
        "note: CompatException other/e speaks of all findings, or of all workloads of its namespace",
    );
    with(
        &of(reason, end).replace("2027", "2020"),
        0,
        "note: CompatException other/e ended at 2020-01-01T00:00:00Z: it accepts nothing any more",
    );
}

#[test]
fn names_that_are_nearly_others_are_noted() {
    let folder = documented("names");
    change(
        &folder,
        "matrices/production.yaml",
        "  rules:\n",
        "  rules:\n  - {name: x, image: {distro: rehl}, host: {profiles: [worker, of-others]}, verdict: Supported}\n",
    );
    let exception = "apiVersion: hostfit.dev/v1alpha1\nkind: CompatException\nmetadata: {name: e, namespace: shop}\n\
        spec: {codes: [HF101], images: [x], hostProfiles: [old-wrkers], reason: moves in spring, expirationTime: \"2027-01-01T00:00:00Z\"}\n";
    add(&folder, "more.yaml", exception);
    let test = ["test", "policy", "--as-of", "2026-11-28"];
    let says = [
        "note: SupportMatrix production: row \"x\": image.distro: there is no distribution rehl; did you mean rhel?\n",
        "note: SupportMatrix production: row \"x\": host.profiles: there is no HostProfile worker; did you mean workers?\n",
        "note: CompatException shop/e: hostProfiles: there is no HostProfile old-wrkers; did you mean old-workers?\n",
        "11 as expected, 0 differ",
    ];
    check(&folder, &test, 0, &says);
    let output = hostfit(&folder, &test);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!error.contains("of-others"), "{error}");
}

#[test]
fn without_its_matrix_no_case_is_judged() {
    let folder = documented("no-matrix");
    change(
        &folder,
        "matrices/production.yaml",
        "host: {os: rhel}",
        "host: {sytem: rhel}",
    );
    let says = [
        "error: policy/matrices/production.yaml:2: SupportMatrix production: row \"only-our-bases\": host has no fact \"sytem\"",
        "SupportMatrix production cannot be read (and 10 more cases)",
        "0 as expected, 0 differ, 12 broken",
    ];
    check(&folder, &["test", "policy"], 2, &says);
}

#[test]
fn a_folder_without_cases_is_told_what_one_looks_like_and_that_is_true() {
    let folder = Folder::new("no-cases");
    fs::create_dir_all(folder.0.join("policy")).unwrap();
    let empty = ["test", "policy"];
    let output = hostfit(&folder, &empty);
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("there is no case in policy"), "{error}");
    let example = error.split_once("\n\n").unwrap().1;
    add(&folder, "cases.yaml", example);
    check(&folder, &empty, 0, &["1 as expected, 0 differ"]);
    check(&folder, &["test", "nowhere"], 2, &["read nowhere"]);
    let file = ["test", "policy/cases.yaml"];
    check(&folder, &file, 2, &["policy/cases.yaml is no folder"]);
}

#[test]
fn real_images_are_read_and_what_cannot_be_read_is_no_pass() {
    let folder = Folder::new("cases-real-images");
    layout(&folder.0.join("policy/images/search"), RHEL);
    let text = "\
cases:
- case: an image on disk
  image: oci:images/search:one
  host: {like: builtin/rhel-9, cpuLevel: 2}
  expect: Fail (HF101 Fail)
  says: etc/os-release
- case: the same, by another name, as an init container
  image: [debian 13 (layers), {read: \"oci:images/search:one\", reference: registry.example/shop/search, role: init}]
  host: {like: builtin/rhel-9, cpuLevel: 2}
  matrix: {rules: [{name: search, image: {repository: registry.example/shop/search}, verdict: Supported}]}
  expect: Pass
- case: an image that no registry serves
  image: 127.0.0.1:1/shop/search:4.1
  host: builtin/rhel-9
  expect: Pass
- case: a layout that is not there
  image: oci:images/absent
  host: builtin/rhel-9
  expect: Pass
";
    add(&folder, "cases.yaml", text);
    add(
        &folder,
        ".gitlab-ci.yml",
        "matrix: {script: hostfit test .}\n",
    );
    let test = ["test", "policy", "--no-cache"];
    let says = [
        "2 as expected, 1 differs, 1 broken",
        "policy/cases.yaml:12  an image that no registry serves: expected Pass, got Unknown (HF907 Unknown)",
        "error: policy/cases.yaml:16: case \"a layout that is not there\": image: ",
    ];
    check(&folder, &test, 2, &says);
    let both = [&test[..], &["--run", "registry"]].concat();
    check(&folder, &both, 1, &["0 as expected, 1 differs"]);
    let contradiction = "\
cases:
- case: contradiction
  image: {read: \"oci:images/search:one\", base: \"debian:12\"}
  host: builtin/rhel-9
  expect: Pass
";
    add(&folder, "cases.yaml", contradiction);
    check(&folder, &test, 2, &["beside it only reference, role"]);
}

#[test]
fn workloads_are_judged_as_their_manifests_make_them() {
    let folder = documented("workloads");
    let manifest = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: search, namespace: shop}
spec:
  template:
    metadata: {labels: {app: search}}
    spec:
      nodeSelector: {pool: old}
      initContainers: [{name: init, image: 127.0.0.1:1/shop/init:1}]
      containers: [{name: search, image: 127.0.0.1:1/shop/search:4.1}]
";
    add(&folder, "search.yaml", manifest);
    let text = "\
matrix: production
today: 2026-11-28
cases:
- case: the exception accepts it by its labels, in its namespace
  workload: deploy/search
  image: [rhel 10 (layers), rhel 9 (layers)]
  host: {like: old-workers, nodeLabels: {pool: old}}
  expect: Pass
  excepted: HF101
- case: with other labels it does not
  workload: shop/deployment/search
  labels: {app: other}
  image: [rhel 10 (layers), rhel 9 (layers)]
  host: {like: old-workers, nodeLabels: {pool: old}}
  expect: Fail (HF101 Fail)
  admission: refused
- case: its node selector counts
  workload: deploy/search
  image: [rhel 10 (layers), rhel 9 (layers)]
  host: old-workers
  expect: Unknown (HF909 Unknown)
- case: its images are asked for where nothing says what they are
  workload: deploy/search
  host: {like: old-workers, nodeLabels: {pool: old}}
  expect: Unknown (HF907 Unknown)
- case: nothing of that name
  workload: deploy/serch
  host: workers
  expect: Pass
- case: one of two
  workload: deploy/search
  image: rhel 10 (layers)
  host: workers
  expect: Pass
- case: nothing at all
  host: workers
  expect: Pass
";
    add(&folder, "workloads.yaml", text);
    let says = [
        "4 as expected, 0 differ, 3 broken",
        "workloads.yaml:26: case \"nothing of that name\": workload: no manifest here makes deploy/serch; did you mean deploy/search?",
        "deploy/search has 2 images: write one for each, in this order, or none: 127.0.0.1:1/shop/search:4.1, 127.0.0.1:1/shop/init:1",
        "it has neither image nor workload",
    ];
    let run = ["test", "policy", "--no-cache", "--run", "workloads.yaml"];
    check(&folder, &run, 2, &says);
}

#[test]
fn without_a_day_of_their_own_cases_are_judged_as_of_the_one_that_is_asked_for() {
    let folder = Folder::new("cases-as-of");
    fs::create_dir_all(folder.0.join("policy")).unwrap();
    let text = "\
cases:
- case: supported until its end
  image: ubuntu 20.04 (layers)
  host: builtin/ubuntu-24.04
  expect: Pass
- case: the matrix that stands in a file
  image: ubuntu 24.04 (layers)
  host: file:hosts/all.yaml
  matrix: none.yaml
  expect: Fail (HF506 Fail)
  admission: refused HF506
  hosts: 0/2
";
    add(&folder, "cases.yaml", text);
    fs::create_dir_all(folder.0.join("policy/hosts")).unwrap();
    let hosts = fs::read_to_string(Path::new(DOCUMENTED).join("hosts.yaml")).unwrap();
    add(&folder, "hosts/all.yaml", &hosts);
    let matrix = "apiVersion: hostfit.dev/v1alpha1\nkind: SupportMatrix\nmetadata: {name: none}\n\
                  spec: {mode: Enforce, namespaceSelector: {matchLabels: {a: b}}, \
                  rules: [{name: none, image: {distro: ubuntu}, verdict: Unsupported}]}\n";
    add(&folder, "none.yaml", matrix);
    let as_of = |day| ["test", "policy", "--as-of", day];
    check(&folder, &as_of("2025-01-01"), 0, &["2 as expected"]);
    let says = ["expected Pass, got Warn (HF501 Warn)", "1 as expected"];
    check(&folder, &as_of("2026-01-01"), 1, &says);
}
