//! Types that are missing, scopes, and what the project permits.

use argosy_engine::sync::{OperationPhase, ResultCode};
use argosy_model::GroupKind;
use serde_json::{Value, json};

use crate::world::{World, config_map, option, success_all_run};

fn thing() -> Value {
    json!({"apiVersion": "x.io/v1", "kind": "Thing", "metadata": {"name": "t", "namespace": "n"}})
}

#[test]
fn an_unknown_type_makes_the_sync_invalid() {
    let mut world = World::new(vec![thing(), config_map("a")], Vec::new());
    let end = world.run();
    let reason = "The Kubernetes API could not find x.io/Thing for requested resource n/t. \
                  Make sure the \"Thing\" CRD is installed on the destination cluster.";
    assert_eq!(end.phase, OperationPhase::Failed);
    assert_eq!(end.message, format!("one or more synchronization tasks are not valid: {reason}"));
    let result = world.result("t").expect("recorded");
    assert_eq!((result.status, result.message.as_str()), (Some(ResultCode::SyncFailed), reason));
    assert!(world.log.is_empty());
}

#[test]
fn another_version_is_named() {
    let mut world = World::new(vec![thing()], Vec::new());
    world.destination.kinds.lock().expect("lock").insert(GroupKind::new("x.io", "Thing"), ("v2".to_owned(), true));
    let end = world.run();
    assert!(
        end.message.ends_with(
            "could not find version \"v1\" of x.io/Thing for requested resource n/t. \
             Version \"v2\" of x.io/Thing is installed on the destination cluster."
        ),
        "{}",
        end.message
    );
}

#[test]
fn a_type_that_something_else_brings_is_looked_for_again() {
    let mut world = World::new(vec![option(thing(), "SkipDryRunOnMissingResource=true")], Vec::new());
    let end = world.run();
    assert_eq!(end.phase, OperationPhase::Failed);
    assert!(end.message.contains("could not find x.io/Thing"), "{}", end.message);
    assert_eq!(world.log, ["discover"], "it is never applied blindly");
}

#[test]
fn the_project_is_asked_before_and_when_a_type_turns_up() {
    let mut world = World::new(vec![config_map("a")], Vec::new());
    world.destination.denied.lock().expect("lock").push("ConfigMap".to_owned());
    let end = world.run();
    assert_eq!(end.message, "one or more synchronization tasks are not valid: ConfigMap is not permitted");

    let mut world = World::new(vec![option(thing(), "SkipDryRunOnMissingResource=true")], Vec::new());
    world.destination.denied.lock().expect("lock").push("Thing".to_owned());
    let mut pass = world.pass();
    world.destination.kinds.lock().expect("lock").insert(GroupKind::new("x.io", "Thing"), ("v1".to_owned(), true));
    let step = pass.next(Vec::new());
    let argosy_engine::sync::Step::Finish { message, .. } = step else { panic!("unexpected {step:?}") };
    assert!(message.contains("Thing is not permitted"), "{message}");
    assert_eq!(world.count("create thing/t"), 0);
    world.targets.clear();
}

#[test]
fn objects_are_placed_by_the_scope_of_their_type() {
    let mut role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "r", "namespace": "wrong"}});
    let mut map = config_map("a");
    argosy_model::object::set_namespace(&mut map, "");
    let mut world = World::new(vec![role.clone(), map], Vec::new());
    assert_eq!(world.run(), success_all_run());
    let places: Vec<(&str, &str)> = world.recorded.iter().map(|r| (&*r.key.name, &*r.key.namespace)).collect();
    assert_eq!(places, [("a", "n"), ("r", "")]);
    role["metadata"]["namespace"] = json!("n");
}

#[test]
fn pruning_an_object_whose_type_is_gone_is_nothing() {
    let mut world = World::new(vec![config_map("a")], Vec::new()).with_live(vec![thing()]);
    world.prune = true;
    assert_eq!(world.run(), success_all_run());
    assert!(world.result("t").is_none());
}
