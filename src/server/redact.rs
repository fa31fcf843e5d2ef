//! Credentials as they leave the API: named by what may be shown, never by what
//! must not, so that a new field is private until somebody decides otherwise. And
//! texts, without the passwords of the addresses in them.

use std::borrow::Cow;

use argosy_home::{ClusterSecret, RepoCredentials};
use argosy_proto::v1alpha1::{Cluster, ClusterConfig, RepoCreds, Repository, TlsClientConfig};

/// What kubectl keeps of the Secret it applied: all of it.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Stands for what was removed from an address.
const MASK: &str = "******";

/// A repository, without anything that grants access.
pub(crate) fn repository(known: &RepoCredentials) -> Repository {
    let kind = if known.kind.is_empty() { "git" } else { &known.kind };
    Repository {
        repo: address(&known.url),
        r#type: kind.to_owned(),
        name: known.name.clone(),
        insecure: known.is_insecure(),
        enable_lfs: known.enable_lfs,
        enable_oci: known.enable_oci,
        insecure_oci_force_http: known.insecure_oci_force_http,
        proxy: address(known.proxy.expose()),
        no_proxy: known.no_proxy.clone(),
        project: known.project.clone(),
        force_http_basic_auth: known.force_http_basic_auth,
        inherited_creds: known.inherited,
        github_app_id: number(known.github_app.id),
        github_app_installation_id: number(known.github_app.installation_id),
        github_app_enterprise_base_url: known.github_app.enterprise_base_url.clone(),
        use_azure_workload_identity: known.use_azure_workload_identity,
        azure_active_directory_endpoint: known.azure_service_principal.directory_endpoint.clone(),
        azure_service_principal_client_id: known.azure_service_principal.client_id.clone(),
        azure_service_principal_tenant_id: known.azure_service_principal.tenant_id.clone(),
        depth: number(known.depth),
        ..Default::default()
    }
}

/// A credential template: where it counts and for whom, and no more.
pub(crate) fn repo_creds(known: &RepoCredentials) -> RepoCreds {
    RepoCreds {
        url: address(&known.url),
        username: known.username.clone(),
        r#type: known.kind.clone(),
        enable_oci: known.enable_oci,
        proxy: address(known.proxy.expose()),
        no_proxy: known.no_proxy.clone(),
        force_http_basic_auth: known.force_http_basic_auth,
        ..Default::default()
    }
}

/// A cluster, without its credential. What a credential plugin is started with may
/// hold anything and is left out too.
pub(crate) fn cluster(known: &ClusterSecret) -> Cluster {
    Cluster {
        server: known.server.clone(),
        name: known.name.clone(),
        project: known.project.clone(),
        namespaces: known.namespaces.clone(),
        cluster_resources: known.cluster_resources,
        shard: known.shard.map(number),
        labels: known.labels.clone().into_iter().collect(),
        annotations: known.annotations.clone().into_iter().filter(|(name, _)| name != LAST_APPLIED).collect(),
        config: Some(config(known.config.expose())),
        ..Default::default()
    }
}

/// What may be shown of a connection.
fn config(json: &str) -> ClusterConfig {
    // One that cannot be read shows nothing; what is wrong is said elsewhere.
    let known: ClusterConfig = serde_json::from_str(json).unwrap_or_default();
    let tls = known.tls_client_config.unwrap_or_default();
    ClusterConfig {
        aws_auth_config: known.aws_auth_config,
        proxy_url: address(&known.proxy_url),
        disable_compression: known.disable_compression,
        tls_client_config: Some(TlsClientConfig {
            insecure: tls.insecure,
            server_name: tls.server_name,
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// An address without the password in it.
pub(crate) fn address(text: &str) -> String {
    match url::Url::parse(text) {
        Ok(mut url) if url.password().is_some() => {
            // An address that has a password can be given another.
            let _ = url.set_password(Some(MASK));
            url.to_string()
        }
        _ => text.to_owned(),
    }
}

/// The text with the passwords of all addresses in it replaced.
pub(crate) fn mask(text: &str) -> Cow<'_, str> {
    let mut masked = String::new();
    let mut rest = text;
    let mut kept = 0;
    while let Some(start) = rest.find("://") {
        let authority = &rest[start + 3..];
        let is_end = |c: char| matches!(c, '/' | '?' | '#' | '"' | '\'' | '<' | '>' | '\\') || c.is_whitespace();
        let authority = &authority[..authority.find(is_end).unwrap_or(authority.len())];
        let password = authority.rfind('@').and_then(|at| Some((authority[..at].find(':')? + 1, at)));
        let from = text.len() - rest.len() + start + 3;
        if let Some((begin, end)) = password.filter(|(begin, end)| begin < end) {
            masked.push_str(&text[kept..from + begin]);
            masked.push_str(MASK);
            kept = from + end;
        }
        rest = &text[from + authority.len()..];
    }
    if kept == 0 {
        return Cow::Borrowed(text);
    }
    masked.push_str(&text[kept..]);
    Cow::Owned(masked)
}

fn number(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use argosy_model::Secret;

    use super::*;

    const CANARY: &str = "canary-4711";

    #[test]
    fn passwords_in_addresses_are_masked_wherever_they_stand() {
        for (text, masked) in [
            ("https://u:p@h/x", "https://u:******@h/x"),
            ("a https://u:p@h, b http://v:q@i.", "a https://u:******@h, b http://v:******@i."),
            ("{\"url\":\"https://u:p:q@h\"}", "{\"url\":\"https://u:******@h\"}"),
            ("https://:p@h", "https://:******@h"),
            ("https://a@b:p@h/x", "https://a@b:******@h/x"),
        ] {
            assert_eq!(mask(text), masked);
        }
        for text in ["https://h/x", "https://u@h/x", "ssh://git@h:22/x", "git@h:x", "https://h:8080/a@b", "x://", ""] {
            assert_eq!(mask(text), text);
        }
    }

    #[test]
    fn nothing_that_grants_access_leaves_with_a_repository() {
        let secret = || Secret::new(CANARY.to_owned());
        let mut known = RepoCredentials {
            url: format!("https://bot:{CANARY}@git.example.com/a.git"),
            password: secret(),
            bearer_token: secret(),
            ssh_private_key: secret(),
            tls_client_cert_key: secret(),
            gcp_service_account_key: secret(),
            proxy: Secret::new(format!("http://u:{CANARY}@proxy:3128")),
            ..Default::default()
        };
        known.github_app.private_key = secret();
        known.azure_service_principal.client_secret = secret();
        let shown =
            [serde_json::to_string(&repository(&known)).unwrap(), serde_json::to_string(&repo_creds(&known)).unwrap()];
        assert!(shown.iter().all(|text| !text.contains(CANARY)), "{shown:?}");
    }

    #[test]
    fn nothing_that_grants_access_leaves_with_a_cluster() {
        let json = serde_json::json!({
            "username": "u", "password": CANARY, "bearerToken": CANARY,
            "tlsClientConfig": {"serverName": "k8s", "keyData": "Y2FuYXJ5LTQ3MTE=", "certData": "YQ=="},
            "execProviderConfig": {"command": "aws", "args": [CANARY], "env": {"KEY": CANARY}},
        });
        let annotations = [(LAST_APPLIED.to_owned(), json.to_string())].into_iter().collect();
        let known = ClusterSecret { config: Secret::new(json.to_string()), annotations, ..Default::default() };
        let shown = serde_json::to_string(&cluster(&known)).unwrap();
        assert!(!shown.contains(CANARY) && !shown.contains("Y2FuYXJ5"), "{shown}");
        assert!(shown.contains("k8s"), "{shown}");
    }
}
