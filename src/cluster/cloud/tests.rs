//! Providers are asked as their own programs ask them, and as seldom.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use argosy_model::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::{Cloud, Surroundings, Tokens};

/// 2026-01-02T03:04:05Z
const NOW: i64 = 1_767_323_045;

type Requests = Arc<Mutex<Vec<String>>>;

/// Answers every request as told by its first line, and remembers it.
async fn provider(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> (String, Requests) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("is bound").to_string();
    let requests = Requests::default();
    let seen = requests.clone();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = String::new();
            let mut buffer = [0; 16 << 10];
            loop {
                let read = socket.read(&mut buffer).await.expect("reads");
                request.push_str(&String::from_utf8_lossy(&buffer[..read]));
                let Some((head, body)) = request.split_once("\r\n\r\n") else { continue };
                let length = head.lines().find_map(|l| l.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
                if read == 0 || body.len() >= length.unwrap_or(0) {
                    break;
                }
            }
            let body = answer(&request);
            seen.lock().expect("not poisoned").push(request);
            let status = if body.is_empty() { "403 Forbidden" } else { "200 OK" };
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            socket.write_all((head + &body).as_bytes()).await.expect("answers");
        }
    });
    (address, requests)
}

struct Scene {
    now: Arc<AtomicI64>,
    surroundings: Arc<Surroundings>,
    folder: tempfile::TempDir,
}

fn scene(variables: &[(&str, &str)]) -> Scene {
    let folder = tempfile::tempdir().expect("a folder");
    let now = Arc::new(AtomicI64::new(NOW));
    let clock = now.clone();
    let mut all: HashMap<String, String> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    all.insert("HOME".to_owned(), folder.path().display().to_string());
    let tell = move || Timestamp::from_second(clock.load(Ordering::Relaxed)).expect("a time");
    Scene { now, surroundings: Surroundings::new(Arc::new(tell), all), folder }
}

impl Scene {
    fn cloud(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Cloud {
        let arguments: Vec<String> = arguments.iter().map(|a| (*a).to_owned()).collect();
        let identity = Cloud::identity(&arguments).expect("is known");
        let variables: BTreeMap<String, Secret<String>> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), Secret::new((*value).to_owned()))).collect();
        Cloud::new(identity, self.surroundings.clone(), variables)
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("is in a folder")).expect("makes a folder");
        std::fs::write(&path, text).expect("writes");
        path.display().to_string()
    }
}

async fn token(cloud: Cloud) -> String {
    Tokens::new(cloud).current().await.expect("is got").expose().clone()
}

/// The question in an EKS token.
fn question(token: &str) -> String {
    let encoded = token.strip_prefix("k8s-aws-v1.").unwrap_or_else(|| panic!("{token}"));
    String::from_utf8(URL_SAFE_NO_PAD.decode(encoded).expect("is base64")).expect("is text")
}

fn sts_answer(id: &str) -> String {
    format!(
        "<R xmlns=\"x\"><Result><Credentials><AccessKeyId>{id}</AccessKeyId><SecretAccessKey>s/+=</SecretAccessKey>\
         <SessionToken>session/{id}</SessionToken><Expiration>2026-01-02T04:04:05Z</Expiration></Credentials></Result></R>"
    )
}

