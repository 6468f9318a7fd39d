//! Pure: what the registry told of each tag → the status of the BaseImage.

use hostfit_crds::base_image::{BaseImageStatus, Chain};
use hostfit_crds::condition::{self, Wanted};
use hostfit_crds::{BaseImage, names};
use hostfit_engine::distribution::Distribution;
use hostfit_engine::fact::{Fact, Strength};
use hostfit_engine::finding::plain;
use hostfit_engine::image::{ImageRef, ImageRefError, PlatformFacts};
use hostfit_engine::lineage::{Catalog, contradicts};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use hostfit_registry::{Platforms, SharedFacts};

/// Chains that a status may hold.
const MOST_CHAINS: usize = 200;

/// One tag, and what its registry told.
pub(super) struct Tag {
    pub(super) tag: String,
    pub(super) reference: Result<ImageRef, ImageRefError>,
    pub(super) facts: Option<SharedFacts>,
}

/// What a look at a base has shown.
pub(super) struct Looked {
    /// What was to be read.
    pub(super) platforms: Platforms,
    pub(super) tags: Vec<Tag>,
    /// What is wrong with its repository; then nothing was asked.
    pub(super) repository: Option<String>,
    /// What could not be told of its patterns.
    pub(super) problems: Vec<String>,
    /// What is left out on purpose.
    pub(super) notes: Vec<String>,
}

/// What to write.
pub(super) struct Plan {
    pub(super) status: BaseImageStatus,
    /// What kept the base from being followed, if anything did.
    pub(super) problem: Option<String>,
}

/// What the tags lead to now comes first; chains of moved tags stay while there is room, because images that stand on
/// them still run.
pub(super) fn plan(base: &BaseImage, looked: &Looked, now: &Time) -> Plan {
    let before = base.status.clone().unwrap_or_default();
    let mut problems: Vec<_> = looked.repository.iter().cloned().collect();
    problems.extend_from_slice(&looked.problems);
    let mut current: Vec<Chain> = Vec::new();
    for tag in &looked.tags {
        for chain in chains(tag, &looked.platforms, now) {
            match chain {
                Ok(chain) if current.iter().any(|other| is_same(other, &chain)) => {}
                Ok(chain) => current.push(chain),
                Err(problem) => problems.push(format!("tag {}: {problem}", tag.tag)),
            }
        }
    }
    for chain in &mut current {
        if let Some(old) = before.chains.iter().find(|old| is_same(old, chain)) {
            chain.first_seen = old.first_seen.clone();
        }
    }
    // Of more than fit, those that are there already stay: else each look would write another choice.
    current.sort_by_key(|chain| !before.chains.iter().any(|old| is_same(old, chain)));
    let omitted = current.len().saturating_sub(MOST_CHAINS);
    current.truncate(MOST_CHAINS);
    let is_moved = |old: &Chain| !current.iter().any(|chain| is_same(chain, old));
    let mut moved: Vec<_> = before.chains.into_iter().filter(is_moved).collect();
    newest_first(&mut moved);
    newest_first(&mut current);
    let room = MOST_CHAINS - current.len();
    let known: Vec<_> = current
        .into_iter()
        .chain(moved.into_iter().take(room))
        .collect();
    let complete = problems.is_empty();
    let condition = Wanted {
        type_: names::READY,
        status: complete.into(),
        reason: match (&looked.repository, complete) {
            (Some(_), _) => "NoRepository",
            (None, true) => "Followed",
            (None, false) => "NotRead",
        },
        message: match complete {
            true if looked.notes.is_empty() => "every tag is followed".to_owned(),
            true => looked.notes.join("; "),
            false => problems.join("; "),
        },
    };
    let conditions: Vec<_> = [condition]
        .into_iter()
        .chain(agreeing(base, &known))
        .collect();
    let count = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    Plan {
        status: BaseImageStatus {
            observed_generation: base.metadata.generation,
            chain_count: count(known.len()),
            chains: known,
            chains_omitted: count(omitted),
            conditions: condition::merge(
                &before.conditions,
                &conditions,
                base.metadata.generation,
                now,
            ),
        },
        problem: (!complete).then(|| problems.join("; ")),
    }
}

