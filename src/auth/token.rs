//! Tokens that this installation signs: login sessions, API keys of accounts and
//! tokens of project roles.
//!
//! A token is looked at in two steps. [`verify`] says that we signed it and that
//! it is valid now; what it names may be gone all the same. [`Verified::authorise`]
//! holds it against the accounts, the projects and the revocations of this moment
//! and says who is asking. The second step is cheap, so a stream that stays open
//! asks it again and again, and loses its authority when its owner does.
//!
//! Exactly one algorithm is accepted (HS256), never one that the token chooses.
//! Which issuer a token claims, [`peek_issuer`] tells without believing a word.

mod authorise;
mod claims;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod key;
mod verify;

pub use authorise::{Authority, RENEW_BEFORE, renewal, renewal_due};
pub use claims::{Claims, ISSUER, Subject};
pub use key::{EmptyKey, SigningKey};
pub(crate) use verify::whole_seconds;
pub use verify::{Issuer, MAX_FOREIGN_LENGTH, MAX_LENGTH, TokenError, Verified, issue, peek_issuer, verify};
