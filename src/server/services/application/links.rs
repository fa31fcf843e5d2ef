//! Links that the settings make for applications and their objects.

use argosy_home::ClusterSecret;
use argosy_proto::application::{ApplicationResourceRequest, LinksResponse, ListAppLinksRequest};
use argosy_proto::resource::CustomResource as _;
use serde_json::{Value, json};
use tonic::Status;

use super::Service;
use super::answer::{SOON, told, within};
use super::found::{Found, Named, Read};
use super::live::Object;
use super::present::{mask_manifest, shown};
use crate::caller::Caller;
use crate::deep_links::{self, Facts};
use crate::permission::action;
use crate::redact;

// === impl Service ===

impl Service {
    pub(super) async fn links_of_application(
        &self,
        caller: &Caller,
        request: &ListAppLinksRequest,
    ) -> Result<LinksResponse, Status> {
        let named = Named::new(&request.name, &request.namespace, &request.project);
        let found = self.find(caller, action::GET, named, Read::Latest).await?;
        let facts = Facts { project: None, ..self.facts(&found)? };
        Ok(deep_links::of_application(&self.shared, &facts))
    }

    pub(super) async fn links_of_object(
        &self,
        caller: &Caller,
        request: &ApplicationResourceRequest,
    ) -> Result<LinksResponse, Status> {
        let mut live = self.live(caller, action::GET, &Object::of(request)).await?;
        let mut manifest = live.owner.get_resource(within(SOON, live.object)).await.map_err(told)?.into_inner().json;
        mask_manifest(&mut manifest, &self.sensitive_annotations());
        let object: Value =
            serde_json::from_str(&manifest).map_err(|_| Status::internal("the controller's answer is no object"))?;
        let facts = Facts { resource: Some(object), ..self.facts(&live.found)? };
        Ok(deep_links::of_resource(&self.shared, &facts))
    }

    /// What links may speak of: nothing that is secret.
    fn facts(&self, found: &Found) -> Result<Facts, Status> {
        let unwritable = |_| Status::internal("the application cannot be written as JSON");
        let application = shown(&found.app).to_object().map_err(unwritable)?;
        let mut project = (*found.project).clone();
        // Records of tokens are no business of a link.
        project.status = None;
        let project = project.to_object().map_err(unwritable)?;
        let destination = found.app.spec.as_ref().and_then(|spec| spec.destination.clone()).unwrap_or_default();
        let cluster = self.shared.home.clusters().resolve(&destination.server, &destination.name).ok();
        if let Some(cluster) = &cluster {
            let rules = self.shared.home.rules(&found.project);
            if !rules.permits_destination(&cluster.server, &cluster.name, &destination.namespace).permitted {
                return Err(Status::permission_denied("error getting destination cluster"));
            }
        }
        Ok(Facts {
            resource: None,
            application: Some(application),
            cluster: cluster.map(|cluster| described(&cluster)),
            project: Some(project),
        })
    }
}

/// A cluster without its credential, also where a tool noted it down.
fn described(cluster: &ClusterSecret) -> Value {
    let cluster = redact::cluster(cluster);
    json!({
        "server": cluster.server,
        "name": cluster.name,
        "namespaces": cluster.namespaces,
        "shard": cluster.shard,
        "project": cluster.project,
        "labels": cluster.labels,
        "annotations": cluster.annotations,
    })
}
