//! What the chart makes of values, and that an API server takes all of it.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::{Context, ensure};
use argosy_tests::tools::argosy_binary;
use argosy_tests::{ControlPlane, PATIENCE, TempFolder, eventually, shared};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::chart::{documents, examples, folder, helm, template};
use crate::documents::{arguments, containers, find, has, pods};

/// Kinds of others that the chart makes objects of, as far as an API server must know them.
const FOREIGN: [(&str, &str, &str, &str); 3] = [
    ("monitoring.coreos.com", "v1", "ServiceMonitor", "servicemonitors"),
    ("monitoring.coreos.com", "v1", "PrometheusRule", "prometheusrules"),
    ("cert-manager.io", "v1", "Certificate", "certificates"),
];

fn definition((group, version, kind, plural): (&str, &str, &str, &str)) -> Value {
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let versions = json!([{"name": version, "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]);
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}")},
        "spec": {"group": group, "scope": "Namespaced", "versions": versions,
                 "names": {"kind": kind, "plural": plural, "singular": kind.to_lowercase()}},
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_takes_every_example_without_a_warning() -> anyhow::Result<()> {
    let plane = shared().await;
    for kind in FOREIGN {
        plane.apply_yaml(&definition(kind).to_string())?;
        let name = format!("crd/{}.{}", kind.3, kind.0);
        plane.kubectl_text(&["wait", "--for=condition=Established", "--timeout=30s", &name])?;
    }
    for namespace in ["team-a", "team-b"] {
        plane.kubectl_text(&["create", "namespace", namespace])?;
    }
    let files = TempFolder::new("rendered")?;
    let apply = |name: &str, text: &str| {
        let file = files.write(&format!("{name}.yaml"), text)?;
        let file = file.to_str().context("UTF-8")?;
        let output = plane.kubectl(&["apply", "--server-side", "--validate=strict", "--filename", file])?;
        let [said, warned] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        ensure!(output.status.success(), "{name}: {warned}");
        Ok((said, warned))
    };
    let chart = folder();
    let chart = chart.to_str().context("UTF-8")?;
    helm(&["lint", "--strict", chart])?;
    for (name, path) in examples()? {
        let namespace = format!("chart-{name}");
        plane.kubectl_text(&["create", "namespace", &namespace])?;
        // The API server warns of every Pod that it would refuse under its strictest rules.
        let strictest = "pod-security.kubernetes.io/warn=restricted";
        plane.kubectl_text(&["label", "namespace", &namespace, strictest])?;
        helm(&["lint", "--strict", chart, "--namespace", &namespace, "--values", &path])?;
        let text = template(&namespace, &["--values", &path])?;
        let (said, warned) = apply(&name, &text)?;
        ensure!(!warned.contains("Warning"), "{name}: {warned}");
        let (wanted, count) = (documents(&text)?.len(), said.lines().count());
        ensure!(wanted == count && count >= 15, "{name}: of {wanted} documents {count} were applied");
    }
    let less = ["--set", "createClusterRoles=false,server.containerSecurityContext.allowPrivilegeEscalation=true"];
    let (_, warned) = apply("less", &template("chart-small", &less)?)?;
    ensure!(warned.contains("would violate PodSecurity"), "nobody looks at Pods: {warned}");
    // Two examples know namespaces with applications by their names, or by patterns. What
    // the API server knows of roles comes by its watches.
    eventually(PATIENCE, || async { RIGHTS.iter().try_for_each(|case| right(plane, case)) }).await;
    Ok(())
}

/// Who may change applications where, and where not.
type Right = (&'static str, &'static [&'static str], &'static [&'static str]);

const RIGHTS: &[Right] = &[
    ("chart-small:argosy-controller", &["chart-small"], &["default", "team-a"]),
    ("chart-small:argosy-server", &["chart-small"], &["default", "team-a"]),
    // In the whole cluster it may everything, as Argo CD's.
    ("chart-bundled-etcd:argosy-controller", &["chart-bundled-etcd", "team-a", "team-b", "default"], &[]),
    ("chart-bundled-etcd:argosy-server", &["chart-bundled-etcd", "team-a", "team-b"], &["default"]),
    ("chart-fleet:argocd-application-controller", &["chart-fleet", "team-a", "default"], &[]),
    ("chart-fleet:argosy-server", &["chart-fleet", "team-a", "default"], &[]),
];

fn right(plane: &ControlPlane, (account, there, elsewhere): &Right) -> anyhow::Result<()> {
    let account = format!("--as=system:serviceaccount:{account}");
    for namespace in there.iter().chain(*elsewhere) {
        let args =
            ["auth", "can-i", "patch", "applications.argoproj.io", &account, "--namespace", namespace, "--quiet"];
        let may = plane.kubectl(&args)?.status.success();
        ensure!(may == there.contains(namespace), "{account} in {namespace}: {may}");
    }
    Ok(())
}

#[test]
fn pods_are_nobodys_and_write_nowhere() -> anyhow::Result<()> {
    for (name, path) in examples()? {
        let all = documents(&template("argocd", &["--values", &path])?)?;
        let pods = pods(&all);
        ensure!(pods.len() >= 2, "{name}: a controller and a server");
        for (who, pod) in pods {
            let security = &pod["securityContext"];
            ensure!(security["runAsNonRoot"] == true && security["runAsUser"] == 65532, "{name}, {who}: {security}");
            ensure!(security["seccompProfile"]["type"] == "RuntimeDefault", "{name}, {who}: {security}");
            ensure!(!pod["topologySpreadConstraints"].as_array().context("spread")?.is_empty(), "{name}, {who}");
            for container in containers(pod) {
                let security = &container["securityContext"];
                ensure!(security["readOnlyRootFilesystem"] == true, "{name}, {who}: {security}");
                ensure!(security["allowPrivilegeEscalation"] == false, "{name}, {who}: {security}");
                ensure!(security["capabilities"] == json!({"drop": ["ALL"]}), "{name}, {who}: {security}");
                let resources = &container["resources"];
                ensure!(resources["requests"]["cpu"].is_string(), "{name}, {who}: {resources}");
                ensure!(resources["limits"]["memory"].is_string(), "{name}, {who}: {resources}");
            }
            for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
                let probed = &pod["containers"][0][probe]["httpGet"]["path"];
                ensure!(probed.is_string(), "{name}, {who} has no {probe}");
            }
        }
        for workload in all.iter().filter(|d| d["kind"] == "Deployment" || d["kind"] == "StatefulSet") {
            let name = workload["metadata"]["name"].as_str().context("a name")?;
            ensure!(has(&all, "PodDisruptionBudget", name), "{name} has no budget");
            ensure!(has(&all, "NetworkPolicy", name), "{name} can be reached by anybody");
        }
    }
    Ok(())
}

#[test]
fn one_controller_is_never_two_and_many_agree_in_an_etcd() -> anyhow::Result<()> {
    let small = documents(&template("argocd", &[])?)?;
    let controller = find(&small, "StatefulSet", "argosy-controller")?;
    ensure!(controller["spec"]["replicas"] == 1, "{controller}");
    let flags = arguments(&small, "StatefulSet", "argosy-controller")?;
    ensure!(!flags.iter().any(|flag| flag.starts_with("--etcd")), "{flags:?}");
    let example = |name: &str| {
        let path = folder().join(format!("ci/{name}-values.yaml"));
        documents(&template("argocd", &["--values", path.to_str().context("UTF-8")?])?)
    };
    let bundled = example("bundled-etcd")?;
    let flags = arguments(&bundled, "StatefulSet", "argosy-controller")?;
    let members = (0..3).map(|i| format!("https://argosy-etcd-{i}.argosy-etcd.argocd.svc:2379"));
    let endpoints = format!("--etcd-endpoints={}", members.collect::<Vec<_>>().join(","));
    for flag in [&endpoints, "--etcd-ca=/etc/argosy/etcd/ca.crt", "--etcd-cert=/etc/argosy/etcd/tls.crt"] {
        ensure!(flags.iter().any(|known| known == flag), "{flag} is not in {flags:?}");
    }
    let fleet = example("fleet")?;
    ensure!(find(&fleet, "StatefulSet", "argosy-controller")?["spec"]["replicas"].is_null(), "its scaler decides");
    ensure!(has(&fleet, "HorizontalPodAutoscaler", "argosy-controller"), "no scaler");
    let flags = arguments(&fleet, "StatefulSet", "argosy-controller")?;
    for flag in [
        "--etcd-prefix=/argosy/production",
        "--etcd-lease-seconds=5",
        "--etcd-user=argosy",
        "--etcd-password-file=/etc/argosy/etcd-password/password",
        "--enable-k8s-event=none",
    ] {
        ensure!(flags.iter().any(|known| known == flag), "{flag} is not in {flags:?}");
    }
    let rules = find(&fleet, "PrometheusRule", "argosy")?["spec"]["groups"].as_array().context("groups")?;
    ensure!(rules.iter().any(|group| group["name"] == "argosy-fleet"), "the chart's own alerts");
    ensure!(rules.iter().any(|group| group["rules"][0]["alert"] == "Own"), "and those of its user");
    let dashboards = &find(&fleet, "ConfigMap", "argosy-dashboards")?["data"];
    for (name, text) in dashboards.as_object().context("dashboards")? {
        let dashboard: Value = serde_json::from_str(text.as_str().context("a text")?).context("a dashboard is JSON")?;
        ensure!(dashboard["uid"] == name.trim_end_matches(".json"), "{name}");
    }
    Ok(())
}

#[test]
fn settings_arrive_as_they_were_written() -> anyhow::Result<()> {
    let path = folder().join("ci/settings-values.yaml");
    let certificate =
        "server.certificateSecret.enabled=true,server.certificateSecret.crt=c,server.certificateSecret.key=k";
    let args = ["--values", path.to_str().context("UTF-8")?, "--set", certificate];
    let all = documents(&template("argocd", &args)?)?;
    let config = &find(&all, "ConfigMap", "argocd-cm")?["data"];
    ensure!(config["url"] == "https://argocd.example.com" && config["admin.enabled"] == "true", "{config}");
    let links = config["application.links"].as_str().context("links")?;
    ensure!(links.contains("{{.metadata.name}}"), "no template of the chart: {links}");
    let params = &find(&all, "ConfigMap", "argocd-cmd-params-cm")?["data"];
    ensure!(params["controller.status.processors"] == "5000000", "{params}");
    let policy = &find(&all, "ConfigMap", "argocd-rbac-cm")?["data"];
    ensure!(policy["policy.default"] == "role:readonly" && policy["policy.ops.csv"].is_string(), "{policy}");
    let text = |secret: &str, key: &str| {
        let encoded = find(&all, "Secret", secret)?["data"][key].as_str().context("a value")?.to_owned();
        Ok::<_, anyhow::Error>(String::from_utf8(STANDARD.decode(encoded)?)?)
    };
    assert_eq!(text("argocd-secret", "webhook.github.secret")?, "shared");
    assert_eq!(text("argocd-secret", "oidc.clientSecret")?, "{{ no template }}");
    assert_eq!(text("argocd-repo-charts", "githubAppID")?, "12345678");
    assert_eq!(text("argocd-cluster-west", "shard")?, "1");
    assert_eq!(text("argocd-server-tls", "tls.crt")?, "c");
    let cluster: Value = serde_json::from_str(&text("argocd-cluster-west", "config")?)?;
    ensure!(cluster["tlsClientConfig"]["caData"] == "bm9uZQ==", "{cluster}");
    ensure!(has(&all, "ConfigMap", "extra") && has(&all, "ConfigMap", "extra-text"), "objects of one's own");
    Ok(())
}

#[test]
fn probes_speak_as_the_server_does() -> anyhow::Result<()> {
    let cases = [
        ("global.domain=", "HTTPS"),
        ("configs.params.server\\.insecure=true", "HTTP"),
        ("configs.params.server\\.insecure=false", "HTTPS"),
        ("server.extraArgs={--insecure}", "HTTP"),
    ];
    for (set, scheme) in cases {
        let all = documents(&template("argocd", &["--set", set])?)?;
        let server = &find(&all, "Deployment", "argosy-server")?["spec"]["template"]["spec"]["containers"][0];
        for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
            ensure!(server[probe]["httpGet"]["scheme"] == scheme, "{set}: {}", server[probe]);
        }
    }
    Ok(())
}

#[test]
fn nothing_of_an_argo_cd_beside_it_is_touched() -> anyhow::Result<()> {
    let path = folder().join("ci/takeover-values.yaml");
    let all = documents(&template("argocd", &["--values", path.to_str().context("UTF-8")?])?)?;
    for document in &all {
        let name = document["metadata"]["name"].as_str().context("a name")?;
        ensure!(!name.starts_with("argocd-argocd") && name.contains("argosy"), "{} {name}", document["kind"]);
        ensure!(document["kind"] != "CustomResourceDefinition", "{name}");
    }
    Ok(())
}

#[test]
fn the_program_knows_every_flag_that_it_is_given() -> anyhow::Result<()> {
    let mut roles = BTreeMap::new();
    for (name, path) in examples()? {
        let all = documents(&template("argocd", &["--values", &path])?)?;
        for container in pods(&all).into_iter().flat_map(|(_, pod)| containers(pod)) {
            if !container["image"].as_str().is_some_and(|image| image.starts_with("argosy:")) {
                continue;
            }
            let arguments = container["args"].as_array().with_context(|| format!("{name}: a role is an argument"))?;
            let mut arguments = arguments.iter().filter_map(Value::as_str);
            let role = arguments.next().context("a role")?.to_owned();
            let flags: &mut BTreeSet<String> = roles.entry(role).or_default();
            flags.extend(arguments.filter_map(|argument| argument.split('=').next()).map(str::to_owned));
        }
    }
    ensure!(roles.keys().eq(["controller", "dex-config", "server"]), "{roles:?}");
    for (role, flags) in roles {
        let help = Command::new(argosy_binary()?).args([&role, "--help"]).output().context("running argosy")?;
        let help = String::from_utf8_lossy(&help.stdout).into_owned();
        for flag in flags {
            let is_known = help.split(|c: char| c.is_whitespace() || c == '[').any(|word| word == flag);
            ensure!(is_known, "{role} has no {flag}:\n{help}");
        }
    }
    Ok(())
}
