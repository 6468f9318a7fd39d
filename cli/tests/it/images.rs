//! Images and hosts without a cluster: layouts and archives on disk.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::golden::SHOP;
use crate::kit::*;

#[test]
fn an_image_on_disk_is_judged_by_its_files() {
    let folder = Folder::new("judged");
    layout(&folder.0.join("image"), RHEL);
    let on = |host| vec!["check", "image", "oci:image:one", "--host", host];
    let out = check(&folder, &on("builtin/x86-64-v2"), 1, &[]);
    assert_eq!(
        out,
        "FAIL     oci:image:one on builtin/x86-64-v2\n  \
           HF101 Fail     image needs CPU level x86-64-v3 (rhel 10.0), host has v2  [file: etc/os-release]\n         \
             fix: use a base image for x86-64-v2, or newer CPUs\n\
         0 pass, 0 warn, 1 fail, 0 unknown\n"
    );
    check(&folder, &on("builtin/x86-64-v3"), 0, &["PASS", "1 pass"]);
    // Only its files tell what it is.
    let config = [&on("builtin/x86-64-v2")[..], &["--only-config"]].concat();
    check(&folder, &config, 0, &["HF903", "1 unknown"]);
}

#[test]
fn an_image_is_explained_and_judged_on_the_hosts_of_a_cluster() {
    let folder = Folder::new("explained");
    layout(&folder.0.join("image"), RHEL);
    let explain = [
        "explain",
        "image",
        "oci:image:one",
        "--host",
        "builtin/x86-64-v2",
    ];
    let says = [
        "distro               rhel ",
        "etc/os-release",
        "HF101 Fail",
        "fix: use a base image",
    ];
    check(&folder, &explain, 1, &says);
    let snapshot = ["--snapshot", SHOP, "--as-of", "2026-11-25"];
    let all = [&["check", "image", "oci:image:one"], &snapshot[..]].concat();
    let says = [
        "FAIL     oci:image:one on rhel94-k514",
        "on amzn2-k510",
        "on debian12-k618",
    ];
    check(&folder, &all, 1, &says);
    let one = [&all[..], &["--host", "rhel94-k514"]].concat();
    let out = check(&folder, &one, 1, &["1 fail"]);
    assert!(!out.contains("amzn2"), "{out}");
    check(
        &folder,
        &["check", "image", "oci:image"],
        2,
        &["add --host builtin/NAME", "no kubeconfig"],
    );
}

#[test]
fn machines_get_one_versioned_object() {
    let folder = Folder::new("machines");
    layout(&folder.0.join("image"), RHEL);
    let arguments = [
        "check",
        "image",
        "oci:image",
        "--host",
        "builtin/x86-64-v2",
        "-o",
        "json",
    ];
    let out = check(&folder, &arguments, 1, &[]);
    let document: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(document["apiVersion"], "cli.hostfit.dev/v1");
    assert_eq!(document["summary"]["fail"], 1);
    assert_eq!(document["rules_published"].as_str().unwrap().len(), 10);
    assert_eq!(document["hosts"][0]["name"], "builtin/x86-64-v2");
    assert_eq!(document["hosts"][0]["origin"], "BuiltIn");
    assert_eq!(document["hosts"][0]["facts"]["cpu_level"], 2);
    assert!(
        document.get("workloads").is_none(),
        "nobody deploys it here"
    );
    let item = &document["items"][0];
    assert_eq!(item["verdict"], "Fail");
    assert_eq!(item["image_facts"]["distro"], "rhel");
    assert_eq!(item["image_facts"]["lineage"], "file");
    assert_eq!(item["host_facts"]["cpu_level"], 2);
    assert!(
        item["image_facts"].get("java").is_none(),
        "what is not known is absent"
    );
    let finding = &item["findings"][0];
    assert_eq!(finding["code"], "HF101");
    assert_eq!(finding["severity"], "BreaksAtStart");
    assert_eq!(finding["evidence"][0]["strength"], "file");
    let yaml = [
        "check",
        "image",
        "oci:image",
        "--host",
        "builtin/x86-64-v2",
        "-o",
        "yaml",
    ];
    check(&folder, &yaml, 1, &["kind: Check", "code: HF101"]);
}

