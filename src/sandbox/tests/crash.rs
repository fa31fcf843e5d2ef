//! What was acknowledged is there after the process was killed.

mod support;

use std::process::{Command, Stdio};
use std::time::Duration;

use argosy_sandbox::serve::Sandbox;
use argosy_sandbox::store::ObjectKey;
use kube::api::{Api, PostParams};
use serde_json::{Value, json};

const FOLDER: &str = "ARGOSY_TEST_FOLDER";

async fn open(folder: &std::path::Path) -> anyhow::Result<Sandbox> {
    let mut options = support::options();
    options.data_dir = Some(folder.to_owned());
    Ok(Sandbox::start(options).await?)
}

/// Not a test of its own: the process that is killed.
#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_that_will_be_killed() -> anyhow::Result<()> {
    let Some(folder) = std::env::var_os(FOLDER).map(std::path::PathBuf::from) else { return Ok(()) };
    let sandbox = open(&folder).await?;
    std::fs::write(folder.join("kubeconfig"), sandbox.kubeconfig("admin", &["system:masters"])?)?;
    std::fs::rename(folder.join("kubeconfig"), folder.join("ready"))?;
    std::future::pending::<()>().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledged_write_survives_a_kill() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let program = std::env::current_exe()?;
    let mut child = Command::new(program)
        .args(["a_sandbox_that_will_be_killed", "--exact"])
        .env(FOLDER, folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let ready = folder.path().join("ready");
    argosy_tests::eventually(Duration::from_secs(60), || async {
        if ready.exists() { Ok(()) } else { Err("it has not started") }
    })
    .await;
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let file = kube::config::Kubeconfig::read_from(&ready)?;
    let client = kube::Client::try_from(
        kube::Config::from_custom_kubeconfig(file, &kube::config::KubeConfigOptions::default()).await?,
    )?;
    let resource = kube::api::ApiResource::from_gvk(&kube::api::GroupVersionKind::gvk("", "v1", "ConfigMap"));
    let api: Api<kube::api::DynamicObject> = Api::namespaced_with(client, "default", &resource);
    for n in 0..50 {
        let object: Value = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("c{n}")}});
        api.create(&PostParams::default(), &serde_json::from_value(object)?).await?;
    }
    child.kill()?;
    child.wait()?;
    let sandbox = open(folder.path()).await?;
    for n in 0..50 {
        let key = ObjectKey::new("", "configmaps", "default", &format!("c{n}"));
        anyhow::ensure!(sandbox.store().get(&key).is_some(), "c{n} is lost");
    }
    sandbox.shutdown().await;
    Ok(())
}
