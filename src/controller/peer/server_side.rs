//! What the API server would make of manifests that the asker has, against what
//! is there now.
//!
//! The asker's idea of the live state is not used: it could be made up to have
//! a Secret's value shown by the difference. An object is compared only if the
//! project permits it, and only with a live object that belongs to this
//! application or to nobody.

use std::sync::Arc;

use argosy_cluster::{Applier, ApplyTask, Known, Mode};
use argosy_engine::diff::{DiffInput, Mode as DiffMode, ServerSideDiff, diff};
use argosy_engine::mask::mask_secrets;
use argosy_engine::normalize::Normalizer;
use argosy_engine::schema::Schemas;
use argosy_model::{Gvk, ResourceKey, names, object};
use argosy_proto::application::ApplicationServerSideDiffResponse;
use argosy_proto::peer::ServerSideDiffRequest;
use argosy_proto::v1alpha1::ResourceDiff;
use futures::{FutureExt as _, StreamExt as _};
use serde_json::Value;
use tonic::Status;

use super::managed::masked_annotations;
use super::refusal;
use super::subject::Subject;
use super::tree::Tree;
use crate::context::Shared;
use crate::normalizers;

/// Manifests of one request; clients send them in batches of 250 kB.
const MOST: usize = 1000;
/// Dry runs of one request at once.
const AT_ONCE: usize = 8;

/// Everything one comparison needs.
struct Comparer<'a> {
    shared: &'a Shared,
    tree: &'a Tree,
    app: &'a str,
    /// Name of the application on its resources.
    instance: String,
    applier: Applier,
    normalizer: Normalizer,
    schemas: Arc<Schemas>,
    masked: Vec<String>,
    include_mutation_webhook: bool,
}

/// Compares place by place: a live resource, a manifest, or both.
pub(super) async fn compare(
    shared: &Arc<Shared>,
    request: &ServerSideDiffRequest,
) -> Result<ApplicationServerSideDiffResponse, Status> {
    let count = request.target_manifests.len().max(request.live_resources.len());
    if count > MOST {
        return Err(Status::invalid_argument(format!("more than {MOST} resources at once")));
    }
    let mut targets = request.target_manifests.iter().map(|text| parse(text)).collect::<Result<Vec<_>, _>>()?;
    targets.resize(count, None);
    let subject = Subject::find_owned(shared, request.application.as_ref()).await?;
    let tree = Tree::prepare(shared, &subject).await?;
    let applier = subject.applier(shared, tree.grounds(), tree.target())?;
    let kinds: Vec<Gvk> = targets.iter().flatten().map(Gvk::of).collect();
    let schemas = tree.target().openapi.schemas(&kinds).await;
    let schemas = schemas.map_err(|e| refusal::of_cluster("error reading the cluster's schemas", &e, None))?;
    let ignored = subject.app.spec.as_ref().map(|s| s.ignore_differences.clone()).unwrap_or_default();
    let (normalizer, _) = normalizers::compile(&shared.home.settings(), &ignored);
    let annotations = subject.app.metadata.as_ref().map(|m| &m.annotations);
    let options = annotations.and_then(|a| a.get(names::ANNOTATION_COMPARE_OPTIONS)).map_or("", String::as_str);
    let comparer = Comparer {
        instance: subject.key.instance_name(&shared.options.namespace),
        include_mutation_webhook: ServerSideDiff::decide(true, options).is_some_and(|d| d.include_mutation_webhook),
        masked: masked_annotations(shared),
        app: &subject.key.name,
        tree: &tree,
        applier,
        normalizer,
        schemas,
        shared,
    };
    let comparer = &comparer;
    let places: Vec<_> = targets
        .into_iter()
        .enumerate()
        .map(|(place, target)| comparer.compare(request.live_resources.get(place), target).boxed())
        .collect();
    let compared: Vec<_> = futures::stream::iter(places).buffered(AT_ONCE).collect().await;
    let items: Vec<ResourceDiff> = compared.into_iter().collect::<Result<_, _>>()?;
    Ok(ApplicationServerSideDiffResponse { modified: items.iter().any(|item| item.modified), items })
}

/// A manifest; `None` where there is none. What the parser says could repeat a value.
fn parse(text: &str) -> Result<Option<Value>, Status> {
    if text.is_empty() {
        return Ok(None);
    }
    let parsed: Value = serde_json::from_str(text).map_err(|_| Status::invalid_argument("a manifest is not JSON"))?;
    Ok(Some(parsed).filter(|value| !value.is_null()))
}

fn key_of(named: &ResourceDiff) -> ResourceKey {
    ResourceKey::new(&named.group, &named.kind, &named.namespace, &named.name)
}

// === impl Comparer ===

