//! Keeps the snapshot current.

use super::Authority;

/// Replaces the snapshot whenever accounts, the policy or revocations change, and
/// tells streams when projects do, for tokens and policies of roles are on them.
/// Ends when the home cluster's handle does.
pub(crate) async fn follow(authority: Authority) {
    let home = authority.state.home.clone();
    let mut settings = home.settings_changes();
    let mut sessions = home.sessions_changes();
    let mut projects = home.projects().version();
    loop {
        // The first time: changed between the first reading and the first wait.
        authority.catch_up();
        tokio::select! {
            changed = settings.changed() => if changed.is_err() { return },
            changed = sessions.changed() => if changed.is_err() { return },
            changed = projects.changed() => {
                if changed.is_err() {
                    return;
                }
                authority.bump();
            }
        }
    }
}
