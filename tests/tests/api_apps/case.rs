//! One test's corner of the shared world.

use std::time::Duration;

use anyhow::{Context, ensure};
use argosy_proto::application::{ApplicationCreateRequest, ApplicationQuery, ApplicationSyncRequest};
use argosy_proto::v1alpha1::{Application, ApplicationWatchEvent};
use argosy_tests::{ApiClient, ApiWorld, App, AppState, Argosy, ControlPlane, GitServer, Options, Repo, poll_until};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tonic::{Status, Streaming};

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const HOME: &str = "argocd";
pub(crate) const IN_CLUSTER: &str = "https://kubernetes.default.svc";

/// What all tests of this program share.
struct Shared {
    world: ApiWorld,
    /// A session of `admin`.
    token: String,
}

async fn shared() -> &'static Shared {
    static SHARED: OnceCell<Shared> = OnceCell::const_new();
    SHARED.get_or_init(|| async { start().await.unwrap_or_else(|error| panic!("no world: {error:#}")) }).await
}

async fn start() -> anyhow::Result<Shared> {
    let plane = ControlPlane::start(Options { pods_become_ready: true, ..Options::default() }).await?;
    plane.install().await?;
    keep_unknown_fields(&plane)?;
    plane.set_config(
        "argocd-cm",
        &[
            ("resource.customizations.actions.ConfigMap", super::actions::ACTIONS),
            ("application.links", super::live::APPLICATION_LINKS),
            ("resource.links", super::live::RESOURCE_LINKS),
            ("timeout.reconciliation", "1h"),
        ],
    )?;
    // Tests add their own policies to it.
    plane.set_config("argocd-rbac-cm", &[("policy.default", "")])?;
    let namespaces = ["--application-namespaces", "team-*"];
    let with = |starter: argosy_tests::argosy::Starter| namespaces.into_iter().fold(starter, |s, arg| s.arg(arg));
    let server = with(Argosy::server(&plane)).start().await.context("starting the API")?;
    let controller = with(Argosy::controller(&plane)).env("ARGOCD_SYNC_WAVE_DELAY", "1").start().await?;
    let world = ApiWorld { server, controller, plane, git: GitServer::start()? };
    let token = world.admin().await?.token().to_owned();
    Ok(Shared { world, token })
}

/// Applications of a later version may have fields that nobody here knows.
fn keep_unknown_fields(plane: &ControlPlane) -> anyhow::Result<()> {
    let at = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/x-kubernetes-preserve-unknown-fields";
    let patch = json!([{"op": "add", "path": at, "value": true}]).to_string();
    plane.kubectl_text(&["patch", "crd", "applications.argoproj.io", "--type=json", "-p", &patch])?;
    Ok(())
}

/// A namespace, a repository and the name of an application, all of one name, and
/// `admin` who works with them.
pub(crate) struct Case {
    pub(crate) world: &'static ApiWorld,
    pub(crate) api: ApiClient,
    pub(crate) client: kube::Client,
    pub(crate) name: String,
    pub(crate) repo: Repo,
}

// === impl Case ===

impl Case {
    pub(crate) async fn new(name: &str) -> anyhow::Result<Self> {
        let Shared { world, token } = shared().await;
        world.plane.kubectl_text(&["create", "namespace", name])?;
        let api = world.anybody().await?.with_token(token);
        let (client, repo) = (world.plane.client().await?, world.git.repo(name)?);
        Ok(Self { world, api, client, name: name.to_owned(), repo })
    }

    /// Commits files of the application's folder.
    pub(crate) fn commit(&self, files: &[(&str, &str)]) -> anyhow::Result<String> {
        let change = self.repo.change("main");
        files.iter().fold(change, |change, (name, text)| change.write(&format!("app/{name}"), text)).commit()
    }

    /// The application, not automated.
    pub(crate) fn app(&self) -> App {
        self.named(&self.name)
    }

    /// The same under another name.
    pub(crate) fn named(&self, name: &str) -> App {
        App::new(name).source(&self.repo.url_file(), "app", "HEAD").into_namespace(&self.name)
    }

