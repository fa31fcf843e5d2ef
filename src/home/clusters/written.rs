//! Clusters as Argo CD writes them into Secrets.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;

use argosy_model::{hash, names, object};
use argosy_proto::meta::Time;
use argosy_proto::resource::{apply_merge_patch, merge_patch};
use argosy_proto::v1alpha1::{Cluster, ClusterConfig};
use serde_json::{Map, Value, json};

use super::ClusterSecret;
use crate::error::{Error, Result};

// === impl ClusterSecret ===

impl ClusterSecret {
    /// The cluster as the API knows it, with its credentials: for comparing,
    /// changing and reaching it, never for an answer. A connection that cannot be
    /// read is left out.
    pub fn to_cluster(&self) -> Cluster {
        let config = serde_json::from_str(self.config.expose()).unwrap_or_default();
        let refresh = self.annotations.get(names::ANNOTATION_REFRESH).and_then(|time| time.parse().ok());
        Cluster {
            server: self.server.clone(),
            name: self.name.clone(),
            config: Some(config),
            namespaces: self.namespaces.clone(),
            refresh_requested_at: refresh.map(|time: jiff::Timestamp| Time::from(time)),
            shard: self.shard.and_then(|shard| i64::try_from(shard).ok()),
            cluster_resources: self.cluster_resources,
            project: self.project.clone(),
            labels: self.labels.clone(),
            annotations: self.annotations.clone(),
            ..Cluster::default()
        }
    }
}

/// The name of a cluster's new Secret.
pub(crate) fn secret_name(server: &str) -> Result<String> {
    let refuse = || Error::Rejected(format!("parse {server:?}: invalid URI for request"));
    let (scheme, rest) = server.split_once("://").ok_or_else(refuse)?;
    if scheme.is_empty() || !scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)) {
        return Err(refuse());
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = match host.strip_prefix('[') {
        Some(v6) => {
            let (address, _) = v6.split_once(']').ok_or_else(refuse)?;
            address.parse::<Ipv6Addr>().map_err(|_| refuse())?.to_string().replace(':', "-")
        }
        None => host.split(':').next().unwrap_or_default().to_lowercase(),
    };
    Ok(format!("cluster-{host}-{}", hash::fnv32a(&[server])))
}

/// Writes a cluster into a Secret's values. Keys of other programs stay.
pub(crate) fn set_cluster(data: &mut BTreeMap<String, String>, cluster: &Cluster) -> Result<()> {
    let text = |set: bool, value: String| set.then_some(value);
    let server = cluster.server.trim_end_matches('/').to_owned();
    let name = if cluster.name.is_empty() { &cluster.server } else { &cluster.name };
    let config = config(data.get("config").map(String::as_str), cluster.config.as_ref())?;
    let fields = [
        ("server", Some(server)),
        ("name", Some(name.clone())),
        ("namespaces", text(!cluster.namespaces.is_empty(), cluster.namespaces.join(","))),
        ("config", Some(config)),
        ("shard", cluster.shard.map(|shard| shard.to_string())),
        ("clusterResources", text(cluster.cluster_resources, "true".to_owned())),
        ("project", text(!cluster.project.is_empty(), cluster.project.clone())),
    ];
    for (key, value) in fields {
        match value {
            Some(value) => data.insert(key.to_owned(), value),
            None => data.remove(key),
        };
    }
    Ok(())
}

/// The connection's JSON: what the types do not know of the old one stays.
fn config(old: Option<&str>, new: Option<&ClusterConfig>) -> Result<String> {
    let json = |config: &ClusterConfig| {
        serde_json::to_value(config).map_err(|source| Error::Encode { what: "a cluster's connection", source })
    };
    let mut new = new.cloned().unwrap_or_default();
    // Argo CD always writes it.
    new.tls_client_config.get_or_insert_default();
    let new = json(&new)?;
    let Some(mut raw) = old.and_then(|old| serde_json::from_str::<Value>(old).ok()).filter(Value::is_object) else {
        return Ok(new.to_string());
    };
    let Ok(typed) = serde_json::from_value::<ClusterConfig>(raw.clone()) else { return Ok(new.to_string()) };
    if let Some(patch) = merge_patch(&json(&typed)?, &new) {
        apply_merge_patch(&mut raw, &patch);
    }
    Ok(raw.to_string())
}

/// Writes a cluster's labels and annotations over a Secret's.
pub(crate) fn set_metadata(object: &mut Value, cluster: &Cluster) -> Result<()> {
    if cluster.annotations.get(names::ANNOTATION_LAST_APPLIED).is_some_and(|text| !text.is_empty()) {
        let key = names::ANNOTATION_LAST_APPLIED;
        return Err(Error::Rejected(format!("annotation {key} cannot be set")));
    }
    let mut annotations: Map<String, Value> = texts(&cluster.annotations);
    match &cluster.refresh_requested_at {
        Some(time) => annotations.insert(names::ANNOTATION_REFRESH.to_owned(), json!(time)),
        None => annotations.remove(names::ANNOTATION_REFRESH),
    };
    if let Some(metadata) = object::metadata(object) {
        metadata.insert("labels".to_owned(), Value::Object(texts(&cluster.labels)));
        metadata.insert("annotations".to_owned(), Value::Object(annotations));
    }
    Ok(())
}

fn texts(map: &BTreeMap<String, String>) -> Map<String, Value> {
    map.iter().map(|(key, value)| (key.clone(), Value::String(value.clone()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_named_for_host_and_address() {
        let name = |server: &str| secret_name(server).expect("an address");
        assert_eq!(
            name("https://Prod.example:6443"),
            format!("cluster-prod.example-{}", hash::fnv32a(&["https://Prod.example:6443"]))
        );
        assert!(name("https://host?shard=0").starts_with("cluster-host-"));
        assert_ne!(name("https://host?shard=0"), name("https://host?shard=1"));
        assert!(name("https://[2001:db8::1]:443/").starts_with("cluster-2001-db8--1-"));
        assert!(matches!(secret_name("host"), Err(Error::Rejected(_))));
        assert!(matches!(secret_name("https://[x]"), Err(Error::Rejected(_))));
    }

    #[test]
    fn what_is_not_set_is_not_written_and_what_is_unknown_stays() {
        let mut data = BTreeMap::from([
            ("shard".to_owned(), "3".to_owned()),
            ("other".to_owned(), "x".to_owned()),
            ("config".to_owned(), r#"{"bearerToken":"old","tlsClientConfig":{"insecure":true},"future":1}"#.to_owned()),
        ]);
        let cluster = Cluster { server: "https://c/".into(), ..Cluster::default() };
        set_cluster(&mut data, &cluster).expect("written");
        let keys: Vec<_> = data.keys().map(String::as_str).collect();
        assert_eq!(keys, ["config", "name", "other", "server"]);
        assert_eq!((&*data["server"], &*data["name"]), ("https://c", "https://c/"));
        let config: Value = serde_json::from_str(&data["config"]).expect("JSON");
        assert_eq!(config, json!({"tlsClientConfig": {"insecure": false}, "future": 1}));
    }

    #[test]
    fn the_last_applied_annotation_cannot_be_set() {
        let annotations = BTreeMap::from([(names::ANNOTATION_LAST_APPLIED.to_owned(), "{}".to_owned())]);
        let cluster = Cluster { annotations, ..Cluster::default() };
        assert!(matches!(set_metadata(&mut json!({}), &cluster), Err(Error::Rejected(_))));
    }
}
