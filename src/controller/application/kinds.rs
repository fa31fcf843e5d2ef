//! Whether what is known of the kinds an application has is good enough to decide
//! on.

use std::collections::HashSet;
use std::time::Duration;

use argosy_cluster::KindState;
use argosy_engine::target::Targets;
use argosy_model::{GroupKind, Gvk};

use super::compare::{Failure, live_failure};
use crate::cluster::Target;

/// How long a comparison waits for kinds of a cluster that does not answer, and
/// how much longer where it does.
const PATIENCE_FAILING: Duration = Duration::from_secs(5);
const PATIENCE_LISTING: Duration = Duration::from_secs(60);

/// The kinds of an application's targets.
pub(super) fn of(targets: &Targets) -> Vec<GroupKind> {
    let kinds: HashSet<GroupKind> = targets.objects.iter().map(|o| Gvk::of(o).group_kind()).collect();
    kinds.into_iter().collect()
}

/// Waits until the kinds are listed: shortly where the cluster does not answer,
/// so that its trouble is told, and longer where it is at it.
///
/// # Errors
/// Which kind is not known, and why.
pub(super) async fn ready(target: &Target, kinds: &[GroupKind]) -> Result<(), Failure> {
    for patience in [PATIENCE_FAILING, PATIENCE_LISTING] {
        if tokio::time::timeout(patience, target.live.ready(kinds)).await.is_ok() {
            break;
        }
        check(target, kinds)?;
    }
    check(target, kinds)?;
    match kinds.iter().find(|kind| matches!(target.live.kind_state(kind), KindState::Pending)) {
        Some(kind) => Err(live_failure(&format!("{kind} is not listed yet"))),
        None => Ok(()),
    }
}

/// What is known of a kind that cannot be followed may be old, and nothing may
/// be decided on it.
fn check(target: &Target, kinds: &[GroupKind]) -> Result<(), Failure> {
    for kind in kinds {
        if let KindState::Failing(reason) = target.live.kind_state(kind) {
            return Err(live_failure(&format!("failed to watch {kind}: {reason}")));
        }
    }
    Ok(())
}
