//! Steps that change what is to be deployed, or what is, while owners stay.

use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use argosy_tests::poll_until;
use futures::future::try_join_all;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::time::Instant;

use super::Fleet;
use crate::PATIENCE;
use crate::load::committed;
use crate::member::Member;
use crate::witness::Effects;

/// Applications that are removed and made anew at the same time.
const AT_ONCE: usize = 4;

/// Repairs with nothing else going on.
pub(super) async fn repairs(fleet: &mut Fleet, count: usize) -> anyhow::Result<()> {
    let mut took = Vec::new();
    for trial in 0..count {
        let since = Instant::now();
        let repairs = fleet.clusters.all().iter().map(|member| member.repair(of(member, trial), since));
        took.extend(try_join_all(repairs).await?);
    }
    fleet.report.times("repair", "repair, all at once on every cluster", took);
    Ok(())
}

/// Commits, one after the other.
pub(super) async fn commits(fleet: &mut Fleet, count: usize) -> anyhow::Result<()> {
    let (apps, each) = (fleet.clusters.apps(), fleet.scenario.load.commit_applications.max(1));
    let mut took = Vec::new();
    for trial in 0..count {
        let touched: Vec<_> = apps.iter().cycle().skip(trial * each % apps.len()).take(each).cloned().collect();
        took.extend(committed(&fleet.clusters, &touched).await?);
    }
    let words = format!("from a commit that touches {each} to the cluster");
    fleet.report.times("commit", &words, took);
    Ok(())
}

/// Applications go, with their objects, and come back.
pub(super) async fn churn(fleet: &mut Fleet, count: usize) -> anyhow::Result<()> {
    let apps = fleet.clusters.apps();
    let client = fleet.home.client().await?;
    let (clusters, client) = (&fleet.clusters, &client);
    let turn = |(member, app): (Arc<Member>, usize)| async move {
        let application = clusters.application(&member, app);
        let began = Instant::now();
        member.expect(app, Effects::DELETION);
        application.delete(client).await?;
        member.wait_done(app).await?;
        let gone = began.elapsed();
        poll_until(PATIENCE, || async {
            ensure!(application.get(client).await?.is_none(), "{} is still there", application.name());
            Ok::<_, anyhow::Error>(())
        })
        .await
        .map_err(anyhow::Error::msg)?;
        let began = Instant::now();
        member.expect(app, Effects::WRITE);
        application.apply(client).await?;
        member.wait_done(app).await?;
        Ok::<_, anyhow::Error>((gone, began.elapsed()))
    };
    // Each application once at a time: a round over all of them after the other.
    let mut took: Vec<(Duration, Duration)> = Vec::new();
    while took.len() < count {
        let round = apps.iter().take(count - took.len()).cloned();
        let done: Vec<_> = stream::iter(round.map(turn)).buffer_unordered(AT_ONCE).try_collect().await?;
        took.extend(done);
    }
    clusters.wait_deployed(&fleet.home, PATIENCE).await?;
    let (gone, made) = took.into_iter().unzip();
    fleet.report.times("removal", "from an application's deletion until its object goes", gone);
    fleet.report.times("creation", "from an application's creation to the cluster", made);
    Ok(())
}

/// The application of a cluster whose turn it is.
pub(super) fn of(member: &Member, turn: usize) -> usize {
    member.apps()[turn % member.apps().len()]
}
