//! etcd and kube-apiserver, on free ports, in a temporary folder, ended with the
//! test process whatever ends that.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::OnceCell;

/// Member of `system:masters`.
pub(crate) const ADMIN: &str = "admin-token";
/// A second one.
pub(crate) const OTHER_ADMIN: &str = "other-admin-token";
/// Somebody with the rights a test gives to user `limited`.
pub(crate) const LIMITED: &str = "limited-token";

/// One control plane.
pub(crate) struct Plane {
    folder: tempfile::TempDir,
    port: u16,
    etcd_port: u16,
    ca: String,
    extra: &'static [&'static str],
    server: Mutex<Option<Process>>,
    _etcd: Process,
}

/// A program that ends when its guard's standard input is closed: by dropping
/// this, or by the end of the test process.
struct Process {
    guard: Child,
    input: Option<ChildStdin>,
}

impl Process {
    fn start(folder: &Path, name: &str, program: &Path, arguments: &[String]) -> Self {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(folder.join(format!("{name}.log")))
            .expect("a log file");
        let mut guard = Command::new("/bin/sh")
            .args(["-c", "\"$@\" & child=$!; cat >/dev/null; kill -9 $child; wait $child 2>/dev/null", "guard"])
            .arg(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .expect("starts");
        let input = guard.stdin.take();
        Self { guard, input }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.guard.wait();
    }
}

/// The control plane most tests share.
pub(crate) async fn shared() -> &'static Plane {
    static PLANE: OnceCell<Plane> = OnceCell::const_new();
    PLANE.get_or_init(|| async { tokio::task::spawn_blocking(|| Plane::start(&[])).await.expect("starts") }).await
}

impl Plane {
    /// Starts with these flags of the API server beside the usual ones.
    pub(crate) fn start(extra: &'static [&'static str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (port, etcd_port, peer_port) = (free_port(), free_port(), free_port());
        let ca = write_certificates(folder.path());
        let etcd = format!("http://127.0.0.1:{etcd_port}");
        let peer = format!("http://127.0.0.1:{peer_port}");
        let arguments = [
            "--data-dir".to_owned(),
            folder.path().join("etcd").display().to_string(),
            format!("--listen-client-urls={etcd}"),
            format!("--advertise-client-urls={etcd}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=default={peer}"),
            "--unsafe-no-fsync".to_owned(),
            "--log-level=error".to_owned(),
        ];
        let program = ["etcd", "server"].iter().map(|n| tool(n)).find(|p| p.exists()).expect("etcd is built");
        let etcd = Process::start(folder.path(), "etcd", &program, &arguments);
        let plane = Self { folder, port, etcd_port, ca, extra, server: Mutex::new(None), _etcd: etcd };
        plane.start_server();
        plane
    }

    pub(crate) fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The authority in base64, as a cluster Secret has it.
    pub(crate) fn ca_data(&self) -> String {
        STANDARD.encode(&self.ca)
    }

    /// Ends the API server at once, as a crash would.
    pub(crate) fn stop_server(&self) {
        drop(self.server.lock().expect("not poisoned").take());
    }

    /// Starts the API server and waits until it is ready.
    pub(crate) fn start_server(&self) {
        let file = |name: &str| self.folder.path().join(name).display().to_string();
        let mut arguments = vec![
            format!("--etcd-servers=http://127.0.0.1:{}", self.etcd_port),
            format!("--secure-port={}", self.port),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--tls-cert-file={}", file("server.pem")),
            format!("--tls-private-key-file={}", file("server.key")),
            format!("--client-ca-file={}", file("ca.pem")),
            format!("--token-auth-file={}", file("tokens.csv")),
            "--authorization-mode=RBAC".to_owned(),
            format!("--service-account-key-file={}", file("accounts.pub")),
            format!("--service-account-signing-key-file={}", file("accounts.key")),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
            "--disable-admission-plugins=ServiceAccount".to_owned(),
            format!("--cert-dir={}", file("certs")),
        ];
        arguments.extend(self.extra.iter().map(|flag| (*flag).to_owned()));
        let process = Process::start(self.folder.path(), "kube-apiserver", &tool("kube-apiserver"), &arguments);
        *self.server.lock().expect("not poisoned") = Some(process);
        let deadline = Instant::now() + Duration::from_secs(90);
        while !self.is_ready() {
            assert!(Instant::now() < deadline, "the API server is not ready: {}", self.log("kube-apiserver"));
            std::thread::park_timeout(Duration::from_millis(100));
        }
    }

