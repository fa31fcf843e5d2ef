//! The Git host of the tests is a real one: the real git clones from it in every
//! way, and it fails as it is told to.
#![expect(clippy::unwrap_used, reason = "in the tests' own functions an unwrap is an assertion too")]

use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::ensure;
use argosy_tests::git_server::Service;
use argosy_tests::{Failure, GitServer, TempFolder, eventually};

/// The real git, cut off from the person's own settings.
fn git(folder: &TempFolder, server: &GitServer) -> Command {
    let authority = folder.write("authority.pem", server.authority_pem()).unwrap();
    let mut command = Command::new("git");
    command
        .current_dir(folder.path())
        .env("HOME", folder.path())
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_SSL_CAINFO", authority);
    command
}

fn succeeded(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn clone(folder: &TempFolder, server: &GitServer, url: &str, into: &str) -> String {
    succeeded(&git(folder, server).args(["clone", "--quiet", url, into]).output().unwrap());
    std::fs::read_to_string(folder.join(into).join("deep/file.yaml")).unwrap()
}

#[test]
fn the_same_repository_is_cloned_as_files_over_https_and_over_ssh() {
    let server = GitServer::start().unwrap();
    let folder = TempFolder::new("clones").unwrap();
    let repo = server.repo("plain").unwrap();
    repo.commit(&[("deep/file.yaml", "a: 1\n"), ("other", "")]).unwrap();

    assert_eq!(clone(&folder, &server, &repo.url_file(), "file"), "a: 1\n");
    assert_eq!(clone(&folder, &server, &repo.url_https(), "https"), "a: 1\n");
    assert_eq!(server.advertisements("plain"), 1);
    assert!(server.requests().iter().any(|r| r.service == Service::UploadPack && r.status == 200));

    let url = repo.url_ssh().unwrap();
    let ssh = server.ssh().unwrap();
    let hosts = folder.write("known_hosts", ssh.known_hosts().unwrap()).unwrap();
    let key = ssh.private_key_path();
    let program = format!(
        "ssh -F none -i {} -o IdentitiesOnly=yes -o StrictHostKeyChecking=yes -o UserKnownHostsFile={}",
        key.display(),
        hosts.display()
    );
    let cloned = git(&folder, &server).env("GIT_SSH_COMMAND", program).args(["clone", "--quiet", &url, "ssh"]).output();
    let cloned = cloned.unwrap();
    assert!(cloned.status.success(), "{}\n{}", String::from_utf8_lossy(&cloned.stderr), ssh.log());
    assert_eq!(ssh.commands().len(), 1, "{:?}", ssh.commands());
}

#[test]
fn https_asks_for_credentials_when_told_to() {
    let server = GitServer::start().unwrap();
    let folder = TempFolder::new("credentials").unwrap();
    let repo = server.repo("private").unwrap();
    repo.commit(&[("deep/file.yaml", "secret: true\n")]).unwrap();
    server.require_basic("robot", "p@ss");

    let refused = git(&folder, &server).args(["clone", &repo.url_https(), "refused"]).output().unwrap();
    assert!(!refused.status.success());
    assert_eq!(server.advertisements("private"), 0, "a refused request is no advertisement");

    let url = repo.url_https().replace("https://", "https://robot:p%40ss@");
    assert_eq!(clone(&folder, &server, &url, "allowed"), "secret: true\n");

    server.require_bearer("token");
    let header = ["-c", "http.extraHeader=Authorization: Bearer token"];
    let listed = git(&folder, &server).args(header).args(["ls-remote", &repo.url_https(), "main"]).output().unwrap();
    assert!(succeeded(&listed).starts_with(&repo.tip("main").unwrap()));
}

#[test]
fn failures_are_as_ordered_and_end_when_healed() {
    let server = GitServer::start().unwrap();
    let folder = TempFolder::new("failures").unwrap();
    let repo = server.repo("flaky").unwrap();
    repo.change("main").write("deep/file.yaml", "x".repeat(100_000)).commit().unwrap();
    let list = || git(&folder, &server).args(["ls-remote", &repo.url_https()]).output().unwrap();

    server.fail(Failure::Status(503));
    assert!(String::from_utf8_lossy(&list().stderr).contains("503"));
    server.fail(Failure::CutAfter(20));
    assert!(!list().status.success());

    server.fail(Failure::Hang);
    let before = server.requests().len();
    let mut waiting = git(&folder, &server);
    waiting.args(["ls-remote", &repo.url_https(), "main"]).stdout(Stdio::piped());
    let waiting = waiting.spawn().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(eventually(Duration::from_secs(20), || async {
        ensure!(server.requests().len() > before, "the request has not come");
        Ok(())
    }));
    server.heal();
    assert!(succeeded(&waiting.wait_with_output().unwrap()).starts_with(&repo.tip("main").unwrap()));
}

#[test]
fn history_can_be_branched_tagged_rewritten_and_begun_anew() {
    let server = GitServer::start().unwrap();
    let folder = TempFolder::new("history").unwrap();
    let repo = server.repo("history").unwrap();
    let first = repo.commit(&[("a", "1"), ("b/c", "2")]).unwrap();
    let change = repo.change("feature").remove("a").executable("run", "#!/bin/sh\n").link("b/link", "../run");
    let feature = change.message("more").commit().unwrap();
    repo.tag("v1", &first).unwrap();
    let tag_object = repo.annotated_tag("v2", &feature).unwrap();
    let second = repo.commit(&[("a", "2")]).unwrap();
    let rewritten = repo.rewrite(&[("a", "3")]).unwrap();

    let list = succeeded(&git(&folder, &server).args(["ls-remote", &repo.url_file()]).output().unwrap());
    let lines: Vec<_> = list.lines().map(|l| l.replace('\t', " ")).collect();
    for expected in [
        format!("{rewritten} HEAD"),
        format!("{rewritten} refs/heads/main"),
        format!("{feature} refs/heads/feature"),
        format!("{first} refs/tags/v1"),
        format!("{tag_object} refs/tags/v2"),
        format!("{feature} refs/tags/v2^{{}}"),
    ] {
        assert!(lines.contains(&expected), "{expected} is not in {list}");
    }
    assert!(!list.contains(&second), "the replaced commit is still a tip");

    let clone = ["clone", "--quiet", "--branch=feature", &repo.url_file(), "work"];
    succeeded(&git(&folder, &server).args(clone).output().unwrap());
    assert!(!folder.join("work/a").exists());
    assert_eq!(std::fs::read_link(folder.join("work/b/link")).unwrap().to_str(), Some("../run"));

    repo.branch("main", &first).unwrap();
    assert_eq!(repo.tip("main").unwrap(), first);
    repo.delete_branch("feature").unwrap();
    repo.recreate().unwrap();
    assert!(repo.tip("main").is_err());
    let anew = repo.commit(&[("a", "1"), ("b/c", "2")]).unwrap();
    assert_ne!(anew, first, "a history of its own");
    repo.delete().unwrap();
    let absent = git(&folder, &server).args(["ls-remote", &repo.url_https()]).output().unwrap();
    assert!(!absent.status.success());
}
