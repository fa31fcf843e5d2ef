//! The order in which tasks run.

use std::collections::HashMap;

use argosy_engine::sync::OperationPhase;
use argosy_engine::sync::kind_order::rank;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::world::{World, annotated, config_map, deployment, job, wave};

fn batches(world: &mut World) -> Vec<String> {
    world.run();
    world.log.iter().filter_map(|line| line.strip_prefix("batch ")).map(str::to_owned).collect()
}

fn secret(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "n"}})
}

fn crd(wave_of: i64) -> Value {
    wave(
        json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "things.x.io"},
               "spec": {"group": "x.io", "scope": "Namespaced", "names": {"kind": "Thing"}}}),
        wave_of,
    )
}

fn thing(name: &str) -> Value {
    json!({"apiVersion": "x.io/v1", "kind": "Thing", "metadata": {"name": name, "namespace": "n"}})
}

#[test]
fn kinds_go_in_helms_order_and_unknown_ones_last() {
    assert!(rank("Namespace") < rank("Secret"));
    assert!(rank("Secret") < rank("ConfigMap"));
    assert!(rank("CustomResourceDefinition") < rank("Deployment"));
    assert!(rank("APIService") < rank("Thing"));
    assert_eq!(rank("Thing"), rank("Other"));
}

#[test]
fn a_wave_is_applied_kind_by_kind_in_batches() {
    let mut world = World::new(vec![deployment("d"), config_map("b"), secret("z"), config_map("a")], Vec::new());
    assert_eq!(batches(&mut world), ["z", "a b", "d"]);
    assert_eq!(world.count("pause"), 0);
}

#[test]
fn waves_go_one_after_the_other_with_a_pause_between() {
    let mut world = World::new(vec![wave(config_map("b"), 1), config_map("a"), wave(config_map("c"), -1)], Vec::new());
    assert_eq!(batches(&mut world), ["c", "a", "b"]);
    assert_eq!(world.count("pause"), 2, "between waves, not after the last");
    assert!(world.waits.is_empty(), "what has no health is not waited for");
}

#[test]
fn a_namespace_and_a_type_come_before_what_needs_them() {
    let namespace = wave(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}}), 5);
    let mut world = World::new(
        vec![wave(config_map("early"), -2), namespace, crd(3), wave(thing("t"), -1)],
        vec![wave(job("pre", "PreSync"), 1)],
    );
    assert_eq!(batches(&mut world), ["n", "pre", "early", "things.x.io", "t"]);
}

#[test]
fn the_destination_namespace_is_made_first_and_only_when_missing() {
    let mut world = World::new(vec![config_map("a")], vec![wave(job("pre", "PreSync"), -3)]);
    world.create_namespace = true;
    assert_eq!(batches(&mut world), ["n", "pre", "a"]);
    (world.recorded, world.attempt) = (Vec::new(), 1);
    world.log.clear();
    assert_eq!(batches(&mut world), ["pre", "a"]);
}

fn resource() -> impl Strategy<Value = Value> {
    let kind = prop_oneof![Just("ConfigMap"), Just("Secret"), Just("Deployment"), Just("Thing"), Just("Job")];
    let phase = prop_oneof![Just(""), Just("PreSync"), Just("Sync"), Just("PostSync")];
    (kind, -2i64..3, 0u8..4, phase).prop_map(|(kind, at, name, phase)| {
        let api = match kind {
            "Deployment" => "apps/v1",
            "Job" => "batch/v1",
            "Thing" => "x.io/v1",
            _ => "v1",
        };
        let name = format!("{}{name}", kind.to_lowercase());
        let object = wave(json!({"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": "m"}}), at);
        if phase.is_empty() { object } else { annotated(object, "argocd.argoproj.io/hook", phase) }
    })
}

/// Where each object was applied, by name.
fn places(world: &World) -> HashMap<String, usize> {
    let names = world.log.iter().filter_map(|line| line.strip_prefix("create "));
    names
        .filter_map(|name| name.split_once('/'))
        .enumerate()
        .map(|(place, (_, name))| (name.to_owned(), place))
        .collect()
}

fn world_of(objects: &[Value]) -> World {
    let mut seen = Vec::new();
    let (mut targets, mut hooks) = (vec![crd(2)], Vec::new());
    targets.push(wave(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "m"}}), 2));
    for object in objects {
        let name = argosy_model::object::name(object).to_owned();
        if seen.contains(&name) {
            continue;
        }
        seen.push(name);
        if argosy_engine::hook::is_hook(object) { hooks.push(object.clone()) } else { targets.push(object.clone()) }
    }
    World::new(targets, hooks)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_others_need_is_always_there_first(objects in prop::collection::vec(resource(), 0..12)) {
        let mut world = world_of(&objects);
        prop_assert_eq!(world.run().phase, OperationPhase::Succeeded);
        let places = places(&world);
        prop_assert_eq!(places.len(), world.objects.len(), "everything was applied once");
        for (name, place) in &places {
            if name != "m" && name != "things.x.io" {
                prop_assert!(places["m"] < *place, "{} before its namespace", name);
            }
            if name.starts_with("thing") && name != "things.x.io" {
                prop_assert!(places["things.x.io"] < *place, "{} before its type", name);
            }
        }
    }

    #[test]
    fn the_order_does_not_depend_on_the_order_of_the_input(objects in prop::collection::vec(resource(), 0..12)) {
        let mut forward = world_of(&objects);
        forward.run();
        let mut backward = World::new(
            forward.targets.iter().rev().cloned().collect(),
            forward.hooks.iter().rev().cloned().collect(),
        );
        backward.run();
        prop_assert_eq!(forward.log, backward.log);
        prop_assert_eq!(forward.recorded, backward.recorded);
    }

    #[test]
    fn odd_objects_do_not_break_a_pass(odd in prop_oneof![Just(json!(null)), Just(json!([])), Just(json!("x")), Just(json!({"metadata": 3, "kind": []}))]) {
        let mut world = World::new(vec![config_map("a")], vec![odd.clone()]);
        let mut input = world.input();
        input.resources.push(argosy_engine::sync::Pair {
            key: argosy_model::ResourceKey::of(&odd), target: Some(std::sync::Arc::new(odd)), live: None, modified: true,
        });
        let mut pass = argosy_engine::sync::Pass::new(input, world.destination.clone());
        prop_assert!(matches!(pass.next(Vec::new()), argosy_engine::sync::Step::Finish { .. }), "the type is unknown");
        world.run();
    }
}
