//! EKS: a question to STS, signed and not sent. The cluster sends it, and learns
//! from the answer who signed.

mod keys;
mod profile;
mod sign;

use argosy_model::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{Cloud, Token, from_now};
use crate::error::{Error, Result};
pub(super) use keys::Keys;
use profile::Profiles;
use sign::{Place, presign};

/// The cluster takes a token for 15 minutes after it was signed; a minute is left
/// for clocks that differ.
const LIFE: u64 = 14 * 60;
/// For how long STS itself takes the question, as the provider's own programs have it.
const QUESTION_LIFE: u64 = 60;

/// A cluster, and as whom to enter it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Eks {
    pub(crate) cluster: String,
    /// Role to assume, may be empty.
    pub(crate) role: String,
    /// Profile of the shared files, may be empty.
    pub(crate) profile: String,
}

// === impl Eks ===

impl Eks {
    pub(super) async fn token(&self, cloud: &Cloud) -> Result<Token> {
        if self.cluster.is_empty() {
            return Err(Error::Config("the name of the EKS cluster is missing".to_owned()));
        }
        let profiles = Profiles::load(cloud, &self.profile).await?;
        let sts = Sts::of(cloud, &profiles);
        let mut keys = keys::resolve(cloud, &sts, &profiles, &self.profile).await?;
        if !self.role.is_empty() {
            keys = keys::assume(cloud, &sts, &keys, &self.role, None).await?;
        }
        let now = cloud.now();
        let query = [("Action", "GetCallerIdentity"), ("Version", keys::VERSION)];
        let url = presign(&keys, &sts.place(), &query, &[("x-k8s-aws-id", &self.cluster)], QUESTION_LIFE, now);
        let text = Secret::new(format!("k8s-aws-v1.{}", URL_SAFE_NO_PAD.encode(url)));
        Ok(Token { text, expires: from_now(now, LIFE) })
    }
}

/// Where the token service is.
pub(super) struct Sts {
    base: String,
    host: String,
    region: String,
}

// === impl Sts ===

impl Sts {
    fn of(cloud: &Cloud, profiles: &Profiles) -> Self {
        let region = cloud.variable("AWS_REGION").or_else(|| cloud.variable("AWS_DEFAULT_REGION"));
        let region = region.map(str::to_owned).or_else(|| profiles.region());
        let host = match &region {
            None => "sts.amazonaws.com".to_owned(),
            Some(region) if region.starts_with("cn-") => format!("sts.{region}.amazonaws.com.cn"),
            Some(region) => format!("sts.{region}.amazonaws.com"),
        };
        let region = region.unwrap_or_else(|| "us-east-1".to_owned());
        let chosen = cloud.variable("AWS_ENDPOINT_URL_STS").map(|url| url.trim_end_matches('/'));
        match chosen.and_then(|url| Some((url, url.split_once("://")?.1))) {
            Some((base, host)) => Self { base: base.to_owned(), host: host.to_owned(), region },
            None => Self { base: format!("https://{host}"), host, region },
        }
    }

    fn place(&self) -> Place<'_> {
        Place { base: &self.base, host: &self.host, region: &self.region, service: "sts" }
    }
}
