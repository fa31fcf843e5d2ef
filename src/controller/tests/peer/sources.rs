//! Revisions, manifests and repositories.

use argosy_proto::peer::files_part::Part;
use argosy_proto::peer::{
    AppDetailsRequest, FilesHeader, FilesPart, ListAppsRequest, ManifestsRequest, PollRequest, RepositoryRequest,
    ResolveRequest, RevisionRequest,
};
use argosy_proto::v1alpha1::{ApplicationSource, Repository};
use argosy_tests::{App, AppState, GitServer, config_map};
use sha2::{Digest as _, Sha256};
use tonic::Code;

use crate::world::{PATIENCE, SECRET, application, world};

#[tokio::test(flavor = "multi_thread")]
async fn an_application_is_rendered_at_other_revisions() -> anyhow::Result<()> {
    let world = world().await;
    let namespace = world.plane.namespace("revisions").await?;
    let repo = world.git.repo("revisions")?;
    let first = repo.change("main").write("a.yaml", config_map("a", "first")).message("Begin\n\nSlowly.\n").commit()?;
    repo.annotated_tag("v1", &first)?;
    let second = repo.commit(&[("a.yaml", &config_map("a", "second")), ("s.yaml", SECRET)])?;
    let app = App::new("revisions").source(&repo.url_file(), ".", "main").into_namespace(&namespace);
    let client = world.plane.client().await?;
    app.apply(&client).await?;
    app.wait_for(&client, "compared", PATIENCE, |s: &AppState| s.revision() == second).await?;
    let mut peer = world.peer().await?;

    let at = |revisions: &[&str]| ManifestsRequest {
        application: Some(application("revisions")),
        revisions: revisions.iter().map(|r| (*r).to_owned()).collect(),
        ..ManifestsRequest::default()
    };
    let old = peer.manifests(at(&["v1"])).await?.into_inner().manifests;
    assert_eq!(old.len(), 1);
    assert!(old[0].contains("first") && old[0].contains("tracking-id"), "{}", old[0]);
    assert!(!old[0].contains("\"namespace\""), "the namespace is not forced");
    let new = peer.manifests(at(&[])).await?.into_inner().manifests.join("");
    assert!(new.contains("second") && new.contains("++++++++") && !new.contains("canary"), "{new}");
    let unknown = peer.manifests(at(&["nowhere"])).await.expect_err("there is no such revision");
    assert_eq!(unknown.code(), Code::InvalidArgument);
    assert!(unknown.message().contains("unable to resolve 'nowhere' to a commit SHA"), "{unknown}");
    // Asking for another revision must not change what the application follows.
    let third = repo.commit(&[("a.yaml", &config_map("a", "third"))])?;
    app.refresh(&client, "normal").await?;
    app.wait_for(&client, "at the third commit", PATIENCE, |s: &AppState| s.revision() == third).await?;

    let resolve = |revision: &str| ResolveRequest {
        application: Some(application("revisions")),
        revisions: vec![revision.to_owned()],
    };
    let resolved = peer.resolve_revisions(resolve("v1")).await?.into_inner().items;
    assert_eq!((resolved[0].revision.as_str(), &resolved[0].display), (&*first, &format!("v1 ({first})")));
    let own = peer.resolve_revisions(resolve("")).await?.into_inner().items;
    assert_eq!(own[0].display, format!("main ({third})"));
    let commit = peer.resolve_revisions(resolve(&second)).await?.into_inner().items;
    assert_eq!(commit[0].display, second);

    let metadata = |revision: &str| RevisionRequest {
        application: Some(application("revisions")),
        revision: revision.to_owned(),
        ..RevisionRequest::default()
    };
    for revision in [&first[..], &first[..8]] {
        let told = peer.revision_metadata(metadata(revision)).await?.into_inner();
        assert_eq!((told.message.as_str(), told.tags), ("Begin\n\nSlowly.", vec!["v1".to_owned()]));
        assert!(told.author.contains('<') && told.date.is_some(), "{}", told.author);
    }
    let branch = peer.revision_metadata(metadata("main")).await.expect_err("a branch is none");
    assert_eq!(branch.message(), "revision main must be resolved");
    Ok(())
}

fn packed(files: &[(&str, &str)]) -> anyhow::Result<Vec<u8>> {
    let packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut archive = tar::Builder::new(packer);
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, path, content.as_bytes())?;
    }
    Ok(archive.into_inner()?.finish()?)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_is_rendered_from_files_that_are_sent() -> anyhow::Result<()> {
    let world = world().await;
    world.deployed("local", &[("a.yaml", &config_map("a", "stored"))]).await?;
    let mut peer = world.peer().await?;
    let archive = packed(&[("a.yaml", &config_map("a", "brought")), ("s.yaml", SECRET)])?;
    let send = |checksum: String| {
        let header = FilesHeader { application: Some(application("local")), checksum };
        let mut parts = vec![FilesPart { part: Some(Part::Header(header)) }];
        parts.extend(archive.chunks(50).map(|c| FilesPart { part: Some(Part::Chunk(c.to_vec())) }));
        tokio_stream::iter(parts)
    };
    let sent = peer.manifests_of_files(send(format!("{:x}", Sha256::digest(&archive)))).await?.into_inner();
    let text = sent.manifests.join("");
    assert!(text.contains("brought") && !text.contains("stored") && !text.contains("canary"), "{text}");
    let refused = peer.manifests_of_files(send("0".to_owned())).await.expect_err("the checksum is wrong");
    assert_eq!(refused.code(), Code::InvalidArgument);
    Ok(())
}

