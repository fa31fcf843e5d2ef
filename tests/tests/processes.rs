//! What a test starts ends with it, even when the test is killed.
#![expect(clippy::unwrap_used, reason = "in the tests' own functions an unwrap is an assertion too")]

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::ensure;
use argosy_tests::process::Process;
use argosy_tests::{TempFolder, eventually};

/// Says to this very test that it is to be the one that gets killed.
const VICTIM: &str = "ARGOSY_TEST_VICTIM";

fn runs(pid: &str) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    // One that nobody has waited for yet is gone all the same.
    !status.is_empty() && !status.contains("State:\tZ")
}

#[tokio::test]
async fn a_killed_test_leaves_no_process_and_no_folder() {
    if std::env::var_os(VICTIM).is_some() {
        return be_the_victim();
    }
    let folder = TempFolder::new("victim-note").unwrap();
    let note = folder.join("note");
    let mut victim = Command::new(std::env::current_exe().unwrap());
    victim.args(["--exact", "a_killed_test_leaves_no_process_and_no_folder"]);
    let mut victim = victim.env(VICTIM, &note).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let written = eventually(Duration::from_secs(20), || async {
        let text = std::fs::read_to_string(&note)?;
        ensure!(text.ends_with('\n'), "half written");
        Ok(text)
    });
    let written = written.await;
    let (pid, left) = written.trim_end().split_once(' ').unwrap();
    assert!(runs(pid));

    victim.kill().unwrap();
    victim.wait().unwrap();
    eventually(Duration::from_secs(20), || async {
        ensure!(!runs(pid), "process {pid} still runs");
        ensure!(!std::path::Path::new(left).exists(), "{left} is still there");
        Ok(())
    })
    .await;
}

fn be_the_victim() {
    let folder = TempFolder::new("victim").unwrap();
    let mut long = Command::new("sleep");
    long.arg("1000");
    let process = Process::start("long", long, &folder.join("log")).unwrap();
    let note = std::env::var(VICTIM).unwrap();
    std::fs::write(note, format!("{} {}\n", process.pid(), folder.path().display())).unwrap();
    loop {
        std::thread::park();
    }
}

#[test]
fn a_process_that_ends_is_reported_with_its_last_words() {
    let folder = TempFolder::new("words").unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "echo one; echo two >&2; exit 3"]);
    let mut process = Process::start("talker", command, &folder.join("log")).unwrap();
    let error = loop {
        if let Err(error) = process.check_running() {
            break error.to_string();
        }
        std::thread::yield_now();
    };
    assert!(error.contains("talker ended (exit status: 3)"), "{error}");
    assert!(error.ends_with("one\ntwo"), "{error}");
}

#[test]
fn a_process_that_does_not_stop_is_killed_with_its_children() {
    let folder = TempFolder::new("stubborn").unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' TERM; sleep 1000 & echo $!; wait"]);
    let mut process = Process::start("stubborn", command, &folder.join("log")).unwrap();
    let child = loop {
        if let Some(pid) = process.log().lines().next() {
            break pid.to_owned();
        }
        std::thread::yield_now();
    };
    assert_eq!(process.stop(Duration::from_millis(100)).signal(), Some(9));
    while runs(&child) {
        std::thread::yield_now();
    }
}
