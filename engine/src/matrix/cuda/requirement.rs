//! What an image demands of the NVIDIA driver, in the language of `NVIDIA_REQUIRE_*`: alternatives separated by white
//! space, each of conditions separated by commas (libnvidia-container, `src/cli/dsl.c`).

use std::cmp::Ordering;
use std::fmt;

use crate::host::{HostFact, HostFacts};
use crate::version::DottedVersion;

/// Alternatives that are read of one demand: those of CUDA's own images have some thirty.
const MOST: usize = 256;

/// A demand: one of the alternatives has to hold.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Requirement(Vec<Vec<Condition>>);

#[derive(Debug, Clone, PartialEq)]
struct Condition {
    key: Key,
    operator: Operator,
    value: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    /// Highest CUDA of the driver.
    Cuda,
    Driver,
    /// Compute capability.
    Arch,
    /// Family of products: no label tells it.
    Brand,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Clone, PartialEq)]
enum Value {
    Version(DottedVersion),
    Brand(String),
}

/// Whether a host satisfies a demand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Yes,
    No,
    /// This fact would tell.
    Unknown(HostFact),
}

/// Longer operators first, so that `>=` is not taken for `>`.
const OPERATORS: [(&str, Operator); 6] = [
    (">=", Operator::GreaterOrEqual),
    ("<=", Operator::LessOrEqual),
    ("!=", Operator::NotEqual),
    ("=", Operator::Equal),
    (">", Operator::Greater),
    ("<", Operator::Less),
];

impl Requirement {
    /// Nothing if a condition is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let conditions =
            |text: &str| -> Option<Vec<_>> { text.split(',').map(Condition::parse).collect() };
        let alternatives: Vec<_> = text
            .split_whitespace()
            .take(MOST)
            .map(conditions)
            .collect::<Option<_>>()?;
        Some(Self(alternatives))
    }

    /// One alternative that holds is enough. An empty demand demands nothing.
    pub(super) fn ask(&self, host: &HostFacts) -> Answer {
        let mut answer = match self.0.is_empty() {
            true => Answer::Yes,
            false => Answer::No,
        };
        for alternative in &self.0 {
            match all(alternative, host) {
                Answer::Yes => return Answer::Yes,
                Answer::Unknown(fact) => answer = Answer::Unknown(fact),
                Answer::No => {}
            }
        }
        answer
    }
}

/// Every condition has to hold; one that does not decides, whatever is unknown of the others.
fn all(conditions: &[Condition], host: &HostFacts) -> Answer {
    let mut answer = Answer::Yes;
    for condition in conditions {
        match condition.ask(host) {
            Answer::No => return Answer::No,
            Answer::Unknown(fact) => answer = Answer::Unknown(fact),
            Answer::Yes => {}
        }
    }
    answer
}

impl Condition {
    fn parse(text: &str) -> Option<Self> {
        let at = text.find(['<', '>', '=', '!'])?;
        let (key, rest) = text.split_at_checked(at)?;
        let (operator, value) = OPERATORS
            .iter()
            .find_map(|(sign, operator)| Some((*operator, rest.strip_prefix(sign)?)))?;
        let key = match key {
            "cuda" => Key::Cuda,
            "driver" => Key::Driver,
            "arch" => Key::Arch,
            "brand" => Key::Brand,
            _ => return None,
        };
        let value = match key {
            Key::Brand if value.is_empty() || value.starts_with('=') => return None,
            Key::Brand => match operator {
                Operator::Equal | Operator::NotEqual => Value::Brand(value.to_owned()),
                _ => return None,
            },
            Key::Cuda | Key::Driver | Key::Arch => Value::Version(value.parse().ok()?),
        };
        Some(Self {
            key,
            operator,
            value,
        })
    }

