//! The published tables, read here once more by simpler means: each row is judged as it stands there.

use std::fs;

use hostfit_cli::cases::{Case, Host, Proof};
use jiff::civil::Date;
use serde_json::json;

use super::{FOLDER, cases, root};

/// The rows of a table, each by the names of its columns.
fn table(name: &str) -> Vec<Vec<(String, String)>> {
    let text = fs::read_to_string(root().join("engine/data").join(name)).unwrap();
    let mut lines = text.lines().filter(|line| !line.starts_with('#'));
    let split = |line: &str| line.split('\t').map(str::to_owned).collect::<Vec<_>>();
    let heading = split(lines.next().unwrap());
    lines
        .map(|line| heading.iter().cloned().zip(split(line)).collect())
        .collect()
}

fn field<'a>(row: &'a [(String, String)], name: &str) -> &'a str {
    let found = row.iter().find(|(column, _)| column == name);
    &found.unwrap_or_else(|| panic!("no column {name}")).1
}

#[track_caller]
fn check(case: serde_json::Value) {
    let case: Case = serde_json::from_value(case).unwrap();
    if let Err(trouble) = super::check(&case) {
        panic!("{:?}\n{trouble}", case.name);
    }
}

/// A day of the tables (`2024-06-30`, or `2023-07` for the last of the month).
fn day(written: &str) -> Date {
    match written.len() {
        7 => format!("{written}-01")
            .parse::<Date>()
            .unwrap()
            .last_of_month(),
        _ => written.parse().unwrap(),
    }
}

#[test]
fn every_row_of_the_vendors_matrices_has_a_case() {
    let cases: Vec<_> = cases().collect();
    let mut missing = Vec::new();
    for row in table("support.tsv") {
        let get = |name| field(&row, name).to_owned();
        let image = format!("{} {}", get("image"), get("image_version"));
        let (host, version) = (get("host"), get("host_version"));
        let expected = match get("status").as_str() {
            "supported" => None,
            "limited" => Some("HF503 Warn"),
            "unsupported" => Some("HF502 Fail"),
            other => panic!("status {other}"),
        };
        let about = |(_, case): &&(&str, &Case)| {
            let own = matches!(case.image.as_slice(), [one]
                if matches!(&one.distro, Some((distro, Proof::Layers | Proof::Stated)) if *distro == image));
            let [Host::Name(name)] = case.host.as_slice() else {
                return false;
            };
            let facts = FOLDER.world.host_facts(name).cloned();
            let facts = facts.unwrap_or_default();
            let release = facts.get("osVersion").and_then(|it| it.as_str());
            let within =
                |release: &str| release == version || release.starts_with(&format!("{version}."));
            let vendor: Vec<_> = case
                .expect
                .findings
                .iter()
                .filter(|it| it.starts_with("HF502") || it.starts_with("HF503"))
                .map(String::as_str)
                .collect();
            own && facts.get("os").and_then(|it| it.as_str()) == Some(host.as_str())
                && release.is_some_and(within)
                && vendor == expected.into_iter().collect::<Vec<_>>()
        };
        if !cases.iter().any(|case| about(&case)) {
            missing.push(format!("{image} on {host} {version}: {expected:?}"));
        }
    }
    assert!(missing.is_empty(), "no case for\n{}", missing.join("\n"));
}

#[test]
fn every_release_is_supported_until_its_last_day_and_not_after() {
    let mut checked = 0;
    for row in table("distributions.tsv") {
        let (id, version) = (field(&row, "id"), field(&row, "version_id"));
        let end = field(&row, "eol_standard");
        if end.is_empty() {
            continue;
        }
        checked += 1;
        let end = day(end);
        let matrix = json!({"rulePacks": ["eol"]});
        for (today, image, host) in [
            (end, "Pass", "Pass"),
            (
                end.tomorrow().unwrap(),
                "Warn (HF501 Warn)",
                "Warn (HF507 Warn)",
            ),
        ] {
            check(json!({
                "case": format!("image {id} {version} on {today}"), "today": today, "matrix": matrix,
                "image": format!("{id} {version} (layers)"), "host": "talos-1.11", "expect": image,
            }));
            check(json!({
                "case": format!("host {id} {version} on {today}"), "today": today, "matrix": matrix,
                "image": "arch 1 (layers)",
                "host": {"like": "talos-1.11", "os": id, "osVersion": version}, "expect": host,
            }));
        }
    }
    assert!(checked > 150, "only {checked} releases have an end");
}

#[test]
fn every_release_needs_the_cpu_and_the_kernel_of_its_row() {
    for row in table("distributions.tsv") {
        let (id, version) = (field(&row, "id"), field(&row, "version_id"));
        if field(&row, "role") == "host" {
            continue;
        }
        let sourced = |columns: [&str; 2]| !columns.iter().any(|name| field(&row, name) == "K");
        let level: u8 = field(&row, "x86_64_level").parse().unwrap();
        let judged = |host: serde_json::Value, expect: String| {
            check(json!({
                "case": format!("{id} {version} on {host}"), "today": "2000-01-01",
                "matrix": {"rulePacks": ["recommended"]},
                "image": format!("{id} {version} (layers)"), "host": host, "expect": expect,
            }));
        };
        let outcome = |code: &str, fits: bool, definite: bool| match (fits, definite) {
            (true, _) => "Pass".to_owned(),
            (false, true) => format!("Fail ({code} Fail)"),
            (false, false) => format!("Warn ({code} Warn)"),
        };
        for offered in 1..=4_u8 {
            let definite = sourced(["x86_64_level_cert", "x86_64_level_cert"]);
            let host = json!({"like": "debian-13", "cpuLevel": offered});
            judged(host, outcome("HF101", offered >= level, definite));
        }
        let unknown = match level {
            1 => "Pass",
            _ => "Unknown (HF904 Unknown)",
        };
        judged(
            json!({"like": "debian-13", "cpuLevel": "unknown"}),
            unknown.to_owned(),
        );

        let checks = field(&row, "kernel_check_active") == "yes";
        let needed = field(&row, "min_kernel_x86_64");
        let definite = sourced(["libc_cert", "min_kernel_cert"]);
        if !needed.is_empty() {
            let host = json!({"like": "debian-13", "kernel": format!("{needed}-1-amd64")});
            judged(host, "Pass".to_owned());
        }
        let oldest = json!({"like": "debian-13", "kernel": "2.4.37"});
        judged(oldest, outcome("HF201", !checks, definite));
        let unknown = if checks {
            "Unknown (HF904 Unknown)"
        } else {
            "Pass"
        };
        judged(
            json!({"like": "debian-13", "kernel": "unknown"}),
            unknown.to_owned(),
        );
    }
}
