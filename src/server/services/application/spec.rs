//! Specifications: what they say whichever way it is written, and the form in
//! which they are stored.

use std::collections::HashSet;

use argosy_model::names;
use argosy_proto::v1alpha1::{
    ApplicationSource, ApplicationSourceHelm, ApplicationSourceJsonnet, ApplicationSourceKustomize, ApplicationSpec,
    SourceHydrator, SyncPolicy,
};

/// The sources an application is synced from.
pub(super) fn sources(spec: &ApplicationSpec) -> Vec<ApplicationSource> {
    match &spec.source_hydrator {
        Some(hydrator) => vec![sync_source(hydrator)],
        None if spec.sources.is_empty() => spec.source.iter().cloned().collect(),
        None => spec.sources.clone(),
    }
}

/// The first of them; an empty one where there is none.
pub(super) fn source(spec: &ApplicationSpec) -> ApplicationSource {
    sources(spec).into_iter().next().unwrap_or_default()
}

/// The sources manifests are rendered from.
pub(super) fn rendered(spec: &ApplicationSpec) -> Vec<ApplicationSource> {
    let Some(hydrator) = &spec.source_hydrator else { return sources(spec) };
    let dry = hydrator.dry_source.clone().unwrap_or_default();
    vec![ApplicationSource {
        repo_url: dry.repo_url,
        path: dry.path,
        target_revision: dry.target_revision,
        helm: dry.helm,
        kustomize: dry.kustomize,
        directory: dry.directory,
        plugin: dry.plugin,
        ..ApplicationSource::default()
    }]
}

fn sync_source(hydrator: &SourceHydrator) -> ApplicationSource {
    let sync = hydrator.sync_source.clone().unwrap_or_default();
    let dry = hydrator.dry_source.as_ref().map(|dry| dry.repo_url.clone()).unwrap_or_default();
    ApplicationSource {
        repo_url: if sync.repo_url.is_empty() { dry } else { sync.repo_url },
        path: sync.path,
        target_revision: sync.target_branch,
        ..ApplicationSource::default()
    }
}

/// Whether it has a list of sources.
pub(super) fn has_several_sources(spec: &ApplicationSpec) -> bool {
    spec.source_hydrator.is_none() && !spec.sources.is_empty()
}

/// Whether it is synced without being asked.
pub(super) fn is_automated(spec: &ApplicationSpec) -> bool {
    let automated = spec.sync_policy.as_ref().and_then(|policy| policy.automated.as_ref());
    automated.is_some_and(|automated| automated.enabled.unwrap_or(true))
}

/// A name that more than one source has.
pub(super) fn repeated_source_name(spec: &ApplicationSpec) -> Option<&str> {
    let mut seen = HashSet::new();
    let mut named = spec.sources.iter().map(|source| source.name.as_str()).filter(|name| !name.is_empty());
    named.find(|name| !seen.insert(*name))
}

/// Why a source cannot say what renders it: it says so more than once.
pub(super) fn contradictory_types(source: &ApplicationSource) -> Option<String> {
    let types = [
        ("Kustomize", source.kustomize.is_some()),
        ("Helm", source.helm.is_some()),
        ("Directory", source.directory.is_some()),
        ("Plugin", source.plugin.is_some()),
    ];
    let named: Vec<&str> = types.iter().filter(|(_, is)| *is).map(|(name, _)| *name).collect();
    (named.len() > 1).then(|| format!("multiple application sources defined: {}", named.join(",")))
}

/// Leaves out what says nothing, and names the default project.
pub(super) fn normalize(spec: &mut ApplicationSpec) {
    if spec.project.is_empty() {
        names::DEFAULT_PROJECT.clone_into(&mut spec.project);
    }
    drop_if_empty(&mut spec.sync_policy, |policy| *policy == SyncPolicy::default());
    spec.sources.iter_mut().chain(spec.source.as_mut()).for_each(normalize_source);
}

fn normalize_source(source: &mut ApplicationSource) {
    drop_if_empty(&mut source.kustomize, |kustomize| *kustomize == ApplicationSourceKustomize::default());
    drop_if_empty(&mut source.helm, |helm| *helm == ApplicationSourceHelm::default());
    if let Some(directory) = &mut source.directory {
        drop_if_empty(&mut directory.jsonnet, |jsonnet| *jsonnet == ApplicationSourceJsonnet::default());
    }
    drop_if_empty(&mut source.directory, |directory| *directory == Default::default());
}

fn drop_if_empty<T>(part: &mut Option<T>, is_empty: impl Fn(&T) -> bool) {
    if part.as_ref().is_some_and(is_empty) {
        *part = None;
    }
}

