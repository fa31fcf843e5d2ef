//! Counters of gRPC calls, under the names that dashboards of gRPC servers know.
//!
//! Only rpcs of the contract are counted: a caller must not be able to make up
//! labels.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::HeaderMap;
use http_body_util::BodyExt as _;
use prost_reflect::{DescriptorError, DescriptorPool};
use tonic::Code;

/// What is known of one rpc.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rpc {
    kind: &'static str,
    service: String,
    method: String,
}

/// Every rpc of the contract, by its path.
#[derive(Clone)]
pub(crate) struct Rpcs(Arc<HashMap<String, Rpc>>);

/// Counts the end of a call once, however it ends.
struct Call {
    rpc: Rpc,
    code: Option<Code>,
}

// === impl Rpcs ===

impl Rpcs {
    /// # Errors
    /// When the descriptors of the contract are broken.
    pub(crate) fn read() -> Result<Self, DescriptorError> {
        let pool = DescriptorPool::decode(argosy_proto::DESCRIPTORS)?;
        let rpcs = pool.services().flat_map(|service| {
            let name = service.full_name().to_owned();
            service.methods().map(move |method| rpc(&name, &method)).collect::<Vec<_>>()
        });
        Ok(Self(Arc::new(rpcs.map(|rpc| (format!("/{}/{}", rpc.service, rpc.method), rpc)).collect())))
    }
}

fn rpc(service: &str, method: &prost_reflect::MethodDescriptor) -> Rpc {
    let kind = match (method.is_client_streaming(), method.is_server_streaming()) {
        (false, false) => "unary",
        (false, true) => "server_stream",
        (true, false) => "client_stream",
        (true, true) => "bidi_stream",
    };
    Rpc { kind, service: service.to_owned(), method: method.name().to_owned() }
}

// === impl Rpc ===

impl Rpc {
    fn count(&self, metric: &'static str) {
        let (service, method) = (self.service.clone(), self.method.clone());
        metrics::counter!(metric, "grpc_type" => self.kind, "grpc_service" => service, "grpc_method" => method)
            .increment(1);
    }
}

// === impl Call ===

impl Call {
    /// Learns how the call ended from headers or trailers.
    fn note(&mut self, headers: &HeaderMap) {
        if let Some(code) = headers.get("grpc-status") {
            self.code = Some(Code::from_bytes(code.as_bytes()));
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        // Without a status the caller has gone.
        let code = format!("{:?}", self.code.unwrap_or(Code::Cancelled));
        let Rpc { kind, service, method } = self.rpc.clone();
        metrics::counter!(
            "grpc_server_handled_total",
            "grpc_type" => kind, "grpc_service" => service, "grpc_method" => method, "grpc_code" => code
        )
        .increment(1);
    }
}

/// The layer that counts.
pub(crate) async fn count(State(rpcs): State<Rpcs>, request: Request, next: Next) -> Response {
    let Some(rpc) = rpcs.0.get(request.uri().path()).cloned() else { return next.run(request).await };
    rpc.count("grpc_server_started_total");
    let received = rpc.clone();
    let request = request.map(|body| {
        Body::new(body.map_frame(move |frame| {
            if frame.is_data() {
                received.count("grpc_server_msg_received_total");
            }
            frame
        }))
    });
    let mut call = Call { rpc: rpc.clone(), code: None };
    let response = next.run(request).await;
    call.note(response.headers());
    response.map(|body| {
        Body::new(body.map_frame(move |frame| {
            if frame.is_data() {
                rpc.count("grpc_server_msg_sent_total");
            } else if let Some(trailers) = frame.trailers_ref() {
                call.note(trailers);
            }
            frame
        }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rpc_of_the_contract_is_known_by_its_path() {
        let rpcs = Rpcs::read().unwrap();
        let watch = &rpcs.0["/application.ApplicationService/Watch"];
        assert_eq!((watch.kind, &*watch.method), ("server_stream", "Watch"));
        assert_eq!(rpcs.0["/application.ApplicationService/GetManifestsWithFiles"].kind, "client_stream");
    }
}
