//! What an API replica is started with: the flags of the command, which have
//! the names and meanings Argo CD's users know.

use std::time::Duration;

use ipnet::IpNet;

/// See the module's page. Settings that follow edits are not here.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Namespace of the control plane.
    pub namespace: String,
    /// Namespaces besides it in which applications are served; `None` follows the
    /// settings.
    pub application_namespaces: Option<Vec<String>>,
    /// Everybody may do everything, without a session.
    pub disable_auth: bool,
    /// No TLS: cookies are not marked `Secure`.
    pub insecure: bool,
    /// Path below which everything is served, without slashes at its ends.
    pub root_path: String,
    /// Path that the web page believes to be at, without slashes at its ends.
    pub base_href: String,
    /// Whether syncs may replace objects.
    pub sync_with_replace_allowed: bool,
    /// Most cookies that a token may take.
    pub max_cookies: usize,
    /// Address of Dex.
    pub dex_server: String,
    /// Dex speaks plain HTTP.
    pub dex_plaintext: bool,
    /// Dex's certificate is checked.
    pub dex_strict_tls: bool,
    /// Proxies that are believed when they say whom they speak for.
    pub trusted_proxies: Vec<IpNet>,
    /// Most login requests that are worked on at once; the rest are told to wait.
    pub max_concurrent_logins: usize,
    /// Failed sign-ins that lock an account, and the window they are counted in.
    pub login_failures: (u32, Duration),
    /// Most accounts whose failures are counted.
    pub login_cache_size: usize,
    /// Webhook deliveries that are worked on at once.
    pub webhook_parallelism: usize,
    /// What `version` answers.
    pub version: VersionAnswer,
}

/// The versions of the program and of what it understands.
#[derive(Clone, Debug)]
pub struct VersionAnswer {
    /// Version whose API is spoken, as clients compare it: `v3.5.1+…`.
    pub version: String,
    /// When it was built, RFC 3339.
    pub build_date: String,
    /// Commit it was built from.
    pub git_commit: String,
    /// Compiler and its version.
    pub compiler: String,
    /// Operating system and architecture.
    pub platform: String,
}
