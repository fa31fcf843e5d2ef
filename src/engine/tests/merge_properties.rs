//! Properties of merging, diffing and normalising, over arbitrary JSON and over
//! values shaped like the types of a real API server.

use std::sync::OnceLock;

use argosy_engine::diff::{DiffInput, Mode, diff};
use argosy_engine::merge::{
    MANAGER, apply_json_merge, last_applied, three_way_patch, two_way_json_merge, with_last_applied,
};
use argosy_engine::normalize::{IgnoreRule, Normalizer, NormalizerConfig, content_hash};
use argosy_engine::schema::Schemas;
use argosy_model::Gvk;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn schemas() -> &'static Schemas {
    static SCHEMAS: OnceLock<Schemas> = OnceLock::new();
    SCHEMAS.get_or_init(|| {
        let mut schemas = Schemas::default();
        let document = serde_json::from_str(include_str!("data/openapi-v3-apis-apps-v1.json")).expect("a document");
        schemas.insert_document("apps/v1", &document).expect("inserts");
        schemas
    })
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3i64..100).prop_map(Value::from),
        "[a-c]{0,2}".prop_map(Value::from),
        Just(json!("1000m")),
        Just(json!(1.5)),
    ]
}

/// Any JSON, with the field names and directives that matter here.
fn anything() -> impl Strategy<Value = Value> {
    let key = prop_oneof![
        Just("name"),
        Just("spec"),
        Just("metadata"),
        Just("containers"),
        Just("ports"),
        Just("containerPort"),
        Just("template"),
        Just("env"),
        Just("annotations"),
        Just("volumes"),
        Just("strategy"),
        Just("a"),
        Just("b"),
        Just("$patch"),
        Just("$retainKeys"),
        Just("$setElementOrder/env"),
        Just("managedFields"),
        Just("fieldsV1"),
        Just("f:spec"),
        Just("k:{\"name\":\"a\"}"),
        Just("data"),
        Just("stringData"),
        Just("status"),
    ];
    scalar().prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            proptest::collection::btree_map(key.clone().prop_map(str::to_owned), inner, 0..6)
                .prop_map(|map| Value::Object(Map::from_iter(map))),
        ]
    })
}

/// An object with identity, of a known kind, a known kind with special rules, or a custom one.
fn object(body: Value, kind: usize) -> Value {
    let (api_version, kind) =
        [("apps/v1", "Deployment"), ("v1", "Secret"), ("example.com/v1", "Foo"), ("v1", "Endpoints")][kind];
    let mut fields = match body {
        Value::Object(fields) => fields,
        other => Map::from_iter([("spec".to_owned(), other)]),
    };
    fields.insert("apiVersion".to_owned(), json!(api_version));
    fields.insert("kind".to_owned(), json!(kind));
    Value::Object(fields)
}

prop_compose! {
    fn env_list()(names in proptest::collection::btree_set(0u8..6, 0..5), values in proptest::collection::vec(0u8..3, 6), rotate in 0usize..5)
        -> Value
    {
        let mut items: Vec<Value> =
            names.iter().map(|n| json!({"name": format!("e{n}"), "value": values[usize::from(*n)].to_string()})).collect();
        let by = if items.is_empty() { 0 } else { rotate % items.len() };
        items.rotate_left(by);
        Value::Array(items)
    }
}

prop_compose! {
    /// Deployments that differ in the ways deployments do.
    fn deployment()(
        replicas in proptest::option::of(0u8..3),
        containers in proptest::collection::btree_map("[ab]", (env_list(), proptest::option::of(0u8..2), any::<bool>()), 0..3),
        ports in proptest::collection::btree_set((80u16..82, any::<bool>()), 0..3),
        volume in proptest::option::of(any::<bool>()),
        finalizers in proptest::collection::btree_set("[xyz]", 0..3),
        labels in proptest::collection::btree_map("[kl]", "[vw]", 0..2),
        command in proptest::collection::vec("[ab]", 0..3),
    ) -> Value {
        let containers: Vec<Value> = containers.into_iter().map(|(name, (env, pull, full))| {
            let mut container = json!({"name": name, "image": "i"});
            if full {
                container["env"] = env;
                container["command"] = json!(command);
                container["ports"] = ports.iter().map(|(port, tcp)| {
                    json!({"containerPort": port, "protocol": if *tcp { "TCP" } else { "UDP" }})
                }).collect();
            }
            if let Some(pull) = pull {
                container["imagePullPolicy"] = json!(["Always", "Never"][usize::from(pull)]);
            }
            container
        }).collect();
        let mut spec = json!({"template": {"metadata": {"labels": labels}, "spec": {"containers": containers}}});
        if let Some(replicas) = replicas {
            spec["replicas"] = json!(replicas);
        }
        if let Some(host) = volume {
            spec["template"]["spec"]["volumes"] =
                if host { json!([{"name": "v", "hostPath": {"path": "/"}}]) } else { json!([{"name": "v", "emptyDir": {}}]) };
        }
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": spec,
            "metadata": {"name": "d", "finalizers": finalizers, "labels": labels}})
    }
}

fn is_modified(target: &Value, live: &Value, mode: Mode<'_>) -> bool {
    let (normalizer, _) = Normalizer::compile(&NormalizerConfig::default());
    diff(DiffInput { target: Some(target), live: Some(live), normalizer: &normalizer, schemas: schemas(), mode })
        .modified
}

