//! A folder → the cases in it, and the objects beside them. What is broken is named, and the rest is read.

use std::fmt;
use std::path::Path;

use jiff::Timestamp;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use serde_saphyr::Spanned;

use super::case::{Case, Head};
use super::strict;
use super::world::World;
use crate::survey::manifests;

/// Cases, and the objects beside them.
#[derive(Debug, Default)]
pub struct Folder {
    /// The cases that can be read.
    pub cases: Vec<Located>,
    /// What cannot be read.
    pub broken: Vec<Broken>,
    /// The objects.
    pub world: World,
}

/// A case, and where it stands.
#[derive(Debug, Clone)]
pub struct Located {
    /// The file.
    pub file: String,
    /// The line in which it begins, 1 being the first.
    pub line: u32,
    /// The case.
    pub case: Case,
}

impl Located {
    /// The case as one that cannot be judged.
    pub(crate) fn broken(self, why: String) -> Broken {
        Broken {
            file: self.file,
            line: Some(self.line),
            case: Some(self.case.name),
            why,
        }
    }
}

/// Something that cannot be read, or not be judged.
#[derive(Debug, Clone, Serialize)]
pub struct Broken {
    /// The file.
    pub file: String,
    /// The line, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The case, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub case: Option<String>,
    /// What is wrong.
    pub why: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(case) = &self.case {
            write!(f, ": case {case:?}")?;
        }
        write!(f, ": {}", self.why)
    }
}

/// A document, with the lines on which its cases begin.
struct Document {
    line: u32,
    value: Value,
    cases: Vec<u32>,
}

/// Where the cases of a document begin.
#[derive(Deserialize)]
struct Lines {
    #[serde(default)]
    cases: Vec<Spanned<IgnoredAny>>,
}

impl Folder {
    /// Reads a folder and the folders in it, as of a moment for what names no day.
    ///
    /// # Errors
    ///
    /// If the folder cannot be listed.
    pub fn read(root: &Path, now: Timestamp) -> anyhow::Result<Self> {
        let mut folder = Self::default();
        folder.world.now = now;
        for file in manifests::folder(root)? {
            // The index of an OCI image layout is no file of ours, and neither are the settings of other programs.
            let is_image = file.with_file_name("oci-layout").exists();
            let name = file.file_name().unwrap_or_default();
            if !is_image && !name.to_string_lossy().starts_with('.') {
                folder.file(&file);
            }
        }
        folder.world.doubt();
        let world = &folder.world;
        for mut located in std::mem::take(&mut folder.cases) {
            match located.case.resolve(world) {
                Ok(()) => folder.cases.push(located),
                Err(why) => folder.broken.push(located.broken(why)),
            }
        }
        Ok(folder)
    }

    fn file(&mut self, path: &Path) {
        let file = path.display().to_string();
        let broken = |line: Option<u32>, why: String| Broken {
            file: file.clone(),
            line,
            case: None,
            why,
        };
        let documents = match documents(path) {
            Ok(documents) => documents,
            Err((line, why)) => return self.broken.push(broken(line, why)),
        };
        for document in documents {
            match document.value {
                Value::Object(object) if object.contains_key("cases") => {
                    self.cases_of(path, document.line, &document.cases, object);
                }
                Value::Object(object) => {
                    if let Err(why) = take(&mut self.world, Value::Object(object)) {
                        self.broken.push(broken(Some(document.line), why));
                    }
                }
                _ => {
                    let why = "it is neither an object of Kubernetes nor a list of cases";
                    self.broken
                        .push(broken(Some(document.line), why.to_owned()));
                }
            }
        }
    }

    fn cases_of(&mut self, path: &Path, line: u32, lines: &[u32], object: Map<String, Value>) {
        let file = path.display().to_string();
        let broken = |line, case, why| Broken {
            file: file.clone(),
            line: Some(line),
            case,
            why,
        };
        let object = Value::Object(object);
        let mut head: Head = match serde_json::from_value(object.clone()) {
            Ok(head) => head,
            Err(error) => {
                let why = strict::told(&error.to_string(), &object);
                return self.broken.push(broken(line, None, why));
            }
        };
        let base = path.parent().map(Path::to_owned).unwrap_or_default();
        let written = std::mem::take(&mut head.cases);
        if written.is_empty() {
            self.broken
                .push(broken(line, None, "it has no case".to_owned()));
        }
        for (index, written) in written.into_iter().enumerate() {
            let line = lines.get(index).copied().unwrap_or(line);
            let name = written.get("case").and_then(Value::as_str);
            let name = name.map(str::to_owned);
            match serde_json::from_value::<Case>(written.clone()) {
                Ok(case) => self.cases.push(Located {
                    file: file.clone(),
                    line,
                    case: head.complete(case, base.clone()),
                }),
                Err(error) => {
                    let why = strict::told(&error.to_string(), &written);
                    self.broken.push(broken(line, name, why));
                }
            }
        }
    }
}

/// Takes the objects of a file into a world.
pub(super) fn objects(path: &Path, world: &mut World) -> Result<(), String> {
    let named = |line: Option<u32>, why: String| {
        let line = line.map(|line| format!(":{line}")).unwrap_or_default();
        format!("{}{line}: {why}", path.display())
    };
    for document in documents(path).map_err(|(line, why)| named(line, why))? {
        take(world, document.value).map_err(|why| named(Some(document.line), why))?;
    }
    Ok(())
}

/// Whether a name is that of a file that could be read.
pub(super) fn is_file_name(name: &str) -> bool {
    [".yaml", ".yml", ".json"]
        .iter()
        .any(|it| name.ends_with(it))
}

/// The documents of a file; else the line where it stops being YAML, if that is known, and why.
fn documents(path: &Path) -> Result<Vec<Document>, (Option<u32>, String)> {
    let text = manifests::text(path).map_err(|error| (None, format!("{error:#}")))?;
    let documents: Vec<Spanned<Value>> = serde_saphyr::from_multiple(&text).map_err(|error| {
        let line = error.location().map(|at| line(at.line()));
        let error = error.without_snippet();
        (line, format!("it is no YAML: {error}"))
    })?;
    let lines: Vec<Lines> = serde_saphyr::from_multiple(&text).unwrap_or_default();
    let mut lines = lines.into_iter();
    let document = |document: Spanned<Value>| Document {
        line: line(document.referenced.line()),
        cases: lines.next().map_or_else(Vec::new, |lines| {
            let cases = lines.cases.iter();
            cases.map(|it| line(it.referenced.line())).collect()
        }),
        value: document.value,
    };
    Ok(documents.into_iter().map(document).collect())
}

fn line(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Takes an object, or a list of them, into a world.
fn take(world: &mut World, object: Value) -> Result<(), String> {
    let kind = object.get("kind").and_then(Value::as_str);
    match kind {
        Some(kind) if kind.ends_with("List") && object.get("items").is_some() => {
            // One broken item must not hide the others.
            let mut failed = None;
            let items = object.get("items").and_then(Value::as_array);
            for item in items.into_iter().flatten() {
                if let Err(error) = take(world, item.clone()) {
                    failed = failed.or(Some(error));
                }
            }
            failed.map_or(Ok(()), Err)
        }
        Some(_) => world.take(object),
        None => Err(
            "it is neither an object of Kubernetes, which has a kind, nor a list of cases, which is called cases"
                .to_owned(),
        ),
    }
}
