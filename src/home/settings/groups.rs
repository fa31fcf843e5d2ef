//! Keys with one simple value each: name, environment variable, default and
//! parser in one table per group, from which struct and reader are made.

use std::collections::BTreeSet;
use std::time::Duration;

use argosy_model::FenceWish;

use super::lookup::Lookup;
use super::parse::{
    RespectRbac, boolean, decimal, fence, list, milliseconds, number, respect_rbac, set, size, string, time,
};

pub(super) const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub(super) const NO_TEXT: String = String::new();

macro_rules! group {
    ($(#[$meta:meta])* $name:ident {
        $($(#[$doc:meta])* $field:ident: $type:ty = $default:expr, $parse:path, $key:literal, $env:literal;)*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $($(#[$doc])* pub $field: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        impl $name {
            /// Key and environment variable of each field, in order. An empty
            /// variable means there is none.
            pub const KEYS: &[(&str, &str)] = &[$(($key, $env),)*];

            pub(super) fn read(lookup: &mut Lookup<'_>, previous: &Self) -> Self {
                let default = Self::default();
                Self { $($field: lookup.value($key, $env, &default.$field, &previous.$field, $parse),)* }
            }
        }
    };
}

pub(super) use group;

group! {
    /// Simple keys of `argocd-cm`.
    GeneralSettings {
        /// The cluster Argosy runs in is a destination without a Secret for it.
        in_cluster_enabled: bool = true, boolean, "cluster.inClusterEnabled", "";
        /// Sync as the project's service account for the destination.
        impersonation_enabled: bool = false, boolean, "application.sync.impersonation.enabled", "";
        /// Without a matching service account a sync fails instead of going on unimpersonated.
        impersonation_enforced: bool = true, boolean, "application.sync.impersonation.enforced", "";
        /// Syncing to another revision than the spec's takes the override privilege.
        require_override_privilege: bool = false, boolean, "application.sync.requireOverridePrivilegeForRevisionSync", "";
        /// Updates that change nothing of interest cause no comparison.
        ignore_resource_updates_enabled: bool = true, boolean, "resource.ignoreResourceUpdatesEnabled", "";
        /// Annotations whose values are shown masked.
        sensitive_annotations: BTreeSet<String> = BTreeSet::new(), set, "resource.sensitive.mask.annotations", "";
        /// Labels shown on tree nodes.
        custom_labels: Vec<String> = Vec::new(), list, "resource.customLabels", "";
        /// Globs of labels that events take over.
        include_event_labels: Vec<String> = Vec::new(), list, "resource.includeEventLabelKeys", "";
        /// Globs of labels that events do not take over.
        exclude_event_labels: Vec<String> = Vec::new(), list, "resource.excludeEventLabelKeys", "";
        /// Labels of nodes shown to users.
        allowed_node_labels: Vec<String> = Vec::new(), list, "application.allowedNodeLabels", "";
        /// What a forbidden watch means.
        respect_rbac: RespectRbac = RespectRbac::Disabled, respect_rbac, "resource.respectRBAC", "";
        /// Kustomize sources may be rendered.
        kustomize_enabled: bool = true, boolean, "kustomize.enable", "";
        /// Helm sources may be rendered.
        helm_enabled: bool = true, boolean, "helm.enable", "";
        /// Directories, Jsonnet included, may be rendered.
        jsonnet_enabled: bool = true, boolean, "jsonnet.enable", "";
        /// URL schemes from which Helm value files may be loaded.
        helm_values_schemes: Vec<String> = vec!["https".to_owned(), "http".to_owned()], list, "helm.valuesFileSchemes", "";
        /// Template of the hydrator's commit messages.
        hydrator_commit_message: String = NO_TEXT, string, "sourceHydrator.commitMessageTemplate", "";
        /// Template of the hydrator's README.
        hydrator_readme: String = NO_TEXT, string, "sourceHydrator.readmeMessageTemplate", "";
        /// Author of hydrated commits.
        commit_author_name: String = "Argo CD".to_owned(), string, "commit.author.name", "";
        /// Address of the author of hydrated commits.
        commit_author_email: String = "argo-cd@example.com".to_owned(), string, "commit.author.email", "";
        /// Largest webhook body, in megabytes.
        webhook_max_payload_mb: u64 = 50, number, "webhook.maxPayloadSizeMB", "";
        /// Refreshes that a webhook causes are spread over this time.
        webhook_refresh_jitter: Duration = Duration::ZERO, time, "webhook.refresh.jitter", "";
        /// From how many applications on they are spread.
        webhook_refresh_jitter_threshold: u64 = 10, number, "webhook.refresh.jitter.threshold", "";
    }
}

group! {
    /// How often what nobody touched is looked at again.
    TimeoutSettings {
        /// Comparison with the latest revision; zero means never.
        reconciliation: Duration = seconds(120), time, "timeout.reconciliation", "ARGOCD_RECONCILIATION_TIMEOUT";
        /// Spread over this additional time.
        jitter: Duration = seconds(60), time, "timeout.reconciliation.jitter", "ARGOCD_RECONCILIATION_JITTER";
        /// Comparison that also renders anew; zero means never.
        hard: Duration = Duration::ZERO, time, "timeout.hard.reconciliation", "ARGOCD_HARD_RECONCILIATION_TIMEOUT";
    }
}

group! {
    /// `controller.*`, and what the controller shares with others.
    ControllerSettings {
        /// Namespaces besides the own one in which Applications are looked for: names, globs, `/regex/`.
        application_namespaces: Vec<String> = Vec::new(), list, "application.namespaces", "ARGOCD_APPLICATION_NAMESPACES";
        /// Comparisons at once.
        status_processors: u64 = 20, number, "controller.status.processors", "ARGOCD_APPLICATION_CONTROLLER_STATUS_PROCESSORS";
        /// Operations at once.
        operation_processors: u64 = 10, number, "controller.operation.processors", "ARGOCD_APPLICATION_CONTROLLER_OPERATION_PROCESSORS";
        /// Hydrations at once.
        hydration_processors: u64 = 5, number, "controller.hydration.processors", "ARGOCD_APPLICATION_CONTROLLER_HYDRATION_PROCESSORS";
        /// Writes to target clusters at once; zero means no limit.
        kubectl_parallelism_limit: u64 = 20, number, "controller.kubectl.parallelism.limit", "ARGOCD_APPLICATION_CONTROLLER_KUBECTL_PARALLELISM_LIMIT";
        /// Compare by a dry run on the server unless an application says otherwise.
        diff_server_side: bool = false, boolean, "controller.diff.server.side", "ARGOCD_APPLICATION_CONTROLLER_SERVER_SIDE_DIFF";
        /// Fixed time between self-heals; zero means the backoff below.
        self_heal_timeout: Duration = Duration::ZERO, time, "controller.self.heal.timeout.seconds", "ARGOCD_APPLICATION_CONTROLLER_SELF_HEAL_TIMEOUT_SECONDS";
        /// First step of the backoff between self-heals.
        self_heal_backoff_timeout: Duration = seconds(2), time, "controller.self.heal.backoff.timeout.seconds", "ARGOCD_APPLICATION_CONTROLLER_SELF_HEAL_BACKOFF_TIMEOUT_SECONDS";
        /// Factor of that backoff.
        self_heal_backoff_factor: u64 = 3, number, "controller.self.heal.backoff.factor", "ARGOCD_APPLICATION_CONTROLLER_SELF_HEAL_BACKOFF_FACTOR";
        /// Bound of that backoff.
        self_heal_backoff_cap: Duration = seconds(300), time, "controller.self.heal.backoff.cap.seconds", "ARGOCD_APPLICATION_CONTROLLER_SELF_HEAL_BACKOFF_CAP_SECONDS";
        /// How long an application stays synced before that backoff starts over.
        self_heal_backoff_cooldown: Duration = seconds(330), time, "controller.self.heal.backoff.cooldown.seconds", "ARGOCD_APPLICATION_CONTROLLER_SELF_HEAL_BACKOFF_COOLDOWN_SECONDS";
        /// An operation is ended after this time; zero means never.
        sync_timeout: Duration = Duration::ZERO, time, "controller.sync.timeout.seconds", "ARGOCD_APPLICATION_CONTROLLER_SYNC_TIMEOUT";
        /// Pause between waves.
        sync_wave_delay: Duration = seconds(2), time, "controller.sync.wave.delay.seconds", "ARGOCD_SYNC_WAVE_DELAY";
        /// Write each resource's health into the Application.
        resource_health_persist: bool = false, boolean, "controller.resource.health.persist", "ARGOCD_APPLICATION_CONTROLLER_PERSIST_RESOURCE_HEALTH";
        /// How long errors of a repository are not shown.
        repo_error_grace_period: Duration = seconds(180), time, "controller.repo.error.grace.period.seconds", "ARGOCD_REPO_ERROR_GRACE_PERIOD_SECONDS";
        /// Time for one rendering.
        repo_server_timeout: Duration = seconds(60), time, "controller.repo.server.timeout.seconds", "ARGOCD_APPLICATION_CONTROLLER_REPO_SERVER_TIMEOUT_SECONDS";
        /// Time for one jq expression of an ignore rule.
        jq_timeout: Duration = seconds(1), time, "controller.ignore.normalizer.jq.timeout", "ARGOCD_IGNORE_NORMALIZER_JQ_TIMEOUT";
        /// Gather live updates before they are acted on.
        batch_events: bool = true, boolean, "controller.cluster.cache.batch.events.processing", "ARGOCD_CLUSTER_CACHE_BATCH_EVENTS_PROCESSING";
        /// For how long they are gathered.
        batch_interval: Duration = Duration::from_millis(100), time, "controller.cluster.cache.events.processing.interval", "ARGOCD_CLUSTER_CACHE_EVENTS_PROCESSING_INTERVAL";
        /// How clusters are dealt out among replicas where that is done by hand.
        sharding_algorithm: String = "legacy".to_owned(), string, "controller.sharding.algorithm", "ARGOCD_CONTROLLER_SHARDING_ALGORITHM";
        /// What makes a cluster refuse an earlier owner, where its Secret says nothing of that.
        fence: FenceWish = FenceWish::Auto, fence, "controller.fence", "ARGOSY_CONTROLLER_FENCE";
        /// How long a credential made for an owner lives; it is exchanged well before that. Servers make none for less than ten minutes.
        credential_lifetime: Duration = seconds(3600), time, "controller.credential.lifetime.seconds", "ARGOSY_CONTROLLER_CREDENTIAL_LIFETIME_SECONDS";
        /// Requests a second to one cluster.
        k8s_client_qps: f64 = 50.0, decimal, "controller.k8s.client.qps", "ARGOCD_K8S_CLIENT_QPS";
        /// Requests to one cluster at once after a pause.
        k8s_client_burst: u64 = 100, number, "controller.k8s.client.burst", "ARGOCD_K8S_CLIENT_BURST";
        /// Idle connections kept.
        k8s_client_max_idle_connections: u64 = 500, number, "controller.k8s.client.max.idle.connections", "ARGOCD_K8S_CLIENT_MAX_IDLE_CONNECTIONS";
        /// Time to connect.
        k8s_tcp_timeout: Duration = seconds(30), time, "controller.k8s.tcp.timeout", "ARGOCD_K8S_TCP_TIMEOUT";
        /// Between keep-alive probes.
        k8s_tcp_keepalive: Duration = seconds(30), time, "controller.k8s.tcp.keepalive", "ARGOCD_K8S_TCP_KEEPALIVE";
        /// After which an idle connection is closed.
        k8s_tcp_idle_timeout: Duration = seconds(300), time, "controller.k8s.tcp.idle.timeout", "ARGOCD_K8S_TCP_IDLE_TIMEOUT";
        /// Time for a TLS handshake.
        k8s_tls_handshake_timeout: Duration = seconds(10), time, "controller.k8s.tls.handshake.timeout", "ARGOCD_K8S_TLS_HANDSHAKE_TIMEOUT";
        /// How often a request to a cluster is tried again.
        k8s_client_retry_max: u64 = 0, number, "controller.k8sclient.retry.max", "ARGOCD_K8SCLIENT_RETRY_MAX";
        /// First pause before it is, in milliseconds where no unit is given.
        k8s_client_retry_base_backoff: Duration = Duration::from_millis(100), milliseconds, "controller.k8sclient.retry.base.backoff", "ARGOCD_K8SCLIENT_RETRY_BASE_BACKOFF";
        /// Metrics of what is gone are dropped after this time; zero means at restart.
        metrics_cache_expiration: Duration = Duration::ZERO, time, "controller.metrics.cache.expiration", "ARGOCD_APPLICATION_CONTROLLER_METRICS_CACHE_EXPIRATION";
        /// How long an application's tree and managed resources are kept.
        app_state_cache_expiration: Duration = seconds(3600), time, "controller.app.state.cache.expiration", "ARGOCD_APP_STATE_CACHE_EXPIRATION";
        /// How long other derived state is kept.
        default_cache_expiration: Duration = seconds(86_400), time, "controller.default.cache.expiration", "ARGOCD_DEFAULT_CACHE_EXPIRATION";
        /// Log form, `json` or `text`.
        log_format: String = "json".to_owned(), string, "controller.log.format", "ARGOCD_APPLICATION_CONTROLLER_LOGFORMAT";
        /// Least level that is logged.
        log_level: String = "info".to_owned(), string, "controller.log.level", "ARGOCD_APPLICATION_CONTROLLER_LOGLEVEL";
        /// Serve profiles on the metrics port.
        profile_enabled: bool = false, boolean, "controller.profile.enabled", "";
        /// Look gRPC service configuration up in DNS.
        grpc_txt_service_config: bool = false, boolean, "controller.grpc.enable.txt.service.config", "GRPC_ENABLE_TXT_SERVICE_CONFIG";
        /// Where renderers are reached, when they are other processes.
        repo_server: String = NO_TEXT, string, "repo.server", "ARGOCD_APPLICATION_CONTROLLER_REPO_SERVER";
        /// Reach them without TLS.
        repo_server_plaintext: bool = false, boolean, "controller.repo.server.plaintext", "ARGOCD_APPLICATION_CONTROLLER_REPO_SERVER_PLAINTEXT";
        /// Verify their certificates.
        repo_server_strict_tls: bool = false, boolean, "controller.repo.server.strict.tls", "ARGOCD_APPLICATION_CONTROLLER_REPO_SERVER_STRICT_TLS";
        /// File of the authority they are verified against.
        repo_server_ca_cert_path: String = NO_TEXT, string, "controller.repo.server.ca.cert.path", "ARGOCD_APPLICATION_CONTROLLER_REPO_SERVER_CA_CERT_PATH";
        /// File of the certificate shown to them.
        repo_server_client_cert_path: String = NO_TEXT, string, "controller.repo.server.client.cert.path", "ARGOCD_APPLICATION_CONTROLLER_REPO_SERVER_CLIENT_CERT_PATH";
        /// File of that certificate's key.
        repo_server_client_cert_key_path: String = NO_TEXT, string, "controller.repo.server.client.cert.key.path", "ARGOCD_APPLICATION_CONTROLLER_REPO_SERVER_CLIENT_CERT_KEY_PATH";
        /// Where the writer of hydrated manifests is reached.
        commit_server: String = NO_TEXT, string, "commit.server", "ARGOCD_APPLICATION_CONTROLLER_COMMIT_SERVER";
        /// Hydrated manifests are written.
        hydrator_enabled: bool = false, boolean, "hydrator.enabled", "ARGOCD_HYDRATOR_ENABLED";
        /// Reasons of the Kubernetes Events that are written: `all`, `none`, or some.
        enabled_events: Vec<String> = vec!["all".to_owned()], list, "controller.enable.k8s.event", "ARGOCD_ENABLE_K8S_EVENT";
    }
}

group! {
    /// `reposerver.*`.
    RepoServerSettings {
        /// Renderings at once; zero means no limit.
        parallelism_limit: u64 = 0, number, "reposerver.parallelism.limit", "ARGOCD_REPO_SERVER_PARALLELISM_LIMIT";
        /// Bytes of manifests a directory may hold.
        max_combined_directory_manifests_size: u64 = 10_000_000, size, "reposerver.max.combined.directory.manifests.size", "ARGOCD_REPO_SERVER_MAX_COMBINED_DIRECTORY_MANIFESTS_SIZE";
        /// Links that leave the repository are followed. Argosy never does; kept to be reported.
        allow_oob_symlinks: bool = false, boolean, "reposerver.allow.oob.symlinks", "ARGOCD_REPO_SERVER_ALLOW_OUT_OF_BOUNDS_SYMLINKS";
        /// Files below hidden directories are manifests too.
        include_hidden_directories: bool = false, boolean, "reposerver.include.hidden.directories", "ARGOCD_REPO_SERVER_INCLUDE_HIDDEN_DIRECTORIES";
        /// Submodules are fetched.
        git_submodules_enabled: bool = true, boolean, "reposerver.enable.git.submodule", "ARGOCD_GIT_MODULES_ENABLED";
        /// Revision look-ups at once; zero means no limit.
        git_lsremote_parallelism_limit: u64 = 0, number, "reposerver.git.lsremote.parallelism.limit", "ARGOCD_GIT_LS_REMOTE_PARALLELISM_LIMIT";
        /// Time for one request to a repository.
        git_request_timeout: Duration = seconds(15), time, "reposerver.git.request.timeout", "ARGOCD_GIT_REQUEST_TIMEOUT";
        /// Git runs with built-in configuration.
        builtin_git_config: bool = true, boolean, "reposerver.enable.builtin.git.config", "ARGOCD_REPO_SERVER_ENABLE_BUILTIN_GIT_CONFIG";
        /// How long rendered manifests are kept.
        repo_cache_expiration: Duration = seconds(86_400), time, "reposerver.repo.cache.expiration", "ARGOCD_REPO_CACHE_EXPIRATION";
        /// How long other derived state is kept.
        default_cache_expiration: Duration = seconds(86_400), time, "reposerver.default.cache.expiration", "ARGOCD_DEFAULT_CACHE_EXPIRATION";
        /// How long a revision look-up waits for another of the same.
        revision_cache_lock_timeout: Duration = seconds(10), time, "reposerver.revision.cache.lock.timeout", "ARGOCD_REVISION_CACHE_LOCK_TIMEOUT";
        /// Largest message, in megabytes.
        grpc_max_size_mb: u64 = 100, number, "reposerver.grpc.max.size", "ARGOCD_GRPC_MAX_SIZE_MB";
        /// Largest extracted chart, in bytes.
        helm_manifest_max_extracted_size: u64 = 1_000_000_000, size, "reposerver.helm.manifest.max.extracted.size", "ARGOCD_REPO_SERVER_HELM_MANIFEST_MAX_EXTRACTED_SIZE";
        /// Charts may be of any size.
        disable_helm_manifest_max_extracted_size: bool = false, boolean, "reposerver.disable.helm.manifest.max.extracted.size", "ARGOCD_REPO_SERVER_DISABLE_HELM_MANIFEST_MAX_EXTRACTED_SIZE";
        /// Largest extracted OCI artifact, in bytes.
        oci_manifest_max_extracted_size: u64 = 1_000_000_000, size, "reposerver.oci.manifest.max.extracted.size", "ARGOCD_REPO_SERVER_OCI_MANIFEST_MAX_EXTRACTED_SIZE";
        /// OCI artifacts may be of any size.
        disable_oci_manifest_max_extracted_size: bool = false, boolean, "reposerver.disable.oci.manifest.max.extracted.size", "ARGOCD_REPO_SERVER_DISABLE_OCI_MANIFEST_MAX_EXTRACTED_SIZE";
        /// Media types of OCI layers that hold manifests; none means the usual ones.
        oci_layer_media_types: Vec<String> = Vec::new(), list, "reposerver.oci.layer.media.types", "ARGOCD_REPO_SERVER_OCI_LAYER_MEDIA_TYPES";
        /// Largest archive streamed to a plugin, in bytes.
        streamed_manifest_max_tar_size: u64 = 100_000_000, size, "reposerver.streamed.manifest.max.tar.size", "ARGOCD_REPO_SERVER_STREAMED_MANIFEST_MAX_TAR_SIZE";
        /// Largest such archive extracted, in bytes.
        streamed_manifest_max_extracted_size: u64 = 1_000_000_000, size, "reposerver.streamed.manifest.max.extracted.size", "ARGOCD_REPO_SERVER_STREAMED_MANIFEST_MAX_EXTRACTED_SIZE";
        /// Globs of files that are not streamed to plugins.
        plugin_tar_exclusions: Vec<String> = Vec::new(), list, "reposerver.plugin.tar.exclusions", "ARGOCD_REPO_SERVER_PLUGIN_TAR_EXCLUSIONS";
        /// Stream to plugins only what `manifest-generate-paths` names.
        plugin_use_manifest_generate_paths: bool = false, boolean, "reposerver.plugin.use.manifest.generate.paths", "ARGOCD_REPO_SERVER_PLUGIN_USE_MANIFEST_GENERATE_PATHS";
        /// What is told to chart repositories about who asks.
        helm_user_agent: String = NO_TEXT, string, "reposerver.helm.user.agent", "ARGOCD_HELM_USER_AGENT";
        /// Log form, `json` or `text`.
        log_format: String = "json".to_owned(), string, "reposerver.log.format", "ARGOCD_REPO_SERVER_LOGFORMAT";
        /// Least level that is logged.
        log_level: String = "info".to_owned(), string, "reposerver.log.level", "ARGOCD_REPO_SERVER_LOGLEVEL";
        /// Serve profiles on the metrics port.
        profile_enabled: bool = false, boolean, "reposerver.profile.enabled", "";
        /// Look gRPC service configuration up in DNS.
        grpc_txt_service_config: bool = false, boolean, "reposerver.grpc.enable.txt.service.config", "GRPC_ENABLE_TXT_SERVICE_CONFIG";
        /// Address to listen on.
        listen_address: String = "0.0.0.0".to_owned(), string, "reposerver.listen.address", "ARGOCD_REPO_SERVER_LISTEN_ADDRESS";
        /// Address to serve metrics on.
        metrics_listen_address: String = "0.0.0.0".to_owned(), string, "reposerver.metrics.listen.address", "ARGOCD_REPO_SERVER_LISTEN_METRICS_ADDRESS";
        /// Serve without TLS.
        disable_tls: bool = false, boolean, "reposerver.disable.tls", "ARGOCD_REPO_SERVER_DISABLE_TLS";
        /// File of the authority that clients are verified against.
        client_ca_path: String = NO_TEXT, string, "reposerver.client.ca.path", "ARGOCD_REPO_SERVER_CLIENT_CA_PATH";
        /// Cipher suites; none means the library's.
        tls_ciphers: Vec<String> = Vec::new(), list, "reposerver.tls.ciphers", "ARGOCD_TLS_CIPHERS";
        /// Least version of TLS.
        tls_min_version: String = "1.2".to_owned(), string, "reposerver.tls.minversion", "ARGOCD_TLS_MIN_VERSION";
        /// Highest version of TLS.
        tls_max_version: String = "1.3".to_owned(), string, "reposerver.tls.maxversion", "ARGOCD_TLS_MAX_VERSION";
    }
}

group! {
    /// `otlp.*` and `log.*`.
    TelemetrySettings {
        /// Collector of traces; none where empty.
        otlp_address: String = NO_TEXT, string, "otlp.address", "ARGOCD_APPLICATION_CONTROLLER_OTLP_ADDRESS";
        /// Reach it without TLS.
        otlp_insecure: bool = true, boolean, "otlp.insecure", "ARGOCD_APPLICATION_CONTROLLER_OTLP_INSECURE";
        /// Headers sent with traces, `key=value`.
        otlp_headers: Vec<String> = Vec::new(), list, "otlp.headers", "ARGOCD_APPLICATION_CONTROLLER_OTLP_HEADERS";
        /// Attributes of traces, `key:value`.
        otlp_attrs: Vec<String> = Vec::new(), list, "otlp.attrs", "ARGOCD_APPLICATION_CONTROLLER_OTLP_ATTRS";
        /// Form of times in the log.
        timestamp_format: String = NO_TEXT, string, "log.format.timestamp", "ARGOCD_LOG_FORMAT_TIMESTAMP";
    }
}
