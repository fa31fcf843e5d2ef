//! Sync windows allow and deny at the times their authors read off the wall.

use argosy_engine::windows::{Decision, Reason, Subject, Windows};
use argosy_proto::v1alpha1::SyncWindow;
use jiff::Timestamp;

fn window(kind: &str, schedule: &str, duration: &str) -> SyncWindow {
    SyncWindow {
        kind: kind.to_owned(),
        schedule: schedule.to_owned(),
        duration: duration.to_owned(),
        applications: vec!["*".to_owned()],
        ..SyncWindow::default()
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn can_sync(windows: &[SyncWindow], manual: bool, now: &str, started: Option<&str>) -> Decision {
    Windows::compile(windows).can_sync(manual, at(now), started.map(at))
}

fn allowed(windows: &[SyncWindow], now: &str) -> bool {
    can_sync(windows, false, now, None).allowed
}

#[test]
fn without_windows_everything_is_allowed() {
    assert_eq!(can_sync(&[], false, "2026-03-01T00:00:00Z", None).reason, Reason::NoWindow);
}

#[test]
fn a_window_is_open_from_its_start_until_its_end() {
    let deny = [window("deny", "0 22 * * *", "8h")];
    for (now, want) in [
        ("2026-03-01T21:59:59Z", true),
        ("2026-03-01T22:00:00Z", false),
        ("2026-03-02T05:59:59.9Z", false),
        ("2026-03-02T06:00:00Z", true),
    ] {
        assert_eq!(allowed(&deny, now), want, "{now}");
    }
}

#[test]
fn an_open_deny_beats_an_open_allow() {
    let windows = [window("allow", "* * * * *", "1h"), window("deny", "0 10 * * *", "1h")];
    assert!(allowed(&windows, "2026-03-01T09:30:00Z"));
    assert!(!allowed(&windows, "2026-03-01T10:30:00Z"));
}

#[test]
fn an_allow_window_forbids_while_it_is_closed() {
    let windows = [window("allow", "0 10 * * *", "1h")];
    assert!(matches!(can_sync(&windows, false, "2026-03-01T09:00:00Z", None).reason, Reason::Closed(_)));
    assert!(matches!(can_sync(&windows, false, "2026-03-01T10:00:00Z", None).reason, Reason::Open(_)));
}

#[test]
fn people_pass_only_when_every_window_in_the_way_lets_them() {
    let mut windows = [window("deny", "0 10 * * *", "1h"), window("deny", "0 10 * * *", "2h")];
    windows[0].manual_sync = true;
    assert!(!can_sync(&windows, true, "2026-03-01T10:30:00Z", None).allowed);
    windows[1].manual_sync = true;
    assert!(can_sync(&windows, true, "2026-03-01T10:30:00Z", None).allowed);
    assert!(!can_sync(&windows, false, "2026-03-01T10:30:00Z", None).allowed);
}

#[test]
fn a_running_sync_overruns_only_where_it_began_when_allowed() {
    let mut deny = [window("deny", "0 10 * * *", "1h")];
    let started = Some("2026-03-01T09:55:00Z");
    assert!(!can_sync(&deny, false, "2026-03-01T10:30:00Z", started).allowed);
    deny[0].sync_overrun = true;
    assert!(matches!(can_sync(&deny, false, "2026-03-01T10:30:00Z", started).reason, Reason::Overrun(_)));
    assert!(!can_sync(&deny, false, "2026-03-01T10:30:00Z", Some("2026-03-01T10:01:00Z")).allowed);
    assert!(!can_sync(&deny, false, "2026-03-01T10:30:00Z", None).allowed);

    let mut allow = [window("allow", "0 9 * * *", "1h"), window("allow", "0 20 * * *", "1h")];
    allow[0].sync_overrun = true;
    assert!(!can_sync(&allow, false, "2026-03-01T10:30:00Z", started).allowed);
    allow[1].sync_overrun = true;
    assert!(can_sync(&allow, false, "2026-03-01T10:30:00Z", started).allowed);
}

#[test]
fn a_window_matches_any_list_or_with_the_and_operator_every_list() {
    let mut spec = window("deny", "* * * * *", "1h");
    spec.applications = vec!["web-*".to_owned()];
    spec.namespaces = vec!["prod".to_owned()];
    spec.clusters = vec!["https://*".to_owned()];
    let subject = Subject { application: "web-1", namespace: "dev", server: "", cluster: "in-cluster" };
    assert!(!Windows::compile(&[spec.clone()]).matching(&subject).is_empty());
    spec.and_operator = true;
    assert!(Windows::compile(&[spec.clone()]).matching(&subject).is_empty());
    let both = Subject { namespace: "prod", server: "https://a", ..subject };
    assert!(!Windows::compile(&[spec]).matching(&both).is_empty());
    let empty = SyncWindow { and_operator: true, ..SyncWindow::default() };
    assert!(Windows::compile(&[empty]).matching(&both).is_empty());
}

#[test]
fn an_unreadable_window_blocks_and_leaves_the_others_readable() {
    let windows = Windows::compile(&[window("deny", "61 * * * *", "1h"), window("allow", "* * * * *", "1h")]);
    let errors: Vec<_> = windows.iter().map(|w| w.error().is_some()).collect();
    assert_eq!(errors, [true, false]);
    assert!(!windows.can_sync(false, at("2026-03-01T00:00:00Z"), None).allowed);
    assert!(!allowed(&[window("allow", "0 0 * * *", "60")], "2026-03-01T00:00:10Z"));
    assert!(allowed(&[window("other", "* * * * *", "1h")], "2026-03-01T00:00:10Z"));
}

#[test]
fn a_window_keeps_to_the_wall_clock_when_the_offset_changes() {
    let mut night = [window("deny", "0 22 * * *", "8h")];
    night[0].time_zone = "Europe/Berlin".to_owned();
    for (now, want) in [
        // Winter: 22:00 is 21:00Z, 06:00 is 05:00Z.
        ("2026-01-10T21:00:00Z", false),
        ("2026-01-11T05:00:00Z", true),
        // The night clocks go forward: it ends at 06:00, which is now 04:00Z.
        ("2026-03-28T21:00:00Z", false),
        ("2026-03-29T03:59:59Z", false),
        ("2026-03-29T04:00:00Z", true),
        // The night they go back: it begins at 20:00Z and ends at 05:00Z.
        ("2026-10-24T19:59:59Z", true),
        ("2026-10-24T20:00:00Z", false),
        ("2026-10-25T04:59:59Z", false),
        ("2026-10-25T05:00:00Z", true),
    ] {
        assert_eq!(allowed(&night, now), want, "{now}");
    }
}

#[test]
fn a_start_in_the_skipped_hour_opens_when_the_hour_has_been_skipped() {
    let mut deny = [window("deny", "30 2 * * *", "1h")];
    deny[0].time_zone = "Europe/Berlin".to_owned();
    assert!(allowed(&deny, "2026-03-29T00:59:59Z"));
    assert!(!allowed(&deny, "2026-03-29T01:00:00Z"));
    assert!(!allowed(&deny, "2026-03-29T01:29:59Z"));
    assert!(allowed(&deny, "2026-03-29T01:30:00Z"));
}

#[test]
fn an_unknown_zone_is_read_as_utc_and_said() {
    let mut spec = window("deny", "0 10 * * *", "1h");
    spec.time_zone = "Atlantis/Capital".to_owned();
    assert!(Windows::compile(&[spec.clone()]).iter().all(|w| w.zone_is_unknown()));
    assert!(!allowed(&[spec], "2026-03-01T10:30:00Z"));
}

#[test]
fn the_next_change_is_when_the_window_opens_or_closes() {
    let windows = Windows::compile(&[window("allow", "0 10 * * *", "1h")]);
    assert_eq!(windows.next_change(at("2026-03-01T09:00:00.5Z")), Some(at("2026-03-01T10:00:00Z")));
    assert_eq!(windows.next_change(at("2026-03-01T10:00:00Z")), Some(at("2026-03-01T11:00:00Z")));
    let overlapping = Windows::compile(&[window("allow", "0 10,11 * * *", "90m")]);
    assert_eq!(overlapping.next_change(at("2026-03-01T10:10:00Z")), Some(at("2026-03-01T12:30:00Z")));
    let never = Windows::compile(&[window("allow", "0 0 30 2 *", "1h")]);
    assert_eq!(never.next_change(at("2026-03-01T10:10:00Z")), None);
}

#[test]
fn following_next_changes_misses_no_change() {
    let mut specs = [
        window("allow", "30 1,2 * * *", "45m"),
        window("deny", "15 2 * * sun", "20m"),
        window("allow", "@hourly", "5m"),
    ];
    specs.iter_mut().for_each(|s| s.time_zone = "America/New_York".to_owned());
    let windows = Windows::compile(&specs);
    for (from, until) in
        [("2026-03-08T00:00:00Z", "2026-03-09T00:00:00Z"), ("2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z")]
    {
        let (mut now, mut change) = (at(from), at(from));
        let mut answer = None;
        while now < at(until) {
            if now >= change {
                answer = Some(windows.can_sync(false, now, None));
                change = windows.next_change(now).expect("the windows go on for ever");
                assert!(change > now);
            }
            assert_eq!(answer.as_ref(), Some(&windows.can_sync(false, now, None)), "{now}");
            now += jiff::SignedDuration::from_mins(1);
        }
    }
}
