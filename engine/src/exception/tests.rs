use super::*;
use crate::fact::{Evidence, Fact, Gap, Strength};
use crate::host::{Host, HostFacts};
use crate::image::{Contents, ImageFacts, Platform, PlatformFacts};
use crate::landing::{Fleet, NodeClass};
use crate::lineage::Catalog;
use crate::matrix::{Knowledge, evaluate};
use crate::policy::{Decision, Mode, Policy, Response, decide};
use crate::verdict::Judgement;
use crate::workload::{Operator, Placement, Role, Workload, WorkloadImage};

const EXPIRY: &str = "2026-12-31T00:00:00Z";

fn at(moment: &str) -> Timestamp {
    moment.parse().unwrap()
}

fn exception(code: &str) -> Exception {
    Exception {
        name: "accepted".to_owned(),
        codes: codes([code]).unwrap(),
        pods: Vec::new(),
        images: vec![ImagePattern::Beginning(String::new())],
        hosts: Vec::new(),
        expires: at(EXPIRY),
    }
}

/// An image for arm64 in the container `arm`, one that nobody could read in `unread`, and one for both in `both`.
fn workload(images: &[&str]) -> (Workload, Vec<Fact<ImageFacts>>) {
    let evidence = || Evidence::new(Strength::Stated, "index");
    let built = |architectures: &[&str]| {
        let platform = |architecture: &&str| PlatformFacts {
            platform: Platform::new("linux", *architecture),
            contents: Fact::Known(
                Contents {
                    labels: [(
                        "org.opencontainers.image.base.name".into(),
                        "debian:12".into(),
                    )]
                    .into(),
                    ..Contents::default()
                },
                evidence(),
            ),
        };
        let facts = ImageFacts {
            digest: format!("sha256:{}", "a".repeat(64)).parse().unwrap(),
            platforms: architectures.iter().map(platform).collect(),
            left_out: 0,
        };
        Fact::Known(facts, evidence())
    };
    let facts = images.iter().map(|name| match *name {
        "arm" => built(&["arm64"]),
        "both" => built(&["amd64", "arm64"]),
        _ => Fact::Unknown(Gap::NotFound {
            registry: "x.y".to_owned(),
        }),
    });
    let image = |name: &&str| {
        let reference = format!("x.y/shop/{name}:1").parse();
        WorkloadImage::new(*name, Role::Container, reference)
    };
    let workload = Workload {
        images: images.iter().map(image).collect(),
        placement: Placement::default(),
    };
    (workload, facts.collect())
}

/// Two classes of hosts, both amd64.
fn fleet() -> Fleet {
    let host = |name: &str| Host {
        name: HostName(name.to_owned()),
        nodes: 1,
        facts: HostFacts {
            os: Some(crate::distribution::Distribution::new("debian", "12")),
            kernel: "6.1.0".parse().ok(),
            architecture: Some("amd64".to_owned()),
            cpu_level: Some(3),
            ..HostFacts::default()
        },
        claimed: BTreeSet::new(),
    };
    let class = |index| NodeClass {
        host: Some(index),
        labels: BTreeMap::new(),
        taints: BTreeSet::new(),
        nodes: vec![(format!("n{index}"), None)],
    };
    Fleet::new(vec![host("new-1"), host("old-1")], vec![class(0), class(1)])
}

fn judged(images: &[&str], exceptions: &[&Exception], policy: &Policy) -> Judgement {
    let (workload, facts) = workload(images);
    let knowledge = Knowledge {
        fleet: &fleet(),
        catalog: &Catalog::default(),
        rules: &policy.rules,
        today: "2024-01-01".parse().unwrap(),
        exceptions,
    };
    evaluate(&workload, &facts, &knowledge)
}

#[track_caller]
fn check(images: &[&str], exceptions: &[&Exception], expected: &str) {
    let judgement = judged(images, exceptions, &Policy::report_only());
    let codes = |reasons: Vec<&crate::verdict::Reason>| {
        let codes: Vec<_> = reasons.iter().map(|it| it.finding.code.as_str()).collect();
        codes.join(",")
    };
    let counts = codes(judgement.reasons.iter().collect());
    let excepted = codes(judgement.excepted.iter().map(|it| &it.reason).collect());
    let (verdict, hosts) = (judgement.verdict.as_str(), judgement.hosts());
    assert_eq!(
        format!("{verdict} {hosts} [{counts}] [{excepted}]"),
        expected
    );
}

#[test]
fn what_is_accepted_does_not_count_and_stays_listed() {
    let arm = exception("HF110");
    check(&["arm"], &[], "Fail 0/2 [HF110] []");
    check(&["arm"], &[&arm], "Pass 2/2 [] [HF110]");
    check(&["arm"], &[&exception("HF501")], "Fail 0/2 [HF110] []");
    // Each cell is judged for itself.
    let mut old = exception("HF110");
    old.hosts = vec!["old-*".to_owned()];
    check(&["arm"], &[&old], "Partial 1/2 [HF110] [HF110]");
    // Of one image only.
    let mut other = exception("HF110");
    other.images = vec!["x.y/shop/both".parse().unwrap()];
    check(&["arm", "both"], &[&other], "Fail 0/2 [HF110] []");
    let judgement = judged(&["arm"], &[&arm], &Policy::report_only());
    let excepted = &judgement.excepted[0];
    assert_eq!(excepted.exception, "accepted");
    assert_eq!(excepted.expires, at(EXPIRY));
    assert_eq!(excepted.reason.hosts.len(), 2);
}

