//! Server-side diff: the API server itself is asked what it would make of a
//! target, by a dry run of a server-side apply that takes over every field.
//!
//! Only pairs that have to be compared anew come here, so a comparison in which
//! nothing changed sends nothing. The answer is of the server's own state, which
//! may be newer than ours; the watch brings that, and with it another comparison.

use std::collections::HashMap;

use argosy_cluster::{ApplyTask, Known, Mode};
use argosy_engine::compare::Pair;
use argosy_engine::condition::{Finding, Kind};
use argosy_model::names;
use futures::StreamExt as _;
use serde_json::Value;

use crate::cluster::Target;

/// Dry runs of one application at once; the cluster's budget bounds all together.
const AT_ONCE: usize = 16;

/// What the API server said, by the pair's place.
pub(super) type Predictions = HashMap<usize, Result<Value, Refusal>>;

/// A dry run that came to nothing.
pub(super) struct Refusal {
    /// For the application's owner, without any value of a Secret.
    pub(super) finding: Finding,
    /// Waiting a little may help.
    pub(super) transient: bool,
}

/// Asks for the pairs that have both sides. What the project does not permit is
/// never sent.
pub(super) async fn predict(target: &Target, pairs: &[Pair], places: &[usize]) -> Predictions {
    let asked = places.iter().filter_map(|&place| {
        let pair = &pairs[place];
        let (Some(wanted), Some(live)) = (&pair.target, &pair.live) else { return None };
        (!pair.denied).then_some(async move { (place, ask(target, wanted, Known::Present(live.clone())).await) })
    });
    futures::stream::iter(asked.collect::<Vec<_>>()).buffer_unordered(AT_ONCE).collect().await
}

async fn ask(target: &Target, wanted: &Value, live: Known) -> Result<Value, Refusal> {
    let task = ApplyTask {
        target: wanted,
        mode: Mode::ServerSide { manager: names::FIELD_MANAGER.to_owned(), migrate_from: None },
        force: false,
        dry_run: true,
        // Unknown fields are refused when they are synced; here they only make no difference.
        validate: false,
        live,
    };
    match target.applier.apply(&task).await {
        Ok(outcome) => Ok(outcome.live),
        Err(error) => {
            let (kind, name) = (argosy_model::Gvk::of(wanted).kind, argosy_model::object::name(wanted));
            let message = format!(
                "Failed to compare desired state to live state: error running server side apply in dryrun mode \
                 for resource {kind}/{name}: {}",
                argosy_model::report(&error)
            );
            Err(Refusal { finding: Finding::new(Kind::ComparisonError, message), transient: error.is_transient() })
        }
    }
}
