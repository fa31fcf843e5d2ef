//! Files that only their owner may read, and paths as people copy them.

use std::io::Write as _;
use std::path::Path;

/// Writes a file that only its owner may read; whoever sees it sees all of it.
pub(crate) fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let mut beside = tempfile::NamedTempFile::new_in(folder)?;
    beside.write_all(text.as_bytes())?;
    beside.persist(path)?;
    Ok(())
}

/// A path as a shell takes it.
pub(crate) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+@%,:".contains(letter);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_takes_a_quoted_path_as_one_word() {
        assert_eq!(quoted(Path::new("/home/me/kube.yaml")), "/home/me/kube.yaml");
        assert_eq!(quoted(Path::new("/it's/my file")), r"'/it'\''s/my file'");
    }

    #[test]
    fn a_file_is_replaced_whole_and_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("kubeconfig");
        std::fs::write(&path, "a longer text than the new one").expect("written");
        replace(&path, "new").expect("replaced");
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "new");
        assert_eq!(path.metadata().expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(folder.path().read_dir().expect("there").count(), 1, "nothing is left beside it");
    }
}
