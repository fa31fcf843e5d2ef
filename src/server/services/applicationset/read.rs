//! Reading ApplicationSets.

use argosy_proto::applicationset::{ApplicationSetGetQuery, ApplicationSetListQuery, ApplicationSetTreeQuery};
use argosy_proto::events::EventList;
use argosy_proto::meta::ListMeta;
use argosy_proto::resource::CustomResource as _;
use argosy_proto::v1alpha1::{
    ApplicationSet, ApplicationSetList, ApplicationSetTree, ResourceNode, ResourceRef, ResourceStatus,
};
use tonic::Status;

use super::present::shown;
use super::{Service, project, version};
use crate::caller::Caller;
use crate::index::Selector;
use crate::permission::action;
use crate::status::from_home;

// === impl Service ===

impl Service {
    /// The ApplicationSets the caller may see, by name.
    pub(super) async fn visible(
        &self,
        caller: &Caller,
        query: &ApplicationSetListQuery,
    ) -> Result<ApplicationSetList, Status> {
        let selector = selector(&query.selector)?;
        let namespaces = self.shared.namespaces();
        let sets = self.known().await?.list();
        let latest = sets.iter().map(|(_, set)| version(set)).max().unwrap_or(0);
        let mut wanted: Vec<_> = sets
            .into_iter()
            .filter(|(key, _)| query.appset_namespace.is_empty() || *key.namespace == *query.appset_namespace)
            .filter(|(key, _)| namespaces.admits(&key.namespace))
            .filter(|(_, set)| query.projects.is_empty() || query.projects.iter().any(|p| p == project(set)))
            .filter(|(_, set)| selector.matches(&set.metadata().labels))
            .filter(|(_, set)| self.permits(caller, action::GET, set))
            .collect();
        wanted.sort_by(|(a, _), (b, _)| (&a.name, &a.namespace).cmp(&(&b.name, &b.namespace)));
        Ok(ApplicationSetList {
            metadata: Some(ListMeta { resource_version: latest.to_string(), ..ListMeta::default() }),
            items: wanted.iter().map(|(_, set)| shown(set)).collect(),
        })
    }

    pub(super) async fn one(&self, caller: &Caller, query: &ApplicationSetGetQuery) -> Result<ApplicationSet, Status> {
        let (_, set) = self.find(caller, action::GET, &query.appset_namespace, &query.name).await?;
        Ok(shown(&set))
    }

    /// The Kubernetes Events about an ApplicationSet.
    pub(super) async fn events(&self, caller: &Caller, query: &ApplicationSetGetQuery) -> Result<EventList, Status> {
        let (key, set) = self.find(caller, action::GET, &query.appset_namespace, &query.name).await?;
        let events = self.shared.home.list_events(&key.namespace, &key.name, &set.metadata().uid).await;
        let items = events.map_err(|error| {
            let status = from_home(&error);
            Status::new(status.code(), format!("error listing resource events: {}", status.message()))
        })?;
        Ok(EventList { metadata: Some(ListMeta::default()), items })
    }

    pub(super) async fn tree(
        &self,
        caller: &Caller,
        query: &ApplicationSetTreeQuery,
    ) -> Result<ApplicationSetTree, Status> {
        let (key, set) = self.find(caller, action::GET, &query.appset_namespace, &query.name).await?;
        Ok(tree_of(&set, &key.namespace))
    }
}

/// Reads a label selector.
///
/// # Errors
/// `InvalidArgument` with what is wrong with it.
pub(super) fn selector(text: &str) -> Result<Selector, Status> {
    Selector::parse(text).map_err(|error| Status::invalid_argument(format!("error parsing the selector: {error}")))
}

/// An ApplicationSet's applications as its status tells of them. They are where
/// the ApplicationSet is.
fn tree_of(set: &ApplicationSet, namespace: &str) -> ApplicationSetTree {
    let metadata = set.metadata();
    let parent = ResourceRef {
        group: "argoproj.io".to_owned(),
        version: "v1alpha1".to_owned(),
        kind: ApplicationSet::KIND.to_owned(),
        namespace: namespace.to_owned(),
        name: metadata.name.clone(),
        uid: metadata.uid.clone(),
    };
    let node = |resource: &ResourceStatus| ResourceNode {
        resource_ref: Some(ResourceRef {
            group: resource.group.clone(),
            version: resource.version.clone(),
            kind: resource.kind.clone(),
            namespace: namespace.to_owned(),
            name: resource.name.clone(),
            uid: String::new(),
        }),
        parent_refs: vec![parent.clone()],
        health: resource.health.clone(),
        ..Default::default()
    };
    let mut nodes: Vec<ResourceNode> = set.status.iter().flat_map(|status| &status.resources).map(node).collect();
    nodes.sort_by_cached_key(|node| {
        node.resource_ref.as_ref().map(|at| (at.group.clone(), at.kind.clone(), at.name.clone()))
    });
    ApplicationSetTree { nodes }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_tree_has_the_applications_of_the_status_below_the_set() {
        let set: ApplicationSet = serde_json::from_value(json!({
            "metadata": {"name": "shops", "namespace": "argocd", "uid": "u"},
            "status": {"resources": [
                {"group": "argoproj.io", "version": "v1alpha1", "kind": "Application", "name": "b"},
                {"group": "argoproj.io", "version": "v1alpha1", "kind": "Application", "name": "a",
                    "health": {"status": "Healthy"}},
            ]},
        }))
        .expect("an ApplicationSet");
        let tree = serde_json::to_value(tree_of(&set, "argocd")).expect("JSON");
        assert_eq!(tree["nodes"][0]["name"], "a");
        assert_eq!(tree["nodes"][0]["health"]["status"], "Healthy");
        assert_eq!(tree["nodes"][0]["namespace"], "argocd");
        assert_eq!(tree["nodes"][1]["parentRefs"][0]["kind"], "ApplicationSet");
        assert_eq!(tree["nodes"][1]["parentRefs"][0]["uid"], "u");
    }
}
