//! `/metrics`: how many requests there were, under the name and the labels that
//! kube-apiserver counts them under.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use http::StatusCode;

use crate::hooks::Attributes;

/// The media type of server-side apply.
const APPLY: &str = "application/apply-patch+yaml";

/// The counters of one sandbox.
#[derive(Debug, Default)]
pub(super) struct Requests(Mutex<BTreeMap<Counted, u64>>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Counted {
    group: String,
    version: String,
    resource: String,
    subresource: String,
    scope: &'static str,
    verb: &'static str,
    dry_run: &'static str,
    code: u16,
}

// === impl Requests ===

impl Requests {
    /// Counts a request for a resource that is over; of a watch, its beginning.
    pub(super) fn count(&self, attributes: &Attributes, content_type: &str, dry_run: bool, code: StatusCode) {
        let Some(verb) = verb(&attributes.verb, content_type) else { return };
        let scope = match (attributes.name.is_empty(), attributes.namespace.is_empty()) {
            (false, _) => "resource",
            (true, false) => "namespace",
            (true, true) => "cluster",
        };
        let counted = Counted {
            group: attributes.group.clone(),
            version: attributes.version.clone(),
            resource: attributes.resource.clone(),
            subresource: attributes.subresource.clone(),
            scope,
            verb,
            dry_run: if dry_run { "All" } else { "" },
            code: code.as_u16(),
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(counted).or_default() += 1;
    }

    /// The counters in the text format of Prometheus.
    pub(super) fn text(&self) -> String {
        let mut text = "# HELP apiserver_request_total Counter of requests for resources.\n\
                        # TYPE apiserver_request_total counter\n"
            .to_owned();
        for (c, count) in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            // Names of groups and resources are DNS labels: there is nothing to escape.
            let _ = writeln!(
                text,
                "apiserver_request_total{{code=\"{}\",component=\"apiserver\",dry_run=\"{}\",group=\"{}\",\
                 resource=\"{}\",scope=\"{}\",subresource=\"{}\",verb=\"{}\",version=\"{}\"}} {count}",
                c.code, c.dry_run, c.group, c.resource, c.scope, c.subresource, c.verb, c.version
            );
        }
        text
    }
}

fn verb(verb: &str, content_type: &str) -> Option<&'static str> {
    Some(match verb {
        "get" => "GET",
        "list" => "LIST",
        "watch" => "WATCH",
        "create" => "POST",
        "update" => "PUT",
        "patch" if content_type == APPLY => "APPLY",
        "patch" => "PATCH",
        "delete" => "DELETE",
        "deletecollection" => "DELETECOLLECTION",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_what_they_asked_for() {
        let requests = Requests::default();
        let apply = Attributes {
            verb: "patch".to_owned(),
            version: "v1".to_owned(),
            resource: "configmaps".to_owned(),
            namespace: "a".to_owned(),
            name: "b".to_owned(),
            ..Attributes::default()
        };
        requests.count(&apply, APPLY, true, StatusCode::OK);
        requests.count(&apply, APPLY, true, StatusCode::OK);
        let list = Attributes { verb: "list".to_owned(), name: String::new(), ..apply };
        requests.count(&list, "", false, StatusCode::FORBIDDEN);
        let text = requests.text();
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let rest = |code: u16, dry_run: &str, scope: &str, verb: &str, count: u64| {
            format!(
                "apiserver_request_total{{code=\"{code}\",component=\"apiserver\",dry_run=\"{dry_run}\",group=\"\",resource=\"configmaps\",\
                 scope=\"{scope}\",subresource=\"\",verb=\"{verb}\",version=\"v1\"}} {count}"
            )
        };
        assert_eq!(lines, [rest(403, "", "namespace", "LIST", 1), rest(200, "All", "resource", "APPLY", 2)]);
    }
}
