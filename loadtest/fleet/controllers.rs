//! The controllers, as processes.

use std::time::Duration;

use anyhow::{Context, ensure};
use argosy_tests::{Argosy, ControlPlane, Etcd, poll_until};
use futures::future::try_join_all;

use crate::report::Report;
use crate::scenario::Scenario;

/// Clock ticks of the kernel's accounting in a second, as on every Linux.
const TICKS: f64 = 100.0;

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
            let starter = match scenario.split_millicores {
                Some(millicores) => starter.env("ARGOSY_SPLIT_MILLICORES", &millicores.to_string()),
                None => starter,
            };
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

    /// Waits until every object is kept whole by one of them, and prints what they keep.
    pub(crate) async fn wait_kept_once(&self, apps: usize, report: &mut Report) -> anyhow::Result<()> {
        let kept = poll_until(Duration::from_secs(600), || async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let pages = try_join_all(self.running.iter().map(Argosy::metrics)).await?;
            let kept = |name: &'static str| pages.iter().map(move |page| page.sum(name, &[]));
            let whole: Vec<f64> = kept("argosy_live_whole_objects").collect();
            ensure!(whole.iter().sum::<f64>() == apps as f64 && !whole.contains(&0.0), "{whole:?} of {apps} are kept");
            Ok::<_, anyhow::Error>(whole.into_iter().zip(kept("argosy_live_bytes")).collect::<Vec<_>>())
        })
        .await
        .map_err(anyhow::Error::msg)?;
        let mut largest = 0.0_f64;
        for (number, (whole, bytes)) in kept.into_iter().enumerate() {
            let (megabytes, resident) = (bytes / 1e6, resident_of(self.running[number].pid())?);
            largest = largest.max(megabytes);
            println!("  controller {number}: {whole} whole objects, {megabytes:.1} MB of live state, {resident:.0} MB");
        }
        report.note("split_live_mb", largest);
        Ok(())
    }

    /// Prints what they have used.
    pub(crate) async fn report(&self, apps: usize, report: &mut Report) -> anyhow::Result<()> {
        let (mut total, mut largest) = (0.0, 0.0_f64);
        for number in 0..self.count() {
            let pid = self.running[number].pid();
            let (cpu, resident) = (cpu_of(pid)?, resident_of(pid)?);
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

fn cpu_of(pid: u32) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name may hold spaces; fields count from behind it.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |at: usize| -> anyhow::Result<f64> { Ok(fields.get(at).context("fields of stat")?.parse()?) };
    Ok((ticks(11)? + ticks(12)?) / TICKS)
}

/// Resident memory in MB.
fn resident_of(pid: u32) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("VmRSS")?;
    let kilobytes: f64 = line.split_whitespace().nth(1).context("a number")?.parse()?;
    Ok(kilobytes / 1024.0)
}
