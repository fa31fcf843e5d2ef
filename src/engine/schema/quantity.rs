//! Values that the API server writes back in another spelling: quantities,
//! times and durations, read into numbers so that spellings can be compared.

use serde_json::Value;

/// A `resource.Quantity`, exact down to 10^-9 as the API server keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity {
    nanos: i128,
}

/// How a quantity is spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Decimal,
    Binary,
    Exponent,
}

const NANO: i128 = 1_000_000_000;
const DECIMAL: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];
const BINARY: [(&str, u32); 6] = [("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50), ("Ei", 60)];

// === impl Quantity ===

impl Quantity {
    /// Reads a quantity; a bare number is one too. `None` when it is not one or
    /// does not fit 128 bits. Fractions of a billionth are rounded up, away from zero.
    pub fn parse(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => parse(text).map(|(q, _)| q),
            Value::Number(number) => parse(&number.to_string()).map(|(q, _)| q),
            _ => None,
        }
    }

    /// In thousandths, rounded up; the largest number where it does not fit.
    pub fn milli(self) -> i64 {
        const MICROS: i128 = NANO / 1000;
        let whole = self.nanos.div_euclid(MICROS) + i128::from(self.nanos.rem_euclid(MICROS) > 0);
        i64::try_from(whole).unwrap_or(if self.nanos < 0 { i64::MIN } else { i64::MAX })
    }
}

/// The spelling the API server would store, or `None` when it is no quantity.
pub fn canonical(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let (quantity, format) = parse(&text)?;
    Some(write(quantity.nanos, format))
}

fn parse(text: &str) -> Option<(Quantity, Format)> {
    let (negative, rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let (number, suffix) = rest.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let digits = format!("{whole}{fraction}");
    let mantissa: i128 = digits.parse().ok()?;
    let scale = -i32::try_from(fraction.len()).ok()?;
    let (format, nanos) = if let Some((_, bits)) = BINARY.iter().find(|(s, _)| *s == suffix) {
        (Format::Binary, scaled(mantissa.checked_mul(1i128 << bits)?, scale + 9)?)
    } else if let Some((_, power)) = DECIMAL.iter().find(|(s, _)| *s == suffix) {
        (Format::Decimal, scaled(mantissa, scale + power + 9)?)
    } else {
        let power: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
        (Format::Exponent, scaled(mantissa, scale.checked_add(power)?.checked_add(9)?)?)
    };
    Some((Quantity { nanos: if negative { -nanos } else { nanos } }, format))
}

/// `mantissa * 10^power`, rounded up.
fn scaled(mantissa: i128, power: i32) -> Option<i128> {
    if mantissa == 0 {
        return Some(0);
    }
    if power >= 0 {
        return mantissa.checked_mul(10i128.checked_pow(power.unsigned_abs())?);
    }
    match 10i128.checked_pow(power.unsigned_abs()) {
        Some(divisor) => Some(mantissa.checked_add(divisor - 1)? / divisor),
        None => Some(1),
    }
}

fn write(nanos: i128, format: Format) -> String {
    if nanos == 0 {
        return "0".to_owned();
    }
    if format == Format::Binary && nanos % NANO == 0 && (nanos / NANO).abs() >= 1024 {
        let mut value = nanos / NANO;
        let mut suffix = "";
        for (name, _) in BINARY {
            if value % 1024 != 0 {
                break;
            }
            value /= 1024;
            suffix = name;
        }
        return format!("{value}{suffix}");
    }
    let (mut value, mut step) = (nanos, 0);
    while value % 1000 == 0 && step + 1 < DECIMAL.len() {
        value /= 1000;
        step += 1;
    }
    let (suffix, power) = DECIMAL[step];
    if format == Format::Exponent && power != 0 { format!("{value}e{power}") } else { format!("{value}{suffix}") }
}

/// Microseconds since 1970 of an RFC 3339 time.
pub(crate) fn parse_time_micros(value: &Value) -> Option<i64> {
    let timestamp: jiff::Timestamp = value.as_str()?.parse().ok()?;
    Some(timestamp.as_microsecond())
}

/// Nanoseconds of a Go duration.
pub(crate) fn parse_duration_nanos(value: &Value) -> Option<u128> {
    argosy_model::duration::parse(value.as_str()?).ok().map(|d| d.as_nanos())
}

/// A duration as Go prints it: `1h0m0s`, `1.5s`, `250ms`.
pub(crate) fn canonical_duration(value: &Value) -> Option<String> {
    let nanos = parse_duration_nanos(value)?;
    let (unit, suffix) = match nanos {
        0 => return Some("0s".to_owned()),
        n if n < 1_000 => (1, "ns"),
        n if n < 1_000_000 => (1_000, "\u{b5}s"),
        n if n < 1_000_000_000 => (1_000_000, "ms"),
        _ => (1_000_000_000, "s"),
    };
    let (minutes, rest) = (nanos / 60_000_000_000, nanos % 60_000_000_000);
    let (whole, fraction) = (rest / unit, rest % unit);
    let digits = unit.to_string().len() - 1;
    let fraction = if fraction == 0 { String::new() } else { format!(".{fraction:0digits$}") };
    let seconds = format!("{whole}{}{suffix}", fraction.trim_end_matches('0'));
    Some(match (minutes / 60, minutes % 60) {
        (0, 0) => seconds,
        (0, minutes) => format!("{minutes}m{seconds}"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn spellings_of_one_quantity_are_equal() {
        for (a, b) in [
            (json!("1000m"), json!("1")),
            (json!("1Gi"), json!("1073741824")),
            (json!(0.5), json!("500m")),
            (json!(1), json!("1")),
            (json!("1e3"), json!("1k")),
            (json!("0.1Gi"), json!("107374182400m")),
            (json!(".5"), json!("500m")),
        ] {
            assert_eq!(Quantity::parse(&a).expect("reads"), Quantity::parse(&b).expect("reads"), "{a} {b}");
        }
        assert_ne!(Quantity::parse(&json!("1G")), Quantity::parse(&json!("1Gi")));
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for text in ["", "x", "1.2.3", "1Qi", "-", "1e", "e3", "99999999999999999999999999999999999999999"] {
            assert_eq!(Quantity::parse(&json!(text)), None, "{text}");
        }
    }

    #[test]
    fn durations_are_spelled_as_go_does() {
        for (given, stored) in [
            ("60m", "1h0m0s"),
            ("90s", "1m30s"),
            ("1500ms", "1.5s"),
            ("250ms", "250ms"),
            ("0s", "0s"),
            ("1h", "1h0m0s"),
            ("1us", "1\u{b5}s"),
        ] {
            assert_eq!(canonical_duration(&json!(given)).as_deref(), Some(stored), "{given}");
        }
    }

    #[test]
    fn canonical_spelling_is_the_api_servers() {
        // Each pair as a real API server 1.36 answered.
        for (given, stored) in [
            ("1000m", "1"),
            ("1500m", "1500m"),
            ("0.5", "500m"),
            ("1024Mi", "1Gi"),
            ("1000Mi", "1000Mi"),
            ("1000k", "1M"),
            ("0", "0"),
            ("512Ki", "512Ki"),
            ("1e3", "1e3"),
            ("1000", "1k"),
        ] {
            assert_eq!(canonical(&json!(given)).as_deref(), Some(stored), "{given}");
        }
    }
}
