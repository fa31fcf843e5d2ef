//! What a service account's token says.

use serde_json::{Value, json};

use super::{ISSUER, service_account_name};

/// The issuer of tokens that are kept in Secrets.
pub(super) const LEGACY_ISSUER: &str = "kubernetes/serviceaccount";

/// An object by name and uid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ref {
    /// Its name.
    pub name: String,
    /// Its uid; empty where it was not known.
    pub uid: String,
}

/// What a token is bound to besides its account: it ends with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    /// A Secret of the account's namespace.
    Secret(Ref),
    /// A Pod, and the node it runs on.
    Pod {
        /// The Pod.
        pod: Ref,
        /// Its node, where it is on one.
        node: Option<Ref>,
    },
    /// A Node.
    Node(Ref),
}

/// A token as it is to be issued or was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claims {
    pub(super) namespace: String,
    pub(super) account: Ref,
    pub(super) bound: Option<Bound>,
    pub(super) audiences: Vec<String>,
    /// Seconds since 1970.
    pub(super) issued: i64,
    pub(super) not_before: i64,
    pub(super) expires: i64,
    pub(super) id: String,
}

/// A token of a Secret: without times and audience, it ends with the Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LegacyClaims {
    pub(super) namespace: String,
    pub(super) account: Ref,
    pub(super) secret: String,
}

// === impl Ref ===

impl Ref {
    /// The name and uid of an object.
    #[must_use]
    pub fn to(object: &Value) -> Self {
        use argosy_model::object::{name, uid};
        Self { name: name(object).to_owned(), uid: uid(object).to_owned() }
    }

    fn read(value: &Value) -> Option<Self> {
        let name = value["name"].as_str()?.to_owned();
        Some(Self { name, uid: value["uid"].as_str().unwrap_or_default().to_owned() })
    }

    fn write(&self) -> Value {
        match self.uid.as_str() {
            "" => json!({"name": self.name}),
            uid => json!({"name": self.name, "uid": uid}),
        }
    }
}

// === impl Claims ===

impl Claims {
    pub(super) fn write(&self) -> Value {
        let mut kubernetes = json!({"namespace": self.namespace, "serviceaccount": self.account.write()});
        match &self.bound {
            Some(Bound::Secret(secret)) => kubernetes["secret"] = secret.write(),
            Some(Bound::Pod { pod, node }) => {
                kubernetes["pod"] = pod.write();
                if let Some(node) = node {
                    kubernetes["node"] = node.write();
                }
            }
            Some(Bound::Node(node)) => kubernetes["node"] = node.write(),
            None => {}
        }
        json!({
            "iss": ISSUER,
            "sub": service_account_name(&self.namespace, &self.account.name),
            "aud": self.audiences,
            "iat": self.issued,
            "nbf": self.not_before,
            "exp": self.expires,
            "jti": self.id,
            "kubernetes.io": kubernetes,
        })
    }

    /// Reads claims whose signature was verified; `None` when they are of another shape.
    pub(super) fn read(claims: &Value) -> Option<Self> {
        let kubernetes = claims.get("kubernetes.io")?;
        let node = Ref::read(&kubernetes["node"]);
        let bound = match (Ref::read(&kubernetes["secret"]), Ref::read(&kubernetes["pod"])) {
            (Some(secret), _) => Some(Bound::Secret(secret)),
            (None, Some(pod)) => Some(Bound::Pod { pod, node }),
            (None, None) => node.map(Bound::Node),
        };
        let audiences = match &claims["aud"] {
            Value::String(one) => vec![one.clone()],
            many => many.as_array()?.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        };
        Some(Self {
            namespace: kubernetes["namespace"].as_str()?.to_owned(),
            account: Ref::read(&kubernetes["serviceaccount"])?,
            bound,
            audiences,
            issued: claims["iat"].as_i64()?,
            not_before: claims["nbf"].as_i64()?,
            expires: claims["exp"].as_i64()?,
            id: claims["jti"].as_str()?.to_owned(),
        })
    }
}

// === impl LegacyClaims ===

impl LegacyClaims {
    pub(super) fn write(&self) -> Value {
        json!({
            "iss": LEGACY_ISSUER,
            "sub": service_account_name(&self.namespace, &self.account.name),
            "kubernetes.io/serviceaccount/namespace": self.namespace,
            "kubernetes.io/serviceaccount/secret.name": self.secret,
            "kubernetes.io/serviceaccount/service-account.name": self.account.name,
            "kubernetes.io/serviceaccount/service-account.uid": self.account.uid,
        })
    }

    pub(super) fn read(claims: &Value) -> Option<Self> {
        let text = |name: &str| claims[format!("kubernetes.io/serviceaccount/{name}")].as_str().map(str::to_owned);
        Some(Self {
            namespace: text("namespace")?,
            secret: text("secret.name")?,
            account: Ref { name: text("service-account.name")?, uid: text("service-account.uid")? },
        })
    }
}
