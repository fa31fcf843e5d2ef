//! The controllers, as processes.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, ensure};
use argosy_loadtest::{cpu_of, memory_of};
use argosy_tests::{Argosy, ControlPlane, Etcd, Metrics, poll_until};
use futures::future::try_join_all;
use tokio::task::JoinHandle;

use crate::clusters::Clusters;
use crate::report::Report;
use crate::resources::Processes;
use crate::scenario::{Fence, Scenario};

/// Bytes of a megabyte.
const MB: f64 = 1_048_576.0;
/// Until clusters are shared out among all controllers.
const SHARED_OUT: Duration = Duration::from_secs(600);
/// Two looks so far apart must find the same owners.
const SETTLED: Duration = Duration::from_millis(250);
/// What a controller gets to give its clusters away and end: more than it takes itself.
const ENDED: Duration = Duration::from_secs(90);

/// See the module's page.
pub(crate) struct Controllers {
    running: Vec<Argosy>,
    fence: Fence,
    processes: Processes,
}

/// A controller that is on its way out.
pub(crate) type Ending = JoinHandle<(Argosy, ExitStatus)>;

// === impl Controllers ===

impl Controllers {
    pub(crate) async fn start(home: &ControlPlane, etcd: &Etcd, scenario: &Scenario) -> anyhow::Result<Self> {
        let endpoints = etcd.endpoints().join(",");
        let starting = (0..scenario.controllers).map(|_| {
            let starter = Argosy::controller(home).arg("--etcd-endpoints").arg(&endpoints);
            // Repairs are what is measured, not how long they are put off.
            let starter = starter
                .env("ARGOCD_APPLICATION_CONTROLLER_SELF_HEAL_BACKOFF_TIMEOUT_SECONDS", "0")
                .env("ARGOCD_APPLICATION_CONTROLLER_SELF_HEAL_TIMEOUT_SECONDS", "0")
                .env("ARGOCD_LOG_FORMAT", "json")
                .env("ARGOSY_ETCD_LEASE_SECONDS", &scenario.lease_seconds.to_string());
            match scenario.split_millicores {
                Some(least) => starter.env("ARGOSY_SPLIT_MILLICORES", &least.to_string()).start(),
                None => starter.start(),
            }
        });
        let running = try_join_all(starting).await?;
        let processes = Processes::new(running.iter().map(Argosy::pid).collect());
        Ok(Self { running, fence: scenario.fence, processes })
    }

    pub(crate) fn count(&self) -> usize {
        self.running.len()
    }

    /// Which processes they are, now and later.
    pub(crate) fn processes(&self) -> Processes {
        self.processes.clone()
    }

    /// Kills one as a crash would.
    pub(crate) fn kill(&mut self, number: usize) {
        self.running[number].kill9();
        self.processes.set(number, None);
    }

    /// Starts one again that was killed.
    pub(crate) async fn restart(&mut self, number: usize) -> anyhow::Result<()> {
        self.running[number].restart().await?;
        self.processes.set(number, Some(self.running[number].pid()));
        Ok(())
    }

    /// Tells one to end. Until it is given to [`Self::succeed`], those after it have a
    /// number less.
    pub(crate) fn end(&mut self, number: usize) -> Ending {
        let mut one = self.running.remove(number);
        tokio::task::spawn_blocking(move || {
            let status = one.stop_within(ENDED);
            (one, status)
        })
    }

    /// Waits for the end of one, and puts a successor in its place that is not started yet.
    pub(crate) async fn ended(&mut self, number: usize, ending: Ending) -> anyhow::Result<()> {
        let (one, status) = ending.await?;
        ensure!(status.success(), "a controller that was told to end ended with {status}:\n{}", one.log_tail(15));
        self.processes.set(number, None);
        self.running.insert(number, one);
        Ok(())
    }

    /// Addresses of the clusters that one of them can write to.
    pub(crate) async fn owned(&self, number: usize) -> anyhow::Result<Vec<String>> {
        let standing = self.standing(number).await?;
        Ok(standing.into_iter().map(|(server, _)| server).collect())
    }

