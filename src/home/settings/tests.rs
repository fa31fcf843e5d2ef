use super::*;
use serde_json::json;
use std::collections::HashMap;
use std::time::Duration;

fn sources(config: &[(&str, &str)]) -> Arc<Sources> {
    let config = config.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Arc::new(Sources { config, ..Sources::default() })
}

fn read(config: &[(&str, &str)]) -> Settings {
    Settings::read(sources(config), &Settings::default())
}

/// All keys that have a table entry.
fn keys() -> impl Iterator<Item = (&'static str, &'static str)> {
    [
        GeneralSettings::KEYS,
        TimeoutSettings::KEYS,
        ControllerSettings::KEYS,
        RepoServerSettings::KEYS,
        TelemetrySettings::KEYS,
        ApiSettings::KEYS,
        ServerSettings::KEYS,
    ]
    .concat()
    .into_iter()
}

#[test]
fn nothing_set_is_every_default_and_the_rule_about_status() {
    let settings = read(&[]);
    assert_eq!(settings.problems, []);
    assert_eq!(settings.general, GeneralSettings::default());
    assert_eq!(settings.controller, ControllerSettings::default());
    assert_eq!(settings.tracking.label_key, "app.kubernetes.io/instance");
    assert_eq!(settings.timeouts.reconciliation, Duration::from_secs(120));
    assert!(settings.filter.excludes("", "Endpoints", "x"));
    assert_eq!(settings.overrides.len(), 1);
    let pointers = &settings.overrides["*/*"].ignore_differences.as_ref().expect("rules").j_son_pointers;
    assert_eq!(pointers, &["/status"]);
}

#[test]
fn every_key_is_read_from_its_config_map_and_from_its_variable() {
    // A text that no number, time, size, boolean or choice has, so that every
    // reader either takes it or complains: none may overlook it.
    let nonsense = "no, such value";
    for (key, env) in keys() {
        let reads = |s: Sources| {
            let settings = Settings::read(Arc::new(s), &Settings::default());
            let plain = Settings::default();
            settings.problems.iter().any(|p| p.key == key)
                || settings.general != plain.general
                || settings.controller != plain.controller
                || settings.repo_server != plain.repo_server
                || settings.telemetry != plain.telemetry
                || settings.api != plain.api
                || settings.server != plain.server
        };
        let map = BTreeMap::from([(key.to_owned(), nonsense.to_owned())]);
        assert!(reads(Sources { config: map.clone(), ..Sources::default() }), "{key} in argocd-cm");
        assert!(reads(Sources { params: map, ..Sources::default() }), "{key} in argocd-cmd-params-cm");
        if !env.is_empty() {
            let env = HashMap::from([(env.to_owned(), nonsense.to_owned())]);
            assert!(reads(Sources { env, ..Sources::default() }), "variable of {key}");
        }
    }
}

#[test]
fn typed_values_are_read() {
    let params = [
        ("controller.diff.server.side", "true"),
        ("controller.self.heal.backoff.cap.seconds", "60"),
        ("controller.sync.wave.delay.seconds", "0"),
        ("controller.k8sclient.retry.base.backoff", "250"),
        ("reposerver.max.combined.directory.manifests.size", "25M"),
        ("application.namespaces", "ns1, ns2,ns3"),
    ];
    let params = params.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let settings = Settings::read(Arc::new(Sources { params, ..Sources::default() }), &Settings::default());
    assert_eq!(settings.problems, []);
    assert!(settings.controller.diff_server_side);
    assert_eq!(settings.controller.self_heal_backoff_cap, Duration::from_secs(60));
    assert_eq!(settings.controller.sync_wave_delay, Duration::ZERO);
    assert_eq!(settings.controller.k8s_client_retry_base_backoff, Duration::from_millis(250));
    assert_eq!(settings.repo_server.max_combined_directory_manifests_size, 25_000_000);
    assert_eq!(settings.controller.application_namespaces, ["ns1", "ns2", "ns3"]);
}

