//! Where the figures of earlier runs were, and whether those of a run are there too.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use serde_json::Value;

use crate::report::WORDS;

/// Where a figure was in earlier runs.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Range {
    /// The mean of them.
    mean: f64,
    /// Their standard deviation.
    spread: f64,
    /// How far beyond three of those it may be, for machines differ.
    margin: f64,
}

/// What is read of a report.
#[derive(Deserialize)]
struct Written {
    scenario: Value,
    figures: BTreeMap<String, f64>,
}

// === impl Range ===

impl Range {
    /// Of the same figure in several runs; the margin is a share of the mean.
    fn of(figures: &[f64], margin: f64) -> Self {
        let count = figures.len() as f64;
        let mean = figures.iter().sum::<f64>() / count;
        let squares: f64 = figures.iter().map(|figure| (figure - mean).powi(2)).sum();
        // Of a sample, not of all runs that there could be.
        let spread = (squares / (count - 1.0).max(1.0)).sqrt();
        Self { mean, spread, margin: mean * margin }
    }

    fn most(self) -> f64 {
        self.mean + 3.0 * self.spread + self.margin
    }
}

/// Holds figures against a file of ranges.
///
/// # Errors
/// When one is larger than its range permits, or is missing.
#[expect(clippy::print_stdout, reason = "the figures are what this program is for")]
pub(crate) fn hold_against(figures: &BTreeMap<String, f64>, path: &Path) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let ranges: BTreeMap<String, Range> = serde_saphyr::from_str(&text).context("the ranges cannot be read")?;
    let mut beyond = Vec::new();
    for (name, range) in &ranges {
        let figure = *figures.get(name).with_context(|| format!("the run has no figure {name}"))?;
        println!("{name:<WORDS$} {figure:>10.1} of at most {:.1}", range.most());
        if figure > range.most() {
            beyond.push(name.as_str());
        }
    }
    if !beyond.is_empty() {
        bail!("beyond their ranges: {}", beyond.join(", "));
    }
    Ok(())
}

/// Makes a file of ranges from reports of the same scenario. A figure that is not in
/// all of them gets none.
///
/// # Errors
/// When there are fewer than two reports, they are of different scenarios, or a file
/// cannot be read or written.
#[expect(clippy::print_stdout, reason = "whoever asked for the file wants to know what is in it")]
pub(crate) fn record(path: &Path, reports: &[PathBuf], margin: f64) -> anyhow::Result<()> {
    let read = |path: &PathBuf| -> anyhow::Result<Written> {
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is no report", path.display()))
    };
    let runs: Vec<Written> = reports.iter().map(read).collect::<anyhow::Result<_>>()?;
    ensure!(runs.len() > 1, "a spread takes two reports at least");
    ensure!(runs.iter().all(|run| run.scenario == runs[0].scenario), "the reports are of different scenarios");
    let mut text = format!("# Of {} runs; made by `fleet ranges`. Milliseconds, seconds and megabytes.\n", runs.len());
    let mut count = 0;
    for name in runs[0].figures.keys() {
        let figures: Vec<f64> = runs.iter().filter_map(|run| run.figures.get(name).copied()).collect();
        if figures.len() == runs.len() {
            let Range { mean, spread, margin } = Range::of(&figures, margin);
            writeln!(text, "{name}: {{mean: {mean:.1}, spread: {spread:.1}, margin: {margin:.1}}}")?;
            count += 1;
        }
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
    println!("{}: ranges of {count} figures from {} runs", path.display(), runs.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_beyond_its_range_is_named() {
        let figures = BTreeMap::from([("calm".to_owned(), 10.0), ("slow".to_owned(), 200.0)]);
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ranges.yaml");
        let ranges = |slow: f64| {
            format!("calm: {{mean: 9, spread: 1, margin: 0}}\nslow: {{mean: {slow}, spread: 10, margin: 5}}\n")
        };
        std::fs::write(&path, ranges(170.0)).expect("is written");
        hold_against(&figures, &path).expect("200 is within 170 + 30 + 5");
        std::fs::write(&path, ranges(160.0)).expect("is written");
        let error = hold_against(&figures, &path).expect_err("195 is less than 200");
        assert!(error.to_string().ends_with("beyond their ranges: slow"), "{error}");
    }

    #[test]
    fn ranges_are_made_of_what_all_runs_of_a_scenario_have() {
        let folder = tempfile::tempdir().expect("a folder");
        let report = |name: &str, clusters: usize, figures: Value| {
            let path = folder.path().join(name);
            let text = serde_json::json!({"scenario": {"clusters": clusters}, "figures": figures, "counts": {}});
            std::fs::write(&path, text.to_string()).expect("is written");
            path
        };
        let one = report("one.json", 3, serde_json::json!({"kill_p99_ms": 90.0, "rare_ms": 1.0}));
        let two = report("two.json", 3, serde_json::json!({"kill_p99_ms": 110.0}));
        let other = report("other.json", 4, serde_json::json!({"kill_p99_ms": 110.0}));
        let path = folder.path().join("ranges/three.yaml");
        record(&path, &[one.clone(), two], 0.25).expect("is made");
        let ranges: BTreeMap<String, Range> =
            serde_saphyr::from_str(&std::fs::read_to_string(&path).expect("was written")).expect("can be read");
        let wanted = Range { mean: 100.0, spread: 14.1, margin: 25.0 };
        assert_eq!(ranges, BTreeMap::from([("kill_p99_ms".to_owned(), wanted)]));
        hold_against(&BTreeMap::from([("kill_p99_ms".to_owned(), 167.0)]), &path).expect("within 100 + 42.3 + 25");
        assert!(record(&path, &[one.clone(), other], 0.25).is_err_and(|e| e.to_string().contains("different")));
        assert!(record(&path, &[one], 0.25).is_err());
    }
}
