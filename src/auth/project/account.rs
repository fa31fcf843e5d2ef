//! As which service account a project's syncs act.

use argosy_proto::v1alpha1::ApplicationDestinationServiceAccount;

use super::pattern::{MAX_LENGTH, read};

/// The account of a matching entry is empty or has characters of patterns.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("default service account contains invalid chars '{0}'")]
pub struct InvalidAccount(pub String);

/// Whether the text can name one service account.
pub(super) fn is_valid(account: &str) -> bool {
    !account.trim_matches(' ').is_empty() && !account.contains(['!', '*', '[', ']', '{', '}', '\\', '/'])
}

pub(super) fn resolve(
    entries: &[ApplicationDestinationServiceAccount],
    server: &str,
    namespace: &str,
    application_namespace: &str,
) -> Result<Option<String>, InvalidAccount> {
    let matches = |pattern: &str, text: &str| {
        text.len() <= MAX_LENGTH && read(pattern, &[]).is_some_and(|pattern| pattern.matches(text))
    };
    let entry = entries.iter().find(|e| matches(&e.server, server) && matches(&e.namespace, namespace));
    let Some(entry) = entry else { return Ok(None) };
    let account = &entry.default_service_account;
    if !is_valid(account) {
        return Err(InvalidAccount(account.clone()));
    }
    if account.contains(':') {
        return Ok(Some(format!("system:serviceaccount:{account}")));
    }
    let home = if namespace.is_empty() { application_namespace } else { namespace };
    Ok(Some(format!("system:serviceaccount:{home}:{account}")))
}
