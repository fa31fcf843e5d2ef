//! One child process in a process group of its own, its output in a log file.

use std::fs::File;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process_group};

use crate::watchdog;

/// Between two looks at something that a process is to bring about.
const PAUSE: Duration = Duration::from_millis(20);

/// A running child. Dropping it kills its whole group and waits for it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    ended: Option<ExitStatus>,
}

// === impl Process ===

impl Process {
    /// Starts the command with its output appended to `log`, in a group of its
    /// own, so that a Ctrl-C in the terminal does not reach it before we do.
    ///
    /// # Errors
    /// When the program does not exist or the log cannot be written.
    pub fn start(name: &str, mut command: Command, log: &Path) -> anyhow::Result<Self> {
        let file = File::options().create(true).append(true).open(log);
        let file = file.with_context(|| format!("opening {}", log.display()))?;
        let copy = file.try_clone().context("sharing the log file")?;
        let program = command.get_program().to_owned();
        let child = command
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(copy)
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {}", Path::new(&program).display()))?;
        watchdog::watch_group(child.id())?;
        Ok(Self { name: name.to_owned(), child, log: log.to_owned(), ended: None })
    }

    /// The process id, which is also the id of its group.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it was called at the start.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its output goes.
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// All it has written so far; empty when the log cannot be read.
    pub fn log(&self) -> String {
        std::fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// The last lines it wrote.
    pub fn log_tail(&self, lines: usize) -> String {
        let log = self.log();
        let all: Vec<_> = log.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    /// How it ended, `None` while it runs.
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none()
            && let Ok(Some(status)) = self.child.try_wait()
        {
            self.on_end(status);
        }
        self.ended
    }

    /// Fails with the end of the log when the process is gone.
    ///
    /// # Errors
    /// The process has ended.
    pub fn check_running(&mut self) -> anyhow::Result<()> {
        match self.exit_status() {
            None => Ok(()),
            Some(status) => anyhow::bail!("{} ended ({status}); its last lines:\n{}", self.name, self.log_tail(15)),
        }
    }

    /// Probes until it answers `Ok`, as long as the process runs.
    ///
    /// # Errors
    /// When the process ends, or after the deadline with the last reason; both
    /// with the end of the log.
    pub async fn wait_until<T, P, F>(&mut self, what: &str, deadline: Duration, mut probe: P) -> anyhow::Result<T>
    where
        P: FnMut() -> F,
        F: Future<Output = anyhow::Result<T>>,
    {
        let end = Instant::now() + deadline;
        loop {
            self.check_running()?;
            match probe().await {
                Ok(value) => return Ok(value),
                Err(reason) if Instant::now() > end => anyhow::bail!(
                    "{}: not {what} within {deadline:?}: {reason:#}; its last lines:\n{}",
                    self.name,
                    self.log_tail(30)
                ),
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// Stops its threads where they are (`SIGSTOP`), as a long pause of the machine would.
    pub fn pause(&mut self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on after [`Self::pause`].
    pub fn resume(&mut self) {
        self.signal(Signal::CONT);
    }

    /// Kills it with its group (`SIGKILL`) and waits until it is gone.
    pub fn kill(&mut self) -> ExitStatus {
        self.signal(Signal::KILL);
        match (self.ended, self.child.wait()) {
            (Some(status), _) => status,
            (None, Ok(status)) => self.on_end(status),
            (None, Err(error)) => panic!("waiting for {}: {error}", self.name),
        }
    }

    /// Asks it to end (`SIGTERM`) and kills it when it has not after `patience`.
    pub fn stop(&mut self, patience: Duration) -> ExitStatus {
        self.signal(Signal::TERM);
        let end = Instant::now() + patience;
        while Instant::now() < end {
            if let Some(status) = self.exit_status() {
                return status;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.kill()
    }

    fn signal(&mut self, signal: Signal) {
        if self.exit_status().is_some() {
            return;
        }
        if let Some(pid) = i32::try_from(self.pid()).ok().and_then(Pid::from_raw) {
            // It may end between the look and the signal: then there is nothing to do.
            let _ = kill_process_group(pid, signal);
        }
    }

    fn on_end(&mut self, status: ExitStatus) -> ExitStatus {
        self.ended = Some(status);
        // Without a watchdog there is nothing to take back.
        drop(watchdog::forget_group(self.pid()));
        status
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.exit_status().is_none() {
            self.kill();
        }
    }
}

/// Whether a status says "killed by this signal", for tests of crashes.
pub fn was_killed(status: ExitStatus) -> bool {
    status.signal() == Some(Signal::KILL.as_raw())
}
