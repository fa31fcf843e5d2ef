//! What a run is made of: a file, or the one that is built in.

use std::path::Path;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

/// The scenario that is run where none is named.
const SMALL: &str = include_str!("scenarios/small.yaml");

/// Sizes of a fleet, and what is done to it.
#[derive(Debug, Deserialize, Serialize)]
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
    /// What makes a cluster refuse an earlier owner.
    #[serde(default)]
    pub(crate) fence: Fence,
    /// Life of the credentials that a fence is made of; the product's own without it.
    pub(crate) credential_seconds: Option<u64>,
    /// What a cluster costs at least that is split; the product's own without it.
    pub(crate) split_millicores: Option<u64>,
    /// Size of the object of each application.
    #[serde(default)]
    pub(crate) object_bytes: usize,
    /// Between two looks at the repository.
    #[serde(default = "poll")]
    pub(crate) poll_seconds: u64,
    /// What goes on during the steps `rolls` and `rotations`.
    #[serde(default)]
    pub(crate) load: Load,
    /// How often each thing is done.
    #[serde(default)]
    pub(crate) steps: Steps,
}

/// The fence of all clusters.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Fence {
    /// Clusters are declared with client certificates; the lease stands alone.
    #[default]
    None,
    /// A token for each owner.
    Token,
    /// A service account for each owner.
    Binding,
}

/// A load that goes on until it is told to end.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Load {
    /// Objects that are missing at any time: each is deleted and waited for, and then the
    /// next one. Applications with even numbers take part.
    #[serde(default)]
    pub(crate) repairs: usize,
    /// Applications with odd numbers that each commit touches.
    #[serde(default)]
    pub(crate) commit_applications: usize,
    /// Least time between two commits; a commit is waited for before the next.
    #[serde(default)]
    pub(crate) commit_seconds: u64,
}

/// How often each thing is done; 0 leaves it out.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Steps {
    /// What controllers keep of clusters they share: each object whole by one of them.
    pub(crate) shares: bool,
    /// An object of every cluster is deleted.
    pub(crate) repairs: usize,
    /// A commit touches as many applications as the load says, or one.
    pub(crate) commits: usize,
    /// An application is removed and made anew.
    pub(crate) churn: usize,
    /// A controller is killed.
    pub(crate) kills: usize,
    /// A controller is told to end, and comes back.
    pub(crate) drains: usize,
    /// All controllers are replaced, one after the other, under load.
    pub(crate) rolls: usize,
    /// The credential of every cluster is exchanged, under load.
    pub(crate) rotations: usize,
}

// === impl Scenario ===

impl Scenario {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, or makes no fleet.
    pub(crate) fn read(path: Option<&Path>) -> anyhow::Result<Self> {
        match path {
            Some(path) => {
                let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
                Self::parse(&text).with_context(|| format!("{} is no scenario", path.display()))
            }
            None => Self::parse(SMALL),
        }
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let scenario: Self = serde_saphyr::from_str(text)?;
        let (steps, load) = (&scenario.steps, &scenario.load);
        ensure!(scenario.clusters > 0 && scenario.controllers > 0, "a fleet has a cluster and a controller");
        ensure!(scenario.applications >= scenario.clusters, "each cluster needs an application to look at");
        let loses = steps.kills + steps.drains + steps.rolls > 0;
        ensure!(scenario.controllers > 1 || !loses, "nobody takes over from the only controller");
        let loaded = load.repairs.max(load.commit_applications);
        // Even numbers are one more than odd ones where the count is odd.
        ensure!(loaded <= scenario.applications / 2, "a load of {loaded} needs twice as many applications");
        ensure!(steps.rotations == 0 || scenario.fence != Fence::None, "without a fence no credential is exchanged");
        ensure!(
            steps.rotations == 0 || scenario.credential_seconds.is_some(),
            "credentialSeconds says how soon they are exchanged"
        );
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

// === impl Fence ===

impl Fence {
    /// The value of `controller.fence`.
    pub(crate) fn setting(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Token => "token",
            Self::Binding => "binding",
        }
    }

    /// The label of the metric `argosy_fence` where it stands.
    pub(crate) fn standing(self) -> &'static str {
        match self {
            Self::None => "lease",
            Self::Token | Self::Binding => self.setting(),
        }
    }
}

fn poll() -> u64 {
    2
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

    #[test]
    fn what_makes_no_fleet_is_refused_with_a_reason() {
        let sizes = "clusters: 2\napplications: 4\nleaseSeconds: 2\n";
        for (more, reason) in [
            ("controllers: 0\n", "a controller"),
            ("controllers: 1\nsteps: {kills: 1}\n", "takes over"),
            ("controllers: 2\nload: {repairs: 3}\n", "twice as many"),
            ("controllers: 2\nsteps: {rotations: 1}\n", "without a fence"),
            ("controllers: 2\nfence: token\nsteps: {rotations: 1}\n", "credentialSeconds"),
            ("controllers: 2\nfence: wall\n", "wall"),
            ("controllers: 2\nsteps: {kill: 1}\n", "kill"),
        ] {
            let error = Scenario::parse(&format!("{sizes}{more}")).expect_err(more);
            assert!(format!("{error:#}").contains(reason), "{error:#}");
        }
    }
}
