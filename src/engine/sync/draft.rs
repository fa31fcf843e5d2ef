//! Making the tasks of a pass out of its input: one per resource, one per phase
//! of each hook, one for the namespace where it must be made; then checked
//! against what the destination serves and what the project permits.

use std::collections::HashMap;
use std::sync::Arc;

use argosy_model::{GroupKind, Gvk, ResourceKey, object};
use serde_json::Value;

use super::task::Task;
use super::{ApplyMode, Destination, Pair, Served, SyncInput, mode, order};
use crate::hook::{self, Phase};

/// Tasks in order, and what is wrong with some of them.
pub(super) struct Draft {
    pub(super) tasks: Vec<Task>,
    /// Tasks that must not be tried, by place, with the reason.
    pub(super) invalid: Vec<(usize, String)>,
    /// Whether the dry run leaves a task out because its type is not there yet.
    pub(super) skip_dry_run: Vec<bool>,
}

/// What checking a task came to.
enum Check {
    Fine,
    /// The type is expected to come into being during the sync.
    Later,
    /// The object went with its type; there is nothing to do.
    Gone,
    Wrong(String),
}

/// The identities under which this operation's hooks live, so that those not
/// among the watched objects can be looked up before the pass.
pub fn hook_keys(input: &SyncInput, destination: &dyn Destination) -> Vec<ResourceKey> {
    let scopes = Scopes::new(input, destination);
    hooks(input, &scopes).into_iter().map(|task| task.key).collect()
}

/// Makes the tasks.
pub(super) fn draft(input: &SyncInput, destination: &dyn Destination) -> Draft {
    let scopes = Scopes::new(input, destination);
    let mut tasks = resources(input, &scopes);
    tasks.extend(hooks(input, &scopes));
    tasks.extend(namespace(input));
    find_live(input, &mut tasks);
    order::arrange(input, &mut tasks);

    let mut draft = Draft { tasks: Vec::new(), invalid: Vec::new(), skip_dry_run: Vec::new() };
    for mut task in tasks {
        let id = draft.tasks.len();
        let check = check(input, &scopes, &task);
        match check {
            Check::Gone => continue,
            Check::Wrong(ref reason) => draft.invalid.push((id, reason.clone())),
            Check::Fine | Check::Later => {}
        }
        task.id = id;
        if let Some(target) = &task.target {
            task.mode = mode::choose(input, target, task.live.as_deref(), task.is_hook);
        }
        draft.skip_dry_run.push(matches!(check, Check::Later));
        draft.tasks.push(task);
    }
    draft
}

fn resources(input: &SyncInput, scopes: &Scopes<'_>) -> Vec<Task> {
    let is_resource = |pair: &&Pair| {
        let object = pair.target.as_deref().or(pair.live.as_deref());
        // A hook that lives and has no target here is not thereby to be pruned.
        object.is_some_and(|o| !hook::is_hook(o) && !hook::is_skipped(o)) && input.selects(&pair.key)
    };
    input.resources.iter().filter(is_resource).map(|pair| resource(input, scopes, pair)).collect()
}

fn resource(input: &SyncInput, scopes: &Scopes<'_>, pair: &Pair) -> Task {
    let target = pair.target.as_ref().map(|target| placed(input, scopes, target));
    let mut task = blank(target, pair.live.clone(), Phase::Sync, scopes);
    task.key = pair.key.clone();
    if let Some(target) = &task.target {
        task.key.namespace = object::namespace(target).into();
    }
    task.modified = pair.modified;
    task.validate =
        mode::option(&input.options, task.target.as_deref(), task.live.as_deref(), "Validate") != Some("false");
    task
}

fn hooks(input: &SyncInput, scopes: &Scopes<'_>) -> Vec<Task> {
    if !input.runs_hooks() {
        return Vec::new();
    }
    let mut tasks = Vec::new();
    for manifest in input.hooks.iter().filter(|manifest| hook::is_hook(manifest)) {
        for phase in hook::phases(manifest) {
            tasks.push(hook_task(input, scopes, manifest, phase));
        }
    }
    tasks
}

