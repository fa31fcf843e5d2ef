//! The protocol over http and https: one request lists, one request fetches.
//!
//! Redirects are followed for the first request only, never from https to http,
//! and once they lead to another origin neither credentials nor a client
//! certificate are shown any more. A refused password is one error; there is no
//! second try.

use argosy_model::Secret;
use futures::TryStreamExt as _;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, LOCATION};
use reqwest::{Certificate, Client, Identity, NoProxy, Proxy, RequestBuilder, Response, StatusCode, redirect};
use tokio_util::io::StreamReader;
use url::Url;

use crate::session::Peer;
use crate::wire::{PacketReader, request};
use crate::{Auth, Credentials, Error};

const MAX_REDIRECTS: usize = 5;
const QUERY: &str = "service=git-upload-pack";
const LIST: &str = "/info/refs";
const FETCH: &str = "/git-upload-pack";

pub(crate) struct SmartHttp {
    client: Client,
    /// The repository after redirects, without a trailing slash.
    base: Url,
    authorization: Authorization,
}

/// A user name and a password out of an http URL.
type Userinfo = (String, Secret<String>);

#[derive(Clone)]
enum Authorization {
    None,
    Basic(String, Secret<String>),
    Bearer(Secret<String>),
}

// === impl SmartHttp ===

impl SmartHttp {
    /// Makes the first request and returns its answer.
    pub(crate) async fn connect(
        peer: &Peer<'_>,
        url: &Url,
        userinfo: Option<&Userinfo>,
    ) -> Result<(Self, PacketReader), Error> {
        let mut this = Self {
            client: client(peer.credentials, true)?,
            base: url.clone(),
            authorization: Authorization::of(peer.credentials, userinfo)?,
        };
        let mut target = this.endpoint(LIST);
        target.set_query(Some(QUERY));
        for _ in 0..=MAX_REDIRECTS {
            let request = this.client.get(target.clone()).header("Git-Protocol", "version=2");
            let response = this.send(peer, request).await?;
            if let Some(next) = redirect_target(peer, &target, &response)? {
                if next.origin() != target.origin() {
                    this.client = client(peer.credentials, false)?;
                    this.authorization = Authorization::None;
                }
                target = next;
                continue;
            }
            check(peer, &response, "application/x-git-upload-pack-advertisement")?;
            let path = target.path().strip_suffix(LIST).map(str::to_owned);
            let path = path.ok_or_else(|| protocol(peer, "a redirect leads to something that is no repository"))?;
            target.set_query(None);
            target.set_path(&path);
            this.base = target;
            return Ok((this, body(peer, response)));
        }
        Err(protocol(peer, "too many redirects"))
    }

    /// Makes a further request.
    pub(crate) async fn post(&self, peer: &Peer<'_>, message: Vec<u8>, v2: bool) -> Result<PacketReader, Error> {
        let mut request = self
            .client
            .post(self.endpoint(FETCH))
            .header(CONTENT_TYPE, "application/x-git-upload-pack-request")
            .header(ACCEPT, "application/x-git-upload-pack-result")
            .body(message);
        if v2 {
            request = request.header("Git-Protocol", "version=2");
        }
        let response = self.send(peer, request).await?;
        check(peer, &response, "application/x-git-upload-pack-result")?;
        Ok(body(peer, response))
    }

    async fn send(&self, peer: &Peer<'_>, request: RequestBuilder) -> Result<Response, Error> {
        let request = match &self.authorization {
            Authorization::None => request,
            Authorization::Basic(user, password) => request.basic_auth(user, Some(password.expose())),
            Authorization::Bearer(token) => {
                let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose()))
                    .map_err(|_| Error::InvalidCredentials { reason: "the bearer token has control characters" })?;
                value.set_sensitive(true);
                request.header(AUTHORIZATION, value)
            }
        };
        request.send().await.map_err(|error| failure(peer, error))
    }

    fn endpoint(&self, suffix: &str) -> Url {
        let mut url = self.base.clone();
        let path = format!("{}{suffix}", url.path().trim_end_matches('/'));
        url.set_path(&path);
        url
    }
}

// === impl Authorization ===

