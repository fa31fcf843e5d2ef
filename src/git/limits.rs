//! How long and how much one network operation may take, and the small runtime
//! that enforces it.

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::Error;

/// The bounds of one network operation.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Wall time for the whole operation.
    pub timeout: Duration,
    /// Ends the operation early, from any thread.
    pub cancel: CancellationToken,
    /// Bytes accepted from the remote.
    pub max_bytes: u64,
}

// === impl Limits ===

impl Limits {
    /// For listing refs: 15 s, as users of `ARGOCD_GIT_REQUEST_TIMEOUT` expect,
    /// and 256 MiB, about three million refs.
    pub fn list() -> Self {
        Self { timeout: Duration::from_secs(15), cancel: CancellationToken::new(), max_bytes: 256 << 20 }
    }

    /// For fetching: 10 minutes and 16 GiB, enough for the first fetch of the
    /// largest repositories in use.
    pub fn fetch() -> Self {
        Self { timeout: Duration::from_secs(600), cancel: CancellationToken::new(), max_bytes: 16 << 30 }
    }

    /// The same with another time limit.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The same, ended by `cancel`.
    pub fn with_cancel(mut self, cancel: CancellationToken) -> Self {
        self.cancel = cancel;
        self
    }

    /// Drives `work` on this thread until it ends, its time is over or it is
    /// cancelled; in the latter two cases it is dropped where it stands. The
    /// runtime lives as long as the call, so nothing outlives it but a look-up of
    /// a name, which cannot be ended and which nobody waits for.
    pub(crate) fn run<T>(
        &self,
        operation: &'static str,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Error::io("start the runtime for", Path::new(operation)))?;
        let ended = runtime.block_on(async {
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => Err(Error::Cancelled { operation }),
                () = tokio::time::sleep(self.timeout) => Err(Error::TimedOut { operation, limit: self.timeout }),
                result = work => result,
            }
        });
        runtime.shutdown_background();
        ended
    }
}
