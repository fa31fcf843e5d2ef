//! A Pod's volumes, and where its containers mount them.

use serde_json::Value;

use super::texts::{items, one_name, text};
use crate::failure::Fault;

/// What a volume of each type cannot do without.
const NEEDED: [(&str, &str); 3] =
    [("secret", "secretName"), ("configMap", "name"), ("persistentVolumeClaim", "claimName")];

pub(super) fn all(spec: &Value, path: &str, faults: &mut Vec<Fault>) {
    let mut names: Vec<&str> = Vec::new();
    for (i, volume) in items(spec, "/volumes") {
        let place = format!("{path}.volumes[{i}]");
        let name = text(volume, "/name");
        let types: Vec<&String> =
            volume.as_object().into_iter().flatten().map(|(name, _)| name).filter(|name| *name != "name").collect();
        // The first type counts, in the server's order.
        for extra in types.iter().skip(1) {
            faults.push(Fault::forbidden(format!("{place}.{extra}"), "may not specify more than 1 volume type"));
        }
        for (kind, field) in NEEDED {
            if volume.get(kind).is_some_and(|source| text(source, &format!("/{field}")).is_empty()) {
                faults.push(Fault::required(format!("{place}.{kind}.{field}"), ""));
            }
        }
        if volume.get("hostPath").is_some_and(|source| text(source, "/path").is_empty()) {
            faults.push(Fault::required(format!("{place}.hostPath.path"), ""));
        }
        one_name(&place, name, true, &mut names, faults);
    }
}

pub(super) fn mounts(container: &Value, volumes: &[&str], place: &str, faults: &mut Vec<Fault>) {
    let mut paths: Vec<&str> = Vec::new();
    for (i, mount) in items(container, "/volumeMounts") {
        let place = format!("{place}.volumeMounts[{i}]");
        let name = text(mount, "/name");
        if name.is_empty() {
            faults.push(Fault::required(format!("{place}.name"), ""));
        }
        if !volumes.contains(&name) {
            let message = format!("Not found: \"{name}\"");
            faults.push(Fault { reason: "FieldValueNotFound", field: format!("{place}.name"), message });
        }
        let path = text(mount, "/mountPath");
        if path.is_empty() {
            faults.push(Fault::required(format!("{place}.mountPath"), ""));
        } else if paths.contains(&path) {
            faults.push(Fault::invalid(format!("{place}.mountPath"), &path.into(), "must be unique"));
        }
        paths.push(path);
    }
}
