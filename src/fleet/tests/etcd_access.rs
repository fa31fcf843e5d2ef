//! TLS, client certificates, users and passwords towards etcd.

#[path = "support/replicas.rs"]
mod replicas;

use std::sync::{Arc, Mutex};

use argosy_fleet::etcd::{AccessSource, EtcdOptions, EtcdTls, EtcdUser};
use argosy_fleet::{Membership, Placement};
use argosy_tests::{Etcd as Cluster, eventually};
use etcd_client::{Certificate, Client, ConnectOptions, Identity, Permission, PermissionType, TlsOptions};
use replicas::{BRIEF, Judge, PATIENCE, Worker, clusters, options, until_all_owned};

fn user(name: &str, password: &str) -> Option<EtcdUser> {
    Some(EtcdUser { name: name.to_owned(), password: password.to_owned() })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_needs_its_certificate_and_its_password_and_no_more_than_its_prefix() {
    let mut etcd = Cluster::start_with_tls().await.expect("etcd starts");
    // The name in the certificate is no user of etcd; the password says who it is.
    let (authority, identity) = etcd.tls("argosy").expect("signs");
    let tls = EtcdTls {
        authority: authority.clone().into_bytes(),
        identity: Some((identity.certificate_pem.clone().into_bytes(), identity.key_pem.clone().into_bytes())),
    };
    let config = TlsOptions::new()
        .ca_certificate(Certificate::from_pem(&authority))
        .identity(Identity::from_pem(&identity.certificate_pem, &identity.key_pem));
    let connect = ConnectOptions::new().with_tls(config);
    let mut admin = Client::connect(etcd.endpoints(), Some(connect.clone())).await.expect("connects");
    admin.user_add("root", "secret of root", None).await.expect("adds");
    admin.user_grant_role("root", "root").await.expect("grants");
    admin.role_add("fleet").await.expect("adds");
    let prefix = Permission::new(PermissionType::Readwrite, "/mine/").with_prefix();
    admin.role_grant_permission("fleet", prefix).await.expect("grants");
    admin.user_add("fleet", "secret of fleet", None).await.expect("adds");
    admin.user_grant_role("fleet", "fleet").await.expect("grants");
    admin.auth_enable().await.expect("enables");
    let connect = connect.with_user("root", "secret of root");
    let mut admin = Client::connect(etcd.endpoints(), Some(connect)).await.expect("connects");

    let judge = Judge::default();
    let with = |name: &str, tls: Option<EtcdTls>, user: Option<EtcdUser>| EtcdOptions {
        prefix: "/mine".to_owned(),
        tls,
        user,
        ..options(name, etcd.endpoints())
    };
    let no_certificate = Some(EtcdTls { identity: None, ..tls.clone() });
    for refused in [
        with("bare", no_certificate, user("fleet", "secret of fleet")),
        with("nobody", Some(tls.clone()), None),
        with("wrong", Some(tls.clone()), user("fleet", "guess")),
        EtcdOptions {
            prefix: "/other".to_owned(),
            ..with("stray", Some(tls.clone()), user("fleet", "secret of fleet"))
        },
    ] {
        let name = refused.me.id.clone();
        let worker = Worker::start(EtcdOptions { lease: BRIEF, ..refused }, &judge);
        assert!(worker.fleet.join().await.is_err(), "{name} is in");
    }
    // As files have it, which somebody may change.
    let password = Arc::new(Mutex::new("secret of fleet"));
    let access = AccessSource::new({
        let (tls, password) = (tls.clone(), password.clone());
        move || Ok((Some(tls.clone()), user("fleet", *password.lock().expect("nobody panics with it"))))
    });
    let with_source = |name| EtcdOptions {
        access: Some(access.clone()),
        ..with(name, Some(tls.clone()), user("fleet", "secret of fleet"))
    };
    let one = Worker::join(with_source("one"), &judge).await;
    let two = Worker::join(with_source("two"), &judge).await;
    one.fleet.declare(clusters(6)).await.expect("is written");
    until_all_owned(&[&one, &two], &clusters(6)).await;

    // A new password ends the tokens that were given for the old one.
    admin.user_change_password("fleet", "new secret of fleet").await.expect("changes");
    *password.lock().expect("nobody panics with it") = "new secret of fleet";
    eventually(PATIENCE, || async { one.fleet.declare(clusters(7)).await }).await;
    until_all_owned(&[&one, &two], &clusters(7)).await;

    // A restarted etcd has forgotten its tokens: everybody signs in again.
    etcd.restart(0).await.expect("etcd starts again");
    eventually(PATIENCE, || async { one.fleet.declare(clusters(8)).await }).await;
    until_all_owned(&[&one, &two], &clusters(8)).await;
    judge.check();
}
