//! What the API server is told: keys of `argocd-cm`, the `server.*` keys of
//! `argocd-cmd-params-cm`, policy and webhook secrets.

use std::collections::BTreeMap;
use std::time::Duration;

use argosy_model::Secret;

use super::groups::{NO_TEXT, group, seconds};
use super::lookup::{Lookup, parse_yaml};
use super::parse::{boolean, list, milliseconds, number, string, time};
use super::{Settings, Sources};

group! {
    /// Keys of `argocd-cm` about the API, sign-in and the page.
    ApiSettings {
        /// The address users reach the server at; empty where it is not set.
        url: String = NO_TEXT, string, "url", "";
        /// YAML of the OpenID provider; references are not expanded.
        oidc_config: String = NO_TEXT, string, "oidc.config", "";
        /// The provider's certificate is not verified.
        oidc_insecure: bool = false, boolean, "oidc.tls.insecure.skip.verify", "";
        /// YAML of Dex; references are not expanded.
        dex_config: String = NO_TEXT, string, "dex.config", "";
        /// The account `admin` may be used.
        admin_enabled: bool = true, boolean, "admin.enabled", "";
        /// Who is not signed in is served with the default role.
        anonymous_enabled: bool = false, boolean, "users.anonymous.enabled", "";
        /// How long a sign-in lasts.
        session_duration: Duration = seconds(86_400), time, "users.session.duration", "";
        /// What passwords must match.
        password_pattern: String = "^.{8,32}$".to_owned(), string, "passwordPattern", "";
        /// Badges are served.
        status_badge_enabled: bool = false, boolean, "statusbadge.enabled", "";
        /// Address that badges are linked from, where it is not `url`.
        status_badge_url: String = NO_TEXT, string, "statusbadge.url", "";
        /// Style sheet of the page.
        ui_css_url: String = NO_TEXT, string, "ui.cssurl", "";
        /// Text of the page's banner.
        ui_banner_content: String = NO_TEXT, string, "ui.bannercontent", "";
        /// Where the banner leads.
        ui_banner_url: String = NO_TEXT, string, "ui.bannerurl", "";
        /// The banner cannot be closed.
        ui_banner_permanent: bool = false, boolean, "ui.bannerpermanent", "";
        /// Where the banner is: `top`, `bottom`, `both`.
        ui_banner_position: String = NO_TEXT, string, "ui.bannerposition", "";
        /// Address of a chat about the installation.
        help_chat_url: String = NO_TEXT, string, "help.chatUrl", "";
        /// What is written on the link to it.
        help_chat_text: String = "Chat now!".to_owned(), string, "help.chatText", "";
        /// Google Analytics' id; empty means none.
        ga_tracking_id: String = NO_TEXT, string, "ga.trackingid", "";
        /// Names of users are hashed for it.
        ga_anonymize_users: bool = true, boolean, "ga.anonymizeusers", "";
        /// Terminals into containers may be opened.
        exec_enabled: bool = false, boolean, "exec.enabled", "";
        /// Shells that are tried, in order.
        exec_shells: Vec<String> = ["bash", "sh", "powershell", "cmd"].map(str::to_owned).to_vec(), list, "exec.shells", "";
        /// Logs of more Pods than this are not shown together.
        max_pod_logs: u64 = 10, number, "server.maxPodLogsToRender", "";
        /// `update` and `delete` of an application are not those of its resources.
        fine_grained_inheritance_disabled: bool = true, boolean, "server.rbac.disableApplicationFineGrainedRBACInheritance", "";
        /// YAML of links shown on applications.
        application_links: String = NO_TEXT, string, "application.links", "";
        /// YAML of links shown on projects.
        project_links: String = NO_TEXT, string, "project.links", "";
        /// YAML of links shown on resources.
        resource_links: String = NO_TEXT, string, "resource.links", "";
    }
}

