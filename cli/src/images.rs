//! `hostfit images`: what is known of an image, and from where.

use std::collections::{BTreeMap, BTreeSet};

use hostfit_engine::fact::Fact;
use hostfit_engine::files::Files;
use hostfit_engine::files::Reading;
use hostfit_engine::finding::plain;
use hostfit_engine::image::ImageRef;
use hostfit_engine::lineage::Catalog;
use hostfit_registry::{Platforms, SharedFacts};
use serde_json::{Value, json};

use crate::advice;
use crate::document::API_VERSION;
use crate::exit::{Exit, Trouble};
use crate::flags::{Common, Format};
use crate::out::say;
use crate::print;
use crate::read::{Image, Reader};
use crate::style;
use crate::survey::Survey;
use crate::workloads::Place;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Images: references, oci:DIR[:NAME|@DIGEST] or docker-archive:FILE[:NAME].
    /// Without any, all images of the cluster or the snapshot.
    #[arg(value_name = "IMAGE")]
    images: Vec<String>,
    #[command(flatten)]
    place: Place,
}

pub(crate) async fn run(args: Args, common: &Common) -> Result<Exit, Trouble> {
    let known = [Format::Table, Format::Name, Format::Json, Format::Yaml];
    let format = common.output.format.one_of(&known, "images")?;
    if args.images.is_empty() {
        let survey = args.place.survey(common, &[]).await?;
        all(&survey, format)?;
        return Ok(Exit::Fine);
    }
    let survey = match common.cluster.snapshot {
        Some(_) => Some(args.place.survey(common, &[]).await?),
        None => None,
    };
    let mut reader = Reader::new(&args.place.reading);
    let catalog = survey.as_ref().map(|it| it.catalog.clone());
    let catalog = catalog.unwrap_or_default();
    let mut documents = Vec::new();
    for named in &args.images {
        // What a snapshot knows is as it says; of the rest, registries are asked.
        let known = survey.as_ref().and_then(|survey| survey.image(named));
        let image = match known {
            Some(image) => image,
            None => reader.read(named, &Platforms::All).await?,
        };
        match format {
            Format::Table => table(&image, &catalog),
            Format::Name => say!("{}", plain(&image.named, 300)),
            _ => documents.push(document(&image, &catalog)),
        }
    }
    match format {
        Format::Table | Format::Name => {}
        format => print::machine(format, &listed(documents))?,
    }
    Ok(Exit::Fine)
}

/// Every image of a survey.
fn all(survey: &Survey, format: Format) -> anyhow::Result<()> {
    match format {
        Format::Table => in_use(survey),
        Format::Name => {
            for (reference, ..) in in_order(survey) {
                say!("{}", plain(&reference.to_string(), 300));
            }
        }
        format => {
            let images = in_order(survey);
            let images = images.into_iter().map(|(reference, facts, users)| {
                let image = Image {
                    named: reference.to_string(),
                    reference: reference.clone(),
                    facts: facts.clone(),
                };
                let mut document = document(&image, &survey.catalog);
                if let Some(document) = document.as_object_mut() {
                    document.insert("workloads".to_owned(), users.into());
                }
                document
            });
            print::machine(format, &listed(images.collect()))?;
        }
    }
    Ok(())
}

fn listed(items: Vec<Value>) -> Value {
    json!({
        "apiVersion": API_VERSION, "kind": "Images",
        "rules": hostfit_engine::RULES_VERSION, "items": items,
    })
}

/// The images of a survey by their names, and how many workloads use each.
fn in_order(survey: &Survey) -> Vec<(&ImageRef, &SharedFacts, usize)> {
    let mut users: BTreeMap<&ImageRef, usize> = BTreeMap::new();
    for item in &survey.items {
        let images = item.workload.images.iter();
        let images: BTreeSet<_> = images.filter_map(|it| it.reference.as_ref().ok()).collect();
        for image in images {
            *users.entry(image).or_default() += 1;
        }
    }
    let known = |(image, users)| Some((image, survey.images.get(image)?, users));
    users.into_iter().filter_map(known).collect()
}

