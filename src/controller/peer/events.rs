//! What the destination's cluster tells about an object.

use std::sync::Arc;

use argosy_model::object;
use argosy_proto::events::EventList;
use argosy_proto::peer::ResourceRef;
use tonic::Status;

use super::refusal;
use super::subject::Subject;
use super::tree::Tree;
use crate::context::Shared;

/// Events about an object of the application's tree, found by name and namespace
/// and, where one is given, uid: that is all clients of Argo CD say.
pub(super) async fn of(shared: &Arc<Shared>, named: &ResourceRef) -> Result<EventList, Status> {
    if named.name.is_empty() {
        return Err(Status::invalid_argument("the name of the resource is missing"));
    }
    let subject = Subject::find_owned(shared, named.application.as_ref()).await?;
    let tree = Tree::prepare(shared, &subject).await?;
    if !tree.has(&named.namespace, &named.name, &named.uid) {
        let (name, app) = (&named.name, &subject.key.name);
        return Err(Status::invalid_argument(format!("{name} not found as part of application {app}")));
    }
    let applier = subject.applier(shared, tree.grounds(), tree.target())?;
    let found = applier.events_of(&named.namespace, &named.name, &named.uid).await;
    let mut found = found.map_err(|error| refusal::of_cluster("error listing resource events", &error, None))?;
    for event in found.get_mut("items").and_then(serde_json::Value::as_array_mut).into_iter().flatten() {
        if let Some(metadata) = object::metadata(event) {
            metadata.remove("managedFields");
        }
    }
    serde_json::from_value(found).map_err(|error| Status::internal(format!("unreadable events: {error}")))
}
