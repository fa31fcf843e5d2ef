//! The credential of every cluster is exchanged, over and over, under load.
//!
//! The clusters are the judges: they know every request and every token that was ever
//! used. Whether a kind was listed again is told by the controllers' count of events,
//! for a list brings an event for each object that there is. A cluster that is given to
//! another controller meanwhile is read there, too; those readings are in the logs.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, ensure};
use argosy_loadtest::progress;
use argosy_tests::{Metrics, poll_until};
use tokio::time::Instant;

use super::Fleet;
use crate::load::Running;
use crate::told;
use crate::witness::Requests;

/// Between two looks at the controllers' counters; a thousand clusters make long pages.
const LOOKS: Duration = Duration::from_secs(2);
/// Looks between two lines about what they said.
const NEWS: usize = 5;
/// Times a credential's life within which every cluster has another one.
const LIVES: u32 = 3;
/// What is waited for besides.
const PATIENCE: Duration = Duration::from_secs(120);
/// A kind that nobody changes; every cluster has many of it.
const CALM: &str = "Role";

/// What controllers and clusters have counted so far.
#[derive(Clone, Default)]
struct Counted {
    /// Exchanges by cluster.
    exchanged: BTreeMap<String, f64>,
    /// Exchanges that came to nothing.
    failed: f64,
    /// Proofs that an old token is refused, and the seconds they took in all.
    refused: (f64, f64),
    /// Seconds that exchanges took in all.
    took: (f64, f64),
    /// Requests that clusters did not know the bearer of, as controllers tell.
    unknown: f64,
    /// Events of the calm kind by cluster.
    events: BTreeMap<String, f64>,
    requests: Requests,
}

pub(super) async fn rotations(fleet: &mut Fleet, rounds: usize) -> anyhow::Result<()> {
    fleet.controllers.wait_shared_out(&fleet.clusters).await?;
    let calm = fleet.clusters.all().first().context("a cluster")?.calm().await?;
    let life = Duration::from_secs(fleet.scenario.credential_seconds.context("credentials have a life")?);
    let (before, logged) = (counted(fleet).await?, fleet.controllers.logged()?);
    let load = Running::start(&fleet.clusters, fleet.scenario.load);
    let during = exchanged(fleet, &before, rounds, life).await?;
    load.end("rotation", &mut fleet.report).await?;
    let (after, refused) = quiet(fleet, life).await?;
    judge(&before, &after, calm, &told::readings(&fleet.controllers.logs_since(&logged)?))?;
    tell(fleet, [&before, &during, &after], refused);
    Ok(())
}

/// Waits until every cluster has had so many exchanges more.
async fn exchanged(fleet: &Fleet, before: &Counted, rounds: usize, life: Duration) -> anyhow::Result<Counted> {
    let deadline = life * LIVES * rounds as u32 + PATIENCE;
    let (mut looks, end) = (0, Instant::now() + deadline);
    loop {
        let now = counted(fleet).await?;
        let is_done = |server: &str| more(&now.exchanged, &before.exchanged, server) >= rounds as f64;
        let all: Vec<String> = fleet.clusters.all().iter().map(|member| member.url()).collect();
        let done = all.iter().filter(|server| is_done(server)).count();
        if done == all.len() {
            return Ok(now);
        }
        ensure!(Instant::now() < end, "{done} of {} clusters were exchanged", all.len());
        looks += 1;
        if looks % NEWS == 0 {
            progress(&format!("{done} of {} clusters had {rounds} exchanges", all.len()));
        }
        tokio::time::sleep(LOOKS).await;
    }
}

/// Waits for a moment in which no exchange is under way, so that counters agree, and every
/// cluster accepts two tokens of all that were ever used: the declared one, and that of
/// the owner. Also says how many are refused.
///
/// However many clusters there are, there is such a moment: credentials are exchanged after
/// half of their life at the earliest, and after seven tenths at the latest. So the second
/// round begins three tenths of a life after the end of the first one.
async fn quiet(fleet: &Fleet, life: Duration) -> anyhow::Result<(Counted, usize)> {
    let last = Cell::new((0.0, 0.0));
    let (last, wanted) = (&last, 2 * fleet.clusters.all().len());
    poll_until(life + PATIENCE, || async move {
        let now = counted(fleet).await?;
        let figures = (now.exchanged.values().sum::<f64>(), now.refused.0);
        let is_quiet = last.replace(figures) == figures;
        let tried: Vec<_> = fleet.clusters.all().iter().map(|member| member.witness().try_tokens()).collect();
        let known: usize = tried.iter().map(|(known, _)| known).sum();
        if !is_quiet || known != wanted {
            tokio::time::sleep(LOOKS).await;
        }
        ensure!(is_quiet, "exchanges go on");
        ensure!(known == wanted, "{known} of the tokens are accepted that were ever used, and not {wanted}");
        Ok::<_, anyhow::Error>((now, tried.iter().map(|(_, refused)| refused).sum()))
    })
    .await
    .map_err(anyhow::Error::msg)
}

