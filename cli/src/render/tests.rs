use std::collections::BTreeSet;

use boon::{Compiler, SchemaIndex, Schemas};
use hostfit_engine::verdict::Verdict;
use serde_json::{Value, json};

use super::sample::{HOSTILE, cluster, image_on_hosts};
use super::*;
use crate::document::{NotJudged, Summary};

/// The schema of OASIS, as the crate serde-sarif 0.8.0 carries it.
fn sarif_schema() -> (Schemas, SchemaIndex) {
    let schema: Value = serde_json::from_str(include_str!("sarif-schema-2.1.0.json")).unwrap();
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.add_resource("file:///sarif.json", schema).unwrap();
    let index = compiler
        .compile("file:///sarif.json", &mut schemas)
        .unwrap();
    (schemas, index)
}

/// What is judged by the samples, so that no test looks at nothing.
#[test]
fn the_sample_has_every_verdict() {
    let document = cluster(40);
    for verdict in Verdict::ALL.into_iter().filter(|it| *it != Verdict::Fail) {
        let has = document.workloads.iter().any(|it| it.verdict == verdict);
        assert!(has, "{verdict:?}");
    }
    assert_eq!(document.summary.pass, 28);
    assert!(!document.plan.unwrap().breaks.is_empty());
    assert_eq!(document.items.len(), 40 * 4);
}

#[test]
fn sarif_is_what_its_schema_demands() {
    let (schemas, schema) = sarif_schema();
    let broken = with_broken_files();
    for document in [cluster(40), cluster(0), image_on_hosts(), broken] {
        let log = sarif::sarif(&document);
        if let Err(error) = schemas.validate(&log, schema) {
            panic!("{error:#}");
        }
    }
    // Else the schema would say nothing.
    let mut wrong = sarif::sarif(&cluster(40));
    wrong["runs"][0]["results"][0]["level"] = json!("fatal");
    assert!(schemas.validate(&wrong, schema).is_err());
}

#[test]
fn sarif_says_of_each_finding_what_where_and_how_bad() {
    let mut document = cluster(40);
    Arc::make_mut(&mut document.workloads[0].target).file = Some("./deploy/a b.yaml".to_owned());
    let log = sarif::sarif(&document);
    let results = log["runs"][0]["results"].as_array().unwrap();
    let findings: usize = document.workloads.iter().map(|it| it.findings.len()).sum();
    assert_eq!(results.len(), findings + document.excepted.len());
    let first = &results[0];
    assert_eq!(first["ruleId"], "HF101");
    assert_eq!(first["level"], "error");
    let place = &first["locations"][0];
    assert_eq!(
        place["physicalLocation"]["artifactLocation"]["uri"],
        "deploy/a%20b.yaml"
    );
    let text = first["message"]["text"].as_str().unwrap();
    assert!(
        text.contains("container web: image needs CPU level x86-64-v3") && text.contains("Fix: "),
        "{text}"
    );
    let unknown = results.iter().find(|it| it["ruleId"] == "HF901").unwrap();
    assert_eq!(unknown["level"], "note");
    let suppressed = |it: &&Value| !it["suppressions"].as_array().unwrap().is_empty();
    let suppressed: Vec<_> = results.iter().filter(suppressed).collect();
    assert_eq!(suppressed.len(), 1);
    let rules = log["runs"][0]["tool"]["driver"]["rules"]
        .as_array()
        .unwrap();
    for result in results {
        let rule = &rules[result["ruleIndex"].as_u64().unwrap() as usize];
        assert_eq!(rule["id"], result["ruleId"]);
    }
}

