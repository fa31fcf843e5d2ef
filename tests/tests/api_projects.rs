//! Projects through the API: what is refused and in which words, what an update may
//! not take away, global projects, windows, and who is told to have done it.

use std::time::Duration;

use anyhow::{Context, ensure};
use argosy_proto::project::{ProjectCreateRequest, ProjectQuery, ProjectUpdateRequest, SyncWindowsQuery};
use argosy_proto::v1alpha1::AppProject;
use argosy_tests::{ApiClient, ApiWorld, App, Options, PATIENCE, eventually, refusal};
use reqwest::Method;
use serde_json::{Value, json};
use tonic::{Code, Status};

/// A change of the settings must be in force within this.
const SOON: Duration = Duration::from_secs(60);

fn project(name: &str, spec: Value) -> AppProject {
    serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec})).expect("a project in the contract's JSON")
}

async fn create(client: &ApiClient, name: &str, spec: Value, upsert: bool) -> Result<AppProject, Status> {
    let request = ProjectCreateRequest { project: Some(project(name, spec)), upsert };
    client.projects().create(request).await.map(tonic::Response::into_inner)
}

async fn update(client: &ApiClient, project: AppProject) -> Result<AppProject, Status> {
    let request = ProjectUpdateRequest { project: Some(project) };
    client.projects().update(request).await.map(tonic::Response::into_inner)
}

async fn get(client: &ApiClient, name: &str) -> anyhow::Result<AppProject> {
    Ok(client.projects().get(query(name)).await?.into_inner())
}

fn query(name: &str) -> ProjectQuery {
    ProjectQuery { name: name.to_owned() }
}

#[tokio::test(flavor = "multi_thread")]
async fn projects_keep_their_rules() -> anyhow::Result<()> {
    let world = ApiWorld::start(Options::default(), &[]).await?;
    let admin = world.admin().await?;
    creating(&admin).await?;
    refusing(&admin).await?;
    updating(&world, &admin).await?;
    deleting(&world, &admin).await?;
    handing_out(&world, &admin).await?;
    global_projects(&world, &admin).await?;
    windows(&admin).await?;
    events(&world, &admin).await
}

async fn creating(admin: &ApiClient) -> anyhow::Result<()> {
    let spec = json!({"description": "one", "roles": [{"name": "r", "policies": ["p,proj:made:r,applications,get,made/*,allow"]}]});
    let made = create(admin, "made", spec.clone(), false).await?;
    let roles = &made.spec.as_ref().context("a spec")?.roles;
    assert_eq!(roles[0].policies, ["p, proj:made:r, applications, get, made/*, allow"], "written as people read it");
    // The same once more is fine; something else takes an upsert.
    create(admin, "made", spec.clone(), false).await?;
    let mut other = spec;
    other["description"] = json!("two");
    let (code, words) = refusal(create(admin, "made", other.clone(), false).await);
    let expected =
        "existing project spec is different; use upsert flag to force update; difference in keys \"description\"";
    assert_eq!((code, &*words), (Code::InvalidArgument, expected));
    create(admin, "made", other, true).await?;
    let made = get(admin, "made").await?;
    assert_eq!(made.spec.context("a spec")?.description, "two");
    let names: Vec<_> = admin.get("/api/v1/projects").await?.ok()?["items"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|item| item["metadata"]["name"].clone())
        .collect();
    assert_eq!(names, ["default", "made"]);
    Ok(())
}