/// What must be true of the time between the two.
fn judge(before: &Counted, after: &Counted, calm: usize, readings: &BTreeMap<String, usize>) -> anyhow::Result<()> {
    ensure!(after.failed == before.failed, "{} exchanges failed", after.failed - before.failed);
    ensure!(after.unknown == before.unknown, "{} requests met a 401", after.unknown - before.unknown);
    let unknown = (after.requests.unknown - before.requests.unknown) as f64;
    let proofs = after.refused.0 - before.refused.0;
    // Each proof is one request that is refused.
    ensure!(unknown == proofs, "clusters answered 401 {unknown} times, and {proofs} were on purpose");
    ensure!(
        after.requests.failed == before.requests.failed,
        "requests failed, by code: {:?}, and {:?} before",
        after.requests.failed,
        before.requests.failed
    );
    ensure!(
        after.requests.lists == before.requests.lists,
        "kinds were listed again: {:?}, and {:?} before",
        after.requests.lists,
        before.requests.lists
    );
    for server in after.events.keys() {
        let (events, readings) =
            (more(&after.events, &before.events, server), readings.get(server).copied().unwrap_or_default());
        // Bookmarks are events, too: of less than a list.
        let most = (calm * (readings + 1)) as f64;
        ensure!(
            events < most,
            "{server}: {events} events of {CALM}, and {calm} are what a list brings: {readings} of them"
        );
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the figures are what this program is for")]
fn tell(fleet: &mut Fleet, [before, during, after]: [&Counted; 3], refused: usize) {
    let exchanges = during.exchanged.values().sum::<f64>() - before.exchanged.values().sum::<f64>();
    let mean = |(count, seconds): (f64, f64), (counted, spent): (f64, f64)| {
        (seconds - spent) * 1e3 / (count - counted).max(1.0)
    };
    let (took, revoked) = (mean(during.took, before.took), mean(after.refused, before.refused));
    println!("{exchanges} credentials were exchanged, each within {took:.0} ms in the mean, and an old one was");
    println!("refused {revoked:.0} ms after its end; no request failed, and no kind was listed again;");
    println!("all {refused} tokens that were ever used and replaced are refused by their clusters");
    fleet.report.count("exchanges", exchanges as usize);
    fleet.report.count("tokens_refused", refused);
    fleet.report.note("exchange_mean_ms", took);
    fleet.report.note("revocation_mean_ms", revoked);
}

async fn counted(fleet: &Fleet) -> anyhow::Result<Counted> {
    let (all, requests) = (fleet.controllers.metrics().await?, fleet.clusters.requests());
    let servers: Vec<String> = fleet.clusters.all().iter().map(|member| member.url()).collect();
    let sum = |name: &str, labels: &[(&str, &str)]| all.iter().map(|one| one.sum(name, labels)).sum::<f64>();
    let histogram = |name: &str| (sum(&format!("{name}_count"), &[]), sum(&format!("{name}_sum"), &[]));
    let mut exchanged = by_server(&all, "argosy_credential_rotations_total", ("result", "promoted"));
    exchanged.retain(|server, _| servers.contains(server));
    let result = |result: &str| sum("argosy_credential_rotations_total", &[("result", result)]);
    Ok(Counted {
        exchanged,
        failed: result("failed") + result("refused"),
        refused: histogram("argosy_credential_revocation_duration_seconds"),
        took: histogram("argosy_credential_rotation_duration_seconds"),
        unknown: sum("argocd_kubectl_requests_total", &[("code", "401")]),
        events: by_server(&all, "argocd_cluster_events_total", ("kind", CALM)),
        requests,
    })
}

/// Sums over all controllers.
fn by_server(all: &[Metrics], name: &str, (label, value): (&str, &str)) -> BTreeMap<String, f64> {
    let samples = all.iter().flat_map(Metrics::samples);
    let wanted = samples.filter(|s| s.name == name && s.labels.get(label).is_some_and(|found| found == value));
    let mut sums = BTreeMap::new();
    for sample in wanted {
        *sums.entry(sample.labels.get("server").cloned().unwrap_or_default()).or_default() += sample.value;
    }
    sums
}

fn more(after: &BTreeMap<String, f64>, before: &BTreeMap<String, f64>, server: &str) -> f64 {
    let of = |counts: &BTreeMap<String, f64>| counts.get(server).copied().unwrap_or_default();
    of(after) - of(before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_that_nobody_wanted_and_a_list_that_was_made_again_are_found() {
        let before = Counted { events: BTreeMap::from([("a".to_owned(), 100.0)]), ..Counted::default() };
        let mut proven = before.clone();
        (proven.requests.unknown, proven.refused, proven.events) =
            (3, (3.0, 0.1), BTreeMap::from([("a".to_owned(), 102.0)]));
        judge(&before, &proven, 60, &BTreeMap::new()).expect("each refusal was a proof");
        let wrong = |change: fn(&mut Counted)| {
            let mut after = proven.clone();
            change(&mut after);
            judge(&before, &after, 60, &BTreeMap::new()).expect_err("it is wrong").to_string()
        };
        assert!(wrong(|after| after.requests.unknown += 1).contains("401 4 times, and 3"));
        assert!(wrong(|after| after.unknown += 1.0).contains("met a 401"));
        assert!(wrong(|after| after.failed += 1.0).contains("1 exchanges failed"));
        assert!(
            wrong(|after| {
                after.requests.failed.insert(403, 1);
            })
            .contains("403")
        );
        assert!(
            wrong(|after| {
                after.requests.lists.insert("pods".to_owned(), 1);
            })
            .contains("pods")
        );
        assert!(
            wrong(|after| {
                after.events.insert("a".to_owned(), 161.0);
            })
            .contains("61 events")
        );
        // Another controller has read it.
        let moved = Counted { events: BTreeMap::from([("a".to_owned(), 162.0)]), ..proven };
        judge(&before, &moved, 60, &BTreeMap::from([("a".to_owned(), 1)])).expect("it was read once");
    }
}
