//! Synchronisation as a pure state machine.
//!
//! A sync operation is a chain of **passes**. A [`Pass`] is built from what was
//! last written to the Application ([`SyncInput::recorded`]) and from what lives
//! in the cluster, says step by step what to do ([`Step`]) and is told what came
//! of it ([`Answer`]), until it waits or finishes. Whoever executes the steps
//! has no choice in them, and keeps nothing: when a pass waits, or is dropped at
//! any step because the process died, the next one is built anew.
//!
//! What that needs, and how it is had:
//!
//! - What cannot be undone comes after what remembers it: [`Step::Record`] asks
//!   for the results to be written before a finished hook's finalizer goes,
//!   before a finished hook is deleted, and before each wait and pause.
//! - A hook carries the run that made it ([`crate::hook::ANNOTATION_RUN`]) and
//!   is made by a plain create, which a server grants once. A hook found with
//!   this run's mark and no result is adopted; one with a result is left alone.
//! - Everything else is applied, and applying twice is applying once.
//!
//! Order: phase, wave, kind, name ([`order`]). One wave at a time; a wave's
//! prunes, then hooks in the way, then batches of one kind after another.

pub mod deletion;
pub mod deletion_hooks;
mod draft;
mod failure;
mod input;
pub mod kind_order;
mod mode;
mod opening;
mod order;
mod pass;
mod result;
mod settle;
mod step;
mod task;
mod termination;
mod waiting;
mod wave;

pub use deletion::{DeletionInput, DeletionPlan, plan_deletion};
pub use draft::hook_keys;
pub use input::{Destination, NamespaceRequest, Pair, Selected, Served, SyncInput};
pub use mode::ApplyMode;
pub use pass::Pass;
pub use result::{OperationPhase, ResourceResult, ResultCode};
pub use step::{Answer, Outcome, Propagation, Step};
pub use task::Task;
