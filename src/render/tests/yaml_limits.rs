//! No YAML harms: every input gives an answer, in time linear in its length.

use std::time::{Duration, Instant};

use argosy_render::yaml::{Documents, Error, MAX_DEPTH, Problem, to_value, to_values};
use proptest::prelude::*;

/// Far above what these inputs take unoptimised, far below what a quadratic or
/// exponential reading of them would.
const SOON: Duration = Duration::from_secs(20);

fn problem(text: &str) -> Problem {
    let start = Instant::now();
    let error: Error = to_values(text).expect_err("a limit");
    assert!(start.elapsed() < SOON, "took {:?}", start.elapsed());
    error.problem
}

#[test]
fn an_alias_bomb_is_refused() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for i in 1..30 {
        let aliases = vec![format!("*a{}", i - 1); 10].join(", ");
        text.push_str(&format!("a{i}: &a{i} [{aliases}]\n"));
    }
    assert_eq!(problem(&text), Problem::Aliasing);
}

#[test]
fn a_merge_bomb_is_refused() {
    let mut text = String::from("a0: &a0 {k: v}\n");
    for i in 1..64 {
        text.push_str(&format!("a{i}: &a{i} {{<<: *a{}, x: *a{}, y: *a{}}}\n", i - 1, i - 1, i - 1));
    }
    assert_eq!(problem(&text), Problem::Aliasing);
}

#[test]
fn many_aliases_of_a_long_text_are_refused() {
    let text = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), vec!["*a"; 1000].join(", "));
    assert_eq!(problem(&text), Problem::Aliasing);
}

#[test]
fn anchors_within_anchors_do_not_multiply_memory() {
    let depth = MAX_DEPTH - 1;
    let mut text: String = (0..depth).map(|i| format!("&a{i} [")).collect();
    text.push_str(&"x".repeat(1 << 20));
    text.push_str(&"]".repeat(depth));
    text.push_str("\n# *\n");
    assert_eq!(problem(&text), Problem::Aliasing);
}

#[test]
fn deep_nesting_is_refused_in_every_form() {
    for unit in ["[", "{a: ", "- ", "? ", "[{a: ", "- - ", "&a [", "{? "] {
        let text = unit.repeat(200_000);
        let start = Instant::now();
        assert!(to_values(&text).is_err(), "{unit}");
        assert!(start.elapsed() < SOON, "{unit} took {:?}", start.elapsed());
    }
    let nested = |n: usize| format!("{}x{}\n", "[".repeat(n), "]".repeat(n));
    assert!(to_value(&nested(MAX_DEPTH)).is_ok());
    assert_eq!(problem(&nested(MAX_DEPTH + 1)), Problem::TooDeep);
}

#[test]
fn aliases_cannot_hide_depth() {
    let mut text = String::from("a0: &a0 x\n");
    for i in 1..200 {
        text.push_str(&format!("a{i}: &a{i} [*a{}]\n", i - 1));
    }
    assert_eq!(problem(&text), Problem::TooDeep);
}

#[test]
fn what_is_rendered_can_be_read_back_as_json() {
    let nested = format!("{}x{}\n", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH));
    let json = to_value(&nested).expect("within the limit").to_string();
    assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok());
}

#[test]
fn long_inputs_take_time_in_proportion() {
    let inputs = [
        "a: 1\n".repeat(100_000),
        "---\n".repeat(100_000),
        "# comment\n".repeat(100_000),
        "{".repeat(300_000),
        "\"".to_owned() + &"x\n".repeat(150_000),
        "k: |\n".to_owned() + &"  x\n".repeat(100_000),
        "k: [".to_owned() + &"-, ".repeat(100_000) + "]\n",
        "k: {\n".to_owned() + &"\ta: 1,\n".repeat(30_000) + "}\n",
        "{\"a\":1}".repeat(50_000),
        "a: b: ".repeat(50_000),
        "? ".repeat(150_000),
        "&a ".repeat(100_000),
        "!a ".repeat(100_000),
        "*a ".repeat(100_000),
        "a: x\n".to_owned() + &" y\n".repeat(100_000),
        "\n".repeat(300_000),
        " ".repeat(300_000),
        "\t".repeat(300_000),
        "'".repeat(300_000),
        "[a: b, ".repeat(100) + &"a, ".repeat(100_000),
        "<<: {a: 1}\n".repeat(50_000),
    ];
    for input in inputs {
        let start = Instant::now();
        let _ = Documents::new(&input).count();
        assert!(start.elapsed() < SOON, "{:?} took {:?}", &input[..20], start.elapsed());
    }
}

#[test]
fn positions_are_those_of_the_whole_text() {
    let error = to_values("a: 1\n---\nb: 2\n---\nc: [\n").expect_err("unclosed");
    assert!(error.line >= 5, "{error}");
    let error = to_values("a: 1\n---\nb: 2\n--- x\n").expect_err("separator");
    assert_eq!((error.line, error.problem), (4, Problem::Separator));
    let error = to_values("a: 1\nb: \u{1}\n").expect_err("control character");
    assert_eq!((error.line, error.column, error.problem), (2, 4, Problem::ControlCharacter));
    let error = to_values("a: 1\nb: !!int x\n").expect_err("tag");
    assert_eq!(error.line, 2);
}

#[test]
fn values_are_not_quoted_in_errors() {
    for text in ["a: !!int s3cret\n", "a: s3cret: s3cret\n", "{\"a\": \"s3cret\" s3cret}\n", "a: !!binary s3cret!\n"] {
        let error = to_values(text).expect_err("broken").to_string();
        assert!(!error.contains("s3cret"), "{error}");
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let text = argosy_render::yaml::decode_text(&bytes);
        let _ = Documents::new(&text).count();
    }

    #[test]
    fn arbitrary_yaml_never_panics(text in "([-?:,\\[\\]{}#&*!|>'\"%@` \n\ta0x~.\\\\<]|---|\\.\\.\\.|<<|!!int |&a |\\*a |\r\n|é|\u{feff}){0,80}") {
        let _ = Documents::new(&text).count();
        let _ = to_value(&text);
    }

    #[test]
    fn json_means_itself(key in "\\PC{0,8}", text in "\\PC{0,20}", number in any::<i64>(), list in prop::collection::vec(any::<bool>(), 0..4)) {
        let value = serde_json::json!({ key: { "text": text, "number": number, "list": list, "none": null } });
        let from_json = to_values(&value.to_string()).expect("JSON");
        prop_assert_eq!(&from_json, &vec![value.clone()]);
        // Behind a separator the YAML reader has to read it.
        let from_yaml = to_values(&format!("---\n{value}\n")).expect("JSON is YAML");
        prop_assert_eq!(from_yaml, vec![value]);
    }
}
