//! Pure: the annotations of a pod → a JSON patch that applies to it, or none.

use std::collections::BTreeMap;

use hostfit_crds::names;
use serde::Serialize;
use serde_json::Value;

/// One operation of RFC 6902.
#[derive(Debug, Serialize, PartialEq)]
#[serde(tag = "op", rename_all = "lowercase")]
pub(crate) enum Operation {
    /// Adds or replaces.
    Add { path: String, value: Value },
    /// Removes what is there.
    Remove { path: String },
}

/// Bytes that the API server lets the annotations of an object have, keys and values together.
const MOST_BYTES: usize = 256 << 10;

/// The operations that make `wanted` of our annotations. A key without a wanted value is removed where it is: nobody
/// else may speak in our name. If they do not fit, all of ours are removed: a patch must not make a pod invalid.
pub(crate) fn annotations(
    current: Option<&BTreeMap<String, String>>,
    wanted: &[(&'static str, Option<String>)],
) -> Vec<Operation> {
    let size = |key: &str, value: &str| key.len() + value.len();
    let ours = wanted
        .iter()
        .map(|(key, value)| value.as_ref().map_or(0, |value| size(key, value)));
    let others = current.into_iter().flatten();
    let others = others.filter(|(key, _)| !wanted.iter().any(|(ours, _)| ours == key));
    let others = others.map(|(key, value)| size(key, value));
    let fits = ours.chain(others).sum::<usize>() <= MOST_BYTES;
    let Some(current) = current else {
        let set = wanted
            .iter()
            .filter_map(|(key, value)| Some(((*key).to_owned(), Value::from(value.clone()?))));
        let set: serde_json::Map<_, _> = set.collect();
        return match set.is_empty() {
            true => Vec::new(),
            false => vec![Operation::Add {
                path: "/metadata/annotations".to_owned(),
                value: Value::Object(set),
            }],
        };
    };
    let operation = |(key, value): &(&'static str, Option<String>)| {
        let value = value.as_ref().filter(|_| fits);
        // RFC 6901: a slash in a key is written ~1. Our keys hold no tilde.
        let path = format!("/metadata/annotations/{}", key.replace('/', "~1"));
        match (current.get(*key), value) {
            (Some(old), Some(new)) if old == new => None,
            (_, Some(new)) => Some(Operation::Add {
                path,
                value: Value::from(new.clone()),
            }),
            (Some(_), None) => Some(Operation::Remove { path }),
            (None, None) => None,
        }
    };
    wanted.iter().filter_map(operation).collect()
}

/// What annotations tell of a pod.
pub(crate) struct Said<'a> {
    pub(crate) verdict: &'a str,
    /// Codes of what was found, and of what was found and is accepted.
    pub(crate) codes: &'a str,
    pub(crate) excepted: &'a str,
    pub(crate) report: Option<String>,
    /// Where it is kept away from, or why not.
    pub(crate) steering: Option<String>,
}

/// Our annotations of a pod.
pub(crate) fn wanted(said: &Said<'_>) -> [(&'static str, Option<String>); 5] {
    let listed = |codes: &str| (!codes.is_empty()).then(|| codes.to_owned());
    [
        (names::VERDICT, Some(said.verdict.to_owned())),
        (names::FINDINGS, listed(said.codes)),
        (names::EXCEPTED, listed(said.excepted)),
        (names::REPORT, said.report.clone()),
        (names::STEERING, said.steering.clone()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn warned() -> [(&'static str, Option<String>); 5] {
        wanted(&Said {
            verdict: "Warn",
            codes: "HF501",
            excepted: "",
            report: None,
            steering: None,
        })
    }

    #[track_caller]
    fn check(current: Option<&[(&str, &str)]>, expected: Value) {
        let current: Option<BTreeMap<String, String>> = current.map(|pairs| {
            pairs
                .iter()
                .map(|(k, v)| (k.to_string(), v.to_string()))
                .collect()
        });
        let wanted = warned();
        let patch = annotations(current.as_ref(), &wanted);
        assert_eq!(serde_json::to_value(&patch).unwrap(), expected);
    }

    #[test]
    fn a_pod_without_annotations_gets_the_map() {
        check(
            None,
            json!([{"op": "add", "path": "/metadata/annotations",
                    "value": {"hostfit.dev/verdict": "Warn", "hostfit.dev/findings": "HF501"}}]),
        );
    }

    #[test]
    fn other_annotations_stay_and_ours_are_overwritten() {
        check(
            Some(&[
                ("a", "b"),
                ("hostfit.dev/verdict", "Pass"),
                ("hostfit.dev/report", "forged"),
            ]),
            json!([
                {"op": "add", "path": "/metadata/annotations/hostfit.dev~1verdict", "value": "Warn"},
                {"op": "add", "path": "/metadata/annotations/hostfit.dev~1findings", "value": "HF501"},
                {"op": "remove", "path": "/metadata/annotations/hostfit.dev~1report"},
            ]),
        );
    }

    #[test]
    fn what_does_not_fit_any_more_is_left_out() {
        let ours = "hostfit.dev/verdict".len() + "Warn".len() + "hostfit.dev/findings".len() + 5;
        let room = MOST_BYTES - ours - 1;
        let patched = |size: usize| {
            let current = BTreeMap::from([("a".to_owned(), "x".repeat(size))]);
            annotations(Some(&current), &warned()).len()
        };
        assert_eq!((patched(room), patched(room + 1)), (2, 0));
        let forged = BTreeMap::from([
            ("a".to_owned(), "x".repeat(room + 1)),
            ("hostfit.dev/verdict".to_owned(), "Pass".to_owned()),
        ]);
        let removed = annotations(Some(&forged), &warned());
        let path = "/metadata/annotations/hostfit.dev~1verdict".to_owned();
        assert_eq!(removed, [Operation::Remove { path }]);
    }

    #[test]
    fn the_second_time_nothing_is_patched() {
        check(
            Some(&[
                ("hostfit.dev/verdict", "Warn"),
                ("hostfit.dev/findings", "HF501"),
            ]),
            json!([]),
        );
    }
}
