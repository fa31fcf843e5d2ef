//! One test's corner of the shared world.

use std::time::Duration;

use anyhow::Context;
use argosy_tests::{App, AppState, Argosy, ControlPlane, GitServer, Options, Repo, poll_until};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What all tests of this program share.
struct World {
    plane: ControlPlane,
    argosy: Argosy,
    git: GitServer,
}

async fn world() -> &'static World {
    static WORLD: OnceCell<World> = OnceCell::const_new();
    WORLD.get_or_init(|| async { start().await.unwrap_or_else(|error| panic!("no world: {error:#}")) }).await
}

async fn start() -> anyhow::Result<World> {
    let plane = ControlPlane::start(Options { pods_become_ready: true, ..Options::default() }).await?;
    plane.install().await?;
    // Waves need not be far apart to be told apart.
    let argosy = Argosy::controller(&plane).env("ARGOCD_SYNC_WAVE_DELAY", "1").start().await?;
    Ok(World { plane, argosy, git: GitServer::start()? })
}

/// A namespace, a repository and an Application, all of one name.
pub(crate) struct Case {
    pub(crate) plane: &'static ControlPlane,
    pub(crate) argosy: &'static Argosy,
    git: &'static GitServer,
    pub(crate) client: kube::Client,
    pub(crate) name: String,
    pub(crate) repo: Repo,
}

// === impl Case ===

impl Case {
    pub(crate) async fn new(name: &str) -> anyhow::Result<Self> {
        let world = world().await;
        world.plane.kubectl_text(&["create", "namespace", name])?;
        let (client, repo) = (world.plane.client().await?, world.git.repo(name)?);
        Ok(Self { plane: &world.plane, argosy: &world.argosy, git: &world.git, client, name: name.to_owned(), repo })
    }

    /// Another repository.
    pub(crate) fn second_repo(&self) -> anyhow::Result<Repo> {
        self.git.repo(&format!("{}-second", self.name))
    }

    /// The application, neither automated nor applied yet.
    pub(crate) fn app(&self) -> App {
        App::new(&self.name).source(&self.repo.url_file(), "app", "HEAD").into_namespace(&self.name)
    }

    /// Commits files of the application's folder.
    pub(crate) fn commit(&self, files: &[(&str, &str)]) -> anyhow::Result<String> {
        let change = self.repo.change("main");
        files.iter().fold(change, |change, (name, text)| change.write(&format!("app/{name}"), text)).commit()
    }

    /// kubectl in the test's namespace.
    pub(crate) fn kubectl(&self, args: &[&str]) -> anyhow::Result<String> {
        self.plane.kubectl_text(&[&["-n", &self.name], args].concat())
    }

    /// A live object.
    pub(crate) fn get(&self, kind: &str, name: &str) -> anyhow::Result<Option<Value>> {
        let text = self.kubectl(&["get", kind, name, "--ignore-not-found", "-o", "json"])?;
        if text.is_empty() { Ok(None) } else { serde_json::from_str(&text).map(Some).context("reading an object") }
    }

    /// A live object that must be there.
    pub(crate) fn live(&self, kind: &str, name: &str) -> anyhow::Result<Value> {
        self.get(kind, name)?.with_context(|| format!("there is no {kind} {name}"))
    }

    /// Waits for a condition on the cluster.
    pub(crate) async fn until(&self, what: &str, probe: impl Fn() -> anyhow::Result<bool>) -> anyhow::Result<()> {
        let probe = || async { if probe()? { Ok(()) } else { Err(anyhow::anyhow!("not yet")) } };
        poll_until(PATIENCE, probe).await.map_err(|reason| anyhow::anyhow!("{what}: {reason}"))
    }

