//! A connection that is closed takes everything with it, at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use argosy_cluster::{Budget, BudgetConfig, Connection, Error};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::support::plane::{self, ADMIN};
use crate::support::{Plane, bench_of, config_at, eventually};

/// Passes connections on and counts those that are open.
async fn counting(plane: &Plane) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = format!("https://{}", listener.local_addr().expect("is bound"));
    let open = Arc::new(AtomicUsize::new(0));
    let (counted, upstream) = (open.clone(), plane.url().replace("https://", ""));
    tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            let (open, upstream) = (counted.clone(), upstream.clone());
            tokio::spawn(async move {
                let mut to = TcpStream::connect(upstream).await.expect("the API server listens");
                open.fetch_add(1, Ordering::SeqCst);
                // Either side may just go.
                let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
                open.fetch_sub(1, Ordering::SeqCst);
            });
        }
    });
    (address, open)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_connection_ends_every_request_and_every_watch_at_once() {
    let plane = plane::shared().await;
    let (address, open) = counting(plane).await;
    let budget = Budget::new(BudgetConfig::default());
    let config = config_at(plane, &address, ADMIN);
    let bench = bench_of(Connection::connect(&config, budget, 1).await.expect("connects"));
    bench.synced().await;
    assert!(open.load(Ordering::SeqCst) > 0, "it goes through the counter");
    let calls = tokio::spawn({
        let connection = bench.connection.clone();
        async move {
            loop {
                if let Err(error) = connection.server_version().await {
                    return error;
                }
            }
        }
    });

    let closed = Instant::now();
    bench.connection.close();
    eventually("the end of all connections", || async { (open.load(Ordering::SeqCst) == 0).then_some(()) }).await;
    let took = closed.elapsed();
    println!("closed: the last connection ended after {took:?}");
    // A watch that is not closed goes on for minutes.
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert!(matches!(calls.await.expect("ends"), Error::Closed));
    // Everybody who still has a handle: nothing more can be sent.
    assert!(matches!(bench.connection.server_version().await, Err(Error::Closed)));
    assert!(bench.connection.kube().await.is_err() && bench.connection.upgradable().await.is_err());
    assert!(matches!(bench.connection.swap(&config).await, Err(Error::Closed)));
    assert_eq!(open.load(Ordering::SeqCst), 0);
}
