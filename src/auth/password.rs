//! Passwords: hashing, verifying, which are good enough, and the first one.
//!
//! Hashes are bcrypt as Argo CD writes them. Verifying costs CPU time on purpose
//! (some 50 ms at the usual cost), so the caller does it away from its event loop.
//! It costs that much whatever the hash is, also when there is none, so that its
//! duration does not tell which accounts exist; and it never costs much more, for a
//! hash above [`MAX_COST`] is not tried at all.

use argosy_model::Secret;
use regex::{Regex, RegexBuilder};

/// The cost of our hashes: 2^10 rounds.
pub const COST: u32 = 10;
/// The highest cost of a hash that is tried: 2^15 rounds are some two seconds.
pub const MAX_COST: u32 = 15;
/// What a password has to match when `passwordPattern` says nothing else.
pub const DEFAULT_PATTERN: &str = "^.{8,32}$";

/// Length of a hash in bytes; what follows (often a newline) is not looked at.
const HASH_LENGTH: usize = 60;
/// Bcrypt looks at this many bytes of a password.
const MAX_PASSWORD: usize = 72;
/// Bound on the memory of a compiled pattern, in bytes.
const PATTERN_SIZE: usize = 1 << 20;
/// The hash of a text that is nobody's password.
const NOBODY: &str = "$2a$10$Lys.WcCYUjB/fuBK4tapveqyP7n.jjZ9GjuqEAgSMf8C6xHhRdRR.";

/// A password is not accepted as a new one.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// It has no characters.
    #[error("blank passwords are not allowed")]
    Blank,
    /// Bcrypt would ignore its end.
    #[error("password length exceeds {MAX_PASSWORD} bytes")]
    TooLong,
    /// It does not match the pattern.
    #[error("new password does not match the following expression: {0}")]
    Mismatch(String),
    /// The pattern is none.
    #[error("failed to compile password regex")]
    Pattern(#[source] regex::Error),
    /// No hash could be made.
    #[error("failed to hash password")]
    Hash(#[source] bcrypt::BcryptError),
}

/// A hash with which nobody can sign in. The text has nothing of the hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnusableHash {
    /// It is not a bcrypt hash.
    #[error("is not a bcrypt hash; nobody can sign in with it")]
    NotBcrypt,
    /// Verifying it would take too long.
    #[error("is a bcrypt hash of a cost above {MAX_COST}; nobody can sign in with it")]
    TooCostly,
}

/// What new passwords have to match.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    regex: Regex,
}

// === impl Pattern ===

impl Pattern {
    /// Compiles the value of `passwordPattern`; an empty one is the default.
    ///
    /// # Errors
    /// When it is not a regular expression, or too big a one.
    pub fn compile(text: &str) -> Result<Self, PasswordError> {
        let text = if text.is_empty() { DEFAULT_PATTERN } else { text };
        let regex = RegexBuilder::new(text).size_limit(PATTERN_SIZE).build().map_err(PasswordError::Pattern)?;
        Ok(Self { text: text.to_owned(), regex })
    }

    /// Whether the password is good enough.
    ///
    /// # Errors
    /// When it is not.
    pub fn check(&self, password: &str) -> Result<(), PasswordError> {
        if self.regex.is_match(password) { Ok(()) } else { Err(PasswordError::Mismatch(self.text.clone())) }
    }
}

/// Whether this is the password that was hashed. A blank one never is.
pub fn verify(password: &str, hash: &Secret<String>) -> bool {
    let (hash, usable) = match usable_part(hash.expose()) {
        Ok(hash) => (hash, true),
        Err(_) => (NOBODY, false),
    };
    bcrypt::verify(password, hash).is_ok_and(|same| same) && usable && !password.is_empty()
}

/// Spends the time that verifying takes, for a user who does not exist.
pub fn verify_nobody(password: &str) {
    verify(password, &Secret::default());
}

/// Hashes a new password. `salt` is 16 random bytes.
///
/// # Errors
/// When it is blank, or longer than bcrypt looks at.
pub fn hash(password: &str, salt: [u8; 16]) -> Result<Secret<String>, PasswordError> {
    if password.is_empty() {
        return Err(PasswordError::Blank);
    }
    if password.len() > MAX_PASSWORD {
        return Err(PasswordError::TooLong);
    }
    let parts = bcrypt::hash_with_salt(password, COST, salt).map_err(PasswordError::Hash)?;
    Ok(Secret::new(parts.format_for_version(bcrypt::Version::TwoA)))
}

/// Whether anybody can sign in with this hash.
///
/// # Errors
/// When nobody can.
pub fn check_hash(hash: &str) -> Result<(), UnusableHash> {
    usable_part(hash).map(|_| ())
}

/// The first password of the admin: 16 of 63 characters, made of 64 random bytes.
pub fn initial(random: &[u8; 64]) -> Secret<String> {
    const LETTERS: &[u8; 63] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-";
    let letter = |four: &[u8; 4]| {
        // Scaling 32 bits to 63 letters prefers none of them by more than 2^-26.
        let scaled = (u64::from(u32::from_be_bytes(*four)) * LETTERS.len() as u64) >> 32;
        char::from(LETTERS[usize::try_from(scaled).expect("less than 63")])
    };
    let (chunks, _) = random.as_chunks::<4>();
    Secret::new(chunks.iter().map(letter).collect())
}

fn usable_part(hash: &str) -> Result<&str, UnusableHash> {
    let hash = hash.get(..HASH_LENGTH).ok_or(UnusableHash::NotBcrypt)?;
    let parts: bcrypt::HashParts = hash.parse().map_err(|_| UnusableHash::NotBcrypt)?;
    if parts.get_cost() > MAX_COST { Err(UnusableHash::TooCostly) } else { Ok(hash) }
}
