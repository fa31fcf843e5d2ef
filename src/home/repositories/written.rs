//! Credentials as Argo CD writes them into Secrets: which kinds there are, how
//! the Secrets are called, and which key holds what.
//!
//! A key is written when it says something, or when it is there already; so an
//! update takes back what is not set any more and leaves unknown keys alone.

use std::collections::BTreeMap;

use argosy_model::hash;
use argosy_proto::v1alpha1::{RepoCreds, Repository};

use super::RepoCredentials;

/// A kind of credential Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Repository,
    Template,
    WriteRepository,
    WriteTemplate,
}

/// A value and whether it is what an absent key means.
struct Field {
    key: &'static str,
    value: String,
    says_nothing: bool,
}

// === impl Kind ===

impl Kind {
    /// The label's value.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Repository => "repository",
            Self::Template => "repo-creds",
            Self::WriteRepository => "repository-write",
            Self::WriteTemplate => "repo-write-creds",
        }
    }

    /// The name of a new Secret.
    pub(crate) fn secret_name(self, url: &str, project: &str) -> String {
        let prefix = match self {
            Self::Repository => "repo",
            Self::Template => "creds",
            Self::WriteRepository => "repo-write",
            Self::WriteTemplate => "creds-write",
        };
        format!("{prefix}-{}", hash::fnv32a(&[url, project]))
    }
}

// === impl Field ===

impl Field {
    fn text(key: &'static str, value: &str) -> Self {
        Self { key, value: value.to_owned(), says_nothing: value.is_empty() }
    }

    fn flag(key: &'static str, value: bool) -> Self {
        Self { key, value: value.to_string(), says_nothing: !value }
    }

    fn number(key: &'static str, value: i64) -> Self {
        Self { key, value: value.to_string(), says_nothing: value == 0 }
    }
}

fn set(data: &mut BTreeMap<String, String>, fields: impl IntoIterator<Item = Field>) {
    for Field { key, value, says_nothing } in fields {
        if !says_nothing || data.contains_key(key) {
            data.insert(key.to_owned(), value);
        }
    }
}