/// Whether what people state of the base contradicts what it tells itself. Their word counts: if it is wrong, all that
/// stands on the base is judged wrongly.
fn agreeing(base: &BaseImage, chains: &[Chain]) -> Option<Wanted<'static>> {
    let facts = base.spec.facts.as_ref()?;
    let stated = Distribution::new(&facts.distro, &facts.distro_version);
    let mut differing = chains.iter().filter_map(|chain| {
        let version = chain.distro_version.as_deref().unwrap_or_default();
        let own = Distribution::new(chain.distro.as_deref()?, version);
        (!chain.distro_guessed && contradicts(&stated, &own)).then_some((chain, own))
    });
    let first = differing.next();
    let more = match differing.count() {
        0 => String::new(),
        1 => ", and 1 more chain differs".to_owned(),
        more => format!(", and {more} more chains differ"),
    };
    Some(Wanted {
        type_: names::FACTS_AGREE,
        status: first.is_none().into(),
        reason: if first.is_none() {
            "Agree"
        } else {
            "BaseDiffers"
        },
        message: match first {
            None => "the base itself tells nothing else than spec.facts".to_owned(),
            Some((Chain { tag, platform, .. }, own)) => format!(
                "spec.facts says {stated}, but tag {tag} ({platform}) is {own} by its own labels, files or layers{more}; \
                 spec.facts counts for all that stands on it: correct it if it is wrong"
            ),
        },
    })
}

/// Why a repository cannot be one, and what to do: it cannot be changed any more.
pub(super) fn no_repository(repository: &str) -> Option<String> {
    let end = "a repository cannot be changed: make another BaseImage, and delete this one";
    let (name, digest) = match repository.split_once('@') {
        Some((name, _)) => (name, true),
        None => (repository, false),
    };
    let (bare, tag) = match name.rsplit_once(':') {
        Some((bare, tag)) if !tag.contains('/') => (bare, Some(tag)),
        _ => (name, None),
    };
    let shown = plain(repository, 255);
    match (tag, digest) {
        (Some(tag), _) => Some(format!(
            "spec.repository {shown} holds a tag: write {}, and {} in spec.tags; {end}",
            plain(bare, 255),
            plain(tag, 128)
        )),
        (None, true) => Some(format!(
            "spec.repository {shown} holds a digest: write {}, and the tags to follow in spec.tags; {end}",
            plain(bare, 255)
        )),
        (None, false) => {
            let error = format!("{repository}:latest").parse::<ImageRef>().err()?;
            Some(format!(
                "spec.repository {shown}: {error}; write it as in registry.example/base/java; {end}"
            ))
        }
    }
}

/// The same state of the same tag.
fn is_same(one: &Chain, other: &Chain) -> bool {
    (&one.tag, &one.platform, &one.top_chain_id)
        == (&other.tag, &other.platform, &other.top_chain_id)
}

fn newest_first(chains: &mut [Chain]) {
    chains.sort_by(|a, b| {
        let key = |chain: &Chain| {
            let Chain {
                tag,
                platform,
                top_chain_id,
                ..
            } = chain.clone();
            (tag, platform, top_chain_id)
        };
        let newer = b.first_seen.cmp(&a.first_seen);
        newer.then_with(|| key(a).cmp(&key(b)))
    });
}

