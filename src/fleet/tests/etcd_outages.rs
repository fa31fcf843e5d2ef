//! An etcd that is away, half dead, full, or has forgotten: what is owned stays as
//! long as the lease, ends with it, and comes back by itself.

#[path = "support/replicas.rs"]
mod replicas;

use std::time::Duration;

use argosy_fleet::etcd::EtcdOptions;
use argosy_fleet::{Leadership, Membership, Placement, PlacementStore};
use argosy_tests::{Etcd as Cluster, eventually};
use etcd_client::{AlarmAction, AlarmType, Client};
use replicas::{Judge, PATIENCE, Worker, brief, clusters, options, until_all_owned};
use tokio::time::{Instant, timeout};

async fn client(etcd: &Cluster) -> Client {
    Client::connect(etcd.endpoints(), None).await.expect("the address is good")
}

#[tokio::test(flavor = "multi_thread")]
async fn etcd_may_be_away_for_less_than_the_lease_and_nothing_is_lost() {
    let mut etcd = Cluster::start(1).await.expect("etcd starts");
    let (judge, entities) = (Judge::default(), clusters(4));
    // Long enough for a slow machine to start etcd again.
    let patient = |name| EtcdOptions { lease: Duration::from_secs(45), ..options(name, etcd.endpoints()) };
    let one = Worker::join(patient("one"), &judge).await;
    one.fleet.declare(entities.clone()).await.expect("is written");
    until_all_owned(&[&one], &entities).await;
    let (gains, lease) = (judge.gains(), one.fleet.join().await.expect("is a member"));
    let deadline = lease.deadline();
    etcd.restart(0).await.expect("etcd starts again");
    eventually(PATIENCE, || async { (lease.deadline() > deadline).then_some(()).ok_or("the lease is not renewed") })
        .await;
    assert_eq!(judge.gains(), gains);
    one.fleet.declare(clusters(5)).await.expect("is written");
    until_all_owned(&[&one], &clusters(5)).await;
    assert_eq!(judge.gains(), gains + 1, "only what is new was taken up");
}

