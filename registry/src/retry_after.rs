//! How long a registry wants to be left alone.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::{HeaderMap, RETRY_AFTER};

/// Without a readable header.
const DEFAULT: Duration = Duration::from_secs(30);
const LEAST: Duration = Duration::from_secs(1);
/// The most that is believed.
const MOST: Duration = Duration::from_secs(600);

/// The pause that a 429 asks for, in seconds or until a date, within one second and ten minutes.
pub(crate) fn retry_after(headers: &HeaderMap) -> Duration {
    let text = headers
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok());
    text.map_or(DEFAULT, |text| parse(text.trim(), SystemTime::now()))
}

fn parse(text: &str, now: SystemTime) -> Duration {
    let seconds = text.parse::<i128>().ok().map(|seconds| {
        let seconds = seconds.clamp(0, i128::from(u32::MAX));
        Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
    });
    let date = || {
        let date: Timestamp = DateTimeParser::new().parse_timestamp(text).ok()?;
        let pause = SystemTime::from(date).duration_since(now);
        Some(pause.unwrap_or_default())
    };
    seconds.or_else(date).unwrap_or(DEFAULT).clamp(LEAST, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: u64) {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_445_412_480);
        assert_eq!(parse(text, now).as_secs(), expected, "{text}");
    }

    #[test]
    fn pauses_are_believed_within_bounds() {
        check("30", 30);
        check("0", 1);
        check("-1", 1);
        check("1000000000", 600);
        check("99999999999999999999999999", 600);
        check("Wed, 21 Oct 2015 07:28:40 GMT", 40);
        check("Wed, 21 Oct 2015 07:00:00 GMT", 1);
        check("Wed, 21 Oct 2099 07:28:00 GMT", 600);
        check("soon", 30);
        check("", 30);
    }
}
