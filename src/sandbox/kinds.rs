//! The kinds that a sandbox serves: Kubernetes' own, read once per process from
//! an embedded document that a real API server gave, and those of the sandbox's
//! CustomResourceDefinitions.
//!
//! [`Kind`] says how a kind is named and what can be done with it;
//! [`Kind::decode`] reads an object as the API server would: unknown fields are
//! dropped and told, defaults are filled in, values are spelled its way.

mod base64;
mod builtin;
mod convert;
pub mod custom;
mod decode;
mod defaults;
mod formats;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod go_types;
mod json;
mod paths;
mod protobuf;
mod structural;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use argosy_engine::schema::TypeRef;
use argosy_model::Gvk;
use serde_json::Value;

pub use self::builtin::{builtin_document, builtin_document_names};
pub use self::convert::convert;
use self::custom::CustomVersion;
pub(crate) use self::decode::json_type;
pub use self::decode::{DecodeError, Decoded};
pub use self::json::json_error;
pub use self::paths::paths_of;
pub use self::protobuf::{Unreadable, read_protobuf};
pub use self::structural::validate as validate_structural;

/// The Kubernetes whose API is spoken.
pub const KUBERNETES_VERSION: &str = "v1.36.3";

/// One kind in one version.
#[derive(Debug)]
pub struct Kind {
    /// API group, empty for core.
    pub group: String,
    /// This version.
    pub version: String,
    /// The kind in CamelCase.
    pub kind: String,
    /// The kind of its lists.
    pub list_kind: String,
    /// The plural, which URLs and keys have.
    pub plural: String,
    /// The singular.
    pub singular: String,
    /// What kubectl may call it too.
    pub short_names: Vec<String>,
    /// Groups of resources it is in, such as `all`.
    pub categories: Vec<String>,
    /// Whether its objects are in namespaces.
    pub namespaced: bool,
    /// What can be done with it, sorted.
    pub verbs: Vec<String>,
    /// `status`, `scale` and others.
    pub subresources: Vec<Subresource>,
    /// The version in which its objects are stored.
    pub storage_version: String,
    /// Name of its definition, for built-in kinds.
    pub(crate) definition: Option<&'static str>,
    /// What a CustomResourceDefinition says of this version.
    pub custom: Option<Arc<CustomVersion>>,
}

/// Something below an object.
#[derive(Clone, Debug)]
pub struct Subresource {
    /// Its name.
    pub name: String,
    /// Group of what it takes and gives; empty where it is the kind's own.
    pub group: String,
    /// Version of the same.
    pub version: String,
    /// Kind of the same.
    pub kind: String,
    /// What can be done with it.
    pub verbs: Vec<String>,
}

/// A group as discovery shows it.
#[derive(Clone, Debug)]
pub struct Group {
    /// Its name, empty for core.
    pub name: String,
    /// The most preferred version first.
    pub versions: Vec<Version>,
}

/// One version of a group.
#[derive(Clone, Debug)]
pub struct Version {
    /// Its name.
    pub name: String,
    /// What it serves, by plural.
    pub kinds: Vec<Arc<Kind>>,
}

/// All the kinds of one sandbox. Clones are the same.
#[derive(Clone, Default)]
pub struct Kinds {
    custom: Arc<RwLock<Arc<Custom>>>,
}

/// The kinds of all CustomResourceDefinitions.
#[derive(Default)]
struct Custom {
    groups: Vec<Group>,
    /// By name of the definition.
    definitions: BTreeMap<String, Vec<Arc<Kind>>>,
    /// Rises with each change.
    generation: u64,
}

// === impl Kind ===

impl Kind {
    /// `apps/v1`, or `v1` for the core group.
    pub fn api_version(&self) -> String {
        api_version(&self.group, &self.version)
    }

    /// The version that is stored.
    pub fn storage_api_version(&self) -> String {
        api_version(&self.group, &self.storage_version)
    }

