//! What is done to the fleet, over and over.

use std::time::Duration;

use anyhow::ensure;
use futures::future::try_join_all;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::clusters::{Clusters, Member};
use crate::controllers::Controllers;
use crate::report::Report;

/// Repairs with nothing else going on.
pub(crate) async fn repairs(clusters: &Clusters, trials: usize, report: &mut Report) -> anyhow::Result<()> {
    let mut took = Vec::new();
    for trial in 0..trials {
        let since = Instant::now();
        took.extend(try_join_all(clusters.all().iter().map(|member| member.repair(trial, since))).await?);
    }
    report.times("repair", "repair, all at once on every cluster", &mut took);
    Ok(())
}

/// Controllers are killed, one after the other, and come back.
pub(crate) async fn kills(
    clusters: &Clusters,
    controllers: &mut Controllers,
    trials: usize,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut took = Vec::new();
    for trial in 0..trials {
        controllers.wait_shared_out(clusters.all().len()).await?;
        let victim = trial % controllers.count();
        let owned = controllers.owned(victim).await?;
        let since = Instant::now();
        controllers.one(victim).kill9();
        let members: Vec<&Member> = clusters.at(&owned).collect();
        took.extend(try_join_all(members.iter().map(|member| member.repair(trial, since))).await?);
        controllers.one(victim).restart().await?;
    }
    report.times("kill", "kill -9 until its clusters are repaired", &mut took);
    Ok(())
}

/// Controllers are told to end, one after the other, while everything of theirs is
/// repaired all the time, and come back.
pub(crate) async fn drains(
    clusters: &Clusters,
    controllers: &mut Controllers,
    trials: usize,
    report: &mut Report,
) -> anyhow::Result<()> {
    let (mut took, mut drained) = (Vec::new(), Vec::new());
    for trial in 0..trials {
        controllers.wait_shared_out(clusters.all().len()).await?;
        let number = trial % controllers.count();
        let owned = controllers.owned(number).await?;
        let members: Vec<&Member> = clusters.at(&owned).collect();
        let since = Instant::now();
        let mut victim = controllers.take(number);
        let stopping = tokio::task::spawn_blocking(move || {
            let status = victim.stop();
            (victim, status)
        });
        let slowest = try_join_all(members.iter().map(|member| slowest(member, trial, &stopping))).await?;
        let (victim, status) = stopping.await?;
        ensure!(status.success(), "a controller that was told to end ended with {status}");
        drained.push(since.elapsed());
        took.extend(slowest);
        controllers.put(number, victim);
        controllers.one(number).restart().await?;
    }
    report.times("drain_repair", "drain: the slowest repair on each of its clusters", &mut took);
    report.times("drain", "drain: until it has ended", &mut drained);
    Ok(())
}

/// Repairs one after the other until something is over, and how long the slowest took.
async fn slowest<T>(member: &Member, trial: usize, other: &JoinHandle<T>) -> anyhow::Result<Duration> {
    let (mut slowest, mut turn) = (Duration::ZERO, trial);
    loop {
        let is_over = other.is_finished();
        slowest = slowest.max(member.repair(turn, Instant::now()).await?);
        turn += 1;
        // One more after the end, so that a gap at the end counts too.
        if is_over {
            return Ok(slowest);
        }
    }
}
