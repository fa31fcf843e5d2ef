//! Logs of an application's pods.

use std::collections::{HashMap, HashSet};

use argosy_home::Clock;
use argosy_proto::application::{ApplicationPodLogsQuery, LogEntry};
use argosy_proto::peer::{PodLogsRequest, PodRef};
use argosy_proto::v1alpha1::{ResourceNode, ResourceRef};
use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use tonic::Status;

use super::Service;
use super::answer::{SOON, told, within};
use super::found::{Named, Read};
use crate::caller::Caller;
use crate::index::project;
use crate::peers::application_ref;
use crate::permission::{action, resource};
use crate::services::guard::{Answers, guarded};

/// How many pods may be read at once, where nothing is set.
const MOST_PODS: usize = 10;
const MOST_PODS_SETTING: &str = "server.maxPodLogsToRender";

/// Which lines are passed on.
#[derive(Debug)]
struct Lines {
    literal: String,
    inverse: bool,
    match_case: bool,
    until: Option<Timestamp>,
}

/// What becomes of a line.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Show,
    Skip,
    /// It is shown and is the last one.
    End,
}

// === impl Service ===

impl Service {
    pub(super) async fn logs(
        &self,
        caller: &Caller,
        query: &ApplicationPodLogsQuery,
    ) -> Result<Answers<LogEntry>, Status> {
        let lines = Lines::of(query)?;
        let named = Named::new(&query.name, &query.app_namespace, &query.project);
        let found = self.find(caller, action::GET, named, Read::Known).await?;
        let object = self.shared.application_object(project(&found.app), &found.key);
        self.shared.enforce(caller, resource::LOGS, action::GET, &object)?;
        let mut owner = self.shared.peers.of_application(&found.key)?;
        let tree = owner.resource_tree(within(SOON, application_ref(&found.key))).await.map_err(told)?.into_inner();
        let pods = select_pods(&tree.nodes, query);
        if pods.is_empty() {
            return Ok(Box::pin(stream::empty()));
        }
        if pods.len() > self.most_pods() {
            return Err(Status::invalid_argument(
                "max pods to view logs are reached. Please provide more granular query",
            ));
        }
        let positive = |n: Option<i64>| n.filter(|n| *n > 0);
        let request = PodLogsRequest {
            application: Some(application_ref(&found.key)),
            pods,
            container: query.container.clone().unwrap_or_default(),
            since_seconds: positive(query.since_seconds),
            since_time: query.since_time,
            tail_lines: positive(query.tail_lines),
            follow: query.follow.unwrap_or(false),
            previous: query.previous.unwrap_or(false),
        };
        let entries = owner.pod_logs(request).await.map_err(told)?.into_inner();
        let entries: Answers<LogEntry> = Box::pin(entries.map(|entry| entry.map_err(told)));
        let shown = lines.filter(entries, self.shared.clock.clone());
        let (service, key, first) = (self.clone(), found.key.clone(), found.app.clone());
        let visible = self.still_visible(found);
        Ok(guarded(&self.shared, caller, shown, move |caller| {
            visible(caller)?;
            // It may be of another project by now.
            let app = service.shared.home.apps().get(&key).unwrap_or_else(|| first.clone());
            let object = service.shared.application_object(project(&app), &key);
            service.shared.enforce(caller, resource::LOGS, action::GET, &object)
        }))
    }

    fn most_pods(&self) -> usize {
        let settings = self.shared.home.settings();
        let set = settings.raw.config.get(MOST_PODS_SETTING);
        set.and_then(|text| text.trim().parse().ok()).unwrap_or(MOST_PODS)
    }
}

// === impl Lines ===

impl Lines {
    fn of(query: &ApplicationPodLogsQuery) -> Result<Self, Status> {
        let until = query.until_time.as_deref().filter(|until| !until.is_empty());
        let until = until
            .map(str::parse::<Timestamp>)
            .transpose()
            .map_err(|error| Status::invalid_argument(format!("invalid untilTime parameter value: {error}")))?;
        let filter = query.filter.as_deref().unwrap_or_default();
        let (literal, inverse) = filter.strip_prefix('!').map_or((filter, false), |literal| (literal, true));
        let match_case = query.match_case.unwrap_or(false);
        let literal = if match_case { literal.to_owned() } else { literal.to_lowercase() };
        Ok(Self { literal, inverse, match_case, until })
    }

