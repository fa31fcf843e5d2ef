//! Where settings come from: the data of the settings objects and the environment.

use std::collections::{BTreeMap, HashMap};

use argosy_model::Secret;

/// Names of the settings objects.
pub struct Names;

/// The texts that settings are read from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sources {
    /// `argocd-cm`.
    pub config: BTreeMap<String, String>,
    /// `argocd-cmd-params-cm`.
    pub params: BTreeMap<String, String>,
    /// `argocd-rbac-cm`.
    pub rbac: BTreeMap<String, String>,
    /// `argocd-ssh-known-hosts-cm`.
    pub ssh_known_hosts: BTreeMap<String, String>,
    /// `argocd-tls-certs-cm`: PEM by host.
    pub tls_certs: BTreeMap<String, String>,
    /// `argocd-gpg-keys-cm`: armoured key by key id.
    pub gpg_keys: BTreeMap<String, String>,
    /// `argocd-secret`, and the other Secrets that are part of Argo CD with their
    /// keys as `name:key`.
    pub secrets: Secret<BTreeMap<String, String>>,
    /// The process's environment, as far as it was handed in.
    pub env: HashMap<String, String>,
}

// === impl Names ===

impl Names {
    /// General settings.
    pub const CONFIG: &str = "argocd-cm";
    /// Settings of the processes.
    pub const PARAMS: &str = "argocd-cmd-params-cm";
    /// Policy.
    pub const RBAC: &str = "argocd-rbac-cm";
    /// Trusted ssh hosts.
    pub const SSH_KNOWN_HOSTS: &str = "argocd-ssh-known-hosts-cm";
    /// Trusted certificates by host.
    pub const TLS_CERTS: &str = "argocd-tls-certs-cm";
    /// Trusted signing keys.
    pub const GPG_KEYS: &str = "argocd-gpg-keys-cm";
    /// Passwords, keys and what `$name` refers to.
    pub const SECRET: &str = "argocd-secret";

    pub(crate) const CONFIG_MAPS: [&str; 6] =
        [Self::CONFIG, Self::PARAMS, Self::RBAC, Self::SSH_KNOWN_HOSTS, Self::TLS_CERTS, Self::GPG_KEYS];
}

// === impl Sources ===

impl Sources {
    /// A value of `argocd-secret` by its key, or of another Secret by `name:key`.
    pub fn secret(&self, name: &str) -> Option<Secret<&str>> {
        self.secrets.expose().get(name).map(|value| Secret::new(value.as_str()))
    }

    /// The text of the `known_hosts` file.
    pub fn known_hosts(&self) -> &str {
        self.ssh_known_hosts.get("ssh_known_hosts").map_or("", String::as_str)
    }

    /// The object that a ConfigMap's data belongs in.
    pub(crate) fn config_map_mut(&mut self, name: &str) -> Option<&mut BTreeMap<String, String>> {
        match name {
            Names::CONFIG => Some(&mut self.config),
            Names::PARAMS => Some(&mut self.params),
            Names::RBAC => Some(&mut self.rbac),
            Names::SSH_KNOWN_HOSTS => Some(&mut self.ssh_known_hosts),
            Names::TLS_CERTS => Some(&mut self.tls_certs),
            Names::GPG_KEYS => Some(&mut self.gpg_keys),
            _ => None,
        }
    }
}