fn hook_task(input: &SyncInput, scopes: &Scopes<'_>, manifest: &Arc<Value>, phase: Phase) -> Task {
    let run = hook::run_id(input.started_at, input.attempt, phase);
    let mut target = Value::clone(&placed(input, scopes, manifest));
    if object::name(&target).is_empty() {
        let name =
            hook::generated_name(object::generate_name(&target), &input.revision, phase.hook_type(), input.started_at);
        if let Some(metadata) = object::metadata(&mut target) {
            metadata.insert("name".to_owned(), Value::String(name));
        }
    }
    hook::prepare(&mut target, &run);
    let mut task = blank(Some(Arc::new(target)), None, phase, scopes);
    task.is_hook = true;
    task.run = run;
    task.validate = mode::option(&input.options, task.target.as_deref(), None, "Validate") != Some("false");
    task
}

/// The task that makes the destination namespace, or brings its managed labels
/// and annotations up to date. None where the application has it in git.
fn namespace(input: &SyncInput) -> Option<Task> {
    let request = input.create_namespace.as_ref().filter(|_| !input.namespace.is_empty())?;
    let is_it = |target: &Arc<Value>| mode::is_namespace(target) && object::name(target) == input.namespace;
    let in_git = input.resources.iter().filter_map(|pair| pair.target.as_ref()).chain(&input.hooks).any(is_it);
    if in_git || request.live.as_ref().is_some_and(|live| has_metadata_of(live, &request.manifest)) {
        return None;
    }
    let gvk = Gvk::of(&request.manifest);
    Some(Task {
        id: 0,
        key: ResourceKey::new(&gvk.group, &gvk.kind, "", &input.namespace),
        gvk,
        phase: Phase::PreSync,
        wave: hook::wave(&request.manifest),
        namespaced: Some(false),
        target: Some(request.manifest.clone()),
        live: request.live.clone(),
        mode: ApplyMode::Create,
        validate: true,
        is_hook: false,
        modified: true,
        run: String::new(),
    })
}

/// Whether a live object carries all labels and annotations of a manifest.
fn has_metadata_of(live: &Value, manifest: &Value) -> bool {
    ["labels", "annotations"].into_iter().all(|field| {
        let wanted = object::get(manifest, &["metadata", field]).and_then(Value::as_object);
        wanted.into_iter().flatten().all(|(key, value)| object::get(live, &["metadata", field, key]) == Some(value))
    })
}

/// The manifest in its namespace: the default one where a namespaced object
/// names none, none where the object belongs to the cluster.
fn placed(input: &SyncInput, scopes: &Scopes<'_>, manifest: &Arc<Value>) -> Arc<Value> {
    let wanted = match scopes.namespaced(&Gvk::of(manifest)) {
        Some(false) => "",
        _ if object::namespace(manifest).is_empty() => input.namespace.as_str(),
        _ => return manifest.clone(),
    };
    if object::namespace(manifest) == wanted {
        return manifest.clone();
    }
    let mut placed = Value::clone(manifest);
    object::set_namespace(&mut placed, wanted);
    Arc::new(placed)
}

fn blank(target: Option<Arc<Value>>, live: Option<Arc<Value>>, phase: Phase, scopes: &Scopes<'_>) -> Task {
    let object: &Value = target.as_deref().or(live.as_deref()).unwrap_or(&Value::Null);
    let gvk = Gvk::of(object);
    Task {
        id: 0,
        key: ResourceKey::of(object),
        phase,
        wave: hook::wave(object),
        namespaced: scopes.namespaced(&gvk),
        gvk,
        mode: ApplyMode::ClientSide { force: false },
        validate: true,
        is_hook: false,
        modified: true,
        run: String::new(),
        target,
        live,
    }
}

