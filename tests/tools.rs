//! Where the Kubernetes binaries and the built `argosy` are.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, bail, ensure};

/// The root of the repository.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests live one folder below the root")
}

/// The folder with `kube-apiserver`, `etcd`, `kubectl` and the others. Builds
/// what is missing, with progress on standard error; minutes the first time,
/// milliseconds after that.
///
/// # Errors
/// When something needed for building is missing, said by the script itself.
pub fn kubernetes_binaries() -> anyhow::Result<&'static Path> {
    static FOLDER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match FOLDER.get_or_init(|| build().map_err(|error| format!("{error:#}"))) {
        Ok(folder) => Ok(folder),
        Err(reason) => bail!("{reason}"),
    }
}

fn build() -> anyhow::Result<PathBuf> {
    let script = workspace().join("tests/tools/build");
    let output = Command::new(&script).stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("running {}", script.display()))?;
    ensure!(output.status.success(), "{} failed, see above", script.display());
    Ok(PathBuf::from(String::from_utf8(output.stdout).context("the tools folder's name is not UTF-8")?.trim_end()))
}

/// The `argosy` program to test: `ARGOSY_BIN`, or the one built beside this
/// test program.
///
/// # Errors
/// When it has not been built.
pub fn argosy_binary() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os("ARGOSY_BIN") {
        return Ok(path.into());
    }
    let here = std::env::current_exe().context("finding the running program")?;
    let folder = here.parent().context("a program is in a folder")?;
    // Test programs are in target/debug/deps, `run` is in target/debug.
    let folder = if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder };
    let path = folder.join("argosy");
    ensure!(path.is_file(), "{} is not built yet: run `cargo build -p argosy` first", path.display());
    Ok(path)
}
