//! Which repositories a project's applications may read.

use argosy_model::git_url;

use super::pattern::{MAX_LENGTH, Signed};
use crate::decision::{Decision, Reason};

/// One entry of `sourceRepos`.
#[derive(Clone, Debug)]
pub(super) struct SourceRule {
    text: String,
    entry: Signed,
}

// === impl SourceRule ===

impl SourceRule {
    pub(super) fn new(text: &str) -> Self {
        let normalize = |url: &str| git_url::normalize(url).unwrap_or_else(|| url.to_lowercase());
        Self { text: text.to_owned(), entry: Signed::new(text, &['/'], normalize) }
    }
}

/// Any denial that names the source decides; else any entry that holds of it.
pub(super) fn permits(rules: &[SourceRule], url: &str) -> Decision {
    if url.len() > MAX_LENGTH {
        return Decision::deny(Reason::TooLong);
    }
    // What can be no address is matched by `*` alone.
    let source = git_url::normalize(url).unwrap_or_default();
    let plain = undisguised(&source);
    let denied = |rule: &&SourceRule| rule.entry.denies && (rule.entry.names(&source) || rule.entry.names(&plain));
    if let Some(rule) = rules.iter().find(denied) {
        return Decision::deny(Reason::DeniedBy(rule.text.clone()));
    }
    Decision::by_rule(rules.iter().find(|rule| rule.entry.holds(&source)).map(|rule| rule.text.clone()))
}

/// The address without what changes its text and not its target: a user before
/// an http host, a default port, escapes of plain letters, doubled and trailing
/// slashes, steps up. A denial must not be walked around by any of them.
fn undisguised(source: &str) -> String {
    let (scheme, rest) = source.split_once("://").map_or(("", source), |(s, r)| (s, r));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = match (scheme, authority.rsplit_once('@')) {
        ("", _) | (_, None) => authority,
        (_, Some((_, host))) => host,
    };
    let port = match scheme {
        "https" => ":443",
        "http" => ":80",
        _ => ":22",
    };
    let host = host.strip_suffix(port).unwrap_or(host);
    let path = unescaped(path);
    let mut segments = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            _ => segments.push(segment),
        }
    }
    let path = segments.join("/");
    let path = path.strip_suffix(".git").unwrap_or(&path);
    let separator = if scheme.is_empty() { "" } else { "://" };
    format!("{scheme}{separator}{host}/{path}")
}

fn unescaped(path: &str) -> String {
    let bytes = path.as_bytes();
    let (mut out, mut i) = (Vec::with_capacity(bytes.len()), 0);
    while i < bytes.len() {
        let hex = |at: usize| bytes.get(at).and_then(|b| char::from(*b).to_digit(16));
        let escaped = if bytes[i] == b'%' { hex(i + 1).zip(hex(i + 2)) } else { None };
        match escaped.and_then(|(high, low)| u8::try_from(high * 16 + low).ok()) {
            Some(byte) => {
                out.push(byte);
                i += 3;
            }
            None => {
                out.push(bytes[i]);
                i += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).to_lowercase()
}
