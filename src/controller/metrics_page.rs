//! Metrics that describe the state as it is: written when they are asked for, so
//! that none is left over of what is gone.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;

use argosy_proto::resource::CustomResource as _;
use argosy_proto::v1alpha1::Application;

use crate::application::{project_name, server_of};
use crate::context::Shared;

/// Gauges about applications and clusters, in Prometheus' text format.
pub struct MetricsPage {
    shared: Arc<Shared>,
}

// === impl MetricsPage ===

impl MetricsPage {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The page. Sorted, so that two pages of the same state are the same text.
    pub fn text(&self) -> String {
        let mut out = String::new();
        self.applications(&mut out);
        self.clusters(&mut out);
        out
    }

    fn applications(&self, out: &mut String) {
        // Each application and each cluster is told of once, by whoever works on it.
        let mut apps = self.shared.home.apps().list();
        let directory = &self.shared.directory;
        apps.retain(|(key, app)| directory.application_elsewhere(key, &server_of(&self.shared, app)).is_none());
        let mut lines: Vec<String> = apps.iter().map(|(_, app)| app_info(app)).collect();
        lines.sort();
        head(out, "argocd_app_info", "Information about application.");
        out.extend(lines);
        let mut labels: Vec<String> = apps.iter().flat_map(|(_, app)| conditions(app)).collect();
        labels.sort();
        head(out, "argocd_app_condition", "Report application conditions.");
        out.extend(labels);
    }

    fn is_here(&self, server: &str) -> bool {
        self.shared.directory.cluster_elsewhere(server).is_none()
    }

    fn clusters(&self, out: &mut String) {
        let (mut infos, mut states) = (String::new(), String::new());
        let (mut fences, mut expiries) = (String::new(), String::new());
        for cluster in self.shared.home.clusters().iter().filter(|cluster| self.is_here(&cluster.server)) {
            let target = self.shared.directory.known_target(&cluster.server);
            if let Some(target) = &target {
                let server = ("server", cluster.server.as_str());
                if let Some(standing) = target.writers.standing() {
                    line(&mut fences, "argosy_fence", &[server, ("kind", standing.fence().as_str())], 1);
                    if let Some(expires) = standing.expires() {
                        let at = expires.as_second();
                        line(&mut expiries, "argosy_credential_expiry_timestamp_seconds", &[server], at);
                    }
                }
            }
            let version = target.as_ref().map(|t| t.version.as_str()).unwrap_or_default();
            let works = target.as_ref().is_some_and(|t| !t.live.is_cut_off());
            let labels =
                [("server", cluster.server.as_str()), ("k8s_version", version), ("name", cluster.name.as_str())];
            line(&mut infos, "argocd_cluster_info", &labels, 1);
            line(&mut states, "argocd_cluster_connection_status", &labels[..2], u8::from(works));
        }
        self.live(out);
        head(out, "argocd_cluster_info", "Information about cluster.");
        out.push_str(&infos);
        head(out, "argocd_cluster_connection_status", "The k8s cluster current connection status.");
        out.push_str(&states);
        head(out, "argosy_fence", "What makes the cluster refuse an earlier owner.");
        out.push_str(&fences);
        head(out, "argosy_credential_expiry_timestamp_seconds", "When the credential in use ends.");
        out.push_str(&expiries);
    }

    /// What this replica keeps of each cluster that it reads, whoever speaks for it.
    fn live(&self, out: &mut String) {
        let (mut objects, mut bytes) = (String::new(), String::new());
        for cluster in self.shared.home.clusters().iter() {
            let Some(target) = self.shared.directory.known_target(&cluster.server) else { continue };
            let (stats, server) = (target.live.stats(), [("server", cluster.server.as_str())]);
            line(&mut objects, "argosy_live_whole_objects", &server, stats.full_objects);
            line(&mut bytes, "argosy_live_bytes", &server, stats.bytes + stats.full_bytes);
            if self.is_here(&cluster.server) {
                target.live.tell(&stats);
            }
        }
        head(out, "argosy_live_whole_objects", "Objects of the cluster that this controller keeps whole.");
        out.push_str(&objects);
        head(out, "argosy_live_bytes", "What this controller keeps of the cluster, in bytes of memory.");
        out.push_str(&bytes);
    }
}

