//! What makes workloads reachable: Services, Ingresses and aggregated APIs.

use serde_json::Value;

use super::Status::{Healthy, Progressing};
use super::{Health, condition, items, text};

pub(super) fn service(live: &Value) -> Health {
    if text(live, &["spec", "type"]) == "LoadBalancer" { addressed(live) } else { Health::new(Healthy, "") }
}

pub(super) fn ingress(live: &Value) -> Health {
    addressed(live)
}

pub(super) fn api_service(live: &Value) -> Health {
    let Some(available) = condition(live, "Available") else {
        return Health::new(Progressing, "Waiting to be processed");
    };
    let status = if text(available, &["status"]) == "True" { Healthy } else { Progressing };
    Health::new(status, format!("{}: {}", text(available, &["reason"]), text(available, &["message"])))
}

/// Healthy once a load balancer has given the object an address.
fn addressed(live: &Value) -> Health {
    let has_address = items(live, &["status", "loadBalancer", "ingress"]).next().is_some();
    Health::new(if has_address { Healthy } else { Progressing }, "")
}
