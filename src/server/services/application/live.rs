//! Live objects of an application: read, patched, deleted, acted upon.
//!
//! An object must be part of the application's tree. To change or delete one takes
//! a permission of its own, `update/<group>/<kind>/<namespace>/<name>`, unless the
//! setting lets that of the application stand for those of its objects.

use argosy_auth::rbac::object::{custom_action, resource_action};
use argosy_home::events::Reason;
use argosy_model::names;
use argosy_proto::application::{
    ApplicationResourceDeleteRequest, ApplicationResourcePatchRequest, ApplicationResourceRequest,
    ApplicationResourceResponse, ApplicationResponse, ResourceActionRunRequest, ResourceActionRunRequestV2,
    ResourceActionsListResponse,
};
use argosy_proto::peer::{DeleteResourceRequest, PatchResourceRequest, ResourceRef, RunActionRequest};
use argosy_proto::v1alpha1::ResourceRef as NodeRef;
use tonic::{Code, Status};

use super::Service;
use super::answer::{SOON, told, within};
use super::found::{Found, Named, Read};
use super::present::mask_manifest;
use crate::caller::Caller;
use crate::peers::{Peer, application_ref};
use crate::permission::action;

/// Whether permissions of an application do not count for its objects; so by default.
const FINE_GRAINED: &str = "server.rbac.disableApplicationFineGrainedRBACInheritance";
/// The kinds of patch Kubernetes takes without a field manager.
const PATCHES: [&str; 3] =
    ["application/merge-patch+json", "application/json-patch+json", "application/strategic-merge-patch+json"];

/// An object as a request names it.
pub(super) struct Object<'a> {
    application: Named<'a>,
    group: &'a str,
    version: &'a str,
    kind: &'a str,
    namespace: &'a str,
    name: &'a str,
}

/// An object that the caller may do something with, and its owner.
pub(super) struct Live {
    pub(super) found: Found,
    pub(super) object: ResourceRef,
    pub(super) owner: Peer,
    /// It is the application itself.
    is_self: bool,
}

macro_rules! object {
    ($request:expr) => {
        Object {
            application: Named::new(&$request.name, &$request.app_namespace, &$request.project),
            group: $request.group.as_deref().unwrap_or_default(),
            version: &$request.version,
            kind: &$request.kind,
            namespace: $request.namespace.as_deref().unwrap_or_default(),
            name: &$request.resource_name,
        }
    };
}

// === impl Object ===

impl<'a> Object<'a> {
    pub(super) fn of(request: &'a ApplicationResourceRequest) -> Self {
        object!(request)
    }

    fn is_core_secret(&self) -> bool {
        self.kind == "Secret" && self.group.is_empty()
    }

    /// Whether the object is the very application, which is in this namespace. Another
    /// one of its name is an object like any other.
    fn is_application(&self, namespace: &str) -> bool {
        self.kind == "Application"
            && self.group == names::GROUP
            && self.name == self.application.name
            && (self.namespace.is_empty() || self.namespace == namespace)
    }

    /// The permission that is about this object alone.
    fn action(&self, verb: &str) -> String {
        resource_action(verb, self.group, self.kind, self.namespace, self.name)
    }
}

// === impl Service ===

impl Service {
    pub(super) async fn get_live(
        &self,
        caller: &Caller,
        request: &ApplicationResourceRequest,
    ) -> Result<ApplicationResourceResponse, Status> {
        let mut live = self.live(caller, action::GET, &Object::of(request)).await?;
        let answer = live.owner.get_resource(within(SOON, live.object)).await.map_err(told)?;
        Ok(self.response(answer.into_inner().json))
    }

