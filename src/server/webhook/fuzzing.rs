//! Deliveries of every host, from strangers and from the host.

use argosy_home::settings::WebhookSecrets;
use argosy_model::Secret;
use aws_lc_rs::hmac;
use http::HeaderValue;

use super::payload::{self, Delivery};
use super::provider::Provider;
use argosy_fuzz_harness::request;

const KEY: &str = "a secret of 26 characters!";

fn secrets() -> WebhookSecrets {
    let secret = || Secret::new(KEY.to_owned());
    WebhookSecrets {
        github: secret(),
        gitlab: secret(),
        gogs: secret(),
        bitbucket_uuid: secret(),
        bitbucket_server: secret(),
        azure_devops_username: secret(),
        azure_devops_password: secret(),
    }
}

/// Nobody who lacks the secret delivers, whoever has it does, and what is taken from a
/// payload is bounded.
pub(crate) fn run(input: &[u8]) {
    let Some(request) = request(input) else { return };
    let (mut parts, body) = request.into_parts();
    let Some(provider) = Provider::of(&parts.headers) else { return };
    let secrets = secrets();
    assert!(provider.verify(&parts.headers, &body, &secrets).is_err(), "{provider:?} believes a stranger");
    assert!(provider.verify(&parts.headers, &body, &WebhookSecrets::default()).is_ok());
    let key = hmac::Key::new(hmac::HMAC_SHA256, KEY.as_bytes());
    let signature: String = hmac::sign(&key, &body).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let (name, proof) = match provider {
        Provider::GitHub | Provider::GitHubPackages => ("x-hub-signature-256", format!("sha256={signature}")),
        Provider::Gogs => ("x-gogs-signature", signature),
        Provider::BitbucketServer => ("x-hub-signature", format!("sha256={signature}")),
        Provider::GitLab => ("x-gitlab-token", KEY.to_owned()),
        Provider::Bitbucket => ("x-hook-uuid", KEY.to_owned()),
        Provider::AzureDevOps => {
            use base64::Engine as _;
            let pair = base64::engine::general_purpose::STANDARD.encode(format!("{KEY}:{KEY}"));
            ("authorization", format!("Basic {pair}"))
        }
    };
    parts.headers.insert(name, HeaderValue::try_from(proof).expect("a proof is text"));
    assert!(provider.verify(&parts.headers, &body, &secrets).is_ok(), "{provider:?} doubts its host");
    if let Ok(Delivery::Push { urls }) = payload::parse(provider, &parts.headers, &body) {
        assert!((1..=16).contains(&urls.len()), "{} repositories", urls.len());
        for url in urls {
            assert!(!url.is_empty() && url.len() <= 2048);
            // As a log and a metric show it, and as repositories are told apart.
            let password = url::Url::parse(&url).ok().and_then(|url| url.password().map(str::to_owned));
            if let Some(password) = password.filter(|p| p.len() > 5 && p != "******" && url.matches(&**p).count() == 1)
            {
                assert!(!crate::redact::address(&url).contains(&password), "{url}: the password is shown");
            }
            assert!(argosy_model::git_url::same(&url, &url), "{url:?} is not itself");
        }
    }
}
