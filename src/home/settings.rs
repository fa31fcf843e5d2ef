//! What the users have set, as one immutable snapshot.
//!
//! [`Settings::read`] is pure: it takes the data of the settings objects and the
//! environment, and the previous snapshot to fall back on. A value that does not
//! parse costs only its own key: that keeps what it was before, or its default,
//! and the complaint is in [`Settings::problems`].
//!
//! Where a key has an environment variable in Argo CD's manifests, that variable
//! wins when it is set and not empty. `argocd-cmd-params-cm` needs no restart here.

mod api;
mod groups;
mod lookup;
mod overrides;
mod parse;
mod resources;
mod sources;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use argosy_model::Secret;
use argosy_model::tracking::{Method, Tracking};
use argosy_proto::meta::LabelSelector;
use argosy_proto::v1alpha1::ResourceOverride;
use serde::Deserialize;

pub use api::{ApiSettings, RbacSettings, ServerSettings, WebhookSecrets};
pub use groups::{ControllerSettings, GeneralSettings, RepoServerSettings, TelemetrySettings, TimeoutSettings};
pub use parse::RespectRbac;
pub use resources::{CompareOptions, FilteredResource, ResourceFilter, StatusField};
pub use sources::{Names, Sources};

use lookup::Lookup;

/// One snapshot of all settings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// How ownership is written on objects.
    pub tracking: Tracking,
    /// Which kinds are looked at.
    pub filter: ResourceFilter,
    /// `resource.compareoptions`.
    pub compare: CompareOptions,
    /// `resource.customizations` and its split keys, by `group/Kind`, `Kind` or
    /// `*/*`. The default rule about `/status` is among them.
    pub overrides: BTreeMap<String, ResourceOverride>,
    /// `globalProjects`.
    pub global_projects: Vec<GlobalProject>,
    /// `kustomize.*`.
    pub kustomize: KustomizeSettings,
    /// Simple keys of `argocd-cm`. Accounts are read from [`Self::raw`] by others.
    pub general: GeneralSettings,
    /// `timeout.*`.
    pub timeouts: TimeoutSettings,
    /// `controller.*` and what the controller shares with others.
    pub controller: ControllerSettings,
    /// `reposerver.*`.
    pub repo_server: RepoServerSettings,
    /// `otlp.*`, `log.*`.
    pub telemetry: TelemetrySettings,
    /// Keys of `argocd-cm` about the API, sign-in and the page.
    pub api: ApiSettings,
    /// `server.*`.
    pub server: ServerSettings,
    /// `additionalUrls`: further addresses users reach the server at.
    pub additional_urls: Vec<String>,
    /// `help.download.<platform>`, by platform.
    pub downloads: BTreeMap<String, String>,
    /// `extension.config`, under the empty name, and `extension.config.<name>`: YAML.
    pub extensions: BTreeMap<String, String>,
    /// `argocd-rbac-cm`.
    pub rbac: RbacSettings,
    /// Webhook keys of `argocd-secret`.
    pub webhooks: WebhookSecrets,
    /// The objects' own texts, for those who read keys that are not typed here.
    pub raw: Arc<Sources>,
    /// What could not be used, and why.
    pub problems: Vec<Problem>,
}

/// A value that could not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key it stands under.
    pub key: String,
    /// What is wrong with it. Never the value of a Secret.
    pub message: String,
}

/// One entry of `globalProjects`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct GlobalProject {
    /// The project whose rules are inherited.
    pub project_name: String,
    /// By which projects, going by their labels.
    pub label_selector: LabelSelector,
}

/// `kustomize.buildOptions`, `kustomize.buildOptions.<v>` and
/// `kustomize.path.<v>` (or the older `kustomize.version.<v>`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KustomizeSettings {
    /// Command-line options of the default version.
    pub build_options: String,
    /// Other versions by name.
    pub versions: BTreeMap<String, KustomizeVersion>,
}

/// One further version of kustomize.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KustomizeVersion {
    /// Path of the program.
    pub path: String,
    /// Command-line options.
    pub build_options: String,
}

// === impl Settings ===

