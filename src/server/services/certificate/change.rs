//! Adding and removing.

use argosy_home::settings::Names;
use argosy_proto::certificate::{RepositoryCertificateCreateRequest, RepositoryCertificateQuery};
use argosy_proto::v1alpha1::{RepositoryCertificate, RepositoryCertificateList};
use tonic::Status;

use super::host_key::HostKey;
use super::selector::Selector;
use super::{HTTPS, SSH, Service, host, known_hosts, listed, tls};
use crate::caller::Caller;
use crate::permission::{action, resource};
use crate::status::Refusal;

/// Key of the list of host keys in its ConfigMap.
const KNOWN_HOSTS: &str = "ssh_known_hosts";
/// Most entries of one request.
const MOST_AT_ONCE: usize = 2048;

/// What is to be added, checked.
enum Wanted {
    Key(HostKey),
    Certificates(Bundle),
}

/// The certificates of a host.
struct Bundle {
    host: String,
    data: String,
    parts: Vec<String>,
}

type Data = std::collections::BTreeMap<String, String>;

// === impl Service ===

impl Service {
    pub(super) async fn create(
        &self,
        caller: &Caller,
        request: RepositoryCertificateCreateRequest,
    ) -> Result<RepositoryCertificateList, Status> {
        self.shared.enforce(caller, resource::CERTIFICATES, action::CREATE, "")?;
        let items = request.certificates.unwrap_or_default().items;
        if items.len() > MOST_AT_ONCE {
            return Err(Status::invalid_argument("limit exceeded"));
        }
        let wanted = items.iter().map(Wanted::read).collect::<Result<Vec<_>, _>>()?;
        let has_keys = wanted.iter().any(|wanted| matches!(wanted, Wanted::Key(_)));
        let has_certificates = wanted.iter().any(|wanted| matches!(wanted, Wanted::Certificates(_)));
        if has_keys && has_certificates {
            // They live in two objects: neither is written when the other refuses.
            let known = self.shared.home.settings();
            add(&wanted, request.upsert, &mut known.raw.ssh_known_hosts.clone(), &mut known.raw.tls_certs.clone())?;
        }
        let mut added = vec![false; wanted.len()];
        let mut merge = |now: Vec<bool>| added.iter_mut().zip(now).for_each(|(added, now)| *added |= now);
        if has_keys {
            merge(self.edit(Names::SSH_KNOWN_HOSTS, |data| add_keys(&wanted, request.upsert, data)).await?);
        }
        if has_certificates {
            merge(self.edit(Names::TLS_CERTS, |data| add_certificates(&wanted, request.upsert, data)).await?);
        }
        let added = wanted.iter().zip(&items).zip(added).filter(|(_, added)| *added);
        let created: Vec<_> = added.flat_map(|((wanted, given), _)| wanted.created(given)).collect();
        tracing::info!(by = caller.username(), count = created.len(), "certificates of repository servers added");
        Ok(listed(created))
    }

    pub(super) async fn delete(
        &self,
        caller: &Caller,
        query: &RepositoryCertificateQuery,
    ) -> Result<RepositoryCertificateList, Status> {
        self.shared.enforce(caller, resource::CERTIFICATES, action::DELETE, "")?;
        let selector = Selector::new(query);
        let mut removed = Vec::new();
        if selector.wants_ssh() {
            removed.extend(self.edit(Names::SSH_KNOWN_HOSTS, |data| Ok(remove_keys(&selector, data))).await?);
        }
        if selector.wants_tls() {
            removed.extend(self.edit(Names::TLS_CERTS, |data| Ok(remove_certificates(&selector, data))).await?);
        }
        tracing::info!(by = caller.username(), count = removed.len(), "certificates of repository servers removed");
        Ok(listed(removed))
    }

    /// Edits one of the objects; the answer is that of the edit that was written.
    async fn edit<T: Default>(
        &self,
        name: &str,
        mut edit: impl FnMut(&mut Data) -> Result<T, Status>,
    ) -> Result<T, Status> {
        let mut answer = T::default();
        let change = |data: &mut Data| {
            answer = edit(data)?;
            Ok::<_, Refusal>(())
        };
        self.shared.home.edit_settings_map(name, change).await?;
        Ok(answer)
    }
}

