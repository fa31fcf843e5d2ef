//! How each object is written.

use argosy_engine::sync::{ApplyMode, Pass, Step};
use serde_json::{Value, json};

use crate::world::{World, annotated, config_map, job, option, policy};

/// The mode chosen for the first task of the first step that has any.
fn mode_of(world: &World) -> (ApplyMode, bool) {
    let mut pass: Pass = world.pass();
    match pass.next(Vec::new()) {
        Step::DryRun(tasks) | Step::Apply(tasks) => (tasks[0].mode.clone(), tasks[0].validate),
        other => panic!("unexpected {other:?}"),
    }
}

fn mode(target: Value, live: Option<Value>, options: &[&'static str]) -> ApplyMode {
    let mut world = World::new(vec![target], Vec::new()).with_live(live.into_iter().collect());
    world.options = options.to_vec();
    mode_of(&world).0
}

#[test]
fn the_mode_follows_the_resource_then_the_application() {
    let a = || config_map("a");
    assert_eq!(mode(a(), None, &[]), ApplyMode::ClientSide { force: false });
    assert_eq!(mode(a(), None, &["Force=true"]), ApplyMode::ClientSide { force: true });
    assert_eq!(mode(option(a(), "Force=true"), Some(a()), &[]), ApplyMode::ClientSide { force: true });
    assert_eq!(mode(a(), None, &["Replace=true"]), ApplyMode::Create);
    assert_eq!(mode(a(), Some(a()), &["Replace=true"]), ApplyMode::Replace { force: false });
    assert_eq!(mode(a(), Some(option(a(), "Replace=true,Force=true")), &[]), ApplyMode::Replace { force: true });
    let server = ApplyMode::ServerSide { force: false, migrate_from: None };
    assert_eq!(mode(a(), None, &["ServerSideApply=true"]), server);
    assert_eq!(mode(option(a(), "ServerSideApply=true"), None, &[]), server);
    assert_eq!(
        mode(option(a(), "ServerSideApply=false"), None, &["ServerSideApply=true"]),
        ApplyMode::ClientSide { force: false }
    );
}

#[test]
fn what_carries_others_is_updated_in_place() {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}});
    let crd =
        json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "x"}});
    for precious in [namespace, crd] {
        assert_eq!(mode(precious.clone(), Some(precious.clone()), &["Replace=true", "Force=true"]), ApplyMode::Update);
        assert_eq!(mode(precious, None, &["Replace=true"]), ApplyMode::Create);
    }
}

#[test]
fn server_side_apply_takes_kubectls_fields_over_unless_told_not_to() {
    let mut live = config_map("a");
    live["metadata"]["managedFields"] = json!([{"manager": "kubectl-client-side-apply"}]);
    let migrates = |options: &[&'static str]| match mode(config_map("a"), Some(live.clone()), options) {
        ApplyMode::ServerSide { migrate_from, .. } => migrate_from,
        other => panic!("unexpected {other:?}"),
    };
    assert_eq!(migrates(&["ServerSideApply=true"]).as_deref(), Some("kubectl-client-side-apply"));
    assert_eq!(migrates(&["ServerSideApply=true", "ClientSideApplyMigration=false"]), None);
    // Where nobody knows the owners, its annotation says that it was there.
    let applied = annotated(config_map("a"), "kubectl.kubernetes.io/last-applied-configuration", "{}");
    for (live, found) in [(applied, Some("kubectl-client-side-apply")), (config_map("a"), None)] {
        let chosen = mode(config_map("a"), Some(live), &["ServerSideApply=true"]);
        let expected = ApplyMode::ServerSide { force: false, migrate_from: found.map(str::to_owned) };
        assert_eq!(chosen, expected);
    }
}

#[test]
fn a_hook_is_created_so_that_it_cannot_run_twice() {
    let world = World::new(Vec::new(), vec![job("pre", "PreSync")]);
    assert_eq!(mode_of(&world).0, ApplyMode::Create);
}

#[test]
fn a_hook_that_goes_first_is_checked_as_a_new_object() {
    let hook = |policies| policy(job("pre", "PreSync"), policies);
    let checked = |policies| {
        let world = World::new(vec![config_map("a")], vec![hook(policies)]).with_live(vec![hook(policies)]);
        match world.pass().next(Vec::new()) {
            Step::DryRun(tasks) => tasks.iter().find(|t| t.is_hook).map(|t| t.mode.clone()),
            other => panic!("unexpected {other:?}"),
        }
    };
    assert_eq!(checked("BeforeHookCreation"), Some(ApplyMode::Replace { force: true }));
    assert_eq!(checked("HookSucceeded"), Some(ApplyMode::ClientSide { force: false }));
}

#[test]
fn validation_can_be_turned_off() {
    assert!(mode_of(&World::new(vec![config_map("a")], Vec::new())).1);
    assert!(!mode_of(&World::new(vec![option(config_map("a"), "Validate=false")], Vec::new())).1);
    let mut world = World::new(vec![config_map("a")], Vec::new());
    world.options = vec!["Validate=false"];
    assert!(!mode_of(&world).1);
}
