//! Removing what git no longer has.

use argosy_engine::sync::{OperationPhase, Propagation, ResultCode, Step};

use crate::world::{START, World, annotated, config_map, job, option, success_all_run, wave};

fn skipped(world: &World, name: &str) -> String {
    let result = world.result(name).expect("recorded");
    assert_eq!(result.status, Some(ResultCode::PruneSkipped));
    assert_eq!(result.hook_phase, Some(OperationPhase::Succeeded));
    result.message.clone()
}

#[test]
fn nothing_is_pruned_unless_pruning_is_on() {
    let mut world = World::new(Vec::new(), Vec::new()).with_live(vec![config_map("old")]);
    assert_eq!(world.run(), success_all_run());
    assert_eq!(skipped(&world, "old"), "ignored (requires pruning)");
    assert!(world.log.is_empty());
}

#[test]
fn what_is_marked_stays() {
    let live = vec![
        option(config_map("marked"), "Prune=false"),
        annotated(config_map("kept"), "helm.sh/resource-policy", "keep"),
        config_map("old"),
    ];
    let mut world = World::new(Vec::new(), Vec::new()).with_live(live);
    world.prune = true;
    assert_eq!(world.run(), success_all_run());
    assert_eq!(skipped(&world, "marked"), "ignored (no prune)");
    assert_eq!(skipped(&world, "kept"), "ignored (no prune)");
    assert_eq!(world.result("old").expect("recorded").message, "pruned");
    assert_eq!(world.log, ["delete old"]);
}

#[test]
fn the_application_can_refuse_for_all_and_a_resource_can_disagree() {
    let mut world =
        World::new(Vec::new(), Vec::new()).with_live(vec![config_map("a"), option(config_map("b"), "Prune=true")]);
    (world.prune, world.options) = (true, vec!["Prune=false"]);
    world.run();
    assert_eq!(world.log, ["delete b"]);
}

#[test]
fn hooks_that_live_are_not_pruned() {
    let mut world = World::new(Vec::new(), Vec::new())
        .with_live(vec![job("x", "PostSync"), annotated(config_map("s"), "argocd.argoproj.io/hook", "Skip")]);
    world.prune = true;
    world.run();
    assert!(world.log.is_empty(), "{:?}", world.log);
}

#[test]
fn a_confirmation_is_waited_for_and_must_be_of_this_operation() {
    let live = || vec![option(config_map("a"), "Prune=confirm"), option(config_map("b"), "Prune=confirm")];
    let mut world = World::new(Vec::new(), Vec::new()).with_live(live());
    (world.prune, world.approved_at) = (true, Some(START - 1));
    assert_eq!(world.run_pass(), None);
    assert_eq!(world.waits, ["waiting for pruning confirmation of v1/ConfigMap/a and 1 more resources"]);
    assert!(world.log.is_empty());
    world.approved_at = Some(START);
    assert_eq!(world.run(), success_all_run());
    assert_eq!(world.count("delete a") + world.count("delete b"), 2);

    let mut world = World::new(Vec::new(), Vec::new()).with_live(live());
    assert_eq!(world.run(), success_all_run(), "with pruning off there is nothing to confirm");
}

#[test]
fn prunes_go_in_reverse_and_each_wave_is_gone_before_the_next() {
    let live = vec![wave(config_map("first"), -1), config_map("second"), wave(config_map("third"), 4)];
    let mut world = World::new(Vec::new(), Vec::new()).with_live(live);
    world.prune = true;
    world.run();
    let deletes: Vec<&String> = world.log.iter().collect();
    assert_eq!(deletes, ["delete third", "delete second", "delete first"], "and no pause between them");
    assert_eq!(world.waits, ["waiting for deletion of /ConfigMap/third", "waiting for deletion of /ConfigMap/second"]);
}

#[test]
fn prune_last_comes_after_every_wave() {
    let mut world = World::new(vec![config_map("a"), wave(config_map("z"), 3)], vec![job("post", "PostSync")])
        .with_live(vec![option(wave(config_map("old"), -4), "PruneLast=true"), wave(config_map("now"), -4)]);
    world.prune = true;
    world.run();
    assert!(world.place("delete now") < world.place("create configmap/a"));
    assert!(world.place("create configmap/z") < world.place("delete old"));
    assert!(world.place("delete old") < world.place("create job/post"));
}

#[test]
fn propagation_is_foreground_unless_said_otherwise() {
    for (options, wanted) in [
        (vec![], Propagation::Foreground),
        (vec!["PrunePropagationPolicy=background"], Propagation::Background),
        (vec!["PrunePropagationPolicy=orphan"], Propagation::Orphan),
    ] {
        let mut world = World::new(Vec::new(), Vec::new()).with_live(vec![config_map("old")]);
        (world.prune, world.options) = (true, options);
        let Step::Prune(tasks, propagation) = world.pass().next(Vec::new()) else { panic!("prunes") };
        assert_eq!((tasks.len(), propagation), (1, wanted));
    }
}
