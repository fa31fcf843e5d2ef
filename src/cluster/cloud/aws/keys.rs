//! Where the key to sign with is from, in the provider's own order: variables,
//! the profile, a web identity (IRSA), the container's agent (pod identity), the
//! machine.

use argosy_model::Secret;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::super::{Cloud, http, read};
use super::Sts;
use super::profile::{Profile, Profiles, setting};
use super::sign::presign;
use crate::error::{Error, Result};

/// Version of the token service's interface.
pub(super) const VERSION: &str = "2011-06-15";
/// Keys are got anew when so little of their life is left.
const SPARE: SignedDuration = SignedDuration::from_secs(300);
/// Profiles that name each other.
const DEPTH: usize = 5;
const SESSION: &str = "argosy";

/// A key pair, with the token that goes with temporary ones.
#[derive(Clone)]
pub(crate) struct Keys {
    pub(super) id: String,
    pub(super) secret: Secret<String>,
    pub(super) session: Option<Secret<String>>,
    /// `None` for keys that do not end.
    pub(super) expires: Option<Timestamp>,
}

/// As the container's agent and the machine tell keys.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Told {
    access_key_id: String,
    secret_access_key: String,
    token: String,
    expiration: Timestamp,
}

/// The keys that this process has.
///
/// # Errors
/// [`Error::Credential`] when there are none, or they cannot be got.
pub(super) async fn resolve(cloud: &Cloud, sts: &Sts, profiles: &Profiles, named: &str) -> Result<Keys> {
    if named.is_empty()
        && let Some(keys) = from_variables(cloud)
    {
        return Ok(keys);
    }
    if let Some(profile) = profiles.get(profiles.chosen())
        && let Some(keys) = from_profile(cloud, sts, profiles, profile, DEPTH).await?
    {
        return Ok(keys);
    }
    if !named.is_empty() {
        return Err(Error::Credential(format!("the AWS profile {named} has no credentials that are understood here")));
    }
    if let (Some(file), Some(role)) = (cloud.variable("AWS_WEB_IDENTITY_TOKEN_FILE"), cloud.variable("AWS_ROLE_ARN")) {
        return web_identity(cloud, sts, file, role, cloud.variable("AWS_ROLE_SESSION_NAME")).await;
    }
    if let Some(url) = container(cloud) {
        return remembered(cloud, &format!("container {url}"), from_container(cloud, &url)).await;
    }
    remembered(cloud, "machine", from_machine(cloud)).await
}

fn from_variables(cloud: &Cloud) -> Option<Keys> {
    let text = |name: &str| cloud.variable(name).map(str::to_owned);
    Some(Keys {
        id: text("AWS_ACCESS_KEY_ID")?,
        secret: Secret::new(text("AWS_SECRET_ACCESS_KEY")?),
        session: text("AWS_SESSION_TOKEN").map(Secret::new),
        expires: None,
    })
}

/// `None` for a profile that only sets a region and the like.
fn from_profile<'a>(
    cloud: &'a Cloud,
    sts: &'a Sts,
    profiles: &'a Profiles,
    profile: &'a Profile,
    depth: usize,
) -> BoxFuture<'a, Result<Option<Keys>>> {
    async move {
        if let Some(role) = setting(profile, "role_arn") {
            let session = setting(profile, "role_session_name");
            if let Some(file) = setting(profile, "web_identity_token_file") {
                return web_identity(cloud, sts, file, role, session).await.map(Some);
            }
            let source = match (setting(profile, "source_profile"), setting(profile, "credential_source")) {
                (Some(name), _) => {
                    let source = profiles.get(name).filter(|_| depth > 0);
                    let source = source.ok_or_else(|| Error::Credential(format!("no usable AWS profile {name}")))?;
                    let keys = if std::ptr::eq(source, profile) {
                        own(profile)
                    } else {
                        from_profile(cloud, sts, profiles, source, depth - 1).await?
                    };
                    keys.ok_or_else(|| Error::Credential(format!("the AWS profile {name} has no keys")))?
                }
                (None, Some("Environment")) => from_variables(cloud)
                    .ok_or_else(|| Error::Credential("no AWS keys are in the environment".to_owned()))?,
                (None, Some("Ec2InstanceMetadata")) => remembered(cloud, "machine", from_machine(cloud)).await?,
                (None, Some("EcsContainer")) => {
                    let url = container(cloud).ok_or_else(|| {
                        Error::Credential("no container credentials are in the environment".to_owned())
                    })?;
                    remembered(cloud, &format!("container {url}"), from_container(cloud, &url)).await?
                }
                _ => return Err(Error::Credential("an AWS profile names a role and nobody to assume it".to_owned())),
            };
            return assume(cloud, sts, &source, role, session).await.map(Some);
        }
        Ok(own(profile))
    }
    .boxed()
}

fn own(profile: &Profile) -> Option<Keys> {
    Some(Keys {
        id: setting(profile, "aws_access_key_id")?.to_owned(),
        secret: Secret::new(setting(profile, "aws_secret_access_key")?.to_owned()),
        session: setting(profile, "aws_session_token").map(|token| Secret::new(token.to_owned())),
        expires: None,
    })
}

