//! get and list.

use std::borrow::Cow;
use std::sync::Arc;

use argosy_model::object;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::api::{Api, Ask, present_text};
use super::handle::Reply;
use super::respond::{self, Form};
use super::select::Selection;
use crate::failure::{Failure, Fault};
use crate::store::{Json, Object, TooOld};

pub(super) fn get(api: &Api, ask: &Ask<'_>) -> Result<Reply, Failure> {
    version_option(ask)?;
    let found = api.store.get(&ask.key()).ok_or_else(|| ask.not_found())?;
    Ok(stored(api, ask, StatusCode::OK, &found.value).into())
}

/// A stored object in the form that was asked for.
pub(super) fn stored(api: &Api, ask: &Ask<'_>, code: StatusCode, object: &Json) -> http::Response<respond::Body> {
    match ask.form {
        Form::Plain => respond::json(code, present_text(&ask.kind, object)),
        Form::Metadata | Form::Table => one(api, ask, code, &ask.present(object)),
    }
}

/// An object in the form that was asked for.
pub(super) fn one(api: &Api, ask: &Ask<'_>, code: StatusCode, value: &Value) -> http::Response<respond::Body> {
    match ask.form {
        Form::Plain => respond::object(code, value),
        Form::Metadata => respond::object(code, &respond::metadata_of(value)),
        Form::Table => {
            let mut table = table(api, ask, &[value]);
            table["metadata"] = json!({"resourceVersion": object::resource_version(value)});
            respond::object(code, &table)
        }
    }
}

/// A table of objects.
pub(super) fn table(api: &Api, ask: &Ask<'_>, objects: &[&Value]) -> Value {
    let include = match ask.query.get("includeObject") {
        "" => "Metadata",
        include => include,
    };
    let columns = ask.kind.custom.as_ref().map(|c| c.columns.as_ref().unwrap_or(&Value::Null));
    let made = api.hooks.tables.table(&ask.kind.group, &ask.kind.kind, objects, columns, include);
    made.unwrap_or_else(|| respond::plain_table(objects, include))
}

/// Where the next page begins.
struct Page {
    version: u64,
    /// Namespace and name of the last object that was given.
    after: (String, String),
}

pub(super) fn list(api: &Arc<Api>, ask: &Ask<'_>) -> Result<Reply, Failure> {
    ask.query.number("timeoutSeconds")?;
    check_options(ask)?;
    let include = ask.query.get("includeObject");
    if ask.form == Form::Table && !matches!(include, "" | "None" | "Metadata" | "Object") {
        return Err(Failure::bad_request(format!(
            "Unable to convert to Table as requested: includeObject: Invalid value: \"{include}\": must be 'Metadata', \
             'Object', 'None', or empty"
        )));
    }
    let selection = Selection::parse(&ask.kind, ask.query.get("labelSelector"), ask.query.get("fieldSelector"))?;
    if ask.form == Form::Metadata && ask.is_single {
        let package = ask.kind.group.split('.').next().filter(|name| !name.is_empty()).unwrap_or("core");
        let message = format!(
            "you requested PartialObjectMetadata, but the requested object is a list (*{package}.{})",
            ask.kind.list_kind
        );
        return Err(Failure::new(StatusCode::NOT_ACCEPTABLE, "NotAcceptable", message));
    }
    let limit = ask.query.number("limit")?.filter(|l| *l > 0).and_then(|l| usize::try_from(l).ok());
    let page = match ask.query.get("continue") {
        "" => None,
        token => Some(Page::read(token).ok_or_else(|| unreadable_page(token))?),
    };
    let (objects, version) = snapshot(api, ask, page.as_ref())?;
    let mut selected: Vec<Arc<Object>> = objects.into_iter().filter(|o| selection.matches(&o.value)).collect();
    let place = |o: &Object| (object::namespace(&o.value).to_owned(), object::name(&o.value).to_owned());
    let start = page.map_or(0, |page| selected.partition_point(|o| place(o) <= page.after));
    let mut given = selected.split_off(start);
    let all = given.len();
    given.truncate(limit.unwrap_or(all));
    let mut metadata = Map::new();
    metadata.insert("resourceVersion".to_owned(), version.to_string().into());
    if let Some(last) = given.last().filter(|_| given.len() < all) {
        metadata.insert("continue".to_owned(), Page { version, after: place(last) }.write().into());
        if selection.is_everything() {
            metadata.insert("remainingItemCount".to_owned(), (all - given.len()).into());
        }
    }
    // Lists of custom resources always say where they go on.
    if ask.kind.custom.is_some() && !metadata.contains_key("continue") && ask.form == Form::Plain {
        metadata.insert("continue".to_owned(), "".into());
    }
    Ok(list_response(api, ask, given, &metadata).into())
}

