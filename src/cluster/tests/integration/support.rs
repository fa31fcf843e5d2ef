//! A control plane for tests, and ways to look at it.

pub(crate) mod plane;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use argosy_cluster::live::Coverage;
use argosy_cluster::{
    Applier, ApplyTask, Budget, BudgetConfig, ClusterConfig, Connection, Discovery, LiveOptions, LiveState, OpenApi,
};
use serde_json::{Value, json};

pub(crate) use plane::Plane;

/// How long anything may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// Everything of one cluster.
pub(crate) struct Bench {
    pub connection: Connection,
    pub discovery: Arc<Discovery>,
    pub live: LiveState,
    pub applier: Applier,
}

pub(crate) fn config(plane: &Plane, token: &str) -> ClusterConfig {
    config_at(plane, &plane.url(), token)
}

/// A control plane that is reached at another address.
pub(crate) fn config_at(plane: &Plane, url: &str, token: &str) -> ClusterConfig {
    let config = json!({"bearerToken": token, "tlsClientConfig": {"caData": plane.ca_data()}});
    let data: BTreeMap<String, Vec<u8>> = [
        ("server".to_owned(), url.as_bytes().to_vec()),
        ("name".to_owned(), b"test".to_vec()),
        ("config".to_owned(), config.to_string().into_bytes()),
    ]
    .into();
    ClusterConfig::from_secret(&data).expect("a readable configuration")
}

/// Connects and starts watching, as the bearer of a token.
pub(crate) async fn bench(plane: &Plane, token: &str, coverage: Coverage) -> Bench {
    let budget = Budget::new(BudgetConfig::default());
    let connection = Connection::connect(&config(plane, token), budget, 1).await.expect("connects");
    bench_over(connection, coverage)
}

/// Starts watching over a connection.
pub(crate) fn bench_of(connection: Connection) -> Bench {
    bench_over(connection, Coverage::default())
}

fn bench_over(connection: Connection, coverage: Coverage) -> Bench {
    let discovery = Discovery::new(connection.clone());
    let openapi = OpenApi::new(connection.clone());
    let live =
        LiveState::start(connection.clone(), discovery.clone(), openapi.clone(), LiveOptions::default(), coverage);
    let applier = Applier::new(connection.clone(), discovery.clone(), openapi, Some(live.clone()));
    Bench { connection, discovery, live, applier }
}

impl Bench {
    pub(crate) async fn synced(&self) {
        tokio::time::timeout(PATIENCE, self.live.synced()).await.expect("synced in time");
    }

    /// Applies client-side; the object as returned.
    pub(crate) async fn apply(&self, target: &Value) -> Value {
        self.applier.apply(&ApplyTask::new(target)).await.expect("applies").live
    }
}

/// Waits for a level, looking often.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let mut looks = tokio::time::interval(Duration::from_millis(20));
    loop {
        looks.tick().await;
        if let Some(found) = look().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "waited in vain for {what}");
    }
}

/// A ConfigMap tracked by an application, unless the name is empty.
pub(crate) fn config_map(namespace: &str, name: &str, app: &str, data: Value) -> Value {
    let mut object = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace}, "data": data});
    if !app.is_empty() {
        object["metadata"]["annotations"] =
            json!({"argocd.argoproj.io/tracking-id": format!("{app}:/ConfigMap:{namespace}/{name}")});
    }
    object
}

/// Makes a namespace of this name.
pub(crate) async fn namespace(bench: &Bench, name: &str) {
    bench.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})).await;
}

/// A CustomResourceDefinition of group `test.argosy.dev`.
pub(crate) fn definition(plural: &str, kind: &str) -> Value {
    let schema = json!({"openAPIV3Schema": {"type": "object", "properties": {
        "spec": {"type": "object", "properties": {"size": {"type": "integer"}, "tags": {"type": "array", "items": {"type": "string"}}}}}}});
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.test.argosy.dev")},
        "spec": {"group": "test.argosy.dev", "scope": "Namespaced", "names": {"plural": plural, "kind": kind},
                 "versions": [{"name": "v1", "served": true, "storage": true, "schema": schema}]}})
}

/// A token of a service account, made by an administrator.
pub(crate) async fn token_of(admin: &Bench, namespace: &str, account: &str) -> String {
    let client = admin.connection.kube().await.expect("a client");
    let accounts: kube::Api<k8s_openapi::api::core::v1::ServiceAccount> = kube::Api::namespaced(client, namespace);
    let request = serde_json::from_value(json!({"spec": {"audiences": [], "expirationSeconds": 3600}})).expect("reads");
    let made = accounts.create_token_request(account, &Default::default(), &request).await.expect("is made");
    made.status.expect("a status").token.expect("a token")
}
