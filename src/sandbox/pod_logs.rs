//! Logs of containers that nobody runs: a few lines that tell what is simulated,
//! and whatever a command plainly echoes.

use std::time::Duration;

use argosy_model::object;
use bytes::Bytes;
use futures::{StreamExt as _, future, stream};
use serde_json::Value;

use crate::controllers::{POD, PodCommand, time};
use crate::failure::{Failure, Subject};
use crate::hooks::{Answer, Request};
use crate::stamp::Stamps;
use crate::store::{Store, WatchEvent};

/// What a request wants of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Wanted {
    container: Option<String>,
    follow: bool,
    previous: bool,
    timestamps: bool,
    tail: Option<usize>,
    limit: Option<usize>,
    since: Option<jiff::Timestamp>,
}

/// Answers a request for the log of a container.
pub(crate) fn answer(store: &Store, stamps: &Stamps, request: &Request<'_>) -> Result<Answer, Failure> {
    let (namespace, name) = (&request.attributes.namespace, &request.attributes.name);
    let key = POD.key(namespace, name);
    let pod = store.get(&key).ok_or_else(|| Failure::not_found(Subject { group: "", resource: "pods", name }))?;
    let wanted = Wanted::read(request.query, stamps.timestamp())?;
    let container = pick(&pod.value, &wanted)?;
    let text = render(&lines(&pod.value, container, wanted.previous)?, &wanted);
    let runs = pod.value["status"]["phase"] == "Running" && !object::is_deleting(&pod.value);
    if !wanted.follow || !runs {
        return Ok(Answer::Text(text));
    }
    let first = stream::iter([Bytes::from(text)]);
    let Ok(events) = store.watch("", "pods", Some(namespace), pod.version) else {
        return Ok(Answer::Stream(first.boxed()));
    };
    // It goes on, saying nothing, as long as the Pod runs.
    let uid = object::uid(&pod.value).to_owned();
    let rest = events
        .take_while(move |event| {
            let value = &event.object().value;
            let ended = matches!(event, WatchEvent::Deleted(_)) || value["status"]["phase"] != "Running";
            future::ready(object::uid(value) != uid || !ended)
        })
        .filter_map(|_| future::ready(None));
    Ok(Answer::Stream(first.chain(rest).boxed()))
}

// === impl Wanted ===

impl Wanted {
    fn read(query: &[(String, String)], now: jiff::Timestamp) -> Result<Self, Failure> {
        let mut wanted = Self::default();
        for (name, value) in query {
            let flag = || matches!(value.as_str(), "true" | "1");
            let number = || -> Result<u64, Failure> {
                value.parse().map_err(|_| Failure::bad_request(format!("{name} must be greater than or equal to 0")))
            };
            let size = || number().map(|number| usize::try_from(number).unwrap_or(usize::MAX));
            match name.as_str() {
                "container" if !value.is_empty() => wanted.container = Some(value.clone()),
                "follow" => wanted.follow = flag(),
                "previous" => wanted.previous = flag(),
                "timestamps" => wanted.timestamps = flag(),
                "tailLines" => wanted.tail = Some(size()?),
                "limitBytes" => wanted.limit = Some(size()?),
                "sinceSeconds" => wanted.since = now.checked_sub(Duration::from_secs(number()?)).ok(),
                "sinceTime" => wanted.since = value.parse().ok(),
                _ => {}
            }
        }
        Ok(wanted)
    }
}

/// The container that is meant.
fn pick<'a>(pod: &'a Value, wanted: &Wanted) -> Result<&'a Value, Failure> {
    let name = object::name(pod);
    let of = |field: &str| pod["spec"][field].as_array().into_iter().flatten();
    if let Some(container) = &wanted.container {
        let mut all = of("containers").chain(of("initContainers"));
        return all
            .find(|one| one["name"] == container.as_str())
            .ok_or_else(|| Failure::bad_request(format!("container {container} is not valid for pod {name}")));
    }
    let all: Vec<&Value> = of("containers").collect();
    match all.as_slice() {
        [one] => Ok(one),
        _ => {
            let names = |field| of(field).filter_map(|one| one["name"].as_str()).collect::<Vec<_>>().join(" ");
            let mut message =
                format!("a container name must be specified for pod {name}, choose one of: [{}]", names("containers"));
            if of("initContainers").next().is_some() {
                message = format!("{message} or one of the init containers: [{}]", names("initContainers"));
            }
            Err(Failure::bad_request(message))
        }
    }
}

