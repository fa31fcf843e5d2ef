//! What `up` puts into clusters before the roles start.

use std::time::Duration;

use anyhow::Context as _;
use argosy_home::{Error, Home};
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

use super::clusters::{Clusters, DESTINATION};

/// Who the objects below are written by.
const MANAGER: &str = "argosy";

/// Argo CD's kinds.
const KINDS: [&str; 3] = [
    include_str!("../../../../config/crds/application.yaml"),
    include_str!("../../../../config/crds/applicationset.yaml"),
    include_str!("../../../../config/crds/appproject.yaml"),
];

/// How long the API server may take to serve a new kind.
const SERVED_WITHIN: Duration = Duration::from_secs(60);

/// How often repositories of one's own clusters are asked for news, as setting and
/// value: far more often than in production, so that a commit is deployed while one
/// watches.
const SETTINGS: [(&str, &str, &str); 3] = [
    ("argocd-cm", "timeout.reconciliation", "5s"),
    ("argocd-cm", "timeout.reconciliation.jitter", "0s"),
    ("argocd-cmd-params-cm", "controller.resource.health.persist", "true"),
];

/// Makes Argo CD's kinds, and waits until they are served. Those of one's `own`
/// clusters follow this version; on others, what is there stays.
///
/// # Errors
/// When they cannot be made, or are not served in time.
pub(super) async fn kinds(client: &kube::Client, own: bool) -> anyhow::Result<()> {
    let definitions = core(client, "apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    let params = PatchParams::apply(MANAGER).force();
    for text in KINDS {
        let kind: Value = serde_saphyr::from_str(text).context("a definition is no YAML")?;
        let name = kind["metadata"]["name"].as_str().context("a definition has no name")?.to_owned();
        let is_there = definitions.get_opt(&name).await.context("cannot read definitions of kinds")?.is_some();
        if own || !is_there {
            let applied = definitions.patch(&name, &params, &Patch::Apply(&kind)).await;
            applied.with_context(|| format!("the kind {name} cannot be made"))?;
        }
        tokio::time::timeout(SERVED_WITHIN, served(&definitions, &name))
            .await
            .with_context(|| format!("the API server does not serve the kind {name} after {SERVED_WITHIN:?}"))??;
    }
    Ok(())
}

async fn served(definitions: &Api<DynamicObject>, name: &str) -> anyhow::Result<()> {
    loop {
        let definition = definitions.get(name).await.context("cannot read definitions of kinds")?;
        let conditions = definition.data.pointer("/status/conditions").and_then(Value::as_array);
        let is_established = |one: &Value| one["type"] == "Established" && one["status"] == "True";
        if conditions.is_some_and(|all| all.iter().any(is_established)) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Fails where an Argo CD works on the same objects: two controllers would undo each
/// other's work.
///
/// # Errors
/// When there is one, with what to do; or when nobody may look.
pub(super) async fn no_rival(client: &kube::Client, namespace: &str) -> anyhow::Result<()> {
    let name = "argocd-application-controller";
    for kind in ["StatefulSet", "Deployment"] {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("apps", "v1", kind));
        let workloads: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
        let found = workloads.get_opt(name).await.with_context(|| format!("cannot look for a {kind} {name}"))?;
        let replicas =
            |found: &DynamicObject| found.data.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1);
        anyhow::ensure!(
            found.as_ref().is_none_or(|found| replicas(found) == 0),
            "Argo CD is at work in namespace {namespace}; stop it first: \
             kubectl -n {namespace} scale {kind} {name} --replicas=0 (and those of its server and repo-server)"
        );
    }
    Ok(())
}

/// Makes the namespace where it is missing.
///
/// # Errors
/// When it cannot be made.
pub(super) async fn namespace(client: &kube::Client, name: &str) -> anyhow::Result<()> {
    let namespaces = core(client, "", "v1", "Namespace");
    let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    let object: DynamicObject = serde_json::from_value(object).context("a namespace is no object")?;
    match namespaces.create(&PostParams::default(), &object).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        Err(error) => Err(error).with_context(|| format!("the namespace {name} cannot be made")),
    }
}

/// The password that `admin` has just got.
///
/// # Errors
/// When it cannot be read.
pub(super) async fn first_password(client: &kube::Client, namespace: &str) -> anyhow::Result<String> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Secret"));
    let secrets: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    let name = "argocd-initial-admin-secret";
    let secret = secrets.get(name).await.with_context(|| format!("cannot read the Secret {name}"))?;
    let password = secret.data.pointer("/data/password").and_then(Value::as_str);
    let password = password.with_context(|| format!("the Secret {name} has no password"))?;
    let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, password)
        .with_context(|| format!("the password in the Secret {name} is not base64"))?;
    String::from_utf8(bytes).with_context(|| format!("the password in the Secret {name} is no text"))
}

/// Settings of one's own clusters at their first start.
///
/// # Errors
/// When they cannot be written.
pub(super) async fn settings(home: &Home) -> anyhow::Result<()> {
    for (map, key, value) in SETTINGS {
        home.edit_settings_map(map, |data| {
            data.entry(key.to_owned()).or_insert_with(|| value.to_owned());
            Ok::<_, Error>(())
        })
        .await
        .with_context(|| format!("the setting {key} cannot be written"))?;
    }
    Ok(())
}

/// Declares the destination, with an identity that was made just now. It may be at
/// another address than the last time.
///
/// # Errors
/// When it cannot be written.
pub(super) async fn destination(home: &Home, clusters: &Clusters) -> anyhow::Result<()> {
    let cluster = clusters.declared()?;
    let known = home.clusters();
    for old in known.iter().filter(|one| one.name == DESTINATION && one.server != cluster.server) {
        home.delete_cluster(&old.server).await.context("the old address of the destination cannot be removed")?;
    }
    home.update_cluster(&cluster).await.context("the destination cluster cannot be declared")?;
    Ok(())
}

fn core(client: &kube::Client, group: &str, version: &str, kind: &str) -> Api<DynamicObject> {
    Api::all_with(client.clone(), &ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind)))
}