/// A line for each image.
fn in_use(survey: &Survey) {
    let title = ["IMAGE", "DIGEST", "DISTRO", "LIBC", "BASE", "WORKLOADS"];
    let mut rows = vec![title.map(str::to_owned)];
    for (reference, facts, users) in in_order(survey) {
        let name = plain(&reference.to_string(), 100);
        let facts = match &**facts {
            Fact::Known(facts, _) => facts,
            Fact::Unknown(gap) => {
                let none = String::new;
                let code = gap.code().to_string();
                rows.push([name, code, none(), none(), none(), users.to_string()]);
                continue;
            }
        };
        let mut platforms = facts.platforms.iter();
        let contents = platforms.find_map(|it| it.contents.value());
        let known = contents.map(|contents| {
            let lineage = survey.catalog.lineage(reference, contents);
            print::known(&lineage, contents)
        });
        let told = |fact: &str| {
            let known = known.as_ref()?.iter().find(|it| it.name == fact)?;
            Some(plain(known.value.as_str()?, 40))
        };
        let pair = |fact: &str| {
            let version = told(&format!("{fact}_version"));
            let version = version.map(|it| format!("-{it}")).unwrap_or_default();
            told(fact).map_or_else(|| "?".to_owned(), |it| it + &version)
        };
        rows.push([
            name,
            facts.digest.short().to_owned(),
            pair("distro"),
            pair("libc"),
            told("base_image").unwrap_or_default(),
            users.to_string(),
        ]);
    }
    style::columns(&rows);
    style::permissions(survey);
}

/// What is known of one image, with its evidence.
pub(crate) fn table(image: &Image, catalog: &Catalog) {
    let name = plain(&image.named, 300);
    let facts = match &*image.facts {
        Fact::Known(facts, _) => facts,
        Fact::Unknown(gap) => {
            let finding = gap.finding();
            say!(
                "{name}\n  {}  image {}",
                finding.code,
                plain(&finding.image, 300)
            );
            say!("         fix: {}", advice::fix(&finding));
            return;
        }
    };
    say!("{name}  {}", facts.digest);
    for platform in &facts.platforms {
        say!("  {}", platform.platform);
        let contents = match &platform.contents {
            Fact::Known(contents, _) => contents,
            Fact::Unknown(gap) => {
                say!("    {}  {}", gap.code(), plain(&gap.finding().image, 300));
                continue;
            }
        };
        let lineage = catalog.lineage(&image.reference, contents);
        for known in print::known(&lineage, contents) {
            let value = match &known.value {
                Value::String(text) => plain(text, 80),
                other => other.to_string(),
            };
            say!("    {:<20} {value:<24} {}", known.name, known.evidence);
        }
        for contradiction in &lineage.contradictions {
            say!("    but {}", plain(contradiction, 300));
        }
        if let Some(what) = contents.files().and_then(not_followed) {
            say!("    not followed: {}", plain(&what, 300));
        }
        match &contents.files {
            Reading::NotRead if platform.platform.os == "linux" => {
                say!("    not read: its layers");
            }
            Reading::Unreadable { what } => {
                say!("    never readable: its files, since {}", plain(what, 300));
            }
            Reading::NotRead | Reading::Read(_) => {}
        }
        let unread = contents.files().into_iter().flat_map(|it| &it.unread);
        for what in unread {
            say!("    not read: {}", plain(what, 300));
        }
    }
    if facts.left_out > 0 {
        say!(
            "  {} more platforms, not in its ImageProfile",
            facts.left_out
        );
    }
}

