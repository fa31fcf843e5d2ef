//! Replicas on a real etcd: everything has one owner, whoever comes and goes.

#[path = "support/replicas.rs"]
mod replicas;

use std::sync::Arc;
use std::time::Duration;

use argosy_fleet::{
    Assignment, Cost, Directory, EntityId, Epoch, Error, Leadership, Location, Membership, Placement, PlacementStore,
    ReplicaId, Sight, Term, assign_entities,
};
use argosy_tests::{Etcd as Cluster, eventually};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use replicas::{BRIEF, Judge, LEASE, PATIENCE, Worker, brief, clusters, options, until_all_owned};
use tokio::time::{Instant, sleep, timeout};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_declared_is_shared_out_among_those_who_join_and_taken_back_from_those_who_leave() {
    let etcd = Cluster::start(1).await.expect("etcd starts");
    let (judge, entities) = (Judge::default(), clusters(12));
    let one = Worker::join(options("one", etcd.endpoints()), &judge).await;
    one.fleet.declare(entities.clone()).await.expect("is written");
    until_all_owned(&[&one], &entities).await;

    let two = Worker::join(options("two", etcd.endpoints()), &judge).await;
    until_all_owned(&[&one, &two], &entities).await;
    let owned = two.owned(&entities);
    let found = one.fleet.locate(owned.first().expect("it owns something"));
    assert!(matches!(found, Some(Location::Remote { replica, .. }) if &*replica.address == "two:1"));

    let since = Instant::now();
    two.fleet.leave().await.expect("leaves");
    until_all_owned(&[&one], &entities).await;
    assert!(since.elapsed() < LEASE, "who leaves in order is not waited for");

    one.fleet.retire(entities[..6].to_vec()).await.expect("is written");
    until_all_owned(&[&one], &entities[6..]).await;
    judge.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_replica_owned_is_taken_over_after_its_lease_and_not_before() {
    let etcd = Cluster::start(1).await.expect("etcd starts");
    let (judge, entities) = (Judge::default(), clusters(8));
    let one = Worker::join(brief("one", etcd.endpoints()), &judge).await;
    let two = Worker::join(brief("two", etcd.endpoints()), &judge).await;
    one.fleet.declare(entities.clone()).await.expect("is written");
    until_all_owned(&[&one, &two], &entities).await;
    let mut leaders = [one.fleet.leading(), two.fleet.leading()];
    // The leader dies, so that the election is part of the takeover.
    let (dies, lives) = if leaders[0].borrow_and_update().is_some() { (one, two) } else { (two, one) };
    let since = Instant::now();
    drop(dies);
    until_all_owned(&[&lives], &entities).await;
    let took = since.elapsed();
    assert!(took > BRIEF / 3, "{took:?} is before the lease can have run out");
    assert!(lives.fleet.leading().borrow().is_some());
    judge.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_has_two_owners_while_everything_moves() {
    let etcd = Cluster::start(1).await.expect("etcd starts");
    let (judge, entities) = (Judge::default(), clusters(40));
    let mut random = StdRng::seed_from_u64(11);
    let mut workers = Vec::new();
    for number in 0..3 {
        workers.push(Worker::join(brief(&format!("replica-{number}"), etcd.endpoints()), &judge).await);
    }
    workers[0].fleet.declare(entities.clone()).await.expect("is written");
    until_all_owned(&workers.iter().collect::<Vec<_>>(), &entities).await;
    for round in 0..25 {
        for worker in &workers {
            let seed: u64 = random.random();
            worker.report(&entities, |entity| {
                Cost(StdRng::seed_from_u64(seed ^ entity.to_string().len() as u64).random_range(1..1000))
            });
        }
        match round % 5 {
            1 => {
                let name = format!("replica-{}", round + 10);
                workers.push(Worker::join(brief(&name, etcd.endpoints()), &judge).await);
            }
            3 => {
                let gone = workers.swap_remove(random.random_range(0..workers.len()));
                if random.random() {
                    gone.fleet.leave().await.expect("leaves");
                }
            }
            _ => {
                let some = entities[random.random_range(0..20)..random.random_range(20..40)].to_vec();
                workers[0].fleet.retire(some.clone()).await.expect("is written");
                workers[0].fleet.declare(some).await.expect("is written");
            }
        }
        let gains = judge.gains();
        let news = eventually(BRIEF * 2, || async { (judge.gains() > gains).then_some(()).ok_or("nothing has moved") });
        drop(timeout(BRIEF / 4, news).await);
    }
    workers[0].fleet.declare(entities.clone()).await.expect("is written");
    until_all_owned(&workers.iter().collect::<Vec<_>>(), &entities).await;
    judge.check();
    assert!(judge.gains() > 100, "{} ownerships are no test", judge.gains());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deposed_leader_writes_nothing_and_epochs_go_on_under_the_next() {
    let etcd = Cluster::start(1).await.expect("etcd starts");
    let (judge, entities) = (Judge::default(), clusters(4));
    let one = Worker::join(options("one", etcd.endpoints()), &judge).await;
    let first = timeout(PATIENCE, one.fleet.campaign()).await.expect("in time").expect("is elected");
    one.fleet.declare(entities.clone()).await.expect("is written");
    until_all_owned(&[&one], &entities).await;
    let two = Worker::join(options("two", etcd.endpoints()), &judge).await;
    until_all_owned(&[&one, &two], &entities).await;
    let before = Assignment::clone(&one.fleet.assignment().borrow());
    assert!(before.iter().all(|(_, placed)| placed.epoch >= Epoch(100)));

    one.fleet.resign().await.expect("gives up");
    let second = timeout(PATIENCE, two.fleet.campaign()).await.expect("in time").expect("is elected");
    assert!(second > first);
    let costs = one.fleet.costs().borrow().as_ref().clone();
    let wish = assign_entities(&before, &[one.fleet.me().clone()], &costs);
    let refused = one.fleet.store(first, wish.clone()).await;
    let is_stale =
        |error: &Error| matches!(error, Error::StaleTerm { given, current } if (*given, *current) == (first, second));
    assert!(refused.as_ref().is_err_and(is_stale), "{refused:?}");
    assert!(matches!(one.fleet.store(Term(1), wish).await, Err(Error::StaleTerm { .. })));

    let gone = two.owned(&entities);
    two.fleet.leave().await.expect("leaves");
    eventually(PATIENCE, || async { (one.fleet.members().borrow().len() == 1).then_some(()).ok_or("two is there") })
        .await;
    timeout(PATIENCE, one.fleet.campaign()).await.expect("in time").expect("is elected");
    until_all_owned(&[&one], &entities).await;
    let after = Arc::clone(&one.fleet.assignment().borrow());
    for entity in &gone {
        assert!(after.get(entity).map(|p| p.epoch) > before.get(entity).map(|p| p.epoch));
    }
    judge.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_assignment_of_somebody_elses_making_is_stored_in_two_steps() {
    let etcd = Cluster::start(1).await.expect("etcd starts");
    let (judge, entities) = (Judge::default(), clusters(4));
    let one = Worker::join(options("one", etcd.endpoints()), &judge).await;
    let term = timeout(PATIENCE, one.fleet.campaign()).await.expect("in time").expect("is elected");
    one.fleet.declare(entities.clone()).await.expect("is written");
    until_all_owned(&[&one], &entities).await;
    let before = Assignment::clone(&one.fleet.assignment().borrow());
    let costs = one.fleet.costs().borrow().as_ref().clone();
    let stale = assign_entities(&Assignment::starting_at(Epoch(0)), &[one.fleet.me().clone()], &costs);
    assert!(matches!(one.fleet.store(term, stale).await, Err(Error::EpochWentBack { .. })));
    one.fleet.store(term, before.clone()).await.expect("changes nothing");
    let kept = Arc::clone(&one.fleet.assignment().borrow());
    assert_eq!(*kept, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_costly_entity_moves_its_neighbours_away_and_no_more_than_that() {
    let etcd = Cluster::start(1).await.expect("etcd starts");
    let (judge, entities) = (Judge::default(), clusters(20));
    let one = Worker::join(options("one", etcd.endpoints()), &judge).await;
    let two = Worker::join(options("two", etcd.endpoints()), &judge).await;
    one.fleet.declare(entities.clone()).await.expect("is written");
    until_all_owned(&[&one, &two], &entities).await;
    let report = |cost: &dyn Fn(&argosy_fleet::EntityId) -> Cost| {
        one.report(&entities, cost);
        two.report(&entities, cost);
    };
    report(&|_| Cost(100));
    let told = |wanted: u64| {
        let costs = one.fleet.costs();
        async move {
            let sum: u64 = costs.borrow().values().map(|cost| cost.0).sum();
            if sum == wanted { Ok(()) } else { Err(format!("{sum} instead of {wanted}")) }
        }
    };
    eventually(PATIENCE, || told(2000)).await;
    until_all_owned(&[&one, &two], &entities).await;

    let (gains, hot) = (judge.gains(), one.owned(&entities).pop_first().expect("it owns something"));
    // Less than a tenth more: not even written.
    report(&|_| Cost(105));
    report(&|entity| if *entity == hot { Cost(600) } else { Cost(100) });
    eventually(PATIENCE, || told(2500)).await;
    let even = || async {
        let load =
            |worker: &Worker| worker.owned(&entities).iter().map(|e| if *e == hot { 600 } else { 100 }).sum::<u64>();
        let (first, second) = (load(&one), load(&two));
        // A quarter around the mean of 1250, and what is indivisible.
        if first.abs_diff(second) <= 725 && first + second == 2500 {
            Ok(())
        } else {
            Err(format!("{first} and {second}"))
        }
    };
    eventually(PATIENCE, even).await;
    let moves = judge.gains() - gains;
    assert!(moves <= 5, "{moves} moves");
    judge.check();
}

/// Nobody but a test says that anything is prepared.
fn prepared_options(name: &str, endpoints: Vec<String>) -> argosy_fleet::etcd::EtcdOptions {
    argosy_fleet::etcd::EtcdOptions { prepare: PATIENCE * 10, ..options(name, endpoints) }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_works_on_until_its_successor_says_that_it_is_prepared() {
    let etcd = Cluster::start(1).await.expect("etcd starts");
    let (judge, entities) = (Judge::default(), clusters(6));
    let one = Worker::join(prepared_options("one", etcd.endpoints()), &judge).await;
    one.fleet.declare(entities.clone()).await.expect("is written");
    until_all_owned(&[&one], &entities).await;
    let two = Worker::join(prepared_options("two", etcd.endpoints()), &judge).await;
    let mut coming = two.fleet.watch_coming();
    let named = timeout(PATIENCE, coming.wait_for(|coming| !coming.is_empty())).await.expect("in time");
    let named = Arc::clone(&named.expect("it goes on"));
    assert_eq!(one.owned(&entities).len(), 6, "nothing has moved");

    // One of them is ready.
    let first = named.keys().next().cloned().expect("there are some");
    two.fleet.report_prepared([first.clone()].into());
    let is_alone = || async { (two.owned(&entities).iter().eq([&first])).then_some(()).ok_or("it has not come") };
    eventually(PATIENCE, is_alone).await;
    assert_eq!(one.owned(&entities).len(), 5);

    two.fleet.report_prepared(named.keys().cloned().collect());
    until_all_owned(&[&one, &two], &entities).await;
    let done = timeout(PATIENCE, coming.wait_for(|coming| coming.is_empty())).await;
    assert!(done.is_ok(), "something is still to come");
    judge.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_drains_gives_everything_away_and_takes_nothing() {
    let etcd = Cluster::start(1).await.expect("etcd starts");
    let (judge, entities) = (Judge::default(), clusters(9));
    let one = Worker::join(options("one", etcd.endpoints()), &judge).await;
    let two = Worker::join(options("two", etcd.endpoints()), &judge).await;
    one.fleet.declare(entities.clone()).await.expect("is written");
    until_all_owned(&[&one, &two], &entities).await;
    assert!(one.fleet.drain(PATIENCE).await, "it still owns something");
    until_all_owned(&[&two], &entities).await;
    one.fleet.declare(clusters(12)).await.expect("is written");
    until_all_owned(&[&two], &clusters(12)).await;
    one.fleet.leave().await.expect("leaves");
    judge.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_cluster_is_split_over_the_replicas_and_joined_when_it_is_calm() {
    let etcd = Cluster::start(1).await.expect("etcd starts");
    let (judge, entities) = (Judge::default(), clusters(6));
    let one = Worker::join(options("one", etcd.endpoints()), &judge).await;
    let two = Worker::join(options("two", etcd.endpoints()), &judge).await;
    one.fleet.declare(entities.clone()).await.expect("is written");
    until_all_owned(&[&one, &two], &entities).await;
    let busy = "https://cluster-0";
    let apps: Vec<String> = (0..200).map(|number| format!("argocd/app-{number}")).collect();
    // What its slices cost in all.
    let report = |total: u64| {
        for worker in [&one, &two] {
            let assignment = Arc::clone(&worker.fleet.assignment().borrow());
            for (entity, _) in assignment.iter() {
                let cost = match entity {
                    EntityId::ClusterSlice { server, slice } if **server == *busy => total / u64::from(slice.of),
                    _ => 10_000,
                };
                worker.fleet.report_cost(entity, Cost(cost));
            }
        }
    };
    let spread = |total: u64, parts: usize| {
        let (one, two, apps) = (&one, &two, &apps);
        async move {
            report(total);
            let has = |worker: &Worker, app: &String| worker.fleet.right_to(busy, app).is_some();
            let counts = [one, two].map(|worker| apps.iter().filter(|app| has(worker, app)).count());
            let shared = counts.iter().filter(|count| **count > 0).count();
            let is_so = counts.iter().sum::<usize>() == apps.len() && shared == parts;
            if is_so { Ok(()) } else { Err(format!("{counts:?} of {} applications", apps.len())) }
        }
    };
    eventually(PATIENCE, || spread(1_000_000, 2)).await;
    let app = apps.iter().find(|app| one.fleet.right_to(busy, app).is_none()).expect("the other has some");
    let found = one.fleet.locate_application(busy, app);
    assert!(matches!(found, Some(Location::Remote { replica, .. }) if &*replica.address == "two:1"));
    eventually(PATIENCE, || spread(1_000, 1)).await;
    judge.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_lost_replica_what_is_fenced_is_taken_at_once_and_it_hears_of_it() {
    let etcd = Cluster::start(1).await.expect("etcd starts");
    let (judge, entities) = (Judge::default(), clusters(8));
    let names = ["one", "two", "three"];
    let mut workers = Vec::new();
    for name in names {
        workers.push(Worker::join(options(name, etcd.endpoints()), &judge).await);
    }
    workers[0].fleet.declare(entities.clone()).await.expect("is written");
    until_all_owned(&workers.iter().collect::<Vec<_>>(), &entities).await;
    // The others lose sight of the leader, so that the election is part of it.
    let leads = |worker: &Worker| worker.fleet.leading().borrow().is_some();
    let lost = workers.iter().position(leads).expect("somebody leads");
    let had = workers[lost].owned(&entities);
    let (fenced, left) = had.iter().partition::<Vec<_>, _>(|entity| *entity == had.first().expect("it has some"));
    let ownership = workers[lost].fleet.ownership(fenced[0]).expect("it has it");
    assert!(ownership.succession().is_alone());
    ownership.succession().tell_fenced();
    // Of another one it is told, and taken back.
    let unfenced = workers[lost].fleet.ownership(left.first().expect("it has more")).expect("it has it");
    unfenced.succession().tell_fenced();
    timeout(PATIENCE, unfenced.succession().unfenced()).await.expect("it is taken back");
    drop(unfenced);
    let session_lasts = ownership.lease().clone();
    let name = workers[lost].fleet.me().id.clone();
    let others: Vec<&Worker> = workers.iter().filter(|worker| worker.fleet.me().id != name).collect();
    others.iter().for_each(|worker| worker.fleet.report_sight(lost_sight_of(&name)));

    let next = eventually(PATIENCE, || async {
        let owned = others.iter().find_map(|worker| worker.fleet.ownership(fenced[0]));
        owned.ok_or("nobody has taken over")
    })
    .await;
    // It lives, and so it stops by itself, long before its lease has ended.
    ownership.revoked().await;
    assert!(session_lasts.is_held(Instant::now()) && next.epoch() > ownership.epoch());
    assert!(left.iter().all(|entity| workers[lost].fleet.ownership(entity).is_some()), "the rest is still its own");
    drop(ownership);
    // When it has let go, its successor is alone.
    let alone = next.succession().unfenced();
    timeout(PATIENCE, alone).await.expect("it is alone");

    others.iter().for_each(|worker| worker.fleet.report_sight(Sight::default()));
    until_all_owned(&workers.iter().collect::<Vec<_>>(), &entities).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_fenced_one_after_the_other_is_taken_at_once_all_of_it() {
    let etcd = Cluster::start(1).await.expect("etcd starts");
    let (judge, entities) = (Judge::default(), clusters(30));
    let one = Worker::join(options("one", etcd.endpoints()), &judge).await;
    one.fleet.declare(entities.clone()).await.expect("is written");
    until_all_owned(&[&one], &entities).await;
    let other = Worker::join(options("two", etcd.endpoints()), &judge).await;
    until_all_owned(&[&one, &other], &entities).await;
    let had = one.owned(&entities);
    assert!(had.len() > 10, "{had:?}");
    for entity in &had {
        let ownership = one.fleet.ownership(entity).expect("it has it");
        ownership.succession().tell_fenced();
        drop(ownership);
        // Some are told while others are being written.
        sleep(Duration::from_micros(300)).await;
    }
    // It lives: what was not told of would stay its own.
    other.fleet.report_sight(lost_sight_of(&one.fleet.me().id));
    eventually(PATIENCE, || async {
        let left: Vec<&EntityId> = had.iter().filter(|entity| other.fleet.ownership(entity).is_none()).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?} were not taken")) }
    })
    .await;
}

fn lost_sight_of(name: &ReplicaId) -> Sight {
    Sight { lost: [name.clone()].into(), ..Sight::default() }
}