    fn ask(&self, host: &HostFacts) -> Answer {
        let (fact, known) = match self.key {
            Key::Cuda => (HostFact::Cuda, &host.cuda),
            Key::Driver => (HostFact::NvidiaDriver, &host.nvidia_driver),
            Key::Arch => (HostFact::ComputeCapability, &host.compute_capability),
            // As the original does with a brand that it does not know.
            Key::Brand => return Answer::Yes,
        };
        let (Value::Version(wanted), Some(known)) = (&self.value, known) else {
            return Answer::Unknown(fact);
        };
        let order = known.cmp(wanted);
        let holds = match self.operator {
            Operator::Equal => order == Ordering::Equal,
            Operator::NotEqual => order != Ordering::Equal,
            Operator::Less => order == Ordering::Less,
            Operator::LessOrEqual => order != Ordering::Greater,
            Operator::Greater => order == Ordering::Greater,
            Operator::GreaterOrEqual => order != Ordering::Less,
        };
        match holds {
            true => Answer::Yes,
            false => Answer::No,
        }
    }
}

impl fmt::Display for Requirement {
    /// The first alternative, which is the simple one in NVIDIA's own images, and how many more there are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((first, others)) = self.0.split_first() else {
            return f.write_str("nothing");
        };
        for (index, condition) in first.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{condition}")?;
        }
        match others.len() {
            0 => Ok(()),
            more => write!(f, " (or {more} alternatives)"),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = match self.key {
            Key::Cuda => "cuda",
            Key::Driver => "driver",
            Key::Arch => "arch",
            Key::Brand => "brand",
        };
        let sign = OPERATORS
            .iter()
            .find(|(_, operator)| *operator == self.operator);
        let sign = sign.map_or("", |(sign, _)| sign);
        match &self.value {
            Value::Version(version) => write!(f, "{key}{sign}{version}"),
            Value::Brand(brand) => write!(f, "{key}{sign}{brand}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(demand: &str, driver: &str, cuda: &str, expected: Answer) {
        let host = HostFacts {
            nvidia_driver: driver.parse().ok(),
            cuda: cuda.parse().ok(),
            compute_capability: "8.0".parse().ok(),
            ..HostFacts::default()
        };
        let requirement = Requirement::parse(demand).expect(demand);
        assert_eq!(
            requirement.ask(&host),
            expected,
            "{demand} of driver {driver}, CUDA {cuda}"
        );
    }

    #[test]
    fn alternatives_and_conditions_are_those_of_the_original() {
        use Answer::{No, Unknown, Yes};
        check("cuda>=12.4", "570.86.15", "12.8", Yes);
        check("cuda>=12.4", "535.104.05", "12.2", No);
        check(
            "cuda>=12.4 driver>=535,driver<536",
            "535.104.05",
            "12.2",
            Yes,
        );
        check("cuda>=12.4 driver>=535,driver<536", "545.23.08", "12.3", No);
        check("driver>=450", "450.80", "11", Yes);
        check("driver=450", "450.80", "11", No);
        check("driver=450.0", "450", "11", Yes);
        check("driver!=450", "450.80", "11", Yes);
        check("cuda>12.4", "550", "12.4.0", No);
        check("cuda<=12.4", "550", "12.4.0", Yes);
        check("arch>=9.0", "550", "12.4", No);
        check("arch<9.0,brand=tesla", "550", "12.4", Yes);
        check("", "550", "12.4", Yes);
        check("cuda>=12.4", "550", "?", Unknown(HostFact::Cuda));
        // What is known decides where it can.
        check("cuda>=12.4,driver>=600", "550", "?", No);
        check("cuda>=12.4 driver>=500", "550", "?", Yes);
        check(
            "cuda>=12.4 driver>=600",
            "550",
            "?",
            Unknown(HostFact::Cuda),
        );
    }

    #[test]
    fn what_is_no_demand_is_none() {
        for text in [
            "cuda",
            "cuda==12",
            "cuda>=",
            "cuda>=new",
            "moon>=1",
            "brand>tesla",
            "cuda>=12,",
            ",",
            "=12",
        ] {
            assert_eq!(Requirement::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_demand_is_shown_by_its_first_alternative() {
        let shown = |text: &str| Requirement::parse(text).map(|it| it.to_string());
        assert_eq!(shown("cuda>=12.4").as_deref(), Some("cuda>=12.4"));
        assert_eq!(
            shown("brand=tesla,driver>=470 cuda>=13").as_deref(),
            Some("brand=tesla,driver>=470 (or 1 alternatives)")
        );
    }
}
