//! Reading the meters: the controller's CPU and memory from the kernel, writes
//! from the API server's own counters.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use argosy_loadtest::{cpu_of, memory_of};
use tokio::time::Instant;

/// Bytes of a megabyte.
const MB: f64 = 1_048_576.0;
/// Resources whose writes are told apart.
const RESOURCES: [&str; 3] = ["applications", "events", "configmaps"];
/// Verbs that write.
const WRITES: [&str; 4] = ["POST", "PUT", "PATCH", "DELETE"];

/// See the module's page.
pub(crate) struct Meter {
    client: kube::Client,
    pid: u32,
    apps: usize,
}

/// A step that has begun.
pub(crate) struct Step {
    what: &'static str,
    began: Instant,
    cpu: Duration,
    writes: BTreeMap<String, u64>,
}

/// The names of the columns.
pub(crate) fn head() {
    println!(
        "{:<36} {:>8} {:>12} {:>30} {:>9} {:>9}",
        "step", "wall s", "CPU ms/app", "writes/app (app, event, cm)", "RSS MB", "peak MB"
    );
}

// === impl Meter ===

impl Meter {
    pub(crate) fn new(client: kube::Client, pid: u32, apps: usize) -> Self {
        Self { client, pid, apps }
    }

    /// The controller is another process now.
    pub(crate) fn follow(&mut self, pid: u32) {
        self.pid = pid;
    }

    pub(crate) async fn begin(&self, what: &'static str) -> anyhow::Result<Step> {
        Ok(Step { what, began: Instant::now(), cpu: cpu_of(self.pid)?, writes: self.writes().await? })
    }

    /// Waits until nothing is written and no CPU is used for a while.
    pub(crate) async fn settle(&self, quiet: Duration) -> anyhow::Result<()> {
        let (mut seen, mut cpu) = (self.writes().await?, cpu_of(self.pid)?);
        loop {
            tokio::time::sleep(quiet).await;
            let (now, used) = (self.writes().await?, cpu_of(self.pid)?);
            // A twentieth of a core is what watching costs.
            if now == seen && used.saturating_sub(cpu) < quiet / 20 {
                return Ok(());
            }
            (seen, cpu) = (now, used);
        }
    }

    /// Prints the step and returns its wall time without the quiet at its end.
    /// `own` is how often this program itself wrote each Application in it.
    pub(crate) async fn end(&self, step: Step, own: f64) -> anyhow::Result<Duration> {
        let wall = step.began.elapsed().saturating_sub(crate::QUIET);
        // A process that was started within the step begins at zero.
        let used = cpu_of(self.pid)?;
        let cpu = used.checked_sub(step.cpu).unwrap_or(used);
        let writes = self.writes().await?;
        let per_app = |resource: &str| {
            let count = |w: &BTreeMap<String, u64>| w.get(resource).copied().unwrap_or_default();
            (count(&writes).saturating_sub(count(&step.writes))) as f64 / self.apps as f64
        };
        let theirs = |resource: &str| per_app(resource) - if resource == "applications" { own } else { 0.0 };
        let written: Vec<String> = RESOURCES.iter().map(|r| format!("{:.2}", theirs(r))).collect();
        let memory = memory_of(self.pid)?;
        println!(
            "{:<36} {:>8.1} {:>12.3} {:>30} {:>9.1} {:>9.1}",
            step.what,
            wall.as_secs_f64(),
            cpu.as_secs_f64() * 1e3 / self.apps as f64,
            written.join(", "),
            memory.resident as f64 / MB,
            memory.peak as f64 / MB
        );
        Ok(wall)
    }

    /// Writes by resource since the API server started, this program's included.
    async fn writes(&self) -> anyhow::Result<BTreeMap<String, u64>> {
        let request = http::Request::get("/metrics").body(Vec::new())?;
        let text = self.client.request_text(request).await.context("reading the API server's metrics")?;
        let mut out = BTreeMap::new();
        for line in text.lines().filter(|l| l.starts_with("apiserver_request_total{")) {
            let label = |name: &str| line.split(&format!("{name}=\"")).nth(1).and_then(|rest| rest.split('"').next());
            let (Some(resource), Some(verb)) = (label("resource"), label("verb")) else { continue };
            let dry = label("dry_run").is_some_and(|d| !d.is_empty());
            if RESOURCES.contains(&resource) && WRITES.contains(&verb) && !dry {
                let value = line.rsplit(' ').next().and_then(|v| v.parse::<f64>().ok()).unwrap_or_default();
                *out.entry(resource.to_owned()).or_default() += value as u64;
            }
        }
        Ok(out)
    }
}
