//! The protocol over a child `ssh` process: no ssh library is linked, and what
//! users know of OpenSSH (key types, certificates, messages) holds.
//!
//! The process sees nothing of its surroundings: no user configuration, no
//! agent, no terminal, no environment but `PATH`. The key and the known hosts
//! are files in a folder of mode 0700 that goes away with the process, and that
//! the next [`crate::Mirror::open`] empties should this one be killed.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::process::Process;
use crate::session::Peer;
use crate::url::Location;
use crate::wire::PacketReader;
use crate::{Auth, Credentials, Error, relay};

/// Connects and starts `git-upload-pack` on the other end.
pub(crate) async fn spawn(peer: &Peer<'_>) -> Result<(Process, PacketReader), Error> {
    let Location::Ssh { user, host, port, path } = peer.url.location() else {
        return Err(Error::InvalidUrl { reason: "it is not an ssh URL" });
    };
    let private = peer.store.private_dir();
    let files = tempfile::TempDir::new_in(&private).map_err(Error::io("create a folder in", &private))?;
    let mut command = Command::new("ssh");
    command.args(options(peer.credentials, files.path())?);
    let target = match relay::open(peer, host, port.unwrap_or(22)).await? {
        None => {
            command.args(["-p", &port.unwrap_or(22).to_string()]);
            host.as_str()
        }
        // The host key is still that of the real host, under its own name.
        Some(local) => {
            let alias = format!("HostKeyAlias={}", peer.url.known_hosts_name());
            command.args(["-o", &alias, "-p", &local.to_string()]);
            "127.0.0.1"
        }
    };
    command.args(["-l", user.as_deref().unwrap_or("git"), "--", target]);
    command.arg(format!("git-upload-pack {}", quote(path)));
    command.env_clear().env("GIT_PROTOCOL", "version=2");
    command.env("PATH", std::env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/bin:/bin")));
    let spawned = Process::spawn("ssh", &mut command, Some(files));
    let (process, stdout) = spawned.map_err(Error::io("start the program", "ssh"))?;
    Ok((process, PacketReader::new(stdout, peer.max_bytes)))
}

fn options(credentials: &Credentials, folder: &Path) -> Result<Vec<OsString>, Error> {
    let mut args: Vec<OsString> = ["-F", "/dev/null", "-T"].map(OsString::from).to_vec();
    let mut option = |text: OsString| args.extend([OsString::from("-o"), text]);
    for text in [
        "BatchMode=yes",
        "IdentityAgent=none",
        "IdentitiesOnly=yes",
        "PreferredAuthentications=publickey",
        "GlobalKnownHostsFile=/dev/null",
        "UpdateHostKeys=no",
        "CheckHostIP=no",
        "ClearAllForwardings=yes",
        "ForwardAgent=no",
        "ControlMaster=no",
        "ControlPath=none",
        "PermitLocalCommand=no",
        "LogLevel=ERROR",
        "ServerAliveInterval=15",
        "SendEnv=GIT_PROTOCOL",
    ] {
        option(text.into());
    }
    if credentials.insecure_ignore_host_key {
        option("StrictHostKeyChecking=no".into());
        option("UserKnownHostsFile=/dev/null".into());
    } else {
        let hosts = write_private(&folder.join("known_hosts"), &credentials.known_hosts)?;
        option("StrictHostKeyChecking=yes".into());
        option(file_option("UserKnownHostsFile", &hosts));
    }
    match &credentials.auth {
        Auth::SshKey(key) => {
            let key = write_private(&folder.join("key"), &key.expose().replace("\r\n", "\n"))?;
            option(file_option("IdentityFile", &key));
        }
        Auth::Anonymous => option("IdentityFile=none".into()),
        Auth::Basic { .. } | Auth::Bearer(_) => {
            return Err(Error::InvalidCredentials { reason: "an ssh URL needs an ssh private key" });
        }
    }
    Ok(args)
}

/// ssh splits option values at spaces unless they are quoted, and expands `%`.
fn file_option(name: &str, path: &Path) -> OsString {
    format!("{name}=\"{}\"", path.display().to_string().replace('%', "%%")).into()
}

fn write_private(path: &Path, text: &str) -> Result<std::path::PathBuf, Error> {
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(Error::io("create", path))?;
    let end = if text.ends_with('\n') { "" } else { "\n" };
    file.write_all(format!("{text}{end}").as_bytes()).map_err(Error::io("write", path))?;
    Ok(path.to_owned())
}

/// One word of a POSIX shell, as git quotes it.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''").replace('!', "'\\!'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_whatever_is_in_it() {
        assert_eq!(quote("/a b/c.git"), "'/a b/c.git'");
        assert_eq!(quote("x'; rm -rf /; '"), r"'x'\''; rm -rf /; '\'''");
    }
}
