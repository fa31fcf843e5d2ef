//! In which namespaces Applications are looked for.

use argosy_model::glob;
use regex::Regex;

/// Namespaces watched one by one; beyond that one cluster-wide watch is cheaper
/// than the connections.
const MOST_SINGLE_WATCHES: usize = 8;

/// The control plane's own namespace and those that patterns admit: a name, a
/// glob, or a regular expression between slashes.
#[derive(Clone, Debug)]
pub struct NamespacePatterns {
    home: String,
    patterns: Vec<Pattern>,
}

#[derive(Clone, Debug)]
enum Pattern {
    Name(String),
    Glob(String),
    Regex(Regex),
}

// === impl NamespacePatterns ===

impl NamespacePatterns {
    /// Patterns that do not compile admit nothing.
    pub fn new(home: &str, patterns: &[String]) -> Self {
        let patterns = patterns.iter().map(|p| p.trim()).filter(|p| !p.is_empty()).filter_map(Pattern::parse);
        Self { home: home.to_owned(), patterns: patterns.collect() }
    }

    /// Whether Applications of this namespace are ours to look at.
    pub fn admits(&self, namespace: &str) -> bool {
        namespace == self.home
            || self.patterns.iter().any(|pattern| match pattern {
                Pattern::Name(name) => name == namespace,
                Pattern::Glob(glob) => glob::matches(glob, namespace, &[]),
                Pattern::Regex(regex) => regex.is_match(namespace),
            })
    }

    /// The namespaces to watch one by one; `None` means all of them at once.
    pub(crate) fn single(&self) -> Option<Vec<String>> {
        let mut names = vec![self.home.clone()];
        for pattern in &self.patterns {
            let Pattern::Name(name) = pattern else { return None };
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        (names.len() <= MOST_SINGLE_WATCHES).then_some(names)
    }
}

// === impl Pattern ===

impl Pattern {
    fn parse(text: &str) -> Option<Self> {
        if let Some(regex) = text.strip_prefix('/').and_then(|t| t.strip_suffix('/')) {
            return match Regex::new(regex) {
                Ok(regex) => Some(Self::Regex(regex)),
                Err(error) => {
                    tracing::warn!(pattern = text, %error, "namespace pattern does not compile and admits nothing");
                    None
                }
            };
        }
        let is_glob = text.contains(['*', '?', '[', '{', '\\']);
        Some(if is_glob { Self::Glob(text.to_owned()) } else { Self::Name(text.to_owned()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(list: &[&str]) -> NamespacePatterns {
        NamespacePatterns::new("argocd", &list.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn names_globs_and_regular_expressions_admit_namespaces() {
        let p = patterns(&["team-a", "dev-*", "/^prod-[0-9]+$/"]);
        for admitted in ["argocd", "team-a", "dev-x", "prod-12"] {
            assert!(p.admits(admitted), "{admitted}");
        }
        for refused in ["team-ab", "prod-x", "default"] {
            assert!(!p.admits(refused), "{refused}");
        }
    }

    #[test]
    fn a_pattern_that_does_not_compile_admits_nothing() {
        assert!(!patterns(&["/(/"]).admits("x"));
    }

    #[test]
    fn few_names_are_watched_one_by_one_and_globs_all_at_once() {
        assert_eq!(patterns(&["a", "argocd"]).single(), Some(vec!["argocd".to_owned(), "a".to_owned()]));
        assert_eq!(patterns(&["a-*"]).single(), None);
    }
}