// === impl Wanted ===

impl Wanted {
    fn read(given: &RepositoryCertificate) -> Result<Self, Status> {
        match &*given.cert_type {
            SSH => HostKey::read(given).map(Self::Key),
            HTTPS => Bundle::read(given).map(Self::Certificates),
            other => Err(Status::invalid_argument(format!("unknown certificate type: {other}"))),
        }
    }

    /// What is told of it when it was added.
    fn created(&self, given: &RepositoryCertificate) -> Vec<RepositoryCertificate> {
        match self {
            Self::Key(key) => vec![RepositoryCertificate { cert_info: key.fingerprint.clone(), ..given.clone() }],
            Self::Certificates(bundle) => bundle.parts.iter().map(|pem| tls::whole(&bundle.host, pem)).collect(),
        }
    }
}

// === impl Bundle ===

impl Bundle {
    fn read(given: &RepositoryCertificate) -> Result<Self, Status> {
        let name = &given.server_name;
        if !host::is_valid(name) {
            return Err(Status::invalid_argument(format!("invalid hostname in request: {name}")));
        }
        let invalid = |error: tls::Invalid| Status::invalid_argument(error.to_string());
        let data = String::from_utf8(given.cert_data.clone()).unwrap_or_default();
        let parts = tls::split(&data).map_err(invalid)?;
        if parts.is_empty() {
            return Err(Status::invalid_argument("no valid PEM data received"));
        }
        for pem in &parts {
            tls::read(pem).map_err(invalid)?;
        }
        Ok(Self { host: name.clone(), data, parts })
    }
}

/// Adds everything to both; says nothing but whether that can be.
fn add(wanted: &[Wanted], upsert: bool, keys: &mut Data, certificates: &mut Data) -> Result<(), Status> {
    add_keys(wanted, upsert, keys)?;
    add_certificates(wanted, upsert, certificates)?;
    Ok(())
}

/// Adds the host keys and says which of all are new.
fn add_keys(wanted: &[Wanted], upsert: bool, data: &mut Data) -> Result<Vec<bool>, Status> {
    let mut list = data.get(KNOWN_HOSTS).cloned().unwrap_or_default();
    let mut added = vec![false; wanted.len()];
    for (wanted, added) in wanted.iter().zip(&mut added) {
        let Wanted::Key(key) = wanted else { continue };
        let changed =
            known_hosts::with_key(&list, key, upsert).map_err(|error| Status::already_exists(error.to_string()))?;
        if let Some(changed) = changed {
            list = changed;
            *added = true;
        }
    }
    if added.contains(&true) {
        data.insert(KNOWN_HOSTS.to_owned(), list);
    }
    Ok(added)
}

/// Adds the certificates and says which of all are new.
fn add_certificates(wanted: &[Wanted], upsert: bool, data: &mut Data) -> Result<Vec<bool>, Status> {
    let mut added = vec![false; wanted.len()];
    for (wanted, added) in wanted.iter().zip(&mut added) {
        let Wanted::Certificates(bundle) = wanted else { continue };
        match data.get(&bundle.host) {
            Some(known) if *known == bundle.data => continue,
            Some(_) if !upsert => {
                let host = &bundle.host;
                let message =
                    format!("TLS certificate for server '{host}' already exists, and upsert was not specified");
                return Err(Status::already_exists(message));
            }
            _ => data.insert(bundle.host.clone(), bundle.data.clone()),
        };
        *added = true;
    }
    Ok(added)
}

fn remove_keys(selector: &Selector<'_>, data: &mut Data) -> Vec<RepositoryCertificate> {
    let Some(list) = data.get(KNOWN_HOSTS) else { return Vec::new() };
    let (kept, removed) = known_hosts::without(list, |entry| selector.selects_entry(entry));
    let removed: Vec<_> = removed.iter().map(|entry| entry.whole()).collect();
    if !removed.is_empty() {
        data.insert(KNOWN_HOSTS.to_owned(), kept);
    }
    removed
}

