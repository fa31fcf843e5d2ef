//! The protocol under thousands of faults: the decisions are the real ones, etcd,
//! time and the network are played, seeded.
//!
//! Replicas crash and come back under other names, stand still and wake up with
//! their old beliefs, are cut off, see what etcd says late, and have clocks of
//! different speed; links between them break when nothing else does; requests arrive
//! late, or their answers never do. Clusters accept what owners have made there. A judge
//! asks after every step who believes to own what, and who can write.

mod store;
mod target;
mod world;

use world::{Faults, World};

/// Seeds that are played each time; more with `ARGOSY_SIMULATIONS`.
const SEEDS: u64 = 60;

/// Steps of a play, of some 70 ms each.
const STEPS: usize = 4_000;

fn seeds() -> u64 {
    std::env::var("ARGOSY_SIMULATIONS").ok().and_then(|count| count.parse().ok()).unwrap_or(SEEDS)
}

#[test]
fn whatever_fails_nothing_ever_has_two_owners_and_all_is_owned_in_the_end() {
    let (mut faults, mut gains, mut splits, mut replaced) = (0, 0, 0, 0);
    for seed in 0..seeds() {
        let mut world = World::new(seed);
        for _ in 0..STEPS {
            world.step(Faults::Many);
        }
        world.heal();
        faults += world.faults;
        gains += world.gains();
        splits += world.splits;
        replaced += world.replaced.len() as u64;
    }
    let are_many = faults > seeds() * 50 && gains > seeds() * 50 && splits > seeds() / 4 && replaced > seeds();
    assert!(are_many, "{faults} faults, {gains} gains, {splits} splits and {replaced} rivals are no test");
    println!(
        "{faults} faults, {gains} ownerships, {splits} clusters split in the end; {replaced} owners were replaced \
         without knowing it, and nowhere could two write"
    );
}

#[test]
fn the_judge_sees_two_owners_where_a_lease_is_trusted_for_too_long() {
    assert!(is_caught(World::stretch_leases), "a judge who sees nothing proves nothing");
}

#[test]
fn the_judge_sees_two_who_can_write_where_not_only_the_fenced_are_replaced_early() {
    assert!(is_caught(World::take_carelessly), "a judge who sees nothing proves nothing");
}

#[test]
fn the_judge_sees_two_who_can_write_where_a_fence_is_taken_back_without_a_look_at_the_assignment() {
    assert!(is_caught(World::take_back_blindly), "a judge who sees nothing proves nothing");
}

fn is_caught(flaw: fn(&mut World)) -> bool {
    let is_caught = |seed| {
        let judged = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            flaw(&mut world);
            for _ in 0..STEPS {
                world.step(Faults::Many);
            }
        });
        judged.is_err()
    };
    (0..60).any(is_caught)
}

#[test]
fn without_faults_nothing_moves_but_what_must() {
    let mut world = World::new(7);
    for _ in 0..STEPS {
        world.step(Faults::None);
    }
    world.heal();
    let before = world.gains();
    for _ in 0..STEPS {
        world.step(Faults::None);
    }
    assert_eq!(world.gains(), before);
}
