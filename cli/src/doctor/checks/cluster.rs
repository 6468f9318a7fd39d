//! The cluster, its CRDs and clocks; the operator and its rights.

use std::collections::BTreeSet;

use hostfit_crds::names;
use hostfit_engine::policy::Policy;
use hostfit_engine::{RULES_PUBLISHED, RULES_VERSION, matrix};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt as _;
use serde_json::Value;

use super::super::read::Read;
use super::deployment::{INSTALL, available, is_absent, releases, restart};
use super::rights::component;
use super::{Group, few};

/// The oldest minor version of Kubernetes that the chart installs on.
const OLDEST: u32 = 30;
/// Seconds that this machine's clock may differ, and a node's; a sign of life of a kubelet is up to 40 s old.
const OFF: i64 = 60;
const NODE_AHEAD: i64 = 10;
/// Days after which rules are old.
const OLD: i64 = 180;

pub(super) fn cluster(read: &Read) -> Group {
    let mut group = Group::new("cluster");
    version(read, &mut group);
    crds(read, &mut group);
    clocks(read, &mut group);
    group
}

/// Before an install.
pub(super) fn before(read: &Read) -> Group {
    let mut group = Group::new("before an install");
    version(read, &mut group);
    match &read.rights {
        Err(why) => group.unseen("install", "your rights", why),
        Ok(rights) => {
            let lacking = rights.iter().filter(|(_, there)| !there);
            let lacking: Vec<_> = lacking.map(|(right, _)| right.says()).collect();
            match lacking.is_empty() {
                true => group.fine("install", "you may install the chart"),
                false => group.problem(
                    "install",
                    format!("you may not {}", few(&lacking)),
                    "let an administrator of the cluster install it: it makes CRDs, webhook configurations and roles",
                ),
            }
        }
    }
    match releases(read).as_slice() {
        [] => group.fine("two-releases", "no other release of hostfit is here"),
        [one] => group.warning(
            "two-releases",
            format!("release {one} is here already"),
            "upgrade it (helm upgrade), or uninstall it first: two releases write to the same objects",
        ),
        many => group.problem("two-releases", format!("releases {} are here", few(many)), ONE_RELEASE),
    }
    group
}

fn version(read: &Read, group: &mut Group) {
    let minor = read
        .version
        .strip_prefix("v1.")
        .and_then(|it| it.split('.').next());
    let minor = minor.and_then(|it| it.parse::<u32>().ok());
    match minor {
        None => group.unseen(
            "kubernetes",
            "version of Kubernetes",
            "the API server does not tell it",
        ),
        Some(minor) if minor < OLDEST => group.problem(
            "kubernetes",
            format!("Kubernetes {} is older than 1.{OLDEST}", read.version),
            "upgrade the cluster: webhooks with conditions and field selectors of CRDs need it",
        ),
        Some(_) => group.fine("kubernetes", format!("Kubernetes {}", read.version)),
    }
}

fn crds(read: &Read, group: &mut Group) {
    let installed = match &read.crds {
        Ok(installed) => installed,
        Err(why) => return group.unseen("crds", "CRDs", why),
    };
    let mut missing = Vec::new();
    let mut older = Vec::new();
    let mut stored = Vec::new();
    for wanted in hostfit_crds::all() {
        let name = wanted.name_any();
        let Some(there) = installed.iter().find(|it| it.name_any() == name) else {
            missing.push(name);
            continue;
        };
        let fields = fields(&serde_json::to_value(there).unwrap_or_default());
        let lacking = self::fields(&serde_json::to_value(&wanted).unwrap_or_default());
        let lacking: Vec<_> = lacking.difference(&fields).cloned().collect();
        if let Some(first) = lacking.first() {
            older.push(format!("{name} ({first}, {} in all)", lacking.len()));
        }
        let versions = there
            .status
            .iter()
            .flat_map(|it| it.stored_versions.iter().flatten());
        let old = versions.filter(|it| *it != names::VERSION);
        stored.extend(old.map(|it| format!("{name} {it}")));
    }
    const APPLY: &str = "apply the CRDs of this version (charts/hostfit/files/crds, or helm upgrade with crds.install=true)";
    if !missing.is_empty() {
        group.problem(
            "crds",
            format!("CRDs are missing: {}", few(&missing)),
            if is_absent(read) { INSTALL } else { APPLY },
        );
    }
    if !older.is_empty() {
        let says = format!(
            "CRDs are older than this program, they lack fields: {}",
            few(&older)
        );
        group.problem("crds", says, APPLY);
    }
    if !stored.is_empty() {
        group.warning(
            "crds",
            format!("objects are stored in old versions: {}", few(&stored)),
            "write them anew, then remove the version from status.storedVersions",
        );
    }
    if missing.is_empty() && older.is_empty() && stored.is_empty() {
        group.fine(
            "crds",
            format!("CRDs {}, no old stored versions", names::VERSION),
        );
    }
}

/// Paths of all fields of a CRD's schemas.
fn fields(crd: &Value) -> BTreeSet<String> {
    fn walk(schema: &Value, path: &str, all: &mut BTreeSet<String>) {
        for (name, inner) in schema
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            let path = format!("{path}.{name}");
            walk(inner, &path, all);
            all.insert(path.trim_start_matches('.').to_owned());
        }
        for inner in [schema.get("items"), schema.get("additionalProperties")]
            .into_iter()
            .flatten()
        {
            walk(inner, path, all);
        }
    }
    let mut all = BTreeSet::new();
    let versions = crd.pointer("/spec/versions").and_then(Value::as_array);
    for version in versions.into_iter().flatten() {
        if let Some(schema) = version.pointer("/schema/openAPIV3Schema") {
            walk(schema, "", &mut all);
        }
    }
    all
}

