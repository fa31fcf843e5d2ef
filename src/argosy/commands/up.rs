//! `argosy up`: all of Argosy in one process, for somebody with a laptop and perhaps
//! no cluster. Everything is kept in one folder, and a second start goes on from it.

mod clusters;
mod follow;
mod install;
mod sample;
mod view;
mod words;

use std::path::Path;

use anyhow::Context as _;
use argosy_home::Home;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::clusters::Clusters;
use self::follow::Follower;
use self::sample::WorkTree;
use self::words::{Step, say};
use super::{controller, server};
use crate::cli;
use crate::home::{HomeArgs, Way};
use crate::signals;
use crate::web;

/// The log's name, within the folder.
pub(crate) const LOG: &str = "argosy.log";

/// Runs everything until it is told to end.
///
/// # Errors
/// When a part cannot be started, or ends by itself.
pub(crate) fn run(options: cli::Up) -> anyhow::Result<()> {
    super::on_actors(serve(options))
}

async fn serve(mut options: cli::Up) -> anyhow::Result<()> {
    let shutdown = signals::shutdown()?;
    // What is printed is right in every folder.
    options.data_dir = std::path::absolute(&options.data_dir).context("the data folder has no absolute path")?;
    // Reached from this machine alone unless somebody asks for more.
    options.api.address.get_or_insert_with(|| "127.0.0.1".to_owned());
    let recorder = web::install_recorder()?;
    let page = web::bind(options.metrics_address).await?;
    let metrics = page.local_addr().context("the address of the metrics cannot be read")?;

    let clusters = match options.kubeconfig {
        Some(_) => None,
        None => Some(Clusters::start(&options.data_dir).await?),
    };
    let args = home_args(&options, clusters.as_ref());
    let way = args.find().await?;
    let Some(installed) = install(&options, &args, &way, clusters.as_ref(), &shutdown).await? else { return Ok(()) };
    let Installed { home, port, password, sample } = installed;
    let follower = match sample {
        Some(work_tree) => Some(Follower::new(home.clone(), work_tree).await),
        None => None,
    };

    let step = Step::begin("Argosy: its controller and its API");
    let replica = controller::start(&replica_options(&options.data_dir), &cli::Fleet::default(), &home, &way).await?;
    let server = server::start(&options.api, None, &home, &way).await?;
    let address = words::address(port.local_addr().context("the API's address cannot be read")?, &options.api);
    step.end(&address);
    let place = words::Place {
        address,
        metrics: metrics.to_string(),
        namespace: options.namespace.clone(),
        password,
        kubeconfig: clusters.as_ref().map(|clusters| clusters.kubeconfig().to_owned()),
        log: options.data_dir.join(LOG),
    };
    say(&place.summary());

    let vitals = replica.vitals();
    let serving = async { server.serve(port, shutdown.clone()).await.context("the API ended") };
    let watched = web::serve(page, recorder, vitals, shutdown.clone());
    let followed = follow(options.once, follower, &place, &shutdown);
    let ended = tokio::try_join!(replica.answer(shutdown.clone()), serving, watched, followed).map(drop);
    if let Some(clusters) = clusters {
        clusters.shutdown().await;
    }
    say("Argosy has ended. The next `argosy up` goes on from here.");
    ended
}

/// What is there before the roles start.
struct Installed {
    home: Home,
    port: TcpListener,
    /// Of `admin`, where it was made just now.
    password: Option<String>,
    sample: Option<WorkTree>,
}

/// Puts into the clusters what is missing; `None` when the process is to end.
async fn install(
    options: &cli::Up,
    args: &HomeArgs,
    way: &Way,
    clusters: Option<&Clusters>,
    shutdown: &CancellationToken,
) -> anyhow::Result<Option<Installed>> {
    let step =
        Step::begin(&format!("Argo CD's kinds, settings and the project default, in namespace {}", args.namespace));
    install::no_rival(&way.client, &args.namespace).await?;
    install::kinds(&way.client, clusters.is_some()).await?;
    install::namespace(&way.client, &args.namespace).await?;
    let Some(home) = args.open(way, shutdown).await else { return Ok(None) };
    let prepared = server::furnish(&home, way).await?;
    let password = match prepared.admin_password_made {
        true => Some(install::first_password(&way.client, &args.namespace).await?),
        false => None,
    };
    if let Some(clusters) = clusters {
        if prepared.signing_key_made {
            install::settings(&home).await?;
        }
        install::destination(&home, clusters).await?;
    }
    step.end(if prepared.signing_key_made { "made" } else { "as they were left" });
    let port = server::bind(&options.api, &home.settings()).await?;
    let sample = match options.sample.unwrap_or(clusters.is_some()) {
        true => Some(sample::deploy(&home, &options.data_dir, clusters.is_some()).await?),
        false => None,
    };
    Ok(Some(Installed { home, port, password, sample }))
}

/// Shows how the sample fares.
async fn follow(
    once: bool,
    follower: Option<Follower>,
    place: &words::Place,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let Some(mut follower) = follower else {
        match once {
            true => shutdown.cancel(),
            false => say(&place.what_to_try(None)),
        }
        return Ok(());
    };
    let following = async {
        follower.until_deployed().await?;
        if once {
            shutdown.cancel();
            return Ok(());
        }
        say(&place.what_to_try(Some(follower.folder())));
        follower.go_on().await
    };
    tokio::select! {
        ended = following => ended,
        () = shutdown.cancelled() => Ok(()),
    }
}

fn home_args(options: &cli::Up, clusters: Option<&Clusters>) -> HomeArgs {
    HomeArgs {
        kubeconfig: clusters.map_or_else(|| options.kubeconfig.clone(), |own| Some(own.kubeconfig().to_owned())),
        context: clusters.map_or_else(|| options.context.clone(), |_| Some(clusters::HOME.to_owned())),
        namespace: options.namespace.clone(),
        application_namespaces: Vec::new(),
        enable_k8s_event: Vec::new(),
    }
}

fn replica_options(data_dir: &Path) -> cli::Replica {
    cli::Replica {
        peer_address: std::net::SocketAddr::from(([127, 0, 0, 1], 0)),
        advertise: None,
        data_dir: data_dir.join("mirrors"),
    }
}
