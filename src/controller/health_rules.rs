//! The users' own health rules: `resource.customizations` with `health.lua`.
//!
//! A rule holds for exactly its kind, else the first pattern that matches does, as
//! in Argo CD (which takes any of them). A script runs where the object is looked
//! at: in a pass or where a watch is read. Both are tasks of the shared pool, of
//! which a script takes a thread only after its other work went elsewhere; it must
//! not be asked on an actor's thread. A script that was stopped is not asked about
//! the same version of the same object again.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use argosy_engine::compare::Pair;
use argosy_engine::condition::{Finding, Kind};
use argosy_engine::health::{Health, Overrides, Status, Verdict};
use argosy_home::{Clock, Settings};
use argosy_model::glob::Pattern;
use argosy_model::{GroupKind, Gvk, object};
use argosy_proto::v1alpha1::ResourceOverride;
use argosy_script::{ScriptError, Scripts};
use serde_json::Value;
use tokio::runtime::{Handle, RuntimeFlavor};

/// Objects remembered on which a script was stopped. Each cost a script its whole
/// fuel; past these they are forgotten and cost it again.
const STOPPED: usize = 4096;

/// Keeps the rules compiled that hold now.
pub(crate) struct HealthRules {
    scripts: Arc<Scripts>,
    clock: Clock,
    current: Mutex<Option<(Arc<Settings>, Arc<CustomHealth>)>>,
}

/// The rules of one state of the settings.
pub(crate) struct CustomHealth {
    exact: HashMap<String, Rule>,
    patterns: Vec<(Pattern, Rule)>,
    scripts: Arc<Scripts>,
    clock: Clock,
    stopped: Mutex<HashMap<Version, String>>,
}

/// An object at one version: its uid and resourceVersion.
type Version = (String, String);

#[derive(Clone)]
struct Rule {
    script: String,
    open_libs: bool,
}

// === impl HealthRules ===

impl HealthRules {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { scripts: Arc::default(), clock, current: Mutex::default() }
    }

    /// The rules of the settings.
    pub(crate) fn of(&self, settings: &Arc<Settings>) -> Arc<CustomHealth> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, rules)) = current.as_ref()
            && (Arc::ptr_eq(known, settings) || known.overrides == settings.overrides)
        {
            return rules.clone();
        }
        let rules = Arc::new(CustomHealth::new(&settings.overrides, self.scripts.clone(), self.clock.clone()));
        *current = Some((settings.clone(), rules.clone()));
        rules
    }
}

// === impl CustomHealth ===

impl CustomHealth {
    fn new(overrides: &BTreeMap<String, ResourceOverride>, scripts: Arc<Scripts>, clock: Clock) -> Self {
        let (mut exact, mut patterns) = (HashMap::new(), Vec::new());
        for (key, value) in overrides.iter().filter(|(_, value)| !value.health_lua.is_empty()) {
            let rule = Rule { script: value.health_lua.clone(), open_libs: value.use_open_libs };
            exact.insert(key.clone(), rule.clone());
            if key.contains(['*', '?', '[', '{', '\\']) {
                patterns.push((Pattern::new(key, &[]), rule));
            }
        }
        Self { exact, patterns, scripts, clock, stopped: Mutex::default() }
    }

    /// The kinds that have a rule of their own.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = GroupKind> {
        self.exact.keys().filter(|key| !key.contains('*')).map(|key| {
            let (group, kind) = key.split_once('/').unwrap_or(("", key));
            GroupKind::new(group, kind)
        })
    }

    fn rule(&self, live: &Value) -> Option<&Rule> {
        if self.exact.is_empty() {
            return None;
        }
        let gvk = Gvk::of(live);
        let key = if gvk.group.is_empty() { gvk.kind.to_string() } else { format!("{}/{}", gvk.group, gvk.kind) };
        let pattern = || self.patterns.iter().find(|(pattern, _)| pattern.matches(&key)).map(|(_, rule)| rule);
        self.exact.get(&key).or_else(pattern)
    }

    fn ask(&self, rule: &Rule, live: &Value) -> Verdict {
        match off_the_pool(|| self.scripts.health(&rule.script, live, rule.open_libs, (self.clock)())) {
            Ok(None) => Verdict::NoHealth,
            // The script's statuses are the six.
            Ok(Some(said)) => {
                Verdict::Health(Health::new(Status::parse(&said.status).unwrap_or(Status::Unknown), said.message))
            }
            Err(error) => {
                if matches!(error, ScriptError::OutOfFuel | ScriptError::OutOfMemory) {
                    self.remember_stopped(live, &error.to_string());
                }
                Verdict::Failed(error.to_string())
            }
        }
    }

    fn remember_stopped(&self, live: &Value, reason: &str) {
        let mut stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        if stopped.len() >= STOPPED {
            stopped.clear();
        }
        stopped.insert(version(live), reason.to_owned());
    }
}

