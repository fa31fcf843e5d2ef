//! How replicas of one installation know each other: mutual TLS under an
//! authority of their own.
//!
//! The installation has one [`Authority`], a certificate and its key in PEM,
//! kept where all replicas can read it. Each process makes its own [`Identity`]
//! with it: a leaf certificate that is valid for a day. Both ends of a
//! connection demand a leaf of that authority and trust nothing else, so whoever
//! is connected is a replica of the same installation.
//!
//! Rotation needs no timer: a handshake that finds the leaf past half of its
//! life makes a new one first. Connections that stand are not touched.
//!
//! Lost in a crash: the leaf; the next process makes its own.

mod authority;
mod dial;
mod identity;

pub use authority::{Authority, Leaf, TlsError};
pub use dial::{DialError, dial};
pub use identity::Identity;

/// The name in every leaf. Replicas are reached under addresses that change;
/// what is verified is that they belong together.
pub const PEER_NAME: &str = "peer.argosy.internal";

/// Tells the time. The binary passes the system's, tests their own.
pub type Clock = std::sync::Arc<dyn Fn() -> jiff::Timestamp + Send + Sync>;
