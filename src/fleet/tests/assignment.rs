//! Placement is even, steady, repeatable, and never hands an epoch out twice.

use std::collections::{BTreeMap, BTreeSet};

use argosy_fleet::{Assignment, Cost, EntityId, Epoch, Replica, assign_entities, plan_slices, slice_of};
use proptest::prelude::*;

type Costs = BTreeMap<EntityId, Cost>;

fn replica(number: usize, weight: u32) -> Replica {
    Replica { weight, ..Replica::new(&format!("replica-{number}"), "host:1") }
}

fn fleet(weights: &[u32]) -> Vec<Replica> {
    weights.iter().enumerate().map(|(i, weight)| replica(i, *weight)).collect()
}

fn entities(costs: &[u64]) -> Costs {
    costs.iter().enumerate().map(|(i, cost)| (EntityId::cluster(&format!("https://c{i}")), Cost(*cost))).collect()
}

fn moved(before: &Assignment, after: &Assignment) -> BTreeSet<EntityId> {
    let moved = after.iter().filter(|(e, p)| before.get(e).is_some_and(|b| b.replica != p.replica));
    moved.map(|(e, _)| e.clone()).collect()
}

fn load(assignment: &Assignment, replica: &Replica, costs: &Costs) -> u64 {
    assignment.iter().filter(|(_, p)| p.replica == replica.id).map(|(e, _)| costs[e].0.max(1)).sum()
}

fn within_bound(assignment: &Assignment, replicas: &[Replica], costs: &Costs) -> bool {
    let total: u64 = costs.values().map(|c| c.0.max(1)).sum();
    let largest = costs.values().map(|c| c.0.max(1)).max().unwrap_or(0);
    let weights: u64 = replicas.iter().map(|r| u64::from(r.weight)).sum();
    replicas.iter().all(|r| {
        let share = total as f64 * f64::from(r.weight) / weights as f64;
        load(assignment, r, costs) as f64 <= share * 1.15 + 1.0 + largest as f64
    })
}

fn arb_costs() -> impl Strategy<Value = Vec<u64>> {
    proptest::collection::vec(prop_oneof![8 => 0u64..50, 1 => 0u64..2000], 0..120)
}

fn arb_weights() -> impl Strategy<Value = Vec<u32>> {
    proptest::collection::vec(1u32..4, 1..9)
}

