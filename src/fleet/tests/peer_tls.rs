//! Who can connect to a replica, and that certificates change under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use argosy_fleet::peer_tls::{Authority, Clock, DialError, Identity, dial};
use jiff::Timestamp;
use rustls::{ClientConfig, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

const DAY: i64 = 24 * 3600;

/// A clock that is set by hand, and the hand.
fn clock() -> (Clock, Arc<AtomicI64>) {
    let seconds = Arc::new(AtomicI64::new(1_800_000_000));
    let read = seconds.clone();
    let clock: Clock = Arc::new(move || Timestamp::from_second(read.load(Ordering::SeqCst)).expect("a time"));
    (clock, seconds)
}

fn identity(authority: Authority, clock: &Clock) -> Identity {
    Identity::new(authority, "a replica", clock.clone()).expect("an identity")
}

fn same_twice(clock: &Clock) -> (Identity, Identity) {
    let (authority, key) = Authority::new(clock()).expect("an authority");
    let again = Authority::from_pem(authority.certificate_pem(), &key).expect("the same");
    (identity(authority, clock), identity(again, clock))
}

/// Answers every connection with one byte for each that it gets; returns the
/// address. Peers that are refused only close their connection.
async fn listen(config: ServerConfig) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut byte = [0];
                while stream.read_exact(&mut byte).await.is_ok() && stream.write_all(&byte).await.is_ok() {}
            });
        }
    });
    address
}

/// Connects and has one byte answered. (With TLS 1.3 a client learns only then
/// whether it was let in.)
async fn talk(config: Arc<ClientConfig>, address: &str) -> Result<Vec<u8>, String> {
    let mut stream = dial(config, address).await.map_err(|e| format!("{e:?}"))?;
    stream.write_all(b"x").await.map_err(|e| e.to_string())?;
    stream.read_exact(&mut [0]).await.map_err(|e| e.to_string())?;
    let chain = stream.get_ref().1.peer_certificates().expect("the peer has shown its certificate");
    Ok(chain[0].to_vec())
}

#[tokio::test]
async fn peers_of_one_authority_can_talk() {
    let (clock, _) = clock();
    let (one, other) = same_twice(&clock);
    let address = listen(one.server_config().expect("settings")).await;
    talk(Arc::new(other.client_config().expect("settings")), &address).await.expect("they trust each other");
}

#[tokio::test]
async fn neither_end_accepts_somebody_from_elsewhere() {
    let (clock, _) = clock();
    let (one, own) = same_twice(&clock);
    let (stranger, _) = Authority::new(clock()).expect("an authority");
    let stranger = identity(stranger, &clock);
    let address = listen(one.server_config().expect("settings")).await;
    let refused = dial(Arc::new(stranger.client_config().expect("settings")), &address).await;
    assert!(matches!(refused, Err(DialError::Handshake { .. })), "the client does not trust the listener");

    // Somebody who trusts the listener and shows a certificate of another authority.
    let mut config = own.client_config().expect("settings");
    config.client_auth_cert_resolver = Arc::new(stranger);
    assert!(talk(Arc::new(config.clone()), &address).await.is_err(), "the listener does not trust the client");
    // And somebody without any.
    config.client_auth_cert_resolver = Arc::new(NoCertificate);
    assert!(talk(Arc::new(config), &address).await.is_err(), "a certificate is required");
}

#[tokio::test]
async fn a_leaf_is_renewed_at_half_its_life_without_breaking_a_connection() {
    let (clock, seconds) = clock();
    let (one, other) = same_twice(&clock);
    let address = listen(one.server_config().expect("settings")).await;
    let client = Arc::new(other.client_config().expect("settings"));
    let mut standing = dial(client.clone(), &address).await.expect("connected");
    let first = talk(client.clone(), &address).await.expect("connected");
    seconds.fetch_add(DAY / 2 - 1, Ordering::SeqCst);
    assert_eq!(talk(client.clone(), &address).await.expect("connected"), first, "still the same");
    seconds.fetch_add(1, Ordering::SeqCst);
    assert_ne!(talk(client.clone(), &address).await.expect("connected"), first, "another one");
    for _ in 0..5 {
        seconds.fetch_add(DAY, Ordering::SeqCst);
        talk(client.clone(), &address).await.expect("days later it is still valid");
    }
    standing.write_all(b"x").await.expect("the old connection stands");
    standing.read_exact(&mut [0]).await.expect("and is answered");
}

#[test]
fn what_is_no_authority_is_refused_without_repeating_it() {
    for (certificate, key) in [("canary", "canary"), ("", "")] {
        let error = Authority::from_pem(certificate, key).expect_err("no PEM");
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    }
}

#[derive(Debug)]
struct NoCertificate;

impl rustls::client::ResolvesClientCert for NoCertificate {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<rustls::sign::CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}
