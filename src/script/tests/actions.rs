//! A user's own actions: discovery, results, and what survives the way through Lua.

use argosy_script::{CustomActions, Operation, ScriptError, Scripts};
use jiff::Timestamp;
use serde_json::{Value, json};

fn deployment() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop", "annotations": {}},
        "spec": {
            "replicas": 2, "ratio": 1.5, "whole": 2.0, "big": 9_007_199_254_740_993i64, "list": [], "map": {},
            "template": {"spec": {"volumes": [{"name": "v", "emptyDir": {}}], "containers": [{"args": [], "resources": {}}]}},
        },
    })
}

fn custom(yaml: &str) -> CustomActions {
    CustomActions::parse(yaml).expect("yaml").expect("actions")
}

fn run(lua: &str, parameters: &[(String, String)]) -> Result<Vec<(Operation, Value)>, ScriptError> {
    let mut own = CustomActions::default();
    own.definitions.push(argosy_script::Definition { name: "go".to_owned(), action_lua: lua.to_owned() });
    let done = Scripts::new().run(Some(&own), "go", &deployment(), parameters, Timestamp::UNIX_EPOCH)?;
    Ok(done.into_iter().map(|i| (i.operation, i.object)).collect())
}

const OWN: &str = r#"
mergeBuiltinActions: MERGE
discovery.lua: |
  return {restart = {disabled = true, iconClass = "fa", displayName = "Mine", params = {{name = "how"}}}, plain = {}}
definitions:
- name: restart
  action.lua: |
    obj.metadata.labels = {mine = "yes"}
    return obj
"#;

#[test]
fn a_users_actions_stand_alone_unless_merged() {
    let scripts = Scripts::new();
    let names = |merge: &str| {
        let own = custom(&OWN.replace("MERGE", merge));
        let found = scripts.discover(Some(&own), &deployment(), Timestamp::UNIX_EPOCH).expect("found");
        found.into_iter().map(|a| (a.name, a.disabled, a.display_name)).collect::<Vec<_>>()
    };
    let own = |name: &str, disabled, shown: &str| (name.to_owned(), disabled, shown.to_owned());
    assert_eq!(names("false"), [own("plain", false, ""), own("restart", true, "Mine")]);
    let merged = ["pause", "plain", "restart", "resume", "scale"];
    assert_eq!(names("true").into_iter().map(|a| a.0).collect::<Vec<_>>(), merged);
    assert!(names("true").contains(&own("restart", true, "Mine")), "the user's own goes first");
    // Running finds built-in ones either way.
    let own = custom(&OWN.replace("MERGE", "false"));
    let run = |action| scripts.run(Some(&own), action, &deployment(), &[], Timestamp::UNIX_EPOCH);
    assert_eq!(run("restart").expect("own")[0].object["metadata"]["labels"]["mine"], "yes");
    assert_eq!(run("pause").expect("built in")[0].object["spec"]["paused"], true);
    assert_eq!(run("nothing"), Err(ScriptError::NoSuchAction));
}

#[test]
fn discovery_that_returns_no_actions_is_an_error_or_none() {
    let discover = |lua: &str| {
        let own = CustomActions { discovery_lua: lua.to_owned(), ..CustomActions::default() };
        Scripts::new().discover(Some(&own), &deployment(), Timestamp::UNIX_EPOCH)
    };
    assert_eq!(discover("return {}"), Ok(Vec::new()));
    assert_eq!(discover(""), Err(ScriptError::NotATable("nil")));
    assert_eq!(discover("return 'x'"), Err(ScriptError::NotATable("string")));
    assert!(matches!(discover("return {'x'}"), Err(ScriptError::Output(_))));
    assert!(matches!(discover("return {a = 'x'}"), Err(ScriptError::Output(_))));
    assert_eq!(CustomActions::parse(""), Ok(None));
    assert!(matches!(CustomActions::parse("- a"), Err(ScriptError::Definitions(_))));
}

#[test]
fn an_object_comes_back_as_it_went_in() {
    assert_eq!(run("return obj", &[]), Ok(vec![(Operation::Patch, deployment())]));
    let done = run("obj.spec.replicas = tonumber(actionParams['n']) + 0.0 return obj", &[("n".into(), "3".into())]);
    let mut expected = deployment();
    expected["spec"]["replicas"] = 3.into();
    assert_eq!(done, Ok(vec![(Operation::Patch, expected)]));
    // New empty tables stand for what was there before.
    let done =
        run("obj.spec.map = {} obj.spec.template.spec.volumes[1].emptyDir = {} obj.spec.list = {} return obj", &[]);
    assert_eq!(done, Ok(vec![(Operation::Patch, deployment())]));
}

#[test]
fn a_list_says_of_each_object_what_to_do() {
    let lua =
        "local job = {apiVersion = 'batch/v1', kind = 'Job', metadata = {name = 'j'}, spec = obj.spec.template.spec}
        return {{operation = 'create', resource = job}, {operation = 'patch', resource = obj}}";
    let done = run(lua, &[]).expect("runs");
    assert_eq!((done[0].0, done[1].0), (Operation::Create, Operation::Patch));
    assert_eq!(done[0].1["spec"], deployment()["spec"]["template"]["spec"]);
    assert_eq!(run("return {}", &[]), Ok(Vec::new()));
    for (lua, reason) in [
        ("return {{operation = 'delete', resource = obj}}", "unsupported operation: \"delete\""),
        ("return {{resource = obj}}", "unsupported operation: null"),
        ("return {{operation = 'create'}}", "an impacted resource has no resource"),
        ("return {a = 1}", "Object 'Kind' is missing in the output of the script"),
        ("obj.spec[1] = 1 return obj", "cannot encode mixed or invalid key types"),
        ("obj.list = {[3] = 1} return obj", "cannot encode sparse array"),
        ("obj.number = 0/0 return obj", "json: unsupported value: NaN"),
    ] {
        assert_eq!(run(lua, &[]), Err(ScriptError::Output(reason.to_owned())), "{lua}");
    }
    assert_eq!(run("return nil", &[]), Err(ScriptError::NotATable("nil")));
    assert_eq!(run("error('invalid number: x', 0)", &[]), Err(ScriptError::Raised("invalid number: x".to_owned())));
}