    fn judge(&self, entry: &LogEntry) -> Verdict {
        let contains = if self.match_case {
            entry.content.contains(&self.literal)
        } else {
            entry.content.to_lowercase().contains(&self.literal)
        };
        // An empty filter is none, and its inverse lets nothing through.
        if contains == self.inverse {
            return Verdict::Skip;
        }
        match self.until {
            Some(until) if entry.time_stamp.timestamp() > until => Verdict::End,
            _ => Verdict::Show,
        }
    }

    /// The lines wanted, and at the end one that says so.
    fn filter(self, entries: Answers<LogEntry>, clock: Clock) -> Answers<LogEntry> {
        let state = (Some(entries), self, clock);
        Box::pin(stream::unfold(state, |(entries, lines, clock)| async move {
            let mut entries = entries?;
            loop {
                let Some(entry) = entries.next().await else {
                    return Some((Ok(end(clock())), (None, lines, clock)));
                };
                let mut entry = match entry {
                    Ok(entry) if entry.last => return Some((Ok(end(clock())), (None, lines, clock))),
                    Ok(entry) => entry,
                    Err(status) => return Some((Err(status), (None, lines, clock))),
                };
                match lines.judge(&entry) {
                    Verdict::Skip => {}
                    Verdict::Show => return Some((Ok(entry), (Some(entries), lines, clock))),
                    Verdict::End => {
                        entry.last = true;
                        return Some((Ok(entry), (None, lines, clock)));
                    }
                }
            }
        }))
    }
}

/// Says that there is no more.
fn end(now: Timestamp) -> LogEntry {
    LogEntry {
        last: true,
        time_stamp: now.into(),
        time_stamp_str: now.to_string(),
        content: String::new(),
        pod_name: String::new(),
    }
}

type NodeKey<'a> = (&'a str, &'a str, &'a str, &'a str);

fn node_key(at: &ResourceRef) -> NodeKey<'_> {
    (&at.group, &at.kind, &at.namespace, &at.name)
}

/// The pods that are what the query names, or that belong to it.
fn select_pods(nodes: &[ResourceNode], query: &ApplicationPodLogsQuery) -> Vec<PodRef> {
    let by_key: HashMap<NodeKey<'_>, &ResourceNode> =
        nodes.iter().filter_map(|node| Some((node_key(node.resource_ref.as_ref()?), node))).collect();
    let pods = nodes.iter().filter_map(|node| Some((node, node.resource_ref.as_ref()?)));
    pods.filter(|(_, at)| at.kind == "Pod" && at.group.is_empty() && !at.uid.is_empty())
        .filter(|(node, _)| belongs(node, query, &by_key))
        .map(|(_, at)| PodRef { namespace: at.namespace.clone(), name: at.name.clone() })
        .collect()
}

