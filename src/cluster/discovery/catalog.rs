//! One picture of what a cluster serves, and the questions asked of it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use argosy_model::{GroupKind, Gvk, ResourceKey};

use super::document::Document;
use crate::error::{Error, Result};

/// One kind in one version, and how it is addressed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ApiResource {
    /// The kind.
    pub gvk: Gvk,
    /// The name in URLs, such as `deployments`.
    pub plural: Arc<str>,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// What may be done, such as `list`, `watch`, `patch`.
    pub verbs: Vec<Arc<str>>,
}

/// What a cluster serves at one moment.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// Every kind and version, the group's preferred version first.
    resources: Vec<Arc<ApiResource>>,
    by_gvk: HashMap<Gvk, usize>,
    /// The version to use when none is asked for.
    preferred: HashMap<GroupKind, usize>,
    group_versions: Vec<String>,
    /// Groups that could not be read, and why. Their last known kinds are kept.
    pub failing: BTreeMap<String, String>,
}

// === impl ApiResource ===

impl ApiResource {
    /// Whether `verb` is served.
    pub fn can(&self, verb: &str) -> bool {
        self.verbs.iter().any(|v| &**v == verb)
    }

    /// `/api/v1` or `/apis/<group>/<version>`.
    pub fn base_path(&self) -> String {
        if self.gvk.group.is_empty() {
            format!("/api/{}", self.gvk.version)
        } else {
            format!("/apis/{}/{}", self.gvk.group, self.gvk.version)
        }
    }

    /// Path of the collection; an empty namespace means all of them.
    pub(crate) fn collection(&self, namespace: &str) -> crate::call::Path {
        let path = crate::call::Path::new(self.base_path());
        if self.namespaced && !namespace.is_empty() {
            path.segment("namespaces").segment(namespace).segment(&self.plural)
        } else {
            path.segment(&self.plural)
        }
    }

    /// Path of one object.
    pub(crate) fn object(&self, namespace: &str, name: &str) -> crate::call::Path {
        self.collection(namespace).segment(name)
    }
}

// === impl Catalog ===

impl Catalog {
    pub(super) fn build(documents: &[Arc<Document>], previous: &Self) -> Self {
        let mut catalog = Self::default();
        for document in documents {
            for group in &document.groups {
                if let Some(why) = &group.failure {
                    catalog.failing.insert(group.name.to_string(), why.clone());
                }
                for version in &group.versions {
                    let api_version = Gvk::new(&group.name, &version.name, "").api_version();
                    if version.stale && version.resources.is_empty() {
                        catalog.keep(previous, &api_version);
                        catalog.failing.insert(api_version.clone(), "the API's backend does not answer".to_owned());
                    }
                    for resource in &version.resources {
                        catalog.add(resource.clone());
                    }
                    catalog.group_versions.push(api_version);
                }
            }
        }
        catalog
    }

    fn keep(&mut self, previous: &Self, api_version: &str) {
        for resource in previous.resources.iter().filter(|r| r.gvk.api_version() == api_version) {
            self.add(resource.clone());
        }
    }

    fn add(&mut self, resource: Arc<ApiResource>) {
        let at = self.resources.len();
        self.preferred.entry(resource.gvk.group_kind()).or_insert(at);
        self.by_gvk.insert(resource.gvk.clone(), at);
        self.resources.push(resource);
    }

    /// Whether nothing has been learned yet.
    pub fn is_empty(&self) -> bool {
        self.resources.is_empty()
    }

    pub(super) fn same_as(&self, other: &Self) -> bool {
        self.resources == other.resources
            && self.failing == other.failing
            && self.group_versions == other.group_versions
    }

    /// A kind in exactly this version.
    pub fn get(&self, gvk: &Gvk) -> Option<&Arc<ApiResource>> {
        self.by_gvk.get(gvk).map(|at| &self.resources[*at])
    }

    /// A kind in its preferred version.
    pub fn preferred(&self, kind: &GroupKind) -> Option<&Arc<ApiResource>> {
        self.preferred.get(kind).map(|at| &self.resources[*at])
    }

