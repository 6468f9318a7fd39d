//! Durations as people write them in flags.

use std::time::Duration;

/// `90s`, `10m`, `12h` or `30d`.
///
/// # Errors
///
/// If it is none, or no time at all: what to write instead.
pub fn duration(text: &str) -> Result<Duration, String> {
    let error = || format!("{text:?} is not a duration: write for example 90s, 10m, 12h or 30d");
    let unit = text.chars().last().ok_or_else(error)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(error()),
    };
    let number: u64 = text.trim_end_matches(unit).parse().map_err(|_| error())?;
    number
        .checked_mul(seconds)
        .filter(|seconds| *seconds > 0)
        .map(Duration::from_secs)
        .ok_or_else(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_a_unit_are_a_duration() {
        #[track_caller]
        fn check(text: &str, seconds: Option<u64>) {
            assert_eq!(
                duration(text).ok(),
                seconds.map(Duration::from_secs),
                "{text}"
            );
        }
        check("90s", Some(90));
        check("10m", Some(600));
        check("12h", Some(43_200));
        check("30d", Some(2_592_000));
        for text in [
            "",
            "s",
            "0s",
            "-1s",
            "1.5h",
            "10",
            "soon",
            "99999999999999999999d",
        ] {
            check(text, None);
        }
        assert!(
            duration("soon")
                .unwrap_err()
                .contains("write for example 90s")
        );
    }
}
