//! kubectl reads, applies, compares, explains and deletes against a sandbox as
//! against a cluster.

mod support;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use argosy_sandbox::serve::Sandbox;

struct Kubectl {
    kubeconfig: PathBuf,
    folder: tempfile::TempDir,
}

impl Kubectl {
    fn new(sandbox: &Sandbox) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let kubeconfig = folder.path().join("kubeconfig");
        std::fs::write(&kubeconfig, sandbox.kubeconfig("admin", &["system:masters"])?)?;
        Ok(Self { kubeconfig, folder })
    }

    /// Whether kubectl ended well, and what it printed.
    async fn run(&self, args: &str, stdin: &str) -> anyhow::Result<(bool, String)> {
        let mut command = Command::new(argosy_tests::tools::kubernetes_binaries()?.join("kubectl"));
        command.env("KUBECONFIG", &self.kubeconfig).env("HOME", self.folder.path()).args(args.split_whitespace());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let stdin = stdin.to_owned();
        let output = tokio::task::spawn_blocking(move || -> std::io::Result<_> {
            let mut child = command.spawn()?;
            if let Some(mut pipe) = child.stdin.take() {
                // It may end before it has read all.
                drop(pipe.write_all(stdin.as_bytes()));
            }
            child.wait_with_output()
        })
        .await??;
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        Ok((output.status.success(), text))
    }

    async fn ok(&self, args: &str, stdin: &str) -> anyhow::Result<String> {
        let (success, text) = self.run(args, stdin).await?;
        anyhow::ensure!(success, "kubectl {args}: {text}");
        Ok(text)
    }
}

const NAMESPACE: &str = "{apiVersion: v1, kind: Namespace, metadata: {name: demo}}";

const DEPLOYMENT: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: demo, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: 'nginx:1', ports: [{containerPort: 80}]}
";

const DEFINITION: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: widgets, kind: Widget, shortNames: [wd]}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            description: What is wanted.
            properties:
              size: {type: integer, description: How big it is., minimum: 1}
";

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_applies_compares_and_deletes() -> anyhow::Result<()> {
    let sandbox = support::start().await?;
    let kubectl = Kubectl::new(&sandbox)?;
    kubectl.ok("apply -f -", NAMESPACE).await?;
    let list = format!("apiVersion: v1\nkind: List\nitems:\n- {}", DEPLOYMENT.trim().replace('\n', "\n  "));
    assert!(kubectl.ok("apply -f -", &list).await?.contains("deployment.apps/web created"));
    assert!(kubectl.ok("apply -f -", DEPLOYMENT).await?.contains("deployment.apps/web unchanged"));
    let changed = DEPLOYMENT.replace("nginx:1", "nginx:2");
    let (same, difference) = kubectl.run("diff -f -", &changed).await?;
    assert!(!same && difference.contains("image: nginx:2"), "{difference}");
    assert!(kubectl.ok("apply -f -", &changed).await?.contains("deployment.apps/web configured"));
    assert!(kubectl.ok("apply --server-side --force-conflicts -f -", &changed).await?.contains("serverside-applied"));
    let (same, difference) = kubectl.run("diff --server-side --force-conflicts -f -", &changed).await?;
    assert!(same, "{difference}");
    kubectl.ok("-n demo scale deployment web --replicas=5", "").await?;
    assert_eq!(kubectl.ok("-n demo get deployment web -o jsonpath={.spec.replicas}", "").await?, "5");
    assert!(kubectl.ok("-n demo get deploy", "").await?.contains("web"));
    assert!(kubectl.ok("-n demo get all -l app=web -o name", "").await?.contains("deployment.apps/web"));
    kubectl.ok("-n demo label deployment web tier=front", "").await?;
    kubectl.ok("-n demo annotate deployment web a=b", "").await?;
    kubectl.ok("-n demo set image deployment/web web=nginx:3", "").await?;
    assert!(kubectl.ok("-n demo describe deployment web", "").await?.contains("nginx:3"));
    assert!(kubectl.ok("-n demo delete deployment web", "").await?.contains("deleted"));
    let (found, text) = kubectl.run("-n demo get deployment web", "").await?;
    assert!(!found && text.contains("deployments.apps \"web\" not found"), "{text}");
    sandbox.shutdown().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_creates_what_it_sends_as_protobuf() -> anyhow::Result<()> {
    let sandbox = support::start().await?;
    let kubectl = Kubectl::new(&sandbox)?;
    kubectl.ok("create namespace demo", "").await?;
    kubectl.ok("-n demo create deployment web --image=nginx:1 --replicas=2 --port=80", "").await?;
    let path = "jsonpath={.spec.replicas}{.spec.template.spec.containers[0].ports[0].protocol}{.spec.strategy.type}";
    assert_eq!(kubectl.ok(&format!("-n demo get deployment web -o {path}"), "").await?, "2TCPRollingUpdate");
    kubectl.ok("-n demo create configmap c --from-literal=a=b", "").await?;
    kubectl.ok("-n demo create secret generic s --from-literal=a=b", "").await?;
    assert_eq!(kubectl.ok("-n demo get secret s -o jsonpath={.data.a}", "").await?, "Yg==");
    kubectl.ok("-n demo create job j --image=x -- sleep 1", "").await?;
    kubectl.ok("-n demo create role r --verb=get --resource=pods", "").await?;
    kubectl.ok("-n demo create rolebinding r --role=r --user=me", "").await?;
    kubectl.ok("-n demo expose deployment web --port=80 --target-port=http", "").await?;
    kubectl.ok("-n demo autoscale deployment web --max=3 --cpu=50%", "").await?;
    sandbox.shutdown().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_explains_and_lists_what_there_is() -> anyhow::Result<()> {
    let sandbox = support::start().await?;
    let kubectl = Kubectl::new(&sandbox)?;
    assert!(kubectl.ok("version", "").await?.contains("Server Version: v1.36"));
    let resources = kubectl.ok("api-resources", "").await?;
    assert!(resources.contains("deploy") && resources.contains("NetworkPolicy"), "{resources}");
    assert!(kubectl.ok("api-versions", "").await?.contains("networking.k8s.io/v1"));
    let text = kubectl.ok("explain deployment.spec.strategy", "").await?;
    assert!(text.contains("DeploymentStrategy") && text.contains("rollingUpdate"), "{text}");
    kubectl.ok("apply -f -", DEFINITION).await?;
    kubectl.ok("wait --for=condition=Established crd/widgets.example.com --timeout=30s", "").await?;
    assert!(kubectl.ok("explain widgets.spec.size", "").await?.contains("How big it is."));
    let widget = "{apiVersion: example.com/v1, kind: Widget, metadata: {name: w}, spec: {size: 1}}";
    kubectl.ok("apply -f -", widget).await?;
    assert!(kubectl.ok("get wd", "").await?.contains('w'));
    let (accepted, text) = kubectl.run("apply -f -", &widget.replace("size: 1", "size: 0")).await?;
    assert!(!accepted && text.contains("should be greater than or equal to 1"), "{text}");
    let (accepted, text) = kubectl.run("apply -f -", &widget.replace("size: 1", "big: 1")).await?;
    assert!(!accepted && text.contains("unknown field \"spec.big\""), "{text}");
    kubectl.ok("delete wd w --wait", "").await?;
    kubectl.ok("delete crd widgets.example.com --wait", "").await?;
    let (found, _) = kubectl.run("get wd", "").await?;
    assert!(!found);
    sandbox.shutdown().await;
    Ok(())
}