/// Looks at the object and at all above it; owners in a circle are looked at once.
fn belongs(node: &ResourceNode, query: &ApplicationPodLogsQuery, by_key: &HashMap<NodeKey<'_>, &ResourceNode>) -> bool {
    let is = |wanted: Option<&str>, value: &str| wanted.is_none_or(|wanted| wanted.is_empty() || wanted == value);
    // A pod's name counts for its kind and name too.
    let (kind, name) = match query.pod_name.as_deref() {
        Some(pod) => (Some("Pod"), Some(pod)),
        None => (query.kind.as_deref(), query.resource_name.as_deref()),
    };
    let is_wanted = |at: &ResourceRef| {
        is(name, &at.name)
            && is(kind, &at.kind)
            && is(query.group.as_deref(), &at.group)
            && is(query.namespace.as_deref(), &at.namespace)
    };
    let mut seen = HashSet::new();
    let mut open = vec![node];
    while let Some(node) = open.pop() {
        let Some(at) = node.resource_ref.as_ref() else { continue };
        if !seen.insert(node_key(at)) {
            continue;
        }
        if is_wanted(at) {
            return true;
        }
        open.extend(node.parent_refs.iter().filter_map(|parent| by_key.get(&node_key(parent)).copied()));
    }
    false
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn node(kind: &str, name: &str, parent: Option<(&str, &str)>) -> ResourceNode {
        let at = |kind: &str, name: &str| ResourceRef {
            kind: kind.to_owned(),
            name: name.to_owned(),
            namespace: "ns".to_owned(),
            uid: format!("uid-{name}"),
            ..Default::default()
        };
        ResourceNode {
            resource_ref: Some(at(kind, name)),
            parent_refs: parent.map(|(kind, name)| at(kind, name)).into_iter().collect(),
            ..Default::default()
        }
    }

    fn names(nodes: &[ResourceNode], query: &ApplicationPodLogsQuery) -> Vec<String> {
        select_pods(nodes, query).into_iter().map(|pod| pod.name).collect()
    }

    #[test]
    fn pods_are_found_by_name_and_below_what_is_named() {
        let nodes = [
            node("Deployment", "web", None),
            node("ReplicaSet", "web-1", Some(("Deployment", "web"))),
            node("Pod", "web-1-a", Some(("ReplicaSet", "web-1"))),
            node("Pod", "alone", Some(("Odd", "circle"))),
            node("Odd", "circle", Some(("Odd", "circle"))),
        ];
        let some = |text: &str| Some(text.to_owned());
        let all = ApplicationPodLogsQuery::default();
        assert_eq!(names(&nodes, &all), ["web-1-a", "alone"]);
        let by_name = ApplicationPodLogsQuery { pod_name: some("alone"), ..Default::default() };
        assert_eq!(names(&nodes, &by_name), ["alone"]);
        let of = ApplicationPodLogsQuery { kind: some("Deployment"), resource_name: some("web"), ..Default::default() };
        assert_eq!(names(&nodes, &of), ["web-1-a"]);
        let elsewhere = ApplicationPodLogsQuery { namespace: some("other"), ..Default::default() };
        assert!(names(&nodes, &elsewhere).is_empty());
    }

    fn entry(content: &str, second: i64) -> LogEntry {
        let at = Timestamp::from_second(second).expect("a time");
        LogEntry { content: content.to_owned(), time_stamp: at.into(), ..Default::default() }
    }

    fn lines(filter: &str, match_case: bool) -> Lines {
        let query = ApplicationPodLogsQuery {
            filter: Some(filter.to_owned()),
            match_case: Some(match_case),
            until_time: Some("1970-01-01T00:01:40Z".to_owned()),
            ..Default::default()
        };
        Lines::of(&query).expect("a query")
    }

    #[test]
    fn lines_are_filtered_with_and_without_case_and_inverted() {
        assert_eq!(lines("ERR", false).judge(&entry("an error", 1)), Verdict::Show);
        assert_eq!(lines("ERR", true).judge(&entry("an error", 1)), Verdict::Skip);
        assert_eq!(lines("!ERR", false).judge(&entry("an error", 1)), Verdict::Skip);
        assert_eq!(lines("!ERR", false).judge(&entry("fine", 1)), Verdict::Show);
        assert_eq!(lines("", false).judge(&entry("fine", 1)), Verdict::Show);
        assert_eq!(lines("", false).judge(&entry("late", 101)), Verdict::End);
    }

    #[tokio::test]
    async fn the_last_line_says_that_it_is_the_last() {
        let clock: Clock = Arc::new(|| Timestamp::UNIX_EPOCH);
        let run = |entries: Vec<LogEntry>| {
            let entries: Answers<LogEntry> = Box::pin(stream::iter(entries.into_iter().map(Ok)));
            let shown = lines("", false).filter(entries, clock.clone());
            shown.map(|entry| entry.map(|e| (e.content, e.last)).expect("a line")).collect::<Vec<_>>()
        };
        let told = run(vec![entry("a", 1), entry("b", 2)]).await;
        assert_eq!(told, [("a".to_owned(), false), ("b".to_owned(), false), (String::new(), true)]);
        let cut = run(vec![entry("a", 1), entry("late", 200), entry("later", 300)]).await;
        assert_eq!(cut, [("a".to_owned(), false), ("late".to_owned(), true)]);
    }

    #[test]
    fn a_time_that_is_none_is_refused() {
        let query = ApplicationPodLogsQuery { until_time: Some("soon".to_owned()), ..Default::default() };
        let refused = Lines::of(&query).expect_err("no time");
        assert!(refused.message().starts_with("invalid untilTime parameter value: "));
    }
}
