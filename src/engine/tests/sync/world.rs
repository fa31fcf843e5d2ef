//! A cluster made of maps, its controllers, and an executor without choices.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use argosy_engine::health::{BuiltIn, Overrides};
use argosy_engine::hook;
use argosy_engine::sync::{
    Answer, ApplyMode, Destination, NamespaceRequest, OperationPhase, Outcome, Pair, Pass, ResourceResult, Selected,
    Served, Step, SyncInput, Task,
};
use argosy_model::options::SyncOptions;
use argosy_model::{GroupKind, Gvk, ResourceKey, object};
use jiff::Timestamp;
use serde_json::{Value, json};

/// When every operation of these tests starts.
pub(crate) const START: i64 = 1_700_000_000;

/// What the destination serves and permits.
pub(crate) struct Api {
    pub(crate) kinds: Mutex<HashMap<GroupKind, (String, bool)>>,
    pub(crate) denied: Mutex<Vec<String>>,
}

impl Destination for Api {
    fn served(&self, gvk: &Gvk) -> Served {
        match self.kinds.lock().expect("lock").get(&gvk.group_kind()) {
            None => Served::Missing,
            Some((version, _)) if **version != *gvk.version => Served::OtherVersion(version.clone()),
            Some((_, true)) => Served::Namespaced,
            Some((_, false)) => Served::Cluster,
        }
    }

    fn permitted(&self, object: &Value, _namespaced: bool) -> Result<(), String> {
        let kind = Gvk::of(object).kind.to_string();
        if self.denied.lock().expect("lock").contains(&kind) { Err(format!("{kind} is not permitted")) } else { Ok(()) }
    }

    fn overrides(&self) -> &dyn Overrides {
        &BuiltIn
    }
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) phase: OperationPhase,
    pub(crate) message: String,
}

/// Git, the cluster and what the Application remembers.
pub(crate) struct World {
    pub(crate) targets: Vec<Value>,
    pub(crate) hooks: Vec<Value>,
    pub(crate) options: Vec<&'static str>,
    pub(crate) prune: bool,
    pub(crate) dry_run: bool,
    pub(crate) terminating: bool,
    pub(crate) skip_hooks: bool,
    pub(crate) selection: Vec<Selected>,
    pub(crate) approved_at: Option<i64>,
    pub(crate) create_namespace: bool,
    pub(crate) attempt: i64,
    pub(crate) now: i64,

    pub(crate) objects: BTreeMap<ResourceKey, Value>,
    pub(crate) destination: Arc<Api>,
    /// Names that cannot be applied, with the reason.
    pub(crate) broken: HashMap<String, String>,
    /// Jobs whose outcome is failure, and those that never end.
    pub(crate) failing: Vec<String>,
    pub(crate) endless: Vec<String>,

    pub(crate) recorded: Vec<ResourceResult>,
    /// What happened, in order: `create job/x`, `delete …`, `release …`, `pause`.
    pub(crate) log: Vec<String>,
    pub(crate) waits: Vec<String>,
}

/// How a run is interrupted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crash {
    /// After how many steps.
    pub(crate) step: usize,
    /// Whether only the first half of that step's tasks is done.
    pub(crate) halfway: bool,
}

pub(crate) fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "n"}, "data": {"a": "1"}})
}

pub(crate) fn deployment(name: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "n"},
           "spec": {"replicas": 1, "template": {"spec": {"containers": [{"image": "img:1"}]}}}})
}

pub(crate) fn job(name: &str, phases: &str) -> Value {
    let job =
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "namespace": "n"}, "spec": {}});
    annotated(job, "argocd.argoproj.io/hook", phases)
}

pub(crate) fn annotated(mut object: Value, key: &str, value: &str) -> Value {
    object::set_annotation(&mut object, key, value);
    object
}

pub(crate) fn wave(object: Value, wave: i64) -> Value {
    annotated(object, "argocd.argoproj.io/sync-wave", &wave.to_string())
}

