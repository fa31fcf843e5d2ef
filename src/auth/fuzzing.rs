//! What the fuzzer tries of this crate: each target takes an input and panics when a
//! promise about it is broken. Compiled only into tests, which replay the corpus, and
//! for `make fuzz`.

use argosy_fuzz_harness::Target;

use crate::rbac::fuzzing::{pattern, policy};
use crate::token::fuzzing as token;

/// The targets with their names.
pub const TARGETS: &[Target] =
    &[("claims", token::claims), ("pattern", pattern::run), ("policy", policy::run), ("token", token::run)];

#[cfg(test)]
#[test]
fn targets_hold_over_their_corpus_and_mutations_of_it() {
    argosy_fuzz_harness::replay(TARGETS, 1500);
}