/// Writes a repository into a Secret's values.
pub(crate) fn set_repository(data: &mut BTreeMap<String, String>, r: &Repository) {
    let fields = [
        Field::text("name", &r.name),
        Field::text("project", &r.project),
        Field::text("url", &r.repo),
        Field::text("username", &r.username),
        Field::text("password", &r.password),
        Field::text("bearerToken", &r.bearer_token),
        Field::text("sshPrivateKey", &r.ssh_private_key),
        Field::flag("enableOCI", r.enable_oci),
        Field::flag("insecureOCIForceHttp", r.insecure_oci_force_http),
        Field::text("tlsClientCertData", &r.tls_client_cert_data),
        Field::text("tlsClientCertKey", &r.tls_client_cert_key),
        Field::text("type", &r.r#type),
        Field::text("githubAppPrivateKey", &r.github_app_private_key),
        Field::number("githubAppID", r.github_app_id),
        Field::number("githubAppInstallationID", r.github_app_installation_id),
        Field::text("githubAppEnterpriseBaseUrl", &r.github_app_enterprise_base_url),
        Field::flag("insecureIgnoreHostKey", r.insecure_ignore_host_key),
        Field::flag("insecure", r.insecure),
        Field::flag("enableLfs", r.enable_lfs),
        Field::text("proxy", &r.proxy),
        Field::text("noProxy", &r.no_proxy),
        Field::text("gcpServiceAccountKey", &r.gcp_service_account_key),
        Field::flag("forceHttpBasicAuth", r.force_http_basic_auth),
        Field::flag("useAzureWorkloadIdentity", r.use_azure_workload_identity),
        Field::number("depth", r.depth),
        Field::flag("webhookManifestCacheWarmDisabled", r.webhook_manifest_cache_warm_disabled),
        Field::text("azureServicePrincipalClientId", &r.azure_service_principal_client_id),
        Field::text("azureServicePrincipalClientSecret", &r.azure_service_principal_client_secret),
        Field::text("azureServicePrincipalTenantId", &r.azure_service_principal_tenant_id),
        Field::text("azureActiveDirectoryEndpoint", &r.azure_active_directory_endpoint),
    ];
    set(data, fields);
}

/// Writes a credential template into a Secret's values.
pub(crate) fn set_template(data: &mut BTreeMap<String, String>, t: &RepoCreds) {
    let fields = [
        Field::text("url", &t.url),
        Field::text("username", &t.username),
        Field::text("password", &t.password),
        Field::text("bearerToken", &t.bearer_token),
        Field::text("sshPrivateKey", &t.ssh_private_key),
        Field::flag("enableOCI", t.enable_oci),
        Field::flag("insecureOCIForceHttp", t.insecure_oci_force_http),
        Field::text("tlsClientCertData", &t.tls_client_cert_data),
        Field::text("tlsClientCertKey", &t.tls_client_cert_key),
        Field::text("type", &t.r#type),
        Field::text("githubAppPrivateKey", &t.github_app_private_key),
        Field::number("githubAppID", t.github_app_id),
        Field::number("githubAppInstallationID", t.github_app_installation_id),
        Field::text("githubAppEnterpriseBaseUrl", &t.github_app_enterprise_base_url),
        Field::text("gcpServiceAccountKey", &t.gcp_service_account_key),
        Field::text("proxy", &t.proxy),
        Field::text("noProxy", &t.no_proxy),
        Field::flag("forceHttpBasicAuth", t.force_http_basic_auth),
        Field::flag("useAzureWorkloadIdentity", t.use_azure_workload_identity),
        Field::text("azureServicePrincipalClientID", &t.azure_service_principal_client_id),
        Field::text("azureServicePrincipalClientSecret", &t.azure_service_principal_client_secret),
        Field::text("azureServicePrincipalTenantID", &t.azure_service_principal_tenant_id),
        Field::text("azureActiveDirectoryEndpoint", &t.azure_active_directory_endpoint),
    ];
    set(data, fields);
}

// === impl RepoCredentials ===

impl RepoCredentials {
    /// The repository as the API knows it, with its secrets: for comparing with
    /// another and for reaching it, never for an answer.
    pub fn to_repository(&self) -> Repository {
        let text = |secret: &argosy_model::Secret<String>| secret.expose().clone();
        Repository {
            repo: self.url.clone(),
            r#type: self.kind.clone(),
            name: self.name.clone(),
            project: self.project.clone(),
            username: self.username.clone(),
            password: text(&self.password),
            bearer_token: text(&self.bearer_token),
            ssh_private_key: text(&self.ssh_private_key),
            tls_client_cert_data: self.tls_client_cert_data.clone(),
            tls_client_cert_key: text(&self.tls_client_cert_key),
            github_app_private_key: text(&self.github_app.private_key),
            github_app_id: signed(self.github_app.id),
            github_app_installation_id: signed(self.github_app.installation_id),
            github_app_enterprise_base_url: self.github_app.enterprise_base_url.clone(),
            gcp_service_account_key: text(&self.gcp_service_account_key),
            azure_service_principal_client_id: self.azure_service_principal.client_id.clone(),
            azure_service_principal_client_secret: text(&self.azure_service_principal.client_secret),
            azure_service_principal_tenant_id: self.azure_service_principal.tenant_id.clone(),
            azure_active_directory_endpoint: self.azure_service_principal.directory_endpoint.clone(),
            use_azure_workload_identity: self.use_azure_workload_identity,
            proxy: text(&self.proxy),
            no_proxy: self.no_proxy.clone(),
            insecure: self.insecure,
            insecure_ignore_host_key: self.insecure_ignore_host_key,
            enable_lfs: self.enable_lfs,
            enable_oci: self.enable_oci,
            insecure_oci_force_http: self.insecure_oci_force_http,
            force_http_basic_auth: self.force_http_basic_auth,
            depth: signed(self.depth),
            webhook_manifest_cache_warm_disabled: self.webhook_cache_warm_disabled,
            inherited_creds: self.inherited,
            connection_state: None,
        }
    }

    /// The credential template as the API knows it; as [`Self::to_repository`].
    pub fn to_repo_creds(&self) -> RepoCreds {
        let r = self.to_repository();
        RepoCreds {
            url: r.repo,
            r#type: r.r#type,
            username: r.username,
            password: r.password,
            bearer_token: r.bearer_token,
            ssh_private_key: r.ssh_private_key,
            tls_client_cert_data: r.tls_client_cert_data,
            tls_client_cert_key: r.tls_client_cert_key,
            github_app_private_key: r.github_app_private_key,
            github_app_id: r.github_app_id,
            github_app_installation_id: r.github_app_installation_id,
            github_app_enterprise_base_url: r.github_app_enterprise_base_url,
            gcp_service_account_key: r.gcp_service_account_key,
            azure_service_principal_client_id: r.azure_service_principal_client_id,
            azure_service_principal_client_secret: r.azure_service_principal_client_secret,
            azure_service_principal_tenant_id: r.azure_service_principal_tenant_id,
            azure_active_directory_endpoint: r.azure_active_directory_endpoint,
            use_azure_workload_identity: r.use_azure_workload_identity,
            proxy: r.proxy,
            no_proxy: r.no_proxy,
            enable_oci: r.enable_oci,
            insecure_oci_force_http: r.insecure_oci_force_http,
            force_http_basic_auth: r.force_http_basic_auth,
        }
    }
}

/// Numbers in Secrets are small; one beyond the API's range is cut to its bound.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
