//! From what a config says to what the image stands on: the stronger evidence wins, contradictions are shown.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::LazyLock;

use crate::distribution::Distribution;
use crate::fact::{Evidence, Fact, Gap, Strength};
use crate::image::{Contents, Digest, ImageRef};
use crate::tables;

pub(crate) mod author;
mod hinted;
mod reference;
mod stated;

pub use reference::distribution_of_reference;
pub(crate) use stated::{reads_label, reads_step, reads_variable};

/// What an image stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lineage {
    /// Name of the base image, where one is proven or stated.
    pub base: Option<String>,
    /// The distribution of the base.
    pub distribution: Fact<Distribution>,
    /// Weaker evidence that says something else, in words.
    pub contradictions: Vec<String>,
}

/// A base image that we know by its layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownBase {
    /// Name for people: the BaseImage and its tag, or a published image.
    pub name: String,
    /// What the base is, if that is known, and how sure that is of the base itself.
    pub distribution: Option<(Distribution, Strength)>,
    /// Who says so: `BaseImage rhel6`, or a published list.
    pub source: String,
}

/// The known base images by the chain ID of all their layers. Several tags may share their layers: the first name stays.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    followed: HashMap<Digest, KnownBase>,
}

static PUBLISHED: LazyLock<HashMap<Digest, KnownBase>> = LazyLock::new(|| {
    tables::KNOWN_BASES
        .rows()
        .filter_map(|row| {
            let &[
                name,
                _architecture,
                id,
                version,
                _layers,
                chain,
                _created,
                source,
            ] = row.as_slice()
            else {
                return None;
            };
            let base = KnownBase {
                name: name.to_owned(),
                distribution: Some((Distribution::new(id, version), Strength::Stated)),
                source: format!("published layers, {source}"),
            };
            Some((chain.parse().ok()?, base))
        })
        .collect()
});

impl Catalog {
    /// The published bases and those that the cluster follows. What people follow wins over the published list; of
    /// several names for the same layers the one that is surest of what they are, whatever the order they come in.
    pub fn new(followed: impl IntoIterator<Item = (Digest, KnownBase)>) -> Self {
        let mut by_chain: HashMap<Digest, KnownBase> = HashMap::new();
        let rank = |base: &KnownBase| {
            let strength = base.distribution.as_ref().map(|(_, strength)| *strength);
            (Reverse(strength), base.name.clone())
        };
        for (chain, base) in followed {
            match by_chain.entry(chain) {
                Entry::Vacant(free) => {
                    free.insert(base);
                }
                Entry::Occupied(mut taken) if rank(&base) < rank(taken.get()) => {
                    taken.insert(base);
                }
                Entry::Occupied(_) => {}
            }
        }
        Self { followed: by_chain }
    }

