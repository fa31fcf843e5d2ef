//! `argosy controller`: one controller replica.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use argosy_cluster::ClusterConfig;
use argosy_controller::{Controller, ControllerOptions, MetricsPage};
use argosy_fleet::{Epoch, Local, Replica};
use argosy_home::events::{COMPONENT, EventOptions, Pace};
use argosy_home::{Clock, EventWriter, Home, HomeOptions};

use crate::cli;
use crate::signals;
use crate::web::{self, Vitals};

/// What `/metrics` and `/healthz` say of a controller.
struct ControllerVitals {
    page: MetricsPage,
}

// === impl ControllerVitals ===

impl Vitals for ControllerVitals {
    fn exposition(&self) -> String {
        self.page.text()
    }

    fn health(&self) -> Result<(), String> {
        Ok(())
    }
}

/// Runs the replica until it is told to end.
///
/// # Errors
/// When the home cluster cannot be used or the metrics address is taken.
pub(crate) fn run(options: cli::Controller) -> anyhow::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")?;
    let system = actix_rt::System::with_tokio_rt(move || runtime);
    system.block_on(serve(options))
}

async fn serve(options: cli::Controller) -> anyhow::Result<()> {
    let shutdown = signals::shutdown()?;
    let recorder = web::install_recorder()?;
    let own = home_config(&options).await?;
    let client = kube::Client::try_from(own.to_kube()?).context("cannot use the home cluster's configuration")?;
    #[expect(clippy::disallowed_methods, reason = "this is where the clock comes from")]
    let clock: Clock = Arc::new(jiff::Timestamp::now);
    let home = Home::start(
        client.clone(),
        HomeOptions {
            namespace: options.namespace.clone(),
            application_namespaces: (!options.application_namespaces.is_empty())
                .then(|| options.application_namespaces.clone()),
            env: environment(&options),
            seed: seed(),
        },
    );
    tracing::info!(namespace = options.namespace, server = own.server, "reading the home cluster");
    tokio::select! {
        () = home.ready() => {}
        () = shutdown.cancelled() => return Ok(()),
    }
    let events = EventWriter::start(
        client,
        EventOptions {
            component: COMPONENT.to_owned(),
            clock: clock.clone(),
            ids: Arc::new(|| u64::try_from(since_epoch().as_nanos()).unwrap_or(u64::MAX)),
            pace: Pace::default(),
        },
    );
    let placement = Arc::new(Local::new(Replica::new(&host_name(), ""), first_epoch()));
    let controller = Controller::start(
        home,
        placement,
        events,
        clock,
        ControllerOptions { namespace: options.namespace, data_dir: options.data_dir, in_cluster: own, seed: seed() },
    );
    let vitals = Arc::new(ControllerVitals { page: controller.metrics_page() });
    web::serve(options.metrics_address, recorder, vitals, shutdown).await
}

/// The cluster Argosy runs in: a kubeconfig where one is named or at hand, else
/// the pod's service account.
async fn home_config(options: &cli::Controller) -> anyhow::Result<ClusterConfig> {
    let in_pod = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    if options.kubeconfig.is_none() && options.context.is_none() && in_pod {
        return Ok(ClusterConfig::in_cluster());
    }
    let mut config = ClusterConfig::from_kubeconfig(options.kubeconfig.as_deref(), options.context.as_deref())
        .await
        .context("no home cluster: name a kubeconfig with --kubeconfig or KUBECONFIG, or run inside a cluster")?;
    argosy_model::names::IN_CLUSTER_SERVER.clone_into(&mut config.server);
    argosy_model::names::IN_CLUSTER_NAME.clone_into(&mut config.name);
    Ok(config)
}

/// The environment with what flags say in the place of its own words.
fn environment(options: &cli::Controller) -> std::collections::HashMap<String, String> {
    let mut environment: std::collections::HashMap<String, String> = std::env::vars().collect();
    if !options.enable_k8s_event.is_empty() {
        environment.insert("ARGOCD_ENABLE_K8S_EVENT".to_owned(), options.enable_k8s_event.join(","));
    }
    environment
}

fn host_name() -> String {
    std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty()).unwrap_or_else(|| "argosy".to_owned())
}

/// Above all epochs of earlier processes: time does not go back by a restart.
fn first_epoch() -> Epoch {
    Epoch(since_epoch().as_secs())
}

fn seed() -> u64 {
    u64::from(since_epoch().subsec_nanos()) << 32 | u64::from(std::process::id())
}

fn since_epoch() -> std::time::Duration {
    #[expect(clippy::disallowed_methods, reason = "this is where the clock comes from")]
    let now = SystemTime::now();
    // A clock before 1970 is a broken one; then any number will do.
    now.duration_since(UNIX_EPOCH).unwrap_or_default()
}