/// What a project must not be, on creation and on update.
async fn refusing(admin: &ApiClient) -> anyhow::Result<()> {
    create(admin, "bad", json!({}), false).await?;
    let role = |policy: &str| json!({"roles": [{"name": "r", "policies": [policy]}]});
    let window = |more: Value| {
        let mut window = json!({"kind": "allow", "schedule": "* * * * *", "duration": "1h", "applications": ["*"]});
        window.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        window
    };
    let twice = json!({"server": "https://a.example.com", "namespace": "n"});
    let form = "invalid policy rule 'p, proj:bad:r, applications, get, bad/*': must be of the form: 'p, sub, res, act, obj, eft'";
    for (spec, code, message) in [
        (json!({"destinations": [{"server": "*", "namespace": "!*"}]}), 3, "namespace has an invalid format, '!*'"),
        (json!({"destinations": [{"server": "!*", "namespace": "*"}]}), 3, "server has an invalid format, '!*'"),
        (json!({"destinations": [twice, twice]}), 3, "destination 'https://a.example.com/n' already added"),
        (json!({"sourceRepos": ["!*"]}), 3, "source repository has an invalid format, '!*'"),
        (json!({"sourceRepos": ["a", "a"]}), 3, "source repository 'a' already added"),
        (json!({"sourceNamespaces": ["a", "a"]}), 3, "source namespace 'a' already added"),
        (json!({"roles": [{"name": "r"}, {"name": "r"}]}), 6, "role 'r' already exists"),
        (json!({"roles": [{"name": "r", "groups": ["g", "g"]}]}), 6, "group 'g' already exists for role 'r'"),
        (role("p, proj:bad:r, applications, get, bad/*"), 3, form),
        (
            role("p, proj:other:r, applications, get, bad/*, allow"),
            3,
            "invalid policy rule 'p, proj:other:r, applications, get, bad/*, allow': policy subject must be: \
             'proj:bad:r', not 'proj:other:r'",
        ),
        (
            role("p, proj:bad:r, applications, get, other/*, allow"),
            3,
            "invalid policy rule 'p, proj:bad:r, applications, get, other/*, allow': object must be of form 'bad/*', \
             'bad[/<NAMESPACE>]/<APPNAME>' or 'bad/<APPNAME>', not 'other/*'",
        ),
        (
            json!({"destinationServiceAccounts": [{"server": "*", "namespace": "n", "defaultServiceAccount": "a/b"}]}),
            3,
            "defaultServiceAccount has an invalid format, 'a/b'",
        ),
        (
            json!({"syncWindows": [window(json!({"kind": "maybe"}))]}),
            2,
            "kind 'maybe' mismatch: can only be allow or deny",
        ),
        (
            json!({"syncWindows": [window(json!({"applications": []}))]}),
            11,
            "window 'allow':'* * * * *':'1h' requires one of application, cluster or namespace",
        ),
        (
            json!({"syncWindows": [window(json!({})), window(json!({}))]}),
            6,
            "sync window with kind 'allow', schedule '* * * * *', and duration '1h' already exists (duplicate detected)",
        ),
    ] {
        let created = refusal(create(admin, "bad", spec.clone(), true).await);
        assert_eq!(created, (Code::from(code), format!("error validating project: {message}")));
        let mut bad = get(admin, "bad").await?;
        bad.spec = project("bad", spec).spec;
        assert_eq!(refusal(update(admin, bad).await), (Code::from(code), message.to_owned()));
    }
    assert_eq!(get(admin, "bad").await?.spec, project("bad", json!({})).spec, "nothing of it was stored");
    assert_eq!(refusal(admin.projects().create(ProjectCreateRequest::default()).await).0, Code::InvalidArgument);
    Ok(())
}

