//! A call that finds its way to the owner.
//!
//! It starts with whoever was the owner last. A replica that is not says who is,
//! before it has done anything, and the same request goes there; nor has anything
//! been done by a replica that no connection could be made to. Nothing else is
//! ever asked twice: an answer that is lost may have had its effect.

use std::error::Error;
use std::sync::Arc;
use std::task::{Context, Poll};

use argosy_proto::peer::OWNER;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use tonic::Status;
use tonic::body::Body;
use tower::{BoxError, Service, ServiceExt as _};

use super::Peers;

/// Replicas that are asked at most: the one at hand, its successor, and the one
/// after that, should the entity move meanwhile.
const ASKED: usize = 3;

/// Its body is a stream from the user, and any replica can answer it.
const STREAMED: &str = "/argosy.peer.v1.Peer/ManifestsOfFiles";

/// Where calls go; see the module's page.
#[derive(Clone)]
pub(crate) struct Routed {
    peers: Peers,
    goal: Goal,
}

#[derive(Clone)]
enum Goal {
    /// The owner of this.
    Owner(Arc<str>),
    /// The replica at this address.
    Replica(String),
}

// === impl Routed ===

impl Routed {
    pub(super) fn about(peers: Peers, subject: Arc<str>) -> Self {
        Self { peers, goal: Goal::Owner(subject) }
    }

    pub(super) fn to(peers: Peers, address: String) -> Self {
        Self { peers, goal: Goal::Replica(address) }
    }

    async fn send(&self, address: &str, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        let mut channel = self.peers.connect(address)?;
        let answer = async { channel.ready().await?.call(request).await }.await;
        answer.map_err(|error| {
            self.peers.on_unreachable(address);
            error.into()
        })
    }

    async fn ask(self, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        let subject = match &self.goal {
            Goal::Replica(address) => return self.send(address, request).await,
            Goal::Owner(subject) => subject.clone(),
        };
        let first =
            || self.peers.first(&subject).ok_or_else(|| Status::unavailable("no controller replica is running"));
        let mut address = first()?;
        if request.uri().path() == STREAMED {
            return self.send(&address, request).await;
        }
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let mut asked = 1;
        loop {
            let request = Request::from_parts(parts.clone(), Body::new(Full::new(body.clone())));
            let answer = self.send(&address, request).await;
            let is_last = asked == ASKED;
            asked += 1;
            match answer {
                Ok(answer) => {
                    let owner = answer.headers().get(OWNER).and_then(|owner| owner.to_str().ok()).map(str::to_owned);
                    match owner {
                        Some(owner) if !is_last && self.peers.learn(&subject, &owner) => address = owner,
                        _ => return Ok(answer),
                    }
                }
                Err(error) if !is_last && was_not_sent(&*error) => {
                    let next = first()?;
                    if next == address {
                        return Err(error);
                    }
                    address = next;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl Service<Request<Body>> for Routed {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // The channel is waited for when the call knows which one.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.clone().ask(request).boxed()
    }
}

/// Whether there was no connection to send anything on.
fn was_not_sent(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<tonic::ConnectError>() {
            return true;
        }
        cause = error.source();
    }
    false
}