    fn is_ready(&self) -> bool {
        let mut roots = rustls::RootCertStore::empty();
        let der = rustls::pki_types::pem::PemObject::from_pem_slice(self.ca.as_bytes()).expect("a certificate");
        roots.add(der).expect("an authority");
        let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("protocols")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = "127.0.0.1".try_into().expect("an address");
        let Ok(mut client) = rustls::ClientConnection::new(config.into(), name) else { return false };
        let Ok(mut socket) = TcpStream::connect(("127.0.0.1", self.port)) else { return false };
        socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
        let mut stream = rustls::Stream::new(&mut client, &mut socket);
        let request =
            format!("GET /readyz HTTP/1.1\r\nHost: k\r\nAuthorization: Bearer {ADMIN}\r\nConnection: close\r\n\r\n");
        let mut answer = [0; 12];
        stream.write_all(request.as_bytes()).is_ok()
            && stream.read_exact(&mut answer).is_ok()
            && answer.ends_with(b"200")
    }

    fn log(&self, name: &str) -> String {
        let text = std::fs::read_to_string(self.folder.path().join(format!("{name}.log"))).unwrap_or_default();
        text.chars().rev().take(3000).collect::<Vec<_>>().into_iter().rev().collect()
    }

    /// Deletes an object behind the API server's back and makes etcd forget all
    /// history.
    pub(crate) fn delete_and_forget(&self, registry_key: &str) {
        let key = STANDARD.encode(registry_key);
        let answer = self.etcd("deleterange", &format!("{{\"key\":\"{key}\"}}"));
        assert!(answer.contains("\"deleted\":\"1\""), "{answer}");
        let revision = answer.split("\"revision\":\"").nth(1).and_then(|r| r.split('"').next()).expect("a revision");
        self.etcd("compaction", &format!("{{\"revision\":\"{revision}\",\"physical\":true}}"));
    }

    fn etcd(&self, call: &str, body: &str) -> String {
        let mut socket = TcpStream::connect(("127.0.0.1", self.etcd_port)).expect("etcd listens");
        let request = format!(
            "POST /v3/kv/{call} HTTP/1.1\r\nHost: e\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        socket.write_all(request.as_bytes()).expect("sends");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("answers");
        answer
    }
}

fn tool(name: &str) -> PathBuf {
    let folder = std::env::var_os("ARGOSY_TEST_BIN").map(PathBuf::from).unwrap_or_else(|| {
        let cache = std::env::var_os("ARGOSY_CACHE")
            .map(PathBuf::from)
            .unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").expect("a home")).join(".cache/argosy"));
        cache.join("tools/bin")
    });
    folder.join(name)
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port()
}

/// Writes everything the API server reads; the authority's certificate.
fn write_certificates(folder: &Path) -> String {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).expect("writes");
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "test authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let ca = params.self_signed(&key).expect("an authority").pem();
    let issuer = Issuer::new(params, key);
    let server_key = KeyPair::generate().expect("a key");
    let mut server = CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).expect("parameters");
    server.distinguished_name.push(DnType::CommonName, "test server");
    write("server.pem", &server.signed_by(&server_key, &issuer).expect("a certificate").pem());
    write("server.key", &server_key.serialize_pem());
    write("ca.pem", &ca);
    let accounts = KeyPair::generate().expect("a key");
    write("accounts.key", &accounts.serialize_pem());
    write("accounts.pub", &accounts.public_key_pem());
    write(
        "tokens.csv",
        &format!("{ADMIN},admin,1,system:masters\n{OTHER_ADMIN},other,2,system:masters\n{LIMITED},limited,3\n"),
    );
    ca
}