/// The chain of each platform that was read, and the problem of each that was to be read and could not.
fn chains(tag: &Tag, platforms: &Platforms, now: &Time) -> Vec<Result<Chain, String>> {
    let reference = match &tag.reference {
        Ok(reference) => reference,
        Err(error) => return vec![Err(error.to_string())],
    };
    let facts = match tag.facts.as_deref() {
        Some(Fact::Known(facts, _)) => facts,
        Some(Fact::Unknown(gap)) => return vec![Err(gap.finding().message())],
        None => return vec![Err("not asked".to_owned())],
    };
    // What the base says of itself: its own labels, or its name and tag.
    let catalog = Catalog::default();
    let all = facts.platforms.iter().map(|one| &one.platform);
    let chain = |one: &PlatformFacts| {
        let platform = one.platform.to_string();
        let contents = match &one.contents {
            Fact::Known(contents, _) => contents,
            // No host of the cluster would run it: it was not asked for.
            Fact::Unknown(_) if !platforms.wants(&one.platform, all.clone()) => return None,
            Fact::Unknown(gap) => {
                let problem = gap.finding().message();
                return Some(Err(format!("{platform}: {problem}")));
            }
        };
        let top = contents.chain_ids.last()?;
        let (distribution, strength) = match catalog.lineage(reference, contents).distribution {
            Fact::Known(distribution, evidence) => (Some(distribution), evidence.strength),
            Fact::Unknown(_) => (None, Strength::Stated),
        };
        let version = distribution
            .as_ref()
            .map(Distribution::version)
            .filter(|version| !version.is_empty());
        Some(Ok(Chain {
            tag: tag.tag.clone(),
            digest: facts.digest.to_string(),
            platform,
            top_chain_id: top.to_string(),
            layers: i32::try_from(contents.chain_ids.len()).unwrap_or(i32::MAX),
            distro_version: version.map(str::to_owned),
            distro: distribution.map(|it| it.id().to_owned()),
            distro_guessed: strength < Strength::Stated,
            first_seen: now.clone(),
        }))
    };
    facts.platforms.iter().filter_map(chain).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hostfit_crds::base_image::{BaseFacts, BaseImageSpec};
    use hostfit_engine::fact::{Evidence, Gap};
    use hostfit_engine::image::{Contents, ImageFacts, Platform};

    use super::*;

    fn time(second: i64) -> Time {
        Time(jiff::Timestamp::from_second(second).unwrap())
    }

    fn base(status: Option<BaseImageStatus>) -> BaseImage {
        let mut base = BaseImage::new("mine", BaseImageSpec::default());
        base.status = status;
        base
    }

    fn known(chain: usize) -> Fact<Contents> {
        let contents = Contents {
            chain_ids: vec![format!("sha256:{chain:064x}").parse().unwrap()],
            ..Contents::default()
        };
        Fact::Known(contents, Evidence::new(Strength::Stated, "test"))
    }

    fn plan(base: &BaseImage, tags: impl Into<Vec<Tag>>, now: &Time) -> Plan {
        let looked = Looked {
            platforms: Platforms::of(
                std::iter::once("arm64".to_owned())
                    .chain((0..2000).map(|number| format!("arch{number}")))
                    .chain(["amd64".to_owned()])
                    .map(|architecture| ("linux".to_owned(), architecture)),
            ),
            tags: tags.into(),
            problems: Vec::new(),
            notes: Vec::new(),
            repository: None,
        };
        super::plan(base, &looked, now)
    }

    fn tag(name: &str, platforms: impl IntoIterator<Item = (String, Fact<Contents>)>) -> Tag {
        let platform = |(architecture, contents): (String, _)| PlatformFacts {
            platform: Platform::new("linux", architecture),
            contents,
        };
        let facts = ImageFacts {
            digest: format!("sha256:{}", "d".repeat(64)).parse().unwrap(),
            platforms: platforms.into_iter().map(platform).collect(),
            left_out: 0,
        };
        let evidence = Evidence::new(Strength::Stated, "test");
        Tag {
            tag: name.to_owned(),
            reference: format!("alpine:{name}").parse(),
            facts: Some(Arc::new(Fact::Known(facts, evidence))),
        }
    }

    fn amd64(contents: Fact<Contents>) -> [(String, Fact<Contents>); 1] {
        [("amd64".to_owned(), contents)]
    }

    #[test]
    fn a_moved_tag_keeps_its_old_chain_behind_the_new_one() {
        let first = plan(&base(None), [tag("3.19", amd64(known(1)))], &time(1)).status;
        let second = base(Some(first));
        let second = plan(&second, [tag("3.19", amd64(known(2)))], &time(2)).status;
        let order = |status: &BaseImageStatus| -> Vec<_> {
            let seen = |chain: &Chain| (chain.layers, chain.first_seen.clone());
            status.chains.iter().map(seen).collect()
        };
        assert_eq!(order(&second), [(1, time(2)), (1, time(1))]);
        // The tag moves back: nothing is new, and what it leads to now is first.
        let third = base(Some(second));
        let third = plan(&third, [tag("3.19", amd64(known(1)))], &time(3)).status;
        assert_eq!(order(&third), [(1, time(1)), (1, time(2))]);
    }

    #[test]
    fn more_chains_than_fit_are_counted_and_each_look_writes_the_same() {
        let many = |from: usize| {
            let platforms =
                (from..from + 150).map(|number| (format!("arch{number}"), known(number)));
            tag(&from.to_string(), platforms)
        };
        let tags = || [many(0), many(1000)];
        let first = plan(&base(None), tags(), &time(1)).status;
        assert_eq!(
            (first.chains.len(), first.chain_count, first.chains_omitted),
            (200, 200, 100)
        );
        let again = plan(&base(Some(first.clone())), tags(), &time(2)).status;
        assert_eq!(again, first);
    }

    #[test]
    fn a_platform_that_could_not_be_read_is_told_and_one_that_was_not_asked_for_is_not() {
        let broken = Gap::Malformed {
            what: "its config is no JSON".to_owned(),
        };
        let platforms = [
            ("amd64".to_owned(), known(1)),
            ("arm64".to_owned(), Fact::Unknown(broken)),
            ("s390x".to_owned(), Fact::Unknown(Gap::NotFetchedInTime)),
        ];
        let plan = plan(&base(None), [tag("1", platforms)], &time(1));
        assert!(plan.problem.is_some());
        assert_eq!(plan.status.chain_count, 1);
        let message = plan
            .status
            .conditions
            .iter()
            .map(|it| it.message.as_str())
            .collect::<String>();
        assert!(message.starts_with("tag 1: linux/arm64: "), "{message}");
        assert!(!message.contains("s390x"), "{message}");
    }

    /// Of a base that this is stated of, whose own label says ubi9.
    #[track_caller]
    fn check_facts(distro: &str, distro_version: &str, expected: &str) {
        let mut base = base(None);
        base.spec.facts = Some(BaseFacts {
            distro: distro.to_owned(),
            distro_version: distro_version.to_owned(),
        });
        let of_ubi9 = |chain| match known(chain) {
            Fact::Known(mut contents, evidence) => {
                let label = (
                    "com.redhat.component".to_owned(),
                    "ubi9-container".to_owned(),
                );
                contents.labels.extend([label]);
                Fact::Known(contents, evidence)
            }
            unknown => unknown,
        };
        let tags = [
            tag("1", amd64(of_ubi9(1))),
            tag("2", amd64(of_ubi9(2))),
            // Only its name tells: a guess contradicts nobody.
            tag("3.19", amd64(known(3))),
        ];
        let status = plan(&base, tags, &time(1)).status;
        let mut said = status
            .conditions
            .iter()
            .map(|it| format!("{} {} {}", it.status, it.reason, it.message));
        assert_eq!(said.next_back().as_deref(), Some(expected));
    }

    #[test]
    fn facts_that_contradict_the_base_are_told() {
        let agree = "True Agree the base itself tells nothing else than spec.facts";
        check_facts("rhel", "9", agree);
        check_facts("rhel", "9.4", agree);
        check_facts("rhel", "", agree);
        check_facts(
            "debian",
            "12",
            "False BaseDiffers spec.facts says debian 12, but tag 1 (linux/amd64) is rhel 9 by its own labels, files or layers, \
             and 1 more chain differs; spec.facts counts for all that stands on it: correct it if it is wrong",
        );
        let without = plan(&base(None), [tag("1", amd64(known(1)))], &time(1)).status;
        assert_eq!(without.conditions.len(), 1);
    }

    #[track_caller]
    fn check_repository(repository: &str, expected: Option<&str>) {
        let end = "; a repository cannot be changed: make another BaseImage, and delete this one";
        let expected = expected.map(|told| format!("spec.repository {repository}{told}{end}"));
        assert_eq!(no_repository(repository), expected);
    }

    #[test]
    fn what_is_no_repository_says_what_to_write() {
        for good in ["debian", "a.example:5000/base/java", "a.example/base"] {
            check_repository(good, None);
        }
        let digest = format!("a.example/base@sha256:{}", "d".repeat(64));
        check_repository(
            "a.example:5000/base:9.4",
            Some(" holds a tag: write a.example:5000/base, and 9.4 in spec.tags"),
        );
        check_repository(
            &digest,
            Some(" holds a digest: write a.example/base, and the tags to follow in spec.tags"),
        );
        check_repository(
            "a.example/Base",
            Some(
                ": the repository in the image reference is not a valid lower-case name; \
                 write it as in registry.example/base/java",
            ),
        );
    }

    #[test]
    fn a_platform_whose_time_ran_out_is_told() {
        let late = Fact::Unknown(Gap::NotFetchedInTime);
        let plan = plan(&base(None), [tag("1", amd64(late))], &time(1));
        assert!(plan.problem.is_some());
    }

    #[test]
    fn what_only_the_name_of_a_base_tells_is_marked_as_a_guess() {
        let status = plan(&base(None), [tag("3.19", amd64(known(1)))], &time(1)).status;
        let chain = status.chains.first().unwrap();
        assert_eq!(
            (chain.distro.as_deref(), chain.distro_guessed),
            (Some("alpine"), true)
        );
    }
}