/// Clocks: of this machine, and of the nodes by their signs of life, beside the API server's.
fn clocks(read: &Read, group: &mut Group) {
    let Some(server) = read.call.as_ref().ok().and_then(|it| it.server) else {
        return group.unseen("clocks", "clocks", "the API server did not tell its time");
    };
    let off = read.now.as_second() - server.as_second();
    if off.abs() > OFF {
        let where_to = match off > 0 {
            true => "ahead of",
            false => "behind",
        };
        group.problem(
            "clocks",
            format!(
                "the clock of this machine is {} s {where_to} that of the API server",
                off.abs()
            ),
            "set it (NTP): dates of support and of certificates are judged by it",
        );
    }
    let leases = match &read.leases {
        Ok(leases) => leases,
        Err(why) => return group.unseen("clocks", "clocks of the nodes", why),
    };
    let ready = read.nodes.iter().flatten().filter(|it| is_ready(it));
    let ready: BTreeSet<_> = ready.map(|it| it.name_any()).collect();
    let mut wrong = Vec::new();
    for lease in leases {
        let renewed = lease.spec.as_ref().and_then(|it| it.renew_time.as_ref());
        let Some(renewed) = renewed else { continue };
        let off = renewed.0.as_second() - server.as_second();
        let name = lease.name_any();
        if off > NODE_AHEAD || (off < -OFF && ready.contains(&name)) {
            wrong.push(format!("{name} ({off:+} s)"));
        }
    }
    match (wrong.is_empty(), off.abs() > OFF) {
        (true, true) => {}
        (true, false) => group.fine("clocks", "clocks agree"),
        (false, _) => group.problem(
            "clocks",
            format!("clocks of nodes are off: {}", few(&wrong)),
            "set them (NTP): a certificate may not be valid yet, or no longer, where the webhook runs",
        ),
    }
}

fn is_ready(node: &Node) -> bool {
    let conditions = node
        .status
        .iter()
        .flat_map(|it| it.conditions.iter().flatten());
    conditions
        .into_iter()
        .any(|it| it.type_ == "Ready" && it.status == "True")
}

const ONE_RELEASE: &str = "uninstall all but one (helm uninstall): they write to the same objects, and judge each pod twice";

pub(super) fn operator(read: &Read) -> Group {
    let mut group = Group::new("operator");
    let deployments = match &read.deployments {
        Ok(deployments) => deployments,
        Err(why) => {
            group.unseen("operator", "operator", why);
            return group;
        }
    };
    match releases(read).as_slice() {
        [] => group.problem("operator", "hostfit is not installed", INSTALL),
        [_] => {}
        many => group.problem(
            "two-releases",
            format!("two releases are installed: {}", few(many)),
            ONE_RELEASE,
        ),
    }
    for deployment in deployments
        .iter()
        .filter(|it| component(it) == Some("operator"))
    {
        available(deployment, read, "operator", &mut group);
        let version = deployment.labels().get("app.kubernetes.io/version");
        if let Some(version) = version.filter(|it| *it != env!("CARGO_PKG_VERSION")) {
            group.warning(
                "operator",
                format!(
                    "the install is version {version}, this program {}",
                    env!("CARGO_PKG_VERSION")
                ),
                "use the same version of both: rules differ from version to version",
            );
        }
    }
    match &read.rights {
        Err(why) => group.unseen("rights", "rights of hostfit", why),
        Ok(rights) => {
            let lacking = rights.iter().filter(|(_, there)| !there);
            let lacking: Vec<_> = lacking.map(|(right, _)| right.says()).collect();
            match lacking.is_empty() {
                true => group.fine("rights", format!("{} rights are there", rights.len())),
                false => group.problem(
                    "rights",
                    format!("rights are missing: {}", few(&lacking)),
                    "restore the roles of the chart (helm upgrade --force-conflicts), and look at who changes them",
                ),
            }
        }
    }
    rules(read, &mut group);
    matrices(read, &mut group);
    group
}

fn rules(read: &Read, group: &mut Group) {
    let published: Option<Timestamp> = format!("{RULES_PUBLISHED}T00:00:00Z").parse().ok();
    let days = published.map_or(0, |it| {
        (read.now.as_second() - it.as_second()) / (24 * 3600)
    });
    let says = format!(
        "{} rules, {RULES_VERSION}, {days} days old",
        matrix::count(&Policy::report_only().rules)
    );
    match days > OLD {
        true => group.warning(
            "rules",
            says,
            "upgrade hostfit: releases end, and new ones come",
        ),
        false => group.fine("rules", says),
    }
}

fn matrices(read: &Read, group: &mut Group) {
    let matrices = match &read.matrices {
        Ok(matrices) => matrices,
        Err(why) => return group.unseen("matrices", "SupportMatrices", why),
    };
    if matrices.is_empty() && !is_absent(read) {
        group.warning(
            "matrices",
            "there is no SupportMatrix: nothing is refused or warned of, hostfit only reports",
            format!(
                "the operator makes that of the chart when it starts, unless matrix.create=false: {}; or apply your own",
                restart(read)
            ),
        );
    }
    for matrix in matrices {
        let conditions = matrix.status.iter().flat_map(|it| &it.conditions);
        for condition in conditions.filter(|it| it.status == "False") {
            let says = format!("SupportMatrix {}: {}", matrix.name_any(), condition.message);
            match condition.type_.as_str() {
                names::READY => group.problem(
                    "matrices",
                    says,
                    "correct it: until then its last good state is active",
                ),
                names::DEFAULTS_APPLIED => group.warning(
                    "matrices",
                    says,
                    "keep it, or give the field back to the chart (kubectl apply --server-side --force-conflicts)",
                ),
                _ => {}
            }
        }
    }
}
