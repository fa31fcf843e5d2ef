//! One repository or credential template, as its Secret declares it.

use std::collections::BTreeMap;
use std::sync::Arc;

use argosy_model::Secret;

/// How to reach one repository. The default is anonymous access that trusts the
/// system's authorities.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepoCredentials {
    /// Address; of a template, the prefix it is for.
    pub url: String,
    /// `git`, `helm` or `oci`; empty means git.
    pub kind: String,
    /// Name of a chart repository.
    pub name: String,
    /// The project it is for; empty means all.
    pub project: String,
    /// Name of the Secret; empty where none declares the repository.
    pub secret_name: String,
    /// User name.
    pub username: String,
    /// Password or access token.
    pub password: Secret<String>,
    /// Sent as `Authorization: Bearer`.
    pub bearer_token: Secret<String>,
    /// Private key for ssh, PEM or OpenSSH.
    pub ssh_private_key: Secret<String>,
    /// PEM of the certificate shown to an https server.
    pub tls_client_cert_data: String,
    /// PEM of its key.
    pub tls_client_cert_key: Secret<String>,
    /// Access as a GitHub App.
    pub github_app: GithubApp,
    /// JSON key of a Google service account.
    pub gcp_service_account_key: Secret<String>,
    /// Access as an Azure service principal.
    pub azure_service_principal: AzureServicePrincipal,
    /// Access with Azure's workload identity.
    pub use_azure_workload_identity: bool,
    /// Proxy, perhaps with credentials in its address.
    pub proxy: Secret<String>,
    /// Hosts reached without the proxy.
    pub no_proxy: String,
    /// Accept any certificate and any host key.
    pub insecure: bool,
    /// Accept any host key.
    pub insecure_ignore_host_key: bool,
    /// Fetch large files.
    pub enable_lfs: bool,
    /// Charts come from an OCI registry.
    pub enable_oci: bool,
    /// Talk to an OCI registry in plain http.
    pub insecure_oci_force_http: bool,
    /// Send basic authentication with the first request.
    pub force_http_basic_auth: bool,
    /// How many commits to fetch; zero means all.
    pub depth: u64,
    /// A webhook does not render ahead for this repository.
    pub webhook_cache_warm_disabled: bool,
    /// The credentials are a template's.
    pub inherited: bool,
    /// Text of the `known_hosts` file.
    pub known_hosts: Arc<str>,
    /// PEM certificates to trust for the host instead of the system's.
    pub ca_bundle: Option<Arc<str>>,
    /// What in the Secret could not be used. Whatever it was, the safe value
    /// stands in for it.
    pub problem: Option<String>,
}

/// Access as a GitHub App.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GithubApp {
    /// Id of the app; zero where there is none.
    pub id: u64,
    /// Id of its installation; zero means that of the repository's owner.
    pub installation_id: u64,
    /// PEM of its key.
    pub private_key: Secret<String>,
    /// API of a GitHub Enterprise; empty means github.com.
    pub enterprise_base_url: String,
}

/// Access as an Azure service principal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AzureServicePrincipal {
    /// Its client id.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Secret<String>,
    /// Its tenant.
    pub tenant_id: String,
    /// Where tokens come from; empty means the public cloud.
    pub directory_endpoint: String,
}

/// Reads a Secret's fields and remembers the first that is unusable.
struct Fields<'a> {
    data: &'a BTreeMap<String, String>,
    problem: Option<String>,
}

// === impl RepoCredentials ===

impl RepoCredentials {
    pub(super) fn read(secret_name: &str, data: &Secret<BTreeMap<String, String>>) -> Self {
        let mut f = Fields { data: data.expose(), problem: None };
        let mut entry = Self {
            url: f.text("url"),
            kind: f.text("type"),
            name: f.text("name"),
            project: f.text("project"),
            secret_name: secret_name.to_owned(),
            username: f.text("username"),
            password: f.secret("password"),
            bearer_token: f.secret("bearerToken"),
            ssh_private_key: f.secret("sshPrivateKey"),
            tls_client_cert_data: f.text("tlsClientCertData"),
            tls_client_cert_key: f.secret("tlsClientCertKey"),
            github_app: GithubApp {
                id: f.number("githubAppID"),
                installation_id: f.number("githubAppInstallationID"),
                private_key: f.secret("githubAppPrivateKey"),
                enterprise_base_url: f.text("githubAppEnterpriseBaseUrl"),
            },
            gcp_service_account_key: f.secret("gcpServiceAccountKey"),
            azure_service_principal: AzureServicePrincipal {
                client_id: f.text_of("azureServicePrincipalClientId", "azureServicePrincipalClientID"),
                client_secret: f.secret("azureServicePrincipalClientSecret"),
                tenant_id: f.text_of("azureServicePrincipalTenantId", "azureServicePrincipalTenantID"),
                directory_endpoint: f.text("azureActiveDirectoryEndpoint"),
            },
            use_azure_workload_identity: f.flag("useAzureWorkloadIdentity"),
            proxy: f.secret("proxy"),
            no_proxy: f.text("noProxy"),
            insecure: f.flag("insecure"),
            insecure_ignore_host_key: f.flag("insecureIgnoreHostKey"),
            enable_lfs: f.flag("enableLfs"),
            enable_oci: f.flag("enableOCI"),
            insecure_oci_force_http: f.flag("insecureOCIForceHttp"),
            force_http_basic_auth: f.flag("forceHttpBasicAuth"),
            depth: f.number("depth"),
            webhook_cache_warm_disabled: f.flag("webhookManifestCacheWarmDisabled"),
            ..Self::default()
        };
        if entry.url.is_empty() {
            f.complain("url", "is missing");
        }
        entry.problem = f.problem;
        entry
    }

