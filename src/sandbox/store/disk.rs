//! The file a store is kept in. A thread of its own writes what it is handed, in
//! order and in batches: many writes share one commit. A crash loses a tail of
//! writes that nobody was told about, never one in the middle.
//!
//! An object is kept under `group NUL resource NUL namespace NUL name` as its
//! version in eight bytes and its JSON.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

use redb::{Database, DatabaseError, ReadableDatabase as _, ReadableTable as _, TableDefinition, TableError};
use tokio::sync::watch;

use super::object::Kept;
use super::{Object, ObjectKey, StoreError};
use crate::private_file;

const OBJECTS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("objects");
const FACTS: TableDefinition<'_, &str, u64> = TableDefinition::new("facts");
const VERSION: &str = "version";

/// How far the versions go on after the last that was written: readers may have
/// seen some that a crash has lost, and none may be given out again.
const VERSION_GAP: u64 = 1 << 20;

/// Most writes of one commit.
const BATCH: usize = 4096;

/// The objects are all in memory already; the file needs little of it.
const CACHE_BYTES: usize = 4 << 20;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// It cannot be opened, read or written.
    #[error("the state file cannot be used")]
    File(#[source] Box<redb::Error>),
    /// Another process has it open.
    #[error("the state file is in use by another process")]
    InUse,
    /// Something in it is not what a store writes.
    #[error("the state file holds something else than objects")]
    Content,
    /// No thread can be started.
    #[error("the state file cannot be written in the background")]
    Thread(#[source] std::io::Error),
}

pub(super) struct Disk {
    writes: Mutex<Option<mpsc::Sender<Write>>>,
    /// The version that is safe; `None` once the file refused a write.
    safe: watch::Receiver<Option<u64>>,
    writer: Option<JoinHandle<()>>,
}

struct Write {
    key: ObjectKey,
    object: Option<Kept>,
    version: u64,
}

type Loaded = Vec<(ObjectKey, Kept)>;

/// Opens a file, which is made where there is none.
pub(super) fn database(file: &Path) -> Result<Database, DiskError> {
    private_file::make(file).map_err(|source| refused(redb::Error::Io(source)))?;
    Database::builder().set_cache_size(CACHE_BYTES).create(file).map_err(|error| match error {
        DatabaseError::DatabaseAlreadyOpen => DiskError::InUse,
        other => refused(other),
    })
}

// === impl Disk ===

impl Disk {
    /// Returns what is in a database, too, and the version to go on from.
    pub(super) fn on(database: Arc<Database>) -> Result<(Self, Loaded, u64), DiskError> {
        let (objects, last) = load(&database)?;
        let version = if last == 0 { 0 } else { last + VERSION_GAP };
        let (sender, receiver) = mpsc::channel();
        let (safe, reader) = watch::channel(Some(version));
        let writer = std::thread::Builder::new()
            .name("sandbox-disk".to_owned())
            .spawn(move || write_all(&database, &receiver, &safe))
            .map_err(DiskError::Thread)?;
        Ok((Self { writes: Mutex::new(Some(sender)), safe: reader, writer: Some(writer) }, objects, version))
    }

    /// Hands a write over; `None` removes the object. Called in order of versions.
    pub(super) fn write(&self, key: &ObjectKey, object: Option<Kept>, version: u64) {
        let writes = self.writes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(writes) = &*writes {
            // A writer that has ended has said so to `safe`, where it is noticed.
            drop(writes.send(Write { key: key.clone(), object, version }));
        }
    }

    pub(super) fn has_failed(&self) -> bool {
        self.safe.borrow().is_none()
    }

    pub(super) async fn committed(&self, version: u64) -> Result<(), StoreError> {
        let mut safe = self.safe.clone();
        let reached = safe.wait_for(|safe| safe.is_none_or(|safe| safe >= version)).await;
        match reached {
            Ok(safe) if safe.is_some() => Ok(()),
            _ => Err(StoreError::Disk),
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.writes.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = self.writer.take() {
            // What was handed over is written, and the file is free for the next.
            drop(writer.join());
        }
    }
}

fn write_all(database: &Database, writes: &mpsc::Receiver<Write>, safe: &watch::Sender<Option<u64>>) {
    while let Ok(first) = writes.recv() {
        let batch: Vec<Write> = std::iter::once(first).chain(writes.try_iter().take(BATCH)).collect();
        let version = batch.last().map_or(0, |write| write.version);
        match commit(database, &batch, version) {
            Ok(()) => {
                safe.send_replace(Some(version));
            }
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the sandbox's state cannot be written");
                safe.send_replace(None);
                return;
            }
        }
    }
}

fn commit(database: &Database, batch: &[Write], version: u64) -> Result<(), DiskError> {
    let transaction = database.begin_write().map_err(refused)?;
    {
        let mut objects = transaction.open_table(OBJECTS).map_err(refused)?;
        for write in batch {
            let key = encode_key(&write.key);
            match &write.object {
                Some(object) => {
                    objects.insert(&*key, &*encode(object)).map_err(refused)?;
                }
                None => {
                    objects.remove(&*key).map_err(refused)?;
                }
            }
        }
        transaction.open_table(FACTS).map_err(refused)?.insert(VERSION, version).map_err(refused)?;
    }
    transaction.commit().map_err(refused)
}

fn load(database: &Database) -> Result<(Loaded, u64), DiskError> {
    let transaction = database.begin_read().map_err(refused)?;
    let table = match transaction.open_table(OBJECTS) {
        Err(TableError::TableDoesNotExist(_)) => return Ok((Vec::new(), 0)),
        table => table.map_err(refused)?,
    };
    let mut objects = Vec::new();
    for entry in table.iter().map_err(refused)? {
        let (key, bytes) = entry.map_err(refused)?;
        objects.push((
            decode_key(key.value()).ok_or(DiskError::Content)?,
            decode(bytes.value()).ok_or(DiskError::Content)?,
        ));
    }
    let facts = transaction.open_table(FACTS).map_err(refused)?;
    let version = facts.get(VERSION).map_err(refused)?.ok_or(DiskError::Content)?.value();
    Ok((objects, version))
}

fn refused(error: impl Into<redb::Error>) -> DiskError {
    DiskError::File(Box::new(error.into()))
}

fn encode_key(key: &ObjectKey) -> Vec<u8> {
    [&*key.group, &*key.resource, &*key.namespace, &*key.name].join("\0").into_bytes()
}

fn decode_key(bytes: &[u8]) -> Option<ObjectKey> {
    let mut parts = std::str::from_utf8(bytes).ok()?.split('\0');
    let key = ObjectKey::new(parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    parts.next().is_none().then_some(key)
}

fn encode(object: &Kept) -> Vec<u8> {
    [&object.version().to_le_bytes(), object.text().as_bytes()].concat()
}

fn decode(bytes: &[u8]) -> Option<Kept> {
    let (version, json) = bytes.split_first_chunk::<8>()?;
    let value = serde_json::from_slice(json).ok()?;
    Some(Object::at(value, u64::from_le_bytes(*version)).kept())
}
