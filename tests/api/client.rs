//! One caller of one API replica. Its certificate is the only one that is trusted.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use anyhow::Context;
use argosy_proto::account::account_service_client::AccountServiceClient;
use argosy_proto::application::application_service_client::ApplicationServiceClient;
use argosy_proto::applicationset::application_set_service_client::ApplicationSetServiceClient;
use argosy_proto::certificate::certificate_service_client::CertificateServiceClient;
use argosy_proto::cluster::cluster_service_client::ClusterServiceClient;
use argosy_proto::cluster::settings_service_client::SettingsServiceClient;
use argosy_proto::gpgkey::gpg_key_service_client::GpgKeyServiceClient;
use argosy_proto::notification::notification_service_client::NotificationServiceClient;
use argosy_proto::project::project_service_client::ProjectServiceClient;
use argosy_proto::repocreds::repo_creds_service_client::RepoCredsServiceClient;
use argosy_proto::repository::repository_service_client::RepositoryServiceClient;
use argosy_proto::session::SessionCreateRequest;
use argosy_proto::session::session_service_client::SessionServiceClient;
use argosy_proto::version::version_service_client::VersionServiceClient;
use reqwest::Method;
use serde_json::Value;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status};

use super::reply::ApiReply;
use crate::Argosy;
use crate::certificates::install_crypto;

/// How long a call may take; a stream may stay open for longer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of a gRPC message, as the stock clients allow.
const MAX_MESSAGE: usize = 200 << 20;

/// A channel that shows the caller's token.
pub type Authorized = InterceptedService<Channel, Token>;

/// Adds the caller's token to every call, if there is one.
#[derive(Clone)]
pub struct Token(Option<MetadataValue<Ascii>>);

/// See the module's page. Clones share their connections. Make one in each test: its
/// workers live on the runtime that made it.
#[derive(Clone)]
pub struct ApiClient {
    pub(super) base: String,
    pub(super) http: reqwest::Client,
    channel: Channel,
    token: Option<String>,
}

// === impl Token ===

impl Interceptor for Token {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("token", token.clone());
        }
        Ok(request)
    }
}

// === impl ApiClient ===

impl ApiClient {
    /// A caller without a session, of a replica that presents the certificate.
    ///
    /// # Errors
    /// When the replica does not answer, or presents another certificate.
    pub async fn connect(server: &Argosy, certificate_pem: &str) -> anyhow::Result<Self> {
        Self::connect_from(server, certificate_pem, IpAddr::V4(Ipv4Addr::LOCALHOST)).await
    }

