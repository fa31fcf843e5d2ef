//! create, update and patch: from a body to a stored object.

use std::sync::Arc;

use argosy_model::object;
use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

use super::api::{Api, Ask, EXTENSIONS};
use super::body::{check_namespace, decode, read_object};
use super::handle::Reply;
use super::own::own;
use super::patch::{self, Patch};
use super::{prepare, read, respond, validate};
use crate::failure::{Failure, Fault};
use crate::hooks::{Admitted, Attributes};
use crate::kinds::{convert, custom};
use crate::store::{Object, StoreError, UpdateError};

/// How often a write that names no version is tried again when others are faster.
const ATTEMPTS: usize = 64;

/// How often another generated name is tried.
const NAMES: usize = 8;

/// A new state on its way to the store.
pub(super) struct Draft {
    /// The whole object in the request's version.
    pub(super) value: Value,
    /// What was applied, for a server-side apply.
    pub(super) applied: Option<Value>,
}

pub(super) fn create(api: &Arc<Api>, ask: &Ask<'_>, body: &Bytes) -> Result<Reply, Failure> {
    if !ask.route.name.is_empty() {
        return Err(Failure::method_not_allowed());
    }
    let value = read_object(ask, body)?;
    create_from(api, ask, Draft { value, applied: None }, sent(ask, body))
}

/// The body, where it holds the whole object as JSON.
fn sent<'b>(ask: &Ask<'_>, body: &'b Bytes) -> Option<&'b Bytes> {
    matches!(ask.content_type, "" | "application/json").then_some(body)
}

/// Stores a new object.
fn create_from(api: &Arc<Api>, ask: &Ask<'_>, draft: Draft, sent: Option<&Bytes>) -> Result<Reply, Failure> {
    let Draft { mut value, applied } = draft;
    check_namespace(ask, &mut value)?;
    if applied.is_some() {
        if let Some(metadata) = object::metadata(&mut value) {
            metadata.remove("resourceVersion");
        }
    } else if !object::resource_version(&value).is_empty() {
        let message = "resourceVersion should not be set on objects to be created";
        return Err(Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "", message));
    }
    let mut warnings = Vec::new();
    let is_labelled = object::get(&value, &["metadata", "labels"]).is_some();
    // All of it is read, whatever of it is kept.
    let mut value = decode(ask, value, sent, &mut warnings)?;
    if prepare::strip_for_create(&ask.kind, &mut value) {
        value = decode(ask, value, None, &mut Vec::new())?;
    }
    let prefix = object::generate_name(&value).to_owned();
    let generated = object::name(&value).is_empty() && !prefix.is_empty();
    let mut attempt = 0;
    loop {
        attempt += 1;
        let mut candidate = value.clone();
        // Before the server completes it: what it allocates belongs to nobody.
        own(api, ask, None, &mut candidate, applied.as_ref())?;
        api.stamps.stamp(&mut candidate);
        let name = object::name(&candidate).to_owned();
        prepare::before_create(api, &ask.kind, &mut candidate, is_labelled);
        let attributes = Attributes { verb: "create".to_owned(), name: name.clone(), ..ask.attributes.clone() };
        let admitted = Admitted { caller: ask.caller, attributes: &attributes, old: None, dry_run: ask.dry_run };
        api.hooks.admission.admit(&admitted, &mut candidate)?;
        let faults = validate::create(&ask.kind, &candidate);
        if !faults.is_empty() {
            return Err(Failure::invalid(ask.invalid_subject(&name), &faults));
        }
        let key = ask.key_of(&name);
        if let Some(there) = api.store.get(&key) {
            if generated && attempt < NAMES {
                continue;
            }
            let mut failure = Failure::exists(ask.subject(&name));
            if object::is_deleting(&there.value) {
                failure.message = format!("object is being deleted: {}", failure.message);
            }
            return Err(failure);
        }
        warnings.extend(validate::warnings(&ask.kind, &candidate));
        if ask.dry_run {
            return Ok(reply(api, ask, StatusCode::CREATED, &candidate, None, &warnings));
        }
        match api.store.create(&key, to_storage(api, ask, candidate)) {
            Ok(stored) => {
                after_write(api, ask, &stored.value);
                return Ok(stored_reply(api, ask, StatusCode::CREATED, &stored, &warnings));
            }
            Err(StoreError::Exists) if generated && attempt < NAMES => {}
            Err(StoreError::Exists) => return Err(Failure::exists(ask.subject(&name))),
            Err(error) => return Err(refused(ask, &error)),
        }
    }
}

pub(super) fn update(api: &Arc<Api>, ask: &Ask<'_>, body: &Bytes) -> Result<Reply, Failure> {
    let given = read_object(ask, body)?;
    let sent = sent(ask, body);
    let name = object::name(&given);
    if name.is_empty() {
        return Err(Failure::bad_request(format!(
            "the name of the object ({} based on URL) was undeterminable: name must be provided",
            ask.route.name
        )));
    }
    if name != ask.route.name {
        return Err(Failure::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            ask.route.name
        )));
    }
    let mut given = given;
    check_namespace(ask, &mut given)?;
    if creates_on_update(ask) && api.store.get(&ask.key()).is_none() {
        if let Some(metadata) = object::metadata(&mut given) {
            metadata.remove("resourceVersion");
        }
        return create_from(api, ask, Draft { value: given, applied: None }, sent);
    }
    change_sent(api, ask, sent, |_| Ok(Draft { value: given.clone(), applied: None }))
}

