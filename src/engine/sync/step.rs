//! The language between a pass and whoever executes it: what to do next, and
//! what came of it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::{OperationPhase, Task};

/// How dependents of a deleted object go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Propagation {
    /// Before the object itself.
    #[default]
    Foreground,
    /// After it.
    Background,
    /// Not at all.
    Orphan,
}

/// What to do next. Steps with tasks are answered task by task, the others with
/// nothing.
#[derive(Clone, Debug)]
pub enum Step {
    /// Write [`Pass::results`], phase Running and this message to the
    /// Application; go on only when that is done.
    Record {
        /// The operation's message.
        message: String,
    },
    /// Read discovery anew.
    Discover,
    /// Check each target without changing anything, in parallel.
    DryRun(Vec<Task>),
    /// Write the targets as their modes say, in parallel. Owes each the wait
    /// for a CRD to be established, and fresh discovery after one.
    Apply(Vec<Task>),
    /// Delete live objects that git no longer has, in parallel.
    Prune(Vec<Task>, Propagation),
    /// Delete hooks' objects, in parallel.
    DeleteHooks(Vec<Task>, Propagation),
    /// Remove our finalizer from hooks' objects, in parallel.
    ReleaseHooks(Vec<Task>),
    /// Read the objects from the server itself, not from a watch.
    Confirm(Vec<Task>),
    /// Let controllers of the destination react to the wave just applied.
    Pause(Duration),
    /// The pass is over, the operation runs on. Build a new pass when one of
    /// the application's objects or its own changes, or after the given time.
    Wait {
        /// The operation's message, to be written if another one stands. The
        /// results are recorded already.
        message: String,
        /// Look again after this long even if nothing was heard.
        recheck_after: Option<Duration>,
    },
    /// The operation is over. Write results, phase and message together.
    Finish {
        /// `Succeeded`, `Failed` or `Error`.
        phase: OperationPhase,
        /// The operation's message.
        message: String,
    },
}

/// What came of one task of a step.
#[derive(Clone, Debug)]
pub struct Answer {
    /// [`Task::id`].
    pub id: usize,
    /// What came of it.
    pub outcome: Outcome,
}

/// What can come of a task.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Applied, or found right by the dry run.
    Applied {
        /// The line kubectl would print.
        message: String,
        /// The object as the server returned it.
        live: Option<Arc<Value>>,
    },
    /// A create met this object.
    Exists(Arc<Value>),
    /// The deletion was accepted.
    Deleted {
        /// Whether the object is already gone.
        gone: bool,
    },
    /// The finalizer is off.
    Released,
    /// The object as read from the server.
    Found(Arc<Value>),
    /// There is no such object.
    Absent,
    /// It did not work, in words for the user.
    Failed(String),
}
