//! Flux: all its kinds suspend and resume alike, and most reconcile on request.

use serde_json::Value;

use super::batch::{resume, suspend};
use super::edit::{annotate, is_set};
use super::{Action, Call, Effect, When};

const RECONCILED: &[(&str, &str)] = &[
    ("helm.toolkit.fluxcd.io", "HelmRelease"),
    ("image.toolkit.fluxcd.io", "ImageRepository"),
    ("image.toolkit.fluxcd.io", "ImageUpdateAutomation"),
    ("kustomize.toolkit.fluxcd.io", "Kustomization"),
    ("notification.toolkit.fluxcd.io", "Receiver"),
    ("source.toolkit.fluxcd.io", "Bucket"),
    ("source.toolkit.fluxcd.io", "GitRepository"),
    ("source.toolkit.fluxcd.io", "HelmChart"),
    ("source.toolkit.fluxcd.io", "HelmRepository"),
    ("source.toolkit.fluxcd.io", "OCIRepository"),
];

const NOTIFYING: &[(&str, &str)] =
    &[("notification.toolkit.fluxcd.io", "Alert"), ("notification.toolkit.fluxcd.io", "Provider")];

const SUSPEND: Action = Action {
    name: "suspend",
    when: |o| When::enabled_if(!is_suspended(o)),
    effect: Effect::Patch(suspend),
    ..Action::BLANK
};

const RESUME: Action = Action {
    name: "resume",
    when: |o| When::enabled_if(is_suspended(o)),
    effect: Effect::Patch(resume),
    ..Action::BLANK
};

pub(super) const ROWS: &[Action] = &[
    Action {
        kinds: RECONCILED,
        name: "reconcile",
        when: |o| When::enabled_if(!is_suspended(o)),
        effect: Effect::Patch(reconcile),
        ..Action::BLANK
    },
    Action { kinds: RECONCILED, ..SUSPEND },
    Action { kinds: RECONCILED, ..RESUME },
    Action { kinds: NOTIFYING, ..SUSPEND },
    Action { kinds: NOTIFYING, ..RESUME },
];

fn is_suspended(object: &Value) -> bool {
    is_set(object, &["spec", "suspend"])
}

fn reconcile(object: &mut Value, call: &Call<'_>) -> Result<(), String> {
    let at = format!("By Argo CD at: {}", call.stamp("%Y-%m-%dT%H:%M:%S"));
    annotate(object, "reconcile.fluxcd.io/requestedAt", at)
}