/// Whether two specifications say the same once both are normalised.
pub(super) fn same(a: &ApplicationSpec, b: &ApplicationSpec) -> bool {
    let canonical = |spec: &ApplicationSpec| {
        let mut spec = spec.clone();
        normalize(&mut spec);
        // Some clients write these out when they are empty, others do not.
        spec.destination.get_or_insert_default();
        if let Some(hydrator) = &mut spec.source_hydrator {
            hydrator.dry_source.get_or_insert_default();
            hydrator.sync_source.get_or_insert_default();
        }
        // As JSON, for raw JSON inside may be written in many ways.
        serde_json::to_value(spec).ok()
    };
    // What has raw JSON that is none is the same as nothing.
    canonical(a).is_some_and(|a| canonical(b) == Some(a))
}

#[cfg(test)]
mod tests {
    use argosy_proto::v1alpha1::{ApplicationDestination, ApplicationSourceDirectory};
    use serde_json::json;

    use super::*;

    fn spec(json: serde_json::Value) -> ApplicationSpec {
        serde_json::from_value(json).expect("a specification")
    }

    #[test]
    fn what_says_nothing_is_left_out_and_the_default_project_is_named() {
        let mut given = spec(json!({
            "source": {"repoURL": "r", "helm": {}, "kustomize": {}, "directory": {"jsonnet": {}}},
            "sources": [{"repoURL": "s", "helm": {}, "directory": {"include": "*.yaml", "jsonnet": {}}}],
            "syncPolicy": {},
        }));
        normalize(&mut given);
        assert_eq!(given.project, "default");
        assert_eq!(given.sync_policy, None);
        let source = given.source.expect("a source");
        assert_eq!((source.helm, source.kustomize, source.directory), (None, None, None));
        let directory = given.sources[0].directory.as_ref().expect("what is included");
        assert_eq!(*directory, ApplicationSourceDirectory { include: "*.yaml".to_owned(), ..Default::default() });
    }

    #[test]
    fn automation_is_on_unless_it_is_switched_off() {
        let with = |automated: serde_json::Value| spec(json!({"syncPolicy": {"automated": automated}}));
        assert!(is_automated(&with(json!({}))));
        assert!(is_automated(&with(json!({"enabled": true}))));
        assert!(!is_automated(&with(json!({"enabled": false}))));
        assert!(!is_automated(&spec(json!({"syncPolicy": {}}))));
    }

    #[test]
    fn an_unset_destination_and_an_empty_one_are_the_same_and_a_value_is_not() {
        let a = ApplicationSpec { destination: Some(ApplicationDestination::default()), ..Default::default() };
        assert!(same(&a, &ApplicationSpec::default()));
        let values =
            |json: serde_json::Value| spec(json!({"source": {"repoURL": "r", "helm": {"valuesObject": json}}}));
        assert!(same(&values(json!({"a": 1, "b": 2})), &values(json!({"b": 2, "a": 1}))));
        assert!(!same(&values(json!({"a": false})), &values(json!({}))));
        let automated = |json: serde_json::Value| spec(json!({"syncPolicy": {"automated": json}}));
        assert!(!same(&automated(json!({})), &ApplicationSpec::default()));
        assert!(!same(&automated(json!({"enabled": false})), &automated(json!({}))));
    }

    #[test]
    fn sources_of_the_same_name_and_of_two_types_are_found() {
        let given = spec(json!({"sources": [{"name": "a"}, {"name": ""}, {"name": "b"}, {"name": "a"}]}));
        assert_eq!(repeated_source_name(&given), Some("a"));
        assert_eq!(repeated_source_name(&spec(json!({"sources": [{}, {}]}))), None);
        let both = ApplicationSource {
            helm: Some(Default::default()),
            kustomize: Some(Default::default()),
            ..Default::default()
        };
        assert_eq!(contradictory_types(&both).as_deref(), Some("multiple application sources defined: Kustomize,Helm"));
    }

    #[test]
    fn a_hydrated_application_is_synced_from_one_place_and_rendered_from_another() {
        let given = spec(json!({"sourceHydrator": {
            "drySource": {"repoURL": "dry", "path": "p", "targetRevision": "main"},
            "syncSource": {"targetBranch": "env", "path": "q"},
        }}));
        assert_eq!((source(&given).repo_url.as_str(), source(&given).target_revision.as_str()), ("dry", "env"));
        assert_eq!(rendered(&given)[0].target_revision, "main");
    }
}
