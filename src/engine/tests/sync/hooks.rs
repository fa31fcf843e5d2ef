//! Hooks: when they run, what they are called, when they go.

use argosy_engine::hook::{self, DeletePolicy, HookType, Phase};
use argosy_engine::sync::{OperationPhase, ResultCode, Selected};
use serde_json::{Value, json};

use crate::world::{START, World, annotated, at, config_map, deployment, job, policy, success, success_all_run, wave};

fn with(key: &str, value: &str) -> Value {
    annotated(config_map("x"), key, value)
}

#[test]
fn hook_types_are_read_from_both_languages() {
    let argo = |value| hook::types(&with("argocd.argoproj.io/hook", value));
    assert_eq!(argo("PreSync, PostSync,PreSync,Nonsense"), [HookType::PreSync, HookType::PostSync]);
    assert_eq!(argo("PreDelete,PostDelete"), [HookType::PreDelete, HookType::PostDelete]);
    let helm = |value| hook::types(&with("helm.sh/hook", value));
    assert_eq!(helm("pre-install,pre-upgrade"), [HookType::PreSync]);
    assert_eq!(helm("post-install,post-delete"), [HookType::PostSync, HookType::PostDelete]);
    assert_eq!(helm("test"), []);
    let both = annotated(with("helm.sh/hook", "pre-install"), "argocd.argoproj.io/hook", "SyncFail");
    assert_eq!(hook::types(&both), [HookType::SyncFail]);
}

#[test]
fn what_is_no_hook_is_told_apart() {
    assert!(!hook::is_hook(&config_map("x")));
    assert!(!hook::is_hook(&with("helm.sh/hook", "crd-install")));
    assert!(hook::is_ignored(&with("helm.sh/hook", "test")));
    assert!(hook::is_ignored(&with("argocd.argoproj.io/hook", "Nonsense")));
    let skipped = with("argocd.argoproj.io/hook", "Skip");
    assert!(hook::is_skipped(&skipped) && !hook::is_hook(&skipped));
    assert_eq!(hook::phases(&skipped), []);
    assert_eq!(hook::phases(&config_map("x")), [Phase::Sync]);
    assert!(hook::is_delete_only(&with("argocd.argoproj.io/hook", "PostDelete")));
    assert!(!hook::is_delete_only(&with("argocd.argoproj.io/hook", "PostDelete,Sync")));
}

#[test]
fn delete_policies_have_a_default() {
    use DeletePolicy::{BeforeHookCreation, HookFailed, HookSucceeded};
    assert_eq!(hook::delete_policies(&config_map("x")), [BeforeHookCreation]);
    assert_eq!(
        hook::delete_policies(&policy(config_map("x"), "HookFailed,HookSucceeded")),
        [HookSucceeded, HookFailed]
    );
    assert_eq!(hook::delete_policies(&with("helm.sh/hook-delete-policy", "hook-failed")), [HookFailed]);
    assert_eq!(hook::delete_policies(&policy(config_map("x"), "Nonsense")), [BeforeHookCreation]);
}

#[test]
fn a_wave_falls_back_to_helms_weight() {
    assert_eq!(hook::wave(&config_map("x")), 0);
    assert_eq!(hook::wave(&with("helm.sh/hook-weight", "-5")), -5);
    assert_eq!(hook::wave(&wave(with("helm.sh/hook-weight", "-5"), 3)), 3);
    assert_eq!(hook::wave(&with("argocd.argoproj.io/sync-wave", "many")), 0);
    assert_eq!(hook::wave(&with("argocd.argoproj.io/sync-wave", "9999999999999")), 0);
}

#[test]
fn a_generated_name_is_the_same_for_the_whole_operation() {
    let name = hook::generated_name("x-", "ABCDEF0123", HookType::PreSync, at(START));
    assert_eq!(name, "x-abcdef0-presync-1700000000");
    assert_eq!(hook::generated_name("x-", "é", HookType::PostSync, at(1)), "x-é-postsync-1");
}

