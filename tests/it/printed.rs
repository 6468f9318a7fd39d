//! What `kubectl get` shows of our kinds: the design's tables, rendered from the CRDs' printer columns on objects as the
//! operator writes them. The cluster is that of the command line's golden tests, a snapshot of a real one. What kubectl does
//! with columns is done here as it does it, so that no cluster is needed.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use hostfit_crds::item::Item;
use hostfit_crds::workload::PodSpec;
use hostfit_crds::{CompatException, HostProfile, ImageProfile, SupportMatrix};
use hostfit_crds::{ImageProfileStatus, node};
use hostfit_engine::fact::{Evidence, Fact, Gap, Strength};
use hostfit_engine::image::{ImageFacts, ImageRef};
use hostfit_engine::lineage::Catalog;
use hostfit_operator::offline::{Moment, written};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// When it is: half an hour after the snapshot was taken.
const NOW: &str = "2026-11-25T22:30:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn shop() -> Value {
    serde_json::from_str(include_str!("../../cli/tests/it/shop.json")).unwrap()
}

fn read<T: DeserializeOwned>(object: &Value) -> T {
    serde_json::from_value(object.clone()).unwrap()
}

/// One column of a table.
struct Column {
    title: String,
    path: String,
    is_wide: bool,
    is_age: bool,
}

/// The columns of a kind, without its name.
fn columns(kind: &str) -> Vec<Column> {
    let all = hostfit_crds::all();
    let crd = all.iter().find(|it| it.spec.names.kind == kind).unwrap();
    let version = crd.spec.versions.first().unwrap();
    let columns = version.additional_printer_columns.iter().flatten();
    columns
        .map(|it| Column {
            title: it.name.to_uppercase(),
            path: it.json_path.clone(),
            is_wide: it.priority.is_some_and(|priority| priority > 0),
            is_age: it.type_ == "date",
        })
        .collect()
}

/// What stands at a path, as the API server reads it: fields, an index, and `[?(@.FIELD=="VALUE")]`.
fn at<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    let mut found = object;
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(list) = rest.strip_prefix("[?(@.") {
            let (condition, after) = list.split_once("\")]").unwrap();
            let (field, value) = condition.split_once("==\"").unwrap();
            let items = found.as_array()?;
            found = items.iter().find(|it| it[field] == value)?;
            rest = after;
        } else if let Some(list) = rest.strip_prefix('[') {
            let (index, after) = list.split_once(']').unwrap();
            found = found.get(index.parse::<usize>().unwrap())?;
            rest = after;
        } else {
            let field = rest.strip_prefix('.').unwrap();
            let end = field.find(['.', '[']).unwrap_or(field.len());
            let (field, after) = field.split_at(end);
            found = found.get(field)?;
            rest = after;
        }
    }
    Some(found)
}

fn cell(object: &Value, column: &Column) -> String {
    match at(object, &column.path) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(time)) if column.is_age => {
            let time: Timestamp = time.parse().unwrap();
            format!(
                "{}m",
                (now() - time).total(jiff::Unit::Minute).unwrap().floor()
            )
        }
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// `kubectl get KIND`, with `-A` if it lies in namespaces, and with `-o wide` if that is asked for.
fn get(kind: &str, objects: &[Value], wide: bool) -> String {
    let columns = columns(kind);
    let shown: Vec<_> = columns.iter().filter(|it| wide || !it.is_wide).collect();
    let in_namespaces = objects
        .iter()
        .any(|it| at(it, ".metadata.namespace").is_some());
    let own = [".metadata.namespace", ".metadata.name"];
    let own = &own[usize::from(!in_namespaces)..];
    let title = |path: &&str| path.rsplit('.').next().unwrap().to_uppercase();
    let titles = own.iter().map(title);
    let mut rows: Vec<Vec<String>> = vec![
        titles
            .chain(shown.iter().map(|it| it.title.clone()))
            .collect(),
    ];
    rows.extend(objects.iter().map(|object| {
        let own = own
            .iter()
            .map(|path| at(object, path).unwrap().as_str().unwrap().to_owned());
        own.chain(shown.iter().map(|it| cell(object, it))).collect()
    }));
    let mut table = String::new();
    for row in &rows {
        let mut line = String::new();
        for (index, cell) in row.iter().enumerate() {
            let width = rows.iter().map(|row| row[index].chars().count()).max();
            // As kubectl pads.
            let width = (width.unwrap() + 3).max(6);
            line.push_str(&format!("{cell:<width$}"));
        }
        table.push_str(line.trim_end());
        table.push('\n');
    }
    table
}

