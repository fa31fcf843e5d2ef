//! How a sync ends when something goes wrong, and dry runs.

use argosy_engine::sync::{OperationPhase, ResultCode, Step};
use serde_json::json;

use crate::world::{World, config_map, deployment, job, success, success_all_run, wave};

#[test]
fn a_single_wave_does_not_wait_for_health() {
    let mut world = World::new(vec![deployment("web"), config_map("a")], Vec::new());
    assert_eq!(world.run(), success_all_run());
    assert!(world.waits.is_empty());
    assert_eq!(world.result("web").expect("recorded").message, "deployment/web created");
}

#[test]
fn nothing_to_do_is_a_success() {
    assert_eq!(World::new(Vec::new(), Vec::new()).run(), success());
}

#[test]
fn a_failed_dry_run_changes_nothing() {
    let mut world = World::new(vec![config_map("a"), config_map("b")], vec![job("cry", "SyncFail")]);
    world.broken = [("b".to_owned(), "dry: no such field".to_owned())].into();
    let end = world.run();
    assert_eq!(end.phase, OperationPhase::Failed);
    assert_eq!(end.message, "one or more objects failed to apply (dry run), reason: dry: no such field");
    assert!(world.log.is_empty());
    assert_eq!(world.result("b").expect("recorded").status, Some(ResultCode::SyncFailed));
    assert!(world.result("a").is_none());
}

#[test]
fn a_dry_run_operation_reports_and_changes_nothing() {
    let mut world = World::new(vec![config_map("a")], vec![job("pre", "PreSync")]).with_live(vec![config_map("old")]);
    (world.dry_run, world.prune, world.create_namespace) = (true, true, true);
    assert_eq!(world.run(), success());
    assert!(world.log.is_empty());
    assert_eq!(world.result("a").expect("recorded").message, "a (dry run)");
    let old = world.result("old").expect("recorded");
    assert_eq!((old.status, old.message.as_str()), (Some(ResultCode::Pruned), "pruned (dry run)"));
}

#[test]
fn a_batch_that_fails_stops_the_sync_and_its_answer_runs() {
    let mut world = World::new(
        vec![config_map("a"), config_map("b"), deployment("web"), wave(config_map("later"), 1)],
        vec![job("cry", "SyncFail"), job("post", "PostSync")],
    );
    world.broken = [("a".to_owned(), "forbidden".to_owned())].into();
    let end = world.run();
    assert_eq!(end.phase, OperationPhase::Failed);
    assert!(end.message.ends_with(", reason: forbidden"), "{}", end.message);
    assert_eq!(world.count("create configmap/b"), 1, "the batch itself runs in parallel");
    assert_eq!(world.count("create deployment/web") + world.count("create configmap/later"), 0);
    assert_eq!((world.count("create job/cry"), world.count("create job/post")), (1, 0));
    assert_eq!(world.waits, ["waiting for completion of hook batch/Job/cry"]);
}

#[test]
fn a_failed_apply_without_hooks_fails_at_once() {
    let mut world = World::new(vec![config_map("a")], Vec::new());
    world.broken = [("a".to_owned(), "forbidden".to_owned())].into();
    let end = world.run();
    assert_eq!(
        (end.phase, end.message.as_str()),
        (OperationPhase::Failed, "one or more objects failed to apply, reason: forbidden")
    );
}

#[test]
fn an_answer_that_fails_says_so_too() {
    let mut world = World::new(vec![config_map("a")], vec![job("cry", "SyncFail")]);
    world.broken = [("a".to_owned(), "forbidden".to_owned()), ("cry".to_owned(), "also forbidden".to_owned())].into();
    let end = world.run();
    assert_eq!(
        end.message,
        "one or more objects failed to apply, reason: forbidden\none or more SyncFail hooks failed, reason: also forbidden"
    );
}

#[test]
fn a_namespace_that_cannot_be_made_ends_the_sync() {
    let mut world = World::new(vec![config_map("a")], vec![job("cry", "SyncFail")]);
    world.create_namespace = true;
    world.broken = [("n".to_owned(), "forbidden".to_owned())].into();
    let end = world.run();
    assert_eq!(end.message, "the namespace failed to apply, reason: forbidden");
    assert_eq!(world.log, ["batch n"]);
}