/// Applies the target to live as a client would, and says what the patch was.
fn apply(target: &Value, live: &Value) -> (Value, Value) {
    let schema = schemas().get(&Gvk::of(target));
    let patch =
        three_way_patch(last_applied(live).as_ref(), &with_last_applied(target), live, schema).expect("objects");
    (patch.apply(live, schema), patch.body)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn after_an_apply_nothing_is_modified_and_nothing_is_left_to_send(
        first in deployment(), second in deployment(), foreign in deployment(),
    ) {
        // Somebody else's object, taken over, then changed.
        let (live, _) = apply(&first, &foreign);
        prop_assert!(!is_modified(&first, &live, Mode::ThreeWay), "taken over: {live}");
        let (live, patch) = apply(&second, &live);
        prop_assert!(!is_modified(&second, &live, Mode::ThreeWay), "{patch} made {live}");
        let (again, patch) = apply(&second, &live);
        prop_assert_eq!(&patch, &json!({}));
        prop_assert_eq!(again, live);
    }

    #[test]
    fn custom_resources_converge_too(first in anything(), second in anything()) {
        let (mut first, mut second) = (object(first, 2), object(second, 2));
        first["metadata"] = json!({"name": "f", "annotations": {"a": "1"}});
        second["metadata"] = json!({"name": "f"});
        // Only what the API server could have stored: objects, and no nulls.
        let stored = apply_json_merge(&json!({}), &first);
        let (live, patch) = apply(&second, &stored);
        prop_assert!(!is_modified(&second, &live, Mode::ThreeWay), "{patch} made {live}");
    }

    #[test]
    fn a_drift_is_what_the_prediction_repairs(target in deployment(), live in deployment()) {
        for mode in [Mode::ThreeWay, Mode::ServerSideApply { manager: MANAGER }] {
            let (normalizer, _) = Normalizer::compile(&NormalizerConfig::default());
            let input = DiffInput { target: Some(&target), live: Some(&live), normalizer: &normalizer, schemas: schemas(), mode };
            let outcome = diff(input);
            prop_assert!(!is_modified(&target, &outcome.predicted_live, mode), "{mode:?}: {}", outcome.predicted_live);
            if !outcome.modified {
                prop_assert_eq!(outcome.normalized_live, outcome.predicted_live);
            }
        }
    }

    #[test]
    fn an_object_is_no_drift_of_itself(target in deployment(), any in anything(), kind in 0usize..4) {
        for mode in [Mode::ThreeWay, Mode::ServerSideApply { manager: MANAGER }] {
            prop_assert!(!is_modified(&target, &target, mode));
            let any = object(any.clone(), kind);
            let live = apply_json_merge(&json!({}), &any);
            prop_assert!(!is_modified(&live, &live, mode), "{mode:?}: {live}");
        }
    }

    #[test]
    fn nothing_panics_on_any_json(a in anything(), b in anything(), c in anything(), kind in 0usize..4, bare: bool) {
        let wrap = |v: Value| if bare { v } else { object(v, kind) };
        let (target, live, predicted) = (wrap(a), wrap(b), wrap(c));
        let (normalizer, _) = Normalizer::compile(&rules());
        for mode in [
            Mode::ThreeWay,
            Mode::ServerSideApply { manager: "a" },
            Mode::ServerSideDryRun { predicted: &predicted, manager: "a", include_mutation_webhook: false },
        ] {
            diff(DiffInput { target: Some(&target), live: Some(&live), normalizer: &normalizer, schemas: schemas(), mode });
        }
        let schema = schemas().get(&Gvk::new("apps", "v1", "Deployment"));
        if let Ok(patch) = three_way_patch(Some(&predicted), &target, &live, schema) {
            patch.apply(&live, schema);
        }
        argosy_engine::merge::apply_strategic(&live, &predicted, schema);
        content_hash(&live, &normalizer);
        let (mut target, mut live) = (target, live);
        argosy_engine::mask::mask_secrets(&mut [&mut target, &mut live], &["a".to_owned()]);
    }

    #[test]
    fn normalising_twice_is_normalising_once(a in anything(), b in anything(), kind in 0usize..4) {
        let (a, b) = (object(a, kind), object(b, kind));
        let (normalizer, _) = Normalizer::compile(&rules());
        let once = normalizer.normalize(Some(&a), Some(&b), schemas());
        let (x, y) = (once.target.expect("given").into_owned(), once.live.expect("given").into_owned());
        let twice = normalizer.normalize(Some(&x), Some(&y), schemas());
        prop_assert_eq!(twice.target.as_deref(), Some(&x));
        prop_assert_eq!(twice.live.as_deref(), Some(&y));
    }

    #[test]
    fn a_json_merge_patch_leads_from_one_value_to_the_other(a in anything(), b in anything()) {
        let (a, b) = (apply_json_merge(&json!({}), &object(a, 2)), apply_json_merge(&json!({}), &object(b, 2)));
        match two_way_json_merge(&a, &b) {
            Some(patch) => prop_assert_eq!(apply_json_merge(&a, &patch), b),
            None => prop_assert_eq!(a, b),
        }
    }
}

fn rules() -> NormalizerConfig {
    let rule = IgnoreRule {
        group: "*".to_owned(),
        kind: "*".to_owned(),
        json_pointers: vec!["/spec/a".to_owned(), "/metadata/annotations".to_owned()],
        jq_path_expressions: vec![".spec.template.containers[]?".to_owned()],
        managed_fields_managers: vec!["a".to_owned()],
        ..IgnoreRule::default()
    };
    NormalizerConfig { rules: vec![rule], ignore_aggregated_roles: true, ..NormalizerConfig::default() }
}