    /// The bases whose layers are the image's first layers, each with how many they are, deepest first.
    fn proven<'a>(
        &'a self,
        chain_ids: &'a [Digest],
    ) -> impl Iterator<Item = (&'a KnownBase, usize)> + Clone {
        let find = |chain: &Digest| self.followed.get(chain).or_else(|| PUBLISHED.get(chain));
        let deepest_first = chain_ids.iter().enumerate().rev();
        deepest_first.filter_map(move |(index, chain)| Some((find(chain)?, index + 1)))
    }

    /// What an image stands on, by all that its config and its name say.
    pub fn lineage(&self, image: &ImageRef, contents: &Contents) -> Lineage {
        let proofs = self.proven(&contents.chain_ids);
        let proof = proofs.clone().next();
        let mut candidates: Vec<(Distribution, Evidence)> = Vec::new();
        // The deepest base may be one of your own, of which nobody says what it stands on, or only a guess does: then
        // the one that it stands on itself tells. Among equals the deepest.
        let told =
            proofs.filter_map(|(base, layers)| Some((base, layers, base.distribution.as_ref()?)));
        let told = told.min_by_key(|(_, _, (_, strength))| Reverse(*strength));
        if let Some((base, layers, (distribution, of_base))) = told {
            let total = contents.chain_ids.len();
            let from = format!(
                "{layers} of {total} layers are {} ({})",
                base.name, base.source
            );
            // The layers prove the base. What is only a guess of the base remains one.
            let strength = match of_base {
                Strength::Hint => Strength::Hint,
                Strength::Stated | Strength::Layers | Strength::File => Strength::Layers,
            };
            candidates.push((distribution.clone(), Evidence::new(strength, from)));
        }
        let read = contents.files();
        if let Some(seen) = read.and_then(|files| files.distribution.as_ref()) {
            candidates.push((seen.value.clone(), seen.evidence()));
        }
        candidates.extend(stated::candidates(image, contents));
        // A stable sort: among equals the first source, which is the more specific one, stays first.
        candidates.sort_by_key(|(_, evidence)| Reverse(evidence.strength));
        // A release that is not told is no release: the next source that tells it completes the stronger one.
        if let Some((best, _)) = candidates.first()
            && best.is_incomplete()
        {
            let id = best.id().to_owned();
            let whole =
                |(other, _): &(Distribution, Evidence)| other.id() == id && !other.is_incomplete();
            match candidates.iter().position(whole) {
                Some(position) => candidates.rotate_left(position),
                None => candidates.clear(),
            }
        }
        // Among equals the one that tells the same more exactly: an annotation that says ubi9:latest hides no label's 9.2.
        if let Some((first, evidence)) = candidates.first() {
            let more = |(other, of_other): &(Distribution, Evidence)| {
                of_other.strength == evidence.strength && is_more_exact(other, first)
            };
            if let Some(position) = candidates.iter().position(more) {
                candidates.swap(0, position);
            }
        }
        let mut candidates = candidates.into_iter();
        let best = candidates.next();
        let contradictions = match &best {
            Some((distribution, _)) => candidates
                .filter(|(other, _)| contradicts(distribution, other))
                .map(|(other, evidence)| format!("{evidence} says {other}"))
                .collect(),
            None => Vec::new(),
        };
        let base = proof.map(|(base, _)| base.name.clone()).or_else(|| {
            // Only what is a reference is shown: a label may hold anything.
            let stated: ImageRef = contents.labels.get(stated::BASE_NAME)?.parse().ok()?;
            Some(stated.to_string())
        });
        Lineage {
            base,
            distribution: match best {
                Some((distribution, evidence)) => Fact::Known(distribution, evidence),
                None => Fact::Unknown(Gap::NothingTells),
            },
            contradictions,
        }
    }
}

/// Whether this is a release within the other one: 9.2 within 9.
fn is_more_exact(this: &Distribution, other: &Distribution) -> bool {
    let dotted = this.dotted().zip(other.dotted());
    this.id() == other.id()
        && dotted.is_some_and(|(this, other)| this != other && this.starts_with(&other))
}

