//! Host keys, certificates and patterns of hosts. The first line of an input is a
//! pattern, the second a host, the third a type and a key; the rest is a list of host
//! keys or a text with certificates.

use argosy_proto::v1alpha1::RepositoryCertificate;

use super::host_key::HostKey;
use super::known_hosts::{entries, with_key, without};
use super::{host, tls};

pub(crate) fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let mut parts = text.splitn(4, '\n');
    let mut part = || parts.next().unwrap_or_default();
    let (pattern, name, key, list) = (part(), part(), part(), part());
    let literal: String = name.chars().flat_map(|c| ['\\', c]).collect();
    assert!(host::matches(name, &literal), "{name:?} is not itself");
    host::matches(name, pattern);
    for entry in entries(list) {
        entry.described();
        assert_eq!(entry.whole().server_name, entry.host);
    }
    let (kept, removed) = without(list, |entry| host::matches(entry.host, pattern));
    assert_eq!(entries(&kept).count() + removed.len(), entries(list).count(), "entries went");
    let (sub_type, data) = key.split_once(' ').unwrap_or_default();
    let given = RepositoryCertificate {
        server_name: name.to_owned(),
        cert_sub_type: sub_type.to_owned(),
        cert_data: data.as_bytes().to_vec(),
        ..RepositoryCertificate::default()
    };
    if let Ok(key) = HostKey::read(&given)
        && let Ok(Some(more)) = with_key(list, &key, true)
    {
        assert_eq!(with_key(&more, &key, true), Ok(None), "it is not there");
        assert!(entries(&more).any(|entry| entry.host == name && entry.sub_type == sub_type));
        let grown = more.lines().count() - list.lines().count();
        assert!(grown <= 1, "one key takes {grown} lines");
    }
    for pem in tls::split(list).into_iter().flatten() {
        tls::described(name, &pem);
        assert_eq!(tls::split(&pem).map(|again| again.len()), Ok(1));
    }
}