    /// Clusters that one of them can write to, each with the fence that stands there.
    async fn standing(&self, number: usize) -> anyhow::Result<BTreeSet<(String, String)>> {
        let metrics = self.running[number].metrics().await?;
        let fences = metrics.samples().iter().filter(|sample| sample.name == "argosy_fence" && sample.value > 0.0);
        let label = |sample: &argosy_tests::metrics::Sample, name| sample.labels.get(name).cloned();
        let fences = fences.filter_map(|sample| Some((label(sample, "server")?, label(sample, "kind")?)));
        // Not the cluster they live in.
        Ok(fences.filter(|(server, _)| server.starts_with("https://127.0.0.1")).collect())
    }

    /// Waits until all clusters are shared out among all controllers, the fence stands
    /// everywhere, and nothing moves any more.
    pub(crate) async fn wait_shared_out(&self, clusters: &Clusters) -> anyhow::Result<()> {
        let count = clusters.all().len();
        let before = RefCell::new(Vec::new());
        let before = &before;
        poll_until(SHARED_OUT, || async move {
            let now = try_join_all((0..self.count()).map(|number| self.standing(number))).await?;
            let servers: BTreeSet<&String> = now.iter().flatten().map(|(server, _)| server).collect();
            ensure!(servers.len() == count, "{} of {count} clusters are owned", servers.len());
            let has_all = count < self.count() || now.iter().all(|owned| !owned.is_empty());
            ensure!(has_all, "a controller has nothing");
            let weaker = now.iter().flatten().find(|(_, kind)| kind != self.fence.standing());
            ensure!(weaker.is_none(), "there is another fence: {weaker:?}");
            let is_settled = *before.borrow() == now;
            before.replace(now);
            if !is_settled {
                tokio::time::sleep(SETTLED).await;
            }
            ensure!(is_settled, "owners change");
            Ok::<_, anyhow::Error>(())
        })
        .await
        .map_err(anyhow::Error::msg)
    }

    /// The metrics of all of them.
    pub(crate) async fn metrics(&self) -> anyhow::Result<Vec<Metrics>> {
        try_join_all(self.running.iter().map(Argosy::metrics)).await
    }

    /// How much each has logged.
    pub(crate) fn logged(&self) -> anyhow::Result<Vec<u64>> {
        let length = |one: &Argosy| Ok(std::fs::metadata(one.log_path()).context("looking at a log")?.len());
        self.running.iter().map(length).collect()
    }

    /// What each has logged since then.
    pub(crate) fn logs_since(&self, logged: &[u64]) -> anyhow::Result<Vec<String>> {
        let read = |(one, since): (&Argosy, &u64)| {
            let mut file = std::fs::File::open(one.log_path()).context("opening a log")?;
            file.seek(SeekFrom::Start(*since)).context("reading a log")?;
            let mut text = Vec::new();
            file.read_to_end(&mut text).context("reading a log")?;
            Ok(String::from_utf8_lossy(&text).into_owned())
        };
        self.running.iter().zip(logged).map(read).collect()
    }

    /// Waits until every object is kept whole by one of them, and prints what they keep.
    #[expect(clippy::print_stdout, reason = "the figures are what this program is for")]
    pub(crate) async fn wait_kept_once(&self, apps: usize, report: &mut Report) -> anyhow::Result<()> {
        let kept = poll_until(crate::PATIENCE, || async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let pages = self.metrics().await?;
            let kept = |name: &'static str| pages.iter().map(move |page| page.sum(name, &[]));
            let whole: Vec<f64> = kept("argosy_live_whole_objects").collect();
            ensure!(whole.iter().sum::<f64>() == apps as f64 && !whole.contains(&0.0), "{whole:?} of {apps} are kept");
            Ok::<_, anyhow::Error>(whole.into_iter().zip(kept("argosy_live_bytes")).collect::<Vec<_>>())
        })
        .await
        .map_err(anyhow::Error::msg)?;
        let mut largest = 0.0_f64;
        for (number, (whole, bytes)) in kept.into_iter().enumerate() {
            let (live, resident) = (bytes / MB, memory_of(self.running[number].pid())?.resident as f64 / MB);
            largest = largest.max(live);
            println!("  controller {number}: {whole} whole objects, {live:.1} MB of live state, {resident:.0} MB");
        }
        report.note("shared_live_mb", largest);
        Ok(())
    }

    /// Prints what they have used so far.
    #[expect(clippy::print_stdout, reason = "the figures are what this program is for")]
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
