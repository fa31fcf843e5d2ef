//! The YAML reader agrees with `sigs.k8s.io/yaml` behind the Kubernetes stream
//! decoder: `data/go-yaml.json` holds what that made of each input.

use argosy_render::yaml::Documents;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Row {
    input: String,
    documents: Vec<Value>,
    error: bool,
}

/// Where this reader and Go's part, and why that is left so. All others agree.
const DIFFERENT: &[(&str, &str)] = &[
    // Read here, refused by Go: YAML 1.2 allows it, or the parser is kind.
    ("k: \"a\\tb\\n\\x41\\u00e9\\U0001F600\\e\\0\\_\\N\\L\\P\\/\"\nz: 1\n", "the escape `\\/`"),
    ("k: \"\\uD834\\uDD1E\"\nz: 1\n", "surrogate pairs as escapes"),
    ("k: |\n  \ta\n\nz: 1\n", "a tab that begins a block scalar's text"),
    ("...\n", "a document end without a document"),
    ("...\na: 1\n", "a document end without a document"),
    ("\ta: 1\n", "tabs as indentation"),
    ("a:\n  \tb: 1\n", "tabs as indentation"),
    ("- \ta\n", "a tab after `-`"),
    ("-\ta\n", "a tab after `-`"),
    ("k: {\n\t\"a\": 1,\n\t\"b\": [\n\t\t1,\n\t\t2\n\t]\n}\n", "a tab before a closing bracket"),
    ("a: 1\n\t\nb: 2\n", "a tab on a blank line"),
    ("a: &a-b.c 1\nb: *a-b.c\n", "a dot in an anchor's name"),
    ("k: [http://x/y?z=1, b:c]\n", "colons in flow scalars"),
    ("k: [?]\n", "a lone `?` in a flow collection"),
    ("k: [::]\n", "colons in flow scalars"),
    ("a: \u{85}x\n", "NEL, no line break since YAML 1.2"),
    ("a: x\u{2028}y\n", "LS, no line break since YAML 1.2"),
    ("{\"a\":1} x\n", "text after JSON, shorter than four bytes"),
    // Read otherwise, or refused here.
    ("a: \u{85}\nb: 1\n", "NEL is no line break since YAML 1.2"),
    ("---\n%YAML 1.2\n---\na: 1\n", "a directive within a document"),
    ("{a:}\n", "a colon before a bracket ends the key"),
    ("k: [a:]\n", "a colon before a bracket ends the key"),
    ("k: [a:, b]\n", "a colon before a comma ends the key"),
    ("k: [#a\n]\n", "a comment must follow white space"),
];

#[test]
fn every_input_means_what_it_means_to_go() {
    let rows: Vec<Row> = serde_json::from_str(include_str!("data/go-yaml.json")).expect("the table is JSON");
    let mut differences = Vec::new();
    for row in &rows {
        let (mut documents, mut error) = (Vec::new(), None);
        for document in Documents::new(&row.input) {
            match document {
                Ok(document) => documents.push(document.value),
                Err(e) => error = Some(e.to_string()),
            }
        }
        let mut expected = row.documents.clone();
        expected.iter_mut().for_each(argosy_render::yaml::normalise_numbers);
        let agree = documents == expected && error.is_some() == row.error;
        if DIFFERENT.iter().any(|(input, _)| *input == row.input) == agree {
            let (got, want) = (Value::from(documents), Value::from(expected));
            differences.push(format!("{:?}\n   got {got} {error:?}\n  want {want} error={}", row.input, row.error));
        }
    }
    assert!(
        differences.is_empty(),
        "{} of {} are not as expected:\n{}",
        differences.len(),
        rows.len(),
        differences.join("\n")
    );
}
