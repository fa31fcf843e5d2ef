//! Clusters: added, read, changed, given new credentials and removed through the API.

use anyhow::Context;
use argosy_proto::cluster::{ClusterCreateRequest, ClusterQuery, ClusterUpdateRequest};
use argosy_proto::v1alpha1::Cluster;
use argosy_tests::{ControlPlane, Options, config_map, eventually, refusal};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};
use tonic::{Code, Status};

use super::case::{Case, PATIENCE, merged, message};

/// An account on another cluster with all rights and a token kept in a Secret, as
/// `cluster add` makes them.
const ACCOUNT: &str = "
apiVersion: v1
kind: ServiceAccount
metadata: {name: argocd-manager, namespace: kube-system}
secrets: [{name: argocd-manager-token-first}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: argocd-manager-role-binding}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: argocd-manager, namespace: kube-system}]
---
apiVersion: v1
kind: Secret
type: kubernetes.io/service-account-token
metadata:
  name: argocd-manager-token-first
  namespace: kube-system
  annotations: {kubernetes.io/service-account.name: argocd-manager}
";

struct Far {
    plane: ControlPlane,
    token: String,
}

async fn far() -> anyhow::Result<Far> {
    // Tokens of accounts are made by the controller manager.
    let plane = ControlPlane::start(Options { controller_manager: true, ..Options::default() }).await?;
    plane.apply_yaml(ACCOUNT)?;
    let token = eventually(PATIENCE, || async { plane.secret_token("argocd-manager-token-first") }).await;
    Ok(Far { plane, token })
}

/// Reads the token of a Secret in `kube-system`.
trait SecretToken {
    fn secret_token(&self, name: &str) -> anyhow::Result<String>;
}

impl SecretToken for ControlPlane {
    fn secret_token(&self, name: &str) -> anyhow::Result<String> {
        let args = ["-n", "kube-system", "get", "secret", name, "-o", "jsonpath={.data.token}"];
        let text = STANDARD.decode(self.kubectl_text(&args)?).context("base64")?;
        anyhow::ensure!(!text.is_empty(), "no token yet");
        String::from_utf8(text).context("a token is text")
    }
}

impl Far {
    fn cluster(&self, token: &str, more: Value) -> Value {
        let tls = json!({"caData": STANDARD.encode(self.plane.authority_pem())});
        let config = json!({"bearerToken": token, "tlsClientConfig": tls});
        merged(json!({"server": self.plane.url(), "name": "far away", "config": config}), more)
    }
}

async fn create(case: &Case, cluster: Value, upsert: bool) -> Result<Cluster, Status> {
    let request = message::<ClusterCreateRequest>(json!({"cluster": cluster, "upsert": upsert}));
    case.api.clusters().create(request).await.map(tonic::Response::into_inner)
}

