//! The wire: every message of the contract, generated from `proto/`.
//!
//! One set of types for both worlds. A type encodes to protobuf with the
//! contract's field numbers, and to JSON as Kubernetes clients write it (RFC 3339
//! times, inline raw JSON, numbers or texts, `omitempty`), so that a custom
//! resource, a gRPC reply and a REST reply are the same value.
//!
//! - [`v1alpha1`]: the custom resources and their parts.
//! - [`meta`]: Kubernetes' own metadata.
//! - [`resource`]: what the custom resources have in common, and read-modify-write
//!   that keeps fields these types do not know.
//! - [`crd`]: the custom resource definitions, derived from the same descriptors.

pub mod crd;
pub mod json;
pub mod resource;

#[expect(
    missing_docs,
    unreachable_pub,
    clippy::large_enum_variant,
    reason = "generated: the contract's tables are the documentation"
)]
mod packages {
    include!(concat!(env!("OUT_DIR"), "/packages.rs"));
}

/// What replicas of an installation ask each other.
pub mod peer {
    pub use super::packages::argosy::peer::v1::*;

    /// Metadata of a refusal: the address of the replica that is to be asked
    /// instead. Whoever refuses so has done nothing yet.
    pub const OWNER: &str = "argosy-owner";
}
pub use packages::github::com::argoproj::argo_cd::server::settings::oidc;
pub use packages::github::com::argoproj::argo_cd::v3::pkg::apis::application::v1alpha1;
pub use packages::k8s::io::api::core::v1 as core;
pub use packages::k8s::io::apiextensions_apiserver::pkg::apis::apiextensions::v1 as apiextensions;
pub use packages::k8s::io::apimachinery::pkg::apis::meta::v1 as meta;
pub use packages::k8s::io::apimachinery::pkg::runtime;
pub use packages::k8s::io::apimachinery::pkg::util::intstr;
pub use packages::{
    account, application, applicationset, certificate, cluster, events, gpgkey, notification, plugin, project,
    repocreds, repository, session, version,
};

/// The compiled `FileDescriptorSet` of the whole contract, for reflection and
/// for the tests that hold the types against the contract's tables.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
