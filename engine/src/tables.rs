//! The tables that are built in, each with the day on which it was made: rules are as good as they are new.

use crate::version::Date;

/// A table: tabs between the fields, `#` before comments, one line of headings.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// Its name, that of its file without the ending.
    pub name: &'static str,
    /// What is in it.
    pub about: &'static str,
    /// Its text.
    pub text: &'static str,
}

macro_rules! table {
    ($name:literal, $about:literal) => {
        Table {
            name: $name,
            about: $about,
            text: include_str!(concat!("../data/", $name, ".tsv")),
        }
    };
}

pub(crate) const DISTRIBUTIONS: Table = table!(
    "distributions",
    "distribution releases: C library, kernel, CPU level, end of support"
);
pub(crate) const HOSTS: Table = table!("hosts", "built-in hosts");
pub(crate) const KNOWN_BASES: Table =
    table!("known_bases", "published base images, by their layers");
pub(crate) const SUPPORT: Table = table!(
    "support",
    "matrices of vendors: which images they support on which hosts"
);
pub(crate) const WINDOWS: Table =
    table!("windows", "Microsoft's matrix of Windows images and hosts");

impl Table {
    /// Every table.
    pub const ALL: [Self; 5] = [DISTRIBUTIONS, HOSTS, KNOWN_BASES, SUPPORT, WINDOWS];

    /// The day on which it was made, or on which its source was.
    pub fn date(&self) -> Option<Date> {
        let line = self.text.lines().next()?;
        line.strip_prefix("# date: ")?.trim().parse().ok()
    }

    /// What its fields are called.
    pub fn columns(&self) -> Vec<&'static str> {
        let mut lines = self.text.lines();
        let headings = lines.find(|line| !line.is_empty() && !line.starts_with('#'));
        headings.map_or_else(Vec::new, |line| line.split('\t').collect())
    }

    /// The fields of each row.
    pub fn rows(&self) -> impl Iterator<Item = Vec<&'static str>> + use<> {
        self.text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .skip(1)
            .map(|line| line.split('\t').collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_has_a_date_and_rows_as_wide_as_its_headings() {
        for table in Table::ALL {
            let name = table.name;
            let published = crate::RULES_PUBLISHED.parse().unwrap();
            assert!(table.date().is_some_and(|date| date <= published), "{name}");
            let width = table.columns().len();
            assert!(table.rows().count() > 5, "{name}");
            for row in table.rows() {
                assert_eq!(row.len(), width, "{name}: {row:?}");
            }
        }
    }
}
