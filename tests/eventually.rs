//! Waiting for a level: ask again until it holds or the deadline passes.

use std::fmt::Display;
use std::panic::Location;
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How long a test waits for something that should happen within seconds,
/// generous because a test machine may be busy with other work.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Between two probes. Short enough not to be felt, long enough to leave the
/// processor to what is waited for.
const PAUSE: Duration = Duration::from_millis(50);

/// Probes until it answers `Ok`, and returns that. An `Err` means "not yet" and
/// says why.
///
/// # Panics
/// After the deadline, with the caller's place and the last reason.
#[track_caller]
pub fn eventually<T, E, P, F>(deadline: Duration, mut probe: P) -> impl Future<Output = T>
where
    E: Display,
    P: FnMut() -> F,
    F: Future<Output = Result<T, E>>,
{
    let caller = Location::caller();
    async move {
        match poll_until(deadline, &mut probe).await {
            Ok(value) => value,
            Err(reason) => panic!("{caller}: not within {deadline:?}: {reason:#}"),
        }
    }
}

/// The same for code that is no test.
///
/// # Errors
/// The last reason, after the deadline. A probe that hangs counts as not yet.
pub async fn poll_until<T, E, P, F>(deadline: Duration, mut probe: P) -> Result<T, String>
where
    E: Display,
    P: FnMut() -> F,
    F: Future<Output = Result<T, E>>,
{
    let end = Instant::now() + deadline;
    let mut last = "the first probe did not come back".to_owned();
    loop {
        match tokio::time::timeout_at(end, probe()).await {
            Err(_) => return Err(last),
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(reason)) => last = format!("{reason:#}"),
        }
        if Instant::now() + PAUSE > end {
            return Err(last);
        }
        sleep(PAUSE).await;
    }
}