#[test]
fn hosts_come_from_files_which_are_read_strictly() {
    let folder = Folder::new("hosts");
    layout(&folder.0.join("image"), RHEL);
    let arguments = ["check", "image", "oci:image", "--host", "file:hosts.yaml"];
    let write = |facts: &str| {
        let one = format!(
            "apiVersion: hostfit.dev/v1alpha1\nkind: HostProfile\nmetadata: {{name: mine}}\nspec: {{facts: {facts}}}\n"
        );
        fs::write(folder.0.join("hosts.yaml"), one).unwrap();
    };
    write("{os: rhel, osVersion: \"10.0\", kernel: 6.12.0, architecture: amd64, cpuLevel: 3}");
    check(&folder, &arguments, 0, &["PASS     oci:image on mine"]);
    // One that is named twice is one; two of one name cannot be told apart.
    let twice = [&arguments[..], &["--host", "file:hosts.yaml"]].concat();
    check(&folder, &twice, 0, &["1 pass, 0 warn"]);
    let text = fs::read_to_string(folder.0.join("hosts.yaml")).unwrap();
    let other = text.replace("cpuLevel: 3", "cpuLevel: 2");
    fs::write(folder.0.join("other.yaml"), other).unwrap();
    let two = [&arguments[..], &["--host", "file:other.yaml"]].concat();
    check(
        &folder,
        &two,
        2,
        &["two hosts of --host are called mine: rename one"],
    );
    write("{os: rhel, cpulevel: 3}");
    check(
        &folder,
        &arguments,
        2,
        &["spec.facts.cpulevel", "did you mean cpuLevel?"],
    );
    write("{architecture: x86_64, os: rhel, osVersion: \"10.0\", cpuLevel: 3}");
    check(&folder, &arguments, 0, &["PASS     oci:image on mine"]);
    write("{architecture: aarch64}");
    check(
        &folder,
        &arguments,
        1,
        &["HF110 Fail", "built for linux/amd64, host is arm64"],
    );
    for facts in ["{kernel: 5.10}", "{osVersion: 9, os: rhel}", "{cuda: 12.2}"] {
        write(facts);
        let fact = facts.trim_start_matches('{').split(':').next().unwrap();
        let says = [&format!("spec.facts.{fact}"), "put it in quotes"];
        check(&folder, &arguments, 2, &says.map(|it| it as &str));
    }
    write("{cpuLevel: high}");
    check(&folder, &arguments, 2, &["spec.facts", "invalid type"]);
    write("{os: rhel, cpuLevel: 9}");
    check(&folder, &arguments, 2, &["cpuLevel", "\"9\""]);
    fs::write(folder.0.join("hosts.yaml"), "kind: Pod\n").unwrap();
    check(&folder, &arguments, 2, &["kind is Pod, not HostProfile"]);
    fs::remove_file(folder.0.join("hosts.yaml")).unwrap();
    check(&folder, &arguments, 2, &["read hosts.yaml"]);
    let near = ["check", "image", "oci:image", "--host", "builtin/debian12"];
    check(&folder, &near, 2, &["did you mean builtin/debian-12?"]);
    let bare = ["check", "image", "oci:image", "--host", "debian-12"];
    check(&folder, &bare, 2, &["did you mean builtin/debian-12?"]);
    let other = ["check", "image", "oci:image", "--host", "workers"];
    check(&folder, &other, 2, &["write builtin/NAME"]);
    let file = ["check", "image", "oci:image", "--host", "deep/hosts.yaml"];
    let says = "HostProfiles in a file are named file:deep/hosts.yaml";
    check(&folder, &file, 2, &[says]);
}

#[test]
fn what_lies_on_this_disk_is_not_looked_for_in_a_registry() {
    let folder = Folder::new("on-disk");
    layout(&folder.0.join("layout"), RHEL);
    fs::write(folder.0.join("app.tar"), tar(RHEL)).unwrap();
    fs::create_dir_all(folder.0.join("folder")).unwrap();
    fs::write(folder.0.join("web.yaml"), "kind: Pod\n").unwrap();
    for (named, says) in [
        (
            "layout",
            "error: layout lies on this disk: write oci:layout\n",
        ),
        (
            "./layout",
            "./layout lies on this disk: write oci:./layout\n",
        ),
        (
            "app.tar",
            "app.tar lies on this disk: write docker-archive:app.tar\n",
        ),
        (
            "web.yaml",
            "of manifests, write hostfit check -f web.yaml --host builtin/NAME\n",
        ),
        ("./absent.tar", "\"./absent.tar\" is neither a reference"),
    ] {
        let command = ["check", "image", named, "--host", "builtin/rhel-9"];
        check(&folder, &command, 2, &[says]);
    }
    // A folder may be called as a repository is.
    let mut folder_of_name = vec!["check", "image", "folder", "--host", "builtin/rhel-9"];
    folder_of_name.extend(["--registry-allow", "nobody.example"]);
    check(&folder, &folder_of_name, 0, &["HF907"]);
}

