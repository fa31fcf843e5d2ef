//! Errors are provoked that quote what they were given, and what is told beside the
//! API is looked at.

use anyhow::{Context, ensure};
use argosy_tests::{PATIENCE, eventually};
use reqwest::Method;
use serde_json::{Value, json};

use super::declared::Case;
use super::reading::escaped;
use super::search::{Search, encoded, secret};

/// Errors that quote, and answers to changes.
pub(crate) async fn change(case: &Case, search: &mut Search) -> anyhow::Result<()> {
    let object =
        "namespace=default&resourceName=hidden&version=v1&kind=Secret&group=&patchType=application/merge-patch%2Bjson";
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
        (
            Method::POST,
            "/api/v1/repositories",
            json!({"repo": "ssh://git@127.0.0.1:1/a", "sshPrivateKey": secret("new-ssh")}),
        ),
        (Method::POST, &format!("/api/v1/repositories/{good}/validate"), repository(&case.repo.url_https())),
        (Method::PUT, &format!("/api/v1/repositories/{good}"), repository(&case.repo.url_https())),
        (Method::POST, "/api/v1/repocreds", creds.clone()),
        (Method::PUT, "/api/v1/repocreds/https%3A%2F%2Fgit.example.com%2Fnew", creds),
        (Method::POST, "/api/v1/applications/hidden/sync", json!({"dryRun": true, "manifests": [local.to_string()]})),
        (Method::POST, "/api/v1/session", sign_in),
        (Method::PUT, "/api/v1/account/password", password),
        (
            Method::POST,
            "/api/v1/applications",
            json!({"metadata": {"name": "new"}, "spec": {"source": {"repoURL": url_with}}}),
        ),
    ] {
        search.ask("admin", &case.admin, method, path, Some(body)).await.with_context(|| path.to_owned())?;
    }
    eventually(PATIENCE, || async {
        let app = case.admin.get("/api/v1/applications/hidden").await?.ok()?;
        ensure!(
            app["operation"].is_null() && app["status"]["operationState"]["operation"]["sync"]["dryRun"] == true,
            "{app}"
        );
        Ok::<_, anyhow::Error>(())
    })
    .await;
    for (who, client) in [("admin", &case.admin), ("the project's token", &case.robot)] {
        for path in ["/api/v1/applications", "/api/v1/applications/hidden", "/api/v1/repocreds", "/api/v1/repositories"]
        {
            search.ask(who, client, Method::GET, path, None).await?;
        }
    }
    Ok(())
}

/// Where else something could be told.
pub(crate) async fn beside(case: &Case, search: &mut Search) -> anyhow::Result<()> {
    let world = &case.world;
    search.look("the API's log", world.server.log().as_bytes());
    search.look("the controller's log", world.controller.log().as_bytes());
    search.look("events", world.plane.kubectl_text(&["get", "events", "--all-namespaces", "-o", "json"])?.as_bytes());
    let said = "jsonpath={.items[*].status.conditions}{.items[*].status.operationState.message}";
    search
        .look("conditions", world.plane.kubectl_text(&["-n", "argocd", "get", "applications", "-o", said])?.as_bytes());
    for address in [world.server.metrics_address(), world.controller.metrics_address()] {
        let page = case.admin.http().get(format!("http://{address}/metrics")).send().await?.text().await?;
        ensure!(page.contains("argocd_"), "no metrics: {page}");
        search.look("metrics", page.as_bytes());
    }
    Ok(())
}
