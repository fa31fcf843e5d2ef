//! What makes a target cluster refuse an owner of an older epoch: what is wished
//! for, and what there is.

use std::fmt;
use std::str::FromStr;

/// Which fence an installation or a cluster wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FenceWish {
    /// [`FenceKind::Token`] where the cluster's identity may have it.
    #[default]
    Auto,
    /// None: the declared credential is worked with.
    None,
    /// [`FenceKind::Token`]; that it cannot be had is worth a warning.
    Token,
    /// [`FenceKind::Binding`], else [`FenceKind::Token`]; that it cannot be had is
    /// worth a warning.
    Binding,
}

/// Which fence stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FenceKind {
    /// The lease and its deadlines alone.
    Lease,
    /// A token bound to an object of the epoch's own.
    Token,
    /// A subject of the epoch's own, with bindings of its own.
    Binding,
}

// === impl FenceWish ===

impl FromStr for FenceWish {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim() {
            "auto" => Ok(Self::Auto),
            "none" => Ok(Self::None),
            "token" => Ok(Self::Token),
            "binding" => Ok(Self::Binding),
            other => Err(format!("{other:?} is none of auto, none, token and binding")),
        }
    }
}

// === impl FenceKind ===

impl FenceKind {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Lease, Self::Token, Self::Binding];

    /// Its name in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lease => "lease",
            Self::Token => "token",
            Self::Binding => "binding",
        }
    }
}

impl fmt::Display for FenceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