group! {
    /// `server.*` of `argocd-cmd-params-cm`.
    ServerSettings {
        /// Serve without TLS.
        insecure: bool = false, boolean, "server.insecure", "ARGOCD_SERVER_INSECURE";
        /// Everybody is `admin`.
        disable_auth: bool = false, boolean, "server.disable.auth", "ARGOCD_SERVER_DISABLE_AUTH";
        /// The page's base address below its host.
        base_href: String = "/".to_owned(), string, "server.basehref", "ARGOCD_SERVER_BASEHREF";
        /// Path that everything is served below.
        root_path: String = NO_TEXT, string, "server.rootpath", "ARGOCD_SERVER_ROOTPATH";
        /// Folder with further files of the page.
        static_assets: String = "/shared/app".to_owned(), string, "server.staticassets", "ARGOCD_SERVER_STATIC_ASSETS";
        /// Address to listen on.
        listen_address: String = "0.0.0.0".to_owned(), string, "server.listen.address", "ARGOCD_SERVER_LISTEN_ADDRESS";
        /// Address to serve metrics on.
        metrics_listen_address: String = "0.0.0.0".to_owned(), string, "server.metrics.listen.address", "ARGOCD_SERVER_METRICS_LISTEN_ADDRESS";
        /// Content types that requests may have, `;`-separated.
        api_content_types: String = "application/json".to_owned(), string, "server.api.content.types", "ARGOCD_API_CONTENT_TYPES";
        /// Answers are compressed.
        enable_gzip: bool = true, boolean, "server.enable.gzip", "ARGOCD_SERVER_ENABLE_GZIP";
        /// Requests to extensions are passed on.
        enable_proxy_extension: bool = false, boolean, "server.enable.proxy.extension", "ARGOCD_SERVER_ENABLE_PROXY_EXTENSION";
        /// The header `X-Frame-Options`.
        x_frame_options: String = "sameorigin".to_owned(), string, "server.x.frame.options", "ARGOCD_SERVER_X_FRAME_OPTIONS";
        /// The header `Content-Security-Policy`.
        content_security_policy: String = "frame-ancestors 'self';".to_owned(), string, "server.content.security.policy", "ARGOCD_SERVER_CONTENT_SECURITY_POLICY";
        /// Cookies that one token may take.
        http_cookie_max_number: u64 = 20, number, "server.http.cookie.maxnumber", "ARGOCD_MAX_COOKIE_NUMBER";
        /// Syncs that replace objects may be asked for.
        sync_replace_allowed: bool = true, boolean, "server.sync.replace.allowed", "ARGOCD_SYNC_WITH_REPLACE_ALLOWED";
        /// Address of Dex.
        dex_server: String = "argocd-dex-server:5556".to_owned(), string, "server.dex.server", "ARGOCD_SERVER_DEX_SERVER";
        /// Reach it without TLS.
        dex_server_plaintext: bool = false, boolean, "server.dex.server.plaintext", "ARGOCD_SERVER_DEX_SERVER_PLAINTEXT";
        /// Verify its certificate.
        dex_server_strict_tls: bool = false, boolean, "server.dex.server.strict.tls", "ARGOCD_SERVER_DEX_SERVER_STRICT_TLS";
        /// Time for one rendering.
        repo_server_timeout: Duration = seconds(60), time, "server.repo.server.timeout.seconds", "ARGOCD_SERVER_REPO_SERVER_TIMEOUT_SECONDS";
        /// Verify certificates of renderers.
        repo_server_strict_tls: bool = false, boolean, "server.repo.server.strict.tls", "ARGOCD_SERVER_REPO_SERVER_STRICT_TLS";
        /// Reach renderers without TLS.
        repo_server_plaintext: bool = false, boolean, "server.repo.server.plaintext", "ARGOCD_SERVER_REPO_SERVER_PLAINTEXT";
        /// File of the authority that renderers are verified against.
        repo_server_ca_cert_path: String = NO_TEXT, string, "server.repo.server.ca.cert.path", "ARGOCD_SERVER_REPO_SERVER_CA_CERT_PATH";
        /// File of the certificate shown to renderers.
        repo_server_client_cert_path: String = NO_TEXT, string, "server.repo.server.client.cert.path", "ARGOCD_SERVER_REPO_SERVER_CLIENT_CERT_PATH";
        /// File of that certificate's key.
        repo_server_client_cert_key_path: String = NO_TEXT, string, "server.repo.server.client.cert.key.path", "ARGOCD_SERVER_REPO_SERVER_CLIENT_CERT_KEY_PATH";
        /// Webhooks worked on at once.
        webhook_parallelism_limit: u64 = 50, number, "server.webhook.parallelism.limit", "ARGOCD_SERVER_WEBHOOK_PARALLELISM_LIMIT";
        /// Refreshes that webhooks cause at once.
        webhook_refresh_workers: u64 = 20, number, "server.webhook.refresh.workers", "ARGOCD_SERVER_WEBHOOK_REFRESH_WORKERS";
        /// Compiled globs kept.
        glob_cache_size: u64 = 10_000, number, "server.glob.cache.size", "ARGOCD_SERVER_GLOB_CACHE_SIZE";
        /// How long an application's tree and managed resources are kept.
        app_state_cache_expiration: Duration = seconds(3600), time, "server.app.state.cache.expiration", "ARGOCD_APP_STATE_CACHE_EXPIRATION";
        /// How long the outcome of a connection test is kept.
        connection_status_cache_expiration: Duration = seconds(3600), time, "server.connection.status.cache.expiration", "ARGOCD_SERVER_CONNECTION_STATUS_CACHE_EXPIRATION";
        /// How long what a provider says of a user is kept.
        oidc_cache_expiration: Duration = seconds(180), time, "server.oidc.cache.expiration", "ARGOCD_SERVER_OIDC_CACHE_EXPIRATION";
        /// How long other derived state is kept.
        default_cache_expiration: Duration = seconds(86_400), time, "server.default.cache.expiration", "ARGOCD_DEFAULT_CACHE_EXPIRATION";
        /// Requests a second to one cluster.
        k8s_client_qps: u64 = 50, number, "server.k8s.client.qps", "ARGOCD_K8S_CLIENT_QPS";
        /// Requests to one cluster at once after a pause.
        k8s_client_burst: u64 = 100, number, "server.k8s.client.burst", "ARGOCD_K8S_CLIENT_BURST";
        /// Idle connections kept.
        k8s_client_max_idle_connections: u64 = 500, number, "server.k8s.client.max.idle.connections", "ARGOCD_K8S_CLIENT_MAX_IDLE_CONNECTIONS";
        /// Time to connect.
        k8s_tcp_timeout: Duration = seconds(30), time, "server.k8s.tcp.timeout", "ARGOCD_K8S_TCP_TIMEOUT";
        /// Between keep-alive probes.
        k8s_tcp_keepalive: Duration = seconds(30), time, "server.k8s.tcp.keepalive", "ARGOCD_K8S_TCP_KEEPALIVE";
        /// After which an idle connection is closed.
        k8s_tcp_idle_timeout: Duration = seconds(300), time, "server.k8s.tcp.idle.timeout", "ARGOCD_K8S_TCP_IDLE_TIMEOUT";
        /// Time for a TLS handshake.
        k8s_tls_handshake_timeout: Duration = seconds(10), time, "server.k8s.tls.handshake.timeout", "ARGOCD_K8S_TLS_HANDSHAKE_TIMEOUT";
        /// How often a request to a cluster is tried again.
        k8s_client_retry_max: u64 = 0, number, "server.k8sclient.retry.max", "ARGOCD_K8SCLIENT_RETRY_MAX";
        /// First pause before it is, in milliseconds where no unit is given.
        k8s_client_retry_base_backoff: Duration = Duration::from_millis(100), milliseconds, "server.k8sclient.retry.base.backoff", "ARGOCD_K8SCLIENT_RETRY_BASE_BACKOFF";
        /// Look gRPC service configuration up in DNS.
        grpc_txt_service_config: bool = false, boolean, "server.grpc.enable.txt.service.config", "GRPC_ENABLE_TXT_SERVICE_CONFIG";
        /// Cipher suites; none means the library's.
        tls_ciphers: Vec<String> = Vec::new(), list, "server.tls.ciphers", "ARGOCD_TLS_CIPHERS";
        /// Least version of TLS.
        tls_min_version: String = "1.2".to_owned(), string, "server.tls.minversion", "ARGOCD_TLS_MIN_VERSION";
        /// Highest version of TLS.
        tls_max_version: String = "1.3".to_owned(), string, "server.tls.maxversion", "ARGOCD_TLS_MAX_VERSION";
        /// Log form, `json` or `text`.
        log_format: String = "json".to_owned(), string, "server.log.format", "ARGOCD_SERVER_LOGFORMAT";
        /// Least level that is logged.
        log_level: String = "info".to_owned(), string, "server.log.level", "ARGOCD_SERVER_LOG_LEVEL";
        /// Serve profiles on the metrics port.
        profile_enabled: bool = false, boolean, "server.profile.enabled", "";
    }
}

