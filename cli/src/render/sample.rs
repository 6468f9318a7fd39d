//! A cluster as it might be, judged by the judge: what the formats are tried on.

use std::sync::Arc;

use hostfit_engine::distribution::Distribution;
use hostfit_engine::fact::{Evidence, Fact, Gap, Strength};
use hostfit_engine::files::{Files, Seen};
use hostfit_engine::finding::CellVerdict;
use hostfit_engine::host::{Host, HostName, builtin};
use hostfit_engine::image::{Contents, ImageFacts, Platform, PlatformFacts};
use hostfit_engine::landing::Fleet;
use hostfit_engine::lineage::Catalog;
use hostfit_engine::matrix::{Knowledge, evaluate};
use hostfit_engine::policy::Policy;
use hostfit_engine::verdict::{Reason, Verdict};
use hostfit_engine::workload::{Placement, Role, Workload, WorkloadImage};

use crate::document::{
    Builder, Change, Document, Excepted, Kind, Lacked, Move, Origin, Permissions, Plan, Source,
    Subject, Summary, Target, Work, WorkloadEntry, of_cell,
};

/// What browsers, spreadsheets, Markdown and terminals would obey.
pub(super) const HOSTILE: &str =
    "<script>alert(1)</script>&\"'|`[x](javascript:alert(1))@team]]>\u{202e}\u{1b}[31m";

/// A cluster with this many workloads, and a plan for it.
pub(super) fn cluster(workloads: usize) -> Document {
    let now = "2026-11-25T21:39:40Z".parse().unwrap();
    let catalog = Catalog::default();
    let policy = Policy::report_only();
    let fleet = fleet();
    let knowledge = Knowledge {
        fleet: &fleet,
        catalog: &catalog,
        rules: &policy.rules,
        today: hostfit_crds::date(now),
        exceptions: &[],
    };
    let source = Source {
        from: "cluster demo-eu1".to_owned(),
        read: now,
    };
    let mut builder = Builder::new(
        Kind::Report,
        Some(source),
        &catalog,
        Box::new(|it: &Reason| it.finding.fix.clone()),
        now,
    );
    for host in fleet.hosts() {
        let origin = match host.nodes {
            0 => Origin::Declared,
            _ => Origin::Observed,
        };
        builder.host(host, origin);
    }
    for number in 0..workloads {
        let (app, facts) = image(number, workloads);
        let named = match number {
            7 => HOSTILE.to_owned(),
            _ => format!(
                "registry.example/{}/{app}-{number}:4.{}",
                team(number),
                number % 9
            ),
        };
        let reference = format!("registry.example/apps/app-{number}:1").parse();
        let workload = Workload {
            images: vec![WorkloadImage::new("web", Role::Container, reference)],
            placement: Placement::default(),
        };
        let facts = [facts];
        let judgement = evaluate(&workload, &facts, &knowledge);
        let kinds = ["Deployment", "StatefulSet", "CronJob"];
        let target = Target {
            namespace: Some(team(number).to_owned()),
            kind: kinds[number % 7 % 3].to_owned(),
            name: match number {
                7 => HOSTILE.to_owned(),
                _ => format!("{app}-{number}"),
            },
            file: None,
        };
        builder.add(&Subject {
            target: Some(target),
            workload: &workload,
            named: &[named],
            facts: &facts,
            judgement: &judgement,
        });
    }
    let mut document = builder.finish();
    document.plan = (workloads > 0).then(|| plan(&document));
    if let Some(unsupported) = document
        .workloads
        .iter()
        .find(|it| it.verdict == Verdict::Warn)
    {
        document.excepted.push(Excepted {
            target: unsupported.target.clone(),
            finding: unsupported.findings[0].clone(),
            exception: "search-v2-cpus".to_owned(),
            until: "2026-12-31T00:00:00Z".parse().unwrap(),
            reason: "moves with the new nodes".to_owned(),
            ticket: Some("https://tickets.example/OPS-1".to_owned()),
        });
    }
    document.permissions = Some(Permissions {
        used: vec!["list pods".to_owned(), "list nodes".to_owned()],
        lacked: vec![Lacked {
            permission: "list cronjobs.batch".to_owned(),
            therefore: "CronJobs are not here".to_owned(),
            hides_workloads: true,
        }],
    });
    document
}

/// The same without a cluster: one image on two hosts.
pub(super) fn image_on_hosts() -> Document {
    let now = "2026-11-25T21:39:40Z".parse().unwrap();
    let catalog = Catalog::default();
    let policy = Policy::report_only();
    let fleet = fleet();
    let mut builder = Builder::new(
        Kind::Check,
        None,
        &catalog,
        Box::new(|it: &Reason| it.finding.fix.clone()),
        now,
    );
    for host in fleet.hosts() {
        builder.host(host, Origin::File);
    }
    let reference = "registry.example/apps/search:4.1";
    let workload = Workload {
        images: vec![WorkloadImage::new(
            "image",
            Role::Container,
            reference.parse(),
        )],
        placement: Placement::default(),
    };
    let facts = [known("rhel", "10.0", None)];
    let judgement = evaluate(
        &workload,
        &facts,
        &Knowledge {
            fleet: &fleet,
            catalog: &catalog,
            rules: &policy.rules,
            today: hostfit_crds::date(now),
            exceptions: &[],
        },
    );
    builder.add(&Subject {
        target: None,
        workload: &workload,
        named: &[reference.to_owned()],
        facts: &facts,
        judgement: &judgement,
    });
    builder.finish()
}

