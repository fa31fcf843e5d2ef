//! What is asked of an ApplicationSet before it is stored: pure.

use argosy_proto::resource::CustomResource as _;
use argosy_proto::v1alpha1::{ApplicationSet, ApplicationSetGenerator};
use serde_json::Value;
use tonic::Status;

use super::project;

/// Where what was applied with kubectl is written, with names that our types do
/// not know.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Whether it can be told who may make it, and whether its generators are known.
///
/// # Errors
/// `InvalidArgument` with what is wrong.
pub(super) fn validate(set: &ApplicationSet) -> Result<(), Status> {
    let invalid =
        |message: String| Err(Status::invalid_argument(format!("error validating ApplicationSets: {message}")));
    if set.metadata().name.is_empty() {
        return invalid("the ApplicationSet has no name".to_owned());
    }
    if project(set).contains("{{") {
        let message =
            "the Argo CD API does not currently support creating ApplicationSets with templated `project` fields";
        return invalid(message.to_owned());
    }
    match unrecognized(set) {
        None => Ok(()),
        Some(names) => {
            let names = if names.is_empty() { String::new() } else { format!(": {}", names.join(", ")) };
            let name = &set.metadata().name;
            invalid(format!("ApplicationSet {name} contains unrecognized generators{names}"))
        }
    }
}

/// The names of generators that are not known, as far as they can be found out;
/// `None` where all are.
fn unrecognized(set: &ApplicationSet) -> Option<Vec<String>> {
    let generators = set.spec.iter().flat_map(|spec| &spec.generators);
    let unknown: Vec<usize> = generators.enumerate().filter(|(_, g)| is_empty(g)).map(|(place, _)| place).collect();
    if unknown.is_empty() {
        return None;
    }
    let applied = set.metadata().annotations.get(LAST_APPLIED).map_or("", String::as_str);
    // Without it, or with something else in it, the names stay unknown.
    let applied: Value = serde_json::from_str(applied).unwrap_or_default();
    let name_of =
        |place: usize| applied.pointer(&format!("/spec/generators/{place}"))?.as_object()?.keys().next().cloned();
    let mut names: Vec<String> = unknown.into_iter().filter_map(name_of).collect();
    names.sort_unstable();
    names.dedup();
    Some(names)
}

fn is_empty(generator: &ApplicationSetGenerator) -> bool {
    *generator == ApplicationSetGenerator::default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(project: &str, generators: Value) -> ApplicationSet {
        let spec = json!({"generators": generators, "template": {"spec": {"project": project}}});
        let applied = json!({"spec": spec}).to_string();
        let object = json!({"metadata": {"name": "shops", "annotations": {LAST_APPLIED: applied}}, "spec": spec});
        serde_json::from_value(object).expect("an ApplicationSet")
    }

    fn message(set: &ApplicationSet) -> String {
        validate(set).map_or_else(|status| status.message().to_owned(), |()| String::new())
    }

    #[test]
    fn known_generators_are_fine_even_when_they_are_empty() {
        assert_eq!(message(&set("p", json!([{"clusters": {}}, {"list": {"elements": []}}, {"selector": {}}]))), "");
        assert_eq!(message(&set("p", json!([]))), "");
    }

    #[test]
    fn unknown_generators_are_named_where_their_names_can_be_found() {
        let mut unknown = set("p", json!([{"zoo": {}}, {"git": {}}, {"moon": {}}]));
        let start = "error validating ApplicationSets: ApplicationSet shops contains unrecognized generators";
        assert_eq!(message(&unknown), format!("{start}: moon, zoo"));
        unknown.metadata_mut().annotations.clear();
        assert_eq!(message(&unknown), start);
    }

    #[test]
    fn a_project_that_is_a_template_is_refused() {
        assert!(message(&set("{{ .project }}", json!([]))).contains("templated `project` fields"));
    }
}
