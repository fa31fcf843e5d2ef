//! From a repository's Secret to what the git crate connects with.

use argosy_git::{Auth, ClientCertificate, Credentials, RepoUrl};
use argosy_home::{Home, RepoCredentials};
use argosy_model::Secret;

/// The credentials a project has for a repository, as they are declared now.
pub(super) fn of(home: &Home, url: &RepoUrl, project: &str) -> Credentials {
    declared(&home.repositories().resolve(&url.to_string(), project))
}

/// The same from a declaration that need not be stored.
pub(crate) fn declared(declared: &RepoCredentials) -> Credentials {
    Credentials {
        auth: auth(declared),
        client_certificate: (!declared.tls_client_cert_data.is_empty()).then(|| ClientCertificate {
            certificate: declared.tls_client_cert_data.clone(),
            key: declared.tls_client_cert_key.clone(),
        }),
        ca_bundle: declared.ca_bundle.as_deref().map(str::to_owned),
        insecure: declared.insecure,
        insecure_ignore_host_key: declared.is_insecure(),
        known_hosts: declared.known_hosts.to_string(),
        proxy: (!declared.proxy.expose().is_empty()).then(|| declared.proxy.clone()),
        no_proxy: (!declared.no_proxy.is_empty()).then(|| declared.no_proxy.clone()),
        force_http_basic_auth: declared.force_http_basic_auth,
    }
}

fn auth(declared: &RepoCredentials) -> Auth {
    let given = |secret: &Secret<String>| !secret.expose().is_empty();
    if given(&declared.ssh_private_key) {
        return Auth::SshKey(declared.ssh_private_key.clone());
    }
    if given(&declared.bearer_token) {
        return Auth::Bearer(declared.bearer_token.clone());
    }
    if given(&declared.password) || !declared.username.is_empty() {
        return Auth::Basic { username: declared.username.clone(), password: declared.password.clone() };
    }
    Auth::Anonymous
}
