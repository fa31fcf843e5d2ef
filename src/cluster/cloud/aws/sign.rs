//! Signature version 4 in the query of a URL, pure.

use argosy_model::Secret;
use aws_lc_rs::hmac;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use sha2::{Digest as _, Sha256};

use super::super::http::encode;
use super::keys::Keys;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// Whom a signed question goes to.
pub(super) struct Place<'a> {
    /// Scheme and host.
    pub(super) base: &'a str,
    pub(super) host: &'a str,
    pub(super) region: &'a str,
    pub(super) service: &'a str,
}

/// The URL of a GET request with its signature, good for `life` seconds from `now`.
/// `headers`, named in lower case, must be sent with it.
pub(super) fn presign(
    keys: &Keys,
    place: &Place<'_>,
    query: &[(&str, &str)],
    headers: &[(&str, &str)],
    life: u64,
    now: Timestamp,
) -> String {
    let time = now.to_zoned(TimeZone::UTC);
    let (date, moment) = (time.strftime("%Y%m%d").to_string(), time.strftime("%Y%m%dT%H%M%SZ").to_string());
    let scope = format!("{date}/{}/{}/aws4_request", place.region, place.service);
    let mut headers: Vec<(&str, &str)> = headers.iter().copied().chain([("host", place.host)]).collect();
    headers.sort_unstable();
    let signed = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let (credential, life) = (format!("{}/{scope}", keys.id), life.to_string());
    let mut query: Vec<(String, String)> = query
        .iter()
        .copied()
        .chain([("X-Amz-Algorithm", ALGORITHM), ("X-Amz-Credential", &credential), ("X-Amz-Date", &moment)])
        .chain([("X-Amz-Expires", &*life), ("X-Amz-SignedHeaders", &signed)])
        .chain(keys.session.as_ref().map(|token| ("X-Amz-Security-Token", token.expose().as_str())))
        .map(|(name, value)| (encode(name), encode(value)))
        .collect();
    query.sort();
    let query = query.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&");
    let lines = headers.iter().fold(String::new(), |all, (name, value)| all + name + ":" + value.trim() + "\n");
    let canonical = format!("GET\n/\n{query}\n{lines}\n{signed}\n{}", hash(""));
    let statement = format!("{ALGORITHM}\n{moment}\n{scope}\n{}", hash(&canonical));
    let signature = sign(&keys.secret, &date, place.region, place.service, &statement);
    format!("{}/?{query}&X-Amz-Signature={signature}", place.base)
}

fn sign(secret: &Secret<String>, date: &str, region: &str, service: &str, statement: &str) -> String {
    let first = format!("AWS4{}", secret.expose()).into_bytes();
    let key = [date, region, service, "aws4_request"].iter().fold(first, |key, part| mac(&key, part));
    hex(&mac(&key, statement))
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

fn hash(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The worked example of the provider's documentation.
    #[test]
    fn the_documented_example_has_the_documented_signature() {
        let secret = Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned());
        let statement = "AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/us-east-1/iam/aws4_request\n\
                         f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59";
        assert_eq!(
            sign(&secret, "20150830", "us-east-1", "iam", statement),
            "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
        );
    }

    #[test]
    fn a_question_names_everything_that_is_signed_in_order() {
        let keys = Keys {
            id: "AKID".to_owned(),
            secret: Secret::new("secret".to_owned()),
            session: Some(Secret::new("a/b+c=".to_owned())),
            expires: None,
        };
        let place =
            Place { base: "https://sts.r.amazonaws.com", host: "sts.r.amazonaws.com", region: "r", service: "sts" };
        let now = "2026-01-02T03:04:05Z".parse().expect("a time");
        let url = presign(&keys, &place, &[("Action", "X")], &[("x-k8s-aws-id", "c")], 60, now);
        let start = "https://sts.r.amazonaws.com/?Action=X&X-Amz-Algorithm=AWS4-HMAC-SHA256\
                     &X-Amz-Credential=AKID%2F20260102%2Fr%2Fsts%2Faws4_request&X-Amz-Date=20260102T030405Z\
                     &X-Amz-Expires=60&X-Amz-Security-Token=a%2Fb%2Bc%3D&X-Amz-SignedHeaders=host%3Bx-k8s-aws-id\
                     &X-Amz-Signature=";
        let signature = url.strip_prefix(start).unwrap_or_else(|| panic!("{url}"));
        assert!(signature.len() == 64 && signature.bytes().all(|b| b.is_ascii_hexdigit()), "{signature}");
    }
}
