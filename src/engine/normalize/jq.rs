//! jq path expressions (`jqPathExpressions`) under a hard budget.
//!
//! An expression is a tenant's program that runs in the controller, so it must
//! end, soon, whatever it says. A deadline checked between outputs would not do
//! (`[repeat(1)]` has no outputs), and a thread cannot be killed. So the program
//! itself is metered: the interpreter asks our [`meter::Meter`] for its term
//! table at every single step, which is where steps and stack are counted; and
//! before compiling, the syntax tree of the program and of the standard library
//! is rewritten ([`metering`]) so that whatever produces many or big values in
//! one step (generators, string repetition, arrays, regular expressions) is
//! weighed too. When the budget is gone the evaluation is unwound from inside,
//! which no `try` in the program can catch. The budget is worth less than a
//! second of one core, and some 100 MB at the very worst.
//!
//! The environment, the clock, input and output are not there.

mod meter;
mod metering;

use jaq_core::load::{Arena, File, Loader, parse};
use jaq_core::{Compiler, Ctx, Vars};
use jaq_json::Val;
use serde_json::Value;

use meter::{Meter, Metered};

use super::paths::{Path, Step};

/// Longest expression accepted, in bytes.
const MAX_LENGTH: usize = 4096;
/// Deepest nesting of an expression's syntax tree; bounds the stack one value
/// passing through it can take.
const MAX_DEPTH: usize = 200;
/// Stack of the thread that parses and compiles: a parser recurses before anyone
/// can know how deep. [`MAX_LENGTH`] bytes of nested prefix operators need a
/// quarter of this in a debug build.
const COMPILER_STACK: usize = 64 << 20;

/// What a program may spend: steps of the interpreter, items produced, and
/// values built, by size.
const BUDGET: u64 = 2_000_000;

/// Why an expression was not compiled or not evaluated.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum JqError {
    /// Longer than 4096 bytes.
    #[error("the expression is longer than 4096 bytes")]
    TooLong,
    /// Nested too deeply.
    #[error("the expression is nested too deeply")]
    TooDeep,
    /// A definition with filter parameters calls itself.
    #[error("a definition that takes filters may not call itself")]
    RecursiveFilters,
    /// Not jq.
    #[error("the expression is not valid jq")]
    Syntax,
    /// Calls what does not exist (or is not available here).
    #[error("{0} is not defined")]
    Undefined(String),
    /// The machine could not spare a thread for compiling.
    #[error("no thread to compile the expression on")]
    NoThread,
    /// The program itself failed.
    #[error("the expression failed: {0}")]
    Failed(String),
    /// The program took more steps, memory or stack than it may.
    #[error("the expression exceeded its budget (1 second)")]
    Exhausted,
    /// The program gave something that is not a path.
    #[error("the expression is not a path")]
    NotAPath,
}

/// A compiled path expression.
pub(super) struct Program {
    filter: jaq_core::Filter<Metered>,
}

// === impl Program ===

impl Program {
    /// Compiles `path(expression)`.
    pub(super) fn compile(expression: &str) -> Result<Self, JqError> {
        if expression.len() > MAX_LENGTH {
            return Err(JqError::TooLong);
        }
        std::thread::scope(|scope| {
            std::thread::Builder::new()
                .stack_size(COMPILER_STACK)
                .spawn_scoped(scope, || compile(expression))
                .map_err(|_| JqError::NoThread)?
                .join()
                .unwrap_or(Err(JqError::Syntax))
        })
    }

    /// The paths the expression names in `input`.
    pub(super) fn paths(&self, input: &Value) -> Result<Vec<Path>, JqError> {
        meter::within_budget(BUDGET, |budget| {
            let context = Ctx::<Metered>::new(Meter::new(&self.filter.lut, budget), Vars::new([]));
            self.filter
                .id
                .run((context, to_jq(input)))
                .map(|output| match jaq_core::unwrap_valr(output) {
                    Ok(path) => read_path(&path),
                    Err(error) => Err(JqError::Failed(shortened(&error.to_string()))),
                })
                .collect()
        })
        .unwrap_or(Err(JqError::Exhausted))
    }
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Program")
    }
}

