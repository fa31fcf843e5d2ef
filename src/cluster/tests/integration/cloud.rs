//! A cluster is entered with a cloud provider's tokens, which are exchanged as
//! they end, and when the cluster refuses one.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use argosy_cluster::cloud::Surroundings;
use argosy_cluster::{Budget, BudgetConfig, ClusterConfig, Connection};
use jiff::Timestamp;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::plane::{self, ADMIN, OTHER_ADMIN};

/// Entra ID, giving out these tokens in turn, each for ten minutes.
async fn provider(tokens: &'static [&'static str]) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("is bound"));
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut buffer = [0; 8192];
            let _ = socket.read(&mut buffer).await.expect("reads");
            let number = counted.fetch_add(1, Ordering::SeqCst).min(tokens.len() - 1);
            let body = json!({"access_token": tokens[number], "expires_in": 600}).to_string();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            socket.write_all((head + &body).as_bytes()).await.expect("answers");
        }
    });
    (url, asked)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_entered_with_tokens_that_are_made_here_and_exchanged_in_time() {
    let plane = plane::shared().await;
    let (url, asked) = provider(&[ADMIN, OTHER_ADMIN, "unknown", ADMIN]).await;
    let config = json!({"tlsClientConfig": {"caData": plane.ca_data()}, "execProviderConfig": {
        "command": "argocd-k8s-auth", "args": ["azure"], "apiVersion": "client.authentication.k8s.io/v1beta1",
        "env": {"AAD_LOGIN_METHOD": "spn", "AZURE_CLIENT_ID": "c", "AZURE_CLIENT_SECRET": "s", "AZURE_TENANT_ID": "t",
                "AZURE_AUTHORITY_HOST": url}}});
    let data: BTreeMap<String, Vec<u8>> =
        [("server".to_owned(), plane.url().into_bytes()), ("config".to_owned(), config.to_string().into_bytes())]
            .into();
    let now = Arc::new(AtomicI64::new(1_800_000_000));
    let clock = now.clone();
    let tell = move || Timestamp::from_second(clock.load(Ordering::SeqCst)).expect("a time");
    let surroundings = Surroundings::new(Arc::new(tell), HashMap::new());
    let config = ClusterConfig::from_secret(&data).expect("reads").within(&surroundings);
    let budget = Budget::new(BudgetConfig::default());
    let connection = Connection::connect(&config, budget, 1).await.expect("connects");

    // One token for many requests, with every client.
    for _ in 0..3 {
        connection.server_version().await.expect("is known");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    let users = connection.upgradable().await.expect("a client");
    users.apiserver_version().await.expect("is known");

    // The next one is asked for shortly before the end.
    now.fetch_add(560, Ordering::SeqCst);
    connection.server_version().await.expect("is known by another token");
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    // One that the cluster does not know is replaced at once.
    now.fetch_add(560, Ordering::SeqCst);
    connection.server_version().await.expect("is known by the last token");
    assert_eq!(asked.load(Ordering::SeqCst), 4);
}
