//! The budget of one evaluation, and the functions a program can call.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use jaq_core::box_iter::box_once;
use jaq_core::load::parse::Def;
use jaq_core::native::{Fun, bome, v};
use jaq_core::{DataT, Error, Lut, Native, data::HasLut, load};
use jaq_json::{Num, Val};
use serde_json::Value;

/// Stack one evaluation may use, in bytes: well inside the 2 MB of a worker
/// thread, and far more than an expression of the deepest nesting needs.
const MAX_STACK: usize = 768 << 10;
/// Deepest nesting of a value that a program may build.
const MAX_NESTING: usize = 300;
/// Bytes of text that weigh as much as one step.
const BYTES_PER_STEP: u64 = 4;

/// What is left for one evaluation.
pub(super) struct Budget {
    left: Cell<u64>,
    base: usize,
}

/// Thrown through the interpreter when the budget is gone.
struct Exhausted;

/// The data type of our programs: plain values, metered.
pub(super) struct Metered;

/// The interpreter's way to its terms, which passes by the budget.
#[derive(Clone, Copy)]
pub(super) struct Meter<'a> {
    lut: &'a Lut<Metered>,
    budget: &'a Budget,
}

/// Runs an evaluation; `None` when it spent all it had, or broke the interpreter.
pub(super) fn within_budget<T>(steps: u64, evaluate: impl FnOnce(&Budget) -> T) -> Option<T> {
    let budget = Budget { left: Cell::new(steps), base: stack_pointer() };
    // Nothing outlives the closure but its result, so nothing half-done is seen.
    catch_unwind(AssertUnwindSafe(|| evaluate(&budget))).ok()
}

/// Roughly where the stack ends now.
#[inline(never)]
fn stack_pointer() -> usize {
    let here = 0u8;
    std::ptr::from_ref(std::hint::black_box(&here)).addr()
}

// === impl Budget ===

impl Budget {
    fn spend(&self, steps: u64) {
        match self.left.get().checked_sub(steps) {
            Some(left) => self.left.set(left),
            None => resume_unwind(Box::new(Exhausted)),
        }
    }

    fn check_stack(&self) {
        if stack_pointer().abs_diff(self.base) > MAX_STACK {
            resume_unwind(Box::new(Exhausted));
        }
    }

    /// Spends what a value weighs: a step for each node, and more for long texts.
    fn weigh(&self, value: &Val, nesting: usize) {
        if nesting > MAX_NESTING {
            resume_unwind(Box::new(Exhausted));
        }
        match value {
            Val::TStr(text) | Val::BStr(text) => self.spend(1 + text.len() as u64 / BYTES_PER_STEP),
            Val::Arr(items) => {
                self.spend(1);
                items.iter().for_each(|item| self.weigh(item, nesting + 1));
            }
            Val::Obj(map) => {
                self.spend(1);
                for (key, value) in map.iter() {
                    self.weigh(key, nesting + 1);
                    self.weigh(value, nesting + 1);
                }
            }
            _ => self.spend(1),
        }
    }
}

// === impl Meter ===

impl<'a> Meter<'a> {
    pub(super) fn new(lut: &'a Lut<Metered>, budget: &'a Budget) -> Self {
        Self { lut, budget }
    }
}

impl DataT for Metered {
    type V<'a> = Val;
    type Data<'a> = Meter<'a>;
}

impl<'a> HasLut<'a, Metered> for Meter<'a> {
    fn lut(&self) -> &'a Lut<Metered> {
        self.budget.spend(1);
        self.budget.check_stack();
        self.lut
    }
}

/// Definitions in jq. Those that need what is not here are left out, and some
/// that gojq has and jaq has not are added.
pub(super) fn definitions() -> impl Iterator<Item = Def<&'static str>> {
    const GONE: [&str; 6] = ["stderr", "debug", "halt", "halt_error", "input_line_number", "combinations"];
    const ADDED: &str = "def IN(s): any(s == .; .); def IN(src; s): any(src == s; .);
        def leaf_paths: paths(scalars); def ascii: [.] | implode;
        def combinations: if length == 0 then [] else .[0][] as $x | (.[1:] | combinations) as $w | [$x] + $w end;
        def combinations($n): . as $dot | [limit($n; repeat($dot))] | combinations;";
    let added = load::parse(ADDED, |p| p.defs()).unwrap_or_default();
    let all = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
    all.filter(|def| !GONE.contains(&def.name)).chain(added)
}

/// Native functions: the standard ones without environment, clock, input and
/// output, and our own that weigh.
pub(super) fn functions() -> impl Iterator<Item = Fun<Metered>> {
    const GONE: [&str; 12] = [
        "env",
        "now",
        "input",
        "inputs",
        "halt",
        "debug_empty",
        "stderr_empty",
        "localtime",
        "strflocaltime",
        "fromjson",
        "input_filename",
        "input_line_number",
    ];
    let all = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
    all.filter(|(name, _, _)| !GONE.contains(name)).chain(own())
}