#[test]
fn hooks_run_around_the_resources_and_are_waited_for() {
    let mut world = World::new(vec![deployment("web")], vec![job("pre", "PreSync"), job("post", "PostSync")]);
    assert_eq!(world.run(), success());
    assert!(world.place("create job/pre") < world.place("create deployment/web"));
    assert!(world.place("create deployment/web") < world.place("create job/post"));
    assert_eq!(
        world.waits,
        [
            "waiting for completion of hook batch/Job/pre",
            "waiting for healthy state of apps/Deployment/web",
            "waiting for completion of hook batch/Job/post",
        ]
    );
    let names: Vec<&str> = world.recorded.iter().map(|r| &*r.key.name).collect();
    assert_eq!(names, ["pre", "web", "post"], "results are in the order of execution");
    let pre = world.result("pre").expect("recorded");
    assert_eq!((pre.hook_type, pre.hook_phase), (Some(HookType::PreSync), Some(OperationPhase::Succeeded)));
    assert_eq!((pre.status, pre.message.as_str()), (Some(ResultCode::Synced), "pre Complete"));
    assert_eq!(world.result("web").expect("recorded").images, ["img:1"]);
    assert!(!world.holds_hooks());
}

#[test]
fn several_hooks_are_waited_for_in_one_message() {
    let mut world = World::new(vec![], vec![job("b", "PreSync"), job("a", "PreSync"), job("c", "PreSync")]);
    world.run();
    assert_eq!(world.waits[0], "waiting for completion of hook batch/Job/a and 2 more hooks");
}

#[test]
fn selective_and_apply_syncs_run_no_hooks() {
    let make = || World::new(vec![config_map("a"), config_map("b")], vec![job("pre", "PreSync")]);
    let mut world = make();
    world.skip_hooks = true;
    assert_eq!(world.run(), success_all_run());
    assert_eq!(world.count("create job/pre"), 0);

    let mut world = make();
    let selected = |namespace: &str| Selected {
        kind: "ConfigMap".to_owned(),
        name: "b".to_owned(),
        namespace: namespace.to_owned(),
        ..Selected::default()
    };
    world.selection = vec![selected("")];
    world.run();
    assert_eq!(world.log, ["batch b", "create configmap/b"]);

    let mut world = make();
    world.selection = vec![selected("other")];
    assert_eq!(world.run(), success());
    assert!(world.log.is_empty());
}

#[test]
fn an_earlier_runs_hook_is_let_go_and_deleted_before_the_new_one_is_made() {
    let mut old = job("pre", "PreSync");
    old["metadata"]["finalizers"] = json!(["argocd.argoproj.io/hook-finalizer"]);
    let mut world = World::new(vec![], vec![job("pre", "PreSync")]).with_live(vec![old]);
    assert_eq!(world.run(), success());
    assert!(world.place("release pre") < world.place("delete pre"));
    assert!(world.place("delete pre") < world.place("create job/pre"));
    assert_eq!(world.waits[0], "waiting for deletion of hook batch/Job/pre");
}

#[test]
fn a_retry_runs_its_hooks_anew() {
    let mut world = World::new(vec![], vec![job("pre", "PreSync")]);
    world.run();
    (world.attempt, world.recorded) = (1, Vec::new());
    world.run();
    assert_eq!(world.count("create job/pre"), 2);
}

#[test]
fn a_succeeded_hook_goes_when_the_operation_has_succeeded() {
    let mut world = World::new(
        vec![config_map("a")],
        vec![policy(job("pre", "PreSync"), "HookSucceeded"), job("post", "PostSync")],
    );
    assert_eq!(world.run(), success());
    assert!(world.place("create job/post") < world.place("delete pre"));
    assert!(world.place("release pre") < world.place("delete pre"));
    assert_eq!(world.count("delete post"), 0);
}

#[test]
fn a_failed_hook_ends_the_sync_and_is_deleted_if_it_asks_for_it() {
    let mut world = World::new(
        vec![config_map("a")],
        vec![policy(job("pre", "PreSync"), "HookFailed"), policy(job("kept", "PreSync"), "HookSucceeded")],
    );
    world.failing = vec!["pre".to_owned()];
    let end = world.run();
    assert_eq!(end.phase, OperationPhase::Failed);
    assert_eq!(end.message, "one or more synchronization tasks completed unsuccessfully, reason: pre Failed");
    assert_eq!((world.count("delete pre"), world.count("delete kept")), (1, 0));
    assert_eq!(world.count("create configmap/a"), 0);
    assert!(!world.holds_hooks());
}