#[test]
fn a_degraded_resource_fails_a_sync_of_several_waves() {
    let mut degraded = deployment("web");
    degraded["metadata"]["generation"] = json!(1);
    degraded["status"] =
        json!({"observedGeneration": 1, "conditions": [{"type": "Progressing", "reason": "ProgressDeadlineExceeded"}]});
    let mut world = World::new(vec![deployment("web"), wave(config_map("later"), 1)], Vec::new());
    world.endless = vec!["web".to_owned()];
    assert_eq!(world.run_pass(), None);
    world.objects.values_mut().for_each(|live| *live = degraded.clone());
    let end = world.run_pass().expect("ends");
    assert_eq!(end.phase, OperationPhase::Failed);
    assert!(end.message.contains("exceeded its progress deadline"), "{}", end.message);
    assert_eq!(world.count("create configmap/later"), 0);
}

#[test]
fn a_child_application_is_waited_for_until_it_has_seen_its_new_spec() {
    use argosy_engine::health::{Health, Overrides, Status, Verdict};
    use argosy_engine::sync::{Destination, Pass, Served};
    struct Healthy;
    impl Overrides for Healthy {
        fn assess(&self, live: &serde_json::Value) -> Verdict {
            match live["kind"] == "Application" {
                true => Verdict::Health(Health::new(Status::Healthy, "")),
                false => Verdict::NoRule,
            }
        }
    }
    impl Destination for Healthy {
        fn served(&self, _gvk: &argosy_model::Gvk) -> Served {
            Served::Namespaced
        }
        fn permitted(&self, _object: &serde_json::Value, _namespaced: bool) -> Result<(), String> {
            Ok(())
        }
        fn overrides(&self) -> &dyn Overrides {
            &Healthy
        }
    }
    let child = |seen: &str| {
        json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": "child", "namespace": "n"},
               "spec": {"source": {"repoURL": "r", "targetRevision": "v2"}},
               "status": {"sync": {"comparedTo": {"source": {"repoURL": "r", "targetRevision": seen}}}}})
    };
    for (seen, waits) in [("v1", true), ("v2", false)] {
        let mut world = World::new(vec![child("v2"), wave(config_map("later"), 1)], Vec::new());
        world
            .destination
            .kinds
            .lock()
            .expect("lock")
            .insert(argosy_model::GroupKind::new("argoproj.io", "Application"), ("v1alpha1".to_owned(), true));
        assert!(world.run_pass().is_some(), "no health by itself");
        let mut input = world.input();
        input.recorded.retain(|r| &*r.key.name == "child");
        input.recorded.iter_mut().for_each(|r| r.hook_phase = Some(OperationPhase::Running));
        for pair in input.resources.iter_mut().filter(|p| &*p.key.name == "child") {
            pair.live = Some(std::sync::Arc::new(child(seen)));
        }
        let mut pass = Pass::new(input, std::sync::Arc::new(Healthy));
        assert_eq!(matches!(pass.next(Vec::new()), Step::Wait { .. }), waits, "{seen}");
    }
}

#[test]
fn a_task_without_an_answer_counts_as_failed() {
    let world = World::new(vec![config_map("a")], Vec::new());
    let mut pass = world.pass();
    assert!(matches!(pass.next(Vec::new()), Step::DryRun(_) | Step::Apply(_)));
    let Step::Finish { phase, message } = pass.next(Vec::new()) else { panic!("ends") };
    assert_eq!(phase, OperationPhase::Failed);
    assert!(message.contains("no outcome was reported"), "{message}");
}

#[test]
fn a_pass_that_is_over_says_only_that() {
    let mut pass = World::new(Vec::new(), Vec::new()).pass();
    for _ in 0..3 {
        assert!(matches!(pass.next(Vec::new()), Step::Finish { phase: OperationPhase::Succeeded, .. }));
    }
}
