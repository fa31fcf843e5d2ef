//! `argosy server`: one API replica.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use argosy_home::Settings;
use argosy_server::gateway::GatewayOptions;
use argosy_server::listener::{ListenerOptions, TlsOptions};
use argosy_server::{Random, Server, ServerOptions, Surroundings, VersionAnswer, prepare};
use rand::TryRngCore as _;
use tokio::net::TcpListener;

use crate::cli;
use crate::home::host_name;
use crate::signals;
use crate::web::{self, Vitals};

/// Component that events of the API name as their source.
const COMPONENT: &str = "argocd-server";

/// What `/metrics` and `/healthz` of the metrics port say of an API replica.
struct ServerVitals;

// === impl ServerVitals ===

impl Vitals for ServerVitals {
    fn exposition(&self) -> String {
        let version = argosy_server::API_VERSION;
        format!(
            "# HELP argocd_info Version of the API.\n# TYPE argocd_info gauge\nargocd_info{{version=\"{version}\"}} 1\n"
        )
    }

    fn health(&self) -> Result<(), String> {
        Ok(())
    }
}

/// Runs the replica until it is told to end.
///
/// # Errors
/// When the home cluster cannot be used or an address is taken.
pub(crate) fn run(options: cli::Server) -> anyhow::Result<()> {
    super::on_actors(serve(options))
}

async fn serve(options: cli::Server) -> anyhow::Result<()> {
    let shutdown = signals::shutdown()?;
    let recorder = web::install_recorder()?;
    let way = options.home.find().await?;
    let Some(home) = options.home.open(&way, &shutdown).await else { return Ok(()) };
    home.watch_peers(way.clock.clone());
    let random: Random = Arc::new(fill);
    let prepared = prepare(&home, &random, (way.clock)())
        .await
        .context("the installation cannot be prepared: settings, keys and the default project")?;
    if prepared.admin_password_made {
        tracing::info!("the password of admin is in the Secret argocd-initial-admin-secret");
    }
    let settings = home.settings();
    let identity = way.identity(&home, &host_name()).await?;
    let address = address(&options, &settings)?;
    let port = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}; choose another with --address and --port"))?;
    let surroundings = Surroundings { home, events: way.events(COMPONENT), identity, clock: way.clock.clone(), random };
    let server = Server::start(
        surroundings,
        server_options(&options, &settings),
        gateway_options(&options, &settings),
        listener_options(&options, &settings),
    )?;
    tracing::info!(address = %port.local_addr()?, "serving the API");
    let serving = async { server.serve(port, shutdown.clone()).await.context("the API ended") };
    let watched = web::serve(options.metrics_address, recorder, Arc::new(ServerVitals), shutdown.clone());
    tokio::try_join!(serving, watched).map(drop)
}

/// Random bytes from the system.
pub(super) fn fill(bytes: &mut [u8]) {
    rand::rngs::OsRng.try_fill_bytes(bytes).expect("the system has a source of random bytes");
}

fn address(options: &cli::Server, settings: &Settings) -> anyhow::Result<SocketAddr> {
    let host = options.address.as_ref().unwrap_or(&settings.server.listen_address);
    let host = host.parse().with_context(|| format!("{host} is not an address to listen on"))?;
    Ok(SocketAddr::new(host, options.port))
}

fn server_options(options: &cli::Server, settings: &Settings) -> ServerOptions {
    let known = &settings.server;
    let base = options.base_href.clone().unwrap_or_else(|| known.base_href.clone());
    let root = root_path(options, settings);
    ServerOptions {
        namespace: options.home.namespace.clone(),
        application_namespaces: options.home.namespaces(),
        disable_auth: options.disable_auth.unwrap_or(known.disable_auth),
        insecure: insecure(options, settings),
        base_href: if base.trim_matches('/').is_empty() { root.clone() } else { base.trim_matches('/').to_owned() },
        root_path: root,
        sync_with_replace_allowed: known.sync_replace_allowed,
        max_cookies: usize::try_from(known.http_cookie_max_number).unwrap_or(usize::MAX),
        dex_server: options.dex_server.clone().unwrap_or_else(|| known.dex_server.clone()),
        dex_plaintext: options.dex_server_plaintext.unwrap_or(known.dex_server_plaintext),
        dex_strict_tls: options.dex_server_strict_tls.unwrap_or(known.dex_server_strict_tls),
        trusted_proxies: options.trusted_proxies.clone(),
        max_concurrent_logins: options.max_concurrent_logins,
        login_failures: (options.login_max_failures, Duration::from_secs(options.login_window)),
        login_cache_size: options.login_cache_size,
        webhook_parallelism: usize::try_from(known.webhook_parallelism_limit).unwrap_or(usize::MAX),
        version: version(),
    }
}

fn gateway_options(options: &cli::Server, settings: &Settings) -> GatewayOptions {
    let types = options.api_content_types.as_ref().unwrap_or(&settings.server.api_content_types);
    let types = types.split(';').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned);
    GatewayOptions { content_types: types.collect(), ..GatewayOptions::default() }
}

fn listener_options(options: &cli::Server, settings: &Settings) -> ListenerOptions {
    let known = &settings.server;
    let or = |flag: &Option<String>, known: &str| flag.clone().unwrap_or_else(|| known.to_owned());
    ListenerOptions {
        root_path: root_path(options, settings),
        tls: TlsOptions {
            min: or(&options.tls_min_version, &known.tls_min_version),
            max: or(&options.tls_max_version, &known.tls_max_version),
            ciphers: or(&options.tls_ciphers, &known.tls_ciphers.join(":")),
        },
        x_frame_options: or(&options.x_frame_options, &known.x_frame_options),
        content_security_policy: or(&options.content_security_policy, &known.content_security_policy),
        gzip: options.enable_gzip.unwrap_or(known.enable_gzip),
        ..ListenerOptions::default()
    }
}

fn insecure(options: &cli::Server, settings: &Settings) -> bool {
    options.insecure.unwrap_or(settings.server.insecure)
}

fn root_path(options: &cli::Server, settings: &Settings) -> String {
    let root = options.root_path.as_ref().unwrap_or(&settings.server.root_path);
    root.trim_matches('/').to_owned()
}

fn version() -> VersionAnswer {
    VersionAnswer {
        version: argosy_server::API_VERSION.to_owned(),
        build_date: String::new(),
        git_commit: String::new(),
        compiler: "rustc".to_owned(),
        platform: format!("{}/{}", std::env::consts::OS, architecture()),
    }
}

/// The architecture by the name that clients know.
const fn architecture() -> &'static str {
    if cfg!(target_arch = "x86_64") {
        "amd64"
    } else if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        std::env::consts::ARCH
    }
}
