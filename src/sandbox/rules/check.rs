//! What is wrong with an expression before it is evaluated.

use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, SelectExpr, operators};
use cel::parser::Expression;

use super::signatures::{self, Call};
use super::types::Type;

const TYPES: [&str; 12] = [
    "bool",
    "int",
    "uint",
    "double",
    "string",
    "bytes",
    "list",
    "map",
    "null_type",
    "type",
    "google.protobuf.Timestamp",
    "google.protobuf.Duration",
];

/// Looks at one expression.
#[derive(Default)]
pub(super) struct Checker {
    /// Variables with their types, the innermost last.
    pub(super) scope: Vec<(String, Type)>,
    /// What is wrong, each with the node that it is wrong with.
    pub(super) errors: Vec<(u64, String)>,
    /// Functions that only a real API server has.
    pub(super) missing: Vec<String>,
    /// Whether `oldSelf` is used.
    pub(super) uses_old: bool,
}

// === impl Checker ===

impl Checker {
    /// The type of an expression; `Dyn` where it has an error.
    pub(super) fn check(&mut self, expression: &Expression) -> Type {
        match &expression.expr {
            Expr::Literal(literal) => match literal {
                LiteralValue::Boolean(_) => Type::Bool,
                LiteralValue::Bytes(_) => Type::Bytes,
                LiteralValue::Double(_) => Type::Double,
                LiteralValue::Int(_) => Type::Int,
                LiteralValue::Null => Type::Null,
                LiteralValue::String(_) => Type::Text,
                LiteralValue::UInt(_) => Type::Uint,
            },
            Expr::Ident(name) => self.ident(expression.id, name),
            Expr::Select(select) => self.select(expression.id, select),
            Expr::Call(call) => self.call(expression.id, call),
            Expr::List(list) => {
                let types: Vec<Type> = list.elements.iter().map(|element| self.check(element)).collect();
                Type::List(Box::new(joined(types)))
            }
            Expr::Map(map) => {
                let mut types = (Vec::new(), Vec::new());
                for entry in &map.entries {
                    if let EntryExpr::MapEntry(entry) = &entry.expr {
                        types.0.push(self.check(&entry.key));
                        types.1.push(self.check(&entry.value));
                    }
                }
                Type::Map(Box::new(joined(types.0)), Box::new(joined(types.1)))
            }
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::Struct(made) => {
                self.fail(expression.id, format!("undeclared reference to '{}' (in container '')", made.type_name))
            }
            Expr::Unspecified => self.fail(expression.id, "unspecified expression".to_owned()),
        }
    }

    fn fail(&mut self, id: u64, what: String) -> Type {
        self.errors.push((id, what));
        Type::Dyn
    }

    fn ident(&mut self, id: u64, name: &str) -> Type {
        if let Some((_, known)) = self.scope.iter().rev().find(|(variable, _)| variable == name) {
            self.uses_old |= name == "oldSelf";
            return known.clone();
        }
        if TYPES.contains(&name) {
            return Type::Kind;
        }
        self.fail(id, format!("undeclared reference to '{name}' (in container '')"))
    }

    fn select(&mut self, id: u64, select: &SelectExpr) -> Type {
        if name_of(select).is_some_and(|name| TYPES.contains(&&*name)) {
            return Type::Kind;
        }
        let operand = self.check(&select.operand);
        let found = self.field(id, &operand, &select.field);
        if select.test { Type::Bool } else { found }
    }

    fn field(&mut self, id: u64, operand: &Type, field: &str) -> Type {
        match operand {
            Type::Object(_) | Type::Map(..) => match operand.below(field) {
                Some(found) => found.clone(),
                None => self.fail(id, format!("undefined field '{field}'")),
            },
            Type::Optional(inner) => match self.field(id, inner, field) {
                Type::Optional(found) => Type::Optional(found),
                found => Type::Optional(Box::new(found)),
            },
            Type::Dyn => Type::Dyn,
            other => self.fail(id, format!("type '{other}' does not support field selection")),
        }
    }