fn app_info(app: &Application) -> String {
    let (spec, status) = (app.spec.clone().unwrap_or_default(), app.status.clone().unwrap_or_default());
    let destination = spec.destination.clone().unwrap_or_default();
    let automated =
        spec.sync_policy.as_ref().and_then(|p| p.automated.as_ref()).is_some_and(|a| a.enabled != Some(false));
    let source = spec.sources.first().or(spec.source.as_ref()).map(|s| s.repo_url.as_str()).unwrap_or_default();
    let operation = match (app.metadata().deletion_timestamp.is_some(), app.operation.is_some()) {
        (true, _) => "delete",
        (false, true) => "sync",
        (false, false) => "",
    };
    let or_unknown = |text: Option<String>| text.filter(|t| !t.is_empty()).unwrap_or_else(|| "Unknown".to_owned());
    let mut out = String::new();
    let labels = [
        ("namespace", app.metadata().namespace.as_str()),
        ("name", app.metadata().name.as_str()),
        ("project", project_name(&spec)),
        ("autosync_enabled", if automated { "true" } else { "false" }),
        ("repo", &without_password(source.trim_end_matches(".git"))),
        ("dest_server", destination.server.as_str()),
        ("dest_namespace", destination.namespace.as_str()),
        ("sync_status", &or_unknown(status.sync.map(|s| s.status))),
        ("health_status", &or_unknown(status.health.map(|h| h.status))),
        ("operation", operation),
    ];
    line(&mut out, "argocd_app_info", &labels, 1);
    out
}

/// An address, with a mask for the password that may be in it.
fn without_password(url: &str) -> Cow<'_, str> {
    let parts = || {
        let (scheme, rest) = url.split_once("://")?;
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let (user, host) = authority.rsplit_once('@')?;
        Some((scheme, user.split_once(':')?.0, host, path))
    };
    parts().map_or(Cow::Borrowed(url), |(scheme, user, host, path)| {
        Cow::Owned(format!("{scheme}://{user}:******@{host}{path}"))
    })
}

fn conditions(app: &Application) -> Vec<String> {
    let spec = app.spec.clone().unwrap_or_default();
    let mut counts = std::collections::BTreeMap::<&str, u8>::new();
    for condition in app.status.iter().flat_map(|s| &s.conditions) {
        let count = counts.entry(&condition.r#type).or_default();
        *count = count.saturating_add(1);
    }
    let one = |(kind, count): (&str, u8)| {
        let mut out = String::new();
        let labels = [
            ("namespace", app.metadata().namespace.as_str()),
            ("name", app.metadata().name.as_str()),
            ("project", project_name(&spec)),
            ("condition", kind),
        ];
        line(&mut out, "argocd_app_condition", &labels, count);
        out
    };
    counts.into_iter().map(one).collect()
}

fn head(out: &mut String, name: &str, help: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge");
}

fn line(out: &mut String, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
    let labels: Vec<String> = labels.iter().map(|(key, text)| format!("{key}=\"{}\"", escaped(text))).collect();
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{name}{{{}}} {value}", labels.join(","));
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_label_of_a_repository_has_no_password() {
        for (url, shown) in [
            ("https://bot:p@ss@h/r", "https://bot:******@h/r"),
            ("https://h/r@v1:2", "https://h/r@v1:2"),
            ("ssh://git@h:22/r", "ssh://git@h:22/r"),
            ("git@h:r", "git@h:r"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }

    #[test]
    fn an_application_is_one_line_under_the_names_dashboards_know() {
        let app: Application = serde_json::from_value(serde_json::json!({
            "metadata": {"name": "a\"b", "namespace": "argocd"},
            "spec": {"source": {"repoURL": "https://h/r.git"}, "destination": {"server": "s", "namespace": "n"},
                     "syncPolicy": {"automated": {}}},
            "status": {"sync": {"status": "Synced"}},
        }))
        .expect("an application");
        assert_eq!(
            app_info(&app),
            "argocd_app_info{namespace=\"argocd\",name=\"a\\\"b\",project=\"default\",autosync_enabled=\"true\",\
             repo=\"https://h/r\",dest_server=\"s\",dest_namespace=\"n\",sync_status=\"Synced\",\
             health_status=\"Unknown\",operation=\"\"} 1\n"
        );
    }
}
