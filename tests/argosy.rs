//! The built `argosy` program as a process: started, watched, killed, restarted.

use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::Context;

use crate::control_plane::ControlPlane;
use crate::metrics::Metrics;
use crate::ports::free_ports;
use crate::process::Process;
use crate::tools;
use crate::watchdog::TempFolder;

/// From the start until `/metrics` answers.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// What the program gets to end by itself.
const STOP_WITHIN: Duration = Duration::from_secs(30);
/// How often a taken port is forgiven.
const ATTEMPTS: usize = 4;

/// Which replica of the product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Controller,
    Server,
}

/// How to start a replica; see [`Argosy::controller`] and [`Argosy::server`].
pub struct Starter {
    role: Role,
    kubeconfig: PathBuf,
    namespace: String,
    args: Vec<String>,
    env: Vec<(String, String)>,
}

/// A running `argosy controller` or `argosy server`. It keeps its data folder over
/// restarts; when a test panics, the end of its log is printed.
pub struct Argosy {
    starter: Starter,
    process: Process,
    metrics_port: u16,
    /// The API's; a controller has none.
    port: u16,
    folder: TempFolder,
}

// === impl Starter ===

impl Starter {
    /// The home namespace; `argocd` when not said.
    #[must_use]
    pub fn namespace(mut self, namespace: &str) -> Self {
        namespace.clone_into(&mut self.namespace);
        self
    }

    /// Whose rights it has; the administrator's when not said.
    #[must_use]
    pub fn kubeconfig(mut self, path: impl Into<PathBuf>) -> Self {
        self.kubeconfig = path.into();
        self
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// One more environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts it and waits until its metrics answer.
    ///
    /// # Errors
    /// When it is not built, ends, or is not ready in time.
    pub async fn start(self) -> anyhow::Result<Argosy> {
        let folder = TempFolder::new("controller")?;
        std::fs::create_dir(folder.join("data")).context("making the data folder")?;
        let (process, [metrics_port, port]) = self.launch(&folder).await?;
        Ok(Argosy { starter: self, process, metrics_port, port, folder })
    }

    async fn launch(&self, folder: &TempFolder) -> anyhow::Result<(Process, [u16; 2])> {
        let mut attempt = 1;
        loop {
            let ports: [u16; 2] = free_ports()?;
            let mut process = Process::start("argosy", self.command(folder, ports)?, &folder.join("argosy.log"))?;
            match process.wait_until("ready", READY_WITHIN, || Metrics::fetch(ports[0])).await {
                Ok(_) => return Ok((process, ports)),
                Err(error) if attempt < ATTEMPTS && error.to_string().to_lowercase().contains("in use") => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }

    fn command(&self, folder: &TempFolder, [metrics, port]: [u16; 2]) -> anyhow::Result<Command> {
        let mut command = Command::new(tools::argosy_binary()?);
        match self.role {
            Role::Controller => command.arg("controller").arg("--data-dir").arg(folder.join("data")),
            Role::Server => command.args(["server", "--address", "127.0.0.1", "--port", &port.to_string()]),
        };
        command
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(["--namespace", &self.namespace])
            .args(["--metrics-address", &format!("127.0.0.1:{metrics}")])
            .args(&self.args)
            .current_dir(folder.path())
            // Nothing of the person's own settings decides a test.
            .env("HOME", folder.path())
            .env_remove("KUBECONFIG")
            .env("RUST_BACKTRACE", "1")
            .envs(self.env.iter().map(|(name, value)| (name, value)));
        Ok(command)
    }
}

// === impl Argosy ===

impl Argosy {
    /// A controller with the administrator's rights in the namespace `argocd`,
    /// to be changed before it is started.
    pub fn controller(control_plane: &ControlPlane) -> Starter {
        Self::starter(Role::Controller, control_plane)
    }

    /// An API replica with the administrator's rights in the namespace `argocd`, to
    /// be changed before it is started.
    pub fn server(control_plane: &ControlPlane) -> Starter {
        Self::starter(Role::Server, control_plane)
    }

    fn starter(role: Role, control_plane: &ControlPlane) -> Starter {
        Starter {
            role,
            kubeconfig: control_plane.kubeconfig_path(),
            namespace: "argocd".to_owned(),
            args: Vec::new(),
            env: Vec::new(),
        }
    }

    /// Kills it as a crash would, and waits until it is gone.
    pub fn kill9(&mut self) -> ExitStatus {
        self.process.kill()
    }

    /// Asks it to end, and says how it did; it is killed if it does not.
    pub fn stop(&mut self) -> ExitStatus {
        self.stop_within(STOP_WITHIN)
    }

    /// The same with another patience.
    pub fn stop_within(&mut self, patience: Duration) -> ExitStatus {
        self.process.stop(patience)
    }

    /// Kills it if it still runs and starts it again, with the same data folder
    /// and log, on another metrics port.
    ///
    /// # Errors
    /// As at the start.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.process.kill();
        (self.process, [self.metrics_port, self.port]) = self.starter.launch(&self.folder).await?;
        Ok(())
    }

    /// Stops its threads where they are, as a long pause of the machine would.
    pub fn pause(&mut self) {
        self.process.pause();
    }

    /// Lets it go on.
    pub fn resume(&mut self) {
        self.process.resume();
    }

    /// Fails with the end of its log when it has ended.
    ///
    /// # Errors
    /// It has ended.
    pub fn check_running(&mut self) -> anyhow::Result<()> {
        self.process.check_running()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Its data folder.
    pub fn data_folder(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Where its log is.
    pub fn log_path(&self) -> PathBuf {
        self.process.log_path().to_owned()
    }

    /// The last lines of its log.
    pub fn log_tail(&self, lines: usize) -> String {
        self.process.log_tail(lines)
    }

    /// All it has logged, over restarts.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Waits for a line that contains the text, and returns that line.
    ///
    /// # Errors
    /// When it ends, or the line does not come in time.
    pub async fn wait_for_log(&mut self, text: &str, deadline: Duration) -> anyhow::Result<String> {
        let path = self.log_path();
        let found = self.process.wait_until("saying it", deadline, || async {
            let log = std::fs::read_to_string(&path).context("reading the log")?;
            let line = log.lines().find(|line| line.contains(text)).map(str::to_owned);
            line.with_context(|| format!("no line has {text:?}"))
        });
        found.await
    }

    /// `127.0.0.1:PORT` of its metrics.
    pub fn metrics_address(&self) -> String {
        format!("127.0.0.1:{}", self.metrics_port)
    }

    /// `127.0.0.1:PORT` of the API; for an API replica only.
    pub fn api_address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Its metrics now.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn metrics(&self) -> anyhow::Result<Metrics> {
        Metrics::fetch(self.metrics_port).await
    }
}

impl Drop for Argosy {
    #[expect(clippy::print_stderr, reason = "a failing test shows what the program said")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the last lines of argosy ({})\n{}", self.log_path().display(), self.process.log_tail(60));
        }
    }
}
