//! How cells are worded.

use serde_json::Value;

/// What is shown for nothing.
pub(super) const NONE: &str = "<none>";

/// How long ago a time was, in kubectl's words.
pub(super) fn age(time: &Value, now: jiff::Timestamp) -> String {
    let time: Option<jiff::Timestamp> = time.as_str().and_then(|text| text.parse().ok());
    time.map_or_else(|| "<unknown>".to_owned(), |time| human(now.duration_since(time).as_secs()))
}

/// A duration in seconds as people say it: two units at most, fewer the longer it is.
pub(super) fn human(seconds: i64) -> String {
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let days = hours / 24;
    let two = |large: i64, unit: &str, small: i64, part: &str| match small {
        0 => format!("{large}{unit}"),
        small => format!("{large}{unit}{small}{part}"),
    };
    match () {
        () if seconds < -1 => "<invalid>".to_owned(),
        () if seconds < 0 => "0s".to_owned(),
        () if seconds < 120 => format!("{seconds}s"),
        () if minutes < 10 => two(minutes, "m", seconds % 60, "s"),
        () if minutes < 180 => format!("{minutes}m"),
        () if hours < 8 => two(hours, "h", minutes % 60, "m"),
        () if hours < 48 => format!("{hours}h"),
        () if days < 8 => two(days, "d", hours % 24, "h"),
        () if days < 730 => format!("{days}d"),
        () if days < 365 * 8 => two(days / 365, "y", days % 365, "d"),
        () => format!("{}y", days / 365),
    }
}

/// `a=b,c=d`, or that there is nothing.
pub(super) fn pairs(map: &Value) -> String {
    let pairs = map.as_object().into_iter().flatten();
    let pairs: Vec<String> =
        pairs.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    if pairs.is_empty() { NONE.to_owned() } else { pairs.join(",") }
}

/// A label selector in one line.
pub(super) fn selector(selector: &Value) -> String {
    if selector.is_null() {
        return "<none>".to_owned();
    }
    let mut parts: Vec<String> = Vec::new();
    if let Some(labels) = selector["matchLabels"].as_object() {
        parts.extend(labels.iter().map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())));
    }
    for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
        let key = expression["key"].as_str().unwrap_or_default();
        let values = expression["values"].as_array().into_iter().flatten();
        let values: Vec<&str> = values.filter_map(Value::as_str).collect();
        parts.push(match expression["operator"].as_str() {
            Some("In") => format!("{key} in ({})", values.join(",")),
            Some("NotIn") => format!("{key} notin ({})", values.join(",")),
            Some("DoesNotExist") => format!("!{key}"),
            _ => key.to_owned(),
        });
    }
    if parts.is_empty() { NONE.to_owned() } else { parts.join(",") }
}

/// The first `most` of some texts, and how many more there are.
pub(super) fn some(texts: &[String], most: usize) -> String {
    match texts {
        [] => NONE.to_owned(),
        texts if texts.len() > most => format!("{} + {} more...", texts[..most].join(","), texts.len() - most),
        texts => texts.join(","),
    }
}

/// A text, or that there is none.
pub(super) fn or_none(value: &Value) -> String {
    or(value, NONE)
}

/// A text, or another.
pub(super) fn or(value: &Value, other: &str) -> String {
    value.as_str().filter(|text| !text.is_empty()).unwrap_or(other).to_owned()
}