async fn updating(world: &ApiWorld, admin: &ApiClient) -> anyhow::Result<()> {
    let open = json!({"sourceRepos": ["*"], "destinations": [{"server": "*", "namespace": "*"}]});
    create(admin, "used", open, false).await?;
    let client = world.plane.client().await?;
    for name in ["one", "two"] {
        App::new(name).project("used").source("https://git.example.com/a.git", ".", "HEAD").apply(&client).await?;
    }
    eventually(PATIENCE, || async {
        let known = admin.get("/api/v1/applications?projects=used").await?.ok()?;
        ensure!(known["items"].as_array().map_or(0, Vec::len) == 2, "{known}");
        Ok::<_, anyhow::Error>(())
    })
    .await;
    let mut used = get(admin, "used").await?;
    let spec = used.spec.as_mut().context("a spec")?;
    spec.source_repos = vec!["https://git.example.com/b.git".into()];
    spec.destinations[0].namespace = "elsewhere".into();
    let words = "as a result of project update 2 applications source became invalid and 2 applications destination became invalid";
    assert_eq!(refusal(update(admin, used).await), (Code::InvalidArgument, words.to_owned()));

    // What they do not use may go.
    let mut used = get(admin, "used").await?;
    let stale = used.clone();
    let spec = used.spec.as_mut().context("a spec")?;
    spec.source_repos = vec!["https://git.example.com/*".into()];
    spec.destinations[0].namespace = "default".into();
    update(admin, used).await?;
    let (code, words) = refusal(update(admin, stale).await);
    assert_eq!(code, Code::Aborted, "an older version is not written over a newer one: {words}");
    Ok(())
}

async fn deleting(world: &ApiWorld, admin: &ApiClient) -> anyhow::Result<()> {
    let reserved = refusal(admin.projects().delete(query("default")).await);
    assert_eq!(reserved, (Code::InvalidArgument, "name 'default' is reserved and cannot be deleted".to_owned()));
    let used = refusal(admin.projects().delete(query("used")).await);
    assert_eq!(used, (Code::InvalidArgument, "project is referenced by 2 applications".to_owned()));
    assert_eq!(refusal(admin.projects().delete(query("absent")).await).0, Code::NotFound);
    let client = world.plane.client().await?;
    for name in ["one", "two"] {
        App::new(name).delete(&client).await?;
    }
    eventually(PATIENCE, || async { admin.delete("/api/v1/projects/used").await?.ok() }).await;
    assert_eq!(refusal(admin.projects().get(query("used")).await).0, Code::NotFound);
    Ok(())
}

/// Who gives a project more clusters and repositories must be allowed to change those.
async fn handing_out(world: &ApiWorld, admin: &ApiClient) -> anyhow::Result<()> {
    create(admin, "given", json!({}), false).await?;
    let owner = world.account("owner", "login", "owner-password").await?;
    world.plane.set_config("argocd-rbac-cm", &[("policy.csv", "p, owner, projects, *, given, allow")])?;
    let given = eventually(SOON, || async { get(&owner, "given").await }).await;
    let with = |change: fn(&mut AppProject)| {
        let mut changed = given.clone();
        change(&mut changed);
        changed
    };
    let description = with(|p| p.spec.get_or_insert_default().description = "mine".into());
    let updated = update(&owner, description).await?;
    let version = updated.metadata.context("metadata")?.resource_version;
    for (what, mut changed) in [
        (
            "clusters, update, https://new.example.com",
            with(|p| {
                p.spec.get_or_insert_default().destinations.push(
                    serde_json::from_value(json!({"server": "https://new.example.com", "namespace": "n"}))
                        .expect("a destination"),
                );
            }),
        ),
        (
            "repositories, update, https://git.example.com/new",
            with(|p| {
                p.spec.get_or_insert_default().source_repos.push("https://git.example.com/new".into());
            }),
        ),
    ] {
        changed.metadata.get_or_insert_default().resource_version.clone_from(&version);
        let (code, words) = refusal(update(&owner, changed.clone()).await);
        assert_eq!(code, Code::PermissionDenied);
        assert!(words.starts_with(&format!("permission denied: {what}, sub: owner, iat: ")), "{words}");
    }
    let denied = refusal(create(&owner, "grabbed", json!({}), false).await);
    assert_eq!(denied.0, Code::PermissionDenied);
    Ok(())
}

