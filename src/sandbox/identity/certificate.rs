//! Client certificates: the common name is the user, organisations are its groups.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{AUTHENTICATED, CREDENTIAL_ID};
use crate::hooks::Caller;

/// Whom a verified certificate names; `None` without a common name.
pub(super) fn caller(der: &[u8]) -> Option<Caller> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let subject = certificate.subject();
    let name = subject.iter_common_name().find_map(|name| name.as_str().ok())?.to_owned();
    let mut groups: Vec<String> =
        subject.iter_organization().filter_map(|name| name.as_str().ok()).map(str::to_owned).collect();
    groups.push(AUTHENTICATED.to_owned());
    let id = format!("X509SHA256={}", hex(&Sha256::digest(der)));
    let extra = BTreeMap::from([(CREDENTIAL_ID.to_owned(), vec![id.clone()])]);
    Some(Caller { name, groups, extra, token_id: Some(id), ..Caller::default() })
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