pub(crate) fn option(object: Value, options: &str) -> Value {
    annotated(object, "argocd.argoproj.io/sync-options", options)
}

pub(crate) fn policy(object: Value, policies: &str) -> Value {
    annotated(object, "argocd.argoproj.io/hook-delete-policy", policies)
}

impl World {
    pub(crate) fn new(targets: Vec<Value>, hooks: Vec<Value>) -> Self {
        let kinds = [
            ("", "ConfigMap", "v1", true),
            ("", "Secret", "v1", true),
            ("", "Service", "v1", true),
            ("", "Namespace", "v1", false),
            ("apps", "Deployment", "v1", true),
            ("batch", "Job", "v1", true),
            ("rbac.authorization.k8s.io", "ClusterRole", "v1", false),
            ("apiextensions.k8s.io", "CustomResourceDefinition", "v1", false),
        ];
        let kinds =
            kinds.map(|(group, kind, version, scope)| (GroupKind::new(group, kind), (version.to_owned(), scope)));
        Self {
            targets,
            hooks,
            options: Vec::new(),
            prune: false,
            dry_run: false,
            terminating: false,
            skip_hooks: false,
            selection: Vec::new(),
            approved_at: None,
            create_namespace: false,
            attempt: 0,
            now: START + 60,
            objects: BTreeMap::new(),
            destination: Arc::new(Api { kinds: Mutex::new(kinds.into()), denied: Mutex::default() }),
            broken: HashMap::new(),
            failing: Vec::new(),
            endless: Vec::new(),
            recorded: Vec::new(),
            log: Vec::new(),
            waits: Vec::new(),
        }
    }

    pub(crate) fn with_live(mut self, live: Vec<Value>) -> Self {
        self.objects.extend(live.into_iter().map(|o| (ResourceKey::of(&o), o)));
        self
    }