impl Comparer<'_> {
    async fn compare(&self, named: Option<&ResourceDiff>, target: Option<Value>) -> Result<ResourceDiff, Status> {
        let named = named.filter(|named| !matches!(named.live_state.as_str(), "" | "null"));
        let key = match (named, &target) {
            (Some(named), _) => self.managed(named)?,
            (None, Some(target)) => self.tree.placed(target),
            (None, None) => return Err(Status::invalid_argument("there is neither a live resource nor a manifest")),
        };
        let Some(mut target) = target else {
            // Nothing is asked for, so nothing changes: pruning is not what a dry run tells.
            let gvk = Gvk::new(&key.group, &self.tree.version_of(&key), &key.kind);
            let live = self.read(&gvk, &key).await?;
            return Ok(self.describe(&key, None, live, None));
        };
        let asked = self.tree.placed(&target);
        if asked != key {
            return Err(Status::invalid_argument(format!("the manifest of {asked} is held against {key}")));
        }
        if !self.tree.permits(&key) {
            let ResourceKey { group, kind, namespace, name } = &key;
            return Err(Status::permission_denied(format!(
                "application is not permitted to manage {group}/{kind}/{name} in {namespace}"
            )));
        }
        object::set_namespace(&mut target, &key.namespace);
        let live = self.read(&Gvk::of(&target), &key).await?;
        let task = ApplyTask {
            target: &target,
            mode: Mode::ServerSide { manager: names::FIELD_MANAGER.to_owned(), migrate_from: None },
            force: false,
            dry_run: true,
            validate: false,
            live: live.clone().map_or(Known::Absent, |live| Known::Present(Arc::new(live))),
        };
        let predicted = self.applier.apply(&task).await.map_err(|error| failed(&key, &error))?.live;
        Ok(self.describe(&key, Some(&target), live, Some(&predicted)))
    }

    /// A live resource that is named must be one the application manages.
    fn managed(&self, named: &ResourceDiff) -> Result<ResourceKey, Status> {
        let key = key_of(named);
        if self.tree.manages(&key) {
            return Ok(key);
        }
        Err(Status::permission_denied(format!(
            "{}/{} {} not found as part of application {}",
            named.group, named.kind, named.name, self.app
        )))
    }

    async fn read(&self, gvk: &Gvk, key: &ResourceKey) -> Result<Option<Value>, Status> {
        let live = match self.applier.read_as(gvk, key).await {
            Ok(live) => live,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(failed(key, &error)),
        };
        self.check_owner(&live, key)?;
        Ok(Some(live))
    }

    /// A live object of another application is not this one's to look at, nor one of
    /// nobody's that this one does not manage.
    fn check_owner(&self, live: &Value, key: &ResourceKey) -> Result<(), Status> {
        match self.shared.home.settings().tracking.owner(live) {
            Some(owner) if owner == self.instance => Ok(()),
            Some(_) => Err(Status::permission_denied(format!("{key} belongs to another application"))),
            None if self.tree.manages(key) => Ok(()),
            None => Err(Status::permission_denied(format!("{key} is not part of application {}", self.app))),
        }
    }

    fn describe(
        &self,
        key: &ResourceKey,
        target: Option<&Value>,
        live: Option<Value>,
        predicted: Option<&Value>,
    ) -> ResourceDiff {
        let mode = match predicted {
            Some(predicted) => DiffMode::ServerSideDryRun {
                predicted,
                manager: names::FIELD_MANAGER,
                include_mutation_webhook: self.include_mutation_webhook,
            },
            None => DiffMode::ThreeWay,
        };
        let (normalizer, schemas) = (&self.normalizer, &*self.schemas);
        let outcome = diff(DiffInput { target, live: live.as_ref(), normalizer, schemas, mode });
        let mut normalized = Value::clone(&outcome.normalized_live);
        let mut predicted = Value::clone(&outcome.predicted_live);
        mask_secrets(&mut [&mut normalized, &mut predicted], &self.masked);
        ResourceDiff {
            group: key.group.to_string(),
            kind: key.kind.to_string(),
            namespace: key.namespace.to_string(),
            name: key.name.to_string(),
            // As in Argo CD: the two states to be held against each other.
            target_state: predicted.to_string(),
            live_state: normalized.to_string(),
            resource_version: live.as_ref().map(object::resource_version).unwrap_or_default().to_owned(),
            hook: live.as_ref().is_some_and(argosy_engine::hook::is_hook),
            modified: outcome.modified,
            ..ResourceDiff::default()
        }
    }
}

fn failed(key: &ResourceKey, error: &argosy_cluster::Error) -> Status {
    let doing = format!("error running server side apply in dryrun mode for resource {}/{}", key.kind, key.name);
    // Errors of an apply and of a read are free of Secret values.
    refusal::of_cluster(&doing, error, None)
}
