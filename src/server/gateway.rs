//! REST: the services of the contract as JSON over HTTP, by table.
//!
//! `proto/contract/services.tsv` says which method and path call which rpc. A
//! service is bound once per rpc and answers all of its paths; the gateway turns
//! path, query and body into the request message and the reply into JSON, by the
//! rules of the reference's gateway (grpc-gateway v1 with Kubernetes' JSON).
//!
//! Promises: bad input is a 4xx with a plain message, never a panic; bodies are
//! bounded in size and time; a browser on another site cannot use a session's
//! cookie ([`guard`]); handlers see the same [`tonic::Request`] as over gRPC, with
//! what outer layers put into the request's extensions.

mod body;
pub mod cookie;
mod fields;
mod form;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
pub mod guard;
mod metadata;
mod openapi;
mod pattern;
mod query;
mod reply;
mod request;
mod routes;
mod stream;
mod table;
mod values;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use axum::routing::{any, get};
use futures::Stream;
use futures::future::BoxFuture;
use prost::Message;
use prost_reflect::DescriptorPool;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tonic::{Request, Status, Streaming};

pub use self::form::{Download, StreamForm};
pub use self::query::Query;
pub(crate) use self::reply::error as refusal;
pub use self::reply::http_status;
use self::routes::{Call, Route, Routes};
use self::table::{Binding, Flow, Table};

/// What the gateway is told.
#[derive(Clone, Debug)]
pub struct GatewayOptions {
    /// Content types that requests other than GET may have; empty checks nothing.
    pub content_types: Vec<String>,
    /// Most bytes of a request's body.
    pub max_body: usize,
    /// Longest time for a request's body to arrive.
    pub body_timeout: Duration,
    /// Between comments on an event stream.
    pub keep_alive: Duration,
}