impl Settings {
    /// Reads a snapshot.
    pub fn read(sources: Arc<Sources>, previous: &Self) -> Self {
        let mut lookup = Lookup::new(&sources);
        let compare = resources::read_compare_options(&mut lookup, &previous.compare);
        let mut settings = Self {
            tracking: tracking(&mut lookup),
            filter: resources::read_filter(&mut lookup, &previous.filter),
            overrides: overrides::read(&mut lookup, &previous.overrides, &compare),
            compare,
            global_projects: lookup.yaml("globalProjects", &previous.global_projects).unwrap_or_default(),
            kustomize: kustomize(&sources.config),
            general: GeneralSettings::read(&mut lookup, &previous.general),
            timeouts: TimeoutSettings::read(&mut lookup, &previous.timeouts),
            controller: ControllerSettings::read(&mut lookup, &previous.controller),
            repo_server: RepoServerSettings::read(&mut lookup, &previous.repo_server),
            telemetry: TelemetrySettings::read(&mut lookup, &previous.telemetry),
            api: ApiSettings::read(&mut lookup, &previous.api),
            server: ServerSettings::read(&mut lookup, &previous.server),
            additional_urls: lookup.yaml("additionalUrls", &previous.additional_urls).unwrap_or_default(),
            downloads: api::named(&sources, "help.download"),
            extensions: api::named(&sources, "extension.config"),
            rbac: RbacSettings::read(&mut lookup, &previous.rbac),
            webhooks: WebhookSecrets::default(),
            problems: Vec::new(),
            raw: sources.clone(),
        };
        settings.problems = lookup.into_problems();
        settings.webhooks = WebhookSecrets::read(&settings);
        settings
    }

    /// Replaces `$key` by that key of `argocd-secret`, and `$secret:key` by that
    /// key of another Secret that is part of Argo CD. What names nothing stays.
    pub fn expand<'a>(&'a self, text: &'a str) -> Cow<'a, str> {
        match text.strip_prefix('$').and_then(|name| self.raw.secret(name)) {
            Some(value) => Cow::Owned(value.expose().trim().to_owned()),
            None => Cow::Borrowed(text),
        }
    }

    /// A value of `argocd-secret`.
    pub fn secret(&self, key: &str) -> Option<Secret<&str>> {
        self.raw.secret(key)
    }

    /// Whether a source of this type may be rendered: `Kustomize`, `Helm`,
    /// `Directory` or `Plugin`.
    pub fn source_type_enabled(&self, source_type: &str) -> bool {
        match source_type {
            "Kustomize" => self.general.kustomize_enabled,
            "Helm" => self.general.helm_enabled,
            "Directory" => self.general.jsonnet_enabled,
            _ => true,
        }
    }
}

fn tracking(lookup: &mut Lookup<'_>) -> Tracking {
    let method = lookup.text("application.resourceTrackingMethod", "").unwrap_or("").to_owned();
    if !matches!(&*method, "" | "annotation" | "label" | "annotation+label") {
        lookup.complain("application.resourceTrackingMethod", format!("{method:?} is unknown; annotation is used"));
    }
    let default = Tracking::default();
    Tracking {
        method: Method::parse(&method),
        label_key: lookup.text("application.instanceLabelKey", "").map_or(default.label_key, str::to_owned),
        installation_id: lookup.text("installationID", "").unwrap_or("").to_owned(),
    }
}

fn kustomize(config: &BTreeMap<String, String>) -> KustomizeSettings {
    let mut settings = KustomizeSettings::default();
    for (key, value) in config {
        if key == "kustomize.buildOptions" {
            settings.build_options.clone_from(value);
        } else if let Some(version) = key.strip_prefix("kustomize.buildOptions.") {
            settings.versions.entry(version.to_owned()).or_default().build_options.clone_from(value);
        } else if let Some(version) =
            key.strip_prefix("kustomize.path.").or_else(|| key.strip_prefix("kustomize.version."))
        {
            settings.versions.entry(version.to_owned()).or_default().path.clone_from(value);
        }
    }
    // Options alone do not make a version.
    settings.versions.retain(|_, version| !version.path.is_empty());
    settings
}

#[cfg(test)]
#[path = "settings/tests.rs"]
mod tests;
