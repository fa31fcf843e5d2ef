//! The HTTP clients of one credential.
//!
//! HTTP/2 where the server speaks it: a cluster costs a few connections, not one
//! per watch, and a dead peer is noticed by a ping instead of by silence.
//! Watches and calls have connections of their own: a server caps the streams
//! of a connection, and a hundred open watches must not keep a call waiting.

use std::time::Duration;

use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::middleware::AuthLayer;
use kube::client::{Body, ClientBuilder, ConfigExt};
use tower::{BoxError, ServiceBuilder};

use crate::budget::Priority;
use crate::call::Call;
use crate::cloud::{Cloud, Tokens};
use crate::error::{Error, Result, from_kube};

/// Streams per watch connection. kube-apiserver allows 100; the rest is room
/// for restarts that overlap.
pub(crate) const WATCHES_PER_LANE: usize = 80;

/// Connections for watches, made when first used. Enough for 640 kinds at once;
/// beyond that streams queue for a place.
const WATCH_LANES: usize = 8;

const CONNECT: Duration = Duration::from_secs(10);
const PING_EVERY: Duration = Duration::from_secs(20);
const PING_ANSWER: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_secs(90);

/// The clients of one credential; dropped when nothing uses them any more.
pub(crate) struct Lanes {
    /// For everything with an end.
    pub(crate) calls: kube::Client,
    /// For watches.
    pub(crate) watches: Vec<Lane>,
    /// What they were made from.
    pub(crate) reach: Reach,
    /// The provider's tokens they send.
    pub(crate) tokens: Option<Tokens>,
}

/// How a cluster is reached, and as whom.
#[derive(Clone, Debug)]
pub(crate) struct Reach {
    pub(crate) config: kube::Config,
    /// Whose tokens to send, where a cloud provider makes them.
    pub(crate) cloud: Option<Cloud>,
}

/// A client whose streams share one connection.
pub(crate) struct Lane {
    client: kube::Client,
    /// Set once the connection is there. Streams opened before would each make
    /// a connection of their own: which protocol is spoken shows only then.
    warm: tokio::sync::OnceCell<()>,
}

// === impl Lane ===

impl Lane {
    /// The client, connected.
    pub(crate) async fn client(&self) -> Result<&kube::Client> {
        let connect = || async {
            let request = Call::get("/version", Priority::Watch).request(None)?;
            let answer = tokio::time::timeout(CONNECT, self.client.send(request));
            // Whatever the answer says, there is a connection now.
            answer.await.map_err(|_| Error::Timeout(CONNECT))?.map_err(|e| from_kube(&e))?;
            Ok(())
        };
        self.warm.get_or_try_init(connect).await?;
        Ok(&self.client)
    }
}

// === impl Lanes ===

impl Lanes {
    /// Makes the clients. Connects to nothing yet, but runs the exec plugin
    /// where there is one.
    ///
    /// # Errors
    /// [`Error::Config`] for unusable trust or client certificates,
    /// [`Error::Credential`] when the plugin fails.
    pub(crate) async fn build(reach: Reach) -> Result<Self> {
        install_crypto();
        let copy = reach.config.clone();
        let tokens = reach.cloud.clone().map(Tokens::new);
        let sent = tokens.clone();
        let (calls, watches) = tokio::task::spawn_blocking({
            // The layers spawn their workers on the runtime they are made in.
            let runtime = tokio::runtime::Handle::current();
            move || {
                let _inside = runtime.enter();
                let shared = Common::of(&copy)?;
                let client = || client(&copy, &shared, sent.as_ref());
                let lane = |_| Ok(Lane { client: client()?, warm: tokio::sync::OnceCell::new() });
                let watches = (0..WATCH_LANES).map(lane).collect::<Result<Vec<_>>>()?;
                Ok::<_, Error>((client()?, watches))
            }
        })
        .await
        .map_err(|_| Error::Config("building the client failed".to_owned()))??;
        Ok(Self { calls, watches, reach, tokens })
    }
}

