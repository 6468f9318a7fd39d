use std::collections::BTreeMap;

use super::*;
use crate::distribution::Distribution;
use crate::fact::{Evidence, Gap, Strength};
use crate::host::{HostFacts, HostName, Runtime};
use crate::image::{Contents, Platform, PlatformFacts};
use crate::landing::{Fleet, NodeClass};
use crate::lineage::{Catalog, KnownBase};
use crate::policy::Policy;
use crate::workload::{Placement, Role, WorkloadImage};

fn host(name: &str, os: (&str, &str), cgroup: u8, cpu_level: Option<u8>) -> Host {
    Host {
        name: HostName(name.to_owned()),
        nodes: 0,
        facts: HostFacts {
            os: Some(Distribution::new(os.0, os.1)),
            kernel: "5.14.0".parse().ok(),
            architecture: Some("amd64".to_owned()),
            cgroup: Some(cgroup),
            cpu_level,
            runtime: Some(Runtime {
                name: "containerd".to_owned(),
                version: "1.7.27".parse().ok(),
            }),
            ..HostFacts::default()
        },
        claimed: BTreeSet::new(),
    }
}

fn labels(pool: &str) -> BTreeMap<String, String> {
    [("pool".to_owned(), pool.to_owned())].into()
}

/// The hosts of now have level 3 and one node; those to come have level 2, and are only declared.
fn fleet(declared: Option<&str>) -> Fleet {
    let class = |host, pool: &str, nodes: &[&str]| NodeClass {
        host: Some(host),
        labels: labels(pool),
        taints: BTreeSet::new(),
        nodes: nodes.iter().map(|name| (name.to_string(), None)).collect(),
    };
    let mut classes = vec![class(0, "old", &["n1"])];
    classes.extend(declared.map(|pool| class(1, pool, &[])));
    let new = host("new", ("amzn", "2023"), 2, Some(2));
    Fleet::new(vec![host("old", ("amzn", "2"), 1, Some(3)), new], classes)
}

fn chain(fill: char) -> crate::image::Digest {
    format!("sha256:{}", fill.to_string().repeat(64))
        .parse()
        .unwrap()
}

/// Two base images: RHEL 10, which needs level 3, and Debian 12, which needs nothing.
fn catalog() -> Catalog {
    let base = |name: &str, id: &str, version: &str| KnownBase {
        name: name.to_owned(),
        distribution: Some((Distribution::new(id, version), Strength::Stated)),
        source: "BaseImage".to_owned(),
    };
    Catalog::new([
        (chain('a'), base("ubi10:10.0", "rhel", "10.0")),
        (chain('b'), base("debian:12", "debian", "12")),
    ])
}

fn image(name: &str) -> WorkloadImage {
    let reference = format!("x.y/{name}:1").parse();
    WorkloadImage::new(name, Role::Container, reference)
}

fn workload(images: &[&str]) -> Workload {
    Workload {
        images: images.iter().map(|name| image(name)).collect(),
        placement: Placement::default(),
    }
}

fn known(base: char, java: Option<&str>) -> Fact<ImageFacts> {
    let java = java.map(|version| ("JAVA_VERSION".to_owned(), version.to_owned()));
    let contents = Contents {
        chain_ids: vec![chain(base)],
        env: java.into_iter().collect(),
        ..Contents::default()
    };
    let evidence = Evidence::new(Strength::Stated, "config");
    let facts = ImageFacts {
        digest: chain('f'),
        platforms: vec![PlatformFacts {
            platform: Platform::new("linux", "amd64"),
            contents: Fact::Known(contents, evidence.clone()),
        }],
        left_out: 0,
    };
    Fact::Known(facts, evidence)
}

fn unread() -> Fact<ImageFacts> {
    Fact::Unknown(Gap::Unauthorized {
        registry: "x.y".to_owned(),
    })
}

