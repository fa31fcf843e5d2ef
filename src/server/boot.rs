//! The first start of an installation.

use argosy_auth::password;
use argosy_home::{Home, Prepared, Result};
use jiff::Timestamp;

use crate::shared::Random;

/// Makes what an installation cannot be without: settings objects, the signing
/// key, a password for `admin`, the project `default`. What is there stays.
///
/// # Errors
/// When something can be neither read nor written.
pub async fn prepare(home: &Home, random: &Random, now: Timestamp) -> Result<Prepared> {
    let salted = random.clone();
    let hash = move |text: &str| {
        let mut salt = [0; 16];
        salted(&mut salt);
        let hash = password::hash(text, salt).expect("a first password is neither blank nor too long");
        hash.expose().clone()
    };
    home.prepare(&mut |bytes| random(bytes), now, hash).await
}
