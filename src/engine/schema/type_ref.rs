//! Walking the types: a [`TypeRef`] stands at one place of one type (the field of
//! a struct, the items of a list) and knows what is declared at that place and
//! what at the definition it refers to.

use std::sync::Arc;

use serde_json::Value;

use super::Schemas;

/// Longest chain of definitions that are nothing but a reference.
const MAX_REFS: usize = 16;

/// A scalar, by how the API server writes it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// Kept as it is.
    String,
    /// Any number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// Base64 text, decoded and encoded again.
    Bytes,
    /// `resource.Quantity`: `1000m` is `1`.
    Quantity,
    /// A whole number or a string; the two are never the same.
    IntOrString,
    /// RFC 3339 in whole seconds, UTC.
    Time,
    /// RFC 3339 in microseconds, UTC.
    MicroTime,
    /// A Go duration: `60m` is `1h0m0s`.
    Duration,
}

/// What a place holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Free-form JSON, or a type nobody has described.
    Any,
    /// A scalar.
    Scalar(Scalar),
    /// An object with declared fields.
    Struct,
    /// An object with free keys and values of one type.
    Map,
    /// A list with items of one type.
    List,
}

/// How the items of a list are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListType {
    /// They are not: the list is one value.
    Atomic,
    /// By value.
    Set,
    /// By the values of their key fields.
    Map,
}

/// What a type says about a field name.
#[derive(Clone, Copy, Debug)]
pub enum FieldType<'a> {
    /// Declared, or the value type of a map.
    Declared(TypeRef<'a>),
    /// Not declared: the API server drops it.
    Undeclared,
    /// Nothing is known: plain JSON.
    Free,
}

/// One place of one type.
#[derive(Clone, Copy)]
pub struct TypeRef<'a> {
    schemas: &'a Schemas,
    /// Where the place is declared: patch rules and default.
    site: &'a Node,
    /// What the place holds, references followed.
    node: &'a Node,
    strategic: bool,
    typed: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) shape: NodeShape,
    pub(super) default: Option<Box<Value>>,
    pub(super) list: Option<Box<ListRules>>,
    pub(super) merges: bool,
    pub(super) retains_keys: bool,
    pub(super) replaces: bool,
    pub(super) atomic_map: bool,
    pub(super) embedded: bool,
}

#[derive(Clone, Debug)]
pub(super) enum NodeShape {
    Any,
    Scalar(Scalar),
    Struct(Box<StructShape>),
    Map(Box<Node>),
    List(Box<Node>),
    Ref(u32),
}

#[derive(Clone, Debug)]
pub(super) struct StructShape {
    /// Sorted by name.
    pub(super) fields: Box<[(Arc<str>, Node)]>,
    /// Undeclared fields survive.
    pub(super) open: bool,
}

#[derive(Clone, Debug)]
pub(super) struct ListRules {
    pub(super) merge_key: Option<Arc<str>>,
    pub(super) list_type: ListType,
    pub(super) map_keys: Box<[Arc<str>]>,
}

// === impl TypeRef ===

impl<'a> TypeRef<'a> {
    pub(super) fn of_kind(schemas: &'a Schemas, definition: u32, strategic: bool) -> Option<Self> {
        let site = schemas.node(definition)?;
        Some(Self { schemas, site, node: resolve(schemas, site)?, strategic, typed: strategic })
    }

    /// Whether the kind takes strategic merge patches: so do the API server's own
    /// types and never custom resources.
    pub fn is_strategic(self) -> bool {
        self.strategic
    }

    /// Whether the API server decodes the value into a Go struct, so that nulls,
    /// undeclared fields and empty optional values do not survive.
    pub fn is_typed(self) -> bool {
        self.typed
    }

    /// What the place holds.
    pub fn shape(self) -> Shape {
        match &self.node.shape {
            NodeShape::Any | NodeShape::Ref(_) => Shape::Any,
            NodeShape::Scalar(s) => Shape::Scalar(*s),
            NodeShape::Struct(_) => Shape::Struct,
            NodeShape::Map(_) => Shape::Map,
            NodeShape::List(_) => Shape::List,
        }
    }

