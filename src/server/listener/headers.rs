//! What browsers are told to refuse, on every HTTP answer that does not say so
//! itself. As in the reference there is no HSTS: the port does not know whether
//! its host name belongs to it alone.

use http::header::{CONTENT_SECURITY_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::ListenerOptions;

/// Headers that are put where they are missing.
#[derive(Clone, Debug)]
pub(super) struct Hardening(Vec<(HeaderName, HeaderValue)>);

// === impl Hardening ===

impl Hardening {
    /// Values that cannot be a header's are left out, with a warning.
    pub(super) fn new(options: &ListenerOptions) -> Self {
        let mut headers = vec![(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))];
        let configured =
            [(X_FRAME_OPTIONS, &options.x_frame_options), (CONTENT_SECURITY_POLICY, &options.content_security_policy)];
        for (name, value) in configured {
            match HeaderValue::from_str(value) {
                Ok(value) if !value.is_empty() => headers.push((name, value)),
                Ok(_) => {}
                Err(_) => tracing::warn!(header = %name, "the configured value is not one of a header and is ignored"),
            }
        }
        Self(headers)
    }

    pub(super) fn complete(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.0 {
            if !headers.contains_key(name) {
                headers.insert(name, value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_keeps_its_own_policy_and_empty_options_add_nothing() {
        let options = ListenerOptions { x_frame_options: String::new(), ..ListenerOptions::default() };
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'"));
        Hardening::new(&options).complete(&mut headers);
        assert_eq!(headers[CONTENT_SECURITY_POLICY], "default-src 'none'");
        assert_eq!(headers[X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert!(!headers.contains_key(X_FRAME_OPTIONS));
    }
}