#[test]
fn junit_counts_what_does_not_fit_as_failure_and_what_is_unknown_as_error() {
    let document = cluster(40);
    let text = junit::junit(&document).unwrap();
    let report = quick_junit::Report::deserialize_from_str(&text).unwrap();
    let summary = document.summary;
    let untold = untold(&document).len();
    assert_eq!(report.tests, 40 + untold);
    assert_eq!(report.failures, summary.fail + summary.partial);
    assert_eq!(report.errors, summary.unknown + untold);
    let suites = report.test_suites.len();
    assert_eq!(suites, 6, "one for each namespace, one for the hidden");
    assert!(text.contains("HF101 Fail: image needs CPU level x86-64-v3"));
    assert!(text.contains("accepted until 2026-12-31T00:00:00Z by search-v2-cpus"));
    let text = junit::junit(&image_on_hosts()).unwrap();
    assert!(
        text.contains(r#"<testsuite name="ubuntu2204-k515" tests="1""#),
        "{text}"
    );
}

/// One workload that fits, and three things that have no verdict.
fn with_broken_files() -> Document {
    let mut document = cluster(40);
    document.plan = None;
    document.excepted.clear();
    document.workloads.retain(|it| it.verdict == Verdict::Pass);
    document.workloads.truncate(1);
    document.summary = Summary::of([Verdict::Pass]);
    let part = |file: &str, why: &str| NotJudged {
        file: file.to_owned(),
        why: why.to_owned(),
    };
    document.not_read = vec![part("deploy/a b.yaml", "it is no YAML: line 2, column 7")];
    document.is_broken = true;
    document.not_judged = vec![part(
        "deploy/all.yaml",
        "Rollout canary (argoproj.io/v1alpha1)",
    )];
    document
}

#[test]
fn no_format_passes_over_what_was_not_judged() {
    let document = with_broken_files();
    let run = &sarif::sarif(&document)["runs"][0];
    let invocation = &run["invocations"][0];
    assert_eq!(invocation["executionSuccessful"], false);
    let told = invocation["toolExecutionNotifications"].as_array().unwrap();
    assert_eq!(told.len(), 3);
    assert_eq!(told[0]["level"], "error");
    assert_eq!(
        told[0]["message"]["text"],
        "not read: it is no YAML: line 2, column 7"
    );
    let place = &told[0]["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "deploy/a%20b.yaml");
    assert_eq!(told[1]["level"], "warning");
    assert_eq!(
        told[2]["message"]["text"],
        "may not list cronjobs.batch: CronJobs are not here"
    );
    for notification in told {
        let index = notification["descriptor"]["index"].as_u64().unwrap() as usize;
        let described = &run["tool"]["driver"]["notifications"][index];
        assert_eq!(described["id"], notification["descriptor"]["id"]);
    }
    let text = junit::junit(&document).unwrap();
    let report = quick_junit::Report::deserialize_from_str(&text).unwrap();
    assert_eq!((report.tests, report.failures, report.errors), (4, 0, 3));
    assert!(
        text.contains(r#"<testcase name="deploy/a b.yaml" classname="not judged""#)
            && text.contains(
                r#"<error message="not read: it is no YAML: line 2, column 7" type="not-read"/>"#
            ),
        "{text}"
    );
    let text = csv::csv(&document).unwrap();
    let mut reader = ::csv::Reader::from_reader(text.as_bytes());
    let records: Vec<_> = reader.records().map(Result::unwrap).collect();
    let unknown: Vec<_> = records.iter().filter(|it| &it[0] == "Unknown").collect();
    assert_eq!(unknown.len(), 3, "{text}");
    assert_eq!(&unknown[0][11], "not read: it is no YAML: line 2, column 7");
    assert_eq!(&unknown[0][14], "deploy/a b.yaml");
    for (format, parts) in [
        (
            Format::Markdown,
            ["1 workload fits; 3 not judged", "### Not read"],
        ),
        (
            Format::Html,
            ["3 were not judged, which is no pass", "id=\"not-read\""],
        ),
        (
            Format::Json,
            ["\"why\": \"it is no YAML", "\"Rollout canary"],
        ),
    ] {
        let text = render(format, &document).unwrap();
        for part in parts {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}

#[test]
fn csv_is_read_back_whole_and_runs_no_formula() {
    let mut document = cluster(40);
    Arc::make_mut(&mut document.workloads[0].target).name = "=cmd|' /C calc'!A0".to_owned();
    let text = csv::csv(&document).unwrap();
    let mut reader = ::csv::Reader::from_reader(text.as_bytes());
    let records: Vec<_> = reader.records().map(Result::unwrap).collect();
    let lines = |it: &crate::document::WorkloadEntry| it.findings.len().max(1);
    let expected: usize = document.workloads.iter().map(lines).sum();
    assert_eq!(records.len(), expected + untold(&document).len());
    assert_eq!(&records[0][3], "'=cmd|' /C calc'!A0");
    assert_eq!(&records[0][8], "HF101");
    for record in &records {
        assert!(!record.iter().any(|it| it.starts_with(['=', '+', '-', '@'])));
    }
}

#[test]
fn markdown_keeps_its_tables_whatever_things_are_called() {
    let mut document = cluster(40);
    let plan = markdown::markdown(&document);
    assert!(plan.contains("## Plan: al8-k418 → amzn2023-k61"), "{plan}");
    assert!(plan.contains("| cgroup | 1 | 2 |"), "{plan}");
    assert!(plan.contains("### Order of work"), "{plan}");
    document.plan = None;
    let text = markdown::markdown(&document);
    assert!(
        text.starts_with("## Hostfit: 4 of 40 workloads do not fit everywhere"),
        "{text}"
    );
    assert!(text.contains("alert(1)"), "the hostile workload is there");
    for text in [plan, text] {
        assert!(
            !text.contains("<script") && !text.contains("@team"),
            "{text}"
        );
        let mut columns = None;
        for line in text.lines() {
            let bars = line.replace("\\|", "").matches('|').count();
            match (bars, columns) {
                (0, _) => columns = None,
                (bars, None) => columns = Some(bars),
                (bars, Some(columns)) => assert_eq!(bars, columns, "{line}"),
            }
        }
    }
    let text = markdown::markdown(&image_on_hosts());
    assert!(
        text.contains("registry.example/apps/search:4.1 on ubuntu2204-k515"),
        "{text}"
    );
    let text = markdown::markdown(&cluster(0));
    assert!(text.contains("there is no workload to judge"), "{text}");
}

#[test]
fn no_format_carries_what_terminals_obey() {
    let mut document = cluster(40);
    assert!(HOSTILE.contains('\u{1b}') && HOSTILE.contains('\u{202e}'));
    for plan in [true, false] {
        if !plan {
            document.plan = None;
        }
        for format in FORMATS {
            let text = render(format, &document).unwrap();
            let obeyed = |c: char| c != '\n' && c != '\r' && (c.is_control() || c == '\u{202e}');
            assert!(!text.contains(obeyed), "{format:?}");
        }
    }
}

/// With HOSTFIT_PAGES=DIR the pages stay, for a browser (tests/browser/test.sh).
#[test]
fn a_page_has_all_of_it_and_obeys_nothing_of_it() {
    for (name, document) in [
        ("40", cluster(40)),
        ("2000", cluster(2000)),
        ("image", image_on_hosts()),
        ("empty", cluster(0)),
    ] {
        let page = render(Format::Html, &document).unwrap();
        if let Some(folder) = std::env::var_os("HOSTFIT_PAGES") {
            let folder = std::path::PathBuf::from(folder);
            std::fs::write(folder.join(format!("{name}.html")), &page).unwrap();
        }
        assert!(
            !page.contains("<script") && !page.contains("javascript:alert(1))\""),
            "{name}"
        );
        assert!(
            !page.contains("src=") && !page.contains("url("),
            "{name} asks for nothing"
        );
        assert!(page.len() < 3 << 20, "{name} has {} bytes", page.len());
        for host in &document.hosts {
            assert!(page.contains(&*host.name), "{}", host.name);
        }
        let told = document
            .workloads
            .iter()
            .filter(|it| it.verdict != Verdict::Pass);
        for workload in told.take(100) {
            let name = workload.target.to_string();
            let name = askama::filters::escape(name, askama::filters::Html).unwrap();
            assert!(page.contains(&name.to_string()), "{}", workload.target);
        }
        let after = |mark: &str| -> BTreeSet<&str> {
            let places = page
                .match_indices(mark)
                .map(|(at, it)| &page[at + it.len()..]);
            places.filter_map(|rest| rest.split('"').next()).collect()
        };
        let (links, anchors) = (after("href=\"#"), after(" id=\""));
        assert!(
            links.is_subset(&anchors),
            "{name}: {:?}",
            links.difference(&anchors)
        );
        let rows = page.matches("<th scope=\"row\" class=\"wrap\">").count();
        assert!(
            rows >= document.workloads.len(),
            "{name}: a row for each workload"
        );
    }
    let page = render(Format::Html, &cluster(0)).unwrap();
    assert!(page.contains("There is nothing to judge here"));
}
