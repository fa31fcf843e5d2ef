//! Equal content renders once, whoever asks; failures are remembered, not for ever.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use argosy_model::report;
use argosy_render::cache::{Cache, FailurePolicy, Key};
use argosy_render::{
    Entry, Error, MemoryTree, RenderRequest, Rendered, Renderer, RendererOptions, SourceType, Tree, TreeError,
};
use jiff::Timestamp;
use serde_json::{Value, json};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;
const MANIFEST: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";

fn minutes(n: u64) -> Timestamp {
    NOW + Duration::from_secs(n * 60)
}

fn renderer() -> Renderer {
    Renderer::new(RendererOptions::default())
}

fn source(path: &str) -> Value {
    json!({"path": path})
}

#[test]
fn a_commit_that_does_not_touch_the_path_costs_nothing() {
    let (renderer, source) = (renderer(), source("app"));
    let before = MemoryTree::new().with_file("app/a.yaml", MANIFEST).with_file("README", "1");
    let after = before.clone().with_file("README", "2");
    let first = renderer.render(&before, &RenderRequest::new(&source, "a"), NOW).expect("renders");
    let second = renderer.render(&after, &RenderRequest::new(&source, "b"), NOW).expect("renders");
    assert!(std::sync::Arc::ptr_eq(&first, &second));
    assert_eq!((renderer.stats().renders, renderer.stats().hits), (1, 1));
    assert_eq!(first.source_type, SourceType::Directory);
}

#[test]
fn a_changed_file_or_parameter_renders_anew() {
    let renderer = renderer();
    let tree = MemoryTree::new().with_file("app/a.yaml", MANIFEST);
    let changed = MemoryTree::new().with_file("app/a.yaml", MANIFEST.replace("name: a", "name: b"));
    let plain = source("app");
    let recursive = json!({"path": "app", "directory": {"recurse": true}});
    for (tree, source) in [(&tree, &plain), (&changed, &plain), (&tree, &recursive)] {
        renderer.render(tree, &RenderRequest::new(source, "a"), NOW).expect("renders");
    }
    assert_eq!(renderer.stats().renders, 3);
}

#[test]
fn a_link_out_of_the_path_makes_the_whole_repository_count() {
    let (renderer, source) = (renderer(), source("app"));
    let tree = |name: &str| {
        MemoryTree::new()
            .with_link("app/a.yaml", "../shared/a.yaml")
            .with_file("shared/a.yaml", MANIFEST.replace("name: a", name))
    };
    let name = |tree: &MemoryTree| {
        let rendered = renderer.render(tree, &RenderRequest::new(&source, "a"), NOW).expect("renders");
        argosy_model::object::name(&rendered.manifests[0]).to_owned()
    };
    assert_eq!(name(&tree("name: one")), "one");
    assert_eq!(name(&tree("name: two")), "two");
}

#[test]
fn an_override_for_one_application_leaves_others_alone() {
    let (renderer, source) = (renderer(), source("app"));
    let tree = MemoryTree::new()
        .with_file("app/a.yaml", MANIFEST)
        .with_file("app/b.yaml", MANIFEST)
        .with_file("app/.argocd-source-one.yaml", "directory: {include: a.yaml}\n");
    let count = |app| renderer.render(&tree, &RenderRequest::new(&source, app), NOW).expect("renders").manifests.len();
    assert_eq!((count("one"), count("two"), count("three")), (1, 2, 2));
    assert_eq!(renderer.stats().renders, 2);
}

#[test]
fn source_types_without_a_renderer_are_refused_by_name() {
    let renderer = renderer();
    for (file, name) in [("Chart.yaml", "Helm"), ("kustomization.yaml", "Kustomize")] {
        let tree = MemoryTree::new().with_file(&format!("app/{file}"), "");
        let error = renderer.render(&tree, &RenderRequest::new(&source("app"), "a"), NOW).expect_err("refused");
        assert!(report(&*error).starts_with(&format!("app: this is a {name} source")), "{}", report(&*error));
    }
    let tree = MemoryTree::new().with_file("app/a.yaml", MANIFEST);
    let plugin = json!({"path": "app", "plugin": {"name": "p"}});
    assert!(renderer.render(&tree, &RenderRequest::new(&plugin, "a"), NOW).is_err());
}

#[test]
fn no_cache_renders_again_and_replaces_what_is_remembered() {
    let (renderer, source) = (renderer(), source("app"));
    let tree = MemoryTree::new().with_file("app/a.yaml", MANIFEST);
    let request = RenderRequest::new(&source, "a");
    renderer.render(&tree, &request, NOW).expect("renders");
    renderer.render(&tree, &RenderRequest { no_cache: true, ..request.clone() }, NOW).expect("renders");
    renderer.render(&tree, &request, NOW).expect("renders");
    let stats = renderer.stats();
    assert_eq!((stats.renders, stats.hits, stats.entries), (2, 1, 1));
}

