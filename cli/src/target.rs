//! `[NAMESPACE/]TYPE/NAME`: a workload, as kubectl's users write it.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use anyhow::{anyhow, bail};
use hostfit_crds::names::kind_abbreviation;
use hostfit_engine::finding::nearest;

/// Kinds that make pods, as they are asked for.
const KINDS: [&str; 8] = [
    "Pod",
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "ReplicaSet",
    "ReplicationController",
    "Job",
    "CronJob",
];

/// Which workloads are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// Else that of `-n`.
    pub(crate) namespace: Option<String>,
    kind: String,
    /// Else all of the kind.
    name: Option<String>,
}

/// The workloads that words mean: `TYPE/NAME …`, `TYPE NAME …` or `TYPE`, as kubectl takes them.
///
/// # Errors
///
/// If they mean none. It says what they look like.
pub(crate) fn targets(words: &[String]) -> anyhow::Result<Vec<Target>> {
    if let Some(path) = words.iter().find(|it| is_path(it)) {
        bail!("manifests are named with -f, and with hosts: -f {path} --host builtin/NAME");
    }
    let of = |kind: &str, name: Option<&String>| Target {
        namespace: None,
        kind: kind.to_owned(),
        name: name.cloned(),
    };
    match words {
        [kind, names @ ..] if words.iter().all(|it| !it.contains(['/', ':'])) => {
            if !is_type(kind) {
                bail!("{}", unknown(kind));
            }
            Ok(match names {
                [] => vec![of(kind, None)],
                names => names.iter().map(|name| of(kind, Some(name))).collect(),
            })
        }
        words => words
            .iter()
            .map(|word| word.parse().map_err(|error| anyhow!("{word:?}: {error}")))
            .collect(),
    }
}

/// Whether a word names a file or a folder, as no workload is called.
pub(crate) fn is_path(word: &str) -> bool {
    let is_file = [".yaml", ".yml", ".json"]
        .iter()
        .any(|it| word.ends_with(it));
    let is_beside = ["/", "./", "../"].iter().any(|it| word.starts_with(it));
    let is_folder = word.ends_with('/') && Path::new(word).is_dir();
    is_file || is_beside || is_folder || [".", ".."].contains(&word)
}

/// Whether a word is a type of pods or of what makes them.
pub(crate) fn is_type(kind: &str) -> bool {
    KINDS.iter().any(|known| is_kind(kind, known))
}

/// What to say of a word that stands where a type should.
fn unknown(word: &str) -> String {
    if word == "images" {
        return format!("of images, write {} check image REF", crate::program());
    }
    match near_type(word) {
        _ if has_no_pods(word) => no_pods(word),
        Some(near) => format!("there is no type {word:?}: did you mean {near}?"),
        None => format!(
            "{word:?} is no type: write TYPE/NAME, for example deploy/search; of an image, {} check image {word}",
            crate::program()
        ),
    }
}

/// Types that people ask kubectl for, and that make no pods.
const WITHOUT_PODS: [&str; 13] = [
    "service",
    "svc",
    "ingress",
    "ing",
    "ingresse",
    "configmap",
    "cm",
    "secret",
    "namespace",
    "ns",
    "node",
    "no",
    "pvc",
];

fn has_no_pods(kind: &str) -> bool {
    let kind = kind.to_lowercase();
    let one = kind.strip_suffix('s').unwrap_or(&kind);
    WITHOUT_PODS.contains(&kind.as_str()) || WITHOUT_PODS.contains(&one)
}

fn no_pods(kind: &str) -> String {
    format!("{kind} makes no pods: name what does, for example deploy/search")
}

/// The type that a word may mean.
pub(crate) fn near_type(word: &str) -> Option<String> {
    let whole = KINDS.iter().map(|kind| kind.to_lowercase());
    let short = KINDS.iter().map(|kind| kind_abbreviation(kind));
    let all: Vec<_> = whole.chain(short).collect();
    let names: Vec<_> = all.iter().map(String::as_str).collect();
    nearest(word, &names).map(str::to_owned)
}

/// The kind of pods, or of what makes them, that a kind in a manifest may mean.
pub(crate) fn near_kind(kind: &str) -> Option<&'static str> {
    nearest(kind, &KINDS)
}

/// `deploy`, `deployment`, `deployments` and `deployments.apps` are one.
fn is_kind(written: &str, kind: &str) -> bool {
    let written = written.to_lowercase();
    let written = written.split('.').next().unwrap_or_default();
    let (whole, short) = (kind.to_lowercase(), kind_abbreviation(kind));
    let shorter = match kind {
        "Pod" => "po",
        "CronJob" => "cj",
        "ReplicationController" => "rc",
        _ => "",
    };
    [whole.as_str(), &short, shorter].contains(&written)
        || written.strip_suffix('s') == Some(&whole)
}

impl Target {
    /// Whether a workload is meant.
    pub(crate) fn is(&self, namespace: &str, kind: &str, name: &str) -> bool {
        let in_place = self.namespace.as_deref().is_none_or(|it| it == namespace);
        let is_named = self.name.as_deref().is_none_or(|it| it == name);
        in_place && is_named && is_kind(&self.kind, kind)
    }

    /// Whether one workload is meant, and not all of a kind.
    pub(crate) fn is_one(&self) -> bool {
        self.name.is_some()
    }

