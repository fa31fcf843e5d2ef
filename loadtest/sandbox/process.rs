//! This program as another process: started, told figures by, and measured.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use argosy_sandbox::cluster::{Cluster, ClusterOptions};
use rand::RngCore as _;

/// Clock ticks of the kernel's accounting in a second, as on every Linux.
const TICKS: u64 = 100;
/// Bytes of a page, as on every machine this is run on.
const PAGE: u64 = 4096;

/// What a process says about itself: a word and a figure on each line.
pub(crate) struct Figures(BTreeMap<String, String>);

/// A process that serves one cluster until this is dropped.
pub(crate) struct Server {
    child: Child,
    /// The way in for somebody who may do everything.
    pub(crate) kubeconfig: String,
}

// === impl Figures ===

impl Figures {
    /// Runs a role to its end.
    pub(crate) fn of(role: &[&str]) -> anyhow::Result<Self> {
        let output = Command::new(std::env::current_exe()?).args(role).stderr(Stdio::inherit()).output()?;
        anyhow::ensure!(output.status.success(), "{role:?} ended with {}", output.status);
        let text = String::from_utf8(output.stdout)?;
        let pairs = text.lines().filter_map(|line| line.split_once(' '));
        Ok(Self(pairs.map(|(name, figure)| (name.to_owned(), figure.to_owned())).collect()))
    }

    pub(crate) fn get(&self, name: &str) -> anyhow::Result<&str> {
        self.0.get(name).map(String::as_str).with_context(|| format!("there is no figure {name}"))
    }
}

// === impl Server ===

impl Server {
    /// Starts one; with a folder it keeps its state there.
    pub(crate) fn start(folder: Option<&str>) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child = command.arg("serve").args(folder).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut kubeconfig = String::new();
        let mut lines = BufReader::new(child.stdout.take().context("its output is read")?);
        // An empty line ends it.
        while lines.read_line(&mut kubeconfig)? > 1 {}
        Ok(Self { child, kubeconfig })
    }

    /// CPU time so far.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name may hold anything; what is counted stands after it.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |place: usize| -> anyhow::Result<u64> { Ok(fields.get(place).context("fields of stat")?.parse()?) };
        Ok(Duration::from_millis((ticks(11)? + ticks(12)?) * 1000 / TICKS))
    }

    /// Bytes in memory.
    pub(crate) fn resident(&self) -> anyhow::Result<u64> {
        resident(&self.child.id().to_string())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It ends with its input; how, is of no interest any more.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Bytes of a process that are in memory.
pub(crate) fn resident(process: &str) -> anyhow::Result<u64> {
    let statm = std::fs::read_to_string(format!("/proc/{process}/statm"))?;
    let pages: u64 = statm.split(' ').nth(1).context("pages in memory")?.parse()?;
    Ok(pages * PAGE)
}

/// A cluster of the machine's clock and of random uids.
pub(crate) fn options() -> ClusterOptions {
    #[expect(clippy::disallowed_methods, reason = "this is where the benchmark's clock comes from")]
    let clock = Arc::new(jiff::Timestamp::now);
    ClusterOptions::new(clock, Arc::new(|buffer: &mut [u8]| rand::rng().fill_bytes(buffer)))
}

/// The role of [`Server`]: one cluster on one thread, until the input ends.
pub(crate) fn serve(folder: Option<String>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let cluster = runtime.block_on(Cluster::start(ClusterOptions { data_dir: folder.map(Into::into), ..options() }))?;
    let mut output = std::io::stdout();
    writeln!(output, "{}\n", cluster.admin_kubeconfig()?.trim_end())?;
    output.flush()?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
