//! What `make run` does for a person, to its first deployment.

use std::process::Command;

#[test]
fn the_sample_application_is_deployed_and_everything_is_cleaned_up() {
    let output = Command::new(env!("CARGO_BIN_EXE_run")).arg("--once").output().expect("starting the run program");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    for expected in [
        "Deployment/guestbook-frontend            Synced       Healthy",
        "is deployed: Synced and Healthy.",
        "Everything that was started here has been stopped.",
    ] {
        assert!(text.contains(expected), "{expected:?} is not in\n{text}");
    }
}
