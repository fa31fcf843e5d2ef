//! Templates of links: the first line of an input, with the JSON after it put in.

use serde_json::Value;

use super::template::Template;

pub(crate) fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (template, facts) = text.split_once('\n').unwrap_or((&text, ""));
    let facts: Value = serde_json::from_str(facts).unwrap_or_default();
    let Ok(read) = Template::parse(template) else { return };
    let link = read.render(&facts);
    if !template.contains("{{") {
        assert_eq!(link, template);
    }
}
