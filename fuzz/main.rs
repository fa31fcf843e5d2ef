//! libFuzzer over the target that `FUZZ_TARGET` names; `make fuzz` builds and runs it.
//!
//! The targets stand beside the code they try (`fuzzing` of each crate) and exist only
//! where that is compiled for tests or with the feature `fuzzing`.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let wanted = std::env::var("FUZZ_TARGET").unwrap_or_default();
    let all = [argosy_auth::fuzzing::TARGETS, argosy_server::fuzzing::TARGETS, argosy_sandbox::fuzzing::TARGETS];
    let found = all.into_iter().flatten().find(|(name, _)| *name == wanted);
    found.unwrap_or_else(|| panic!("FUZZ_TARGET is {wanted:?}, which is no target")).1
});

fuzz_target!(|input: &[u8]| TARGET(input));