fn compile(expression: &str) -> Result<Program, JqError> {
    let mut body = parse(expression, |p| p.term()).ok_or(JqError::Syntax)?;
    if metering::depth(&mut body) > MAX_DEPTH {
        return Err(JqError::TooDeep);
    }
    if metering::recurses_with_filters(&mut body, &mut Vec::new()) {
        return Err(JqError::RecursiveFilters);
    }
    let mut main = parse("def main: path(.);", |p| p.defs()).ok_or(JqError::Syntax)?.pop().ok_or(JqError::Syntax)?;
    main.body = parse::Term::Call("path", vec![body]);
    let mut prelude: Vec<parse::Def<&str>> = meter::definitions().collect();
    prelude.push(main);
    prelude.iter_mut().for_each(|def| metering::rewrite(&mut def.body));
    let arena = Arena::default();
    let program = File { code: "main", path: () };
    let modules = Loader::new(prelude).load(&arena, program).map_err(|_| JqError::Syntax)?;
    let filter = Compiler::default().with_funs(meter::functions()).compile(modules).map_err(|errors| {
        let name = errors.iter().flat_map(|(_, undefined)| undefined).map(|(name, _)| (*name).to_owned()).next();
        name.map_or(JqError::Syntax, JqError::Undefined)
    })?;
    Ok(Program { filter })
}

/// Errors quote values, which may be long, and may be secret: only the beginning
/// is kept, which says what kind of thing went wrong.
fn shortened(message: &str) -> String {
    let end = message.find(['{', '[', '"']).unwrap_or(message.len()).min(80);
    let end = (0..=end).rev().find(|&i| message.is_char_boundary(i)).unwrap_or(0);
    let kept = message[..end].trim_end();
    if kept.is_empty() { "with an error of its own".to_owned() } else { kept.to_owned() }
}

