//! Acting as somebody else, as the `Impersonate-*` headers ask.

use std::collections::BTreeMap;

use http::HeaderMap;

use super::{
    ANONYMOUS, AUTHENTICATED, UNAUTHENTICATED, service_account_groups, service_account_name, split_service_account,
};
use crate::failure::Failure;
use crate::hooks::Caller;
use crate::rbac::{Access, ResourceTarget, RoleSource, Target, decide, forbidden};

const USER: &str = "impersonate-user";
const GROUP: &str = "impersonate-group";
const UID: &str = "impersonate-uid";
const EXTRA: &str = "impersonate-extra-";
const AUTHENTICATION: &str = "authentication.k8s.io";

/// As whom a request is done: the caller itself, or whom its headers name, where
/// every part of that is permitted.
///
/// # Errors
/// 400 for groups, uid or extras of nobody; 403 for what is not permitted.
pub fn impersonate(headers: &HeaderMap, caller: Caller, source: &impl RoleSource) -> Result<Caller, Failure> {
    let Some(wanted) = Wanted::read(headers)? else { return Ok(caller) };
    for part in wanted.parts() {
        let access = Access { user: &caller, verb: "impersonate", target: Target::Resource((&part).into()) };
        let decision = decide(&access, source);
        if !decision.allowed {
            return Err(forbidden(&access, &decision.reason));
        }
    }
    Ok(Caller { token_id: caller.token_id, impersonator: Some(caller.name), ..wanted.into_user() })
}

/// What headers ask for.
struct Wanted {
    user: String,
    groups: Vec<String>,
    uid: String,
    extra: BTreeMap<String, Vec<String>>,
}

/// One thing that must be permitted.
struct Part {
    group: &'static str,
    resource: &'static str,
    subresource: String,
    namespace: String,
    name: String,
}

// === impl Wanted ===

impl Wanted {
    fn read(headers: &HeaderMap) -> Result<Option<Self>, Failure> {
        let one = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let texts = |name| -> Vec<String> {
            headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).map(str::to_owned).collect()
        };
        let mut extra = BTreeMap::new();
        for name in headers.keys().filter(|name| name.as_str().starts_with(EXTRA)) {
            extra.insert(unescape(&name.as_str()[EXTRA.len()..]), texts(name.as_str()));
        }
        let wanted = Self { user: one(USER), groups: texts(GROUP), uid: one(UID), extra };
        let more = !wanted.groups.is_empty() || !wanted.uid.is_empty() || !wanted.extra.is_empty();
        match (wanted.user.is_empty(), more) {
            (false, _) => Ok(Some(wanted)),
            (true, false) => Ok(None),
            (true, true) => Err(Failure::bad_request(wanted.without_user())),
        }
    }

    /// The complaint, with what was asked for as Go prints it.
    fn without_user(&self) -> String {
        let list = |values: &[String]| {
            let values: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
            format!("[]string{{{}}}", values.join(", "))
        };
        let groups = if self.groups.is_empty() { "[]string(nil)".to_owned() } else { list(&self.groups) };
        let extra: Vec<String> = self.extra.iter().map(|(key, values)| format!("{key:?}:{}", list(values))).collect();
        let extra = if extra.is_empty() { "(nil)".to_owned() } else { format!("{{{}}}", extra.join(", ")) };
        format!(
            "requested &user.DefaultInfo{{Name:\"\", UID:{:?}, Groups:{groups}, Extra:map[string][]string{extra}}} \
             without impersonating a user name",
            self.uid
        )
    }

    fn parts(&self) -> Vec<Part> {
        let part = |group, resource, name: &str| Part {
            group,
            resource,
            subresource: String::new(),
            namespace: String::new(),
            name: name.to_owned(),
        };
        let mut parts = Vec::new();
        if let Some((namespace, name)) = split_service_account(&self.user) {
            parts.push(Part { namespace: namespace.to_owned(), ..part("", "serviceaccounts", name) });
        } else if !self.user.is_empty() {
            parts.push(part("", "users", &self.user));
        }
        parts.extend(self.groups.iter().map(|group| part("", "groups", group)));
        for (key, values) in &self.extra {
            let extra = |value| Part { subresource: key.clone(), ..part(AUTHENTICATION, "userextras", value) };
            parts.extend(values.iter().map(|value| extra(value)));
        }
        if !self.uid.is_empty() {
            parts.push(part(AUTHENTICATION, "uids", &self.uid));
        }
        parts
    }

    fn into_user(self) -> Caller {
        let mut groups = self.groups;
        let account =
            split_service_account(&self.user).map(|(namespace, name)| (namespace.to_owned(), name.to_owned()));
        if let Some((namespace, _)) = account.as_ref().filter(|_| groups.is_empty()) {
            groups = service_account_groups(namespace);
        }
        let has = |groups: &[String], wanted: &str| groups.iter().any(|group| group == wanted);
        if self.user == ANONYMOUS {
            if !has(&groups, UNAUTHENTICATED) {
                groups.push(UNAUTHENTICATED.to_owned());
            }
        } else if !has(&groups, AUTHENTICATED) && !has(&groups, UNAUTHENTICATED) {
            groups.push(AUTHENTICATED.to_owned());
        }
        let name = account.map_or(self.user, |(namespace, name)| service_account_name(&namespace, &name));
        Caller { name, uid: self.uid, groups, extra: self.extra, ..Caller::default() }
    }
}

impl<'a> From<&'a Part> for ResourceTarget<'a> {
    fn from(part: &'a Part) -> Self {
        Self {
            group: part.group,
            resource: part.resource,
            subresource: &part.subresource,
            namespace: &part.namespace,
            name: &part.name,
        }
    }
}

/// Decodes `%xx`; what is malformed stays as it is.
fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        if bytes[at] != b'%' {
            decoded.push(bytes[at]);
            at += 1;
        } else if let Some(byte) = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            decoded.push(byte);
            at += 3;
        } else {
            return text.to_owned();
        }
    }
    String::from_utf8(decoded).unwrap_or_else(|_| text.to_owned())
}