/// The table of a kind on these objects, as `tests/it/printed/KIND.txt` has it. `UPDATE=1` writes it anew.
#[track_caller]
fn check(kind: &str, objects: &[Value]) {
    let mut table = get(kind, objects, false);
    for line in table.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    table.push_str("\n# -o wide\n");
    table.push_str(&get(kind, objects, true));
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("it/printed/{kind}.txt"));
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&file, &table).unwrap();
    }
    let expected = fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(table, expected, "UPDATE=1 writes {}", file.display());
}

fn objects(name: &str) -> Vec<Value> {
    shop()["objects"][name].as_array().unwrap().clone()
}

/// What is behind the images of the snapshot.
fn images() -> Vec<(ImageRef, Fact<ImageFacts>)> {
    let shop = shop();
    let led = shop["images"].as_object().unwrap();
    let facts = |image: &ImageRef, led: &Value| {
        let Some(digest) = led["digest"].as_str() else {
            let registry = image.registry().to_owned();
            return Fact::Unknown(Gap::Unauthorized { registry });
        };
        let status: ImageProfileStatus = read(&shop["profiles"][digest]);
        let known = status.facts(digest.parse().unwrap()).unwrap();
        Fact::Known(known.facts, Evidence::new(Strength::Stated, "manifest"))
    };
    let images = led.iter().map(|(name, led)| {
        let image: ImageRef = name.parse().unwrap();
        let facts = facts(&image, led);
        (image, facts)
    });
    images.collect()
}

/// What the operator writes of the workloads of the snapshot.
fn reports(more: &[HostProfile]) -> (Vec<Value>, Vec<Value>) {
    let profiles = objects("hostProfiles");
    let profiles = profiles
        .iter()
        .map(read::<HostProfile>)
        .chain(more.to_vec());
    let profiles: Vec<_> = profiles.map(Arc::new).collect();
    let nodes: Vec<Node> = objects("nodes").iter().map(read).collect();
    let node_profiles = objects("nodeProfiles");
    let node_profiles: Vec<hostfit_crds::NodeProfile> = node_profiles.iter().map(read).collect();
    let offered = nodes.iter().map(|node| {
        let profile = node_profiles
            .iter()
            .find(|it| it.metadata.name == node.metadata.name);
        (node, node::offered(node, profile))
    });
    let classes = profiles
        .iter()
        .filter_map(|it| hostfit_crds::fleet::Class::of(it));
    let fleet = hostfit_crds::fleet::fleet(classes, offered);
    let items: Vec<_> = objects("workloads")
        .iter()
        .map(|it| {
            let pod: PodSpec = read(&it["pod"]);
            Item {
                namespace: read(&it["namespace"]),
                target: read(it),
                generation: Some(1),
                labels: read(&it["podLabels"]),
                pull_secrets: pod.pull_secrets(),
                workload: pod.into(),
            }
        })
        .collect();
    let images = images();
    let facts = |image: &ImageRef| {
        let mut all = images.iter();
        all.find(|(named, _)| named == image)
            .map(|(_, facts)| facts)
    };
    let bases = objects("bases");
    let bases: Vec<hostfit_crds::BaseImage> = bases.iter().map(read).collect();
    let moment = Moment {
        fleet: &fleet,
        profiles: &profiles,
        catalog: &Catalog::new(bases.iter().flat_map(|base| base.known_bases())),
        matrices: objects("matrices")
            .iter()
            .map(|it| Arc::new(read::<SupportMatrix>(it)))
            .collect(),
        exceptions: &[],
        facts: &facts,
        now: now(),
    };
    let written = written(&moment, &items, &[], &[]);
    let made = |object: Value| {
        let mut object = object;
        object["metadata"]["creationTimestamp"] = json!("2026-11-25T22:24:00Z");
        object
    };
    let reports = written
        .reports
        .iter()
        .map(|it| made(serde_json::to_value(it).unwrap()));
    let of_profiles = written.cluster_reports.iter();
    let of_profiles = of_profiles.map(|it| made(serde_json::to_value(it).unwrap()));
    (reports.collect(), of_profiles.collect())
}

