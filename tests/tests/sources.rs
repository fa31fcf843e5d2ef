//! Where manifests come from: ways into a repository, revisions, the options of
//! a directory, and how little the remote and other applications are bothered.

use std::time::{Duration, Instant};

use anyhow::ensure;
use argosy_tests::{App, AppState, GitServer, Options, PATIENCE, World, config_map, eventually};
use tokio::sync::OnceCell;

/// Seconds between two polls, with jitter off.
const POLL: u64 = 2;

/// The installation that tests share which do not mind each other's edits.
async fn world() -> &'static World {
    static WORLD: OnceCell<World> = OnceCell::const_new();
    WORLD.get_or_init(start).await
}

async fn start() -> World {
    let settings = [("timeout.reconciliation", "2s"), ("timeout.reconciliation.jitter", "0s")];
    World::start(Options::default(), &settings).await.unwrap_or_else(|error| panic!("no world: {error:#}"))
}

/// An application of its own namespace, made on the first sync.
fn app(name: &str, url: &str, path: &str, revision: &str) -> App {
    App::new(name).source(url, path, revision).into_namespace(name).prune().sync_option("CreateNamespace=true")
}

async fn wait_for_condition(app: &App, client: &kube::Client, kind: &str, text: &str) -> anyhow::Result<AppState> {
    let said = |s: &AppState| s.conditions().iter().any(|(k, m)| *k == kind && m.contains(text));
    app.wait_for(client, &format!("saying {kind}: {text}"), PATIENCE, said).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_told_and_mended_by_editing_the_secret() -> anyhow::Result<()> {
    let (world, git) = (world().await, GitServer::start()?);
    let client = world.plane.client().await?;
    let repo = git.repo("basic")?;
    repo.commit(&[("map.yaml", &config_map("basic", "one"))])?;
    git.require_basic("user", "right-canary-7351");
    let url = repo.url_https();
    let declare = |password: &str| {
        let fields =
            [("type", "git"), ("url", &*url), ("username", "user"), ("password", password), ("insecure", "true")];
        world.plane.declare("repository", "repo-basic", &fields)
    };
    declare("wrong-canary-7351")?;
    let app = app("basic", &url, ".", "HEAD");
    app.apply(&client).await?;
    let state = wait_for_condition(&app, &client, "ComparisonError", "authentication required").await?;
    assert_eq!(state.sync_status(), "Unknown");
    assert!(state.conditions()[0].1.starts_with("Failed to load target state: failed to generate manifest"));
    let before = Instant::now();
    declare("right-canary-7351")?;
    let state = app.wait_until_deployed(&client, PATIENCE).await?;
    assert!(before.elapsed() < Duration::from_secs(30), "it took {:?}", before.elapsed());
    assert_eq!(state.conditions(), []);
    assert!(!state.0.to_string().contains("canary-7351") && !world.argosy.log().contains("canary-7351"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_gives_credentials_and_the_certificates_map_gives_trust() -> anyhow::Result<()> {
    let (world, git) = (world().await, GitServer::start()?);
    let client = world.plane.client().await?;
    let repo = git.repo("team")?;
    repo.commit(&[("map.yaml", &config_map("template", "one"))])?;
    git.require_bearer("bearer-token");
    let prefix = format!("https://{}", git.https_host());
    world.plane.declare("repo-creds", "creds-template", &[("url", &prefix), ("bearerToken", "bearer-token")])?;
    let app = app("template", &repo.url_https(), ".", "HEAD");
    app.apply(&client).await?;
    wait_for_condition(&app, &client, "ComparisonError", "argocd-tls-certs-cm").await?;
    world.plane.set_config("argocd-tls-certs-cm", &[("127.0.0.1", git.authority_pem())])?;
    app.wait_until_deployed(&client, PATIENCE).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn ssh_wants_the_key_of_the_secret_and_a_known_host() -> anyhow::Result<()> {
    let (world, git) = (world().await, GitServer::start()?);
    let client = world.plane.client().await?;
    let repo = git.repo("ssh")?;
    repo.commit(&[("map.yaml", &config_map("ssh", "one"))])?;
    let (url, ssh) = (repo.url_ssh()?, git.ssh()?);
    let fields = [("type", "git"), ("url", &*url), ("sshPrivateKey", &ssh.private_key()?)];
    world.plane.declare("repository", "repo-ssh", &fields)?;
    let app = app("ssh", &url, ".", "main");
    app.apply(&client).await?;
    wait_for_condition(&app, &client, "ComparisonError", "argocd-ssh-known-hosts-cm").await?;
    world.plane.set_config("argocd-ssh-known-hosts-cm", &[("ssh_known_hosts", &ssh.known_hosts()?)])?;
    app.wait_until_deployed(&client, PATIENCE).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_name_a_revision_finds_it_and_a_new_tag_is_followed() -> anyhow::Result<()> {
    let world = world().await;
    let client = world.plane.client().await?;
    let repo = world.git.repo("revisions")?;
    let commit = |text: &str| repo.commit(&[("map.yaml", &config_map("revision", text))]);
    let (one, two, three) = (commit("one")?, commit("two")?, commit("three")?);
    repo.tag("v1.0.0", &one)?;
    repo.annotated_tag("v1.2.0", &two)?;
    repo.annotated_tag("release", &two)?;
    repo.tag("v2.0.0", &three)?;
    repo.branch("stable", &one)?;
    let url = repo.url_file();
    let expected = [
        ("branch", "stable", &one),
        ("head", "HEAD", &three),
        ("nothing", "", &three),
        ("full-ref", "refs/heads/stable", &one),
        ("light-tag", "v1.0.0", &one),
        ("annotated", "release", &two),
        ("full-sha", &*two, &two),
        ("short-sha", &two[..8], &two),
        ("constraint", "1.x", &two),
        ("range", ">=1.0.0 <1.1.0", &one),
    ];
    let apps: Vec<App> = expected.iter().map(|(name, revision, _)| app(name, &url, ".", revision)).collect();
    for app in &apps {
        app.apply(&client).await?;
    }
    let missing = app("missing-tag", &url, ".", "v9");
    missing.apply(&client).await?;
    for (app, (name, _, sha)) in apps.iter().zip(expected) {
        let state = app.wait_until_deployed(&client, PATIENCE).await?;
        assert_eq!(state.revision(), sha, "{name}");
    }
    let state =
        wait_for_condition(&missing, &client, "ComparisonError", "unable to resolve 'v9' to a commit SHA").await?;
    assert_eq!(state.sync_status(), "Unknown");

    // Nobody asks for a refresh: the poll finds both.
    let four = commit("four")?;
    repo.tag("v1.3.0", &four)?;
    repo.tag("v9", &two)?;
    let at = |sha: &str| {
        let sha = sha.to_owned();
        move |s: &AppState| s.is_deployed() && s.revision() == sha
    };
    let constraint = &apps[8];
    constraint.wait_for(&client, "at the new tag", PATIENCE, at(&four)).await?;
    missing.wait_for(&client, "at the tag that came", PATIENCE, at(&two)).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewritten_history_and_a_recreated_repository_are_followed() -> anyhow::Result<()> {
    let world = world().await;
    let client = world.plane.client().await?;
    let repo = world.git.repo("rewritten")?;
    repo.commit(&[("map.yaml", &config_map("rewritten", "one"))])?;
    let app = app("rewritten", &repo.url_file(), ".", "HEAD");
    app.apply(&client).await?;
    app.wait_until_deployed(&client, PATIENCE).await?;
    let second = repo.rewrite(&[("map.yaml", &config_map("rewritten", "two"))])?;
    app.wait_for(&client, "at the rewritten commit", PATIENCE, |s| s.is_deployed() && s.revision() == second).await?;
    repo.recreate()?;
    let third = repo.commit(&[("map.yaml", &config_map("rewritten", "three"))])?;
    app.wait_for(&client, "at the new history", PATIENCE, |s| s.is_deployed() && s.revision() == third).await?;
    assert_eq!(world.plane.config_map_text("rewritten", "rewritten").await?, "three");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn applications_share_one_poll_and_a_commit_concerns_only_those_it_touches() -> anyhow::Result<()> {
    // An edit of any credential wakes every application, and one whose comparison is
    // older than the two seconds set here then looks at the latest commit. The other
    // tests make such edits, so this one counts writes in an installation of its own.
    let (world, git) = (start().await, GitServer::start()?);
    let client = world.plane.client().await?;
    let repo = git.repo("shared")?;
    let names = ["share-a", "share-b", "share-c", "share-d", "share-e"];
    let files: Vec<(String, String)> =
        names.iter().map(|n| (format!("{n}/map.yaml"), config_map("shared", "one"))).collect();
    let first = repo.commit(&files.iter().map(|(p, c)| (&**p, &**c)).collect::<Vec<_>>())?;
    let url = repo.url_https();
    world.plane.declare("repository", "repo-shared", &[("url", &url), ("insecure", "true")])?;
    let apps: Vec<App> = names.iter().map(|name| app(name, &url, name, "HEAD")).collect();
    for app in &apps {
        app.apply(&client).await?;
    }
    let mut versions = Vec::new();
    for app in &apps {
        app.wait_until_deployed(&client, PATIENCE).await?;
    }
    for app in &apps {
        // A last event of its own resources may still be on its way.
        let state = app.get(&client).await?.expect("it is there");
        versions.push(state.text("/metadata/resourceVersion").to_owned());
    }
    let (started, before) = (Instant::now(), git.advertisements("shared"));
    let second = repo.commit(&[("share-c/map.yaml", &config_map("shared", "two"))])?;
    apps[2].wait_for(&client, "at the new commit", PATIENCE, |s| s.is_deployed() && s.revision() == second).await?;
    // Three more polls, so that there is something to count.
    eventually(PATIENCE, || async {
        let asked = git.advertisements("shared") - before;
        ensure!(asked >= 4, "the repository was asked {asked} times");
        Ok(())
    })
    .await;
    let (asked, polls) = (git.advertisements("shared") - before, started.elapsed().as_secs() / POLL);
    assert!(asked as u64 <= polls + 3, "asked {asked} times in {polls} polls");
    for (index, (app, version)) in apps.iter().zip(versions).enumerate() {
        let state = app.get(&client).await?.expect("it is there");
        if index != 2 {
            assert_eq!(state.text("/metadata/resourceVersion"), version, "{} was written", app.name());
            assert_eq!(state.revision(), first, "{}", app.name());
        }
    }
    let metrics = world.argosy.metrics().await?;
    let listed = metrics.sum("argocd_git_request_total", &[("repo", &url), ("request_type", "ls-remote")]);
    assert!(listed >= 3.0, "{listed} listings counted");
    assert!(metrics.sum("argocd_git_request_total", &[("repo", &url), ("request_type", "fetch")]) >= 2.0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_is_read_as_its_options_say() -> anyhow::Result<()> {
    let world = world().await;
    let client = world.plane.client().await?;
    let repo = world.git.repo("directories")?;
    let map = |name: &str| config_map(name, "x");
    let list = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: listed-one}\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: listed-two}\n";
    let json = r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "from-json"}}"#;
    repo.commit(&[
        ("deep/top.yaml", &map("top")),
        ("deep/below/sub.yml", &map("below")),
        ("deep/below/notes.txt", "no manifest"),
        ("globs/keep-one.yaml", &map("keep-one")),
        ("globs/keep-two.yaml", &map("keep-two")),
        ("globs/drop.yaml", &map("drop")),
        ("shapes/list.yaml", list),
        ("shapes/several.yaml", &format!("{}---\n{}---\n# nothing\n", map("multi-one"), map("multi-two"))),
        ("shapes/object.json", json),
        ("shapes/skipped.yaml", &format!("# +argocd:skip-file-rendering\n{}", map("skipped"))),
        ("overridden/here.yaml", &map("here")),
        ("overridden/below/there.yaml", &map("there")),
        ("overridden/.argocd-source.yaml", "directory:\n  recurse: true\n"),
    ])?;
    let url = repo.url_file();
    let recurse = app("dir-recurse", &url, "deep", "HEAD").set("/spec/source/directory/recurse", true.into());
    let flat = app("dir-flat", &url, "deep", "HEAD");
    let globs = app("dir-globs", &url, "globs", "HEAD")
        .set("/spec/source/directory/include", "keep-*.yaml".into())
        .set("/spec/source/directory/exclude", "{keep-two.yaml,other}".into());
    let shapes = app("dir-shapes", &url, "shapes", "HEAD");
    let overridden = app("dir-overridden", &url, "overridden", "HEAD");
    let expected: [(&App, &[&str]); 5] = [
        (&recurse, &["below", "top"]),
        (&flat, &["top"]),
        (&globs, &["keep-one"]),
        (&shapes, &["from-json", "listed-one", "listed-two", "multi-one", "multi-two"]),
        (&overridden, &["here", "there"]),
    ];
    for (app, _) in expected {
        app.apply(&client).await?;
    }
    for (app, names) in expected {
        let state = app.wait_until_deployed(&client, PATIENCE).await?;
        let mut found: Vec<_> = state.list("/status/resources").iter().filter_map(|r| r["name"].as_str()).collect();
        found.sort_unstable();
        assert_eq!(found, names, "{}", app.name());
        assert_eq!(state.text("/status/sourceType"), "Directory");
    }
    Ok(())
}