/// A host's certificates go together: all of them, where one is selected.
fn remove_certificates(selector: &Selector<'_>, data: &mut Data) -> Vec<RepositoryCertificate> {
    let mut removed = Vec::new();
    data.retain(|host, text| {
        // What cannot be taken apart can be removed all the same.
        let parts = tls::split(text).unwrap_or_default();
        let mut types = parts.iter().map(|pem| tls::described(host, pem).cert_sub_type);
        let selected = match parts.is_empty() {
            true => selector.selects_certificate(host, "invalid"),
            false => types.any(|sub_type| selector.selects_certificate(host, &sub_type)),
        };
        if selected && parts.is_empty() {
            removed.push(tls::whole(host, text));
        } else if selected {
            removed.extend(parts.iter().map(|pem| tls::whole(host, pem)));
        }
        !selected
    });
    removed
}

#[cfg(test)]
mod tests {
    use super::super::host_key::tests::GITHUB;
    use super::super::tls::tests::certificate;
    use super::*;

    fn tls(host: &str, data: &str) -> RepositoryCertificate {
        tls::whole(host, data)
    }

    fn ssh(host: &str) -> RepositoryCertificate {
        RepositoryCertificate {
            server_name: host.to_owned(),
            cert_type: SSH.to_owned(),
            cert_sub_type: "ssh-ed25519".to_owned(),
            cert_data: GITHUB.as_bytes().to_vec(),
            ..Default::default()
        }
    }

    fn read(items: &[RepositoryCertificate]) -> Vec<Wanted> {
        items.iter().map(|item| Wanted::read(item).unwrap()).collect()
    }

    #[test]
    fn certificates_of_a_host_are_replaced_only_when_asked_for() {
        let (old, new) = (certificate("old"), certificate("new"));
        let mut data = Data::from([("a.com".to_owned(), old.clone()), ("b.com".to_owned(), "kept".to_owned())]);
        assert_eq!(add_certificates(&read(&[tls("a.com", &old)]), false, &mut data).unwrap(), [false]);
        let refused = add_certificates(&read(&[tls("a.com", &new)]), false, &mut data).unwrap_err();
        assert_eq!(
            refused.message(),
            "TLS certificate for server 'a.com' already exists, and upsert was not specified"
        );
        assert_eq!(add_certificates(&read(&[tls("a.com", &new)]), true, &mut data).unwrap(), [true]);
        assert_eq!(data, Data::from([("a.com".to_owned(), new), ("b.com".to_owned(), "kept".to_owned())]));
    }

    #[test]
    fn a_request_that_names_a_key_twice_adds_it_once() {
        let mut data = Data::new();
        let wanted = read(&[ssh("a.com"), ssh("a.com"), ssh("b.com")]);
        assert_eq!(add_keys(&wanted, false, &mut data).unwrap(), [true, false, true]);
        assert_eq!(data[KNOWN_HOSTS], format!("a.com ssh-ed25519 {GITHUB}\nb.com ssh-ed25519 {GITHUB}\n"));
    }

    #[test]
    fn what_is_no_certificate_is_refused_with_the_reason() {
        let message = |item: RepositoryCertificate| match Wanted::read(&item) {
            Err(status) => status.message().to_owned(),
            Ok(_) => String::new(),
        };
        assert_eq!(message(tls("a b", &certificate("a"))), "invalid hostname in request: a b");
        assert_eq!(message(tls("a.com", "nothing")), "no valid PEM data received");
        assert_eq!(message(RepositoryCertificate { cert_type: "x".into(), ..ssh("a") }), "unknown certificate type: x");
    }

    #[test]
    fn who_removes_keys_of_a_type_keeps_the_certificates() {
        let mut data = Data::from([("a.com".to_owned(), certificate("a")), ("b.com".to_owned(), "broken".to_owned())]);
        let query = |host: &str, sub_type: &str| RepositoryCertificateQuery {
            host_name_pattern: host.to_owned(),
            cert_sub_type: sub_type.to_owned(),
            ..Default::default()
        };
        assert!(remove_certificates(&Selector::new(&query("a.com", "ssh-rsa")), &mut data).is_empty());
        assert_eq!(remove_certificates(&Selector::new(&query("a.*", "")), &mut data).len(), 1);
        assert_eq!(remove_certificates(&Selector::new(&query("b.com", "")), &mut data).len(), 1);
        assert!(data.is_empty());
    }
}
