//! Which certificates a request is about.

use argosy_proto::certificate::RepositoryCertificateQuery;

use super::known_hosts::Entry;
use super::{HTTPS, SSH, host};

/// See the module's page; what is empty or `*` does not matter.
pub(super) struct Selector<'a> {
    host: &'a str,
    cert_type: &'a str,
    sub_type: &'a str,
}

// === impl Selector ===

impl<'a> Selector<'a> {
    pub(super) fn new(query: &'a RepositoryCertificateQuery) -> Self {
        Self { host: &query.host_name_pattern, cert_type: &query.cert_type, sub_type: &query.cert_sub_type }
    }

    /// Whether host keys are asked for.
    pub(super) fn wants_ssh(&self) -> bool {
        matches!(self.cert_type, "" | "*" | SSH)
    }

    /// Whether certificates are asked for.
    pub(super) fn wants_tls(&self) -> bool {
        matches!(self.cert_type, "" | "*" | HTTPS | "tls")
    }

    /// Whether a host key is meant.
    pub(super) fn selects_entry(&self, entry: &Entry<'_>) -> bool {
        host::matches(entry.host, self.host) && self.selects_sub_type(entry.sub_type)
    }

    /// Whether a certificate of the host is meant. Who asks for a type of key must
    /// not take certificates along.
    pub(super) fn selects_certificate(&self, name: &str, sub_type: &str) -> bool {
        host::matches(name, self.host) && self.selects_sub_type(sub_type)
    }

    fn selects_sub_type(&self, sub_type: &str) -> bool {
        matches!(self.sub_type, "" | "*") || self.sub_type == sub_type
    }
}
