//! Reading commits: folders, files, links, history.

use std::os::unix::fs::symlink;

use argosy_git::{EntryKind, Error, Mirror, Snapshot};

use crate::origin::{Origin, update};

struct Reading {
    origin: Origin,
    _root: tempfile::TempDir,
    mirror: Mirror,
}

fn reading(fill: impl FnOnce(&Origin)) -> (Reading, Snapshot) {
    let origin = Origin::new();
    fill(&origin);
    let sha = origin.publish("end", "end");
    let root = tempfile::tempdir().unwrap();
    let mut mirror = Mirror::open(root.path(), &origin.url()).unwrap();
    update(&mut mirror);
    let snapshot = mirror.objects().snapshot(&sha).unwrap();
    (Reading { origin, _root: root, mirror }, snapshot)
}

fn link(origin: &Origin, path: &str, target: &str) {
    let path = origin.work().join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    symlink(target, path).unwrap();
}

#[test]
fn listings_tell_kind_and_size() {
    let (_r, snapshot) = reading(|origin| {
        origin.write("app/deploy.yaml", "kind: Deployment\n");
        origin.write("app/sub/run.sh", "#!/bin/sh\n");
        origin.git(&["add", "-A"]);
        origin.git(&["update-index", "--chmod=+x", "app/sub/run.sh"]);
        origin.git(&["commit", "-qm", "x"]);
        origin.git(&["checkout", "-q", "."]);
        link(origin, "app/link", "deploy.yaml");
        let sub = "160000,1234567890123456789012345678901234567890,app/vendored";
        origin.git(&["update-index", "--add", "--cacheinfo", sub]);
        origin.git(&["commit", "-qm", "submodule"]);
        std::fs::create_dir_all(origin.work().join("app/vendored")).unwrap();
    });
    let shown = |path, recursive| -> Vec<(String, EntryKind, u64)> {
        snapshot.list(path, recursive).unwrap().into_iter().map(|e| (e.path, e.kind, e.size)).collect()
    };
    let expected = [
        ("deploy.yaml", EntryKind::File, 17),
        ("link", EntryKind::Symlink, 11),
        ("sub", EntryKind::Tree, 0),
        ("sub/run.sh", EntryKind::Executable, 10),
        ("vendored", EntryKind::Submodule, 0),
    ]
    .map(|(path, kind, size)| (path.to_owned(), kind, size));
    assert_eq!(shown("app", true), expected);
    assert_eq!(shown("./app/", false).len(), 4);
    assert!(shown("", true).iter().any(|(path, ..)| path == "app/sub/run.sh"));
    assert!(matches!(snapshot.list("nowhere", false), Err(Error::PathNotFound { .. })));
    assert!(matches!(snapshot.list("README.md", false), Err(Error::WrongKind { .. })));
}

#[test]
fn files_are_read_up_to_a_limit() {
    let (_r, snapshot) = reading(|origin| origin.write("dir/file", "0123456789"));
    assert_eq!(snapshot.read("dir/file", 10).unwrap(), b"0123456789");
    assert!(matches!(snapshot.read("dir/file", 9), Err(Error::TooLarge { limit: 9, .. })));
    assert!(matches!(snapshot.read("dir", 9), Err(Error::WrongKind { .. })));
    assert!(matches!(snapshot.read("dir/none", 9), Err(Error::PathNotFound { .. })));
    assert!(matches!(snapshot.read("dir/file/x", 9), Err(Error::PathNotFound { .. })));
    assert!(matches!(snapshot.read("/etc/passwd", 9), Err(Error::InvalidPath { .. })));
    assert!(matches!(snapshot.read("../x", 9), Err(Error::InvalidPath { .. })));
    assert_eq!(snapshot.tree_id("nowhere").unwrap(), None);
    let entry = snapshot.entry("dir/file").unwrap().unwrap();
    assert_eq!(snapshot.read_object(entry.oid, "dir/file", 10).unwrap(), b"0123456789");
}

#[test]
fn links_are_followed_inside_the_tree() {
    let (_r, snapshot) = reading(|origin| {
        origin.write("base/values.yaml", "a: 1\n");
        link(origin, "apps/one/values.yaml", "../../base/values.yaml");
        link(origin, "apps/two", "one");
        link(origin, "apps/root", "../.");
    });
    assert_eq!(snapshot.read("apps/one/values.yaml", 99).unwrap(), b"a: 1\n");
    assert_eq!(snapshot.read("apps/two/values.yaml", 99).unwrap(), b"a: 1\n");
    assert_eq!(snapshot.read("apps/root/base/values.yaml", 99).unwrap(), b"a: 1\n");
    assert_eq!(snapshot.list("apps/two", false).unwrap()[0].path, "values.yaml");
    assert_eq!(snapshot.tree_id("apps/two").unwrap(), snapshot.tree_id("apps/one").unwrap());
    assert_eq!(snapshot.entry("apps/two").unwrap().unwrap().kind, EntryKind::Symlink);
    assert_eq!(snapshot.resolve("apps/two/values.yaml").unwrap().unwrap().path, "base/values.yaml");
    snapshot.check_links().unwrap();
}

