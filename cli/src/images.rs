//! `hostfit images`: what is known of an image, and from where.

use hostfit_engine::fact::Fact;
use hostfit_engine::files::Files;
use hostfit_engine::files::Reading;
use hostfit_engine::finding::plain;
use hostfit_engine::lineage::Catalog;
use hostfit_registry::Platforms;
use serde_json::{Value, json};

use crate::advice;
use crate::exit::{Exit, Trouble};
use crate::flags::{Common, Format};
use crate::out::say;
use crate::print;
use crate::read::{Image, ReadArgs, Reader};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Images: references, oci:DIR[:NAME|@DIGEST] or docker-archive:FILE[:NAME].
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
    #[command(flatten)]
    reading: ReadArgs,
}

pub(crate) async fn run(args: Args, common: &Common) -> Result<Exit, Trouble> {
    let known = [Format::Table, Format::Json, Format::Yaml];
    let format = common.output.format.one_of(&known, "images")?;
    let mut reader = Reader::new(&args.reading);
    let catalog = Catalog::default();
    let mut documents = Vec::new();
    for named in &args.images {
        let image = reader.read(named, &Platforms::All).await?;
        match format {
            Format::Table => table(&image, &catalog),
            _ => documents.push(document(&image, &catalog)),
        }
    }
    let document = json!({
        "apiVersion": "cli.hostfit.dev/v1", "kind": "Images",
        "rules": hostfit_engine::RULES_VERSION, "items": documents,
    });
    match format {
        Format::Table => {}
        format => print::machine(format, &document)?,
    }
    Ok(Exit::Fine)
}

fn table(image: &Image, catalog: &Catalog) {
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
            json!({"image": image.named, "digest": facts.digest.as_str(), "platforms": platforms})
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hostfit_engine::files::Program;

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
