//! No secret leaves through the API: marked values stand in every place that holds
//! one, then everything that can be read is read, by `admin` and by a project's token,
//! and every error that can be provoked is provoked. No mark is found in replies,
//! logs, events, conditions or metrics, neither plain nor encoded.

use std::time::Duration;

use anyhow::{Context, ensure};
use argosy_proto::application::{
    ApplicationManifestQuery, ApplicationQuery, ApplicationResourceRequest, ApplicationServerSideDiffQuery,
    ResourcesQuery,
};
use argosy_proto::cluster::ClusterQuery;
use argosy_proto::project::ProjectQuery;
use argosy_proto::repocreds::RepoCredsQuery;
use argosy_proto::repository::RepoQuery;
use argosy_proto::v1alpha1::ResourceDiff;
use argosy_tests::{ApiClient, ApiReply, ApiWorld, App, Options, PATIENCE, Repo, eventually};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::StreamExt;
use prost::Message;
use reqwest::Method;
use serde_json::{Value, json};

/// What marks a secret. Every place has a secret of its own.
const MARK: &str = "c4n4ry";
/// How long a stream is read that goes on for ever.
const STREAMED: Duration = Duration::from_secs(1);
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

fn secret(place: &str) -> String {
    format!("{MARK}-{place}-password")
}

fn encoded(place: &str) -> String {
    STANDARD.encode(secret(place))
}

/// The mark as it may show: plain, and encoded at each of the three places that a
/// text can begin at.
fn marks() -> Vec<String> {
    let at = |before: usize| {
        let text = STANDARD.encode(format!("{}{MARK}", "\0".repeat(before)));
        // Letters that depend on what is before or after say nothing.
        text[(before * 8).div_ceil(6)..(before + MARK.len()) * 8 / 6].to_owned()
    };
    vec![MARK.to_owned(), at(0), at(1), at(2)]
}

/// What was looked at, and where a mark was found.
struct Search {
    marks: Vec<String>,
    looked: usize,
    found: Vec<String>,
}

// === impl Search ===

impl Search {
    fn look(&mut self, place: &str, text: &[u8]) {
        self.looked += 1;
        let text = String::from_utf8_lossy(text);
        for mark in &self.marks {
            if let Some(at) = text.find(mark) {
                let around: String = text.chars().skip(text[..at].chars().count().saturating_sub(150)).take(250).collect();
                self.found.push(format!("{place}: …{around}…"));
                break;
            }
        }
    }

