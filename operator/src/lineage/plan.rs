//! Pure: what the registry told of each tag → the status of the BaseImage.

use hostfit_crds::base_image::{BaseImageStatus, Chain};
use hostfit_crds::condition::{self, Wanted};
use hostfit_crds::{BaseImage, names};
use hostfit_engine::fact::Fact;
use hostfit_engine::image::{ImageRef, ImageRefError};
use hostfit_engine::lineage::Catalog;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::SharedFacts;

/// Chains that a status may hold.
const MOST_CHAINS: usize = 200;

/// One tag, and what its registry told.
pub(super) struct Tag {
    pub(super) tag: String,
    pub(super) reference: Result<ImageRef, ImageRefError>,
    pub(super) facts: Option<SharedFacts>,
}

/// What to write.
pub(super) struct Plan {
    pub(super) status: BaseImageStatus,
    pub(super) complete: bool,
}

/// New chains come first; chains of moved tags stay, because images that stand on them still run.
pub(super) fn plan(base: &BaseImage, tags: &[Tag], now: &Time) -> Plan {
    let before = base.status.clone().unwrap_or_default();
    let mut problems = Vec::new();
    let mut found = Vec::new();
    for tag in tags {
        match chains(tag, now) {
            Ok(chains) => found.extend(chains),
            Err(problem) => problems.push(format!("tag {}: {problem}", tag.tag)),
        }
    }
    let is_same = |one: &Chain, other: &Chain| {
        (&one.tag, &one.platform, &one.top_chain_id)
            == (&other.tag, &other.platform, &other.top_chain_id)
    };
    let mut known: Vec<Chain> = Vec::new();
    for mut chain in found {
        if let Some(old) = before.chains.iter().find(|old| is_same(old, &chain)) {
            chain.first_seen = old.first_seen.clone();
        }
        if !known.iter().any(|other| is_same(other, &chain)) {
            known.push(chain);
        }
    }
    for old in before.chains {
        if !known.iter().any(|chain| is_same(chain, &old)) {
            known.push(old);
        }
    }
    known.sort_by(|a, b| {
        let key = |chain: &Chain| {
            (
                chain.tag.clone(),
                chain.platform.clone(),
                chain.top_chain_id.clone(),
            )
        };
        b.first_seen
            .cmp(&a.first_seen)
            .then_with(|| key(a).cmp(&key(b)))
    });
    let omitted = known.len().saturating_sub(MOST_CHAINS);
    known.truncate(MOST_CHAINS);
    let complete = problems.is_empty();
    let condition = Wanted {
        type_: names::READY,
        status: complete,
        reason: if complete { "Followed" } else { "NotRead" },
        message: match complete {
            true => "every tag is followed".to_owned(),
            false => problems.join("; "),
        },
    };
    let count = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    Plan {
        status: BaseImageStatus {
            observed_generation: base.metadata.generation,
            chain_count: count(known.len()),
            chains: known,
            chains_omitted: before.chains_omitted.saturating_add(count(omitted)),
            conditions: condition::merge(
                &before.conditions,
                &[condition],
                base.metadata.generation,
                now,
            ),
        },
        complete,
    }
}

fn chains(tag: &Tag, now: &Time) -> Result<Vec<Chain>, String> {
    let reference = tag.reference.as_ref().map_err(ToString::to_string)?;
    let facts = match tag.facts.as_deref() {
        Some(Fact::Known(facts, _)) => facts,
        Some(Fact::Unknown(gap)) => return Err(gap.finding().message()),
        None => return Err("not asked".to_owned()),
    };
    // What the base says of itself: its own labels, or its name and tag.
    let catalog = Catalog::default();
    let chain = |platform: &hostfit_engine::image::PlatformFacts| {
        let Fact::Known(contents, _) = &platform.contents else {
            return None;
        };
        let top = contents.chain_ids.last()?;
        let lineage = catalog.lineage(reference, contents);
        let distribution = lineage.distribution.value();
        let version = distribution
            .map(|it| it.version())
            .filter(|version| !version.is_empty());
        Some(Chain {
            tag: tag.tag.clone(),
            digest: facts.digest.to_string(),
            platform: platform.platform.to_string(),
            top_chain_id: top.to_string(),
            layers: i32::try_from(contents.chain_ids.len()).unwrap_or(i32::MAX),
            distro: distribution.map(|it| it.id().to_owned()),
            distro_version: version.map(str::to_owned),
            first_seen: now.clone(),
        })
    };
    Ok(facts.platforms.iter().filter_map(chain).collect())
}
