//! Putting a replica together: what it shares, its services, its port.

mod certificate;
mod health;

use std::sync::Arc;

use argosy_auth::sign_in::Limits;
use argosy_fleet::peer_tls::{Identity, TlsError};
use argosy_home::{Clock, EventWriter, Home};
use argosy_proto::account::account_service_server::AccountServiceServer;
use argosy_proto::application::application_service_server::ApplicationServiceServer;
use argosy_proto::applicationset::application_set_service_server::ApplicationSetServiceServer;
use argosy_proto::certificate::certificate_service_server::CertificateServiceServer;
use argosy_proto::cluster::cluster_service_server::ClusterServiceServer;
use argosy_proto::cluster::settings_service_server::SettingsServiceServer;
use argosy_proto::gpgkey::gpg_key_service_server::GpgKeyServiceServer;
use argosy_proto::notification::notification_service_server::NotificationServiceServer;
use argosy_proto::project::project_service_server::ProjectServiceServer;
use argosy_proto::repocreds::repo_creds_service_server::RepoCredsServiceServer;
use argosy_proto::repository::repository_service_server::RepositoryServiceServer;
use argosy_proto::session::session_service_server::SessionServiceServer;
use argosy_proto::version::version_service_server::VersionServiceServer;
use axum::Router;
use axum::middleware::from_fn_with_state;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::server::NamedService;
use tonic::service::{Routes, RoutesBuilder};

use crate::api::Api;
use crate::authentication::authenticate;
use crate::authority::Authority;
use crate::gateway::{self, Gateway, GatewayOptions};
use crate::grpc_metrics::{Rpcs, count};
use crate::index::Index;
use crate::listener::{self, DEFAULT_MAX_GRPC_MESSAGE, ListenerOptions};
use crate::options::ServerOptions;
use crate::peers::Peers;
use crate::services::{
    account, application, applicationset, certificate as certificates, cluster, gpgkey, notification, project,
    repocreds, repository, session, settings, version,
};
use crate::shared::{Random, Shared};
use crate::sso::Sso;
use crate::{auth_routes, badge, webhook};

