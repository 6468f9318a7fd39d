//! What people write: types and names as for kubectl, names that are nearly right, flags that the next command needs, and
//! formats that a command has or has not.

use std::fs;

use crate::golden::SHOP;
use crate::kit::{Folder, RHEL, check, layout};

/// The command on the snapshot of the shop.
#[track_caller]
fn shop(folder: &Folder, arguments: &[&str], code: i32, says: &[&str]) -> String {
    let place = ["--snapshot", SHOP, "--as-of", "2026-11-25"];
    check(folder, &[arguments, &place].concat(), code, says)
}

#[test]
fn workloads_are_named_as_for_kubectl_and_nearly_right_names_are_guessed() {
    let folder = Folder::new("names");
    let one = ["1 workload,", "shop/deploy/fast"];
    shop(&folder, &["check", "deploy", "fast"], 1, &one);
    shop(&folder, &["check", "deployments.apps/fast"], 1, &one);
    shop(&folder, &["check", "deploy"], 1, &["7 workloads,"]);
    shop(
        &folder,
        &["explain", "deploy", "fast"],
        1,
        &["shop/Deployment/fast    FAIL"],
    );
    shop(
        &folder,
        &["explain", "deploy"],
        1,
        &["shop/Deployment/web    PASS"],
    );
    let wrong = "\"web\" is neither TYPE/NAME nor a code: write deploy/web, sts/web, … or HF101";
    shop(&folder, &["explain", "web"], 2, &[wrong]);
    shop(
        &folder,
        &["check", "pods"],
        2,
        &["there is nothing of type pods in snapshot"],
    );
    let wrong = |arguments: &[&str], says: &str| {
        shop(&folder, arguments, 2, &[says]);
    };
    wrong(&["check", "deplyo/fast"], "did you mean deploy/fast?");
    wrong(&["check", "deplyo", "fast"], "did you mean deploy?");
    wrong(&["check", "sts/fast"], "did you mean deploy/fast?");
    wrong(
        &["check", "fast"],
        "write TYPE/NAME, for example deploy/search",
    );
    wrong(&["check", "oci:image"], "hostfit check image oci:image");
    wrong(
        &["explain", "x.example/a:1"],
        "hostfit check image x.example/a:1",
    );
    wrong(&["nodes", "rhel94-k51"], "did you mean rhel94-k514?");
    wrong(&["check", "web.yaml"], "-f web.yaml --host builtin/NAME");
    wrong(&["check", "svc/shop-front"], "svc makes no pods");
    wrong(
        &["explain", "HF101", "HF502"],
        "one code at a time: hostfit explain HF101",
    );
    wrong(
        &[
            "plan",
            "--from",
            "builtin/rhel-9",
            "--to",
            "builtin/rhel-10",
        ],
        "write the name of a host profile that runs in snapshot",
    );
    wrong(&["check", "--host", "file:"], "write file:PATH");
    shop(
        &folder,
        &["check", "-n", "shp"],
        0,
        &["did you mean -n shop?"],
    );
}

#[test]
fn what_is_accepted_may_be_accepted_for_longer() {
    let folder = Folder::new("renewed");
    let except = |until| {
        let words = ["except", "-n", "shop", "deploy/fast", "HF101", "--reason"];
        [
            &words[..],
            &["the new nodes come late", "-o", "json", "--until", until],
        ]
        .concat()
    };
    let made = shop(&folder, &except("2026-12-31"), 0, &[]);
    let mut snapshot: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(SHOP).unwrap()).unwrap();
    let exception: serde_json::Value = serde_json::from_str(&made).unwrap();
    snapshot["objects"]["exceptions"] = serde_json::json!([exception]);
    fs::write(folder.0.join("then.json"), snapshot.to_string()).unwrap();
    let place = ["--snapshot", "then.json", "--as-of", "2026-12-30"];
    let accepted = ["1 finding is accepted until 2026-12-31T00:00:00Z"];
    check(&folder, &[&["check"], &place[..]].concat(), 1, &accepted);
    let longer = [&except("2027-01-31")[..], &place].concat();
    check(
        &folder,
        &longer,
        0,
        &["\"deploy-fast-hf101\"", "2027-01-31T00:00:00Z"],
    );
}

