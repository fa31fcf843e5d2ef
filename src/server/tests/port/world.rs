//! A server on a free port with small services made of the contract's own traits.

#![allow(dead_code, reason = "each test program uses its part")]

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use argosy_proto::applicationset::application_set_service_server::{
    ApplicationSetService, ApplicationSetServiceServer,
};
use argosy_proto::applicationset::{
    ApplicationSetCreateRequest, ApplicationSetDeleteRequest, ApplicationSetGenerateRequest,
    ApplicationSetGenerateResponse, ApplicationSetGetQuery, ApplicationSetListQuery, ApplicationSetResponse,
    ApplicationSetTreeQuery, ApplicationSetWatchQuery,
};
use argosy_proto::events::EventList;
use argosy_proto::plugin::config_management_plugin_service_server::{
    ConfigManagementPluginService, ConfigManagementPluginServiceServer,
};
use argosy_proto::plugin::{
    AppStreamRequest, CheckPluginConfigurationResponse, ManifestResponse, ParametersAnnouncementResponse,
    RepositoryResponse,
};
use argosy_proto::v1alpha1::{ApplicationSet, ApplicationSetList, ApplicationSetTree, ApplicationSetWatchEvent};
use argosy_proto::version::VersionMessage;
use argosy_proto::version::version_service_server::{VersionService, VersionServiceServer};
use argosy_server::gateway::{Gateway, GatewayOptions};
use argosy_server::listener::certificate::{self, PemPair};
use argosy_server::listener::{ClientAddress, DEFAULT_MAX_GRPC_MESSAGE, Error, ListenerOptions, serve};
use axum::Router;
use axum::routing::get;
use futures::{Stream, StreamExt as _};
use rustls::sign::CertifiedKey;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Response, Status, Streaming};

/// Longest time anything here may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The services of the test.
#[derive(Clone, Default)]
pub(crate) struct Services {
    /// Ends the slow call.
    pub(crate) go_on: Arc<Notify>,
    /// Tells that the slow call has begun.
    pub(crate) begun: Arc<Notify>,
}

type Watch = Pin<Box<dyn Stream<Item = Result<ApplicationSetWatchEvent, Status>> + Send>>;

pub(crate) fn application_set(name: &str) -> ApplicationSet {
    let mut set = ApplicationSet::default();
    set.metadata.get_or_insert_default().name = name.to_owned();
    set
}

#[tonic::async_trait]
impl VersionService for Services {
    async fn version(&self, request: Request<()>) -> Result<Response<VersionMessage>, Status> {
        assert!(request.extensions().get::<ClientAddress>().is_some());
        Ok(Response::new(VersionMessage { version: "v3.5.1".to_owned(), ..VersionMessage::default() }))
    }
}

#[tonic::async_trait]
impl ApplicationSetService for Services {
    async fn get(&self, request: Request<ApplicationSetGetQuery>) -> Result<Response<ApplicationSet>, Status> {
        let name = request.into_inner().name;
        match name.as_str() {
            "panic" => panic!("the secret is 42"),
            "slow" => {
                self.begun.notify_one();
                self.go_on.notified().await;
            }
            "gone" => return Err(Status::not_found("no ümlaut here")),
            _ => {}
        }
        Ok(Response::new(application_set(&name)))
    }

    async fn generate(
        &self,
        _: Request<ApplicationSetGenerateRequest>,
    ) -> Result<Response<ApplicationSetGenerateResponse>, Status> {
        Err(Status::unimplemented("not in this test"))
    }

    async fn list(&self, _: Request<ApplicationSetListQuery>) -> Result<Response<ApplicationSetList>, Status> {
        let items = (0..40).map(|place| application_set(&format!("set-{place}"))).collect();
        Ok(Response::new(ApplicationSetList { items, ..ApplicationSetList::default() }))
    }

    async fn create(&self, request: Request<ApplicationSetCreateRequest>) -> Result<Response<ApplicationSet>, Status> {
        Ok(Response::new(request.into_inner().applicationset.unwrap_or_default()))
    }

    async fn delete(
        &self,
        _: Request<ApplicationSetDeleteRequest>,
    ) -> Result<Response<ApplicationSetResponse>, Status> {
        Ok(Response::new(ApplicationSetResponse::default()))
    }

    async fn resource_tree(&self, _: Request<ApplicationSetTreeQuery>) -> Result<Response<ApplicationSetTree>, Status> {
        Ok(Response::new(ApplicationSetTree::default()))
    }

    async fn list_resource_events(&self, _: Request<ApplicationSetGetQuery>) -> Result<Response<EventList>, Status> {
        Ok(Response::new(EventList::default()))
    }

    type WatchStream = Watch;

    /// One event, and then nothing for ever; or an error at once.
    async fn watch(&self, request: Request<ApplicationSetWatchQuery>) -> Result<Response<Watch>, Status> {
        if request.into_inner().name == "forbidden" {
            let refusal = futures::stream::iter([Err(Status::permission_denied("permission denied"))]);
            return Ok(Response::new(Box::pin(refusal)));
        }
        let event =
            ApplicationSetWatchEvent { r#type: "ADDED".to_owned(), application_set: Some(application_set("one")) };
        Ok(Response::new(Box::pin(futures::stream::iter([Ok(event)]).chain(futures::stream::pending()))))
    }
}

#[tonic::async_trait]
impl ConfigManagementPluginService for Services {
    async fn generate_manifest(
        &self,
        _: Request<Streaming<AppStreamRequest>>,
    ) -> Result<Response<ManifestResponse>, Status> {
        Err(Status::unimplemented("not in this test"))
    }