/// Two distributions contradict unless one is the other, told more exactly.
pub fn contradicts(one: &Distribution, other: &Distribution) -> bool {
    if one.id() != other.id() {
        return true;
    }
    match (one.dotted(), other.dotted()) {
        (Some(a), Some(b)) => !a.starts_with(&b) && !b.starts_with(&a),
        _ => !one.version().is_empty() && !other.version().is_empty() && one != other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(fill: char) -> Digest {
        format!("sha256:{}", fill.to_string().repeat(64))
            .parse()
            .unwrap()
    }

    fn catalog() -> Catalog {
        let base = |name: &str, version: &str| KnownBase {
            name: name.to_owned(),
            distribution: Some((Distribution::new("rhel", version), Strength::Stated)),
            source: "BaseImage rhel6".to_owned(),
        };
        let guessed = KnownBase {
            distribution: Some((Distribution::new("alpine", "3.9"), Strength::Hint)),
            ..base("mine:1", "")
        };
        Catalog::new([
            (digest('d'), guessed.clone()),
            // A guess on top of a proof, and one for the same layers as a proof.
            (digest('e'), guessed.clone()),
            (digest('a'), guessed),
            (digest('a'), base("rhel6:6.9", "6.9")),
            (digest('b'), base("rhel6:6.10", "6.10")),
            (digest('b'), base("rhel6:latest", "6.10")),
        ])
    }

    fn contents(chains: &[char], labels: &[(&str, &str)]) -> Contents {
        Contents {
            chain_ids: chains.iter().copied().map(digest).collect(),
            labels: labels
                .iter()
                .map(|(k, v)| (k.to_string(), v.to_string()))
                .collect(),
            ..Contents::default()
        }
    }

    #[track_caller]
    fn check(image: &str, contents: &Contents, expected: &str) {
        let lineage = catalog().lineage(&image.parse().unwrap(), contents);
        let got = match &lineage.distribution {
            Fact::Known(distribution, evidence) => format!("{distribution} {}", evidence.strength),
            Fact::Unknown(gap) => gap.code().to_string(),
        };
        let base = lineage
            .base
            .map(|base| format!(" on {base}"))
            .unwrap_or_default();
        let more = lineage.contradictions.join("; ");
        assert_eq!(format!("{got}{base} {more}").trim(), expected);
    }

    #[test]
    fn the_deepest_known_chain_proves_the_base() {
        check(
            "x.y/app",
            &contents(&['a', 'b', 'c'], &[]),
            "rhel 6.10 layers on rhel6:6.10",
        );
        check(
            "x.y/app",
            &contents(&['a', 'c'], &[]),
            "rhel 6.9 layers on rhel6:6.9",
        );
        check(
            "x.y/app",
            &contents(&['c', 'a'], &[]),
            "rhel 6.9 layers on rhel6:6.9",
        );
        check("x.y/app", &contents(&['c'], &[]), "HF903");
    }

    #[test]
    fn stronger_evidence_wins_and_the_contradiction_is_shown() {
        check(
            "x.y/app",
            &contents(&['b'], &[("com.redhat.component", "ubi9-container")]),
            "rhel 6.10 layers on rhel6:6.10 label com.redhat.component (stated) says rhel 9",
        );
        // The same, told less exactly, is no contradiction.
        check(
            "x.y/app",
            &contents(&['b'], &[("com.redhat.component", "rhel6-container")]),
            "rhel 6.10 layers on rhel6:6.10",
        );
    }

    #[test]
    fn among_equals_the_more_exact_one_counts() {
        let base = (
            stated::BASE_NAME,
            "registry.access.redhat.com/ubi9/ubi:latest",
        );
        let labels = |version| {
            [
                base,
                ("com.redhat.component", "ubi9-container"),
                ("version", version),
            ]
        };
        let name = "registry.access.redhat.com/ubi9/ubi:latest";
        check(
            "x.y/app",
            &contents(&[], &labels("9.2")),
            &format!("rhel 9.2 stated on {name}"),
        );
        check(
            "x.y/app",
            &contents(&[], &labels("8.4")),
            &format!("rhel 9 stated on {name}"),
        );
    }

    #[test]
    fn a_guess_of_the_base_stays_one_for_what_stands_on_it() {
        check(
            "x.y/app",
            &contents(&['d'], &[]),
            "alpine 3.9 hint on mine:1",
        );
        check(
            "x.y/app",
            &contents(&['d'], &[("com.redhat.component", "ubi9-container")]),
            "rhel 9 stated on mine:1 1 of 1 layers are mine:1 (BaseImage rhel6) (hint) says alpine 3.9",
        );
    }

    #[test]
    fn a_guess_hides_no_proof() {
        check(
            "x.y/app",
            &contents(&['b', 'e'], &[]),
            "rhel 6.10 layers on mine:1",
        );
    }

    #[test]
    fn published_bases_are_known_without_any_object() {
        let rows: Vec<_> = tables::KNOWN_BASES.rows().collect();
        assert_eq!(rows.len(), PUBLISHED.len());
        let chain = "sha256:89169d87dbe2b72ba42bfbb3579c957322baca28e03a1e558076542a1c1b2b4a";
        let image = Contents {
            chain_ids: vec![chain.parse().unwrap()],
            ..Contents::default()
        };
        check("x.y/app", &image, "centos 7 layers on centos:7");
    }
}
