//! The folder of one mirror: its layout, its lock, its state of health, and the
//! atomic replacement of its refs.
//!
//! ```text
//! <root>/<hash of the URL>/
//!   lock         held as long as the mirror is open
//!   url          for people who look
//!   private/     keys of running ssh processes, mode 0700, otherwise empty
//!   incoming/    packs on their way in, otherwise empty
//!   mirror.git/  the bare repository
//!   damaged.git/ an earlier one that could not be read, until the next fetch
//! ```

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use git2::{Repository, RepositoryInitOptions};

use crate::refs::RemoteRefs;
use crate::{Error, RepoUrl};

pub(crate) struct Store {
    folder: PathBuf,
    /// Locked; the lock ends with the file, also when the process is killed.
    lock: File,
}

impl Drop for Store {
    fn drop(&mut self) {
        // A child that is about to become another program still has the file open, and
        // the lock would be held for that long. Nothing is lost where it cannot be undone.
        let _ = self.lock.unlock();
    }
}

// === impl Store ===

impl Store {
    /// Takes the folder, clears it of rubbish, and makes sure that there is a
    /// readable bare repository in it. Returns its refs too.
    pub(crate) fn open(root: &Path, url: &RepoUrl) -> Result<(Self, RemoteRefs), Error> {
        let folder = root.join(url.folder());
        for dir in [folder.clone(), folder.join("private"), folder.join("incoming")] {
            DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(Error::io("create", &dir))?;
        }
        let path = folder.join("lock");
        let lock = File::create(&path).map_err(Error::io("create", &path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::Locked { path: folder }),
            Err(TryLockError::Error(source)) => return Err(Error::Io { action: "lock", path, source }),
        }
        let store = Self { folder, lock };
        write_whole(&store.folder.join("url"), &format!("{url}\n"))?;
        store.clear_rubbish()?;
        let refs = match store.load() {
            Ok(refs) => refs,
            Err(reason) => {
                if store.git_dir().exists() {
                    tracing::warn!(repo = %url, reason, "the mirror is damaged and is made anew");
                }
                store.recreate()?;
                RemoteRefs::default()
            }
        };
        Ok((store, refs))
    }

    pub(crate) fn git_dir(&self) -> PathBuf {
        self.folder.join("mirror.git")
    }

    pub(crate) fn private_dir(&self) -> PathBuf {
        self.folder.join("private")
    }

    pub(crate) fn incoming_dir(&self) -> PathBuf {
        self.folder.join("incoming")
    }

    pub(crate) fn pack_dir(&self) -> PathBuf {
        self.git_dir().join("objects/pack")
    }

    fn damaged_dir(&self) -> PathBuf {
        self.folder.join("damaged.git")
    }

    /// Sets the repository aside, whatever is left of it, and begins an empty one.
    pub(crate) fn recreate(&self) -> Result<(), Error> {
        let git_dir = self.git_dir();
        if git_dir.exists() {
            self.forget_damaged()?;
            fs::rename(&git_dir, self.damaged_dir()).map_err(Error::io("set aside", &git_dir))?;
        }
        let mut options = RepositoryInitOptions::new();
        options.bare(true).no_reinit(true).external_template(false);
        Repository::init_opts(&git_dir, &options).map_err(Error::store("create the mirror"))?;
        Ok(())
    }