#[test]
fn support_matrices() {
    check("SupportMatrix", &objects("matrices"));
}

#[test]
fn host_profiles_and_node_profiles() {
    check("HostProfile", &objects("hostProfiles"));
    check("NodeProfile", &objects("nodeProfiles"));
}

#[test]
fn reports_on_workloads_and_on_profiles() {
    let planned = json!({
        "apiVersion": "hostfit.dev/v1alpha1", "kind": "HostProfile", "metadata": {"name": "rhel10-k612"},
        "spec": {"baselineName": "rhel94-k514", "facts": {
            "os": "rhel", "osVersion": "10.0", "kernel": "6.12", "architecture": "amd64", "cpuLevel": 3, "cgroup": 2,
        }},
    });
    let (reports, of_profiles) = reports(&[read(&planned)]);
    check("CompatReport", &reports);
    check("ClusterCompatReport", &of_profiles);
}

#[test]
fn images_bases_and_exceptions() {
    check("BaseImage", &objects("bases"));
    let status: ImageProfileStatus = read(&json!({"distro": "rhel-10.0", "baseImage": "ubi10"}));
    let mut profile = ImageProfile::new(
        "5b0bcabd1ed2",
        read(&json!({
            "repository": "acme.example/shop/search", "digest": format!("sha256:{}", "5b".repeat(32)),
        })),
    );
    profile.status = Some(status);
    let exception: CompatException = read(&json!({
        "apiVersion": "hostfit.dev/v1alpha1", "kind": "CompatException",
        "metadata": {"name": "search-v2-cpus", "namespace": "shop"},
        "spec": {"codes": ["HF101"], "reason": "moves with the new nodes", "expirationTime": "2026-12-31T00:00:00Z"},
        "status": {"state": "Active", "matches": 1},
    }));
    let made = |object: Value| {
        let mut object = object;
        object["metadata"]["creationTimestamp"] = json!("2026-11-25T22:24:00Z");
        [object]
    };
    check(
        "ImageProfile",
        &made(serde_json::to_value(&profile).unwrap()),
    );
    check(
        "CompatException",
        &made(serde_json::to_value(&exception).unwrap()),
    );
}

/// The design's columns, in its order: name first, age last, what is seldom asked for only with `-o wide`.
#[test]
fn columns_are_those_of_the_design() {
    for (kind, first, more) in [
        (
            "SupportMatrix",
            "MODE RULES PASS WARN PARTIAL FAIL UNKNOWN READY",
            "",
        ),
        (
            "HostProfile",
            "ORIGIN NODES OS KERNEL FAIL",
            "CGROUP CPU RUNTIME GPU-DRIVER BASELINE READY",
        ),
        // Its time is that of the last change: a time of the last look would be a write each time.
        (
            "CompatReport",
            "VERDICT HOSTS FAIL WARN FINDING",
            "KIND TARGET CHANGED MESSAGE",
        ),
        (
            "ClusterCompatReport",
            "BASELINE PASS WARN FAIL NEW-FAIL UNKNOWN",
            "READY CHANGED",
        ),
        ("NodeProfile", "HOST-PROFILE OS KERNEL FACTS", "AGREE AGENT"),
        ("ImageProfile", "REPOSITORY DISTRO BASE", "LIBC INSPECTED"),
        (
            "CompatException",
            "STATE MATCHES EXPIRES",
            "READY CODES REASON",
        ),
        ("BaseImage", "REPOSITORY CHAINS READY", "TAGS AGREE"),
    ] {
        let mut columns = columns(kind);
        assert_eq!(columns.pop().unwrap().title, "AGE", "{kind}");
        let titles = |wide: bool| {
            let columns = columns.iter().filter(|it| it.is_wide == wide);
            let titles: Vec<_> = columns.map(|it| it.title.as_str()).collect();
            titles.join(" ")
        };
        assert_eq!(
            (titles(false).as_str(), titles(true).as_str()),
            (first, more)
        );
    }
    assert_eq!(hostfit_crds::all().len(), 8);
}
