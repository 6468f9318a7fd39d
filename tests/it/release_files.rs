//! Release files of real distributions: each must be taken for what it is.

use std::collections::BTreeMap;

use hostfit_engine::os_release::identify;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sample {
    name: String,
    is: String,
    files: BTreeMap<String, String>,
}

#[test]
fn every_sample_is_what_it_is() {
    let text = include_str!("../cases/release_files.yaml");
    let samples: Vec<Sample> = serde_saphyr::from_str(text).unwrap();
    assert!(samples.len() > 180, "only {} samples", samples.len());
    let wrong: Vec<String> = samples
        .iter()
        .filter_map(|sample| {
            let read = |path: &str| sample.files.get(path).map(String::as_str);
            let is = identify(read).map_or("nothing".to_owned(), |(it, _)| it.to_string());
            (is != sample.is).then(|| format!("{}: {is}, not {}", sample.name, sample.is))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
