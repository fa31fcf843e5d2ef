//! What a mirror promises, against real servers: the `git` program, `git
//! http-backend` behind TLS, OpenSSH's `sshd`.
#![expect(clippy::unwrap_used, reason = "the servers and repositories of a test must come up, or it has failed")]

mod https_server;
mod killed;
mod local;
mod origin;
mod over_https;
mod over_ssh;
mod proxy;
mod reading;
mod ssh_server;
