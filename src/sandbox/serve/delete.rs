//! delete and deletecollection: preconditions, finalizers, propagation, grace.

use std::sync::Arc;

use argosy_model::object;
use bytes::Bytes;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::api::{Api, Ask, EXTENSIONS};
use super::handle::Reply;
use super::select::Selection;
use super::{body, prepare, query, read, respond, write};
use crate::failure::{Failure, Fault};
use crate::hooks::{Admitted, Attributes};
use crate::kinds::{Decoded, decode_options as decode_struct, json_error, read_protobuf};
use crate::stamp;
use crate::store::{Object, ObjectKey, StoreError, UpdateError};

/// The finalizers by which dependants are waited for, or left alone.
const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";

/// What the body of a request is, by its definition.
const OPTIONS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";

const ATTEMPTS: usize = 64;

#[derive(Clone, Debug, Default)]
struct Options {
    propagation: Option<String>,
    grace: Option<i64>,
    uid: Option<String>,
    version: Option<String>,
    dry_run: bool,
}

enum Outcome {
    Gone(Arc<Object>),
    Marked(Arc<Object>),
}

// === impl Options ===

impl Options {
    fn read(ask: &Ask<'_>, body: &Bytes) -> Result<Self, Failure> {
        let body = if body.is_empty() {
            Value::Null
        } else {
            match ask.content_type {
                "" | "application/json" => serde_json::from_slice(body).map_err(|error| {
                    let why = json_error(body).unwrap_or_else(|| error.to_string());
                    Failure::bad_request(format!("couldn't get version/kind; json parse error: {why}"))
                })?,
                "application/yaml" => body::parse_yaml(body)?,
                "application/vnd.kubernetes.protobuf" => read_protobuf(body, |_, _| Some(OPTIONS))
                    .map_err(|error| Failure::bad_request(error.to_string()))?,
                _ => {
                    return Err(Failure::new(
                        StatusCode::UNSUPPORTED_MEDIA_TYPE,
                        "UnsupportedMediaType",
                        "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf",
                    ));
                }
            }
        };
        let kind = body.get("kind").and_then(Value::as_str).unwrap_or("");
        if !matches!(kind, "" | "DeleteOptions") {
            let version = body.get("apiVersion").and_then(Value::as_str).unwrap_or("");
            return Err(Failure::bad_request(format!(
                "no kind \"{kind}\" is registered for version \"{version}\" in scheme \"pkg/runtime/scheme.go:111\""
            )));
        }
        let read = decode_options(body)?;
        let body = read.value;
        let text = |path: &str| body.pointer(path).and_then(Value::as_str).map(str::to_owned);
        let from_query = |name: &str| Some(ask.query.get(name)).filter(|v| !v.is_empty()).map(str::to_owned);
        let orphan = body.get("orphanDependents").and_then(Value::as_bool);
        let orphan = orphan.or_else(|| from_query("orphanDependents").map(|v| v == "true"));
        let propagation = text("/propagationPolicy").or_else(|| from_query("propagationPolicy"));
        if let Some(policy) = &propagation
            && !matches!(policy.as_str(), "Foreground" | "Background" | "Orphan")
        {
            let known = ["\"Foreground\"", "\"Background\"", "\"Orphan\"", "\"nil\""].join(", ");
            let message = format!("Unsupported value: \"{policy}\": supported values: {known}");
            let fault = Fault { reason: "FieldValueNotSupported", field: "propagationPolicy".to_owned(), message };
            return Err(Failure::invalid_options("DeleteOptions", &[fault]));
        }
        if let (Some(policy), Some(_)) = (&propagation, orphan) {
            let detail = "orphanDependents and deletionPropagation cannot be both set";
            let fault = Fault::invalid("propagationPolicy", &policy.as_str().into(), detail);
            return Err(Failure::invalid_options("DeleteOptions", &[fault]));
        }
        let by_orphan = orphan.map(|orphan| if orphan { "Orphan" } else { "Background" }.to_owned());
        let stages: Vec<&str> =
            body.get("dryRun").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let dry_run = query::dry_run("DeleteOptions", &stages)?;
        Ok(Self {
            propagation: propagation.or(by_orphan),
            grace: body.get("gracePeriodSeconds").and_then(Value::as_i64).or(ask.query.number("gracePeriodSeconds")?),
            uid: text("/preconditions/uid"),
            version: text("/preconditions/resourceVersion"),
            dry_run: ask.dry_run || dry_run,
        })
    }

