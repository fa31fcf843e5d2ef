//! An owner learns what it owns and when it must stop.

use std::sync::Arc;
use std::time::Duration;

use argosy_fleet::{
    Assignment, Cost, Directory, EntityId, Epoch, Error, Leadership, Lease, LeaseState, Local, Location, Membership,
    Ownership, OwnershipEvent, Placement, PlacementStore, Replica, Term, assign_entities,
};
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use tokio::time::{Instant, timeout};

const SOON: Duration = Duration::from_secs(5);

fn fleet() -> Local {
    Local::new(Replica::new("one", "127.0.0.1:1"), Epoch(7))
}

fn repository(name: &str) -> EntityId {
    EntityId::repository(&format!("https://host/{name}"))
}

async fn gained(events: &mut BoxStream<'static, OwnershipEvent>) -> Ownership {
    match timeout(SOON, events.next()).await.expect("in time").expect("goes on") {
        OwnershipEvent::Gained { ownership, .. } => ownership,
        other => panic!("expected a gain, got {other:?}"),
    }
}

async fn lost(events: &mut BoxStream<'static, OwnershipEvent>) -> (EntityId, Epoch) {
    match timeout(SOON, events.next()).await.expect("in time").expect("goes on") {
        OwnershipEvent::Lost { entity, epoch } => (entity, epoch),
        other => panic!("expected a loss, got {other:?}"),
    }
}

#[tokio::test]
async fn what_is_declared_is_owned_from_the_given_epoch_on() {
    let fleet = fleet();
    fleet.declare(vec![repository("a"), repository("b"), repository("a")]).await.expect("is a member");
    let mut events = fleet.watch_owned();
    let (a, b) = (gained(&mut events).await, gained(&mut events).await);
    assert_eq!((a.entity(), a.epoch()), (&repository("a"), Epoch(7)));
    assert_eq!((b.entity(), b.epoch()), (&repository("b"), Epoch(8)));
    fleet.declare(vec![repository("a")]).await.expect("is a member");
    assert!(events.next().now_or_never().is_none());
    assert_eq!(fleet.locate(&repository("a")), Some(Location::Local { epoch: Epoch(7) }));
    assert_eq!(fleet.locate(&repository("c")), None);
}

#[tokio::test]
async fn what_is_retired_is_revoked_and_comes_back_under_a_higher_epoch() {
    let fleet = fleet();
    let mut events = fleet.watch_owned();
    fleet.declare(vec![repository("a")]).await.expect("is a member");
    let first = gained(&mut events).await;
    assert!(first.is_held(Instant::now()));
    fleet.retire(vec![repository("a"), repository("unknown")]).await.expect("is a member");
    timeout(SOON, first.revoked()).await.expect("is revoked");
    assert!(!first.is_held(Instant::now()));
    assert_eq!(lost(&mut events).await, (repository("a"), Epoch(7)));
    fleet.declare(vec![repository("a")]).await.expect("is a member");
    assert_eq!(gained(&mut events).await.epoch(), Epoch(8));
}

#[tokio::test]
async fn a_slow_reader_is_told_of_the_loss_before_the_new_gain() {
    let fleet = fleet();
    let mut events = fleet.watch_owned();
    fleet.declare(vec![repository("a")]).await.expect("is a member");
    gained(&mut events).await;
    for _ in 0..3 {
        fleet.retire(vec![repository("a")]).await.expect("is a member");
        fleet.declare(vec![repository("a")]).await.expect("is a member");
    }
    assert_eq!(lost(&mut events).await.1, Epoch(7));
    assert_eq!(gained(&mut events).await.epoch(), Epoch(10));
    assert!(events.next().now_or_never().is_none());
}

#[tokio::test]
async fn leaving_loses_everything() {
    let fleet = fleet();
    let mut events = fleet.watch_owned();
    fleet.declare(vec![repository("a")]).await.expect("is a member");
    let ownership = gained(&mut events).await;
    let lease = fleet.join().await.expect("is a member");
    fleet.leave().await.expect("leaves");
    timeout(SOON, lease.ended()).await.expect("the lease ends");
    timeout(SOON, ownership.revoked()).await.expect("is revoked");
    lost(&mut events).await;
    assert!(fleet.members().borrow().is_empty());
    assert!(fleet.leading().borrow().is_none());
    assert!(matches!(fleet.declare(vec![repository("b")]).await, Err(Error::NotAMember)));
    drop(fleet);
    assert!(timeout(SOON, events.next()).await.expect("in time").is_none());
}