#[tokio::test(flavor = "multi_thread")]
async fn etcd_away_for_longer_ends_all_ownership_and_its_return_brings_it_back() {
    let mut etcd = Cluster::start(1).await.expect("etcd starts");
    let (judge, entities) = (Judge::default(), clusters(4));
    // Apart by more than a busy machine is late.
    let (in_etcd, margin) = (Duration::from_secs(15), Duration::from_secs(5));
    let options = EtcdOptions { lease: in_etcd, margin, ..options("one", etcd.endpoints()) };
    let one = Worker::join(options, &judge).await;
    one.fleet.declare(entities.clone()).await.expect("is written");
    until_all_owned(&[&one], &entities).await;
    let lease = one.fleet.join().await.expect("is a member");
    let first = one.fleet.ownership(&entities[0]).expect("is owned");
    let since = Instant::now();
    // It stands still, so that its own lease stays too: who pauses may come back.
    etcd.pause(0);
    timeout(PATIENCE, lease.ended()).await.expect("ends");
    assert!(since.elapsed() < in_etcd, "it ends before the lease in etcd can");
    assert!(!first.is_held(Instant::now()));
    eventually(PATIENCE, || async {
        let (owned, leads) = (one.owned(&entities).len(), one.fleet.leading().borrow().is_some());
        if owned == 0 && !leads { Ok(()) } else { Err(format!("{owned} are owned, leads: {leads}")) }
    })
    .await;
    etcd.resume(0);
    until_all_owned(&[&one], &entities).await;
    let again = one.fleet.ownership(&entities[0]).expect("is owned");
    assert!(again.epoch() > first.epoch());
    judge.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_dead_endpoint_of_three_is_noticed_by_nobody() {
    let mut etcd = Cluster::start(3).await.expect("etcd starts");
    let (judge, entities) = (Judge::default(), clusters(6));
    // One that is dead from the start, too: nobody listens on port 1.
    let mut endpoints = vec!["http://127.0.0.1:1".to_owned()];
    endpoints.extend(etcd.endpoints());
    let patient = |name| EtcdOptions { lease: Duration::from_secs(10), ..options(name, endpoints.clone()) };
    let one = Worker::join(patient("one"), &judge).await;
    let two = Worker::join(patient("two"), &judge).await;
    one.fleet.declare(entities.clone()).await.expect("is written");
    until_all_owned(&[&one, &two], &entities).await;
    let (gains, lease) = (judge.gains(), one.fleet.join().await.expect("is a member"));
    for member in 0..3 {
        let deadline = lease.deadline();
        etcd.stop(member);
        // A write and its echo, by whoever is asked.
        let more = clusters(7 + member);
        two.fleet.declare(more.clone()).await.expect("is written");
        until_all_owned(&[&one, &two], &more).await;
        eventually(PATIENCE, || async { (lease.deadline() > deadline).then_some(()).ok_or("not renewed") }).await;
        etcd.restart(member).await.expect("the member starts again");
    }
    assert_eq!(judge.gains(), gains + 3, "only what is new was taken up");
    judge.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_falls_behind_a_compaction_reads_anew() {
    let mut etcd = Cluster::start(3).await.expect("etcd starts");
    let (judge, entities) = (Judge::default(), clusters(4));
    let patient = |name, endpoints| EtcdOptions { lease: Duration::from_secs(30), ..options(name, endpoints) };
    let one = Worker::join(patient("one", etcd.endpoints()), &judge).await;
    one.fleet.declare(entities.clone()).await.expect("is written");
    until_all_owned(&[&one], &entities).await;
    // The second knows one member alone, and that one stands still.
    let two = Worker::join(patient("two", etcd.endpoints()[2..].to_vec()), &judge).await;
    until_all_owned(&[&one, &two], &entities).await;
    etcd.stop(2);
    let more = clusters(9);
    one.fleet.declare(more.clone()).await.expect("is written");
    eventually(PATIENCE, || async { (one.fleet.assignment().borrow().len() == 9).then_some(()).ok_or("not placed") })
        .await;
    let mut client = Client::connect(&etcd.endpoints()[..1], None).await.expect("connects");
    let now = client.get("/argosy/fleet/assignment", None).await.expect("is read");
    let revision = now.header().expect("has a header").revision();
    client.compact(revision, None).await.expect("compacts");
    etcd.restart(2).await.expect("the member starts again");
    until_all_owned(&[&one, &two], &more).await;
    judge.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_etcd_keeps_what_is_owned_and_takes_more_once_there_is_room() {
    let etcd = Cluster::start(1).await.expect("etcd starts");
    let (judge, entities) = (Judge::default(), clusters(4));
    let one = Worker::join(options("one", etcd.endpoints()), &judge).await;
    one.fleet.declare(entities.clone()).await.expect("is written");
    until_all_owned(&[&one], &entities).await;
    let mut client = client(&etcd).await;
    let filler = vec![7; 1 << 20];
    for number in 0.. {
        if client.put(format!("filler/{number}"), filler.clone(), None).await.is_err() {
            break;
        }
    }
    let refused = one.fleet.declare(clusters(5)).await.expect_err("etcd is full");
    let reason = std::error::Error::source(&refused).expect("has a source").to_string();
    assert!(reason.contains("NOSPACE"), "{reason}");
    let (gains, lease) = (judge.gains(), one.fleet.join().await.expect("is a member"));
    let deadline = lease.deadline();
    eventually(PATIENCE, || async { (lease.deadline() > deadline).then_some(()).ok_or("not renewed") }).await;
    assert_eq!((one.owned(&entities).len(), judge.gains()), (4, gains));

    client.delete("filler/", Some(etcd_client::DeleteOptions::new().with_prefix())).await.expect("deletes");
    let revision = client.get("x", None).await.expect("is read").header().expect("has a header").revision();
    client.compact(revision, Some(etcd_client::CompactionOptions::new().with_physical())).await.expect("compacts");
    client.defragment().await.expect("defragments");
    let alarms = client.alarm(AlarmAction::Get, AlarmType::Nospace, None).await.expect("is told");
    let member = alarms.alarms().first().expect("the alarm is raised").member_id();
    let mut whose = etcd_client::AlarmOptions::new();
    whose.with_member(member);
    client.alarm(AlarmAction::Deactivate, AlarmType::Nospace, Some(whose)).await.expect("disarms");
    one.fleet.declare(clusters(5)).await.expect("is written");
    until_all_owned(&[&one], &clusters(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_somebody_removes_from_etcd_stops_and_joins_anew() {
    let etcd = Cluster::start(1).await.expect("etcd starts");
    let (judge, entities) = (Judge::default(), clusters(4));
    let one = Worker::join(options("one", etcd.endpoints()), &judge).await;
    one.fleet.declare(entities.clone()).await.expect("is written");
    until_all_owned(&[&one], &entities).await;
    let before = one.fleet.join().await.expect("is a member");
    client(&etcd).await.delete("/argosy/fleet/members/one", None).await.expect("deletes");
    timeout(PATIENCE, before.ended()).await.expect("ends");
    eventually(PATIENCE, || async { (judge.gains() >= 8).then_some(()).ok_or("not taken up again") }).await;
    until_all_owned(&[&one], &entities).await;
    judge.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_taken_is_not_taken_over() {
    let etcd = Cluster::start(1).await.expect("etcd starts");
    let judge = Judge::default();
    let one = Worker::join(options("same", etcd.endpoints()), &judge).await;
    let other = Worker::start(brief("same", etcd.endpoints()), &judge);
    assert!(other.fleet.join().await.is_err());
    assert!(one.fleet.join().await.is_ok());
    one.fleet.leave().await.expect("leaves");
    eventually(PATIENCE, || async { other.fleet.join().await.map(drop) }).await;
}
