//! Streams that end when their caller's authority does.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt as _, stream};
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tonic::Status;

use crate::caller::Caller;
use crate::shared::Shared;

/// A stream of answers; an error is the last of them.
pub(crate) type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// What ends by the clock, such as a token's life, is noticed after this long.
const LOOK: Duration = Duration::from_secs(1);

/// Passes a stream on as long as the caller's authority holds and `permitted`
/// says so; both are asked at every change of policies, accounts and revocations,
/// and once a second. The stream ends with the reason.
pub(super) fn guarded<T: Send + 'static>(
    shared: &Arc<Shared>,
    caller: &Caller,
    stream: Answers<T>,
    permitted: impl Fn(&Caller) -> Result<(), Status> + Send + 'static,
) -> Answers<T> {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let state = Open {
        shared: shared.clone(),
        caller: caller.clone(),
        changes: shared.authority.changes(),
        looks,
        stream: Some(stream),
        permitted,
    };
    Box::pin(stream::unfold(state, Open::next))
}

struct Open<T, P> {
    shared: Arc<Shared>,
    caller: Caller,
    changes: watch::Receiver<u64>,
    looks: Interval,
    /// Gone once the reason of the end was told.
    stream: Option<Answers<T>>,
    permitted: P,
}

// === impl Open ===

impl<T, P: Fn(&Caller) -> Result<(), Status>> Open<T, P> {
    async fn next(mut self) -> Option<(Result<T, Status>, Self)> {
        loop {
            let stream = self.stream.as_mut()?;
            tokio::select! {
                // Authority first: nothing is passed on that came after its end.
                biased;
                changed = self.changes.changed() => {
                    // Without a sender the replica is ending, and so does this.
                    changed.ok()?;
                }
                _ = self.looks.tick() => {}
                item = stream.next() => return Some((item?, self)),
            }
            let holds = self.shared.authority.still_holds(&self.caller);
            if let Err(status) = holds.and_then(|()| (self.permitted)(&self.caller)) {
                self.stream = None;
                return Some((Err(status), self));
            }
        }
    }
}
