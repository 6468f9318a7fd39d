//! The cases of `tests/cases/matrix`, judged by the real judge: what people may rely on, one file a code.
//!
//! `tests/cases/README.md` explains how a case is written.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use hostfit_engine::finding::Code;

mod case;
mod files;
mod hosts;
mod judge;
mod tables;

use case::{Case, File};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every file of cases, by its name without the ending.
fn files() -> Vec<(String, File)> {
    let folder = root().join("tests/cases/matrix");
    let mut paths: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "yaml"))
        .collect();
    paths.sort();
    let read = |path: PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        let file = serde_saphyr::from_str(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (name, file)
    };
    paths.into_iter().map(read).collect()
}

fn cases() -> Vec<(String, Case)> {
    let of_file = |(name, file): (String, File)| {
        let cases: Vec<_> = file.cases();
        cases.into_iter().map(move |case| (name.clone(), case))
    };
    files().into_iter().flat_map(of_file).collect()
}

#[test]
fn every_case_is_judged_as_it_says() {
    let cases = cases();
    let failures: Vec<_> = cases
        .iter()
        .filter_map(|(file, case)| {
            let trouble = judge::check(case).err()?;
            Some(format!("{file}.yaml, {:?}\n{trouble}", case.name))
        })
        .collect();
    assert!(
        failures.is_empty(),
        "{} of {} cases are judged otherwise:\n\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n\n")
    );
    assert!(cases.len() > 150, "only {} cases were found", cases.len());
}

#[test]
fn every_case_has_a_name_of_its_own() {
    let mut seen = BTreeSet::new();
    for (file, case) in cases() {
        let key = (file.clone(), case.name.clone());
        assert!(seen.insert(key), "{file}.yaml: two cases {:?}", case.name);
    }
}

#[test]
fn every_code_has_a_file_with_a_case_that_yields_it_and_one_that_does_not() {
    let mut by_file: BTreeMap<String, Vec<Case>> = BTreeMap::new();
    for (file, case) in cases() {
        by_file.entry(file).or_default().push(case);
    }
    let known: BTreeSet<_> = Code::ALL.iter().map(|code| code.to_string()).collect();
    let found: BTreeSet<_> = by_file.keys().cloned().collect();
    assert_eq!(found, known, "files of cases and codes");
    for (code, cases) in &by_file {
        let yields = |case: &&Case| case.expect.codes().any(|it| it == code);
        let with = cases.iter().filter(yields).count();
        assert!(with > 0, "{code}.yaml has no case that yields {code}");
        assert!(
            cases.len() > with,
            "{code}.yaml has no case without {code}: what keeps the rule from always speaking?"
        );
    }
}

#[test]
fn every_code_has_one_section_in_the_documentation() {
    let text = fs::read_to_string(root().join("docs/findings.md"))
        .expect("docs/findings.md explains every code");
    let sections: Vec<_> = text
        .lines()
        .filter_map(|line| {
            let heading = line
                .strip_prefix("## ")
                .or_else(|| line.strip_prefix("### "))?;
            heading
                .starts_with("HF")
                .then(|| heading.get(..5))
                .flatten()
        })
        .collect();
    for code in Code::ALL {
        let count = sections.iter().filter(|it| **it == code.as_str()).count();
        assert_eq!(count, 1, "docs/findings.md: sections {code}");
    }
    for section in sections {
        let known = Code::ALL.iter().any(|code| code.as_str() == section);
        assert!(
            known,
            "docs/findings.md explains {section}, which no code is"
        );
    }
}