    pub(super) async fn patch_live(
        &self,
        caller: &Caller,
        request: &ApplicationResourcePatchRequest,
    ) -> Result<ApplicationResourceResponse, Status> {
        let object = object!(request);
        let Live { found, object: at, mut owner, .. } = self.changeable(caller, action::UPDATE, &object).await?;
        let kind = if request.patch_type.is_empty() { PATCHES[0] } else { &request.patch_type };
        if !PATCHES.contains(&kind) {
            return Err(Status::invalid_argument(format!("Patch type '{kind}' is not supported")));
        }
        let secret = object.is_core_secret().then(|| format!("failed to patch Secret {}/{}", at.namespace, at.name));
        let patch =
            PatchResourceRequest { resource: Some(at), patch: request.patch.clone(), patch_type: kind.to_owned() };
        let answer = owner.patch_resource(within(SOON, patch)).await.map_err(|status| {
            let status = told(status);
            // Kubernetes quotes what it refuses.
            secret.map_or(status.clone(), |message| Status::new(status.code(), message))
        })?;
        let what = format!("patched resource {}/{} '{}'", object.group, object.kind, object.name);
        self.shared.tell_application(caller, &found.app, Reason::ResourceUpdated, &what);
        Ok(self.response(answer.into_inner().json))
    }

    pub(super) async fn delete_live(
        &self,
        caller: &Caller,
        request: &ApplicationResourceDeleteRequest,
    ) -> Result<ApplicationResponse, Status> {
        let object = object!(request);
        let Live { found, object: at, mut owner, .. } = self.changeable(caller, action::DELETE, &object).await?;
        let deletion = DeleteResourceRequest {
            resource: Some(at),
            force: request.force.unwrap_or(false),
            orphan: request.orphan.unwrap_or(false),
        };
        owner.delete_resource(within(SOON, deletion)).await.map_err(told)?;
        let what = format!("deleted resource {}/{} '{}'", object.group, object.kind, object.name);
        self.shared.tell_application(caller, &found.app, Reason::ResourceDeleted, &what);
        Ok(ApplicationResponse {})
    }

    pub(super) async fn list_actions(
        &self,
        caller: &Caller,
        request: &ApplicationResourceRequest,
    ) -> Result<ResourceActionsListResponse, Status> {
        let mut live = self.live(caller, action::GET, &Object::of(request)).await?;
        let answer = live.owner.list_resource_actions(within(SOON, live.object)).await.map_err(told)?;
        Ok(answer.into_inner())
    }

    /// The request of older clients.
    pub(super) async fn run_action_v1(
        &self,
        caller: &Caller,
        request: ResourceActionRunRequest,
    ) -> Result<ApplicationResponse, Status> {
        let request = ResourceActionRunRequestV2 {
            name: request.name,
            namespace: request.namespace,
            resource_name: request.resource_name,
            version: request.version,
            group: request.group,
            kind: request.kind,
            action: request.action,
            app_namespace: request.app_namespace,
            project: request.project,
            resource_action_parameters: Vec::new(),
        };
        self.run_action(caller, &request).await
    }

    pub(super) async fn run_action(
        &self,
        caller: &Caller,
        request: &ResourceActionRunRequestV2,
    ) -> Result<ApplicationResponse, Status> {
        let object = object!(request);
        let permission = custom_action(object.group, object.kind, &request.action);
        let Live { found, object: at, mut owner, is_self } = self.live(caller, &permission, &object).await?;
        let message = if is_self {
            format!("ran action {}", request.action)
        } else {
            format!("ran action {} on resource {}/{}/{}", request.action, at.group, at.kind, at.name)
        };
        let run = RunActionRequest {
            resource: Some(at),
            action: request.action.clone(),
            parameters: request.resource_action_parameters.clone(),
        };
        owner.run_resource_action(within(SOON, run)).await.map_err(told)?;
        self.shared.tell_application(caller, &found.app, Reason::ResourceActionRan, &message);
        Ok(ApplicationResponse {})
    }

    /// An object the caller may change: by its own permission, or where the setting
    /// says so by the application's.
    async fn changeable(&self, caller: &Caller, verb: &str, object: &Object<'_>) -> Result<Live, Status> {
        let own = object.action(verb);
        if self.are_objects_separate() {
            return self.live(caller, &own, object).await;
        }
        match self.live(caller, verb, object).await {
            Err(status) if matches!(status.code(), Code::PermissionDenied | Code::NotFound) => {
                self.live(caller, &own, object).await
            }
            other => other,
        }
    }

    fn are_objects_separate(&self) -> bool {
        let settings = self.shared.home.settings();
        are_objects_separate(settings.raw.config.get(FINE_GRAINED).map_or("", String::as_str))
    }

