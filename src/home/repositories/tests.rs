use super::*;
use serde_json::json;
use std::collections::BTreeMap;

/// A Secret as type, name and fields.
type Declared<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)]);

fn repositories(secrets: &[Declared<'_>], settings: &Settings) -> Repositories {
    let objects: Vec<(AppKey, SecretObject)> = secrets
        .iter()
        .map(|(kind, name, fields)| {
            let mut object: SecretObject =
                serde_json::from_value(json!({"metadata": {"name": name, "labels": {names::LABEL_SECRET_TYPE: kind}}}))
                    .expect("a secret");
            let data: BTreeMap<_, _> = fields.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            object.data = data.into();
            (AppKey::new("argocd", name), object)
        })
        .collect();
    Repositories::read(objects.iter().map(|(k, o)| (k, o)), settings)
}

fn plain(secrets: &[Declared<'_>]) -> Repositories {
    repositories(secrets, &Settings::default())
}

#[test]
fn a_projects_own_repository_comes_before_the_global_one() {
    let all = plain(&[
        ("repository", "a-global", &[("url", "https://host/r.git"), ("username", "global"), ("password", "p")]),
        ("repository", "b-team", &[("url", "https://HOST/r"), ("username", "team"), ("project", "team")]),
        ("repository", "c-other", &[("url", "https://host/only"), ("username", "x"), ("project", "other")]),
    ]);
    assert_eq!(all.resolve("https://host/R", "team").username, "team");
    assert_eq!(all.resolve("https://host/r", "else").username, "global");
    assert_eq!(all.resolve("https://host/only", "team").username, "", "another project's is not lent");
    assert_eq!(all.of_project("team").count(), 2);
}

#[test]
fn credentials_are_inherited_from_the_longest_prefix() {
    let all = plain(&[
        ("repo-creds", "a", &[("url", "https://host/org/team"), ("username", "team"), ("password", "p")]),
        ("repo-creds", "b", &[("url", "https://host/org"), ("username", "org"), ("githubAppID", "7")]),
        ("repo-creds", "c", &[("url", "git@host:org"), ("sshPrivateKey", "key")]),
        ("repository", "r", &[("url", "https://host/org/other"), ("enableLfs", "true"), ("proxy", "http://own")]),
    ]);
    let team = all.resolve("https://host/org/team/app.git", "p");
    assert_eq!((team.username.as_str(), team.inherited), ("team", true));
    let other = all.resolve("https://host/org/other", "p");
    assert_eq!((other.username.as_str(), other.github_app.id, other.enable_lfs), ("org", 7, true));
    assert_eq!(other.proxy.expose(), "http://own");
    assert_eq!(all.resolve("ssh://git@host/org/x", "p").ssh_private_key.expose(), "key");
    assert!(!all.resolve("https://elsewhere/org", "p").has_credentials());
}

#[test]
fn own_credentials_are_not_mixed_with_a_templates() {
    let all = plain(&[
        ("repo-creds", "t", &[("url", "https://host"), ("username", "t"), ("password", "secret")]),
        ("repository", "r", &[("url", "https://host/r"), ("bearerToken", "own")]),
    ]);
    let found = all.resolve("https://host/r", "p");
    assert_eq!((found.username.as_str(), found.inherited), ("", false));
}

#[test]
fn a_templates_credentials_do_not_leave_its_host() {
    let all = plain(&[("repo-creds", "t", &[("url", "https://git.example"), ("password", "secret")])]);
    for url in [
        "https://git.example.evil.org/x",
        "https://git.example@evil.org/x",
        "https://git.example:x@evil.org/x",
        "https://git.examples/x",
    ] {
        assert!(!all.resolve(url, "p").has_credentials(), "{url}");
    }
    for url in ["https://git.example/x", "https://git.example:8443/x", "https://git.example"] {
        assert!(all.resolve(url, "p").has_credentials(), "{url}");
    }
    let all = plain(&[("repo-creds", "t", &[("url", "https://"), ("password", "secret")])]);
    assert!(!all.resolve("https://anywhere/x", "p").has_credentials());
}

#[test]
fn writing_has_credentials_of_its_own() {
    let all = plain(&[
        ("repository", "r", &[("url", "https://host/r"), ("username", "reader")]),
        ("repository-write", "w", &[("url", "https://host/r"), ("username", "writer")]),
        ("repo-write-creds", "x", &[("url", "https://host/"), ("username", "any")]),
    ]);
    assert_eq!(all.resolve("https://host/r", "p").username, "reader");
    assert_eq!(all.resolve_write("https://host/r", "p").username, "writer");
    assert_eq!(all.resolve_write("https://host/s", "p").username, "any");
}

#[test]
fn trusted_hosts_and_certificates_are_attached() {
    let mut sources = Sources::default();
    sources.ssh_known_hosts.insert("ssh_known_hosts".into(), "host ssh-ed25519 AAA".into());
    sources.tls_certs.insert("host".into(), "PEM".into());
    let settings = Settings { raw: Arc::new(sources), ..Settings::default() };
    let all = repositories(&[], &settings);
    assert_eq!(all.resolve("https://user@host:8443/r", "p").ca_bundle.as_deref(), Some("PEM"));
    assert_eq!(all.resolve("https://other/r", "p").ca_bundle, None);
    let ssh = all.resolve("git@host:r", "p");
    assert_eq!((&*ssh.known_hosts, ssh.ca_bundle), ("host ssh-ed25519 AAA", None));
}

#[test]
fn a_field_that_makes_no_sense_is_reported_without_its_value_and_hurts_nobody_else() {
    let all = plain(&[
        ("repository", "bad", &[("url", "https://host/bad"), ("insecure", "canary-1"), ("depth", "canary-2")]),
        ("repository", "good", &[("url", "https://host/good"), ("insecure", "true")]),
    ]);
    assert_eq!(all.problems, [Problem { key: "bad".into(), message: "insecure is neither true nor false".into() }]);
    assert!(!all.resolve("https://host/bad", "p").is_insecure());
    assert!(all.resolve("https://host/good", "p").is_insecure());
}

#[test]
fn no_secret_shows_in_debug_output() {
    let canary = "canary-4711";
    let fields: Vec<(&str, &str)> = [
        "password",
        "bearerToken",
        "sshPrivateKey",
        "tlsClientCertKey",
        "githubAppPrivateKey",
        "gcpServiceAccountKey",
        "azureServicePrincipalClientSecret",
        "proxy",
    ]
    .map(|field| (field, canary))
    .to_vec();
    let all = plain(&[("repository", "r", &fields)]);
    assert!(!format!("{all:?}").contains(canary));
}