    /// The scalar the place holds, if it holds one.
    pub fn scalar(self) -> Option<Scalar> {
        match self.node.shape {
            NodeShape::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// The type of a field, or of a map's value.
    pub fn field(self, name: &str) -> FieldType<'a> {
        match &self.node.shape {
            NodeShape::Struct(shape) => match shape.fields.binary_search_by(|f| (*f.0).cmp(name)) {
                Ok(i) => self.declared(&shape.fields[i].1, name),
                Err(_) if shape.open => FieldType::Free,
                Err(_) if self.is_embedded() && is_type_meta(name) => FieldType::Free,
                Err(_) => FieldType::Undeclared,
            },
            NodeShape::Map(values) => self.declared(values, ""),
            _ => FieldType::Free,
        }
    }

    /// The type of a list's items.
    pub fn items(self) -> Option<Self> {
        match &self.node.shape {
            NodeShape::List(items) => self.step(items),
            _ => None,
        }
    }

    /// The field by which a strategic merge patch tells the items of a list
    /// apart; `None` for lists that are replaced and for lists of scalars.
    pub fn merge_key(self) -> Option<&'a str> {
        self.site.list.as_ref().and_then(|l| l.merge_key.as_deref()).filter(|_| self.site.merges)
    }

    /// Whether a strategic merge patch merges into the place rather than
    /// replacing it (lists only: maps always merge unless they say otherwise).
    pub fn merges(self) -> bool {
        self.site.merges
    }

    /// Whether a strategic merge patch has to name the fields that stay.
    pub fn retains_keys(self) -> bool {
        self.site.retains_keys
    }

    /// Whether a strategic merge patch replaces the map at this place.
    pub fn replaces(self) -> bool {
        self.site.replaces
    }

    /// How server-side apply tells the items of a list apart.
    pub fn list_type(self) -> ListType {
        self.site.list.as_ref().map_or(ListType::Atomic, |l| l.list_type)
    }

    /// The key fields of a list of type `map`.
    pub fn map_keys(self) -> &'a [Arc<str>] {
        self.site.list.as_ref().map_or(&[], |l| &l.map_keys)
    }

    /// Whether server-side apply treats the map at this place as one value.
    pub fn is_atomic_map(self) -> bool {
        self.site.atomic_map || self.node.atomic_map
    }

    /// The default the documents declare; many defaults live in code only.
    pub fn default_value(self) -> Option<&'a Value> {
        self.site.default.as_deref()
    }

    fn declared(self, node: &'a Node, name: &str) -> FieldType<'a> {
        match self.step(node) {
            // Metadata is a Go struct whatever the kind.
            Some(next) if name == "metadata" => {
                FieldType::Declared(Self { typed: next.typed || next.is_object_meta(), ..next })
            }
            Some(next) => FieldType::Declared(next),
            None => FieldType::Free,
        }
    }

    fn step(self, node: &'a Node) -> Option<Self> {
        Some(Self { site: node, node: resolve(self.schemas, node)?, ..self })
    }

    fn is_embedded(self) -> bool {
        self.site.embedded || self.node.embedded
    }

    fn is_object_meta(self) -> bool {
        match self.site.shape {
            NodeShape::Ref(i) => self.schemas.name(i).ends_with(".apis.meta.v1.ObjectMeta"),
            _ => false,
        }
    }
}

impl std::fmt::Debug for TypeRef<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TypeRef").field("shape", &self.shape()).field("strategic", &self.strategic).finish()
    }
}

fn is_type_meta(name: &str) -> bool {
    matches!(name, "apiVersion" | "kind" | "metadata")
}

/// Follows references; `None` where a definition is missing or refers to itself.
fn resolve<'a>(schemas: &'a Schemas, mut node: &'a Node) -> Option<&'a Node> {
    for _ in 0..MAX_REFS {
        match node.shape {
            NodeShape::Ref(index) => node = schemas.node(index)?,
            _ => return Some(node),
        }
    }
    None
}
