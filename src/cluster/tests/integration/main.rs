//! What the crate promises, kept against a real kube-apiserver and etcd.
//!
//! The binaries are looked for in `$ARGOSY_TEST_BIN`, then `$ARGOSY_CACHE/tools/bin`,
//! then `~/.cache/argosy/tools/bin`.

mod apply;
mod closing;
mod cloud;
mod continuity;
mod discovery;
mod fence;
mod live;
mod support;
mod wanted;
