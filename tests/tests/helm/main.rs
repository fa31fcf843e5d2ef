//! Helm cannot tell the sandbox from a real cluster: what it prints and what it
//! leaves behind is the same on both, through the life of a release.

mod chart;
mod shown;

use std::path::Path;

use anyhow::Context;
use argosy_tests::{ControlPlane, Kind, Options, TempFolder};
use serde_json::Value;

/// What a command said and did.
#[derive(Debug, PartialEq)]
struct Outcome {
    success: bool,
    said: Vec<String>,
    objects: Vec<Value>,
}

/// The life of a release; `CHART` stands for the chart's folder.
const LIFE: &[&[&str]] = &[
    &["install", "web", "CHART", "--create-namespace", "--wait", "--timeout", "60s"],
    &["list"],
    &["status", "web"],
    &["get", "all", "web"],
    &["install", "web", "CHART"],
    &["upgrade", "web", "CHART", "--set", "replicas=2,greeting=bye", "--wait", "--timeout", "60s"],
    &["get", "values", "web", "--all"],
    // Nothing differs from the revision before.
    &["upgrade", "web", "CHART", "--reuse-values", "--wait", "--timeout", "60s"],
    // The hook fails, so nothing else is touched.
    &["upgrade", "web", "CHART", "--set", "hook=fails,greeting=lost", "--timeout", "60s"],
    &["list"],
    // The API server refuses it.
    &["upgrade", "web", "CHART", "--set", "port=0"],
    // A service of another kind, and one object less.
    &["upgrade", "web", "CHART", "--set", "type=NodePort,account=false", "--wait", "--timeout", "60s"],
    &["rollback", "web", "1", "--wait", "--timeout", "60s"],
    &["history", "web"],
    &["get", "manifest", "web"],
    &["upgrade", "web", "CHART", "--set", "greeting=tried", "--dry-run=server"],
    &["rollback", "web", "99"],
    &["uninstall", "web", "--keep-history", "--wait", "--timeout", "60s"],
    &["history", "web"],
    &["rollback", "web", "2", "--wait", "--timeout", "60s"],
    &["uninstall", "web", "--wait", "--timeout", "60s"],
    &["list"],
    &["history", "web"],
    &["uninstall", "web"],
];

/// Runs it on one cluster.
fn live(plane: &ControlPlane, chart: &Path) -> anyhow::Result<Vec<Outcome>> {
    let chart = chart.to_str().context("a path that is UTF-8")?;
    let outcome = |words: &&[&str]| {
        let mut args: Vec<&str> = words.iter().map(|word| if *word == "CHART" { chart } else { word }).collect();
        args.extend(["--namespace", "shop"]);
        let output = plane.helm(&args)?;
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).replace(chart, "CHART"));
        let objects = shown::objects(plane, "shop")?;
        Ok(Outcome { success: output.status.success(), said: shown::lines(&said.join("\n")), objects })
    };
    LIFE.iter().map(outcome).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_lives_on_the_sandbox_as_on_a_real_cluster() -> anyhow::Result<()> {
    let folder = TempFolder::new("chart")?;
    chart::write(&folder)?;
    let options = Options { pods_become_ready: true, ..Options::default() };
    let (real, sandbox) =
        tokio::try_join!(ControlPlane::start_as(Kind::Real, options), ControlPlane::start_as(Kind::Sandbox, options))?;
    let path = folder.path();
    let (wanted, got) = tokio::task::block_in_place(|| {
        std::thread::scope(|scope| {
            let real = scope.spawn(|| live(&real, path));
            (real.join().expect("it does not panic"), live(&sandbox, path))
        })
    });
    let (wanted, got) = (wanted.context("on the real cluster")?, got.context("on the sandbox")?);
    let mut report = String::new();
    for ((words, wanted), got) in LIFE.iter().zip(&wanted).zip(&got) {
        shown::differences(&words.join(" "), wanted, got, &mut report);
    }
    anyhow::ensure!(report.is_empty(), "{report}");
    // Both could be wrong in the same way, if it is one of the harness.
    let failed: Vec<_> =
        LIFE.iter().zip(&wanted).filter(|(_, o)| !o.success).map(|(words, _)| words.join(" ")).collect();
    let expected = [
        "install web CHART",
        "upgrade web CHART --set hook=fails,greeting=lost --timeout 60s",
        "upgrade web CHART --set port=0",
        "rollback web 99",
        "history web",
        "uninstall web",
    ];
    assert_eq!(failed, expected, "{wanted:#?}");
    Ok(())
}