fn list_response(
    api: &Api,
    ask: &Ask<'_>,
    objects: Vec<Arc<Object>>,
    metadata: &Map<String, Value>,
) -> http::Response<respond::Body> {
    let value = match ask.form {
        Form::Table => {
            let items: Vec<Cow<'_, Value>> = objects.iter().map(|object| ask.present(&object.value)).collect();
            let mut table = table(api, ask, &items.iter().map(|item| &**item).collect::<Vec<_>>());
            table["metadata"] = json!(metadata);
            table
        }
        Form::Metadata => {
            let metadata_of = |object: Arc<Object>| respond::metadata_of(&ask.present(&object.value));
            let items: Vec<Value> = objects.into_iter().map(metadata_of).collect();
            let items = if items.is_empty() { Value::Null } else { items.into() };
            json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "items": items})
        }
        Form::Plain => return respond::json(StatusCode::OK, list_text(ask, objects, metadata)),
    };
    respond::object(StatusCode::OK, &value)
}

/// A list as text, for which one object after the other is read and let go.
fn list_text(ask: &Ask<'_>, objects: Vec<Arc<Object>>, metadata: &Map<String, Value>) -> String {
    let mut text = format!("{{\"apiVersion\":{},\"items\":[", json!(ask.kind.api_version()));
    for (place, object) in objects.into_iter().enumerate() {
        if place > 0 {
            text.push(',');
        }
        if ask.kind.custom.is_some() {
            text.push_str(&present_text(&ask.kind, &object.value));
        } else {
            text.push_str(&without_type(ask.present(&object.value).into_owned(), ask).to_string());
        }
    }
    text.push_str(&format!("],\"kind\":{},\"metadata\":{}}}", json!(ask.kind.list_kind), json!(metadata)));
    text
}

/// Items of the API server's own lists do not repeat their type.
pub(super) fn without_type(mut item: Value, ask: &Ask<'_>) -> Value {
    if ask.kind.custom.is_none()
        && let Some(fields) = item.as_object_mut()
    {
        fields.remove("apiVersion");
        fields.remove("kind");
    }
    item
}

fn snapshot(api: &Api, ask: &Ask<'_>, page: Option<&Page>) -> Result<(Vec<Arc<Object>>, u64), Failure> {
    let (group, plural) = (ask.storage_group(), &*ask.kind.plural);
    let namespace = Some(ask.namespace()).filter(|n| !n.is_empty());
    if let Some(page) = page {
        let objects = api.store.list_at(group, plural, namespace, page.version).map_err(|_| {
            Failure::expired(
                "The provided continue parameter is too old to display a consistent list result. You can start a new list \
                 without the continue parameter, or use the continue token in this response to retrieve the remainder of \
                 the results. Continuing with the provided token results in an inconsistent list - objects that were \
                 created, modified, or deleted between the time the first chunk was returned and now may show up in the \
                 list.",
            )
        })?;
        return Ok((objects, page.version));
    }
    let asked = version_option(ask)?;
    let current = api.store.version();
    let matching = ask.query.get("resourceVersionMatch");
    match asked {
        Some(version) if version > current => Err(too_large(version, current)),
        Some(version) if matching == "Exact" => {
            let too_old = |old: TooOld| {
                Failure::expired(format!("The resourceVersion for the provided list is too old. ({})", old.asked))
            };
            Ok((api.store.list_at(group, plural, namespace, version).map_err(too_old)?, version))
        }
        _ => Ok(api.store.list(group, plural, namespace)),
    }
}

