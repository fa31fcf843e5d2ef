//! Clusters: how they are, and trying one out.

use argosy_proto::peer::ClusterRef;
use argosy_proto::v1alpha1::{Cluster, ClusterConfig, TlsClientConfig};
use argosy_tests::{config_map, eventually};

use crate::world::{PATIENCE, world};

const OWN: &str = "https://kubernetes.default.svc";

fn named(server: &str) -> ClusterRef {
    ClusterRef { server: server.to_owned() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_tells_how_it_is() -> anyhow::Result<()> {
    let world = world().await;
    world.deployed("counted", &[("a.yaml", &config_map("a", "x"))]).await?;
    let peer = world.peer().await?;
    eventually(PATIENCE, || async {
        let info = peer.clone().cluster_info(named(OWN)).await?.into_inner();
        let state = info.connection_state.unwrap_or_default();
        anyhow::ensure!(state.status == "Successful", "{state:?}");
        assert!(state.attempted_at.is_some() && info.applications_count >= 1);
        assert!(
            info.server_version.starts_with("v1.") && !info.server_version.contains('+'),
            "{}",
            info.server_version
        );
        let cache = info.cache_info.unwrap_or_default();
        assert!(
            cache.resources_count > 10 && cache.apis_count > 10 && cache.last_cache_sync_time.is_some(),
            "{cache:?}"
        );
        assert!(info.api_versions.iter().any(|v| v == "apps/v1/Deployment"));
        Ok::<_, anyhow::Error>(())
    })
    .await;
    peer.clone().invalidate_cache(named(OWN)).await?;
    let unknown = peer.clone().cluster_info(named("https://elsewhere.example")).await?.into_inner();
    let state = unknown.connection_state.unwrap_or_default();
    assert_eq!(state.status, "Unknown");
    assert_eq!(state.message, "Cluster has no applications and is not being monitored.");
    assert!(peer.clone().invalidate_cache(named("https://elsewhere.example")).await.is_err());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_tried_out_without_being_declared() -> anyhow::Result<()> {
    let world = world().await;
    let mut peer = world.peer().await?;
    let with = |token: &str| Cluster {
        server: world.plane.url(),
        name: "tried".to_owned(),
        config: Some(ClusterConfig {
            bearer_token: token.to_owned(),
            tls_client_config: Some(TlsClientConfig {
                ca_data: world.plane.authority_pem().as_bytes().to_vec(),
                ..TlsClientConfig::default()
            }),
            ..ClusterConfig::default()
        }),
        ..Cluster::default()
    };
    let info = peer.test_cluster(with(world.plane.guest_token())).await?.into_inner();
    assert_eq!(info.connection_state.unwrap_or_default().status, "Successful");
    assert!(info.server_version.starts_with("v1."));
    let error = peer.test_cluster(with("canary-token")).await.expect_err("the token is wrong");
    assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    let nowhere = Cluster { server: "https://127.0.0.1:1".to_owned(), ..Cluster::default() };
    assert!(peer.test_cluster(nowhere).await.is_err());
    Ok(())
}