/// Who looks at the exit code alone would take it for a pass.
#[test]
fn success_with_something_that_could_not_be_told_is_said_in_every_format() {
    let folder = Folder::new("untold");
    let says = " could not be told: ";
    let secret = "private.example/team/secret:1";
    let plan = ["plan", "--from", "rhel94-k514", "--to", "builtin/x86-64-v2"];
    for format in ["table", "name", "json", "csv", "sarif", "junit", "html"] {
        for command in [
            &["check", "shop/deploy/secret"][..],
            &["explain", "shop/deploy/secret"],
            &["check", "image", secret, "--host", "rhel94-k514"],
            &plan,
        ] {
            let arguments = [command, &["-q", "-o", format]].concat();
            shop(&folder, &arguments, 0, &[says]);
            let strict = [&arguments[..], &["--fail-on", "unknown"]].concat();
            shop(&folder, &strict, 3, &[]);
        }
    }
    shop(
        &folder,
        &["report", "shop/deploy/secret", "-o", "html"],
        0,
        &[says],
    );
    shop(&folder, &["matrix", "--fail-on", "never"], 0, &[says]);
}

#[test]
fn hosts_of_another_name_are_guessed_where_they_may_stand() {
    let folder = Folder::new("hosts");
    let wrong = |arguments: &[&str], says: &str, never: &str| {
        let text = crate::kit::hostfit(&folder, &[arguments, &["--snapshot", SHOP]].concat());
        let text = String::from_utf8(text.stderr).unwrap();
        assert!(text.contains(says) && !text.contains(never), "{text}");
    };
    let plan = |from, to| ["plan", "--from", from, "--to", to];
    wrong(
        &plan("rhel94-k514", "rhel-10"),
        "did you mean builtin/rhel-10?",
        "shows them",
    );
    wrong(
        &plan("rhel94-k514", "amzn2-k51"),
        "did you mean amzn2-k510?",
        "builtin/a",
    );
    wrong(
        &plan("rhel94-k514", "rhel94-k514"),
        "rhel94-k514 cannot take its own place",
        "runs there",
    );
    // What is replaced has nodes: nothing that is built in.
    wrong(
        &plan("rhel-9", "builtin/rhel-10"),
        "there is no host profile rhel-9",
        "did you mean",
    );
    wrong(
        &["check", "--host", "al2023"],
        "did you mean builtin/al2023?",
        "shows them",
    );
}

#[test]
fn a_host_profile_is_shown_as_a_node_is() {
    let folder = Folder::new("profile");
    let says = [
        "rhel94-k514    host profile of rhel9-1, rhel9-2, rhel9-3",
        "cpuLevel      2",
        "not told: ",
    ];
    shop(&folder, &["nodes", "rhel94-k514"], 0, &says);
    let json = shop(&folder, &["nodes", "rhel94-k514", "-o", "json"], 0, &[]);
    let document: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(document["items"][0]["node_names"][2], "rhel9-3");
    assert_eq!(document["items"][0]["facts"]["cpuLevel"], 2);
}

