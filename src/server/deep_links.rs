//! Links to other systems that the settings make for applications, objects and
//! projects: `application.links`, `resource.links` and `project.links`.
//!
//! A link's address is a template over the facts, see [`template`]. A link that
//! cannot be made is left out and logged; the others are shown. Conditions (`if`)
//! are not understood: a link that has one is left out rather than shown where it
//! does not belong.

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod template;

use argosy_proto::application::{LinkInfo, LinksResponse};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::shared::Shared;
use template::Template;

/// Says where else an application is managed.
const MANAGED_BY_URL: &str = "argocd.argoproj.io/managed-by-url";

/// What links may speak of. Nothing secret is in it: who may see a link may see
/// what it is made of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) resource: Option<Value>,
    pub(crate) application: Option<Value>,
    pub(crate) cluster: Option<Value>,
    pub(crate) project: Option<Value>,
}

/// One link of the settings.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Link {
    url: String,
    title: String,
    description: Option<String>,
    #[serde(rename = "icon.class")]
    icon_class: Option<String>,
    #[serde(rename = "if")]
    condition: Option<String>,
}

/// Links of an application.
pub(crate) fn of_application(shared: &Shared, facts: &Facts) -> LinksResponse {
    let settings = shared.home.settings();
    let mut data = facts.data();
    if let Some(url) = settings.raw.config.get("url").filter(|url| !url.is_empty()) {
        data.entry("managedByURL").or_insert_with(|| Value::String(url.clone()));
    }
    links(shared, "application.links", &Value::Object(data))
}

/// Links of an object of an application.
pub(crate) fn of_resource(shared: &Shared, facts: &Facts) -> LinksResponse {
    links(shared, "resource.links", &Value::Object(facts.data()))
}

/// Links of a project, which must be without its tokens.
pub(crate) fn of_project(shared: &Shared, project: &Value) -> LinksResponse {
    let facts = Facts { project: Some(project.clone()), ..Facts::default() };
    links(shared, "project.links", &Value::Object(facts.data()))
}

// === impl Facts ===

impl Facts {
    fn data(&self) -> Map<String, Value> {
        let mut data = Map::new();
        let mut add = |name: &str, fact: &Option<Value>| {
            if let Some(fact) = fact {
                data.insert(name.to_owned(), fact.clone());
            }
        };
        add("resource", &self.resource);
        add("application", &self.application);
        add("app", &self.application);
        add("cluster", &self.cluster);
        add("project", &self.project);
        let managed = self.application.as_ref().and_then(|app| argosy_model::object::annotation(app, MANAGED_BY_URL));
        if let Some(managed) = managed.filter(|url| is_web_address(url)) {
            data.insert("managedByURL".to_owned(), managed.into());
        }
        data
    }
}

fn links(shared: &Shared, key: &str, facts: &Value) -> LinksResponse {
    let settings = shared.home.settings();
    let text = settings.raw.config.get(key).map_or("", String::as_str);
    let declared = match read(text) {
        Ok(declared) => declared,
        Err(problem) => {
            tracing::warn!(key, problem, "the links cannot be read");
            Vec::new()
        }
    };
    let mut items = Vec::new();
    for link in declared {
        match link.resolve(facts) {
            Ok(link) => items.push(link),
            Err(problem) => tracing::warn!(key, title = link.title, problem, "a link cannot be made"),
        }
    }
    LinksResponse { items }
}

fn read(text: &str) -> Result<Vec<Link>, String> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    serde_saphyr::from_str(text).map_err(|error| error.to_string())
}

// === impl Link ===

impl Link {
    fn resolve(&self, facts: &Value) -> Result<LinkInfo, String> {
        if self.condition.is_some() {
            return Err("conditions of links are not supported".to_owned());
        }
        let url = Template::parse(&self.url)?.render(facts);
        // What objects say of themselves goes into the address; it must not become
        // a program.
        check_scheme(&url, &self.url)?;
        Ok(LinkInfo {
            title: self.title.clone(),
            url,
            description: self.description.clone(),
            icon_class: self.icon_class.clone(),
        })
    }
}

/// Whether a page may be led to an address: of the web, one without a scheme, or of a
/// scheme that the settings themselves say. Read as browsers do, who pass over
/// blanks and line ends inside of schemes.
fn check_scheme(address: &str, template: &str) -> Result<(), String> {
    let scheme = match url::Url::parse(address) {
        Ok(url) => url.scheme().to_owned(),
        Err(url::ParseError::RelativeUrlWithoutBase) => return Ok(()),
        Err(_) => return Err("it is no address".to_owned()),
    };
    let is_script = matches!(scheme.as_str(), "javascript" | "data" | "vbscript" | "blob");
    let is_said = template.get(..=scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(&format!("{scheme}:")));
    if !is_script && (is_said || matches!(scheme.as_str(), "http" | "https" | "mailto")) {
        return Ok(());
    }
    Err(format!("{scheme} is no address of a page"))
}

fn is_web_address(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn resolve(yaml: &str, facts: &Facts) -> Vec<Result<String, String>> {
        let facts = Value::Object(facts.data());
        read(yaml).expect("links").iter().map(|link| link.resolve(&facts).map(|link| link.url)).collect()
    }

    #[test]
    fn a_link_speaks_of_the_facts_and_one_that_cannot_be_made_is_left_out() {
        let app = json!({"metadata": {"name": "web", "annotations": {MANAGED_BY_URL: "https://other"}}});
        let facts = Facts { application: Some(app), ..Facts::default() };
        let yaml = "- title: a\n  url: https://x/{{ .app.metadata.name }}\n  description: d\n  icon.class: fa\n\
                    - title: b\n  url: '{{ .managedByURL }}/y'\n\
                    - title: c\n  url: https://z\n  if: application.spec.project == \"p\"\n\
                    - title: d\n  url: '{{ range . }}'\n";
        let found = resolve(yaml, &facts);
        assert_eq!(found[0], Ok("https://x/web".to_owned()));
        assert_eq!(found[1], Ok("https://other/y".to_owned()));
        assert!(found[2].is_err() && found[3].is_err());
    }

    #[test]
    fn an_objects_words_do_not_become_a_program() {
        for word in
            ["JavaScript:alert(1)", " java\tscript:alert(1)", "java\nscript:alert(1)", "\u{1}data:text/html,x", "x:y"]
        {
            let app = json!({"metadata": {"labels": {"l": word}}});
            let facts = Facts { application: Some(app), ..Facts::default() };
            assert!(resolve("- url: '{{ .app.metadata.labels.l }}'", &facts)[0].is_err(), "{word:?}");
        }
    }

    #[test]
    fn the_settings_may_lead_to_other_programs() {
        let app = json!({"metadata": {"name": "web"}});
        let facts = Facts { application: Some(app), ..Facts::default() };
        let found = resolve(
            "- url: 'slack://channel?id={{ .app.metadata.name }}'\n- url: /logs/{{ .app.metadata.name }}\n",
            &facts,
        );
        assert_eq!(found, [Ok("slack://channel?id=web".to_owned()), Ok("/logs/web".to_owned())]);
    }
}
