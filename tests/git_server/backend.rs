//! One request through `git http-backend`, the CGI program that comes with git.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, bail};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio_util::io::ReaderStream;

/// What the program answered; the body goes on coming.
pub(super) struct Answer<S> {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: S,
}

/// Hands a request to the program. Dropping the body ends the program.
pub(super) async fn respond(
    root: &Path,
    request: &Parts,
    body: Bytes,
    user: Option<&str>,
) -> anyhow::Result<Answer<impl Stream<Item = std::io::Result<Bytes>> + Send + use<>>> {
    let mut child = start(root, request, body.len(), user)?;
    let stdin = child.stdin.take().context("the backend was started with pipes")?;
    let stdout = child.stdout.take().context("the backend was started with pipes")?;
    tokio::spawn(feed(stdin, body));
    let mut stdout = BufReader::new(stdout);
    let (status, headers) = read_head(&mut stdout).await?;
    // The child is held by the stream, for it is killed when dropped.
    let body = stream::unfold((child, ReaderStream::new(stdout)), |(child, mut reader)| async move {
        let chunk = reader.next().await?;
        Some((chunk, (child, reader)))
    });
    Ok(Answer { status, headers, body })
}

fn start(root: &Path, request: &Parts, length: usize, user: Option<&str>) -> anyhow::Result<Child> {
    let header = |name: &HeaderName| request.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("");
    let mut command = Command::new("git");
    command
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", request.uri.path())
        .env("QUERY_STRING", request.uri.query().unwrap_or(""))
        .env("REQUEST_METHOD", request.method.as_str())
        .env("CONTENT_TYPE", header(&header::CONTENT_TYPE))
        .env("CONTENT_LENGTH", length.to_string())
        .env("HTTP_CONTENT_ENCODING", header(&header::CONTENT_ENCODING))
        .env("GIT_PROTOCOL", header(&HeaderName::from_static("git-protocol")))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    if let Some(user) = user {
        // Known users may push.
        command.env("REMOTE_USER", user);
    }
    command.spawn().context("starting git http-backend")
}

async fn feed(mut stdin: ChildStdin, body: Bytes) {
    // The program may end without reading; then its answer says why.
    drop(stdin.write_all(&body).await);
}

async fn read_head(stdout: &mut BufReader<ChildStdout>) -> anyhow::Result<(StatusCode, HeaderMap)> {
    let mut status = StatusCode::OK;
    let mut headers = HeaderMap::new();
    loop {
        let mut line = String::new();
        if stdout.read_line(&mut line).await.context("reading from git http-backend")? == 0 {
            bail!("git http-backend ended without an answer");
        }
        let line = line.trim_end();
        if line.is_empty() {
            return Ok((status, headers));
        }
        let (name, value) = line.split_once(':').context("git http-backend sent no header")?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("status") {
            let code = value.split(' ').next().unwrap_or("");
            status = code.parse().context("git http-backend sent no status code")?;
        } else {
            let name = HeaderName::from_bytes(name.as_bytes()).context("git http-backend sent a bad header")?;
            headers.append(name, HeaderValue::from_str(value).context("git http-backend sent a bad header")?);
        }
    }
}
