//! The part of Go's templates that addresses of links are written in: text, and
//! between `{{` and `}}` a path such as `.app.metadata.name`, or `index` into one
//! (`index .app.metadata.labels "a/b"`), perhaps piped into `lower`, `upper`,
//! `trim` or `urlquery`. `{{-` and `-}}` take away the white space beside them.

use serde_json::Value;

/// What Go prints for what is not there.
const NO_VALUE: &str = "<no value>";

/// A template that was read.
#[derive(Debug)]
pub(super) struct Template(Vec<Part>);

#[derive(Debug)]
enum Part {
    Text(String),
    Value { path: Vec<String>, through: Vec<Function> },
}

#[derive(Clone, Copy, Debug)]
enum Function {
    Lower,
    Upper,
    Trim,
    UrlQuery,
}

// === impl Template ===

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// What is not understood.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (inside, after) = after.split_once("}}").ok_or("an action is not closed")?;
            let (inside, before) =
                inside.strip_prefix('-').map_or((inside, before), |inside| (inside, before.trim_end()));
            let (inside, after) =
                inside.strip_suffix('-').map_or((inside, after), |inside| (inside, after.trim_start()));
            parts.push(Part::Text(before.to_owned()));
            parts.push(action(inside)?);
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self(parts))
    }

    /// The text with the facts put in.
    pub(super) fn render(&self, facts: &Value) -> String {
        self.0
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.clone(),
                Part::Value { path, through } => {
                    let value = path.iter().try_fold(facts, |at, name| at.get(name)).map_or(NO_VALUE.to_owned(), print);
                    through.iter().fold(value, |value, function| function.apply(&value))
                }
            })
            .collect()
    }
}

// === impl Function ===

impl Function {
    fn apply(self, value: &str) -> String {
        match self {
            Self::Lower => value.to_lowercase(),
            Self::Upper => value.to_uppercase(),
            Self::Trim => value.trim().to_owned(),
            Self::UrlQuery => url::form_urlencoded::byte_serialize(value.as_bytes()).collect(),
        }
    }
}

/// What stands between the braces.
fn action(text: &str) -> Result<Part, String> {
    let mut steps = text.split('|').map(str::trim);
    let first = steps.next().unwrap_or_default();
    let path = match first.strip_prefix("index ") {
        Some(indexed) => index(indexed)?,
        None => fields(first)?,
    };
    let through = steps.map(function).collect::<Result<_, _>>()?;
    Ok(Part::Value { path, through })
}

fn function(name: &str) -> Result<Function, String> {
    match name {
        "lower" => Ok(Function::Lower),
        "upper" => Ok(Function::Upper),
        "trim" => Ok(Function::Trim),
        "urlquery" => Ok(Function::UrlQuery),
        other => Err(format!("function {other:?} is not supported")),
    }
}

/// `.a.b`
fn fields(text: &str) -> Result<Vec<String>, String> {
    let unknown = || format!("{text:?} is not supported");
    let names = text.strip_prefix('.').ok_or_else(unknown)?;
    let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    if names.split('.').all(is_name) { Ok(names.split('.').map(str::to_owned).collect()) } else { Err(unknown()) }
}

/// `.a.b "key" "key"`
fn index(text: &str) -> Result<Vec<String>, String> {
    let (path, mut rest) = text.trim().split_once(' ').ok_or("index takes a key")?;
    let mut path = fields(path)?;
    while !rest.trim().is_empty() {
        let quoted = rest.trim_start().strip_prefix('"').and_then(|rest| rest.split_once('"'));
        let (key, after) = quoted.ok_or("index takes keys in quotes")?;
        path.push(key.to_owned());
        rest = after;
    }
    Ok(path)
}

fn print(value: &Value) -> String {
    match value {
        Value::Null => NO_VALUE.to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_keys_and_functions_are_put_in() {
        let facts = json!({"app": {"metadata": {"name": "Web A", "labels": {"a.b/c": "x"}, "n": 7}}});
        for (template, text) in [
            ("plain", "plain"),
            ("a/{{.app.metadata.name}}/b", "a/Web A/b"),
            ("{{ .app.metadata.name | lower | urlquery }}", "web+a"),
            ("{{ index .app.metadata.labels \"a.b/c\" }}", "x"),
            ("{{ .app.metadata.n }}", "7"),
            ("{{ .app.nothing.there }}", "<no value>"),
            ("a {{- .app.metadata.n -}} b", "a7b"),
            ("a {{ .app.metadata.n -}} b", "a 7b"),
        ] {
            assert_eq!(Template::parse(template).expect(template).render(&facts), text);
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for template in
            ["{{ .a", "{{ if .a }}", "{{ .a | env }}", "{{ .a..b }}", "{{ index .a }}", "{{ index .a b }}", "{{ }}"]
        {
            assert!(Template::parse(template).is_err(), "{template}");
        }
    }
}
