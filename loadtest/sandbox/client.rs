//! A client that costs little: HTTP/1.1 over one TLS connection, one request at a
//! time, written and read as bytes.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Whatever takes so long is a fault and no figure.
const LONG: Duration = Duration::from_secs(30);

/// What all connections to one server share.
#[derive(Clone)]
pub(crate) struct Way {
    address: String,
    tls: TlsConnector,
}

/// See the module's page.
pub(crate) struct Client {
    stream: TlsStream<TcpStream>,
    buffer: Vec<u8>,
}

// === impl Way ===

impl Way {
    /// Reads a kubeconfig with certificates.
    pub(crate) fn new(kubeconfig: &str) -> anyhow::Result<Self> {
        let config: Value = serde_saphyr::from_str(kubeconfig)?;
        let text =
            |path: &str| config.pointer(path).and_then(Value::as_str).with_context(|| format!("there is no {path}"));
        let pem = |path: &str| -> anyhow::Result<Vec<u8>> { Ok(STANDARD.decode(text(path)?)?) };
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&pem("/clusters/0/cluster/certificate-authority-data")?)?)?;
        let own = CertificateDer::from_pem_slice(&pem("/users/0/user/client-certificate-data")?)?;
        let key = PrivateKeyDer::from_pem_slice(&pem("/users/0/user/client-key-data")?)?;
        let tls = ClientConfig::builder().with_root_certificates(roots).with_client_auth_cert(vec![own], key)?;
        let server = text("/clusters/0/cluster/server")?;
        let address = server.strip_prefix("https://").context("an address with TLS")?.to_owned();
        Ok(Self { address, tls: TlsConnector::from(Arc::new(tls)) })
    }

    pub(crate) async fn connect(&self) -> anyhow::Result<Client> {
        let late = |what: &str| format!("{what} with {} within {LONG:?}", self.address);
        let stream = timeout(LONG, TcpStream::connect(&self.address)).await;
        let stream = stream.with_context(|| late("no connection"))??;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from("127.0.0.1")?;
        let stream = timeout(LONG, self.tls.connect(name, stream)).await;
        Ok(Client { stream: stream.with_context(|| late("no handshake"))??, buffer: Vec::new() })
    }
}

// === impl Client ===

impl Client {
    /// Sends a request and reads the answer's body, which must be one of success.
    pub(crate) async fn send(&mut self, method: &str, path: &str, kind: &str, body: &str) -> anyhow::Result<&[u8]> {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: sandbox\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = timeout(LONG, self.exchange(request.as_bytes())).await;
        let start = answer.with_context(|| format!("no answer to {method} {path} within {LONG:?}"))??;
        Ok(&self.buffer[start..])
    }

    /// Reads the answer to a request, and returns where its body begins.
    async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<usize> {
        self.stream.write_all(request).await?;
        // Else what TLS could not send at once, if only because it was this task's turn to
        // yield, would stay with it while an answer is waited for.
        self.stream.flush().await?;
        self.buffer.clear();
        loop {
            anyhow::ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "the connection ended");
            if let Some(start) = body_of(&self.buffer)? {
                return Ok(start);
            }
        }
    }
}

/// Where the body begins of an answer that is there as a whole.
fn body_of(answer: &[u8]) -> anyhow::Result<Option<usize>> {
    let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4) else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&answer[..end])?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.context("answers have a length")?.parse()?;
    if answer.len() < end + length {
        return Ok(None);
    }
    if !head.starts_with("HTTP/1.1 2") {
        bail!("{head}{}", String::from_utf8_lossy(&answer[end..]));
    }
    Ok(Some(end))
}
