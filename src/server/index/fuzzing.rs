//! Selectors of applications: the first line of an input, held against the labels that
//! stand on the others as `name=value`.

use std::collections::BTreeMap;

use super::Selector;

pub(crate) fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let mut lines = text.lines();
    let selector = lines.next().unwrap_or_default();
    let labels: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let read = match Selector::parse(selector) {
        Ok(read) => read,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let matches = read.matches(&labels);
    // What the index looks up first is never what a match lacks.
    if matches {
        assert!(
            read.required().all(|(name, value)| labels.get(name).is_some_and(|given| given == value)),
            "{selector:?}"
        );
    }
    assert!(!read.is_empty() || matches, "nothing is asked and not all match");
    // Terms are all asked: one more that holds changes nothing, one that cannot hold all.
    if !read.is_empty() {
        let more = |term: &str| Selector::parse(&format!("{term},{selector}")).map(|more| more.matches(&labels));
        if selector.len() < 1024 {
            assert_eq!(more("!no.such.label"), Ok(matches), "{selector:?}");
            assert_eq!(more("no.such.label"), Ok(false), "{selector:?}");
        }
    }
}
