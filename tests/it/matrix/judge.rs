//! A case → the real judge and the real policy, by the same ways on which the cluster's objects come.

use std::collections::BTreeSet;
use std::fs;
use std::sync::LazyLock;

use hostfit_crds::runtime_class::runtime_classes;
use hostfit_crds::workload::PodSpec;
use hostfit_crds::{ImageProfileStatus, SupportMatrixSpec};
use hostfit_engine::distribution::Distribution;
use hostfit_engine::fact::{Evidence, Fact, Gap, Strength, Unreachable, Withheld};
use hostfit_engine::files::Reading;
use hostfit_engine::image::{
    self, Contents, Digest, ImageFacts, Inspected, Manifest, Platform, PlatformFacts,
};
use hostfit_engine::lineage::{Catalog, KnownBase};
use hostfit_engine::matrix::{Knowledge, evaluate};
use hostfit_engine::policy::{Decision, Policy, decide};
use hostfit_engine::runtime_class::RuntimeClasses;
use hostfit_engine::verdict::{Judgement, Reason};
use hostfit_engine::workload::Workload;
use serde_json::{Value, json};

use super::case::{Answer, Case, Expect, Image, Proof, Role, RuntimeClass, Zstd};
use super::hosts::fleet;
use super::root;

/// Judges a case; what differs from its expectation, in words.
pub(super) fn check(case: &Case) -> Result<(), String> {
    let (judgement, decision) = judge(case).map_err(|it| format!("  cannot be read: {it}"))?;
    let got = summary(&judgement);
    let mut trouble = Vec::new();
    let mut compare = |what: &str, expected: &str, got: &str| {
        if expected != got {
            trouble.push(format!(
                "  {what}\n    expected {expected}\n    got      {got}"
            ));
        }
    };
    compare("verdict", &case.expect.to_string(), &got.to_string());
    if let Some(hosts) = &case.hosts {
        compare("hosts", hosts, &judgement.hosts());
    }
    if let Some(admission) = &case.admission {
        compare("admission", admission, &admission_of(&decision));
    }
    let texts: Vec<_> = judgement.reasons.iter().map(text).collect();
    for part in &case.says {
        if !texts.iter().any(|text| text.contains(part)) {
            trouble.push(format!("  nothing says {part:?}"));
        }
    }
    for part in &case.silent {
        if texts.iter().any(|text| text.contains(part)) {
            trouble.push(format!("  something says {part:?}"));
        }
    }
    if trouble.is_empty() {
        return Ok(());
    }
    trouble.extend(texts.iter().map(|text| format!("  found: {text}")));
    Err(trouble.join("\n"))
}

fn summary(judgement: &Judgement) -> Expect {
    let findings: BTreeSet<_> = judgement
        .reasons
        .iter()
        .map(|reason| {
            let finding = &reason.finding;
            format!("{} {}", finding.code, finding.verdict.as_str())
        })
        .collect();
    Expect {
        verdict: judgement.verdict.as_str().to_owned(),
        findings: findings.into_iter().collect(),
    }
}

fn text(reason: &Reason) -> String {
    let finding = &reason.finding;
    let evidence = finding.evidence.as_ref().map(|it| format!(" [{it}]"));
    format!(
        "{} {}. {}{}",
        finding.code,
        finding.message(),
        finding.fix,
        evidence.unwrap_or_default()
    )
}

fn admission_of(decision: &Decision) -> String {
    let codes = |reasons: &[&Reason]| {
        let mut seen = Vec::new();
        for reason in reasons {
            let code = reason.finding.code.as_str();
            if !seen.contains(&code) {
                seen.push(code);
            }
        }
        seen.join(" ")
    };
    match decision {
        Decision::Ignore => "ignored".to_owned(),
        Decision::Admit { warnings, .. } if warnings.is_empty() => "admitted".to_owned(),
        Decision::Admit { warnings, .. } => {
            format!("warned {}", codes(&warnings.iter().collect::<Vec<_>>()))
        }
        Decision::Deny(refusal) => {
            let reasons = std::iter::once(&refusal.worst).chain(&refusal.others);
            format!("refused {}", codes(&reasons.collect::<Vec<_>>()))
        }
    }
}

