//! Which control plane the tests run on.

use anyhow::bail;

/// The environment variable that chooses: `real` (when it is not set) or `sandbox`.
const VARIABLE: &str = "ARGOSY_TEST_CONTROL_PLANE";

/// What a control plane is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// etcd, kube-apiserver and the components beside them.
    Real,
    /// One process, `argosy sandbox`. Its controllers always run.
    Sandbox,
}

// === impl Kind ===

impl Kind {
    /// The one that the environment chooses.
    ///
    /// # Errors
    /// When it names none.
    pub fn chosen() -> anyhow::Result<Self> {
        match std::env::var(VARIABLE).as_deref() {
            Err(std::env::VarError::NotPresent) | Ok("" | "real") => Ok(Self::Real),
            Ok("sandbox") => Ok(Self::Sandbox),
            other => bail!("{VARIABLE} is {other:?}; it may be `real` or `sandbox`"),
        }
    }
}

/// Whether a test that is about the real components themselves is left out, since
/// the sandbox was chosen; says so with the reason.
///
/// # Panics
/// When the environment names no control plane.
#[expect(clippy::print_stderr, reason = "what a test leaves out is told beside its name")]
pub fn is_left_out_on_the_sandbox(reason: &str) -> bool {
    let kind = Kind::chosen().unwrap_or_else(|error| panic!("{error:#}"));
    if kind == Kind::Sandbox {
        eprintln!("left out on the sandbox: {reason}");
    }
    kind == Kind::Sandbox
}