fn fleet() -> Fleet {
    let host = |name: &str, like: &str, nodes: u32, cpu_level: u8, cgroup: u8| {
        let known = builtin::hosts().iter().find(|host| host.name.0 == like);
        let mut host = known.unwrap().clone();
        host.name = HostName(name.to_owned());
        host.nodes = nodes;
        host.facts.cpu_level = Some(cpu_level);
        host.facts.cgroup = Some(cgroup);
        host
    };
    let hosts: Vec<Host> = vec![
        host("al8-k418", "almalinux-8", 9, 3, 1),
        host("ubuntu2204-k515", "ubuntu-22.04", 3, 2, 2),
        host("debian13-k612", "debian-13", 2, 3, 2),
        host("amzn2023-k61", "al2023", 0, 2, 2),
    ];
    Fleet::of_hosts(hosts)
}

fn team(number: usize) -> &'static str {
    ["billing", "ml", "shop", "search", "platform"][number % 5]
}

/// Most fit; every tenth has something.
fn image(number: usize, of: usize) -> (&'static str, Fact<ImageFacts>) {
    let spread = match of {
        ..=100 => number,
        _ => number / 3,
    };
    match spread % 20 {
        1 => ("search", known("rhel", "10.0", None)),
        4 => ("invoice", known("debian", "13", Some("8u342"))),
        7 => ("ledger", known("rhel", "10.1", None)),
        9 => ("legacy-api", known("debian", "10", None)),
        12 => (
            "carts",
            Fact::Unknown(Gap::Unauthorized {
                registry: "registry.example".to_owned(),
            }),
        ),
        16 => ("report", Fact::Unknown(Gap::NothingTells)),
        even if even % 2 == 0 => ("site", known("debian", "13", None)),
        _ => ("worker", known("alpine", "3.22", None)),
    }
}

fn known(distribution: &str, version: &str, java: Option<&str>) -> Fact<ImageFacts> {
    let files = Files {
        distribution: Some(Seen::new(
            Distribution::new(distribution, version),
            "etc/os-release",
        )),
        ..Files::default()
    };
    let contents = Contents {
        files: files.into(),
        env: java
            .map(|it| ("JAVA_VERSION".to_owned(), it.to_owned()))
            .into_iter()
            .collect(),
        ..Contents::default()
    };
    let read = || Evidence::new(Strength::File, "registry");
    let platform = PlatformFacts {
        platform: Platform::new("linux", "amd64"),
        contents: Fact::Known(contents, read()),
    };
    let facts = ImageFacts {
        digest: format!("sha256:{}", "5b0bcabd".repeat(8)).parse().unwrap(),
        platforms: vec![platform],
        left_out: 0,
    };
    Fact::Known(facts, read())
}

/// A plan as it is made from workloads that may land on both hosts.
fn plan(document: &Document) -> Plan {
    let (from, to): (Arc<str>, Arc<str>) = ("al8-k418".into(), "amzn2023-k61".into());
    let on = |it: &WorkloadEntry, host: &Arc<str>| {
        let verdict = it.by_host.iter().find(|it| it.host == *host);
        verdict.unwrap().verdict
    };
    let all = &document.workloads;
    let count = |host| Summary::of(all.iter().map(|it| of_cell(on(it, host))));
    let moves = |which: fn(CellVerdict, CellVerdict) -> bool| -> Vec<Move> {
        let moved = all.iter().filter(|it| which(on(it, &from), on(it, &to)));
        let moved = moved.map(|it| Move {
            target: it.target.clone(),
            before: on(it, &from),
            after: Some(on(it, &to)),
            findings: it.findings.clone(),
        });
        moved.collect()
    };
    let breaks = moves(|before, after| before < CellVerdict::Warn && after > before);
    let work = Work {
        image: "eclipse-temurin:8u342".to_owned(),
        code: "HF301",
        fix: "use 8u372 or newer".to_owned(),
        workloads: breaks.iter().map(|it| it.target.to_string()).collect(),
    };
    let change = |fact: &str, from: &str, to: &str| Change {
        fact: fact.to_owned(),
        from: Some(from.to_owned()).filter(|it| !it.is_empty()),
        to: Some(to.to_owned()),
    };
    Plan {
        changes: vec![
            change("os", "almalinux 8", "amzn 2023"),
            change("kernel", "4.18", "6.1"),
            change("cpu_level", "3", "2"),
            change("cgroup", "1", "2"),
            change("selinux", "", "Permissive"),
        ],
        same: vec!["architecture".to_owned(), "os_family".to_owned()],
        before: count(&from),
        after: count(&to),
        fixed: moves(|before, after| before == CellVerdict::Fail && after < CellVerdict::Unknown),
        cannot_tell: moves(|_, after| after == CellVerdict::Unknown),
        still_fails: moves(|before, after| before == CellVerdict::Fail && after == before),
        new_warnings: Vec::new(),
        in_no_matrix: Vec::new(),
        elsewhere: Vec::new(),
        order_of_work: vec![work],
        breaks,
        from,
        to,
    }
}
