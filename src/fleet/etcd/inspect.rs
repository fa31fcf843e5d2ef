//! A fleet in etcd as an onlooker sees it, who is no member.

use std::collections::{BTreeMap, BTreeSet};

use super::Etcd;
use crate::assignment::Placed;
use crate::etcd::plan::{Facts, demands};
use crate::etcd::view::View;
use crate::id::Cost;
use crate::report::{PlacementReport, Standing};

impl Etcd {
    /// Placement as it is stored, once it has been read.
    pub async fn report(&self) -> PlacementReport {
        let mut view = self.published.view.subscribe();
        // Its sender is in `self`.
        let view = view.wait_for(|view| view.revision > 0).await.map(|view| view.clone()).unwrap_or_default();
        report(&view)
    }
}

fn report(view: &View) -> PlacementReport {
    let document = view.document.as_deref().cloned().unwrap_or_default();
    let (overdue, pins) = (BTreeSet::new(), document.pins.clone());
    let View { sessions, costs, released, ready, fenced, .. } = view;
    let (worth_splitting, lost) = (Cost::default(), BTreeSet::new());
    let (overdue, pins, lost) = (&overdue, &pins, &lost);
    let avoided = lost;
    let facts = Facts { sessions, costs, released, ready, overdue, lost, avoided, fenced, pins, worth_splitting };
    let demands = demands(&document, facts);
    let is_there = |entry: &crate::etcd::document::Entry| {
        sessions.get(&entry.replica).is_some_and(|(session, _)| *session == entry.session)
    };
    let standing: BTreeMap<_, _> = document
        .entries
        .iter()
        .filter(|(_, entry)| is_there(entry))
        .map(|(entity, entry)| {
            let owner = Placed { replica: entry.replica.clone(), epoch: entry.epoch };
            let leaving = entry.leaving.as_ref().map(|leaving| leaving.next.clone());
            (entity.clone(), Standing { owner, coming: entry.coming.clone(), leaving })
        })
        .collect();
    let leader = view.leader.and_then(|(leader, _)| {
        sessions.iter().find(|(_, (session, _))| *session == leader).map(|(name, _)| name.clone())
    });
    let replicas = sessions.values().map(|(_, replica)| replica.clone()).collect();
    PlacementReport::new(leader, replicas, &standing, demands)
}