/// Gives hooks, and resources that moved, their live objects.
fn find_live(input: &SyncInput, tasks: &mut [Task]) {
    let live: HashMap<&ResourceKey, &Arc<Value>> =
        input.resources.iter().filter_map(|pair| Some((&pair.key, pair.live.as_ref()?))).collect();
    for task in tasks.iter_mut().filter(|task| task.live.is_none()) {
        task.live = live.get(&task.key).map(|live| Arc::clone(live));
    }
}

fn check(input: &SyncInput, scopes: &Scopes<'_>, task: &Task) -> Check {
    let served = scopes.destination.served(&task.gvk);
    let namespaced = match served {
        Served::Namespaced => true,
        Served::Cluster => false,
        Served::OtherVersion(_) if task.is_prune() => !task.key.namespace.is_empty(),
        Served::Missing if task.is_prune() => return Check::Gone,
        Served::Failed(reason) => return Check::Wrong(reason),
        Served::Missing | Served::OtherVersion(_) => return check_unserved(input, scopes, task, &served),
    };
    match scopes.destination.permitted(task.object(), namespaced) {
        Ok(()) => Check::Fine,
        Err(reason) => Check::Wrong(reason),
    }
}

/// A type that is not there: fine if the sync itself brings it, or if the user
/// says that something else will.
fn check_unserved(input: &SyncInput, scopes: &Scopes<'_>, task: &Task, served: &Served) -> Check {
    if let Some(namespaced) = scopes.of_crds.get(&task.gvk.group_kind()) {
        return match scopes.destination.permitted(task.object(), *namespaced) {
            Ok(()) => Check::Later,
            Err(reason) => Check::Wrong(reason),
        };
    }
    let skips =
        mode::option(&input.options, task.target.as_deref(), None, "SkipDryRunOnMissingResource") == Some("true");
    // The project is asked once the type, and with it the scope, is known.
    if skips && task.live.is_none() { Check::Later } else { Check::Wrong(missing_type(task, served)) }
}

/// Says that a type is missing, and what to do about it.
pub(super) fn missing_type(task: &Task, served: &Served) -> String {
    let (group_kind, kind) = (format!("{}/{}", task.gvk.group, task.gvk.kind), &task.gvk.kind);
    let resource = format!("{}/{}", task.key.namespace, task.key.name);
    match served {
        Served::OtherVersion(installed) => format!(
            "The Kubernetes API could not find version \"{}\" of {group_kind} for requested resource {resource}. \
             Version \"{installed}\" of {group_kind} is installed on the destination cluster.",
            task.gvk.version
        ),
        Served::Failed(reason) => reason.clone(),
        _ => format!(
            "The Kubernetes API could not find {group_kind} for requested resource {resource}. \
             Make sure the \"{kind}\" CRD is installed on the destination cluster."
        ),
    }
}

/// Scopes of types: as served, else as the CRDs of this sync declare.
struct Scopes<'a> {
    destination: &'a dyn Destination,
    of_crds: HashMap<GroupKind, bool>,
}

// === impl Scopes ===

impl<'a> Scopes<'a> {
    fn new(input: &SyncInput, destination: &'a dyn Destination) -> Self {
        let targets = input.resources.iter().filter_map(|pair| pair.target.as_ref()).chain(&input.hooks);
        let of_crds = targets
            .filter_map(|target| {
                let scope = object::get(target, &["spec", "scope"]).and_then(Value::as_str);
                Some((order::type_made(target)?, scope != Some("Cluster")))
            })
            .collect();
        Self { destination, of_crds }
    }

    fn namespaced(&self, gvk: &Gvk) -> Option<bool> {
        match self.destination.served(gvk) {
            Served::Namespaced => Some(true),
            Served::Cluster => Some(false),
            _ => self.of_crds.get(&gvk.group_kind()).copied(),
        }
    }
}
