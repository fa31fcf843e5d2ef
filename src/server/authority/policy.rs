//! The policy that is in force. One that cannot be read changes nothing: the one
//! before it stays, for an empty policy could lock everybody out, or nobody.

use std::sync::Arc;

use argosy_auth::rbac::{Policy, Sources, policy_text};
use argosy_home::Settings;

use super::Snapshot;

/// Compiles what `argocd-rbac-cm` says.
pub(super) fn compile(settings: &Settings, previous: Option<&Snapshot>) -> Arc<Policy> {
    let rbac = &settings.raw.rbac;
    let text = |key: &str| rbac.get(key).map_or("", String::as_str);
    let policy = policy_text(rbac);
    let sources = Sources {
        policy: &policy,
        default_role: text("policy.default"),
        scopes: text("scopes"),
        match_mode: text("policy.matchMode"),
    };
    match Policy::compile(&sources) {
        Ok(policy) => Arc::new(policy),
        Err(error) => {
            tracing::error!(%error, "the policy in argocd-rbac-cm cannot be read, the one before it stays in force");
            previous.map_or_else(|| Arc::new(Policy::builtin()), |previous| previous.policy.clone())
        }
    }
}
