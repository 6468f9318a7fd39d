//! Verdicts for people and for machines. Fields of the JSON are added, never renamed; what is not known is absent.

use hostfit_crds::HostFacts;
use hostfit_engine::fact::{Evidence, Fact, Strength};
use hostfit_engine::finding::{CellVerdict, Finding, plain};
use hostfit_engine::image::{Contents, PlatformFacts};
use hostfit_engine::lineage::{Catalog, Lineage};
use hostfit_engine::matrix;
use hostfit_engine::verdict::Verdict;
use serde_json::{Map, Value, json};

use crate::advice;
use crate::check::Cell;
use crate::flags::Format;
use crate::out::say;
use crate::read::Image;

/// Longest text of an image that is shown.
const TEXT: usize = 300;

/// The verdict on one image on one host.
pub(crate) fn verdict(cell: &Cell<'_>) -> CellVerdict {
    match cell.judgement.verdict {
        Verdict::Pass => CellVerdict::Pass,
        Verdict::Warn => CellVerdict::Warn,
        Verdict::Fail | Verdict::Partial => CellVerdict::Fail,
        Verdict::Unknown => CellVerdict::Unknown,
    }
}

fn findings<'a>(cell: &'a Cell<'_>) -> impl Iterator<Item = &'a Finding> {
    cell.judgement.reasons.iter().map(|reason| &reason.finding)
}

