//! Operators of others: External Secrets, KEDA, CloudNativePG, MariaDB, Percona,
//! Strimzi.

use argosy_model::object;
use serde_json::Value;

use super::batch::{resume, suspend};
use super::edit::{annotate, is_set, length, set, text, unannotate};
use super::{Action, Call, Effect, When};

const KEDA: &[(&str, &str)] = &[("keda.sh", "ScaledObject"), ("keda.sh", "ScaledJob")];
const KEDA_PAUSED: &str = "autoscaling.keda.sh/paused";
const KEDA_REPLICAS: &str = "autoscaling.keda.sh/paused-replicas";
const CNPG: &[(&str, &str)] = &[("postgresql.cnpg.io", "Cluster")];
const CNPG_LOOP: &str = "cnpg.io/reconciliationLoop";
const CNPG_HEALTHY: &[&str] = &["status", "instancesStatus", "healthy"];
const MARIADB: &[(&str, &str)] = &[("k8s.mariadb.com", "MariaDB")];
const PERCONA: &[(&str, &str)] = &[("psmdb.percona.com", "PerconaServerMongoDB")];
const STRIMZI_ROLL: &str = "strimzi.io/manual-rolling-update";

pub(super) const ROWS: &[Action] = &[
    Action {
        kinds: &[("external-secrets.io", "ExternalSecret")],
        name: "refresh",
        when: |o| When::enabled_if(!is_never_refreshed(o) || text(o, &["spec", "refreshPolicy"]) == "OnChange"),
        effect: Effect::Patch(|o, call| annotate(o, "force-sync", call.rfc3339())),
        ..Action::BLANK
    },
    Action {
        kinds: &[("external-secrets.io", "PushSecret")],
        name: "push",
        when: |o| When::enabled_if(!is_never_refreshed(o)),
        effect: Effect::Patch(|o, call| annotate(o, "force-sync", call.rfc3339())),
        ..Action::BLANK
    },
    Action {
        kinds: KEDA,
        name: "pause",
        icon: "fa fa-fw fa-pause-circle",
        when: |o| When::enabled_if(!is_keda_paused(o)),
        effect: Effect::Patch(|o, _| annotate(o, KEDA_PAUSED, "true")),
        ..Action::BLANK
    },
    Action {
        kinds: &[("keda.sh", "ScaledObject")],
        name: "paused-replicas",
        icon: "fa fa-fw fa-pause-circle",
        parameters: &["replicas"],
        when: |o| When::enabled_if(object::annotation(o, KEDA_PAUSED) != Some("true")),
        effect: Effect::Patch(pause_at),
        ..Action::BLANK
    },
    Action {
        kinds: KEDA,
        name: "resume",
        icon: "fa fa-fw fa-play-circle",
        when: |o| When::enabled_if(is_keda_paused(o)),
        effect: Effect::Patch(|o, _| {
            unannotate(o, KEDA_PAUSED);
            if text(o, &["kind"]) == "ScaledObject" {
                unannotate(o, KEDA_REPLICAS);
            }
            Ok(())
        }),
        ..Action::BLANK
    },
    Action {
        kinds: CNPG,
        name: "promote",
        icon: "fa fa-fw fa-angles-up",
        label: "Promote Replica to Primary",
        parameters: &["instance"],
        when: |o| When::enabled_if(length(o, CNPG_HEALTHY) >= 2),
        effect: Effect::Patch(promote),
    },
    Action {
        kinds: CNPG,
        name: "reload",
        icon: "fa fa-fw fa-rotate-right",
        label: "Reload all Configuration",
        effect: Effect::Patch(|o, call| annotate(o, "cnpg.io/reloadedAt", call.rfc3339())),
        ..Action::BLANK
    },
    Action {
        kinds: CNPG,
        name: "restart",
        icon: "fa fa-fw fa-recycle",
        label: "Rollout restart Cluster",
        effect: Effect::Patch(|o, call| annotate(o, "kubectl.kubernetes.io/restartedAt", call.rfc3339())),
        ..Action::BLANK
    },
    Action {
        kinds: CNPG,
        name: "resume",
        icon: "fa fa-fw fa-play",
        label: "Resume Reconciliation",
        when: |o| When::shown_if(object::annotation(o, CNPG_LOOP) == Some("disabled")),
        effect: Effect::Patch(|o, _| {
            unannotate(o, CNPG_LOOP);
            Ok(())
        }),
        ..Action::BLANK
    },
    Action {
        kinds: CNPG,
        name: "suspend",
        icon: "fa fa-fw fa-pause",
        label: "Suspend Reconciliation",
        when: |o| When::shown_if(object::annotation(o, CNPG_LOOP) != Some("disabled")),
        effect: Effect::Patch(|o, _| annotate(o, CNPG_LOOP, "disabled")),
        ..Action::BLANK
    },
    Action {
        kinds: MARIADB,
        name: "resume",
        icon: "fa fa-fw fa-play",
        label: "Resume",
        when: |o| When::shown_if(is_set(o, &["spec", "suspend"])),
        effect: Effect::Patch(resume),
        ..Action::BLANK
    },
    Action {
        kinds: MARIADB,
        name: "suspend",
        icon: "fa fa-fw fa-pause",
        label: "Suspend",
        when: |o| When::shown_if(!is_set(o, &["spec", "suspend"])),
        effect: Effect::Patch(suspend),
        ..Action::BLANK
    },
    // Argo CD shows it and has nothing that does it.
    Action {
        kinds: PERCONA,
        name: "pause",
        icon: "fa fa-fw fa-pause-circle",
        when: |o| When::enabled_if(!is_set(o, &["spec", "pause"])),
        ..Action::BLANK
    },
    Action {
        kinds: PERCONA,
        name: "unpause",
        icon: "fa fa-fw fa-play-circle",
        when: |o| When::enabled_if(is_set(o, &["spec", "pause"])),
        effect: Effect::Patch(|o, _| set(o, &["spec", "pause"], false)),
        ..Action::BLANK
    },
    Action {
        kinds: &[("core.strimzi.io", "StrimziPodSet")],
        name: "rolling-update",
        when: |o| When::enabled_if(object::annotation(o, STRIMZI_ROLL) != Some("true")),
        effect: Effect::Patch(|o, _| annotate(o, STRIMZI_ROLL, "true")),
        ..Action::BLANK
    },
];

