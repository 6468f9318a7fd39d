//! Lists of hostile documents, read without building more than is wanted of them.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};

/// The length of a list.
pub(super) struct Count(pub(super) usize);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let List::<0, IgnoredAny> { count, .. } = list(deserializer)?;
        Ok(Self(count))
    }
}

/// At most the first `N` elements of a list; none for `null`.
pub(super) struct Bounded<const N: usize, T>(pub(super) Vec<T>);

impl<const N: usize, T> Default for Bounded<N, T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, const N: usize, T: Deserialize<'de>> Deserialize<'de> for Bounded<N, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let List::<N, T> { first, .. } = list(deserializer)?;
        Ok(Self(first))
    }
}

struct List<const N: usize, T> {
    first: Vec<T>,
    count: usize,
}

fn list<'de, const N: usize, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<List<N, T>, D::Error> {
    struct Elements<const N: usize, T>(PhantomData<T>);

    impl<'de, const N: usize, T: Deserialize<'de>> Visitor<'de> for Elements<N, T> {
        type Value = List<N, T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            let (first, count) = (Vec::new(), 0);
            Ok(List { first, count })
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut first = Vec::new();
            while first.len() < N {
                match seq.next_element()? {
                    Some(element) => first.push(element),
                    None => break,
                }
            }
            let mut count = first.len();
            while seq.next_element::<IgnoredAny>()?.is_some() {
                count += 1;
            }
            Ok(List { first, count })
        }
    }

    deserializer.deserialize_any(Elements::<N, T>(PhantomData))
}
