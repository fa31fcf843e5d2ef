//! `GET /api/badge`: how an application, or the applications of projects, are, as
//! a picture that other pages show.
//!
//! Asked for without a session, and so switched off until the settings say
//! otherwise; then every badge says `Unknown`. What is wrong in a question is a
//! 400 without words; an application that is not there or not served is a badge
//! that says so.

mod drawing;

use std::collections::HashSet;
use std::sync::Arc;

use argosy_model::AppKey;
use argosy_proto::resource::CustomResource as _;
use argosy_proto::v1alpha1::{Application, ApplicationStatus};
use axum::Router;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::StatusCode;
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE};

use self::drawing::Drawing;
use crate::index::project;
use crate::shared::Shared;

const UNKNOWN: &str = "Unknown";
const NOT_FOUND: &str = "Not Found";
const HEALTHY: &str = "Healthy";
const DEGRADED: &str = "Degraded";
const SYNCED: &str = "Synced";
const OUT_OF_SYNC: &str = "OutOfSync";

/// Longest name of an application, and longest label of one, in bytes.
const LONGEST_NAME: usize = 253;
const LONGEST_LABEL: usize = 63;

/// What a badge is about, as the address says it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Question {
    name: Option<String>,
    namespace: Option<String>,
    /// Empty ones count: they ask for projects, and name none.
    projects: Vec<String>,
    revision: bool,
    full_revision: bool,
    app_name: bool,
    width: Option<u32>,
}

/// Nobody can be called this.
#[derive(Debug, PartialEq, Eq)]
struct InvalidName;

/// What is to be shown.
#[derive(Debug, Default, PartialEq, Eq)]
struct Shown {
    health: String,
    sync: String,
    /// Empty where there is none.
    revision: String,
    /// Of the one application that was asked for.
    name: String,
    not_found: bool,
}

/// The badge's route.
pub(crate) fn routes(shared: Arc<Shared>) -> Router {
    Router::new().route("/api/badge", get(badge)).with_state(shared)
}

async fn badge(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery) -> Response {
    if !shared.home.settings().api.status_badge_enabled {
        // Not a word of the question is looked at.
        return picture(&drawn(&Shown::unknown(), &Question::default()));
    }
    let question = Question::read(query.as_deref().unwrap_or_default());
    match look(&shared, &question) {
        Ok(shown) => picture(&drawn(&shown, &question)),
        Err(InvalidName) => StatusCode::BAD_REQUEST.into_response(),
    }
}

fn picture(svg: &str) -> Response {
    let headers = [
        (CONTENT_TYPE, "image/svg+xml"),
        // What a cache keeps is wrong soon.
        (CACHE_CONTROL, "private, no-store"),
        // Pages of other sites may load badges by script.
        (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    ];
    (headers, svg.to_owned()).into_response()
}

fn look(shared: &Shared, question: &Question) -> Result<Shown, InvalidName> {
    let home = &shared.home;
    let mut shown = Shown::unknown();
    let mut namespace = home.namespace();
    if let Some(given) = &question.namespace {
        must(is_label(given))?;
        shown.not_found = !shared.namespaces().admits(given);
        namespace = given;
    }
    if let Some(name) = question.name.as_ref().filter(|_| !shown.not_found) {
        must(is_name(name))?;
        match home.apps().get(&AppKey::new(namespace, name)) {
            Some(app) => shown = Shown::of(&app),
            None => shown.not_found = true,
        }
    }
    if !question.projects.is_empty() && !shown.not_found {
        let mut names = question.projects.iter().filter(|name| !name.is_empty());
        must(names.all(|name| is_label(&name.to_lowercase())))?;
        let wanted: HashSet<&str> = question.projects.iter().map(String::as_str).collect();
        let apps = home.apps().list().into_iter().filter(|(key, _)| *key.namespace == *namespace);
        let apps = apps.map(|(_, app)| app).filter(|app| wanted.contains(project(app)));
        shown.add(apps.collect::<Vec<_>>().iter().map(|app| &**app));
    }
    Ok(shown)
}

// === impl Question ===

impl Question {
    /// Reads a query; of what may be there once, the first counts.
    fn read(query: &str) -> Self {
        let mut question = Self::default();
        let mut seen = HashSet::new();
        let is_true = |value: &str| value.eq_ignore_ascii_case("true");
        for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
            if key == "project" {
                question.projects.push(value.into_owned());
                continue;
            }
            if !seen.insert(key.to_string()) {
                continue;
            }
            match &*key {
                "name" => question.name = Some(value.into_owned()),
                "namespace" => question.namespace = Some(value.into_owned()),
                "revision" => question.revision = is_true(&value),
                "keepFullRevision" => question.full_revision = is_true(&value),
                "showAppName" => question.app_name = is_true(&value),
                "width" => question.width = value.parse().ok(),
                _ => {}
            }
        }
        question
    }
}

// === impl Shown ===

impl Shown {
    fn unknown() -> Self {
        Self { health: UNKNOWN.to_owned(), sync: UNKNOWN.to_owned(), ..Self::default() }
    }