    /// `deployments.apps`, or `pods`.
    pub fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// A subresource by name.
    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|s| s.name == name)
    }

    /// Whether a verb is among those of the resource.
    pub fn allows(&self, verb: &str) -> bool {
        self.verbs.iter().any(|v| v == verb)
    }

    /// Whether status is written through its own subresource.
    pub fn has_status(&self) -> bool {
        self.subresource("status").is_some()
    }

    /// Its type, as far as it is known.
    pub fn schema(&self) -> Option<TypeRef<'_>> {
        let gvk = Gvk::new(&self.group, &self.version, &self.kind);
        match &self.custom {
            Some(custom) => custom.schemas.get(&gvk),
            None => builtin::load().schemas.get(&gvk),
        }
    }

    /// Whether it takes strategic merge patches.
    pub fn is_strategic(&self) -> bool {
        self.custom.is_none()
    }

    /// Reads an object of this kind, as the API server would.
    ///
    /// # Errors
    /// A value has the wrong type.
    pub fn decode(&self, object: Value) -> Result<Decoded, DecodeError> {
        match (&self.custom, self.definition) {
            (Some(custom), _) => custom.decode(object),
            (None, Some(definition)) => decode::decode(definition, object),
            (None, None) => Ok(Decoded { value: object, unknown: Vec::new() }),
        }
    }

    /// What was there before anything was written, where the API server compares
    /// a new object with it: the parts that are never absent.
    pub fn skeleton(&self) -> Value {
        match self.definition {
            Some(definition) => decode::skeleton(definition),
            None => serde_json::json!({"metadata": {}}),
        }
    }
}

// === impl Kinds ===

impl Kinds {
    /// Kubernetes' own kinds alone.
    pub fn new() -> Self {
        Self::default()
    }

    /// A resource by its names in URLs.
    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Kind>> {
        let among = |groups: &[Group]| {
            let group = groups.iter().find(|g| g.name == group)?;
            let version = group.versions.iter().find(|v| v.name == version)?;
            version.kinds.iter().find(|k| k.plural == plural).cloned()
        };
        among(&builtin::load().groups).or_else(|| among(&self.custom().groups))
    }

    /// A resource in any version, the preferred first.
    pub fn find_any(&self, group: &str, plural: &str) -> Option<Arc<Kind>> {
        self.groups()
            .into_iter()
            .filter(|g| g.name == group)
            .flat_map(|g| g.versions)
            .find_map(|version| version.kinds.iter().find(|k| k.plural == plural).cloned())
    }

    /// A kind by `apiVersion` and `kind`.
    pub fn find_kind(&self, group: &str, version: &str, kind: &str) -> Option<Arc<Kind>> {
        let among = |groups: &[Group]| {
            let group = groups.iter().find(|g| g.name == group)?;
            let version = group.versions.iter().find(|v| v.name == version)?;
            version.kinds.iter().find(|k| k.kind == kind).cloned()
        };
        among(&builtin::load().groups).or_else(|| among(&self.custom().groups))
    }

    /// All groups with their versions: core first, then Kubernetes' own, then custom ones.
    pub fn groups(&self) -> Vec<Group> {
        builtin::load().groups.iter().chain(&self.custom().groups).cloned().collect()
    }

    /// Every resource, once per group and plural.
    pub fn all(&self) -> Vec<Arc<Kind>> {
        let mut seen = std::collections::HashSet::new();
        let kinds = self.groups().into_iter().flat_map(|g| g.versions).flat_map(|v| v.kinds);
        kinds.filter(|kind| seen.insert((kind.group.clone(), kind.plural.clone()))).collect()
    }

    /// Serves the kinds of a CustomResourceDefinition, replacing what it served before.
    pub fn define(&self, name: &str, kinds: Vec<Arc<Kind>>) {
        let mut custom = self.custom.write().unwrap_or_else(PoisonError::into_inner);
        let mut definitions = custom.definitions.clone();
        if kinds.is_empty() {
            if definitions.remove(name).is_none() {
                return;
            }
        } else {
            definitions.insert(name.to_owned(), kinds);
        }
        let groups = custom::group(definitions.values().flatten());
        let generation = custom.generation + 1;
        *custom = Arc::new(Custom { groups, definitions, generation });
    }

    /// Rises whenever a custom kind comes, changes or goes.
    pub fn generation(&self) -> u64 {
        self.custom().generation
    }

    fn custom(&self) -> Arc<Custom> {
        self.custom.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl std::fmt::Debug for Kinds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kinds").field("generation", &self.generation()).finish()
    }
}

/// The type of one of Kubernetes' own kinds, as far as it is known.
pub fn schema_of(api_version: &str, kind: &str) -> Option<TypeRef<'static>> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    builtin::load().schemas.get(&Gvk::new(group, version, kind))
}

/// Reads the options of a deletion as the API server would.
///
/// # Errors
/// A value has the wrong type.
pub fn decode_options(options: Value) -> Result<Decoded, DecodeError> {
    decode::decode("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions", options)
}

/// Reads a scale as the API server would.
///
/// # Errors
/// A value has the wrong type.
pub fn decode_scale(scale: Value) -> Result<Decoded, DecodeError> {
    decode::decode("io.k8s.api.autoscaling.v1.Scale", scale)
}

/// `group/version`, or `version` alone for the core group.
pub fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}