    fn check(&self, ask: &Ask<'_>, name: &str, object: &Object) -> Result<(), Failure> {
        if let Some(uid) = self.uid.as_ref().filter(|uid| *uid != object::uid(&object.value)) {
            let there = object::uid(&object.value);
            let why = format!(
                "the UID in the precondition ({uid}) does not match the UID in record ({there}). The object might have \
                 been deleted and then recreated"
            );
            return Err(Failure::conflict(ask.invalid_subject(name), &why));
        }
        if let Some(version) = self.version.as_ref().filter(|v| **v != object.version.to_string()) {
            let why = format!(
                "the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record ({}). \
                 The object might have been modified",
                object.version
            );
            return Err(Failure::conflict(ask.invalid_subject(name), &why));
        }
        Ok(())
    }
}

/// Reads them as the server's struct.
fn decode_options(body: Value) -> Result<Decoded, Failure> {
    decode_struct(body).map_err(|error| {
        let policy = "DeleteOptions.propagationPolicy of type ";
        let why = error.to_string().replace(&format!("{policy}string"), &format!("{policy}v1.DeletionPropagation"));
        Failure::bad_request(why)
    })
}

/// What is said of a Job's deletion that leaves its Pods behind.
const ORPHANS_PODS: &str = "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to \
                            remove them or set propagationPolicy=Orphan to suppress this warning";

pub(super) fn delete(api: &Arc<Api>, ask: &Ask<'_>, body: &Bytes) -> Result<Reply, Failure> {
    let mut options = Options::read(ask, body)?;
    // Jobs were so before there was a choice.
    let is_old_default = ask.kind.group == "batch" && ask.kind.plural == "jobs" && options.propagation.is_none();
    if is_old_default && api.store.get(&ask.key()).is_some_and(|found| !object::is_deleting(&found.value)) {
        options.propagation = Some("Orphan".to_owned());
    }
    let outcome = delete_one(api, ask, &ask.key(), &options)?;
    let (object, code) = match &outcome {
        Outcome::Gone(object) | Outcome::Marked(object) => (object, StatusCode::OK),
    };
    let version = (!options.dry_run).then_some(object.version);
    let response = match &outcome {
        Outcome::Gone(object) if !returns_object(ask) => {
            let mut details = Map::new();
            details.insert("name".to_owned(), ask.route.name.into());
            if !ask.kind.group.is_empty() {
                details.insert("group".to_owned(), ask.kind.group.as_str().into());
            }
            details.insert("kind".to_owned(), ask.kind.plural.as_str().into());
            details.insert("uid".to_owned(), object::uid(&object.value).into());
            let status =
                json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details});
            super::respond::object(code, &status)
        }
        _ => read::stored(api, ask, code, &object.value),
    };
    let mut response = response;
    if is_old_default {
        respond::warn(&mut response, &[ORPHANS_PODS.to_owned()]);
    }
    Ok(Reply { response, version })
}

/// Kinds whose deletion answers with the object even when it is gone at once.
fn returns_object(ask: &Ask<'_>) -> bool {
    let is_of_storage = ask.kind.group == "storage.k8s.io" && ask.kind.plural != "csistoragecapacities";
    is_of_storage
        || ask.kind.group.is_empty()
            && matches!(
                ask.kind.plural.as_str(),
                "pods"
                    | "services"
                    | "persistentvolumeclaims"
                    | "persistentvolumes"
                    | "serviceaccounts"
                    | "resourcequotas"
                    | "podtemplates"
                    | "namespaces"
            )
}