    /// Creates it through the API.
    pub(crate) async fn create(&self, app: &App) -> anyhow::Result<AppState> {
        let request: ApplicationCreateRequest = message(json!({"application": app.manifest()}));
        let created = self.api.applications().create(request).await.context("creating an application")?;
        Ok(state(&created.into_inner()))
    }

    /// Commits files, creates the application, syncs it and waits for the end.
    pub(crate) async fn deployed(&self, files: &[(&str, &str)]) -> anyhow::Result<AppState> {
        self.commit(files)?;
        self.create(&self.app()).await?;
        self.synced(json!({})).await
    }

    /// Asks for a sync with fields added to the request.
    pub(crate) async fn sync(&self, more: Value) -> Result<AppState, Status> {
        let synced = self.api.applications().sync(self.request::<ApplicationSyncRequest>(more)).await?;
        Ok(state(&synced.into_inner()))
    }

    /// The same, and waits until it has ended.
    pub(crate) async fn synced(&self, more: Value) -> anyhow::Result<AppState> {
        self.sync(more).await.context("asking for a sync")?;
        self.finished().await
    }

    /// A request about the application by its name, with fields added.
    pub(crate) fn request<T: DeserializeOwned>(&self, more: Value) -> T {
        message(merged(json!({"name": self.name}), more))
    }

    /// The application as the API shows it.
    pub(crate) async fn get(&self) -> anyhow::Result<AppState> {
        let query: ApplicationQuery = self.request(json!({}));
        Ok(state(&self.api.applications().get(query).await.context("reading the application")?.into_inner()))
    }

    /// The same after a refresh, `normal` or `hard`.
    pub(crate) async fn refreshed(&self, kind: &str) -> anyhow::Result<AppState> {
        let query: ApplicationQuery = self.request(json!({"refresh": kind}));
        Ok(state(&self.api.applications().get(query).await.context("refreshing the application")?.into_inner()))
    }

    /// Waits for the end of the operation, as the command line does: reads, then
    /// watches from there.
    pub(crate) async fn finished(&self) -> anyhow::Result<AppState> {
        self.until("finished", is_finished).await
    }

    /// Waits for a state of the application by watching it.
    pub(crate) async fn until(&self, what: &str, condition: impl Fn(&AppState) -> bool) -> anyhow::Result<AppState> {
        let mut known = self.get().await?;
        if condition(&known) {
            return Ok(known);
        }
        let from = known.text("/metadata/resourceVersion").to_owned();
        let mut events = self.watch(json!({"name": self.name, "resourceVersion": from})).await?;
        let reached = async {
            loop {
                known = state(next(&mut events).await?.application.as_ref().context("an event has an application")?);
                if condition(&known) {
                    return Ok(known.clone());
                }
            }
        };
        let reached: Result<anyhow::Result<AppState>, _> = tokio::time::timeout(PATIENCE, reached).await;
        match reached {
            Ok(reached) => reached,
            Err(_) => anyhow::bail!("{} is not {what}, it is {}", self.name, known.summary()),
        }
    }

    /// Opens a watch.
    pub(crate) async fn watch(&self, query: Value) -> anyhow::Result<Streaming<ApplicationWatchEvent>> {
        let events = self.api.applications().watch(message::<ApplicationQuery>(query)).await;
        Ok(events.context("watching")?.into_inner())
    }

    /// kubectl in the test's namespace.
    pub(crate) fn kubectl(&self, args: &[&str]) -> anyhow::Result<String> {
        self.world.plane.kubectl_text(&[&["-n", &self.name], args].concat())
    }

    /// Whether an object is there.
    pub(crate) fn has(&self, kind: &str, name: &str) -> anyhow::Result<bool> {
        Ok(!self.kubectl(&["get", kind, name, "--ignore-not-found", "-o", "name"])?.is_empty())
    }

    /// The text of a ConfigMap, empty when there is none.
    pub(crate) fn text(&self, name: &str) -> anyhow::Result<String> {
        self.kubectl(&["get", "configmap", name, "--ignore-not-found", "-o", "jsonpath={.data.text}"])
    }

