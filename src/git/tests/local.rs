//! Following a repository: what a mirror holds is what the remote has.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use argosy_git::{Credentials, Error, Fetched, Limits, Mirror, Observer, RepoUrl, Request};

use crate::origin::{Origin, disk_usage, resolved, update};

fn anonymous() -> Credentials {
    Credentials::default()
}

fn root() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn listing_knows_head_branches_and_both_kinds_of_tags() {
    let origin = Origin::new();
    let first = origin.git(&["rev-parse", "HEAD"]);
    origin.git(&["tag", "light-1.0.0"]);
    origin.git(&["tag", "-a", "v1.0.0", "-m", "annotated"]);
    let second = origin.commit("b", "b");
    origin.git(&["branch", "release/1.x"]);
    origin.git(&["tag", "-a", "v1.2.0", "-m", "annotated"]);
    origin.push();
    let root = root();
    let mirror = Mirror::open(root.path(), &origin.url()).unwrap();
    let refs = mirror.list_remote(&anonymous()).unwrap();
    assert_eq!(refs.head_target.as_deref(), Some("refs/heads/main"));
    assert_eq!(refs.head.unwrap().to_string(), second);
    for (revision, sha) in [
        ("", &second),
        ("HEAD", &second),
        ("main", &second),
        ("release/1.x", &second),
        ("light-1.0.0", &first),
        ("v1.0.0", &first),
        ("refs/tags/v1.0.0", &first),
        ("~1.0", &first),
        ("1.x", &second),
        (">=1.0.0 <1.2.0", &first),
        (&first, &first),
    ] {
        assert_eq!(&resolved(&mirror, &anonymous(), revision), sha, "{revision}");
    }
}

#[test]
fn fetching_brings_objects_once_and_is_skipped_when_they_are_here() {
    let origin = Origin::new();
    let root = root();
    let mut mirror = Mirror::open(root.path(), &origin.url()).unwrap();
    let sha = origin.publish("a/b.txt", "text");
    let fetched = mirror.fetch(&anonymous(), &[&sha], &Limits::fetch()).unwrap();
    assert!(fetched.bytes > 0 && fetched.refs_changed && !fetched.skipped);
    let objects = mirror.objects();
    assert_eq!(objects.snapshot(&sha).unwrap().read("a/b.txt", 10).unwrap(), b"text");
    assert_eq!(objects.complete(&sha[..7]).unwrap(), sha);
    assert!(matches!(objects.complete("0000000"), Err(Error::Unresolved { .. })));
    let again = mirror.fetch(&anonymous(), &[&sha], &Limits::fetch()).unwrap();
    assert_eq!(again, Fetched { skipped: true, bytes: 0, refs_changed: false });
    let unchanged = mirror.fetch(&anonymous(), &[], &Limits::fetch()).unwrap();
    assert_eq!(unchanged, Fetched::default());
    drop(mirror);
    let mirror = Mirror::open(root.path(), &origin.url()).unwrap();
    assert_eq!(mirror.refs().head.unwrap().to_string(), sha, "refs outlive the process");
}

#[test]
fn rewritten_history_deleted_refs_and_renamed_folders_are_followed() {
    let origin = Origin::new();
    origin.git(&["branch", "topic"]);
    origin.git(&["tag", "v1"]);
    origin.publish("a", "1");
    let root = root();
    let mut mirror = Mirror::open(root.path(), &origin.url()).unwrap();
    update(&mut mirror);
    origin.git(&["reset", "-q", "--hard", "HEAD~1"]);
    let rewritten = origin.commit("a", "rewritten");
    origin.git(&["push", "-q", "origin", ":topic", ":v1"]);
    origin.git(&["branch", "-D", "topic"]);
    origin.git(&["tag", "-d", "v1"]);
    // A name that is now a folder of names.
    origin.git(&["branch", "topic/inner"]);
    origin.push();
    update(&mut mirror);
    let refs = mirror.refs();
    assert_eq!(refs.head.unwrap().to_string(), rewritten);
    assert_eq!(refs.branches().map(|(name, _)| name).collect::<Vec<_>>(), ["main", "topic/inner"]);
    assert_eq!(refs.tags().count(), 0);
    assert_eq!(mirror.objects().snapshot(&rewritten).unwrap().read("a", 99).unwrap(), b"rewritten");
}

#[test]
fn a_repository_created_anew_under_the_same_url_is_followed() {
    let origin = Origin::new();
    let root = root();
    let mut mirror = Mirror::open(root.path(), &origin.url()).unwrap();
    update(&mut mirror);
    origin.recreate();
    let sha = origin.publish("other", "world");
    mirror.fetch(&anonymous(), &[&sha], &Limits::fetch()).unwrap();
    assert_eq!(mirror.objects().snapshot(&sha).unwrap().read("other", 99).unwrap(), b"world");
}

