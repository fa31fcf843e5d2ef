//! Which application an object belongs to, as written on the object itself.
//!
//! Three methods: an annotation that also names the object (so that a copy of
//! it is not mistaken for the original), a label, or both.

use serde_json::Value;

use crate::{ResourceKey, names, object};

/// How ownership is written on objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Method {
    /// `argocd.argoproj.io/tracking-id`. The default.
    #[default]
    Annotation,
    /// The instance label alone.
    Label,
    /// The annotation decides; the label is written for others to select by.
    AnnotationAndLabel,
}

/// The settings that decide how ownership is read and written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracking {
    /// The method in force.
    pub method: Method,
    /// Label key of the label methods.
    pub label_key: String,
    /// Non-empty where several installations share a cluster.
    pub installation_id: String,
}

/// The parts of a tracking id: `app:group/Kind:namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackingId<'a> {
    /// Instance name of the owner.
    pub app: &'a str,
    /// Group of the object the id was written on.
    pub group: &'a str,
    /// Kind of that object.
    pub kind: &'a str,
    /// Namespace of that object.
    pub namespace: &'a str,
    /// Name of that object.
    pub name: &'a str,
}

/// Longest value Kubernetes accepts in a label, in bytes.
const MAX_LABEL: usize = 63;

// === impl Method ===

impl Method {
    /// Reads `application.resourceTrackingMethod`; what is unknown or empty is the default.
    pub fn parse(text: &str) -> Self {
        match text {
            "label" => Self::Label,
            "annotation+label" => Self::AnnotationAndLabel,
            _ => Self::Annotation,
        }
    }
}

// === impl Tracking ===

impl Default for Tracking {
    fn default() -> Self {
        Self { method: Method::default(), label_key: names::LABEL_INSTANCE.to_owned(), installation_id: String::new() }
    }
}

impl Tracking {
    /// Writes the owner on an object. `namespace` is the one the object will
    /// live in, empty for cluster-scoped objects.
    pub fn set(&self, object: &mut Value, app: &str, namespace: &str) {
        if self.method != Method::Label {
            let mut key = ResourceKey::of(object);
            key.namespace = namespace.into();
            object::set_annotation(object, names::ANNOTATION_TRACKING_ID, &format_id(app, &key));
            if !self.installation_id.is_empty() {
                object::set_annotation(object, names::ANNOTATION_INSTALLATION_ID, &self.installation_id);
            }
        }
        if self.method != Method::Annotation {
            let value = if self.method == Method::AnnotationAndLabel { truncated(app) } else { app };
            object::set_label(object, &self.label_key, value);
        }
    }

    /// The instance name of the application that owns the object, if any.
    pub fn owner<'a>(&self, object: &'a Value) -> Option<&'a str> {
        if self.method == Method::Label {
            return object::label(object, &self.label_key).filter(|app| !app.is_empty());
        }
        let id = parse_id(object::annotation(object, names::ANNOTATION_TRACKING_ID)?)?;
        let installation = object::annotation(object, names::ANNOTATION_INSTALLATION_ID).unwrap_or("");
        (installation == self.installation_id).then_some(id.app)
    }

    /// Whether the tracking id on a live object names that very object. Always
    /// so with labels, which carry no identity.
    pub fn is_self_referenced(&self, live: &Value) -> bool {
        if self.method == Method::Label {
            return true;
        }
        let Some(id) = object::annotation(live, names::ANNOTATION_TRACKING_ID).and_then(parse_id) else {
            return true;
        };
        let key = ResourceKey::of(live);
        id.name == &*key.name
            && id.kind == &*key.kind
            && id.group == &*key.group
            && (id.namespace == &*key.namespace || key.namespace.is_empty())
    }
}

/// `app:group/Kind:namespace/name`.
pub fn format_id(app: &str, key: &ResourceKey) -> String {
    format!("{app}:{}/{}:{}/{}", key.group, key.kind, key.namespace, key.name)
}

/// Takes a tracking id apart; `None` when it is not one.
pub fn parse_id(id: &str) -> Option<TrackingId<'_>> {
    // The name may hold colons (RBAC objects do), so split from the left.
    let (app, rest) = id.split_once(':')?;
    let (group_kind, rest) = rest.split_once(':')?;
    let (group, kind) = group_kind.split_once('/')?;
    let (namespace, name) = rest.split_once('/')?;
    Some(TrackingId { app, group, kind, namespace, name })
}

fn truncated(app: &str) -> &str {
    let mut end = app.len().min(MAX_LABEL);
    while !app.is_char_boundary(end) {
        end -= 1;
    }
    app[..end].trim_end_matches(['-', '_', '.'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_id_with_colons_in_the_name_survives() {
        let key = ResourceKey::new("rbac.authorization.k8s.io", "ClusterRole", "", "system:a:b");
        let id = format_id("team_app", &key);
        let parsed = parse_id(&id).expect("parses");
        assert_eq!((parsed.app, parsed.name), ("team_app", "system:a:b"));
    }

    #[test]
    fn a_copy_of_a_tracked_object_is_not_self_referenced() {
        let tracking = Tracking::default();
        let mut live = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "n"}});
        tracking.set(&mut live, "app", "n");
        assert!(tracking.is_self_referenced(&live));
        live["metadata"]["name"] = json!("b");
        assert!(!tracking.is_self_referenced(&live));
        assert_eq!(tracking.owner(&live), Some("app"));
    }
}
