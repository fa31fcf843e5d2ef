//! This program as another process: started, told figures by, and measured.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use argosy_loadtest::{cpu_of, memory_of, simulated};
use argosy_sandbox::cluster::{Cluster, ClusterOptions};

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
        cpu_of(self.child.id())
    }

    /// Bytes in memory.
    pub(crate) fn resident(&self) -> anyhow::Result<u64> {
        Ok(memory_of(self.child.id())?.resident)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It ends with its input; how, is of no interest any more.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// The role of [`Server`]: one cluster on one thread, until the input ends.
pub(crate) fn serve(folder: Option<String>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let cluster =
        runtime.block_on(Cluster::start(ClusterOptions { data_dir: folder.map(Into::into), ..simulated() }))?;
    let mut output = std::io::stdout();
    writeln!(output, "{}\n", cluster.admin_kubeconfig()?.trim_end())?;
    output.flush()?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
