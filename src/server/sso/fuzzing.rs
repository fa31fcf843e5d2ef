//! What browsers and providers say of a sign-in: the first line of an input is an
//! address to return to, the second a cookie and a token, the rest a document of a
//! provider.

use std::sync::LazyLock;

use argosy_auth::seal::SealingKey;
use argosy_auth::token::SigningKey;
use jiff::Timestamp;
use url::Url;

use super::addresses::returning;
use super::client;
use super::flow::PURPOSE;
use super::keys::{KeySet, algorithms};
use super::provider::Metadata;

static SEALING: LazyLock<SealingKey> =
    LazyLock::new(|| SealingKey::new(&SigningKey::new(b"key").expect("it is not empty"), PURPOSE));

pub(crate) fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let mut parts = text.splitn(3, '\n');
    let mut part = || parts.next().unwrap_or_default();
    let (address, token, document) = (part(), part(), part());
    back_to(address);
    assert!(SEALING.open(token).is_err(), "it was not sealed here");
    // What is not proven is only looked at, and gives no time beyond time.
    let claims = client::unproven(token);
    assert!(client::end_of(&claims).is_none_or(|end| end <= Timestamp::MAX));
    if let Ok(keys) = KeySet::read(document.as_bytes()) {
        let every = ["RS256", "RS512", "PS256", "ES256", "ES384", "EdDSA"].map(str::to_owned);
        assert!(keys.verify(token, &algorithms(&every)).is_err(), "nobody signed it");
    }
    let _ = serde_json::from_str::<Metadata>(document);
}

/// A browser is sent to nobody else's pages.
fn back_to(address: &str) {
    let server = || Url::parse("https://argo.example/argo").expect("an address");
    let Some(back) = returning(address, [server()]) else { return };
    let url = server().join(&back).expect("what is sent can be read");
    assert_eq!(url.origin(), server().origin(), "{address:?} leads away, by {back:?}");
    assert!(url.username().is_empty() && url.password().is_none());
    assert_eq!(returning(&back, [server()]).as_ref(), Some(&back), "{address:?}");
    assert!(back.parse::<http::HeaderValue>().is_ok(), "{back:?} is no header");
}
