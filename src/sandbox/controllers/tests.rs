//! The controllers work through the store alone, on a clock that runs ahead
//! whenever everything waits.

mod cluster_objects;
mod removal;
mod rollouts;
mod workloads;

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::faults::Faults;
use crate::identity::TokenKeys;
use crate::lifecycle::{Bootstrap, Deletion, Propagation, bootstrap, plan_deletion};
use crate::store::{Object, ObjectKey};

/// A fresh cluster with its controllers, under tokio's paused time.
struct Cluster {
    store: Store,
    stamps: Stamps,
    identities: Arc<Identities>,
    _controllers: Controllers,
}

impl Cluster {
    fn start() -> Self {
        Self::with(PodOptions::default())
    }

    fn with(pods: PodOptions) -> Self {
        let start = Instant::now();
        let epoch: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let clock = Arc::new(move || epoch + jiff::SignedDuration::try_from(start.elapsed()).unwrap());
        let count = std::sync::atomic::AtomicU64::new(1);
        let random = Arc::new(move |buffer: &mut [u8]| {
            let n = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            for (at, byte) in buffer.iter_mut().enumerate() {
                *byte = (n >> ((at % 8) * 8)) as u8;
            }
        });
        let (store, stamps) = (Store::in_memory(), Stamps::new(clock, random));
        let what = Bootstrap {
            node: Some("sandbox".to_owned()),
            user_facing_roles: true,
            version: crate::kinds::KUBERNETES_VERSION.to_owned(),
            address: "127.0.0.1:6443".parse().unwrap(),
        };
        bootstrap(&store, &stamps, &what).unwrap();
        let keys = TokenKeys::generate().unwrap();
        let identities = Arc::new(Identities::new(store.clone(), stamps.clone(), keys, Faults::none()));
        let options = Options { pods, authority_pem: "PEM".to_owned(), ..Options::default() };
        let _controllers = Controllers::start(store.clone(), stamps.clone(), identities.clone(), options);
        Self { store, stamps, identities, _controllers }
    }

    fn create(&self, kind: &Kind, mut value: Value) -> ObjectKey {
        value["apiVersion"] = kind.api_version().into();
        value["kind"] = kind.name.into();
        if value["metadata"]["namespace"].is_null() && !matches!(kind.resource, "namespaces" | "clusterroles") {
            value["metadata"]["namespace"] = "default".into();
        }
        self.stamps.stamp(&mut value);
        value["metadata"]["generation"] = 1.into();
        let namespace = value["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
        let key = kind.key(&namespace, argosy_model::object::name(&value));
        self.store.create(&key, value).unwrap();
        key
    }

    fn edit(&self, key: &ObjectKey, change: impl FnOnce(&mut Value)) {
        let edited = self.store.update(key, None, |value| {
            let mut value = value.clone();
            change(&mut value);
            value["metadata"]["generation"] = (world::count(&value, &["metadata", "generation"], 0) + 1).into();
            Ok::<_, ()>(Some(value))
        });
        edited.unwrap();
    }

    fn delete(&self, key: &ObjectKey, propagation: Propagation) {
        let current = self.store.get(key).unwrap();
        let now = self.stamps.timestamp();
        match plan_deletion(key, &current.value, Some(propagation), None, now) {
            Deletion::Remove => drop(self.store.delete(key, None).unwrap()),
            Deletion::Mark(marked) => drop(self.store.update(key, None, |_| Ok::<_, ()>(Some(marked))).unwrap()),
            Deletion::Unchanged => {}
        }
    }

    fn value(&self, key: &ObjectKey) -> Value {
        self.store.get(key).map(|object| object.value.clone()).unwrap_or_default()
    }

    fn pods(&self) -> Vec<Arc<Object>> {
        self.store.list("", "pods", None).0
    }

    /// Waits until a condition holds: whenever everything waits, time goes on.
    async fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        self.within(Duration::from_secs(3600), what, condition).await;
    }

    async fn within(&self, patience: Duration, what: &str, condition: impl Fn(&Self) -> bool) {
        let mut changes = self.store.changes();
        let waiting = async {
            while !condition(self) {
                changes.next().await.expect("the store lives");
            }
        };
        if tokio::time::timeout(patience, waiting).await.is_err() {
            let all: Vec<Value> = ["pods", "replicasets", "deployments", "statefulsets", "jobs", "namespaces"]
                .iter()
                .flat_map(|resource| ["", "apps", "batch"].map(|group| (group, *resource)))
                .flat_map(|(group, resource)| self.store.list(group, resource, None).0)
                .map(|object| object.value.clone())
                .collect();
            panic!("never: {what}; there is {}", serde_json::to_string_pretty(&all).unwrap());
        }
    }
}

fn template(app: &str, image: &str) -> Value {
    json!({
        "metadata": {"labels": {"app": app}},
        "spec": {"containers": [{"name": "main", "image": image, "ports": [{"name": "http", "containerPort": 8080}]}]},
    })
}

fn deployment(name: &str, replicas: i64, image: &str) -> Value {
    json!({
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "progressDeadlineSeconds": 600,
            "selector": {"matchLabels": {"app": name}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
            "template": template(name, image),
        },
    })
}

fn is_rolled_out(value: &Value) -> bool {
    let status = &value["status"];
    let wanted = &value["spec"]["replicas"];
    status["observedGeneration"] == value["metadata"]["generation"]
        && ["replicas", "updatedReplicas", "readyReplicas", "availableReplicas"].iter().all(|f| status[f] == *wanted)
        && condition::is_true(value, "Available")
        && condition::find(value, "Progressing")["reason"] == "NewReplicaSetAvailable"
}
