//! Objects in an application's namespace that no application owns, where the
//! project asks to be told of them.

use argosy_cluster::LiveObject;
use argosy_engine::condition::{Finding, Kind};
use argosy_model::{AppKey, glob};
use argosy_proto::v1alpha1::{ApplicationSpec, OrphanedResourceKey};

use super::destination::Grounds;
use crate::cluster::Target;
use crate::context::Shared;

/// What every namespace has without anybody putting it there: kind and name.
const NATURAL: [(&str, &str); 2] = [("ServiceAccount", "default"), ("ConfigMap", "kube-root-ca.crt")];

/// Counts the orphans, and says so where the project wants a warning. Where it
/// watches, the application is woken by what comes and goes in its namespace.
pub(super) fn find(
    shared: &Shared,
    key: &AppKey,
    spec: &ApplicationSpec,
    grounds: &Grounds,
    target: &Target,
) -> Option<Finding> {
    let namespace = spec.destination.as_ref().map(|d| d.namespace.as_str()).unwrap_or_default();
    let project = grounds.project.rules.project().spec.as_ref();
    let settings = project.and_then(|p| p.orphaned_resources.as_ref()).filter(|_| !namespace.is_empty());
    shared.directory.monitor(key, settings.map(|_| namespace));
    let settings = settings?;
    let is_orphan = |live: &LiveObject| live.app.is_none() && !is_left_out(live, &settings.ignore);
    let count = target.live.namespace_objects(namespace).iter().filter(|live| is_orphan(live)).count();
    let labels = [
        ("namespace", key.namespace.to_string()),
        ("name", key.name.to_string()),
        ("project", grounds.project.rules.name().to_owned()),
    ];
    metrics::gauge!("argocd_app_orphaned_resources_count", &labels).set(count as f64);
    let warn = settings.warn != Some(false) && count > 0;
    warn.then(|| Finding::new(Kind::OrphanedResourceWarning, format!("Application has {count} orphaned resources")))
}

/// Whether an object is no orphan although nobody owns it: every namespace has
/// it, or the project does not want to hear of it.
pub(crate) fn is_left_out(live: &LiveObject, ignore: &[OrphanedResourceKey]) -> bool {
    is_natural(live) || is_ignored(live, ignore)
}

fn is_natural(live: &LiveObject) -> bool {
    let (kind, name) = (&*live.key.kind, &*live.key.name);
    let api = kind == "Service" && name == "kubernetes" && &*live.key.namespace == "default";
    live.key.group.is_empty() && (api || NATURAL.contains(&(kind, name)))
}

fn is_ignored(live: &LiveObject, ignore: &[OrphanedResourceKey]) -> bool {
    let any = |pattern: &str, text: &str| pattern.is_empty() || glob::matches(pattern, text, &[]);
    ignore.iter().any(|rule| {
        glob::matches(&rule.group, &live.key.group, &[])
            && any(&rule.kind, &live.key.kind)
            && any(&rule.name, &live.key.name)
    })
}
