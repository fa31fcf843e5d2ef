//! Whatever step a process dies at, and however much of it was done, the next
//! one finishes the operation and every hook has run exactly once.

use argosy_engine::sync::OperationPhase;
use serde_json::json;

use crate::world::{Crash, World, annotated, config_map, deployment, job, policy, wave};

fn everything() -> World {
    let generated = {
        let mut hook = job("", "PostSync");
        hook["metadata"] = json!({"generateName": "notify-", "namespace": "n",
                                  "annotations": {"argocd.argoproj.io/hook": "PostSync"}});
        hook
    };
    let mut world = World::new(
        vec![config_map("a"), config_map("b"), wave(deployment("web"), 1), wave(config_map("late"), 2)],
        vec![
            job("before", "PreSync"),
            policy(job("twice", "PreSync,PostSync"), "BeforeHookCreation,HookSucceeded"),
            wave(policy(job("gone", "Sync"), "HookSucceeded"), 1),
            generated,
            annotated(config_map("note"), "argocd.argoproj.io/hook", "PostSync"),
            job("never", "SyncFail"),
        ],
    );
    world.create_namespace = true;
    world.prune = true;
    // An earlier run left a hook and an object that git no longer has.
    let old = job("before", "PreSync");
    world.with_live(vec![old, wave(config_map("obsolete"), 1)])
}

fn assert_complete(world: &World, crash: Crash) {
    let hooks = [
        "create job/before",
        "create job/gone",
        "create job/notify-0123456-postsync-1700000000",
        "create configmap/note",
    ];
    for hook in hooks {
        assert_eq!(world.count(hook), 1, "{hook} after {crash:?}: {:#?}", world.log);
    }
    assert_eq!(world.count("create job/twice"), 2, "one object, two phases, {crash:?}: {:#?}", world.log);
    assert_eq!(world.count("create job/never"), 0, "{crash:?}");
    for name in ["a", "b", "late"] {
        assert_eq!(world.count(&format!("create configmap/{name}")), 1, "{crash:?}: {:#?}", world.log);
    }
    assert_eq!(world.count("create deployment/web"), 1, "{crash:?}");
    assert!(!world.objects.keys().any(|key| &*key.name == "obsolete"), "{crash:?}: {:#?}", world.log);
    assert!(!world.holds_hooks(), "{crash:?}: {:#?}", world.log);
}

#[test]
fn a_death_at_any_step_neither_repeats_a_hook_nor_loses_a_resource() {
    for halfway in [false, true] {
        for step in 1.. {
            let crash = Crash { step, halfway };
            let mut world = everything();
            match world.run_with(Some(crash)) {
                Ok(end) => assert_eq!(end.phase, OperationPhase::Succeeded, "{crash:?}: {}", end.message),
                Err(_) => {
                    assert!(step > 20, "the scenario has many steps, not {step}");
                    break;
                }
            }
            world.tick();
            assert_complete(&world, crash);
        }
    }
}

#[test]
fn a_failing_sync_runs_its_answer_once_whatever_dies() {
    for step in 1.. {
        let mut world = World::new(
            vec![config_map("a")],
            vec![policy(job("breaks", "PreSync"), "HookFailed"), job("cry", "SyncFail")],
        );
        world.failing = vec!["breaks".to_owned()];
        match world.run_with(Some(Crash { step, halfway: false })) {
            Ok(end) => assert_eq!(end.phase, OperationPhase::Failed, "{}", end.message),
            Err(_) => break,
        }
        world.tick();
        assert_eq!(world.count("create job/breaks"), 1, "{step}: {:#?}", world.log);
        assert_eq!(world.count("create job/cry"), 1, "{step}: {:#?}", world.log);
        assert_eq!(world.count("create configmap/a"), 0, "{step}");
        assert!(!world.objects.keys().any(|key| &*key.name == "breaks"), "{step}");
        assert!(!world.holds_hooks(), "{step}");
    }
}

#[test]
fn a_synced_application_is_synced_again_without_a_write() {
    let mut world = World::new(vec![config_map("a"), wave(deployment("web"), 1)], Vec::new());
    world.run();
    let (objects, log) = (world.objects.clone(), world.log.len());
    (world.recorded, world.attempt) = (Vec::new(), 1);
    assert_eq!(world.run().phase, OperationPhase::Succeeded);
    assert_eq!(world.objects, objects);
    let writes: Vec<&String> = world.log[log..].iter().filter(|l| !l.starts_with("batch") && *l != "pause").collect();
    assert!(writes.iter().all(|line| line.starts_with("unchanged")), "{writes:?}");

    let log = world.log.len();
    (world.recorded, world.options) = (Vec::new(), vec!["ApplyOutOfSyncOnly=true"]);
    assert_eq!(world.run().phase, OperationPhase::Succeeded);
    assert_eq!(world.log.len(), log, "nothing at all is done: {:?}", &world.log[log..]);
}
