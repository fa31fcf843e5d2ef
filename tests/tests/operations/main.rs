//! Operations from outside: what a sync, a prune, a retry or a deletion does to a
//! real cluster, and what the Application says of it. All tests share one control
//! plane and one controller; each has a namespace and an Application of its own.

mod approval;
mod case;
mod deletion;
mod farewell_failures;
mod hooks;
mod lifecycle;
mod options;
mod owners;
mod prune;
mod retries;
mod server_side_diff;
mod several_sources;
mod succession;
mod waves;
mod windows;
mod writes;