    /// Whether it says itself who asks.
    pub fn has_credentials(&self) -> bool {
        let secrets = [
            &self.password,
            &self.bearer_token,
            &self.ssh_private_key,
            &self.github_app.private_key,
            &self.azure_service_principal.client_secret,
        ];
        !self.username.is_empty()
            || !self.tls_client_cert_data.is_empty()
            || self.use_azure_workload_identity
            || secrets.iter().any(|secret| !secret.expose().is_empty())
    }

    /// Whether neither certificates nor host keys are verified.
    pub fn is_insecure(&self) -> bool {
        self.insecure || self.insecure_ignore_host_key
    }

    /// Takes from a template whatever is not set.
    pub(super) fn inherit(&mut self, from: &Self) {
        for (own, other) in [
            (&mut self.username, &from.username),
            (&mut self.tls_client_cert_data, &from.tls_client_cert_data),
            (&mut self.github_app.enterprise_base_url, &from.github_app.enterprise_base_url),
            (&mut self.azure_service_principal.client_id, &from.azure_service_principal.client_id),
            (&mut self.azure_service_principal.tenant_id, &from.azure_service_principal.tenant_id),
            (&mut self.azure_service_principal.directory_endpoint, &from.azure_service_principal.directory_endpoint),
            (&mut self.no_proxy, &from.no_proxy),
            (&mut self.kind, &from.kind),
        ] {
            if own.is_empty() {
                own.clone_from(other);
            }
        }
        for (own, other) in [
            (&mut self.password, &from.password),
            (&mut self.bearer_token, &from.bearer_token),
            (&mut self.ssh_private_key, &from.ssh_private_key),
            (&mut self.tls_client_cert_key, &from.tls_client_cert_key),
            (&mut self.github_app.private_key, &from.github_app.private_key),
            (&mut self.gcp_service_account_key, &from.gcp_service_account_key),
            (&mut self.azure_service_principal.client_secret, &from.azure_service_principal.client_secret),
            (&mut self.proxy, &from.proxy),
        ] {
            if own.expose().is_empty() {
                own.clone_from(other);
            }
        }
        for (own, other) in [
            (&mut self.github_app.id, from.github_app.id),
            (&mut self.github_app.installation_id, from.github_app.installation_id),
        ] {
            if *own == 0 {
                *own = other;
            }
        }
        self.enable_oci = from.enable_oci;
        self.insecure_oci_force_http = from.insecure_oci_force_http;
        self.force_http_basic_auth = from.force_http_basic_auth;
        self.use_azure_workload_identity = from.use_azure_workload_identity;
        self.inherited = true;
    }
}

// === impl Fields ===

impl Fields<'_> {
    fn get(&self, key: &str) -> &str {
        self.data.get(key).map_or("", String::as_str)
    }

    fn text(&self, key: &str) -> String {
        self.get(key).to_owned()
    }

    /// Argo CD spells some keys of templates in another way than a repository's.
    fn text_of(&self, key: &str, of_template: &str) -> String {
        let own = self.text(key);
        if own.is_empty() { self.text(of_template) } else { own }
    }

    fn secret(&self, key: &str) -> Secret<String> {
        Secret::new(self.text(key))
    }

    fn flag(&mut self, key: &str) -> bool {
        match self.get(key).trim() {
            "" | "0" | "f" | "F" | "false" | "FALSE" | "False" => false,
            "1" | "t" | "T" | "true" | "TRUE" | "True" => true,
            _ => {
                self.complain(key, "is neither true nor false");
                false
            }
        }
    }

    fn number(&mut self, key: &str) -> u64 {
        match self.get(key).trim() {
            "" => 0,
            text => text.parse().unwrap_or_else(|_| {
                self.complain(key, "is not a whole number");
                0
            }),
        }
    }

    /// Never with the value: it is a Secret's.
    fn complain(&mut self, key: &str, message: &str) {
        self.problem.get_or_insert_with(|| format!("{key} {message}"));
    }
}
