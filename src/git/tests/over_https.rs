//! Mirrors over https: certificates, credentials, redirects, proxies.

use std::time::Duration;

use argosy_git::{Auth, ClientCertificate, Credentials, Error, Limits, Mirror, RepoUrl};

use crate::https_server::{Authority, HttpsServer, Policy, basic};
use crate::origin::{Origin, resolved};
use crate::proxy::Proxy;

struct Setup {
    origin: Origin,
    root: tempfile::TempDir,
    server: HttpsServer,
}

fn setup(policy: Policy) -> Setup {
    let origin = Origin::new();
    let server = HttpsServer::start(origin.dir.path(), policy);
    Setup { origin, root: tempfile::tempdir().unwrap(), server }
}

impl Setup {
    fn open(&self, path: &str) -> Mirror {
        let url = RepoUrl::parse(&format!("{}{path}", self.server.origin())).unwrap();
        Mirror::open(self.root.path(), &url).unwrap()
    }

    fn trusting(&self, auth: Auth) -> Credentials {
        Credentials { auth, ca_bundle: Some(self.server.ca.pem.clone()), ..Credentials::default() }
    }
}

fn password(username: &str, password: &str) -> Auth {
    Auth::Basic { username: username.into(), password: password.to_owned().into() }
}

/// Lists, fetches, changes the origin, fetches again and reads.
fn follow(setup: &Setup, mirror: &mut Mirror, credentials: &Credentials) {
    for n in 0..3 {
        let text = format!("{n}");
        setup.origin.git(&["tag", "-a", &format!("v1.{n}.0"), "-m", "x"]);
        let sha = setup.origin.publish("file", &text);
        assert_eq!(resolved(mirror, credentials, "main"), sha);
        mirror.fetch(credentials, &[&sha], &Limits::fetch()).unwrap();
        let snapshot = mirror.objects().snapshot(&sha).unwrap();
        assert_eq!(snapshot.read("file", 99).unwrap(), text.as_bytes());
    }
    let tag = resolved(mirror, credentials, "~1.1");
    assert_eq!(tag, setup.origin.git(&["rev-parse", "v1.1.0^{}"]));
}

#[test]
fn a_repository_with_its_own_certificate_authority_is_followed() {
    let setup = setup(Policy::default());
    follow(&setup, &mut setup.open("/repo.git"), &setup.trusting(Auth::Anonymous));
    assert!(setup.server.seen().iter().all(|seen| seen.user_agent.starts_with("git/")));
}

#[test]
fn a_server_that_knows_only_version_0_is_followed() {
    let setup = setup(Policy { version_0: true, ..Policy::default() });
    let mut mirror = setup.open("/repo.git");
    let credentials = setup.trusting(Auth::Anonymous);
    follow(&setup, &mut mirror, &credentials);
    let lost = setup.origin.publish("file", "lost");
    setup.origin.git(&["reset", "-q", "--hard", "HEAD~1"]);
    let kept = setup.origin.publish("file", "kept");
    let error = mirror.fetch(&credentials, &[&lost], &Limits::fetch()).unwrap_err();
    assert!(matches!(error, Error::CommitUnavailable { .. }), "{error:?}");
    assert!(mirror.objects().contains(&kept).unwrap());
}

#[test]
fn an_unknown_certificate_authority_is_refused_unless_told_otherwise() {
    let setup = setup(Policy::default());
    let mirror = setup.open("/repo.git");
    let other = Credentials { ca_bundle: Some(Authority::new().pem), ..Credentials::default() };
    for credentials in [Credentials::default(), other] {
        let error = mirror.list_remote(&credentials).unwrap_err();
        assert!(error.to_string().contains("argocd-tls-certs-cm"), "{error:?}");
    }
    mirror.list_remote(&Credentials { insecure: true, ..Credentials::default() }).unwrap();
    let broken = Credentials { ca_bundle: Some("no PEM".into()), ..Credentials::default() };
    assert!(matches!(mirror.list_remote(&broken), Err(Error::InvalidCredentials { .. })));
}

#[test]
fn passwords_and_tokens_are_sent_and_a_wrong_one_is_one_clean_error() {
    let setup1 = setup(Policy { authorization: Some(basic("ada", "s3cret")), ..Policy::default() });
    follow(&setup1, &mut setup1.open("/repo.git"), &setup1.trusting(password("ada", "s3cret")));
    let mut mirror = setup1.open("/repo.git");
    let before = setup1.server.seen().len();
    for auth in [password("ada", "canary"), Auth::Bearer("canary".to_owned().into()), Auth::Anonymous] {
        let credentials = setup1.trusting(auth);
        for error in [
            mirror.list_remote(&credentials).unwrap_err(),
            mirror.fetch(&credentials, &[], &Limits::fetch()).unwrap_err(),
        ] {
            assert!(error.to_string().starts_with("authentication required"), "{error}");
            assert!(!format!("{error:?}").contains("canary"));
        }
    }
    assert_eq!(setup1.server.seen().len() - before, 6, "no request is made twice");
    let setup2 = setup(Policy { authorization: Some("Bearer t0ken".into()), ..Policy::default() });
    let bearer = setup2.trusting(Auth::Bearer("t0ken".to_owned().into()));
    setup2.open("/repo.git").list_remote(&bearer).unwrap();
}