#[tokio::test]
async fn only_the_current_leader_writes_and_no_epoch_goes_back() {
    let fleet = fleet();
    let term = fleet.campaign().await.expect("is elected");
    assert_eq!(*fleet.leading().borrow(), Some(term));
    fleet.declare(vec![repository("a")]).await.expect("is a member");
    let current = Assignment::clone(&fleet.assignment().borrow());
    let stale = fleet.store(Term(0), current.clone()).await;
    assert!(matches!(stale, Err(Error::StaleTerm { .. })));
    let costs = fleet.costs().borrow().as_ref().clone();
    let elsewhere = assign_entities(&Assignment::starting_at(Epoch(0)), &[fleet.me().clone()], &costs);
    assert!(matches!(fleet.store(term, elsewhere).await, Err(Error::EpochWentBack { .. })));
    let other = assign_entities(&current, &[Replica::new("two", "127.0.0.1:2")], &costs);
    fleet.store(term, other).await.expect("follows");
    assert!(fleet.ownership(&repository("a")).is_none());
}

#[tokio::test]
async fn costs_are_told_of_what_is_known_alone() {
    let fleet = fleet();
    fleet.declare(vec![repository("a")]).await.expect("is a member");
    fleet.report_cost(&repository("a"), Cost(9));
    fleet.report_cost(&repository("b"), Cost(9));
    let costs = fleet.costs().borrow().clone();
    assert_eq!(costs.iter().collect::<Vec<_>>(), [(&repository("a"), &Cost(9))]);
}

#[tokio::test]
async fn the_controller_can_hold_the_fleet_behind_its_traits() {
    let fleet = Arc::new(fleet());
    let placement: Arc<dyn Placement> = fleet.clone();
    let directory: Arc<dyn Directory> = fleet.clone();
    let _membership: Arc<dyn Membership> = fleet.clone();
    let _leadership: Arc<dyn Leadership> = fleet.clone();
    let _store: Arc<dyn PlacementStore> = fleet;
    placement.declare(vec![repository("a")]).await.expect("is a member");
    assert!(directory.locate(&repository("a")).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_lease_ends_on_the_owners_clock_unless_renewed_before() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let lease = Lease::new(LeaseState::Until(at(10)));
    let view = lease.view();
    assert_eq!(view.deadline(), Some(at(10)));
    assert!(view.is_held(at(9)) && !view.is_held(at(10)));

    assert!(lease.renew(at(20), at(9)));
    assert!(lease.renew(at(15), at(9)), "an earlier end is not taken over");
    assert_eq!(view.deadline(), Some(at(20)));
    view.ended().await;
    assert_eq!(Instant::now(), at(20));

    assert!(!lease.renew(at(30), at(20)), "what has run out is not renewed");
    assert!(!view.is_held(at(0)));
}

#[tokio::test]
async fn a_lease_ends_with_its_keeper() {
    let lease = Lease::new(LeaseState::Unlimited);
    let view = lease.view();
    assert!(view.is_held(Instant::now()));
    drop(lease);
    assert!(!view.is_held(Instant::now()));
    timeout(SOON, view.ended()).await.expect("ends");
}

#[tokio::test]
async fn work_is_cut_off_when_the_ownership_ends() {
    let fleet = fleet();
    fleet.declare(vec![repository("a")]).await.expect("is a member");
    let ownership = fleet.ownership(&repository("a")).expect("is owned");
    assert_eq!(ownership.while_held(async { 1 }).await, Some(1));
    let work = tokio::spawn(async move { ownership.while_held(futures::future::pending::<()>()).await });
    fleet.retire(vec![repository("a")]).await.expect("is a member");
    assert_eq!(timeout(SOON, work).await.expect("in time").expect("no panic"), None);
}