pub(super) fn delete_collection(api: &Arc<Api>, ask: &Ask<'_>, body: &Bytes) -> Result<Reply, Failure> {
    let options = Options::read(ask, body)?;
    let selection = Selection::parse(&ask.kind, ask.query.get("labelSelector"), ask.query.get("fieldSelector"))?;
    let namespace = Some(ask.namespace()).filter(|n| !n.is_empty());
    let (objects, mut version) = api.store.list(ask.storage_group(), &ask.kind.plural, namespace);
    let mut items = Vec::new();
    for found in objects.iter().filter(|o| selection.matches(&o.value)) {
        let key = ObjectKey::new(
            ask.storage_group(),
            &ask.kind.plural,
            object::namespace(&found.value),
            object::name(&found.value),
        );
        match delete_one(api, ask, &key, &options) {
            Ok(Outcome::Gone(object) | Outcome::Marked(object)) => {
                version = version.max(object.version);
                items.push(read::without_type(ask.present(&found.value).into_owned(), ask));
            }
            Err(failure) if failure.code == StatusCode::NOT_FOUND => {}
            Err(failure) => return Err(failure),
        }
    }
    let mut list = json!({
        "kind": ask.kind.list_kind, "apiVersion": ask.kind.api_version(),
        "metadata": {"resourceVersion": version.to_string()}, "items": items,
    });
    if ask.kind.custom.is_some() {
        list["metadata"]["continue"] = "".into();
    }
    Ok(Reply { response: super::respond::object(StatusCode::OK, &list), version: Some(version) })
}

fn delete_one(api: &Arc<Api>, ask: &Ask<'_>, key: &ObjectKey, options: &Options) -> Result<Outcome, Failure> {
    let not_found = || Failure::not_found(ask.subject(&key.name));
    for _ in 0..ATTEMPTS {
        let found = api.store.get(key).ok_or_else(not_found)?;
        options.check(ask, &key.name, &found)?;
        let attributes = Attributes { verb: "delete".to_owned(), name: key.name.to_string(), ..ask.attributes.clone() };
        let admitted =
            Admitted { caller: ask.caller, attributes: &attributes, old: Some(&found.value), dry_run: options.dry_run };
        api.hooks.admission.admit(&admitted, &mut found.value.clone())?;
        let marked = mark(api, ask, &found.value, options);
        if options.dry_run {
            return Ok(match marked {
                Some(value) => Outcome::Marked(Arc::new(Object::new(value, found.version))),
                None => Outcome::Gone(found),
            });
        }
        let done = match marked {
            // Already being deleted, and nothing new to say.
            Some(value) if value == *found.value => return Ok(Outcome::Marked(found)),
            Some(value) => match api.store.update(key, Some(found.version), |_| Ok::<_, ()>(Some(value))) {
                Ok(object) if api.store.get(key).is_none() => Ok(Outcome::Gone(object)),
                Ok(object) => Ok(Outcome::Marked(object)),
                Err(UpdateError::Store(error)) => Err(error),
                Err(UpdateError::Refused(())) => Err(StoreError::NotFound),
            },
            None => api.store.delete(key, Some(found.version)).map(|gone| Outcome::Gone(ended(api, ask, gone))),
        };
        match done {
            Ok(outcome) => {
                if let Outcome::Gone(object) = &outcome {
                    after_delete(api, ask, &object.value);
                }
                return Ok(outcome);
            }
            Err(StoreError::Conflict { .. } | StoreError::NotFound) => {}
            Err(error) => return Err(write::refused(ask, &error)),
        }
    }
    Err(Failure::modified(ask.subject(&key.name)))
}

