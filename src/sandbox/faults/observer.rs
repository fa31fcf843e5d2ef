//! The observer that the serving code calls: faults ahead of a request, the
//! journal behind it.

use http::{Method, StatusCode};

use super::{Fault, Faults};
use crate::failure::Failure;
use crate::hooks::{Attributes, Caller, Observer, Record, Trouble};
use crate::journal::Journal;

/// Makes requests fail by [`Faults`] and remembers writes in a [`Journal`].
#[derive(Clone, Debug)]
pub struct Observation {
    faults: Faults,
    journal: Journal,
}

// === impl Observation ===

impl Observation {
    /// Of these two.
    #[must_use]
    pub fn new(faults: Faults, journal: Journal) -> Self {
        Self { faults, journal }
    }
}

impl Observer for Observation {
    fn trouble(&self, _: &Caller, attributes: &Attributes, _: &Method) -> Trouble {
        let faults = self.faults.draw(&attributes.verb, &attributes.resource, &attributes.namespace);
        faults.into_iter().fold(Trouble::default(), add)
    }

    fn record(&self, record: Record) {
        self.journal.record(record);
    }
}

fn add(mut trouble: Trouble, fault: Fault) -> Trouble {
    let refusal = match fault {
        Fault::Latency(more) => {
            trouble.delay = Some(trouble.delay.unwrap_or_default() + more);
            return trouble;
        }
        Fault::WatchDrops(after) => {
            trouble.watch_ends_after = Some(after);
            return trouble;
        }
        Fault::WatchExpires(after) => {
            trouble.watch_expires_after = Some(after);
            return trouble;
        }
        Fault::TooManyRequests { retry_after } => {
            trouble.retry_after = trouble.retry_after.or(Some(u64::from(retry_after)));
            let message = "the server has received too many requests and has asked us to try again later";
            Failure::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", message)
        }
        Fault::InternalError => Failure::internal("a fault was asked for"),
        Fault::Gone => Failure::expired("The resourceVersion for the provided list is too old."),
    };
    trouble.refusal.get_or_insert(refusal);
    trouble
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::faults::FaultRule;

    #[test]
    fn latencies_add_up_and_the_first_refusal_counts() {
        let faults = Faults::none();
        for fault in [
            Fault::Latency(Duration::from_secs(1)),
            Fault::TooManyRequests { retry_after: 3 },
            Fault::InternalError,
            Fault::Latency(Duration::from_secs(2)),
        ] {
            faults.add(FaultRule::always(fault));
        }
        let observation = Observation::new(faults, Journal::default());
        let trouble = observation.trouble(&Caller::default(), &Attributes::default(), &Method::GET);
        assert_eq!(trouble.delay, Some(Duration::from_secs(3)));
        assert_eq!(trouble.retry_after, Some(3));
        assert_eq!(trouble.refusal.map(|refusal| refusal.code.as_u16()), Some(429));
    }
}
