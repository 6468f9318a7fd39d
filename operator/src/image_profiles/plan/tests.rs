use std::sync::Arc;

use hostfit_engine::fact::{Evidence, Strength};
use hostfit_engine::files::{Files, Reading};
use hostfit_engine::image::{Contents, Manifest, Platform};

use super::*;

const KEEP: Duration = Duration::from_secs(3600);

fn digest(letter: char) -> Digest {
    let text = format!("sha256:{}", letter.to_string().repeat(64));
    text.parse().unwrap()
}

fn image(letter: char) -> ImageRef {
    format!("a.example/{letter}:1").parse().unwrap()
}

fn ask(letter: char) -> Ask {
    Ask {
        image: image(letter),
        puller: None,
    }
}

fn time(minutes: i64) -> Time {
    Time(jiff::Timestamp::from_second(1_700_000_000 + 60 * minutes).unwrap())
}

fn amd64() -> Platforms {
    Platforms::of([("linux", "amd64")])
}

/// An image of one platform, with its files or without.
fn inspected(letter: char, files: Option<Files>) -> Inspected {
    let contents = Contents {
        files: files.map_or(Reading::NotRead, Reading::from),
        ..Contents::default()
    };
    let evidence = Evidence::new(Strength::Stated, "test");
    let platform = PlatformFacts {
        platform: Platform::new("linux", "amd64"),
        contents: Fact::Known(contents, evidence),
    };
    Inspected {
        facts: ImageFacts {
            digest: digest(letter),
            platforms: vec![platform],
            left_out: 0,
        },
        manifests: vec![Manifest {
            digest: digest(letter),
            size: 7,
        }],
    }
}

fn kept(letter: char, unused_since: Option<Time>) -> Arc<KeptImageProfile> {
    let whole = inspected(letter, Some(Files::default()));
    let name = letter.to_string().repeat(12);
    let catalog = Catalog::default();
    let mut profile = profile(
        &name,
        image(letter).name(),
        &image(letter),
        &whole,
        &catalog,
        &time(0),
    );
    profile.status.as_mut().unwrap().unused_since = unused_since;
    Arc::new(profile.into())
}

/// What is done while the images of `used` are in use, in short.
#[track_caller]
fn check(used: &str, is_complete: bool, there: Vec<Arc<KeptImageProfile>>, expected: &str) {
    let in_use = InUse {
        images: used.chars().map(|it| (digest(it), vec![ask(it)])).collect(),
        platforms: Some(amd64()),
        is_complete,
    };
    let mut have = Have::default();
    have.remember(there, &amd64());
    let plan = plan(&in_use, &have, &time(60), KEEP);
    let mut words: Vec<_> = plan
        .steps
        .iter()
        .map(|step| match step {
            Step::Inspect(_, references) => format!("inspect {}", references[0].image.repository()),
            Step::Mark(profile) => {
                let status = profile.status.as_ref().unwrap();
                let mark = if status.unused_since.is_some() {
                    "unused"
                } else {
                    "used"
                };
                format!("{mark} {}", &profile.name_any()[..1])
            }
            Step::Delete(profile) => format!("delete {}", &profile.name_any()[..1]),
        })
        .collect();
    words.sort();
    words.extend(
        plan.pause
            .map(|pause| format!("look in {} s", pause.as_secs())),
    );
    assert_eq!(words.join(", "), expected);
}

#[test]
fn what_is_used_and_not_known_is_inspected() {
    check("ab", true, vec![kept('a', None)], "inspect b");
    check("", true, vec![], "");
}

#[test]
fn what_is_unused_is_marked_and_goes_after_its_time() {
    check("", true, vec![kept('a', None)], "unused a");
    check("", true, vec![kept('a', Some(time(1)))], "look in 60 s");
    check("", true, vec![kept('a', Some(time(0)))], "delete a");
    check("a", true, vec![kept('a', Some(time(0)))], "used a");
}

#[test]
fn what_was_never_finished_goes_at_once_when_it_is_unused() {
    let mut bare = kept('a', None).unpacked().unwrap();
    bare.status = None;
    let bare = Arc::new(KeptImageProfile::from(bare));
    check("", true, vec![Arc::clone(&bare)], "delete a");
    check("a", true, vec![bare], "inspect a");
}

