//! Who one is: passwords and how often they may be tried, sessions and their end,
//! API keys, and nobody at all.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use argosy_proto::account::{CreateTokenRequest, DeleteTokenRequest, ListAccountRequest, UpdatePasswordRequest};
use argosy_proto::application::ApplicationQuery;
use argosy_proto::session::{GetUserInfoRequest, SessionCreateRequest};
use argosy_tests::{ApiClient, ApiReply, ApiWorld, App, Argosy, ControlPlane, Options, PATIENCE, eventually, refusal};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use reqwest::Method;
use serde_json::json;
use tonic::Code;

/// A change must be in force on every replica within this. It takes milliseconds; a
/// busy machine may take longer.
const SOON: Duration = Duration::from_secs(30);
const WRONG: &str = "Invalid username or password";

fn attempt(username: &str, password: &str) -> SessionCreateRequest {
    SessionCreateRequest { username: username.into(), password: password.into(), token: String::new() }
}

/// Code and message of a refused sign-in.
async fn refused_sign_in(client: &ApiClient, username: &str, password: &str) -> (Code, String) {
    refusal(client.sessions().create(attempt(username, password)).await)
}

/// Waits until the token is refused, and says with which words and after how long.
async fn until_refused(client: &ApiClient) -> (String, Duration) {
    let begun = Instant::now();
    let words = eventually(PATIENCE, || async {
        let answer = client.accounts().list_accounts(ListAccountRequest {}).await;
        let status = answer.err().context("the token is still good")?;
        ensure!(status.code() == Code::Unauthenticated, "{status}");
        Ok::<_, anyhow::Error>(status.message().to_owned())
    });
    (words.await, begun.elapsed())
}

/// Waits until the token is good, on a replica that may not know of it yet.
async fn until_known(client: &ApiClient) {
    eventually(PATIENCE, || async { client.accounts().list_accounts(ListAccountRequest {}).await.map(drop) }).await;
}

