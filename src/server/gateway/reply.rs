//! Replies and errors as JSON.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use prost::Message;
use serde::Serialize;
use tonic::{Code, Status};

use super::fields::Fields;
use super::metadata;
use super::query::Query;

/// Replies longer than this on the wire are written off the threads that serve.
const LARGE: usize = 1 << 20;

/// The gateway's form of an error.
#[derive(Serialize)]
struct ErrorBody<'a> {
    error: &'a str,
    code: i32,
    message: &'a str,
}

/// The HTTP status of a gRPC code, as the gateway of the reference has it.
pub fn http_status(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        Code::Cancelled => StatusCode::REQUEST_TIMEOUT,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// A unary reply, cut to the fields that were asked for.
pub(super) async fn unary<Rep>(replied: Result<tonic::Response<Rep>, Status>, query: &Query) -> Response
where
    Rep: Message + Serialize + 'static,
{
    let (metadata, message, _) = match replied {
        Ok(reply) => reply.into_parts(),
        Err(status) => return error(&status),
    };
    let fields = Fields::parse(query.get("fields"));
    let written = if message.encoded_len() > LARGE {
        tokio::task::spawn_blocking(move || write(&message, fields.as_ref())).await.map_err(|_| unwritable())
    } else {
        Ok(write(&message, fields.as_ref()))
    };
    match written.flatten() {
        Ok(json) => {
            let mut response = of_json(StatusCode::OK, json);
            metadata::answer(metadata, response.headers_mut());
            response
        }
        Err(status) => error(&status),
    }
}

fn write<Rep: Serialize>(message: &Rep, fields: Option<&Fields>) -> Result<Bytes, Status> {
    let json = serde_json::to_vec(message).map_err(|_| unwritable())?;
    match fields {
        Some(fields) => fields.cut(&json).map(Bytes::from).map_err(|_| unwritable()),
        None => Ok(json.into()),
    }
}

pub(super) fn unwritable() -> Status {
    Status::internal("the reply cannot be written as JSON")
}

/// An error, with the metadata of its status.
pub(crate) fn error(status: &Status) -> Response {
    let mut response = error_with(http_status(status.code()), status.code(), status.message());
    metadata::answer(status.metadata().clone(), response.headers_mut());
    response
}

/// An error whose HTTP status says more than its code.
pub(super) fn error_with(http: StatusCode, code: Code, message: &str) -> Response {
    let body = ErrorBody { error: message, code: code.into(), message };
    of_json(http, serde_json::to_vec(&body).unwrap_or_default().into())
}

fn of_json(status: StatusCode, json: Bytes) -> Response {
    let mut response = Response::new(Body::from(json));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
