//! An installation in which every place that holds a secret holds a marked one.

use anyhow::Context;
use argosy_tests::{ApiClient, ApiWorld, App, Options, Repo};
use reqwest::Method;
use serde_json::json;

use super::search::{encoded, secret};

const PROJECT: &str = r#"
apiVersion: argoproj.io/v1alpha1
kind: AppProject
metadata: {name: team, namespace: argocd}
spec:
  sourceRepos: ["*"]
  destinations: [{server: "*", namespace: "*"}]
  roles:
  - name: viewer
    policies:
    - p, proj:team:viewer, applications, get, team/*, allow
    - p, proj:team:viewer, repositories, get, team/*, allow
    - p, proj:team:viewer, clusters, get, team/*, allow
    - p, proj:team:viewer, logs, get, team/*, allow
"#;

pub(crate) struct Case {
    pub(crate) world: ApiWorld,
    pub(crate) admin: ApiClient,
    /// Shows a token of the project's.
    pub(crate) robot: ApiClient,
    /// Its only reader's password is a secret.
    pub(crate) repo: Repo,
    pub(crate) commit: String,
}

pub(crate) async fn start() -> anyhow::Result<Case> {
    let settings = [
        ("resource.sensitive.mask.annotations", "secret.example.com/token"),
        ("oidc.config", "name: one\nissuer: https://127.0.0.1:1\nclientID: id\nclientSecret: $oidc.one.secret\n"),
        ("timeout.reconciliation", "600s"),
    ];
    let world = ApiWorld::start(Options::default(), &settings).await?;
    world.plane.apply_yaml(PROJECT)?;
    let extra = json!({"stringData": {"oidc.one.secret": secret("oidc"), "webhook.github.secret": secret("webhook")}});
    world.plane.kubectl_text(&[
        "-n",
        "argocd",
        "patch",
        "secret",
        "argocd-secret",
        "--type=merge",
        "-p",
        &extra.to_string(),
    ])?;
    let repo = world.git.repo("private")?;
    world.git.require_basic("bot", &secret("git"));
    let manifest = format!(
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: hidden\n  annotations: {{secret.example.com/token: {}}}\n\
         data: {{password: {}}}\nstringData: {{token: {}}}\n",
        secret("annotation"),
        encoded("target"),
        secret("string")
    );
    let commit =
        repo.commit(&[("app/secret.yaml", &manifest), ("mangled/secret.yaml", &format!("{manifest}more: [\n"))])?;
    declare(&world, &repo)?;
    let client = world.plane.client().await?;
    let url = repo.url_https();
    App::new("hidden").project("team").source(&url, "app", "HEAD").apply(&client).await?;
    App::new("mangled").project("team").source(&url, "mangled", "HEAD").apply(&client).await?;
    App::new("broken").project("team").source(&broken_url(), ".", "HEAD").apply(&client).await?;
    let far = App::new("far").project("team").source(&url, "app", "HEAD");
    far.set("/spec/destination/server", json!("https://127.0.0.1:1")).apply(&client).await?;
    let admin = world.admin().await?;
    let reply = admin.send(Method::POST, "/api/v1/projects/team/roles/viewer/token", &json!({})).await?.ok()?;
    let robot = admin.with_token(reply["token"].as_str().context("a token")?);
    Ok(Case { world, admin, robot, repo, commit })
}

pub(crate) fn broken_url() -> String {
    format!("https://bot:{}@127.0.0.1:1/broken.git", secret("url"))
}

/// Every field of a declaration that holds a secret, holds one.
pub(crate) fn declare(world: &ApiWorld, repo: &Repo) -> anyhow::Result<()> {
    let fields = [
        "password",
        "bearerToken",
        "sshPrivateKey",
        "tlsClientCertKey",
        "githubAppPrivateKey",
        "gcpServiceAccountKey",
        "azureServicePrincipalClientSecret",
    ];
    let plane = &world.plane;
    let login = [("project", "team"), ("insecure", "true"), ("username", "bot")];
    let (good, bad) = (secret("git"), secret("wrong"));
    let with = |url: &str, password: &str| -> Vec<(String, String)> {
        let own = [("url", url), ("password", password)];
        own.into_iter().chain(login).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
    };
    let mut declared = vec![
        ("repository", "repo-good", with(&repo.url_https(), &good)),
        ("repository", "repo-url", with(&broken_url(), &bad)),
        (
            "repository",
            "repo-wrong",
            with(&format!("{}/no.git", repo.url_https().trim_end_matches("/private.git")), &bad),
        ),
    ];
    for (kind, name) in [("repository", "repo-all"), ("repo-creds", "creds-all")] {
        let mut all: Vec<(String, String)> =
            fields.map(|field| (field.to_owned(), secret(&format!("{name}-{field}")))).into();
        all.push(("url".to_owned(), format!("https://127.0.0.1:1/{name}")));
        all.push(("project".to_owned(), "team".to_owned()));
        all.push(("proxy".to_owned(), format!("http://u:{}@127.0.0.1:1", secret("proxy"))));
        declared.push((kind, name, all));
    }
    let config = json!({
        "username": "u", "password": secret("cluster-password"), "bearerToken": secret("cluster-token"),
        "execProviderConfig": {"command": "no-such-program", "args": [secret("cluster-args")], "env": {"KEY": secret("cluster-env")}},
        "tlsClientConfig": {"insecure": true, "keyData": encoded("cluster-key"), "certData": encoded("cluster-certificate")},
    });
    let cluster =
        [("server", "https://127.0.0.1:1"), ("name", "broken"), ("project", "team"), ("config", &config.to_string())];
    declared.push(("cluster", "cluster-broken", cluster.map(|(k, v)| (k.to_owned(), v.to_owned())).into()));
    for (kind, name, fields) in &declared {
        let fields: Vec<(&str, &str)> = fields.iter().map(|(k, v)| (&**k, &**v)).collect();
        plane.declare(kind, name, &fields)?;
    }
    // As it is when somebody declared it with kubectl.
    let applied =
        format!("kubectl.kubernetes.io/last-applied-configuration={}", json!({"stringData": {"config": config}}));
    plane.kubectl_text(&["-n", "argocd", "annotate", "--overwrite", "secret", "cluster-broken", &applied])?;
    Ok(())
}
