//! The controllers, as processes.

use std::time::Duration;

use anyhow::ensure;
use argosy_loadtest::{cpu_of, memory_of};
use argosy_tests::{Argosy, ControlPlane, Etcd, poll_until};
use futures::future::try_join_all;

use crate::report::Report;
use crate::scenario::Scenario;

/// Bytes of a megabyte.
const MB: f64 = 1_048_576.0;

/// See the module's page.
pub(crate) struct Controllers {
    running: Vec<Argosy>,
}

// === impl Controllers ===

impl Controllers {
    pub(crate) async fn start(home: &ControlPlane, etcd: &Etcd, scenario: &Scenario) -> anyhow::Result<Self> {
        let endpoints = etcd.endpoints().join(",");
        let starting = (0..scenario.controllers).map(|_| {
            let starter = Argosy::controller(home).arg("--etcd-endpoints").arg(&endpoints);
            // Repairs are what is measured, not how long they are put off.
            let starter = starter.env("ARGOCD_APPLICATION_CONTROLLER_SELF_HEAL_BACKOFF_TIMEOUT_SECONDS", "0");
            starter
                .env("ARGOCD_APPLICATION_CONTROLLER_SELF_HEAL_TIMEOUT_SECONDS", "0")
                .env("ARGOSY_ETCD_LEASE_SECONDS", &scenario.lease_seconds.to_string())
                .start()
        });
        Ok(Self { running: try_join_all(starting).await? })
    }

    pub(crate) fn count(&self) -> usize {
        self.running.len()
    }

    pub(crate) fn one(&mut self, number: usize) -> &mut Argosy {
        &mut self.running[number]
    }

    /// Takes one out, to be put back.
    pub(crate) fn take(&mut self, number: usize) -> Argosy {
        self.running.remove(number)
    }

    pub(crate) fn put(&mut self, number: usize, one: Argosy) {
        self.running.insert(number, one);
    }

    /// Addresses of the clusters that one of them says it is connected to.
    pub(crate) async fn owned(&self, number: usize) -> anyhow::Result<Vec<String>> {
        let metrics = self.running[number].metrics().await?;
        let status = metrics.samples().iter().filter(|s| s.name == "argocd_cluster_connection_status" && s.value > 0.0);
        let servers = status.filter_map(|sample| sample.labels.get("server").cloned());
        Ok(servers.filter(|server| server.starts_with("https://127.0.0.1")).collect())
    }

    /// Waits until all clusters are shared out among all of them.
    pub(crate) async fn wait_shared_out(&self, clusters: usize) -> anyhow::Result<()> {
        poll_until(Duration::from_secs(120), || async {
            let owned = try_join_all((0..self.count()).map(|number| self.owned(number))).await?;
            let counts: Vec<usize> = owned.iter().map(Vec::len).collect();
            let is_even = clusters < self.count() || !counts.contains(&0);
            ensure!(counts.iter().sum::<usize>() == clusters && is_even, "{counts:?} of {clusters} are owned");
            Ok::<_, anyhow::Error>(())
        })
        .await
        .map_err(anyhow::Error::msg)
    }

    /// Prints what they have used.
    pub(crate) async fn report(&self, apps: usize, report: &mut Report) -> anyhow::Result<()> {
        let (mut total, mut largest) = (0.0, 0.0_f64);
        for number in 0..self.count() {
            let pid = self.running[number].pid();
            let (cpu, resident) = (cpu_of(pid)?.as_secs_f64(), memory_of(pid)?.resident as f64 / MB);
            total += cpu;
            largest = largest.max(resident);
            let owned = self.owned(number).await?.len();
            println!("  controller {number}: {owned} clusters, {cpu:.1} s of CPU, {resident:.0} MB");
        }
        println!("  {:.1} ms of CPU per application", total * 1e3 / apps as f64);
        report.note("cpu_ms_per_application", total * 1e3 / apps as f64);
        report.note("resident_mb", largest);
        Ok(())
    }
}
