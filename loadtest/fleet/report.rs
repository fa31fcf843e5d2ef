//! The figures of a run: printed, written as JSON and drawn beside it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;

use crate::plot;
use crate::resources::Sample;
use crate::scenario::Scenario;

/// Width of the column of words.
pub(crate) const WORDS: usize = 52;
/// Bars of a histogram.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Columns of a histogram.
const COLUMNS: usize = 24;

/// See the module's page.
#[derive(Default, Serialize)]
pub(crate) struct Report {
    /// What was run.
    scenario: Option<serde_json::Value>,
    /// What is held against ranges: less is better.
    pub(crate) figures: BTreeMap<String, f64>,
    /// How often something happened.
    counts: BTreeMap<String, usize>,
    /// Single times, in the order in which they were measured.
    times: Vec<Times>,
    /// Beginnings of steps, in seconds since that of the run.
    steps: Vec<(String, f64)>,
    /// What the controllers used.
    resources: Vec<Sample>,
}

/// How long something took, each time.
#[derive(Serialize)]
pub(crate) struct Times {
    /// What its figures begin with.
    pub(crate) name: String,
    /// What was measured.
    pub(crate) words: String,
    /// In milliseconds, from the least on.
    pub(crate) millis: Vec<f64>,
}

// === impl Report ===

impl Report {
    pub(crate) fn new(scenario: &Scenario) -> anyhow::Result<Self> {
        Ok(Self { scenario: Some(serde_json::to_value(scenario)?), ..Self::default() })
    }

    /// One figure; less is better.
    pub(crate) fn note(&mut self, name: &str, figure: f64) {
        self.figures.insert(name.to_owned(), figure);
    }

    /// How often something happened.
    pub(crate) fn count(&mut self, name: &str, count: usize) {
        self.counts.insert(name.to_owned(), count);
    }

    /// A step begins.
    pub(crate) fn step(&mut self, name: &str, seconds: f64) {
        self.steps.push((name.to_owned(), seconds));
    }

    /// What was used in the whole run.
    pub(crate) fn used(&mut self, samples: Vec<Sample>) {
        self.resources = samples;
    }

    /// Times that something took: printed as a line with its histogram, kept as
    /// milliseconds. Nothing where there are none.
    #[expect(clippy::print_stdout, reason = "the figures are what this program is for")]
    pub(crate) fn times(&mut self, name: &str, words: &str, took: Vec<Duration>) {
        let mut millis: Vec<f64> = took.iter().map(|time| time.as_secs_f64() * 1e3).collect();
        millis.sort_by(f64::total_cmp);
        let times = Times { name: name.to_owned(), words: words.to_owned(), millis };
        let (Some(half), Some(high), Some(most)) = (times.part(50), times.part(99), times.part(100)) else { return };
        println!(
            "{words:<WORDS$} {:>6} times: p50 {half:>6.0} ms, p99 {high:>6.0} ms, max {most:>6.0} ms  {}",
            times.millis.len(),
            histogram(&times.millis)
        );
        for (part, figure) in [("p50_ms", half), ("p99_ms", high), ("max_ms", most)] {
            self.note(&format!("{name}_{part}"), figure);
        }
        self.times.push(times);
    }

    /// Writes all of it as JSON, and two plots beside that: `x.json`, `x.times.svg` and
    /// `x.resources.svg`.
    ///
    /// # Errors
    /// When a file cannot be written.
    #[expect(clippy::print_stdout, reason = "whoever asked for files wants to know where they are")]
    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let text = format!("{}\n", serde_json::to_string(self)?);
        let files = [
            (path.to_owned(), text),
            (path.with_extension("times.svg"), plot::times(&self.times)?),
            (path.with_extension("resources.svg"), plot::resources(&self.resources, &self.steps)?),
        ];
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        }
        for (path, text) in files {
            std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
            println!("written: {}", path.display());
        }
        Ok(())
    }
}

// === impl Times ===

impl Times {
    /// What so many of a hundred were at most; `None` where there are none.
    pub(crate) fn part(&self, percent: usize) -> Option<f64> {
        self.millis.get((self.millis.len() * percent).div_ceil(100).saturating_sub(1)).copied()
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
    fn a_histogram_is_as_high_as_what_came_most() {
        let drawn = histogram(&[1.0, 1.0, 1.0, 24.0]);
        assert_eq!(
            (drawn.chars().count(), drawn.chars().nth(1), drawn.chars().last()),
            (COLUMNS, Some('█'), Some('▄'))
        );
    }

    #[test]
    fn a_part_of_times_is_the_least_that_so_many_are_within() {
        let times = |millis: Vec<f64>| Times { name: String::new(), words: String::new(), millis };
        let hundred = times((1..=100).map(f64::from).collect());
        assert_eq!([50, 99, 100].map(|percent| hundred.part(percent)), [Some(50.0), Some(99.0), Some(100.0)]);
        assert_eq!(times(vec![7.0]).part(50), Some(7.0));
        assert_eq!(times(Vec::new()).part(50), None);
    }

    #[test]
    fn a_report_is_written_with_its_plots() {
        let mut report = Report::default();
        report.times("kill", "kill -9", vec![Duration::from_millis(20), Duration::from_millis(10)]);
        report.step("kills", 0.5);
        let folder = tempfile::tempdir().expect("a folder");
        report.write(&folder.path().join("new/run.json")).expect("is written");
        let read = |name: &str| std::fs::read_to_string(folder.path().join("new").join(name)).expect("was written");
        let written: serde_json::Value = serde_json::from_str(&read("run.json")).expect("is JSON");
        assert_eq!(written["figures"]["kill_max_ms"], 20.0);
        assert_eq!(written["times"][0]["millis"], serde_json::json!([10.0, 20.0]));
        assert!(read("run.times.svg").contains("kill -9") && read("run.resources.svg").contains("kills"));
    }
}