#[test]
fn the_environment_overrides_unless_it_is_empty() {
    let with_env = |value: &str| {
        let env = HashMap::from([("ARGOCD_RECONCILIATION_TIMEOUT".to_owned(), value.to_owned())]);
        let sources = Sources { env, ..(*sources(&[("timeout.reconciliation", "5m")])).clone() };
        Settings::read(Arc::new(sources), &Settings::default()).timeouts.reconciliation
    };
    assert_eq!(with_env("1h"), Duration::from_secs(3600));
    assert_eq!(with_env(""), Duration::from_secs(300));
}

#[test]
fn a_malformed_value_keeps_the_previous_one_for_that_key_alone() {
    let good = read(&[("timeout.reconciliation", "5m"), ("resource.exclusions", "- kinds: [Pod]")]);
    let bad = Settings::read(
        sources(&[
            ("timeout.reconciliation", "soon"),
            ("timeout.reconciliation.jitter", "1s"),
            ("resource.exclusions", "- ["),
        ]),
        &good,
    );
    assert_eq!(bad.timeouts.reconciliation, Duration::from_secs(300));
    assert_eq!(bad.timeouts.jitter, Duration::from_secs(1));
    assert_eq!(bad.filter, good.filter);
    let mut keys: Vec<_> = bad.problems.iter().map(|p| p.key.as_str()).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["resource.exclusions", "timeout.reconciliation"]);
    assert_eq!(read(&[("timeout.reconciliation", "soon")]).timeouts.reconciliation, Duration::from_secs(120));
}

#[test]
fn tracking_is_read_and_an_unknown_method_is_reported() {
    let settings = read(&[
        ("application.resourceTrackingMethod", "annotation+label"),
        ("application.instanceLabelKey", "my/key"),
        ("installationID", "east"),
    ]);
    assert_eq!(settings.tracking.method, Method::AnnotationAndLabel);
    assert_eq!((&*settings.tracking.label_key, &*settings.tracking.installation_id), ("my/key", "east"));
    assert_eq!(read(&[("application.resourceTrackingMethod", "magic")]).problems.len(), 1);
}

#[test]
fn exclusions_replace_the_shipped_ones_and_may_be_empty() {
    let settings = read(&[
        ("resource.exclusions", "# none\n"),
        ("resource.inclusions", "- apiGroups: ['*']\n  kinds: ['*']\n  clusters: ['https://a']\n"),
    ]);
    assert_eq!(settings.problems, []);
    assert!(!settings.filter.excludes("", "Endpoints", "https://a"));
    assert_eq!(settings.filter.inclusions.len(), 1);
}

#[test]
fn compare_options_are_read_with_yamls_bare_words() {
    for (text, expected) in [
        ("ignoreResourceStatusField: off", StatusField::None),
        ("ignoreResourceStatusField: none", StatusField::None),
        ("ignoreResourceStatusField: false", StatusField::None),
        ("ignoreResourceStatusField: crd", StatusField::Crd),
        ("ignoreResourceStatusField: all", StatusField::All),
        ("ignoreAggregatedRoles: true", StatusField::All),
    ] {
        let settings = read(&[("resource.compareoptions", text)]);
        assert_eq!(settings.problems, [], "{text}");
        assert_eq!(settings.compare.ignore_resource_status_field, expected, "{text}");
    }
    let settings = read(&[("resource.compareoptions", "ignoreAggregatedRoles: true")]);
    assert!(settings.compare.ignore_aggregated_roles && settings.compare.ignore_differences_on_resource_updates);
    assert!(read(&[("resource.compareoptions", "ignoreResourceStatusField: none")]).overrides.is_empty());
}

