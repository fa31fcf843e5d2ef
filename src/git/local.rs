//! Repositories that are folders of this machine, through `git upload-pack`:
//! the same conversation as with any remote, and none of libgit2's slow local
//! transport. The `git` program is needed for these alone.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use crate::Error;
use crate::process::Process;
use crate::session::Peer;
use crate::url::local_git_dir;
use crate::wire::PacketReader;

/// Starts `git upload-pack` on a repository, whoever owns its folder: naming a
/// local repository is a decision of the administrator's.
pub(crate) fn spawn(peer: &Peer<'_>, path: &Path) -> Result<(Process, PacketReader), Error> {
    let git_dir = local_git_dir(path);
    if !git_dir.exists() {
        return Err(Error::RepositoryNotFound { repo: peer.url.to_string() });
    }
    let mut command = Command::new("git");
    command.args(["-c", "safe.directory=*", "upload-pack"]).arg(git_dir);
    command.env_clear().env("GIT_PROTOCOL", "version=2");
    command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    command.env("PATH", std::env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/bin:/bin")));
    let spawned = Process::spawn("git", &mut command, None);
    let (process, stdout) = spawned.map_err(Error::io("start the program", "git"))?;
    Ok((process, PacketReader::new(stdout, peer.max_bytes)))
}
