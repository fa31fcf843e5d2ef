//! The controllers work through the store alone, on a clock that runs ahead
//! whenever everything waits.

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::faults::Faults;
use crate::identity::TokenKeys;
use crate::lifecycle::{Bootstrap, Deletion, Propagation, bootstrap, plan_deletion};
use crate::store::{Object, ObjectKey};
use serde_json::Value;

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
            version: "v1.36.3".to_owned(),
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

#[tokio::test(start_paused = true)]
async fn a_deployment_becomes_available_through_the_store_alone() {
    let cluster = Cluster::start();
    let key = cluster.create(&DEPLOYMENT, deployment("web", 3, "nginx:1"));
    cluster.until("rolled out", |c| is_rolled_out(&c.value(&key))).await;
    let value = cluster.value(&key);
    assert_eq!(value["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "1");
    assert_eq!(cluster.pods().len(), 3);
    let pod = cluster.pods()[0].value.clone();
    assert_eq!(pod["status"]["phase"], "Running");
    assert_eq!(pod["spec"]["nodeName"], "sandbox");
    let events = cluster.store.list("", "events", Some("default")).0;
    assert!(events.iter().any(|event| event.value["reason"] == "ScalingReplicaSet"));
}

#[tokio::test(start_paused = true)]
async fn a_new_template_is_rolled_out_and_an_old_one_brought_back() {
    let cluster = Cluster::start();
    let key = cluster.create(&DEPLOYMENT, deployment("web", 4, "nginx:1"));
    cluster.until("first", |c| is_rolled_out(&c.value(&key))).await;
    cluster.edit(&key, |value| value["spec"]["template"] = template("web", "nginx:2"));
    let least = std::cell::Cell::new(i64::MAX);
    cluster
        .until("second", |c| {
            let value = c.value(&key);
            least.set(least.get().min(world::count(&value, &["status", "availableReplicas"], 0)));
            is_rolled_out(&value) && c.pods().iter().all(|p| p.value["spec"]["containers"][0]["image"] == "nginx:2")
        })
        .await;
    assert!(least.get() >= 3, "at least 75% were available, not {}", least.get());
    cluster.edit(&key, |value| value["spec"]["template"] = template("web", "nginx:1"));
    cluster
        .until("back", |c| {
            is_rolled_out(&c.value(&key))
                && c.value(&key)["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"
        })
        .await;
    assert_eq!(cluster.store.list("apps", "replicasets", None).0.len(), 2);
    cluster.edit(&key, |value| value["spec"]["replicas"] = 1.into());
    cluster.until("scaled", |c| is_rolled_out(&c.value(&key)) && c.pods().len() == 1).await;
}

#[tokio::test(start_paused = true)]
async fn an_image_that_does_not_exist_is_never_available_and_misses_its_deadline() {
    let cluster = Cluster::start();
    let key = cluster.create(&DEPLOYMENT, deployment("web", 1, "registry.invalid/web:1"));
    let waiting = |c: &Cluster| {
        let pods = c.pods();
        pods.first().is_some_and(|p| {
            p.value["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == "ImagePullBackOff"
        })
    };
    cluster.within(Duration::from_secs(10), "backing off", waiting).await;
    cluster
        .until("deadline", |c| condition::find(&c.value(&key), "Progressing")["reason"] == "ProgressDeadlineExceeded")
        .await;
    assert!(waiting(&cluster) && !condition::is_true(&cluster.value(&key), "Available"));
    cluster.edit(&key, |value| value["spec"]["template"] = template("web", "nginx"));
    cluster.until("healed", |c| is_rolled_out(&c.value(&key))).await;
}

#[tokio::test(start_paused = true)]
async fn recreate_stops_the_old_pods_first() {
    let cluster = Cluster::start();
    let mut value = deployment("web", 2, "nginx:1");
    value["spec"]["strategy"] = json!({"type": "Recreate"});
    let key = cluster.create(&DEPLOYMENT, value);
    cluster.until("first", |c| is_rolled_out(&c.value(&key))).await;
    cluster.edit(&key, |value| value["spec"]["template"] = template("web", "nginx:2"));
    let running = |c: &Cluster, image: &str| {
        c.pods()
            .iter()
            .filter(|p| {
                p.value["spec"]["containers"][0]["image"] == image && p.value["metadata"]["deletionTimestamp"].is_null()
            })
            .count()
    };
    let mixed = std::cell::Cell::new(false);
    cluster
        .until("second", |c| {
            mixed.set(mixed.get() || (running(c, "nginx:1") > 0 && running(c, "nginx:2") > 0));
            is_rolled_out(&c.value(&key)) && running(c, "nginx:2") == 2
        })
        .await;
    assert!(!mixed.get());
}

#[tokio::test(start_paused = true)]
async fn deleting_a_deployment_takes_everything_with_it() {
    for propagation in [Propagation::Background, Propagation::Foreground] {
        let cluster = Cluster::start();
        let key = cluster.create(&DEPLOYMENT, deployment("web", 2, "nginx"));
        cluster.until("rolled out", |c| is_rolled_out(&c.value(&key))).await;
        cluster.delete(&key, propagation);
        if propagation == Propagation::Foreground {
            assert!(cluster.store.get(&key).is_some(), "it waits for what it owns");
        }
        cluster
            .until("gone", |c| {
                c.store.get(&key).is_none()
                    && c.pods().is_empty()
                    && c.store.list("apps", "replicasets", None).0.is_empty()
            })
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn orphans_stay_without_an_owner() {
    let cluster = Cluster::start();
    let key = cluster.create(&DEPLOYMENT, deployment("web", 1, "nginx"));
    cluster.until("rolled out", |c| is_rolled_out(&c.value(&key))).await;
    cluster.delete(&key, Propagation::Orphan);
    cluster.until("gone", |c| c.store.get(&key).is_none()).await;
    let sets = cluster.store.list("apps", "replicasets", None).0;
    assert!(sets.len() == 1 && sets[0].value["metadata"].get("ownerReferences").is_none());
    assert_eq!(cluster.pods().len(), 1);
    let key = cluster.create(&DEPLOYMENT, deployment("web", 1, "nginx"));
    cluster.until("adopted", |c| is_rolled_out(&c.value(&key))).await;
    assert_eq!(cluster.store.list("apps", "replicasets", None).0.len(), 1);
    assert_eq!(cluster.pods().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_namespace_takes_its_content_with_it_and_waits_for_finalizers() {
    let cluster = Cluster::start();
    let namespace = cluster.create(
        &NAMESPACE,
        json!({"metadata": {"name": "team"}, "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}),
    );
    let account = SERVICE_ACCOUNT.key("team", "default");
    cluster.until("furnished", |c| c.store.get(&account).is_some()).await;
    let held = cluster.create(
        &CONFIG_MAP,
        json!({"metadata": {"name": "held", "namespace": "team", "finalizers": ["example.com/hold"]}}),
    );
    cluster.delete(&namespace, Propagation::Background);
    assert_eq!(cluster.value(&namespace)["status"]["phase"], "Terminating");
    cluster.until("told", |c| condition::is_true(&c.value(&namespace), "NamespaceFinalizersRemaining")).await;
    assert!(cluster.store.get(&account).is_none());
    cluster.edit(&held, |value| value["metadata"]["finalizers"] = json!([]));
    cluster.until("gone", |c| c.store.get(&namespace).is_none()).await;
}

#[tokio::test(start_paused = true)]
async fn stateful_pods_come_in_order_with_their_claims_and_are_updated_from_the_last() {
    let cluster = Cluster::start();
    let key = cluster.create(
        &STATEFUL_SET,
        json!({"metadata": {"name": "db"}, "spec": {
            "replicas": 2, "serviceName": "db", "selector": {"matchLabels": {"app": "db"}},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
            "template": template("db", "postgres:1"),
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}}}}],
        }}),
    );
    let ready = |c: &Cluster, image: &str| {
        let value = c.value(&key);
        value["status"]["readyReplicas"] == 2
            && value["status"]["currentRevision"] == value["status"]["updateRevision"]
            && value["status"]["updatedReplicas"] == 2
            && c.pods().iter().all(|p| p.value["spec"]["containers"][0]["image"] == image)
    };
    cluster.until("ready", |c| ready(c, "postgres:1")).await;
    let claim = cluster.value(&CLAIM.key("default", "data-db-1"));
    assert_eq!(claim["status"]["phase"], "Bound");
    assert_eq!(claim["spec"]["storageClassName"], "standard");
    cluster.edit(&key, |value| value["spec"]["template"] = template("db", "postgres:2"));
    cluster.until("updated", |c| ready(c, "postgres:2")).await;
    assert_eq!(cluster.store.list("apps", "controllerrevisions", None).0.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_daemon_set_has_one_pod_on_the_one_node() {
    let cluster = Cluster::start();
    let key = cluster.create(
        &DAEMON_SET,
        json!({"metadata": {"name": "agent"}, "spec": {"selector": {"matchLabels": {"app": "agent"}},
            "updateStrategy": {"type": "RollingUpdate"}, "template": template("agent", "agent:1")}}),
    );
    let ready = |c: &Cluster| {
        let status = c.value(&key)["status"].clone();
        status["numberAvailable"] == 1 && status["updatedNumberScheduled"] == 1 && status["desiredNumberScheduled"] == 1
    };
    cluster.until("ready", ready).await;
    cluster.edit(&key, |value| value["spec"]["template"] = template("agent", "agent:2"));
    cluster
        .until("updated", |c| {
            ready(c) && c.pods().iter().all(|p| p.value["spec"]["containers"][0]["image"] == "agent:2")
        })
        .await;
}

fn job(name: &str, spec: Value) -> Value {
    let mut value = json!({"metadata": {"name": name}, "spec": {
        "completions": 1, "parallelism": 1, "backoffLimit": 1,
        "template": {"metadata": {}, "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "busybox"}]}},
    }});
    for (field, one) in spec.as_object().unwrap() {
        value["spec"][field] = one.clone();
    }
    value
}

#[tokio::test(start_paused = true)]
async fn jobs_complete_or_reach_their_limit_and_go_after_their_time() {
    let cluster = Cluster::start();
    let good =
        cluster.create(&JOB, job("good", json!({"completions": 3, "parallelism": 2, "ttlSecondsAfterFinished": 30})));
    cluster.until("complete", |c| condition::is_true(&c.value(&good), "Complete")).await;
    assert_eq!(cluster.value(&good)["status"]["succeeded"], 3);
    let failing = json!({"template": {"metadata": {}, "spec": {"restartPolicy": "Never",
        "containers": [{"name": "main", "image": "busybox", "command": ["sh", "-c", "echo no; exit 3"]}]}}});
    let bad = cluster.create(&JOB, job("bad", failing));
    cluster.until("failed", |c| condition::is_true(&c.value(&bad), "Failed")).await;
    assert_eq!(condition::find(&cluster.value(&bad), "Failed")["reason"], "BackoffLimitExceeded");
    assert_eq!(cluster.value(&bad)["status"]["failed"], 2);
    cluster.until("expired", |c| c.store.get(&good).is_none()).await;
}

#[tokio::test(start_paused = true)]
async fn a_cron_job_starts_a_job_at_its_time() {
    let cluster = Cluster::start();
    let template = json!({"spec": job("x", json!({}))["spec"]});
    let key = cluster.create(
        &CRON_JOB,
        json!({"metadata": {"name": "hourly"}, "spec": {"schedule": "0 * * * *", "jobTemplate": template}}),
    );
    cluster.within(Duration::from_secs(3700), "started", |c| !c.store.list("batch", "jobs", None).0.is_empty()).await;
    cluster.until("done", |c| c.value(&key)["status"]["lastSuccessfulTime"].is_string()).await;
    assert_eq!(cluster.value(&key)["status"]["lastScheduleTime"], "2026-01-01T01:00:00Z");
}

#[tokio::test(start_paused = true)]
async fn a_service_has_an_address_and_the_endpoints_of_ready_pods() {
    let cluster = Cluster::start();
    let deployed = cluster.create(&DEPLOYMENT, deployment("web", 2, "nginx"));
    let service = cluster.create(
        &SERVICE,
        json!({"metadata": {"name": "web"}, "spec": {"type": "LoadBalancer", "selector": {"app": "web"},
            "ports": [{"port": 80, "targetPort": "http", "protocol": "TCP"}]}}),
    );
    let endpoints = ENDPOINTS.key("default", "web");
    cluster
        .until("endpoints", |c| {
            c.value(&endpoints)["subsets"][0]["addresses"].as_array().is_some_and(|all| all.len() == 2)
        })
        .await;
    assert_eq!(cluster.value(&endpoints)["subsets"][0]["ports"][0]["port"], 8080);
    let value = cluster.value(&service);
    assert!(value["spec"]["clusterIP"].as_str().unwrap().starts_with("10."));
    assert!(value["spec"]["ports"][0]["nodePort"].as_i64().unwrap() >= 30_000);
    assert!(value["status"]["loadBalancer"]["ingress"][0]["ip"].is_string());
    cluster.edit(&deployed, |value| value["spec"]["replicas"] = 0.into());
    cluster.until("none", |c| c.value(&endpoints).get("subsets").is_none()).await;
    cluster.delete(&service, Propagation::Background);
    cluster
        .until("gone", |c| {
            let slices = c.store.list("discovery.k8s.io", "endpointslices", Some("default")).0;
            c.store.get(&endpoints).is_none() && slices.len() == 1
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_token_secret_is_filled_and_its_token_ends_with_it() {
    use base64::Engine as _;
    let cluster = Cluster::start();
    let secret = cluster.create(
        &SECRET,
        json!({"metadata": {"name": "bot", "annotations": {"kubernetes.io/service-account.name": "default"}},
            "type": "kubernetes.io/service-account-token"}),
    );
    cluster.until("account", |c| c.store.get(&SERVICE_ACCOUNT.key("default", "default")).is_some()).await;
    if cluster.store.get(&secret).is_none() {
        // It came before its account did, as on a real cluster.
        let value = json!({"metadata": {"name": "bot", "annotations": {"kubernetes.io/service-account.name": "default"}},
            "type": "kubernetes.io/service-account-token"});
        cluster.create(&SECRET, value);
    }
    cluster.until("filled", |c| c.value(&secret)["data"]["token"].is_string()).await;
    let value = cluster.value(&secret);
    let decode = |field: &str| {
        let bytes = base64::engine::general_purpose::STANDARD.decode(value["data"][field].as_str().unwrap()).unwrap();
        String::from_utf8(bytes).unwrap()
    };
    assert_eq!((decode("namespace").as_str(), decode("ca.crt").as_str()), ("default", "PEM"));
    let (caller, _) = cluster.identities.authenticate_token(&decode("token"), &[]).unwrap();
    assert_eq!(caller.name, "system:serviceaccount:default:default");
    cluster.store.delete(&secret, None).unwrap();
    assert!(cluster.identities.authenticate_token(&decode("token"), &[]).is_err());
}

#[tokio::test(start_paused = true)]
async fn aggregated_roles_gather_rules() {
    let cluster = Cluster::start();
    let view = CLUSTER_ROLE.key("", "view");
    let lists = |c: &Cluster, resource: &str| c.value(&view)["rules"].to_string().contains(&format!("{resource:?}"));
    cluster.until("gathered", |c| lists(c, "configmaps")).await;
    assert!(!lists(&cluster, "widgets"));
    cluster.create(
        &CLUSTER_ROLE,
        json!({"metadata": {"name": "widgets", "labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}},
            "rules": [{"apiGroups": ["x"], "resources": ["widgets"], "verbs": ["get"]}]}),
    );
    cluster.until("added", |c| lists(c, "widgets")).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_runs_while_nothing_changes() {
    let cluster = Cluster::with(PodOptions::instant());
    let key = cluster.create(&DEPLOYMENT, deployment("web", 1, "nginx"));
    cluster.until("rolled out", |c| is_rolled_out(&c.value(&key))).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let version = cluster.store.version();
    tokio::time::sleep(Duration::from_secs(24 * 3600)).await;
    assert_eq!(cluster.store.version(), version);
}