    /// The same from another address of the loopback network, as another client.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn connect_from(server: &Argosy, certificate_pem: &str, from: IpAddr) -> anyhow::Result<Self> {
        install_crypto();
        let address = server.api_address();
        let (_, port) = address.split_once(':').context("an address has a port")?;
        let trusted = reqwest::Certificate::from_pem(certificate_pem.as_bytes()).context("reading a certificate")?;
        let http = reqwest::Client::builder()
            .tls_certs_only([trusted])
            .resolve("localhost", address.parse().context("reading an address")?)
            .local_address(from)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .context("making an HTTP client")?;
        let trusted = tonic::transport::Certificate::from_pem(certificate_pem);
        let tls = ClientTlsConfig::new().ca_certificate(trusted).domain_name("localhost");
        let endpoint = Endpoint::from_shared(format!("https://{address}")).context("naming the API")?;
        let endpoint = endpoint.local_address(Some(from)).tls_config(tls).context("setting up TLS")?;
        let channel = endpoint.connect().await.context("connecting to the API")?;
        Ok(Self { base: format!("https://localhost:{port}"), http, channel, token: None })
    }

    /// A caller without a session, of a replica that was started with `--insecure`.
    ///
    /// # Errors
    /// When the replica does not answer.
    pub async fn connect_plain(server: &Argosy) -> anyhow::Result<Self> {
        install_crypto();
        let base = format!("http://{}", server.api_address());
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build();
        let channel = Endpoint::from_shared(base.clone()).context("naming the API")?.connect().await;
        let channel = channel.context("connecting to the API")?;
        Ok(Self { base, http: http.context("making an HTTP client")?, channel, token: None })
    }

    /// Signs in with a password; the caller that is returned shows the session's token.
    ///
    /// # Errors
    /// When the API refuses; the error is the [`Status`].
    pub async fn sign_in(&self, username: &str, password: &str) -> anyhow::Result<Self> {
        let request = SessionCreateRequest {
            username: username.to_owned(),
            password: password.to_owned(),
            ..SessionCreateRequest::default()
        };
        let session = self.sessions().create(request).await.map_err(anyhow::Error::from)?;
        Ok(self.with_token(&session.into_inner().token))
    }

    /// The same connections with another token.
    ///
    /// # Panics
    /// When the token cannot stand in a header.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        assert!(MetadataValue::<Ascii>::try_from(token).is_ok(), "a token is a header's value");
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// The same connections with no token.
    #[must_use]
    pub fn without_token(&self) -> Self {
        Self { token: None, ..self.clone() }
    }

    /// The token it shows; empty when there is none.
    pub fn token(&self) -> &str {
        self.token.as_deref().unwrap_or_default()
    }

    /// `https://localhost:PORT`.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The client for HTTP, which adds nothing to a request by itself.
    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// The gRPC channel with the caller's token, for calls by their path.
    pub fn channel(&self) -> Authorized {
        let token = self.token.as_deref().and_then(|token| MetadataValue::try_from(token).ok());
        InterceptedService::new(self.channel.clone(), Token(token))
    }

    /// A request to a path of the REST API (`/api/v1/...`), with the token as a
    /// bearer's.
    pub fn rest(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// GET; the answer, whatever its status.
    ///
    /// # Errors
    /// When there is none.
    pub async fn get(&self, path: &str) -> anyhow::Result<ApiReply> {
        ApiReply::of(self.rest(Method::GET, path).timeout(PATIENCE)).await
    }

    /// Any method with a body of JSON; the answer, whatever its status.
    ///
    /// # Errors
    /// When there is none.
    pub async fn send(&self, method: Method, path: &str, body: &Value) -> anyhow::Result<ApiReply> {
        ApiReply::of(self.rest(method, path).timeout(PATIENCE).json(body)).await
    }

    /// DELETE, with the content type that a browser's page must give.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn delete(&self, path: &str) -> anyhow::Result<ApiReply> {
        let request = self.rest(Method::DELETE, path).header("content-type", "application/json");
        ApiReply::of(request.timeout(PATIENCE)).await
    }
}

macro_rules! services {
    ($($(#[$doc:meta])* $method:ident => $client:ident),* $(,)?) => {
        impl ApiClient {$(
            $(#[$doc])*
            pub fn $method(&self) -> $client<Authorized> {
                let client = $client::new(self.channel());
                client.max_decoding_message_size(MAX_MESSAGE).max_encoding_message_size(MAX_MESSAGE)
            }
        )*}
    };
}

services! {
    /// Local accounts.
    accounts => AccountServiceClient,
    /// Applications.
    applications => ApplicationServiceClient,
    /// Sets of applications.
    application_sets => ApplicationSetServiceClient,
    /// Certificates and host keys of repositories' hosts.
    certificates => CertificateServiceClient,
    /// Clusters.
    clusters => ClusterServiceClient,
    /// Keys that sign commits.
    gpg_keys => GpgKeyServiceClient,
    /// The catalogue of notifications.
    notifications => NotificationServiceClient,
    /// Projects.
    projects => ProjectServiceClient,
    /// Repositories.
    repositories => RepositoryServiceClient,
    /// Templates of repositories' credentials.
    repo_credentials => RepoCredsServiceClient,
    /// Signing in and out.
    sessions => SessionServiceClient,
    /// What clients must know of the settings.
    settings => SettingsServiceClient,
    /// The version.
    version => VersionServiceClient,
}
