//! `hostfit report`, on a snapshot of a real cluster.

use crate::golden::SHOP;
use crate::kit::{Folder, check};

const FROM: [&str; 5] = ["report", "--snapshot", SHOP, "--as-of", "2026-11-25"];

#[test]
fn a_report_is_written_in_the_format_of_its_reader() {
    let folder = Folder::new("report");
    for (format, begins, says) in [
        ("html", "<!doctype html>", "Images and hosts"),
        ("markdown", "## Hostfit: ", "### What to do"),
        ("sarif", "{\n  \"$schema\"", "\"ruleId\": \"HF"),
        ("junit", "<?xml", "<testsuite name=\"shop\""),
        ("csv", "verdict,", "HF"),
        (
            "json",
            "{\n  \"apiVersion\": \"cli.hostfit.dev/v1\",\n  \"kind\": \"Report\"",
            "Fail",
        ),
    ] {
        let out = check(&folder, &[&FROM[..], &["-o", format]].concat(), 1, &[says]);
        assert!(out.starts_with(begins), "{format}: {out}");
    }
    check(
        &folder,
        &FROM,
        2,
        &["say who reads the report", "-o html (people)"],
    );
    let file = [&FROM[..], &["--output-file", "all.md"]].concat();
    assert_eq!(check(&folder, &file, 1, &[]), "");
    let text = std::fs::read_to_string(folder.0.join("all.md")).unwrap();
    assert!(text.starts_with("## Hostfit: "), "{text}");
}

#[test]
fn a_report_of_one_workload_speaks_of_it_alone() {
    let folder = Folder::new("report-one");
    let one = [&FROM[..], &["-n", "shop", "deploy/web", "-o", "html"]].concat();
    let out = check(&folder, &one, 0, &["1 workload"]);
    assert!(out.contains("shop/Deployment/web") && !out.contains("Deployment/fat"));
}

#[test]
fn a_report_of_nothing_says_what_to_look_at() {
    let folder = Folder::new("report-nothing");
    let none = [&FROM[..], &["-l", "no=such", "-o", "html"]].concat();
    check(&folder, &none, 0, &["There is nothing to judge here"]);
}
