//! The world that Argosy is tested in, made of real parts: a Kubernetes control
//! plane ([`ControlPlane`]), etcd of several members ([`Etcd`]), Git over files,
//! https and ssh ([`GitServer`]), and the built `argosy` program as a process
//! ([`Argosy`]).
//!
//! Everything listens on free ports of 127.0.0.1, keeps its files in a
//! [`TempFolder`] and ends when its value is dropped; should the test process
//! die without dropping, the [`watchdog`] ends and removes what it left. Tests
//! wait for levels with [`eventually`], never for time.
//!
//! What is tested is seen from outside. The only crate of the product used here is
//! the contract's messages, for the clients of the API ([`ApiClient`]).
//!
//! Environment: `ARGOSY_KEEP=1` keeps the temporary folders with their logs;
//! `ARGOSY_TEST_CONTROL_PLANE=sandbox` puts the product's own sandbox in place of
//! the Kubernetes components; `ARGOSY_BIN` names the program to test (default:
//! beside the test program); `ARGOSY_CACHE` and `KUBEBUILDER_ASSETS` as in
//! `tests/tools/build`.

pub mod api;
pub mod api_proxy;
pub mod application;
pub mod argosy;
pub mod certificates;
pub mod control_plane;
pub mod etcd;
mod eventually;
pub mod git_server;
pub mod installation;
pub mod metrics;
pub mod openid;
mod ports;
pub mod process;
pub mod tools;
pub mod watchdog;
pub mod world;

pub use api::{ApiClient, ApiReply, ApiWorld, refusal};
pub use api_proxy::{ApiFault, ApiProxy};
pub use application::{App, AppState};
pub use argosy::Argosy;
pub use control_plane::{ControlPlane, Kind, Options, is_left_out_on_the_sandbox, shared};
pub use etcd::Etcd;
pub use eventually::{PATIENCE, eventually, poll_until};
pub use git_server::{Failure, GitServer, Repo};
pub use metrics::Metrics;
pub use watchdog::TempFolder;
pub use world::{World, config_map};
