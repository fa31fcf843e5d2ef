//! What repository servers are known by: host keys for ssh, certificates for TLS.
//!
//! Host keys are lines of `ssh_known_hosts` in `argocd-ssh-known-hosts-cm`, and
//! certificates are PEM by host in `argocd-tls-certs-cm`. Whatever is not asked
//! for stays as it is: comments, marked lines and other hosts' entries. There is
//! one permission for all of them.

mod change;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod host;
mod host_key;
mod known_hosts;
mod selector;
mod subject;
mod tls;

use std::sync::Arc;

use argosy_proto::certificate::certificate_service_server::CertificateService;
use argosy_proto::certificate::{RepositoryCertificateCreateRequest, RepositoryCertificateQuery};
use argosy_proto::v1alpha1::{RepositoryCertificate, RepositoryCertificateList};
use tonic::{Request, Response, Status};

use self::selector::Selector;
use crate::caller::{Caller, caller};
use crate::gateway::{Error, Gateway};
use crate::permission::{action, resource};
use crate::shared::Shared;

/// Types of certificates as clients name them.
const SSH: &str = "ssh";
const HTTPS: &str = "https";

/// See the module's page.
pub(crate) struct Service {
    shared: Arc<Shared>,
}

// === impl Service ===

impl Service {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Binds the REST paths.
    ///
    /// # Errors
    /// When a name is not in the contract's table.
    pub(crate) fn bind(self: &Arc<Self>, gateway: &mut Gateway) -> Result<(), Error> {
        bind!(gateway, self, "certificate.CertificateService", {
            "ListCertificates" => list_certificates,
            "CreateCertificate" => create_certificate,
            "DeleteCertificate" => delete_certificate,
        });
        Ok(())
    }

    /// What is configured, without the keys and certificates themselves.
    fn list(&self, caller: &Caller, query: &RepositoryCertificateQuery) -> Result<RepositoryCertificateList, Status> {
        self.shared.enforce(caller, resource::CERTIFICATES, action::GET, "")?;
        let settings = self.shared.home.settings();
        let selector = Selector::new(query);
        let mut items: Vec<RepositoryCertificate> = Vec::new();
        if selector.wants_ssh() {
            let entries = known_hosts::entries(settings.raw.known_hosts());
            items.extend(entries.filter(|entry| selector.selects_entry(entry)).map(|entry| entry.described()));
        }
        if selector.wants_tls() {
            for (host, data) in &settings.raw.tls_certs {
                // What cannot be taken apart has nothing to describe.
                let parts = tls::split(data).unwrap_or_default();
                let described = parts.iter().map(|pem| tls::described(host, pem));
                items.extend(described.filter(|c| selector.selects_certificate(host, &c.cert_sub_type)));
            }
        }
        Ok(listed(items))
    }
}

#[tonic::async_trait]
impl CertificateService for Service {
    async fn list_certificates(
        &self,
        request: Request<RepositoryCertificateQuery>,
    ) -> Result<Response<RepositoryCertificateList>, Status> {
        let caller = caller(&request)?;
        self.list(&caller, &request.into_inner()).map(Response::new)
    }

    async fn create_certificate(
        &self,
        request: Request<RepositoryCertificateCreateRequest>,
    ) -> Result<Response<RepositoryCertificateList>, Status> {
        let caller = caller(&request)?;
        self.create(&caller, request.into_inner()).await.map(Response::new)
    }

    async fn delete_certificate(
        &self,
        request: Request<RepositoryCertificateQuery>,
    ) -> Result<Response<RepositoryCertificateList>, Status> {
        let caller = caller(&request)?;
        self.delete(&caller, &request.into_inner()).await.map(Response::new)
    }
}

fn listed(items: Vec<RepositoryCertificate>) -> RepositoryCertificateList {
    RepositoryCertificateList { metadata: Some(Default::default()), items }
}
