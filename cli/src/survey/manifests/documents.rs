//! A text → its documents, of which one that is broken does not hide the others.

use anyhow::anyhow;
use serde_json::Value;

use super::template;
use crate::read::documents;

/// The documents of a text, each with what an error calls it. One that is no YAML does not hide the others.
pub(super) fn each_document(text: &str) -> Vec<(String, anyhow::Result<Value>)> {
    if let Ok(all) = documents(text, 0) {
        let place = |index| match index {
            0 => String::new(),
            index => format!("document {}: ", index + 1),
        };
        let all = all.into_iter().enumerate();
        return all.map(|(index, it)| (place(index), Ok(it))).collect();
    }
    let parts = parts(text);
    let is_one = parts.len() == 1;
    let mut all = Vec::new();
    for (index, (line, part)) in parts.into_iter().enumerate() {
        let place = match is_one {
            true => String::new(),
            false => format!("document {} (line {}): ", index + 1, line + 1),
        };
        match documents(part, line) {
            Ok(documents) => {
                all.extend(documents.into_iter().map(|it| (place.clone(), Ok(it))));
            }
            Err(_) if is_template(part) => all.push((place, Err(anyhow!(template())))),
            Err(error) => all.push((place, Err(error))),
        }
    }
    all
}

/// A text cut at the lines that begin its documents, each with the number of lines before it.
fn parts(text: &str) -> Vec<(usize, &str)> {
    let is_mark = |line: &str| {
        let after = line.strip_prefix("---");
        after.is_some_and(|it| it.is_empty() || it.starts_with(char::is_whitespace))
    };
    let says = |line: &str| {
        let line = line.trim();
        !line.is_empty() && line != "---" && !line.starts_with('#')
    };
    let mut starts = vec![(0, 0)];
    let mut at = 0;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        if is_mark(line) && at > 0 {
            starts.push((number, at));
        }
        at += line.len();
    }
    let ends = starts.iter().skip(1).map(|(_, at)| *at);
    let ends: Vec<_> = ends.chain([text.len()]).collect();
    let parts = starts.into_iter().zip(ends);
    let parts = parts.filter_map(|((number, from), to)| Some((number, text.get(from..to)?)));
    parts.filter(|(_, part)| part.lines().any(says)).collect()
}

/// Whether a text that is no YAML looks like a template of Helm.
fn is_template(text: &str) -> bool {
    text.contains("{{") && text.contains("}}")
}
