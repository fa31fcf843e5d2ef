//! What health scripts are given and what their answers mean.

use argosy_script::{HealthStatus, INVALID_STATUS, ScriptError, Scripts};
use jiff::Timestamp;
use serde_json::{Value, json};

fn certificate() -> Value {
    json!({
        "apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": {"name": "a", "generation": 3},
        "spec": {"dnsNames": ["a", "b"], "empty": {}, "ratio": 0.5, "none": null},
        "status": {"conditions": [{"type": "Issuing", "status": "False"}, {"type": "Ready", "status": "True", "message": "is up"}]},
    })
}

fn ask(script: &str, open: bool) -> Result<Option<HealthStatus>, ScriptError> {
    Scripts::new().health(script, &certificate(), open, Timestamp::UNIX_EPOCH)
}

fn status(status: &str, message: &str) -> Result<Option<HealthStatus>, ScriptError> {
    Ok(Some(HealthStatus { status: status.to_owned(), message: message.to_owned() }))
}

#[test]
fn a_script_reads_the_object_and_answers() {
    let script = r#"
        local hs = {status = "Progressing", message = "waiting"}
        if obj.status ~= nil and obj.status.conditions ~= nil then
          for i, condition in ipairs(obj.status.conditions) do
            if condition.type == "Ready" and condition.status == "True" then
              hs.status = "Healthy"
              hs.message = condition.message
            end
          end
        end
        return hs"#;
    assert_eq!(ask(script, false), status("Healthy", "is up"));
}

#[test]
fn nothing_and_an_empty_table_are_no_health() {
    for script in ["", "return nil", "return {}", "return {1, 2}", "return {status = 'Healthy'}, nil"] {
        assert_eq!(ask(script, false), Ok(None), "{script}");
    }
}

#[test]
fn a_status_that_is_none_of_the_six_is_unknown() {
    assert_eq!(ask("return {status = 'Fine', message = 'x'}", false), status("Unknown", INVALID_STATUS));
    assert_eq!(ask("return {message = 'x'}", false), status("Unknown", INVALID_STATUS));
    assert_eq!(ask("return {Status = 'Missing'}", false), status("Missing", ""));
}

#[test]
fn anything_else_is_an_error() {
    let not = |kind| Err(ScriptError::NotATable(kind));
    assert_eq!(ask("return 'Healthy'", false), not("string"));
    assert_eq!(ask("return 1", false), not("number"));
    assert_eq!(ask("return print", false), not("function"));
    assert_eq!(ScriptError::NotATable("string").to_string(), "expect table output from Lua script, not string");
    assert!(matches!(ask("return {status = 1}", false), Err(ScriptError::Output(_))));
    assert!(matches!(ask("return {status = 'Healthy', message = print}", false), Err(ScriptError::Output(_))));
    assert!(matches!(ask("return {", false), Err(ScriptError::Syntax(_))));
    assert_eq!(ask("error('boom', 0)", false), Err(ScriptError::Raised("boom".to_owned())));
    let Err(ScriptError::Raised(text)) = ask("\nreturn obj.nothing.at.all", false) else { panic!("no error") };
    assert!(text.starts_with("<string>:2: attempt to index") && !text.contains("traceback"), "{text}");
}

#[test]
fn libraries_are_there_where_argo_cd_has_them() {
    assert!(matches!(ask("return {status = string.format('%s', 'Healthy')}", false), Err(ScriptError::Raised(_))));
    let open = "return {status = string.format('%s', 'Healthy'), message = tostring(math.floor(obj.spec.ratio))}";
    assert_eq!(ask(open, true), status("Healthy", "0"));
    let time = "local os = require('os') return {status = 'Healthy', message = os.date('!%Y-%m-%dT%XZ') .. os.time()
        .. os.date('*t').year .. os.time({year = 1970, month = 1, day = 2, hour = 0})}";
    assert_eq!(ask(time, false), status("Healthy", "1970-01-01T00:00:00Z0197086400"));
    let base = "table.insert(obj.spec.dnsNames, 'c') local ok = pcall(error) local n = 0
        for k, v in pairs(obj.spec) do n = n + 1 end
        return {status = 'Healthy', message = table.concat(obj.spec.dnsNames, ',') .. tostring(ok) .. n .. type(obj.spec.none)}";
    assert_eq!(ask(base, false), status("Healthy", "a,b,cfalse3nil"));
}

#[test]
fn patterns_match_as_luas_do() {
    let expect = [
        ("('hello world'):find('o w')", "5 7"),
        ("('hello'):find('l')", "3 3"),
        ("('hello'):find('xyz')", "nil"),
        ("('hello'):find('')", "1 0"),
        ("('hello'):find('l', 4)", "4 4"),
        ("('hello'):find('l+', -2)", "4 4"),
        ("('a.b'):find('.', 1, true)", "2 2"),
        ("('key = value'):match('^(%w+)%s*=%s*(%w+)$')", "key value"),
        ("('v1.2.3'):match('(%d+)%.(%d+)')", "1 2"),
        ("('hello'):match('()ll()')", "3 5"),
        ("('f(a(b)c)d'):match('%b()')", "(a(b)c)"),
        ("('THE (quick) fox'):find('%((%a+)%)')", "5 11 quick"),
        ("('abcabc'):match('(abc)%1')", "abc"),
        ("('THE quick'):gsub('%f[%a]%a+', 'x')", "x x 2"),
        ("('hello world'):gsub('o', '0')", "hell0 w0rld 2"),
        ("('hello world'):gsub('o', '0', 1)", "hell0 world 1"),
        ("('hello'):gsub('', '-')", "-h-e-l-l-o- 6"),
        ("('abc'):gsub('%w', '%0%0')", "aabbcc 3"),
        ("('abc'):gsub('^a', 'x')", "xbc 1"),
        ("('$a $b'):gsub('%$(%w)', {a = 1})", "1 $b 2"),
        ("('abc'):gsub('b', function(c) return c:upper() end)", "aBc 1"),
        ("('[x]'):match('[]%]]')", "]"),
        ("('a-b'):match('[a%-]+')", "a-"),
        ("('x123'):match('[^%d]')", "x"),
        ("('aaa'):match('a-$')", "aaa"),
        ("('ab'):rep(3)", "ababab"),
    ];
    for (expression, result) in expect {
        let script = format!(
            "local r = {{{expression}}} local n = select('#', {expression}) for i = 1, n do r[i] = tostring(r[i]) end
             return {{status = 'Healthy', message = table.concat(r, ' ', 1, n)}}"
        );
        assert_eq!(ask(&script, true), status("Healthy", result), "{expression}");
    }
    let words = "local r = {} for w in ('one two'):gmatch('%a+') do r[#r + 1] = w end
        for k, v in string.gmatch('a=1, b=2', '(%w+)=(%w+)') do r[#r + 1] = k .. v end
        return {status = 'Healthy', message = table.concat(r, ' ')}";
    assert_eq!(ask(words, true), status("Healthy", "one two a1 b2"));
}