async fn get(case: &Case, query: Value) -> Result<Cluster, Status> {
    case.api.clusters().get(message::<ClusterQuery>(query)).await.map(tonic::Response::into_inner)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_added_deployed_to_changed_and_removed() -> anyhow::Result<()> {
    let case = Case::new("far").await?;
    let far = far().await?;
    let url = far.plane.url();
    let (code, words) = refusal(create(&case, far.cluster("wrong-canary-4711", json!({})), false).await);
    assert!(words.starts_with("error getting server version: ") && !words.contains("canary"), "{code:?} {words}");
    let added = create(&case, far.cluster(&far.token, json!({"labels": {"zone": "b"}})), false).await?;
    assert!(!format!("{added:?}").contains(&far.token), "credentials go in and do not come out");
    assert_eq!((&*added.server, &*added.name), (&*url, "far away"));
    let again = create(&case, far.cluster(&far.token, json!({"labels": {"zone": "b"}})), false).await?;
    assert_eq!(again.server, url);
    let (code, words) = refusal(create(&case, far.cluster(&far.token, json!({"labels": {"zone": "c"}})), false).await);
    assert_eq!(code, Code::InvalidArgument, "{words}");
    assert!(words.starts_with("existing cluster spec is different; use upsert flag to force update"), "{words}");
    assert!(!words.contains(&far.token), "{words}");
    create(&case, far.cluster(&far.token, json!({"labels": {"zone": "c"}})), true).await?;

    // An application is deployed there.
    case.commit(&[("map.yaml", &config_map("map", "x"))])?;
    let app = case.app().set("/spec/destination", json!({"name": "far away", "namespace": "default"}));
    case.create(&app).await?;
    assert_eq!(case.synced(json!({})).await?.phase(), "Succeeded");
    assert_eq!(far.plane.config_map_text("default", "map").await?, "x");

    // Found by address, name, and escaped name, in each with what its owner knows.
    let queries = [
        json!({"server": url}),
        json!({"name": "far away"}),
        json!({"id": {"type": "name", "value": "far away"}}),
        json!({"id": {"type": "name_escaped", "value": "far+away"}}),
        json!({"id": {"type": "url", "value": url}}),
    ];
    for query in queries {
        let found = get(&case, query.clone()).await?;
        assert_eq!((&*found.server, &*found.labels["zone"]), (&*url, "c"), "{query}");
        let info = found.info.context("what is known of it")?;
        assert_eq!(info.connection_state.context("a state")?.status, "Successful");
        assert_eq!(info.applications_count, 1);
        assert!(info.cache_info.is_some_and(|cache| cache.resources_count > 0 && cache.apis_count > 0));
        assert!(info.server_version.starts_with('v'), "{}", info.server_version);
    }
    let path = format!("/api/v1/clusters/{}", url.replace(':', "%3A").replace('/', "%2F"));
    assert_eq!(case.api.get(&path).await?.ok()?["name"], "far away");
    assert_eq!(case.api.get("/api/v1/clusters/far%2520away?id.type=name_escaped").await?.ok()?["server"], url);
    let list = case.api.clusters().list(message::<ClusterQuery>(json!({}))).await?.into_inner();
    let servers: Vec<_> = list.items.iter().map(|c| &*c.server).collect();
    assert!(servers.contains(&&*url) && servers.contains(&super::case::IN_CLUSTER), "{servers:?}");
    let list = case.api.clusters().list(message::<ClusterQuery>(json!({"name": "far away"}))).await?.into_inner();
    assert_eq!(list.items.len(), 1);

    // Changed field by field; what is not named stays, the credential above all.
    let cluster = json!({"server": url, "name": "renamed", "namespaces": ["default"], "annotations": {"by": "test"}, "labels": {}});
    let request =
        message::<ClusterUpdateRequest>(json!({"cluster": cluster, "updatedFields": ["namespaces", "annotations"]}));
    let updated = case.api.clusters().update(request).await?.into_inner();
    assert_eq!(
        (&*updated.name, &updated.namespaces[..], &*updated.labels["zone"]),
        ("far away", &["default".to_owned()][..], "c")
    );
    let body = json!({"name": "far off", "namespaces": []});
    let reply = case
        .api
        .send(Method::PUT, &format!("{path}?updatedFields=name&updatedFields=namespaces"), &body)
        .await?
        .ok()?;
    assert_eq!((&reply["name"], &reply["labels"]["zone"]), (&json!("far off"), &json!("c")));
    let reply = case.api.send(Method::POST, &format!("{path}/invalidate-cache"), &json!({})).await?.ok()?;
    assert_eq!(reply["server"], url);

    // A new token for the same account; the old one is gone from the cluster.
    case.api.clusters().rotate_auth(message::<ClusterQuery>(json!({"name": "far off"}))).await.context("rotating")?;
    assert!(far.plane.secret_token("argocd-manager-token-first").is_err(), "the old token's Secret is deleted");
    let account = ["-n", "kube-system", "get", "serviceaccount", "argocd-manager", "-o", "jsonpath={.secrets[*].name}"];
    let listed = far.plane.kubectl_text(&account)?;
    assert!(listed.starts_with("argocd-manager-token-") && !listed.contains("first"), "{listed}");
    case.commit(&[("map.yaml", &config_map("map", "y"))])?;
    let updated = case.app().set("/spec/destination", json!({"server": url, "namespace": "default"}));
    case.api
        .applications()
        .create(message::<argosy_proto::application::ApplicationCreateRequest>(
            json!({"application": updated.manifest(), "upsert": true}),
        ))
        .await?;
    assert_eq!(case.synced(json!({})).await?.phase(), "Succeeded");
    assert_eq!(far.plane.config_map_text("default", "map").await?, "y");

    assert_eq!(case.api.delete(&path).await?.ok()?, json!({}));
    let gone = refusal(get(&case, json!({"server": url})).await);
    assert_eq!(gone, (Code::PermissionDenied, "permission denied".to_owned()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_home_cluster_is_there_without_being_added() -> anyhow::Result<()> {
    let case = Case::new("at-home").await?;
    let own = get(&case, json!({"name": "in-cluster"})).await?;
    assert_eq!(own.server, super::case::IN_CLUSTER);
    let rotated = case.api.clusters().rotate_auth(message::<ClusterQuery>(json!({"name": "in-cluster"}))).await;
    let (code, words) = refusal(rotated);
    assert_eq!(code, Code::InvalidArgument, "{words}");
    assert_eq!(words, "Cluster 'https://kubernetes.default.svc' does not use bearer token authentication");
    let nobody = refusal(get(&case, json!({"name": "nowhere"})).await);
    assert_eq!(nobody, (Code::PermissionDenied, "permission denied".to_owned()));
    Ok(())
}
