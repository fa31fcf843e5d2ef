//! Fetches that are killed leave nothing on the disk.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use argosy_git::{Credentials, Limits, Mirror, RepoUrl};

use crate::origin::{Origin, disk_usage, noise, update, wait_for};

const URL: &str = "ARGOSY_TEST_FETCH_URL";
const ROOT: &str = "ARGOSY_TEST_FETCH_ROOT";

/// Not a test of its own: the process that the next one kills.
#[test]
#[ignore = "run by the test below in a process of its own"]
fn a_process_that_fetches() {
    let url = RepoUrl::parse(&std::env::var(URL).unwrap()).unwrap();
    let mut mirror = Mirror::open(&PathBuf::from(std::env::var(ROOT).unwrap()), &url).unwrap();
    mirror.fetch(&Credentials::default(), &[], &Limits::fetch()).unwrap();
}

/// `ARGOSY_TEST_KILLS` sets how many fetches are killed.
#[test]
fn after_many_killed_fetches_the_disk_holds_little_more_than_a_clean_mirror() {
    let kills: usize = std::env::var("ARGOSY_TEST_KILLS").map_or(25, |text| text.parse().unwrap());
    let origin = Origin::new();
    origin.publish("big", noise(0, 4 << 20));
    let root = tempfile::tempdir().unwrap();
    // Opening creates the folders that are watched below.
    drop(Mirror::open(root.path(), &origin.url()).unwrap());
    let incoming = std::fs::read_dir(root.path()).unwrap().next().unwrap().unwrap().path().join("incoming");
    let mut midway = 0;
    let mut complete = false;
    for n in 0..kills {
        // Some fetches get through in between, or there would be but one state.
        if complete || n % (kills / 5).max(1) == 4 {
            update(&mut Mirror::open(root.path(), &origin.url()).unwrap());
            origin.publish("big", noise(n as u64 + 1, 4 << 20));
        }
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "killed::a_process_that_fetches", "--ignored"])
            .env(URL, origin.url().to_string())
            .env(ROOT, root.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let threshold = (n as u64 % 7) * (256 << 10) + 1;
        wait_for("the fetch", || {
            complete = child.try_wait().unwrap().is_some();
            complete || disk_usage(&incoming) >= threshold
        });
        child.kill().unwrap();
        child.wait().unwrap();
        midway += usize::from(disk_usage(&incoming) > 0);
    }
    assert!(midway > kills / 2, "only {midway} of {kills} were killed while a pack was on its way");
    let mut mirror = Mirror::open(root.path(), &origin.url()).unwrap();
    assert_eq!(disk_usage(&incoming), 0);
    update(&mut mirror);
    let clean = tempfile::tempdir().unwrap();
    update(&mut Mirror::open(clean.path(), &origin.url()).unwrap());
    let (used, needed) = (disk_usage(root.path()), disk_usage(clean.path()));
    println!("{midway} of {kills} killed midway; {used} bytes, {needed} in a clean mirror");
    assert!(used * 10 <= needed * 12, "{used} bytes after {kills} kills, {needed} in a clean mirror");
}