fn to_jq(value: &Value) -> Val {
    match value {
        Value::Null => Val::Null,
        Value::Bool(b) => Val::Bool(*b),
        Value::Number(n) => match n.as_i64().and_then(|i| isize::try_from(i).ok()) {
            Some(i) => Val::from(i),
            None => Val::from(n.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(s) => Val::from(s.clone()),
        Value::Array(items) => items.iter().map(to_jq).collect(),
        Value::Object(map) => Val::obj(map.iter().map(|(k, v)| (Val::from(k.clone()), to_jq(v))).collect()),
    }
}

fn read_path(path: &Val) -> Result<Path, JqError> {
    let Val::Arr(steps) = path else { return Err(JqError::NotAPath) };
    steps.iter().map(read_step).collect()
}

fn read_step(step: &Val) -> Result<Step, JqError> {
    match step {
        Val::TStr(text) => String::from_utf8(text.to_vec()).map(Step::Key).map_err(|_| JqError::NotAPath),
        Val::Num(_) => read_index(step).map(Step::Index),
        Val::Obj(range) => {
            let bound = |key: &str| match range.get(&Val::from(key.to_owned())) {
                None | Some(Val::Null) => Ok(None),
                Some(bound) => read_index(bound).map(Some),
            };
            Ok(Step::Slice(bound("start")?, bound("end")?))
        }
        _ => Err(JqError::NotAPath),
    }
}

fn read_index(number: &Val) -> Result<i64, JqError> {
    match number {
        Val::Num(jaq_json::Num::Int(i)) => i64::try_from(*i).map_err(|_| JqError::NotAPath),
        Val::Num(jaq_json::Num::Float(f)) if f.abs() < 1e15 => {
            format!("{:.0}", f.floor()).parse().map_err(|_| JqError::NotAPath)
        }
        _ => Err(JqError::NotAPath),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn paths(expression: &str, input: &Value) -> Result<usize, JqError> {
        Program::compile(expression)?.paths(input).map(|p| p.len())
    }

    #[test]
    fn the_usual_expressions_work() {
        let input = json!({
            "spec": {"containers": [{"name": "a", "env": [{"name": "X"}]}, {"name": "b"}]},
            "webhooks": [{"clientConfig": {"caBundle": "x"}}],
            "metadata": {"annotations": {"a/b": "1", "c": "2"}}
        });
        for (expression, count) in [
            (".spec.containers[] | select(.name == \"a\") | .env", 1),
            (".webhooks[]?.clientConfig.caBundle", 1),
            (".missing[]?", 0),
            (".metadata.annotations | to_entries | map(select(.key | startswith(\"a/\"))) | from_entries", 99),
            (".metadata.annotations[\"a/b\"]", 1),
            (".spec.containers[].env[]? | select(.name | test(\"^X$\"))", 1),
            (".. | select(type == \"string\")", 6),
            (".spec.containers[0:1]", 1),
            (".spec, .metadata", 2),
            (".metadata.annotations | .[keys[] | select(. | IN(\"c\"))]", 1),
            ("first(.spec.containers[])", 1),
            ("def f: .spec; f | .containers", 1),
            ("getpath([\"spec\", \"containers\"])", 1),
        ] {
            match paths(expression, &input) {
                Ok(found) => assert_eq!(found, count, "{expression}"),
                Err(JqError::Failed(_)) => assert_eq!(count, 99, "{expression}"),
                Err(other) => panic!("{expression}: {other}"),
            }
        }
    }

    #[test]
    fn what_is_not_jq_says_so() {
        assert_eq!(Program::compile(".a[").map(|_| ()), Err(JqError::Syntax));
        assert_eq!(Program::compile("nope(.)").map(|_| ()), Err(JqError::Undefined("nope".to_owned())));
        for gone in ["env", "now", "input", "inputs", "halt", "debug", "$ENV", "import \"a\" as a; .", "stderr"] {
            assert!(Program::compile(gone).is_err(), "{gone}");
        }
        assert_eq!(Program::compile(&".a".repeat(3000)).map(|_| ()), Err(JqError::TooLong));
        assert!(Program::compile(&"-".repeat(4000)).is_err());
        assert_eq!(Program::compile(&format!("{}1", "-".repeat(4000))).map(|_| ()), Err(JqError::TooDeep));
        assert!(Program::compile(&format!("{}1{}", "(".repeat(2000), ")".repeat(2000))).is_ok());
        assert!(Program::compile(&"[".repeat(4000)).is_err());
    }

    #[test]
    fn endless_programs_end() {
        let input = json!({"a": "x".repeat(1000), "l": (0..1000).collect::<Vec<_>>()});
        for expression in [
            "[repeat(1)]",
            "last(repeat(1))",
            "def f: f; f",
            "def f: 1 + f; f",
            "def f: [f]; f",
            "def f(g): f(g | g); f(.)",
            "def f(g): def h: f(g | g); h; f(.)",
            "def f($x): f($x + 1); f(0)",
            "def f: . as $x | def g: $x | f; g; f",
            "def f: label $l | f; f",
            "def f: try f catch f; f",
            "def f: f | f; f",
            "def f: [limit(3; f)]; f",
            "def f: first(f, f); f",
            "last(range(1; infinite))",
            "[range(1e18)]",
            "reduce range(1e18) as $x (0; .)",
            "first(range(1e18) | select(. < 0))",
            "[limit(1e18; repeat(.))]",
            "(\"x\" * 1e15) as $x | .",
            "(.a | . * 1e12 | . * 1e12) as $x | .",
            "reduce range(100) as $i (\"x\"; . + .) as $x | .",
            "reduce range(100) as $i ([1]; [., .]) | tojson",
            "reduce range(100) as $i ([1]; [., .]) | [..] | length",
            "reduce range(100) as $i (1; [., .]) == 1 | .",
            "reduce range(1e6) as $i (1; [.]) | .",
            "reduce range(100) as $i (\"\\\"\"; tojson) as $x | .",
            "reduce range(100) as $i (\"xx\"; gsub(\"x\"; \"xx\")) as $x | .",
            "reduce range(100) as $i ({a: 1}; {a: ., b: .}) as $x | .",
            "reduce range(100) as $i (\"x\"; \"\\(.)\\(.)\") as $x | .",
            "reduce range(100) as $i ([1]; . += .) as $x | .",
            "reduce range(100) as $i (\"x\"; . *= 10) as $x | .",
            "[try repeat(1) catch .]",
            "range(1e18) | try error catch .",
            "[.. , repeat(..)?]",
            "[range(30)] | combinations(30)",
            "[range(1e6) as $i | .l[1:] | length]",
            "range(1e9) as $i | .a | test(\"(x{100}){100}y\") | select(.)",
            "range(1e9) as $i | .l - .l | select(length > 0)",
            "while(true; .)",
            "until(false; .)",
            "walk(repeat(1))",
            "recurse(.)",
            "label $out | repeat(1)",
        ] {
            assert!(paths(expression, &input).is_err(), "{expression}");
            // As values too: most of these are no paths, and are refused as such.
            let result = paths(&format!("[{expression}] as $x | ."), &input);
            assert!(matches!(result, Err(JqError::Exhausted | JqError::RecursiveFilters)), "{expression}: {result:?}");
        }
    }

    #[test]
    fn deeply_nested_text_is_not_read() {
        let result = paths("[(\"[\" * 100000) | fromjson] as $x | .", &json!({}));
        assert!(matches!(result, Err(JqError::Failed(_))), "{result:?}");
    }

    #[test]
    fn numbers_do_not_grow_without_end() {
        let result = paths("[reduce range(100) as $i (3; . * .)] as $x | .", &json!({}));
        assert!(matches!(result, Err(JqError::Failed(_))), "{result:?}");
    }

    #[test]
    fn errors_do_not_quote_values() {
        let error = paths(".a[]", &json!({"a": "canary"})).expect_err("a string has no items");
        assert!(!error.to_string().contains("canary"), "{error}");
    }
}