/// Whether the refresh interval is zero, in whatever unit.
fn is_never_refreshed(secret: &Value) -> bool {
    match object::get(secret, &["spec", "refreshInterval"]) {
        Some(Value::String(text)) => {
            let unit = text.strip_prefix('0');
            unit.is_some_and(|unit| ["", "ns", "us", "µs", "ms", "s", "m", "h"].contains(&unit))
        }
        Some(Value::Number(number)) => number.as_f64() == Some(0.0),
        _ => false,
    }
}

fn is_keda_paused(object: &Value) -> bool {
    let at_replicas =
        || text(object, &["kind"]) == "ScaledObject" && object::annotation(object, KEDA_REPLICAS).is_some();
    object::annotation(object, KEDA_PAUSED) == Some("true") || at_replicas()
}

fn pause_at(scaled: &mut Value, call: &Call<'_>) -> Result<(), String> {
    let Some(replicas) = call.parameter("replicas") else { return Err("replicas parameter is required".to_owned()) };
    match replicas.trim().parse::<u64>() {
        Ok(count) => annotate(scaled, KEDA_REPLICAS, count.to_string()),
        Err(_) => Err(format!("invalid number: {replicas} (must be >= 0)")),
    }
}

/// Hands the primary's role to a healthy instance: the next one, or the one that
/// is named by its number or its whole name.
fn promote(cluster: &mut Value, call: &Call<'_>) -> Result<(), String> {
    let wanted = call.parameter("instance").unwrap_or_default();
    let healthy: Vec<&str> = object::get(cluster, CNPG_HEALTHY)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let selected = if wanted == "any" {
        let primary = text(cluster, &["status", "currentPrimary"]);
        let next = healthy.iter().position(|node| *node == primary).map_or(0, |at| (at + 1) % healthy.len());
        healthy.get(next).copied()
    } else {
        let numbered = format!("{}-{wanted}", object::name(cluster));
        let is_number = wanted.trim().parse::<f64>().is_ok();
        healthy.iter().copied().find(|node| *node == if is_number { numbered.as_str() } else { wanted })
    };
    let Some(selected) = selected.map(str::to_owned) else {
        return Err(format!("Could not find a healthy instance matching the criteria: {wanted}"));
    };
    set(cluster, &["status", "targetPrimaryTimestamp"], call.rfc3339())?;
    set(cluster, &["status", "phase"], "Switchover in progress")?;
    set(cluster, &["status", "phaseReason"], format!("Switching over to {selected}"))?;
    set(cluster, &["status", "targetPrimary"], selected)
}
