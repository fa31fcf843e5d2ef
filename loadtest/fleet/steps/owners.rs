//! Steps in which clusters get other owners: crashes, planned handovers, and rolling
//! restarts.

use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use argosy_loadtest::progress;
use futures::future::try_join_all;
use tokio::time::Instant;

use super::Fleet;
use super::change::of;
use crate::controllers::Ending;
use crate::load::Running;
use crate::member::Member;
use crate::told;

/// Trials between two lines about them.
const NEWS: usize = 20;

/// Controllers are killed, one after the other, and come back.
pub(super) async fn kills(fleet: &mut Fleet, count: usize) -> anyhow::Result<()> {
    let mut took = Vec::new();
    for trial in 0..count {
        tell(trial, count);
        fleet.controllers.wait_shared_out(&fleet.clusters).await?;
        let victim = trial % fleet.controllers.count();
        let members = fleet.clusters.at(&fleet.controllers.owned(victim).await?);
        let since = Instant::now();
        fleet.controllers.kill(victim);
        took.extend(try_join_all(members.iter().map(|member| member.repair(of(member, trial), since))).await?);
        // Not sooner: it is the others who are to take over.
        fleet.controllers.restart(victim).await?;
    }
    fleet.controllers.wait_shared_out(&fleet.clusters).await?;
    fleet.report.times("kill", "kill -9 until its clusters are repaired", took);
    Ok(())
}

/// Controllers are told to end, one after the other, while everything of theirs is
/// repaired all the time, and come back.
pub(super) async fn drains(fleet: &mut Fleet, count: usize) -> anyhow::Result<()> {
    let logged = fleet.controllers.logged()?;
    let (mut gaps, mut drained) = (Vec::new(), Vec::new());
    for trial in 0..count {
        tell(trial, count);
        fleet.controllers.wait_shared_out(&fleet.clusters).await?;
        let number = trial % fleet.controllers.count();
        let members = fleet.clusters.at(&fleet.controllers.owned(number).await?);
        let since = Instant::now();
        let ending = fleet.controllers.end(number);
        let repairs = try_join_all(members.iter().map(|member| repeated(member, trial, &ending))).await?;
        fleet.controllers.ended(number, ending).await?;
        drained.push(since.elapsed());
        gaps.extend(repairs.iter().filter_map(|took| gap(took)));
        fleet.controllers.restart(number).await?;
    }
    fleet.controllers.wait_shared_out(&fleet.clusters).await?;
    let logs = fleet.controllers.logs_since(&logged)?;
    let told = told::handovers(logs.iter().enumerate().flat_map(|(by, log)| told::read(by, log)).collect());
    ensure!(!told.gaps.is_empty(), "the controllers' logs tell of no handover");
    if told.open > 0 {
        // A cluster that is split or joined is let go of as one slice and taken as another.
        progress(&format!("{} slices were given on as others", told.open));
    }
    fleet.report.count("handovers", told.gaps.len());
    fleet.report.times("handover", "handover: nobody can write, as controllers tell", told.gaps);
    fleet.report.times("handover_agreed", "handover: of that, until the next owner knows", told.agreed);
    fleet.report.times("handover_repair", "handover: slowest repair of a drain, less the median", gaps);
    fleet.report.times("drain", "drain: until it has ended", drained);
    Ok(())
}

/// Every controller is replaced, one after the other, while the load goes on.
pub(super) async fn rolls(fleet: &mut Fleet, count: usize) -> anyhow::Result<()> {
    let load = Running::start(&fleet.clusters, fleet.scenario.load);
    let mut took = Vec::new();
    for round in 0..count {
        progress(&format!("rolling restart {} of {count}", round + 1));
        let since = Instant::now();
        for number in 0..fleet.controllers.count() {
            let ending = fleet.controllers.end(number);
            fleet.controllers.ended(number, ending).await?;
            fleet.controllers.restart(number).await?;
        }
        took.push(since.elapsed());
        fleet.controllers.wait_shared_out(&fleet.clusters).await?;
    }
    load.end("roll", &mut fleet.report).await?;
    fleet.report.times("roll", "rolling restart of all controllers", took);
    Ok(())
}

/// Repairs on one cluster, one after the other, until a controller has ended.
async fn repeated(member: &Arc<Member>, trial: usize, ending: &Ending) -> anyhow::Result<Vec<Duration>> {
    let (mut took, mut turn) = (Vec::new(), trial);
    loop {
        let is_over = ending.is_finished();
        took.push(member.repair(of(member, turn), Instant::now()).await?);
        turn += 1;
        // One more after the end, so that a gap at the end counts too.
        if is_over {
            return Ok(took);
        }
    }
}

/// How much longer the slowest repair took than most. Nothing when there are too few to
/// say how long one takes that nobody disturbs.
fn gap(took: &[Duration]) -> Option<Duration> {
    let mut took = took.to_vec();
    took.sort();
    let slowest = took.last().copied().filter(|_| took.len() > 2)?;
    Some(slowest - took[took.len() / 2])
}

fn tell(trial: usize, count: usize) {
    if trial > 0 && trial.is_multiple_of(NEWS) {
        progress(&format!("{trial} of {count}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_what_the_slowest_repair_takes_more_than_most() {
        let millis = |all: &[u64]| all.iter().map(|one| Duration::from_millis(*one)).collect::<Vec<_>>();
        assert_eq!(gap(&millis(&[20, 90, 22, 21])), Some(Duration::from_millis(68)));
        assert_eq!(gap(&millis(&[20, 90])), None);
    }
}
