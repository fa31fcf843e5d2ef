//! An API replica: gRPC, gRPC-web and REST on one port, sign-in, webhooks.
//!
//! Floor 3. State is the home cluster's ([`argosy_home`]); what only the owner of
//! an application, a repository or a cluster knows is asked of it through the peer
//! protocol. Nothing here survives a crash and nothing needs to.
//!
//! | module | owns |
//! | --- | --- |
//! | [`listener`] | the port: TLS, protocols told apart, draining |
//! | [`gateway`] | REST, made from the contract's table |
//! | `authentication`, `authority`, `api` | who asks, what they may, failed sign-ins; `api` is the actor |
//! | `permission` | the one policy question |
//! | [`index`] | applications in memory, for lists and watches |
//! | `services` | the contract's services |
//! | `peers` | the owners, and calls to them |
//! | `webhook`, `badge`, `auth_routes`, `sso` | what is no service: pushes, badges, single sign-on |
//! | `redact`, `audit` | what must not leave, and what must be told |
//!
//! Promises. A request is refused before it has an effect, with words that do not
//! tell what exists. Whoever loses a right loses it in streams that are open. No
//! credential leaves; values of Secrets are masked by their owners and again here.
//! Every wait is bounded, and an owner that is away costs its own questions only.

mod api;
mod audit;
mod auth_routes;
mod authentication;
mod authority;
mod badge;
mod boot;
mod caller;
mod deep_links;
mod difference;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod gateway;
mod grpc_metrics;
pub mod index;
pub mod listener;
mod options;
mod peers;
mod permission;
mod redact;
mod server;
mod services;
mod shared;
mod source;
mod sso;
mod status;
mod webhook;

pub use boot::prepare;
pub use options::{ServerOptions, VersionAnswer};
pub use server::{Error, Server, Surroundings};
pub use shared::Random;
pub use sso::dex_config;

/// The version whose API is spoken, as clients compare it.
pub const API_VERSION: &str = "v3.5.1";