    async fn ask(&mut self, who: &str, client: &ApiClient, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<ApiReply> {
        let reply = match &body {
            Some(body) => client.send(method.clone(), path, body).await?,
            None => client.get(path).await?,
        };
        let headers = format!("{:?}", reply.headers);
        self.look(&format!("{who}: {method} {path}"), format!("{headers}{}", reply.text).as_bytes());
        Ok(reply)
    }
}

struct Case {
    world: ApiWorld,
    admin: ApiClient,
    robot: ApiClient,
    /// Its only reader's password is a secret.
    repo: Repo,
    commit: String,
}

async fn start() -> anyhow::Result<Case> {
    let settings = [
        ("resource.sensitive.mask.annotations", "secret.example.com/token"),
        ("oidc.config", "name: one\nissuer: https://127.0.0.1:1\nclientID: id\nclientSecret: $oidc.one.secret\n"),
        ("timeout.reconciliation", "600s"),
    ];
    let world = ApiWorld::start(Options::default(), &settings).await?;
    world.plane.apply_yaml(PROJECT)?;
    let extra = json!({"stringData": {"oidc.one.secret": secret("oidc"), "webhook.github.secret": secret("webhook")}});
    world.plane.kubectl_text(&["-n", "argocd", "patch", "secret", "argocd-secret", "--type=merge", "-p", &extra.to_string()])?;
    let repo = world.git.repo("private")?;
    world.git.require_basic("bot", &secret("git"));
    let manifest = format!(
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: hidden\n  annotations: {{secret.example.com/token: {}}}\n\
         data: {{password: {}}}\nstringData: {{token: {}}}\n",
        secret("annotation"),
        encoded("target"),
        secret("string")
    );
    let commit = repo.commit(&[("app/secret.yaml", &manifest), ("mangled/secret.yaml", &format!("{manifest}more: [\n"))])?;
    declare(&world, &repo)?;
    let client = world.plane.client().await?;
    let url = repo.url_https();
    App::new("hidden").project("team").source(&url, "app", "HEAD").automated().apply(&client).await?;
    App::new("mangled").project("team").source(&url, "mangled", "HEAD").apply(&client).await?;
    App::new("broken").project("team").source(&broken_url(), ".", "HEAD").apply(&client).await?;
    let far = App::new("far").project("team").source(&url, "app", "HEAD");
    far.set("/spec/destination/server", json!("https://127.0.0.1:1")).apply(&client).await?;
    let admin = world.admin().await?;
    let reply = admin.send(Method::POST, "/api/v1/projects/team/roles/viewer/token", &json!({})).await?.ok()?;
    let robot = admin.with_token(reply["token"].as_str().context("a token")?);
    Ok(Case { world, admin, robot, repo, commit })
}

fn broken_url() -> String {
    format!("https://bot:{}@127.0.0.1:1/broken.git", secret("url"))
}

/// Every field of a declaration that holds a secret, holds one.
fn declare(world: &ApiWorld, repo: &Repo) -> anyhow::Result<()> {
    let fields = [
        "password", "bearerToken", "sshPrivateKey", "tlsClientCertKey", "githubAppPrivateKey", "gcpServiceAccountKey",
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
        ("repository", "repo-wrong", with(&format!("{}/no.git", repo.url_https().trim_end_matches("/private.git")), &bad)),
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
    let cluster = [
        ("server", "https://127.0.0.1:1"), ("name", "broken"), ("project", "team"), ("config", &config.to_string()),
    ];
    declared.push(("cluster", "cluster-broken", cluster.map(|(k, v)| (k.to_owned(), v.to_owned())).into()));
    for (kind, name, fields) in &declared {
        let fields: Vec<(&str, &str)> = fields.iter().map(|(k, v)| (&**k, &**v)).collect();
        plane.declare(kind, name, &fields)?;
    }
    // As it is when somebody declared it with kubectl.
    let applied = format!("kubectl.kubernetes.io/last-applied-configuration={}", json!({"stringData": {"config": config}}));
    plane.kubectl_text(&["-n", "argocd", "annotate", "--overwrite", "secret", "cluster-broken", &applied])?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_leaves_through_the_api() -> anyhow::Result<()> {
    let case = start().await?;
    let client = case.world.plane.client().await?;
    App::new("hidden").wait_for(&client, "deployed", PATIENCE, |s| s.phase() == "Succeeded").await?;
    // Another value than the target's, so that there is a difference to show.
    let drift = json!({"data": {"password": encoded("live"), "more": encoded("live-more")}}).to_string();
    case.world.plane.kubectl_text(&["patch", "secret", "hidden", "--type=merge", "-p", &drift])?;
    App::new("hidden").wait_for(&client, "drifted", PATIENCE, |s| s.sync_status() == "OutOfSync").await?;
    let failed = |s: &argosy_tests::AppState| s.conditions().iter().any(|(kind, _)| kind.ends_with("Error"));
    for name in ["mangled", "broken", "far"] {
        App::new(name).wait_for(&client, "failed", PATIENCE, failed).await?;
    }

    let mut search = Search { marks: marks(), looked: 0, found: Vec::new() };
    search.look("this very test", encoded("self").as_bytes());
    assert_eq!(std::mem::take(&mut search.found).len(), 1, "the search finds what is there");
    // The project's token sees its project's things, or it would prove nothing.
    for (path, least) in [("applications", 4), ("repositories", 4), ("clusters", 1), ("projects", 1)] {
        let reply = case.robot.get(&format!("/api/v1/{path}")).await?.ok()?;
        assert!(reply["items"].as_array().map_or(0, Vec::len) >= least, "{path}: {reply}");
    }
    for (who, client) in [("admin", &case.admin), ("the project's token", &case.robot)] {
        read(&case, &mut search, who, client).await?;
        read_in_grpc(&case, &mut search, who, client).await?;
        stream(&mut search, who, client).await?;
    }
    change(&case, &mut search).await?;
    beside(&case, &mut search).await?;
    assert!(search.looked > 150, "only {} texts were looked at", search.looked);
    assert!(search.found.is_empty(), "secrets are in\n{}", search.found.join("\n"));
    Ok(())
}

fn escaped(text: &str) -> String {
    text.replace('/', "%2F").replace(':', "%3A").replace('@', "%40")
}

async fn read(case: &Case, search: &mut Search, who: &str, client: &ApiClient) -> anyhow::Result<()> {
    let object = "namespace=default&resourceName=hidden&version=v1&kind=Secret&group=";
    let mut paths: Vec<String> = [
        "account", "account/admin", "applicationsets", "certificates", "clusters", "clusters/https%3A%2F%2F127.0.0.1%3A1",
        "clusters/broken?id.type=name", "gpgkeys", "notifications/services", "notifications/templates",
        "notifications/triggers", "projects", "projects/team", "projects/team/detailed", "projects/team/events",
        "projects/team/globalprojects", "projects/team/links", "projects/team/syncwindows", "repocreds", "repositories",
        "repositories?forceRefresh=true", "session/userinfo", "settings", "settings/plugins", "write-repocreds",
        "write-repositories", "applications", "applications?fields=items.spec,items.status",
    ]
    .map(str::to_owned)
    .into();
    for name in ["hidden", "mangled", "broken", "far"] {
        paths.push(format!("applications/{name}"));
        paths.push(format!("applications/{name}?refresh=hard"));
        for part in ["events", "links", "managed-resources", "manifests", "resource-tree", "syncwindows", "logs?follow=false"] {
            paths.push(format!("applications/{name}/{part}"));
        }
        paths.push(format!("applications/{name}/manifests?revision={}&noCache=true", case.commit));
        paths.push(format!("applications/{name}/revisions/{}/metadata", case.commit));
        for part in ["resource", "resource/actions", "resource/links"] {
            paths.push(format!("applications/{name}/{part}?{object}"));
        }
    }
    let good = case.repo.url_https();
    for url in [&good, &good.replace("private", "no"), &broken_url(), "https://127.0.0.1:1/repo-all"] {
        let path = format!("repositories/{}", escaped(url));
        for rest in ["?appProject=team", "?appProject=team&forceRefresh=true", "/refs?appProject=team", "/helmcharts?appProject=team"] {
            paths.push(format!("{path}{rest}"));
        }
        paths.push(format!("{path}/apps?appName=hidden&appProject=team"));
    }
    for path in paths {
        search.ask(who, client, Method::GET, &format!("/api/v1/{path}"), None).await.with_context(|| path.clone())?;
    }
    let masked = client.get("/api/v1/applications/hidden/managed-resources").await?.ok()?.to_string();
    assert!(masked.contains("++++++++") && masked.contains("hidden"), "the Secret is shown, with masks: {masked}");
    for url in [&good, &broken_url()] {
        let body = json!({"source": {"repoURL": url, "path": "app", "targetRevision": "HEAD"}, "appName": "hidden", "appProject": "team"});
        let path = format!("/api/v1/repositories/{}/appdetails", escaped(url));
        search.ask(who, client, Method::POST, &path, Some(body)).await?;
    }
    Ok(())
}

/// The same in the other encoding: fields that JSON leaves out would show here.
async fn read_in_grpc(case: &Case, search: &mut Search, who: &str, client: &ApiClient) -> anyhow::Result<()> {
    let app = ApplicationQuery { name: Some("hidden".into()), ..Default::default() };
    let resources = ResourcesQuery { application_name: "hidden".into(), ..Default::default() };
    let manifests = ApplicationManifestQuery { name: "hidden".into(), ..Default::default() };
    let mut object = ApplicationResourceRequest { name: "hidden".into(), resource_name: "hidden".into(), ..Default::default() };
    (object.version, object.kind, object.namespace) = ("v1".into(), "Secret".into(), Some("default".into()));
    let state = |place: &str| {
        let data = json!({"password": encoded(place)});
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hidden", "namespace": "default"}, "data": data}).to_string()
    };
    let live = ResourceDiff {
        kind: "Secret".into(),
        namespace: "default".into(),
        name: "hidden".into(),
        live_state: state("diff-live"),
        ..Default::default()
    };
    let diff = ApplicationServerSideDiffQuery {
        app_name: "hidden".into(),
        live_resources: vec![live],
        target_manifests: vec![state("diff-target")],
        ..Default::default()
    };
    let project = ProjectQuery { name: "team".into() };
    let repository = |url: String| RepoQuery { repo: url, app_project: "team".into(), ..Default::default() }.encode_to_vec();
    for (rpc, message) in [
        ("application.ApplicationService/List", ApplicationQuery::default().encode_to_vec()),
        ("application.ApplicationService/Get", app.encode_to_vec()),
        ("application.ApplicationService/ManagedResources", resources.encode_to_vec()),
        ("application.ApplicationService/ResourceTree", resources.encode_to_vec()),
        ("application.ApplicationService/GetManifests", manifests.encode_to_vec()),
        ("application.ApplicationService/GetResource", object.encode_to_vec()),
        ("application.ApplicationService/ServerSideDiff", diff.encode_to_vec()),
        ("cluster.ClusterService/List", Vec::new()),
        ("cluster.ClusterService/Get", ClusterQuery { name: "broken".into(), ..Default::default() }.encode_to_vec()),
        ("cluster.SettingsService/Get", Vec::new()),
        ("project.ProjectService/GetDetailedProject", project.encode_to_vec()),
        ("repocreds.RepoCredsService/ListRepositoryCredentials", RepoCredsQuery::default().encode_to_vec()),
        ("repository.RepositoryService/ListRepositories", Vec::new()),
        ("repository.RepositoryService/Get", repository(case.repo.url_https())),
        ("repository.RepositoryService/Get", repository(broken_url())),
        ("repository.RepositoryService/ListRefs", repository(broken_url())),
    ] {
        let reply = client.web(rpc, &message).await.with_context(|| rpc.to_owned())?;
        search.look(&format!("{who}: {rpc}"), &reply.messages.concat());
        search.look(&format!("{who}: the status of {rpc}"), reply.message.as_bytes());
    }
    Ok(())
}

async fn stream(search: &mut Search, who: &str, client: &ApiClient) -> anyhow::Result<()> {
    for path in ["/api/v1/stream/applications", "/api/v1/stream/applications/hidden/resource-tree"] {
        let response = client.rest(Method::GET, path).header("accept", "text/event-stream").send().await?;
        let (mut body, mut told) = (response.bytes_stream(), Vec::new());
        let read = async {
            while let Some(Ok(chunk)) = body.next().await {
                told.extend_from_slice(&chunk);
            }
        };
        // It goes on for ever; what is there comes at once.
        let _ = tokio::time::timeout(STREAMED, read).await;
        ensure!(!told.is_empty(), "{path} tells nothing");
        search.look(&format!("{who}: {path}"), &told);
    }
    Ok(())
}

/// Errors that quote, and answers to changes.
async fn change(case: &Case, search: &mut Search) -> anyhow::Result<()> {
    let object = "namespace=default&resourceName=hidden&version=v1&kind=Secret&group=&patchType=application/merge-patch%2Bjson";
    let patched = format!("/api/v1/applications/hidden/resource?{object}");
    let patch = |data: Value| json!(json!({"data": data}).to_string());
    let config = json!({"bearerToken": secret("new-token"), "tlsClientConfig": {"insecure": true}});
    let cluster = |server: &str| json!({"server": server, "name": "new", "config": config});
    let repository = |url: &str| json!({"repo": url, "username": "bot", "password": secret("new-password"), "insecure": true, "project": ""});
    let url_with = format!("https://bot:{}@127.0.0.1:1/new.git", secret("new-url"));
    let creds = json!({"url": "https://git.example.com/new", "password": secret("new-creds"), "sshPrivateKey": secret("new-key")});
    let local = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "local"}, "data": {"password": encoded("local")}});
    let sign_in = json!({"username": "admin", "password": secret("sign-in")});
    let password = json!({"newPassword": format!("{}-which-is-far-too-long", secret("new")), "currentPassword": secret("current")});
    let good = escaped(&case.repo.url_https());
    for (method, path, body) in [
        (Method::POST, &*patched, patch(json!({"password": format!("{} is not base64", secret("patch"))}))),
        (Method::POST, &patched, patch(json!({"password": encoded("patched")}))),
        (Method::POST, &patched, json!(format!("[{}", secret("no-json")))),
        (Method::POST, "/api/v1/clusters", cluster("https://127.0.0.1:1")),
        (Method::POST, "/api/v1/clusters", cluster(&case.world.plane.url())),
        (Method::PUT, "/api/v1/clusters/https%3A%2F%2F127.0.0.1%3A1", cluster("https://127.0.0.1:1")),
        (Method::POST, "/api/v1/clusters/https%3A%2F%2F127.0.0.1%3A1/rotate-auth", json!({})),
        (Method::POST, "/api/v1/repositories", repository(&case.repo.url_https())),
        (Method::POST, "/api/v1/repositories", repository(&url_with)),
        (Method::POST, "/api/v1/repositories", json!({"repo": "ssh://git@127.0.0.1:1/a", "sshPrivateKey": secret("new-ssh")})),
        (Method::POST, &format!("/api/v1/repositories/{good}/validate"), repository(&case.repo.url_https())),
        (Method::PUT, &format!("/api/v1/repositories/{good}"), repository(&case.repo.url_https())),
        (Method::POST, "/api/v1/repocreds", creds.clone()),
        (Method::PUT, "/api/v1/repocreds/https%3A%2F%2Fgit.example.com%2Fnew", creds),
        (Method::POST, "/api/v1/applications/hidden/sync", json!({"dryRun": true, "manifests": [local.to_string()]})),
        (Method::POST, "/api/v1/session", sign_in),
        (Method::PUT, "/api/v1/account/password", password),
        (Method::POST, "/api/v1/applications", json!({"metadata": {"name": "new"}, "spec": {"source": {"repoURL": url_with}}})),
    ] {
        search.ask("admin", &case.admin, method, path, Some(body)).await.with_context(|| path.to_owned())?;
    }
    eventually(PATIENCE, || async {
        let app = case.admin.get("/api/v1/applications/hidden").await?.ok()?;
        ensure!(app["operation"].is_null() && app["status"]["operationState"]["operation"]["sync"]["dryRun"] == true, "{app}");
        Ok::<_, anyhow::Error>(())
    })
    .await;
    for (who, client) in [("admin", &case.admin), ("the project's token", &case.robot)] {
        for path in ["/api/v1/applications", "/api/v1/applications/hidden", "/api/v1/repocreds", "/api/v1/repositories"] {
            search.ask(who, client, Method::GET, path, None).await?;
        }
    }
    Ok(())
}

/// Where else something could be told.
async fn beside(case: &Case, search: &mut Search) -> anyhow::Result<()> {
    let world = &case.world;
    search.look("the API's log", world.server.log().as_bytes());
    search.look("the controller's log", world.controller.log().as_bytes());
    search.look("events", world.plane.kubectl_text(&["get", "events", "--all-namespaces", "-o", "json"])?.as_bytes());
    let said = "jsonpath={.items[*].status.conditions}{.items[*].status.operationState.message}";
    search.look("conditions", world.plane.kubectl_text(&["-n", "argocd", "get", "applications", "-o", said])?.as_bytes());
    for address in [world.server.metrics_address(), world.controller.metrics_address()] {
        let page = case.admin.http().get(format!("http://{address}/metrics")).send().await?.text().await?;
        ensure!(page.contains("argocd_"), "no metrics: {page}");
        search.look("metrics", page.as_bytes());
    }
    Ok(())
}
