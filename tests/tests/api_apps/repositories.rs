//! Repositories and the credentials for them, and what is in them.

use anyhow::Context;
use argosy_proto::repocreds::{RepoCredsCreateRequest, RepoCredsDeleteRequest, RepoCredsQuery, RepoCredsUpdateRequest};
use argosy_proto::repository::{
    RepoAccessQuery, RepoAppDetailsQuery, RepoAppsQuery, RepoCreateRequest, RepoQuery, RepoUpdateRequest,
};
use argosy_proto::v1alpha1::Repository;
use argosy_tests::{GitServer, Repo, config_map, eventually, refusal};
use reqwest::Method;
use serde_json::{Value, json};
use tonic::{Code, Status};

use super::case::{Case, PATIENCE, merged, message};

/// A Git host that lets nobody in without a password.
fn private() -> anyhow::Result<(GitServer, Repo)> {
    let git = GitServer::start()?;
    let repo = git.repo("private")?;
    repo.commit(&[("app/map.yaml", &config_map("map", "x"))])?;
    git.require_basic("reader", "canary-right");
    Ok((git, repo))
}

fn declared(repo: &Repo, password: &str, more: Value) -> Value {
    merged(json!({"repo": repo.url_https(), "username": "reader", "password": password, "insecure": true}), more)
}

async fn create(case: &Case, repo: Value, upsert: bool) -> Result<Repository, Status> {
    let request = message::<RepoCreateRequest>(json!({"repo": repo, "upsert": upsert}));
    case.api.repositories().create_repository(request).await.map(tonic::Response::into_inner)
}

async fn get(case: &Case, query: Value) -> Result<Repository, Status> {
    case.api.repositories().get(message::<RepoQuery>(query)).await.map(tonic::Response::into_inner)
}

fn status(repository: &Repository) -> (&str, &str) {
    repository.connection_state.as_ref().map_or(("", ""), |state| (&state.status, &state.message))
}

