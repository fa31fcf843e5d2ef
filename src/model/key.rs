//! Identities: of a type ([`Gvk`], [`GroupKind`]), of an object in a cluster
//! ([`ResourceKey`]) and of an Application in the home cluster ([`AppKey`]).

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Group, version and kind of a Kubernetes type. The core group is `""`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Gvk {
    /// API group, empty for core.
    pub group: Arc<str>,
    /// Version within the group, such as `v1`.
    pub version: Arc<str>,
    /// Kind in CamelCase.
    pub kind: Arc<str>,
}

/// Group and kind, for rules that hold for every version of a type.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GroupKind {
    /// API group, empty for core.
    pub group: Arc<str>,
    /// Kind in CamelCase.
    pub kind: Arc<str>,
}

/// One object in a cluster. The version is left out on purpose: the same object
/// is served under several versions. Namespace is empty for cluster-scoped ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ResourceKey {
    /// API group, empty for core.
    pub group: Arc<str>,
    /// Kind in CamelCase.
    pub kind: Arc<str>,
    /// Namespace, empty for cluster-scoped objects.
    pub namespace: Arc<str>,
    /// Object name.
    pub name: Arc<str>,
}

/// One Application in the home cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AppKey {
    /// Namespace the Application object lives in.
    pub namespace: Arc<str>,
    /// Name of the Application object.
    pub name: Arc<str>,
}

// === impl Gvk ===

impl Gvk {
    /// A type by its three names.
    pub fn new(group: &str, version: &str, kind: &str) -> Self {
        Self { group: group.into(), version: version.into(), kind: kind.into() }
    }

    /// Reads `apiVersion` and `kind` of an object; absent fields become empty.
    pub fn of(object: &Value) -> Self {
        let api_version = object.get("apiVersion").and_then(Value::as_str).unwrap_or("");
        let kind = object.get("kind").and_then(Value::as_str).unwrap_or("");
        Self::from_api_version(api_version, kind)
    }

    /// Splits `group/version`, or `version` alone for the core group.
    pub fn from_api_version(api_version: &str, kind: &str) -> Self {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        Self::new(group, version, kind)
    }

    /// `group/version`, or `version` alone for the core group.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_string() } else { format!("{}/{}", self.group, self.version) }
    }

    /// The same type without its version.
    pub fn group_kind(&self) -> GroupKind {
        GroupKind { group: self.group.clone(), kind: self.kind.clone() }
    }
}

impl fmt::Display for Gvk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.api_version(), self.kind)
    }
}

// === impl GroupKind ===

impl GroupKind {
    /// A kind by its two names.
    pub fn new(group: &str, kind: &str) -> Self {
        Self { group: group.into(), kind: kind.into() }
    }
}

impl fmt::Display for GroupKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.group.is_empty() { f.write_str(&self.kind) } else { write!(f, "{}/{}", self.group, self.kind) }
    }
}

// === impl ResourceKey ===

impl ResourceKey {
    /// A key by its four names.
    pub fn new(group: &str, kind: &str, namespace: &str, name: &str) -> Self {
        Self { group: group.into(), kind: kind.into(), namespace: namespace.into(), name: name.into() }
    }

    /// The key of a Kubernetes object; absent fields become empty.
    pub fn of(object: &Value) -> Self {
        let gvk = Gvk::of(object);
        Self {
            group: gvk.group,
            kind: gvk.kind,
            namespace: crate::object::namespace(object).into(),
            name: crate::object::name(object).into(),
        }
    }

    /// The key's kind.
    pub fn group_kind(&self) -> GroupKind {
        GroupKind { group: self.group.clone(), kind: self.kind.clone() }
    }
}

impl fmt::Display for ResourceKey {
    /// `group/Kind/namespace/name`, every part always present.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}", self.group, self.kind, self.namespace, self.name)
    }
}

// === impl AppKey ===

impl AppKey {
    /// A key by its two names.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// How the application is named on the resources it owns: its bare name when
    /// it lives in the control plane's namespace, else `<namespace>_<name>`.
    pub fn instance_name(&self, control_plane_namespace: &str) -> String {
        if &*self.namespace == control_plane_namespace {
            self.name.to_string()
        } else {
            format!("{}_{}", self.namespace, self.name)
        }
    }

    /// The application of this name on resources. Kubernetes permits no underscore in
    /// the names of either, so that there is one.
    pub fn of_instance(instance: &str, control_plane_namespace: &str) -> Self {
        let (namespace, name) = instance.split_once('_').unwrap_or((control_plane_namespace, instance));
        Self::new(namespace, name)
    }
}

impl fmt::Display for AppKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
