//! Single sign-on as a browser goes through it: the built program, a provider, and
//! what must not work.

use anyhow::Context as _;
use argosy_tests::openid::{CLIENT_SECRET, OpenId};
use argosy_tests::{ApiClient, Argosy, ControlPlane, Options, PATIENCE, eventually};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use reqwest::Response;
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

/// A replica, a provider, and a browser that keeps cookies.
struct Desk {
    server: Argosy,
    provider: OpenId,
    plane: ControlPlane,
    api: ApiClient,
}

impl Desk {
    async fn open(more: &str) -> anyhow::Result<Self> {
        let plane = ControlPlane::start(Options::default()).await?;
        plane.install().await?;
        let (provider, server) = (OpenId::start().await?, Argosy::server(&plane).start().await?);
        let api = plane.api_client(&server).await?;
        let secret = json!({"stringData": {"oidc.clientSecret": CLIENT_SECRET}}).to_string();
        plane.kubectl_text(&["-n", "argocd", "patch", "secret", "argocd-secret", "-p", &secret])?;
        plane.set_config("argocd-cm", &[("url", api.base()), ("oidc.config", &provider.config(more))])?;
        let desk = Self { server, provider, plane, api };
        // The settings are watched; nothing is restarted.
        eventually(PATIENCE, || async {
            let status = desk.get("/auth/login", "").await?.status();
            if status == StatusCode::SEE_OTHER { Ok(()) } else { Err(anyhow::anyhow!("login answers {status}")) }
        })
        .await;
        Ok(desk)
    }

    async fn get(&self, path: &str, cookie: &str) -> anyhow::Result<Response> {
        let request = self.api.http().get(format!("{}{path}", self.api.base())).header("cookie", cookie);
        request.send().await.context("asking the replica")
    }

    /// Begins a sign-in: the cookie, and where the provider sends the browser back to.
    async fn begin(&self, path: &str) -> anyhow::Result<(String, String)> {
        let begun = self.get(path, "").await?;
        let cookie = cookies(&begun).join("; ");
        let answer = self.api.http().get(location(&begun)?).send().await?;
        let back = location(&answer)?;
        let back = back.strip_prefix(self.api.base()).context("the provider sends the browser elsewhere")?;
        Ok((cookie, back.to_owned()))
    }

    /// Signs in: the cookies of the session.
    async fn sign_in(&self) -> anyhow::Result<String> {
        let (cookie, back) = self.begin("/auth/login?return_url=/applications").await?;
        let answer = self.get(&back, &cookie).await?;
        anyhow::ensure!(location(&answer)? == "/applications", "sent to {}", location(&answer)?);
        Ok(cookies(&answer).join("; "))
    }

    async fn user(&self, cookie: &str) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(&self.get("/api/v1/session/userinfo", cookie).await?.text().await?)?)
    }
}

fn location(response: &Response) -> anyhow::Result<String> {
    let location =
        response.headers().get("location").with_context(|| format!("{} sends nowhere", response.status()))?;
    Ok(location.to_str()?.to_owned())
}

/// The cookies that an answer sets, as they are sent back.
fn cookies(response: &Response) -> Vec<String> {
    let set = response.headers().get_all("set-cookie").iter().filter_map(|cookie| cookie.to_str().ok());
    let kept = set.filter(|cookie| !cookie.contains("Max-Age=0"));
    kept.filter_map(|cookie| cookie.split(';').next().map(str::to_owned)).collect()
}

