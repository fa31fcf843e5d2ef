//! How one value is written.

use std::collections::BTreeSet;
use std::time::Duration;

use argosy_model::{FenceWish, duration};

/// `resource.respectRBAC`: what a watch that is forbidden means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RespectRbac {
    /// An error.
    #[default]
    Disabled,
    /// The kind is left out after a list was refused.
    Normal,
    /// The kind is left out after an access review was negative.
    Strict,
}

/// Go's `strconv.ParseBool`.
pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text.trim() {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        other => Err(format!("{other:?} is neither true nor false")),
    }
}

/// A whole number that is not negative.
pub(super) fn number(text: &str) -> Result<u64, String> {
    text.trim().parse().map_err(|_| format!("{text:?} is not a whole number"))
}

/// A number with a fraction.
pub(super) fn decimal(text: &str) -> Result<f64, String> {
    let number: Option<f64> = text.trim().parse().ok();
    number.filter(|n| n.is_finite() && *n >= 0.0).ok_or_else(|| format!("{text:?} is not a number"))
}

/// A Go duration, bare seconds, or whole days.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    let days = text.trim().strip_suffix('d').and_then(|days| days.parse::<u32>().ok());
    match days {
        Some(days) => Ok(Duration::from_secs(u64::from(days) * 86_400)),
        None => duration::parse(text).map_err(|e| e.to_string()),
    }
}

/// A Go duration, or bare milliseconds.
pub(super) fn milliseconds(text: &str) -> Result<Duration, String> {
    text.trim().parse().map(Duration::from_millis).or_else(|_| time(text))
}

/// A Kubernetes quantity, in bytes.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let factor: u64 = match &text[digits..] {
        "" => 1,
        "k" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "T" => 1_000_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1 << 40,
        _ => return Err(format!("{text:?} is not a size; write it like 10M or 1Gi")),
    };
    let number: f64 = text[..digits].parse().map_err(|_| format!("{text:?} is not a size"))?;
    // Sizes are far below the 2^53 that a float holds exactly.
    Ok((number * factor as f64) as u64)
}

/// Any text.
pub(super) fn string(text: &str) -> Result<String, String> {
    Ok(text.to_owned())
}

/// Items between commas; blanks around them and empty ones are dropped.
pub(super) fn list(text: &str) -> Result<Vec<String>, String> {
    Ok(text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect())
}

/// As [`list`], each item once.
pub(super) fn set(text: &str) -> Result<BTreeSet<String>, String> {
    list(text).map(|items| items.into_iter().collect())
}

/// `normal` or `strict`.
pub(super) fn respect_rbac(text: &str) -> Result<RespectRbac, String> {
    match text.trim() {
        "normal" => Ok(RespectRbac::Normal),
        "strict" => Ok(RespectRbac::Strict),
        other => Err(format!("{other:?} is neither normal nor strict")),
    }
}

/// `auto`, `none`, `token` or `binding`.
pub(super) fn fence(text: &str) -> Result<FenceWish, String> {
    text.parse()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_quantities() {
        assert_eq!(size("10M"), Ok(10_000_000));
        assert_eq!(size("1.5Gi"), Ok(1_610_612_736));
        assert_eq!(size("42"), Ok(42));
        assert!(size("10MB").is_err());
        assert!(size("").is_err());
    }

    #[test]
    fn times_are_durations_seconds_or_days() {
        assert_eq!(time("180"), Ok(Duration::from_secs(180)));
        assert_eq!(time("1h0m0s"), Ok(Duration::from_secs(3600)));
        assert_eq!(time("2d"), Ok(Duration::from_secs(172_800)));
        assert_eq!(milliseconds("100"), Ok(Duration::from_millis(100)));
        assert!(time("soon").is_err());
    }
}
