//! The peer protocol against a real API server: a controller that runs, asked
//! over mutual TLS as API replicas ask it.

mod acting;
mod clusters;
mod kubelet;
mod live;
mod logs;
mod seen;
mod sources;
mod world;
