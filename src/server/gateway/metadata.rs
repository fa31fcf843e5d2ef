//! HTTP headers as metadata of a call, and metadata of a reply as HTTP headers.

use std::str::FromStr as _;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, COOKIE, SET_COOKIE, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue, MetadataMap};

use crate::listener::ClientAddress;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const TOKEN: HeaderName = HeaderName::from_static("token");
/// Headers that are handed on under their own names.
const COPIED: [HeaderName; 6] = [AUTHORIZATION, TOKEN, COOKIE, USER_AGENT, ACCEPT, CONTENT_TYPE];
/// Prefix of headers that stand for metadata, both ways.
const PREFIX: &str = "grpc-metadata-";

/// The metadata of a request.
pub(super) fn of(parts: &Parts) -> MetadataMap {
    let mut headers = HeaderMap::new();
    for name in COPIED {
        for value in parts.headers.get_all(&name) {
            headers.append(name.clone(), value.clone());
        }
    }
    if let Some(forwarded) = forwarded_for(parts) {
        headers.insert(FORWARDED_FOR, forwarded);
    }
    let mut metadata = MetadataMap::from_headers(headers);
    for (name, value) in &parts.headers {
        let Some(name) = name.as_str().strip_prefix(PREFIX) else { continue };
        // What a header of its own says is not overruled; binary metadata is for machines.
        let (Ok(key), Ok(text)) = (AsciiMetadataKey::from_str(name), value.to_str()) else { continue };
        if !metadata.contains_key(name)
            && let Ok(value) = AsciiMetadataValue::from_str(text)
        {
            metadata.append(key, value);
        }
    }
    metadata
}

/// The way the request came, with the last hop.
fn forwarded_for(parts: &Parts) -> Option<HeaderValue> {
    let before = parts.headers.get_all(FORWARDED_FOR).into_iter().filter_map(|value| value.to_str().ok());
    let client = parts.extensions.get::<ClientAddress>().map(|client| client.0.ip().to_string());
    let way: Vec<&str> = before.chain(client.as_deref()).collect();
    (!way.is_empty()).then(|| way.join(", ")).and_then(|way| HeaderValue::try_from(way).ok())
}

/// Adds a reply's metadata to the headers of the answer: cookies as cookies, the
/// rest behind the gateway's prefix.
pub(super) fn answer(metadata: MetadataMap, headers: &mut HeaderMap) {
    for (name, value) in &metadata.into_headers() {
        if name == SET_COOKIE {
            headers.append(SET_COOKIE, value.clone());
        } else if name != CONTENT_TYPE
            && let Ok(name) = HeaderName::try_from(format!("{PREFIX}{name}"))
        {
            headers.append(name, value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_their_own_are_not_overruled_by_prefixed_ones() {
        let request = http::Request::builder()
            .header("authorization", "Bearer mine")
            .header("grpc-metadata-authorization", "Bearer other")
            .header("grpc-metadata-trace", "1")
            .header("x-forwarded-for", "10.0.0.1")
            .header("x-other", "2")
            .extension(ClientAddress("192.0.2.1:99".parse().unwrap()));
        let metadata = of(&request.body(()).unwrap().into_parts().0);
        assert_eq!(metadata.get("authorization").unwrap(), "Bearer mine");
        assert_eq!(metadata.get_all("authorization").iter().count(), 1);
        assert_eq!(metadata.get("trace").unwrap(), "1");
        assert_eq!(metadata.get("x-forwarded-for").unwrap(), "10.0.0.1, 192.0.2.1");
        assert!(metadata.get("x-other").is_none());
    }
}