#[test]
fn the_next_command_asks_the_same_place_and_stays_out_of_files() {
    let folder = Folder::new("next");
    layout(&folder.0.join("image"), RHEL);
    fs::copy(SHOP, folder.0.join("a snapshot.json")).unwrap();
    let place = ["--snapshot", "a snapshot.json", "--as-of", "2026-11-25"];
    let run = |arguments: &[&str], code: i32, says: &str| {
        let out = check(&folder, &[arguments, &place].concat(), code, &[]);
        let last = out.lines().last().unwrap().to_owned();
        assert_eq!(last, says);
        last
    };
    let next = run(
        &["check", "--host", "builtin/x86-64-v2", "deploy/fast"],
        1,
        "next: hostfit explain -n shop deploy/fast --host builtin/x86-64-v2 --snapshot 'a snapshot.json' --as-of 2026-11-25",
    );
    // It is a command that works.
    let words = next
        .strip_prefix("next: hostfit ")
        .unwrap()
        .replace('\'', "");
    let words = words.replace("a snapshot.json", "a%snapshot.json");
    let words: Vec<_> = words.split(' ').map(|it| it.replace('%', " ")).collect();
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    check(&folder, &words, 1, &["HF101", "builtin/x86-64-v2"]);
    run(
        &[
            "plan",
            "-n",
            "shop",
            "--from",
            "rhel94-k514",
            "--to",
            "builtin/rhel-10",
            "--same-machines",
        ],
        0,
        "next: hostfit plan --from rhel94-k514 --to builtin/rhel-10 --same-machines -n shop -o markdown --output-file plan.md \
         --snapshot 'a snapshot.json' --as-of 2026-11-25",
    );
    let file = ["check", "--output-file", "out.txt"];
    assert_eq!(check(&folder, &[&file[..], &place].concat(), 1, &[]), "");
    let text = fs::read_to_string(folder.0.join("out.txt")).unwrap();
    assert!(text.contains("FAIL") && !text.contains("next: "), "{text}");
}

#[test]
fn a_snapshot_answers_for_images_and_their_hosts() {
    let folder = Folder::new("images-of-snapshot");
    // The registry in their names leads nowhere.
    let web = "registry.example/shop/web:1";
    shop(
        &folder,
        &["images", web],
        0,
        &["base_image           ubi8:8.10"],
    );
    let hosts = [
        "PASS     registry.example/shop/web:1 on rhel94-k514",
        "1 pass, 2 warn",
    ];
    shop(&folder, &["check", "image", web], 0, &hosts);
    let elsewhere = [
        "check",
        "image",
        "registry.example/shop/fast:1",
        "--host",
        "builtin/x86-64-v2",
    ];
    shop(&folder, &elsewhere, 1, &["HF101"]);
    shop(
        &folder,
        &["images", "private.example/team/secret:1"],
        0,
        &["HF901"],
    );
    shop(
        &folder,
        &["doctor"],
        2,
        &[
            "doctor looks at an install that runs",
            "leave out --snapshot",
        ],
    );
}

#[test]
fn manifests_are_judged_on_the_hosts_of_a_snapshot() {
    let folder = Folder::new("manifests-of-snapshot");
    let manifest = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: new, namespace: shop}\nspec: {template: {spec: \
                    {nodeSelector: {pool: rhel9}, tolerations: [{operator: Exists}], \
                    containers: [{name: web, image: registry.example/shop/fast:1}]}}}\n";
    fs::write(folder.0.join("new.yaml"), manifest).unwrap();
    let there = [
        "1 workload, 1 image, 3 hosts (7 nodes)",
        "FAIL     shop/deploy/new  HF101",
    ];
    shop(&folder, &["check", "-f", "new.yaml"], 1, &there);
    let one = ["check", "-f", "new.yaml", "--host", "rhel94-k514"];
    shop(&folder, &one, 1, &["1 host (3 nodes)", "HF101"]);
    // What stands in Git can be accepted before it is applied; without labels by its image.
    let except = [
        "except",
        "-f",
        "new.yaml",
        "--host",
        "rhel94-k514",
        "deploy",
        "new",
    ];
    let because = [
        "HF101",
        "--until",
        "+30d",
        "--reason",
        "the new nodes come late",
    ];
    let says = [
        "name: deploy-new-hf101",
        "namespace: shop",
        "images:\n  - registry.example/shop/fast:1\n",
    ];
    shop(&folder, &[&except[..], &because].concat(), 0, &says);
    let old = manifest.replace("shop/fast", "shop/ledger");
    fs::write(folder.0.join("new.yaml"), old).unwrap();
    // What our list does not tell of a host is no question to nodes.
    let built_in = [
        "explain",
        "-f",
        "new.yaml",
        "--host",
        "builtin/x86-64-v3",
        "deploy/new",
    ];
    let text = shop(&folder, &built_in, 0, &["HF904", "--host file:PATH"]);
    assert!(!text.contains("agent.enabled"), "{text}");
    let json = [&built_in[..], &["-o", "json"]].concat();
    let json = shop(&folder, &json, 0, &["--host file:PATH"]);
    assert!(!json.contains("agent.enabled"), "{json}");
}