/// Assumes a role with other keys.
///
/// # Errors
/// [`Error::Credential`].
pub(super) async fn assume(cloud: &Cloud, sts: &Sts, keys: &Keys, role: &str, session: Option<&str>) -> Result<Keys> {
    let get = async {
        let query = [
            ("Action", "AssumeRole"),
            ("Version", VERSION),
            ("RoleArn", role),
            ("RoleSessionName", session.unwrap_or(SESSION)),
        ];
        let url = presign(keys, &sts.place(), &query, &[], 60, cloud.now());
        parse(&http::text("AWS STS (AssumeRole)", http::client()?.get(url)).await?)
    };
    remembered(cloud, &format!("role {role} of {} at {}", keys.id, sts.base), get).await
}

async fn web_identity(cloud: &Cloud, sts: &Sts, file: &str, role: &str, session: Option<&str>) -> Result<Keys> {
    let get = async {
        // It rotates on disk.
        let token = read("web identity token", file).await?;
        let form = [
            ("Action", "AssumeRoleWithWebIdentity"),
            ("Version", VERSION),
            ("RoleArn", role),
            ("RoleSessionName", session.unwrap_or(SESSION)),
            ("WebIdentityToken", token.expose()),
        ];
        let request = http::post(&format!("{}/", sts.base), &form)?;
        parse(&http::text("AWS STS (AssumeRoleWithWebIdentity)", request).await?)
    };
    remembered(cloud, &format!("web identity {file} {role} at {}", sts.base), get).await
}

fn container(cloud: &Cloud) -> Option<String> {
    let relative = cloud.variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    let relative = relative.map(|path| format!("http://169.254.170.2{path}"));
    relative.or_else(|| cloud.variable("AWS_CONTAINER_CREDENTIALS_FULL_URI").map(str::to_owned))
}

async fn from_container(cloud: &Cloud, url: &str) -> Result<Keys> {
    let mut request = http::client()?.get(url);
    let token = match cloud.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
        Some(file) => Some(read("container authorization token", file).await?),
        None => cloud.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN").map(|token| Secret::new(token.to_owned())),
    };
    if let Some(token) = token {
        request = request.header("Authorization", token.expose());
    }
    http::json::<Told>("the container's credentials", request).await.map(Keys::from)
}

async fn from_machine(cloud: &Cloud) -> Result<Keys> {
    const WHAT: &str = "no AWS credentials are in the environment, and the machine's metadata";
    if cloud.variable("AWS_EC2_METADATA_DISABLED").is_some_and(|v| v.eq_ignore_ascii_case("true")) {
        return Err(Error::Credential("no AWS credentials are in the environment".to_owned()));
    }
    let base = cloud.variable("AWS_EC2_METADATA_SERVICE_ENDPOINT").unwrap_or("http://169.254.169.254");
    let base = format!("{}/latest", base.trim_end_matches('/'));
    let client = http::client()?;
    let session = client.put(format!("{base}/api/token")).header("X-aws-ec2-metadata-token-ttl-seconds", "21600");
    let session = http::text(WHAT, session).await?;
    let ask = |path: &str| {
        let url = format!("{base}/meta-data/iam/security-credentials/{path}");
        client.get(url).header("X-aws-ec2-metadata-token", session.trim())
    };
    let role = http::text(WHAT, ask("")).await?;
    let role = role.lines().next().unwrap_or_default().trim();
    http::json::<Told>(WHAT, ask(role)).await.map(Keys::from)
}

/// The keys under a name, got where there are none that last.
async fn remembered(cloud: &Cloud, name: &str, get: impl Future<Output = Result<Keys>>) -> Result<Keys> {
    let now = cloud.now();
    let lasts = |keys: &&Keys| keys.expires.is_none_or(|end| end.duration_since(now) > SPARE);
    if let Some(keys) = cloud.surroundings.keys.lock().await.get(name).filter(lasts) {
        return Ok(keys.clone());
    }
    let keys = get.await?;
    let mut known = cloud.surroundings.keys.lock().await;
    known.retain(|_, keys| keys.expires.is_none_or(|end| end > now));
    known.insert(name.to_owned(), keys.clone());
    Ok(keys)
}

/// Reads the token service's XML: four elements whose texts need no decoding.
fn parse(answer: &str) -> Result<Keys> {
    let text = |element: &str| {
        let inner = answer.split_once(&format!("<{element}>"))?.1.split_once(&format!("</{element}>"))?.0;
        Some(inner.trim().to_owned())
    };
    let keys = || {
        Some(Keys {
            id: text("AccessKeyId")?,
            secret: Secret::new(text("SecretAccessKey")?),
            session: Some(Secret::new(text("SessionToken")?)),
            expires: Some(text("Expiration")?.parse().ok()?),
        })
    };
    keys().ok_or_else(|| Error::Credential("AWS STS gave an unexpected answer".to_owned()))
}

// === impl Keys ===

impl From<Told> for Keys {
    fn from(told: Told) -> Self {
        Self {
            id: told.access_key_id,
            secret: Secret::new(told.secret_access_key),
            session: Some(Secret::new(told.token)),
            expires: Some(told.expiration),
        }
    }
}
