//! Repositories and who may read them, from credential Secrets.
//!
//! A repository declared for a project comes before the global one of the same
//! address. One without credentials of its own inherits those of the credential
//! template whose address is its longest prefix. Separate Secrets hold what the
//! hydrator writes with.
//!
//! A template's credentials never leave its host: an address matches only where
//! the template covers the host whole, so `https://git.example` does not unlock
//! `https://git.example.evil.org`.

mod credentials;
pub(crate) mod written;

use std::sync::Arc;

use argosy_model::{AppKey, git_url, names};

pub use credentials::{AzureServicePrincipal, GithubApp, RepoCredentials};

use crate::object::SecretObject;
use crate::settings::{Problem, Settings, Sources};

/// All repositories and templates of one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Repositories {
    read: Side,
    write: Side,
    trust: Arc<Sources>,
    /// What could not be used; keys are names of Secrets.
    pub problems: Vec<Problem>,
}

/// What is read with, or what is written with.
#[derive(Clone, Debug, Default, PartialEq)]
struct Side {
    repositories: Vec<Arc<RepoCredentials>>,
    templates: Vec<Arc<RepoCredentials>>,
}

// === impl Repositories ===

impl Repositories {
    /// Gathers them from Secrets of all types; those of other types are skipped.
    pub(crate) fn read<'a>(secrets: impl Iterator<Item = (&'a AppKey, &'a SecretObject)>, settings: &Settings) -> Self {
        let mut all = Self { trust: settings.raw.clone(), ..Self::default() };
        // The same answer whatever order the Secrets arrived in.
        let mut secrets: Vec<_> = secrets.collect();
        secrets.sort_by(|a, b| a.0.cmp(b.0));
        for (key, secret) in secrets {
            let kind = secret.metadata.labels.get(names::LABEL_SECRET_TYPE).map_or("", String::as_str);
            let list = match kind {
                "repository" => &mut all.read.repositories,
                "repo-creds" => &mut all.read.templates,
                "repository-write" => &mut all.write.repositories,
                "repo-write-creds" => &mut all.write.templates,
                _ => continue,
            };
            let entry = RepoCredentials::read(&key.name, &secret.data);
            if let Some(message) = entry.problem.clone() {
                all.problems.push(Problem { key: key.name.to_string(), message });
            }
            list.push(Arc::new(entry));
        }
        all
    }

    /// How to reach a repository on behalf of a project. An unknown one yields
    /// anonymous access, or a template's credentials.
    pub fn resolve(&self, url: &str, project: &str) -> RepoCredentials {
        self.with_trust(self.read.resolve(url, project))
    }

    /// How a repository that is not declared would be read: as described, with the
    /// credentials of a template where it has none of its own.
    pub fn complete(&self, described: RepoCredentials) -> RepoCredentials {
        self.with_trust(self.read.inherit(described))
    }

    /// How the hydrator writes to a repository on behalf of a project.
    pub fn resolve_write(&self, url: &str, project: &str) -> RepoCredentials {
        self.with_trust(self.write.resolve(url, project))
    }

    /// The declared repositories, each with its own credentials alone.
    pub fn declared(&self) -> &[Arc<RepoCredentials>] {
        &self.read.repositories
    }

    /// The credential templates.
    pub fn templates(&self) -> &[Arc<RepoCredentials>] {
        &self.read.templates
    }

    /// The repositories declared for writing to, each with its own credentials alone.
    pub fn declared_for_writing(&self) -> &[Arc<RepoCredentials>] {
        &self.write.repositories
    }

    /// The credential templates for writing.
    pub fn templates_for_writing(&self) -> &[Arc<RepoCredentials>] {
        &self.write.templates
    }

    /// The declared repositories a project may use: its own and the global ones,
    /// each with the credentials it inherits.
    pub fn of_project<'a>(&'a self, project: &'a str) -> impl Iterator<Item = RepoCredentials> + 'a {
        let usable = self.read.repositories.iter().filter(move |r| r.project.is_empty() || r.project == project);
        usable.map(|r| self.with_trust(self.read.inherit(RepoCredentials::clone(r))))
    }

    fn with_trust(&self, mut found: RepoCredentials) -> RepoCredentials {
        found.known_hosts = self.trust.known_hosts().into();
        if !git_url::is_ssh(&found.url) {
            found.ca_bundle = host(&found.url).and_then(|h| self.trust.tls_certs.get(h)).map(|pem| pem.as_str().into());
        }
        found
    }
}

// === impl Side ===

impl Side {
    fn resolve(&self, url: &str, project: &str) -> RepoCredentials {
        let same = || self.repositories.iter().filter(|r| git_url::same(&r.url, url));
        let found = same().find(|r| r.project == project).or_else(|| same().find(|r| r.project.is_empty()));
        let mut entry = found.map_or_else(RepoCredentials::default, |r| RepoCredentials::clone(r));
        // The application's own spelling is what is fetched.
        url.clone_into(&mut entry.url);
        self.inherit(entry)
    }

    fn inherit(&self, mut entry: RepoCredentials) -> RepoCredentials {
        if entry.has_credentials() {
            return entry;
        }
        let Some(url) = git_url::normalize(&entry.url) else { return entry };
        let candidates = self.templates.iter().filter_map(|template| {
            let prefix = git_url::normalize(&template.url)?;
            covers(&prefix, &url).then_some((prefix.len(), template))
        });
        // The first of the longest ones.
        if let Some((_, template)) = candidates.reduce(|best, next| if next.0 > best.0 { next } else { best }) {
            entry.inherit(template);
        }
        entry
    }
}

/// Whether a template's address is a prefix of a repository's and covers its
/// host whole. Both are in normal form.
fn covers(prefix: &str, url: &str) -> bool {
    if prefix.is_empty() || !url.starts_with(prefix) {
        return false;
    }
    let start = url.find("://").map_or(0, |at| at + 3);
    let end = url[start..].find('/').map_or(url.len(), |at| start + at);
    if prefix.len() >= end {
        return true;
    }
    // Only a port may be left over.
    let left = url[prefix.len()..end].strip_prefix(':');
    prefix.len() > start && left.is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()))
}

/// The host of an address, without a port; `None` where there is none.
fn host(url: &str) -> Option<&str> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let name = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next()?,
        None => host.split(':').next()?,
    };
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
#[path = "repositories/tests.rs"]
mod tests;
