//! A load that goes on beside a step: objects that are deleted and repaired all the
//! time, and commits that touch applications.
//!
//! An application takes part in one of both alone, and nothing more is done to it until
//! the controllers have answered, so that each answer is to be exactly one write.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clusters::Clusters;
use crate::member::Member;
use crate::report::Report;
use crate::scenario::Load;

/// A load that goes on.
pub(crate) struct Running {
    ending: CancellationToken,
    repairs: JoinSet<anyhow::Result<Vec<Duration>>>,
    commits: JoinSet<anyhow::Result<Vec<Duration>>>,
}

// === impl Running ===

impl Running {
    /// Begins.
    pub(crate) fn start(clusters: &Arc<Clusters>, load: Load) -> Self {
        let (ending, mut repairs, mut commits) = (CancellationToken::new(), JoinSet::new(), JoinSet::new());
        let (even, odd): (Vec<_>, Vec<_>) = clusters.apps().into_iter().partition(|(_, app)| app % 2 == 0);
        for first in 0..load.repairs {
            // No application is of two of them.
            let own = even.iter().skip(first).step_by(load.repairs).cloned().collect();
            repairs.spawn(repair(own, ending.clone()));
        }
        if load.commit_applications > 0 {
            commits.spawn(commit(clusters.clone(), odd, load, ending.clone()));
        }
        Self { ending, repairs, commits }
    }

    /// Ends when everything that was begun has been answered, and notes how long it took.
    ///
    /// # Errors
    /// When something was not answered.
    pub(crate) async fn end(self, step: &str, report: &mut Report) -> anyhow::Result<()> {
        self.ending.cancel();
        for (set, name, words) in
            [(self.repairs, "repair", "repair"), (self.commits, "commit", "from a commit to the cluster")]
        {
            let took: Vec<Vec<Duration>> = set.join_all().await.into_iter().collect::<anyhow::Result<_>>()?;
            report.times(&format!("{step}_{name}"), &format!("{step}: {words}"), took.concat());
        }
        Ok(())
    }
}

async fn repair(apps: Vec<(Arc<Member>, usize)>, ending: CancellationToken) -> anyhow::Result<Vec<Duration>> {
    let mut took = Vec::new();
    for (member, app) in apps.iter().cycle() {
        if ending.is_cancelled() {
            break;
        }
        took.push(member.repair(*app, Instant::now()).await.context("repairing under load")?);
    }
    Ok(took)
}

async fn commit(
    clusters: Arc<Clusters>,
    apps: Vec<(Arc<Member>, usize)>,
    load: Load,
    ending: CancellationToken,
) -> anyhow::Result<Vec<Duration>> {
    let (mut took, mut next) = (Vec::new(), 0);
    while !ending.is_cancelled() {
        let touched: Vec<_> = apps.iter().cycle().skip(next).take(load.commit_applications).cloned().collect();
        next = (next + touched.len()) % apps.len();
        let began = Instant::now();
        took.extend(committed(&clusters, &touched).await.context("committing under load")?);
        let rest = Duration::from_secs(load.commit_seconds).saturating_sub(began.elapsed());
        tokio::select! {
            () = tokio::time::sleep(rest) => {}
            () = ending.cancelled() => {}
        }
    }
    Ok(took)
}

/// One commit: until what it changes is in the clusters, for each application.
pub(crate) async fn committed(clusters: &Clusters, touched: &[(Arc<Member>, usize)]) -> anyhow::Result<Vec<Duration>> {
    let began = Instant::now();
    clusters.commit(touched)?;
    let done = touched.iter().map(|(member, app)| async move {
        member.wait_done(*app).await?;
        Ok(began.elapsed())
    });
    futures::future::try_join_all(done).await
}
