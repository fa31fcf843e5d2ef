//! Objects that were read a moment ago: of many that are looked at in turn after turn,
//! such as the Pods of a Service, each is read once.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use crate::store::Object;

/// Most bytes of text of what is kept; read they are many times as large.
const MAX_BYTES: usize = 1 << 20;

/// What was read since the controllers last paused.
#[derive(Default)]
pub(crate) struct Recent {
    seen: RefCell<Seen>,
}

#[derive(Default)]
struct Seen {
    /// By version, which no two objects of a store have in common.
    objects: HashMap<u64, Arc<Object>>,
    bytes: usize,
}

// === impl Recent ===

impl Recent {
    /// The same object, as it was read before.
    pub(crate) fn known(&self, object: Arc<Object>) -> Arc<Object> {
        let mut seen = self.seen.borrow_mut();
        if let Some(known) = seen.objects.get(&object.version) {
            return known.clone();
        }
        if seen.bytes > MAX_BYTES {
            *seen = Seen::default();
        }
        seen.bytes += object.value.text().len();
        seen.objects.insert(object.version, object.clone());
        object
    }

    /// Keeps nothing of it.
    pub(crate) fn forget(&self) {
        *self.seen.borrow_mut() = Seen::default();
    }
}
