//! Retries, time limits, termination and history.

use super::*;
use serde_json::{Value, json};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("in range")
}

fn app(operation: Value, state: Value) -> Application {
    serde_json::from_value(json!({"operation": operation, "status": {"operationState": state}}))
        .expect("an application")
}

fn failed() -> PassEnd {
    PassEnd { phase: OperationPhase::Failed, message: "no".into() }
}

#[test]
fn a_request_starts_and_a_finished_state_does_not_stop_the_next_request() {
    assert_eq!(plan_operation(&app(Value::Null, Value::Null), Duration::ZERO, at(0)), NextStep::Idle);
    for state in [Value::Null, json!({"phase": "Succeeded"})] {
        let step = plan_operation(&app(json!({"sync": {}}), state), Duration::ZERO, at(7));
        let NextStep::Start(state) = step else { panic!("{step:?}") };
        assert_eq!((state.phase.as_str(), state.started_at), ("Running", Some(Time::from(at(7)))));
    }
}

#[test]
fn a_failure_is_retried_up_to_the_limit_and_then_says_how_often() {
    let operation = json!({"sync": {}, "retry": {"limit": 1}});
    let NextStep::Start(state) = plan_operation(&app(operation.clone(), Value::Null), Duration::ZERO, at(0)) else {
        panic!("started")
    };
    let first = end_pass(*state, failed(), false, at(0));
    assert_eq!((first.phase.as_str(), first.retry_count), ("Running", 1));
    assert_eq!(first.message, "no. Retrying attempt #1 at 12:00AM.");
    let waiting = app(operation.clone(), serde_json::to_value(&first).expect("JSON"));
    assert_eq!(plan_operation(&waiting, Duration::ZERO, at(4)), NextStep::Wait(Duration::from_secs(6)));
    let NextStep::Resume(again) = plan_operation(&waiting, Duration::ZERO, at(10)) else { panic!("resumed") };
    assert_eq!(again.message, "Retrying operation. Attempt #1");
    assert_eq!(again.finished_at, None);
    let second = end_pass(*again, failed(), false, at(11));
    assert_eq!((second.phase.as_str(), second.message.as_str()), ("Failed", "no (retried 1 times)."));
}

#[test]
fn a_terminated_operation_is_not_retried_and_a_slow_one_is_terminated() {
    let operation = json!({"sync": {}, "retry": {"limit": -1}});
    let running = json!({"operation": operation, "phase": "Running", "startedAt": "1970-01-01T00:00:00Z"});
    let step = plan_operation(&app(operation.clone(), running), Duration::from_secs(60), at(60));
    let NextStep::Resume(state) = step else { panic!("{step:?}") };
    assert_eq!(state.phase, "Terminating");
    let done = end_pass(*state, failed(), true, at(61));
    assert_eq!((done.phase.as_str(), done.retry_count), ("Failed", 0));
    assert!(done.message.ends_with(", triggered by controller sync timeout"));
}

#[test]
fn a_slow_operation_is_looked_at_again_when_its_time_is_over() {
    let operation = json!({"sync": {}, "retry": {"limit": 1, "backoff": {"duration": "1h", "maxDuration": "1h"}}});
    let state = json!({"operation": operation, "phase": "Running", "startedAt": "1970-01-01T00:00:00Z",
        "finishedAt": "1970-01-01T00:00:10Z", "retryCount": 1});
    let waiting = app(operation, state);
    let state = waiting.status.as_ref().and_then(|s| s.operation_state.clone()).expect("a state");
    assert_eq!(time_left(&state, Duration::from_secs(60), at(20)), Some(Duration::from_secs(40)));
    assert_eq!(time_left(&state, Duration::ZERO, at(20)), None);
    let step = plan_operation(&waiting, Duration::from_secs(60), at(20));
    assert_eq!(step, NextStep::Wait(Duration::from_secs(40)), "also while it waits for a retry");
}

#[test]
fn history_numbers_its_entries_and_keeps_the_last_ones() {
    let state = OperationState { sync_result: Some(SyncOperationResult::default()), ..OperationState::default() };
    let mut history = Vec::new();
    for _ in 0..4 {
        history = append_history(&history, &state, Some(2), at(5));
    }
    assert_eq!(history.iter().map(|h| h.id).collect::<Vec<_>>(), [2, 3]);
    assert!(append_history(&history, &state, Some(0), at(5)).is_empty());
}

#[test]
fn an_operation_does_not_start_in_the_second_in_which_the_one_before_did() {
    let state = json!({"phase": "Succeeded", "startedAt": "1970-01-01T00:00:07Z"});
    let now = Timestamp::from_millisecond(7_250).expect("in range");
    let step = plan_operation(&app(json!({"sync": {}}), state), Duration::ZERO, now);
    assert_eq!(step, NextStep::Wait(Duration::from_millis(750)));
}