    fn of(app: &Application) -> Self {
        let status = app.status.as_ref();
        let result = status.and_then(|s| s.operation_state.as_ref()).and_then(|state| state.sync_result.as_ref());
        let revision = result.map(|result| result.revisions.first().unwrap_or(&result.revision).clone());
        Self {
            health: health(status).to_owned(),
            sync: sync(status).to_owned(),
            revision: revision.unwrap_or_default(),
            name: app.metadata().name.clone(),
            not_found: false,
        }
    }

    /// Takes applications of projects in: one that is not well makes all so.
    fn add<'a>(&mut self, apps: impl Iterator<Item = &'a Application>) {
        let mut any = false;
        for app in apps {
            any = true;
            if sync(app.status.as_ref()) != SYNCED {
                OUT_OF_SYNC.clone_into(&mut self.sync);
            }
            if health(app.status.as_ref()) != HEALTHY {
                DEGRADED.clone_into(&mut self.health);
            }
        }
        if any && self.health != DEGRADED {
            HEALTHY.clone_into(&mut self.health);
        }
        if any && self.sync != OUT_OF_SYNC {
            SYNCED.clone_into(&mut self.sync);
        }
    }
}

fn health(status: Option<&ApplicationStatus>) -> &str {
    status.and_then(|status| status.health.as_ref()).map_or("", |health| &health.status)
}

fn sync(status: Option<&ApplicationStatus>) -> &str {
    status.and_then(|status| status.sync.as_ref()).map_or("", |sync| &sync.status)
}

fn drawn(shown: &Shown, question: &Question) -> String {
    let (left, right) = if shown.not_found { (NOT_FOUND, "") } else { (&*shown.health, &*shown.sync) };
    let revision = (question.revision && !shown.not_found && !shown.revision.is_empty()).then_some(&*shown.revision);
    Drawing {
        left,
        left_color: drawing::health_color(&shown.health),
        right,
        right_color: drawing::sync_color(&shown.sync),
        with_revision: question.revision,
        revision,
        full_revision: question.full_revision,
        title: Some(&*shown.name).filter(|name| question.app_name && !name.is_empty()),
        width: question.width,
    }
    .svg()
}

fn must(valid: bool) -> Result<(), InvalidName> {
    if valid { Ok(()) } else { Err(InvalidName) }
}

/// Whether something can be the name of an application.
fn is_name(name: &str) -> bool {
    name.len() <= LONGEST_NAME && name.split('.').all(is_part)
}

/// Whether something can be the name of a namespace or a project.
fn is_label(name: &str) -> bool {
    name.len() <= LONGEST_LABEL && is_part(name)
}

fn is_part(part: &str) -> bool {
    let is_end = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    part.chars().all(|c| is_end(c) || c == '-') && part.starts_with(is_end) && part.ends_with(is_end)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn app(health: &str, sync: &str) -> Application {
        serde_json::from_value(json!({
            "metadata": {"name": "shop", "namespace": "argocd"},
            "status": {
                "health": {"status": health}, "sync": {"status": sync},
                "operationState": {"syncResult": {"revision": "one", "revisions": ["aa29b85ab", "two"]}},
            },
        }))
        .expect("an application")
    }

    #[test]
    fn the_first_of_several_revisions_is_shown() {
        let shown = Shown::of(&app("Healthy", "Synced"));
        assert_eq!((&*shown.health, &*shown.sync, &*shown.revision), ("Healthy", "Synced", "aa29b85ab"));
    }

    #[test]
    fn a_project_is_as_well_as_its_worst_application() {
        let of = |states: &[(&str, &str)]| {
            let apps: Vec<_> = states.iter().map(|(health, sync)| app(health, sync)).collect();
            let mut shown = Shown::unknown();
            shown.add(apps.iter());
            (shown.health, shown.sync)
        };
        let pair = |health: &str, sync: &str| (health.to_owned(), sync.to_owned());
        assert_eq!(of(&[("Healthy", "Synced"), ("Healthy", "Synced")]), pair("Healthy", "Synced"));
        assert_eq!(of(&[("Healthy", "OutOfSync"), ("Missing", "Synced")]), pair("Degraded", "OutOfSync"));
        assert_eq!(of(&[("Progressing", "Unknown")]), pair("Degraded", "OutOfSync"));
        assert_eq!(of(&[]), pair("Unknown", "Unknown"));
    }

    #[test]
    fn questions_are_read_from_the_address() {
        let question = Question::read("name=a&name=b&project=x&project=&revision=TRUE&keepFullRevision=1&width=-5&w=1");
        let expected = Question {
            name: Some("a".to_owned()),
            projects: vec!["x".to_owned(), String::new()],
            revision: true,
            ..Question::default()
        };
        assert_eq!(question, expected);
    }

    #[test]
    fn names_are_those_of_kubernetes() {
        for good in ["a", "test.application-0", "0", &*"a".repeat(253)] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "foo_bar", "A", "a..b", ".a", "a-", "a.-b", "a/b", "<svg>", &*"a".repeat(254)] {
            assert!(!is_name(bad), "{bad}");
        }
        assert!(is_label("kube-system") && !is_label("kube.system") && !is_label("test$project"));
    }

    #[test]
    fn a_badge_of_nothing_says_that_nothing_was_found() {
        let shown = Shown { not_found: true, ..Shown::unknown() };
        let svg = drawn(&shown, &Question { revision: true, ..Question::default() });
        assert!(svg.contains(">Not Found</text>") && !svg.contains(">Unknown</text>"), "{svg}");
    }
}
