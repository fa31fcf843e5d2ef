//! A value that cannot be printed, logged or serialised by accident.

use std::fmt;

/// Wraps a credential. Reading it takes an explicit [`Secret::expose`], which is
/// what a reviewer greps for.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret<T>(T);

// === impl Secret ===

impl<T> Secret<T> {
    /// Takes a credential out of sight.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The credential, for the one place that must send it.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

impl<T> From<T> for Secret<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}
