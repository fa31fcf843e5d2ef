//! `git http-backend` behind a TLS server of its own.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What the server insists on.
#[derive(Clone, Default)]
pub(crate) struct Policy {
    /// The value of the `Authorization` header.
    pub(crate) authorization: Option<String>,
    pub(crate) client_certificates: bool,
    /// Hide the wish for version 2.
    pub(crate) version_0: bool,
    /// Send every request for `/moved/..` to this origin.
    pub(crate) redirect: Option<String>,
    /// Accept requests and never answer.
    pub(crate) silent: bool,
}

pub(crate) struct HttpsServer {
    address: SocketAddr,
    pub(crate) ca: Authority,
    seen: Arc<Mutex<Vec<Seen>>>,
    // Stops the server when dropped.
    _runtime: tokio::runtime::Runtime,
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) authorization: Option<String>,
    pub(crate) client_certificate: bool,
    pub(crate) user_agent: String,
}

/// A certificate authority for one test.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate and its key, PEM.
    pub(crate) fn sign(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

pub(crate) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
}

impl HttpsServer {
    /// Serves the repositories in `folder` on a free port of localhost.
    pub(crate) fn start(folder: &Path, policy: Policy) -> Self {
        let ca = Authority::new();
        let acceptor = TlsAcceptor::from(Arc::new(tls(&ca, policy.client_certificates)));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        runtime.spawn(serve(listener, acceptor, folder.to_owned(), policy, seen.clone()));
        Self { address, ca, seen, _runtime: runtime }
    }

    pub(crate) fn origin(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

fn tls(ca: &Authority, client_certificates: bool) -> rustls::ServerConfig {
    use rustls::pki_types::pem::PemObject as _;
    let der = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let (certificate, key) = ca.sign("localhost");
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let builder = builder.unwrap();
    let builder = if client_certificates {
        let mut roots = RootCertStore::empty();
        roots.add(der(&ca.pem)).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        builder.with_client_cert_verifier(verifier)
    } else {
        builder.with_no_client_auth()
    };
    builder.with_single_cert(vec![der(&certificate)], key).unwrap()
}

async fn serve(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    folder: PathBuf,
    policy: Policy,
    seen: Arc<Mutex<Vec<Seen>>>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, folder, policy, seen) = (acceptor.clone(), folder.clone(), policy.clone(), seen.clone());
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let certificate = stream.get_ref().1.peer_certificates().is_some();
            let service = service_fn(move |request: Request<Incoming>| {
                let (folder, policy, seen) = (folder.clone(), policy.clone(), seen.clone());
                async move { Ok::<_, Infallible>(answer(request, &folder, &policy, &seen, certificate).await) }
            });
            let served = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            // A client that hangs up is its own test's business.
            let _ = served.await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    folder: &Path,
    policy: &Policy,
    seen: &Mutex<Vec<Seen>>,
    client_certificate: bool,
) -> Response<Full<Bytes>> {
    let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let path = request.uri().path().to_owned();
    let authorization = header("authorization");
    let user_agent = header("user-agent").unwrap_or_default();
    seen.lock().unwrap().push(Seen {
        path: path.clone(),
        authorization: authorization.clone(),
        client_certificate,
        user_agent,
    });
    if policy.silent {
        std::future::pending::<()>().await;
    }
    let plain = |status: u16| Response::builder().status(status).body(Full::default()).unwrap();
    if let (Some(origin), Some(rest)) = (&policy.redirect, path.strip_prefix("/moved")) {
        let query = request.uri().query().unwrap_or_default();
        let mut response = plain(302);
        response.headers_mut().insert("location", format!("{origin}{rest}?{query}").parse().unwrap());
        return response;
    }
    if policy.authorization.is_some() && policy.authorization != authorization {
        let mut response = plain(401);
        response.headers_mut().insert("www-authenticate", "Basic realm=\"git\"".parse().unwrap());
        return response;
    }
    let mut command = tokio::process::Command::new("git");
    command.arg("http-backend").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    command.env("GIT_PROJECT_ROOT", folder).env("GIT_HTTP_EXPORT_ALL", "1").env("PATH_INFO", &path);
    command.env("REQUEST_METHOD", request.method().as_str()).env("REMOTE_ADDR", "127.0.0.1");
    command.env("QUERY_STRING", request.uri().query().unwrap_or_default());
    command.env("CONTENT_TYPE", header("content-type").unwrap_or_default());
    if let Some(version) = header("git-protocol").filter(|_| !policy.version_0) {
        command.env("HTTP_GIT_PROTOCOL", &version).env("GIT_PROTOCOL", version);
    }
    let body = request.into_body().collect().await.unwrap().to_bytes();
    command.env("CONTENT_LENGTH", body.len().to_string());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // The backend does not read what it does not want.
    let write = async move { stdin.write_all(&body).await };
    let (_, output) = tokio::join!(write, child.wait_with_output());
    from_cgi(&output.unwrap().stdout)
}

fn from_cgi(output: &[u8]) -> Response<Full<Bytes>> {
    let end = output.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    let mut builder = Response::builder();
    for line in std::str::from_utf8(&output[..end]).unwrap().lines() {
        let (name, value) = line.split_once(": ").unwrap();
        builder = match name {
            "Status" => builder.status(value[..3].parse::<u16>().unwrap()),
            _ => builder.header(name, value),
        };
    }
    builder.body(Full::new(Bytes::copy_from_slice(&output[end + 4..]))).unwrap()
}
