use super::*;
use argosy_proto::v1alpha1::{ApplicationSource, ApplicationSpec};

struct Draft<'a> {
    name: &'a str,
    namespace: &'a str,
    project: &'a str,
    label: &'a str,
    version: u64,
}

fn draft(name: &str, version: u64) -> Draft<'_> {
    Draft { name, namespace: "argocd", project: "", label: "", version }
}

fn app(draft: &Draft<'_>) -> Arc<Application> {
    let mut app = Application::default();
    let metadata = app.metadata_mut();
    draft.name.clone_into(&mut metadata.name);
    draft.namespace.clone_into(&mut metadata.namespace);
    metadata.resource_version = draft.version.to_string();
    if !draft.label.is_empty() {
        metadata.labels.insert("team".to_owned(), draft.label.to_owned());
    }
    let source = ApplicationSource { repo_url: format!("https://git/{}", draft.name), ..Default::default() };
    app.spec = Some(ApplicationSpec { project: draft.project.to_owned(), source: Some(source), ..Default::default() });
    Arc::new(app)
}

fn apply(index: &Index, draft: &Draft<'_>) {
    let key = AppKey::new(draft.namespace, draft.name);
    index.apply(Change::Applied { key, old: None, new: app(draft) });
}

fn delete(index: &Index, name: &str) {
    index.apply(Change::Deleted { key: AppKey::new("argocd", name), last: None });
}

fn names(page: &Page) -> Vec<&str> {
    page.items.iter().map(|app| app.metadata().name.as_str()).collect()
}

fn list(index: &Index, filter: &Filter) -> Vec<String> {
    names(&index.list(filter, None, usize::MAX, |_| true)).into_iter().map(str::to_owned).collect()
}

/// Everything unread, as `KIND name version`.
fn drain(watcher: &mut Watcher) -> Vec<String> {
    let mut told = Vec::new();
    while let Some(event) = watcher.try_next().expect("fast enough") {
        let metadata = event.app.metadata();
        told.push(format!("{} {} {}", event.kind.as_str(), metadata.name, metadata.resource_version));
    }
    told
}

fn by_name(name: &str, since: u64) -> Filter {
    Filter { name: Some(name.to_owned()), namespace: Some("argocd".to_owned()), since, ..Filter::default() }
}

#[test]
fn a_list_is_sorted_by_name_and_narrowed_by_every_part_of_the_filter() {
    let index = Index::empty();
    for (i, name) in ["c", "a", "b", "d"].into_iter().enumerate() {
        apply(&index, &draft(name, 1 + i as u64));
    }
    apply(&index, &Draft { project: "p", label: "x", namespace: "other", ..draft("aa", 9) });
    assert_eq!(list(&index, &Filter::default()), ["a", "aa", "b", "c", "d"]);
    assert_eq!(list(&index, &Filter { projects: vec!["p".to_owned()], ..Filter::default() }), ["aa"]);
    assert_eq!(list(&index, &Filter { projects: vec!["default".to_owned()], ..Filter::default() }).len(), 4);
    let two = vec!["p".to_owned(), "default".to_owned()];
    assert_eq!(list(&index, &Filter { projects: two, ..Filter::default() }).len(), 5);
    assert_eq!(list(&index, &Filter { namespace: Some("other".to_owned()), ..Filter::default() }), ["aa"]);
    assert_eq!(list(&index, &Filter { name: Some("b".to_owned()), ..Filter::default() }), ["b"]);
    assert_eq!(list(&index, &Filter { repository: "https://git/c".to_owned(), ..Filter::default() }), ["c"]);
    let selector = Selector::parse("team in (x)").expect("a selector");
    assert_eq!(list(&index, &Filter { selector, ..Filter::default() }), ["aa"]);
    assert_eq!(index.latest_version(), 9);
}

#[test]
fn pages_follow_one_another_without_gap_and_leave_out_what_is_not_permitted() {
    let index = Index::empty();
    for i in 0..3000u64 {
        apply(&index, &draft(&format!("app-{i:04}"), i + 1));
    }
    let even = |app: &Application| version(app).is_multiple_of(2);
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = index.list(&Filter::default(), after, 100, even);
        all.extend(names(&page).into_iter().map(str::to_owned));
        after = page.next;
        if after.is_none() {
            break;
        }
        assert_eq!(page.items.len(), 100);
    }
    assert_eq!(all.len(), 1500);
    assert!(all.is_sorted());
}

#[test]
fn an_application_that_changes_its_project_leaves_the_old_one() {
    let index = Index::empty();
    apply(&index, &Draft { project: "old", ..draft("a", 1) });
    apply(&index, &Draft { project: "new", ..draft("a", 2) });
    assert!(list(&index, &Filter { projects: vec!["old".to_owned()], ..Filter::default() }).is_empty());
    assert_eq!(list(&index, &Filter { projects: vec!["new".to_owned()], ..Filter::default() }), ["a"]);
}

#[test]
fn an_application_that_loses_a_label_is_not_found_by_it() {
    let index = Index::empty();
    let by = |text: &str| Filter { selector: Selector::parse(text).expect("a selector"), ..Filter::default() };
    apply(&index, &Draft { label: "x", ..draft("a", 1) });
    apply(&index, &Draft { label: "y", ..draft("b", 2) });
    assert_eq!(list(&index, &by("team=x")), ["a"]);
    apply(&index, &Draft { label: "y", ..draft("a", 3) });
    assert!(list(&index, &by("team=x")).is_empty());
    assert_eq!(list(&index, &by("team=y")), ["a", "b"]);
    delete(&index, "b");
    assert_eq!(list(&index, &by("team in (y)")), ["a"]);
}

