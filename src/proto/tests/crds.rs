//! `config/crds/` is what the types say. `UPDATE=1 cargo test` rewrites it.

use std::path::Path;

#[test]
fn the_committed_definitions_are_those_of_the_types() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/crds");
    for (name, definition) in argosy_proto::crd::files() {
        let path = folder.join(name);
        let text = serde_saphyr::to_string(&definition).expect("a definition is plain JSON");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &text).expect("config/crds is writable");
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == text, "{} is out of date: run UPDATE=1 cargo test -p argosy-proto", path.display());
    }
}
