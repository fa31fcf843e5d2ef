//! Mirrors over ssh: keys, known hosts, proxies.

use argosy_git::{Auth, Credentials, Error, Limits, Mirror, RepoUrl};

use crate::origin::{Origin, disk_usage, resolved};
use crate::proxy::Proxy;
use crate::ssh_server::SshServer;

struct Setup {
    origin: Origin,
    root: tempfile::TempDir,
    server: SshServer,
}

fn setup() -> Setup {
    Setup { origin: Origin::new(), root: tempfile::tempdir().unwrap(), server: SshServer::start() }
}

impl Setup {
    fn open(&self) -> Mirror {
        let url = RepoUrl::parse(&self.server.url(&self.origin.bare())).unwrap();
        Mirror::open(self.root.path(), &url).unwrap()
    }

    fn credentials(&self, key: &str, host: &str) -> Credentials {
        Credentials {
            auth: Auth::SshKey(self.server.file(key).trim_end().to_owned().into()),
            known_hosts: self.server.known_hosts(host),
            ..Credentials::default()
        }
    }

    fn private_bytes(&self) -> u64 {
        let folder = std::fs::read_dir(self.root.path()).unwrap().next().unwrap().unwrap().path();
        disk_usage(&folder.join("private"))
    }
}

fn follow(setup: &Setup, mirror: &mut Mirror, credentials: &Credentials) {
    for n in 0..2 {
        let text = format!("{n}");
        let sha = setup.origin.publish("file", &text);
        assert_eq!(resolved(mirror, credentials, "main"), sha);
        mirror.fetch(credentials, &[&sha], &Limits::fetch()).unwrap();
        assert_eq!(mirror.objects().snapshot(&sha).unwrap().read("file", 9).unwrap(), text.as_bytes());
    }
}

#[test]
fn a_key_and_a_known_host_let_a_mirror_follow() {
    let setup = setup();
    let mut mirror = setup.open();
    let credentials = setup.credentials("client", "host");
    follow(&setup, &mut mirror, &credentials);
    let lost = setup.origin.publish("file", "lost");
    setup.origin.git(&["reset", "-q", "--hard", "HEAD~1"]);
    setup.origin.publish("file", "kept");
    mirror.fetch(&credentials, &[&lost], &Limits::fetch()).unwrap();
    assert!(mirror.objects().contains(&lost).unwrap(), "by its id, over the same connection");
    assert_eq!(setup.private_bytes(), 0, "keys are gone when the process is");
}

#[test]
fn an_unknown_or_changed_host_key_is_refused_with_advice() {
    let setup = setup();
    let mirror = setup.open();
    let mut unknown = setup.credentials("client", "host");
    unknown.known_hosts.clear();
    let error = mirror.list_remote(&unknown).unwrap_err();
    assert!(matches!(error, Error::HostKeyUnknown { .. }), "{error:?}");
    assert!(error.to_string().contains("argocd-ssh-known-hosts-cm"));
    let error = mirror.list_remote(&setup.credentials("client", "stranger")).unwrap_err();
    assert!(matches!(error, Error::HostKeyChanged { .. }), "{error:?}");
    unknown.insecure_ignore_host_key = true;
    mirror.list_remote(&unknown).unwrap();
}

#[test]
fn a_wrong_key_a_broken_key_and_no_key_are_refused() {
    let setup = setup();
    let mirror = setup.open();
    let mut credentials = setup.credentials("stranger", "host");
    let broken = Auth::SshKey("canary".to_owned().into());
    for auth in [credentials.auth.clone(), broken, Auth::Anonymous] {
        credentials.auth = auth;
        let error = mirror.list_remote(&credentials).unwrap_err();
        assert!(matches!(error, Error::AuthenticationRequired { .. }), "{error:?}");
        assert!(!format!("{error:?}").contains("canary"));
    }
    assert_eq!(setup.private_bytes(), 0);
}

#[test]
fn a_missing_repository_is_recognised_and_its_name_is_no_command() {
    let setup = setup();
    let marker = setup.root.path().join("marker");
    let path = std::path::PathBuf::from(format!("/none'; touch {}; '", marker.display()));
    for path in [path.as_path(), std::path::Path::new("/none")] {
        let url = RepoUrl::parse(&setup.server.url(path)).unwrap();
        let mirror = Mirror::open(setup.root.path(), &url).unwrap();
        let error = mirror.list_remote(&setup.credentials("client", "host")).unwrap_err();
        assert!(matches!(error, Error::RepositoryNotFound { .. }), "{error:?}");
    }
    assert!(!marker.exists());
}

#[test]
fn ssh_goes_through_a_proxy_and_still_checks_the_host_key() {
    let setup = setup();
    let proxy = Proxy::start();
    let mut credentials = setup.credentials("client", "host");
    credentials.proxy = Some(proxy.url().into());
    follow(&setup, &mut setup.open(), &credentials);
    let target = format!("127.0.0.1:{}", setup.server.port());
    assert!(!proxy.targets().is_empty() && proxy.targets().iter().all(|seen| *seen == target));
    credentials.known_hosts = setup.credentials("client", "stranger").known_hosts;
    let error = setup.open().list_remote(&credentials).unwrap_err();
    assert!(matches!(error, Error::HostKeyChanged { .. }), "{error:?}");
}
