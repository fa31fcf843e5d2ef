//! Files that only their owner may read.

use std::io::Write as _;
use std::path::Path;

/// Writes a file of mode 0600, in place of one that is there.
pub(crate) fn write(path: &Path, text: &str) -> std::io::Result<()> {
    options().truncate(true).open(path)?.write_all(text.as_bytes())
}

/// Makes an empty file of mode 0600 where there is none.
pub(crate) fn make(path: &Path) -> std::io::Result<()> {
    options().truncate(false).open(path).map(drop)
}

fn options() -> std::fs::OpenOptions {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options
}
