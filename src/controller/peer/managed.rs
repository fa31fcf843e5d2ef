//! Target, live, normalised and predicted state of each managed resource.

use std::sync::Arc;

use argosy_proto::application::ManagedResourcesResponse;
use argosy_proto::v1alpha1::ResourceDiff;
use serde_json::Value;
use tonic::Status;

use super::subject::Subject;
use crate::context::Shared;

/// All managed resources as the last comparison saw them.
pub(super) async fn resources(shared: &Arc<Shared>, subject: &Subject) -> Result<ManagedResourcesResponse, Status> {
    let view = subject.view(shared).await?;
    let grounds = subject.grounds(shared)?;
    let target = subject.target(shared, &grounds).await?;
    let states = view.states(&target, &masked_annotations(shared)).await.map_err(Status::unavailable)?;
    let items = view.items.iter().zip(states).map(|(item, states)| ResourceDiff {
        group: item.key.group.to_string(),
        kind: item.key.kind.to_string(),
        namespace: item.key.namespace.to_string(),
        name: item.key.name.to_string(),
        resource_version: item
            .live
            .as_deref()
            .map(argosy_model::object::resource_version)
            .unwrap_or_default()
            .to_owned(),
        target_state: states.target.to_string(),
        live_state: states.live.to_string(),
        normalized_live_state: states.normalized.to_string(),
        predicted_live_state: states.predicted.to_string(),
        hook: item.hook,
        modified: item.modified,
        diff: String::new(),
    });
    Ok(ManagedResourcesResponse { items: items.collect() })
}

/// Annotations of Secrets whose values are masked like the Secrets' own.
pub(super) fn masked_annotations(shared: &Shared) -> Vec<String> {
    shared.home.settings().general.sensitive_annotations.iter().cloned().collect()
}

/// One object as text, its values masked where it is a Secret.
pub(super) fn masked_text(shared: &Shared, mut object: Value) -> String {
    argosy_engine::mask::mask_secrets(&mut [&mut object], &masked_annotations(shared));
    object.to_string()
}