#[test]
fn what_is_wrong_with_an_image_is_unknown_and_never_a_pass() {
    let folder = Folder::new("wrong");
    let image = folder.0.join("image");
    layout(&image, RHEL);
    let layer = image.join("blobs/sha256").join(sha256(&tar(RHEL)));
    let mut bytes = fs::read(&layer).unwrap();
    bytes[700] ^= 1;
    fs::write(&layer, bytes).unwrap();
    let arguments = ["check", "image", "oci:image", "--host", "builtin/rhel-9"];
    check(
        &folder,
        &arguments,
        0,
        &[
            "UNKNOWN",
            "HF908",
            "does not have the digest",
            "1 could not be told",
        ],
    );
    let strict = [&arguments[..], &["--fail-on", "unknown"]].concat();
    check(&folder, &strict, 3, &[]);
    fs::remove_file(&layer).unwrap();
    check(&folder, &arguments, 0, &["HF908", "missing"]);
    fs::write(image.join("index.json"), "{").unwrap();
    check(&folder, &arguments, 2, &["index.json"]);
    check(
        &folder,
        &["check", "image", "oci:nowhere", "--host", "builtin/rhel-9"],
        2,
        &["nowhere"],
    );
}

#[test]
fn a_blob_that_is_a_folder_is_an_image_that_cannot_be_read() {
    let folder = Folder::new("blob");
    let image = folder.0.join("image");
    layout(&image, RHEL);
    let layer = image.join("blobs/sha256").join(sha256(&tar(RHEL)));
    fs::remove_file(&layer).unwrap();
    fs::create_dir(&layer).unwrap();
    let arguments = ["check", "image", "oci:image", "--host", "builtin/rhel-9"];
    let says = ["UNKNOWN", "HF908", "missing or cannot be read"];
    check(&folder, &arguments, 0, &says);
}

#[test]
fn without_a_cluster_no_fix_speaks_of_one() {
    let folder = Folder::new("fixes");
    layout(&folder.0.join("image"), RHEL);
    let arguments = ["check", "image", "oci:image", "--host", "builtin/cgroup-v2"];
    let out = check(&folder, &arguments, 0, &["HF904 Unknown", "cpuLevel"]);
    assert!(
        out.contains("fix: name cpuLevel in a file of the host"),
        "{out}"
    );
}

#[test]
fn of_several_images_without_names_a_digest_chooses() {
    let folder = Folder::new("digests");
    let image = folder.0.join("image");
    let index = |files: &[(&str, &[u8])]| {
        layout(&image, files);
        let index = fs::read(image.join("index.json")).unwrap();
        let index: Value = serde_json::from_slice(&index).unwrap();
        index["manifests"][0].clone()
    };
    let mut entries = [index(RHEL), index(&[("etc/debian_version", b"12.1\n")])];
    for entry in &mut entries {
        entry.as_object_mut().unwrap().remove("annotations");
    }
    let both = json!({"schemaVersion": 2, "manifests": entries}).to_string();
    fs::write(image.join("index.json"), both).unwrap();
    let digests = entries.map(|entry| entry["digest"].as_str().unwrap().to_owned());
    let says = digests.each_ref().map(|digest| format!("@{digest}"));
    let all = ["images", "oci:image"];
    check(&folder, &all, 2, &says.each_ref().map(|it| it as &str));
    let [rhel, debian] = says.map(|digest| format!("oci:image{digest}"));
    check(&folder, &["images", &rhel], 0, &["rhel"]);
    check(&folder, &["images", &debian], 0, &["debian"]);
    let other = format!("oci:image@sha256:{}", "0".repeat(64));
    check(
        &folder,
        &["images", &other],
        2,
        &["image does not tell which image is meant: write one of image@sha256:"],
    );
}

