//! The contract's table of services: its rows with a path, each with a matcher and
//! the descriptors of its messages.

use prost_reflect::{DescriptorPool, MessageDescriptor, MethodDescriptor};

use super::Error;
use super::pattern::Pattern;

const SERVICES: &str = include_str!("../../../proto/contract/services.tsv");

/// See the module's page.
pub(super) struct Table {
    pub(super) bindings: Vec<Binding>,
}

/// One row: a path of an rpc.
#[derive(Clone, Debug)]
pub(super) struct Binding {
    /// Position in the table.
    pub(super) row: usize,
    /// `package.Service/Method`.
    pub(super) rpc: String,
    pub(super) method: http::Method,
    pub(super) pattern: Pattern,
    pub(super) body: BodyRule,
    pub(super) flow: Flow,
    pub(super) input: MessageDescriptor,
    pub(super) output: MessageDescriptor,
}

/// What a request's body is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BodyRule {
    /// Nothing.
    None,
    /// The whole message; then the query counts for nothing.
    Whole,
    /// This field of it.
    Field(String),
}

/// Which sides stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    Unary,
    ServerStream,
    ClientStream,
}

// === impl Table ===

impl Table {
    pub(super) fn parse(pool: &DescriptorPool) -> Result<Self, Error> {
        let mut bindings = Vec::new();
        for (row, line) in SERVICES.lines().enumerate().skip(1) {
            let binding = binding(row, line, pool).map_err(|reason| Error::Table { row: row + 1, reason })?;
            bindings.extend(binding);
        }
        Ok(Self { bindings })
    }
}

fn binding(row: usize, line: &str, pool: &DescriptorPool) -> Result<Option<Binding>, String> {
    let columns: Vec<&str> = line.split('\t').collect();
    let [package, service, rpc, _, _, http_method, path, body] = columns[..] else {
        return Err(format!("{} columns instead of 8", columns.len()));
    };
    if path.is_empty() {
        return Ok(None);
    }
    let method = method(pool, package, service, rpc)?;
    let input = method.input();
    let pattern = Pattern::parse(path)?;
    for variable in pattern.variables() {
        has_field(&input, variable)?;
    }
    let body = match body {
        "" => BodyRule::None,
        "*" => BodyRule::Whole,
        field => {
            has_field(&input, field)?;
            BodyRule::Field(field.to_owned())
        }
    };
    Ok(Some(Binding {
        row,
        rpc: format!("{package}.{service}/{rpc}"),
        method: http_method.parse().map_err(|_| format!("method {http_method:?}"))?,
        pattern,
        body,
        flow: flow(&method)?,
        output: method.output(),
        input,
    }))
}

fn method(pool: &DescriptorPool, package: &str, service: &str, rpc: &str) -> Result<MethodDescriptor, String> {
    let name = format!("{package}.{service}");
    let service = pool.get_service_by_name(&name).ok_or_else(|| format!("no service {name}"))?;
    service.methods().find(|method| method.name() == rpc).ok_or_else(|| format!("no method {rpc} of {name}"))
}

fn flow(method: &MethodDescriptor) -> Result<Flow, String> {
    match (method.is_client_streaming(), method.is_server_streaming()) {
        (false, false) => Ok(Flow::Unary),
        (false, true) => Ok(Flow::ServerStream),
        (true, false) => Ok(Flow::ClientStream),
        (true, true) => Err("streams both ways".to_owned()),
    }
}

/// Whether a message has a field at a dotted path.
fn has_field(message: &MessageDescriptor, path: &str) -> Result<(), String> {
    let mut message = Some(message.clone());
    for name in path.split('.') {
        let field = message.as_ref().and_then(|message| message.get_field_by_name(name));
        let field = field.ok_or_else(|| format!("no field {path}"))?;
        message = field.kind().as_message().cloned();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        Table::parse(&DescriptorPool::decode(argosy_proto::DESCRIPTORS).unwrap()).unwrap()
    }

    #[test]
    fn every_row_with_a_path_becomes_a_matcher() {
        let rows = SERVICES.lines().skip(1).filter(|line| line.contains("\t/api/")).count();
        let table = table();
        assert_eq!(table.bindings.len(), rows);
        assert!(rows > 100);
        for binding in &table.bindings {
            let path = binding.pattern.template().replace("=**", "");
            assert!(binding.pattern.matches(&path).unwrap().is_some(), "{path}");
        }
    }

    #[test]
    fn the_columns_agree_with_the_descriptors() {
        for line in SERVICES.lines().skip(1) {
            let columns: Vec<&str> = line.split('\t').collect();
            let Some(binding) =
                table().bindings.into_iter().find(|b| b.rpc == format!("{}.{}/{}", columns[0], columns[1], columns[2]))
            else {
                assert_eq!(columns[6], "");
                continue;
            };
            assert_eq!(columns[4].starts_with("stream "), binding.flow == Flow::ServerStream);
            assert!(columns[4].ends_with(binding.output.name()), "{line}");
            assert!(columns[3].ends_with(binding.input.name()), "{line}");
        }
    }
}
