//! A controller with an open peer port, the cluster it works on and a Git host.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use argosy_cluster::ClusterConfig;
use argosy_controller::{Controller, ControllerOptions, peer};
use argosy_fleet::peer_tls::{Authority, Clock, Identity, dial};
use argosy_fleet::{Epoch, Local, Replica};
use argosy_home::events::{COMPONENT, EventOptions, Pace};
use argosy_home::{EventWriter, Home, HomeOptions};
use argosy_proto::peer::peer_client::PeerClient;
use argosy_proto::peer::{ApplicationRef, ResourceRef};
use argosy_tests::{App, AppState, ControlPlane, GitServer, Options, TempFolder};
use hyper_util::rt::TokioIo;
use tokio::sync::OnceCell;
use tonic::transport::{Channel, Endpoint};

/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// See the module's page.
pub(crate) struct World {
    pub(crate) plane: ControlPlane,
    pub(crate) git: GitServer,
    identity: Identity,
    address: String,
    /// Mirrors of the controller.
    _data: TempFolder,
}

/// The world that the tests of this program share, each in a namespace of its own.
pub(crate) async fn world() -> &'static World {
    static SHARED: OnceCell<World> = OnceCell::const_new();
    SHARED.get_or_init(|| async { World::start().await.unwrap_or_else(|e| panic!("no world: {e:#}")) }).await
}

// === impl World ===

impl World {
    /// A world with objects that become others: Deployments make Pods.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let plane = ControlPlane::start(Options { controller_manager: true, ..Options::default() }).await?;
        plane.install().await?;
        let data = TempFolder::new("peer")?;
        let (authority, key) = Authority::new(clock()())?;
        let other = Authority::from_pem(authority.certificate_pem(), &key)?;
        let own = Identity::new(authority, "controller", clock())?;
        let kubeconfig = plane.kubeconfig_path();
        let folder = data.path().to_owned();
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
            let system = actix_rt::System::with_tokio_rt(move || runtime);
            system.block_on(run(kubeconfig, folder, own, tell)).expect("the controller runs");
        });
        let address = tokio::task::spawn_blocking(move || told.recv_timeout(PATIENCE)).await??;
        let identity = Identity::new(other, "test", clock())?;
        Ok(Self { plane, git: GitServer::start()?, identity, address, _data: data })
    }

    /// A connection as a replica makes it.
    pub(crate) async fn peer(&self) -> anyhow::Result<PeerClient<Channel>> {
        let config = Arc::new(self.identity.client_config()?);
        let address = self.address.clone();
        let connector = tower::service_fn(move |_| {
            let (config, address) = (config.clone(), address.clone());
            async move { dial(config, &address).await.map(TokioIo::new) }
        });
        let channel = Endpoint::from_static("http://peer").connect_with_connector(connector).await?;
        Ok(PeerClient::new(channel).max_decoding_message_size(200 << 20))
    }

    /// A namespace and an application that is synced from these files into it.
    pub(crate) async fn deployed(&self, name: &str, files: &[(&str, &str)]) -> anyhow::Result<String> {
        let namespace = self.plane.namespace(name).await?;
        let repo = self.git.repo(name)?;
        repo.commit(files)?;
        let app = App::new(name).source(&repo.url_file(), ".", "HEAD").into_namespace(&namespace).automated();
        self.synced(&app).await?;
        Ok(namespace)
    }

    /// Applies an application and waits until it is synced.
    pub(crate) async fn synced(&self, app: &App) -> anyhow::Result<AppState> {
        let client = self.plane.client().await?;
        app.apply(&client).await?;
        let done = |s: &AppState| s.sync_status() == "Synced" && s.0.get("operation").is_none();
        app.wait_for(&client, "Synced", PATIENCE, done).await
    }

    /// One line of what kubectl says.
    pub(crate) fn kubectl(&self, args: &[&str]) -> anyhow::Result<String> {
        self.plane.kubectl_text(args)
    }
}

async fn run(
    kubeconfig: std::path::PathBuf,
    data_dir: std::path::PathBuf,
    identity: Identity,
    tell: std::sync::mpsc::Sender<String>,
) -> anyhow::Result<()> {
    let mut in_cluster = ClusterConfig::from_kubeconfig(Some(&kubeconfig), None).await?;
    "https://kubernetes.default.svc".clone_into(&mut in_cluster.server);
    "in-cluster".clone_into(&mut in_cluster.name);
    let client = kube::Client::try_from(in_cluster.to_kube()?)?;
    let namespace = "argocd".to_owned();
    let home = Home::start(client.clone(), HomeOptions { namespace: namespace.clone(), ..HomeOptions::default() });
    home.ready().await;
    let events =
        EventOptions { component: COMPONENT.to_owned(), clock: clock(), ids: Arc::new(|| 1), pace: Pace::default() };
    let controller = Controller::start(
        home,
        Arc::new(Local::new(Replica::new("test", ""), Epoch(1))),
        EventWriter::start(client, events),
        clock(),
        ControllerOptions { namespace, data_dir, in_cluster, seed: 7 },
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    tell.send(listener.local_addr()?.to_string()).context("the test has gone")?;
    peer::serve(
        listener,
        identity.server_config()?,
        controller.peer_service(Default::default()),
        None,
        std::future::pending(),
    )
    .await?;
    Ok(())
}

pub(crate) fn clock() -> Clock {
    #[expect(clippy::disallowed_methods, reason = "the real API server lives in real time")]
    Arc::new(jiff::Timestamp::now)
}

/// The application of this name.
pub(crate) fn application(name: &str) -> ApplicationRef {
    ApplicationRef { namespace: String::new(), name: name.to_owned() }
}

/// An object in the destination of an application, `group/Kind` or `Kind`.
pub(crate) fn object(app: &str, kind: &str, namespace: &str, name: &str) -> ResourceRef {
    let (group, kind) = kind.split_once('/').unwrap_or(("", kind));
    ResourceRef {
        application: Some(application(app)),
        group: group.to_owned(),
        version: String::new(),
        kind: kind.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        uid: String::new(),
    }
}

pub(crate) const DEPLOYMENT: &str = "apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: example/web:1, resources: {requests: {cpu: 250m, memory: 1Ki}}}]
";

pub(crate) const SECRET: &str = "apiVersion: v1
kind: Secret
metadata:
  name: credentials
stringData: {password: canary-4711, same: canary-4711}
";
