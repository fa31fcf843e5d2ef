//! Metrics in Prometheus' text format, read back.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;

/// All samples of one scrape.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    samples: Vec<Sample>,
}

/// One line: `name{label="value"} number`.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The metric's name, with `_bucket`, `_sum` or `_count` where it is part of a histogram.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
}

// === impl Metrics ===

impl Metrics {
    pub(crate) async fn fetch(port: u16) -> anyhow::Result<Self> {
        crate::certificates::install_crypto();
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build();
        let client = client.context("making an http client")?;
        let response = client.get(format!("http://127.0.0.1:{port}/metrics")).send().await.context("asking")?;
        let response = response.error_for_status().context("asking for metrics")?;
        Ok(Self::parse(&response.text().await.context("reading metrics")?))
    }

    /// Reads a text; lines that are no samples are left out.
    pub fn parse(text: &str) -> Self {
        Self { samples: text.lines().filter_map(parse_line).collect() }
    }

    /// Every sample, in order.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// The sum over all samples of this name that carry these labels, 0 when
    /// there is none.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.samples.iter().filter(|s| s.is(name, labels)).map(|s| s.value).sum()
    }

    /// The first sample of this name that carries these labels.
    pub fn get(&self, name: &str, labels: &[(&str, &str)]) -> Option<&Sample> {
        self.samples.iter().find(|s| s.is(name, labels))
    }
}

// === impl Sample ===

impl Sample {
    fn is(&self, name: &str, labels: &[(&str, &str)]) -> bool {
        self.name == name && labels.iter().all(|(k, v)| self.labels.get(*k).is_some_and(|w| w == v))
    }
}

fn parse_line(line: &str) -> Option<Sample> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let name_end = line.find(|c: char| c == '{' || c.is_whitespace())?;
    let (name, rest) = line.split_at(name_end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => parse_labels(rest)?,
        None => (BTreeMap::new(), rest),
    };
    // A timestamp may follow the value.
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some(Sample { name: name.to_owned(), labels, value })
}

/// Labels up to the closing brace, and what follows it.
fn parse_labels(mut rest: &str) -> Option<(BTreeMap<String, String>, &str)> {
    let mut labels = BTreeMap::new();
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, after) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut chars = after.char_indices();
        let end = loop {
            match chars.next()? {
                (at, '"') => break at,
                (_, '\\') => match chars.next()?.1 {
                    'n' => value.push('\n'),
                    escaped => value.push(escaped),
                },
                (_, c) => value.push(c),
            }
        };
        labels.insert(name.to_owned(), value);
        rest = &after[end + 1..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read_with_escapes_and_without_comments() {
        let text =
            "# TYPE a counter\na{x=\"1\",y=\"q\\\"\\\\,}\"} 3\na{x=\"2\"} 4 1700000000\n\nb_sum 0.5\nbroken{x=\"\n";
        let metrics = Metrics::parse(text);
        assert_eq!(metrics.samples().len(), 3);
        assert_eq!(metrics.sum("a", &[]), 7.0);
        assert_eq!(metrics.sum("a", &[("y", "q\"\\,}")]), 3.0);
        assert_eq!(metrics.get("b_sum", &[]).map(|s| s.value), Some(0.5));
        assert_eq!(metrics.get("a", &[("x", "3")]), None);
    }
}
