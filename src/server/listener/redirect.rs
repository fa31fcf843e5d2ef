//! Plain text on a TLS port: where to go instead.

use axum::body::Body;
use http::header::{CONTENT_LENGTH, HOST, LOCATION};
use http::{HeaderValue, Request, Response, StatusCode};

/// A temporary redirect to the same place under `https`, below the root path.
pub(super) fn to_https<B>(request: &Request<B>, root_path: &str) -> Response<Body> {
    let host = match request.uri().authority() {
        Some(authority) => Some(authority.as_str()),
        None => request.headers().get(HOST).and_then(|host| host.to_str().ok()),
    };
    let target = host.and_then(|host| HeaderValue::try_from(location(host, request.uri(), root_path)).ok());
    let mut response = Response::new(Body::empty());
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    match target {
        Some(target) => {
            *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
            response.headers_mut().insert(LOCATION, target);
        }
        None => *response.status_mut() = StatusCode::BAD_REQUEST,
    }
    response
}

fn location(host: &str, uri: &http::Uri, root_path: &str) -> String {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    if root_path.is_empty() || path.starts_with(&format!("/{root_path}")) {
        format!("https://{host}{path}")
    } else {
        format!("https://{host}/{root_path}{path}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(path: &str, root_path: &str) -> String {
        let request = Request::get(path).header(HOST, "argo.example:8080").body(()).unwrap();
        let response = to_https(&request, root_path);
        assert_eq!(response.status(), StatusCode::TEMPORARY_REDIRECT);
        response.headers()[LOCATION].to_str().unwrap().to_owned()
    }

    #[test]
    fn path_and_query_are_kept_and_the_root_path_is_put_in_front_once() {
        assert_eq!(target("/a/b?c=d%2Fe", ""), "https://argo.example:8080/a/b?c=d%2Fe");
        assert_eq!(target("/a", "argo/cd"), "https://argo.example:8080/argo/cd/a");
        assert_eq!(target("/argo/cd/a", "argo/cd"), "https://argo.example:8080/argo/cd/a");
    }

    #[test]
    fn a_request_to_no_host_is_a_bad_request() {
        let request = Request::get("/").body(()).unwrap();
        assert_eq!(to_https(&request, "").status(), StatusCode::BAD_REQUEST);
    }
}
