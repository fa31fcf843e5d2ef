//! How a simulated Pod fares: by its annotations, by rules for its labels, by the
//! names of its images, by what its command plainly says, and by options.

use std::time::Duration;

use argosy_model::{glob, object};
use serde_json::Value;

use crate::controllers::world::text;

/// How Pods fare unless they say otherwise.
#[derive(Clone, Debug)]
pub struct PodOptions {
    /// From reaching the node to running.
    pub start_after: Duration,
    /// How long a Pod that ends by itself runs, such as a Job's.
    pub run_for: Duration,
    /// From its deletion to its end.
    pub stop_after: Duration,
    /// From a container's failure to its next start.
    pub restart_after: Duration,
    /// How often a failing container is started again before it stays as it is.
    pub restarts: i64,
    /// Images that do not exist, as glob patterns, besides those whose names say so
    /// (`.invalid/`, `does-not-exist`, `nonexistent`, `no-such-image`).
    pub missing_images: Vec<String>,
    /// What becomes of Pods with a certain label; the first that fits counts.
    pub outcomes: Vec<OutcomeRule>,
}

/// What becomes of Pods with a label of a value, for those who cannot annotate
/// them. Written `label=value:outcome`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutcomeRule {
    label: String,
    value: String,
    outcome: String,
}

/// A text is no [`OutcomeRule`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutcomeRuleError {
    /// It has another form.
    #[error("it is not of the form label=value:outcome")]
    Form,
    /// The outcome is none.
    #[error("the outcome is none of {}", OUTCOMES.join(", "))]
    Outcome,
}

/// How one Pod fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Behaviour {
    pub(crate) start_after: Duration,
    pub(crate) restart_after: Duration,
    pub(crate) restarts: i64,
    /// The first image that cannot be pulled.
    pub(crate) missing_image: Option<String>,
    pub(crate) outcome: Outcome,
}

/// What becomes of a Pod that has started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It stays as it was scheduled.
    Waits,
    /// It is ready, until somebody deletes it.
    Runs,
    /// It runs and never gets ready.
    NeverReady,
    /// Its containers end.
    Ends {
        /// How long they run.
        after: Duration,
        /// Their exit code.
        code: i64,
    },
}

const START_AFTER: &str = "sandbox.argosy.io/start-after";
const RUN_FOR: &str = "sandbox.argosy.io/run-for";
/// One of [`OUTCOMES`].
const OUTCOME: &str = "sandbox.argosy.io/outcome";
const OUTCOMES: [&str; 6] = ["fail", "crash", "complete", "unready", "pending", "missing-image"];

const MISSING: [&str; 4] = [".invalid/", "does-not-exist", "nonexistent", "no-such-image"];

// === impl PodOptions ===

impl Default for PodOptions {
    fn default() -> Self {
        Self {
            start_after: Duration::from_millis(700),
            run_for: Duration::from_secs(1),
            stop_after: Duration::from_millis(300),
            restart_after: Duration::from_secs(2),
            restarts: 6,
            missing_images: Vec::new(),
            outcomes: Vec::new(),
        }
    }
}

impl PodOptions {
    /// Everything at once, for load and for tests.
    #[must_use]
    pub fn instant() -> Self {
        Self {
            start_after: Duration::ZERO,
            run_for: Duration::ZERO,
            stop_after: Duration::ZERO,
            restart_after: Duration::ZERO,
            ..Self::default()
        }
    }
}

// === impl OutcomeRule ===

impl std::str::FromStr for OutcomeRule {
    type Err = OutcomeRuleError;

    fn from_str(text: &str) -> Result<Self, OutcomeRuleError> {
        let (label, rest) = text.split_once('=').ok_or(OutcomeRuleError::Form)?;
        let (value, outcome) = rest.split_once(':').ok_or(OutcomeRuleError::Form)?;
        if label.is_empty() {
            return Err(OutcomeRuleError::Form);
        }
        if !OUTCOMES.contains(&outcome) {
            return Err(OutcomeRuleError::Outcome);
        }
        Ok(Self { label: label.to_owned(), value: value.to_owned(), outcome: outcome.to_owned() })
    }
}

