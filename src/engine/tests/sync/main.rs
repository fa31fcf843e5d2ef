//! The sync engine, run against a cluster made of maps.
//!
//! `world` is the cluster, its controllers and an executor that does what it is
//! told. The rest is one file per promise.

mod crash;
mod deletion;
mod hooks;
mod modes;
mod order;
mod outcome;
mod prune;
mod terminate;
mod types;
mod world;