async fn global_projects(world: &ApiWorld, admin: &ApiClient) -> anyhow::Result<()> {
    let deny = json!({"kind": "deny", "schedule": "* * * * *", "duration": "1h", "applications": ["*"]});
    create(
        admin,
        "rules",
        json!({"syncWindows": [deny], "namespaceResourceBlacklist": [{"group": "", "kind": "Secret"}]}),
        false,
    )
    .await?;
    let mut labelled = project("bound", json!({}));
    labelled.metadata.get_or_insert_default().labels.insert("team".into(), "a".into());
    admin.projects().create(ProjectCreateRequest { project: Some(labelled), upsert: false }).await?;
    let setting = "- labelSelector: {matchLabels: {team: a}}\n  projectName: rules\n";
    world.plane.set_config("argocd-cm", &[("globalProjects", setting)])?;
    eventually(SOON, || async {
        let global = admin.projects().get_global_projects(query("bound")).await?.into_inner().items;
        let names: Vec<_> = global.iter().filter_map(|p| Some(p.metadata.as_ref()?.name.as_str())).collect();
        ensure!(names == ["rules"], "{names:?}");
        Ok::<_, anyhow::Error>(())
    })
    .await;
    let detailed = admin.projects().get_detailed_project(query("bound")).await?.into_inner();
    assert_eq!(detailed.global_projects.len(), 1);
    assert!(admin.projects().get_global_projects(query("made")).await?.into_inner().items.is_empty());

    // The controller holds to it, too.
    let repo = world.git.repo("bound")?;
    repo.commit(&[("secret.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: hidden}\n")])?;
    let mut bound = get(admin, "bound").await?;
    let open = json!({"sourceRepos": ["*"], "destinations": [{"server": "*", "namespace": "*"}]});
    bound.spec = project("bound", open).spec;
    update(admin, bound).await?;
    let client = world.plane.client().await?;
    let app = App::new("bound").project("bound").source(&repo.url_file(), ".", "HEAD");
    app.apply(&client).await?;
    app.wait_for(&client, "compared", PATIENCE, |state| !state.sync_status().is_empty()).await?;
    let reply = admin.send(Method::POST, "/api/v1/applications/bound/sync", &json!({})).await?;
    assert_eq!(reply.refusal(), (7, "cannot sync: blocked by sync window".to_owned()));
    let state = admin.get("/api/v1/applications/bound/syncwindows").await?.ok()?;
    assert_eq!(state["canSync"], json!(null), "{state}");
    Ok(())
}

async fn windows(admin: &ApiClient) -> anyhow::Result<()> {
    let window = |kind: &str, schedule: &str| json!({"kind": kind, "schedule": schedule, "duration": "24h", "applications": ["*"]});
    // The first is open at every moment, the second is open on one day in a leap year.
    create(admin, "timed", json!({"syncWindows": [window("allow", "0 * * * *"), window("deny", "0 0 29 2 *")]}), false)
        .await?;
    let open = admin.projects().get_sync_windows_state(SyncWindowsQuery { name: "timed".into() }).await?.into_inner();
    let open: Vec<_> = open.windows.iter().map(|w| w.schedule.as_str()).collect();
    assert!(open.starts_with(&["0 * * * *"]), "{open:?}");
    Ok(())
}

async fn events(world: &ApiWorld, admin: &ApiClient) -> anyhow::Result<()> {
    let wanted = [
        "ResourceCreated: admin created project",
        "ResourceUpdated: admin updated project",
        "ResourceUpdated: owner updated project",
        "ResourceDeleted: admin deleted project",
    ];
    let lines = "jsonpath={range .items[*]}{.reason}: {.message}{'\\n'}{end}";
    eventually(PATIENCE, || async {
        let events = world.plane.kubectl_text(&["-n", "argocd", "get", "events", "-o", lines])?;
        let missing = wanted.iter().find(|wanted| !events.contains(*wanted));
        ensure!(missing.is_none(), "no {missing:?} in\n{events}");
        Ok::<_, anyhow::Error>(())
    })
    .await;
    let listed = admin.projects().list_events(query("given")).await?.into_inner();
    assert!(listed.items.iter().any(|event| event.message == "owner updated project"), "{listed:?}");
    Ok(())
}