    pub(crate) fn input(&self) -> SyncInput {
        let live = |key: &ResourceKey| self.objects.get(key).map(|o| Arc::new(o.clone()));
        let mut resources: Vec<Pair> = self
            .targets
            .iter()
            .map(|target| {
                let key = ResourceKey::of(target);
                let live = live(&key);
                let modified =
                    live.as_ref().is_none_or(|l| ["spec", "data"].iter().any(|f| target.get(*f) != l.get(*f)));
                Pair { key, target: Some(Arc::new(target.clone())), live, modified }
            })
            .collect();
        let extra = self.objects.keys().filter(|key| !resources.iter().any(|pair| pair.key == **key));
        let extra: Vec<Pair> =
            extra.map(|key| Pair { key: key.clone(), target: None, live: live(key), modified: false }).collect();
        resources.extend(extra);
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}});
        let namespace_key = ResourceKey::of(&namespace);
        SyncInput {
            resources,
            hooks: self.hooks.iter().map(|h| Arc::new(h.clone())).collect(),
            options: SyncOptions::new(self.options.iter().map(|o| (*o).to_owned())),
            prune: self.prune,
            dry_run: self.dry_run,
            force: false,
            skip_hooks: self.skip_hooks,
            selection: self.selection.clone(),
            deletion_approved_at: self.approved_at.map(at),
            migration_manager: None,
            revision: "0123456789abcdef".to_owned(),
            started_at: at(START),
            attempt: self.attempt,
            namespace: "n".to_owned(),
            create_namespace: self
                .create_namespace
                .then(|| NamespaceRequest { manifest: Arc::new(namespace), live: live(&namespace_key) }),
            terminating: self.terminating,
            validated: false,
            recorded: self.recorded.clone(),
            wave_delay: Duration::from_secs(2),
            now: at(self.now),
        }
    }

    pub(crate) fn pass(&self) -> Pass {
        Pass::new(self.input(), self.destination.clone())
    }

    /// Runs the operation to its end, letting controllers work between passes.
    pub(crate) fn run(&mut self) -> End {
        self.run_with(None).expect("no crash was asked for")
    }

    /// One pass. `None` when it waits.
    pub(crate) fn run_pass(&mut self) -> Option<End> {
        let mut pass = self.pass();
        let mut answers = Vec::new();
        loop {
            let step = pass.next(std::mem::take(&mut answers));
            match step {
                Step::Wait { message, .. } => {
                    self.waits.push(message);
                    return None;
                }
                Step::Finish { phase, message } => {
                    self.recorded = pass.results().to_vec();
                    return Some(End { phase, message });
                }
                other => answers = self.execute(&pass, other, false),
            }
        }
    }

    /// As [`World::run`], dying once on the way. `Err` when the run was over before that.
    pub(crate) fn run_with(&mut self, crash: Option<Crash>) -> Result<End, &'static str> {
        let mut steps = 0;
        let mut crashed = crash.is_none();
        for _ in 0..60 {
            let mut pass = self.pass();
            let mut answers = Vec::new();
            loop {
                let step = pass.next(std::mem::take(&mut answers));
                match step {
                    Step::Wait { message, .. } => {
                        self.waits.push(message);
                        break;
                    }
                    Step::Finish { phase, message } => {
                        self.recorded = pass.results().to_vec();
                        return if crashed { Ok(End { phase, message }) } else { Err("over before the crash") };
                    }
                    other => {
                        steps += 1;
                        let dies = !crashed && crash.is_some_and(|c| c.step == steps);
                        answers = self.execute(&pass, other, dies && crash.is_some_and(|c| c.halfway));
                        if dies {
                            crashed = true;
                            break;
                        }
                    }
                }
            }
            self.tick();
        }
        panic!("the operation does not end: {:?}\n{:#?}", self.waits, self.log);
    }

    fn execute(&mut self, pass: &Pass, step: Step, halfway: bool) -> Vec<Answer> {
        let half = |tasks: Vec<Task>| {
            let keep = if halfway { tasks.len().div_ceil(2) } else { tasks.len() };
            tasks.into_iter().take(keep)
        };
        let mut answer = |tasks: Vec<Task>, act: fn(&mut Self, &Task) -> Outcome| {
            half(tasks).map(|task| Answer { id: task.id, outcome: act(self, &task) }).collect::<Vec<_>>()
        };
        match step {
            Step::Record { .. } => {
                self.recorded = pass.results().to_vec();
                Vec::new()
            }
            Step::Pause(_) => {
                self.log.push("pause".to_owned());
                Vec::new()
            }
            Step::Discover => {
                self.log.push("discover".to_owned());
                Vec::new()
            }
            Step::DryRun(tasks) => answer(tasks, Self::dry_run_one),
            Step::Apply(tasks) => {
                let names: Vec<String> = tasks.iter().map(|task| task.key.name.to_string()).collect();
                self.log.push(format!("batch {}", names.join(" ")));
                half(tasks).map(|task| Answer { id: task.id, outcome: self.apply(&task) }).collect()
            }
            Step::Prune(tasks, _) | Step::DeleteHooks(tasks, _) => answer(tasks, Self::delete),
            Step::ReleaseHooks(tasks) => answer(tasks, Self::release),
            Step::Confirm(tasks) => answer(tasks, |world, task| match world.objects.get(&task.key) {
                Some(live) => Outcome::Found(Arc::new(live.clone())),
                None => Outcome::Absent,
            }),
            Step::Wait { .. } | Step::Finish { .. } => unreachable!("handled by the loop"),
        }
    }

    fn dry_run_one(&mut self, task: &Task) -> Outcome {
        match self.broken.get(&*task.key.name).filter(|reason| reason.starts_with("dry")) {
            Some(reason) => Outcome::Failed(reason.clone()),
            None => Outcome::Applied { message: format!("{} (dry run)", task.key.name), live: None },
        }
    }

    fn apply(&mut self, task: &Task) -> Outcome {
        if let Some(reason) = self.broken.get(&*task.key.name) {
            return Outcome::Failed(reason.clone());
        }
        let target = task.target.as_deref().expect("applied tasks have targets");
        let name = format!("{}/{}", task.gvk.kind.to_lowercase(), task.key.name);
        if let Some(existing) = self.objects.get(&task.key).cloned() {
            if task.mode == ApplyMode::Create {
                return Outcome::Exists(Arc::new(existing));
            }
            let mut merged = existing.clone();
            merge(&mut merged, target);
            let word = if merged == existing { "unchanged" } else { "configured" };
            self.log.push(format!("{word} {name}"));
            self.objects.insert(task.key.clone(), merged.clone());
            return Outcome::Applied { message: format!("{name} {word}"), live: Some(Arc::new(merged)) };
        }
        let mut made = target.clone();
        made["metadata"]["generation"] = json!(1);
        self.log.push(format!("create {name}"));
        self.objects.insert(task.key.clone(), made.clone());
        if &*task.gvk.kind == "CustomResourceDefinition" {
            let text = |path: &[&str]| object::get(target, path).and_then(Value::as_str).expect("a CRD").to_owned();
            let kind = GroupKind::new(&text(&["spec", "group"]), &text(&["spec", "names", "kind"]));
            let namespaced = text(&["spec", "scope"]) == "Namespaced";
            self.destination.kinds.lock().expect("lock").insert(kind, ("v1".to_owned(), namespaced));
        }
        Outcome::Applied { message: format!("{name} created"), live: Some(Arc::new(made)) }
    }

    fn delete(&mut self, task: &Task) -> Outcome {
        let Some(live) = self.objects.get_mut(&task.key) else { return Outcome::Absent };
        self.log.push(format!("delete {}", task.key.name));
        live["metadata"]["deletionTimestamp"] = json!(at(self.now).to_string());
        Outcome::Deleted { gone: false }
    }

    fn release(&mut self, task: &Task) -> Outcome {
        let Some(live) = self.objects.get_mut(&task.key) else { return Outcome::Absent };
        if let Some(metadata) = object::metadata(live) {
            metadata.remove("finalizers");
        }
        self.log.push(format!("release {}", task.key.name));
        Outcome::Released
    }

    /// Controllers and garbage collection, for as long as anything moves.
    pub(crate) fn tick(&mut self) {
        self.now += 5;
        self.objects.retain(|_, live| !object::is_deleting(live) || object::finalizers(live).next().is_some());
        for (key, live) in &mut self.objects {
            let name = &*key.name;
            if object::is_deleting(live) || self.endless.iter().any(|e| e == name) {
                continue;
            }
            match &*key.kind {
                "Job" => {
                    let kind = if self.failing.iter().any(|f| f == name) { "Failed" } else { "Complete" };
                    live["status"] =
                        json!({"conditions": [{"type": kind, "status": "True", "message": format!("{name} {kind}")}]});
                }
                "Deployment" => {
                    live["status"] = json!({"observedGeneration": live["metadata"]["generation"],
                                            "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1});
                }
                _ => {}
            }
        }
    }

    /// How often something was logged.
    pub(crate) fn count(&self, entry: &str) -> usize {
        self.log.iter().filter(|line| *line == entry).count()
    }

    /// The place of something in the log.
    #[track_caller]
    pub(crate) fn place(&self, entry: &str) -> usize {
        self.log.iter().position(|line| line == entry).unwrap_or_else(|| panic!("no {entry:?} in {:#?}", self.log))
    }

    /// The message of a resource's result.
    pub(crate) fn result(&self, name: &str) -> Option<&ResourceResult> {
        self.recorded.iter().find(|r| *r.key.name == *name)
    }

    /// Whether any hook is still held by our finalizer.
    pub(crate) fn holds_hooks(&self) -> bool {
        self.objects.values().any(hook::is_held)
    }
}

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("in range")
}

pub(crate) fn success() -> End {
    End { phase: OperationPhase::Succeeded, message: "successfully synced (no more tasks)".to_owned() }
}

pub(crate) fn success_all_run() -> End {
    End { phase: OperationPhase::Succeeded, message: "successfully synced (all tasks run)".to_owned() }
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}