#[test]
fn three_failures_in_a_row_are_answered_from_memory_for_an_hour() {
    let (renderer, source) = (renderer(), source("app"));
    let tree = MemoryTree::new().with_file("app/a.yaml", "apiVersion: v1\nkind: [\nmetadata: {}\n");
    let ask = |no_cache, now| {
        let request = RenderRequest { no_cache, ..RenderRequest::new(&source, "a") };
        report(&*renderer.render(&tree, &request, now).expect_err("broken"))
    };
    for minute in 0..3 {
        assert!(ask(false, minutes(minute)).starts_with("Failed to unmarshal \"a.yaml\": line "));
    }
    let cached = "Manifest generation error (cached): Failed to unmarshal \"a.yaml\": line ";
    assert!(ask(false, minutes(3)).starts_with(cached));
    assert!(ask(false, minutes(59)).starts_with(cached));
    assert_eq!(renderer.stats().renders, 3);
    assert!(ask(true, minutes(59)).starts_with("Failed"), "a hard refresh tries");
    assert!(ask(false, minutes(60)).starts_with("Failed"), "the hour is over");
    assert!(ask(false, minutes(61)).starts_with("Failed"), "counting began anew");
    assert_eq!((renderer.stats().renders, renderer.stats().cached_failures), (6, 2));
}

/// A tree whose store is down until it is not.
struct Flaky {
    inner: MemoryTree,
    down: AtomicBool,
}

impl Tree for Flaky {
    fn tree_id(&self, path: &str) -> Result<Option<String>, TreeError> {
        self.inner.tree_id(path)
    }
    fn list(&self, path: &str, recursive: bool) -> Result<Vec<Entry>, TreeError> {
        self.inner.list(path, recursive)
    }
    fn read(&self, path: &str, max_bytes: u64) -> Result<Vec<u8>, TreeError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(TreeError::Read { path: path.to_owned(), source: "disk".into() });
        }
        self.inner.read(path, max_bytes)
    }
}

#[test]
fn a_store_that_was_down_is_asked_again() {
    let (renderer, source) = (renderer(), source("app"));
    let inner = MemoryTree::new().with_file("app/a.yaml", MANIFEST);
    let tree = Flaky { inner, down: AtomicBool::new(true) };
    for _ in 0..5 {
        let error = renderer.render(&tree, &RenderRequest::new(&source, "a"), NOW).expect_err("down");
        assert_eq!(report(&*error), "reading the source failed: app/a.yaml: reading the repository failed: disk");
    }
    tree.down.store(false, Ordering::SeqCst);
    assert!(renderer.render(&tree, &RenderRequest::new(&source, "a"), NOW).is_ok());
}

fn object() -> Result<Rendered, Error> {
    Ok(Rendered::new(vec![json!({"kind": "A"})], SourceType::Directory))
}

#[test]
fn many_askers_of_one_key_share_one_rendering() {
    const ASKERS: usize = 8;
    let cache = Cache::new(1 << 20, FailurePolicy::default());
    let (renders, start) = (AtomicUsize::new(0), Barrier::new(ASKERS));
    std::thread::scope(|scope| {
        for _ in 0..ASKERS {
            scope.spawn(|| {
                start.wait();
                let outcome = cache.get_or_render(Key([1; 32]), true, NOW, || {
                    renders.fetch_add(1, Ordering::SeqCst);
                    // Holds the rendering until all others have joined it.
                    let deadline = Instant::now() + Duration::from_secs(30);
                    while cache.stats().joins < (ASKERS - 1) as u64 && Instant::now() < deadline {
                        std::thread::yield_now();
                    }
                    object()
                });
                assert_eq!(outcome.expect("renders").manifests.len(), 1);
            });
        }
    });
    assert_eq!(renders.load(Ordering::SeqCst), 1);
}

#[test]
fn a_panic_while_rendering_lets_another_asker_render() {
    let cache = Cache::new(1 << 20, FailurePolicy::default());
    std::thread::scope(|scope| {
        let first = scope.spawn(|| {
            cache.get_or_render(Key([1; 32]), false, NOW, || {
                let deadline = Instant::now() + Duration::from_secs(30);
                while cache.stats().joins == 0 && Instant::now() < deadline {
                    std::thread::yield_now();
                }
                panic!("expected by the test")
            })
        });
        let deadline = Instant::now() + Duration::from_secs(30);
        while cache.stats().renders == 0 && Instant::now() < deadline {
            std::thread::yield_now();
        }
        assert!(cache.get_or_render(Key([1; 32]), false, NOW, object).is_ok());
        assert!(first.join().is_err());
    });
}

#[test]
fn results_are_bounded_by_bytes() {
    let one = object().expect("an object").bytes;
    let cache = Cache::new(one * 10, FailurePolicy::default());
    for n in 0..100 {
        cache.get_or_render(Key([n; 32]), false, NOW, object).expect("renders");
    }
    let stats = cache.stats();
    assert_eq!((stats.entries, stats.bytes, stats.evictions), (10, one * 10, 90));
}

#[test]
fn a_thousand_tiny_sources_render_quickly() {
    let renderer = renderer();
    let sources: Vec<Value> = (0..1000).map(|n| source(&format!("apps/{n:04}"))).collect();
    let tree = (0..1000).fold(MemoryTree::new(), |tree, n| {
        tree.with_file(&format!("apps/{n:04}/cm.yaml"), MANIFEST.replace("name: a", &format!("name: a{n}")))
    });
    let start = Instant::now();
    for source in &sources {
        renderer.render(&tree, &RenderRequest::new(source, "a"), NOW).expect("renders");
    }
    // The target is 100 us each when optimised; this bound is for unoptimised builds
    // on busy machines, and catches anything that grows with the repository.
    assert!(start.elapsed() < Duration::from_secs(10), "took {:?}", start.elapsed());
    assert_eq!(renderer.stats().renders, 1000);
}
