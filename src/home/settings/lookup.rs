//! Finding one value, and falling back when it is unusable.

use serde::de::DeserializeOwned;

use super::{Problem, Sources};

/// Reads values out of the sources and gathers complaints.
pub(crate) struct Lookup<'a> {
    sources: &'a Sources,
    problems: Vec<Problem>,
}

// === impl Lookup ===

impl<'a> Lookup<'a> {
    pub(super) fn new(sources: &'a Sources) -> Self {
        Self { sources, problems: Vec::new() }
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    pub(super) fn sources(&self) -> &'a Sources {
        self.sources
    }

    pub(super) fn complain(&mut self, key: &str, message: impl Into<String>) {
        self.problems.push(Problem { key: key.to_owned(), message: message.into() });
    }

    /// The value of a key, or of the environment variable that overrides it.
    /// What is empty counts as not set.
    pub(super) fn text(&self, key: &str, env: &str) -> Option<&'a str> {
        let Sources { env: environment, config, params, .. } = self.sources;
        let set = |text: &&String| !text.trim().is_empty();
        environment
            .get(env)
            .filter(set)
            .or_else(|| config.get(key).filter(set))
            .or_else(|| params.get(key).filter(set))
            .map(String::as_str)
    }

    /// A parsed value: the default where it is not set, the previous one where
    /// it does not parse.
    pub(super) fn value<T: Clone>(
        &mut self,
        key: &str,
        env: &str,
        default: &T,
        previous: &T,
        parse: fn(&str) -> Result<T, String>,
    ) -> T {
        match self.text(key, env).map(parse) {
            None => default.clone(),
            Some(Ok(value)) => value,
            Some(Err(message)) => {
                self.complain(key, message);
                previous.clone()
            }
        }
    }

    /// A value of `argocd-cm` in YAML: `None` where the key is absent, the
    /// previous one where it does not parse, the type's default where it is empty.
    pub(super) fn yaml<T: DeserializeOwned + Default + Clone>(&mut self, key: &str, previous: &T) -> Option<T> {
        let text = self.sources.config.get(key)?;
        Some(match parse_yaml(text) {
            Ok(value) => value,
            Err(message) => {
                self.complain(key, message);
                previous.clone()
            }
        })
    }
}

/// Reads YAML; a document that holds nothing is the type's default.
pub(super) fn parse_yaml<T: DeserializeOwned + Default>(text: &str) -> Result<T, String> {
    let is_empty = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
    if text.lines().all(is_empty) {
        return Ok(T::default());
    }
    serde_saphyr::from_str::<Option<T>>(text)
        .map(Option::unwrap_or_default)
        .map_err(|e| e.without_snippet().to_string())
}
