//! What the fuzzer tries of this crate: each target takes an input and panics when a
//! promise about it is broken. Compiled only into tests, which replay the corpus, and
//! for `make fuzz`.

use argosy_fuzz_harness::Target;

use crate::{fields, kinds, serve};

/// The targets with their names.
pub const TARGETS: &[Target] = &[
    ("builtin_kind", kinds::fuzzing::builtin),
    ("managed_fields", fields::fuzzing::managed),
    ("merge", fields::fuzzing::merge),
    ("protobuf", kinds::fuzzing::protobuf),
    ("sandbox_api", serve::fuzzing::api),
    ("selection", serve::fuzzing::selection),
    ("structural", kinds::fuzzing::structural),
];

#[cfg(test)]
#[test]
fn targets_hold_over_their_corpus_and_mutations_of_it() {
    argosy_fuzz_harness::replay(TARGETS, 300);
}