#[test]
fn what_could_not_be_told_is_never_a_pass_but_is_not_held_against_the_pod() {
    let unread = exception("HF906");
    check(&["unread"], &[&unread], "Unknown ?/2 [] [HF906]");
    check(&["unread", "arm"], &[&unread], "Fail 0/2 [HF110] [HF906]");
    let mut policy = Policy::report_only();
    policy.image_unreadable = Response::Deny;
    let decision = |exceptions: &[&Exception]| {
        decide(
            &judged(&["unread"], exceptions, &policy),
            &policy,
            Mode::Enforce,
            |_| false,
        )
    };
    assert!(matches!(decision(&[]), Decision::Deny(_)));
    let silent =
        |decision| matches!(decision, Decision::Admit { warnings, .. } if warnings.is_empty());
    assert!(silent(decision(&[&unread])));
}

#[test]
fn only_what_the_policy_lets_them_is_accepted() {
    let arm = exception("HF1*");
    let mut policy = Policy::report_only();
    policy.rules.exceptable = codes(["HF5*"]).unwrap();
    let of = |policy: &Policy| judged(&["arm"], &[&arm], policy).verdict.as_str();
    assert_eq!(of(&policy), "Fail");
    // Of two matrices both must allow it.
    let mut both = Policy::report_only().and(policy.clone());
    assert_eq!(both.rules.exceptable, policy.rules.exceptable);
    both.rules.exceptable = codes(["*"]).unwrap();
    assert_eq!(of(&both), "Pass");
}

#[test]
fn the_second_of_expiry_is_the_first_without_it() {
    let labels: BTreeMap<_, _> = [("app".to_owned(), "web".to_owned())].into();
    let mut longer = exception("HF110");
    longer.name = "longer".to_owned();
    longer.expires = at("2027-06-01T00:00:00Z");
    longer.pods = vec![Requirement {
        key: "app".to_owned(),
        operator: Operator::In,
        values: vec!["web".to_owned()],
    }];
    let exceptions = Exceptions::new([
        ("shop".to_owned(), exception("HF110")),
        ("shop".to_owned(), longer.clone()),
    ]);
    let names = |namespace: &str, labels: &BTreeMap<String, String>, moment: &str| {
        let of = exceptions.of(namespace, labels, at(moment));
        of.iter()
            .map(|it| it.name.clone())
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(
        names("shop", &labels, "2026-12-30T23:59:59.999Z"),
        "longer accepted"
    );
    assert_eq!(names("shop", &labels, EXPIRY), "longer");
    assert_eq!(names("shop", &labels, "2027-06-01T00:00:00Z"), "");
    assert_eq!(
        names("shop", &BTreeMap::new(), "2026-01-01T00:00:00Z"),
        "accepted"
    );
    assert_eq!(names("other", &labels, "2026-01-01T00:00:00Z"), "");
    let next = |moment: &str| exceptions.next_expiry(at(moment));
    assert_eq!(next("2026-01-01T00:00:00Z"), Some(at(EXPIRY)));
    assert_eq!(next(EXPIRY), Some(longer.expires));
    assert_eq!(next("2027-06-01T00:00:00Z"), None);
}

#[test]
fn images_are_meant_with_all_their_tags_unless_one_is_written() {
    let digest = format!("sha256:{}", "a".repeat(64));
    for (pattern, image, expected) in [
        ("x.y/shop/web", "x.y/shop/web:1", true),
        ("x.y/shop/web", "x.y/shop/web2:1", false),
        ("x.y:5000/web", "x.y:5000/web:1", true),
        ("x.y/shop/web:1", "x.y/shop/web:2", false),
        ("nginx", "docker.io/library/nginx:1.27", true),
        ("nginx:latest", "docker.io/library/nginx", true),
        ("x.y/shop/*", "x.y/shop/web:1", true),
        ("x.y/shop/*", "x.y/other/web:1", false),
        ("*", "x.y/other/web:1", true),
    ] {
        let pattern_read: ImagePattern = pattern.parse().unwrap();
        let image: ImageRef = image.parse().unwrap();
        assert_eq!(pattern_read.matches(&image), expected, "{pattern} {image}");
    }
    let pinned: ImagePattern = format!("x.y/web@{digest}").parse().unwrap();
    assert!(pinned.matches(&format!("x.y/web@{digest}").parse().unwrap()));
    assert!("x.y/UPPER".parse::<ImagePattern>().is_err());
}

#[test]
fn a_code_that_is_none_names_the_nearest() {
    assert_eq!(codes(["*"]).unwrap().len(), Code::ALL.len());
    let of_support = codes(["HF50*", "HF101"]).unwrap();
    assert!(of_support.contains(&Code::HF508) && of_support.contains(&Code::HF101));
    let error = codes(["HF101", "HF50l"]).unwrap_err().to_string();
    assert!(
        error.starts_with("there is no finding \"HF50l\"; did you mean HF50"),
        "{error}"
    );
    let error = codes(["nonsense"]).unwrap_err().to_string();
    assert_eq!(error, "there is no finding \"nonsense\"");
}
