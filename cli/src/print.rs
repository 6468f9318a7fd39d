//! Verdicts for people, and documents for machines.

use hostfit_engine::fact::{Evidence, Fact, Strength};
use hostfit_engine::files::{Files, Program, Seen};
use hostfit_engine::finding::{CellVerdict, plain};
use hostfit_engine::image::Contents;
use hostfit_engine::lineage::Lineage;
use hostfit_engine::verdict::{Reason, Verdict};
use serde::Serialize;
use serde_json::Value;

use crate::check::Cell;
use crate::flags::Format;
use crate::out::{self, say};
use crate::render;

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

/// A block for each image and host, with what to do about each reason, and the counts at the end.
pub(crate) fn table(cells: &[Cell<'_>], fix: &dyn Fn(&Reason) -> String) {
    for cell in cells {
        let verdict = verdict(cell).as_str().to_uppercase();
        let (image, host) = (
            plain(&cell.image.named, TEXT),
            plain(&cell.host.name.0, TEXT),
        );
        say!("{verdict:<8} {image} on {host}");
        for reason in &cell.judgement.reasons {
            let finding = &reason.finding;
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
            say!("         fix: {}", fix(reason));
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
pub(crate) fn machine(format: Format, document: &impl Serialize) -> anyhow::Result<()> {
    out::write(format_args!("{}", render::object(format, document)?));
    Ok(())
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
    for (field, value, evidence) in found_among_all(files) {
        add(field, value, &evidence);
    }
    all
}

/// What was looked for among all files, and is there.
fn found_among_all(files: &Files) -> impl Iterator<Item = (&'static str, Value, Evidence)> {
    fn text<T: ToString>(seen: &Option<Seen<T>>) -> Option<(Value, Evidence)> {
        let seen = seen.as_ref()?;
        Some((seen.value.to_string().into(), seen.evidence()))
    }
    let is_there = |seen: &Option<Seen<()>>| Some((true.into(), seen.as_ref()?.evidence()));
    let of_program = |has: fn(&Program) -> bool| {
        let program = files.program.as_ref().filter(|it| has(it))?;
        Some((true.into(), program.evidence()))
    };
    let modules = files.kernel_modules.first_key_value().map(|(_, first)| {
        let releases: Vec<_> = files.kernel_modules.keys().map(String::as_str).collect();
        (releases.join(" ").into(), first.evidence())
    });
    let found = [
        ("binds_low_ports", of_program(|it| it.binds_low_ports)),
        ("holds_ebpf", of_program(|it| it.holds_ebpf)),
        ("library_cpu_level", text(&files.object_level)),
        ("library_min_kernel", text(&files.object_kernel)),
        ("library_alignment", text(&files.object_alignment)),
        ("executable_stack", is_there(&files.executable_stack)),
        ("ebpf", is_there(&files.ebpf)),
        ("kernel_modules", modules),
        ("jemalloc", is_there(&files.jemalloc)),
        ("own_namespaces", is_there(&files.own_namespaces)),
        ("iptables", text(&files.iptables)),
        ("cuda_runtime", text(&files.cuda_runtime)),
        ("crypto_policy", text(&files.crypto_policy)),
    ];
    found
        .into_iter()
        .filter_map(|(field, seen)| seen.map(|(value, evidence)| (field, value, evidence)))
}

/// Packages with fields of their own.
const PACKAGES: [(&str, &[&str]); 3] = [
    ("systemd", &["systemd"]),
    ("libselinux", &["libselinux", "libselinux1"]),
    ("coreutils", &["coreutils", "coreutils-single"]),
];