/// Kinds of which an update makes what is not there.
fn creates_on_update(ask: &Ask<'_>) -> bool {
    ask.route.subresource.is_empty()
        && matches!(
            (&*ask.kind.group, &*ask.kind.plural),
            ("", "endpoints" | "events" | "limitranges" | "services")
                | ("coordination.k8s.io", "leases")
                | ("events.k8s.io", "events")
                | ("node.k8s.io", "runtimeclasses")
                | ("rbac.authorization.k8s.io", _)
        )
}

/// Kinds of which an update has to say what it is an update of.
fn needs_version(ask: &Ask<'_>) -> bool {
    ask.kind.custom.is_some()
        || matches!(
            (&*ask.kind.group, &*ask.kind.plural),
            ("coordination.k8s.io", "leases")
                | ("node.k8s.io", "runtimeclasses")
                | ("storage.k8s.io", "csidrivers" | "csinodes" | "volumeattachments" | "csistoragecapacities")
                | ("admissionregistration.k8s.io", _)
        )
}

pub(super) fn patch(api: &Arc<Api>, ask: &Ask<'_>, body: &Bytes) -> Result<Reply, Failure> {
    let patch = Patch::read(ask, body)?;
    if let Patch::Apply(applied) = &patch
        && api.store.get(&ask.key()).is_none()
    {
        if !ask.route.subresource.is_empty() {
            return Err(ask.not_found());
        }
        let uid = object::uid(applied);
        if !uid.is_empty() {
            return Err(Failure::conflict(
                ask.subject(ask.route.name),
                &format!("uid mismatch: the provided object specified uid {uid}, and no existing object was found"),
            ));
        }
        let mut value = applied.clone();
        if let Some(metadata) = object::metadata(&mut value) {
            metadata.insert("name".to_owned(), ask.route.name.into());
        }
        return create_from(api, ask, Draft { value, applied: Some(applied.clone()) }, None);
    }
    change(api, ask, |current| patch::apply(ask, &patch, current))
}

/// Turns the current state into another, as often as it takes.
pub(super) fn change(
    api: &Arc<Api>,
    ask: &Ask<'_>,
    make: impl Fn(&Value) -> Result<Draft, Failure>,
) -> Result<Reply, Failure> {
    change_sent(api, ask, None, make)
}

fn change_sent(
    api: &Arc<Api>,
    ask: &Ask<'_>,
    sent: Option<&Bytes>,
    make: impl Fn(&Value) -> Result<Draft, Failure>,
) -> Result<Reply, Failure> {
    let key = ask.key();
    for _ in 0..ATTEMPTS {
        let current = api.store.get(&key).ok_or_else(|| ask.not_found())?;
        let old = ask.present(&current.value);
        let draft = make(&old)?;
        let asked = object::resource_version(&draft.value).to_owned();
        let is_bound = !asked.is_empty() && asked != "0" && draft.applied.is_none();
        if is_bound && asked.parse::<u64>().is_err() {
            let why = format!("strconv.ParseUint: parsing \"{asked}\": invalid syntax");
            return Err(Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "", why));
        }
        if is_bound && asked != object::resource_version(&old) {
            return Err(Failure::modified(ask.subject(ask.route.name)));
        }
        if asked.is_empty() && needs_version(ask) && ask.attributes.verb == "update" {
            let fault = Fault::invalid("metadata.resourceVersion", &0.into(), "must be specified for an update");
            return Err(Failure::invalid(ask.subject(ask.route.name), &[fault]));
        }
        let mut warnings = Vec::new();
        let new = finish(api, ask, &old, draft, sent, &mut warnings)?;
        if ask.dry_run || new == *old {
            let version = (!ask.dry_run).then_some(current.version);
            return Ok(reply(api, ask, StatusCode::OK, &new, version, &warnings));
        }
        let stored = to_storage(api, ask, new);
        match api.store.update(&key, Some(current.version), |_| Ok::<_, Failure>(Some(stored))) {
            Ok(stored) => {
                after_write(api, ask, &stored.value);
                return Ok(stored_reply(api, ask, StatusCode::OK, &stored, &warnings));
            }
            Err(UpdateError::Store(StoreError::Conflict { .. } | StoreError::NotFound)) => {}
            Err(UpdateError::Store(error)) => return Err(refused(ask, &error)),
            Err(UpdateError::Refused(failure)) => return Err(failure),
        }
    }
    Err(Failure::modified(ask.subject(ask.route.name)))
}