impl Authorization {
    /// Configured credentials go before those in the URL.
    fn of(credentials: &Credentials, userinfo: Option<&Userinfo>) -> Result<Self, Error> {
        match (&credentials.auth, userinfo) {
            (Auth::Basic { username, password }, _) => Ok(Self::Basic(username.clone(), password.clone())),
            (Auth::Bearer(token), _) => Ok(Self::Bearer(token.clone())),
            (Auth::Anonymous, Some((user, password))) => Ok(Self::Basic(user.clone(), password.clone())),
            (Auth::Anonymous, None) => Ok(Self::None),
            (Auth::SshKey(_), _) => {
                Err(Error::InvalidCredentials { reason: "an ssh key cannot be used with an http or https URL" })
            }
        }
    }
}

fn client(credentials: &Credentials, with_identity: bool) -> Result<Client, Error> {
    let invalid = |reason| move |_: reqwest::Error| Error::InvalidCredentials { reason };
    let mut builder = Client::builder()
        .user_agent(request::AGENT)
        .redirect(redirect::Policy::none())
        .tls_danger_accept_invalid_certs(credentials.insecure);
    if let Some(pem) = &credentials.ca_bundle {
        let bundle = Certificate::from_pem_bundle(pem.as_bytes()).map_err(invalid("the CA bundle is not PEM"))?;
        if bundle.is_empty() {
            return Err(Error::InvalidCredentials { reason: "the CA bundle holds no certificate" });
        }
        builder = builder.tls_certs_only(bundle);
    }
    if let Some(own) = credentials.client_certificate.as_ref().filter(|_| with_identity) {
        let pem = Secret::new(format!("{}\n{}", own.certificate, own.key.expose()));
        let identity = Identity::from_pem(pem.expose().as_bytes())
            .map_err(invalid("the TLS client certificate or its key is not PEM"))?;
        builder = builder.identity(identity);
    }
    if let Some(proxy) = &credentials.proxy {
        let proxy = Proxy::all(proxy.expose().as_str()).map_err(invalid("the proxy URL does not parse"))?;
        builder = builder.proxy(proxy.no_proxy(credentials.no_proxy.as_deref().and_then(NoProxy::from_string)));
    }
    builder.build().map_err(invalid("the TLS settings do not fit together"))
}

/// Where a redirect leads; `None` when the answer is not one.
fn redirect_target(peer: &Peer<'_>, from: &Url, response: &Response) -> Result<Option<Url>, Error> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let mut next = location
        .and_then(|location| from.join(location).ok())
        .ok_or_else(|| protocol(peer, "a redirect leads nowhere"))?;
    let downgrade = from.scheme() == "https" && next.scheme() != "https";
    if downgrade || !matches!(next.scheme(), "http" | "https") {
        return Err(protocol(peer, "a redirect leads away from https"));
    }
    let cleared = next.set_username("").and_then(|()| next.set_password(None));
    cleared.map_err(|()| protocol(peer, "a redirect leads nowhere"))?;
    Ok(Some(next))
}

fn check(peer: &Peer<'_>, response: &Response, expected: &str) -> Result<(), Error> {
    let repo = peer.url.to_string();
    match response.status() {
        StatusCode::OK => {}
        StatusCode::UNAUTHORIZED => return Err(Error::AuthenticationRequired { repo }),
        StatusCode::FORBIDDEN => return Err(Error::Forbidden { repo }),
        StatusCode::NOT_FOUND | StatusCode::GONE => return Err(Error::RepositoryNotFound { repo }),
        status => return Err(Error::HttpStatus { repo, status: status.as_u16() }),
    }
    let kind = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    match kind.and_then(|kind| kind.split(';').next()).map(str::trim) {
        Some(kind) if kind == expected => Ok(()),
        _ => Err(protocol(peer, "the URL answers, but not as a git repository")),
    }
}

fn body(peer: &Peer<'_>, response: Response) -> PacketReader {
    let stream = Box::pin(response.bytes_stream().map_err(|error| std::io::Error::other(error.without_url())));
    PacketReader::new(StreamReader::new(stream), peer.max_bytes)
}

fn protocol(peer: &Peer<'_>, reason: &'static str) -> Error {
    Error::Protocol { repo: peer.url.to_string(), reason }
}

fn failure(peer: &Peer<'_>, error: reqwest::Error) -> Error {
    let repo = peer.url.to_string();
    let source = error.without_url();
    let mut cause: Option<&dyn std::error::Error> = Some(&source);
    let mut tls = false;
    while let Some(error) = cause {
        let text = error.to_string().to_lowercase();
        tls |= ["certificate", "handshake", "fatal alert"].iter().any(|word| text.contains(word));
        cause = error.source();
    }
    if tls { Error::Tls { repo, source } } else { Error::Connect { repo, source } }
}