// === impl Behaviour ===

impl Behaviour {
    /// How a Pod fares under these options.
    pub(crate) fn of(pod: &Value, options: &PodOptions) -> Self {
        let labels = &pod["metadata"]["labels"];
        let by_label = || options.outcomes.iter().find(|rule| labels[&rule.label] == rule.value.as_str());
        let asked = object::annotation(pod, OUTCOME).or_else(|| by_label().map(|rule| &*rule.outcome));
        let asked = asked.unwrap_or_default();
        Self {
            start_after: duration(pod, START_AFTER).unwrap_or(options.start_after),
            restart_after: options.restart_after,
            restarts: options.restarts,
            missing_image: missing_image(pod, options, asked),
            outcome: outcome(pod, options, asked),
        }
    }
}

fn missing_image(pod: &Value, options: &PodOptions, asked: &str) -> Option<String> {
    let containers =
        ["initContainers", "containers"].iter().filter_map(|field| pod["spec"][field].as_array()).flatten();
    let mut images = containers.filter_map(|container| container["image"].as_str());
    let is_missing = |image: &str| {
        asked == "missing-image"
            || MISSING.iter().any(|part| image.contains(part))
            || options.missing_images.iter().any(|pattern| glob::matches(pattern, image, &[]))
    };
    images.find(|image| is_missing(image)).map(str::to_owned)
}

fn outcome(pod: &Value, options: &PodOptions, asked: &str) -> Outcome {
    let run_for = duration(pod, RUN_FOR);
    let after = run_for.unwrap_or(options.run_for);
    let command = PodCommand::of(&pod["spec"]["containers"][0]);
    match asked {
        "pending" => return Outcome::Waits,
        "unready" => return Outcome::NeverReady,
        "fail" | "crash" => return Outcome::Ends { after, code: 1 },
        "complete" => return Outcome::Ends { after, code: 0 },
        _ => {}
    }
    let after = run_for.or_else(|| command.sleeps()).unwrap_or(options.run_for);
    match command.exit_code() {
        Some(code) => Outcome::Ends { after, code },
        None if matches!(text(pod, &["spec", "restartPolicy"]), "Never" | "OnFailure") => {
            Outcome::Ends { after, code: 0 }
        }
        None => Outcome::Runs,
    }
}

/// What a container is told to do, read for what is plain.
pub(crate) struct PodCommand(String);

// === impl PodCommand ===

impl PodCommand {
    /// The command and arguments of a container.
    pub(crate) fn of(container: &Value) -> Self {
        let words = ["command", "args"].iter().filter_map(|field| container[field].as_array()).flatten();
        Self(words.filter_map(Value::as_str).collect::<Vec<_>>().join(" "))
    }

    /// The code of a command that plainly fails: `false`, or one that ends in `exit 3`.
    fn exit_code(&self) -> Option<i64> {
        let command = &self.0;
        if command == "false" || command == "/bin/false" || command.ends_with("-c false") {
            return Some(1);
        }
        let mut words = command.split([' ', ';', '&', '\n']).rev().filter(|word| !word.is_empty());
        let code = words.next()?.parse().ok()?;
        (words.next() == Some("exit") && code != 0).then_some(code)
    }

    /// How long it sleeps.
    fn sleeps(&self) -> Option<Duration> {
        let (_, after) = self.0.split_once("sleep ")?;
        let word = after.split([' ', ';', '&', '\n']).next()?;
        let seconds: f64 = word.trim_end_matches('s').parse().ok()?;
        Duration::try_from_secs_f64(seconds).ok()
    }

    /// What it echoes.
    pub(crate) fn echoes(&self) -> Vec<String> {
        let parts = self.0.split("echo ").skip(1);
        let texts = parts.filter_map(|part| part.split([';', '&', '\n', '|', '>']).next());
        texts.map(|text| text.trim().trim_matches(['"', '\'']).to_owned()).collect()
    }
}

fn duration(pod: &Value, annotation: &str) -> Option<Duration> {
    let text = object::annotation(pod, annotation)?;
    text.parse::<jiff::SignedDuration>().ok()?.try_into().ok()
}