async fn refused(response: Response, status: StatusCode) -> String {
    let (found, headers) = (response.status(), response.headers().clone());
    let text = response.text().await.expect("a body of text");
    assert_eq!(found, status, "{text}");
    assert!(headers["content-type"].to_str().expect("a type in ASCII").starts_with("text/plain"), "{headers:?}");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_signs_in_by_single_sign_on_and_out_again() {
    let desk = Desk::open("").await.unwrap();
    let session = desk.sign_in().await.unwrap();
    let user = desk.user(&session).await.unwrap();
    assert_eq!((&user["loggedIn"], &user["username"]), (&json!(true), &json!("alice@example.com")));
    assert_eq!((&user["iss"], &user["groups"]), (&json!(desk.provider.issuer()), &json!(["devs"])));

    let out = |site: Option<&'static str>| {
        let request = desk.api.http().post(format!("{}/auth/logout", desk.api.base())).header("cookie", &session);
        match site {
            Some(site) => request.header("sec-fetch-site", site).send(),
            None => request.send(),
        }
    };
    assert_eq!(out(Some("cross-site")).await.unwrap().status(), StatusCode::FORBIDDEN);
    assert_eq!(desk.user(&session).await.unwrap()["loggedIn"], true);
    let gone = out(None).await.unwrap();
    assert_eq!((gone.status(), location(&gone).unwrap().as_str()), (StatusCode::SEE_OTHER, desk.api.base()));
    assert!(gone.headers()["set-cookie"].to_str().unwrap().starts_with("argocd.token=;"));
    // The token itself is worthless, wherever it was copied to.
    let token = session.split_once("argocd.token=").unwrap().1;
    let revoked = desk.api.with_token(token).get("/api/v1/applications").await.unwrap();
    assert_eq!(revoked.status, 401, "{}", revoked.text);
    assert!(revoked.text.contains("revoked"), "{}", revoked.text);
    let nobody = desk.get("/auth/logout", "").await.unwrap();
    assert_eq!(nobody.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_an_answer_to_this_browser_signs_nobody_in() {
    let desk = Desk::open("").await.unwrap();
    let (cookie, back) = desk.begin("/auth/login").await.unwrap();
    let (other, _) = desk.begin("/auth/login").await.unwrap();
    refused(desk.get(&back, "").await.unwrap(), StatusCode::BAD_REQUEST).await;
    let state = refused(desk.get(&back, &other).await.unwrap(), StatusCode::BAD_REQUEST).await;
    assert!(state.contains("invalid state"), "{state}");
    let strange = back.replace("&iss=", "&iss=https://evil.example/");
    refused(desk.get(&strange, &cookie).await.unwrap(), StatusCode::BAD_REQUEST).await;
    // None of that has used the code up.
    assert_eq!(desk.get(&back, &cookie).await.unwrap().status(), StatusCode::SEE_OTHER);
    refused(desk.get(&back, &cookie).await.unwrap(), StatusCode::INTERNAL_SERVER_ERROR).await;

    for lie in [json!({"nonce": "x"}), json!({"aud": "x"}), json!({"iss": "https://evil.example"}), json!({"exp": 1})] {
        desk.provider.lie(lie.clone());
        let (cookie, back) = desk.begin("/auth/login").await.unwrap();
        let answer = desk.get(&back, &cookie).await.unwrap();
        assert!(cookies(&answer).is_empty(), "{lie}");
        refused(answer, StatusCode::INTERNAL_SERVER_ERROR).await;
    }
    let words = "/auth/callback?error=%3Cscript%3E&error_description=%22x%22";
    let text = refused(desk.get(words, "").await.unwrap(), StatusCode::BAD_REQUEST).await;
    assert_eq!(text.trim(), "&lt;script&gt;: &#34;x&#34;");
    for secret in ["canary", &back] {
        assert!(!desk.server.log().contains(secret), "{secret} is in the log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_is_sent_back_to_the_server_and_nowhere_else() {
    let desk = Desk::open("").await.unwrap();
    for address in
        ["https://evil.example/", "//evil.example", "/\\evil.example", "/..//evil.example", "javascript:alert(1)"]
    {
        let query: String = form_urlencoded::byte_serialize(address.as_bytes()).collect();
        let answer = desk.get(&format!("/auth/login?return_url={query}"), "").await.unwrap();
        let text = refused(answer, StatusCode::BAD_REQUEST).await;
        assert!(text.starts_with("Invalid redirect URL"), "{address}: {text}");
    }
    let wanted = format!("{}/applications?view=tree", desk.api.base());
    let query: String = form_urlencoded::byte_serialize(wanted.as_bytes()).collect();
    let (cookie, back) = desk.begin(&format!("/auth/login?return_url={query}")).await.unwrap();
    assert_eq!(location(&desk.get(&back, &cookie).await.unwrap()).unwrap(), wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_for_tokens_in_fragments_runs_its_own_script_only() {
    let desk = Desk::open("").await.unwrap();
    desk.provider.announce(json!({"response_types_supported": ["id_token"]}));
    // The provider is asked anew when its configuration changes.
    desk.plane.set_config("argocd-cm", &[("oidc.config", &desk.provider.config("domainHint: x"))]).unwrap();
    let (cookie, back) = eventually(PATIENCE, || async {
        let begun = desk.begin("/auth/login").await?;
        if begun.1.contains("id_token") { Ok(begun) } else { Err(anyhow::anyhow!("codes are still used")) }
    })
    .await;
    let page = desk.get("/auth/callback", &cookie).await.unwrap();
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    let nonce = policy.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap().to_owned();
    assert!(policy.contains("default-src 'none'"), "{policy}");
    let text = page.text().await.unwrap();
    assert!(text.contains(&format!("<script nonce=\"{nonce}\">")) && !text.contains("http"), "{text}");
    // What the script does.
    let fragment = Url::parse(&format!("{}{back}", desk.api.base())).unwrap().fragment().unwrap().to_owned();
    let post = |cookie: String, body: String| {
        desk.api.http().post(format!("{}/auth/callback", desk.api.base())).header("cookie", cookie).body(body).send()
    };
    assert_eq!(post(String::new(), fragment.clone()).await.unwrap().status(), StatusCode::BAD_REQUEST);
    let answer = post(cookie, fragment).await.unwrap();
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert_eq!(desk.user(&cookies(&answer).join("; ")).await.unwrap()["loggedIn"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_come_from_the_provider_when_asked_for_with_the_users_token() {
    let more = "enableUserInfoGroups: true\nuserInfoPath: /userinfo\nuserInfoCacheExpiration: 5m";
    let desk = Desk::open(more).await.unwrap();
    desk.provider.tell(json!({"groups": ["admins"]}));
    let session = desk.sign_in().await.unwrap();
    for _ in 0..3 {
        assert_eq!(desk.user(&session).await.unwrap()["groups"], json!(["admins"]));
    }
    assert_eq!(desk.provider.asked().user_info, 1);
    // A new sign-in asks anew; somebody else's answer is no answer.
    desk.provider.tell(json!({"groups": ["admins"], "sub": "somebody-else"}));
    let session = desk.sign_in().await.unwrap();
    let refused = desk.get("/api/v1/applications", &session).await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    // What is kept of it is sealed.
    let kept = desk.plane.kubectl_text(&["-n", "argocd", "get", "secret", "argosy-sessions", "-o", "json"]).unwrap();
    let kept: Value = serde_json::from_str(&kept).unwrap();
    let values = kept["data"].as_object().unwrap().iter().filter(|(key, _)| key.starts_with("sso."));
    let values: Vec<_> = values.map(|(_, value)| STANDARD.decode(value.as_str().unwrap()).unwrap()).collect();
    assert_eq!(values.len(), 1);
    assert!(!String::from_utf8_lossy(&values[0]).contains("canary"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_about_to_end_is_followed_by_a_new_one() {
    let desk = Desk::open("refreshTokenThreshold: 5m").await.unwrap();
    desk.provider.lifetime(60);
    let session = desk.sign_in().await.unwrap();
    desk.provider.lifetime(3600);
    let answer = desk.get("/api/v1/session/userinfo", &session).await.unwrap();
    let next = cookies(&answer).join("; ");
    assert!(next.starts_with("argocd.token=") && next != session, "{next}");
    assert_eq!(desk.user(&next).await.unwrap()["loggedIn"], true);
    // The refresh token was used once: whoever comes late gets the same token.
    let late = desk.get("/api/v1/session/userinfo", &session).await.unwrap();
    assert_eq!(cookies(&late).join("; "), next);
    assert_eq!(desk.provider.asked().tokens, 2);
    // After signing out nothing follows.
    assert_eq!(desk.get("/auth/logout", &next).await.unwrap().status(), StatusCode::SEE_OTHER);
    assert!(cookies(&desk.get("/api/v1/session/userinfo", &session).await.unwrap()).is_empty());
}
