//! Who may do what: each service as each role sees it, policies as they are edited,
//! and tokens of projects' roles. Nobody learns from a refusal what there is.

use std::time::Duration;

use anyhow::{Context, ensure};
use argosy_tests::{ApiClient, ApiReply, ApiWorld, App, Options, PATIENCE, eventually};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};

/// An edit of the policy must be in force within this.
const SOON: Duration = Duration::from_secs(60);
const IN_CLUSTER: &str = "https%3A%2F%2Fkubernetes.default.svc";
const PROJECT: &str = r#"
apiVersion: argoproj.io/v1alpha1
kind: AppProject
metadata: {name: team, namespace: argocd}
spec:
  sourceRepos: ["*"]
  destinations: [{server: "*", namespace: "*"}]
  roles:
  - name: deployer
    policies:
    - p, proj:team:deployer, applications, get, team/*, allow
    - p, proj:team:deployer, applications, sync, team/*, allow
  - name: idle
"#;

/// An installation with two applications, and its callers.
struct Case {
    world: ApiWorld,
    admin: ApiClient,
    /// Has `role:readonly`.
    reader: ApiClient,
    /// Has no role.
    plain: ApiClient,
    /// Address of a repository that is declared and can be read.
    url: String,
}

// === impl Case ===

impl Case {
    async fn start() -> anyhow::Result<Self> {
        let world = ApiWorld::start(Options::default(), &[]).await?;
        world.plane.apply_yaml(PROJECT)?;
        let repo = world.git.repo("plain")?;
        repo.commit(&[("app/config.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: greeting}\n")])?;
        let url = repo.url_file();
        world.plane.declare("repository", "repo-plain", &[("url", &url)])?;
        world.plane.declare("repo-creds", "creds-plain", &[("url", "https://git.example.com/plain")])?;
        world.plane.set_config("argocd-rbac-cm", &[("policy.csv", "g, reader, role:readonly")])?;
        let client = world.plane.client().await?;
        App::new("guest").source(&url, "app", "HEAD").apply(&client).await?;
        App::new("member").project("team").source(&url, "app", "HEAD").apply(&client).await?;
        let reader = world.account("reader", "login", "reader-password").await?;
        let plain = world.account("plain", "login", "plain-password").await?;
        let admin = world.admin().await?;
        Ok(Self { world, admin, reader, plain, url })
    }

    fn policy(&self, csv: &str) -> anyhow::Result<()> {
        self.world.plane.set_config("argocd-rbac-cm", &[("policy.csv", csv)])
    }
}

/// A path's one variable.
fn escaped(text: &str) -> String {
    text.replace('/', "%2F").replace(':', "%3A")
}

async fn ask(client: &ApiClient, method: &Method, path: &str, body: Option<&Value>) -> anyhow::Result<ApiReply> {
    match body {
        Some(body) => client.send(method.clone(), path, body).await,
        None if *method == Method::DELETE => client.delete(path).await,
        None => client.get(path).await,
    }
}

/// Waits until a GET has this status.
async fn until(client: &ApiClient, path: &str, status: u16) {
    eventually(SOON, || async {
        let reply = client.get(path).await?;
        ensure!(reply.status == status, "status {}: {}", reply.status, reply.text);
        Ok::<_, anyhow::Error>(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_sees_its_view_of_each_service() -> anyhow::Result<()> {
    let case = Case::start().await?;
    until(&case.admin, "/api/v1/applications/guest/resource-tree", 200).await;
    reading(&case).await?;
    lists(&case).await?;
    writing(&case).await?;
    denied_and_absent(&case).await?;
    can_i(&case).await
}

/// Statuses for admin, the reader and the one without a role.
async fn expect(
    case: &Case,
    method: Method,
    path: &str,
    body: Option<Value>,
    statuses: [u16; 3],
) -> anyhow::Result<()> {
    // Who may least first: a change is made once.
    let callers = [("plain", &case.plain), ("reader", &case.reader), ("admin", &case.admin)];
    for ((name, client), expected) in callers.into_iter().zip(statuses.into_iter().rev()) {
        let reply = ask(client, &method, path, body.as_ref()).await?;
        assert_eq!(reply.status, expected, "{method} {path} for {name}: {}", reply.text);
        if expected == 403 {
            let (code, message) = reply.refusal();
            assert!(code == 7 && message.contains("permission denied"), "{path} for {name}: {message}");
        }
    }
    let anybody = case.world.anybody().await?;
    let public = ["/api/version", "/api/v1/settings", "/api/v1/session/userinfo"];
    let expected = if public.contains(&path) { 200 } else { 401 };
    let reply = ask(&anybody, &method, path, body.as_ref()).await?;
    assert_eq!(reply.status, expected, "{method} {path} for nobody: {}", reply.text);
    Ok(())
}

async fn reading(case: &Case) -> anyhow::Result<()> {
    let repository = format!("/api/v1/repositories/{}", escaped(&case.url));
    let for_readers = [
        "/api/v1/applications/guest",
        "/api/v1/applications/guest/resource-tree",
        "/api/v1/applications/guest/managed-resources",
        "/api/v1/applications/guest/manifests",
        "/api/v1/applications/guest/syncwindows",
        "/api/v1/applications/guest/events",
        "/api/v1/applications/guest/links",
        "/api/v1/projects/team",
        "/api/v1/projects/team/detailed",
        "/api/v1/projects/team/events",
        "/api/v1/projects/team/globalprojects",
        "/api/v1/projects/team/syncwindows",
        "/api/v1/projects/team/links",
        &format!("/api/v1/clusters/{IN_CLUSTER}"),
        &repository,
        &format!("{repository}/refs"),
        "/api/v1/certificates",
        "/api/v1/gpgkeys",
        "/api/v1/account/admin",
    ];
    for path in for_readers {
        expect(case, Method::GET, path, None, [200, 200, 403]).await?;
    }
    let for_all = [
        "/api/version",
        "/api/v1/settings",
        "/api/v1/settings/plugins",
        "/api/v1/notifications/services",
        "/api/v1/notifications/templates",
        "/api/v1/notifications/triggers",
        "/api/v1/session/userinfo",
        "/api/v1/account/can-i/clusters/get/any",
    ];
    for path in for_all {
        expect(case, Method::GET, path, None, [200, 200, 200]).await?;
    }
    Ok(())
}

/// A list has what its reader may see, and is empty rather than refused.
async fn lists(case: &Case) -> anyhow::Result<()> {
    for (path, counts) in [
        ("/api/v1/applications", [2, 2, 0]),
        ("/api/v1/applications?projects=team", [1, 1, 0]),
        ("/api/v1/applicationsets", [0, 0, 0]),
        ("/api/v1/projects", [2, 2, 0]),
        ("/api/v1/clusters", [1, 1, 0]),
        ("/api/v1/repositories", [1, 1, 0]),
        ("/api/v1/repocreds", [1, 1, 0]),
        // One's own account is always there.
        ("/api/v1/account", [3, 3, 1]),
    ] {
        for (client, count) in [&case.admin, &case.reader, &case.plain].into_iter().zip(counts) {
            let reply = client.get(path).await?.ok()?;
            assert_eq!(reply["items"].as_array().map_or(0, Vec::len), count, "{path}: {reply}");
        }
    }
    Ok(())
}

async fn writing(case: &Case) -> anyhow::Result<()> {
    const ADMIN_ONLY: [u16; 3] = [200, 403, 403];
    let spec = json!({
        "project": "default", "source": {"repoURL": case.url, "path": "app", "targetRevision": "HEAD"},
        "destination": {"server": "https://kubernetes.default.svc", "namespace": "default"},
    });
    let made = json!({"metadata": {"name": "made"}, "spec": spec});
    let template = json!({"metadata": {"name": "{{name}}"}, "spec": spec});
    let generators = json!([{"list": {"elements": []}}]);
    let set = json!({"metadata": {"name": "made"}, "spec": {"generators": generators, "template": template}});
    let project =
        |description: &str| json!({"project": {"metadata": {"name": "made"}, "spec": {"description": description}}});
    let certificate = STANDARD.encode(case.world.plane.authority_pem());
    let certificates =
        json!({"items": [{"serverName": "made.example.com", "certType": "https", "certData": certificate}]});
    let creds = "https://git.example.com/made";
    let repository = escaped(&case.world.git.repo("made")?.url_file());
    case.world.git.repo("other")?.commit(&[("a", "b")])?;
    let password = json!({"name": "plain", "newPassword": "other-password", "currentPassword": "wrong"});
    for (method, path, body, statuses) in [
        (Method::POST, "/api/v1/applications", Some(made), ADMIN_ONLY),
        (Method::PUT, "/api/v1/applications/made/spec", Some(spec), ADMIN_ONLY),
        (Method::POST, "/api/v1/applications/made/sync", Some(json!({"dryRun": true})), ADMIN_ONLY),
        (Method::DELETE, "/api/v1/applications/made", None, ADMIN_ONLY),
        (Method::POST, "/api/v1/applicationsets", Some(set), ADMIN_ONLY),
        (Method::GET, "/api/v1/applicationsets/made", None, [200, 200, 403]),
        // Who may see it, and not delete it, hears that it is not there.
        (Method::DELETE, "/api/v1/applicationsets/made", None, [200, 404, 403]),
        (Method::POST, "/api/v1/projects", Some(project("one")), ADMIN_ONLY),
        (Method::PUT, "/api/v1/projects/made", Some(project("two")), ADMIN_ONLY),
        (Method::DELETE, "/api/v1/projects/made", None, ADMIN_ONLY),
        (Method::POST, "/api/v1/projects/team/roles/idle/token", Some(json!({"id": "made"})), ADMIN_ONLY),
        (Method::DELETE, "/api/v1/projects/team/roles/idle/token/0?id=made", None, ADMIN_ONLY),
        (Method::POST, "/api/v1/repocreds", Some(json!({"url": creds})), ADMIN_ONLY),
        (Method::DELETE, &format!("/api/v1/repocreds/{}", escaped(creds)), None, ADMIN_ONLY),
        (Method::DELETE, &format!("/api/v1/repositories/{repository}"), None, [403, 403, 403]),
        (Method::POST, "/api/v1/certificates", Some(certificates), ADMIN_ONLY),
        (Method::DELETE, "/api/v1/certificates?hostNamePattern=made.example.com", None, ADMIN_ONLY),
        (Method::POST, "/api/v1/gpgkeys", Some(json!({"keyData": "none"})), [400, 403, 403]),
        (Method::DELETE, "/api/v1/gpgkeys?keyID=F7842A5CEAA9C0B1", None, [404, 403, 403]),
        (Method::POST, &format!("/api/v1/clusters/{IN_CLUSTER}/invalidate-cache"), Some(json!({})), ADMIN_ONLY),
        (Method::PUT, "/api/v1/account/password", Some(password), [400, 403, 400]),
        (Method::POST, "/api/v1/account/reader/token", Some(json!({})), [400, 400, 403]),
    ] {
        expect(case, method, path, body, statuses).await.with_context(|| path.to_owned())?;
    }
    // Declared with a test of the connection, which the last one's caller makes.
    let other = json!({"repo": case.url.replace("plain.git", "other.git"), "name": "other"});
    expect(case, Method::POST, "/api/v1/repositories", Some(other), ADMIN_ONLY).await?;
    let cluster = json!({"server": "https://127.0.0.1:1", "name": "none", "config": {}});
    for client in [&case.reader, &case.plain] {
        assert_eq!(client.send(Method::POST, "/api/v1/clusters", &cluster).await?.status, 403);
    }
    Ok(())
}

/// What is there and what is not are refused in the same words.
async fn denied_and_absent(case: &Case) -> anyhow::Result<()> {
    let denied = json!({"error": "permission denied", "code": 7, "message": "permission denied"});
    let guest = ["/api/v1/applications/guest", "/api/v1/applications/absent"];
    let tree = guest.map(|path| format!("{path}/resource-tree"));
    let cluster = [IN_CLUSTER, "https%3A%2F%2Fabsent"].map(|server| format!("/api/v1/clusters/{server}"));
    let repository =
        [escaped(&case.url), escaped("https://git.example.com/no")].map(|u| format!("/api/v1/repositories/{u}"));
    for path in guest.map(str::to_owned).iter().chain(&tree).chain(&cluster).chain(&repository) {
        let reply = case.plain.get(path).await?;
        assert_eq!((reply.status, reply.json()), (403, denied.clone()), "{path}");
    }
    // With no project named, even who may see everything hears no more.
    assert_eq!(case.admin.get(guest[1]).await?.json(), denied);
    // In a project one may use, it is not there, whether it is elsewhere or nowhere.
    for name in ["guest", "absent"] {
        let reply = case.admin.get(&format!("/api/v1/applications/{name}?project=team")).await?;
        let words = format!("applications.argoproj.io {name:?} not found");
        assert_eq!((reply.status, reply.refusal()), (404, (5, words)), "{name}");
        let reply = case.plain.get(&format!("/api/v1/applications/{name}?project=team")).await?;
        assert_eq!(reply.json(), denied, "{name}");
    }
    Ok(())
}

async fn can_i(case: &Case) -> anyhow::Result<()> {
    for (question, answers) in [
        ("applications/sync/default/guest", ["yes", "no", "no"]),
        ("applications/get/default/guest", ["yes", "yes", "no"]),
        ("logs/get/default/guest", ["yes", "yes", "no"]),
        ("exec/create/default/guest", ["yes", "no", "no"]),
        ("extensions/invoke/any", ["no", "no", "no"]),
        ("accounts/update/admin", ["yes", "no", "no"]),
    ] {
        for (client, answer) in [&case.admin, &case.reader, &case.plain].into_iter().zip(answers) {
            let reply = client.get(&format!("/api/v1/account/can-i/{question}")).await?;
            assert_eq!(reply.ok()?, json!({"value": answer}), "{question}");
        }
    }
    let reply = case.plain.get("/api/v1/account/can-i/nonsense/get/any").await?;
    assert_eq!(reply.status, 400, "{}", reply.text);
    assert!(reply.refusal().1.ends_with("does not contain nonsense"), "{}", reply.text);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_and_tokens_of_roles_are_in_force_as_they_are_edited() -> anyhow::Result<()> {
    let case = Case::start().await?;
    edits(&case).await?;
    tokens(&case).await
}

async fn edits(case: &Case) -> anyhow::Result<()> {
    let guest = "/api/v1/applications/guest";
    case.policy("p, plain, applications, get, default/*, allow")?;
    until(&case.plain, guest, 200).await;
    until(&case.reader, guest, 403).await;
    // A denial counts for more than any permission.
    case.policy("p, plain, applications, get, */*, allow\np, plain, applications, get, default/guest, deny")?;
    until(&case.plain, guest, 403).await;
    until(&case.plain, "/api/v1/applications/member", 200).await;
    // Parts of the policy in keys of their own.
    let plane = &case.world.plane;
    case.policy("")?;
    plane.set_config("argocd-rbac-cm", &[("policy.more.csv", "g, plain, role:readonly")])?;
    until(&case.plain, guest, 200).await;
    plane.set_config("argocd-rbac-cm", &[("policy.more.csv", ""), ("policy.default", "role:readonly")])?;
    until(&case.reader, guest, 200).await;
    // Patterns as regular expressions.
    let expression = "p, plain, applications, get, ^default/gu.st$, allow";
    let mode = [("policy.default", ""), ("policy.matchMode", "regex"), ("policy.csv", expression)];
    plane.set_config("argocd-rbac-cm", &mode)?;
    until(&case.reader, guest, 403).await;
    until(&case.plain, guest, 200).await;
    until(&case.plain, "/api/v1/applications/member", 403).await;
    plane.set_config("argocd-rbac-cm", &[("policy.matchMode", "glob"), ("policy.csv", "g, reader, role:readonly")])?;
    until(&case.plain, guest, 403).await;
    Ok(())
}

