//! What decisions cost: 50,000 of them under 1,000 rules for a subject of 70 groups,
//! as a list of applications asks. The policy is compiled beforehand; finding out
//! what the subject holds is measured, and nothing is remembered between decisions.
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use argosy_auth::rbac::{MatchMode, Permissions, Policy, ProjectPolicy, Sources, Subject};
use serde_json::json;

const RULES: usize = 1_000;
const GROUPS: usize = 70;
const DECISIONS: usize = 50_000;
const PROJECTS: usize = 500;
const ROUNDS: usize = 15;

fn main() {
    let subject = Subject {
        name: "Cg1zb21lLXVzZXItaWQ".to_owned(),
        groups: (0..GROUPS).map(|group| format!("organisation:team-{group}")).collect(),
    };
    let objects: Vec<String> =
        (0..DECISIONS).map(|n| format!("project-{:03}/application-{n}", n * 7 % (PROJECTS * 2))).collect();
    for (name, policy) in [
        ("prefixes", policy("project-{n}/*", false)),
        ("prefixes, with denials", policy("project-{n}/*", true)),
        ("no prefixes", policy("*-{n}/*", false)),
        ("classes and alternatives", policy("project-{n}/{a,b}[a-z]*", false)),
    ] {
        let permitted = count(&policy, &subject, &objects);
        report(name, permitted, median(|| black_box(count(&policy, &subject, &objects))));
    }

    let policy = policy("project-{n}/*", false);
    let projects: Vec<ProjectPolicy> = (0..PROJECTS * 2).map(project).collect();
    let permitted = count_in_projects(&policy, &subject, &objects, &projects);
    report(
        "prefixes, each in one of 1,000 projects",
        permitted,
        median(|| black_box(count_in_projects(&policy, &subject, &objects, &projects))),
    );
    report("who holds what, once", 1, median(|| usize::from(is_known(&black_box(policy.for_subject(&subject))))));
}

fn is_known(permissions: &Permissions<'_>) -> bool {
    permissions.permits("applications", "get", "")
}

/// Rules of 200 roles, of which the groups have 70 and everybody one.
fn policy(object: &str, denials: bool) -> Policy {
    let mut text = String::new();
    for n in 0..RULES {
        let role = n % 200;
        let action = ["get", "sync", "action/*", "update", "*"][n / 200];
        let effect = if denials && n % 10 == 4 { "deny" } else { "allow" };
        let object = object.replace("{n}", &format!("{:03}", n % PROJECTS));
        text.push_str(&format!("p, role:r{role}, applications, {action}, \"{object}\", {effect}\n"));
    }
    for group in 0..GROUPS {
        text.push_str(&format!("g, organisation:team-{group}, role:r{}\n", group * 2));
    }
    Policy::compile(&Sources { policy: &text, ..Sources::default() }).expect("a policy")
}

fn project(n: usize) -> ProjectPolicy {
    let name = format!("project-{n:03}");
    let groups: Vec<String> = (0..3).map(|g| format!("organisation:team-{}", (n + g * 31) % 400)).collect();
    let project = json!({"metadata": {"name": name}, "spec": {"roles": [{
        "name": "dev",
        "policies": [format!("p, proj:{name}:dev, applications, *, {name}/application-1*, allow")],
        "groups": groups,
    }]}});
    ProjectPolicy::compile(&serde_json::from_value(project).expect("a project"), MatchMode::Glob)
}

fn count(policy: &Policy, subject: &Subject, objects: &[String]) -> usize {
    let permissions = policy.for_subject(subject);
    objects.iter().filter(|object| permissions.permits("applications", "get", object)).count()
}

fn count_in_projects(policy: &Policy, subject: &Subject, objects: &[String], projects: &[ProjectPolicy]) -> usize {
    let permissions = policy.for_subject(subject);
    let within: Vec<_> = projects.iter().map(|project| permissions.within(project)).collect();
    let asked = objects.iter().enumerate();
    asked.filter(|(n, object)| within[n * 7 % (PROJECTS * 2)].permits("applications", "get", object)).count()
}

fn median(mut work: impl FnMut() -> usize) -> Duration {
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let begin = Instant::now();
            work();
            begin.elapsed()
        })
        .collect();
    times.sort();
    times[ROUNDS / 2]
}

fn report(name: &str, permitted: usize, time: Duration) {
    println!("{name}: {:.2} ms, {permitted} permitted", time.as_secs_f64() * 1e3);
}