    /// Of all workloads, kind and name each, the one that may be meant instead, or what else is to be said.
    pub(crate) fn instead(&self, all: &[(&str, &str)]) -> String {
        let Some(wanted) = self.name.as_deref() else {
            return "is -n right?".to_owned();
        };
        let of_name = all.iter().find(|(_, name)| *name == wanted);
        let alike = || {
            let of_kind = all.iter().filter(|(kind, _)| is_kind(&self.kind, kind));
            let names: Vec<_> = of_kind.map(|(_, name)| *name).collect();
            let near = nearest(wanted, &names)?;
            all.iter()
                .find(|(kind, name)| is_kind(&self.kind, kind) && *name == near)
        };
        if let Some((kind, name)) = of_name.or_else(alike) {
            return format!("did you mean {}?", short(kind, name));
        }
        match near_type(&self.kind).filter(|_| !is_type(&self.kind)) {
            _ if has_no_pods(&self.kind) => no_pods(&self.kind),
            Some(near) => format!("there is no type {:?}, did you mean {near}?", self.kind),
            None => "is -n right? What something else makes is looked for there: of a pod of a Deployment, the Deployment".to_owned(),
        }
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // No type and no name has a colon, and images on disk have one.
        if text.contains(':') {
            return Err(format!(
                "that is an image: {} check image {text}",
                crate::program()
            ));
        }
        let parts: Vec<_> = text.split('/').collect();
        let (namespace, kind, name) = match parts[..] {
            [kind, name] => (None, kind, name),
            [namespace, kind, name] => (Some(namespace), kind, name),
            _ => return Err("write TYPE/NAME, for example deploy/search".to_owned()),
        };
        if [Some(kind), Some(name), namespace].contains(&Some("")) {
            return Err("write TYPE/NAME, for example deploy/search".to_owned());
        }
        Ok(Self {
            namespace: namespace.map(str::to_owned),
            kind: kind.to_owned(),
            name: Some(name.to_owned()),
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{}/{name}", self.kind),
            None => self.kind.fmt(f),
        }
    }
}

/// `deploy/search`: what messages call a workload, and what can be written as a target.
pub(crate) fn short(kind: &str, name: &str) -> String {
    format!("{}/{name}", kind_abbreviation(kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(written: &str, kind: &str, expected: bool) {
        let target: Target = written.parse().unwrap();
        assert_eq!(target.is("shop", kind, "x"), expected, "{written} {kind}");
    }

    #[test]
    fn types_are_written_as_for_kubectl() {
        for written in [
            "deploy/x",
            "deployment/x",
            "Deployment/x",
            "deployments.apps/x",
            "shop/deploy/x",
        ] {
            check(written, "Deployment", true);
        }
        check("sts/x", "StatefulSet", true);
        check("cj/x", "CronJob", true);
        check("po/x", "Pod", true);
        check("rollout/x", "Rollout", true);
        check("deploy/x", "DaemonSet", false);
        check("other/deploy/x", "Deployment", false);
        check("deploy/y", "Deployment", false);
        for wrong in ["search", "deploy/", "/x", "a/b/c/d"] {
            assert!(wrong.parse::<Target>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn words_mean_workloads_as_kubectl_takes_them() {
        let read = |words: &str| {
            let words: Vec<_> = words.split(' ').map(str::to_owned).collect();
            match targets(&words) {
                Ok(all) => {
                    let all: Vec<_> = all.iter().map(ToString::to_string).collect();
                    all.join(" ")
                }
                Err(error) => format!("{error:#}"),
            }
        };
        for (words, meant) in [
            ("deploy/a sts/b", "deploy/a sts/b"),
            ("deploy a b", "deploy/a deploy/b"),
            ("deploy", "deploy"),
            ("rc", "rc"),
        ] {
            assert_eq!(read(words), meant);
        }
        for (words, says) in [
            ("deplyo a", "no type \"deplyo\": did you mean deploy?"),
            ("images x", "of images, write hostfit check image REF"),
            ("search", "write TYPE/NAME, for example deploy/search"),
            ("deploy/a b", "\"b\": write TYPE/NAME"),
            ("oci:image", "hostfit check image oci:image"),
            ("x.example/web:1", "hostfit check image x.example/web:1"),
            ("web.yaml", "-f web.yaml --host builtin/NAME"),
            ("deploy/web.yaml", "-f deploy/web.yaml --host builtin/NAME"),
            ("/", "-f / --host builtin/NAME"),
            (".", "-f . --host builtin/NAME"),
            ("svc a", "svc makes no pods: name what does"),
            ("Nodes", "Nodes makes no pods"),
        ] {
            assert!(read(words).contains(says), "{words}: {}", read(words));
        }
    }

    #[test]
    fn what_is_not_there_is_guessed_by_name_and_type() {
        let all = [("Deployment", "fast"), ("StatefulSet", "db")];
        let guess = |text: &str| text.parse::<Target>().unwrap().instead(&all);
        assert_eq!(guess("deploy/fats"), "did you mean deploy/fast?");
        assert_eq!(guess("sts/fast"), "did you mean deploy/fast?");
        assert_eq!(guess("deplyo/fast"), "did you mean deploy/fast?");
        assert!(guess("deplyo/other").contains("no type \"deplyo\", did you mean deploy?"));
        assert!(guess("svc/fat").starts_with("svc makes no pods"));
        // Three edits make anything of a short word.
        assert!(guess("sts/x").starts_with("is -n right?"));
    }
}