#[test]
fn a_hook_deleted_under_way_does_not_hold_the_sync_for_ever() {
    let mut world = World::new(vec![], vec![job("pre", "PreSync")]);
    world.endless = vec!["pre".to_owned()];
    assert_eq!(world.run_pass(), None);
    let deleted = at(world.now).to_string();
    for live in world.objects.values_mut() {
        live["metadata"]["deletionTimestamp"] = json!(deleted);
    }
    assert_eq!(world.run_pass(), None, "it may yet end by itself");
    world.now += 40;
    let end = world.run_pass().expect("ends");
    assert_eq!(end.phase, OperationPhase::Failed);
    assert!(end.message.contains("batch/Job/pre was deleted before it completed"), "{}", end.message);
    assert!(!world.holds_hooks());
}

#[test]
fn a_hook_that_vanished_is_an_error() {
    let mut world = World::new(vec![], vec![job("pre", "PreSync")]);
    assert_eq!(world.run_pass(), None);
    world.objects.clear();
    let end = world.run_pass().expect("ends");
    assert_eq!(end.phase, OperationPhase::Failed);
    let result = world.result("pre").expect("recorded");
    assert_eq!((result.status, result.hook_phase), (Some(ResultCode::SyncFailed), Some(OperationPhase::Error)));
    assert_eq!(result.message, "Resource batch/Job/pre is missing, it might have been deleted");
}

#[test]
fn a_hook_just_made_by_a_process_that_died_is_met_by_the_create_and_adopted() {
    let mut world = World::new(vec![], vec![job("pre", "PreSync")]);
    let mut stale = world.pass();
    assert_eq!(world.run_pass(), None);
    world.recorded.clear();
    // This pass was built before the hook was made, so it does not know it.
    let mut answers = Vec::new();
    let mut applied = 0;
    loop {
        let step = stale.next(std::mem::take(&mut answers));
        let outcome = match &step {
            argosy_engine::sync::Step::Apply(_) => {
                applied += 1;
                let live = world.objects.values().next().expect("the hook").clone();
                argosy_engine::sync::Outcome::Exists(std::sync::Arc::new(live))
            }
            argosy_engine::sync::Step::Wait { message, .. } => {
                assert_eq!(message, "waiting for completion of hook batch/Job/pre");
                break;
            }
            argosy_engine::sync::Step::DeleteHooks(..) => panic!("a running hook of ours is not deleted"),
            _ => argosy_engine::sync::Outcome::Applied { message: String::new(), live: None },
        };
        if let argosy_engine::sync::Step::Apply(tasks) | argosy_engine::sync::Step::DryRun(tasks) = step {
            answers =
                tasks.iter().map(|t| argosy_engine::sync::Answer { id: t.id, outcome: outcome.clone() }).collect();
        }
    }
    assert_eq!(applied, 1);
}

#[test]
fn an_object_put_in_a_hooks_place_is_not_taken_for_it() {
    let mut world = World::new(vec![], vec![job("pre", "PreSync")]);
    assert_eq!(world.run_pass(), None);
    world.tick();
    for live in world.objects.values_mut() {
        argosy_model::object::set_annotation(live, hook::ANNOTATION_RUN, "1.0.presync");
    }
    let end = world.run_pass().expect("ends");
    assert_eq!(end.phase, OperationPhase::Failed);
    assert!(end.message.contains("is missing"), "{}", end.message);
    assert_eq!(world.count("release pre"), 0, "it is somebody else's");
}

#[test]
fn a_hook_of_two_phases_is_one_object_after_the_other() {
    let mut world = World::new(
        vec![config_map("a")],
        vec![policy(job("x", "PreSync,PostSync"), "HookSucceeded,BeforeHookCreation")],
    );
    assert_eq!(world.run(), success());
    assert_eq!((world.count("create job/x"), world.count("delete x")), (2, 2));
    assert!(!world.holds_hooks());
    let phases: Vec<Phase> = world.recorded.iter().filter(|r| &*r.key.name == "x").map(|r| r.sync_phase).collect();
    assert_eq!(phases, [Phase::PreSync, Phase::PostSync]);
}