proptest! {
    #[test]
    fn everything_is_placed_and_no_replica_is_beyond_its_bound(costs in arb_costs(), weights in arb_weights()) {
        let (replicas, costs) = (fleet(&weights), entities(&costs));
        let assignment = assign_entities(&Assignment::default(), &replicas, &costs);
        prop_assert_eq!(assignment.len(), costs.len());
        prop_assert!(within_bound(&assignment, &replicas, &costs));
    }

    #[test]
    fn the_bound_holds_through_any_change(
        first in arb_costs(), second in arb_costs(), before in arb_weights(), after in arb_weights(),
    ) {
        let start = assign_entities(&Assignment::default(), &fleet(&before), &entities(&first));
        let (replicas, costs) = (fleet(&after), entities(&second));
        let next = assign_entities(&start, &replicas, &costs);
        prop_assert_eq!(next.len(), costs.len());
        prop_assert!(within_bound(&next, &replicas, &costs));
    }

    #[test]
    fn its_own_output_given_back_changes_nothing(
        first in arb_costs(), second in arb_costs(), before in arb_weights(), after in arb_weights(),
    ) {
        let start = assign_entities(&Assignment::default(), &fleet(&before), &entities(&first));
        let next = assign_entities(&start, &fleet(&after), &entities(&second));
        prop_assert_eq!(&assign_entities(&next, &fleet(&after), &entities(&second)), &next);
    }

    #[test]
    fn the_order_replicas_are_given_in_does_not_matter(costs in arb_costs(), weights in arb_weights()) {
        let (mut replicas, costs) = (fleet(&weights), entities(&costs));
        let one = assign_entities(&Assignment::default(), &replicas, &costs);
        replicas.reverse();
        prop_assert_eq!(assign_entities(&Assignment::default(), &replicas, &costs), one);
    }

    #[test]
    fn an_entity_has_a_new_and_higher_epoch_exactly_when_it_has_a_new_owner(
        first in arb_costs(), second in arb_costs(), before in arb_weights(), after in arb_weights(), from in 0u64..1000,
    ) {
        let start = Assignment::starting_at(Epoch(from));
        let one = assign_entities(&start, &fleet(&before), &entities(&first));
        let two = assign_entities(&one, &fleet(&after), &entities(&second));
        for (entity, now) in two.iter() {
            match one.get(entity) {
                Some(was) if was.replica == now.replica => prop_assert_eq!(now.epoch, was.epoch),
                _ => prop_assert!(now.epoch >= one.next_epoch()),
            }
        }
        let epochs: BTreeSet<Epoch> = two.iter().map(|(_, p)| p.epoch).collect();
        prop_assert_eq!(epochs.len(), two.len());
        prop_assert!(two.next_epoch() >= one.next_epoch());
        prop_assert!(two.check_follows(&one).is_ok());
    }

    #[test]
    fn the_death_of_a_replica_moves_what_it_owned_and_nothing_else(count in 60usize..200, replicas in 2usize..7, dead in 0usize..7) {
        let costs = entities(&vec![10; count]);
        let mut replicas = fleet(&vec![1; replicas]);
        let before = assign_entities(&Assignment::default(), &replicas, &costs);
        let gone = replicas.remove(dead % replicas.len());
        let after = assign_entities(&before, &replicas, &costs);
        let owned: BTreeSet<EntityId> =
            before.iter().filter(|(_, p)| p.replica == gone.id).map(|(e, _)| e.clone()).collect();
        prop_assert_eq!(moved(&before, &after), owned);
    }

    #[test]
    fn a_new_replica_is_given_its_part_and_no_more_moves(count in 60usize..200, replicas in 1usize..7) {
        let costs = entities(&vec![10; count]);
        let before = assign_entities(&Assignment::default(), &fleet(&vec![1; replicas]), &costs);
        let grown = fleet(&vec![1; replicas + 1]);
        let after = assign_entities(&before, &grown, &costs);
        let newcomer = grown.last().expect("has one");
        let share = count as f64 / (replicas + 1) as f64;
        let got = load(&after, newcomer, &costs) as f64 / 10.0;
        prop_assert!(got >= share * 0.75 - 1.0, "{got} of {share}");
        let elsewhere = moved(&before, &after).iter().filter(|e| after.get(e).is_some_and(|p| p.replica != newcomer.id)).count();
        prop_assert_eq!(elsewhere, 0);
        prop_assert!(moved(&before, &after).len() as f64 <= share * 1.25 + 1.0);
    }

    #[test]
    fn costs_that_wobble_move_nothing(count in 60usize..200, replicas in 1usize..6, wobble in proptest::collection::vec(0u64..3, 200)) {
        let costs = entities(&vec![100; count]);
        let fleet = fleet(&vec![1; replicas]);
        // Settled on an even load: far from the edges of the band.
        let even: Vec<u64> = (0..count).map(|i| 100 + wobble[i]).collect();
        let before = assign_entities(&Assignment::default(), &fleet, &costs);
        let loads: Vec<u64> = fleet.iter().map(|r| load(&before, r, &costs)).collect();
        let mean = loads.iter().sum::<u64>() / loads.len() as u64;
        prop_assume!(loads.iter().all(|l| *l * 100 > mean * 80 && *l * 100 < mean * 120));
        prop_assert!(moved(&before, &assign_entities(&before, &fleet, &entities(&even))).is_empty());
    }

    #[test]
    fn one_more_slice_moves_nothing_between_the_others(names in proptest::collection::vec("[a-z]{1,12}", 0..60), slices in 1u32..9) {
        for name in names {
            let (before, after) = (slice_of(&name, slices), slice_of(&name, slices + 1));
            prop_assert!(before < slices);
            prop_assert!(after == before || after == slices);
        }
    }
}

#[test]
fn a_forgotten_entity_comes_back_under_a_higher_epoch() {
    let (fleet, costs) = (fleet(&[1]), entities(&[1]));
    let one = assign_entities(&Assignment::default(), &fleet, &costs);
    let none = assign_entities(&one, &fleet, &Costs::new());
    let again = assign_entities(&none, &fleet, &costs);
    let epoch = |assignment: &Assignment| assignment.iter().map(|(_, p)| p.epoch).next().expect("has one");
    assert!(epoch(&again) > epoch(&one));
}

#[test]
fn a_draining_replica_gets_nothing_and_without_others_nothing_is_placed() {
    let costs = entities(&[5; 20]);
    let before = assign_entities(&Assignment::default(), &fleet(&[1, 1]), &costs);
    let after = assign_entities(&before, &[replica(0, 0), replica(1, 1)], &costs);
    assert_eq!(load(&after, &replica(0, 1), &costs), 0);
    assert_eq!(after.len(), 20);
    assert!(assign_entities(&before, &[replica(0, 0)], &costs).is_empty());
}

#[test]
fn an_assignment_that_hands_an_epoch_out_again_does_not_follow() {
    let costs = entities(&[1]);
    let one = assign_entities(&Assignment::default(), &fleet(&[1]), &costs);
    let other = assign_entities(&Assignment::default(), &[replica(7, 1)], &costs);
    assert!(other.check_follows(&one).is_err());
}

#[test]
fn a_cluster_is_split_when_it_passes_a_quarter_of_a_replica() {
    let plan = |percent: u64, current| plan_slices(Cost(percent * 10_000), Cost(1_000_000), Cost(50_000), current);
    assert_eq!(plan(10, 1), 1);
    assert_eq!(plan(26, 1), 2);
    assert_eq!(plan(24, 3), 1);
    assert_eq!(plan(40, 3), 3);
    assert_eq!(plan_slices(Cost(400_000), Cost(0), Cost(0), 0), 1);
    // However much that is of so little, it is not worth it.
    assert_eq!(plan_slices(Cost(40_000), Cost(20_000), Cost(50_000), 1), 1);
}