/// One client, for a few calls.
pub(crate) async fn single(config: kube::Config) -> Result<kube::Client> {
    install_crypto();
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || {
        let _inside = runtime.enter();
        client(&config, &Common::of(&config)?, None)
    })
    .await
    .map_err(|_| Error::Config("building the client failed".to_owned()))?
}

/// A client that may upgrade its connection (exec, attach, port-forward), which
/// only HTTP/1.1 does.
pub(crate) async fn upgradable(mut config: kube::Config, tokens: Option<&Tokens>) -> Result<kube::Client> {
    install_crypto();
    if let Some(tokens) = tokens {
        let token = tokens.current().await?;
        let unusable = |_| Error::Credential("the provider's token does not form a credential".to_owned());
        let identity = serde_json::from_value(serde_json::json!({"token": token.expose()})).map_err(unusable)?;
        let acting = std::mem::replace(&mut config.auth_info, identity);
        config.auth_info.impersonate = acting.impersonate;
        config.auth_info.impersonate_groups = acting.impersonate_groups;
    }
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || {
        let _inside = runtime.enter();
        kube::Client::try_from(config).map_err(|e| from_kube(&e))
    })
    .await
    .map_err(|_| Error::Config("building the client failed".to_owned()))?
}

/// What the clients of one credential have in common: made once, for it takes
/// reading certificates and running the exec plugin.
struct Common {
    tls: rustls::ClientConfig,
    auth: Option<AuthLayer>,
}

// === impl Common ===

impl Common {
    /// Nothing where kube makes the clients.
    fn of(config: &kube::Config) -> Result<Option<Self>> {
        if config.proxy_url.is_some() {
            return Ok(None);
        }
        let tls = config.rustls_client_config().map_err(|e| from_kube(&e))?;
        Ok(Some(Self { tls, auth: config.auth_layer().map_err(|e| from_kube(&e))? }))
    }
}

fn client(config: &kube::Config, shared: &Option<Common>, tokens: Option<&Tokens>) -> Result<kube::Client> {
    let client = match shared {
        Some(shared) => direct(config, shared)?,
        // kube knows how to tunnel; what a proxy adds is one connection per watch.
        None => ClientBuilder::try_from(config.clone()).map_err(|e| from_kube(&e))?.build(),
    };
    let Some(tokens) = tokens.cloned() else { return Ok(client) };
    let service = tower::service_fn(move |request| {
        let (client, tokens) = (client.clone(), tokens.clone());
        async move {
            let request = tokens.authorize(request).await?;
            client.send(request).await.map_err(BoxError::from)
        }
    });
    Ok(kube::Client::new(service, config.default_namespace.clone()))
}

fn direct(config: &kube::Config, shared: &Common) -> Result<kube::Client> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(CONNECT));
    http.set_keepalive(Some(Duration::from_secs(30)));
    let mut https = hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(shared.tls.clone()).https_or_http();
    if let Some(name) = &config.tls_server_name {
        let name = name
            .clone()
            .try_into()
            .map_err(|_| Error::Config("tlsClientConfig.serverName is not a host name".to_owned()))?;
        https = https.with_server_name_resolver(hyper_rustls::FixedServerNameResolver::new(name));
    }
    let connector = https.enable_all_versions().wrap_connector(http);
    let client: HttpClient<_, Body> = HttpClient::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .http2_keep_alive_interval(PING_EVERY)
        .http2_keep_alive_timeout(PING_ANSWER)
        .http2_keep_alive_while_idle(true)
        .build(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(shared.auth.as_ref())
        .layer(config.extra_headers_layer().map_err(|e| from_kube(&e))?)
        .map_err(BoxError::from)
        .service(client);
    Ok(kube::Client::new(service, config.default_namespace.clone()))
}

fn install_crypto() {
    // Fails only when one is installed already, which is what is wanted.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