#[test]
fn what_docker_saves_is_read_as_well() {
    let folder = Folder::new("docker");
    let layer = tar(RHEL);
    let manifest = json!([{"Config": "c.json", "RepoTags": ["app:1"], "Layers": ["l/layer.tar"]}]);
    let manifest = manifest.to_string();
    let archive = tar(&[
        ("manifest.json", manifest.as_bytes()),
        ("c.json", &config(&layer)),
        ("l/layer.tar", &layer),
    ]);
    fs::write(folder.0.join("app.tar"), archive).unwrap();
    let image = |name: &str| ["images".to_owned(), format!("docker-archive:app.tar{name}")];
    let says = ["distro_version", "10.0", "etc/os-release (file)"];
    for name in ["", ":app:1", ":docker.io/library/app:1"] {
        let [command, image] = image(name);
        check(&folder, &[&command, &image], 0, &says);
    }
    let [command, other] = image(":app:2");
    check(&folder, &[&command, &other], 2, &["app:1"]);
    fs::write(folder.0.join("app.tar"), "no archive").unwrap();
    let [command, whole] = image("");
    check(&folder, &[&command, &whole], 2, &["cannot be read as tar"]);
}

#[test]
fn a_reader_that_goes_away_is_no_trouble() {
    let folder = Folder::new("pipe");
    let mut child = Command::new(env!("CARGO_BIN_EXE_hostfit"))
        .args(["catalog", "list"])
        .current_dir(&folder.0)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn the_catalog_shows_codes_hosts_and_tables() {
    let folder = Folder::new("catalog");
    check(
        &folder,
        &["catalog", "list"],
        0,
        &["HF101", "debian-12", "x86-64-v3"],
    );
    check(
        &folder,
        &["catalog", "show", "hf101"],
        0,
        &["Fatal glibc error"],
    );
    check(
        &folder,
        &["catalog", "show", "builtin/debian-12"],
        0,
        &["kernel: \"6.1\"", "source:"],
    );
    check(
        &folder,
        &["catalog", "show", "HF10l"],
        2,
        &["did you mean HF101?"],
    );
    let says = [
        "HF101  Fail                 recommended     the image needs a newer CPU",
        "HF904  Unknown              policy",
        "distributions  2026-08-22, ",
        "windows        2025-01-23, ",
        "rows: matrices of vendors",
    ];
    check(&folder, &["catalog", "list"], 0, &says);
    let tables = check(&folder, &["catalog", "list", "tables"], 0, &says[2..]);
    assert!(!tables.contains("HF101") && !tables.contains("x86-64-v3"));
    check(
        &folder,
        &["catalog", "show", "support"],
        0,
        &["2026-11-23, 18 rows", "access.redhat.com/support"],
    );
    check(
        &folder,
        &["catalog", "show", "supports"],
        2,
        &["did you mean support?"],
    );
    let day = ["version", "--as-of", "2031-01-01"];
    check(&folder, &day, 0, &[", rules 20", " days old)"]);
    let before = check(
        &folder,
        &["version", "--as-of", "2020-01-01"],
        0,
        &["rules"],
    );
    assert!(!before.contains("old"), "{before}");
    check(&folder, &["check", "image"], 2, &["Usage"]);
}

#[test]
fn every_program_gets_its_format() {
    let folder = Folder::new("formats");
    layout(&folder.0.join("image"), RHEL);
    let host = ["check", "image", "oci:image", "--host", "builtin/x86-64-v2"];
    for (format, begins) in [
        ("markdown", "## Hostfit: 1 of 1 image does not fit"),
        ("csv", "verdict,namespace,kind,name,fits,"),
        ("sarif", "{\n  \"$schema\": \"https://docs.oasis-open.org/"),
        (
            "junit",
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites",
        ),
    ] {
        let arguments = [&host[..], &["-o", format]].concat();
        let out = check(&folder, &arguments, 1, &["HF101", "x86-64-v3"]);
        assert!(out.starts_with(begins), "{format}: {out}");
    }
    // Scripts get what does not simply fit, once however many hosts there are.
    let two = ["--host", "builtin/rhel-9", "-o", "name"];
    let name = [&host[..], &two].concat();
    assert_eq!(check(&folder, &name, 1, &[]), "oci:image\n");
    let fits = ["check", "image", "oci:image", "--host", "builtin/x86-64-v3"];
    let fits = [&fits[..], &["-o", "name"]].concat();
    assert_eq!(check(&folder, &fits, 0, &[]), "");
    let explained = [
        "explain",
        "image",
        "oci:image",
        "--host",
        "builtin/x86-64-v3",
    ];
    let explained = [&explained[..], &["-o", "name"]].concat();
    assert_eq!(check(&folder, &explained, 0, &[]), "oci:image\n");
}
