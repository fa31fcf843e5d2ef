//! What notifications can be sent by: the names of triggers, services and
//! templates in `argocd-notifications-cm`, for those who subscribe. Whoever is
//! signed in may know them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use argosy_home::Error as HomeError;
use argosy_proto::notification::notification_service_server::NotificationService;
use argosy_proto::notification::{
    Service as Sender, ServiceList, ServicesListRequest, Template, TemplateList, TemplatesListRequest, Trigger,
    TriggerList, TriggersListRequest,
};
use serde::Deserialize;
use tonic::{Request, Response, Status};

use crate::caller::caller;
use crate::gateway::{Error, Gateway};
use crate::shared::Shared;
use crate::status::from_home;

/// Where notifications are configured.
const CONFIG_MAP: &str = "argocd-notifications-cm";
/// Key of the older form, which has everything in one document.
const LEGACY: &str = "config.yaml";

/// See the module's page.
pub(crate) struct Service {
    shared: Arc<Shared>,
}

/// The names, each once and in order.
#[derive(Debug, Default, PartialEq, Eq)]
struct Names {
    triggers: BTreeSet<String>,
    services: BTreeSet<String>,
    templates: BTreeSet<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Legacy {
    triggers: Vec<Named>,
    templates: Vec<Named>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Named {
    name: String,
}

// === impl Service ===

impl Service {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Binds the REST paths.
    ///
    /// # Errors
    /// When a name is not in the contract's table.
    pub(crate) fn bind(self: &Arc<Self>, gateway: &mut Gateway) -> Result<(), Error> {
        bind!(gateway, self, "notification.NotificationService", {
            "ListTriggers" => list_triggers, "ListServices" => list_services, "ListTemplates" => list_templates,
        });
        Ok(())
    }

    /// The names now; none where nothing is configured.
    async fn names(&self) -> Result<Names, Status> {
        match self.shared.home.config_map(CONFIG_MAP).await {
            Ok(data) => Ok(Names::read(&data)),
            Err(HomeError::NotFound(_)) => Ok(Names::default()),
            Err(error) => Err(from_home(&error)),
        }
    }
}

#[tonic::async_trait]
impl NotificationService for Service {
    async fn list_triggers(&self, request: Request<TriggersListRequest>) -> Result<Response<TriggerList>, Status> {
        caller(&request)?;
        let names = self.names().await?.triggers;
        let items = names.into_iter().map(|name| Trigger { name }).collect();
        Ok(Response::new(TriggerList { items }))
    }

    async fn list_services(&self, request: Request<ServicesListRequest>) -> Result<Response<ServiceList>, Status> {
        caller(&request)?;
        let names = self.names().await?.services;
        let items = names.into_iter().map(|name| Sender { name }).collect();
        Ok(Response::new(ServiceList { items }))
    }

    async fn list_templates(&self, request: Request<TemplatesListRequest>) -> Result<Response<TemplateList>, Status> {
        caller(&request)?;
        let names = self.names().await?.templates;
        let items = names.into_iter().map(|name| Template { name }).collect();
        Ok(Response::new(TemplateList { items }))
    }
}

// === impl Names ===

impl Names {
    /// Reads keys `trigger.<name>`, `template.<name>` and `service.<type>[.<name>]`.
    fn read(data: &BTreeMap<String, String>) -> Self {
        let mut names = Self::default();
        for key in data.keys() {
            match key.split_once('.') {
                Some(("trigger", name)) => names.triggers.insert(name.to_owned()),
                Some(("template", name)) => names.templates.insert(name.to_owned()),
                Some(("service", rest)) => match rest.split('.').collect::<Vec<_>>()[..] {
                    [name] | [_, name] => names.services.insert(name.to_owned()),
                    _ => {
                        tracing::warn!(key, "invalid service key; expected 'service.<type>(.<name>)'");
                        false
                    }
                },
                _ => false,
            };
        }
        if let Some(text) = data.get(LEGACY) {
            let legacy: Legacy = serde_saphyr::from_str(text).unwrap_or_else(|error| {
                tracing::warn!(%error, "{LEGACY} of the notifications cannot be read");
                Legacy::default()
            });
            names.triggers.extend(legacy.triggers.into_iter().map(|named| named.name));
            names.templates.extend(legacy.templates.into_iter().map(|named| named.name));
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn names_are_read_from_the_keys() {
        let keys = [
            "trigger.on-deployed",
            "trigger.a.b",
            "template.app-deployed",
            "service.slack",
            "service.webhook.ci",
            "service.a.b.c",
            "defaultTriggers",
            "defaultTriggers.slack",
            "context",
            "subscriptions",
        ];
        let data = keys.iter().map(|key| ((*key).to_owned(), String::new())).collect();
        let expected = Names {
            triggers: set(&["on-deployed", "a.b"]),
            services: set(&["slack", "ci"]),
            templates: set(&["app-deployed"]),
        };
        assert_eq!(Names::read(&data), expected);
    }

    #[test]
    fn names_of_the_older_form_are_read_too() {
        let text = "triggers:\n- name: on-old\n  condition: x\ntemplates:\n- name: old\n  body: y\n";
        let read = |text: &str| {
            let data =
                BTreeMap::from([(LEGACY.to_owned(), text.to_owned()), ("trigger.new".to_owned(), String::new())]);
            Names::read(&data)
        };
        assert_eq!(read(text).triggers, set(&["new", "on-old"]));
        assert_eq!(read(text).templates, set(&["old"]));
        assert_eq!(read(": [").triggers, set(&["new"]));
    }
}