/// `argocd-rbac-cm`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RbacSettings {
    /// `policy.csv` and after it every other `policy.<name>.csv`, by name.
    pub policy: String,
    /// Role of everybody who is signed in; empty means none.
    pub default_role: String,
    /// Claims that hold groups; `groups` where it is not set.
    pub scopes: Vec<String>,
    /// `glob` or `regex`; empty means glob.
    pub match_mode: String,
}

/// Webhook keys of `argocd-secret`, with references expanded; empty where not set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebhookSecrets {
    /// `webhook.github.secret`.
    pub github: Secret<String>,
    /// `webhook.gitlab.secret`.
    pub gitlab: Secret<String>,
    /// `webhook.gogs.secret`.
    pub gogs: Secret<String>,
    /// `webhook.bitbucket.uuid`.
    pub bitbucket_uuid: Secret<String>,
    /// `webhook.bitbucketserver.secret`.
    pub bitbucket_server: Secret<String>,
    /// `webhook.azuredevops.username`.
    pub azure_devops_username: Secret<String>,
    /// `webhook.azuredevops.password`.
    pub azure_devops_password: Secret<String>,
}

// === impl RbacSettings ===

impl RbacSettings {
    pub(super) fn read(lookup: &mut Lookup<'_>, previous: &Self) -> Self {
        let data = &lookup.sources().rbac;
        let text = |key: &str| data.get(key).cloned().unwrap_or_default();
        let is_further = |key: &str| key.starts_with("policy.") && key.ends_with(".csv") && key != "policy.csv";
        let mut policy = text("policy.csv");
        for (_, further) in data.iter().filter(|(key, _)| is_further(key)) {
            policy.push('\n');
            policy.push_str(further);
        }
        let scopes = match data.get("scopes").filter(|text| !text.trim().is_empty()).map(|text| parse_yaml(text)) {
            None => vec!["groups".to_owned()],
            Some(Ok(scopes)) => scopes,
            Some(Err(message)) => {
                lookup.complain("scopes", message);
                previous.scopes.clone()
            }
        };
        Self { policy, default_role: text("policy.default"), scopes, match_mode: text("policy.matchMode") }
    }
}

