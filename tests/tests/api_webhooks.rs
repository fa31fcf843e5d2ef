//! Webhooks of Git hosts: a push is on the cluster soon after, who has no proof of
//! being the host is refused where a secret is set, nonsense is refused, and a flood
//! costs no more than what it tells of.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use argosy_tests::{ApiClient, ApiReply, ApiWorld, App, Options, PATIENCE, config_map, eventually};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::{StreamExt, stream};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// From a delivery until its commit is live. It takes a few hundred milliseconds; a
/// poll would come after an hour.
const SOON: Duration = Duration::from_secs(60);
/// Deliveries of the flood, and how many are on their way at once.
const FLOOD: usize = 1000;
const AT_ONCE: usize = 40;

/// A delivery: what tells the host, and the body.
struct Delivery {
    host: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: Value,
}

/// A push to the repository, as each host tells it.
fn pushes(url: &str) -> [Delivery; 6] {
    let page = url.trim_end_matches(".git");
    let change =
        json!({"new": {"name": "main", "type": "branch", "target": {"hash": "1"}}, "old": {"target": {"hash": "0"}}});
    let github = json!({
        "ref": "refs/heads/main", "before": "0", "after": "1", "commits": [{"modified": ["app/map.yaml"]}],
        "repository": {"html_url": page, "default_branch": "main"},
    });
    let gitlab =
        json!({"ref": "refs/heads/main", "project": {"web_url": page, "default_branch": "main"}, "commits": []});
    let bitbucket = json!({"push": {"changes": [change]}, "repository": {"links": {"html": {"href": page}}}});
    let server = json!({
        "eventKey": "repo:refs_changed", "changes": [{"ref": {"id": "refs/heads/main"}}],
        "repository": {"links": {"clone": [{"name": "ssh", "href": "ssh://git@other.example.com/x.git"}, {"name": "http", "href": url}]}},
    });
    let azure = json!({
        "eventType": "git.push",
        "resource": {"refUpdates": [{"name": "refs/heads/main"}], "repository": {"remoteUrl": url, "defaultBranch": "refs/heads/main"}},
    });
    [
        Delivery { host: "github", headers: &[("x-github-event", "push")], body: github.clone() },
        Delivery { host: "gitlab", headers: &[("x-gitlab-event", "Push Hook")], body: gitlab },
        Delivery { host: "gogs", headers: &[("x-gogs-event", "push")], body: github },
        Delivery {
            host: "bitbucket",
            headers: &[("x-hook-uuid", "u-u-i-d"), ("x-event-key", "repo:push")],
            body: bitbucket,
        },
        Delivery { host: "bitbucketserver", headers: &[("x-event-key", "repo:refs_changed")], body: server },
        Delivery { host: "azuredevops", headers: &[("x-vss-activityid", "1")], body: azure },
    ]
}

async fn deliver(
    client: &ApiClient,
    headers: &[(&str, &str)],
    proof: Option<(&str, &str)>,
    body: impl Into<reqwest::Body>,
) -> anyhow::Result<ApiReply> {
    let request = client.rest(Method::POST, "/api/webhook").header("content-type", "application/json").body(body);
    ApiReply::of(headers.iter().copied().chain(proof).fold(request, |r, (name, value)| r.header(name, value))).await
}

