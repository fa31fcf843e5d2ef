//! What is done to the fleet, step by step.

mod change;
mod owners;
mod rotation;

use std::sync::Arc;

use argosy_loadtest::progress;
use argosy_tests::{ControlPlane, Etcd, GitServer, Kind, Options};
use tokio::time::Instant;

use crate::PATIENCE;
use crate::clusters::Clusters;
use crate::controllers::Controllers;
use crate::operations::Operations;
use crate::report::Report;
use crate::resources::Sampler;
use crate::scenario::Scenario;

/// A fleet that runs.
pub(crate) struct Fleet {
    // Ended in this order: whoever works before what is worked on.
    operations: Operations,
    sampler: Sampler,
    controllers: Controllers,
    clusters: Arc<Clusters>,
    home: ControlPlane,
    scenario: Scenario,
    report: Report,
    _git: GitServer,
    _etcd: Etcd,
}

/// Runs a scenario from beginning to end.
pub(crate) async fn run(scenario: Scenario) -> anyhow::Result<Report> {
    let mut fleet = Fleet::start(scenario).await?;
    fleet.sync().await?;
    let steps = fleet.scenario.steps;
    if steps.shares {
        fleet.begin("shares");
        fleet.controllers.wait_kept_once(fleet.scenario.applications, &mut fleet.report).await?;
    }
    if steps.repairs > 0 {
        fleet.begin("repairs");
        change::repairs(&mut fleet, steps.repairs).await?;
        fleet.check()?;
    }
    if steps.commits > 0 {
        fleet.begin("commits");
        change::commits(&mut fleet, steps.commits).await?;
        fleet.check()?;
    }
    if steps.churn > 0 {
        fleet.begin("churn");
        change::churn(&mut fleet, steps.churn).await?;
        fleet.check()?;
    }
    if steps.kills > 0 {
        fleet.begin("kills");
        owners::kills(&mut fleet, steps.kills).await?;
        fleet.check()?;
    }
    if steps.drains > 0 {
        fleet.begin("drains");
        owners::drains(&mut fleet, steps.drains).await?;
        fleet.check()?;
    }
    if steps.rolls > 0 {
        fleet.begin("rolls");
        owners::rolls(&mut fleet, steps.rolls).await?;
        fleet.check()?;
    }
    if steps.rotations > 0 {
        fleet.begin("rotations");
        rotation::rotations(&mut fleet, steps.rotations).await?;
        fleet.check()?;
    }
    fleet.end()
}

// === impl Fleet ===

impl Fleet {
    async fn start(scenario: Scenario) -> anyhow::Result<Self> {
        progress(&format!("starting {} clusters and {} controllers", scenario.clusters, scenario.controllers));
        let (home, etcd) = tokio::try_join!(ControlPlane::start_as(Kind::Sandbox, Options::default()), Etcd::start(1))?;
        home.install().await?;
        let poll = format!("{}s", scenario.poll_seconds);
        home.set_config("argocd-cm", &[("timeout.reconciliation", &poll), ("timeout.reconciliation.jitter", "0s")])?;
        home.set_config("argocd-cmd-params-cm", &[("controller.fence", scenario.fence.setting())])?;
        if let Some(life) = scenario.credential_seconds {
            let life = ("controller.credential.lifetime.seconds", &*life.to_string());
            home.set_config("argocd-cmd-params-cm", &[life])?;
        }
        let git = GitServer::start()?;
        let clusters = Arc::new(Clusters::start(&git, &scenario).await?);
        let operations = Operations::follow(home.client().await?).await?;
        let controllers = Controllers::start(&home, &etcd, &scenario).await?;
        let sampler = Sampler::start(controllers.processes());
        let report = Report::new(&scenario)?;
        Ok(Self { operations, sampler, controllers, clusters, home, scenario, report, _git: git, _etcd: etcd })
    }

    fn begin(&mut self, step: &str) {
        let now = self.sampler.now();
        self.report.step(step, now);
        progress(&format!("{step}, {now:.0} s after the start"));
    }

    /// Deploys every application to its cluster.
    #[expect(clippy::print_stdout, reason = "the figures are what this program is for")]
    async fn sync(&mut self) -> anyhow::Result<()> {
        self.begin("sync");
        let began = Instant::now();
        self.clusters.declare(&self.home, self.scenario.fence).await?;
        self.clusters.create(&self.home).await?;
        self.clusters.wait_done().await?;
        let synced = began.elapsed().as_secs_f64();
        self.clusters.wait_deployed(&self.home, PATIENCE).await?;
        println!("sync of all: {synced:.1} s until every object is in its cluster");
        self.report.note("sync_s", synced);
        self.controllers.wait_shared_out(&self.clusters).await?;
        self.controllers.report(self.scenario.applications, &mut self.report).await?;
        self.check()
    }

    /// What must hold after each step.
    fn check(&self) -> anyhow::Result<()> {
        self.operations.check()?;
        self.clusters.check()
    }

    #[expect(clippy::print_stdout, reason = "the figures are what this program is for")]
    fn end(mut self) -> anyhow::Result<Report> {
        let (ended, retried) = self.operations.check()?;
        println!("{ended} operations ended and none failed ({retried} attempts were repeated within one);");
        println!("each deletion, commit, creation and removal was answered by exactly one write");
        self.report.count("operations", ended);
        self.report.count("operation_retries", retried);
        self.report.used(self.sampler.samples());
        Ok(self.report)
    }
}
