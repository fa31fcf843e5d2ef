//! The kinds of the Argo projects: rollouts and their analysis, applications,
//! workflows, and pull requests of the promoter.

use argosy_model::object;
use serde_json::{Value, json};

use super::batch::owner;
use super::edit::{is_present, is_set, length, number, remove, set, text, without_nulls};
use super::{Action, Call, Effect, When};

const ROLLOUT: &[(&str, &str)] = &[("argoproj.io", "Rollout")];
const STEPS: &[&str] = &["spec", "strategy", "canary", "steps"];
const STEP: &[&str] = &["status", "currentStepIndex"];
const PAUSES: &[&str] = &["status", "pauseConditions"];
const ABORT: &[&str] = &["status", "abort"];
const PAUSED: &[&str] = &["spec", "paused"];
const AUTOMATED: &[&str] = &["spec", "syncPolicy", "automated"];

pub(super) const ROWS: &[Action] = &[
    Action {
        kinds: ROLLOUT,
        name: "abort",
        when: |o| When::enabled_if(!is_promoted(o) && !is_set(o, ABORT)),
        effect: Effect::Patch(|o, _| set(o, ABORT, true)),
        ..Action::BLANK
    },
    Action {
        kinds: ROLLOUT,
        name: "pause",
        when: |o| When::enabled_if(!is_promoted(o) && !is_set(o, ABORT) && !is_set(o, PAUSED)),
        effect: Effect::Patch(|o, _| set(o, PAUSED, true)),
        ..Action::BLANK
    },
    Action {
        kinds: ROLLOUT,
        name: "promote-full",
        when: |o| {
            let possible = !is_old(o) || !is_present(o, &["spec", "strategy", "blueGreen"]);
            When::enabled_if(is_present(o, &["status"]) && !is_promoted(o) && possible)
        },
        effect: Effect::Patch(promote_fully),
        ..Action::BLANK
    },
    Action {
        kinds: ROLLOUT,
        name: "restart",
        label: "Restart Pods",
        effect: Effect::Patch(|o, call| set(o, &["spec", "restartAt"], call.rfc3339())),
        ..Action::BLANK
    },
    Action {
        kinds: ROLLOUT,
        name: "resume",
        when: |o| When::enabled_if(if is_present(o, PAUSES) { length(o, PAUSES) > 0 } else { is_set(o, PAUSED) }),
        effect: Effect::Patch(|o, _| {
            unpause(o);
            if is_set(o, PAUSED) { set(o, PAUSED, false) } else { Ok(()) }
        }),
        ..Action::BLANK
    },
    Action {
        kinds: ROLLOUT,
        name: "retry",
        when: |o| When::enabled_if(!is_promoted(o) && is_set(o, ABORT)),
        effect: Effect::Patch(|o, _| {
            remove(o, ABORT);
            Ok(())
        }),
        ..Action::BLANK
    },
    Action {
        kinds: ROLLOUT,
        name: "skip-current-step",
        when: |o| When::enabled_if(is_present(o, STEPS) && step(o) != Some(length(o, STEPS))),
        effect: Effect::Patch(skip_step),
        ..Action::BLANK
    },
    Action {
        kinds: &[("argoproj.io", "AnalysisRun")],
        name: "terminate",
        when: |o| {
            let ended = ["Successful", "Failed", "Error", "Inconclusive"].contains(&text(o, &["status", "phase"]));
            When::enabled_if(!ended && !is_set(o, &["spec", "terminate"]))
        },
        effect: Effect::Patch(|o, _| set(o, &["spec", "terminate"], true)),
        ..Action::BLANK
    },
    Action {
        kinds: &[("argoproj.io", "Application")],
        name: "toggle-auto-sync",
        label: "Disable Auto-Sync",
        when: |o| When::shown_if(syncs_itself(o)),
        effect: Effect::Patch(toggle_auto_sync),
        ..Action::BLANK
    },
    Action {
        kinds: &[("argoproj.io", "Application")],
        name: "toggle-auto-sync",
        label: "Enable Auto-Sync",
        when: |o| When::shown_if(!syncs_itself(o)),
        effect: Effect::Patch(toggle_auto_sync),
        ..Action::BLANK
    },
    Action {
        kinds: &[("argoproj.io", "CronWorkflow")],
        name: "create-workflow",
        icon: "fa fa-fw fa-plus",
        label: "Create Workflow",
        effect: Effect::Create(workflow_of_cron),
        ..Action::BLANK
    },
    Action {
        kinds: &[("argoproj.io", "WorkflowTemplate")],
        name: "create-workflow",
        icon: "fa fa-fw fa-plus",
        label: "Create Workflow",
        effect: Effect::Create(workflow_of_template),
        ..Action::BLANK
    },
    Action {
        kinds: &[("promoter.argoproj.io", "PullRequest")],
        name: "merge",
        icon: "fa fa-fw fa-code-merge",
        label: "Merge PR",
        when: |o| When::enabled_if(text(o, &["spec", "state"]) == "open"),
        effect: Effect::Patch(|o, _| set(o, &["spec", "state"], "merged")),
        ..Action::BLANK
    },
];

