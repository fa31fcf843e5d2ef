//! What hostile scripts can do: nothing but fail, soon.

use std::time::{Duration, Instant};

use argosy_script::{ScriptError, Scripts};
use jiff::Timestamp;
use serde_json::{Value, json};

fn object() -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"text": "b".repeat(4096)}})
}

/// Runs a script with all there is and says how it failed. Failing takes less
/// than the deadline and what a slow machine adds.
fn fails(script: &str) -> ScriptError {
    let begun = Instant::now();
    let outcome = Scripts::new().health(script, &object(), true, Timestamp::UNIX_EPOCH);
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(5), "{script}: {took:?}");
    outcome.expect_err(script)
}

fn says(script: &str) -> String {
    let health = Scripts::new().health(script, &object(), true, Timestamp::UNIX_EPOCH).expect(script);
    health.expect(script).message
}

#[test]
fn endless_loops_run_out_of_fuel() {
    for script in [
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "local function f() return pcall(f) end while true do f() end",
        "while true do pcall(error, 'x') end",
        "for i = 1, 1e18 do end",
        "local t = setmetatable({}, {__index = function(t, k) return t[k + 1] end}) while true do pcall(function() return t[1] end) end",
        "while true do pcall(string.find, obj.data.text, '.-.-.-.-x') end",
        "pcall(function() while true do end end) return {status = 'Healthy'}",
    ] {
        assert_eq!(fails(script), ScriptError::OutOfFuel, "{script}");
    }
}

#[test]
fn hostile_patterns_run_out_of_fuel() {
    for script in [
        "return string.find(string.rep('a', 100000), '.-.-.-.-.-b')",
        "return (string.rep('a', 100000)):match('a*a*a*a*a*b')",
        "for x in string.gmatch(string.rep('a', 1000000), '.-b') do end",
        "return string.gsub(string.rep('(', 100000), '%b()', '')",
        "return ('x'):rep(200000):find(('x'):rep(100000) .. 'y', 1, true)",
    ] {
        assert_eq!(fails(script), ScriptError::OutOfFuel, "{script}");
    }
    assert!(matches!(fails("return ('a'):rep(1000):find(('a?'):rep(1000) .. 'b')"), ScriptError::Raised(_)));
}

#[test]
fn memory_is_bounded() {
    for script in [
        "local t = {} for i = 1, 1e9 do t[i] = {i} end",
        "local s = 'x' while true do s = s .. s end",
        "local t = {} while true do t[#t + 1] = ('x'):rep(100000) .. #t end",
    ] {
        assert!(matches!(fails(script), ScriptError::OutOfMemory | ScriptError::OutOfFuel), "{script}");
    }
    assert!(matches!(fails("return ('x'):rep(1e9)"), ScriptError::Raised(_)));
    // The same text, many times over.
    let many = "local s = ('x'):rep(1000000) local t = {} for i = 1, 100 do t[i] = s end return {a = t}";
    assert!(matches!(fails(many), ScriptError::Output(_)));
    let doubled = "local t = {'x'} for i = 1, 60 do t = {t, t} end return {a = t}";
    assert!(matches!(fails(doubled), ScriptError::OutOfFuel | ScriptError::Output(_)));
}

#[test]
fn recursion_is_bounded() {
    let text = |error| if let ScriptError::Raised(text) = error { text } else { panic!("{error:?}") };
    assert!(text(fails("local function f() return 1 + f() end return f()")).contains("stack overflow"));
    let mutual = "local function f() return (('a'):gsub('a', f)) end return f()";
    assert!(text(fails(mutual)).contains("overflow"));
    assert_eq!(
        fails("local t = {} t.t = t return t"),
        ScriptError::Output("cannot encode recursively nested tables to JSON".to_owned())
    );
    let nested = format!("return {}1{}", "{".repeat(10_000), "}".repeat(10_000));
    assert!(matches!(fails(&nested), ScriptError::Syntax(_)));
}

#[test]
fn sorting_and_shifting_large_tables_is_paid_for() {
    let large = "local t = {} for i = 1, 400000 do t[i] = -i end ";
    assert_eq!(fails(&format!("{large} table.sort(t)")), ScriptError::OutOfFuel);
    let shift = format!("{large} while true do table.insert(t, 1, 0) table.remove(t, 1) end");
    assert_eq!(fails(&shift), ScriptError::OutOfFuel);
}

#[test]
fn the_machine_cannot_be_left() {
    let names = [
        "io",
        "debug",
        "package",
        "coroutine",
        "dofile",
        "loadfile",
        "load",
        "loadstring",
        "setfenv",
        "getfenv",
        "collectgarbage",
        "newproxy",
        "module",
        "gcinfo",
        "os.execute",
        "os.getenv",
        "os.exit",
        "os.remove",
        "string.dump",
    ];
    let all = names.map(|n| format!("tostring({n})")).join(",");
    let seen = says(&format!("return {{status = 'Healthy', message = table.concat({{{all}}}, ' ')}}"));
    assert!(seen.split(' ').all(|seen| seen == "nil"), "{seen}");
    for module in ["io", "debug", "ffi", "/etc/passwd"] {
        assert!(matches!(fails(&format!("require('{module}')")), ScriptError::Raised(_)));
    }
    assert!(matches!(fails("\u{1b}Lua"), ScriptError::Syntax(_)), "compiled code is no script");
    assert!(matches!(fails(&" ".repeat(2 << 20)), ScriptError::TooLong(_)));
}

#[test]
fn no_script_sees_another() {
    let scripts = Scripts::new();
    let run = |script: &str| scripts.health(script, &object(), true, Timestamp::UNIX_EPOCH);
    let spoil = "leaked = 1 _G.tostring = nil table.insert = nil string.find = nil os.time = nil obj.data = nil
        local m = getmetatable('') if m then m.__index = nil end rawset(_G, 'pairs', nil)";
    assert_eq!(run(spoil), Ok(None));
    let look = "return {status = 'Healthy', message = tostring(leaked) .. tostring(pairs ~= nil) .. tostring(table.insert ~= nil)
        .. tostring(string.find ~= nil) .. tostring(os.time()) .. tostring(('x'):find('x'))}";
    assert_eq!(run(look).expect("runs").expect("speaks").message, "niltruetruetrue01");
    // One that ran out takes nobody with it.
    assert_eq!(run("while true do end"), Err(ScriptError::OutOfFuel));
    assert!(run(look).is_ok());
}