/// A client at `127.0.0.N`, which is another address than everybody else's.
async fn neighbour(plane: &ControlPlane, server: &Argosy, last: u8) -> anyhow::Result<ApiClient> {
    let address = IpAddr::V4(Ipv4Addr::new(127, 0, 0, last));
    ApiClient::connect_from(server, &plane.api_certificate().await?, address).await
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_are_tried_a_few_times_only_and_nobody_learns_who_exists() -> anyhow::Result<()> {
    let plane = ControlPlane::start(Options::default()).await?;
    plane.install().await?;
    plane.set_config("argocd-cm", &[("accounts.victim", "login"), ("accounts.gone", "login")])?;
    let mut server = Argosy::server(&plane).start().await?;
    let password = plane.admin_password().await?;
    let client = plane.api_client(&server).await?;
    let admin = client.sign_in("admin", &password).await?;
    set_password(&admin, &password, "victim", "victim-password").await?;
    set_password(&admin, &password, "gone", "gone-password").await?;

    // Wrong password, no such user, an account without a password: one answer.
    let wrong = (Code::Unauthenticated, WRONG.to_owned());
    for (name, tried) in [("admin", "wrong"), ("nobody-here", "wrong"), ("victim", "wrong")] {
        assert_eq!(refused_sign_in(&client, name, tried).await, wrong, "{name}");
    }
    let nothing = (Code::Unauthenticated, "no credentials supplied".to_owned());
    assert_eq!(refused_sign_in(&client, "admin", "").await, nothing);
    let (code, words) = refused_sign_in(&client, &"n".repeat(33), "wrong").await;
    assert_eq!((code, &*words), (Code::InvalidArgument, "Username is too long (32 bytes max)"));

    // A disabled account: its sessions end, and the right password tells it so.
    let gone = client.sign_in("gone", "gone-password").await?;
    plane.set_config("argocd-cm", &[("accounts.gone.enabled", "false")])?;
    assert_eq!(until_refused(&gone).await.0, "invalid session: account gone is disabled");
    let disabled = (Code::Unauthenticated, "Account gone is disabled".to_owned());
    assert_eq!(refused_sign_in(&client, "gone", "gone-password").await, disabled);

    // Four more failures lock the account, for the right password too.
    for _ in 0..4 {
        assert_eq!(refused_sign_in(&client, "victim", "wrong").await, wrong);
    }
    assert_eq!(refused_sign_in(&client, "victim", "victim-password").await, wrong);
    assert_eq!(refused_sign_in(&neighbour(&plane, &server, 2).await?, "victim", "victim-password").await, wrong);

    // Many names from somewhere else neither push that out nor lock anybody else.
    let attacker = neighbour(&plane, &server, 3).await?;
    flood(&attacker, "made-up", 300).await;
    flood(&attacker, "more", 60).await;
    let elsewhere = neighbour(&plane, &server, 4).await?;
    assert_eq!(refused_sign_in(&elsewhere, "victim", "victim-password").await, wrong);
    elsewhere.sign_in("admin", &password).await.context("who is not attacked signs in")?;
    let refused = by_address(&server);
    assert!(refused > 0, "an address may not fail without end");

    // A restart forgets none of it.
    server.restart().await?;
    let elsewhere = neighbour(&plane, &server, 5).await?;
    assert_eq!(refused_sign_in(&elsewhere, "victim", "victim-password").await, wrong);
    let attacker = neighbour(&plane, &server, 3).await?;
    flood(&attacker, "made-up", 60).await;
    assert!(by_address(&server) > refused);
    elsewhere.sign_in("admin", &password).await?;
    let log = server.log();
    for secret in ["victim-password", "gone-password", &password] {
        assert!(!log.contains(secret), "the log has a password");
    }
    Ok(())
}

/// How many attempts were refused because of where they came from.
fn by_address(server: &Argosy) -> usize {
    server.log().lines().filter(|line| line.contains("by=Source")).count()
}

/// Tries many names at once. Each is answered like any other.
async fn flood(attacker: &ApiClient, prefix: &str, count: usize) {
    let names: Vec<String> = (0..count).map(|n| format!("{prefix}-{n}")).collect();
    let answers: FuturesUnordered<_> = names.iter().map(|name| refused_sign_in(attacker, name, "wrong")).collect();
    let answers: Vec<_> = answers.collect().await;
    let wrong = (Code::Unauthenticated, WRONG.to_owned());
    let busy = (Code::ResourceExhausted, "too many sign-ins at once, try again later".to_owned());
    assert!(answers.iter().all(|answer| *answer == wrong || *answer == busy), "{answers:?}");
}

async fn set_password(admin: &ApiClient, current: &str, name: &str, new: &str) -> anyhow::Result<()> {
    let request =
        UpdatePasswordRequest { name: name.into(), new_password: new.into(), current_password: current.into() };
    // The account is known once the watch of the settings has told.
    eventually(PATIENCE, || async { admin.accounts().update_password(request.clone()).await }).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_and_keys_end_everywhere_at_once() -> anyhow::Result<()> {
    let world = ApiWorld::start(Options::default(), &[("accounts.robot", "apiKey, login")]).await?;
    let other_replica = Argosy::server(&world.plane).start().await?;
    let there = world.plane.api_client(&other_replica).await?;
    let admin = world.admin().await?;
    let robot = world.account("robot", "apiKey, login", "robot-password").await?;

    who_one_is(&world, &admin).await?;
    api_keys(&world, &admin, &there).await?;
    a_new_password(&world, &robot, &there).await?;
    a_sign_out(&world, &there).await?;
    renewal(&world).await?;
    nobody(&world, &admin).await
}

async fn who_one_is(world: &ApiWorld, admin: &ApiClient) -> anyhow::Result<()> {
    let info = admin.sessions().get_user_info(GetUserInfoRequest {}).await?.into_inner();
    assert_eq!((info.logged_in, &*info.username, &*info.iss), (true, "admin", "argocd"));
    let anybody = world.anybody().await?;
    let info = anybody.sessions().get_user_info(GetUserInfoRequest {}).await?.into_inner();
    assert_eq!((info.logged_in, &*info.username), (false, ""));
    let reply = admin.get("/api/v1/session/userinfo").await?.ok()?;
    assert_eq!(reply, json!({"loggedIn": true, "username": "admin", "iss": "argocd"}));

    // Through REST a session comes with its cookie.
    let body = json!({"username": "admin", "password": world.plane.admin_password().await?});
    let reply = anybody.send(Method::POST, "/api/v1/session", &body).await?;
    let token = reply.ok()?["token"].as_str().context("a token")?.to_owned();
    let cookie = reply.header("set-cookie");
    assert_eq!(cookie, format!("argocd.token={token}; path=/; SameSite=lax; httpOnly; Secure"));
    let with_cookie =
        anybody.rest(Method::GET, "/api/v1/session/userinfo").header("cookie", format!("argocd.token={token}"));
    assert_eq!(ApiReply::of(with_cookie).await?.ok()?["username"], "admin");
    let reply = anybody.send(Method::POST, "/api/v1/session", &json!({"username": "admin", "password": "no"})).await?;
    assert_eq!((reply.status, reply.json()), (401, json!({"error": WRONG, "code": 16, "message": WRONG})));
    assert_eq!(reply.header("set-cookie"), "");

    // Forged, truncated, and made for another algorithm.
    let (head, tail) = token.rsplit_once('.').context("a token has three parts")?;
    let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", head.split_once('.').context("a payload")?.1);
    for bad in [format!("{head}.{}", &tail[1..]), format!("{head}."), unsigned, "a.b.c".into(), "x".into()] {
        let client = anybody.with_token(&bad);
        let (code, words) = refusal(client.accounts().list_accounts(ListAccountRequest {}).await);
        assert_eq!(code, Code::Unauthenticated, "{words}");
        assert!(words.starts_with("invalid session: token "), "{words}");
    }
    Ok(())
}

async fn api_keys(world: &ApiWorld, admin: &ApiClient, there: &ApiClient) -> anyhow::Result<()> {
    let key = |id: &str, expires_in| CreateTokenRequest { name: "robot".into(), expires_in, id: id.into() };
    let made = admin.accounts().create_token(key("deploy", 0)).await?.into_inner();
    let robot = world.anybody().await?.with_token(&made.token);
    until_known(&robot).await;
    assert_eq!(robot.get("/api/v1/account/robot").await?.ok()?["tokens"][0]["id"], "deploy");
    let used = refusal(admin.accounts().create_token(key("deploy", 0)).await);
    assert_eq!(used.1, "account already has token with id 'deploy'");
    let none = CreateTokenRequest { name: "admin".into(), ..CreateTokenRequest::default() };
    let (code, words) = refusal(admin.accounts().create_token(none).await);
    assert_eq!((code, &*words), (Code::FailedPrecondition, "account 'admin' does not have apiKey capability"));

    // One that ends by itself.
    let short = admin.accounts().create_token(key("short", 15)).await?.into_inner();
    let short = there.with_token(&short.token);
    until_known(&short).await;
    assert_eq!(until_refused(&short).await.0, "invalid session: token has invalid claims: token is expired");

    // One that is taken back, on the other replica too.
    let elsewhere = there.with_token(&made.token);
    until_known(&elsewhere).await;
    let request = DeleteTokenRequest { name: "robot".into(), id: "deploy".into() };
    admin.accounts().delete_token(request.clone()).await?;
    for client in [&robot, &elsewhere] {
        let (words, took) = until_refused(client).await;
        assert_eq!(words, "invalid session: account robot does not have token with id deploy");
        assert!(took < SOON, "it took {took:?}");
    }
    let (code, words) = refusal(admin.accounts().delete_token(request).await);
    assert_eq!((code, &*words), (Code::NotFound, "token with id 'deploy' does not exist"));
    Ok(())
}

async fn a_new_password(world: &ApiWorld, robot: &ApiClient, there: &ApiClient) -> anyhow::Result<()> {
    let elsewhere = there.with_token(robot.token());
    elsewhere.accounts().list_accounts(ListAccountRequest {}).await?;
    let change = |current: &str, new: &str| UpdatePasswordRequest {
        name: String::new(),
        new_password: new.into(),
        current_password: current.into(),
    };
    let (code, words) = refusal(robot.accounts().update_password(change("robot-password", "short")).await);
    assert_eq!(
        (code, &*words),
        (Code::InvalidArgument, "new password does not match the following expression: ^.{8,32}$")
    );
    let (code, words) = refusal(robot.accounts().update_password(change("not-it", "another-password")).await);
    assert_eq!((code, &*words), (Code::InvalidArgument, "current password does not match"));
    // A session of the very second in which the password changes ends as well.
    let fresh = world.anybody().await?.sign_in("robot", "robot-password").await?;
    robot.accounts().update_password(change("robot-password", "another-password")).await?;
    for client in [&elsewhere, robot, &fresh] {
        let (words, took) = until_refused(client).await;
        assert_eq!(words, "invalid session: account password has changed since token issued");
        assert!(took < SOON, "it took {took:?}");
    }
    // And the new one is good at once, for longer than a moment.
    let robot = there.sign_in("robot", "another-password").await?;
    robot.accounts().list_accounts(ListAccountRequest {}).await?;
    Ok(())
}

async fn a_sign_out(world: &ApiWorld, there: &ApiClient) -> anyhow::Result<()> {
    let session = world.admin().await?;
    let elsewhere = there.with_token(session.token());
    let mut watches = Vec::new();
    for client in [&session, &elsewhere] {
        watches.push(client.applications().watch(ApplicationQuery::default()).await?.into_inner());
    }
    App::new("watched")
        .source("https://git.example.com/none.git", ".", "HEAD")
        .apply(&world.plane.client().await?)
        .await?;
    for watch in &mut watches {
        let event = tokio::time::timeout(PATIENCE, watch.message()).await??.context("a first event")?;
        assert_eq!(event.r#type, "ADDED");
    }
    let cookie = format!("argocd.token={}", session.token());
    let leave = session.without_token().rest(Method::POST, "/auth/logout").header("cookie", cookie);
    let reply = ApiReply::of(leave).await?;
    assert_eq!(reply.status, 303, "{}", reply.text);
    assert_eq!(reply.header("set-cookie"), "argocd.token=; path=/; SameSite=lax; httpOnly; Secure; Max-Age=0");
    for client in [&session, &elsewhere] {
        let (words, took) = until_refused(client).await;
        assert_eq!(words, "invalid session: token is revoked, please re-login");
        assert!(took < SOON, "it took {took:?}");
    }
    // What was open is closed, and says why.
    for watch in &mut watches {
        let end = tokio::time::timeout(SOON, async {
            loop {
                if let Err(status) = watch.message().await {
                    return status;
                }
            }
        });
        assert_eq!(end.await.context("the watch stays open")?.code(), Code::Unauthenticated);
    }
    let without = ApiReply::of(session.without_token().rest(Method::POST, "/auth/logout")).await?;
    assert_eq!(without.status, 400);
    Ok(())
}

async fn renewal(world: &ApiWorld) -> anyhow::Result<()> {
    world.plane.set_config("argocd-cm", &[("users.session.duration", "4m")])?;
    let renewed = eventually(PATIENCE, || async {
        let admin = world.admin().await?;
        let reply = admin.get("/api/v1/projects").await?;
        reply.ok()?;
        let renewed = reply.header("renew-token").to_owned();
        ensure!(!renewed.is_empty(), "a session that ends soon is not renewed");
        Ok::<_, anyhow::Error>(admin.with_token(&renewed))
    });
    let renewed = renewed.await;
    let answer = renewed.accounts().list_accounts(ListAccountRequest {}).await?;
    assert!(answer.metadata().get("renew-token").is_some(), "gRPC clients get it too");
    world.plane.set_config("argocd-cm", &[("users.session.duration", "24h")])?;
    Ok(())
}

async fn nobody(world: &ApiWorld, admin: &ApiClient) -> anyhow::Result<()> {
    let anybody = world.anybody().await?;
    let none = (Code::Unauthenticated, "no session information".to_owned());
    assert_eq!(refusal(anybody.applications().list(ApplicationQuery::default()).await), none);
    world.plane.set_config("argocd-cm", &[("users.anonymous.enabled", "true")])?;
    let list = eventually(PATIENCE, || async { anybody.applications().list(ApplicationQuery::default()).await }).await;
    assert!(list.into_inner().items.is_empty(), "without a role nobody sees nothing");
    world.plane.set_config("argocd-rbac-cm", &[("policy.default", "role:readonly")])?;
    // A token that proves nothing is as good as none, and no better.
    for client in [&anybody, &anybody.with_token("eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiIsImlzcyI6ImFyZ29jZCJ9.")] {
        eventually(PATIENCE, || async {
            let list = client.applications().list(ApplicationQuery::default()).await?.into_inner();
            ensure!(list.items.len() == 1, "{} applications", list.items.len());
            Ok::<_, anyhow::Error>(())
        })
        .await;
        let change = client.send(Method::DELETE, "/api/v1/applications/watched", &json!({})).await?;
        assert_eq!(change.status, 403, "{}", change.text);
        let info = client.sessions().get_user_info(GetUserInfoRequest {}).await?.into_inner();
        assert!(!info.logged_in && info.username.is_empty(), "{info:?}");
    }
    world.plane.set_config("argocd-cm", &[("users.anonymous.enabled", "false")])?;
    until_refused(&anybody).await;
    admin.accounts().list_accounts(ListAccountRequest {}).await?;
    Ok(())
}