/// Whether what is wanted is what is stable.
fn is_promoted(rollout: &Value) -> bool {
    text(rollout, &["status", "currentPodHash"]) == text(rollout, &["status", "stableRS"])
}

/// Rollouts before 0.10 wrote a hash where newer ones write a generation, and
/// cannot be told to promote fully.
fn is_old(rollout: &Value) -> bool {
    let observed = number(rollout, &["status", "observedGeneration"]);
    observed.is_none_or(|observed| observed > number(rollout, &["metadata", "generation"]).unwrap_or(0))
}

fn step(rollout: &Value) -> Option<usize> {
    number(rollout, STEP).and_then(|step| usize::try_from(step).ok())
}

fn unpause(rollout: &mut Value) {
    if length(rollout, PAUSES) > 0 {
        remove(rollout, PAUSES);
    }
}

fn promote_fully(rollout: &mut Value, _: &Call<'_>) -> Result<(), String> {
    if !is_present(rollout, &["status"]) {
        return Ok(());
    }
    if !is_old(rollout) {
        return set(rollout, &["status", "promoteFull"], true);
    }
    remove(rollout, ABORT);
    if is_present(rollout, STEPS) {
        let last = length(rollout, STEPS);
        set(rollout, STEP, last)?;
    }
    Ok(())
}

fn skip_step(rollout: &mut Value, _: &Call<'_>) -> Result<(), String> {
    let steps = length(rollout, STEPS);
    match step(rollout) {
        Some(step) if step < steps => {
            unpause(rollout);
            set(rollout, STEP, step + 1)
        }
        _ => Ok(()),
    }
}

fn syncs_itself(application: &Value) -> bool {
    let enabled = object::get(application, &["spec", "syncPolicy", "automated", "enabled"]);
    is_present(application, AUTOMATED) && matches!(enabled, None | Some(Value::Null | Value::Bool(true)))
}

fn toggle_auto_sync(application: &mut Value, _: &Call<'_>) -> Result<(), String> {
    let on = syncs_itself(application);
    set(application, &["spec", "syncPolicy", "automated", "enabled"], !on)
}

fn workflow(object: &Value, call: &Call<'_>) -> Value {
    let mut workflow = json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {
            "name": format!("{}-{}", object::name(object), call.stamp("%Y%m%d%H%M")),
            "ownerReferences": [owner(object)],
        },
    });
    object::set_namespace(&mut workflow, object::namespace(object));
    workflow
}

fn workflow_of_cron(cron: &Value, call: &Call<'_>) -> Value {
    let mut workflow = workflow(cron, call);
    for field in ["labels", "annotations", "finalizers"] {
        if let Some(given) = object::get(cron, &["spec", "workflowMetadata", field]).filter(|v| !v.is_null()) {
            workflow["metadata"][field] = without_nulls(given);
        }
    }
    object::set_label(&mut workflow, "workflows.argoproj.io/cron-workflow", object::name(cron));
    let instance = "workflows.argoproj.io/controller-instanceid";
    if let Some(id) = object::label(cron, instance) {
        object::set_label(&mut workflow, instance, id);
    }
    object::set_annotation(&mut workflow, "workflows.argoproj.io/scheduled-time", &call.rfc3339());
    workflow["spec"] = object::get(cron, &["spec", "workflowSpec"]).map(without_nulls).unwrap_or_else(|| json!({}));
    workflow
}

fn workflow_of_template(template: &Value, call: &Call<'_>) -> Value {
    let mut workflow = workflow(template, call);
    object::set_label(&mut workflow, "workflows.argoproj.io/workflow-template", object::name(template));
    workflow["spec"] = json!({"workflowTemplateRef": {"name": object::name(template)}});
    workflow
}