#[test]
fn links_never_lead_out_of_the_tree() {
    let targets = ["/etc/passwd", "../../../etc/passwd", "../..", "/", "../app/../../x"];
    for target in targets {
        let (_r, snapshot) = reading(|origin| link(origin, "app/escape", target));
        let expected = "repository contains out-of-bounds symlinks. file: app/escape";
        assert_eq!(snapshot.check_links().unwrap_err().to_string(), expected, "{target}");
        for error in [
            snapshot.read("app/escape", 99).unwrap_err(),
            snapshot.read("app/escape/shadow", 99).unwrap_err(),
            snapshot.list("app/escape", true).unwrap_err(),
            snapshot.tree_id("app/escape").unwrap_err(),
        ] {
            assert_eq!(error.to_string(), expected, "{target}");
        }
    }
}

#[test]
fn a_link_that_leads_through_another_one_out_of_the_tree_is_caught() {
    let (_r, snapshot) = reading(|origin| {
        // By its text `deep/hop` stays inside; through `deep/up` it does not.
        link(origin, "deep/up", "..");
        link(origin, "deep/hop", "up/../secret");
    });
    assert!(matches!(snapshot.read("deep/hop", 99), Err(Error::OutOfBoundsLink { .. })));
}

#[test]
fn links_that_never_end_are_an_error() {
    let (_r, snapshot) = reading(|origin| {
        link(origin, "a", "b");
        link(origin, "b", "a");
    });
    assert!(matches!(snapshot.read("a", 99), Err(Error::LinkLoop { .. })));
}

#[test]
fn tree_ids_change_only_with_their_content() {
    let (mut r, before) = reading(|origin| {
        origin.write("one/x", "1");
        origin.write("two/x", "2");
    });
    let sha = r.origin.publish("two/x", "3");
    update(&mut r.mirror);
    let after = r.mirror.objects().snapshot(&sha).unwrap();
    assert_eq!(before.tree_id("one").unwrap(), after.tree_id("one").unwrap());
    assert_ne!(before.tree_id("two").unwrap(), after.tree_id("two").unwrap());
    let changed = r.mirror.objects().changed_paths(&before.commit().to_string(), &sha).unwrap();
    assert_eq!(changed, ["two/x"]);
}

#[test]
fn renames_and_deletions_name_both_paths() {
    let (mut r, before) = reading(|origin| origin.write("old/name", "same content\n"));
    r.origin.git(&["mv", "old", "new"]);
    let sha = r.origin.publish("new/more", "x");
    update(&mut r.mirror);
    let changed = r.mirror.objects().changed_paths(&before.commit().to_string(), &sha).unwrap();
    assert_eq!(changed, ["new/more", "new/name", "old/name"]);
}

#[test]
fn a_commit_tells_author_date_message_and_tags() {
    let (mut r, snapshot) = reading(|_| {});
    r.origin.git(&["tag", "v1.0.0"]);
    r.origin.git(&["tag", "-a", "release", "-m", "annotated"]);
    r.origin.push();
    update(&mut r.mirror);
    let sha = snapshot.commit().to_string();
    let metadata = r.mirror.objects().commit_metadata(&sha).unwrap();
    assert_eq!(metadata.author, "Ada <ada@example.com>");
    assert_eq!(metadata.message, "change end\n");
    assert_eq!(metadata.tags, ["release", "v1.0.0"]);
    assert_eq!(metadata.date.to_string(), r.origin.git(&["show", "-s", "--format=%at", &sha]));
    let none = "1234567890123456789012345678901234567890";
    assert!(matches!(r.mirror.objects().commit_metadata(none), Err(Error::CommitUnavailable { .. })));
    assert!(matches!(r.mirror.objects().snapshot(none), Err(Error::CommitUnavailable { .. })));
}

/// Prints how long the common operations take: run with `--ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn measure_a_repository_of_ten_thousand_files() {
    let begin = std::time::Instant::now();
    let lap = |what: &str, since: std::time::Instant| println!("{what}: {:?}", since.elapsed());
    let origin = Origin::new();
    for n in 0..10_000 {
        origin.write(&format!("apps/{}/{n}.yaml", n / 100), format!("kind: ConfigMap\nmetadata: {{name: c{n}}}\n"));
    }
    let sha = origin.publish("end", "end");
    lap("origin", begin);
    let root = tempfile::tempdir().unwrap();
    let mut mirror = Mirror::open(root.path(), &origin.url()).unwrap();
    let begin = std::time::Instant::now();
    update(&mut mirror);
    lap("first fetch", begin);
    let begin = std::time::Instant::now();
    mirror.list_remote(&argosy_git::Credentials::default()).unwrap();
    lap("list", begin);
    let snapshot = mirror.objects().snapshot(&sha).unwrap();
    for round in ["cold", "warm"] {
        let begin = std::time::Instant::now();
        assert_eq!(snapshot.list("", true).unwrap().len(), 10_000 + 103);
        lap(&format!("list all, {round}"), begin);
        let begin = std::time::Instant::now();
        for n in 700..800 {
            snapshot.read(&format!("apps/7/{n}.yaml"), 1 << 20).unwrap();
        }
        lap(&format!("read 100 files, {round}"), begin);
    }
    let begin = std::time::Instant::now();
    mirror.collect(&[], &argosy_git::Limits::fetch()).unwrap();
    lap("collect", begin);
}
