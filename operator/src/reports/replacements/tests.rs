use hostfit_crds::compat_report::TargetRef;
use hostfit_crds::fleet::fleet;
use hostfit_engine::finding::{CellVerdict, Finding};
use hostfit_engine::verdict::Reason;
use hostfit_engine::workload::{Placement, Workload};
use serde_json::{Value, json};

use super::*;

fn profile(name: &str, spec: Value, status: Value) -> Arc<HostProfile> {
    let object = json!({
        "apiVersion": "hostfit.dev/v1alpha1", "kind": "HostProfile",
        "metadata": {"name": name, "uid": format!("uid-{name}"), "generation": 1}, "spec": spec, "status": status,
    });
    serde_json::from_value(object).unwrap()
}

/// An observed profile, and one of each that people declare.
fn profiles() -> Vec<Arc<HostProfile>> {
    let facts = json!({"os": "amzn", "osVersion": "2023", "architecture": "amd64"});
    let observed =
        json!({"facts": {"os": "amzn", "osVersion": "2", "architecture": "amd64"}, "nodes": 1});
    let declared = |name: &str, more: Value| {
        let mut spec = json!({"facts": facts});
        for (key, value) in more.as_object().unwrap() {
            spec[key] = value.clone();
        }
        profile(name, spec, Value::Null)
    };
    vec![
        profile("old", json!({}), observed),
        declared("pool", json!({"nodeLabels": {"pool": "gpu"}})),
        declared("plan", json!({"baselineName": "old"})),
        declared("astray", json!({"baselineName": "odl"})),
        declared("nowhere", json!({})),
        declared(
            "wrong",
            json!({"facts": {"kernel": "new"}, "baselineName": "old"}),
        ),
        profile(
            "bare",
            json!({"nodeLabels": {"pool": "later"}}),
            Value::Null,
        ),
        declared("empty", json!({"facts": {}, "baselineName": "old"})),
        declared("on-bare", json!({"baselineName": "bare"})),
    ]
}

fn item(name: &str) -> Item {
    Item {
        namespace: "shop".to_owned(),
        target: TargetRef {
            kind: "Deployment".to_owned(),
            name: name.to_owned(),
            ..TargetRef::default()
        },
        generation: None,
        pull_secrets: Default::default(),
        labels: BTreeMap::new(),
        workload: Workload {
            images: Vec::new(),
            placement: Placement::default(),
        },
    }
}

fn moved(fate: Fate, after: CellVerdict, severity: Severity) -> Moved {
    let finding = Finding {
        code: Code::HF101,
        severity,
        verdict: after,
        image: "needs CPU level x86-64-v3".to_owned(),
        host: Some("has v2".to_owned()),
        fix: "base it on ubi9".to_owned(),
        evidence: None,
    };
    let reason = Reason {
        finding,
        users: BTreeSet::new(),
        hosts: BTreeSet::new(),
    };
    Moved {
        fate,
        after: Some(after),
        reasons: vec![reason],
    }
}

/// One workload of each fate, and this many that break.
fn replaced(breaking: usize) -> BTreeMap<String, Replaced> {
    let mut replaced = Replaced::default();
    for (name, fate, after) in [
        ("fits", Fate::Fits, CellVerdict::Pass),
        ("fixed", Fate::Fixed, CellVerdict::Warn),
        ("fails", Fate::StillFails, CellVerdict::Fail),
        ("unread", Fate::Unknown, CellVerdict::Unknown),
    ] {
        replaced.add(&item(name), &moved(fate, after, Severity::Unsupported));
    }
    for number in 0..breaking {
        let severity = match number {
            7 => Severity::BreaksAtStart,
            _ => Severity::Unsupported,
        };
        let moved = moved(Fate::Breaks, CellVerdict::Fail, severity);
        replaced.add(&item(&format!("web-{number:02}")), &moved);
    }
    [("plan".to_owned(), replaced)].into()
}

fn planned(breaking: usize, current: &[Arc<ClusterCompatReport>], now: &str) -> Plan {
    let profiles = profiles();
    let fleet = fleet(profiles.iter().filter_map(|it| Class::of(it)), []);
    let counts = VerdictCounts {
        pass: 3,
        fail: 1,
        ..VerdictCounts::default()
    };
    plan(&Facts {
        profiles: &profiles,
        fleet: &fleet,
        by_host: &[("old".to_owned(), counts)].into(),
        replaced: &replaced(breaking),
        current,
        now: &Time(now.parse().unwrap()),
    })
}

const NOW: &str = "2026-11-01T12:00:00Z";

