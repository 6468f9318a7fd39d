//! The cases of `tests/cases/matrix`, judged by the real judge: what people may rely on, one file a code.
//!
//! `tests/cases/README.md` explains how a case is written.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use hostfit_cli::cases::{Case, Folder, Images, Question};
use hostfit_engine::finding::Code;
use jiff::Timestamp;

mod kept;
mod tables;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The cases and their hosts, as `hostfit test` reads them.
static FOLDER: LazyLock<Folder> = LazyLock::new(|| {
    let root = root().join("tests/cases/matrix");
    let folder = Folder::read(&root, Timestamp::UNIX_EPOCH).unwrap();
    let broken: Vec<_> = folder.broken.iter().map(ToString::to_string).collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    folder
});

/// Every case, with the name of its file without the ending.
fn cases() -> impl Iterator<Item = (&'static str, &'static Case)> {
    FOLDER.cases.iter().map(|located| {
        let stem = Path::new(&located.file).file_stem();
        (stem.and_then(|it| it.to_str()).unwrap(), &located.case)
    })
}

/// Judges a case; what differs from its expectation, in words.
fn check(case: &Case) -> Result<(), String> {
    let question = Question::of(case, &FOLDER.world, &Images::new())?;
    kept::check(&question)?;
    let answer = question.answer();
    let differences = answer.differences(case);
    if differences.is_empty() {
        return Ok(());
    }
    let differences = differences.iter().map(|it| {
        format!(
            "  {}\n    expected {}\n    got      {}",
            it.what, it.expected, it.got
        )
    });
    let found = answer.found.iter().map(|it| format!("  found: {it}"));
    Err(differences.chain(found).collect::<Vec<_>>().join("\n"))
}

#[test]
fn every_case_is_judged_as_it_says() {
    let cases: Vec<_> = cases().collect();
    let failures: Vec<_> = cases
        .iter()
        .filter_map(|(file, case)| {
            let trouble = check(case).err()?;
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
        let key = (file, &case.name);
        assert!(seen.insert(key), "{file}.yaml: two cases {:?}", case.name);
    }
}

#[test]
fn every_case_names_its_day_and_its_findings() {
    let names_all = |case: &Case| case.today.is_some() && case.expect.is_exact();
    for (file, case) in cases() {
        assert!(names_all(case), "{file}.yaml, {:?}", case.name);
    }
}

#[test]
fn every_code_has_a_file_with_a_case_that_yields_it_and_one_that_does_not() {
    let mut by_file: BTreeMap<&str, Vec<&Case>> = BTreeMap::new();
    for (file, case) in cases() {
        by_file.entry(file).or_default().push(case);
    }
    let known: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
    let found: BTreeSet<_> = by_file.keys().copied().collect();
    assert_eq!(found, known, "files of cases and codes");
    for (code, cases) in &by_file {
        let yields = |case: &&&Case| case.expect.codes().any(|it| it == *code);
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
