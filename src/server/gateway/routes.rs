//! From a request to the method that answers it.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use futures::future::BoxFuture;
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};
use tonic::Code;

use super::body::{self, Unread};
use super::pattern::Variables;
use super::query::{Malformed, Query};
use super::reply::error_with;
use super::request::Incoming;
use super::table::Binding;
use super::{GatewayOptions, guard};

/// A bound method.
pub(super) type Call =
    Arc<dyn Fn(Incoming, Arc<Binding>, Arc<GatewayOptions>) -> BoxFuture<'static, Response> + Send + Sync>;

/// One path of one method.
pub(super) struct Route {
    pub(super) binding: Arc<Binding>,
    pub(super) call: Call,
}

/// All of them, in the order of the table.
pub(super) struct Routes {
    pub(super) options: Arc<GatewayOptions>,
    pub(super) routes: Vec<Route>,
}

/// What is found at a path.
enum Found<'a> {
    Route(&'a Route, Variables, Query),
    /// Other methods only.
    OtherMethods(Vec<Method>),
    Nothing,
}

// === impl Routes ===

impl Routes {
    pub(super) async fn answer(&self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        match self.admit(&parts) {
            Ok((route, variables, query)) => {
                let body = match body::read(body, self.options.max_body, self.options.body_timeout).await {
                    Ok(body) => body,
                    Err(unread) => return self.refuse_body(unread),
                };
                let incoming = Incoming { parts, body, variables, query };
                (route.call)(incoming, Arc::clone(&route.binding), Arc::clone(&self.options)).await
            }
            Err(refusal) => {
                body::drain(body).await;
                *refusal
            }
        }
    }

    fn admit(&self, parts: &Parts) -> Result<(&Route, Variables, Query), Box<Response>> {
        if !guard::has_content_type(&parts.method, &parts.headers, &self.options.content_types) {
            let unsupported = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err(Box::new(error_with(unsupported, Code::InvalidArgument, "Invalid content type")));
        }
        if guard::is_cross_site(&parts.method, &parts.uri, &parts.headers) {
            let message = "requests from other sites are not accepted with a session cookie";
            return Err(Box::new(error_with(StatusCode::FORBIDDEN, Code::PermissionDenied, message)));
        }
        match self.find(parts) {
            Ok(Found::Route(route, variables, query)) => Ok((route, variables, query)),
            Ok(Found::OtherMethods(methods)) => {
                let not_allowed = StatusCode::METHOD_NOT_ALLOWED;
                let mut response = error_with(not_allowed, Code::Unimplemented, "Method Not Allowed");
                let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
                if let Ok(names) = HeaderValue::try_from(names.join(", ")) {
                    response.headers_mut().insert(http::header::ALLOW, names);
                }
                Err(Box::new(response))
            }
            Ok(Found::Nothing) => Err(Box::new(error_with(StatusCode::NOT_FOUND, Code::NotFound, "Not Found"))),
            Err(malformed) => {
                let message = malformed.to_string();
                Err(Box::new(error_with(StatusCode::BAD_REQUEST, Code::InvalidArgument, &message)))
            }
        }
    }

    fn find(&self, parts: &Parts) -> Result<Found<'_>, Malformed> {
        let mut others = Vec::new();
        for route in &self.routes {
            let Some(variables) = route.binding.pattern.matches(parts.uri.path())? else { continue };
            if route.binding.method == parts.method {
                return Ok(Found::Route(route, variables, Query::parse(parts.uri.query().unwrap_or_default())?));
            }
            if !others.contains(&route.binding.method) {
                others.push(route.binding.method.clone());
            }
        }
        Ok(if others.is_empty() { Found::Nothing } else { Found::OtherMethods(others) })
    }

    fn refuse_body(&self, unread: Unread) -> Response {
        match unread {
            Unread::TooLarge => {
                let message = format!("the request body is larger than {} bytes", self.options.max_body);
                error_with(StatusCode::PAYLOAD_TOO_LARGE, Code::ResourceExhausted, &message)
            }
            Unread::TooSlow => {
                let message = "the request body took too long";
                error_with(StatusCode::REQUEST_TIMEOUT, Code::DeadlineExceeded, message)
            }
            Unread::Broken => {
                error_with(StatusCode::BAD_REQUEST, Code::InvalidArgument, "the request body cannot be read")
            }
        }
    }
}
