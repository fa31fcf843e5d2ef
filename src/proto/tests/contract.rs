//! The compiled messages are those of the contract's tables, row by row.

use std::collections::{BTreeSet, HashMap};

use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorSet};

const MESSAGES: &str = include_str!("../../../proto/contract/messages.tsv");
const SERVICES: &str = include_str!("../../../proto/contract/services.tsv");

fn descriptors() -> FileDescriptorSet {
    FileDescriptorSet::decode(argosy_proto::DESCRIPTORS).expect("a descriptor set")
}

fn type_name(message: &DescriptorProto, field: &FieldDescriptorProto) -> String {
    if let Some(entry) = message.nested_type.iter().find(|n| field.type_name().ends_with(&format!(".{}", n.name()))) {
        let part = |name| {
            let part = entry.field.iter().find(|f| f.name() == name).expect("a map entry has a key and a value");
            type_name(entry, part)
        };
        return format!("map<{},{}>", part("key"), part("value"));
    }
    match field.r#type() {
        Type::Message => field.type_name().trim_start_matches('.').to_owned(),
        Type::String => "string".to_owned(),
        Type::Bool => "bool".to_owned(),
        Type::Int64 => "int64".to_owned(),
        Type::Int32 => "int32".to_owned(),
        Type::Bytes => "bytes".to_owned(),
        other => format!("{other:?}"),
    }
}

/// A type as the table writes it, made absolute: names without a dot are the package's own.
fn absolute(package: &str, text: &str) -> String {
    if let Some(inner) = text.strip_prefix("map<").and_then(|t| t.strip_suffix('>')) {
        let (key, value) = inner.split_once(',').expect("a map has two types");
        return format!("map<{key},{}>", absolute(package, value.trim()));
    }
    let scalar = matches!(text, "string" | "bool" | "int64" | "int32" | "bytes");
    let text = text.trim_start_matches('.');
    if scalar || text.contains('.') { text.to_owned() } else { format!("{package}.{text}") }
}

#[test]
fn every_row_of_the_message_table_is_present_with_its_number_and_type() {
    let set = descriptors();
    let mut messages = HashMap::new();
    for file in &set.file {
        for message in &file.message_type {
            messages.insert((file.package().to_owned(), message.name().to_owned()), message);
        }
    }
    let mut checked = 0;
    for row in MESSAGES.lines().skip(1) {
        let columns: Vec<&str> = row.split('\t').collect();
        let [package, _, message, number, label, ty, name, ..] = columns[..] else { panic!("a short row: {row}") };
        let descriptor =
            messages.get(&(package.to_owned(), message.to_owned())).unwrap_or_else(|| panic!("no {message}"));
        checked += 1;
        if ty == "(empty)" {
            assert!(descriptor.field.is_empty(), "{message} has fields");
            continue;
        }
        let field = descriptor.field.iter().find(|f| f.name() == name).unwrap_or_else(|| panic!("no {message}.{name}"));
        assert_eq!(field.number().to_string(), number, "{message}.{name}");
        assert_eq!(type_name(descriptor, field), absolute(package, ty), "{message}.{name}");
        let repeated = field.label() == Label::Repeated;
        assert_eq!(repeated, label == "repeated" || ty.starts_with("map<"), "{message}.{name}");
        assert_eq!(field.label() == Label::Required, label == "required", "{message}.{name}");
    }
    assert!(checked > 1300, "the table has {checked} rows");
}

#[test]
fn every_row_of_the_service_table_is_present() {
    let set = descriptors();
    let mut methods = BTreeSet::new();
    for file in &set.file {
        for service in &file.service {
            for m in &service.method {
                methods.insert(format!(
                    "{}.{}/{} {} {} {} {}",
                    file.package(),
                    service.name(),
                    m.name(),
                    m.client_streaming(),
                    m.input_type().trim_start_matches('.'),
                    m.server_streaming(),
                    m.output_type().trim_start_matches('.')
                ));
            }
        }
    }
    for row in SERVICES.lines().skip(1) {
        let columns: Vec<&str> = row.split('\t').collect();
        let [package, service, rpc, request, response, ..] = columns[..] else { panic!("a short row: {row}") };
        let split = |text: &str| match text.strip_prefix("stream ") {
            Some(rest) => (true, absolute(package, rest)),
            None => (false, absolute(package, text)),
        };
        let ((cs, input), (ss, output)) = (split(request), split(response));
        let want = format!("{package}.{service}/{rpc} {cs} {input} {ss} {output}");
        assert!(methods.contains(&want), "missing {want}");
    }
}
