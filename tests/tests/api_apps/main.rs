//! Applications, clusters and repositories through the API: what a client of Argo CD
//! asks, over gRPC and REST, and what it gets. All tests share one control plane, one
//! controller and one API replica; each has an application, a repository and a
//! namespace of its own.

mod actions;
mod case;
mod clusters;
mod creating;
mod deleting;
mod editing;
mod kubelet;
mod listing;
mod live;
mod logs;
mod manifests;
mod namespaces;
mod refreshing;
mod refusals;
mod repositories;
mod rollback;
mod syncing;
mod trees;
mod watching;
mod windows;
