//! One request: what is asked, how urgent it is, how long it may take.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, header};
use kube::client::Body;
use serde_json::Value;

use crate::budget::Priority;
use crate::error::{Error, Result};

/// Time for one answer, in the default case.
const ANSWER: Duration = Duration::from_secs(30);

/// A request to the API server.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// Path and query, below the cluster's base URL.
    pub(crate) path: String,
    pub(crate) accept: &'static str,
    pub(crate) content_type: &'static str,
    pub(crate) body: Bytes,
    pub(crate) priority: Priority,
    pub(crate) timeout: Duration,
    /// Answer with 304 when nothing has changed since this tag.
    pub(crate) unless: Option<String>,
}

pub(crate) const JSON: &str = "application/json";
pub(crate) const MERGE_PATCH: &str = "application/merge-patch+json";
pub(crate) const JSON_PATCH: &str = "application/json-patch+json";
pub(crate) const APPLY_PATCH: &str = "application/apply-patch+yaml";

// === impl Call ===

impl Call {
    /// A read.
    pub(crate) fn get(path: impl Into<String>, priority: Priority) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            accept: JSON,
            content_type: JSON,
            body: Bytes::new(),
            priority,
            timeout: ANSWER,
            unless: None,
        }
    }

    /// A write with a JSON body.
    pub(crate) fn write(method: Method, path: impl Into<String>, content_type: &'static str, body: &Value) -> Self {
        Self { method, content_type, body: Bytes::from(body.to_string()), ..Self::get(path, Priority::Apply) }
    }

    pub(crate) fn urgent(mut self) -> Self {
        self.priority = Priority::Interactive;
        self
    }

    pub(crate) fn accept(mut self, accept: &'static str) -> Self {
        self.accept = accept;
        self
    }

    pub(crate) fn within(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The HTTP request. Paths are built from names by [`Path`], which encodes
    /// them; what is left to refuse is refused here.
    pub(crate) fn request(&self, acting_as: Option<&crate::connection::Impersonation>) -> Result<Request<Body>> {
        let mut request = Request::builder().method(&self.method).uri(&self.path).header(header::ACCEPT, self.accept);
        if !self.body.is_empty() {
            request = request.header(header::CONTENT_TYPE, self.content_type);
        }
        if let Some(tag) = &self.unless {
            request = request.header(header::IF_NONE_MATCH, tag);
        }
        if let Some(identity) = acting_as {
            request = request.header("Impersonate-User", &identity.user);
            for group in &identity.groups {
                request = request.header("Impersonate-Group", group);
            }
        }
        request.body(Body::from(self.body.to_vec())).map_err(Error::Request)
    }
}

/// Builds a path and query out of parts that are encoded as they are added.
pub(crate) struct Path {
    text: String,
    has_query: bool,
}

// === impl Path ===

impl Path {
    /// A path that is known to be clean, such as `/apis`.
    pub(crate) fn new(clean: impl Into<String>) -> Self {
        let text = clean.into();
        let has_query = text.contains('?');
        Self { text, has_query }
    }

    pub(crate) fn segment(mut self, part: &str) -> Self {
        self.text.push('/');
        encode(part, &mut self.text);
        self
    }

    pub(crate) fn query(mut self, name: &str, value: &str) -> Self {
        self.text.push(if self.has_query { '&' } else { '?' });
        self.has_query = true;
        self.text.push_str(name);
        self.text.push('=');
        encode(value, &mut self.text);
        self
    }

    pub(crate) fn query_if(self, condition: bool, name: &str, value: &str) -> Self {
        if condition { self.query(name, value) } else { self }
    }

    pub(crate) fn build(self) -> String {
        self.text
    }
}

/// Percent-encodes all but the unreserved characters, and `:` which RBAC names hold.
fn encode(part: &str, out: &mut String) {
    // A segment of dots alone would be resolved away by a proxy.
    let dots = !part.is_empty() && part.bytes().all(|b| b == b'.');
    for byte in part.bytes() {
        if !dots && (byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b':')) {
            out.push(byte as char);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_segment() {
        let path = Path::new("/api/v1/namespaces").segment("../x?y#z").segment("..").query("continue", "a=&b").build();
        assert_eq!(path, "/api/v1/namespaces/..%2Fx%3Fy%23z/%2E%2E?continue=a%3D%26b");
    }
}