/// An origin, a commit of it that no ref leads to, and its head.
fn with_a_lost_commit() -> (Origin, String, String) {
    let origin = Origin::new();
    let lost = origin.publish("a", "lost");
    origin.git(&["reset", "-q", "--hard", "HEAD~1"]);
    let head = origin.publish("a", "kept");
    (origin, lost, head)
}

#[test]
fn a_commit_on_no_branch_is_fetched_by_its_id_and_an_unknown_one_is_a_clear_error() {
    let (origin, lost, head) = with_a_lost_commit();
    let root = root();
    let mut mirror = Mirror::open(root.path(), &origin.url()).unwrap();
    mirror.fetch(&anonymous(), &[&lost], &Limits::fetch()).unwrap();
    assert_eq!(mirror.objects().snapshot(&lost).unwrap().read("a", 99).unwrap(), b"lost");
    assert_eq!(mirror.objects().snapshot(&head).unwrap().read("a", 99).unwrap(), b"kept");
    let unknown = "1234567890123456789012345678901234567890";
    let newer = origin.publish("a", "newer");
    let error = mirror.fetch(&anonymous(), &[unknown], &Limits::fetch()).unwrap_err();
    assert!(matches!(&error, Error::CommitUnavailable { sha } if sha == unknown), "{error:?}");
    assert!(mirror.objects().contains(&newer).unwrap(), "the refs are up to date all the same");
    mirror.collect(&[&lost], &Limits::fetch()).unwrap();
    assert!(mirror.objects().contains(&lost).unwrap(), "what is still in use is kept");
    mirror.collect(&[], &Limits::fetch()).unwrap();
    assert!(!mirror.objects().contains(&lost).unwrap());
    assert_eq!(mirror.objects().snapshot(&newer).unwrap().read("a", 99).unwrap(), b"newer");
}

#[test]
fn a_commit_that_cannot_be_had_does_not_keep_others_from_coming() {
    let (origin, lost, head) = with_a_lost_commit();
    let root = root();
    let mut mirror = Mirror::open(root.path(), &origin.url()).unwrap();
    let unknown = ["0123456789012345678901234567890123456789", "1234567890123456789012345678901234567890"];
    let wanted = [unknown[0], "no-id", unknown[1], lost.as_str()];
    let (fetched, failures) = mirror.fetch_each(&anonymous(), &wanted, &Limits::fetch()).unwrap();
    assert!(fetched.refs_changed && fetched.bytes > 0);
    assert!(mirror.objects().contains(&lost).unwrap() && mirror.objects().contains(&head).unwrap());
    assert_eq!(failures.keys().collect::<Vec<_>>(), [unknown[0], unknown[1], "no-id"]);
    for id in unknown {
        assert!(matches!(&failures[id], Error::CommitUnavailable { sha } if sha == id), "{:?}", failures[id]);
    }
    assert!(matches!(failures["no-id"], Error::Unresolved { .. }));
    let folder = std::fs::read_dir(root.path()).unwrap().next().unwrap().unwrap().path();
    assert_eq!(std::fs::read_dir(folder.join("incoming")).unwrap().count(), 0);
}

#[test]
fn an_empty_repository_and_a_missing_one_are_told_apart() {
    let dir = root();
    let url = |name: &str| RepoUrl::parse(&format!("{}/{name}", dir.path().display())).unwrap();
    let made = std::process::Command::new("git").args(["init", "-q", "--bare"]).arg(dir.path().join("empty")).status();
    assert!(made.unwrap().success());
    let root = root();
    let mut mirror = Mirror::open(root.path(), &url("empty")).unwrap();
    update(&mut mirror);
    assert_eq!(mirror.list_remote(&anonymous()).unwrap().head, None);
    let missing = Mirror::open(root.path(), &url("missing")).unwrap();
    let error = missing.list_remote(&anonymous()).unwrap_err();
    assert!(error.to_string().starts_with("repository not found"), "{error}");
    let folder = dir.path().join("plain");
    std::fs::create_dir(folder).unwrap();
    let error = Mirror::open(root.path(), &url("plain")).unwrap().list_remote(&anonymous()).unwrap_err();
    assert!(matches!(error, Error::RepositoryNotFound { .. }), "{error:?}");
}

#[test]
fn one_owner_at_a_time() {
    let origin = Origin::new();
    let root = root();
    let first = Mirror::open(root.path(), &origin.url()).unwrap();
    assert!(matches!(Mirror::open(root.path(), &origin.url()), Err(Error::Locked { .. })));
    drop(first);
    Mirror::open(root.path(), &origin.url()).unwrap();
}