/// A block for each image and host, and the counts at the end.
pub(crate) fn table(cells: &[Cell<'_>]) {
    for cell in cells {
        let verdict = verdict(cell).as_str().to_uppercase();
        let (image, host) = (
            plain(&cell.image.named, TEXT),
            plain(&cell.host.name.0, TEXT),
        );
        say!("{verdict:<8} {image} on {host}");
        for finding in findings(cell) {
            let evidence = finding.evidence.iter();
            let evidence: String = evidence
                .map(|it| format!("  [{}: {}]", it.strength, plain(&it.from, 80)))
                .collect();
            say!(
                "  {} {:<7}  {}{evidence}",
                finding.code,
                finding.verdict.as_str(),
                plain(&finding.message(), TEXT)
            );
            say!("         fix: {}", advice::fix(finding));
        }
    }
    let [pass, warn, unknown, fail] = counts(cells);
    say!("{pass} pass, {warn} warn, {fail} fail, {unknown} unknown");
    match unknown {
        0 => {}
        1 => say!("1 could not be told: it is not a pass"),
        many => say!("{many} could not be told: they are no passes"),
    }
}

/// How many cells have each verdict, in the order of the verdicts.
fn counts(cells: &[Cell<'_>]) -> [usize; 4] {
    let mut counts = [0; 4];
    for cell in cells {
        if let Some(count) = counts.get_mut(verdict(cell) as usize) {
            *count += 1;
        }
    }
    counts
}

/// A document as JSON or YAML.
pub(crate) fn machine(format: Format, document: &Value) -> anyhow::Result<()> {
    match format {
        Format::Yaml => crate::out::write(format_args!("{}", serde_saphyr::to_string(document)?)),
        _ => say!("{}", serde_json::to_string_pretty(document)?),
    }
    Ok(())
}

pub(crate) fn document(cells: &[Cell<'_>], catalog: &Catalog) -> Value {
    let [pass, warn, unknown, fail] = counts(cells);
    let items: Vec<_> = cells.iter().map(|cell| item(cell, catalog)).collect();
    json!({
        "apiVersion": "cli.hostfit.dev/v1",
        "kind": "Check",
        "rules": hostfit_engine::RULES_VERSION,
        "summary": {"pass": pass, "warn": warn, "partial": 0, "fail": fail, "unknown": unknown},
        "items": items,
    })
}

fn item(cell: &Cell<'_>, catalog: &Catalog) -> Value {
    let mut item = Map::new();
    item.insert("image".to_owned(), cell.image.named.clone().into());
    if let Fact::Known(facts, _) = &*cell.image.facts {
        item.insert("digest".to_owned(), facts.digest.as_str().into());
        let platform = matrix::platform_on(facts, &cell.host.facts);
        if let Some(platform) = platform {
            item.insert("platform".to_owned(), platform.platform.to_string().into());
            item.insert(
                "image_facts".to_owned(),
                image_facts(cell.image, platform, catalog),
            );
        }
    }
    item.insert("host".to_owned(), cell.host.name.0.clone().into());
    item.insert("host_facts".to_owned(), host_facts(cell));
    item.insert("verdict".to_owned(), verdict(cell).as_str().into());
    let findings: Vec<_> = findings(cell).map(finding).collect();
    item.insert("findings".to_owned(), findings.into());
    item.into()
}

fn finding(finding: &Finding) -> Value {
    let evidence = finding.evidence.as_ref();
    let evidence = evidence.map(|it| json!({"from": it.from, "strength": it.strength.to_string()}));
    json!({
        "code": finding.code.as_str(),
        "verdict": finding.verdict.as_str(),
        "severity": finding.severity.as_str(),
        "message": finding.message(),
        "fix": advice::fix(finding),
        "evidence": evidence.into_iter().collect::<Vec<_>>(),
        "docs": finding.code.docs(),
    })
}

fn host_facts(cell: &Cell<'_>) -> Value {
    let written = serde_json::to_value(HostFacts::from(&cell.host.facts)).unwrap_or_default();
    // The names of the file format in the style of this document.
    let fields = written.as_object().into_iter().flatten();
    let snake = |name: &str| {
        let mut snake = String::new();
        for c in name.chars() {
            if c.is_uppercase() {
                snake.push('_');
            }
            snake.extend(c.to_lowercase());
        }
        snake
    };
    let fields = fields.map(|(name, value)| (snake(name), value.clone()));
    Value::Object(fields.collect())
}

/// One thing that is known of an image.
pub(crate) struct Known {
    pub(crate) name: &'static str,
    pub(crate) value: Value,
    pub(crate) evidence: Evidence,
}

/// Everything that is known of one platform of an image, with its evidence.
pub(crate) fn known(lineage: &Lineage, contents: &Contents) -> Vec<Known> {
    let mut all = Vec::new();
    let mut add = |name, value: Value, evidence: &Evidence| {
        let evidence = evidence.clone();
        all.push(Known {
            name,
            value,
            evidence,
        });
    };
    if let Fact::Known(distribution, evidence) = &lineage.distribution {
        add("distro", distribution.id().into(), evidence);
        if !distribution.version().is_empty() {
            add("distro_version", distribution.version().into(), evidence);
        }
        add("lineage", evidence.strength.to_string().into(), evidence);
    }
    if let Some(base) = &lineage.base {
        let stated = Evidence::new(Strength::Layers, "layers or annotation");
        add("base_image", base.as_str().into(), &stated);
    }
    let Some(files) = contents.files() else {
        return all;
    };
    if let Some(libc) = &files.libc {
        let evidence = &libc.evidence();
        add("libc", libc.kind.to_string().into(), evidence);
        if let Some(version) = &libc.version {
            add("libc_version", version.to_string().into(), evidence);
        }
        if let Some(kernel) = &libc.kernel {
            add("min_kernel", kernel.to_string().into(), evidence);
        }
    }
    let program = files.program.as_ref();
    let levels = [
        program.and_then(|it| Some((it.cpu_level?, it.evidence()))),
        files
            .libc
            .as_ref()
            .and_then(|it| Some((it.cpu_level?, it.evidence()))),
    ];
    if let Some((level, evidence)) = levels.into_iter().flatten().max_by_key(|(level, _)| *level) {
        add("cpu_level", level.into(), &evidence);
    }
    if let Some(program) = program {
        let evidence = &program.evidence();
        add("program", program.path.as_str().into(), evidence);
        add("static", program.is_static.into(), evidence);
        if let Some(go) = &program.go {
            add("go", go.version.as_str().into(), evidence);
            add("goamd64", go.amd64.into(), evidence);
        }
        if let Some(architecture) = &program.architecture {
            add(
                "program_architecture",
                architecture.as_str().into(),
                evidence,
            );
        }
    }
    if let Some(java) = &files.java {
        add("java", java.value.as_str().into(), &java.evidence());
    }
    for (field, names) in PACKAGES {
        if let Some(seen) = files.package(names) {
            add(field, seen.value.as_str().into(), &seen.evidence());
        }
    }
    all
}

/// Packages with fields of their own.
const PACKAGES: [(&str, &[&str]); 3] = [
    ("systemd", &["systemd"]),
    ("libselinux", &["libselinux", "libselinux1"]),
    ("coreutils", &["coreutils", "coreutils-single"]),
];

fn image_facts(image: &Image, platform: &PlatformFacts, catalog: &Catalog) -> Value {
    let Fact::Known(contents, _) = &platform.contents else {
        return json!({});
    };
    let known = known(&catalog.lineage(&image.reference, contents), contents);
    let fields = known.into_iter().map(|it| (it.name.to_owned(), it.value));
    Value::Object(fields.collect())
}