/// Plans the move from `old` to `new` (or back) for workloads by their images.
fn planned(
    back: bool,
    fleet: &Fleet,
    workloads: &[(&'static str, Workload, Vec<Fact<ImageFacts>>)],
) -> Plan<&'static str> {
    let (catalog, policy) = (catalog(), Policy::report_only());
    let knowledge = Knowledge {
        fleet,
        catalog: &catalog,
        rules: &policy.rules,
        today: "2024-01-01".parse().unwrap(),
        exceptions: &[],
    };
    let host = |name: &str| fleet.host(&HostName(name.to_owned())).unwrap();
    let (from, to) = if back { ("new", "old") } else { ("old", "new") };
    let mut planner = Planner::new(Move {
        from: host(from),
        to: host(to),
    });
    for (name, workload, facts) in workloads {
        planner.add(*name, workload, facts, &knowledge);
    }
    planner.finish()
}

fn shop() -> Vec<(&'static str, Workload, Vec<Fact<ImageFacts>>)> {
    vec![
        ("fits", workload(&["a"]), vec![known('b', None)]),
        ("breaks", workload(&["b"]), vec![known('a', None)]),
        ("warned", workload(&["c"]), vec![known('b', Some("8u342"))]),
        ("unread", workload(&["d"]), vec![unread()]),
        (
            "both",
            workload(&["e", "f"]),
            vec![known('a', None), known('b', Some("8u342"))],
        ),
        ("breaks too", workload(&["g"]), vec![known('a', None)]),
    ]
}

#[track_caller]
fn check(plan: &Plan<&'static str>, expected: &[&str]) {
    let listed = plan.listed.iter().map(|(name, moved)| {
        let codes: Vec<_> = moved
            .reasons
            .iter()
            .map(|it| it.finding.code.as_str())
            .collect();
        format!("{:?} {name} {}", moved.fate, codes.join(","))
    });
    assert_eq!(listed.collect::<Vec<_>>(), expected);
}

#[test]
fn only_what_is_new_breaks() {
    let plan = planned(false, &fleet(None), &shop());
    check(
        &plan,
        &[
            "Breaks both HF101",
            "Breaks breaks HF101",
            "Breaks breaks too HF101",
            "Unknown unread HF901",
            "NewWarning warned HF301",
        ],
    );
    let counts = Fate::ALL.map(|fate| plan.counts.of(fate));
    assert_eq!(counts, [3, 0, 1, 1, 0, 0, 0, 1, 0]);
    assert_eq!(plan.counts.all(), 6);
    let fix = &plan.listed[4].1.reasons[0].finding.fix;
    assert!(fix.starts_with("update the JDK to 8u372 or newer"), "{fix}");
}

#[test]
fn what_fails_already_is_not_new_and_may_be_mended() {
    // Both ways of a move between hosts that are alike in what fails.
    let class = |host, node: &str| NodeClass {
        host: Some(host),
        labels: labels("old"),
        taints: BTreeSet::new(),
        nodes: vec![(node.to_owned(), None)],
    };
    let old = host("old", ("amzn", "2"), 1, Some(2));
    let same = Host {
        facts: HostFacts {
            cgroup: Some(2),
            ..old.facts.clone()
        },
        name: HostName("new".to_owned()),
        ..old.clone()
    };
    let fleet_of = |new| Fleet::new(vec![old.clone(), new], vec![class(0, "n1"), class(1, "n2")]);
    let plan = planned(false, &fleet_of(same), &shop());
    assert_eq!(plan.counts.of(Fate::Breaks), 0);
    assert_eq!(plan.counts.of(Fate::StillFails), 3);
    let better = host("new", ("amzn", "2"), 1, Some(3));
    let plan = planned(false, &fleet_of(better), &shop());
    check(
        &plan,
        &[
            "Unknown unread HF901",
            "Fixed both HF101",
            "Fixed breaks HF101",
            "Fixed breaks too HF101",
        ],
    );
}

#[test]
fn only_who_lands_there_now_is_counted_and_labels_of_a_pool_keep_others_away() {
    let selecting = |pool: &str| {
        let mut workload = workload(&["b"]);
        workload.placement.node_selector = labels(pool);
        workload
    };
    let workloads = [
        ("old", selecting("old"), vec![known('a', None)]),
        ("gpu", selecting("gpu"), vec![known('a', None)]),
        ("any", workload(&["b"]), vec![known('a', None)]),
    ];
    // A plan without labels replaces the hosts where they are.
    let plan = planned(false, &fleet(None), &workloads);
    check(&plan, &["Breaks any HF101", "Breaks old HF101"]);
    // A pool that is declared takes only those that its labels let in.
    let plan = planned(false, &fleet(Some("new")), &workloads);
    check(&plan, &["Breaks any HF101", "Elsewhere old "]);
    // From a pool at zero.
    let plan = planned(true, &fleet(Some("gpu")), &workloads);
    check(&plan, &["Fixed any HF101", "Fixed gpu HF101"]);
}

#[test]
fn the_change_that_mends_most_comes_first() {
    let plan = planned(false, &fleet(None), &shop());
    let order = plan.order.iter().map(|change| {
        let codes: Vec<_> = change.causes.iter().map(|it| it.code.as_str()).collect();
        let Change {
            mends,
            eases,
            helps,
            ..
        } = change;
        format!("{:?} {codes:?} {mends:?} {eases:?} {helps:?}", change.place)
    });
    // What warns of the image beside the one that breaks is no new failure: one change mends that workload, too.
    let expected = [
        r#"Base("ubi10:10.0") ["HF101"] ["breaks", "both", "breaks too"] [] []"#,
        r#"Base("debian:12") ["HF301"] [] ["warned"] []"#,
    ];
    assert_eq!(order.collect::<Vec<_>>(), expected);
    // Two images that break for different reasons need two changes.
    let own = |name: &str| image(name).reference.unwrap();
    let arm = |fact: Fact<ImageFacts>| match fact {
        Fact::Known(mut facts, evidence) => {
            facts.platforms[0].platform = Platform::new("linux", "arm64");
            Fact::Known(facts, evidence)
        }
        unknown => unknown,
    };
    let arm_now = {
        let mut fleet = fleet(None);
        let mut hosts = fleet.hosts().to_vec();
        hosts[0].facts.architecture = None;
        fleet = Fleet::new(
            hosts,
            vec![NodeClass {
                host: Some(0),
                labels: labels("old"),
                taints: BTreeSet::new(),
                nodes: vec![("n1".to_owned(), None)],
            }],
        );
        fleet
    };
    let workloads = [(
        "two",
        workload(&["h", "i"]),
        vec![arm(known('b', None)), known('a', None)],
    )];
    let plan = planned(false, &arm_now, &workloads);
    let order: Vec<_> = plan.order.iter().map(|it| (&it.place, &it.helps)).collect();
    let helped = vec!["two"];
    let (base, image) = (Place::Base("ubi10:10.0".to_owned()), Place::Image(own("h")));
    assert_eq!(order, [(&base, &helped), (&image, &helped)]);
}

#[test]
fn what_changes_between_two_hosts_is_told_fact_by_fact() {
    let fleet = fleet(None);
    let [old, new] = fleet.hosts() else { panic!() };
    let mut new = new.clone();
    new.facts.fips = Some(false);
    let there = Move {
        from: old,
        to: &new,
    };
    let told: Vec<_> = there
        .differences()
        .into_iter()
        .map(|(fact, difference)| match difference {
            Difference::Changes(from, to) => format!("{fact} {from}->{to}"),
            Difference::Same(value) => format!("{fact} {value}"),
            Difference::Untold { from, to } => format!("{fact} {from:?} {to:?}"),
        })
        .collect();
    let expected = [
        "os amzn",
        "osVersion 2->2023",
        "kernel 5.14.0",
        "architecture amd64",
        "cpuLevel 3->2",
        "cgroup 1->2",
        "runtime containerd-1.7.27",
        "fips None Some(\"false\")",
    ];
    assert_eq!(told, expected);
}

#[test]
fn what_no_matrix_speaks_of_is_not_mended() {
    // Red Hat's table ends at hosts of RHEL 9: RHEL 6 is unsupported there, and on RHEL 10 nobody says anything.
    let hosts = ["9.4", "10", "8.10"].map(|version| host(version, ("rhel", version), 2, Some(3)));
    let fleet = Fleet::new(
        hosts.to_vec(),
        vec![NodeClass {
            host: Some(0),
            labels: labels("old"),
            taints: BTreeSet::new(),
            nodes: vec![("n1".to_owned(), None)],
        }],
    );
    let catalog = Catalog::new([(
        chain('c'),
        KnownBase {
            name: "rhel6:6.10".to_owned(),
            distribution: Some((Distribution::new("rhel", "6.10"), Strength::Stated)),
            source: "BaseImage".to_owned(),
        },
    )]);
    let moved = |to: usize, policy: &Policy| {
        let knowledge = Knowledge {
            fleet: &fleet,
            catalog: &catalog,
            rules: &policy.rules,
            today: "2020-01-01".parse().unwrap(),
            exceptions: &[],
        };
        let change = Move {
            from: &hosts[0],
            to: &hosts[to],
        };
        let moved = change.of(&workload(&["old"]), &[known('c', None)], &knowledge);
        let moved = moved.unwrap();
        let message = moved.reasons[0].finding.message();
        (moved.fate, moved.reasons[0].finding.code, message)
    };
    let mut policy = Policy::report_only();
    let (fate, code, message) = moved(1, &policy);
    assert_eq!((fate, code), (Fate::Unspoken, Code::HF508));
    assert!(message.contains("no row of any active matrix"), "{message}");
    let (fate, code, _) = moved(2, &policy);
    assert_eq!((fate, code), (Fate::Fixed, Code::HF502));
    policy.rules.outside_matrix = Response::Warn;
    assert_eq!(moved(1, &policy).0, Fate::Unspoken);
    // A policy that refuses what is outside of every matrix finds it.
    policy.rules.outside_matrix = Response::Deny;
    assert_eq!(moved(1, &policy).0, Fate::Breaks);
}
