//! The figures of a run: printed, written, and held against those of earlier runs.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Width of the column of words.
const WORDS: usize = 52;
/// Bars of a histogram.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Columns of a histogram.
const COLUMNS: usize = 24;

/// Where a figure was in earlier runs.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Range {
    /// The mean of them.
    mean: f64,
    /// Their standard deviation.
    spread: f64,
    /// How far beyond three of those it may be, for machines differ.
    margin: f64,
}

/// See the module's page.
#[derive(Default)]
pub(crate) struct Report {
    figures: BTreeMap<String, f64>,
}

// === impl Report ===

impl Report {
    /// One figure.
    pub(crate) fn note(&mut self, name: &str, figure: f64) {
        self.figures.insert(name.to_owned(), figure);
    }

    /// Times that something took: printed as a line with its histogram, kept as
    /// milliseconds.
    #[expect(clippy::print_stdout, reason = "the figures are what this program is for")]
    pub(crate) fn times(&mut self, name: &str, words: &str, took: &mut [Duration]) {
        took.sort();
        let millis: Vec<f64> = took.iter().map(|time| time.as_secs_f64() * 1e3).collect();
        let at = |percent: usize| millis.get((millis.len() * percent).div_ceil(100).saturating_sub(1)).copied();
        let (Some(median), Some(high), Some(most)) = (at(50), at(99), millis.last().copied()) else { return };
        println!(
            "{words:<WORDS$} {:>5} times: median {median:>6.0} ms, p99 {high:>6.0} ms, most {most:>6.0} ms  {}",
            millis.len(),
            histogram(&millis)
        );
        for (part, figure) in [("median_ms", median), ("p99_ms", high), ("most_ms", most)] {
            self.note(&format!("{name}_{part}"), figure);
        }
    }

    /// Writes the figures as JSON.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let figures: Map<String, Value> =
            self.figures.iter().map(|(name, figure)| (name.clone(), json!(figure))).collect();
        let text = format!("{:#}\n", Value::Object(figures));
        std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
    }

    /// Holds the figures against a file of ranges.
    ///
    /// # Errors
    /// When one is larger than its range permits, or is missing.
    #[expect(clippy::print_stdout, reason = "the figures are what this program is for")]
    pub(crate) fn hold_against(&self, path: &Path) -> anyhow::Result<()> {
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        let ranges: BTreeMap<String, Range> = serde_saphyr::from_str(&text).context("the ranges cannot be read")?;
        let mut beyond = Vec::new();
        for (name, range) in &ranges {
            let figure = *self.figures.get(name).with_context(|| format!("the run has no figure {name}"))?;
            let most = range.mean + 3.0 * range.spread + range.margin;
            println!("{name:<WORDS$} {figure:>10.1} of at most {most:.1}");
            if figure > most {
                beyond.push(name.as_str());
            }
        }
        if !beyond.is_empty() {
            bail!("beyond their ranges: {}", beyond.join(", "));
        }
        Ok(())
    }
}

/// How often what came, from nothing to the largest.
fn histogram(sorted: &[f64]) -> String {
    let largest = sorted.last().copied().unwrap_or(0.0).max(f64::MIN_POSITIVE);
    let mut counts = [0_usize; COLUMNS];
    for one in sorted {
        counts[((one / largest * COLUMNS as f64) as usize).min(COLUMNS - 1)] += 1;
    }
    let highest = counts.iter().max().copied().unwrap_or(1).max(1);
    let bar = |count: &usize| match count {
        0 => ' ',
        count => BARS[(count * (BARS.len() - 1)).div_ceil(highest).min(BARS.len() - 1)],
    };
    counts.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_beyond_its_range_is_named() {
        let mut report = Report::default();
        report.note("calm", 10.0);
        report.note("slow", 200.0);
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ranges.yaml");
        let ranges = |slow: f64| {
            format!("calm: {{mean: 9, spread: 1, margin: 0}}\nslow: {{mean: {slow}, spread: 10, margin: 5}}\n")
        };
        std::fs::write(&path, ranges(170.0)).expect("is written");
        report.hold_against(&path).expect("200 is within 170 + 30 + 5");
        std::fs::write(&path, ranges(160.0)).expect("is written");
        let error = report.hold_against(&path).expect_err("195 is less than 200");
        assert!(error.to_string().ends_with("beyond their ranges: slow"), "{error}");
    }

    #[test]
    fn a_histogram_is_as_high_as_what_came_most() {
        let drawn = histogram(&[1.0, 1.0, 1.0, 24.0]);
        assert_eq!(
            (drawn.chars().count(), drawn.chars().nth(1), drawn.chars().last()),
            (COLUMNS, Some('█'), Some('▄'))
        );
    }
}
