//! The one clock of the tool: seconds since 1970, and how such a moment is written.
//!
//! It is the clock of the machine that issues or checks, so it is the authority's own. Players' machines have no say.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The last second that can be written with a four-digit year.
pub const LAST: u64 = 253_402_300_799;

/// Seconds since 1970. A clock before 1970 reads 0, where nothing holds yet.
#[allow(clippy::disallowed_methods)] // this is the room that reads the clock
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A moment for people, in UTC.
pub fn written(seconds: u64) -> String {
    if seconds > LAST {
        return format!("{seconds} s after 1970");
    }
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds)).to_string()
}

/// A span for people, to the two largest units that say something.
pub fn span(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// Reads a moment: seconds since 1970, a day (its first second, UTC), or a day and time (RFC 3339, UTC).
///
/// # Errors
/// What a moment looks like.
pub fn read(text: &str) -> Result<u64, String> {
    let says = "takes 2027-01-31, 2027-01-31T12:00:00Z, or seconds since 1970";
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok().filter(|seconds| *seconds <= LAST).ok_or_else(|| says.to_owned());
    }
    let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    let moment = humantime::parse_rfc3339_weak(&whole).map_err(|_| says.to_owned())?;
    moment.duration_since(UNIX_EPOCH).map(|since| since.as_secs()).map_err(|_| says.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        for seconds in [0, 1, 1_800_000_000, LAST] {
            assert_eq!(read(&written(seconds)), Ok(seconds));
            assert_eq!(read(&seconds.to_string()), Ok(seconds));
        }
        assert_eq!(written(1_800_000_000), "2027-01-15T08:00:00Z");
        assert_eq!(read("2027-01-15"), Ok(1_799_971_200));
        assert_eq!(written(u64::MAX), "18446744073709551615 s after 1970");
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in ["", "tomorrow", "2027-13-01", "2027-01-15T25:00:00Z", "-1", "1e9", "99999999999999999999"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn spans_say_what_matters() {
        let spans = [0, 59, 61, 3_600, 90_000].map(span);
        assert_eq!(spans, ["0 s", "59 s", "1 min 1 s", "1 h 0 min", "1 d 1 h"]);
    }
}
