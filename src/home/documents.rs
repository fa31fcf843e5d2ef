//! Secrets that the replicas share among themselves, and the server's certificate.
//!
//! Each is watched by name on a connection of its own, so a change reaches the
//! other replicas as fast as the API server tells it and wakes nobody who waits
//! for settings. [`Documents::publish`] may be called by anyone at any time: what
//! it publishes is read under its lock, so that it never goes back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use argosy_model::{AppKey, Secret};
use kube::client::Client;
use tokio::sync::watch;

use crate::object::SecretObject;
use crate::settings::Names;
use crate::snapshots::fill;
use crate::store::Store;
use crate::watch::Target;

/// Sign-ins that count on every API replica.
pub(crate) const SESSIONS: &str = "argosy-sessions";
/// The authority that replicas know each other by.
pub(crate) const PEERS: &str = "argosy-peers";
/// The server's certificate, where something else keeps it.
pub(crate) const SERVER_TLS: &str = "argocd-server-tls";

pub(crate) const CERTIFICATE: &str = "tls.crt";
pub(crate) const KEY: &str = "tls.key";

const WATCHED: [&str; 3] = [SESSIONS, PEERS, SERVER_TLS];

/// A certificate with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPair {
    /// PEM of the certificate, perhaps with those above it.
    pub certificate: String,
    /// PEM of its private key.
    pub key: Secret<String>,
}

/// The documents now.
pub(crate) struct Documents {
    namespace: String,
    pub(crate) store: Arc<Store<SecretObject>>,
    /// `argocd-secret`, which holds the certificate where [`SERVER_TLS`] does not.
    secret: Arc<Store<SecretObject>>,
    pub(crate) sessions: watch::Sender<Arc<BTreeMap<String, String>>>,
    pub(crate) certificate: watch::Sender<Option<Arc<KeyPair>>>,
    ready: watch::Sender<bool>,
    publishing: Mutex<()>,
}

/// Whether a Secret is one that replicas share and users do not set.
pub(crate) fn is_document(name: &str) -> bool {
    matches!(name, SESSIONS | PEERS)
}

// === impl KeyPair ===

impl KeyPair {
    /// Reads a pair out of a Secret's data; `None` unless both parts are there.
    pub(crate) fn read(data: &BTreeMap<String, String>, certificate: &str, key: &str) -> Option<Self> {
        let part = |name: &str| data.get(name).filter(|text| !text.is_empty()).cloned();
        Some(Self { certificate: part(certificate)?, key: Secret::new(part(key)?) })
    }
}

// === impl Documents ===

impl Documents {
    pub(crate) fn new(namespace: &str, secret: Arc<Store<SecretObject>>) -> Arc<Self> {
        Arc::new(Self {
            namespace: namespace.to_owned(),
            store: Store::new(WATCHED.len()),
            secret,
            sessions: watch::Sender::default(),
            certificate: watch::Sender::default(),
            ready: watch::Sender::new(false),
            publishing: Mutex::new(()),
        })
    }

    /// The watches that fill them, each to be spawned.
    pub(crate) fn watches(
        &self,
        client: &Client,
        seed: u64,
    ) -> impl Iterator<Item = impl Future<Output = ()> + Send + use<>> {
        (0..).zip(WATCHED).map(move |(i, name)| {
            let target = Target::new("/api/v1", Some(&self.namespace), "secrets").named(name);
            fill(client.clone(), target, seed ^ (96 + i), self.store.clone(), move |key| &*key.name == name)
        })
    }

    /// Follows the watches until it is dropped.
    pub(crate) async fn follow(self: Arc<Self>) {
        self.store.synced().await;
        self.secret.synced().await;
        let (mut documents, mut secret) = (self.store.version(), self.secret.version());
        loop {
            documents.mark_unchanged();
            secret.mark_unchanged();
            self.publish();
            self.ready.send_replace(true);
            // The senders are in `self`, so that neither can fail.
            let _ = tokio::select! {
                changed = documents.changed() => changed,
                changed = secret.changed() => changed,
            };
        }
    }

    pub(crate) async fn ready(&self) {
        // The sender is in `self` and cannot be gone.
        let _ = self.ready.subscribe().wait_for(|ready| *ready).await;
    }

    /// Tells what the stores hold now.
    pub(crate) fn publish(&self) {
        // Nothing is kept under this lock that a panic could leave half done.
        let _turn = self.publishing.lock().unwrap_or_else(PoisonError::into_inner);
        let sessions = self.get(SESSIONS);
        self.sessions.send_if_modified(|current| {
            let empty = BTreeMap::new();
            let new = sessions.as_ref().map_or(&empty, |secret| secret.data.expose());
            let differs = **current != *new;
            if differs {
                *current = Arc::new(new.clone());
            }
            differs
        });
        let certificate = self.server_certificate().map(Arc::new);
        self.certificate.send_if_modified(|current| {
            let differs = *current != certificate;
            if differs {
                *current = certificate;
            }
            differs
        });
    }

    /// One of the documents.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<SecretObject>> {
        self.store.get(&AppKey::new(&self.namespace, name))
    }

    fn server_certificate(&self) -> Option<KeyPair> {
        let own = || self.secret.get(&AppKey::new(&self.namespace, Names::SECRET));
        let read = |secret: Arc<SecretObject>| KeyPair::read(secret.data.expose(), CERTIFICATE, KEY);
        self.get(SERVER_TLS).and_then(read).or_else(|| own().and_then(read))
    }
}
