//! The API is what its own description says: requests made at random after
//! `/swagger.json` get answers that it describes, and nothing falls over.

mod requests;
mod schema;

use std::time::Duration;

use anyhow::{Context, ensure};
use argosy_tests::{ApiClient, ApiReply};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use reqwest::Method;
use serde_json::Value;
use tokio::runtime::Handle;

use super::Case;
use super::malformed::assert_plain;
use requests::{Operation, Sent};

/// Requests of each operation.
const EACH: u32 = 16;
/// Longer than any answer takes that waits for nobody.
const ANSWERED_WITHIN: Duration = Duration::from_secs(60);

/// Sends one request and says what is wrong with its answer.
async fn answer(api: &ApiClient, operation: &Operation, sent: &Sent, document: &Value) -> anyhow::Result<()> {
    let mut request = api.rest(operation.method.clone(), &sent.path);
    if let Some(body) = &sent.body {
        request = request.header("content-type", "application/json").body(body.to_string());
    }
    let response = request.send().await.context("asking")?;
    let status = response.status().as_u16();
    if status == 200 && operation.streams {
        // It goes on for ever; that it begins is all there is to see.
        return Ok(());
    }
    let headers = response.headers().clone();
    let bytes = response.bytes().await.context("reading an answer")?;
    let reply = ApiReply { status, headers, text: String::from_utf8_lossy(&bytes).into_owned() };
    // 501 is what the build does not do, 503 what cannot be reached just now.
    ensure!(status != 500 && (status < 500 || [501, 503, 504].contains(&status)), "status {status}: {}", reply.text);
    let wanted = if status == 200 { "200" } else { "default" };
    let value: Value = serde_json::from_str(&reply.text).with_context(|| format!("status {status}: {}", reply.text))?;
    schema::check(document, &operation.responses[wanted]["schema"], &value, "$")
        .map_err(|problem| anyhow::anyhow!("status {status}: {problem} in {}", reply.text))?;
    if status != 200 {
        let (code, words) = reply.refusal();
        ensure!(code > 0 && !words.is_empty(), "status {status}: no refusal: {}", reply.text);
        assert_plain(&sent.path, &words);
    }
    Ok(())
}

/// Sends requests to an operation until one is answered otherwise than described, and
/// makes that one as small as it can be.
fn probe(api: &ApiClient, operation: &Operation, document: &Value) -> Result<(), String> {
    let config = Config { cases: EACH, failure_persistence: None, max_shrink_iters: 64, ..Config::default() };
    // The same requests each time.
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let ended = runner.run(&operation.requests(document), |sent| {
        let answered =
            Handle::current().block_on(tokio::time::timeout(ANSWERED_WITHIN, answer(api, operation, &sent, document)));
        match answered {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(TestCaseError::fail(format!("{error:#}"))),
            Err(_) => Err(TestCaseError::fail(format!("no answer within {ANSWERED_WITHIN:?}"))),
        }
    });
    ended.map_err(|error| match error {
        TestError::Fail(reason, sent) => {
            format!(
                "{} {}\n  body {:?}\n  {reason}",
                operation.method,
                sent.path,
                sent.body.map(|body| body.to_string())
            )
        }
        TestError::Abort(reason) => format!("{} {}: {reason}", operation.method, operation.template),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_answers_as_the_description_says() -> anyhow::Result<()> {
    let mut case = Case::start().await?;
    let document = case.admin.get("/swagger.json").await?.ok()?;
    let operations = Operation::all(&document)?;
    ensure!(operations.len() > 100, "{} operations", operations.len());
    // What somebody without a session is told comes first: it can change nothing.
    let mut report = Vec::new();
    for api in [&case.anybody, &case.admin] {
        for operation in &operations {
            report.extend(tokio::task::block_in_place(|| probe(api, operation, &document)).err());
        }
    }
    ensure!(report.is_empty(), "{} operations answer otherwise:\n{}", report.len(), report.join("\n"));
    case.is_unharmed()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_described_is_not_there() -> anyhow::Result<()> {
    let case = Case::start().await?;
    for (method, path) in [(Method::GET, "/api/v1/nothing"), (Method::DELETE, "/api/v1/applications")] {
        let reply = case.admin.send(method.clone(), path, &Value::Null).await?;
        ensure!([404, 405, 501].contains(&reply.status), "{method} {path}: {} {}", reply.status, reply.text);
    }
    Ok(())
}