#[test]
fn nothing_is_unused_while_an_image_is_still_asked_for() {
    check("", false, vec![kept('a', Some(time(0)))], "");
    check("b", false, vec![kept('a', None)], "inspect b");
}

#[test]
fn what_nobody_can_find_goes() {
    let whole = inspected('a', Some(Files::default()));
    let catalog = Catalog::default();
    let misnamed = profile(
        "mine",
        "a".to_owned(),
        &image('a'),
        &whole,
        &catalog,
        &time(0),
    );
    check(
        "a",
        true,
        vec![Arc::new(misnamed.into())],
        "delete m, inspect a",
    );
}

#[test]
fn of_two_profiles_of_an_image_the_one_that_is_found_stays() {
    let short = kept('a', None);
    let mut long = short.unpacked().unwrap();
    long.metadata.name = Some("a".repeat(64));
    let long = Arc::new(KeptImageProfile::from(long));
    for there in [[&short, &long], [&long, &short]] {
        check("a", true, there.map(Arc::clone).to_vec(), "delete a");
        let mut have = Have::default();
        have.remember(there.map(Arc::clone).to_vec(), &amd64());
        assert_eq!(have.lost[0].name_any().len(), 64);
    }
}

#[test]
fn another_version_or_platform_is_read_again() {
    let mut old = kept('a', None).unpacked().unwrap();
    old.status.as_mut().unwrap().read_by = "0".to_owned();
    check("a", true, vec![Arc::new(old.into())], "inspect a");
    let mut unread = kept('a', None).unpacked().unwrap();
    unread.status.as_mut().unwrap().platforms[0].files = None;
    check("a", true, vec![Arc::new(unread.into())], "inspect a");
    // What can never be read is as good as read.
    let mut broken = kept('a', None).unpacked().unwrap();
    let platform = &mut broken.status.as_mut().unwrap().platforms[0];
    (platform.files, platform.problem) = (None, Some("a layer of it is a bomb".to_owned()));
    check("a", true, vec![Arc::new(broken.into())], "");
}

#[test]
fn a_profile_says_what_tables_show() {
    let files = Files {
        distribution: Some(hostfit_engine::files::Seen::new(
            hostfit_engine::distribution::Distribution::new("rhel", "10.0"),
            "etc/os-release",
        )),
        ..Files::default()
    };
    let whole = inspected('a', Some(files));
    let made = profile(
        "x",
        "a".to_owned(),
        &image('a'),
        &whole,
        &Catalog::default(),
        &time(0),
    );
    let status = made.status.unwrap();
    assert_eq!(status.distro.as_deref(), Some("rhel-10.0"));
    assert_eq!(status.conditions[0].reason, "LayersRead");
    assert_eq!(status.facts(digest('a')), Some(whole));
}

#[test]
fn a_profile_of_very_many_platforms_says_how_many_it_leaves_out() {
    let mut whole = inspected('a', Some(Files::default()));
    let (platform, manifest) = (whole.facts.platforms.remove(0), whole.manifests.remove(0));
    whole.facts.platforms = (0..999)
        .map(|number| PlatformFacts {
            platform: Platform::new("plan9", number.to_string()),
            contents: Fact::Unknown(Gap::NotFetchedInTime),
        })
        .chain([platform])
        .collect();
    whole.manifests = vec![manifest; 1_000];
    let (catalog, now) = (Catalog::default(), time(0));
    let made = profile(
        "aaaaaaaaaaaa",
        "a".to_owned(),
        &image('a'),
        &whole,
        &catalog,
        &now,
    );
    let status = made.status.clone().unwrap();
    assert_eq!(
        status.conditions[0].message,
        "968 platforms of its index are left out, besides the 32 that nodes are likeliest to choose"
    );
    // The one for the cluster is among the others, and nothing more is to be read.
    let mut have = Have::default();
    have.remember(vec![Arc::new(made.into())], &amd64());
    assert!(have.entries[&digest('a')].is_whole);
}