/// What is wrong with how a list's version is asked for.
fn check_options(ask: &Ask<'_>) -> Result<(), Failure> {
    let option = |name: &str| ask.query.get(name);
    let (matching, version) = (option("resourceVersionMatch"), option("resourceVersion"));
    let mut faults = Vec::new();
    let mut refuse = |detail: &str| faults.push(Fault::forbidden("resourceVersionMatch", detail));
    if !matching.is_empty() {
        if version.is_empty() {
            refuse("resourceVersionMatch is forbidden unless resourceVersion is provided");
        }
        if !option("continue").is_empty() {
            refuse("resourceVersionMatch is forbidden when continue is provided");
        }
        if matching == "Exact" && version == "0" {
            refuse("resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
        }
        if !matches!(matching, "Exact" | "NotOlderThan") {
            let message =
                format!("Unsupported value: \"{matching}\": supported values: \"Exact\", \"NotOlderThan\", \"\"");
            let field = "resourceVersionMatch".to_owned();
            faults.push(Fault { reason: "FieldValueNotSupported", field, message });
        }
    }
    if ask.query.flag("sendInitialEvents").is_some() {
        faults.push(Fault::forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"));
    }
    if !faults.is_empty() {
        return Err(Failure::invalid_options("ListOptions", &faults));
    }
    if !option("continue").is_empty() && !matches!(version, "" | "0") {
        return Err(Failure::bad_request("specifying resource version is not allowed when using continue"));
    }
    Ok(())
}

/// The version a list or watch names; `None` when it names none.
pub(super) fn version_option(ask: &Ask<'_>) -> Result<Option<u64>, Failure> {
    match ask.query.get("resourceVersion") {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| {
            let what = format!(
                "resourceVersion: Invalid value: \"{text}\": strconv.ParseUint: parsing \"{text}\": invalid syntax"
            );
            if ask.attributes.verb == "list" {
                Failure::bad_request(format!("invalid resource version: {what}"))
            } else {
                Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "", what)
            }
        }),
    }
}

/// 504 of a version from the future.
pub(super) fn too_large(asked: u64, current: u64) -> Failure {
    let message = format!("Timeout: Too large resource version: {asked}, current: {current}");
    let details = json!({"causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}], "retryAfterSeconds": 1});
    Failure { details: Some(details), ..Failure::new(StatusCode::GATEWAY_TIMEOUT, "Timeout", message) }
}

fn unreadable_page(token: &str) -> Failure {
    let bytes = BASE64.decode(token.trim_end_matches('=')).unwrap_or_default();
    let why = match bytes.first() {
        None => "unexpected end of JSON input".to_owned(),
        Some(byte) if byte.is_ascii_graphic() => {
            format!("invalid character '{}' looking for beginning of value", char::from(*byte))
        }
        Some(byte) => format!("invalid character '\\u{byte:04x}' looking for beginning of value"),
    };
    Failure::bad_request(format!("invalid continue token: continue key is not valid: {why}"))
}

impl Page {
    fn write(&self) -> String {
        let text = json!({"v": "meta.k8s.io/v1", "rv": self.version, "start": [self.after.0, self.after.1]});
        BASE64.encode(text.to_string())
    }

    fn read(token: &str) -> Option<Self> {
        let bytes = BASE64.decode(token.trim_end_matches('=')).ok()?;
        let value: Value = serde_json::from_slice(&bytes).ok()?;
        let text = |i: usize| value.get("start")?.get(i)?.as_str().map(str::to_owned);
        Some(Self { version: value.get("rv")?.as_u64()?, after: (text(0)?, text(1)?) })
    }
}