#[test]
fn without_a_cluster_each_command_says_what_serves_instead() {
    let folder = Folder::new("no-cluster");
    let wrong = |arguments: &[&str], says: &[&str], never: &str| {
        let output = crate::kit::hostfit(&folder, arguments);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{error}");
        for part in says {
            assert!(error.contains(part), "{part:?}: {error}");
        }
        assert!(!error.contains(never), "{error}");
    };
    wrong(
        &["check"],
        &["check -f DIR --host builtin/NAME"],
        "images IMAGE",
    );
    wrong(&["images"], &["hostfit images IMAGE"], "check -f");
    wrong(&["nodes"], &["hostfit catalog list hosts"], "check -f");
    wrong(&["doctor"], &["there is no kubeconfig"], "do without");
    wrong(
        &["plan", "--to", "rhel-10"],
        &["did you mean builtin/rhel-10?", "plan --snapshot FILE"],
        "check -f",
    );
    let image = ["check", "image", "x.example/a:1"];
    wrong(&image, &["add --host builtin/NAME"], "do without");
    let host = [&image[..], &["--host", "rhel-9"]].concat();
    wrong(&host, &["did you mean builtin/rhel-9?"], "do without");
    fs::write(folder.0.join("x.yaml"), "kind: Pod\n").unwrap();
    let manifests = ["check", "-f", "x.yaml", "--host", "builtin/rhel-9"];
    wrong(&manifests, &["Pod: it has no spec"], "nothing is judged");
}

#[test]
fn what_is_built_in_is_told_to_programs_too() {
    let folder = Folder::new("built-in");
    let read = |arguments: &[&str]| -> serde_json::Value {
        let out = check(&folder, &[arguments, &["-o", "json"]].concat(), 0, &[]);
        let document: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(document["apiVersion"], "cli.hostfit.dev/v1");
        document
    };
    assert_eq!(read(&["version"])["kind"], "Version");
    assert_eq!(read(&["explain", "hf101"])["code"], "HF101");
    let all = read(&["catalog", "list"]);
    assert!(all["codes"].as_array().unwrap().len() > 50);
    let hosts = read(&["catalog", "list", "hosts"]);
    assert!(
        hosts.get("codes").is_none() && hosts["hosts"][0]["facts"]["os"] == "rhel",
        "{hosts}"
    );
    let table = read(&["catalog", "show", "support"]);
    let width = table["columns"].as_array().unwrap().len();
    assert_eq!(table["rows"][0].as_array().unwrap().len(), width);
    check(&folder, &["version", "-o", "yaml"], 0, &["kind: Version"]);
    check(
        &folder,
        &["catalog", "list", "hosts", "-o", "name"],
        0,
        &["builtin/al2023"],
    );
    for (arguments, command) in [
        (&["version"][..], "version"),
        (&["catalog", "list"], "catalog list"),
        (&["catalog", "show", "HF101"], "catalog show"),
        (&["completion", "bash"], "completion"),
    ] {
        let says = format!("hostfit {command} has no format csv");
        check(&folder, &[arguments, &["-o", "csv"]].concat(), 2, &[&says]);
    }
    let named = |arguments: &[&str]| shop(&folder, &[arguments, &["-o", "name"]].concat(), 0, &[]);
    assert_eq!(
        named(&["nodes"]),
        "amzn2-k510\ndebian12-k618\nrhel94-k514\n"
    );
    assert!(named(&["images"]).starts_with("private.example/team/secret:1\n"));
    let breaks = [
        "plan",
        "--from",
        "rhel94-k514",
        "--to",
        "builtin/x86-64-v2",
        "-o",
        "name",
    ];
    shop(&folder, &breaks, 0, &[]);
    shop(
        &folder,
        &["matrix", "-o", "name"],
        1,
        &["registry.example/shop/fast:1\n"],
    );
}
