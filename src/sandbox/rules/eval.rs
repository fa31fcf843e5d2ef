//! Evaluation of an expression, as far as its budget goes.

use std::collections::BTreeMap;
use std::rc::Rc;

use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, SelectExpr, operators};
use cel::parser::Expression;

use super::value::{Key, Val};
use super::{functions, operate};

/// Deepest nesting that is evaluated.
const MAX_DEPTH: usize = 128;

/// Why there is no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Halt {
    /// Too much was done.
    Budget,
    /// It failed, for this reason.
    Failed(String),
}

/// What an evaluation gives.
pub(super) type Outcome = Result<Val, Halt>;

/// One evaluation.
pub(super) struct Evaluation {
    /// Variables, the innermost last. Those of a macro may have failed so far.
    scope: Vec<(String, Outcome)>,
    /// Steps that are left.
    left: u64,
    depth: usize,
}

/// It failed, for this reason.
pub(super) fn failed<T>(why: impl Into<String>) -> Result<T, Halt> {
    Err(Halt::Failed(why.into()))
}

// === impl Evaluation ===

impl Evaluation {
    /// With these variables and that many steps.
    pub(super) fn new(variables: Vec<(String, Val)>, steps: u64) -> Self {
        let scope = variables.into_iter().map(|(name, value)| (name, Ok(value))).collect();
        Self { scope, left: steps, depth: 0 }
    }

    /// Steps that are left.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// The value of an expression that was checked.
    pub(super) fn evaluate(&mut self, expression: &Expression) -> Outcome {
        self.depth += 1;
        let value = if self.depth > MAX_DEPTH { failed("the expression is too deep") } else { self.step(expression) };
        self.depth -= 1;
        value
    }

    fn spend(&mut self, steps: u64) -> Result<(), Halt> {
        let left = self.left.checked_sub(steps);
        self.left = left.unwrap_or(0);
        left.map(|_| ()).ok_or(Halt::Budget)
    }

    fn step(&mut self, expression: &Expression) -> Outcome {
        self.spend(1)?;
        match &expression.expr {
            Expr::Literal(literal) => Ok(match literal {
                LiteralValue::Boolean(flag) => Val::Bool(*flag.inner()),
                LiteralValue::Bytes(bytes) => Val::Bytes(bytes.inner().into()),
                LiteralValue::Double(n) => Val::Double(*n.inner()),
                LiteralValue::Int(n) => Val::Int(*n.inner()),
                LiteralValue::Null => Val::Null,
                LiteralValue::String(text) => Val::text(text.inner()),
                LiteralValue::UInt(n) => Val::Uint(*n.inner()),
            }),
            Expr::Ident(name) => self.ident(name),
            Expr::Select(select) => self.select(select),
            Expr::Call(call) => self.call(call),
            Expr::List(list) => {
                let mut items = Vec::with_capacity(list.elements.len());
                for (i, element) in list.elements.iter().enumerate() {
                    match self.evaluate(element)? {
                        Val::Optional(value) if list.optional_indices.contains(&i) => {
                            items.extend(value.map(|value| (*value).clone()));
                        }
                        value => items.push(value),
                    }
                }
                Ok(Val::list(items))
            }
            Expr::Map(map) => {
                let mut entries = BTreeMap::new();
                for entry in &map.entries {
                    let EntryExpr::MapEntry(entry) = &entry.expr else { continue };
                    let Some(key) = self.evaluate(&entry.key)?.key() else { return failed("unsupported key type") };
                    let value = match self.evaluate(&entry.value)? {
                        Val::Optional(value) if entry.optional => match value {
                            Some(value) => (*value).clone(),
                            None => continue,
                        },
                        value => value,
                    };
                    entries.insert(key, value);
                }
                Ok(Val::Map(Rc::new(entries)))
            }
            Expr::Comprehension(all) => self.comprehension(all),
            Expr::Struct(_) | Expr::Unspecified => failed("unsupported expression"),
        }
    }

