//! Reading the meters: the controller's CPU and memory from the kernel, writes
//! from the API server's own counters.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use tokio::time::Instant;

/// Clock ticks of the kernel's accounting in a second, as on every Linux.
const TICKS: u64 = 100;
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
        let (resident, peak) = memory_of(self.pid)?;
        println!(
            "{:<36} {:>8.1} {:>12.3} {:>30} {:>9.1} {:>9.1}",
            step.what,
            wall.as_secs_f64(),
            cpu.as_secs_f64() * 1e3 / self.apps as f64,
            written.join(", "),
            resident,
            peak
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

/// CPU time of a process, user and system.
pub(crate) fn cpu_of(pid: u32) -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("reading the controller's CPU time")?;
    // The name may hold spaces; fields count from behind it.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|f| f.parse::<u64>().ok()).unwrap_or_default();
    Ok(Duration::from_millis((ticks(11) + ticks(12)) * 1000 / TICKS))
}

/// Resident memory now and at its peak, in MB.
fn memory_of(pid: u32) -> anyhow::Result<(f64, f64)> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).context("reading the controller's memory")?;
    let of = |name: &str| {
        let line = status.lines().find(|l| l.starts_with(name)).unwrap_or("");
        line.split_whitespace().nth(1).and_then(|kb| kb.parse::<f64>().ok()).unwrap_or_default() / 1024.0
    };
    Ok((of("VmRSS:"), of("VmHWM:")))
}