#[test]
fn customizations_come_from_the_map_and_from_split_keys() {
    let settings = read(&[
        (
            "resource.customizations",
            "apps/Deployment:\n  health.lua: |\n    return {}\n  ignoreDifferences: |\n    jsonPointers:\n    - /a\n\
             argoproj.io/Rollout:\n  health.lua.useOpenLibs: true\n  knownTypeFields:\n  - field: spec.template.spec\n    type: core/v1/PodSpec\n",
        ),
        ("resource.customizations.health.cert-manager.io_Certificate", "return 1"),
        ("resource.customizations.useOpenLibs.cert-manager.io_Certificate", "true"),
        ("resource.customizations.actions.ConfigMap", "discovery.lua: x"),
        ("resource.customizations.ignoreDifferences.all", "managedFieldsManagers: [kube-controller-manager]"),
        ("resource.customizations.ignoreResourceUpdates.all", "jsonPointers: [/status]"),
        ("resource.customizations.knownTypeFields.x.y_Z", "- field: a\n  type: b\n"),
    ]);
    assert_eq!(settings.problems, []);
    let all = &settings.overrides;
    assert_eq!(all["apps/Deployment"].health_lua, "return {}\n");
    assert_eq!(all["apps/Deployment"].ignore_differences.as_ref().expect("rules").j_son_pointers, ["/a"]);
    assert!(all["argoproj.io/Rollout"].use_open_libs);
    assert_eq!(all["argoproj.io/Rollout"].known_type_fields[0].field, "spec.template.spec");
    assert_eq!(all["cert-manager.io/Certificate"].health_lua, "return 1");
    assert!(all["cert-manager.io/Certificate"].use_open_libs);
    assert_eq!(all["ConfigMap"].actions, "discovery.lua: x");
    let everything = &all["*/*"];
    let differences = everything.ignore_differences.as_ref().expect("rules");
    assert_eq!(differences.managed_fields_managers, ["kube-controller-manager"]);
    assert_eq!(differences.j_son_pointers, ["/status"]);
    assert_eq!(everything.ignore_resource_updates.as_ref().expect("rules").j_son_pointers, ["/status"]);
    assert_eq!(all["x.y/Z"].known_type_fields[0].r#type, "b");
}

#[test]
fn a_malformed_customization_costs_only_itself() {
    let good = read(&[("resource.customizations.ignoreDifferences.apps_Deployment", "jsonPointers: [/spec/replicas]")]);
    let bad = Settings::read(
        sources(&[
            ("resource.customizations.ignoreDifferences.apps_Deployment", "jsonPointers: {"),
            ("resource.customizations.health.apps_Deployment", "return 2"),
            ("resource.customizations.magic.apps_Deployment", "x"),
            ("resource.customizations.health.a_b_c", "x"),
        ]),
        &good,
    );
    assert_eq!(bad.problems.len(), 3);
    let deployment = &bad.overrides["apps/Deployment"];
    assert_eq!(deployment.health_lua, "return 2");
    assert_eq!(deployment.ignore_differences.as_ref().expect("kept").j_son_pointers, ["/spec/replicas"]);
}

#[test]
fn global_projects_and_kustomize_versions_are_read() {
    let settings = read(&[
        (
            "globalProjects",
            "- projectName: base\n  labelSelector:\n    matchExpressions:\n    - {key: opt, operator: In, values: [prod]}\n",
        ),
        ("kustomize.buildOptions", "--enable-helm"),
        ("kustomize.buildOptions.v4.5.7", "--x"),
        ("kustomize.path.v4.5.7", "/bin/kustomize-4"),
        ("kustomize.version.v3.9.1", "/bin/kustomize-3"),
        ("helm.enable", "false"),
    ]);
    assert_eq!(settings.problems, []);
    assert_eq!(settings.global_projects[0].project_name, "base");
    assert_eq!(settings.global_projects[0].label_selector.match_expressions[0].values, ["prod"]);
    assert_eq!(settings.kustomize.build_options, "--enable-helm");
    let expected = KustomizeVersion { path: "/bin/kustomize-4".into(), build_options: "--x".into() };
    assert_eq!(settings.kustomize.versions["v4.5.7"], expected);
    assert_eq!(settings.kustomize.versions["v3.9.1"].path, "/bin/kustomize-3");
    assert!(!settings.source_type_enabled("Helm") && settings.source_type_enabled("Plugin"));
}

#[test]
fn references_to_secrets_are_resolved_and_never_shown() {
    let secrets = BTreeMap::from([
        ("webhook.github.secret".to_owned(), "canary-1\n".to_owned()),
        ("other:key".to_owned(), "canary-2".to_owned()),
    ]);
    let settings =
        Settings::read(Arc::new(Sources { secrets: Secret::new(secrets), ..Sources::default() }), &Settings::default());
    assert_eq!(settings.expand("$webhook.github.secret"), "canary-1");
    assert_eq!(settings.expand("$other:key"), "canary-2");
    assert_eq!(settings.expand("$missing"), "$missing");
    assert_eq!(settings.expand("plain"), "plain");
    assert!(!format!("{settings:?}").contains("canary"));
}

#[test]
fn impersonation_and_labels_are_read() {
    let settings = read(&[
        ("application.sync.impersonation.enabled", "true"),
        ("application.sync.impersonation.enforced", "false"),
        ("resource.sensitive.mask.annotations", "a/b, c"),
        ("resource.respectRBAC", "strict"),
        ("resource.includeEventLabelKeys", "team, env*"),
    ]);
    assert!(settings.general.impersonation_enabled && !settings.general.impersonation_enforced);
    assert_eq!(json!(settings.general.sensitive_annotations), json!(["a/b", "c"]));
    assert_eq!(settings.general.respect_rbac, RespectRbac::Strict);
    assert_eq!(settings.general.include_event_labels, ["team", "env*"]);
}

#[test]
fn what_the_api_server_is_told_is_read() {
    let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let sources = Sources {
        config: map(&[
            ("url", "https://argosy"),
            ("additionalUrls", "- https://a\n- https://b\n"),
            ("users.session.duration", "1h"),
            ("help.download.linux-amd64", "https://d"),
            ("extension.config", "all"),
            ("extension.config.metrics", "one"),
        ]),
        params: map(&[("server.insecure", "true"), ("server.rootpath", "/argosy")]),
        rbac: map(&[
            ("policy.z.csv", "z"),
            ("policy.csv", "first"),
            ("policy.a.csv", "a"),
            ("policy.default", "role:readonly"),
            ("scopes", "[groups, email]"),
        ]),
        secrets: map(&[
            ("webhook.github.secret", "$other:key"),
            ("other:key", "s3cret"),
            ("webhook.gogs.secret", "plain"),
        ])
        .into(),
        ..Sources::default()
    };
    let settings = Settings::read(Arc::new(sources), &Settings::default());
    assert_eq!(settings.problems, []);
    assert_eq!(settings.api.url, "https://argosy");
    assert_eq!(settings.additional_urls, ["https://a", "https://b"]);
    assert_eq!(settings.api.session_duration, Duration::from_secs(3600));
    assert_eq!(settings.downloads["linux-amd64"], "https://d");
    assert_eq!((&*settings.extensions[""], &*settings.extensions["metrics"]), ("all", "one"));
    assert!(settings.server.insecure);
    assert_eq!(settings.server.root_path, "/argosy");
    assert_eq!(settings.rbac.policy, "first\na\nz");
    assert_eq!(settings.rbac.scopes, ["groups", "email"]);
    assert_eq!(settings.webhooks.github.expose(), "s3cret");
    assert_eq!(settings.webhooks.gogs.expose(), "plain");
    assert!(!format!("{:?}", settings.webhooks).contains("s3cret"));
}

#[test]
fn groups_are_the_scope_unless_others_are_set() {
    let settings = Settings::read(Arc::new(Sources::default()), &Settings::default());
    assert_eq!(settings.rbac.scopes, ["groups"]);
    assert_eq!(settings.api.password_pattern, "^.{8,32}$");
    assert_eq!(settings.api.exec_shells, ["bash", "sh", "powershell", "cmd"]);
}

#[test]
fn a_document_that_cannot_be_read_is_told_without_its_lines() {
    let reason = lookup::parse_yaml::<Vec<String>>("- a\n- password: canary\n- [\n").expect_err("it is broken");
    assert!(!reason.contains("canary"), "{reason}");
}
