//! The API as its clients see it: a [`ApiClient`] speaks gRPC, REST and gRPC-web
//! to one API replica over TLS, and an [`ApiWorld`] has everything that a client
//! can ask about.
//!
//! The only crate of the product used here is the contract's messages.

mod client;
mod reply;
mod web;
mod world;

pub use client::{ApiClient, Authorized, Token};
pub use reply::{ApiReply, refusal};
pub use web::WebReply;
pub use world::{ApiWorld, INITIAL_ADMIN_SECRET};