    /// Requests an operation and returns its marker.
    pub(crate) async fn request(&self, app: &App, mut operation: Value) -> anyhow::Result<String> {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let marker = format!("request-{}", COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        operation["info"] = json!([{"name": "marker", "value": marker}]);
        operation["initiatedBy"] = json!({"username": "somebody"});
        app.merge(&self.client, &json!({"operation": operation})).await?;
        Ok(marker)
    }

    /// Waits for the end of a requested operation.
    pub(crate) async fn ended(&self, app: &App, marker: &str) -> anyhow::Result<AppState> {
        app.wait_for(&self.client, &format!("done with {marker}"), PATIENCE, |state| {
            is_of(state, marker)
                && !matches!(state.phase(), "Running" | "Terminating")
                && state.0.get("operation").is_none()
        })
        .await
    }

    /// Runs a `sync` operation to its end.
    pub(crate) async fn sync(&self, app: &App, sync: Value) -> anyhow::Result<AppState> {
        self.operate(app, json!({"sync": sync})).await
    }

    /// Runs an operation to its end.
    pub(crate) async fn operate(&self, app: &App, operation: Value) -> anyhow::Result<AppState> {
        let marker = self.request(app, operation).await?;
        self.ended(app, &marker).await
    }

    /// Waits until a requested operation says this.
    pub(crate) async fn says(&self, app: &App, marker: &str, message: &str) -> anyhow::Result<AppState> {
        app.wait_for(&self.client, message, PATIENCE, |s| is_of(s, marker) && s.message().contains(message)).await
    }

    /// The application's Events, one a line.
    pub(crate) fn events(&self) -> anyhow::Result<String> {
        let selector = format!("involvedObject.name={}", self.name);
        let format = "jsonpath={range .items[*]}{.reason}: {.message}{'\\n'}{end}";
        self.plane.kubectl_text(&["-n", "argocd", "get", "events", "--field-selector", &selector, "-o", format])
    }
}

fn is_of(state: &AppState, marker: &str) -> bool {
    state.text("/status/operationState/operation/info/0/value") == marker
}

/// A ConfigMap with one value, and annotations as `key: value` lines.
pub(crate) fn config_map(name: &str, text: &str, annotations: &[(&str, &str)]) -> String {
    let lines: String = annotations.iter().map(|(key, value)| format!("    {key}: {value:?}\n")).collect();
    let annotations = if lines.is_empty() { String::new() } else { format!("  annotations:\n{lines}") };
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n{annotations}data:\n  text: {text:?}\n")
}

/// A Job; its pod's label says how it ends (see the harness's stages).
pub(crate) fn job(metadata: &str, annotations: &[(&str, &str)], pod: &str) -> String {
    let lines: String = annotations.iter().map(|(key, value)| format!("    {key}: {value:?}\n")).collect();
    format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata:\n  {metadata}\n  annotations:\n{lines}spec:\n  backoffLimit: 0\n  template:\n    \
         metadata:\n      labels: {{argosy.test/pod: {pod}}}\n    spec:\n      restartPolicy: Never\n      containers:\n      - {{name: main, image: none}}\n"
    )
}

/// A Deployment of one pod whose label says whether it becomes ready.
pub(crate) fn deployment(name: &str, wave: &str, pod: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {name}\n  annotations: {{argocd.argoproj.io/sync-wave: {wave:?}}}\nspec:\n  \
         replicas: 1\n  selector: {{matchLabels: {{app: {name}}}}}\n  template:\n    metadata:\n      labels: {{app: {name}, argosy.test/pod: {pod}}}\n    \
         spec:\n      containers:\n      - {{name: main, image: none}}\n      - {{name: side, image: none}}\n"
    )
}

pub(crate) const HOOK: &str = "argocd.argoproj.io/hook";
pub(crate) const POLICY: &str = "argocd.argoproj.io/hook-delete-policy";
pub(crate) const WAVE: &str = "argocd.argoproj.io/sync-wave";
pub(crate) const OPTIONS: &str = "argocd.argoproj.io/sync-options";

/// The results of the last operation as `Kind/name: status hookPhase message`.
pub(crate) fn results(state: &AppState) -> Vec<String> {
    let text = |r: &Value, field: &str| r[field].as_str().unwrap_or("").to_owned();
    state
        .list("/status/operationState/syncResult/resources")
        .iter()
        .map(|r| {
            let [kind, name, status, phase, message] =
                ["kind", "name", "status", "hookPhase", "message"].map(|field| text(r, field));
            format!("{kind}/{name}: {status} {phase} {message}")
        })
        .collect()
}

/// A string of a live object by JSON pointer.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or("")
}
