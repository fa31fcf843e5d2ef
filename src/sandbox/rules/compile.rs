//! From the text of an expression to one that can be evaluated.

use std::sync::OnceLock;

use cel::Env;
use cel::common::ast::{EntryExpr, Expr, SourceInfo};
use cel::parser::Expression;

use super::check::Checker;
use super::types::Type;

/// Longest expression, in bytes.
const MAX_LENGTH: usize = 16 << 10;
/// Deepest nesting of one.
const MAX_DEPTH: usize = 64;
/// What the parser's recursion may need for the longest.
const STACK: usize = 256 << 20;

/// An expression that was checked.
pub(super) struct Compiled {
    pub(super) expression: Expression,
    pub(super) gives: Type,
    /// Whether it needs what was there before.
    pub(super) uses_old: bool,
}

/// Why an expression is none.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is wrong; with the places, as the API server tells it.
    Wrong(String),
    /// It is right, but has functions that the sandbox does not have.
    Missing(Vec<String>),
    /// It is longer or deeper than the sandbox takes.
    Large,
}

// === impl Refusal ===

impl Refusal {
    /// In the API server's words; `what` is what was compiled.
    pub(super) fn told(&self, what: &str) -> String {
        match self {
            Self::Wrong(told) => format!("{what}compilation failed: {told}"),
            Self::Large => format!("{what}compilation failed: it is longer or deeper than the sandbox takes"),
            Self::Missing(names) => {
                format!("{what}compilation failed: the sandbox does not know the function {}", names.join(", "))
            }
        }
    }
}

/// Compiles an expression about a `self` of a type.
///
/// # Errors
/// It cannot be read, its types are wrong, or a function is missing here.
pub(super) fn compile(source: &str, own: &Type, optional_old: bool) -> Result<Compiled, Refusal> {
    if source.len() > MAX_LENGTH || nesting(source) > MAX_DEPTH {
        return Err(Refusal::Large);
    }
    // The parser goes down into whatever it is given before it says that it is too deep.
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK);
        let work = thread.spawn_scoped(scope, || compile_here(source, own, optional_old));
        work.ok().and_then(|work| work.join().ok()).unwrap_or(Err(Refusal::Large))
    })
}

fn compile_here(source: &str, own: &Type, optional_old: bool) -> Result<Compiled, Refusal> {
    static ENVIRONMENT: OnceLock<Env> = OnceLock::new();
    let environment = ENVIRONMENT.get_or_init(|| Env::stdlib().with_optional_support(true));
    let parser = environment.parser().enable_optional_syntax(true);
    let (expression, places) = parser.parse_with_source_info(source).map_err(|errors| {
        let errors = errors.errors.into_iter().map(|error| {
            let (line, column) = error.pos;
            (usize::try_from(line).unwrap_or(1), usize::try_from(column).unwrap_or(1), error.msg)
        });
        Refusal::Wrong(told(source, errors.collect()))
    })?;
    if depth(&expression) > MAX_DEPTH {
        return Err(Refusal::Large);
    }
    let old = if optional_old { Type::Optional(Box::new(own.clone())) } else { own.clone() };
    let scope = vec![("self".to_owned(), own.clone()), ("oldSelf".to_owned(), old)];
    let mut checker = Checker { scope, ..Checker::default() };
    let gives = checker.check(&expression);
    if !checker.errors.is_empty() {
        let errors = checker.errors.into_iter().map(|(id, what)| {
            let (line, column) = place(&places, source, id);
            (line, column, what)
        });
        return Err(Refusal::Wrong(told(source, errors.collect())));
    }
    if !checker.missing.is_empty() {
        return Err(Refusal::Missing(checker.missing));
    }
    Ok(Compiled { expression, gives, uses_old: checker.uses_old })
}

/// How deep brackets are in each other, wherever they are.
fn nesting(source: &str) -> usize {
    let (mut now, mut most) = (0_usize, 0);
    for c in source.chars() {
        match c {
            '(' | '[' | '{' => now += 1,
            ')' | ']' | '}' => now = now.saturating_sub(1),
            _ => {}
        }
        most = most.max(now);
    }
    most
}

/// How many nodes are in each other.
fn depth(expression: &Expression) -> usize {
    let most = |inner: &mut dyn Iterator<Item = &Expression>| inner.map(depth).max().unwrap_or(0);
    1 + match &expression.expr {
        Expr::Select(select) => depth(&select.operand),
        Expr::Call(call) => most(&mut call.target.as_deref().into_iter().chain(&call.args)),
        Expr::List(list) => most(&mut list.elements.iter()),
        Expr::Map(map) => most(&mut map.entries.iter().flat_map(|entry| match &entry.expr {
            EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
            EntryExpr::StructField(field) => vec![&field.value],
        })),
        Expr::Comprehension(all) => {
            let parts = [&all.iter_range, &all.accu_init, &all.loop_cond, &all.loop_step, &all.result];
            most(&mut parts.into_iter())
        }
        Expr::Struct(_) | Expr::Literal(_) | Expr::Ident(_) | Expr::Unspecified => 0,
    }
}

/// Line and column of a node, from one.
fn place(places: &SourceInfo, source: &str, id: u64) -> (usize, usize) {
    let offset = places.offset_for(id).map_or(0, |(start, _)| start as usize);
    let before: String = source.chars().take(offset).collect();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    (line, column)
}

/// Errors with the lines they are in.
fn told(source: &str, mut errors: Vec<(usize, usize, String)>) -> String {
    errors.sort();
    let told = errors.into_iter().map(|(line, column, what)| {
        let shown = source.lines().nth(line.saturating_sub(1)).unwrap_or("").replace('\t', " ");
        let dots = ".".repeat(column.saturating_sub(1));
        format!("ERROR: <input>:{line}:{column}: {what}\n | {shown}\n | {dots}^")
    });
    told.collect::<Vec<_>>().join("\n")
}
