//! What every service of a replica shares: the way home, the owners, the policy
//! of this moment, and the sources of time and chance.

use std::sync::Arc;

use argosy_home::{Clock, EventWriter, Home, NamespacePatterns};
use argosy_model::AppKey;
use http::HeaderMap;
use tonic::Response;

use crate::api::ApiHandle;
use crate::authority::Authority;
use crate::gateway::cookie;
use crate::index::Index;
use crate::options::ServerOptions;
use crate::peers::Peers;

/// Fills a buffer with random bytes fit for secrets.
pub type Random = Arc<dyn Fn(&mut [u8]) + Send + Sync>;

/// See the module's page.
pub(crate) struct Shared {
    pub(crate) home: Home,
    pub(crate) peers: Peers,
    /// Accounts, tokens, revocations and the compiled policy; the Api actor's.
    pub(crate) authority: Authority,
    pub(crate) api: ApiHandle,
    /// Applications in memory, for lists and watches.
    pub(crate) index: Index,
    pub(crate) events: EventWriter,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) options: ServerOptions,
}

// === impl Shared ===

impl Shared {
    /// An application or ApplicationSet by what requests say of it: without a
    /// namespace it is in the control plane's.
    pub(crate) fn key(&self, namespace: &str, name: &str) -> AppKey {
        AppKey::new(if namespace.is_empty() { self.home.namespace() } else { namespace }, name)
    }

    /// The namespaces in which applications and ApplicationSets are served.
    pub(crate) fn namespaces(&self) -> NamespacePatterns {
        let settings = self.home.settings();
        let patterns = self.options.application_namespaces.as_ref();
        NamespacePatterns::new(self.home.namespace(), patterns.unwrap_or(&settings.controller.application_namespaces))
    }

    /// A random version-4 UUID.
    pub(crate) fn uuid(&self) -> String {
        let mut bytes = [0u8; 16];
        (self.random)(&mut bytes);
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
    }

    /// The cookies that carry a token to a browser and back, as values of
    /// `Set-Cookie`.
    ///
    /// # Errors
    /// When the token takes more cookies than are allowed.
    pub(crate) fn cookies(&self, token: &str) -> Result<Vec<String>, cookie::TooLong> {
        cookie::set(token, self.cookie_scope(), self.options.max_cookies)
    }

    /// The values of `Set-Cookie` that take the token back from a browser.
    pub(crate) fn cleared_cookies(&self, request: &HeaderMap) -> Vec<String> {
        cookie::clear(request, self.cookie_scope())
    }

    fn cookie_scope(&self) -> cookie::Scope<'_> {
        cookie::Scope { base_href: &self.options.base_href, secure: !self.options.insecure }
    }
}

/// Adds cookies to the metadata of an answer, which the gateway makes headers of.
pub(crate) fn add_cookies<T>(response: &mut Response<T>, cookies: Vec<String>) {
    for cookie in cookies {
        // Tokens are ASCII, and so is everything around them.
        if let Ok(value) = cookie.parse() {
            response.metadata_mut().append("set-cookie", value);
        }
    }
}