#[tokio::test]
async fn an_eks_token_is_signed_with_the_keys_of_the_environment() {
    let scene = scene(&[("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "s"), ("AWS_REGION", "eu-west-1")]);
    let url = question(&token(scene.cloud(&["aws", "--cluster-name", "prod"], &[])).await);
    assert!(
        url.starts_with("https://sts.eu-west-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-"),
        "{url}"
    );
    assert!(
        url.contains("Credential=AKID%2F20260102%2Feu-west-1%2Fsts%2Faws4_request&X-Amz-Date=20260102T030405Z"),
        "{url}"
    );
    assert!(url.contains("X-Amz-SignedHeaders=host%3Bx-k8s-aws-id&X-Amz-Signature="), "{url}");
    // A Secret's own environment counts more.
    let url = question(&token(scene.cloud(&["aws", "--cluster-name=prod"], &[("AWS_ACCESS_KEY_ID", "OTHER")])).await);
    assert!(url.contains("Credential=OTHER%2F"), "{url}");
}

#[tokio::test]
async fn a_web_identity_and_a_role_are_asked_for_once_for_all_clusters() {
    let (sts, requests) = provider(|request| {
        if request.contains("Action=AssumeRoleWithWebIdentity") { sts_answer("WEB") } else { sts_answer("ROLE") }
    })
    .await;
    let scene =
        scene(&[("AWS_ENDPOINT_URL_STS", &format!("http://{sts}")), ("AWS_ROLE_ARN", "arn:aws:iam::1:role/irsa")]);
    let file = scene.file("token", "web-token\n");
    let web = [("AWS_WEB_IDENTITY_TOKEN_FILE", file.as_str())];
    for name in ["one", "two"] {
        let role = ["aws", "--cluster-name", name, "--role-arn", "arn:aws:iam::2:role/x"];
        let url = question(&token(scene.cloud(&role, &web)).await);
        assert!(url.contains("Credential=ROLE%2F") && url.contains("X-Amz-Security-Token=session%2FROLE"), "{url}");
    }
    {
        let requests = requests.lock().expect("not poisoned");
        assert_eq!(requests.len(), 2, "{requests:?}");
        assert!(requests[0].contains("WebIdentityToken=web-token") && requests[0].contains("role%2Firsa"));
        assert!(
            requests[1].contains("RoleArn=arn%3Aaws%3Aiam%3A%3A2%3Arole%2Fx")
                && requests[1].contains("Credential=WEB%2F")
        );
    }
    // Shortly before they end, keys are got anew.
    scene.now.store(NOW + 3600 - 200, Ordering::Relaxed);
    token(scene.cloud(&["aws", "--cluster-name", "one"], &web)).await;
    assert_eq!(requests.lock().expect("not poisoned").len(), 3);
}

#[tokio::test]
async fn pod_identity_profiles_and_the_machine_give_keys_too() {
    let (agent, requests) = provider(|request| match request.split(' ').nth(1).unwrap_or_default() {
        "/pod" | "/latest/meta-data/iam/security-credentials/the-role" => {
            json!({"AccessKeyId": "AGENT", "SecretAccessKey": "s", "Token": "t", "Expiration": "2026-01-02T04:04:05Z"})
                .to_string()
        }
        "/latest/api/token" => "session".to_owned(),
        "/latest/meta-data/iam/security-credentials/" => "the-role".to_owned(),
        _ => sts_answer("ASSUMED"),
    })
    .await;
    let base = format!("http://{agent}");
    let scene = scene(&[("AWS_ENDPOINT_URL_STS", &base)]);
    let file = scene.file("authorization", "agent-token");
    let pod = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{base}/pod")),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file),
    ];
    let pod: Vec<(&str, &str)> = pod.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert!(question(&token(scene.cloud(&["aws", "--cluster-name", "c"], &pod)).await).contains("Credential=AGENT%2F"));
    assert!(requests.lock().expect("not poisoned")[0].to_lowercase().contains("authorization: agent-token"));

    let machine = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", base.as_str())];
    assert!(
        question(&token(scene.cloud(&["aws", "--cluster-name", "c"], &machine)).await).contains("Credential=AGENT%2F")
    );

    scene.file(".aws/config", "[profile prod]\nrole_arn = arn:x\nsource_profile = base\nregion = ap-south-1\n");
    scene.file(".aws/credentials", "[base]\naws_access_key_id = BASE\naws_secret_access_key = s\n");
    let profile = scene.cloud(&["aws", "--cluster-name", "c", "--profile", "prod"], &[]);
    let url = question(&token(profile).await);
    assert!(url.contains("Credential=ASSUMED%2F20260102%2Fap-south-1%2F"), "{url}");
    assert!(requests.lock().expect("not poisoned").last().expect("one").contains("Credential=BASE%2F"));
}

#[tokio::test]
async fn entra_id_is_asked_as_the_login_method_says() {
    let (authority, requests) = provider(|request| {
        let expires = if request.starts_with("GET") { json!("3600") } else { json!(3600) };
        json!({"access_token": "entra", "expires_in": expires}).to_string()
    })
    .await;
    let base = format!("http://{authority}");
    let scene = scene(&[("AZURE_AUTHORITY_HOST", &base), ("AZURE_TENANT_ID", "tenant"), ("AZURE_CLIENT_ID", "me")]);
    let file = scene.file("federated", "federated-token");
    let last = || requests.lock().expect("not poisoned").last().cloned().expect("one");
    let workload = [("AAD_LOGIN_METHOD", "workloadidentity"), ("AZURE_FEDERATED_TOKEN_FILE", file.as_str())];
    assert_eq!(token(scene.cloud(&["azure"], &workload)).await, "entra");
    let request = last();
    assert!(request.starts_with("POST /tenant/oauth2/v2.0/token "), "{request}");
    assert!(request.contains("client_assertion=federated-token") && request.contains("client_id=me"), "{request}");
    assert!(request.contains("scope=6dae42f8-4368-4678-94ff-3960e28e3630%2F.default"), "{request}");
    let secret = [("AAD_LOGIN_METHOD", "spn"), ("AAD_SERVICE_PRINCIPAL_CLIENT_SECRET", "hush")];
    assert_eq!(token(scene.cloud(&["azure", "--server-id", "mine"], &secret)).await, "entra");
    assert!(last().contains("client_secret=hush") && last().contains("scope=mine%2F.default"));
    let machine = [("AAD_LOGIN_METHOD", "msi"), ("AZURE_POD_IDENTITY_AUTHORITY_HOST", base.as_str())];
    assert_eq!(token(scene.cloud(&["azure"], &machine)).await, "entra");
    assert!(last().to_lowercase().contains("metadata: true") && last().contains("client_id=me"));
}

#[tokio::test]
async fn google_is_asked_with_a_key_of_a_service_account_by_federation_or_on_the_machine() {
    let (google, requests) = provider(|request| match request.split(' ').nth(1).unwrap_or_default() {
        "/impersonate" => json!({"accessToken": "impersonated", "expireTime": "2026-01-02T04:04:05Z"}).to_string(),
        _ => json!({"access_token": "google", "expires_in": 3599}).to_string(),
    })
    .await;
    let base = format!("http://{google}");
    let scene = scene(&[("GCE_METADATA_HOST", &google)]);
    let last = || requests.lock().expect("not poisoned").last().cloned().expect("one");
    assert_eq!(token(scene.cloud(&["gcp"], &[])).await, "google");
    assert!(last().to_lowercase().contains("metadata-flavor: google"));

    let key = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).expect("a key");
    let der = aws_lc_rs::encoding::AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&key).expect("encodes");
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        base64::engine::general_purpose::STANDARD.encode(der.as_ref())
    );
    let account = json!({"type": "service_account", "client_email": "me@p", "private_key_id": "k1", "private_key": pem,
        "token_uri": format!("{base}/token")});
    let path = scene.file("account.json", &account.to_string());
    assert_eq!(token(scene.cloud(&["gcp"], &[("GOOGLE_APPLICATION_CREDENTIALS", &path)])).await, "google");
    let request = last();
    let assertion = request.split("assertion=").nth(1).expect("an assertion");
    let parts: Vec<&str> = assertion.split('.').collect();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).expect("is base64")).expect("is JSON");
    assert_eq!((&claims["iss"], &claims["iat"], &claims["exp"]), (&json!("me@p"), &json!(NOW), &json!(NOW + 3600)));
    let public = aws_lc_rs::signature::KeyPair::public_key(&key);
    let verify =
        aws_lc_rs::signature::UnparsedPublicKey::new(&aws_lc_rs::signature::RSA_PKCS1_2048_8192_SHA256, public);
    let signature = URL_SAFE_NO_PAD.decode(parts[2]).expect("is base64");
    verify.verify(format!("{}.{}", parts[0], parts[1]).as_bytes(), &signature).expect("is signed");

    let subject = scene.file("subject", "{\"t\": \"subject-token\"}");
    let external = json!({"type": "external_account", "audience": "//iam/x", "subject_token_type": "urn:jwt",
        "token_url": format!("{base}/sts"), "service_account_impersonation_url": format!("{base}/impersonate"),
        "credential_source": {"file": subject, "format": {"type": "json", "subject_token_field_name": "t"}}});
    let path = scene.file("external.json", &external.to_string());
    assert_eq!(token(scene.cloud(&["gcp"], &[("GOOGLE_APPLICATION_CREDENTIALS", &path)])).await, "impersonated");
    assert!(requests.lock().expect("not poisoned").iter().any(|r| r.contains("subject_token=subject-token")));
    assert!(last().to_lowercase().contains("authorization: bearer google"));
}

