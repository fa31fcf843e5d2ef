//! Sync and compare options: `Key=value` words on a resource's annotation or in
//! an application's `syncPolicy.syncOptions`. The resource's word wins.

use serde_json::Value;

use crate::{names, object};

/// Options gathered from an application, asked per resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncOptions {
    words: Vec<String>,
}

// === impl SyncOptions ===

impl SyncOptions {
    /// From `syncPolicy.syncOptions` or an operation's `syncOptions`.
    pub fn new(words: impl IntoIterator<Item = String>) -> Self {
        Self { words: words.into_iter().map(|w| w.trim().to_owned()).collect() }
    }

    /// Whether the application itself says `key=value`.
    pub fn has(&self, word: &str) -> bool {
        self.words.iter().any(|w| w == word)
    }

    /// The value the application gives `key`, the last one where it is repeated.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.words.iter().rev().find_map(|w| w.strip_prefix(key)?.strip_prefix('='))
    }

    /// What holds for one resource: its own annotation first, then the application.
    pub fn value_for<'a>(&'a self, resource: &'a Value, key: &str) -> Option<&'a str> {
        resource_option(resource, names::ANNOTATION_SYNC_OPTIONS, key).or_else(|| self.value(key))
    }

    /// Whether `key=value` holds for one resource.
    pub fn has_for(&self, resource: &Value, key: &str, value: &str) -> bool {
        self.value_for(resource, key) == Some(value)
    }
}

/// The value a resource's own annotation gives `key`.
pub fn resource_option<'a>(resource: &'a Value, annotation: &str, key: &str) -> Option<&'a str> {
    object::annotation(resource, annotation)
        .unwrap_or("")
        .split(',')
        .map(str::trim)
        .filter_map(|w| w.strip_prefix(key)?.strip_prefix('='))
        .next_back()
}

/// Whether a resource's annotation carries `key=value`, or the bare word `key`
/// when `value` is empty.
pub fn has_resource_option(resource: &Value, annotation: &str, key: &str, value: &str) -> bool {
    object::annotation_list(resource, annotation).any(|w| match w.split_once('=') {
        Some((k, v)) => k == key && v == value,
        None => w == key && value.is_empty(),
    })
}
