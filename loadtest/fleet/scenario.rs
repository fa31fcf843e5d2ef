//! What a run is made of: a file, or the one that is built in.

use std::path::Path;

use anyhow::{Context, ensure};
use serde::Deserialize;

/// The scenario that is run where none is named.
const SMALL: &str = include_str!("scenarios/small.yaml");

/// Sizes of a fleet, and how often things are done to it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Scenario {
    /// Simulated clusters.
    pub(crate) clusters: usize,
    /// Applications of all of them.
    pub(crate) applications: usize,
    /// How unevenly those are spread: the cluster in place `n` weighs `1 / n^skew`. 0 is
    /// even, 1 as cities are.
    #[serde(default)]
    pub(crate) skew: f64,
    /// Controllers.
    pub(crate) controllers: usize,
    /// Their lease in etcd.
    pub(crate) lease_seconds: usize,
    /// How often each thing is done.
    pub(crate) trials: usize,
    /// Size of what each application has in its cluster.
    #[serde(default)]
    pub(crate) object_bytes: usize,
    /// Thousandths of a core that a cluster costs at least that is split, where it is not
    /// left to the controllers.
    pub(crate) split_millicores: Option<usize>,
}

// === impl Scenario ===

impl Scenario {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, or makes no fleet.
    pub(crate) fn read(path: Option<&Path>) -> anyhow::Result<Self> {
        let text = match path {
            Some(path) => std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?,
            None => SMALL.to_owned(),
        };
        let scenario: Self = serde_saphyr::from_str(&text).context("the scenario cannot be read")?;
        ensure!(scenario.clusters > 0 && scenario.controllers > 0, "a fleet has a cluster and a controller");
        ensure!(scenario.applications >= scenario.clusters, "each cluster needs an application to look at");
        ensure!(scenario.controllers > 1 || scenario.trials == 0, "nobody takes over from the only controller");
        Ok(scenario)
    }

    /// How many applications each cluster has: at least one, and all of them in sum.
    pub(crate) fn spread(&self) -> Vec<usize> {
        let weights: Vec<f64> = (1..=self.clusters).map(|place| (place as f64).powf(-self.skew)).collect();
        let total: f64 = weights.iter().sum();
        let rest = (self.applications - self.clusters) as f64;
        let mut counts: Vec<usize> = weights.iter().map(|weight| 1 + (rest * weight / total) as usize).collect();
        let missing = self.applications - counts.iter().sum::<usize>();
        counts.iter_mut().take(missing).for_each(|count| *count += 1);
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_can_be_read_and_has_all_its_applications() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fleet/scenarios");
        for file in std::fs::read_dir(folder).expect("there are some") {
            let scenario = Scenario::read(Some(&file.expect("a file").path())).expect("can be read");
            let spread = scenario.spread();
            assert_eq!((spread.len(), spread.iter().sum::<usize>()), (scenario.clusters, scenario.applications));
            assert!(spread.iter().all(|count| *count > 0) && spread.is_sorted_by(|a, b| a >= b));
        }
    }
}