/// Times and texts of what a container has said.
fn lines(pod: &Value, container: &Value, previous: bool) -> Result<Vec<(jiff::Timestamp, String)>, Failure> {
    let (name, pod_name) = (container["name"].as_str().unwrap_or_default(), object::name(pod));
    let statuses = ["containerStatuses", "initContainerStatuses"];
    let mut statuses = statuses.iter().filter_map(|field| pod["status"][field].as_array()).flatten();
    let status = statuses.find(|status| status["name"] == name).unwrap_or(&Value::Null);
    if previous && status["lastState"]["terminated"].is_null() {
        let message = format!("previous terminated container {name:?} in pod {pod_name:?} not found");
        return Err(Failure::bad_request(message));
    }
    let state = if previous { &status["lastState"] } else { &status["state"] };
    // A container that waits for its next start shows what it said before.
    let state = if state["waiting"].is_object() && status["lastState"]["terminated"].is_object() {
        &status["lastState"]
    } else {
        state
    };
    if !state["running"].is_object() && !state["terminated"].is_object() {
        let reason = state["waiting"]["reason"].as_str().unwrap_or("ContainerCreating");
        let why = match reason {
            "ImagePullBackOff" | "ErrImagePull" => "trying and failing to pull image",
            reason => reason,
        };
        let message = format!("container {name:?} in pod {pod_name:?} is waiting to start: {why}");
        return Err(Failure::bad_request(message));
    }
    let began = time(state, &["running", "startedAt"]).or_else(|| time(state, &["terminated", "startedAt"]));
    let began = began.unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let command = PodCommand::of(container);
    let image = container["image"].as_str().unwrap_or_default();
    let mut lines = vec![(began, format!("simulated container {name} of image {image} started"))];
    lines.extend(command.echoes().into_iter().map(|text| (began, text)));
    if let Some(code) = state["terminated"]["exitCode"].as_i64() {
        let ended = time(state, &["terminated", "finishedAt"]).unwrap_or(began);
        lines.push((ended, format!("simulated container {name} ended with code {code}")));
    }
    Ok(lines)
}

fn render(lines: &[(jiff::Timestamp, String)], wanted: &Wanted) -> String {
    let lines: Vec<_> = lines.iter().filter(|(at, _)| wanted.since.is_none_or(|since| *at >= since)).collect();
    let skipped = wanted.tail.map_or(0, |tail| lines.len().saturating_sub(tail));
    let mut text = String::new();
    for (at, line) in lines.into_iter().skip(skipped) {
        if wanted.timestamps {
            text.push_str(&at.strftime("%Y-%m-%dT%H:%M:%S.%9fZ ").to_string());
        }
        text.push_str(line);
        text.push('\n');
    }
    if let Some(limit) = wanted.limit {
        let mut end = limit.min(text.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(state: Value) -> Value {
        json!({
            "metadata": {"name": "web"},
            "spec": {"containers": [{"name": "main", "image": "nginx", "command": ["sh", "-c", "echo hello; sleep 3"]}]},
            "status": {"phase": "Running", "containerStatuses": [{"name": "main", "state": state}]},
        })
    }

    fn text(pod: &Value, wanted: &Wanted) -> Result<String, Failure> {
        Ok(render(&lines(pod, pick(pod, wanted)?, wanted.previous)?, wanted))
    }

    #[test]
    fn a_running_container_says_what_it_echoes() {
        let pod = pod(json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}}));
        let all = text(&pod, &Wanted::default()).unwrap();
        assert_eq!(all, "simulated container main of image nginx started\nhello\n");
        let tail = Wanted { tail: Some(1), timestamps: true, ..Wanted::default() };
        assert_eq!(text(&pod, &tail).unwrap(), "2026-01-01T00:00:00.000000000Z hello\n");
    }

    #[test]
    fn a_waiting_container_says_why() {
        let pod = pod(json!({"waiting": {"reason": "ImagePullBackOff"}}));
        assert_eq!(
            text(&pod, &Wanted::default()).unwrap_err().message,
            "container \"main\" in pod \"web\" is waiting to start: trying and failing to pull image"
        );
    }

    #[test]
    fn the_container_must_be_one_of_the_pods() {
        let mut pod = pod(json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}}));
        let other = Wanted { container: Some("x".to_owned()), ..Wanted::default() };
        assert_eq!(text(&pod, &other).unwrap_err().message, "container x is not valid for pod web");
        pod["spec"]["containers"].as_array_mut().unwrap().push(json!({"name": "side"}));
        assert_eq!(
            text(&pod, &Wanted::default()).unwrap_err().message,
            "a container name must be specified for pod web, choose one of: [main side]"
        );
    }
}
