//! Real images, by what a registry tells without their layers: each must be taken for what it is, and refused nowhere
//! where it runs. `tests/cases/image_configs.yaml` says where each comes from.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hostfit_crds::SupportMatrixSpec;
use hostfit_engine::fact::Fact;
use hostfit_engine::finding::{CellVerdict, Code, Finding};
use hostfit_engine::host::builtin;
use hostfit_engine::image::{ImageFacts, ImageRef};
use hostfit_engine::landing::Fleet;
use hostfit_engine::lineage::Catalog;
use hostfit_engine::matrix::{Knowledge, evaluate};
use hostfit_engine::policy::Policy;
use hostfit_engine::workload::{Placement, Role, Workload, WorkloadImage};
use hostfit_registry::{Config, Credentials, Platforms, Registry};
use hostfit_tests::registry::{FakeRegistry, digest};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Samples {
    /// Today in all of them.
    today: String,
    images: Vec<Sample>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sample {
    name: String,
    #[serde(rename = "from")]
    _from: String,
    /// As a pod writes it, where that tells something.
    reference: Option<String>,
    /// `debian 12 (hint)`: distribution, release and how that is known; or `nothing`.
    is: String,
    /// Name of the base image, where one is known.
    base: Option<String>,
    platform: String,
    /// What is wrong with it on the built-in hosts, and on which; of images for amd64 only. What is said of a host alone,
    /// and what nobody can tell, does not stand here.
    #[serde(default)]
    finds: BTreeMap<String, String>,
    /// Annotations of the manifest.
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    /// As the registry serves it.
    config: Value,
}

#[tokio::test]
async fn every_image_is_what_it_is_and_fits_where_it_runs() {
    let text = include_str!("../cases/image_configs.yaml");
    let samples: Samples = serde_saphyr::from_str(text).unwrap();
    assert!(samples.images.len() > 60, "only {}", samples.images.len());
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let fake = FakeRegistry::start().await;
    let registry = Registry::new(Config {
        plain_http: vec![fake.host().to_owned()],
        allow_loopback: true,
        ..Config::default()
    })
    .unwrap();
    let mut wrong = Vec::new();
    for (number, sample) in samples.images.iter().enumerate() {
        let served = push(&fake, number, sample);
        let deadline = Instant::now() + Duration::from_secs(8);
        let facts = registry
            .facts(
                &served,
                &Credentials::none(),
                &Platforms::All,
                None,
                deadline,
            )
            .await;
        let got = Got::of(sample, &facts, &samples.today);
        let expected = Got {
            is: sample.is.clone(),
            base: sample.base.clone().unwrap_or_default(),
            platform: sample.platform.clone(),
            finds: sample.finds.clone(),
        };
        if got != expected {
            let name = &sample.name;
            wrong.push(format!(
                "{name}\n  expected {expected:?}\n  got      {got:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is said of an image.
#[derive(Debug, PartialEq)]
struct Got {
    is: String,
    base: String,
    platform: String,
    finds: BTreeMap<String, String>,
}

impl Got {
    fn of(sample: &Sample, facts: &Fact<ImageFacts>, today: &str) -> Self {
        let written = sample.reference.as_deref();
        let image: ImageRef = written
            .unwrap_or("registry.example/shop/app:1")
            .parse()
            .unwrap();
        let known = match facts {
            Fact::Known(known, _) => known,
            Fact::Unknown(gap) => panic!("{}: {gap:?}", sample.name),
        };
        let one = known.platforms.first().unwrap();
        let contents = one.contents.value().unwrap();
        let lineage = Catalog::default().lineage(&image, contents);
        let is = match &lineage.distribution {
            Fact::Known(distribution, evidence) => {
                format!("{distribution} ({})", evidence.strength)
            }
            Fact::Unknown(_) => "nothing".to_owned(),
        };
        let finds = match (one.platform.os.as_str(), one.platform.architecture.as_str()) {
            ("linux", "amd64") => finds(&image, facts, today),
            _ => BTreeMap::new(),
        };
        Self {
            is,
            base: lineage.base.unwrap_or_default(),
            platform: one.platform.to_string(),
            finds,
        }
    }
}

/// What is found on all built-in hosts: finding → hosts, `all` if it is all of them.
fn finds(image: &ImageRef, facts: &Fact<ImageFacts>, today: &str) -> BTreeMap<String, String> {
    let spec: SupportMatrixSpec = serde_json::from_value(json!({})).unwrap();
    let policy = Policy::try_from(&spec).unwrap();
    let workload = Workload {
        images: vec![WorkloadImage::new(
            "image",
            Role::Container,
            Ok(image.clone()),
        )],
        placement: Placement::default(),
    };
    let mut found: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for host in builtin::hosts() {
        let judgement = evaluate(
            &workload,
            &[facts],
            &Knowledge {
                fleet: &Fleet::of_hosts(vec![host.clone()]),
                catalog: &Catalog::default(),
                rules: &policy.rules,
                today: today.parse().unwrap(),
                exceptions: &[],
            },
        );
        let is_wrong = |finding: &&Finding| {
            matches!(finding.verdict, CellVerdict::Warn | CellVerdict::Fail)
                && finding.code != Code::HF507
        };
        let findings = judgement.reasons.iter().map(|reason| &reason.finding);
        for finding in findings.filter(is_wrong) {
            // A built-in host is no node that could be selected.
            let fix = finding.fix_without_selection();
            assert!(!fix.contains("select"), "{}: {fix}", finding.code);
            let key = format!("{} {}", finding.code, finding.verdict.as_str());
            found.entry(key).or_default().insert(&host.name.0);
        }
    }
    let all = builtin::hosts().len();
    let words = |hosts: BTreeSet<&str>| match hosts.len() == all {
        true => "all".to_owned(),
        false => hosts.into_iter().collect::<Vec<_>>().join(" "),
    };
    found
        .into_iter()
        .map(|(key, hosts)| (key, words(hosts)))
        .collect()
}

/// Serves the config of a sample, and a manifest around it.
fn push(fake: &FakeRegistry, number: usize, sample: &Sample) -> ImageRef {
    let repository = format!("real/image-{number}");
    let config = sample.config.to_string().into_bytes();
    let layers = sample.config.pointer("/rootfs/diff_ids").unwrap();
    let layers = layers.as_array().unwrap().iter();
    let layer = |diff_id: &Value| {
        json!({
            "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
            "digest": digest(diff_id.as_str().unwrap().as_bytes()),
            "size": 1_000,
        })
    };
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": digest(&config),
            "size": config.len(),
        },
        "layers": layers.map(layer).collect::<Vec<_>>(),
        "annotations": sample.annotations,
    });
    fake.push_blob(&repository, config);
    fake.push_manifest(
        &repository,
        "1",
        "application/vnd.oci.image.manifest.v1+json",
        manifest.to_string().into_bytes(),
    );
    format!("{}/{repository}:1", fake.host()).parse().unwrap()
}