/// What is behind the program that starts and was not looked at.
fn not_followed(files: &Files) -> Option<String> {
    let program = files.program.as_ref()?;
    let name = program.path.rsplit('/').next().unwrap_or_default();
    match &program.script {
        Some(script) => Some(format!("what the script {script} starts")),
        None if ["sh", "bash", "dash", "ash", "busybox"].contains(&name) => {
            Some(format!("what the shell {} starts", program.path))
        }
        None => None,
    }
}

fn document(image: &Image, catalog: &Catalog) -> Value {
    match &*image.facts {
        Fact::Unknown(gap) => {
            let finding = gap.finding();
            json!({"image": image.named, "unknown": {"code": finding.code.as_str(), "message": finding.message()}})
        }
        Fact::Known(facts, _) => {
            let platforms = facts.platforms.iter().map(|platform| match &platform.contents {
                Fact::Unknown(gap) => json!({
                    "platform": platform.platform.to_string(),
                    "unknown": {"code": gap.code().as_str(), "message": gap.finding().message()},
                }),
                Fact::Known(contents, _) => {
                    let lineage = catalog.lineage(&image.reference, contents);
                    let known = print::known(&lineage, contents).into_iter().map(|known| {
                        json!({"fact": known.name, "value": known.value, "from": known.evidence.from,
                               "strength": known.evidence.strength.to_string()})
                    });
                    let known: Vec<_> = known.collect();
                    let mut document = json!({"platform": platform.platform.to_string(), "facts": known,
                                              "contradictions": lineage.contradictions});
                    let not_followed = contents.files().and_then(not_followed);
                    let unreadable = match &contents.files {
                        Reading::Unreadable { what } => Some(what.clone()),
                        Reading::NotRead | Reading::Read(_) => None,
                    };
                    for (name, what) in [("not_followed", not_followed), ("unreadable", unreadable)] {
                        if let Some((what, document)) = what.zip(document.as_object_mut()) {
                            document.insert(name.to_owned(), what.into());
                        }
                    }
                    document
                }
            });
            let platforms: Vec<_> = platforms.collect();
            let mut document = json!({"image": image.named, "digest": facts.digest.as_str(), "platforms": platforms});
            let omitted = (facts.left_out > 0).then_some(facts.left_out);
            if let Some((omitted, document)) = omitted.zip(document.as_object_mut()) {
                document.insert("platforms_omitted".to_owned(), omitted.into());
            }
            document
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use hostfit_engine::fact::{Evidence, Strength};
    use hostfit_engine::files::Program;
    use hostfit_engine::image::ImageFacts;

    #[test]
    fn platforms_that_a_profile_leaves_out_are_told() {
        let omitted = |left_out| {
            let reference: ImageRef = "a.example/app:1".parse().unwrap();
            let facts = ImageFacts {
                digest: format!("sha256:{}", "a".repeat(64)).parse().unwrap(),
                platforms: Vec::new(),
                left_out,
            };
            let from = Evidence::new(Strength::Stated, "ImageProfile");
            let image = Image {
                named: reference.to_string(),
                reference,
                facts: Arc::new(Fact::Known(facts, from)),
            };
            document(&image, &Catalog::default())["platforms_omitted"].clone()
        };
        assert_eq!(omitted(968), 968);
        assert_eq!(omitted(0), Value::Null);
    }

    #[test]
    fn what_is_behind_scripts_and_shells_is_said_not_to_be_followed() {
        let said = |path: &str, script: Option<&str>| {
            let program = Program {
                path: path.to_owned(),
                script: script.map(str::to_owned),
                ..Program::default()
            };
            not_followed(&Files {
                program: Some(program),
                ..Files::default()
            })
        };
        let script = said("usr/bin/bash", Some("entry.sh"));
        assert_eq!(script.unwrap(), "what the script entry.sh starts");
        assert_eq!(
            said("bin/sh", None).unwrap(),
            "what the shell bin/sh starts"
        );
        assert_eq!(said("usr/bin/nginx", None), None);
        assert_eq!(not_followed(&Files::default()), None);
    }
}
