//! The control plane of the tests is a real one: rights are checked, controllers
//! work, Pods become ready, and nothing of it outlives its value.

use std::time::Duration;

use anyhow::{Context, ensure};
use argosy_tests::{ControlPlane, Options, PATIENCE, eventually, shared};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::Api;
use kube::api::{DeleteParams, ListParams};

#[tokio::test]
async fn an_unprivileged_token_may_ask_for_the_version_and_is_refused_the_rest() {
    let control_plane = shared().await;
    let kubeconfig = control_plane.kubeconfig_for_token(control_plane.guest_token()).unwrap();
    let guest = control_plane.client_for(&kubeconfig).await.unwrap();

    guest.apiserver_version().await.unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(guest, "default");
    match maps.list(&ListParams::default()).await {
        Err(kube::Error::Api(status)) => assert_eq!(status.code, 403, "{status:?}"),
        other => panic!("the guest was not refused but got {other:?}"),
    }
}

#[tokio::test]
async fn a_service_accounts_token_has_the_rights_that_were_bound_to_it() {
    let control_plane = shared().await;
    let namespace = control_plane.namespace("bound").await.unwrap();
    let in_namespace = ["--namespace", &namespace];
    control_plane.kubectl_text(&[&["create", "serviceaccount", "reader"], &in_namespace[..]].concat()).unwrap();
    let subject = format!("--serviceaccount={namespace}:reader");
    let bind = ["create", "rolebinding", "reader", "--clusterrole=view", &subject];
    control_plane.kubectl_text(&[&bind[..], &in_namespace[..]].concat()).unwrap();

    let token = control_plane.service_account_token(&namespace, "reader").unwrap();
    let kubeconfig = control_plane.kubeconfig_for_token(&token).unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(control_plane.client_for(&kubeconfig).await.unwrap(), &namespace);
    let all = ListParams::default();
    eventually(PATIENCE, || maps.list(&all)).await;
    let refused = maps.delete("anything", &DeleteParams::default()).await;
    assert!(matches!(refused, Err(kube::Error::Api(status)) if status.code == 403));
}

#[tokio::test]
async fn kubectl_applies_documents_and_a_deleted_namespace_goes_away() {
    let control_plane = shared().await;
    let namespace = control_plane.namespace("kubectl").await.unwrap();
    let document = "{apiVersion: v1, kind: ConfigMap, metadata: {name: greeting}, data: {text: hello}}";
    let document = document.replace("metadata: {", &format!("metadata: {{namespace: {namespace}, "));
    control_plane.apply_yaml(&document).unwrap();
    let get = ["get", "configmap", "greeting", "--namespace", &namespace, "--output=jsonpath={.data.text}"];
    assert_eq!(control_plane.kubectl_text(&get).unwrap(), "hello");
    let error = control_plane.kubectl_text(&["get", "configmap", "absent"]).unwrap_err();
    assert!(error.to_string().contains("NotFound"), "{error}");

    let namespaces: Api<Namespace> = Api::all(control_plane.client().await.unwrap());
    namespaces.delete(&namespace, &DeleteParams::default()).await.unwrap();
    eventually(PATIENCE, || async {
        let left = namespaces.get_opt(&namespace).await?;
        ensure!(left.is_none(), "{namespace} is still there");
        Ok(())
    })
    .await;
}

const WORK: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: default}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: example.com/web}]}
---
apiVersion: batch/v1
kind: Job
metadata: {name: once, namespace: default}
spec:
  template:
    spec: {restartPolicy: Never, containers: [{name: once, image: example.com/once}]}
---
apiVersion: batch/v1
kind: Job
metadata: {name: bad, namespace: default}
spec:
  backoffLimit: 0
  template:
    metadata: {labels: {argosy.test/pod: fails}}
    spec: {restartPolicy: Never, containers: [{name: bad, image: example.com/bad}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: stuck, namespace: default}
spec:
  selector: {matchLabels: {app: stuck}}
  template:
    metadata: {labels: {app: stuck, argosy.test/pod: never-ready}}
    spec: {containers: [{name: stuck, image: example.com/stuck}]}
";

#[tokio::test]
async fn pods_become_ready_and_jobs_end_as_their_labels_say() {
    let options = Options { pods_become_ready: true, ..Options::default() };
    let control_plane = ControlPlane::start(options).await.unwrap();
    control_plane.apply_yaml(WORK).unwrap();
    let expected = [("deployment/web", "Available"), ("job/once", "Complete"), ("job/bad", "Failed")];
    for (resource, condition) in expected {
        let condition = format!("--for=condition={condition}");
        let wait = ["wait", resource, &condition, "--timeout=60s"];
        control_plane.kubectl_text(&wait).with_context(|| control_plane.logs()).unwrap();
    }
    let stuck = ["get", "deployment", "stuck", "--output=jsonpath={.status.unavailableReplicas}"];
    assert_eq!(control_plane.kubectl_text(&stuck).unwrap(), "1");
}

#[tokio::test]
async fn the_api_server_comes_back_with_its_state_and_everything_ends_with_the_value() {
    let mut control_plane = ControlPlane::start(Options::default()).await.unwrap();
    let namespace = control_plane.namespace("kept").await.unwrap();
    let namespaces: Api<Namespace> = Api::all(control_plane.client().await.unwrap());

    control_plane.stop_apiserver();
    assert!(namespaces.get(&namespace).await.is_err());
    control_plane.restart_apiserver().await.unwrap();
    eventually(PATIENCE, || namespaces.get(&namespace)).await;

    let folder = control_plane.folder().path().to_owned();
    let address = control_plane.url().replace("https://", "");
    drop(control_plane);
    assert!(!folder.exists() || std::env::var_os("ARGOSY_KEEP").is_some());
    eventually(Duration::from_secs(5), || async {
        let connected = tokio::net::TcpStream::connect(&address).await;
        ensure!(connected.is_err(), "the API server still listens");
        Ok(())
    })
    .await;
}