    /// Whether a kind's objects live in namespaces; `None` when it is not served.
    pub fn is_namespaced(&self, kind: &GroupKind) -> Option<bool> {
        self.preferred(kind).map(|r| r.namespaced)
    }

    /// Every kind and version.
    pub fn resources(&self) -> impl Iterator<Item = &Arc<ApiResource>> {
        self.resources.iter()
    }

    /// Each kind once, in the first version that can be listed and watched.
    pub fn watchable(&self) -> Vec<Arc<ApiResource>> {
        let mut seen = std::collections::HashSet::new();
        let served = self.resources.iter().filter(|r| r.can("list") && r.can("watch"));
        served.filter(|r| seen.insert(r.gvk.group_kind())).cloned().collect()
    }

    /// What charts are told they may use: `group/version` and
    /// `group/version/Kind`, sorted.
    pub fn api_versions(&self) -> Vec<String> {
        let mut versions = self.group_versions.clone();
        versions.extend(self.resources.iter().map(|r| r.gvk.to_string()));
        versions.sort();
        versions.dedup();
        versions
    }

    /// The kind an object asks for.
    ///
    /// # Errors
    /// [`Error::UnknownKind`] telling a kind that is missing from one that is
    /// served in another version only.
    pub fn resolve(&self, gvk: &Gvk, key: &ResourceKey) -> Result<Arc<ApiResource>> {
        if let Some(resource) = self.get(gvk) {
            return Ok(resource.clone());
        }
        let (group, kind) = (&gvk.group, &gvk.kind);
        let object = format!("{group}/{kind} for requested resource {}/{}", key.namespace, key.name);
        Err(Error::UnknownKind(match self.preferred(&gvk.group_kind()) {
            Some(other) => format!(
                "The Kubernetes API could not find version \"{}\" of {object}. Version \"{}\" of {group}/{kind} is installed on the destination cluster.",
                gvk.version, other.gvk.version
            ),
            None => format!(
                "The Kubernetes API could not find {object}. Make sure the \"{kind}\" CRD is installed on the destination cluster."
            ),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::document::{Group, Version};
    use super::*;

    fn resource(group: &str, version: &str, kind: &str) -> Arc<ApiResource> {
        Arc::new(ApiResource {
            gvk: Gvk::new(group, version, kind),
            plural: kind.to_lowercase().into(),
            namespaced: true,
            verbs: vec!["list".into(), "watch".into()],
        })
    }

    fn document(stale: bool, resources: Vec<Arc<ApiResource>>) -> Arc<Document> {
        let version = Version { name: "v1".into(), stale, resources };
        Arc::new(Document { groups: vec![Group { name: "x.io".into(), versions: vec![version], failure: None }] })
    }

    #[test]
    fn a_group_whose_backend_is_down_keeps_its_kinds() {
        let before = Catalog::build(&[document(false, vec![resource("x.io", "v1", "Thing")])], &Catalog::default());
        let during = Catalog::build(&[document(true, vec![])], &before);
        assert!(during.get(&Gvk::new("x.io", "v1", "Thing")).is_some());
        assert!(during.failing.contains_key("x.io/v1"));
        let after = Catalog::build(&[document(false, vec![])], &during);
        assert!(after.get(&Gvk::new("x.io", "v1", "Thing")).is_none());
    }

    #[test]
    fn a_missing_kind_and_a_missing_version_read_differently() {
        let catalog = Catalog::build(&[document(false, vec![resource("x.io", "v1", "Thing")])], &Catalog::default());
        let key = ResourceKey::new("x.io", "Thing", "ns", "a");
        let version = catalog.resolve(&Gvk::new("x.io", "v2", "Thing"), &key).expect_err("another version").to_string();
        assert!(
            version.contains("could not find version \"v2\" of x.io/Thing for requested resource ns/a"),
            "{version}"
        );
        let kind = catalog.resolve(&Gvk::new("x.io", "v1", "Other"), &key).expect_err("no such kind").to_string();
        assert!(kind.contains("Make sure the \"Other\" CRD is installed"), "{kind}");
    }
}