/// The object marked for deletion, or `None` when it can go at once.
fn mark(api: &Api, ask: &Ask<'_>, found: &Value, options: &Options) -> Option<Value> {
    let mut value = found.clone();
    let is_deleting = object::is_deleting(found);
    let mut finalizers: Vec<String> = object::finalizers(found).map(str::to_owned).collect();
    let before = finalizers.clone();
    if let Some(policy) = &options.propagation {
        finalizers.retain(|f| f != FOREGROUND && f != ORPHAN);
        match policy.as_str() {
            "Foreground" => finalizers.push(FOREGROUND.to_owned()),
            "Orphan" => finalizers.push(ORPHAN.to_owned()),
            _ => {}
        }
    }
    let grace = grace_of(ask, found, options);
    let is_namespace = ask.kind.group.is_empty() && ask.kind.plural == "namespaces";
    let waits =
        is_namespace && value.pointer("/spec/finalizers").and_then(Value::as_array).is_some_and(|f| !f.is_empty());
    if finalizers.is_empty() && grace == 0 && !waits {
        return None;
    }
    let metadata = object::metadata(&mut value)?;
    if finalizers != before {
        if finalizers.is_empty() {
            metadata.remove("finalizers");
        } else {
            metadata.insert("finalizers".to_owned(), json!(finalizers));
        }
    }
    let shortened = metadata.get("deletionGracePeriodSeconds").and_then(Value::as_i64).is_some_and(|g| grace < g);
    if !is_deleting || shortened {
        let at = api.stamps.timestamp() + jiff::SignedDuration::from_secs(grace);
        metadata.insert("deletionTimestamp".to_owned(), stamp::seconds(at).into());
        if !is_namespace {
            metadata.insert("deletionGracePeriodSeconds".to_owned(), grace.into());
        }
        if !is_deleting && prepare::has_generation(&ask.kind) {
            let generation = metadata.get("generation").and_then(Value::as_i64).unwrap_or(0);
            metadata.insert("generation".to_owned(), (generation + 1).into());
        }
    }
    if is_namespace {
        value["status"]["phase"] = "Terminating".into();
    }
    Some(value)
}

/// A Pod that goes at once is shown as one that has ended.
fn ended(api: &Api, ask: &Ask<'_>, gone: Arc<Object>) -> Arc<Object> {
    if !(ask.kind.group.is_empty() && ask.kind.plural == "pods") {
        return gone;
    }
    let mut value = gone.value.clone();
    if let Some(metadata) = object::metadata(&mut value) {
        if !metadata.contains_key("deletionTimestamp") {
            metadata.insert("deletionTimestamp".to_owned(), stamp::seconds(api.stamps.timestamp()).into());
            let generation = metadata.get("generation").and_then(Value::as_i64).unwrap_or(0);
            metadata.insert("generation".to_owned(), (generation + 1).into());
        }
        metadata.insert("deletionGracePeriodSeconds".to_owned(), 0.into());
    }
    Arc::new(Object::new(value, gone.version))
}

/// Seconds a Pod on a node has to end; everything else has none.
fn grace_of(ask: &Ask<'_>, found: &Value, options: &Options) -> i64 {
    if !(ask.kind.group.is_empty() && ask.kind.plural == "pods") {
        return 0;
    }
    let text = |path: &str| found.pointer(path).and_then(Value::as_str).unwrap_or("");
    if text("/spec/nodeName").is_empty() || matches!(text("/status/phase"), "Succeeded" | "Failed") {
        return 0;
    }
    let own = found.pointer("/spec/terminationGracePeriodSeconds").and_then(Value::as_i64).unwrap_or(30);
    options.grace.unwrap_or(own).max(0)
}

/// With a definition go the objects it defined.
fn after_delete(api: &Api, ask: &Ask<'_>, gone: &Value) {
    if ask.kind.group != EXTENSIONS {
        return;
    }
    let text = |path: &str| gone.pointer(path).and_then(Value::as_str).unwrap_or("").to_owned();
    let (group, plural) = (text("/spec/group"), text("/spec/names/plural"));
    for found in api.store.list(&group, &plural, None).0 {
        let key = ObjectKey::new(&group, &plural, object::namespace(&found.value), object::name(&found.value));
        // Somebody else may have been faster, which is as well.
        drop(api.store.delete(&key, None));
    }
    api.kinds.define(object::name(gone), Vec::new());
}
