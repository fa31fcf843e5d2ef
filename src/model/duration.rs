//! Durations as Go writes them (`1h30m`, `250ms`), or bare seconds.

use std::time::Duration;

/// Why a text is not a duration.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not a duration; write it like 90s, 5m or 1h30m")]
pub struct InvalidDuration(pub String);

/// Reads a duration as Go does: a number needs its unit, only `0` does without.
///
/// # Errors
/// [`InvalidDuration`] with the text as given.
pub fn parse_go(text: &str) -> Result<Duration, InvalidDuration> {
    match text.parse::<u64>() {
        Ok(number) if number != 0 => Err(InvalidDuration(text.to_owned())),
        _ => parse(text),
    }
}

/// Reads a Go duration, or a bare whole number of seconds. Negative durations
/// are refused: nothing here may last less than nothing.
///
/// # Errors
/// [`InvalidDuration`] with the text as given.
pub fn parse(text: &str) -> Result<Duration, InvalidDuration> {
    let invalid = || InvalidDuration(text.to_owned());
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Err(invalid());
    }
    if let Ok(seconds) = trimmed.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    let mut rest = trimmed.strip_prefix('+').unwrap_or(trimmed);
    let mut total = 0f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(invalid)?;
        let number: f64 = rest[..digits].parse().map_err(|_| invalid())?;
        rest = &rest[digits..];
        let unit = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        total += number
            * match &rest[..unit] {
                "ns" => 1e-9,
                "us" | "µs" | "μs" => 1e-6,
                "ms" => 1e-3,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                _ => return Err(invalid()),
            };
        rest = &rest[unit..];
    }
    Duration::try_from_secs_f64(total).map_err(|_| invalid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_go_durations_and_bare_seconds() {
        assert_eq!(parse("5"), Ok(Duration::from_secs(5)));
        assert_eq!(parse("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse("1.5s"), Ok(Duration::from_millis(1500)));
    }

    #[test]
    fn refuses_what_is_not_a_duration() {
        for text in ["", "s", "5x", "-3s", "1h3"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
