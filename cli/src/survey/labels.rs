//! `-l`: which labels a workload must have, as kubectl reads it.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use kube::core::{Expression, Selector, SelectorExt as _};

/// A selector of labels. The default selects everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Labels(Selector);

impl Labels {
    /// Whether something with these labels is selected.
    pub(crate) fn admit(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.matches(labels)
    }
}

impl FromStr for Labels {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut rest = text.trim();
        let mut all = Vec::new();
        while !rest.is_empty() {
            // A comma in parentheses stands between values.
            let open = rest.find('(');
            let end = match (rest.find(','), open) {
                (Some(comma), Some(open)) if open < comma => {
                    let close = rest.find(')').ok_or("a parenthesis is not closed")?;
                    close + 1
                }
                (Some(comma), _) => comma,
                (None, _) => rest.len(),
            };
            let (one, after) = rest.split_at(end);
            all.push(requirement(one.trim())?);
            rest = after.trim_start_matches([',', ' ']);
        }
        Ok(Self(all.into_iter().collect()))
    }
}

fn requirement(text: &str) -> Result<Expression, String> {
    let key = |key: &str| match key.trim() {
        "" => Err(format!("{text:?} names no label")),
        key if key.contains([' ', '(', ')', '=', '!', ',']) => Err(format!(
            "{text:?} is none of a=b, a!=b, a in (b,c), a notin (b,c), a, !a"
        )),
        key => Ok(key.to_owned()),
    };
    if let Some((name, value)) = text.split_once("!=") {
        return Ok(Expression::NotEqual(key(name)?, value.trim().to_owned()));
    }
    if let Some((name, value)) = text.split_once('=') {
        let value = value.strip_prefix('=').unwrap_or(value);
        return Ok(Expression::Equal(key(name)?, value.trim().to_owned()));
    }
    if let Some((left, values)) = text.split_once('(') {
        let values = values.trim_end().strip_suffix(')');
        let values = values.ok_or_else(|| format!("{text:?}: a parenthesis is not closed"))?;
        let values: BTreeSet<_> = values.split(',').map(|it| it.trim().to_owned()).collect();
        let left = left.trim_end();
        return match left.rsplit_once(' ') {
            Some((name, "in")) => Ok(Expression::In(key(name)?, values)),
            Some((name, "notin")) => Ok(Expression::NotIn(key(name)?, values)),
            _ => Err(format!("{text:?}: write a in (b,c) or a notin (b,c)")),
        };
    }
    match text.strip_prefix('!') {
        Some(name) => Ok(Expression::DoesNotExist(key(name)?)),
        None => Ok(Expression::Exists(key(text)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(selector: &str, admitted: &[&str], refused: &[&str]) {
        let selector: Labels = selector.parse().unwrap();
        let labels = |text: &str| {
            let pairs = text
                .split_whitespace()
                .filter_map(|pair| pair.split_once('='));
            pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
        };
        for text in admitted {
            assert!(selector.admit(&labels(text)), "{text:?}");
        }
        for text in refused {
            assert!(!selector.admit(&labels(text)), "{text:?}");
        }
    }

    #[test]
    fn labels_are_selected_as_kubectl_does() {
        check("", &["", "a=b"], &[]);
        check("a=b", &["a=b c=d"], &["", "a=c"]);
        check("a==b, c!=d", &["a=b", "a=b c=e"], &["a=b c=d"]);
        check("a in (b, c),x", &["a=c x=1"], &["a=c", "a=d x=1"]);
        check("a notin (b,c)", &["", "a=d"], &["a=b"]);
        check("!a", &["b=c"], &["a=b"]);
        for wrong in ["a in b", "a in (b", "=b", "a b", "a on (b)"] {
            assert!(wrong.parse::<Labels>().is_err(), "{wrong}");
        }
    }
}