#[test]
fn credentials_in_the_url_are_used_and_never_shown() {
    let setup = setup(Policy { authorization: Some(basic("ada", "can@ry")), ..Policy::default() });
    let text = format!("https://ada:can%40ry@localhost:{}/repo.git", setup.server.port());
    let mirror = Mirror::open(setup.root.path(), &RepoUrl::parse(&text).unwrap()).unwrap();
    mirror.list_remote(&setup.trusting(Auth::Anonymous)).unwrap();
    let error = mirror.list_remote(&setup.trusting(password("ada", "x"))).unwrap_err();
    assert!(!format!("{error} {error:?} {:?}", mirror.url()).contains("can"), "{error:?}");
}

#[test]
fn a_missing_repository_and_a_web_page_are_recognised() {
    let setup = setup(Policy::default());
    let error = setup.open("/none.git").list_remote(&setup.trusting(Auth::Anonymous)).unwrap_err();
    assert!(error.to_string().starts_with("repository not found"), "{error:?}");
}

#[test]
fn client_certificates_are_shown_to_the_server_that_wants_them() {
    let setup = setup(Policy { client_certificates: true, ..Policy::default() });
    let mut credentials = setup.trusting(Auth::Anonymous);
    let error = setup.open("/repo.git").list_remote(&credentials).unwrap_err();
    assert!(matches!(error, Error::Tls { .. } | Error::Connect { .. }), "{error:?}");
    let (certificate, key) = setup.server.ca.sign("client");
    credentials.client_certificate = Some(ClientCertificate { certificate, key: key.into() });
    follow(&setup, &mut setup.open("/repo.git"), &credentials);
}

#[test]
fn redirects_are_followed_without_taking_credentials_to_another_host() {
    let target = setup(Policy::default());
    let entry = Policy { redirect: Some(target.server.origin()), ..Policy::default() };
    let entry = HttpsServer::start(target.origin.dir.path(), entry);
    let url = RepoUrl::parse(&format!("{}/moved/repo.git", entry.origin())).unwrap();
    let mut mirror = Mirror::open(target.root.path(), &url).unwrap();
    let (certificate, key) = entry.ca.sign("client");
    let credentials = Credentials {
        auth: password("ada", "s3cret"),
        ca_bundle: Some(format!("{}{}", entry.ca.pem, target.server.ca.pem)),
        client_certificate: Some(ClientCertificate { certificate, key: key.into() }),
        ..Credentials::default()
    };
    follow(&target, &mut mirror, &credentials);
    assert!(entry.seen().iter().all(|seen| seen.authorization.is_some() && seen.path.ends_with("info/refs")));
    let seen = target.server.seen();
    assert!(seen.iter().any(|seen| seen.path == "/repo.git/git-upload-pack"));
    assert!(seen.iter().all(|seen| seen.authorization.is_none() && !seen.client_certificate));
}

#[test]
fn a_redirect_away_from_https_or_in_a_circle_is_refused() {
    for redirect in ["http://localhost:1", "https://localhost:1/moved"] {
        let setup = setup(Policy { redirect: Some(redirect.into()), ..Policy::default() });
        let error = setup.open("/moved/repo.git").list_remote(&setup.trusting(Auth::Anonymous)).unwrap_err();
        assert!(matches!(error, Error::Protocol { .. } | Error::Connect { .. }), "{error:?}");
    }
}

#[test]
fn a_server_that_never_answers_meets_the_time_limit() {
    let setup = setup(Policy { silent: true, ..Policy::default() });
    let mut mirror = setup.open("/repo.git");
    let credentials = setup.trusting(Auth::Anonymous);
    let limits = Limits::list().with_timeout(Duration::from_millis(200));
    assert!(matches!(mirror.list_remote_with(&credentials, &[], &limits), Err(Error::TimedOut { .. })));
    let limits = Limits::fetch();
    let (cancel, before) = (limits.cancel.clone(), setup.server.seen().len());
    std::thread::scope(|scope| {
        let fetching = scope.spawn(|| mirror.fetch(&credentials, &[], &limits));
        crate::origin::wait_for("the request", || setup.server.seen().len() > before);
        cancel.cancel();
        assert!(matches!(fetching.join().unwrap(), Err(Error::Cancelled { .. })));
    });
}

#[test]
fn a_proxy_is_used_unless_the_host_is_exempt() {
    let setup = setup(Policy::default());
    let proxy = Proxy::start();
    let mut credentials = setup.trusting(Auth::Anonymous);
    credentials.proxy = Some(proxy.url().into());
    follow(&setup, &mut setup.open("/repo.git"), &credentials);
    let used = proxy.targets();
    assert!(!used.is_empty() && used.iter().all(|target| *target == format!("localhost:{}", setup.server.port())));
    credentials.no_proxy = Some("example.com,localhost".into());
    setup.open("/repo.git").list_remote(&credentials).unwrap();
    assert_eq!(proxy.targets().len(), used.len());
}