fn judge(case: &Case) -> Result<(Judgement, Decision), String> {
    let policy = policy(case.matrix.as_ref())?;
    let workload = workload(case)?;
    let facts: Vec<_> = case
        .image
        .iter()
        .enumerate()
        .map(|(index, image)| facts(index, image))
        .collect::<Result<_, _>>()?;
    if facts.len() != workload.images.len() {
        return Err("an image of the case is not in the pod".to_owned());
    }
    // Containers come before volumes in a workload, so the cases must write them in that order.
    let fleet = fleet(&case.host)?.with_runtime_classes(classes(&case.runtime_classes)?);
    let catalog = Catalog::new(case.image.iter().enumerate().filter_map(followed));
    let knowledge = Knowledge {
        fleet: &fleet,
        catalog: &catalog,
        rules: &policy.rules,
        today: case.today.parse().map_err(|it| format!("today: {it}"))?,
        exceptions: &[],
    };
    let judgement = evaluate(&workload, &facts, &knowledge);
    // What is kept of an image in an ImageProfile is judged as the image itself.
    let kept: Vec<_> = facts.iter().map(kept).collect::<Result<_, _>>()?;
    if evaluate(&workload, &kept, &knowledge) != judgement {
        return Err("what its ImageProfile keeps is judged otherwise".to_owned());
    }
    let decision = decide(&judgement, &policy, policy.mode, |_| false);
    Ok((judgement, decision))
}

/// An image as it comes back from its profile, by way of the API server.
fn kept(fact: &Fact<ImageFacts>) -> Result<Fact<ImageFacts>, String> {
    let Fact::Known(facts, evidence) = fact else {
        return Ok(fact.clone());
    };
    let is_lasting = |it: &PlatformFacts| match &it.contents {
        Fact::Known(..) | Fact::Unknown(Gap::Malformed { .. } | Gap::NotFetchedInTime) => true,
        Fact::Unknown(_) => false,
    };
    if !facts.platforms.iter().all(is_lasting) {
        return Ok(fact.clone());
    }
    let manifest = Manifest {
        digest: facts.digest.clone(),
        size: 1,
    };
    let inspected = Inspected {
        facts: facts.clone(),
        manifests: vec![manifest; facts.platforms.len()],
    };
    let status = ImageProfileStatus::of(&inspected).ok_or("too many platforms")?;
    let json = serde_json::to_string(&status).map_err(|it| it.to_string())?;
    if json.len() > 4096 * facts.platforms.len().max(1) {
        return Err(format!("its ImageProfile has {} bytes", json.len()));
    }
    let status: ImageProfileStatus = serde_json::from_str(&json).map_err(|it| it.to_string())?;
    let read = status.facts(facts.digest.clone());
    let read = read.ok_or("its ImageProfile cannot be read back")?;
    Ok(Fact::Known(read.facts, evidence.clone()))
}

/// RuntimeClasses as they come from the API server.
fn classes(written: &[RuntimeClass]) -> Result<RuntimeClasses, String> {
    let class = |class: &RuntimeClass| {
        let scheduling = class.scheduling.clone().unwrap_or_else(|| json!({}));
        let object = json!({"metadata": {"name": class.name}, "handler": class.handler, "scheduling": scheduling});
        let object: k8s_openapi::api::node::v1::RuntimeClass =
            serde_json::from_value(object).map_err(|it| format!("runtimeClass: {it}"))?;
        let read = serde_json::to_value(&object.scheduling).map_err(|it| it.to_string())?;
        unknown_field(&scheduling, &read, "runtimeClass.scheduling").map_or(Ok(object), Err)
    };
    let objects = written.iter().map(class).collect::<Result<Vec<_>, _>>()?;
    Ok(runtime_classes(&objects))
}

fn policy(matrix: Option<&Value>) -> Result<Policy, String> {
    let written = matrix.cloned().unwrap_or_else(|| json!({}));
    let spec: SupportMatrixSpec =
        serde_json::from_value(written.clone()).map_err(|it| format!("matrix: {it}"))?;
    let read = serde_json::to_value(&spec).map_err(|it| it.to_string())?;
    unknown_field(&written, &read, "matrix").map_or(Ok(()), Err)?;
    Policy::try_from(&spec).map_err(|it| format!("matrix: {it}"))
}

/// The first field that was written and not read.
pub(super) fn unknown_field(written: &Value, read: &Value, path: &str) -> Option<String> {
    match (written, read) {
        (Value::Object(written), Value::Object(read)) => written.iter().find_map(|(key, value)| {
            let path = format!("{path}.{key}");
            match read.get(key) {
                Some(read) => unknown_field(value, read, &path),
                None => Some(format!("{path} is no field")),
            }
        }),
        (Value::Array(written), Value::Array(read)) => written
            .iter()
            .zip(read)
            .find_map(|(written, read)| unknown_field(written, read, path)),
        _ => None,
    }
}

