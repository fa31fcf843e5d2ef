//! How to get in: who asks, whom to trust, and which way to go. Plain data; its
//! `Debug` shows no secret.

use argosy_model::Secret;

/// Everything about one repository's connection. The default is an anonymous
/// one that trusts the system's certificate authorities and no ssh host.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// Who asks.
    pub auth: Auth,
    /// Shown to an https server that wants one.
    pub client_certificate: Option<ClientCertificate>,
    /// PEM certificates trusted instead of the system's, for https.
    pub ca_bundle: Option<String>,
    /// Accept any certificate of an https server.
    pub insecure: bool,
    /// Accept any host key of an ssh server.
    pub insecure_ignore_host_key: bool,
    /// The text of a `known_hosts` file, for ssh.
    pub known_hosts: String,
    /// `http://`, `https://` or `socks5://` proxy, perhaps with credentials in
    /// it. Without one, https uses the process's `HTTPS_PROXY` and its kind; ssh
    /// uses none.
    pub proxy: Option<Secret<String>>,
    /// Hosts that are reached directly, separated by commas.
    pub no_proxy: Option<String>,
    /// Insist on sending a user name and password with the first request. That
    /// is what this crate always does, saving a round trip, so the flag changes
    /// nothing; it is kept because repository secrets carry it.
    pub force_http_basic_auth: bool,
}

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Auth {
    /// Nobody in particular, or the user in an https URL.
    #[default]
    Anonymous,
    /// A user name and a password or access token, for http and https.
    Basic {
        /// May be empty where only the token counts.
        username: String,
        /// Password or access token.
        password: Secret<String>,
    },
    /// `Authorization: Bearer`, for http and https.
    Bearer(Secret<String>),
    /// An unencrypted private key, OpenSSH or PEM, for ssh.
    SshKey(Secret<String>),
}

/// A certificate chain and its key, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Leaf first.
    pub certificate: String,
    /// The leaf's key.
    pub key: Secret<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_shows_no_secret() {
        let secret = || Secret::new("canary-4711".to_owned());
        let mut credentials = Credentials {
            auth: Auth::Basic { username: "u".into(), password: secret() },
            client_certificate: Some(ClientCertificate { certificate: String::new(), key: secret() }),
            proxy: Some(secret()),
            ..Credentials::default()
        };
        for auth in [credentials.auth.clone(), Auth::Bearer(secret()), Auth::SshKey(secret())] {
            credentials.auth = auth;
            assert!(!format!("{credentials:?}").contains("canary"));
        }
    }
}
