//! What the programs of this folder share: what a process has used, waiting for
//! applications, and simulated clusters.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use argosy_sandbox::cluster::ClusterOptions;
use argosy_tests::application::resource;
use argosy_tests::poll_until;
use kube::api::{Api, DynamicObject, ListParams};
use rand::RngCore as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::Value;
use tokio::time::Instant;

/// Clock ticks of the kernel's accounting in a second, as on every Linux.
const TICKS: u64 = 100;
/// Least time between two looks at all applications. Looking costs the API server and
/// this process something too, so it is never more than a fifth of the time.
const LOOKS: Duration = Duration::from_millis(500);
/// Time between two lines about the same wait.
const NEWS: Duration = Duration::from_secs(10);

/// Bytes of a process that are in memory.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Now.
    pub resident: u64,
    /// At the most since it was started.
    pub peak: u64,
}

/// Makes the one provider of cryptography known, for whoever makes connections.
pub fn use_crypto() {
    // A second installation would be our own bug.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// Lets this process and those it starts have as many open files as the system permits:
/// every simulated cluster takes several.
///
/// # Errors
/// When the system refuses.
pub fn allow_files() -> anyhow::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, wanted).context("raising the limit of open files")
}

/// CPU time of a process so far, user and system.
///
/// # Errors
/// When there is no such process.
pub fn cpu_of(process: u32) -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).context("reading a process's CPU time")?;
    // The name may hold anything; fields count from behind it.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |place: usize| -> anyhow::Result<u64> { Ok(fields.get(place).context("fields of stat")?.parse()?) };
    Ok(Duration::from_millis((ticks(11)? + ticks(12)?) * 1000 / TICKS))
}

/// Memory of a process.
///
/// # Errors
/// When there is no such process.
pub fn memory_of(process: u32) -> anyhow::Result<Memory> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).context("reading a process's memory")?;
    let of = |name: &str| -> anyhow::Result<u64> {
        let line = status.lines().find(|line| line.starts_with(name)).with_context(|| format!("there is no {name}"))?;
        let kilobytes: u64 = line.split_whitespace().nth(1).context("a number")?.parse()?;
        Ok(kilobytes * 1024)
    };
    Ok(Memory { resident: of("VmRSS:")?, peak: of("VmHWM:")? })
}

/// A simulated cluster of the machine's clock and of random uids, in memory.
pub fn simulated() -> ClusterOptions {
    #[expect(clippy::disallowed_methods, reason = "this is where the benchmark's clock comes from")]
    let clock = Arc::new(jiff::Timestamp::now);
    ClusterOptions::new(clock, Arc::new(|buffer: &mut [u8]| rand::rng().fill_bytes(buffer)))
}

/// Waits until `count` applications satisfy a condition, and says every ten seconds
/// how many do. `what` names the condition: "10 of 20 are deployed".
///
/// # Errors
/// When they do not before the deadline.
pub async fn wait_for_applications(
    client: &kube::Client,
    count: usize,
    what: &str,
    deadline: Duration,
    is: impl Fn(&Value) -> bool,
) -> anyhow::Result<()> {
    let apps: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), "argocd", &resource("Application", "applications"));
    let (pause, told) = (Cell::new(LOOKS), Cell::new(Instant::now()));
    let (apps, is, pause, told) = (&apps, &is, &pause, &told);
    poll_until(deadline, || async move {
        tokio::time::sleep(pause.get()).await;
        let began = Instant::now();
        let list = apps.list(&ListParams::default()).await?;
        let done = list.items.iter().filter_map(|app| serde_json::to_value(app).ok()).filter(is).count();
        pause.set(LOOKS.max(4 * began.elapsed()));
        if done != count && told.get().elapsed() > NEWS {
            told.set(Instant::now());
            progress(&format!("{done} of {count} are {what}"));
        }
        ensure!(done == count, "{done} of {count} are {what}");
        Ok::<_, anyhow::Error>(())
    })
    .await
    .map_err(anyhow::Error::msg)
}

/// Whether an application is Synced and Healthy, and no operation is asked for.
pub fn is_deployed(app: &Value) -> bool {
    app["status"]["sync"]["status"] == "Synced"
        && app["status"]["health"]["status"] == "Healthy"
        && app.get("operation").is_none()
}

/// A line about work that takes long, for whoever waits; no figure.
#[expect(clippy::print_stdout, reason = "the programs talk to whoever started them")]
pub fn progress(news: &str) {
    println!("    … {news}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_used_something() {
        let memory = memory_of(std::process::id()).expect("this process is there");
        assert!(memory.resident > 100_000 && memory.peak >= memory.resident, "{memory:?}");
        cpu_of(std::process::id()).expect("this process is there");
        assert!(cpu_of(u32::MAX).is_err() && memory_of(u32::MAX).is_err());
    }

    #[test]
    fn an_application_whose_operation_waits_is_not_deployed() {
        let status = serde_json::json!({"sync": {"status": "Synced"}, "health": {"status": "Healthy"}});
        assert!(is_deployed(&serde_json::json!({"status": status})));
        assert!(!is_deployed(&serde_json::json!({"status": status, "operation": {"sync": {}}})));
    }
}