fn workload(case: &Case) -> Result<Workload, String> {
    let mut spec = case.pod.clone().unwrap_or_default();
    for (index, image) in case.image.iter().enumerate() {
        let name = format!("app-{index}");
        let reference = reference(image);
        let (field, entry) = match image.detail.role {
            Role::Container => {
                let set = |(name, value)| json!({"name": name, "value": value});
                let env: Vec<_> = image.detail.pod_env.iter().map(set).collect();
                let limits = match image.detail.gpu {
                    true => json!({"cpu": "1", "nvidia.com/gpu": 1}),
                    false => json!({"cpu": "1"}),
                };
                let resources = json!({"limits": limits});
                let mut entry =
                    json!({"name": name, "image": reference, "env": env, "resources": resources});
                for (field, value) in &image.detail.container {
                    entry[field] = value.clone();
                }
                ("containers", entry)
            }
            Role::Init => ("initContainers", json!({"name": name, "image": reference})),
            Role::Ephemeral => {
                let entry = json!({"name": name, "image": reference});
                ("ephemeralContainers", entry)
            }
            Role::Volume => {
                let entry = json!({"name": name, "image": {"reference": reference}});
                ("volumes", entry)
            }
        };
        let list = spec.entry(field).or_insert_with(|| json!([]));
        list.as_array_mut().ok_or("no list")?.push(entry);
    }
    let spec: PodSpec =
        serde_json::from_value(Value::Object(spec)).map_err(|it| format!("pod: {it}"))?;
    Ok(spec.into())
}

fn reference(image: &Image) -> String {
    if let Some(reference) = &image.detail.reference {
        return reference.clone();
    }
    match &image.distro {
        Some((distro, Proof::Hint)) => published_reference(distro),
        _ => "registry.example/shop/app:1".to_owned(),
    }
}

/// The name under which a distribution publishes its base image.
fn published_reference(distro: &str) -> String {
    let (id, version) = distro.split_once(' ').unwrap_or((distro, ""));
    let major = version.split('.').next().unwrap_or_default();
    let repository = match id {
        "rhel" if matches!(major, "5" | "6" | "7") => {
            format!("registry.access.redhat.com/rhel{major}")
        }
        "rhel" => format!("registry.access.redhat.com/ubi{major}/ubi"),
        "sles" => "registry.suse.com/bci/bci-base".to_owned(),
        "amzn" => "docker.io/library/amazonlinux".to_owned(),
        "ol" => "docker.io/library/oraclelinux".to_owned(),
        "rocky" => "docker.io/library/rockylinux".to_owned(),
        "opensuse-leap" => "registry.opensuse.org/opensuse/leap".to_owned(),
        "mariner" => "mcr.microsoft.com/cbl-mariner/base/core".to_owned(),
        "azurelinux" => "mcr.microsoft.com/azurelinux/base/core".to_owned(),
        id => format!("docker.io/library/{id}"),
    };
    format!("{repository}:{version}")
}

/// A digest that stands for the base layers of the image at `index`.
fn chain(index: usize) -> Digest {
    format!("sha256:{index:064x}").parse().unwrap()
}

fn followed((index, image): (usize, &Image)) -> Option<(Digest, KnownBase)> {
    let (distro, Proof::Layers) = image.distro.as_ref()? else {
        return None;
    };
    let (id, version) = distro.split_once(' ').unwrap_or((distro, ""));
    let base = KnownBase {
        name: format!("{id}:{version}"),
        distribution: Some((Distribution::new(id, version), Strength::Stated)),
        source: format!("BaseImage {id}"),
    };
    Some((chain(index), base))
}

/// The layers of a published base image, from the table that the engine holds.
fn published(base: &str, architecture: &str) -> Result<Digest, String> {
    static TABLE: LazyLock<String> =
        LazyLock::new(|| fs::read_to_string(root().join("engine/data/known_bases.tsv")).unwrap());
    let row = TABLE
        .lines()
        .map(|line| line.split('\t').collect::<Vec<_>>());
    let mut row = row.filter(|row| {
        let own = row.get(1).map(|it| it.split('/').next());
        row.first() == Some(&base) && own == Some(Some(architecture))
    });
    let row = row
        .next()
        .ok_or_else(|| format!("{base} is not published"))?;
    row.get(5)
        .and_then(|chain| chain.parse().ok())
        .ok_or_else(|| format!("{base} has no chain"))
}

