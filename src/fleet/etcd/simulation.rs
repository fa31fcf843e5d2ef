//! The protocol under thousands of faults: the decisions are the real ones, etcd,
//! time and the network are played, seeded.
//!
//! Replicas crash and come back under other names, stand still and wake up with
//! their old beliefs, are cut off, see what etcd says late, and have clocks of
//! different speed; requests arrive late, or their answers never do. A judge asks
//! after every step who believes to own what.

mod store;
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
    let (mut faults, mut gains, mut splits) = (0, 0, 0);
    for seed in 0..seeds() {
        let mut world = World::new(seed);
        for _ in 0..STEPS {
            world.step(Faults::Many);
        }
        world.heal();
        faults += world.faults;
        gains += world.gains();
        splits += world.splits;
    }
    let are_many = faults > seeds() * 50 && gains > seeds() * 50 && splits > seeds() / 4;
    assert!(are_many, "{faults} faults, {gains} gains and {splits} splits are no test");
    println!("{faults} faults, {gains} ownerships, {splits} clusters split in the end, one owner at a time");
}

#[test]
fn the_judge_sees_two_owners_where_a_lease_is_trusted_for_too_long() {
    let is_caught = |seed| {
        let judged = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            world.stretch_leases();
            for _ in 0..STEPS {
                world.step(Faults::Many);
            }
        });
        judged.is_err()
    };
    assert!((0..20).any(is_caught), "a judge who sees nothing proves nothing");
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
