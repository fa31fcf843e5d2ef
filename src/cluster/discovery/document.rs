//! The documents discovery speaks in: aggregated, and one by one before that.

use std::sync::Arc;

use argosy_model::Gvk;
use futures::{StreamExt, stream};
use serde::Deserialize;

use super::ApiResource;
use crate::budget::Priority;
use crate::call::Call;
use crate::connection::Connection;
use crate::error::Result;

/// Groups and their versions in the server's order of preference.
#[derive(Debug, Default)]
pub(super) struct Document {
    pub(super) groups: Vec<Group>,
}

#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: Arc<str>,
    pub(super) versions: Vec<Version>,
    /// Why the group could not be read, if so.
    pub(super) failure: Option<String>,
}

#[derive(Debug)]
pub(super) struct Version {
    pub(super) name: Arc<str>,
    /// The backend did not answer; what is listed may be missing.
    pub(super) stale: bool,
    pub(super) resources: Vec<Arc<ApiResource>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Aggregated {
    kind: String,
    items: Vec<AggregatedGroup>,
}

#[derive(Deserialize)]
struct AggregatedGroup {
    #[serde(default)]
    metadata: Named,
    #[serde(default)]
    versions: Vec<AggregatedVersion>,
}

#[derive(Default, Deserialize)]
struct Named {
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct AggregatedVersion {
    version: String,
    #[serde(default)]
    resources: Vec<AggregatedResource>,
    #[serde(default)]
    freshness: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AggregatedResource {
    resource: String,
    response_kind: Option<Kind>,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    verbs: Vec<String>,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Kind {
    group: String,
    version: String,
    kind: String,
}

// === impl Document ===

impl Document {
    /// Reads an aggregated document; `None` when the server answered with a plain one.
    pub(super) fn aggregated(body: &[u8]) -> serde_json::Result<Option<Self>> {
        let list: Aggregated = serde_json::from_slice(body)?;
        if list.kind != "APIGroupDiscoveryList" {
            return Ok(None);
        }
        let groups = list.items.into_iter().map(|group| {
            let versions = group.versions.into_iter().map(|v| v.read(&group.metadata.name)).collect();
            Group { name: group.metadata.name.as_str().into(), versions, failure: None }
        });
        Ok(Some(Self { groups: groups.collect() }))
    }
}

impl AggregatedVersion {
    fn read(self, group: &str) -> Version {
        let version = self.version;
        let resources = self.resources.into_iter().filter_map(|r| {
            let kind = r.response_kind?;
            // Empty means the same as the list's own.
            let group = if kind.group.is_empty() { group } else { &kind.group };
            let gvk = Gvk::new(group, if kind.version.is_empty() { &version } else { &kind.version }, &kind.kind);
            Some(Arc::new(ApiResource {
                gvk,
                plural: r.resource.into(),
                namespaced: r.scope == "Namespaced",
                verbs: r.verbs.into_iter().map(Into::into).collect(),
            }))
        });
        let resources = resources.collect();
        Version { name: version.as_str().into(), stale: self.freshness == "Stale", resources }
    }
}

#[derive(Deserialize)]
struct PlainGroups {
    #[serde(default)]
    groups: Vec<PlainGroup>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PlainGroup {
    name: String,
    #[serde(default)]
    versions: Vec<PlainVersion>,
    preferred_version: Option<PlainVersion>,
}

#[derive(Clone, Deserialize)]
struct PlainVersion {
    version: String,
}

#[derive(Deserialize)]
struct PlainResources {
    #[serde(default)]
    resources: Vec<PlainResource>,
}

#[derive(Deserialize)]
struct PlainResource {
    name: String,
    #[serde(default)]
    namespaced: bool,
    kind: String,
    #[serde(default)]
    verbs: Vec<String>,
}

/// Plain documents asked for at once.
const AT_ONCE: usize = 8;

/// Asks a server without aggregated discovery, one document per version.
///
/// # Errors
/// When the list of groups cannot be read; a group's own failure stays with it.
pub(super) async fn fetch_plain(connection: &Connection) -> Result<Vec<Arc<Document>>> {
    let groups: PlainGroups = connection.json("discovery", Call::get("/apis", Priority::Watch)).await?;
    let core = PlainGroup {
        name: String::new(),
        versions: vec![PlainVersion { version: "v1".to_owned() }],
        preferred_version: None,
    };
    let all = std::iter::once(core).chain(groups.groups);
    let groups = stream::iter(all).map(|group| fetch_group(connection, group)).buffered(AT_ONCE).collect().await;
    Ok(vec![Arc::new(Document { groups })])
}

async fn fetch_group(connection: &Connection, group: PlainGroup) -> Group {
    let mut names: Vec<String> = group.preferred_version.into_iter().map(|v| v.version).collect();
    for version in group.versions {
        if !names.contains(&version.version) {
            names.push(version.version);
        }
    }
    let mut read = Group { name: group.name.as_str().into(), versions: Vec::new(), failure: None };
    for name in names {
        let base = if group.name.is_empty() { format!("/api/{name}") } else { format!("/apis/{}/{name}", group.name) };
        let listed: Result<PlainResources> = connection.json("discovery", Call::get(base, Priority::Watch)).await;
        let (resources, stale) = match listed {
            Ok(list) => (plain_resources(&group.name, &name, list), false),
            Err(error) => {
                read.failure = Some(error.to_string());
                (Vec::new(), true)
            }
        };
        read.versions.push(Version { name: name.as_str().into(), stale, resources });
    }
    read
}

fn plain_resources(group: &str, version: &str, list: PlainResources) -> Vec<Arc<ApiResource>> {
    // Names with a slash are subresources.
    let kinds = list.resources.into_iter().filter(|r| !r.name.contains('/'));
    let resources = kinds.map(|r| {
        Arc::new(ApiResource {
            gvk: Gvk::new(group, version, &r.kind),
            plural: r.name.into(),
            namespaced: r.namespaced,
            verbs: r.verbs.into_iter().map(Into::into).collect(),
        })
    });
    resources.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_answer_is_told_from_an_aggregated_one() {
        let plain = br#"{"kind":"APIVersions","versions":["v1"]}"#;
        assert!(Document::aggregated(plain).expect("reads").is_none());
        let aggregated = br#"{"kind":"APIGroupDiscoveryList","items":[{"metadata":{"name":"apps"},"versions":[
            {"version":"v1","freshness":"Current","resources":[{"resource":"deployments","scope":"Namespaced",
             "responseKind":{"group":"","version":"","kind":"Deployment"},"verbs":["list","watch"]}]}]}]}"#;
        let document = Document::aggregated(aggregated).expect("reads").expect("is aggregated");
        let resource = &document.groups[0].versions[0].resources[0];
        assert_eq!(resource.gvk.to_string(), "apps/v1/Deployment");
        assert!(resource.namespaced && resource.can("watch"));
    }
}
