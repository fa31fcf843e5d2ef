//! Compiles `proto/` with a pure-Rust compiler and gives the messages the JSON
//! form Kubernetes clients know. Names and `omitempty` come from the contract's
//! own table, so that the two forms of one type cannot drift apart.

use std::collections::HashMap;
use std::error::Error;
use std::path::{Path, PathBuf};

use prost_build::Config;
use protox::prost_reflect::prost_types::field_descriptor_proto::{Label, Type};
use protox::prost_reflect::prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet,
};

/// Package whose JSON rules are those of the reference's Go struct tags.
const V1ALPHA1: &str = "github.com.argoproj.argo_cd.v3.pkg.apis.application.v1alpha1";

/// Messages whose JSON is not an object of their fields; `json.rs` writes it.
const HAND_WRITTEN: &[&str] = &["Time", "MicroTime", "FieldsV1", "RawExtension", "IntOrString", "JSON"];

/// Fields of Kubernetes' own messages that are written even when empty.
const ALWAYS_WRITTEN: &[(&str, &[&str])] = &[
    ("GroupKind", &["group", "kind"]),
    ("LabelSelectorRequirement", &["key", "operator"]),
    ("OwnerReference", &["apiVersion", "kind", "name", "uid"]),
];

/// Lists whose absence says another thing than their emptiness.
const EMPTY_OR_ABSENT: &[(&str, &str)] = &[("AppProjectSpec", "namespaceResourceWhitelist")];

/// JSON name and `omitempty` of one field.
struct JsonField {
    name: String,
    omit_empty: bool,
    inline: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new("../../proto");
    println!("cargo::rerun-if-changed={}", root.display());
    let files = proto_files(root)?;
    let set = protox::compile(&files, [root])?;
    std::fs::write(
        Path::new(&std::env::var("OUT_DIR")?).join("descriptors.bin"),
        protox::prost::Message::encode_to_vec(&set),
    )?;

    let table = json_table(&std::fs::read_to_string(root.join("contract/json-fields.tsv"))?);
    let mut config = Config::new();
    config.btree_map(["."]);
    annotate(&mut config, &set, &table);
    config.include_file("packages.rs");
    tonic_prost_build::configure().compile_fds_with_config(set, config)?;
    Ok(())
}

fn proto_files(root: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut files = Vec::new();
    for folder in ["argocd", "argosy/peer/v1", "k8s"] {
        for entry in std::fs::read_dir(root.join(folder))? {
            files.push(entry?.path());
        }
    }
    files.sort();
    Ok(files)
}

/// Keyed by message and field name of the wire.
fn json_table(table: &str) -> HashMap<(String, String), JsonField> {
    let mut out = HashMap::new();
    for line in table.lines().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        let [message, go_name, _, json, wire] = columns[..] else { continue };
        let Some(wire_name) = wire.split(',').find_map(|p| p.strip_prefix("name=")) else { continue };
        let mut parts = json.split(',');
        let name = parts.next().unwrap_or("");
        let rest: Vec<&str> = parts.collect();
        // An embedded pointer without a name is inlined by Go just as `,inline` is.
        let inline = rest.contains(&"inline") || (name.is_empty() && go_name.is_empty());
        let name = if name.is_empty() { wire_name } else { name };
        let field =
            JsonField { name: name.to_owned(), omit_empty: rest.contains(&"omitempty") || json.is_empty(), inline };
        out.insert((message.to_owned(), wire_name.to_owned()), field);
    }
    out
}

fn annotate(config: &mut Config, set: &FileDescriptorSet, table: &HashMap<(String, String), JsonField>) {
    for file in &set.file {
        let package = file.package();
        if package.starts_with("google.") {
            continue;
        }
        for message in &file.message_type {
            if HAND_WRITTEN.contains(&message.name()) || !message.oneof_decl.iter().all(|o| o.name().starts_with('_')) {
                continue;
            }
            annotate_message(config, file, message, table);
        }
    }
}

fn annotate_message(
    config: &mut Config,
    file: &FileDescriptorProto,
    message: &DescriptorProto,
    table: &HashMap<(String, String), JsonField>,
) {
    let path = format!(".{}.{}", file.package(), message.name());
    config.type_attribute(&path, "#[derive(serde::Serialize, serde::Deserialize)]\n#[serde(default)]");
    for field in &message.field {
        let json = (file.package() == V1ALPHA1)
            .then(|| table.get(&(message.name().to_owned(), field.name().to_owned())))
            .flatten();
        let attribute = field_attribute(file, message, field, json);
        config.field_attribute(format!("{path}.{}", field.name()), attribute);
    }
}

fn field_attribute(
    file: &FileDescriptorProto,
    message: &DescriptorProto,
    field: &FieldDescriptorProto,
    json: Option<&JsonField>,
) -> String {
    if json.is_some_and(|j| j.inline) {
        return if matches!(field.type_name().rsplit('.').next(), Some("OptionalMap" | "OptionalArray")) {
            "#[serde(flatten, with = \"crate::json::inline_optional\")]".to_owned()
        } else {
            "#[serde(flatten)]".to_owned()
        };
    }
    let name = json.map_or(field.name(), |j| &j.name);
    // Go writes an empty list or map without `omitempty` as null, which says no more
    // than leaving it out, and leaving it out keeps documents as people wrote them.
    let repeated = field.label() == Label::Repeated;
    let always = ALWAYS_WRITTEN.iter().any(|(m, fields)| *m == message.name() && fields.contains(&field.name()));
    let omit = repeated || !always && json.is_none_or(|j| j.omit_empty);
    let mut parts = vec![format!("rename = \"{name}\"")];
    let is_message = field.r#type() == Type::Message;
    let is_option = !repeated
        && field.label() != Label::Required
        && (is_message || field.proto3_optional() || (file.syntax() != "proto3" && field.label() == Label::Optional));
    if field.r#type() == Type::Bytes && !repeated {
        parts.push(
            if is_option { "with = \"crate::json::bytes_option\"" } else { "with = \"crate::json::bytes\"" }.to_owned(),
        );
    } else if EMPTY_OR_ABSENT.contains(&(message.name(), field.name())) {
        parts.push("with = \"crate::json::empty_or_absent\"".to_owned());
    } else if is_bytes_map(message, field) {
        parts.push("with = \"crate::json::bytes_map\"".to_owned());
    } else if !is_option {
        parts.push("deserialize_with = \"crate::json::null_as_default\"".to_owned());
    }
    if is_option {
        parts.push("skip_serializing_if = \"Option::is_none\"".to_owned());
    } else if omit {
        parts.push("skip_serializing_if = \"crate::json::is_default\"".to_owned());
    }
    format!("#[serde({})]", parts.join(", "))
}

/// A `map<string, bytes>`: its entry is a nested message whose value is bytes.
fn is_bytes_map(message: &DescriptorProto, field: &FieldDescriptorProto) -> bool {
    let entry = field.type_name().rsplit('.').next();
    message
        .nested_type
        .iter()
        .filter(|n| Some(n.name()) == entry && n.options.as_ref().is_some_and(|o| o.map_entry()))
        .any(|n| n.field.iter().any(|f| f.name() == "value" && f.r#type() == Type::Bytes))
}