#[tokio::test]
async fn a_token_is_used_until_shortly_before_its_end_and_longer_while_the_provider_is_away() {
    let count = Arc::new(AtomicUsize::new(0));
    let asked = count.clone();
    let (google, _) = provider(move |_| match asked.fetch_add(1, Ordering::Relaxed) {
        0 => json!({"access_token": "first", "expires_in": 600}).to_string(),
        1 => String::new(),
        _ => json!({"access_token": "second", "expires_in": 600}).to_string(),
    })
    .await;
    let scene = scene(&[("GCE_METADATA_HOST", &google)]);
    let tokens = Tokens::new(scene.cloud(&["gcp"], &[]));
    let current = async || tokens.current().await.map(|token| token.expose().clone());
    assert_eq!(current().await.expect("is got"), "first");
    scene.now.store(NOW + 500, Ordering::Relaxed);
    assert_eq!(current().await.expect("is kept"), "first");
    assert_eq!(count.load(Ordering::Relaxed), 1);
    for _ in 0..3 {
        scene.now.store(NOW + 550, Ordering::Relaxed);
        assert_eq!(current().await.expect("still holds"), "first");
    }
    assert_eq!(count.load(Ordering::Relaxed), 2, "one failed attempt, and no second one at once");
    scene.now.store(NOW + 570, Ordering::Relaxed);
    assert_eq!(current().await.expect("is got"), "second");
}

#[tokio::test]
async fn no_error_carries_what_a_provider_said_or_was_told() {
    let (provider, _) = provider(|_| "canary-answer".to_owned()).await;
    let base = format!("http://{provider}");
    let scene = scene(&[
        ("GCE_METADATA_HOST", &provider),
        ("AZURE_AUTHORITY_HOST", &base),
        ("AZURE_TENANT_ID", "t"),
        ("AZURE_CLIENT_ID", "c"),
        ("AZURE_CLIENT_SECRET", "canary-secret"),
        ("AWS_ENDPOINT_URL_STS", &base),
        ("AWS_ACCESS_KEY_ID", "A"),
        ("AWS_SECRET_ACCESS_KEY", "canary-key"),
    ]);
    for arguments in [&["gcp"][..], &["azure"], &["aws", "--cluster-name", "c", "--role-arn", "r"]] {
        let cloud = scene.cloud(arguments, &[]);
        assert!(!format!("{cloud:?}").contains("canary"));
        let error = Tokens::new(cloud).current().await.expect_err("cannot be read");
        assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
    }
    assert!(Cloud::identity(&["oci".to_owned()]).is_none() && Cloud::identity(&[]).is_none());
}
