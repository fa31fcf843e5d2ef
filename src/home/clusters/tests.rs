use super::*;
use serde_json::json;

fn secret(name: &str, fields: &[(&str, &str)]) -> (AppKey, SecretObject) {
    let metadata = json!({"name": name, "resourceVersion": "1",
        "labels": {names::LABEL_SECRET_TYPE: "cluster", "env": "prod"},
        "annotations": {names::ANNOTATION_MANAGED_BY: "argocd.argoproj.io", "note": "x"}});
    let mut object: SecretObject = serde_json::from_value(json!({"metadata": metadata})).expect("a secret");
    object.data = fields.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<BTreeMap<_, _>>().into();
    (AppKey::new("argocd", name), object)
}

fn clusters(secrets: &[(AppKey, SecretObject)], in_cluster: bool) -> Clusters {
    Clusters::read(secrets.iter().map(|(k, s)| (k, s)), in_cluster)
}

fn fails(clusters: &Clusters, server: &str, name: &str) -> String {
    clusters.resolve(server, name).expect_err("means no cluster").to_string()
}

#[test]
fn a_secret_is_read_whole() {
    let all = clusters(
        &[secret(
            "c",
            &[
                ("name", "prod"),
                ("server", "https://c/"),
                ("namespaces", "a, b,"),
                ("clusterResources", "true"),
                ("project", "p"),
                ("shard", "2"),
                ("config", "{\"bearerToken\":\"t\"}"),
            ],
        )],
        true,
    );
    let cluster = all.resolve("", "prod").expect("a cluster");
    assert_eq!(cluster.server, "https://c");
    assert_eq!(cluster.namespaces, ["a", "b"]);
    assert_eq!((cluster.cluster_resources, cluster.shard, &*cluster.project), (true, Some(2), "p"));
    assert_eq!(cluster.labels, BTreeMap::from([("env".into(), "prod".into())]));
    assert_eq!(cluster.annotations, BTreeMap::from([("note".into(), "x".into())]));
    assert!(!format!("{cluster:?}").contains("bearerToken"));
    assert_eq!(all.resolve("https://c/", "").expect("by server"), cluster);
}

#[test]
fn a_destination_that_means_no_cluster_says_so_in_known_words() {
    let all = clusters(
        &[
            secret("a", &[("name", "twin"), ("server", "https://a")]),
            secret("b", &[("name", "twin"), ("server", "https://b")]),
        ],
        true,
    );
    assert_eq!(
        fails(&all, "https://a", "twin"),
        "application destination can't have both name and server defined: twin https://a"
    );
    assert_eq!(fails(&all, "", ""), "Destination server missing from app spec");
    assert_eq!(fails(&all, "", "x"), "there are no clusters with this name: x");
    assert_eq!(fails(&all, "", "twin"), "there are 2 clusters with the same name: [https://a https://b]");
    assert_eq!(
        fails(&all, "https://x", ""),
        "error getting cluster by server \"https://x\": rpc error: code = NotFound desc = cluster \"https://x\" not found"
    );
}

#[test]
fn the_own_cluster_is_there_unless_it_is_switched_off() {
    let on = clusters(&[], true);
    assert!(on.resolve("", "in-cluster").expect("by name").is_in_cluster());
    assert!(on.resolve("https://kubernetes.default.svc", "").is_ok());
    let declared = [secret("own", &[("name", "here"), ("server", "https://kubernetes.default.svc")])];
    let renamed = clusters(&declared, true);
    assert_eq!(renamed.resolve("", "in-cluster").expect("by name").name, "here");
    let off = clusters(&declared, false);
    assert_eq!(off.iter().count(), 0);
    assert!(fails(&off, "https://kubernetes.default.svc", "").ends_with("is disabled"));
    assert_eq!(fails(&off, "", "in-cluster"), "there are no clusters with this name: in-cluster");
}

#[test]
fn a_malformed_secret_hurts_its_own_cluster_alone_and_does_not_make_it_unknown() {
    let all = clusters(
        &[
            secret("bad", &[("server", "https://bad"), ("config", "canary{")]),
            secret("none", &[("name", "x")]),
            secret("good", &[("server", "https://good"), ("shard", "x")]),
        ],
        true,
    );
    assert!(all.resolve("https://good", "").is_ok());
    let error = all.resolve("https://bad", "").expect_err("misconfigured");
    assert!(!error.is_unknown_cluster() && !error.to_string().contains("canary"));
    assert!(all.resolve("https://gone", "").expect_err("unknown").is_unknown_cluster());
    assert_eq!(all.problems.len(), 3);
}

#[test]
fn changes_tell_a_broken_declaration_from_a_removed_one() {
    let good = clusters(&[secret("a", &[("server", "https://a")]), secret("b", &[("server", "https://b")])], false);
    let later = clusters(
        &[secret("a", &[("server", "https://a"), ("config", "{")]), secret("c", &[("server", "https://c")])],
        false,
    );
    let mut changes: Vec<String> = later
        .changes_since(&good)
        .iter()
        .map(|change| match change {
            ClusterChange::Added(c) => format!("added {}", c.server),
            ClusterChange::Changed { new, .. } => format!("changed {}", new.server),
            ClusterChange::Removed(c) => format!("removed {}", c.server),
            ClusterChange::Misconfigured { last, .. } => format!("misconfigured {}", last.server),
        })
        .collect();
    changes.sort();
    assert_eq!(changes, ["added https://c", "misconfigured https://a", "removed https://b"]);
    assert!(later.changes_since(&later.clone()).is_empty());
}
