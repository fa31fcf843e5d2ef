//! Terminating an operation.

use argosy_engine::sync::{OperationPhase, Outcome, Step};

use crate::world::{World, config_map, job};

#[test]
fn running_hooks_are_deleted_whatever_their_policies_and_ended_ones_keep_their_outcome() {
    let mut world = World::new(
        vec![config_map("a")],
        vec![job("runs", "PreSync"), job("ended", "PreSync"), job("later", "PostSync")],
    );
    world.endless = vec!["runs".to_owned()];
    assert_eq!(world.run_pass(), None);
    world.tick();
    world.terminating = true;
    let end = world.run_pass().expect("ends");
    assert_eq!((end.phase, end.message.as_str()), (OperationPhase::Failed, "Operation terminated"));
    let phase = |name: &str| world.result(name).and_then(|r| r.hook_phase);
    assert_eq!(phase("runs"), Some(OperationPhase::Failed));
    assert_eq!(phase("ended"), Some(OperationPhase::Succeeded));
    assert_eq!(phase("later"), None);
    assert_eq!(world.result("runs").expect("recorded").message, "Terminated");
    assert_eq!((world.count("delete runs"), world.count("delete ended")), (1, 0));
    assert_eq!(world.count("create configmap/a"), 0);
    assert!(!world.holds_hooks());
}

#[test]
fn a_hook_made_by_a_process_that_died_is_deleted_too() {
    let mut world = World::new(Vec::new(), vec![job("runs", "PreSync")]);
    assert_eq!(world.run_pass(), None);
    world.recorded.clear();
    world.terminating = true;
    let end = world.run_pass().expect("ends");
    assert_eq!(end.message, "Operation terminated");
    assert_eq!(world.count("delete runs"), 1);
}

#[test]
fn a_hook_that_cannot_be_deleted_is_an_error() {
    let mut world = World::new(Vec::new(), vec![job("runs", "PreSync")]);
    assert_eq!(world.run_pass(), None);
    world.terminating = true;
    let mut pass = world.pass();
    let mut step = pass.next(Vec::new());
    for _ in 0..10 {
        step = match step {
            Step::ReleaseHooks(tasks) => {
                pass.next(vec![argosy_engine::sync::Answer { id: tasks[0].id, outcome: Outcome::Released }])
            }
            Step::DeleteHooks(tasks, _) => pass.next(vec![argosy_engine::sync::Answer {
                id: tasks[0].id,
                outcome: Outcome::Failed("forbidden".to_owned()),
            }]),
            Step::Finish { phase, message } => {
                assert_eq!((phase, message.as_str()), (OperationPhase::Error, "Operation termination had errors"));
                return;
            }
            _ => pass.next(Vec::new()),
        };
    }
    panic!("the termination does not end");
}

#[test]
fn terminating_what_has_no_hooks_changes_nothing() {
    let mut world = World::new(vec![config_map("a")], Vec::new());
    world.terminating = true;
    assert_eq!(world.run().message, "Operation terminated");
    assert!(world.log.is_empty());
}
