//! What onlookers see of applications: their last comparison, and a sign that
//! something has changed.
//!
//! Nobody looks at most applications, and then this costs a few shared pointers
//! per application and a look into a table per change. The sign carries nothing:
//! who is woken reads what there is now.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use argosy_model::AppKey;
use tokio::sync::watch;

use crate::application::View;

/// See the module's page.
#[derive(Default)]
pub(crate) struct Views {
    slots: RwLock<HashMap<AppKey, Slot>>,
}

/// What is kept for one application.
#[derive(Default)]
struct Slot {
    view: Option<Arc<View>>,
    /// A comparison was tried since the start, whatever came of it.
    tried: bool,
    /// There while somebody looks.
    onlookers: Option<watch::Sender<u64>>,
}

/// What is to be seen now.
pub(crate) enum Seen {
    /// The last comparison that came through.
    View(Arc<View>),
    /// None has come through; the application's conditions say why.
    Failed,
    /// None has been tried yet.
    NotYet,
}

// === impl Views ===

impl Views {
    fn write<T>(&self, change: impl FnOnce(&mut HashMap<AppKey, Slot>) -> T) -> T {
        change(&mut self.slots.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// Shows a comparison that came through.
    pub(crate) fn publish(&self, key: &AppKey, view: View) {
        self.write(|slots| {
            let slot = slots.entry(key.clone()).or_default();
            slot.view = Some(Arc::new(view));
            slot.tried = true;
            slot.nudge();
        });
    }

    /// Says that a comparison was tried and is recorded.
    pub(crate) fn tried(&self, key: &AppKey) {
        self.write(|slots| {
            let slot = slots.entry(key.clone()).or_default();
            if !std::mem::replace(&mut slot.tried, true) {
                slot.nudge();
            }
        });
    }

    /// Says that something below an application's resources has changed.
    pub(crate) fn touch(&self, key: &AppKey) {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(onlookers) = slots.get(key).and_then(|slot| slot.onlookers.as_ref()) {
            onlookers.send_modify(|n| *n += 1);
        }
    }

    /// The application is gone; onlookers see their signs end.
    pub(crate) fn forget(&self, key: &AppKey) {
        self.write(|slots| slots.remove(key));
    }

    /// What is to be seen now.
    pub(crate) fn look(&self, key: &AppKey) -> Seen {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        match slots.get(key) {
            Some(Slot { view: Some(view), .. }) => Seen::View(view.clone()),
            Some(Slot { tried: true, .. }) => Seen::Failed,
            _ => Seen::NotYet,
        }
    }

    /// A sign for each change from now on, those at the same time being one.
    pub(crate) fn watch(&self, key: &AppKey) -> watch::Receiver<u64> {
        self.write(|slots| {
            let slot = slots.entry(key.clone()).or_default();
            slot.onlookers.get_or_insert_with(|| watch::Sender::new(0)).subscribe()
        })
    }
}

// === impl Slot ===

impl Slot {
    fn nudge(&mut self) {
        if self.onlookers.as_ref().is_some_and(|onlookers| onlookers.receiver_count() == 0) {
            self.onlookers = None;
        }
        if let Some(onlookers) = &self.onlookers {
            onlookers.send_modify(|n| *n += 1);
        }
    }
}
