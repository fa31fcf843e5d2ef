//! Watching one kind in the namespaces that are admitted.

use std::sync::Arc;

use argosy_model::AppKey;
use argosy_proto::resource::CustomResource;
use kube::client::Client;
use tokio::task::JoinSet;

use super::ROOT;
use crate::namespaces::NamespacePatterns;
use crate::settings::Settings;
use crate::snapshots::{Snapshots, fill};
use crate::store::Store;
use crate::watch::{Target, Watched};

/// Which namespaces those are.
#[derive(Clone)]
pub(super) struct Admitted {
    pub(super) snapshots: Arc<Snapshots>,
    /// The control plane's own.
    pub(super) home: String,
    /// Patterns of the others; `None` follows the setting.
    pub(super) fixed: Option<Vec<String>>,
}

/// Watches objects in the namespaces that are admitted, and starts over when
/// other namespaces are. The store was made to wait for one watch; how many more
/// there are is known here.
pub(super) async fn watch_admitted<T: CustomResource + Watched>(
    client: Client,
    store: Arc<Store<T>>,
    namespaces: Admitted,
    seed: u64,
) {
    let Admitted { snapshots, home, fixed } = namespaces;
    // The senders are in `snapshots`: waiting on them cannot fail.
    let _ = snapshots.ready.subscribe().wait_for(|ready| *ready).await;
    let mut settings = snapshots.settings.subscribe();
    let current =
        |settings: &Settings| fixed.clone().unwrap_or_else(|| settings.controller.application_namespaces.clone());
    let mut patterns = current(&settings.borrow_and_update());
    loop {
        let admitted = Arc::new(NamespacePatterns::new(&home, &patterns));
        store.retain(|key| admitted.admits(&key.namespace));
        let scopes = admitted.single().map_or_else(|| vec![None], |all| all.into_iter().map(Some).collect());
        store.expect_watches(scopes.len());
        let mut watches = JoinSet::new();
        for (i, scope) in (0..).zip(scopes) {
            let target = Target::new(ROOT, scope.as_deref(), T::PLURAL);
            let admitted = admitted.clone();
            let owned = move |key: &AppKey| match &scope {
                Some(namespace) => *namespace == *key.namespace,
                None => admitted.admits(&key.namespace),
            };
            watches.spawn(fill(client.clone(), target, seed ^ i, store.clone(), owned));
        }
        loop {
            // The sender lives as long as this home: it cannot have gone.
            let _ = settings.changed().await;
            let next = current(&settings.borrow_and_update());
            if next != patterns {
                patterns = next;
                break;
            }
        }
        // Aborted is not ended: a last event of theirs must not come after the
        // store has been pruned for the next round.
        watches.shutdown().await;
    }
}
