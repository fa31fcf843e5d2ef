//! Acting as an application's service account where that is on.

use argosy_proto::peer::PatchResourceRequest;
use argosy_tests::{config_map, eventually};
use tonic::Code;

use crate::world::{PATIENCE, World, object};

#[tokio::test(flavor = "multi_thread")]
async fn an_object_is_touched_with_the_rights_of_the_application_alone() -> anyhow::Result<()> {
    // A world of its own: the setting is everybody's.
    let world = World::start().await?;
    let namespace = world.deployed("tenant", &[("a.yaml", &config_map("a", "x"))]).await?;
    let settings = || object("tenant", "ConfigMap", &namespace, "a");
    let mut peer = world.peer().await?;
    peer.get_resource(settings()).await?;

    world.plane.set_config("argocd-cm", &[("application.sync.impersonation.enabled", "true")])?;
    eventually(PATIENCE, || async {
        let refused = world.peer().await?.get_resource(settings()).await;
        let refused = refused.err().ok_or_else(|| anyhow::anyhow!("not refused yet"))?;
        assert_eq!(refused.code(), Code::PermissionDenied);
        assert!(refused.message().contains("no matching service account found"), "{refused}");
        Ok::<_, anyhow::Error>(())
    })
    .await;
    let accounts = format!(
        r#"{{"spec":{{"destinationServiceAccounts":[{{"server":"*","namespace":"*","defaultServiceAccount":"{namespace}:deployer"}}]}}}}"#
    );
    world.kubectl(&["-n", "argocd", "patch", "appproject", "default", "--type=merge", "-p", &accounts])?;
    world.kubectl(&["-n", &namespace, "create", "serviceaccount", "deployer"])?;
    world.kubectl(&["-n", &namespace, "create", "role", "reader", "--verb=get", "--resource=configmaps"])?;
    let subject = format!("--serviceaccount={namespace}:deployer");
    world.kubectl(&["-n", &namespace, "create", "rolebinding", "reader", "--role=reader", &subject])?;
    eventually(PATIENCE, || async { world.peer().await?.get_resource(settings()).await.map_err(anyhow::Error::from) })
        .await;
    let patch = PatchResourceRequest {
        resource: Some(settings()),
        patch: r#"{"data":{"x":"y"}}"#.to_owned(),
        patch_type: "application/merge-patch+json".to_owned(),
    };
    let refused = peer.patch_resource(patch).await.expect_err("it may only read");
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(refused.message().contains("system:serviceaccount"), "{refused}");
    Ok(())
}