    fn call(&mut self, id: u64, call: &CallExpr) -> Type {
        if call.func_name == operators::OPT_SELECT
            && let [operand, field] = &*call.args
            && let Expr::Literal(LiteralValue::String(field)) = &field.expr
        {
            let operand = self.check(operand);
            return match self.field(id, &operand, field.inner()) {
                Type::Optional(found) => Type::Optional(found),
                found => Type::Optional(Box::new(found)),
            };
        }
        let (name, target) = self.called(call);
        let target: Option<Type> = target.map(|target| self.check(target));
        let is_member = target.is_some();
        let before = self.errors.len();
        let arguments: Vec<Type> =
            target.into_iter().chain(call.args.iter().map(|argument| self.check(argument))).collect();
        match signatures::call(&name, is_member, &arguments) {
            Call::Gives(gives) => gives,
            Call::Unknown => self.fail(id, format!("undeclared reference to '{name}' (in container '')")),
            Call::Missing => {
                self.missing.push(name);
                Type::Dyn
            }
            // Said once.
            Call::Mismatch if self.errors.len() > before => Type::Dyn,
            Call::Mismatch => {
                let shown: Vec<String> = arguments.iter().map(Type::to_string).collect();
                let shown = match shown.split_first() {
                    Some((target, others)) if is_member => format!("{target}.({})", others.join(", ")),
                    _ => format!("({})", shown.join(", ")),
                };
                self.fail(id, format!("found no matching overload for '{name}' applied to '{shown}'"))
            }
        }
    }

    /// The name of what is called, and on what.
    fn called<'e>(&self, call: &'e CallExpr) -> (String, Option<&'e Expression>) {
        let Some(target) = &call.target else { return (call.func_name.clone(), None) };
        if let Expr::Ident(space) = &target.expr
            && !self.scope.iter().any(|(variable, _)| variable == space)
        {
            let name = format!("{space}.{}", call.func_name);
            if signatures::is_qualified(&name) {
                return (name, None);
            }
        }
        (call.func_name.clone(), Some(target))
    }

    fn comprehension(&mut self, all: &ComprehensionExpr) -> Type {
        let range = self.check(&all.iter_range);
        let (first, second) = match &range {
            Type::List(item) => (Type::Int, (**item).clone()),
            Type::Map(key, value) => ((**key).clone(), (**value).clone()),
            Type::Dyn => (Type::Dyn, Type::Dyn),
            other => {
                let what = format!(
                    "expression of type '{other}' cannot be range of a comprehension (must be list, map, or dynamic)"
                );
                (self.fail(all.iter_range.id, what), Type::Dyn)
            }
        };
        let start = self.check(&all.accu_init);
        let depth = self.scope.len();
        self.scope.push((all.accu_var.clone(), start.clone()));
        match &all.iter_var2 {
            Some(other) => {
                self.scope.push((all.iter_var.clone(), first));
                self.scope.push((other.clone(), second));
            }
            None => {
                let item = if matches!(range, Type::List(_)) { second } else { first };
                self.scope.push((all.iter_var.clone(), item));
            }
        }
        self.check(&all.loop_cond);
        let step = self.check(&all.loop_step);
        self.scope.truncate(depth);
        // What an empty list holds is known after the first step.
        let result = if matches!(start, Type::List(_)) { step } else { start };
        self.scope.push((all.accu_var.clone(), result));
        let result = self.check(&all.result);
        self.scope.truncate(depth);
        result
    }
}

fn joined(types: Vec<Type>) -> Type {
    let mut types = types.into_iter();
    let Some(first) = types.next() else { return Type::Dyn };
    if types.all(|other| other == first) { first } else { Type::Dyn }
}

/// `a.b.c`, where it is only names.
fn name_of(select: &SelectExpr) -> Option<String> {
    let before = match &select.operand.expr {
        Expr::Ident(name) => name.clone(),
        Expr::Select(inner) => name_of(inner)?,
        _ => return None,
    };
    Some(format!("{before}.{}", select.field))
}