fn about(url: &str) -> RepositoryRequest {
    let repository = Repository { repo: url.to_owned(), ..Repository::default() };
    RepositoryRequest { repository: Some(repository), ..RepositoryRequest::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_is_tried_without_telling_its_password() -> anyhow::Result<()> {
    let world = world().await;
    let git = GitServer::start()?;
    git.require_basic("reader", "canary-right");
    let repo = git.repo("private")?;
    repo.commit(&[("a.yaml", &config_map("a", "x"))])?;
    let mut peer = world.peer().await?;
    let mut request = about(&repo.url_https());
    let given = request.repository.as_mut().expect("a repository");
    (given.insecure, given.username, given.password) = (true, "reader".to_owned(), "canary-wrong".to_owned());
    let error = peer.test_repository(request.clone()).await.expect_err("the password is wrong");
    assert!(error.message().starts_with("error testing repository connectivity: authentication required"), "{error}");
    assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    request.repository.as_mut().expect("a repository").password = "canary-right".to_owned();
    peer.test_repository(request.clone()).await?;
    request.repository.as_mut().expect("a repository").r#type = "helm".to_owned();
    assert_eq!(peer.test_repository(request).await.expect_err("not yet").code(), Code::Unimplemented);

    // With credentials that are stored.
    let fields =
        [("url", &*repo.url_https()), ("username", "reader"), ("password", "canary-right"), ("insecure", "true")];
    world.plane.declare("repository", "private", &fields)?;
    argosy_tests::eventually(PATIENCE, || async {
        world.peer().await?.test_repository(about(&repo.url_https())).await.map_err(anyhow::Error::from)
    })
    .await;
    let mut bare = about(&repo.url_https());
    bare.as_given = true;
    assert!(peer.test_repository(bare).await.is_err(), "what is given has no password");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_tells_what_is_in_it() -> anyhow::Result<()> {
    let world = world().await;
    let repo = world.git.repo("contents")?;
    let commit = repo.commit(&[
        ("plain/a.yaml", &config_map("a", "x")),
        ("chart/Chart.yaml", "name: chart\nversion: 1.0.0\n"),
        ("chart/values.yaml", "a: 1\n"),
        ("overlay/kustomization.yaml", "images: [{name: x, newTag: v2}]\n"),
    ])?;
    repo.tag("v1", &commit)?;
    let mut peer = world.peer().await?;
    let refs = peer.list_refs(about(&repo.url_file())).await?.into_inner();
    assert_eq!((refs.branches, refs.tags), (vec!["main".to_owned()], vec!["v1".to_owned()]));
    let request = ListAppsRequest { url: repo.url_file(), revision: "HEAD".to_owned(), ..ListAppsRequest::default() };
    let apps = peer.list_apps(request).await?.into_inner().items;
    let apps: Vec<_> = apps.iter().map(|a| (a.path.as_str(), a.r#type.as_str())).collect();
    assert_eq!(apps, [("chart", "Helm"), ("overlay", "Kustomize")]);
    let details = |path: &str| AppDetailsRequest {
        source: Some(ApplicationSource {
            repo_url: repo.url_file(),
            path: path.to_owned(),
            ..ApplicationSource::default()
        }),
        ..AppDetailsRequest::default()
    };
    let chart = peer.app_details(details("chart")).await?.into_inner();
    assert_eq!(chart.helm.expect("a chart").value_files, ["values.yaml"]);
    assert_eq!(peer.app_details(details("plain")).await?.into_inner().r#type, "Directory");
    let missing = peer.app_details(details("nowhere")).await.expect_err("no such path");
    assert_eq!(missing.message(), "nowhere: app path does not exist");
    assert!(peer.app_details(details("../..")).await.is_err());

    repo.tag("v2", &commit)?;
    let mut fresh = about(&repo.url_file());
    fresh.force = true;
    assert_eq!(peer.list_refs(fresh).await?.into_inner().tags, ["v1", "v2"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_is_followed_at_once_when_it_is_told() -> anyhow::Result<()> {
    let world = world().await;
    world.deployed("pushed", &[("a.yaml", &config_map("a", "old"))]).await?;
    // The same repository, which the world's host gives out by its name alone.
    let url =
        world.kubectl(&["-n", "argocd", "get", "application", "pushed", "-o", "jsonpath={.spec.source.repoURL}"])?;
    let mut peer = world.peer().await?;
    let folder = url.trim_start_matches("file://").to_owned();
    let commit = git_commit(&folder, &config_map("a", "new"))?;
    let polled = peer.poll_repositories(PollRequest { urls: vec![url.clone(), url.to_uppercase()] }).await?;
    assert_eq!(polled.into_inner().matched, 1);
    let client = world.plane.client().await?;
    let app = App::new("pushed");
    app.wait_for(&client, "at the pushed commit", PATIENCE, |s: &AppState| s.revision() == commit).await?;
    let none = peer.poll_repositories(PollRequest { urls: vec!["https://nowhere.example/x".to_owned()] }).await?;
    assert_eq!(none.into_inner().matched, 0);
    Ok(())
}

/// Commits a file to a bare repository with git itself.
fn git_commit(folder: &str, content: &str) -> anyhow::Result<String> {
    let clone = argosy_tests::TempFolder::new("clone")?;
    let clone = clone.path().join("work");
    let work = clone.to_str().ok_or_else(|| anyhow::anyhow!("an odd folder"))?;
    let git = |args: &[&str]| -> anyhow::Result<String> {
        let output = std::process::Command::new("git").args(args).output()?;
        anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    git(&["clone", "-q", folder, work])?;
    std::fs::write(clone.join("a.yaml"), content)?;
    let who = ["-c", "user.name=t", "-c", "user.email=t@example.com"];
    git(&[&["-C", work], &who[..], &["commit", "-qam", "pushed"]].concat())?;
    git(&["-C", work, "push", "-q", "origin", "HEAD:main"])?;
    git(&["-C", work, "rev-parse", "HEAD"])
}
