//! `argosy admin doctor`: what is missing on the clusters.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use argosy_cluster::cloud::Surroundings;
use argosy_cluster::doctor::{Access, Findings, examine};
use argosy_cluster::fence::Identity;
use argosy_cluster::{Budget, BudgetConfig, ClusterConfig, Connection};
use argosy_home::ClusterSecret;
use futures::StreamExt as _;
use serde_json::{Value, json};

use crate::cli::{Doctor, Output};
use crate::home::seed;
use crate::signals;

/// Clusters that are examined at once.
const AT_ONCE: usize = 16;

/// How long one of them may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Missing rights that are listed for people; the rest is counted.
const LISTED: usize = 8;

/// One cluster and what was found, or why nothing was.
struct Examined {
    name: String,
    server: String,
    found: Result<Findings, String>,
}

/// Examines the clusters and prints what was found.
///
/// # Errors
/// When home cannot be read, a cluster that was named is not declared, or one of
/// them cannot be worked on.
pub(super) fn run(options: &Doctor) -> anyhow::Result<()> {
    crate::commands::on_actors(look(options))
}

async fn look(options: &Doctor) -> anyhow::Result<()> {
    let shutdown = signals::shutdown()?;
    let way = options.home.find().await?;
    let Some(home) = options.home.open(&way, &shutdown).await else { return Ok(()) };
    let declared = home.clusters();
    let is_named = |cluster: &ClusterSecret, name: &str| cluster.name == name || cluster.server == name;
    let unknown = options.clusters.iter().find(|name| !declared.iter().any(|cluster| is_named(cluster, name)));
    if let Some(name) = unknown {
        bail!("no cluster is declared under the name or address {name:?}");
    }
    let is_wanted =
        |cluster: &ClusterSecret| options.clusters.is_empty() || options.clusters.iter().any(|n| is_named(cluster, n));
    let wanted: Vec<Arc<ClusterSecret>> = declared.iter().filter(|cluster| is_wanted(cluster)).cloned().collect();
    let (own, surroundings) = (&way.config, &Surroundings::new(way.clock.clone(), std::env::vars().collect()));
    let examined: Vec<Examined> =
        futures::stream::iter(wanted).map(|cluster| one(cluster, own, surroundings)).buffered(AT_ONCE).collect().await;
    let text = match options.output {
        Output::Wide => examined.iter().map(page).collect::<Vec<_>>().join("\n"),
        Output::Json => format!("{:#}\n", examined.iter().map(value).collect::<Value>()),
    };
    std::io::stdout().write_all(text.as_bytes()).context("cannot print")?;
    let away = examined.iter().filter(|one| one.found.is_err()).count();
    if away > 0 {
        bail!("{away} of {} clusters cannot be worked on", examined.len());
    }
    Ok(())
}

async fn one(cluster: Arc<ClusterSecret>, own: &ClusterConfig, surroundings: &Arc<Surroundings>) -> Examined {
    let examined = async {
        let config = if cluster.secret_name.is_empty() {
            own.clone()
        } else {
            ClusterConfig::from_secret(&cluster.connection())?.within(surroundings)
        };
        let budget = Budget::new(BudgetConfig { qps: 200.0, burst: 200.0, in_flight: 16 });
        let connection = Connection::connect(&config, budget, seed()).await?;
        examine(&connection, &cluster.namespaces).await
    };
    let found = match tokio::time::timeout(PATIENCE, examined).await {
        Ok(found) => found.map_err(|error| format!("{:#}", anyhow::Error::from(error))),
        Err(_) => Err(format!("it has not answered everything within {} s", PATIENCE.as_secs())),
    };
    Examined { name: cluster.name.clone(), server: cluster.server.clone(), found }
}

fn page(one: &Examined) -> String {
    let mut out = format!("{}  {}\n", one.name, one.server);
    let mut say = |state: &str, words: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "  {state:<8}{words}");
    };
    let found = match &one.found {
        Ok(found) => found,
        Err(reason) => {
            say("failed", reason);
            return out;
        }
    };
    say("ok", &format!("Kubernetes {}, as {}", found.version.git_version, who(&found.identity)));
    for (doing, access) in [("read", &found.reading), ("changed", &found.writing)] {
        match access {
            Access::Everything => say("ok", &format!("everything may be {doing}")),
            Access::Served => say("ok", &format!("every kind that is served today may be {doing}")),
            Access::Lacking(lacks) => say("missing", &format!("not everything may be {doing}: {}", listed(lacks))),
        }
    }
    match (&found.identity, found.fence.lacks_token.is_empty(), found.fence.lacks_binding.is_empty()) {
        (Identity::Account(_), true, true) => say("ok", "the fences token and binding can be had"),
        (Identity::Account(_), true, false) => {
            say(
                "ok",
                &format!("the fence token can be had; for binding it lacks: {}", listed(&found.fence.lacks_binding)),
            );
        }
        (Identity::Account(_), false, _) => {
            say(
                "missing",
                &format!("no fence but the lease; for token it lacks: {}", listed(&found.fence.lacks_token)),
            );
        }
        (Identity::Other | Identity::Unknown, ..) => {
            say("note", "no fence but the lease: only a service account can have one");
        }
    }
    out
}

fn who(identity: &Identity) -> String {
    match identity {
        Identity::Account(account) => account.user(),
        Identity::Other => "somebody who is no service account".to_owned(),
        Identity::Unknown => "somebody it does not name".to_owned(),
    }
}

fn listed(lacks: &[String]) -> String {
    let mut words = lacks.iter().take(LISTED).cloned().collect::<Vec<_>>().join(", ");
    if lacks.len() > LISTED {
        // Writing to a string cannot fail.
        let _ = write!(words, ", and {} more (all with -o json)", lacks.len() - LISTED);
    }
    words
}

fn value(one: &Examined) -> Value {
    let access = |access: &Access| match access {
        Access::Everything => json!({"scope": "everything"}),
        Access::Served => json!({"scope": "served"}),
        Access::Lacking(lacks) => json!({"scope": "partial", "lacks": lacks}),
    };
    match &one.found {
        Err(reason) => json!({"name": one.name, "server": one.server, "error": reason}),
        Ok(found) => json!({
            "name": one.name, "server": one.server, "version": found.version.git_version,
            "identity": who(&found.identity), "reading": access(&found.reading), "writing": access(&found.writing),
            "fence": {"lacksForToken": found.fence.lacks_token, "lacksForBinding": found.fence.lacks_binding},
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_cut_and_say_so() {
        let lacks: Vec<String> = (0..10).map(|number| format!("list kind-{number} in the cluster")).collect();
        assert!(listed(&lacks).ends_with("list kind-7 in the cluster, and 2 more (all with -o json)"));
        assert_eq!(listed(&lacks[..1]), "list kind-0 in the cluster");
    }

    #[test]
    fn a_cluster_that_is_away_is_one_page_with_its_reason() {
        let (name, server) = ("prod".to_owned(), "https://prod".to_owned());
        let page = page(&Examined { name, server, found: Err("cannot connect".to_owned()) });
        assert_eq!(page, "prod  https://prod\n  failed  cannot connect\n");
    }
}
