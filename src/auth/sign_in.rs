//! Signing in with a password, and how often that may be tried.
//!
//! One attempt goes like this: [`Limiter::admit`] says whether it may be made at
//! all and charges it as a failure at once, so that attempts made side by side or
//! given up halfway count too; [`verify`] compares the password (some 50 ms of CPU,
//! away from the event loop); [`Limiter::on_success`] or [`Limiter::withdraw`] takes
//! the charge back. Who was refused and who was wrong get the same answer,
//! [`SignInError::Invalid`], and both get it only after [`answer_after`], counted
//! from the start of the request, so that neither text nor time tells which accounts
//! exist or are locked.

mod failures;
mod limiter;
mod records;

use jiff::SignedDuration;

use crate::account::{Account, Accounts, Capability};
use crate::password;

pub use limiter::{Admission, Attempt, Limit, Limiter, Limits};

/// Longest name of a user, in bytes.
pub const MAX_NAME: usize = 32;

/// Nobody was signed in. The text is for the client, with the status
/// Unauthenticated (InvalidArgument for a name that is too long).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignInError {
    /// No name or no password.
    #[error("no credentials supplied")]
    NoCredentials,
    /// No user has such a long name.
    #[error("Username is too long ({MAX_NAME} bytes max)")]
    NameTooLong,
    /// No such user, not the password, or too many attempts.
    #[error("Invalid username or password")]
    Invalid,
    /// The password is right, but the account is disabled.
    #[error("Account {0} is disabled")]
    Disabled(String),
    /// The password is right, but the account is not for signing in.
    #[error("Account {0} does not have login capability")]
    NoLogin(String),
}

/// Whether name and password are such that they can be tried. Comes first, and what
/// it refuses is neither charged nor delayed.
///
/// # Errors
/// When one is missing or the name is too long.
pub fn check_form(name: &str, password: &str) -> Result<(), SignInError> {
    if name.is_empty() || password.is_empty() {
        return Err(SignInError::NoCredentials);
    }
    if name.len() > MAX_NAME {
        return Err(SignInError::NameTooLong);
    }
    Ok(())
}

/// The account whose name and password these are. Takes the time of one bcrypt
/// comparison whether the account exists or not.
///
/// # Errors
/// When they are not right, or the account may not sign in.
pub fn verify<'a>(accounts: &'a Accounts, name: &str, password: &str) -> Result<&'a Account, SignInError> {
    check_form(name, password)?;
    let Some(account) = accounts.get(name) else {
        password::verify_nobody(password);
        return Err(SignInError::Invalid);
    };
    if !password::verify(password, &account.password_hash) {
        return Err(SignInError::Invalid);
    }
    if !account.enabled {
        return Err(SignInError::Disabled(name.to_owned()));
    }
    if !account.has(Capability::Login) {
        return Err(SignInError::NoLogin(name.to_owned()));
    }
    Ok(account)
}

/// How long after the start of a request its answer is given: between 500 and 1000
/// milliseconds, chosen by random bits.
pub fn answer_after(random: u16) -> SignedDuration {
    SignedDuration::from_micros(500_000 + i64::from(random) * 500_000 / 65_536)
}
