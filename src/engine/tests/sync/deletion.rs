//! What goes, and in which order, when an application is deleted.

use std::sync::Arc;

use argosy_engine::health::BuiltIn;
use argosy_engine::hook::HookType;
use argosy_engine::sync::deletion_hooks::{DeletionHooksInput, plan_deletion_hooks, plan_deletion_hooks_cleanup};
use argosy_engine::sync::{DeletionInput, DeletionPlan, plan_deletion};
use argosy_model::ResourceKey;
use argosy_model::options::SyncOptions;
use serde_json::{Value, json};

use crate::world::{START, annotated, at, config_map, job, option, policy, wave};

fn plan(live: &[Value], approved_at: Option<i64>) -> DeletionPlan {
    let live: Vec<Arc<Value>> = live.iter().cloned().map(Arc::new).collect();
    plan_deletion(&DeletionInput {
        live: &live,
        options: &SyncOptions::default(),
        deleted_at: at(START),
        approved_at: approved_at.map(at),
    })
}

fn names(objects: &[Arc<Value>]) -> Vec<&str> {
    objects.iter().map(|o| argosy_model::object::name(o)).collect()
}

fn going(mut object: Value) -> Value {
    object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    object
}

#[test]
fn the_highest_wave_goes_first_and_is_awaited() {
    let (a, b, c) = (wave(config_map("a"), -1), config_map("b"), wave(config_map("c"), 2));
    let first = plan(&[a.clone(), b.clone(), c.clone()], None);
    assert_eq!((names(&first.delete_now), first.later.len(), first.done), (vec!["c"], 2, false));
    let waiting = plan(&[a.clone(), b.clone(), going(c)], None);
    assert_eq!((names(&waiting.delete_now).len(), waiting.going.len()), (0, 1));
    assert_eq!(names(&plan(&[a, b], None).delete_now), ["b"]);
    assert!(plan(&[], None).done);
}

#[test]
fn what_must_stay_stays() {
    let crd =
        json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "x"}});
    let kept =
        [crd, option(config_map("a"), "Delete=false"), annotated(config_map("b"), "helm.sh/resource-policy", "keep")];
    let plan = plan(&kept, None);
    assert!(plan.done && plan.delete_now.is_empty());
    assert_eq!(plan.kept.len(), 3);
}

#[test]
fn nothing_goes_before_a_person_has_approved() {
    let live = [option(config_map("precious"), "Delete=confirm"), wave(config_map("a"), 3)];
    for approved in [None, Some(START - 1)] {
        let plan = plan(&live, approved);
        assert!(plan.delete_now.is_empty() && !plan.done);
        assert_eq!(plan.unconfirmed, [ResourceKey::of(&live[0])]);
    }
    assert_eq!(names(&plan(&live, Some(START)).delete_now), ["a"]);
}

struct Live(Vec<Value>);

impl Live {
    fn plan<'a>(
        &'a self,
        hooks: &'a [Arc<Value>],
        find: &'a dyn Fn(&ResourceKey) -> Option<Arc<Value>>,
    ) -> DeletionHooksInput<'a> {
        DeletionHooksInput {
            moment: HookType::PreDelete,
            hooks,
            live: find,
            revision: "abcdef0123",
            deleted_at: at(START),
            overrides: &BuiltIn,
        }
    }

    fn find(&self, key: &ResourceKey) -> Option<Arc<Value>> {
        self.0.iter().find(|o| ResourceKey::of(o) == *key).cloned().map(Arc::new)
    }
}

fn ended(mut job: Value, kind: &str) -> Value {
    job["status"] = json!({"conditions": [{"type": kind, "status": "True", "message": kind}]});
    job
}

#[test]
fn deletion_hooks_run_wave_by_wave_and_say_when_all_is_done() {
    let first = job("first", "PreDelete");
    let hooks: Vec<Arc<Value>> = [wave(job("second", "PreDelete"), 1), first.clone(), job("other", "PostDelete")]
        .into_iter()
        .map(Arc::new)
        .collect();
    let run = |objects: Vec<Value>| {
        let live = Live(objects);
        let find = |key: &ResourceKey| live.find(key);
        plan_deletion_hooks(&live.plan(&hooks, &find))
    };
    let plan = run(Vec::new());
    assert_eq!(names(&plan.create), ["first"]);
    let plan = run(vec![first.clone()]);
    assert!(plan.create.is_empty() && plan.running.len() == 1 && !plan.done);
    let plan = run(vec![ended(first.clone(), "Complete")]);
    assert_eq!(names(&plan.create), ["second"]);
    let plan = run(vec![ended(first.clone(), "Failed")]);
    assert_eq!((plan.failed.len(), plan.failed[0].1.as_str(), plan.done), (1, "Failed", false));
    assert!(run(vec![ended(first, "Complete"), ended(wave(job("second", "PreDelete"), 1), "Complete")]).done);
}

#[test]
fn deletion_hooks_without_a_name_get_one_and_are_cleaned_up_by_policy() {
    let mut unnamed = policy(job("", "PreDelete"), "HookSucceeded");
    unnamed["metadata"]["generateName"] = json!("bye-");
    let kept = job("kept", "PreDelete");
    let hooks: Vec<Arc<Value>> = [unnamed.clone(), kept.clone()].into_iter().map(Arc::new).collect();
    let live = Live(Vec::new());
    let find = |key: &ResourceKey| live.find(key);
    let created = plan_deletion_hooks(&live.plan(&hooks, &find)).create;
    assert_eq!(names(&created), ["bye-abcdef0-predelete-1700000000", "kept"]);
    let live = Live(created.iter().map(|o| ended(Value::clone(o), "Complete")).collect());
    let find = |key: &ResourceKey| live.find(key);
    let gone = plan_deletion_hooks_cleanup(&live.plan(&hooks, &find));
    assert_eq!(names(&gone), ["bye-abcdef0-predelete-1700000000"]);
}