fn own() -> [Fun<Metered>; 6] {
    let step = Native::<Metered>::new(|cv| {
        cv.0.data().budget.spend(1);
        box_once(Ok(cv.1))
    })
    .with_paths(|cv| {
        cv.0.data().budget.spend(1);
        box_once(Ok(cv.1))
    })
    .with_update(|cv, f| {
        cv.0.data().budget.spend(1);
        f(cv.1)
    });
    let weigh = Native::<Metered>::new(|cv| {
        cv.0.data().budget.weigh(&cv.1, 0);
        box_once(Ok(cv.1))
    })
    .with_paths(|cv| {
        cv.0.data().budget.weigh(&cv.1.0, 0);
        box_once(Ok(cv.1))
    })
    .with_update(|cv, f| {
        cv.0.data().budget.weigh(&cv.1, 0);
        f(cv.1)
    });
    [
        ("!step", v(0), step),
        ("!weigh", v(0), weigh),
        (
            "!charge",
            v(1),
            Native::new(|mut cv| {
                let arg = cv.0.pop_var();
                cv.0.data().budget.spend(search_cost(&cv.1, &arg));
                box_once(Ok(cv.1))
            }),
        ),
        (
            "!product",
            v(2),
            Native::new(|mut cv| {
                let (r, l) = (cv.0.pop_var(), cv.0.pop_var());
                bome(product(cv.0.data().budget, l, r))
            }),
        ),
        (
            "!difference",
            v(2),
            Native::new(|mut cv| {
                let (r, l) = (cv.0.pop_var(), cv.0.pop_var());
                cv.0.data().budget.spend(search_cost(&l, &r));
                bome(l - r)
            }),
        ),
        ("fromjson", v(0), Native::new(|cv| bome(from_json(cv.1)))),
    ]
}

/// Texts are repeated, and big numbers grow, in one step: not beyond the budget.
fn product(budget: &Budget, l: Val, r: Val) -> jaq_json::ValR {
    match (&l, &r) {
        (Val::TStr(text) | Val::BStr(text), Val::Num(n)) | (Val::Num(n), Val::TStr(text) | Val::BStr(text)) => {
            let times = match n {
                Num::Int(n) => u64::try_from(*n).unwrap_or(0),
                _ => u64::MAX,
            };
            budget.spend((text.len() as u64).saturating_mul(times) / BYTES_PER_STEP);
        }
        (Val::Num(Num::BigInt(_)), _) | (_, Val::Num(Num::BigInt(_))) => {
            return Err(Error::str("numbers of this size are not multiplied here"));
        }
        _ => {}
    }
    l * r
}

/// The cost of looking for one value in another: the product of their sizes, and
/// for patterns what their counted repetitions blow them up to.
fn search_cost(input: &Val, pattern: &Val) -> u64 {
    let size = |value: &Val| match value {
        Val::TStr(text) | Val::BStr(text) => text.len() as u64,
        Val::Arr(items) => items.len() as u64,
        Val::Obj(map) => map.len() as u64,
        _ => 1,
    };
    let repeats = match pattern {
        Val::TStr(text) => repetitions(text),
        _ => 1,
    };
    let states = size(pattern).saturating_mul(repeats);
    (50 + states).saturating_add(states.saturating_mul(size(input)) / BYTES_PER_STEP)
}

/// The product of the numbers in the braces of a pattern.
fn repetitions(pattern: &[u8]) -> u64 {
    let mut product = 1u64;
    for part in pattern.split(|b| *b == b'{').skip(1) {
        let inside = part.split(|b| *b == b'}').next().unwrap_or(part);
        let largest = inside
            .split(|b| *b == b',')
            .map(|digits| {
                digits
                    .iter()
                    .filter(|d| d.is_ascii_digit())
                    .fold(0u64, |n, d| n.saturating_mul(10) + u64::from(d - b'0'))
            })
            .max();
        product = product.saturating_mul(largest.unwrap_or(1).max(1));
    }
    product
}

/// Unlike the stock function this one has a bound on nesting, and reads numbers
/// of any length in linear time.
fn from_json(text: Val) -> jaq_json::ValR {
    let bytes = match &text {
        Val::TStr(bytes) | Val::BStr(bytes) => bytes,
        _ => return Err(Error::str("only text can be read as JSON")),
    };
    let value: Value = serde_json::from_slice(bytes).map_err(|_| Error::str("not JSON"))?;
    Ok(super::to_jq(&value))
}
