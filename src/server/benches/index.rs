//! Lists and watches over 50,000 applications. Prints figures; fails nothing.
//!
//! `cargo bench -p argosy-server --bench index`

#![expect(clippy::print_stdout, reason = "figures are what this is for")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use argosy_home::Change;
use argosy_model::AppKey;
use argosy_proto::resource::CustomResource as _;
use argosy_proto::v1alpha1::{Application, ApplicationSource, ApplicationSpec, ResourceStatus};
use argosy_server::index::{Filter, Index, Replay, Selector, version};

const APPLICATIONS: usize = 50_000;
const WATCHERS: usize = 500;
const CHANGES: usize = 100;
/// Between two changes.
const PAUSE: Duration = Duration::from_millis(50);
const RESOURCES: usize = 10;

fn app(i: usize, version: usize) -> (AppKey, Arc<Application>) {
    let mut app = Application::default();
    let metadata = app.metadata_mut();
    metadata.name = format!("app-{i:05}");
    "argocd".clone_into(&mut metadata.namespace);
    metadata.resource_version = version.to_string();
    metadata.labels.insert("team".to_owned(), format!("team-{}", i % 50));
    metadata.labels.insert("tier".to_owned(), if i.is_multiple_of(2) { "web" } else { "db" }.to_owned());
    let source = ApplicationSource {
        repo_url: format!("https://git.example.com/{}.git", i % 300),
        path: format!("apps/{i}"),
        target_revision: "main".to_owned(),
        ..Default::default()
    };
    app.spec =
        Some(ApplicationSpec { project: format!("project-{}", i % 100), source: Some(source), ..Default::default() });
    let resource = |n: usize| ResourceStatus {
        group: "apps".to_owned(),
        kind: "Deployment".to_owned(),
        namespace: format!("ns-{i}"),
        name: format!("web-{n}"),
        status: "Synced".to_owned(),
        ..Default::default()
    };
    app.status.get_or_insert_default().resources = (0..RESOURCES).map(resource).collect();
    (AppKey::new("argocd", &app.metadata().name), Arc::new(app))
}

fn change(index: &Index, i: usize, version: usize) {
    let (key, new) = app(i, version);
    index.apply(Change::Applied { key, old: None, new });
}

/// About what a compiled policy takes to say yes.
fn permits(app: &Application) -> bool {
    let project = argosy_server::index::project(app);
    let object = format!("{project}/{}", app.metadata().name);
    argosy_model::glob::matches("project-*/*", &object, &[])
}

fn p99(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[(times.len() * 99 / 100).min(times.len() - 1)]
}

fn measure<T>(times: usize, mut run: impl FnMut() -> T) -> Duration {
    p99((0..times)
        .map(|_| {
            let begin = Instant::now();
            std::hint::black_box(run());
            begin.elapsed()
        })
        .collect())
}

fn lists(index: &Index) {
    let selector = |text: &str| Selector::parse(text).expect("a selector");
    let filters = [
        ("everything", Filter::default()),
        ("one project", Filter { projects: vec!["project-7".to_owned()], ..Filter::default() }),
        ("a common label", Filter { selector: selector("tier=web"), ..Filter::default() }),
        ("a rare label", Filter { selector: selector("team in (team-7),tier!=web"), ..Filter::default() }),
        ("nothing", Filter { selector: selector("team=none"), ..Filter::default() }),
        ("nothing, all looked at", Filter { selector: selector("team notin (none),!tier"), ..Filter::default() }),
    ];
    for (name, filter) in filters {
        let page = measure(100, || index.list(&filter, None, 100, permits));
        println!("page of 100, {name}: p99 {page:?}");
    }
    let whole = measure(5, || {
        let page = index.list(&Filter::default(), None, usize::MAX, permits);
        page.items.iter().map(|app| (**app).clone()).collect::<Vec<_>>()
    });
    println!("whole list, copied for the answer: slowest of 5 {whole:?}");
}

async fn watches(index: &Index) {
    let mut readers = Vec::new();
    let begin = Instant::now();
    let sent: Arc<Vec<std::sync::Mutex<Option<Instant>>>> =
        Arc::new((0..CHANGES).map(|_| std::sync::Mutex::new(None)).collect());
    let base = 1_000_000u64;
    for _ in 0..WATCHERS {
        let filter = Filter { since: base, ..Filter::default() };
        let mut watcher = index.watch(filter, Replay::Newer);
        let sent = sent.clone();
        readers.push(tokio::spawn(async move {
            let mut times = Vec::with_capacity(CHANGES);
            while times.len() < CHANGES {
                let event = watcher.next().await.expect("a reader that keeps up");
                if !permits(&event.app) {
                    continue;
                }
                let at = usize::try_from(version(&event.app) - base - 1).expect("a change");
                let begin = *sent[at].lock().expect("nobody panics");
                times.push(begin.expect("sent before it is told").elapsed());
            }
            times
        }));
    }
    while index.watchers() < WATCHERS {
        tokio::task::yield_now().await;
    }
    println!("{WATCHERS} watches begun in {:?}", begin.elapsed());
    for (n, slot) in sent.iter().enumerate() {
        *slot.lock().expect("nobody panics") = Some(Instant::now());
        change(index, n * 7 % APPLICATIONS, 1_000_001 + n);
        tokio::time::sleep(PAUSE).await;
    }
    let mut times = Vec::new();
    for reader in readers {
        times.extend(reader.await.expect("a reader"));
    }
    println!("a change until it is told, {WATCHERS} watches, {} events: p99 {:?}", times.len(), p99(times.clone()));
}

fn main() {
    let begin = Instant::now();
    let index = Index::empty();
    (0..APPLICATIONS).for_each(|i| change(&index, i, i + 1));
    println!("{APPLICATIONS} applications entered in {:?}", begin.elapsed());
    lists(&index);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(watches(&index));
}