#[test]
fn a_watch_tells_what_is_there_and_then_every_change() {
    let index = Index::empty();
    apply(&index, &draft("a", 1));
    let mut watcher = index.watch(Filter::default(), Replay::Everything);
    assert_eq!(drain(&mut watcher), ["ADDED a 1"]);
    apply(&index, &draft("b", 2));
    assert_eq!(drain(&mut watcher), ["ADDED b 2"]);
    apply(&index, &draft("a", 3));
    delete(&index, "b");
    assert_eq!(drain(&mut watcher), ["MODIFIED a 3", "DELETED b 2"]);
}

#[test]
fn a_watch_of_one_application_is_told_its_state_unless_it_is_older_than_the_version_given() {
    let index = Index::empty();
    apply(&index, &draft("a", 5));
    apply(&index, &draft("b", 6));
    assert_eq!(drain(&mut index.watch(by_name("a", 5), Replay::Everything)), ["ADDED a 5"]);
    let mut later = index.watch(by_name("a", 7), Replay::Everything);
    assert!(drain(&mut later).is_empty());
    apply(&index, &draft("a", 8));
    assert_eq!(drain(&mut later), ["MODIFIED a 8"]);
}

#[test]
fn a_watch_from_a_lists_version_misses_nothing_since() {
    let index = Index::empty();
    apply(&index, &draft("a", 1));
    apply(&index, &draft("b", 2));
    let since = index.latest_version();
    apply(&index, &draft("a", 3));
    delete(&index, "b");
    let mut watcher = index.watch(Filter { since, ..Filter::default() }, Replay::Newer);
    assert_eq!(drain(&mut watcher), ["DELETED b 2", "ADDED a 3"]);
}

#[test]
fn who_waits_for_a_deletion_and_comes_too_late_hears_of_it() {
    let index = Index::empty();
    apply(&index, &draft("a", 1));
    delete(&index, "a");
    assert_eq!(drain(&mut index.watch(by_name("a", 0), Replay::Everything)), ["DELETED a 1"]);
    apply(&index, &draft("a", 4));
    assert_eq!(drain(&mut index.watch(by_name("a", 0), Replay::Everything)), ["ADDED a 4"]);
}

#[test]
fn unread_changes_of_one_application_are_told_as_one_and_its_end_is_not_lost() {
    let index = Index::empty();
    apply(&index, &draft("a", 1));
    let mut watcher = index.watch(Filter::default(), Replay::Everything);
    drain(&mut watcher);
    (2..100).for_each(|version| apply(&index, &draft("a", version)));
    assert_eq!(drain(&mut watcher), ["MODIFIED a 99"]);
    apply(&index, &draft("a", 100));
    delete(&index, "a");
    apply(&index, &draft("a", 102));
    assert_eq!(drain(&mut watcher), ["DELETED a 100", "ADDED a 102"]);
    apply(&index, &draft("short", 103));
    delete(&index, "short");
    assert!(drain(&mut watcher).is_empty());
}

#[test]
fn a_reader_far_behind_catches_up_with_everything_that_changed() {
    let index = Index::empty();
    for i in 0..10_000u64 {
        apply(&index, &draft(&format!("app-{i:05}"), i + 1));
    }
    let mut watcher = index.watch(Filter::default(), Replay::Everything);
    assert_eq!(drain(&mut watcher).len(), 10_000);
    for i in 0..9_000u64 {
        apply(&index, &draft(&format!("app-{i:05}"), 20_000 + i));
    }
    delete(&index, "app-00007");
    let told = drain(&mut watcher);
    let of = |name: &str| told.iter().filter(|line| line.contains(name)).map(String::as_str).collect::<Vec<_>>();
    assert_eq!(of("app-08999"), ["MODIFIED app-08999 28999"]);
    assert!(of("app-00000").contains(&"MODIFIED app-00000 20000"));
    assert_eq!(of("app-00007").last(), Some(&"DELETED app-00007 20007"));
    assert!(of("app-09500").is_empty());
    assert!(told.len() >= 9_000);
}

#[test]
fn a_reader_that_cannot_even_take_the_deletions_is_told_to_start_again() {
    let index = Index::empty();
    for i in 0..10_000u64 {
        apply(&index, &draft(&format!("app-{i:05}"), i + 1));
    }
    let mut watcher = index.watch(Filter::default(), Replay::Everything);
    drain(&mut watcher);
    for i in 0..10_000u64 {
        delete(&index, &format!("app-{i:05}"));
    }
    assert!(watcher.try_next().is_err());
}

#[test]
fn a_watch_that_is_dropped_costs_nothing_more() {
    let index = Index::empty();
    let watchers =
        [index.watch(by_name("a", 0), Replay::Everything), index.watch(Filter::default(), Replay::Everything)];
    assert_eq!(index.watchers(), 2);
    drop(watchers);
    assert_eq!(index.watchers(), 0);
}

#[tokio::test]
async fn a_waiting_watch_wakes_when_something_changes() {
    let index = Index::empty();
    let mut watcher = index.watch(Filter::default(), Replay::Everything);
    let waiting = tokio::spawn(async move { watcher.next().await.map(|event| event.kind) });
    apply(&index, &draft("a", 1));
    assert_eq!(waiting.await.expect("a task").expect("a change"), EventKind::Added);
}