/// Why the gateway cannot be set up: a mistake of the program, seen at its start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A row of the contract's table.
    #[error("row {row} of the table of services: {reason}")]
    Table {
        /// Counted from 1.
        row: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The compiled descriptors.
    #[error("the descriptors of the contract cannot be read")]
    Descriptors(#[source] prost_reflect::DescriptorError),
    /// A method that the table has no path for.
    #[error("{0} has no binding in the table of services")]
    Unknown(String),
    /// Bound before.
    #[error("{0} is bound twice")]
    Twice(String),
    /// Bound as another kind of method than it is.
    #[error("{0} does not stream the way it is bound")]
    Flow(String),
}

/// Collects the services' methods; [`Gateway::into_router`] serves them.
pub struct Gateway {
    options: Arc<GatewayOptions>,
    table: Table,
    pool: DescriptorPool,
    bound: Vec<(Binding, Call)>,
}

// === impl Gateway ===

impl Gateway {
    /// A gateway without services.
    ///
    /// # Errors
    /// When the table or the descriptors of the contract are broken.
    pub fn new(options: GatewayOptions) -> Result<Self, Error> {
        let pool = DescriptorPool::decode(argosy_proto::DESCRIPTORS).map_err(Error::Descriptors)?;
        let table = Table::parse(&pool)?;
        Ok(Self { options: Arc::new(options), table, pool, bound: Vec::new() })
    }

    /// Every rpc that the table has a path for, as `package.Service/Method`, each once.
    pub fn rpcs(&self) -> Vec<String> {
        let mut rpcs: Vec<String> = self.table.bindings.iter().map(|binding| binding.rpc.clone()).collect();
        rpcs.dedup();
        rpcs
    }

    /// The rpcs with paths that nothing was bound to.
    pub fn unbound(&self) -> Vec<String> {
        let is_bound = |rpc: &String| self.bound.iter().any(|(binding, _)| binding.rpc == *rpc);
        self.rpcs().into_iter().filter(|rpc| !is_bound(rpc)).collect()
    }

    /// Binds a method of one request and one reply to its paths. `rpc` is
    /// `package.Service/Method`.
    ///
    /// # Errors
    /// When the table has no such row, it streams, or it is bound already.
    pub fn unary<Req, Rep, F, Fut>(&mut self, rpc: &str, call: F) -> Result<&mut Self, Error>
    where
        Req: Message + Default + DeserializeOwned + 'static,
        Rep: Message + Serialize + 'static,
        F: Fn(Request<Req>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<tonic::Response<Rep>, Status>> + Send + 'static,
    {
        let call = Arc::new(call);
        self.bind(rpc, Flow::Unary, move |incoming, binding, _| {
            let call = Arc::clone(&call);
            Box::pin(async move {
                let replied = match request::message(&incoming, &binding) {
                    Ok(message) => call(incoming.request(message)).await,
                    Err(status) => Err(status),
                };
                reply::unary(replied, &incoming.query).await
            })
        })
    }

    /// Binds a method whose reply is a stream, in the common form.
    ///
    /// # Errors
    /// As [`Gateway::unary`].
    pub fn server_streaming<Req, Rep, S, F, Fut>(&mut self, rpc: &str, call: F) -> Result<&mut Self, Error>
    where
        Req: Message + Default + DeserializeOwned + 'static,
        Rep: Message + Serialize + 'static,
        S: Stream<Item = Result<Rep, Status>> + Send + 'static,
        F: Fn(Request<Req>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<tonic::Response<S>, Status>> + Send + 'static,
    {
        self.server_streaming_as(rpc, StreamForm::default(), call)
    }

    /// Binds a method whose reply is a stream that is written in a form of its own.
    ///
    /// # Errors
    /// As [`Gateway::unary`].
    pub fn server_streaming_as<Req, Rep, S, F, Fut>(
        &mut self,
        rpc: &str,
        form: StreamForm<Rep>,
        call: F,
    ) -> Result<&mut Self, Error>
    where
        Req: Message + Default + DeserializeOwned + 'static,
        Rep: Message + Serialize + 'static,
        S: Stream<Item = Result<Rep, Status>> + Send + 'static,
        F: Fn(Request<Req>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<tonic::Response<S>, Status>> + Send + 'static,
    {
        let call = Arc::new(call);
        self.bind(rpc, Flow::ServerStream, move |incoming, binding, options| {
            let call = Arc::clone(&call);
            Box::pin(async move {
                let replied = match request::message(&incoming, &binding) {
                    Ok(message) => call(incoming.request(message)).await,
                    Err(status) => Err(status),
                };
                stream::streamed(replied, form, &incoming, options.keep_alive).await
            })
        })
    }

    /// Binds a method whose request is a stream: the body is JSON documents, one
    /// after the other. `Document` is how a message is written in JSON, for messages
    /// that have no JSON of their own; else it is the message.
    ///
    /// # Errors
    /// As [`Gateway::unary`].
    pub fn client_streaming<Document, Req, Rep, F, Fut>(&mut self, rpc: &str, call: F) -> Result<&mut Self, Error>
    where
        Document: DeserializeOwned + Into<Req> + 'static,
        Req: Message + Default + 'static,
        Rep: Message + Serialize + 'static,
        F: Fn(Request<Streaming<Req>>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<tonic::Response<Rep>, Status>> + Send + 'static,
    {
        let call = Arc::new(call);
        self.bind(rpc, Flow::ClientStream, move |incoming, _, options| {
            let call = Arc::clone(&call);
            Box::pin(async move {
                let replied = match request::messages::<Document, _>(&incoming, options.max_body) {
                    Ok(messages) => call(incoming.request(messages)).await,
                    Err(status) => Err(status),
                };
                reply::unary(replied, &incoming.query).await
            })
        })
    }

    fn bind<C>(&mut self, rpc: &str, flow: Flow, call: C) -> Result<&mut Self, Error>
    where
        C: Fn(request::Incoming, Arc<Binding>, Arc<GatewayOptions>) -> BoxFuture<'static, Response>
            + Send
            + Sync
            + 'static,
    {
        if self.bound.iter().any(|(binding, _)| binding.rpc == rpc) {
            return Err(Error::Twice(rpc.to_owned()));
        }
        let call: Call = Arc::new(call);
        let before = self.bound.len();
        for binding in self.table.bindings.iter().filter(|binding| binding.rpc == rpc) {
            if binding.flow != flow {
                return Err(Error::Flow(rpc.to_owned()));
            }
            self.bound.push((binding.clone(), Arc::clone(&call)));
        }
        if self.bound.len() == before { Err(Error::Unknown(rpc.to_owned())) } else { Ok(self) }
    }

    /// Serves `/api/…` with what was bound, and the description of the whole
    /// contract at `/swagger.json` and `/swagger-ui`. More specific paths below
    /// `/api` can be merged from other routers.
    pub fn into_router(self) -> Router {
        let description = openapi::Pages::new(&self.table, &self.pool);
        let mut routes: Vec<Route> =
            self.bound.into_iter().map(|(binding, call)| Route { binding: Arc::new(binding), call }).collect();
        // Where two rpcs have one path, the first of the table answers.
        routes.sort_by_key(|route| route.binding.row);
        let routes = Arc::new(Routes { options: self.options, routes });
        let api = any(move |request: axum::extract::Request| {
            let routes = Arc::clone(&routes);
            async move { routes.answer(request).await }
        });
        Router::new()
            .route("/api", api.clone())
            .route("/api/", api.clone())
            .route("/api/{*path}", api)
            .route("/swagger.json", get(description.document()))
            .route("/swagger-ui", get(openapi::page))
            .route("/swagger-ui.js", get(openapi::script))
    }
}

// === impl GatewayOptions ===

impl Default for GatewayOptions {
    fn default() -> Self {
        Self {
            content_types: vec!["application/json".to_owned()],
            // Well above what an object in etcd can be.
            max_body: 8 << 20,
            body_timeout: Duration::from_secs(60),
            keep_alive: Duration::from_secs(15),
        }
    }
}
