//! Generates the changes between live and target, as the body of a patch.

use serde_json::{Map, Value};

use crate::schema::{Shape, TypeRef};

use super::compare::{conform, covers, same_scalar, stored_as_nothing};
use super::{LAST_APPLIED, child, is_volatile};

/// How literally the target is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fidelity {
    /// Word for word: for patches to be sent.
    Verbatim,
    /// As the API server would store it: for comparisons.
    AsStored,
}

/// Where in an object a map stands; some places have fields of their own rules.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    Metadata,
    Annotations,
    Inner,
}

/// Generates changes for one object.
#[derive(Clone, Copy)]
pub(crate) struct Generator {
    pub(super) fidelity: Fidelity,
    pub(super) strategic: bool,
    ignore_status: bool,
}

type Object = Map<String, Value>;

// === impl Place ===

impl Place {
    fn child(self, key: &str) -> Self {
        match (self, key) {
            (Self::Root, "metadata") => Self::Metadata,
            (Self::Metadata, "annotations") => Self::Annotations,
            _ => Self::Inner,
        }
    }
}

// === impl Generator ===

impl Generator {
    pub(crate) fn new(fidelity: Fidelity, schema: Option<TypeRef<'_>>) -> Self {
        Self { fidelity, strategic: schema.is_some_and(TypeRef::is_strategic), ignore_status: false }
    }

    /// Leaves `status` out.
    pub(crate) fn ignoring_status(self, ignore_status: bool) -> Self {
        Self { ignore_status, ..self }
    }

    /// The changes of a whole object. Sides that are not maps change nothing.
    pub(crate) fn changes(
        &self,
        last: Option<&Value>,
        target: &Value,
        live: &Value,
        ty: Option<TypeRef<'_>>,
    ) -> Object {
        match (target, live) {
            (Value::Object(target), Value::Object(live)) => {
                self.map(Place::Root, last.and_then(Value::as_object), target, live, ty)
            }
            _ => Object::new(),
        }
    }

    fn skips(&self, place: Place, key: &str) -> bool {
        match place {
            Place::Root => matches!(key, "apiVersion" | "kind") || (self.ignore_status && key == "status"),
            Place::Metadata => is_volatile(key),
            Place::Annotations => self.fidelity == Fidelity::AsStored && key == LAST_APPLIED,
            Place::Inner => false,
        }
    }

    /// The changes of a map below the root.
    pub(super) fn inner_map(
        &self,
        last: Option<&Object>,
        target: &Object,
        live: &Object,
        ty: Option<TypeRef<'_>>,
    ) -> Object {
        self.map(Place::Inner, last, target, live, ty)
    }

    fn map(
        &self,
        place: Place,
        last: Option<&Object>,
        target: &Object,
        live: &Object,
        ty: Option<TypeRef<'_>>,
    ) -> Object {
        let mut patch = Object::new();
        let in_map = ty.is_some_and(|t| t.shape() == Shape::Map);
        for (key, wanted) in target {
            let (field, undeclared) = child(ty, key);
            if self.skips(place, key) || (undeclared && self.fidelity == Fidelity::AsStored) {
                continue;
            }
            let before = last.and_then(|l| l.get(key)).filter(|v| !v.is_null());
            match live.get(key).filter(|v| !v.is_null()) {
                Some(_) if wanted.is_null() => {
                    // An explicit null asks for removal; stored, it says nothing.
                    if self.fidelity == Fidelity::Verbatim && place.child(key) == Place::Inner {
                        patch.insert(key.clone(), Value::Null);
                    }
                }
                Some(current) => self.value(place.child(key), (key, before), wanted, current, field, &mut patch),
                None if self.says_nothing(wanted, field, in_map) => {}
                None => {
                    patch.insert(key.clone(), self.fresh(wanted, field));
                }
            }
        }
        for (key, was) in last.into_iter().flatten() {
            let (field, undeclared) = child(ty, key);
            let is_wanted = target.get(key).is_some_and(|v| !v.is_null());
            if undeclared || is_wanted || self.skips(place, key) || stored_as_nothing(was, field, in_map) {
                continue;
            }
            if matches!(place.child(key), Place::Metadata | Place::Annotations) {
                // Never all of them: what is applied always has some of its own.
                let nothing = Value::Object(Object::new());
                if let Some(current) = live.get(key) {
                    self.value(place.child(key), (key, Some(was)), &nothing, current, field, &mut patch);
                }
                continue;
            }
            if live.get(key).is_some_and(|v| !stored_as_nothing(v, field, in_map)) {
                patch.insert(key.clone(), Value::Null);
            }
        }
        patch
    }

    /// The changes of one field that both sides have.
    fn value(
        &self,
        place: Place,
        (key, last): (&String, Option<&Value>),
        wanted: &Value,
        current: &Value,
        ty: Option<TypeRef<'_>>,
        patch: &mut Object,
    ) {
        match (wanted, current) {
            (Value::Object(target), Value::Object(live)) => {
                let last = last.and_then(Value::as_object);
                if self.strategic && ty.is_some_and(TypeRef::replaces) {
                    if !covers(None, wanted, current, ty) {
                        let mut whole = target.clone();
                        whole.insert("$patch".to_owned(), "replace".into());
                        patch.insert(key.clone(), Value::Object(whole));
                    }
                    return;
                }
                let mut inner = self.map(place, last, target, live, ty);
                if !inner.is_empty() {
                    self.add_retained_keys(&mut inner, target, ty);
                    patch.insert(key.clone(), Value::Object(inner));
                }
            }
            (Value::Array(target), Value::Array(live)) => {
                self.list((key, last.and_then(Value::as_array)), target, live, ty, patch);
            }
            _ if same_scalar(wanted, current, ty) => {}
            _ if self.says_nothing(wanted, ty, false) && stored_as_nothing(current, ty, false) => {}
            _ => {
                patch.insert(key.clone(), self.fresh(wanted, ty));
            }
        }
    }

    /// In unions (`retainKeys`) the members that are not named have to go, or the
    /// API server would find two of them.
    pub(super) fn add_retained_keys(&self, patch: &mut Object, target: &Object, ty: Option<TypeRef<'_>>) {
        if self.strategic && ty.is_some_and(TypeRef::retains_keys) {
            let keys = target.iter().filter(|(_, v)| !v.is_null()).map(|(key, _)| Value::String(key.clone())).collect();
            patch.insert("$retainKeys".to_owned(), Value::Array(keys));
        }
    }

    fn says_nothing(&self, wanted: &Value, ty: Option<TypeRef<'_>>, in_map: bool) -> bool {
        match self.fidelity {
            Fidelity::Verbatim => wanted.is_null(),
            Fidelity::AsStored => stored_as_nothing(wanted, ty, in_map),
        }
    }

    /// A value that live has not, or that replaces what it has.
    pub(super) fn fresh(&self, wanted: &Value, ty: Option<TypeRef<'_>>) -> Value {
        match self.fidelity {
            Fidelity::Verbatim => wanted.clone(),
            Fidelity::AsStored => conform(wanted, ty),
        }
    }
}
