//! A namespace of a real API server with the custom resources installed.

use std::time::Duration;

use argosy_home::{Home, HomeOptions};
use argosy_model::AppKey;
use argosy_tests::{ControlPlane, eventually, tools};
use serde_json::{Value, json};

pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Installs the custom resources and waits until they are served.
pub(crate) async fn install(plane: &ControlPlane) {
    for name in ["application", "appproject", "applicationset"] {
        let path = tools::workspace().join(format!("config/crds/{name}.yaml"));
        let text = std::fs::read_to_string(&path).expect("the definition is in the repository");
        plane.apply_yaml(&text).expect("the definition is accepted");
    }
    eventually(DEADLINE, || async {
        plane.kubectl_text(&[
            "get",
            "applications.argoproj.io,appprojects.argoproj.io,applicationsets.argoproj.io",
            "-A",
        ])
    })
    .await;
}

pub(crate) fn options(namespace: &str) -> HomeOptions {
    HomeOptions { namespace: namespace.to_owned(), seed: 7, ..HomeOptions::default() }
}

pub(crate) async fn home(client: kube::Client, namespace: &str) -> Home {
    let home = Home::start(client, options(namespace));
    tokio::time::timeout(DEADLINE, home.ready()).await.expect("ready in time");
    home
}

pub(crate) fn app(namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "project": "default",
            "source": {"repoURL": "https://host/r", "path": "p"},
            "destination": {"server": "https://kubernetes.default.svc", "namespace": "default"},
        },
    })
}

/// Accepted by the API server, and by no reader: a count beyond 32 bits.
pub(crate) fn malformed_app(namespace: &str, name: &str) -> Value {
    let mut app = app(namespace, name);
    app["spec"]["source"]["kustomize"] = json!({"replicas": [{"name": "x", "count": 99_999_999_999_i64}]});
    app
}

pub(crate) fn apply(plane: &ControlPlane, object: &Value) {
    plane.apply_yaml(&object.to_string()).expect("accepted");
}

pub(crate) async fn until_known(home: &Home, key: &AppKey) {
    eventually(DEADLINE, || async { home.apps().get(key).map(drop).ok_or("not in the store") }).await;
}
