//! What the fuzzer tries of this crate: each target takes an input and panics when a
//! promise about it is broken. Compiled only into tests, which replay the corpus, and
//! for `make fuzz`.

use argosy_fuzz_harness::Target;

use crate::services::{certificate, gpgkey};
use crate::{deep_links, gateway, index, listener, sso, webhook};

/// The targets with their names.
pub const TARGETS: &[Target] = &[
    ("cookie", gateway::fuzzing::cookie),
    ("fields", gateway::fuzzing::fields),
    ("gpg_key", gpgkey::fuzzing::run),
    ("grpc_web", listener::fuzzing::run),
    ("label_selector", index::fuzzing::run),
    ("link", deep_links::fuzzing::run),
    ("known_host", certificate::fuzzing::run),
    ("rest", gateway::fuzzing::rest),
    ("single_sign_on", sso::fuzzing::run),
    ("webhook", webhook::fuzzing::run),
];

#[cfg(test)]
#[test]
fn targets_hold_over_their_corpus_and_mutations_of_it() {
    argosy_fuzz_harness::replay(TARGETS, 500);
}
