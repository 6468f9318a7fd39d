//! What the log was told of base images that cannot be followed: the same only once an hour, however often they are tried.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

/// After this the same is news again, for whoever reads the end of a log.
const AGAIN: Duration = Duration::from_secs(3600);

/// What was logged of each base, and when.
#[derive(Default)]
pub(super) struct Told(HashMap<String, (String, Instant)>);

impl Told {
    /// Whether what keeps this base from being followed is news. Without a problem there is nothing to tell.
    pub(super) fn is_news(&mut self, base: &str, problem: Option<&str>, now: Instant) -> bool {
        let Some(problem) = problem else {
            self.0.remove(base);
            return false;
        };
        let before = self.0.get(base);
        let is_news = before.is_none_or(|(told, at)| told != problem || now >= *at + AGAIN);
        if is_news {
            self.0.insert(base.to_owned(), (problem.to_owned(), now));
        }
        is_news
    }

    /// Forgets the bases that are gone.
    pub(super) fn retain(&mut self, is_there: impl Fn(&str) -> bool) {
        self.0.retain(|base, _| is_there(base));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_that_stays_unreadable_is_told_once_an_hour() {
        let start = Instant::now();
        let mut told = Told::default();
        let mut says = |problem: Option<&str>, minute: u64| {
            told.is_news("ubi9", problem, start + Duration::from_secs(60 * minute))
        };
        assert!(says(Some("no answer"), 0));
        assert!((1..60).all(|minute| !says(Some("no answer"), minute)));
        assert!(says(Some("no answer"), 60));
        assert!(says(Some("refused"), 61));
        assert!(!says(Some("refused"), 62));
        assert!(!says(None, 63));
        assert!(says(Some("refused"), 64));
    }
}
