//! What surrounds the API's machinery: who is asking, who may, what is refused or
//! completed on the way in, how tables look, what is answered without the store,
//! and what a test wants to go wrong. The defaults permit everything and do
//! nothing, so that the machinery works alone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use http::{HeaderMap, Method, StatusCode};
use serde_json::Value;

use crate::failure::Failure;

/// Whoever is asking.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// The user name.
    pub name: String,
    /// The user's uid, where there is one.
    pub uid: String,
    /// The groups.
    pub groups: Vec<String>,
    /// Whatever else is known.
    pub extra: BTreeMap<String, Vec<String>>,
    /// Which credential was shown: an id, never the credential.
    pub token_id: Option<String>,
    /// Who really asked, where the user is impersonated.
    pub impersonator: Option<String>,
}

/// What is asked for. Parts that a request does not have are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`,
    /// `deletecollection`; the HTTP method in lower case for paths.
    pub verb: String,
    /// API group, empty for core.
    pub group: String,
    /// API version.
    pub version: String,
    /// Plural of the resource; empty for other paths.
    pub resource: String,
    /// `status`, `scale`, `log`.
    pub subresource: String,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// The URL's path.
    pub path: String,
}

/// An object on its way into the store.
#[derive(Debug)]
pub struct Admitted<'a> {
    /// Whoever writes it.
    pub caller: &'a Caller,
    /// The request; `verb` is `create`, `update` or `delete`.
    pub attributes: &'a Attributes,
    /// What it was before.
    pub old: Option<&'a Value>,
    /// Nothing will be stored.
    pub dry_run: bool,
}

/// A request as hooks that answer it see it.
#[derive(Debug)]
pub struct Request<'a> {
    /// Whoever asks.
    pub caller: &'a Caller,
    /// For what.
    pub attributes: &'a Attributes,
    /// The decoded query, in order.
    pub query: &'a [(String, String)],
    /// The decoded body; null when there is none.
    pub body: Value,
    /// Nothing may be stored.
    pub dry_run: bool,
}

/// An answer that is not made by the machinery.
pub enum Answer {
    /// An object, sent as JSON.
    Object(StatusCode, Value),
    /// Text, such as a log.
    Text(String),
    /// Text that goes on.
    Stream(futures::stream::BoxStream<'static, bytes::Bytes>),
}

/// A request when it is over.
#[derive(Clone, Debug)]
pub struct Record {
    /// When it came.
    pub time: jiff::Timestamp,
    /// Who asked.
    pub caller: Caller,
    /// For what.
    pub attributes: Attributes,
    /// The field manager of a write.
    pub field_manager: String,
    /// Nothing was stored.
    pub dry_run: bool,
    /// What was answered.
    pub code: StatusCode,
    /// The version that was stored, if something was.
    pub version: Option<u64>,
}

/// What shall go wrong with a request.
#[derive(Clone, Debug, Default)]
pub struct Trouble {
    /// Waits first.
    pub delay: Option<Duration>,
    /// Then refuses.
    pub refusal: Option<Failure>,
    /// `Retry-After` of the refusal, in seconds.
    pub retry_after: Option<u64>,
    /// A watch ends after this.
    pub watch_ends_after: Option<Duration>,
    /// A watch ends with 410 after this.
    pub watch_expires_after: Option<Duration>,
}

/// Names the caller.
pub trait Authenticator: Send + Sync {
    /// From the headers and the certificate (DER) that TLS has verified.
    ///
    /// # Errors
    /// A credential does not hold.
    fn authenticate(&self, headers: &HeaderMap, certificate: Option<&[u8]>) -> Result<Caller, Failure>;
}

/// Permits.
pub trait Authorizer: Send + Sync {
    /// Whether the caller may.
    ///
    /// # Errors
    /// 403 with its reason.
    fn authorize(&self, caller: &Caller, attributes: &Attributes) -> Result<(), Failure>;
}

/// Has the last word on what is written.
pub trait Admission: Send + Sync {
    /// Completes or refuses an object before it is validated and stored. For
    /// `delete` the object is the one that would go.
    ///
    /// # Errors
    /// The refusal.
    fn admit(&self, request: &Admitted<'_>, object: &mut Value) -> Result<(), Failure>;
}

/// Renders tables.
pub trait Tables: Send + Sync {
    /// A `Table` of these objects, without its metadata; `None` for the plain one of
    /// name and age. `columns` are the additional printer columns of a custom
    /// resource. Rows carry their object as `include` says (`Metadata`, `Object`, `None`).
    fn table(
        &self,
        group: &str,
        kind: &str,
        objects: &[&Value],
        columns: Option<&Value>,
        include: &str,
    ) -> Option<Value>;
}

/// Answers what has no object behind it: reviews, token requests, logs, evictions.
pub trait Virtual: Send + Sync {
    /// The answer, or `None` when this is an ordinary request.
    fn answer<'a>(&'a self, request: &'a Request<'a>) -> Option<BoxFuture<'a, Result<Answer, Failure>>>;
}

/// Watches over requests: makes some fail, and remembers them.
pub trait Observer: Send + Sync {
    /// What shall go wrong with this request.
    fn trouble(&self, caller: &Caller, attributes: &Attributes, method: &Method) -> Trouble;
    /// A request is over (a watch: has begun).
    fn record(&self, record: Record);
}

/// All of them.
#[derive(Clone)]
pub struct Hooks {
    /// Names callers.
    pub authenticator: Arc<dyn Authenticator>,
    /// Permits.
    pub authorizer: Arc<dyn Authorizer>,
    /// Completes and refuses.
    pub admission: Arc<dyn Admission>,
    /// Renders.
    pub tables: Arc<dyn Tables>,
    /// Answers without the store.
    pub virtuals: Arc<dyn Virtual>,
    /// Fails and remembers.
    pub observer: Arc<dyn Observer>,
}

/// Permits everything to everyone, and does nothing else.
#[derive(Clone, Copy, Debug, Default)]
pub struct Permissive;

// === impl Hooks ===

impl Default for Hooks {
    fn default() -> Self {
        let it = Arc::new(Permissive);
        Self {
            authenticator: it.clone(),
            authorizer: it.clone(),
            admission: it.clone(),
            tables: it.clone(),
            virtuals: it.clone(),
            observer: it,
        }
    }
}

impl std::fmt::Debug for Hooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hooks").finish_non_exhaustive()
    }
}

// === impl Permissive ===

impl Authenticator for Permissive {
    fn authenticate(&self, _: &HeaderMap, _: Option<&[u8]>) -> Result<Caller, Failure> {
        let groups = vec!["system:masters".to_owned(), "system:authenticated".to_owned()];
        Ok(Caller { name: "admin".to_owned(), groups, ..Caller::default() })
    }
}

impl Authorizer for Permissive {
    fn authorize(&self, _: &Caller, _: &Attributes) -> Result<(), Failure> {
        Ok(())
    }
}

impl Admission for Permissive {
    fn admit(&self, _: &Admitted<'_>, _: &mut Value) -> Result<(), Failure> {
        Ok(())
    }
}

impl Tables for Permissive {
    fn table(&self, _: &str, _: &str, _: &[&Value], _: Option<&Value>, _: &str) -> Option<Value> {
        None
    }
}

impl Virtual for Permissive {
    fn answer<'a>(&'a self, _: &'a Request<'a>) -> Option<BoxFuture<'a, Result<Answer, Failure>>> {
        None
    }
}

impl Observer for Permissive {
    fn trouble(&self, _: &Caller, _: &Attributes, _: &Method) -> Trouble {
        Trouble::default()
    }

    fn record(&self, _: Record) {}
}
