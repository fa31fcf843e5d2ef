//! argosy-engine.

pub mod auto_sync;
pub mod backoff;
pub mod compare;
pub mod condition;
pub mod diff;
pub mod health;
pub mod hook;
pub mod mask;
pub mod merge;
pub mod normalize;
pub mod operation;
pub mod refresh;
pub mod schema;
pub mod sync;
pub mod target;
pub mod windows;
