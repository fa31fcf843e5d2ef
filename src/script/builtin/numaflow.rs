//! Numaflow and Numaplane: pausing and resuming pipelines, promoting by force.

use argosy_model::object;
use serde_json::Value;

use super::edit::{annotate, remove, set, text};
use super::{Action, Call, Effect, When};

const FLOW: &str = "numaflow.numaproj.io";
const PLANE: &str = "numaplane.numaproj.io";

const PIPELINE: &[(&str, &str)] = &[(FLOW, "Pipeline")];
const MONO_VERTEX: &[(&str, &str)] = &[(FLOW, "MonoVertex")];
const ROLLOUTS: &[(&str, &str)] = &[(PLANE, "MonoVertexRollout"), (PLANE, "PipelineRollout")];
const PIPELINE_ROLLOUT: &[(&str, &str)] = &[(PLANE, "PipelineRollout")];

const STRATEGIES: &str = "numaflow.numaproj.io/allowed-resume-strategies";
const STRATEGY: &str = "numaflow.numaproj.io/resume-strategy";
const FORCED: &str = "numaplane.numaproj.io/force-promote";
const UPGRADE: &str = "numaplane.numaproj.io/upgrade-state";
const DATA_LOSS: &str = "numaplane.numaproj.io/allow-data-loss";

const PAUSE: Action = Action {
    name: "pause",
    icon: "fa-solid fa-fw fa-pause",
    when: |o| When::enabled_if(!is_paused(o)),
    effect: Effect::Patch(|o, _| set_phase(o, "Paused")),
    ..Action::BLANK
};

const UNPAUSE_GRADUAL: Action = Action {
    name: "unpause-gradual",
    icon: "fa-solid fa-fw fa-play",
    label: "Unpause (gradual)",
    when: |o| When::enabled_if(is_paused(o) && strategies(o) != Some("fast")),
    ..Action::BLANK
};

const UNPAUSE_FAST: Action = Action {
    name: "unpause-fast",
    icon: "fa-solid fa-fw fa-play",
    label: "Unpause (fast)",
    when: |o| When::enabled_if(is_paused(o) && matches!(strategies(o), Some("fast" | "slow, fast"))),
    ..Action::BLANK
};

const FORCE_PROMOTE: Action = Action {
    name: "force-promote",
    icon: "fa-solid fa-fw fa-forward",
    when: |o| {
        let upgrading = matches!(object::label(o, UPGRADE), Some("in-progress" | "trial"));
        When::enabled_if(upgrading && object::label(o, FORCED) != Some("true"))
    },
    effect: Effect::Patch(|o, _| set(o, &["metadata", "labels", FORCED], "true")),
    ..Action::BLANK
};

pub(super) const ROWS: &[Action] = &[
    Action { kinds: &[(FLOW, "InterStepBufferService")], ..FORCE_PROMOTE },
    Action { kinds: &[(FLOW, "Pipeline"), (FLOW, "MonoVertex")], label: "Force Promote", ..FORCE_PROMOTE },
    Action {
        kinds: &[(FLOW, "Pipeline"), (FLOW, "MonoVertex"), (PLANE, "MonoVertexRollout"), (PLANE, "PipelineRollout")],
        ..PAUSE
    },
    Action { kinds: MONO_VERTEX, effect: Effect::Patch(unpause_vertex), ..UNPAUSE_GRADUAL },
    Action { kinds: MONO_VERTEX, effect: Effect::Patch(|o, _| set_phase(o, "Running")), ..UNPAUSE_FAST },
    Action { kinds: PIPELINE, effect: Effect::Patch(|o, _| unpause_pipeline(o, "slow")), ..UNPAUSE_GRADUAL },
    Action { kinds: PIPELINE, effect: Effect::Patch(|o, _| unpause_pipeline(o, "fast")), ..UNPAUSE_FAST },
    Action { kinds: ROLLOUTS, effect: Effect::Patch(|o, _| unpause_rollout(o, false)), ..UNPAUSE_GRADUAL },
    Action { kinds: ROLLOUTS, effect: Effect::Patch(|o, _| unpause_rollout(o, true)), ..UNPAUSE_FAST },
    Action {
        kinds: PIPELINE,
        name: "delete",
        icon: "fa-solid fa-fw fa-trash",
        label: "Delete",
        when: |o| When::enabled_if(object::label(o, UPGRADE) == Some("recyclable")),
        effect: Effect::Patch(|o, _| annotate(o, "numaplane.numaproj.io/marked-for-deletion", "true")),
        ..Action::BLANK
    },
    Action {
        kinds: PIPELINE_ROLLOUT,
        name: "allow-data-loss",
        icon: "fa-solid fa-fw fa-unlock",
        label: "Allow (Possible) Data Loss",
        when: |o| When::enabled_if(text(o, &["status", "upgradeInProgress"]) == "PipelinePauseAndDrain"),
        effect: Effect::Patch(|o, _| annotate(o, DATA_LOSS, "true")),
        ..Action::BLANK
    },
    Action {
        kinds: PIPELINE_ROLLOUT,
        name: "disallow-data-loss",
        icon: "fa-solid fa-fw fa-lock",
        label: "Disallow Data Loss",
        when: |o| When::enabled_if(object::annotation(o, DATA_LOSS) == Some("true")),
        effect: Effect::Patch(|o, _| annotate(o, DATA_LOSS, "false")),
        ..Action::BLANK
    },
];

/// Where a kind keeps the specification of its pipeline, and its annotations.
fn places(object: &Value) -> (&'static [&'static str], &'static [&'static str]) {
    match text(object, &["kind"]) {
        "MonoVertexRollout" => (&["spec", "monoVertex", "spec"], &["spec", "monoVertex", "metadata", "annotations"]),
        "PipelineRollout" => (&["spec", "pipeline", "spec"], &["spec", "pipeline", "metadata", "annotations"]),
        _ => (&["spec"], &["spec", "metadata", "annotations"]),
    }
}

fn phase(object: &Value) -> Vec<&'static str> {
    [places(object).0, &["lifecycle", "desiredPhase"]].concat()
}

fn is_paused(object: &Value) -> bool {
    text(object, &phase(object)) == "Paused"
}

/// How it may be resumed; `None` where that is not said.
fn strategies(object: &Value) -> Option<&str> {
    object::get(object, places(object).1)?.get(STRATEGIES)?.as_str()
}

fn set_phase(object: &mut Value, to: &str) -> Result<(), String> {
    let path = phase(object);
    set(object, &path, to)
}

fn unpause_vertex(vertex: &mut Value, _: &Call<'_>) -> Result<(), String> {
    remove(vertex, &["spec", "replicas"]);
    set_phase(vertex, "Running")
}

fn unpause_pipeline(pipeline: &mut Value, strategy: &str) -> Result<(), String> {
    annotate(pipeline, STRATEGY, strategy)?;
    set_phase(pipeline, "Running")
}

fn unpause_rollout(rollout: &mut Value, fast: bool) -> Result<(), String> {
    set(rollout, &["spec", "strategy", "pauseResume", "fastResume"], fast)?;
    set_phase(rollout, "Running")
}