    /// The object, if it is part of the application and the caller may do `action`
    /// with the application.
    pub(super) async fn live(&self, caller: &Caller, action: &str, object: &Object<'_>) -> Result<Live, Status> {
        let found = self.find(caller, action, object.application, Read::Known).await?;
        let mut owner = self.shared.peers.of_application(&found.key)?;
        let mut at = ResourceRef {
            application: Some(application_ref(&found.key)),
            group: object.group.to_owned(),
            version: object.version.to_owned(),
            kind: object.kind.to_owned(),
            namespace: object.namespace.to_owned(),
            name: object.name.to_owned(),
            uid: String::new(),
        };
        if object.is_application(&found.key.namespace) {
            at.namespace = found.key.namespace.to_string();
            return Ok(Live { found, object: at, owner, is_self: true });
        }
        let tree = owner.resource_tree(within(SOON, application_ref(&found.key))).await.map_err(told)?.into_inner();
        let nodes = tree.nodes.iter().chain(&tree.orphaned_nodes).filter_map(|node| node.resource_ref.as_ref());
        let node = nodes.into_iter().find(|node| is_node(node, object)).ok_or_else(|| {
            Status::invalid_argument(format!(
                "{} {} {} not found as part of application {}",
                object.kind, object.group, object.name, object.application.name
            ))
        })?;
        if at.version.is_empty() {
            at.version.clone_from(&node.version);
        }
        Ok(Live { found, object: at, owner, is_self: false })
    }

    fn response(&self, mut manifest: String) -> ApplicationResourceResponse {
        mask_manifest(&mut manifest, &self.sensitive_annotations());
        ApplicationResourceResponse { manifest }
    }

    /// Annotations whose values are shown masked.
    pub(super) fn sensitive_annotations(&self) -> Vec<String> {
        self.shared.home.settings().general.sensitive_annotations.iter().cloned().collect()
    }
}

/// Only what is there has a uid.
fn is_node(node: &NodeRef, object: &Object<'_>) -> bool {
    !node.uid.is_empty()
        && node.group == object.group
        && node.kind == object.kind
        && node.namespace == object.namespace
        && node.name == object.name
}

/// Reads the setting; what cannot be read is decided on the side of denial.
fn are_objects_separate(setting: &str) -> bool {
    !matches!(setting.trim(), "false" | "False" | "FALSE" | "f" | "F" | "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_permission_of_an_object_names_it() {
        let request = ApplicationResourceRequest {
            name: "app".to_owned(),
            group: Some("apps".to_owned()),
            kind: "Deployment".to_owned(),
            namespace: Some("ns".to_owned()),
            resource_name: "web".to_owned(),
            ..Default::default()
        };
        assert_eq!(Object::of(&request).action("update"), "update/apps/Deployment/ns/web");
        let core = ApplicationResourceRequest { group: None, namespace: None, kind: "Node".to_owned(), ..request };
        assert_eq!(Object::of(&core).action("delete"), "delete//Node//web");
    }

    #[test]
    fn an_applications_permission_does_not_count_for_its_objects_unless_it_is_said() {
        for setting in ["", "true", "yes?"] {
            assert!(are_objects_separate(setting), "{setting}");
        }
        assert!(!are_objects_separate("false"));
    }

    #[test]
    fn an_application_elsewhere_is_not_the_one_that_is_asked_about() {
        let request = ApplicationResourceRequest {
            name: "app".to_owned(),
            group: Some(names::GROUP.to_owned()),
            kind: "Application".to_owned(),
            namespace: Some("team".to_owned()),
            resource_name: "app".to_owned(),
            ..Default::default()
        };
        assert!(Object::of(&request).is_application("team"));
        assert!(!Object::of(&request).is_application("argocd"));
        let unsaid = ApplicationResourceRequest { namespace: None, ..request };
        assert!(Object::of(&unsaid).is_application("argocd"));
    }

    #[test]
    fn an_object_that_does_not_exist_yet_is_not_found_in_the_tree() {
        let request =
            ApplicationResourceRequest { kind: "Pod".to_owned(), resource_name: "p".to_owned(), ..Default::default() };
        let node = |uid: &str| NodeRef {
            kind: "Pod".to_owned(),
            name: "p".to_owned(),
            uid: uid.to_owned(),
            ..Default::default()
        };
        assert!(is_node(&node("u"), &Object::of(&request)));
        assert!(!is_node(&node(""), &Object::of(&request)));
    }
}
