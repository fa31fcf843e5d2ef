//! What all replicas share about sign-ins: revocations and counters.

use std::collections::BTreeMap;
use std::time::Duration;

use argosy_auth::identity::Identity;
use argosy_home::{Error, Home};
use jiff::Timestamp;

use crate::authority::revocation;

/// Prefix of the keys of the counters.
const COUNTED: &str = "sign-in.";

/// Between two writings of the counters, so that a flood of failures is no flood
/// of writes.
const PAUSE: Duration = Duration::from_millis(250);

/// The counters among the shared entries.
pub(super) fn records(sessions: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let counted = sessions.iter().filter_map(|(key, value)| Some((key.strip_prefix(COUNTED)?, value)));
    counted.map(|(key, value)| (key.to_owned(), value.clone())).collect()
}

/// Writes the counters. What other replicas counted meanwhile was merged into
/// ours before, or will be by their next writing.
pub(super) async fn save(home: Home, records: BTreeMap<String, String>) {
    let written = home
        .edit_sessions(|sessions| {
            sessions.retain(|key, _| !key.starts_with(COUNTED));
            sessions.extend(records.iter().map(|(key, value)| (format!("{COUNTED}{key}"), value.clone())));
            Ok::<_, Error>(())
        })
        .await;
    if let Err(error) = written {
        tracing::warn!(%error, "failed sign-ins are counted here, but could not be told to other replicas");
    }
    tokio::time::sleep(PAUSE).await;
}

/// Revokes the token of an identity, on every replica. A token without an
/// identifier cannot be revoked; its owner's end of it is all there is.
///
/// # Errors
/// When the shared document cannot be written.
pub(crate) async fn revoke(home: &Home, identity: &Identity, now: Timestamp) -> Result<(), Error> {
    home.edit_sessions(|sessions| {
        revocation::add(sessions, identity, now);
        Ok::<_, Error>(())
    })
    .await
    .map(drop)
}