// === impl WebhookSecrets ===

impl WebhookSecrets {
    pub(super) fn read(settings: &Settings) -> Self {
        let secret = |key: &str| {
            let value = settings.secret(key).map(|inner| settings.expand(inner.expose()).into_owned());
            Secret::new(value.unwrap_or_default())
        };
        Self {
            github: secret("webhook.github.secret"),
            gitlab: secret("webhook.gitlab.secret"),
            gogs: secret("webhook.gogs.secret"),
            bitbucket_uuid: secret("webhook.bitbucket.uuid"),
            bitbucket_server: secret("webhook.bitbucketserver.secret"),
            azure_devops_username: secret("webhook.azuredevops.username"),
            azure_devops_password: secret("webhook.azuredevops.password"),
        }
    }
}

/// The values of all keys `<prefix>.<name>`, by name; the key `<prefix>` itself
/// has the empty name.
pub(super) fn named(sources: &Sources, prefix: &str) -> BTreeMap<String, String> {
    let name = |key: &str| {
        let rest = key.strip_prefix(prefix)?;
        if rest.is_empty() { Some(String::new()) } else { rest.strip_prefix('.').map(str::to_owned) }
    };
    sources.config.iter().filter_map(|(key, value)| Some((name(key)?, value.clone()))).collect()
}