/// From what the caller wants to what is stored.
fn finish(
    api: &Api,
    ask: &Ask<'_>,
    old: &Value,
    draft: Draft,
    sent: Option<&Bytes>,
    warnings: &mut Vec<String>,
) -> Result<Value, Failure> {
    let Draft { value, applied } = draft;
    for field in ["uid", "deletionTimestamp"] {
        let given = value.pointer(&format!("/metadata/{field}")).filter(|given| !given.is_null());
        let is_checked = field != "uid" || (ask.attributes.verb == "patch" && applied.is_none());
        if let Some(given) = given
            && is_checked
            && *given != json!("")
            && old.pointer(&format!("/metadata/{field}")) != Some(given)
        {
            let fault = Fault::invalid(format!("metadata.{field}"), given, "field is immutable");
            return Err(Failure::invalid(ask.invalid_subject(ask.route.name), &[fault.clone(), fault]));
        }
    }
    let uid = object::uid(&value).to_owned();
    if !uid.is_empty() && uid != object::uid(old) {
        let place = [&*ask.kind.plural, ask.namespace(), ask.route.name];
        let place: Vec<&str> = place.into_iter().filter(|part| !part.is_empty()).collect();
        let why = format!(
            "StorageError: invalid object, Code: 4, Key: /registry/{}, ResourceVersion: 0, AdditionalErrorMsg: \
             Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            place.join("/"),
            object::uid(old)
        );
        return Err(Failure::conflict(ask.subject(ask.route.name), &why));
    }
    let mut new = decode(ask, value, sent, warnings)?;
    prepare::keep_identity(old, &mut new);
    own(api, ask, Some(old), &mut new, applied.as_ref())?;
    prepare::before_update(api, &ask.kind, ask.route.subresource, old, &mut new);
    let attributes = Attributes { verb: "update".to_owned(), ..ask.attributes.clone() };
    let admitted = Admitted { caller: ask.caller, attributes: &attributes, old: Some(old), dry_run: ask.dry_run };
    api.hooks.admission.admit(&admitted, &mut new)?;
    let faults = validate::update(&ask.kind, ask.route.subresource, old, &new);
    if !faults.is_empty() {
        return Err(Failure::invalid(ask.invalid_subject(ask.route.name), &faults));
    }
    warnings.extend(validate::warnings(&ask.kind, &new));
    Ok(new)
}

fn to_storage(api: &Api, ask: &Ask<'_>, mut value: Value) -> Value {
    if let Some(fields) = value.as_object_mut() {
        fields.insert("apiVersion".to_owned(), ask.kind.api_version().into());
        fields.insert("kind".to_owned(), ask.kind.kind.as_str().into());
    }
    if ask.kind.version == ask.kind.storage_version {
        return value;
    }
    // Another version of the same kind has everything but the name in common.
    let mut converted = value.clone();
    if let Some(fields) = converted.as_object_mut() {
        fields.insert("apiVersion".to_owned(), ask.kind.storage_api_version().into());
    }
    match (&*ask.kind.group, &*ask.kind.version, &*ask.kind.storage_version) {
        ("autoscaling", "v1", "v2") => match crate::kinds::Kinds::new().find("autoscaling", "v2", &ask.kind.plural) {
            Some(kind) => convert(value, &kind),
            None => converted,
        },
        _ if ask.kind.custom.is_some() => {
            // What the stored version completes is there from the beginning.
            let stored = api.kinds.find(&ask.kind.group, &ask.kind.storage_version, &ask.kind.plural);
            let read = stored.and_then(|kind| kind.decode(converted.clone()).ok());
            read.map_or(converted, |read| read.value)
        }
        _ => converted,
    }
}

/// What a stored definition defines is served at once, and its status says so.
fn after_write(api: &Api, ask: &Ask<'_>, stored: &Value) {
    if ask.kind.group != EXTENSIONS {
        return;
    }
    let now = api.stamps.now();
    let accepted = api.store.update(&ask.key_of(object::name(stored)), None, |current| {
        let mut definition = current.clone();
        custom::accept(&mut definition, &now);
        Ok::<_, std::convert::Infallible>(Some(definition))
    });
    match accepted {
        Ok(definition) if !object::is_deleting(&definition.value) => api.define(&definition.value),
        // Deleted meanwhile.
        _ => {}
    }
}

pub(super) fn refused(ask: &Ask<'_>, error: &StoreError) -> Failure {
    match error {
        StoreError::Exists => Failure::exists(ask.subject(ask.route.name)),
        StoreError::NotFound => ask.not_found(),
        StoreError::Conflict { .. } => Failure::modified(ask.subject(ask.route.name)),
        StoreError::TooDeep => Failure::bad_request(error.to_string()),
        StoreError::Disk => Failure::internal("the state can no longer be written to disk"),
    }
}

/// The answer to a write that was made.
fn stored_reply(api: &Api, ask: &Ask<'_>, code: StatusCode, stored: &Object, warnings: &[String]) -> Reply {
    let mut response = read::stored(api, ask, code, &stored.value);
    respond::warn(&mut response, warnings);
    Reply { response, version: Some(stored.version) }
}

/// The answer to one that was not.
fn reply(
    api: &Api,
    ask: &Ask<'_>,
    code: StatusCode,
    value: &Value,
    version: Option<u64>,
    warnings: &[String],
) -> Reply {
    let mut response = read::one(api, ask, code, value);
    respond::warn(&mut response, warnings);
    Reply { response, version }
}
