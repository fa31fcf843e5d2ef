//! Durations and times as rules and the formats of schemas write them.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::eval::{Outcome, failed};
use super::value::Val;

const UNITS: [(&str, i128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// `1h30m`, as Go reads it.
pub(super) fn duration(text: &str) -> Option<SignedDuration> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest.is_empty() {
        return None;
    }
    if rest == "0" {
        return Some(SignedDuration::ZERO);
    }
    let mut nanos: i128 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(end);
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let (_, size) = UNITS.iter().find(|(name, _)| *name == unit)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.len() + fraction.len() == 0 || whole.len() > 18 || fraction.contains('.') {
            return None;
        }
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        nanos = nanos.checked_add(whole.checked_mul(*size)?)?;
        let mut place = *size;
        for digit in fraction.bytes() {
            place /= 10;
            nanos = nanos.checked_add(i128::from(digit - b'0') * place)?;
        }
        rest = after;
    }
    let nanos = i64::try_from(sign * nanos).ok()?;
    Some(SignedDuration::from_nanos(nanos))
}

/// RFC 3339.
pub(super) fn timestamp(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// How a duration is written: seconds.
pub(super) fn shown(duration: SignedDuration) -> String {
    let nanos = duration.subsec_nanos().unsigned_abs();
    let sign = if duration.is_negative() { "-" } else { "" };
    let seconds = duration.as_secs().unsigned_abs();
    if nanos == 0 {
        return format!("{sign}{seconds}s");
    }
    let fraction = format!("{nanos:09}");
    format!("{sign}{seconds}.{}s", fraction.trim_end_matches('0'))
}

/// Parts of a time in UTC, and of a duration as a whole.
pub(super) fn part(name: &str, value: &Val) -> Outcome {
    let number = match value {
        Val::Duration(duration) => match name {
            "getHours" => duration.as_hours(),
            "getMinutes" => duration.as_mins(),
            "getSeconds" => duration.as_secs(),
            "getMilliseconds" => i64::from(duration.subsec_millis()),
            _ => return failed("no such overload"),
        },
        Val::Timestamp(at) => {
            let at = at.to_zoned(TimeZone::UTC);
            match name {
                "getFullYear" => at.year().into(),
                "getMonth" => i64::from(at.month()) - 1,
                "getDate" => at.day().into(),
                "getDayOfMonth" => i64::from(at.day()) - 1,
                "getDayOfYear" => i64::from(at.day_of_year()) - 1,
                "getDayOfWeek" => at.weekday().to_sunday_zero_offset().into(),
                "getHours" => at.hour().into(),
                "getMinutes" => at.minute().into(),
                "getSeconds" => at.second().into(),
                "getMilliseconds" => at.millisecond().into(),
                _ => return failed("no such overload"),
            }
        }
        _ => return failed("no such overload"),
    };
    Ok(Val::Int(number))
}