    fn ident(&mut self, name: &str) -> Outcome {
        if let Some((_, value)) = self.scope.iter().rev().find(|(variable, _)| variable == name) {
            return value.clone();
        }
        Ok(Val::Type(match name {
            "bool" => "bool",
            "int" => "int",
            "uint" => "uint",
            "double" => "double",
            "string" => "string",
            "bytes" => "bytes",
            "list" => "list",
            "map" => "map",
            "null_type" => "null_type",
            "type" => "type",
            _ => return failed(format!("no such attribute(s): {name}")),
        }))
    }

    fn select(&mut self, select: &SelectExpr) -> Outcome {
        // Types whose names have dots in them.
        for name in ["google.protobuf.Timestamp", "google.protobuf.Duration"] {
            let mut rest = name.rsplit('.');
            let ends = rest.next() == Some(&*select.field);
            if ends && matches!(&select.operand.expr, Expr::Select(inner) if inner.field == "protobuf") {
                return Ok(Val::Type(name));
            }
        }
        let operand = self.evaluate(&select.operand)?;
        let key = Key::Text(select.field.as_str().into());
        if select.test {
            return Ok(Val::Bool(match &operand {
                Val::Map(entries) => entries.contains_key(&key),
                Val::Optional(Some(inner)) => matches!(&**inner, Val::Map(entries) if entries.contains_key(&key)),
                Val::Optional(None) => false,
                _ => return failed("no such overload"),
            }));
        }
        match &operand {
            Val::Map(entries) => match entries.get(&key) {
                Some(value) => Ok(value.clone()),
                None => failed(format!("no such key: {}", select.field)),
            },
            Val::Optional(_) => Ok(operate::maybe(&operand, &Val::text(&select.field))),
            _ => failed("no such overload"),
        }
    }

    fn call(&mut self, call: &CallExpr) -> Outcome {
        match (&*call.func_name, &*call.args) {
            (operators::LOGICAL_AND, [left, right]) => self.logic(left, right, false),
            (operators::LOGICAL_OR, [left, right]) => self.logic(left, right, true),
            (operators::CONDITIONAL, [condition, yes, no]) => match self.evaluate(condition)? {
                Val::Bool(true) => self.evaluate(yes),
                Val::Bool(false) => self.evaluate(no),
                _ => failed("no such overload"),
            },
            (operators::NOT_STRICTLY_FALSE, [inner]) => match self.evaluate(inner) {
                Err(Halt::Budget) => Err(Halt::Budget),
                Ok(Val::Bool(flag)) => Ok(Val::Bool(flag)),
                _ => Ok(Val::Bool(true)),
            },
            // What a macro collects grows in place.
            (operators::ADD, [Expression { expr: Expr::Ident(name), .. }, more]) if call.target.is_none() => {
                let more = self.evaluate(more)?;
                let place = self.scope.iter().rposition(|(variable, _)| variable == name);
                let is_collected = name == "@result";
                let held = place.and_then(|place| self.scope.get_mut(place)).filter(|_| is_collected);
                let own = match held {
                    Some((_, value)) => std::mem::replace(value, Ok(Val::Null))?,
                    None => self.ident(name)?,
                };
                self.spend(more.bulk())?;
                if !is_collected {
                    self.spend(own.bulk())?;
                }
                operate::operator(operators::ADD, vec![own, more])
            }
            _ => self.function(call),
        }
    }

    /// `&&` and `||`: one side that decides makes good for another that fails.
    fn logic(&mut self, left: &Expression, right: &Expression, decisive: bool) -> Outcome {
        let is_decisive = |value: &Outcome| matches!(value, Ok(Val::Bool(flag)) if *flag == decisive);
        let left = self.evaluate(left);
        if is_decisive(&left) || left == Err(Halt::Budget) {
            return left;
        }
        let right = self.evaluate(right);
        if is_decisive(&right) || right == Err(Halt::Budget) {
            return right;
        }
        match (left?, right?) {
            (Val::Bool(_), Val::Bool(_)) => Ok(Val::Bool(!decisive)),
            _ => failed("no such overload"),
        }
    }

