//! Kubernetes Events about an application or an object of it.

use argosy_proto::application::ApplicationResourceEventsQuery;
use argosy_proto::events::EventList;
use argosy_proto::meta::ListMeta;
use argosy_proto::peer::ResourceRef;
use argosy_proto::resource::CustomResource as _;
use tonic::Status;

use super::Service;
use super::answer::{SOON, told, within};
use super::found::{Named, Read};
use crate::caller::Caller;
use crate::peers::application_ref;
use crate::permission::action;
use crate::redact::mask;
use crate::status::from_home;

// === impl Service ===

impl Service {
    pub(super) async fn events_of(
        &self,
        caller: &Caller,
        query: &ApplicationResourceEventsQuery,
    ) -> Result<EventList, Status> {
        let named = Named::new(&query.name, &query.app_namespace, &query.project);
        let found = self.find(caller, action::GET, named, Read::Known).await?;
        let part = |part: &Option<String>| part.clone().unwrap_or_default();
        let (namespace, name, uid) =
            (part(&query.resource_namespace), part(&query.resource_name), part(&query.resource_uid));
        let mut list = if name.is_empty() && uid.is_empty() {
            let home = &self.shared.home;
            let own = home.list_events(&found.key.namespace, &found.key.name, &found.app.metadata().uid).await;
            let items = own.map_err(|error| {
                let status = from_home(&error);
                Status::new(status.code(), format!("error listing resource events: {}", status.message()))
            })?;
            EventList { metadata: Some(ListMeta::default()), items }
        } else {
            let mut owner = self.shared.peers.of_application(&found.key)?;
            let tree = owner.resource_tree(within(SOON, application_ref(&found.key))).await.map_err(told)?.into_inner();
            let mut nodes = tree.nodes.iter().chain(&tree.orphaned_nodes).filter_map(|node| node.resource_ref.as_ref());
            let node = nodes.find(|at| at.uid == uid && at.name == name && at.namespace == namespace);
            let node = node.ok_or_else(|| {
                Status::invalid_argument(format!("{name} not found as part of application {}", query.name))
            })?;
            let object = ResourceRef {
                application: Some(application_ref(&found.key)),
                group: node.group.clone(),
                version: node.version.clone(),
                kind: node.kind.clone(),
                namespace,
                name,
                uid,
            };
            owner.resource_events(within(SOON, object)).await.map_err(told)?.into_inner()
        };
        for event in &mut list.items {
            event.message = mask(&event.message).into_owned();
        }
        Ok(list)
    }
}
