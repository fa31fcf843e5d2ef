//! The formats of texts that schemas of custom resources may ask for.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use regex::Regex;

static UUID: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new("^(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$")
        .expect("a pattern of this file")
});
static HOST_NAME: LazyLock<Regex> = LazyLock::new(|| {
    // A name of one label; of several, the last begins and ends with a letter and has two.
    Regex::new(r"^([a-zA-Z0-9]([-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?\.)*[a-zA-Z]([-a-zA-Z]{0,61}[a-zA-Z])$")
        .expect("a pattern of this file")
});
static DURATION: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^[-+]?(([0-9]+(\.[0-9]*)?|\.[0-9]+)\s*(ns|us|µs|ms|s|m|h|d|w|[a-z]+))+$|^[-+]?0$")
        .expect("a pattern of this file")
});
static UNIT: LazyLock<Regex> = LazyLock::new(|| Regex::new("[a-zµ]+").expect("a pattern of this file"));

/// Units of a duration, those in whole words included.
const UNITS: [&str; 27] = [
    "ns",
    "nano",
    "nanosecond",
    "nanoseconds",
    "us",
    "µs",
    "micro",
    "microsecond",
    "microseconds",
    "ms",
    "milli",
    "millisecond",
    "milliseconds",
    "s",
    "sec",
    "second",
    "seconds",
    "m",
    "min",
    "minute",
    "minutes",
    "h",
    "hr",
    "hour",
    "hours",
    "d",
    "w",
];

/// Whether a text is of a format. Of formats that nobody knows is everything.
pub(super) fn fits(format: &str, text: &str) -> bool {
    match format {
        "date-time" | "datetime" => text.parse::<jiff::Timestamp>().is_ok(),
        "date" => text.parse::<jiff::civil::Date>().is_ok(),
        "duration" => DURATION.is_match(text) && UNIT.find_iter(text).all(|unit| is_unit(unit.as_str())),
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "cidr" => is_network(text),
        "email" => is_address(text),
        "hostname" => text.len() < 254 && HOST_NAME.is_match(text),
        "mac" => is_mac(text),
        "uuid" | "uuid3" | "uuid4" | "uuid5" => UUID.is_match(text),
        "byte" => BASE64.decode(text).is_ok(),
        "uri" => is_uri(text),
        _ => true,
    }
}

fn is_unit(unit: &str) -> bool {
    UNITS.contains(&unit) || matches!(unit, "day" | "days" | "week" | "weeks")
}

fn is_network(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else { return false };
    let most = match address.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    length.parse::<u8>().is_ok_and(|length| length <= most)
}

fn is_address(text: &str) -> bool {
    let text = text.rsplit_once('<').and_then(|(_, rest)| rest.strip_suffix('>')).unwrap_or(text);
    text.rsplit_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty() && !host.contains(' '))
}

fn is_mac(text: &str) -> bool {
    let separator = if text.contains('-') { '-' } else { ':' };
    let parts: Vec<&str> = text.split(separator).collect();
    matches!(parts.len(), 6 | 8 | 20)
        && parts.iter().all(|part| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// With a scheme, or a path.
fn is_uri(text: &str) -> bool {
    text.starts_with('/')
        || text.split_once(':').is_some_and(|(scheme, rest)| {
            !rest.is_empty()
                && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
        })
}
