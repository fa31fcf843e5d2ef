//! Refusals as the API server words them: a code, a reason, a sentence and
//! details, sent as a `Status`.

use http::StatusCode;
use serde_json::{Map, Value, json};

/// One refusal.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The HTTP code.
    pub code: StatusCode,
    /// The machine's word, such as `NotFound`; empty when there is none.
    pub reason: String,
    /// The sentence.
    pub message: String,
    /// `details`, when there are any.
    pub details: Option<Value>,
    /// Sent beside it as `Warning` headers.
    pub warnings: Vec<String>,
}

/// What a refusal is about: `deployments` of `apps` named `web`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Subject<'a> {
    /// API group, empty for core.
    pub group: &'a str,
    /// Plural of the resource; the kind for invalid objects.
    pub resource: &'a str,
    /// Name of the object.
    pub name: &'a str,
}

/// One thing that is wrong with an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// `FieldValueRequired` and the like.
    pub reason: &'static str,
    /// Where, such as `spec.selector`.
    pub field: String,
    /// What, without the field.
    pub message: String,
}

// === impl Fault ===

impl Fault {
    /// A value has to be there. `detail` may be empty.
    pub fn required(field: impl Into<String>, detail: &str) -> Self {
        let message = if detail.is_empty() { "Required value".to_owned() } else { format!("Required value: {detail}") };
        Self { reason: "FieldValueRequired", field: field.into(), message }
    }

    /// A value cannot be that.
    pub fn invalid(field: impl Into<String>, value: &Value, detail: &str) -> Self {
        let shown = match value {
            Value::Object(_) | Value::Array(_) => serde_json::to_string(value).unwrap_or_default(),
            other => other.to_string(),
        };
        Self { reason: "FieldValueInvalid", field: field.into(), message: format!("Invalid value: {shown}: {detail}") }
    }

    /// A value is none of the possible ones.
    pub fn unsupported(field: impl Into<String>, value: &Value, supported: &[&str]) -> Self {
        let mut supported: Vec<String> = supported.iter().map(|s| format!("\"{s}\"")).collect();
        supported.sort();
        let message = format!("Unsupported value: {value}: supported values: {}", supported.join(", "));
        Self { reason: "FieldValueNotSupported", field: field.into(), message }
    }

    /// A field may not be there, or not be changed.
    pub fn forbidden(field: impl Into<String>, detail: &str) -> Self {
        Self { reason: "FieldValueForbidden", field: field.into(), message: format!("Forbidden: {detail}") }
    }

    /// A value of the wrong type.
    pub fn mistyped(field: impl Into<String>, detail: &str) -> Self {
        Self { reason: "FieldValueTypeInvalid", field: field.into(), message: detail.to_owned() }
    }

    /// The same value twice.
    pub fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        Self { reason: "FieldValueDuplicate", field: field.into(), message: format!("Duplicate value: {value}") }
    }

    fn text(&self) -> String {
        format!("{}: {}", self.field, self.message)
    }
}

// === impl Subject ===

impl Subject<'_> {
    fn qualified(&self) -> String {
        if self.group.is_empty() { self.resource.to_owned() } else { format!("{}.{}", self.resource, self.group) }
    }

    fn details(&self) -> Map<String, Value> {
        let all = [("name", self.name), ("group", self.group), ("kind", self.resource)];
        all.into_iter().filter(|(_, v)| !v.is_empty()).map(|(k, v)| (k.to_owned(), v.into())).collect()
    }
}

// === impl Failure ===

impl Failure {
    /// Any refusal.
    pub fn new(code: StatusCode, reason: &str, message: impl Into<String>) -> Self {
        Self { code, reason: reason.to_owned(), message: message.into(), details: None, warnings: Vec::new() }
    }

    /// 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    /// 401.
    pub fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized")
    }

    /// 403 with the reason of an authorizer or of admission.
    pub fn forbidden(subject: Subject<'_>, why: &str) -> Self {
        let message = if subject.name.is_empty() {
            format!("{} is forbidden: {why}", subject.qualified())
        } else {
            format!("{} \"{}\" is forbidden: {why}", subject.qualified(), subject.name)
        };
        Self::new(StatusCode::FORBIDDEN, "Forbidden", message).with(subject.details())
    }

    /// 404 of an object.
    pub fn not_found(subject: Subject<'_>) -> Self {
        let message = format!("{} \"{}\" not found", subject.qualified(), subject.name);
        Self::new(StatusCode::NOT_FOUND, "NotFound", message).with(subject.details())
    }

    /// 404 of a resource that is not served.
    pub fn no_such_resource() -> Self {
        Self::new(StatusCode::NOT_FOUND, "NotFound", "the server could not find the requested resource")
            .with(Map::new())
    }

    /// 405.
    pub fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        )
        .with(Map::new())
    }

    /// 409: there is one already.
    pub fn exists(subject: Subject<'_>) -> Self {
        let message = format!("{} \"{}\" already exists", subject.qualified(), subject.name);
        Self::new(StatusCode::CONFLICT, "AlreadyExists", message).with(subject.details())
    }

    /// 409: somebody else was faster.
    pub fn conflict(subject: Subject<'_>, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} \"{}\": {why}", subject.qualified(), subject.name);
        Self::new(StatusCode::CONFLICT, "Conflict", message).with(subject.details())
    }

    /// 409: the version that was read is no longer the current one.
    pub fn modified(subject: Subject<'_>) -> Self {
        Self::conflict(
            subject,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// 410 of a watch or a page.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(StatusCode::GONE, "Expired", message)
    }

    /// 422: what is wrong with the object. `subject.resource` is its kind here.
    pub fn invalid(subject: Subject<'_>, faults: &[Fault]) -> Self {
        let mut texts: Vec<String> = Vec::new();
        for text in faults.iter().map(Fault::text) {
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        let what = if texts.len() == 1 { texts.remove(0) } else { format!("[{}]", texts.join(", ")) };
        let message = format!("{} \"{}\" is invalid: {what}", subject.qualified(), subject.name);
        let mut details = subject.details();
        let causes: Vec<Value> =
            faults.iter().map(|f| json!({"reason": f.reason, "message": f.message, "field": f.field})).collect();
        details.insert("causes".to_owned(), causes.into());
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message).with(details)
    }

    /// 422 of a request's options.
    pub fn invalid_options(kind: &str, faults: &[Fault]) -> Self {
        Self::invalid(Subject { group: "meta.k8s.io", resource: kind, name: "" }, faults)
    }

    /// 500.
    pub fn internal(message: impl Into<String>) -> Self {
        let message: String = message.into();
        let details = json!({"causes": [{"message": message}]});
        Self {
            details: Some(details),
            ..Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "InternalError",
                format!("Internal error occurred: {message}"),
            )
        }
    }

    /// The same with details.
    #[must_use]
    pub fn with(mut self, details: Map<String, Value>) -> Self {
        self.details = Some(Value::Object(details));
        self
    }

    /// The same with warnings beside it.
    #[must_use]
    pub fn warned(mut self, warnings: &[String]) -> Self {
        self.warnings.extend_from_slice(warnings);
        self
    }

    /// The `Status` that is sent.
    pub fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "code": self.code.as_u16(),
        });
        if !self.reason.is_empty() {
            status["reason"] = self.reason.as_str().into();
        }
        if let Some(details) = &self.details {
            status["details"] = details.clone();
        }
        status
    }
}
