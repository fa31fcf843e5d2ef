//! Services, token Secrets, aggregated roles, and rest.

use super::*;

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