/// Why a replica cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The identity towards controller replicas.
    #[error("controller replicas cannot be spoken to")]
    Peers(#[source] TlsError),
    /// A mistake in the table of services.
    #[error("the REST gateway cannot be set up")]
    Gateway(#[from] gateway::Error),
    /// The compiled contract.
    #[error("the contract's descriptors cannot be read")]
    Descriptors(#[source] prost_reflect::DescriptorError),
    /// The gRPC descriptors.
    #[error("gRPC reflection cannot be set up")]
    Reflection(#[source] tonic_reflection::server::Error),
    /// The certificate of the port.
    #[error("there is no certificate to serve with")]
    Certificate(#[source] certificate::Error),
    /// The port itself.
    #[error("the port cannot be served")]
    Listener(#[from] listener::Error),
}

/// What a replica is given to work with.
pub struct Surroundings {
    /// The home cluster: ready, prepared and watching its peers.
    pub home: Home,
    /// Where changes are told.
    pub events: EventWriter,
    /// Who this process is to controller replicas.
    pub identity: Identity,
    /// Tells the time.
    pub clock: Clock,
    /// Makes bytes that nobody can guess.
    pub random: Random,
}

/// An API replica, ready to serve.
pub struct Server {
    shared: Arc<Shared>,
    grpc: Router,
    http: Router,
    listener: ListenerOptions,
}

// === impl Server ===

impl Server {
    /// Puts the replica together and starts the Api actor on the current arbiter.
    ///
    /// # Errors
    /// [`Error`].
    pub fn start(
        surroundings: Surroundings,
        options: ServerOptions,
        gateway: GatewayOptions,
        listener: ListenerOptions,
    ) -> Result<Self, Error> {
        let Surroundings { home, events, identity, clock, random } = surroundings;
        let peers = Peers::new(home.clone(), &identity).map_err(Error::Peers)?;
        let sso = Sso::new(home.clone(), clock.clone(), random.clone(), &options);
        let authority = Authority::new(home.clone(), clock.clone(), sso, options.disable_auth);
        let (failures, window) = options.login_failures;
        let limits = Limits {
            max_failures: failures,
            window: u32::try_from(window.as_secs()).unwrap_or(u32::MAX),
            max_entries: u32::try_from(options.login_cache_size).unwrap_or(u32::MAX),
            ..Limits::default()
        };
        let concurrency = options.max_concurrent_logins;
        let api = Api::start(home.clone(), authority.clone(), clock.clone(), random.clone(), limits, concurrency);
        let index = Index::start(&home);
        let shared = Arc::new(Shared { home, peers, authority, api, index, events, clock, random, options });
        let (grpc, http, services) = routes(&shared, gateway)?;
        Ok(Self { shared, grpc, http, listener: ListenerOptions { grpc_services: services, ..listener } })
    }

    /// Serves until `shutdown`, then drains.
    ///
    /// # Errors
    /// [`Error::Certificate`] or [`Error::Listener`].
    pub async fn serve(self, port: TcpListener, shutdown: CancellationToken) -> Result<(), Error> {
        let certificate = if self.shared.options.insecure {
            None
        } else {
            Some(certificate::follow(&self.shared.home, &self.shared.clock).await.map_err(Error::Certificate)?)
        };
        listener::serve(port, certificate, self.grpc, self.http, self.listener, shutdown).await?;
        Ok(())
    }
}

/// Registers every service twice: with gRPC and with the gateway.
struct Registry {
    grpc: RoutesBuilder,
    gateway: Gateway,
    names: Vec<String>,
}

// === impl Registry ===

impl Registry {
    fn grpc<S>(&mut self, service: S)
    where
        S: tower::Service<
                http::Request<tonic::body::Body>,
                Response = http::Response<tonic::body::Body>,
                Error = std::convert::Infallible,
            > + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        self.names.push(S::NAME.to_owned());
        self.grpc.add_service(service);
    }
}

/// gRPC's routes, HTTP's, and the names of the services.
fn routes(shared: &Arc<Shared>, options: GatewayOptions) -> Result<(Router, Router, Vec<String>), Error> {
    let mut registry = Registry { grpc: Routes::builder(), gateway: Gateway::new(options)?, names: Vec::new() };
    macro_rules! register {
        ($($module:ident => $server:ident),* $(,)?) => {$(
            let service = Arc::new($module::Service::new(shared.clone()));
            service.bind(&mut registry.gateway)?;
            registry.grpc(
                $server::from_arc(service)
                    .max_decoding_message_size(DEFAULT_MAX_GRPC_MESSAGE)
                    .max_encoding_message_size(DEFAULT_MAX_GRPC_MESSAGE),
            );
        )*};
    }
    register! {
        session => SessionServiceServer, version => VersionServiceServer, settings => SettingsServiceServer,
        account => AccountServiceServer, application => ApplicationServiceServer, applicationset => ApplicationSetServiceServer,
        certificates => CertificateServiceServer, gpgkey => GpgKeyServiceServer,
        notification => NotificationServiceServer,
        project => ProjectServiceServer,
        cluster => ClusterServiceServer, repository => RepositoryServiceServer,
        repocreds => RepoCredsServiceServer,
    }
    for rpc in registry.gateway.unbound() {
        tracing::error!(rpc, "an rpc of the contract has a path, but nothing answers there");
    }
    registry.grpc(health::service());
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(argosy_proto::DESCRIPTORS)
        .build_v1()
        .map_err(Error::Reflection)?;
    registry.grpc(reflection);
    let authenticated = |router: Router| router.layer(from_fn_with_state(shared.clone(), authenticate));
    let rpcs = Rpcs::read().map_err(Error::Descriptors)?;
    let grpc = authenticated(registry.grpc.routes().into_axum_router()).layer(from_fn_with_state(rpcs, count));
    let http = registry
        .gateway
        .into_router()
        .merge(auth_routes::router(shared.clone()))
        .merge(badge::routes(shared.clone()))
        .merge(webhook::routes(shared.clone()))
        .merge(health::routes(shared.clone()));
    Ok((grpc, authenticated(http), registry.names))
}
