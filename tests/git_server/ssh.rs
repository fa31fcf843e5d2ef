//! A real `sshd` that serves the repositories to one key, as the user who runs
//! the tests.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use crate::ports::free_ports;
use crate::process::Process;
use crate::watchdog::TempFolder;

/// How often a port that somebody else took is forgiven.
const ATTEMPTS: usize = 4;

/// The running server, its keys and the log of its commands.
pub struct SshServer {
    process: Process,
    port: u16,
    user: String,
    folder: TempFolder,
}

// === impl SshServer ===

impl SshServer {
    pub(super) fn start() -> anyhow::Result<Self> {
        let folder = TempFolder::new("ssh")?;
        let user = current_user()?;
        generate_key(&folder.join("host_key"), "argosy test host")?;
        generate_key(&folder.join("user_key"), "argosy test user")?;
        if user == "root" {
            // Debian's sshd insists on it, and only its service makes it.
            std::fs::create_dir_all("/run/sshd").context("making /run/sshd")?;
        }
        write_command(&folder)?;
        for _ in 0..ATTEMPTS {
            let [port] = free_ports()?;
            let config = folder.write("sshd_config", config(&folder, port))?;
            // It starts itself again for each connection, so it wants its whole path.
            let mut command = Command::new(sshd()?);
            command.arg("-D").arg("-e").arg("-f").arg(config);
            let mut process = Process::start("sshd", command, &folder.join("sshd.log"))?;
            if wait_until_listening(&mut process)? {
                return Ok(Self { process, port, user, folder });
            }
        }
        bail!("sshd found no free port in {ATTEMPTS} attempts")
    }

    /// `user@127.0.0.1:PORT`.
    pub fn authority(&self) -> String {
        format!("{}@127.0.0.1:{}", self.user, self.port)
    }

    /// The user's private key, in OpenSSH's format.
    ///
    /// # Errors
    /// When the file is gone.
    pub fn private_key(&self) -> anyhow::Result<String> {
        std::fs::read_to_string(self.private_key_path()).context("reading the user's key")
    }

    /// Where that key is, readable by its owner alone as ssh wants it.
    pub fn private_key_path(&self) -> PathBuf {
        self.folder.join("user_key")
    }

    /// The line of a `known_hosts` file for this server.
    ///
    /// # Errors
    /// When the file is gone.
    pub fn known_hosts(&self) -> anyhow::Result<String> {
        let key = std::fs::read_to_string(self.folder.join("host_key.pub")).context("reading the host's key")?;
        let key: Vec<_> = key.split_whitespace().take(2).collect();
        Ok(format!("[127.0.0.1]:{} {}\n", self.port, key.join(" ")))
    }

    /// The commands that clients ran so far, one for each connection.
    pub fn commands(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.folder.join("commands")).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }

    /// The server's own log.
    pub fn log(&self) -> String {
        self.process.log()
    }
}

fn config(folder: &TempFolder, port: u16) -> String {
    let at = |name: &str| folder.join(name).display().to_string();
    [
        format!("Port {port}"),
        "ListenAddress 127.0.0.1".into(),
        format!("HostKey {}", at("host_key")),
        format!("AuthorizedKeysFile {}", at("user_key.pub")),
        format!("ForceCommand {}", at("command")),
        "AcceptEnv GIT_PROTOCOL".into(),
        "AuthenticationMethods publickey".into(),
        "PermitRootLogin prohibit-password".into(),
        "PidFile none".into(),
        // The folder is below /tmp, whose mode sshd would not accept.
        "StrictModes no".into(),
        "UsePAM no".into(),
        "MaxStartups 1000".into(),
        String::new(),
    ]
    .join("\n")
}

/// Runs in the place of what a client asks for, writes that down and runs it if
/// it is git's.
fn write_command(folder: &TempFolder) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let script = format!(
        "#!/bin/sh\nprintf '%s\\n' \"$SSH_ORIGINAL_COMMAND\" >>'{}'\nexec git shell -c \"$SSH_ORIGINAL_COMMAND\"\n",
        folder.join("commands").display()
    );
    let path = folder.write("command", script)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).context("making a script executable")
}

fn generate_key(path: &Path, comment: &str) -> anyhow::Result<()> {
    let output = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f"])
        .arg(path)
        .output()
        .context("starting ssh-keygen")?;
    ensure!(output.status.success(), "ssh-keygen: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Whether it listens; `false` when somebody else has the port.
fn wait_until_listening(process: &mut Process) -> anyhow::Result<bool> {
    let end = Instant::now() + Duration::from_secs(30);
    while Instant::now() < end {
        let log = process.log();
        if log.contains("Server listening on") {
            return Ok(true);
        }
        if log.contains("Address already in use") {
            return Ok(false);
        }
        process.check_running()?;
        std::thread::sleep(Duration::from_millis(5));
    }
    bail!("sshd does not listen; its last lines:\n{}", process.log_tail(15))
}

/// Administrators' programs are not on everybody's search path.
fn sshd() -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from));
    let mut found = folders.map(|folder| folder.join("sshd")).filter(|file| file.is_file());
    found.next().context("sshd not found; on Debian: apt-get install openssh-server")
}

fn current_user() -> anyhow::Result<String> {
    let output = Command::new("id").arg("-un").output().context("starting id")?;
    ensure!(output.status.success(), "id -un: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
