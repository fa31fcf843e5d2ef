//! What every request needs.

use std::borrow::Cow;
use std::sync::Arc;

use argosy_model::object;
use serde_json::Value;

use super::metrics::Requests;
use super::query::Query;
use super::respond::Form;
use super::route::ResourceRoute;
use crate::failure::{Failure, Subject};
use crate::hooks::{Attributes, Caller, Hooks};
use crate::kinds::{Kind, Kinds, convert, custom};
use crate::stamp::Stamps;
use crate::store::{Json, ObjectKey, Store};

/// Group of CustomResourceDefinitions.
pub(super) const EXTENSIONS: &str = "apiextensions.k8s.io";

pub(super) struct Api {
    pub(super) store: Store,
    pub(super) kinds: Kinds,
    pub(super) stamps: Stamps,
    pub(super) hooks: Hooks,
    /// Host and port.
    pub(super) address: String,
    pub(super) requests: Requests,
}

/// One request for a resource, understood.
pub(super) struct Ask<'a> {
    pub(super) kind: Arc<Kind>,
    pub(super) route: ResourceRoute<'a>,
    pub(super) caller: &'a Caller,
    pub(super) attributes: &'a Attributes,
    pub(super) query: &'a Query,
    pub(super) form: Form,
    /// Metadata of one object is wanted, not of a list.
    pub(super) is_single: bool,
    /// The first word of the client's name.
    pub(super) field_manager: String,
    pub(super) content_type: &'a str,
    pub(super) dry_run: bool,
}

// === impl Api ===

impl Api {
    pub(super) fn new(store: Store, kinds: Kinds, stamps: Stamps, hooks: Hooks, address: String) -> Self {
        Self { store, kinds, stamps, hooks, address, requests: Requests::default() }
    }

    /// Serves the kinds of every definition that is stored.
    pub(super) fn load_definitions(&self) {
        for definition in self.store.list(EXTENSIONS, "customresourcedefinitions", None).0 {
            self.define(&definition.value);
        }
    }

    /// Serves the kinds of one definition.
    pub(super) fn define(&self, definition: &Value) {
        self.kinds.define(object::name(definition), custom::kinds_of(definition));
    }
}

// === impl Ask ===

impl Ask<'_> {
    /// The key of the object that the URL names.
    pub(super) fn key(&self) -> ObjectKey {
        self.key_of(self.route.name)
    }

    /// The key of another one in the same place.
    pub(super) fn key_of(&self, name: &str) -> ObjectKey {
        ObjectKey::new(self.storage_group(), &self.kind.plural, self.namespace(), name)
    }

    /// Events of both groups are the same objects.
    pub(super) fn storage_group(&self) -> &str {
        storage_group(&self.kind)
    }

    /// The namespace of what is asked for; empty for cluster-scoped kinds.
    pub(super) fn namespace(&self) -> &str {
        if self.kind.namespaced { self.route.namespace } else { "" }
    }

    /// For refusals about an object.
    pub(super) fn subject<'b>(&'b self, name: &'b str) -> Subject<'b> {
        Subject { group: &self.kind.group, resource: &self.kind.plural, name }
    }

    /// For refusals about its content.
    pub(super) fn invalid_subject<'b>(&'b self, name: &'b str) -> Subject<'b> {
        Subject { group: self.storage_group(), resource: &self.kind.kind, name }
    }

    pub(super) fn not_found(&self) -> Failure {
        Failure::not_found(self.subject(self.route.name))
    }

    /// A stored object as this request's version has it.
    pub(super) fn present<'v>(&self, stored: &'v Value) -> Cow<'v, Value> {
        present(&self.kind, stored)
    }
}

/// A stored object as a version of its kind has it.
pub(super) fn present<'v>(kind: &Kind, stored: &'v Value) -> Cow<'v, Value> {
    if stored.get("apiVersion").and_then(Value::as_str) == Some(&*kind.api_version()) {
        return Cow::Borrowed(stored);
    }
    let converted = convert(stored.clone(), kind);
    Cow::Owned(kind.decode(converted.clone()).map_or(converted, |read| read.value))
}

/// The text of the same.
pub(super) fn present_text<'v>(kind: &Kind, stored: &'v Json) -> Cow<'v, str> {
    // Few kinds have a field that comes before this one: the others need not be read.
    let begins = format!("{{\"apiVersion\":\"{}\"", kind.api_version());
    if stored.text().starts_with(&begins) {
        return Cow::Borrowed(stored.text());
    }
    match present(kind, stored) {
        Cow::Borrowed(_) => Cow::Borrowed(stored.text()),
        Cow::Owned(value) => Cow::Owned(value.to_string()),
    }
}

/// Under which group a kind's objects are stored.
pub(super) fn storage_group(kind: &Kind) -> &str {
    if kind.group == "events.k8s.io" && kind.plural == "events" { "" } else { &kind.group }
}
