//! The actions every installation has.

use argosy_script::{Operation, ScriptError, builtin};
use jiff::Timestamp;
use serde_json::{Value, json};

fn now() -> Timestamp {
    "2026-03-09T04:05:06.7Z".parse().expect("a time")
}

fn object(api: &str, kind: &str, rest: Value) -> Value {
    let mut object =
        json!({"apiVersion": api, "kind": kind, "metadata": {"name": "one", "namespace": "ns", "uid": "u"}});
    let (Some(object_map), Value::Object(rest)) = (object.as_object_mut(), rest) else { panic!("maps") };
    for (key, value) in rest {
        match (object_map.get_mut(&key), value) {
            (Some(Value::Object(known)), Value::Object(more)) => known.extend(more),
            (_, value) => drop(object_map.insert(key, value)),
        }
    }
    object
}

/// The actions of an object: enabled ones by name, disabled ones with a dash.
fn offered(object: &Value) -> String {
    let mut names: Vec<_> = builtin::discover(object)
        .iter()
        .map(|a| if a.disabled { format!("-{}", a.name) } else { a.name.clone() })
        .collect();
    names.sort_by(|a, b| a.trim_start_matches('-').cmp(b.trim_start_matches('-')));
    names.join(" ")
}

fn patched_with(object: &Value, action: &str, parameters: &[(&str, &str)]) -> Value {
    let parameters: Vec<_> = parameters.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let done = builtin::run(action, object, &parameters, now()).expect(action);
    assert_eq!((done.len(), done[0].operation), (1, Operation::Patch));
    done.into_iter().next().expect("one").object
}

fn patched(object: &Value, action: &str) -> Value {
    patched_with(object, action, &[])
}

fn created(object: &Value, action: &str) -> Value {
    let done = builtin::run(action, object, &[], now()).expect(action);
    assert_eq!((done.len(), done[0].operation), (1, Operation::Create));
    done.into_iter().next().expect("one").object
}

