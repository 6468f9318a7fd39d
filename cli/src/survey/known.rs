//! What the operator learned of the images in use: its reports say which digest it judged, ImageProfiles what is in it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use hostfit_crds::CompatReport;
use hostfit_crds::compat_report::{CompatReportStatus, TargetRef};
use hostfit_crds::image_profile::{self, KeptImageProfile};
use hostfit_crds::item::Item;
use hostfit_engine::fact::{Evidence, Fact, Gap, Strength, Unreachable};
use hostfit_engine::finding::Code;
use hostfit_engine::image::{Digest, ImageRef};
use hostfit_registry::SharedFacts;
use kube::api::ListParams;
use kube::core::DeserializeGuard;
use kube::{Api, ResourceExt as _};

use crate::cluster::{Cluster, Refusal};

/// Up to so many profiles are asked for by name; more are listed.
const BY_NAME: usize = 40;
/// Profiles that are asked for at a time.
const AT_ONCE: usize = 10;
/// Profiles of one answer: some have tens of kilobytes.
const PAGE: u32 = 250;

/// What is known of each image whose report speaks of what is declared now. Images that are missing here have to be asked
/// for.
///
/// # Errors
///
/// If the API server cannot be asked.
pub(super) async fn images(
    cluster: &Cluster,
    items: &[Item],
    reports: &[CompatReport],
) -> anyhow::Result<HashMap<ImageRef, SharedFacts>> {
    let by_target: HashMap<(String, &TargetRef), &CompatReportStatus> = reports
        .iter()
        .filter_map(|report| {
            let key = (report.namespace()?, &report.spec.target_ref);
            Some((key, report.status.as_ref()?))
        })
        .collect();
    let mut images = HashMap::new();
    let mut digests = BTreeMap::new();
    for item in items {
        let Some(status) = by_target.get(&(item.namespace.clone(), &item.target)) else {
            continue;
        };
        // It speaks of what was declared before.
        if status.observed_generation != item.generation {
            continue;
        }
        for image in &item.workload.images {
            let Ok(reference) = &image.reference else {
                continue;
            };
            let named = reference.to_string();
            let mut listed = status.images.iter();
            let listed = listed.find(|it| it.image == named && it.container == image.name);
            let digest = listed.and_then(|it| it.digest.as_ref()?.parse::<Digest>().ok());
            match digest {
                Some(digest) => {
                    digests.insert(reference.clone(), digest);
                }
                None => {
                    if let Some(gap) = gap(status, &image.name, reference) {
                        images.insert(reference.clone(), Arc::new(Fact::Unknown(gap)));
                    }
                }
            }
        }
    }
    let profiles = profiles(cluster, digests.values().cloned().collect()).await?;
    for (reference, digest) in digests {
        let found = image_profile::find(&digest, |name| profiles.get(name).cloned());
        if let Some(found) = found {
            let from = format!("ImageProfile {}", digest.short());
            let fact = Fact::Known(found.facts, Evidence::new(Strength::Stated, from));
            images.insert(reference, Arc::new(fact));
        }
    }
    Ok(images)
}

/// Why the operator does not know the image of a container: its own word.
fn gap(status: &CompatReportStatus, container: &str, image: &ImageRef) -> Option<Gap> {
    let registry = image.registry().to_owned();
    let mut findings = status.findings.iter();
    findings.find_map(|finding| {
        if !finding.containers.iter().any(|it| it == container) {
            return None;
        }
        let code = Code::ALL
            .iter()
            .find(|code| code.as_str() == finding.code)?;
        let said = finding.message.strip_prefix("image not checked: ");
        Some(match code {
            Code::HF901 => Gap::Unauthorized {
                registry: registry.clone(),
            },
            Code::HF902 => Gap::RateLimited {
                registry: registry.clone(),
            },
            Code::HF906 => Gap::NotFound {
                registry: registry.clone(),
            },
            Code::HF907 => Gap::Unreachable {
                registry: registry.clone(),
                why: match finding.message.ends_with("may not be asked") {
                    true => Unreachable::NotAllowed,
                    false => Unreachable::NoAnswer,
                },
            },
            Code::HF908 => Gap::Malformed {
                what: said?.to_owned(),
            },
            // What it has not read yet may be asked for here.
            _ => return None,
        })
    })
}

/// The profiles of these digests, by name: a few are asked for one by one, many are listed.
async fn profiles(
    cluster: &Cluster,
    digests: BTreeSet<Digest>,
) -> anyhow::Result<HashMap<String, Arc<KeptImageProfile>>> {
    let api: Api<DeserializeGuard<KeptImageProfile>> = Api::all(cluster.client.clone());
    let keep = |profile: DeserializeGuard<KeptImageProfile>| {
        let profile = profile.0.ok()?;
        Some((profile.name_any(), Arc::new(profile)))
    };
    if digests.len() <= BY_NAME {
        let names: BTreeSet<_> = digests.iter().map(|it| it.short().to_owned()).collect();
        let asked = stream::iter(names).map(async |name| match cluster.ask(api.get(&name)).await {
            Ok(profile) => Ok(keep(profile)),
            Err(Refusal::Trouble(error)) => Err(error),
            Err(_) => Ok(None),
        });
        let found: Vec<_> = asked.buffer_unordered(AT_ONCE).try_collect().await?;
        return Ok(found.into_iter().flatten().collect());
    }
    let mut found = HashMap::new();
    let mut params = ListParams::default().limit(PAGE);
    loop {
        match cluster.ask(api.list(&params)).await {
            Ok(list) => {
                found.extend(list.items.into_iter().filter_map(keep));
                params.continue_token = list.metadata.continue_.filter(|it| !it.is_empty());
                if params.continue_token.is_none() {
                    return Ok(found);
                }
            }
            Err(Refusal::Trouble(error)) => return Err(error),
            // Whoever may not read them asks registries.
            Err(_) => return Ok(found),
        }
    }
}
