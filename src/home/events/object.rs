//! An event as Kubernetes stores it.

use std::collections::BTreeMap;

use argosy_model::names;
use argosy_proto::meta::Time;
use argosy_proto::resource::CustomResource;
use argosy_proto::v1alpha1::{AppProject, Application};
use serde_json::{Value, json};

use super::{Reason, Severity};

/// Longest name Kubernetes accepts, in bytes.
const MAX_NAME: usize = 253;
/// Longest message written, in bytes. The API has no bound of its own short of
/// the object's, and a sync can fail for thousands of reasons at once.
const MAX_MESSAGE: usize = 16 << 10;

/// What an event is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventSubject {
    /// `group/version`, or `version` of the core group.
    pub api_version: String,
    /// Kind in CamelCase.
    pub kind: String,
    /// Namespace, empty for cluster-scoped objects.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Uid.
    pub uid: String,
    /// Version.
    pub resource_version: String,
    /// Where the event itself is put.
    pub event_namespace: String,
    /// Further facts, kept as annotations of the event.
    pub facts: BTreeMap<String, String>,
}

/// One event on its way.
#[derive(Clone, Debug)]
pub struct Record {
    /// What it is about.
    pub subject: EventSubject,
    /// Labels of the event.
    pub labels: BTreeMap<String, String>,
    /// Whether it is fine.
    pub severity: Severity,
    /// What happened, in one word.
    pub reason: Reason,
    /// What happened, for people.
    pub message: String,
    /// Who tells it.
    pub component: String,
    /// When it happened.
    pub time: jiff::Timestamp,
    /// Tells events about one object apart.
    pub id: u64,
}

// === impl EventSubject ===

impl EventSubject {
    /// An application. `user` is who caused the event; empty where nobody did.
    pub fn application(app: &Application, user: &str) -> Self {
        let mut subject = Self::custom_resource(app, user);
        let destination = app.spec.as_ref().and_then(|spec| spec.destination.as_ref());
        let (server, namespace) = destination.map_or(("", ""), |d| (&d.server, &d.namespace));
        subject.facts.insert("dest-server".to_owned(), server.to_owned());
        subject.facts.insert("dest-namespace".to_owned(), namespace.to_owned());
        subject
    }

    /// A project.
    pub fn project(project: &AppProject, user: &str) -> Self {
        Self::custom_resource(project, user)
    }

    /// A managed resource: its events are put into `event_namespace`, for its own
    /// may be in another cluster.
    pub fn resource(object: &Value, event_namespace: &str, user: &str) -> Self {
        use argosy_model::object;
        let api_version = object.get("apiVersion").and_then(Value::as_str).unwrap_or("").to_owned();
        let kind = object.get("kind").and_then(Value::as_str).unwrap_or("").to_owned();
        let mut facts = user_fact(user);
        facts.insert("resource-namespace".to_owned(), object::namespace(object).to_owned());
        Self {
            api_version,
            kind,
            namespace: object::namespace(object).to_owned(),
            name: object::name(object).to_owned(),
            uid: object::uid(object).to_owned(),
            resource_version: object::resource_version(object).to_owned(),
            event_namespace: event_namespace.to_owned(),
            facts,
        }
    }

    fn custom_resource<T: CustomResource>(object: &T, user: &str) -> Self {
        let metadata = object.metadata();
        Self {
            api_version: names::API_VERSION.to_owned(),
            kind: T::KIND.to_owned(),
            namespace: metadata.namespace.clone(),
            name: metadata.name.clone(),
            uid: metadata.uid.clone(),
            resource_version: metadata.resource_version.clone(),
            event_namespace: metadata.namespace.clone(),
            facts: user_fact(user),
        }
    }
}

fn user_fact(user: &str) -> BTreeMap<String, String> {
    let fact = (!user.is_empty()).then(|| ("user".to_owned(), user.to_owned()));
    fact.into_iter().collect()
}

/// The `core/v1` Event.
pub fn event_object(record: &Record) -> Value {
    let Record { subject, labels, severity, reason, message, component, time, id } = record;
    let suffix = format!(".{id:x}");
    let name = cut(&subject.name, MAX_NAME - suffix.len()).trim_end_matches(['.', '-']);
    let time = Time::from(*time);
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": format!("{name}{suffix}"),
            "namespace": subject.event_namespace,
            "labels": labels,
            "annotations": subject.facts,
        },
        "involvedObject": {
            "apiVersion": subject.api_version,
            "kind": subject.kind,
            "namespace": subject.namespace,
            "name": subject.name,
            "uid": subject.uid,
            "resourceVersion": subject.resource_version,
        },
        "reason": reason.as_str(),
        "message": cut(message, MAX_MESSAGE),
        "source": {"component": component},
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
        "type": severity.as_str(),
    })
}

/// The text's beginning, at most so many bytes of it.
fn cut(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
