//! What an older version read of images whose files this one has still to read: right after an upgrade reports say no less
//! than before, until the files are read again.

use std::collections::HashMap;

use hostfit_engine::fact::Fact;
use hostfit_engine::image::{Digest, ImageFacts, Inspected, PlatformFacts};
use hostfit_registry::SharedFacts;

/// Of these images those that are better known by their profiles, with what `told` says of them.
pub(super) fn interim<'a>(
    images: impl Iterator<Item = &'a SharedFacts>,
    told: impl Fn(&Digest) -> Option<Inspected>,
) -> HashMap<Digest, Fact<ImageFacts>> {
    let better = images.filter_map(|facts| match &**facts {
        Fact::Known(facts, evidence) if facts.platforms.iter().any(PlatformFacts::lacks_files) => {
            let told = told(&facts.digest)?.facts;
            let better = Fact::Known(completed(facts, &told), evidence.clone());
            Some((facts.digest.clone(), better))
        }
        Fact::Known(..) | Fact::Unknown(_) => None,
    });
    better.collect()
}

fn completed(facts: &ImageFacts, told: &ImageFacts) -> ImageFacts {
    let mut better = facts.clone();
    for own in better.platforms.iter_mut().filter(|it| it.lacks_files()) {
        let mut others = told.platforms.iter();
        let same = others.find(|it| it.platform == own.platform && !it.lacks_files());
        if let Some(PlatformFacts { contents, .. }) = same
            && contents.value().is_some()
        {
            own.contents = contents.clone();
        }
    }
    better
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hostfit_engine::fact::{Evidence, Gap, Strength};
    use hostfit_engine::files::{Files, Reading};
    use hostfit_engine::image::{Contents, Platform};

    use super::*;

    fn image(letter: char, platforms: &[(&str, Option<Reading>)]) -> ImageFacts {
        let platform = |(architecture, files): &(&str, Option<Reading>)| PlatformFacts {
            platform: Platform::new("linux", *architecture),
            contents: match files {
                None => Fact::Unknown(Gap::NotFetchedInTime),
                Some(files) => {
                    let contents = Contents {
                        files: files.clone(),
                        ..Contents::default()
                    };
                    Fact::Known(contents, Evidence::new(Strength::Stated, "config"))
                }
            },
        };
        ImageFacts {
            digest: format!("sha256:{}", letter.to_string().repeat(64))
                .parse()
                .unwrap(),
            platforms: platforms.iter().map(platform).collect(),
            left_out: 0,
        }
    }

    #[test]
    fn what_was_read_before_stands_in_for_what_is_still_to_be_read() {
        let (read, open) = (|| Reading::from(Files::default()), || Reading::NotRead);
        let known = |facts| {
            Arc::new(Fact::Known(
                facts,
                Evidence::new(Strength::Stated, "manifest"),
            ))
        };
        let images: [SharedFacts; 4] = [
            known(image(
                'a',
                &[("amd64", Some(open())), ("arm64", Some(open()))],
            )),
            known(image('b', &[("amd64", Some(read()))])),
            known(image('c', &[("amd64", Some(open()))])),
            Arc::new(Fact::Unknown(Gap::NotFetchedInTime)),
        ];
        // The other platform was of no node then.
        let before = image('a', &[("amd64", Some(read())), ("arm64", None)]);
        let told = |digest: &Digest| {
            let facts = before.clone();
            (*digest == before.digest).then_some(Inspected {
                facts,
                manifests: Vec::new(),
            })
        };
        let interim = interim(images.iter(), told);
        assert_eq!(interim.keys().collect::<Vec<_>>(), [&before.digest]);
        let facts = interim[&before.digest].value().unwrap();
        let lacking: Vec<_> = facts.platforms.iter().map(|it| it.lacks_files()).collect();
        assert_eq!(lacking, [false, true]);
    }
}