impl Overrides for CustomHealth {
    fn assess(&self, live: &Value) -> Verdict {
        let Some(rule) = self.rule(live) else { return Verdict::NoRule };
        let stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner).get(&version(live)).cloned();
        stopped.map_or_else(|| self.ask(rule, live), Verdict::Failed)
    }
}

fn version(live: &Value) -> Version {
    (object::uid(live).to_owned(), object::resource_version(live).to_owned())
}

/// Runs what may take long, after handing the other work of this thread over
/// where there are threads to take it.
fn off_the_pool<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

/// What a failing rule means for an application: a condition that tells of the
/// first resource it could not judge. How it compares is not affected.
pub(crate) fn failure(pairs: &[Pair]) -> Option<Finding> {
    let (pair, reason) = pairs.iter().find_map(|pair| Some((pair, pair.contribution.failure.as_ref()?)))?;
    let key = &pair.key;
    let message = format!(
        "error setting app health: failed to get resource health for {:?} with name {:?} in namespace {:?}: failed to get resource health for {}/{}: {reason}",
        key.kind, key.name, key.namespace, key.namespace, key.name
    );
    Some(Finding::new(Kind::ComparisonError, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rules(entries: &[(&str, &str)]) -> CustomHealth {
        let entry = |(key, script): &(&str, &str)| {
            let script = format!("return {{status = 'Degraded', message = '{script}'}}");
            ((*key).to_owned(), ResourceOverride { health_lua: script, ..ResourceOverride::default() })
        };
        let overrides = entries.iter().map(entry).collect();
        CustomHealth::new(&overrides, Arc::default(), Arc::new(|| jiff::Timestamp::UNIX_EPOCH))
    }

    fn says(rules: &CustomHealth, api_version: &str, kind: &str) -> Option<String> {
        match rules.assess(&json!({"apiVersion": api_version, "kind": kind})) {
            Verdict::Health(health) => Some(health.message),
            Verdict::NoRule => None,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_kinds_own_rule_goes_before_patterns() {
        let rules = rules(&[("*.example.com/*", "all"), ("db.example.com/Table", "table"), ("Pod", "pod")]);
        let seen = |api, kind| says(&rules, api, kind);
        assert_eq!(seen("db.example.com/v1", "Table").as_deref(), Some("table"));
        assert_eq!(seen("db.example.com/v1", "Index").as_deref(), Some("all"));
        assert_eq!(seen("v1", "Pod").as_deref(), Some("pod"));
        assert_eq!(seen("other.example/v1", "Pod"), None);
        let kinds: Vec<_> = rules.kinds().collect();
        assert_eq!(kinds.len(), 2);
    }

    #[test]
    fn a_script_that_was_stopped_is_asked_once_per_version() {
        let script = ResourceOverride { health_lua: "while true do end".to_owned(), ..ResourceOverride::default() };
        let overrides = BTreeMap::from([("Pod".to_owned(), script)]);
        let rules = CustomHealth::new(&overrides, Arc::default(), Arc::new(|| jiff::Timestamp::UNIX_EPOCH));
        let pod = |version: &str| json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"uid": "u", "resourceVersion": version}});
        let failed = Verdict::Failed(ScriptError::OutOfFuel.to_string());
        for at in ["1", "1", "2"] {
            assert_eq!(rules.assess(&pod(at)), failed);
        }
        assert_eq!(rules.stopped.lock().expect("unpoisoned").len(), 2);
    }
}
