//! Sending steps to a server, and what is compared of its answers.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use kube::client::Body;
use serde_json::Value;

use crate::support;

/// How long an answer takes at most, watches of a second included.
const PATIENCE: Duration = Duration::from_secs(20);

/// One of the two servers.
pub(crate) struct Client(kube::Client);

/// The steps of a case with one of them. `<rv>`, `<uid>`, `<continue>` and `<token>`
/// in a step are what the last answer that had one said; `<first-rv>` and
/// `<first-uid>` are of the first that did.
pub(crate) struct Conversation<'a> {
    client: &'a kube::Client,
    said: BTreeMap<&'static str, String>,
}

/// What is compared.
#[derive(Debug, PartialEq)]
pub(crate) struct Reply {
    pub(crate) code: u16,
    pub(crate) media: String,
    pub(crate) warnings: Vec<String>,
    pub(crate) body: Value,
}

// === impl Client ===

impl Client {
    pub(crate) fn new(client: kube::Client) -> Self {
        Self(client)
    }

    /// A case begins.
    pub(crate) fn begin(&self) -> Conversation<'_> {
        Conversation { client: &self.0, said: BTreeMap::new() }
    }
}

// === impl Conversation ===

impl Conversation<'_> {
    pub(crate) async fn send(&mut self, step: &str) -> anyhow::Result<Reply> {
        let step =
            self.said.iter().fold(step.to_owned(), |step, (name, text)| step.replace(&format!("<{name}>"), text));
        tokio::time::timeout(PATIENCE, self.exchange(&step)).await.context("no answer comes")?
    }

    async fn exchange(&mut self, step: &str) -> anyhow::Result<Reply> {
        let response = self.client.send(request(step)?).await?;
        let code = response.status().as_u16();
        let text_of = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let media = response.headers().get("content-type").map(text_of).unwrap_or_default();
        let warnings = response.headers().get_all("warning").iter().map(text_of).collect();
        let bytes = response.into_body().collect_bytes().await?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let body = match serde_json::from_str(&text) {
            Ok(value) => value,
            // A watch: a line for each event.
            Err(_) => {
                let lines: Result<Vec<Value>, _> = text.lines().map(serde_json::from_str).collect();
                lines.map_or(Value::String(text), Value::Array)
            }
        };
        self.note(&body);
        let body = without_bookmarks(body);
        Ok(Reply { code, media, warnings, body: support::normalize(body) })
    }

    pub(crate) async fn wait_for(&mut self, path: &str) -> anyhow::Result<()> {
        let get = format!("GET {path}");
        let served = argosy_tests::poll_until(PATIENCE, || async {
            let code = self.client.send(request(&get)?).await?.status();
            anyhow::ensure!(code.is_success(), "it answers {code}");
            Ok(())
        });
        served.await.map_err(|reason| anyhow::anyhow!("{path} is not served: {reason}"))
    }

    fn note(&mut self, body: &Value) {
        for (name, first, pointer) in [
            ("rv", Some("first-rv"), "/metadata/resourceVersion"),
            ("uid", Some("first-uid"), "/metadata/uid"),
            ("continue", None, "/metadata/continue"),
            ("token", None, "/status/token"),
        ] {
            let said = body.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
            let Some(said) = said else { continue };
            self.said.insert(name, said.to_owned());
            if let Some(first) = first {
                self.said.entry(first).or_insert_with(|| said.to_owned());
            }
        }
    }
}

/// When a server tells how far a watch is, is its own choice; that the initial events
/// are over is not.
fn without_bookmarks(body: Value) -> Value {
    let is_bookmark =
        |event: &Value| event["type"] == "BOOKMARK" && event.pointer("/object/metadata/annotations").is_none();
    match body {
        Value::Array(events) => events.into_iter().filter(|event| !is_bookmark(event)).collect(),
        other => other,
    }
}

fn request(step: &str) -> anyhow::Result<http::Request<Body>> {
    let mut words = step.splitn(3, ' ');
    let (how, path) = (words.next().context("a method")?, words.next().context("a path")?);
    let body = words.next().unwrap_or("").to_owned();
    let mut how = how.split('/');
    let method = how.next().context("a method")?;
    let (mut media, mut accept) = (Some("application/json"), "application/json");
    let mut request = http::Request::builder().method(method).uri(path).header("user-agent", "conformance/1");
    for word in how {
        match word {
            "yaml" => media = Some("application/yaml"),
            "jsonpatch" => media = Some("application/json-patch+json"),
            "merge" => media = Some("application/merge-patch+json"),
            "strategic" => media = Some("application/strategic-merge-patch+json"),
            "apply" => media = Some("application/apply-patch+yaml"),
            "proto" => media = Some("application/vnd.kubernetes.unknown"),
            "charset" => media = Some("application/json; charset=utf-8"),
            "text" => media = Some("text/plain"),
            "unsaid" => media = None,
            "meta" => accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
            "metaone" => accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
            "table" => accept = "application/json;as=Table;v=v1;g=meta.k8s.io",
            "kubectl" => accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
            "aggregated" => accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
            "anything" => accept = "*/*",
            "xml" => accept = "application/xml",
            "page" => accept = "text/html",
            // On behalf of somebody without any rights, or of an account.
            "guest" => request = request.header("impersonate-user", "guest"),
            user => {
                let user = user.strip_prefix("as:").with_context(|| format!("no such word: {user}"))?;
                request = request.header("impersonate-user", user);
            }
        }
    }
    if let Some(media) = media {
        request = request.header("content-type", media);
    }
    Ok(request.header("accept", accept).body(Body::from(body.into_bytes()))?)
}