    fn function(&mut self, call: &CallExpr) -> Outcome {
        let space = match call.target.as_deref() {
            Some(Expression { expr: Expr::Ident(space), .. })
                if !self.scope.iter().any(|(variable, _)| variable == space) =>
            {
                Some(format!("{space}.{}", call.func_name))
            }
            _ => None,
        };
        let target = if space.is_some() { None } else { call.target.as_deref() };
        let name = space.as_deref().unwrap_or(&call.func_name);
        let mut arguments = Vec::with_capacity(call.args.len() + 1);
        // An alternative is looked at only where there is need of one.
        if let (Some(target), "or" | "orValue", [other]) = (target, name, &*call.args) {
            return match self.evaluate(target)? {
                Val::Optional(Some(value)) if name == "orValue" => Ok((*value).clone()),
                Val::Optional(Some(value)) => Ok(Val::Optional(Some(value))),
                Val::Optional(None) => self.evaluate(other),
                _ => failed("no such overload"),
            };
        }
        for argument in target.into_iter().chain(&call.args) {
            arguments.push(self.evaluate(argument)?);
        }
        // What is found by key is not looked through.
        let cost = match name {
            "size" | operators::INDEX | operators::OPT_INDEX => 0,
            "matches" | "find" | "findAll" => arguments.iter().map(|a| a.bulk() + 1).product::<u64>() * 10,
            "sets.contains" | "sets.intersects" | "sets.equivalent" => arguments.iter().map(|a| a.bulk() + 1).product(),
            "indexOf" | "lastIndexOf" | "replace" | "contains" | "split" | "join" => {
                arguments.iter().map(|a| deep_bulk(a) + 1).product()
            }
            _ => arguments.iter().map(deep_bulk).sum(),
        };
        self.spend(cost)?;
        if name.starts_with(['_', '@', '!', '-']) {
            operate::operator(name, arguments)
        } else {
            functions::call(name, &arguments)
        }
    }

    fn comprehension(&mut self, all: &ComprehensionExpr) -> Outcome {
        let range = self.evaluate(&all.iter_range)?;
        let is_map = matches!(range, Val::Map(_));
        let (keys, items) = match range {
            Val::List(items) | Val::Unordered(items) => (None, items),
            Val::Map(entries) => {
                self.spend(entries.len() as u64)?;
                let keys: Vec<Val> = entries.keys().map(operate::of_key).collect();
                (Some(keys), Rc::new(entries.values().cloned().collect()))
            }
            _ => return failed("no such overload"),
        };
        let start = self.evaluate(&all.accu_init);
        let depth = self.scope.len();
        self.scope.push((all.accu_var.clone(), start));
        for (i, item) in (0_i64..).zip(items.iter()) {
            let key = usize::try_from(i).ok().and_then(|i| keys.as_ref()?.get(i).cloned()).unwrap_or(Val::Int(i));
            let item = item.clone();
            match self.evaluate(&all.loop_cond) {
                Ok(Val::Bool(true)) => {}
                Ok(_) => break,
                Err(why) => {
                    self.scope.truncate(depth);
                    return Err(why);
                }
            }
            match &all.iter_var2 {
                Some(second) => {
                    self.scope.push((all.iter_var.clone(), Ok(key)));
                    self.scope.push((second.clone(), Ok(item)));
                }
                None => self.scope.push((all.iter_var.clone(), Ok(if is_map { key } else { item }))),
            }
            let step = self.evaluate(&all.loop_step);
            self.scope.truncate(depth + 1);
            if step == Err(Halt::Budget) {
                self.scope.truncate(depth);
                return step;
            }
            if let Some((_, held)) = self.scope.last_mut() {
                *held = step;
            }
        }
        let result = self.evaluate(&all.result);
        self.scope.truncate(depth);
        result
    }
}

/// How much there is in a value and what it holds.
fn deep_bulk(value: &Val) -> u64 {
    let inner: u64 = match value {
        Val::List(items) | Val::Unordered(items) => items.iter().map(deep_bulk).sum(),
        Val::Map(entries) => entries.values().map(deep_bulk).sum(),
        _ => 0,
    };
    value.bulk() + inner
}