async fn tokens(case: &Case) -> anyhow::Result<()> {
    let path = "/api/v1/projects/team/roles/deployer/token";
    let reply = case.admin.send(Method::POST, path, &json!({"id": "ci"})).await?.ok()?;
    let robot = case.plain.with_token(reply["token"].as_str().context("a token")?);
    until(&robot, "/api/v1/applications/member", 200).await;
    let info = robot.get("/api/v1/session/userinfo").await?.ok()?;
    assert_eq!((&info["username"], &info["iss"]), (&json!("proj:team:deployer"), &json!("argocd")));

    // What the role's own project says, and nothing of another's.
    for (method, path, status) in [
        (Method::GET, "/api/v1/applications/guest", 403),
        (Method::GET, "/api/v1/projects/default", 403),
        // Whoever has a role of a project may see the project.
        (Method::GET, "/api/v1/projects/team", 200),
        (Method::GET, "/api/v1/repocreds", 200),
        (Method::DELETE, "/api/v1/applications/member", 403),
        (Method::POST, "/api/v1/applications/member/sync", 200),
        (Method::POST, path, 403),
        (Method::PUT, "/api/v1/account/password", 403),
    ] {
        let body = (method != Method::GET).then(|| json!({}));
        let reply = ask(&robot, &method, path, body.as_ref()).await?;
        assert_eq!(reply.status, status, "{method} {path}: {}", reply.text);
    }
    let list = robot.get("/api/v1/applications").await?.ok()?;
    let names: Vec<_> =
        list["items"].as_array().into_iter().flatten().map(|app| app["metadata"]["name"].clone()).collect();
    assert_eq!(names, ["member"]);

    let again = case.admin.send(Method::POST, path, &json!({"id": "ci"})).await?;
    assert_eq!(again.refusal(), (3, "Token id 'ci' has been used. ".to_owned()));
    let nowhere = case.admin.send(Method::POST, "/api/v1/projects/team/roles/none/token", &json!({})).await?;
    assert_eq!(nowhere.refusal(), (5, "project 'team' does not have role 'none'".to_owned()));
    // Whoever may not see a project learns nothing of its roles.
    let real = case.plain.send(Method::POST, path, &json!({})).await?;
    let made_up = case.plain.send(Method::POST, "/api/v1/projects/team/roles/none/token", &json!({})).await?;
    assert_eq!((real.status, real.text), (403, made_up.text));

    let reply = case.admin.send(Method::POST, path, &json!({"id": "short", "expiresIn": 15})).await?.ok()?;
    let short = case.plain.with_token(reply["token"].as_str().context("a token")?);
    until(&short, "/api/v1/applications/member", 200).await;
    until(&short, "/api/v1/applications/member", 401).await;
    let reply = short.get("/api/v1/applications/member").await?;
    assert_eq!(reply.refusal().1, "invalid session: token has invalid claims: token is expired");

    let deleted = case.admin.delete(&format!("{path}/0?id=ci")).await?;
    assert_eq!(deleted.ok()?, json!({}));
    until(&robot, "/api/v1/applications/member", 401).await;
    let words = robot.get("/api/v1/applications/member").await?.refusal().1;
    assert!(words.starts_with("invalid session: JWT token for role 'deployer' issued at '"), "{words}");
    assert!(words.ends_with("' does not exist in project 'team'"), "{words}");
    let wanted = ["admin created token", "admin deleted token"];
    eventually(PATIENCE, || async {
        let events =
            case.world.plane.kubectl_text(&["-n", "argocd", "get", "events", "-o", "jsonpath={.items[*].message}"])?;
        ensure!(wanted.iter().all(|wanted| events.contains(wanted)), "{events}");
        Ok::<_, anyhow::Error>(())
    })
    .await;
    Ok(())
}
