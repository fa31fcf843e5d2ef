//! Nothing outlives the test process: processes and folders are told to a small
//! shell script that reads them from a pipe. When this process ends, however it
//! ends, the pipe closes, and the script kills and removes what is still listed.
//!
//! A shell and not a signal on the parent's death, because that one fires when
//! the *thread* that started the child ends, and a test's threads come and go.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

use anyhow::Context;

/// Signals of the terminal are ignored: the script has to see the others end.
/// Removal is tried a few times, for a dying process may still write a file.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
groups='' folders=''
while IFS= read -r line; do
  word=${line#* }
  case $line in
    run\ *) groups="$groups <$word>" ;;
    end\ *) groups="${groups%" <$word>"*}${groups##*" <$word>"}" ;;
    folder\ *) folders="$folders$word
" ;;
  esac
done
for group in $groups; do
  group=${group#<}
  kill -s KILL -- "-${group%>}" 2>/dev/null
done
for round in 1 2 3 4 5; do
  left=0
  printf %s "$folders" | { while IFS= read -r folder; do rm -rf -- "$folder" 2>/dev/null || left=1; done; exit $left; } && break
  sleep 0.1
done
"#;

/// Tells the watchdog to kill this process group when we are gone.
pub(crate) fn watch_group(pid: u32) -> anyhow::Result<()> {
    tell(&format!("run {pid}"))
}

/// Takes back [`watch_group`], once the group is known to be gone.
pub(crate) fn forget_group(pid: u32) -> anyhow::Result<()> {
    tell(&format!("end {pid}"))
}

fn tell(line: &str) -> anyhow::Result<()> {
    static WATCHDOG: OnceLock<Mutex<Option<ChildStdin>>> = OnceLock::new();
    let mut pipe = WATCHDOG.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    if pipe.is_none() {
        *pipe = Some(start()?);
    }
    let stdin = pipe.as_mut().expect("the watchdog was started above");
    writeln!(stdin, "{line}").context("the watchdog of the test process is gone")
}

fn start() -> anyhow::Result<ChildStdin> {
    use std::os::unix::process::CommandExt;
    let mut child = Command::new("/bin/sh")
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .context("starting /bin/sh")?;
    child.stdin.take().context("the watchdog was started with a pipe")
}

/// A folder below the system's temporary one that is removed when dropped, or
/// when the process ends otherwise. `ARGOSY_KEEP=1` keeps it.
#[derive(Debug)]
pub struct TempFolder {
    path: PathBuf,
    keep: bool,
}

// === impl TempFolder ===

impl TempFolder {
    /// A new empty folder, readable by its owner alone.
    ///
    /// # Errors
    /// When the system's temporary folder cannot be written.
    pub fn new(name: &str) -> anyhow::Result<Self> {
        let keep = std::env::var_os("ARGOSY_KEEP").is_some_and(|v| !v.is_empty());
        let path = tempfile::Builder::new()
            .prefix(&format!("argosy-{name}-"))
            .tempdir()
            .context("making a temporary folder")?
            .keep();
        if !keep {
            tell(&format!("folder {}", path.display()))?;
        }
        Ok(Self { path, keep })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A path inside it.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file in it that only its owner may read, and returns its path.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> anyhow::Result<PathBuf> {
        use std::os::unix::fs::OpenOptionsExt;
        let path = self.join(name);
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&path).with_context(|| format!("opening {}", path.display()))?;
        file.write_all(content.as_ref()).with_context(|| format!("writing {}", path.display()))?;
        Ok(path)
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        if !self.keep {
            // The watchdog tries once more at the end of the process.
            drop(std::fs::remove_dir_all(&self.path));
        }
    }
}