fn facts(index: usize, image: &Image) -> Result<Fact<ImageFacts>, String> {
    let detail = &image.detail;
    let registry = || "registry.example".to_owned();
    let unreachable = |why| Gap::Unreachable {
        registry: registry(),
        why,
    };
    let garbage = || Gap::Malformed {
        what: "the manifest cannot be read".to_owned(),
    };
    let gap = match detail.registry {
        Answer::Answers | Answer::AnswersGarbageForConfigs | Answer::AnswersGarbageForLayers => {
            None
        }
        Answer::RefusesAccess => Some(Gap::Unauthorized {
            registry: registry(),
        }),
        Answer::RefusesAccessWithoutSecret => Some(Gap::SecretNotRead {
            registry: registry(),
            secret: "shop/regcred".to_owned(),
            why: Withheld::NotPermitted,
        }),
        Answer::LimitsOurRate => Some(Gap::RateLimited {
            registry: registry(),
        }),
        Answer::IsTooSlow => Some(Gap::NotFetchedInTime),
        Answer::HasNoSuchImage => Some(Gap::NotFound {
            registry: registry(),
        }),
        Answer::CannotBeReached => Some(unreachable(Unreachable::NoAnswer)),
        Answer::MayNotBeAsked => Some(unreachable(Unreachable::NotAllowed)),
        Answer::AnswersGarbage => Some(garbage()),
    };
    if let Some(gap) = gap {
        return Ok(Fact::Unknown(gap));
    }
    let default = || vec!["linux/amd64".to_owned()];
    let platforms = detail.platforms.clone().unwrap_or_else(default);
    let evidence = || Evidence::new(Strength::Stated, "config");
    let one = |text: &String| {
        let platform = platform(text)?;
        let contents = match detail.registry {
            Answer::AnswersGarbageForConfigs => Fact::Unknown(garbage()),
            _ => Fact::Known(contents(index, image, &platform.architecture)?, evidence()),
        };
        Ok(PlatformFacts { platform, contents })
    };
    let facts = ImageFacts {
        digest: chain(usize::MAX),
        platforms: platforms.iter().map(one).collect::<Result<_, String>>()?,
    };
    Ok(Fact::Known(facts, evidence()))
}

/// `linux/arm64/v8`, or `windows/amd64 10.0.20348.2966`.
fn platform(text: &str) -> Result<Platform, String> {
    let (text, os_version) = match text.split_once(' ') {
        Some((text, version)) => (text, Some(version.to_owned())),
        None => (text, None),
    };
    let mut parts = text.split('/');
    let (Some(os), Some(architecture)) = (parts.next(), parts.next()) else {
        return Err(format!("{text:?} is not like linux/amd64"));
    };
    Ok(Platform {
        variant: parts.next().map(str::to_owned),
        os_version,
        ..Platform::new(os, architecture)
    })
}

fn contents(index: usize, image: &Image, architecture: &str) -> Result<Contents, String> {
    let detail = &image.detail;
    let mut chain_ids = Vec::new();
    if let Some(base) = &detail.base {
        chain_ids.push(published(base, architecture)?);
    }
    chain_ids.extend(followed((index, image)).map(|(chain, _)| chain));
    // What somebody put on top of the base.
    chain_ids.push(chain(1_000 + index));
    let mut labels = detail.labels.clone();
    let mut annotations = detail.annotations.clone();
    if let Some((distro, Proof::Stated)) = &image.distro {
        let key = "org.opencontainers.image.base.name".to_owned();
        annotations.insert(key, published_reference(distro));
    }
    for (key, value) in annotations {
        labels.entry(key).or_insert(value);
    }
    Ok(Contents {
        chain_ids,
        labels,
        history: detail.history.clone(),
        env: detail.env.clone(),
        zstd: detail.zstd.map(|zstd| match zstd {
            Zstd::Oci => image::Zstd::Oci,
            Zstd::Docker => image::Zstd::Docker,
        }),
        is_schema1: detail.schema1,
        start: image::Start {
            user: detail.user.clone(),
            ports: detail.ports.clone(),
            ..image::Start::default()
        },
        files: match &detail.files {
            Some(files) => files.files()?.into(),
            None if detail.registry == Answer::AnswersGarbageForLayers => Reading::Unreadable {
                what: "a layer of it holds no tar archive".to_owned(),
            },
            None => Reading::NotRead,
        },
        ..Contents::default()
    })
}