fn escaped(url: &str) -> String {
    url.replace(':', "%3A").replace('/', "%2F")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_is_tried_added_read_changed_and_deleted() -> anyhow::Result<()> {
    let case = Case::new("private").await?;
    let (_git, repo) = private()?;
    let url = repo.url_https();
    let validate = async |password: &str| {
        let query = message::<RepoAccessQuery>(declared(&repo, password, json!({})));
        case.api.repositories().validate_access(query).await
    };
    validate("canary-right").await?;
    for (code, words) in [
        refusal(validate("canary-wrong").await),
        refusal(create(&case, declared(&repo, "canary-wrong", json!({})), false).await),
    ] {
        assert_eq!(code, Code::InvalidArgument, "{words}");
        assert!(words.contains("authentication") && !words.contains("canary"), "{words}");
    }
    let missing = refusal(get(&case, json!({"repo": url})).await);
    assert_eq!(missing, (Code::PermissionDenied, "permission denied".to_owned()));
    let added = create(&case, declared(&repo, "canary-right", json!({"name": "ours"})), false).await?;
    assert_eq!((&*added.repo, &*added.name), (&*url, "ours"));
    let found = get(&case, json!({"repo": url})).await?;
    assert_eq!((&*found.r#type, status(&found)), ("git", ("Successful", "")));
    assert_eq!((&*found.username, found.insecure), ("", true));
    assert!(!format!("{added:?} {found:?}").contains("canary"), "{found:?}");

    create(&case, declared(&repo, "canary-right", json!({"name": "ours"})), false).await.context("the same again")?;
    let (code, words) = refusal(create(&case, declared(&repo, "canary-right", json!({"name": "theirs"})), false).await);
    assert_eq!(code, Code::InvalidArgument, "{words}");
    assert!(words.starts_with("existing repository spec is different; use upsert flag to force update"), "{words}");
    assert!(!words.contains("canary"), "{words}");
    create(&case, declared(&repo, "canary-right", json!({"name": "theirs"})), true).await?;

    let list = case.api.get("/api/v1/repositories").await?.ok()?;
    let item = list["items"].as_array().into_iter().flatten().find(|r| r["repo"] == url).context("it is listed")?;
    assert_eq!((&item["name"], &item["connectionState"]["status"]), (&json!("theirs"), &json!("Successful")));
    assert!(!list.to_string().contains("canary"));

    // An application is deployed from it, until its password is wrong.
    let app = case.app().source(&url, "app", "HEAD");
    case.create(&app).await?;
    assert_eq!(case.synced(json!({})).await?.phase(), "Succeeded");
    let request =
        message::<RepoUpdateRequest>(json!({"repo": declared(&repo, "canary-old", json!({"name": "theirs"}))}));
    case.api.repositories().update_repository(request).await?;
    eventually(PATIENCE, || async {
        let found = get(&case, json!({"repo": url, "forceRefresh": true})).await?;
        let (state, words) = status(&found);
        assert!(!words.contains("canary"), "{words}");
        anyhow::ensure!(state == "Failed" && words.starts_with("Unable to connect to repository: "), "{state} {words}");
        Ok::<_, anyhow::Error>(())
    })
    .await;
    let path = format!("/api/v1/repositories/{}", escaped(&url));
    let body = declared(&repo, "canary-right", json!({"name": "theirs"}));
    case.api.send(Method::PUT, &path, &body).await?.ok()?;
    eventually(PATIENCE, || async {
        let shown = case.api.get(&format!("{path}?forceRefresh=true")).await?.ok()?;
        anyhow::ensure!(shown["connectionState"]["status"] == "Successful", "{shown}");
        Ok::<_, anyhow::Error>(())
    })
    .await;
    assert_eq!(case.api.delete(&path).await?.ok()?, json!({}));
    let gone = refusal(get(&case, json!({"repo": url})).await);
    assert_eq!(gone.0, Code::PermissionDenied);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_may_belong_to_a_project() -> anyhow::Result<()> {
    let case = Case::new("scoped").await?;
    case.project(json!({}))?;
    let (_git, repo) = private()?;
    let url = repo.url_https();
    // Declared for a project it is not tried, for it may not be reachable from here.
    create(&case, declared(&repo, "canary-wrong", json!({"project": "scoped"})), false).await?;
    create(&case, declared(&repo, "canary-right", json!({"project": "scoped"})), true).await?;
    create(&case, declared(&repo, "canary-right", json!({})), false).await.context("the same address for all")?;
    let found = get(&case, json!({"repo": url, "appProject": "scoped"})).await?;
    assert_eq!((&*found.project, status(&found)), ("scoped", ("Successful", "")));
    let (code, words) = refusal(get(&case, json!({"repo": url, "appProject": "other"})).await);
    assert_eq!(code, Code::NotFound, "{words}");
    assert_eq!(words, format!("repository not found for url {url:?} and project \"other\""));

    let member = case.account("p, scoped, repositories, *, scoped/*, allow").await?;
    let seen = eventually(PATIENCE, || async {
        let list = member.repositories().list_repositories(message::<RepoQuery>(json!({}))).await?.into_inner().items;
        anyhow::ensure!(!list.is_empty(), "nothing yet");
        Ok::<_, anyhow::Error>(list)
    })
    .await;
    assert_eq!(seen.iter().map(|r| &*r.project).collect::<Vec<_>>(), ["scoped"]);
    let delete = |project: &str| message::<RepoQuery>(json!({"repo": url, "appProject": project}));
    let (code, _) = refusal(member.repositories().delete_repository(delete("other")).await);
    assert!(matches!(code, Code::NotFound | Code::PermissionDenied), "{code:?}");
    member.repositories().delete_repository(delete("scoped")).await?;
    assert_eq!(get(&case, json!({"repo": url})).await?.project, "", "the one for all is still there");
    case.api.repositories().delete_repository(delete("")).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_of_a_template_are_used_below_its_address() -> anyhow::Result<()> {
    let case = Case::new("template").await?;
    let (git, repo) = private()?;
    let (url, below) = (repo.url_https(), format!("https://{}", git.https_host()));
    let bare = json!({"repo": url, "insecure": true});
    assert_eq!(refusal(create(&case, bare.clone(), false).await).0, Code::InvalidArgument);
    let creds = |password: &str| json!({"url": below, "username": "reader", "password": password});
    let add = async |password: &str, upsert: bool| {
        let request = message::<RepoCredsCreateRequest>(json!({"creds": creds(password), "upsert": upsert}));
        case.api.repo_credentials().create_repository_credentials(request).await.map(tonic::Response::into_inner)
    };
    let added = add("canary-right", false).await?;
    assert_eq!(added.url, below);
    assert!(!format!("{added:?}").contains("canary"));
    add("canary-right", false).await.context("the same again")?;
    let (code, words) = refusal(add("canary-other", false).await);
    assert_eq!(code, Code::InvalidArgument, "{words}");
    assert!(words.contains("use upsert flag to force update") && !words.contains("canary"), "{words}");
    add("canary-other", true).await?;
    let request = message::<RepoCredsUpdateRequest>(json!({"creds": creds("canary-right")}));
    case.api.repo_credentials().update_repository_credentials(request).await?;
    eventually(PATIENCE, || create(&case, bare.clone(), false)).await;
    let found = get(&case, json!({"repo": url})).await?;
    assert_eq!((status(&found).0, found.inherited_creds), ("Successful", true));
    let list = case.api.repo_credentials().list_repository_credentials(message::<RepoCredsQuery>(json!({}))).await?;
    let list = list.into_inner().items;
    assert!(list.iter().any(|c| c.url == below && c.username == "reader"), "{list:?}");
    assert!(!format!("{list:?}").contains("canary"));
    let shown = case.api.get("/api/v1/repocreds").await?.ok()?;
    assert!(shown["items"].as_array().is_some_and(|items| items.iter().any(|c| c["url"] == below)), "{shown}");
    let request = message::<RepoCredsDeleteRequest>(json!({"url": below}));
    case.api.repo_credentials().delete_repository_credentials(request).await?;
    eventually(PATIENCE, || async {
        let found = get(&case, json!({"repo": url, "forceRefresh": true})).await?;
        anyhow::ensure!(status(&found).0 == "Failed", "{found:?}");
        Ok::<_, anyhow::Error>(())
    })
    .await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_a_repository_is_told_to_those_who_make_applications() -> anyhow::Result<()> {
    let case = Case::new("contents").await?;
    case.project(json!({"sourceRepos": ["https://git.example.com/*"]}))?;
    let commit = case.repo.commit(&[
        ("app/map.yaml", &config_map("map", "x")),
        ("chart/Chart.yaml", "name: chart\nversion: 1.0.0\n"),
        ("chart/values.yaml", "a: 1\n"),
        ("overlay/kustomization.yaml", "images: [{name: x, newTag: v2}]\n"),
    ])?;
    case.repo.tag("v1", &commit)?;
    let url = case.repo.url_file();
    let refs = case.api.repositories().list_refs(message::<RepoQuery>(json!({"repo": url}))).await?.into_inner();
    assert_eq!((refs.branches, refs.tags), (vec!["main".to_owned()], vec!["v1".to_owned()]));
    let path = format!("/api/v1/repositories/{}", escaped(&url));
    assert_eq!(case.api.get(&format!("{path}/refs")).await?.ok()?, json!({"branches": ["main"], "tags": ["v1"]}));

    let apps = |project: &str| {
        message::<RepoAppsQuery>(json!({"repo": url, "revision": "HEAD", "appName": "new", "appProject": project}))
    };
    let found = case.api.repositories().list_apps(apps("default")).await?.into_inner().items;
    let found: Vec<_> = found.iter().map(|app| (&*app.path, &*app.r#type)).collect();
    assert_eq!(found, [("chart", "Helm"), ("overlay", "Kustomize")]);
    let (code, words) = refusal(case.api.repositories().list_apps(apps("contents")).await);
    assert_eq!(
        (code, words),
        (Code::PermissionDenied, format!("repository '{url}' not permitted in project 'contents'"))
    );

    let details = async |path: &str, app: &str| {
        let source = json!({"repoURL": url, "path": path, "targetRevision": "HEAD"});
        let query = message::<RepoAppDetailsQuery>(json!({"source": source, "appName": app, "appProject": "default"}));
        case.api.repositories().get_app_details(query).await.map(tonic::Response::into_inner)
    };
    let chart = details("chart", "new").await?;
    assert_eq!(chart.r#type, "Helm");
    assert_eq!(chart.helm.map(|helm| helm.value_files), Some(vec!["values.yaml".to_owned()]));
    assert_eq!(details("app", "new").await?.r#type, "Directory");
    let (code, words) = refusal(details("nowhere", "new").await);
    assert_eq!(code, Code::InvalidArgument, "{words}");
    assert!(words.ends_with("nowhere: app path does not exist"), "{words}");
    // In the name of an application that is there only for its own source.
    case.create(&case.app()).await?;
    assert_eq!(details("app", "contents").await?.r#type, "Directory");
    assert_eq!(refusal(details("chart", "contents").await).0, Code::PermissionDenied);
    let source = json!({"source": {"repoURL": url, "path": "chart"}, "appName": "new", "appProject": "default"});
    let reply = case.api.send(Method::POST, &format!("{path}/appdetails"), &source).await?.ok()?;
    assert_eq!(reply["type"], "Helm");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn repositories_to_write_to_are_there_only_with_the_hydrator() -> anyhow::Result<()> {
    let case = Case::new("unwritten").await?;
    let off = (Code::Unimplemented, "hydrator is disabled".to_owned());
    let api = case.api.repositories();
    let query = message::<RepoQuery>(json!({"repo": case.repo.url_file()}));
    assert_eq!(refusal(api.clone().list_write_repositories(query.clone()).await), off);
    assert_eq!(refusal(api.clone().get_write(query.clone()).await), off);
    assert_eq!(refusal(api.clone().delete_write_repository(query).await), off);
    let create = message::<RepoCreateRequest>(json!({"repo": {"repo": case.repo.url_file()}}));
    assert_eq!(refusal(api.clone().create_write_repository(create).await), off);
    let reply = case.api.get("/api/v1/write-repositories").await?;
    assert_eq!((reply.status, reply.refusal()), (501, (12, off.1)));
    Ok(())
}