#[test]
fn each_profile_has_a_report_that_says_what_was_counted_or_why_nothing() {
    let plan = planned(2, &[], NOW);
    let shown: Vec<_> = plan
        .write
        .iter()
        .map(|(report, ..)| {
            let status = report.status.as_ref().unwrap();
            let ready = &status.conditions[0];
            let counts = status
                .workloads
                .as_ref()
                .map(|it| format!("{} {} {} {}", it.pass, it.warn, it.fail, it.unknown));
            let name = report.name_any();
            format!(
                "{name} {counts:?} new {} {} {}",
                status.new_failures, ready.status, ready.reason
            )
        })
        .collect();
    let expected = [
        "old Some(\"3 0 1 0\") new 0 True Counted",
        "pool Some(\"0 0 0 0\") new 0 True Counted",
        "plan Some(\"1 1 3 1\") new 2 True Planned",
        "astray None new 0 False NoBaseline",
        "nowhere None new 0 False NowhereToLand",
        "wrong None new 0 False UnreadableFacts",
        "bare None new 0 False NoFacts",
        "empty None new 0 False NoFacts",
        "on-bare None new 0 False NoFactsOfBaseline",
    ];
    assert_eq!(shown, expected);
    let astray = plan.write[3].0.status.as_ref().unwrap();
    let message = "there is no HostProfile odl that it could replace; did you mean old?";
    assert_eq!(astray.conditions[0].message, message);
    let wrong = plan.write[5].0.status.as_ref().unwrap();
    let message = "nothing is counted until spec.facts of the HostProfile can be read: facts.kernel is \"new\"";
    assert!(wrong.conditions[0].message.starts_with(message));
    let counted: Vec<_> = plan.counts.keys().map(String::as_str).collect();
    assert_eq!(counted, ["old", "plan", "pool"]);
    let report = &plan.write[2].0;
    let owner = &report.owner_references()[0];
    assert_eq!(
        (owner.kind.as_str(), owner.uid.as_str()),
        ("HostProfile", "uid-plan")
    );
    assert_eq!(report.status.as_ref().unwrap().fixed, 1);
}

#[test]
fn the_worst_fifty_are_named_and_the_rest_counted() {
    let plan = planned(60, &[], NOW);
    let status = plan.write[2].0.status.as_ref().unwrap();
    assert_eq!(
        (
            status.new_failures,
            status.blockers.len(),
            status.blockers_omitted
        ),
        (60, 50, 10)
    );
    let first = &status.blockers[0];
    assert_eq!(
        (first.name.as_str(), first.code.as_str()),
        ("web-07", "HF101")
    );
    assert_eq!(
        first.message,
        "image needs CPU level x86-64-v3, host has v2"
    );
    assert_eq!(status.blockers[1].name, "web-00");
}

#[test]
fn only_what_differs_is_written_and_only_what_gets_worse_is_told() {
    let told = |plan: &Plan| {
        let notices = plan.write.iter().filter_map(|(.., notice)| notice.as_ref());
        notices.filter_map(|it| it.note.clone()).collect::<Vec<_>>()
    };
    let kept = |plan: Plan, before: Vec<Arc<ClusterCompatReport>>| {
        let mut kept: BTreeMap<_, _> = before.into_iter().map(|it| (it.name_any(), it)).collect();
        for (report, ..) in plan.write {
            kept.insert(report.name_any(), report.into());
        }
        kept.into_values().collect::<Vec<_>>()
    };
    let first = planned(2, &[], NOW);
    let note = "2 workloads would break (were 0) if plan replaced old; worst: shop/Deployment/web-00: HF101 image needs CPU level x86-64-v3, host has v2. See kubectl describe ccompat plan";
    assert_eq!(told(&first), [note]);
    let current = kept(first, Vec::new());
    let again = planned(2, &current, "2026-11-01T13:00:00Z");
    assert!(again.write.is_empty() && again.obsolete.is_empty());
    let worse = planned(3, &current, "2026-11-01T13:00:00Z");
    assert_eq!(told(&worse).len(), 1);
    assert!(told(&worse)[0].starts_with("3 workloads would break (were 2)"));
    let current = kept(worse, current);
    let better = planned(1, &current, "2026-11-01T14:00:00Z");
    assert_eq!((better.write.len(), told(&better).len()), (1, 0));
    let change = better.write[0]
        .0
        .status
        .as_ref()
        .unwrap()
        .last_change_time
        .clone();
    assert_eq!(change.unwrap().0.to_string(), "2026-11-01T14:00:00Z");
}

#[test]
fn a_report_goes_with_its_profile() {
    let mut current: Vec<_> = planned(0, &[], NOW)
        .write
        .into_iter()
        .map(|(it, ..)| it)
        .collect();
    // A profile that is gone, one of the same name that came after another, and a report that is not ours.
    current[0].metadata.name = Some("gone".to_owned());
    current[1].metadata.owner_references = None;
    current[3].metadata.name = Some("foreign".to_owned());
    current[3].metadata.labels = None;
    // Somebody made it by hand, before the operator could.
    current[4].metadata.labels = None;
    current[4].metadata.owner_references = None;
    let mut of_nothing = ClusterCompatReport::clone(&current[4]);
    of_nothing.metadata.name = Some("of-nothing".to_owned());
    of_nothing.spec.host_profile_name = "nothing".to_owned();
    current.push(of_nothing);
    let current: Vec<_> = current.into_iter().map(Arc::new).collect();
    let plan = planned(0, &current, NOW);
    let obsolete: Vec<_> = plan.obsolete.iter().map(|it| it.name_any()).collect();
    assert_eq!(obsolete, ["gone", "pool"]);
    let written: Vec<_> = plan.write.iter().map(|(it, ..)| it.name_any()).collect();
    assert_eq!(written, ["old", "astray"]);
    let told = |plan: &Plan| {
        let told = plan.foreign.iter().map(|it| {
            let ready = &it.status.as_ref().unwrap().conditions[0];
            format!("{} {} {}", it.name_any(), ready.status, ready.reason)
        });
        told.collect::<Vec<_>>()
    };
    let expected = [
        "foreign False HandMade",
        "nowhere False HandMade",
        "of-nothing False NoProfile",
    ];
    assert_eq!(told(&plan), expected);
    let current: Vec<_> = plan.foreign.into_iter().map(Arc::new).collect();
    assert_eq!(told(&planned(0, &current, NOW)), [""; 0]);
}