    async fn check_plugin_configuration(
        &self,
        _: Request<()>,
    ) -> Result<Response<CheckPluginConfigurationResponse>, Status> {
        Err(Status::unimplemented("not in this test"))
    }

    /// Supported when there were three messages.
    async fn match_repository(
        &self,
        request: Request<Streaming<AppStreamRequest>>,
    ) -> Result<Response<RepositoryResponse>, Status> {
        let count = request.into_inner().filter(|message| std::future::ready(message.is_ok())).count().await;
        Ok(Response::new(RepositoryResponse { is_supported: count == 3, ..RepositoryResponse::default() }))
    }

    async fn get_parameters_announcement(
        &self,
        _: Request<Streaming<AppStreamRequest>>,
    ) -> Result<Response<ParametersAnnouncementResponse>, Status> {
        Err(Status::unimplemented("not in this test"))
    }
}

/// The gateway of the test's services.
pub(crate) fn gateway(services: &Services, options: GatewayOptions) -> Router {
    let mut gateway = Gateway::new(options).unwrap();
    let version = services.clone();
    gateway
        .unary("version.VersionService/Version", move |request| {
            let services = version.clone();
            async move { services.version(request).await }
        })
        .unwrap();
    macro_rules! sets {
        ($bind:ident, $name:literal, $method:ident) => {
            let services = services.clone();
            gateway
                .$bind(concat!("applicationset.ApplicationSetService/", $name), move |request| {
                    let services = services.clone();
                    async move { services.$method(request).await }
                })
                .unwrap();
        };
    }
    sets!(unary, "Get", get);
    sets!(unary, "List", list);
    sets!(unary, "Create", create);
    sets!(server_streaming, "Watch", watch);
    gateway.into_router()
}

/// A running server; stops when dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) services: Services,
    pub(crate) shutdown: CancellationToken,
    pub(crate) task: JoinHandle<Result<(), Error>>,
    /// What the port presents.
    pub(crate) certificate: watch::Sender<Arc<CertifiedKey>>,
    /// The certificate's PEM text, what clients trust.
    pub(crate) trusted: String,
    tls: bool,
}

pub(crate) fn pair(namespace: &str) -> (PemPair, Arc<CertifiedKey>) {
    // Within the real clock's validity of a year.
    let now = jiff::Timestamp::from_second(1_795_000_000).unwrap();
    let pair = certificate::self_signed(namespace, now).unwrap();
    let key = certificate::parse(pair.certificate.as_bytes(), pair.key.as_bytes()).unwrap();
    (pair, key)
}

impl Server {
    pub(crate) async fn start(tls: bool, options: ListenerOptions) -> Self {
        let services = Services::default();
        let http = gateway(&services, GatewayOptions::default())
            .route("/healthz", get(|| async { "ok" }))
            .route("/panic", get(|| async { panic!("the secret is 42") as &'static str }));
        Self::start_with(tls, options, services, http).await
    }

    pub(crate) async fn start_with(tls: bool, options: ListenerOptions, services: Services, http: Router) -> Self {
        let set_server =
            ApplicationSetServiceServer::new(services.clone()).max_decoding_message_size(DEFAULT_MAX_GRPC_MESSAGE);
        let grpc = Routes::new(VersionServiceServer::new(services.clone()))
            .add_service(set_server)
            .add_service(ConfigManagementPluginServiceServer::new(services.clone()))
            .into_axum_router();
        let (pem, key) = pair("argocd");
        let (certificate, presented) = watch::channel(key);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let options = ListenerOptions {
            grpc_services: vec!["version.VersionService".to_owned(), "applicationset.ApplicationSetService".to_owned()],
            ..options
        };
        let presented = tls.then_some(presented);
        let task = tokio::spawn(serve(listener, presented, grpc, http, options, shutdown.clone()));
        Self { address, services, shutdown, task, certificate, trusted: pem.certificate, tls }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://localhost:{}{path}", self.address.port())
    }

    /// An HTTP client that trusts the server's first certificate and nobody else.
    pub(crate) fn http(&self) -> reqwest::Client {
        self.client(&self.trusted, |builder| builder)
    }

    pub(crate) fn client(
        &self,
        trusted: &str,
        configure: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
    ) -> reqwest::Client {
        let certificate = reqwest::Certificate::from_pem(trusted.as_bytes()).unwrap();
        let builder = reqwest::Client::builder()
            .tls_certs_only([certificate])
            .redirect(reqwest::redirect::Policy::none())
            .resolve("localhost", self.address)
            .no_proxy()
            .timeout(PATIENCE);
        configure(builder).build().unwrap()
    }

    /// A gRPC channel.
    pub(crate) async fn channel(&self) -> Channel {
        let mut endpoint = Endpoint::from_shared(self.url("")).unwrap().timeout(PATIENCE);
        if self.tls {
            let trusted = tonic::transport::Certificate::from_pem(&self.trusted);
            endpoint = endpoint.tls_config(ClientTlsConfig::new().ca_certificate(trusted)).unwrap();
        }
        endpoint.connect().await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown.cancel();
        self.task.abort();
    }
}

/// A gRPC frame of a message.
pub(crate) fn frame(message: &impl prost::Message) -> Vec<u8> {
    let bytes = message.encode_to_vec();
    let length = u32::try_from(bytes.len()).unwrap();
    [&[0][..], &length.to_be_bytes(), &bytes].concat()
}
