//! Bringing everything up, step by step, each said when it is done.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use argosy_tests::{Argosy, ControlPlane, Options, TempFolder, tools};

use crate::worktree::WorkTree;

/// Everything that runs. Dropped in this order: Argosy before what it talks to.
pub(crate) struct World {
    pub(crate) argosy: Argosy,
    pub(crate) server: Argosy,
    pub(crate) work_tree: WorkTree,
    pub(crate) control_plane: ControlPlane,
    // Holds the work tree.
    _folder: TempFolder,
}

// === impl World ===

impl World {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        // First what may be missing, before anything takes time.
        tools::argosy_binary()?;
        let step = Step::begin("Kubernetes: etcd, API server, controller manager, scheduler, a simulated node");
        let control_plane = ControlPlane::start(Options { pods_become_ready: true, ..Options::default() }).await?;
        step.end(&control_plane.url());

        let step = Step::begin("Argo CD's kinds, the namespace argocd, settings, the project default");
        install(&control_plane)?;
        step.end("applied");

        let folder = TempFolder::new("sample")?;
        let step = Step::begin("A Git repository with a sample application");
        let work_tree = WorkTree::create(folder.join("guestbook"))?;
        step.end(&work_tree.url());

        let step = Step::begin("Argosy's controller");
        let started = Argosy::controller(&control_plane)
            // These follow from argocd-cm and argocd-cmd-params-cm in an installation in a cluster.
            .env("ARGOCD_RECONCILIATION_TIMEOUT", "5s")
            .env("ARGOCD_RECONCILIATION_JITTER", "0s")
            .env("ARGOCD_APPLICATION_CONTROLLER_PERSIST_RESOURCE_HEALTH", "true")
            .start();
        let argosy = started.await.context("the controller did not start")?;
        step.end(&format!("http://{}/metrics", argosy.metrics_address()));

        let step = Step::begin("Argosy's API");
        let server = Argosy::server(&control_plane).start().await.context("the API did not start")?;
        step.end(&format!("https://{}", server.api_address()));

        let step = Step::begin("The application guestbook: automated, pruning, self-healing");
        let application = sample("application.yaml")?;
        let application = application.replace("https://git.example.com/guestbook.git", &work_tree.url());
        control_plane.apply_yaml(&application)?;
        step.end("applied");
        Ok(Self { argosy, server, work_tree, control_plane, _folder: folder })
    }

    /// What a person may do next, as commands to copy.
    pub(crate) fn what_to_try(&self) -> String {
        format!(
            "\nIt goes on running; Ctrl-C ends everything. In another terminal:\n\n\
             \x20 export KUBECONFIG={kubeconfig} PATH={binaries}:$PATH\n\
             \x20 kubectl -n argocd get applications\n\
             \x20 kubectl -n guestbook get all\n\
             \x20 kubectl -n argocd get events\n\n\
             Deploy a change:\n\n\
             \x20 cd {folder}\n\
             \x20 sed -i 's/replicas: 2/replicas: 5/' 40-frontend.yaml && git commit -am 'More frontends'\n\n\
             Undo something by hand and see it come back:\n\n\
             \x20 kubectl -n guestbook delete deployment guestbook-frontend\n\n\
             Use the argocd command line, with the password of admin from its Secret:\n\n\
             \x20 password=$(kubectl -n argocd get secret argocd-initial-admin-secret -o jsonpath='{{.data.password}}' | base64 -d)\n\
             \x20 argocd login {api} --insecure --username admin --password $password\n\
             \x20 argocd app get guestbook\n\n\
             Argosy's metrics: curl -s http://{metrics}/metrics\n\
             Argosy's log:     tail -f {log}\n",
            kubeconfig = self.control_plane.kubeconfig_path().display(),
            binaries = self.control_plane.binaries().display(),
            folder = self.work_tree.folder().display(),
            api = self.server.api_address(),
            metrics = self.argosy.metrics_address(),
            log = self.argosy.log_path().display(),
        )
    }
}

fn install(control_plane: &ControlPlane) -> anyhow::Result<()> {
    let folder = tools::workspace().join("config/crds");
    let folder = folder.to_str().context("the path of this folder is not UTF-8")?;
    control_plane.kubectl_text(&["apply", "--server-side", "--filename", folder])?;
    control_plane.kubectl_text(&["wait", "--for=condition=Established", "--filename", folder, "--timeout=60s"])?;
    control_plane.kubectl_text(&["create", "namespace", "argocd"])?;
    control_plane.apply_yaml(&sample("settings.yaml")?)?;
    control_plane.apply_yaml(&sample("project.yaml")?)?;
    Ok(())
}

fn sample(name: &str) -> anyhow::Result<String> {
    let path: PathBuf = tools::workspace().join("config/samples").join(name);
    std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
}

/// A line that says what is being done, and when it is, how long it took.
struct Step {
    begun: Instant,
}

// === impl Step ===

impl Step {
    fn begin(what: &str) -> Self {
        println!("==> {what}");
        Self { begun: Instant::now() }
    }

    fn end(self, result: &str) {
        println!("    {result} ({:.1} s)", self.begun.elapsed().as_secs_f64());
    }
}