    /// A project with these fields in its specification, of the test's name.
    pub(crate) fn project(&self, more: Value) -> anyhow::Result<()> {
        let spec = json!({
            "sourceRepos": ["*"], "destinations": [{"server": "*", "namespace": "*"}],
            "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
        });
        let project = json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject",
            "metadata": {"name": self.name, "namespace": HOME}, "spec": merged(spec, more),
        });
        self.world.plane.apply_yaml(&project.to_string()).map(drop)
    }

    /// A local account of the test's name, with these lines as its policy, signed in.
    pub(crate) async fn account(&self, policy: &str) -> anyhow::Result<ApiClient> {
        self.policy(policy)?;
        self.world.account(&self.name, "login", "correct-horse-7").await
    }

    /// Puts these lines in the place of the test's policy.
    pub(crate) fn policy(&self, policy: &str) -> anyhow::Result<()> {
        let key = format!("policy.{}.csv", self.name);
        self.world.plane.set_config("argocd-rbac-cm", &[(&key, policy)])
    }

    /// Waits for an Event of the application, `Reason: message`.
    pub(crate) async fn told(&self, event: &str) -> anyhow::Result<()> {
        let told = poll_until(PATIENCE, || async {
            let events = self.events()?;
            ensure!(events.contains(event), "{events}");
            Ok::<_, anyhow::Error>(())
        });
        told.await.map_err(|events| anyhow::anyhow!("no {event:?} in\n{events}"))
    }

    /// The application's Events, one a line.
    fn events(&self) -> anyhow::Result<String> {
        let selector = format!("involvedObject.name={}", self.name);
        let format = "jsonpath={range .items[*]}{.reason}: {.message}{'\\n'}{end}";
        self.world.plane.kubectl_text(&["-n", HOME, "get", "events", "--field-selector", &selector, "-o", format])
    }
}

/// The next event of a watch, which must come in time.
pub(crate) async fn next<T>(events: &mut Streaming<T>) -> anyhow::Result<T> {
    let event = tokio::time::timeout(PATIENCE, events.message()).await.context("nothing was told")?;
    event.context("the stream broke")?.context("the stream ended")
}

/// Waits for a condition of the world.
pub(crate) async fn soon(what: &str, probe: impl Fn() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let reached = poll_until(PATIENCE, || async {
        ensure!(probe()?, "not yet");
        Ok::<_, anyhow::Error>(())
    });
    reached.await.map_err(|reason| anyhow::anyhow!("{what}: {reason}"))
}

/// A message of the contract, from its JSON.
pub(crate) fn message<T: DeserializeOwned>(fields: Value) -> T {
    let text = fields.to_string();
    serde_json::from_value(fields).unwrap_or_else(|error| panic!("{text} is no such message: {error}"))
}

/// The fields of both; the second wins.
pub(crate) fn merged(mut fields: Value, more: Value) -> Value {
    if let (Some(fields), Value::Object(more)) = (fields.as_object_mut(), more) {
        fields.extend(more);
    }
    fields
}

/// What an application says of itself.
pub(crate) fn state(app: &Application) -> AppState {
    AppState(serde_json::to_value(app).expect("an application is JSON"))
}

/// Whether there was an operation and it has ended, as the command line sees it.
pub(crate) fn is_finished(state: &AppState) -> bool {
    let ended = state.text("/status/operationState/finishedAt");
    state.0.get("operation").is_none() && !ended.is_empty() && state.text("/status/reconciledAt") >= ended
}

/// A Deployment of one Pod, which becomes ready unless `pod` says otherwise.
pub(crate) fn deployment(name: &str, pod: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\nspec:\n  replicas: 1\n  \
         selector: {{matchLabels: {{app: {name}}}}}\n  template:\n    \
         metadata: {{labels: {{app: {name}, argosy.test/pod: {pod}}}}}\n    \
         spec: {{containers: [{{name: main, image: none}}]}}\n"
    )
}

/// The results of the last operation as `Kind/name: status`.
pub(crate) fn results(state: &AppState) -> Vec<String> {
    let text = |r: &Value, field: &str| r[field].as_str().unwrap_or("").to_owned();
    let results = state.list("/status/operationState/syncResult/resources").iter();
    results.map(|r| format!("{}/{}: {}", text(r, "kind"), text(r, "name"), text(r, "status"))).collect()
}