    /// Removes what [`Self::recreate`] set aside; nobody needs it once its
    /// successor is filled.
    pub(crate) fn forget_damaged(&self) -> Result<(), Error> {
        match fs::remove_dir_all(self.damaged_dir()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::io("remove", self.damaged_dir())(error))
            }
            _ => Ok(()),
        }
    }

    /// Removes what a killed process left: packs that never arrived, keys, lock
    /// files, halves of packs. Only the owner of the lock may do this, and only
    /// while no fetch runs.
    pub(crate) fn clear_rubbish(&self) -> Result<(), Error> {
        for dir in [self.incoming_dir(), self.private_dir()] {
            remove_entries(&dir, |_| true)?;
        }
        let git_dir = self.git_dir();
        remove_entries(&git_dir, |name| name.ends_with(".lock") || name.ends_with(".new"))?;
        let packs = self.pack_dir();
        remove_entries(&packs, |name| match name.rsplit_once('.') {
            Some((stem, "idx")) => !packs.join(stem).with_extension("pack").exists(),
            Some((stem, "pack")) => !packs.join(stem).with_extension("idx").exists(),
            _ => name.starts_with("tmp_") || name.contains("_git2_"),
        })
    }

    /// Replaces all refs in one rename, then `HEAD`.
    pub(crate) fn write_refs(&self, refs: &RemoteRefs) -> Result<(), Error> {
        let git_dir = self.git_dir();
        write_whole(&git_dir.join("packed-refs"), &refs.to_packed())?;
        let head = match (&refs.head_target, refs.head) {
            (Some(target), _) => format!("ref: {target}\n"),
            (None, Some(oid)) => format!("{oid}\n"),
            (None, None) => "ref: refs/heads/main\n".to_owned(),
        };
        write_whole(&git_dir.join("HEAD"), &head)
    }

    /// Moves a complete pack from `incoming` to where readers see it. The pack
    /// goes first: readers find it by its index.
    pub(crate) fn adopt_pack(&self, name: &str) -> Result<(), Error> {
        for extension in ["pack", "idx"] {
            let from = self.incoming_dir().join(format!("pack-{name}.{extension}"));
            let to = self.pack_dir().join(format!("pack-{name}.{extension}"));
            File::open(&from).and_then(|file| file.sync_all()).map_err(Error::io("write", &from))?;
            fs::rename(&from, &to).map_err(Error::io("move a pack to", &to))?;
        }
        let dir = self.pack_dir();
        File::open(&dir).and_then(|file| file.sync_all()).map_err(Error::io("write", &dir))
    }

    /// Names and sizes in bytes of all packs, smallest first.
    pub(crate) fn packs(&self) -> Result<Vec<(String, u64)>, Error> {
        let dir = self.pack_dir();
        let mut packs = Vec::new();
        for entry in fs::read_dir(&dir).map_err(Error::io("read", &dir))? {
            let entry = entry.map_err(Error::io("read", &dir))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Some(name) = name.strip_prefix("pack-").and_then(|name| name.strip_suffix(".pack")) {
                packs.push((name.to_owned(), entry.metadata().map_err(Error::io("read", entry.path()))?.len()));
            }
        }
        packs.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
        Ok(packs)
    }

    /// Removes a pack whose objects are in another one too. Readers that have it
    /// open keep it; others find nothing and look again.
    pub(crate) fn remove_pack(&self, name: &str) -> Result<(), Error> {
        for extension in ["idx", "pack"] {
            let path = self.pack_dir().join(format!("pack-{name}.{extension}"));
            fs::remove_file(&path).map_err(Error::io("remove", &path))?;
        }
        Ok(())
    }

    /// Reads the refs and makes sure that the repository is whole as far as can
    /// be told without reading everything: packs are as long as their indexes
    /// say, and what the refs name is there. Objects are checked against their
    /// ids whenever they are read.
    fn load(&self) -> Result<RemoteRefs, &'static str> {
        let repository = Repository::open_bare(self.git_dir()).map_err(|_| "it is no repository")?;
        let odb = repository.odb().map_err(|_| "it has no object database")?;
        for (name, _) in self.packs().map_err(|_| "its packs cannot be listed")? {
            let matches = trailer(&self.pack_dir().join(format!("pack-{name}.pack")), 20)
                .and_then(|pack| Ok(pack == trailer(&self.pack_dir().join(format!("pack-{name}.idx")), 40)?));
            if !matches.unwrap_or(false) {
                return Err("a pack does not match its index");
            }
        }
        let refs = match fs::read_to_string(self.git_dir().join("packed-refs")) {
            Ok(text) => RemoteRefs::from_packed(&text).ok_or("its refs cannot be read")?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(RemoteRefs::default()),
            Err(_) => return Err("its refs cannot be read"),
        };
        if refs.values().any(|target| !odb.exists(target.oid) || !odb.exists(target.commit())) {
            return Err("objects are missing");
        }
        let text = fs::read_to_string(self.git_dir().join("HEAD")).map_err(|_| "it has no HEAD")?;
        let head_target = text.trim().strip_prefix("ref: ").map(str::to_owned);
        let head = match &head_target {
            Some(target) => refs.get(target).map(|target| target.commit()),
            None => crate::refs::parse_oid(text.trim()),
        };
        match head.map(|oid| repository.find_commit(oid).and_then(|commit| commit.tree())) {
            Some(Err(_)) => Err("the commit of HEAD cannot be read"),
            _ => Ok(RemoteRefs { head_target, head, refs }),
        }
    }
}

/// The checksum that begins `from_end` bytes before the end of a pack (20) or of
/// the pack as its index knows it (40).
fn trailer(path: &Path, from_end: i64) -> io::Result<[u8; 20]> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::End(-from_end))?;
    let mut checksum = [0; 20];
    file.read_exact(&mut checksum)?;
    Ok(checksum)
}

fn remove_entries(dir: &Path, condemned: impl Fn(&str) -> bool) -> Result<(), Error> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(Error::io("read", dir))?,
    };
    for entry in entries {
        let entry = entry.map_err(Error::io("read", dir))?;
        if !condemned(&entry.file_name().to_string_lossy()) {
            continue;
        }
        let path = entry.path();
        let removed = match entry.file_type() {
            Ok(kind) if kind.is_dir() => fs::remove_dir_all(&path),
            _ => fs::remove_file(&path),
        };
        removed.map_err(Error::io("remove", &path))?;
    }
    Ok(())
}

/// Replaces a file: readers see the old text or the new one.
fn write_whole(path: &Path, text: &str) -> Result<(), Error> {
    let new = path.with_extension("new");
    let mut file = File::create(&new).map_err(Error::io("create", &new))?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(Error::io("write", &new))?;
    fs::rename(&new, path).map_err(Error::io("replace", path))
}
