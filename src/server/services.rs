//! The services of the contract, one folder or file each.

/// Binds a service's unary rpcs to their paths; the value is that of the last.
macro_rules! bind {
    ($gateway:expr, $service:expr, $name:literal, { $($rpc:literal => $method:ident),* $(,)? }) => {$(
        let service = $service.clone();
        $gateway.unary(concat!($name, "/", $rpc), move |request| {
            let service = service.clone();
            async move { service.$method(request).await }
        })?;
    )*};
}

pub(crate) mod account;
pub(crate) mod application;
pub(crate) mod applicationset;
pub(crate) mod certificate;
pub(crate) mod cluster;
pub(crate) mod gpgkey;
mod guard;
pub(crate) mod notification;
pub(crate) mod project;
pub(crate) mod repocreds;
pub(crate) mod repository;
pub(crate) mod session;
pub(crate) mod settings;
pub(crate) mod version;