fn refused(object: &Value, action: &str, parameters: &[(&str, &str)]) -> String {
    let parameters: Vec<_> = parameters.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    match builtin::run(action, object, &parameters, now()) {
        Err(ScriptError::Refused(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn workloads_restart_pause_resume_and_scale() {
    let web = object("apps/v1", "Deployment", json!({"spec": {"template": {"metadata": null}}}));
    assert_eq!(offered(&web), "pause restart -resume scale");
    let restarted = patched(&web, "restart");
    let annotations = &restarted["spec"]["template"]["metadata"]["annotations"];
    assert_eq!(annotations["kubectl.kubernetes.io/restartedAt"], "2026-03-09T04:05:06Z");
    let paused = patched(&web, "pause");
    assert_eq!(
        (offered(&paused).as_str(), paused["spec"]["paused"].as_bool()),
        ("-pause restart resume scale", Some(true))
    );
    assert_eq!(patched(&paused, "resume"), web);
    assert_eq!(patched_with(&web, "scale", &[("replicas", "5")])["spec"]["replicas"], 5);
    assert_eq!(refused(&web, "scale", &[("replicas", "many")]), "invalid number: many");
    let scale = builtin::discover(&web).into_iter().find(|a| a.name == "scale").expect("scale");
    assert_eq!((scale.params[0].name.as_str(), scale.icon_class.as_str()), ("replicas", "fa fa-fw fa-plus-circle"));
    assert_eq!(offered(&object("apps/v1", "StatefulSet", json!({}))), "restart scale");
    assert_eq!(offered(&object("apps/v1", "DaemonSet", json!({}))), "restart");
    assert_eq!(offered(&object("v1", "Pod", json!({}))), "");
    assert_eq!(builtin::run("restart", &object("v1", "Pod", json!({})), &[], now()), Err(ScriptError::NoSuchAction));
}

#[test]
fn a_cron_job_makes_a_job() {
    let cron = object(
        "batch/v1",
        "CronJob",
        json!({"spec": {"jobTemplate": {
            "metadata": {"creationTimestamp": null, "labels": {"a": "b"}},
            "spec": {"template": {"spec": {"volumes": [{"emptyDir": {}}]}}},
        }}}),
    );
    assert_eq!(offered(&cron), "create-job suspend");
    assert_eq!(
        created(&cron, "create-job"),
        json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": {
                "name": "one-2603090405", "namespace": "ns", "labels": {"a": "b"},
                "annotations": {"cronjob.kubernetes.io/instantiate": "manual"},
                "ownerReferences": [{"apiVersion": "batch/v1", "kind": "CronJob", "name": "one", "uid": "u",
                                     "blockOwnerDeletion": true, "controller": true}],
            },
            "spec": {"template": {"spec": {"volumes": [{"emptyDir": {}}]}}},
        })
    );
    let suspended = patched(&cron, "suspend");
    assert_eq!(offered(&suspended), "create-job resume");
    assert_eq!(patched(&suspended, "resume")["spec"]["suspend"], false);
}

#[test]
fn a_job_is_suspended_resumed_and_terminated_until_it_ends() {
    let job = object("batch/v1", "Job", json!({"spec": {}, "status": {"active": 1}}));
    assert_eq!(offered(&job), "suspend terminate");
    assert_eq!(offered(&patched(&job, "suspend")), "resume terminate");
    let terminated = patched(&job, "terminate");
    let condition = &terminated["status"]["conditions"][0];
    assert_eq!(
        (condition["type"].as_str(), condition["reason"].as_str()),
        (Some("FailureTarget"), Some("ManuallyTerminated"))
    );
    assert_eq!(offered(&terminated), "");
    assert_eq!(patched(&terminated, "terminate"), terminated);
    assert_eq!(offered(&object("batch/v1", "Job", json!({"spec": {}}))), "suspend");
}

#[test]
fn a_rollout_goes_through_its_states() {
    let rollout = object(
        "argoproj.io/v1alpha1",
        "Rollout",
        json!({
            "metadata": {"generation": 4},
            "spec": {"strategy": {"canary": {"steps": [{}, {}]}}},
            "status": {"currentPodHash": "a", "stableRS": "b", "observedGeneration": "4", "currentStepIndex": 0,
                       "pauseConditions": [{"reason": "x"}]},
        }),
    );
    assert_eq!(offered(&rollout), "abort pause promote-full restart resume -retry skip-current-step");
    let resumed = patched(&rollout, "resume");
    assert!(resumed["status"].get("pauseConditions").is_none());
    let skipped = patched(&rollout, "skip-current-step");
    assert_eq!(
        (skipped["status"]["currentStepIndex"].as_i64(), skipped["status"].get("pauseConditions")),
        (Some(1), None)
    );
    assert!(offered(&patched(&skipped, "skip-current-step")).contains("-skip-current-step"));
    assert_eq!(patched(&rollout, "promote-full")["status"]["promoteFull"], true);
    assert_eq!(patched(&rollout, "restart")["spec"]["restartAt"], "2026-03-09T04:05:06Z");
    let aborted = patched(&rollout, "abort");
    assert_eq!(offered(&aborted), "-abort -pause promote-full restart resume retry skip-current-step");
    assert_eq!(patched(&aborted, "retry"), rollout);
    let mut paused = patched(&resumed, "pause");
    assert_eq!(offered(&paused), "abort -pause promote-full restart resume -retry skip-current-step");
    assert_eq!(patched(&paused, "resume")["spec"]["paused"], false);
    paused["status"]["observedGeneration"] = "6f8b".into();
    paused["status"]["abort"] = true.into();
    let promoted = patched(&paused, "promote-full");
    assert_eq!((promoted["status"]["currentStepIndex"].as_i64(), promoted["status"].get("abort")), (Some(2), None));
    paused["status"]["stableRS"] = "a".into();
    assert_eq!(offered(&paused), "-abort -pause -promote-full restart resume -retry skip-current-step");
    assert_eq!(
        offered(&object("argoproj.io/v1alpha1", "Rollout", json!({}))),
        "-abort -pause -promote-full restart -resume -retry -skip-current-step"
    );
}

#[test]
fn the_other_argo_kinds_have_theirs() {
    let run = object("argoproj.io/v1alpha1", "AnalysisRun", json!({"status": {"phase": "Running"}}));
    assert_eq!(offered(&run), "terminate");
    assert_eq!(offered(&patched(&run, "terminate")), "-terminate");
    let app = object("argoproj.io/v1alpha1", "Application", json!({}));
    let on = patched(&app, "toggle-auto-sync");
    assert_eq!(on["spec"]["syncPolicy"]["automated"]["enabled"], true);
    assert_eq!(builtin::discover(&app)[0].display_name, "Enable Auto-Sync");
    assert_eq!(builtin::discover(&on)[0].display_name, "Disable Auto-Sync");
    assert_eq!(patched(&on, "toggle-auto-sync")["spec"]["syncPolicy"]["automated"]["enabled"], false);
    let cron = object(
        "argoproj.io/v1alpha1",
        "CronWorkflow",
        json!({"spec": {"workflowMetadata": {"labels": {"a": "b"}, "finalizers": ["f"]}, "workflowSpec": {"entrypoint": "e"}}}),
    );
    let workflow = created(&cron, "create-workflow");
    assert_eq!(workflow["metadata"]["name"], "one-202603090405");
    assert_eq!(workflow["metadata"]["labels"], json!({"a": "b", "workflows.argoproj.io/cron-workflow": "one"}));
    assert_eq!((&workflow["metadata"]["finalizers"], &workflow["spec"]), (&json!(["f"]), &json!({"entrypoint": "e"})));
    let workflow = created(&object("argoproj.io/v1alpha1", "WorkflowTemplate", json!({})), "create-workflow");
    assert_eq!(workflow["spec"]["workflowTemplateRef"]["name"], "one");
    let request = object("promoter.argoproj.io/v1alpha1", "PullRequest", json!({"spec": {"state": "open"}}));
    assert_eq!(offered(&request), "merge");
    assert_eq!(offered(&patched(&request, "merge")), "-merge");
}

#[test]
fn flux_reconciles_suspends_and_resumes() {
    let release = object("helm.toolkit.fluxcd.io/v2", "HelmRelease", json!({"spec": {}}));
    assert_eq!(offered(&release), "reconcile -resume suspend");
    let asked = patched(&release, "reconcile");
    assert_eq!(
        asked["metadata"]["annotations"]["reconcile.fluxcd.io/requestedAt"],
        "By Argo CD at: 2026-03-09T04:05:06"
    );
    let suspended = patched(&release, "suspend");
    assert_eq!(offered(&suspended), "-reconcile resume -suspend");
    assert_eq!(patched(&suspended, "resume")["spec"]["suspend"], false);
    for (api, kind, actions) in [
        ("source.toolkit.fluxcd.io/v1", "OCIRepository", "reconcile -resume suspend"),
        ("kustomize.toolkit.fluxcd.io/v1", "Kustomization", "reconcile -resume suspend"),
        ("notification.toolkit.fluxcd.io/v1", "Alert", "-resume suspend"),
    ] {
        assert_eq!(offered(&object(api, kind, json!({}))), actions);
    }
}

#[test]
fn secrets_are_refreshed_and_pushed_unless_they_never_are() {
    for (kind, action) in [("ExternalSecret", "refresh"), ("PushSecret", "push")] {
        let secret =
            |interval: Value| object("external-secrets.io/v1", kind, json!({"spec": {"refreshInterval": interval}}));
        assert_eq!(offered(&secret("1h".into())), action);
        assert_eq!(offered(&secret(Value::Null)), action);
        for never in [json!("0"), json!("0s"), json!("0µs"), json!(0)] {
            assert_eq!(offered(&secret(never)), format!("-{action}"));
        }
        assert_eq!(
            patched(&secret("1h".into()), action)["metadata"]["annotations"]["force-sync"],
            "2026-03-09T04:05:06Z"
        );
    }
    let spec = json!({"spec": {"refreshInterval": "0", "refreshPolicy": "OnChange"}});
    assert_eq!(offered(&object("external-secrets.io/v1", "ExternalSecret", spec)), "refresh");
}

#[test]
fn scaling_and_databases_are_paused_and_resumed() {
    let scaled = object("keda.sh/v1alpha1", "ScaledObject", json!({}));
    assert_eq!(offered(&scaled), "pause paused-replicas -resume");
    let at = patched_with(&scaled, "paused-replicas", &[("replicas", "3")]);
    assert_eq!(offered(&at), "-pause paused-replicas resume");
    assert_eq!(at["metadata"]["annotations"]["autoscaling.keda.sh/paused-replicas"], "3");
    assert_eq!(offered(&patched(&at, "resume")), "pause paused-replicas -resume");
    assert_eq!(offered(&patched(&scaled, "pause")), "-pause -paused-replicas resume");
    assert_eq!(refused(&scaled, "paused-replicas", &[]), "replicas parameter is required");
    assert_eq!(refused(&scaled, "paused-replicas", &[("replicas", "-1")]), "invalid number: -1 (must be >= 0)");
    assert_eq!(offered(&object("keda.sh/v1alpha1", "ScaledJob", json!({}))), "pause -resume");

    let maria = object("k8s.mariadb.com/v1alpha1", "MariaDB", json!({"spec": {}}));
    assert_eq!((offered(&maria).as_str(), offered(&patched(&maria, "suspend")).as_str()), ("suspend", "resume"));
    let mongo = object("psmdb.percona.com/v1", "PerconaServerMongoDB", json!({"spec": {"pause": true}}));
    assert_eq!(offered(&mongo), "-pause unpause");
    assert_eq!(offered(&patched(&mongo, "unpause")), "pause -unpause");
    assert_eq!(builtin::run("pause", &mongo, &[], now()), Err(ScriptError::NoSuchAction));
    let pods = object("core.strimzi.io/v1", "StrimziPodSet", json!({}));
    assert_eq!(
        (offered(&pods).as_str(), offered(&patched(&pods, "rolling-update")).as_str()),
        ("rolling-update", "-rolling-update")
    );
}

#[test]
fn a_postgres_cluster_hands_over_its_primary() {
    let status = json!({"status": {"currentPrimary": "one-2", "instancesStatus": {"healthy": ["one-1", "one-2"]}}});
    let cluster = object("postgresql.cnpg.io/v1", "Cluster", status);
    assert_eq!(offered(&cluster), "promote reload restart suspend");
    let primary =
        |instance| patched_with(&cluster, "promote", &[("instance", instance)])["status"]["targetPrimary"].clone();
    assert_eq!((primary("any"), primary("2"), primary("one-1")), (json!("one-1"), json!("one-2"), json!("one-1")));
    let reason = "Could not find a healthy instance matching the criteria: 7";
    assert_eq!(refused(&cluster, "promote", &[("instance", "7")]), reason);
    let suspended = patched(&cluster, "suspend");
    assert_eq!(offered(&suspended), "promote reload restart resume");
    assert_eq!(offered(&patched(&suspended, "resume")), offered(&cluster));
    assert_eq!(offered(&object("postgresql.cnpg.io/v1", "Cluster", json!({}))), "-promote reload restart suspend");
    let lonely = object("postgresql.cnpg.io/v1", "Cluster", json!({"status": {}}));
    refused(&lonely, "promote", &[("instance", "any")]);
}

#[test]
fn pipelines_pause_resume_and_promote() {
    let pipeline = object("numaflow.numaproj.io/v1alpha1", "Pipeline", json!({"spec": {}}));
    assert_eq!(offered(&pipeline), "-delete -force-promote pause -unpause-fast -unpause-gradual");
    let paused = patched(&pipeline, "pause");
    assert_eq!(offered(&paused), "-delete -force-promote -pause -unpause-fast unpause-gradual");
    let fast = patched(&paused, "unpause-fast");
    assert_eq!(fast["spec"]["lifecycle"]["desiredPhase"], "Running");
    assert_eq!(fast["metadata"]["annotations"]["numaflow.numaproj.io/resume-strategy"], "fast");

    let labels =
        json!({"metadata": {"labels": {"numaplane.numaproj.io/upgrade-state": "trial"}}, "spec": {"replicas": 3}});
    let vertex = object("numaflow.numaproj.io/v1alpha1", "MonoVertex", labels);
    assert_eq!(offered(&vertex), "force-promote pause -unpause-fast -unpause-gradual");
    assert!(offered(&patched(&vertex, "force-promote")).contains("-force-promote"));
    assert!(patched(&patched(&vertex, "pause"), "unpause-gradual")["spec"].get("replicas").is_none());

    let rollout = object(
        "numaplane.numaproj.io/v1alpha1",
        "PipelineRollout",
        json!({
            "spec": {"pipeline": {"spec": {"lifecycle": {"desiredPhase": "Paused"}},
                     "metadata": {"annotations": {"numaflow.numaproj.io/allowed-resume-strategies": "slow, fast"}}}},
            "status": {"upgradeInProgress": "PipelinePauseAndDrain"},
        }),
    );
    assert_eq!(offered(&rollout), "allow-data-loss -disallow-data-loss -pause unpause-fast unpause-gradual");
    let fast = patched(&rollout, "unpause-fast");
    assert_eq!(fast["spec"]["pipeline"]["spec"]["lifecycle"]["desiredPhase"], "Running");
    assert_eq!(fast["spec"]["strategy"]["pauseResume"]["fastResume"], true);
    assert!(offered(&patched(&rollout, "allow-data-loss")).contains(" disallow-data-loss"));
    let vertices = object("numaplane.numaproj.io/v1alpha1", "MonoVertexRollout", json!({"spec": {"monoVertex": {}}}));
    assert_eq!(offered(&patched(&vertices, "pause")), "-pause -unpause-fast unpause-gradual");
    let service = object("numaflow.numaproj.io/v1alpha1", "InterStepBufferService", json!({}));
    assert_eq!(offered(&service), "-force-promote");
}
