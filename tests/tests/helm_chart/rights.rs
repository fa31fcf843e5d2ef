//! The roles for managed clusters permit what their pages say, and no more; a real API
//! server is asked.

use anyhow::{Context, ensure};
use argosy_tests::ControlPlane;
use argosy_tests::tools::workspace;

/// Whom the files give rights to.
const ACCOUNT: &str = "system:serviceaccount:argosy-system:argosy";
/// A role of the files and what it may: verb, resource, namespace (empty: all), and
/// whether.
type Case = (&'static str, &'static [(&'static str, &'static str, &'static str, bool)]);

const CASES: &[Case] = &[
    ("account", &[("list", "pods", "", false), ("create", "configmaps", "argosy-system", false)]),
    (
        "deployer",
        &[
            ("list", "pods", "", true),
            ("watch", "customresourcedefinitions.apiextensions.k8s.io", "", true),
            ("patch", "deployments.apps", "default", true),
            ("create", "namespaces", "", true),
            ("delete", "clusterroles.rbac.authorization.k8s.io", "", true),
            ("get", "pods/log", "default", true),
            ("escalate", "clusterroles.rbac.authorization.k8s.io", "", false),
            ("bind", "clusterroles.rbac.authorization.k8s.io", "", false),
            ("impersonate", "users", "", false),
            ("approve", "signers.certificates.k8s.io", "", false),
        ],
    ),
    (
        "reader",
        &[
            ("list", "pods", "", true),
            ("watch", "deployments.apps", "", true),
            ("get", "pods/log", "default", true),
            ("patch", "deployments.apps", "default", false),
            ("create", "namespaces", "", false),
            ("delete", "pods", "default", false),
        ],
    ),
    // Only where it is bound.
    ("writer", &[("create", "configmaps", "team-a", false)]),
    (
        "writer-in-namespace",
        &[
            ("create", "configmaps", "team-a", true),
            ("delete", "deployments.apps", "team-a", true),
            ("create", "configmaps", "default", false),
            ("create", "namespaces", "", false),
            ("create", "clusterroles.rbac.authorization.k8s.io", "", false),
        ],
    ),
    ("impersonator", &[("impersonate", "serviceaccounts", "team-a", true), ("impersonate", "users", "", false)]),
    (
        "fence-token",
        &[
            ("create", "serviceaccounts/argosy --subresource=token", "argosy-system", true),
            ("create", "serviceaccounts/other --subresource=token", "argosy-system", false),
            ("create", "serviceaccounts/argosy --subresource=token", "default", false),
            ("create", "secrets", "argosy-system", true),
            ("list", "secrets", "argosy-system", true),
            ("delete", "secrets", "argosy-system", true),
            ("get", "secrets", "argosy-system", false),
            ("create", "secrets", "default", false),
            ("create", "serviceaccounts", "argosy-system", false),
        ],
    ),
    (
        "fence-binding",
        &[
            ("create", "serviceaccounts", "argosy-system", true),
            ("delete", "serviceaccounts", "argosy-system", true),
            ("create", "serviceaccounts/other --subresource=token", "argosy-system", true),
            ("create", "serviceaccounts", "default", false),
            ("create", "serviceaccounts/other --subresource=token", "default", false),
            ("create", "clusterrolebindings.rbac.authorization.k8s.io", "", true),
            ("list", "rolebindings.rbac.authorization.k8s.io", "", true),
            ("delete", "rolebindings.rbac.authorization.k8s.io", "team-a", true),
            ("bind", "clusterroles.rbac.authorization.k8s.io/argosy-deployer", "", true),
            ("bind", "clusterroles.rbac.authorization.k8s.io/cluster-admin", "", false),
            ("escalate", "clusterroles.rbac.authorization.k8s.io", "", false),
        ],
    ),
];

/// Whether the account may.
fn may(plane: &ControlPlane, verb: &str, resource: &str, namespace: &str) -> anyhow::Result<bool> {
    let mut args = vec!["auth", "can-i", verb];
    args.extend(resource.split(' '));
    let user = format!("--as={ACCOUNT}");
    args.extend([user.as_str(), "--quiet"]);
    if namespace.is_empty() {
        args.push("--all-namespaces");
    } else {
        args.extend(["--namespace", namespace]);
    }
    Ok(plane.kubectl(&args)?.status.success())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_permits_what_it_says_and_no_more() -> anyhow::Result<()> {
    let plane = ControlPlane::start(argosy_tests::Options::default()).await?;
    let folder = workspace().join("config/rbac");
    let file = |name: &str| {
        let path = folder.join(format!("{name}.yaml"));
        Ok::<_, anyhow::Error>(path.to_str().context("UTF-8")?.to_owned())
    };
    plane.kubectl_text(&["create", "namespace", "team-a"])?;
    plane.kubectl_text(&["apply", "--server-side", "-f", &file("account")?])?;
    for (name, cases) in CASES {
        let path = file(name)?;
        plane.kubectl_text(&["apply", "--server-side", "-f", &path])?;
        // A binding of one file may name the role of another.
        if *name == "writer-in-namespace" {
            plane.kubectl_text(&["apply", "--server-side", "-f", &file("writer")?])?;
        }
        let wanted = |(verb, resource, namespace, is_permitted): &(&str, &str, &str, bool)| {
            let is = may(&plane, verb, resource, namespace)?;
            ensure!(is == *is_permitted, "{name}: {verb} {resource} in {namespace:?} is {is}");
            Ok(())
        };
        // What the API server knows of roles comes by its watches.
        argosy_tests::eventually(argosy_tests::PATIENCE, || async { cases.iter().try_for_each(wanted) }).await;
        if *name != "account" {
            plane.kubectl_text(&["delete", "-f", &path])?;
        }
    }
    let mut files = 0;
    for entry in std::fs::read_dir(&folder)? {
        files += usize::from(entry?.path().extension().is_some_and(|end| end == "yaml"));
    }
    ensure!(files == CASES.len(), "each file of config/rbac has its cases");
    Ok(())
}
