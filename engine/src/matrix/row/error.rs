//! What can be wrong with a row, in words for the one who wrote it.

use crate::version::RangeError;

/// Why a row cannot be evaluated. Shown in the condition of the SupportMatrix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// No such fact.
    #[error("row {row:?}: {side} has no fact {name:?}{}", nearest.as_ref().map(|n| format!("; did you mean {n:?}?")).unwrap_or_default())]
    UnknownFact {
        /// Name of the row.
        row: String,
        /// `image` or `host`.
        side: &'static str,
        /// What was written.
        name: String,
        /// The nearest name that exists.
        nearest: Option<String>,
    },
    /// A version range that cannot be read or fulfilled.
    #[error("row {row:?}: {side}.{name}: {error}")]
    Range {
        /// Name of the row.
        row: String,
        /// `image` or `host`.
        side: &'static str,
        /// The fact.
        name: String,
        /// What is wrong.
        error: RangeError,
    },
    /// A row without any selector would speak of everything.
    #[error("row {row:?} selects nothing: give it at least one fact of the image or the host")]
    Empty {
        /// Name of the row.
        row: String,
    },
    /// Two rows say different things of the same pairs.
    #[error("rows {first:?} and {second:?} select the same pairs and contradict each other")]
    Contradiction {
        /// Name of the earlier row.
        first: String,
        /// Name of the later row.
        second: String,
    },
    /// Two rows have one name.
    #[error("two rows are called {name:?}")]
    Duplicate {
        /// The name.
        name: String,
    },
}