#[test]
fn a_damaged_mirror_is_set_aside_and_made_anew() {
    let origin = Origin::new();
    let sha = origin.publish("a", crate::origin::noise(1, 100_000));
    let root = root();
    let mut mirror = Mirror::open(root.path(), &origin.url()).unwrap();
    update(&mut mirror);
    drop(mirror);
    let folder = std::fs::read_dir(root.path()).unwrap().next().unwrap().unwrap().path();
    let packs = folder.join("mirror.git/objects/pack");
    let pack = std::fs::read_dir(&packs).unwrap().map(|e| e.unwrap().path());
    let pack = pack.into_iter().find(|path| path.extension().is_some_and(|e| e == "pack")).unwrap();
    let bytes = std::fs::read(&pack).unwrap();
    std::fs::remove_file(&pack).unwrap();
    std::fs::write(&pack, &bytes[..bytes.len() / 2]).unwrap();
    let mut mirror = Mirror::open(root.path(), &origin.url()).unwrap();
    assert!(!mirror.objects().contains(&sha).unwrap());
    assert!(folder.join("damaged.git").exists());
    update(&mut mirror);
    assert!(mirror.objects().contains(&sha).unwrap());
    assert!(!folder.join("damaged.git").exists(), "it is dropped when its successor is filled");
    // Damage that only reading finds: a byte in the middle of a pack.
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2] ^= 0xff;
    std::fs::remove_file(&pack).unwrap();
    std::fs::write(&pack, flipped).unwrap();
    mirror.objects().close_idle();
    let error = mirror.objects().snapshot(&sha).and_then(|s| s.read("a", 1 << 20)).unwrap_err();
    assert!(error.is_damage(), "{error:?}");
    mirror.recreate().unwrap();
    update(&mut mirror);
    assert_eq!(mirror.objects().snapshot(&sha).unwrap().read("a", 1 << 20).unwrap().len(), 100_000);
}

#[test]
fn packs_are_joined_while_readers_read() {
    let origin = Origin::new();
    let root = root();
    let mut mirror = Mirror::open(root.path(), &origin.url()).unwrap();
    update(&mut mirror);
    let objects = mirror.objects();
    let snapshot = objects.snapshot(&origin.git(&["rev-parse", "HEAD"])).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    assert_eq!(snapshot.read("README.md", 99).unwrap(), b"hello\n");
                }
            });
        }
        for n in 0..45 {
            let sha = origin.publish("counter", format!("{n}"));
            mirror.fetch(&anonymous(), &[&sha], &Limits::fetch()).unwrap();
            assert_eq!(objects.snapshot(&sha).unwrap().read("counter", 9).unwrap(), format!("{n}").as_bytes());
        }
        mirror.collect(&[], &Limits::fetch()).unwrap();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    let folder = std::fs::read_dir(root.path()).unwrap().next().unwrap().unwrap().path();
    assert_eq!(std::fs::read_dir(folder.join("mirror.git/objects/pack")).unwrap().count(), 2);
    assert_eq!(std::fs::read_dir(folder.join("incoming")).unwrap().count(), 0);
    assert!(disk_usage(&folder) < 200_000);
}

#[test]
fn a_fetch_can_be_cancelled_and_has_a_deadline() {
    let origin = Origin::new();
    origin.publish("a", "a");
    let root = root();
    let mut mirror = Mirror::open(root.path(), &origin.url()).unwrap();
    let cancelled = Limits::fetch();
    cancelled.cancel.cancel();
    assert!(matches!(mirror.fetch(&anonymous(), &[], &cancelled), Err(Error::Cancelled { .. })));
    let late = Limits::fetch().with_timeout(Duration::ZERO);
    assert!(matches!(mirror.fetch(&anonymous(), &[], &late), Err(Error::TimedOut { .. })));
    let small = Limits { max_bytes: 300, ..Limits::fetch() };
    assert!(matches!(mirror.fetch(&anonymous(), &[], &small), Err(Error::TooLarge { .. })));
    update(&mut mirror);
}

#[test]
fn every_request_is_observed() {
    #[derive(Default)]
    struct Seen(Mutex<Vec<String>>);
    impl Observer for Seen {
        fn on_request(&self, request: &Request<'_>) {
            let line = format!("{} {} {}", request.kind.as_str(), request.revision, request.failed);
            self.0.lock().unwrap().push(line);
        }
    }
    let origin = Origin::new();
    let sha = origin.git(&["rev-parse", "HEAD"]);
    let root = root();
    let seen = Arc::new(Seen::default());
    let mut mirror = Mirror::open(root.path(), &origin.url()).unwrap().with_observer(seen.clone());
    mirror.list_remote(&anonymous()).unwrap();
    mirror.fetch(&anonymous(), &[&sha], &Limits::fetch()).unwrap();
    mirror.fetch(&anonymous(), &[&sha], &Limits::fetch()).unwrap();
    std::fs::remove_dir_all(origin.bare()).unwrap();
    assert!(mirror.fetch(&anonymous(), &[], &Limits::fetch()).is_err());
    let expected = ["ls-remote  false".to_owned(), format!("fetch {sha} false"), "fetch  true".to_owned()];
    assert_eq!(*seen.0.lock().unwrap(), expected, "a skipped fetch is no request");
}
