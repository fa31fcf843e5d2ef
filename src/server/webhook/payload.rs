//! What a delivery says: which repositories were pushed to. Everything else in it
//! is left unread; the owner of the repository looks for itself.

use axum::http::HeaderMap;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::provider::Provider;

/// Longest address that is taken from a payload, in bytes.
const LONGEST: usize = 2048;

/// Most repositories that one delivery is believed to be about.
const MOST: usize = 16;

/// What a delivery is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    /// Something was pushed to the repositories at these addresses.
    Push {
        /// Addresses as the host shows them to people, or as git uses them.
        urls: Vec<String>,
    },
    /// An event that is understood and means nothing here: a ping.
    Other,
}

/// A body that is not what the host sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Reads a delivery.
///
/// # Errors
/// [`Malformed`], whatever is wrong with it.
pub(super) fn parse(provider: Provider, headers: &HeaderMap, body: &[u8]) -> Result<Delivery, Malformed> {
    let event = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
    let urls = match provider {
        Provider::GitHub if event("x-github-event") == "push" => vec![read::<Hosted>(body)?.repository.html_url],
        Provider::GitLab if matches!(event("x-gitlab-event"), "Push Hook" | "Tag Push Hook" | "System Hook") => {
            vec![read::<OfGitLab>(body)?.project.web_url]
        }
        Provider::Gogs if event("x-gogs-event") == "push" => vec![read::<Hosted>(body)?.repository.html_url],
        Provider::Bitbucket if event("x-event-key") == "repo:push" => {
            vec![read::<OfBitbucket>(body)?.repository.links.html.href]
        }
        Provider::BitbucketServer if event("x-event-key") == "repo:refs_changed" => {
            let links = read::<OfBitbucketServer>(body)?.repository.links.clone;
            links.into_iter().filter_map(|link| link.href).collect()
        }
        Provider::AzureDevOps if read::<OfAzure>(body)?.event_type == "git.push" => {
            vec![read::<PushOfAzure>(body)?.resource.repository.remote_url]
        }
        _ => return read::<IgnoredAny>(body).map(|_| Delivery::Other),
    };
    let usable = |url: &String| !url.is_empty() && url.len() <= LONGEST;
    let urls: Vec<String> = urls.into_iter().filter(usable).take(MOST).collect();
    if urls.is_empty() { Err(Malformed) } else { Ok(Delivery::Push { urls }) }
}

/// Reads only what is asked for: a stranger's document may be large, and all of it in
/// memory many times larger.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Malformed> {
    serde_json::from_slice(body).map_err(|_| Malformed)
}

/// What GitHub and Gogs say.
#[derive(Deserialize)]
struct Hosted {
    repository: HostedRepository,
}

#[derive(Deserialize)]
struct HostedRepository {
    html_url: String,
}

#[derive(Deserialize)]
struct OfGitLab {
    project: Project,
}

#[derive(Deserialize)]
struct Project {
    web_url: String,
}

#[derive(Deserialize)]
struct OfBitbucket {
    repository: Linked<Page>,
}

#[derive(Deserialize)]
struct OfBitbucketServer {
    repository: Linked<Clones>,
}

#[derive(Deserialize)]
struct Linked<T> {
    links: T,
}

#[derive(Deserialize)]
struct Page {
    html: Address,
}

#[derive(Deserialize)]
struct Address {
    href: String,
}

/// The addresses that a Bitbucket Server lists for cloning: by http and by ssh.
#[derive(Deserialize)]
struct Clones {
    clone: Vec<CloneLink>,
}

#[derive(Deserialize)]
struct CloneLink {
    href: Option<String>,
}

#[derive(Deserialize)]
struct OfAzure {
    #[serde(rename = "eventType")]
    event_type: String,
}

#[derive(Deserialize)]
struct PushOfAzure {
    resource: AzureResource,
}

#[derive(Deserialize)]
struct AzureResource {
    repository: AzureRepository,
}

#[derive(Deserialize)]
struct AzureRepository {
    #[serde(rename = "remoteUrl")]
    remote_url: String,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const ALL: [Provider; 7] = [
        Provider::AzureDevOps,
        Provider::Gogs,
        Provider::GitHub,
        Provider::GitLab,
        Provider::Bitbucket,
        Provider::BitbucketServer,
        Provider::GitHubPackages,
    ];

    fn event(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(http::HeaderName::from_static(name), value.parse().unwrap())])
    }

    fn push(url: &str) -> Result<Delivery, Malformed> {
        Ok(Delivery::Push { urls: vec![url.to_owned()] })
    }

    #[test]
    fn each_host_says_where_the_repository_is_in_its_own_way() {
        let read =
            |provider, headers: &HeaderMap, payload: Value| parse(provider, headers, payload.to_string().as_bytes());
        let url = "https://git.example.com/a/b";
        let github = json!({"ref": "refs/heads/main", "repository": {"html_url": url}});
        assert_eq!(read(Provider::GitHub, &event("x-github-event", "push"), github.clone()), push(url));
        assert_eq!(read(Provider::Gogs, &event("x-gogs-event", "push"), github), push(url));
        let gitlab = json!({"project": {"web_url": url}});
        assert_eq!(read(Provider::GitLab, &event("x-gitlab-event", "Tag Push Hook"), gitlab), push(url));
        let bitbucket = json!({"repository": {"links": {"html": {"href": url}}}});
        assert_eq!(read(Provider::Bitbucket, &event("x-event-key", "repo:push"), bitbucket), push(url));
        let server = json!({"repository": {"links": {"clone": [{"name": "http", "href": url}]}}});
        assert_eq!(read(Provider::BitbucketServer, &event("x-event-key", "repo:refs_changed"), server), push(url));
        let azure = json!({"eventType": "git.push", "resource": {"repository": {"remoteUrl": url}}});
        assert_eq!(read(Provider::AzureDevOps, &HeaderMap::new(), azure), push(url));
    }

    #[test]
    fn a_ping_is_fine_and_means_nothing() {
        assert_eq!(parse(Provider::GitHub, &event("x-github-event", "ping"), b"{}"), Ok(Delivery::Other));
        let ping = event("x-event-key", "diagnostics:ping");
        assert_eq!(parse(Provider::BitbucketServer, &ping, br#"{"test": true}"#), Ok(Delivery::Other));
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body in ".{0,200}", which in 0usize..7) {
            let _ = parse(ALL[which], &event("x-event-key", "repo:refs_changed"), body.as_bytes());
            let _ = parse(ALL[which], &event("x-github-event", "push"), body.as_bytes());
        }

        #[test]
        fn nulls_and_wrong_types_are_malformed(value in prop_oneof![
            Just(json!(null)), Just(json!(1)), Just(json!([])), Just(json!({}))
        ]) {
            let payload = json!({"eventType": value, "repository": value, "project": value, "resource": value});
            for provider in [Provider::Gogs, Provider::GitHub] {
                let headers = HeaderMap::from_iter(["x-gogs-event", "x-github-event"].map(|name| {
                    (http::HeaderName::from_static(name), "push".parse().unwrap())
                }));
                prop_assert_eq!(parse(provider, &headers, payload.to_string().as_bytes()), Err(Malformed));
            }
        }
    }
}