/// HMAC-SHA256 in hexadecimal digits (RFC 2104).
fn signature(secret: &str, body: &[u8]) -> String {
    let pad = |with: u8| -> Vec<u8> {
        let key = secret.bytes().chain(std::iter::repeat(0)).take(64);
        key.map(|byte| byte ^ with).collect()
    };
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(body).finalize();
    let outer = Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize();
    outer.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_are_fast_proven_and_cheap() -> anyhow::Result<()> {
    let settings = [("timeout.reconciliation", "3600s"), ("timeout.reconciliation.jitter", "0s")];
    let mut world = ApiWorld::start(Options::default(), &settings).await?;
    let anybody = world.anybody().await?;
    let repo = world.git.repo("pushed")?;
    let other = world.git.repo("other")?;
    for repo in [&repo, &other] {
        repo.commit(&[("app/map.yaml", &config_map(repo.name(), "first"))])?;
        world.plane.declare("repository", repo.name(), &[("url", &repo.url_https()), ("insecure", "true")])?;
        let app = App::new(repo.name()).source(&repo.url_https(), "app", "HEAD").automated();
        let client = world.plane.client().await?;
        app.apply(&client).await?;
        app.wait_until_deployed(&client, PATIENCE).await?;
    }
    for delivery in pushes(&repo.url_https()) {
        repo.commit(&[("app/map.yaml", &config_map("pushed", delivery.host))])?;
        let reply = deliver(&anybody, delivery.headers, None, delivery.body.to_string()).await?;
        assert_eq!((reply.status, &*reply.text), (200, ""), "{}", delivery.host);
        eventually(SOON, || async {
            let live = world.plane.kubectl_text(&["get", "configmap", "pushed", "-o", "jsonpath={.data.text}"])?;
            ensure!(live == delivery.host, "{} told of its push, but live is {live}", delivery.host);
            Ok::<_, anyhow::Error>(())
        })
        .await;
    }
    nonsense(&anybody).await?;
    flood(&world, &anybody, &repo.url_https()).await?;
    proof(&world, &anybody, &repo.url_https()).await?;
    world.server.check_running()?;
    assert!(!world.server.log().contains("panicked"), "{}", world.server.log_tail(50));
    Ok(())
}

async fn nonsense(anybody: &ApiClient) -> anyhow::Result<()> {
    let deep = "[".repeat(100_000);
    let wrong = json!({"eventType": "git.push", "repository": {"html_url": 1, "links": {"html": null, "clone": [null, {"href": []}]}}, "project": [], "resource": "x"});
    for Delivery { host, headers, .. } in pushes("https://git.example.com/a.git") {
        for body in ["", "{", "null", "[]", "\"push\"", "\u{0}", "{\"repository\":null}", &deep, &wrong.to_string()] {
            let reply = deliver(anybody, headers, None, body.to_owned()).await?;
            let words = "Webhook processing failed: payload must be valid JSON under 50 MB";
            assert_eq!((reply.status, &*reply.text), (400, words), "{host}: {body:.60}");
        }
        let latin = deliver(anybody, headers, None, vec![0xff, 0xfe]).await?;
        assert_eq!(latin.status, 400, "{host}");
    }
    let unknown = deliver(anybody, &[], None, "{}").await?;
    assert_eq!((unknown.status, &*unknown.text), (400, "Unknown webhook event"));
    let get = anybody.rest(Method::GET, "/api/webhook").header("x-github-event", "push");
    assert_eq!(ApiReply::of(get).await?.status, 405);
    // What is no push is fine and means nothing.
    let ping = deliver(anybody, &[("x-github-event", "ping")], None, "{}").await?;
    assert_eq!((ping.status, &*ping.text), (200, ""));
    // An address with the letters of patterns is an address.
    for url in ["https://(.*)+$[a-z", "https://*/a.git", "https://git.example.com/a(b"] {
        let body = json!({"repository": {"html_url": url}}).to_string();
        assert_eq!(deliver(anybody, &[("x-github-event", "push")], None, body).await?.status, 200, "{url}");
    }
    Ok(())
}

async fn flood(world: &ApiWorld, anybody: &ApiClient, url: &str) -> anyhow::Result<()> {
    let [github, ..] = pushes(url);
    let body = github.body.to_string();
    let before = (world.git.advertisements("pushed"), world.git.advertisements("other"));
    let begun = Instant::now();
    let statuses: Vec<u16> = stream::iter(0..FLOOD)
        .map(|_| async { deliver(anybody, github.headers, None, body.clone()).await.map_or(0, |reply| reply.status) })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let seconds = begun.elapsed().as_secs();
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    // Listings of one remote begin at least 100 ms apart, whoever asks.
    let listed = world.git.advertisements("pushed") - before.0;
    let most = usize::try_from(seconds)? * 10 + 12;
    assert!(
        listed <= most.min(FLOOD / 4),
        "{FLOOD} deliveries in {seconds} s made {listed} listings, at most {most} should be"
    );
    assert_eq!(world.git.advertisements("other"), before.1, "nobody told of the other repository");
    Ok(())
}

/// With a secret set, only who knows it may deliver.
async fn proof(world: &ApiWorld, anybody: &ApiClient, url: &str) -> anyhow::Result<()> {
    let secrets = json!({"stringData": {
        "webhook.github.secret": "hub", "webhook.gitlab.secret": "lab", "webhook.gogs.secret": "gogs",
        "webhook.bitbucket.uuid": "u-u-i-d", "webhook.bitbucketserver.secret": "stash",
        "webhook.azuredevops.username": "dev", "webhook.azuredevops.password": "ops",
    }});
    world.plane.kubectl_text(&[
        "-n",
        "argocd",
        "patch",
        "secret",
        "argocd-secret",
        "--type=merge",
        "-p",
        &secrets.to_string(),
    ])?;
    let pushes = pushes(url);
    let prove = |host: &str, secret_of: &dyn Fn(&str) -> String, body: &str| -> (&'static str, String) {
        let signed = |secret: &str| signature(&secret_of(secret), body.as_bytes());
        match host {
            "github" => ("x-hub-signature-256", format!("sha256={}", signed("hub"))),
            "gitlab" => ("x-gitlab-token", secret_of("lab")),
            "gogs" => ("x-gogs-signature", signed("gogs")),
            "bitbucketserver" => ("x-hub-signature", format!("sha256={}", signed("stash"))),
            "azuredevops" => ("authorization", format!("Basic {}", STANDARD.encode(secret_of("dev:ops")))),
            // Its proof is the identifier that tells it.
            _ => ("x-proof", secret_of("u-u-i-d")),
        }
    };
    eventually(PATIENCE, || async {
        let reply = deliver(anybody, pushes[0].headers, None, pushes[0].body.to_string()).await?;
        ensure!(reply.status == 401, "status {}", reply.status);
        Ok::<_, anyhow::Error>(())
    })
    .await;
    for Delivery { host, headers, body } in &pushes {
        let body = body.to_string();
        let (name, good) = prove(host, &|secret| secret.to_owned(), &body);
        let reply = deliver(anybody, headers, Some((name, &good)), body.clone()).await?;
        assert_eq!(reply.status, 200, "{host} with its proof: {}", reply.text);
        let (_, bad) = prove(host, &|secret| format!("{secret}!"), &body);
        let longer = format!("{good}0");
        let forged: Vec<Option<&str>> = vec![None, Some(&bad), Some(""), Some(&longer)];
        for proof in forged.into_iter().filter(|_| *host != "bitbucket") {
            // Refused before a byte of the body is parsed.
            for body in [&body, "{"] {
                let reply = deliver(anybody, headers, proof.map(|proof| (name, proof)), body.to_owned()).await?;
                assert_eq!((reply.status, &*reply.text), (401, "Unauthorized"), "{host} with {proof:?}");
            }
        }
    }
    let stranger = deliver(anybody, &[("x-hook-uuid", "other"), ("x-event-key", "repo:push")], None, "{}").await?;
    assert_eq!(stranger.status, 401, "bitbucket");
    // A signed body that was changed on the way.
    let body = pushes[0].body.to_string();
    let proof = format!("sha256={}", signature("hub", body.as_bytes()));
    let reply = deliver(anybody, pushes[0].headers, Some(("x-hub-signature-256", &proof)), body + " ").await?;
    assert_eq!(reply.status, 401);

    // A body larger than the setting allows.
    world.plane.set_config("argocd-cm", &[("webhook.maxPayloadSizeMB", "1")])?;
    let padding = json!({"padding": "x".repeat(2 << 20)}).to_string();
    let proof = format!("sha256={}", signature("hub", padding.as_bytes()));
    let words = eventually(PATIENCE, || async {
        let reply =
            deliver(anybody, &[("x-github-event", "ping")], Some(("x-hub-signature-256", &proof)), padding.clone())
                .await?;
        ensure!(reply.status == 400, "status {}", reply.status);
        Ok::<_, anyhow::Error>(reply.text)
    });
    assert_eq!(words.await, "Webhook processing failed: payload must be valid JSON under 1 MB");
    let page = reqwest::Client::builder().no_proxy().build()?;
    let page = page.get(format!("http://{}/metrics", world.server.metrics_address())).send().await?.text().await?;
    let counted =
        page.lines().find(|line| line.starts_with("argocd_webhook_requests_total")).context("no count of webhooks")?;
    assert!(!counted.contains("(.*)+"), "strangers cannot make up labels: {counted}");
    Ok(())
}
