//! Passwords cannot be guessed by trying, whatever else the attacker does, and
//! nobody learns from an answer which accounts there are.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use argosy_auth::account::Accounts;
use argosy_auth::sign_in::{self, Admission, Attempt, Limit, Limiter, Limits, SignInError};
use argosy_auth::token::SigningKey;
use argosy_model::Secret;
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::Value;

const START: i64 = 1_700_000_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(START + seconds).expect("a time")
}

fn limiter(limits: Limits) -> Limiter {
    Limiter::new(limits, &SigningKey::new(b"key").expect("a key"))
}

fn known(name: &str) -> Attempt {
    Attempt { name: name.to_owned(), exists: true, source: None }
}

fn unknown(name: &str) -> Attempt {
    Attempt { exists: false, ..known(name) }
}

fn from(source: [u8; 4], attempt: Attempt) -> Attempt {
    Attempt { source: Some(IpAddr::V4(Ipv4Addr::from(source))), ..attempt }
}

fn is_admitted(limiter: &mut Limiter, attempt: &Attempt, seconds: i64) -> bool {
    limiter.admit(attempt, at(seconds)) == Admission::Admitted
}

#[test]
fn five_failures_lock_an_account_for_five_minutes() {
    let mut limiter = limiter(Limits::default());
    let admin = known("admin");
    for second in 0..5 {
        assert!(is_admitted(&mut limiter, &admin, second));
    }
    let until = Some(at(4 + 300));
    assert_eq!(limiter.admit(&admin, at(5)), Admission::Refused { by: Limit::Account, until });
    assert!(!is_admitted(&mut limiter, &admin, 4 + 300), "being refused neither lengthens nor shortens it");
    assert!(is_admitted(&mut limiter, &known("ann"), 6), "others are not touched");
    assert!(is_admitted(&mut limiter, &admin, 5 + 300));
}

#[test]
fn attempts_side_by_side_count_before_their_outcome_is_known() {
    let mut limiter = limiter(Limits::default());
    let admitted = (0..100).filter(|_| is_admitted(&mut limiter, &known("admin"), 0)).count();
    assert_eq!(admitted, 5);
}

#[test]
fn a_success_forgets_the_failures_of_its_account() {
    let mut limiter = limiter(Limits::default());
    let admin = known("admin");
    for second in 0..4 {
        assert!(is_admitted(&mut limiter, &admin, second));
    }
    assert!(is_admitted(&mut limiter, &admin, 5));
    limiter.on_success(&admin, at(5));
    let admitted = (0..10).filter(|_| is_admitted(&mut limiter, &admin, 6)).count();
    assert_eq!(admitted, 5);
}

#[test]
fn an_attempt_that_is_withdrawn_was_never_made() {
    let mut limiter = limiter(Limits { max_source_failures: 3, ..Limits::default() });
    let admin = from([192, 0, 2, 1], known("admin"));
    for _ in 0..20 {
        assert!(is_admitted(&mut limiter, &admin, 0));
        limiter.withdraw(&admin);
    }
}

#[test]
fn a_window_of_nothing_locks_for_ever() {
    let mut limiter = limiter(Limits { window: 0, ..Limits::default() });
    for _ in 0..5 {
        assert!(is_admitted(&mut limiter, &known("admin"), 0));
    }
    let later = limiter.admit(&known("admin"), at(1_000_000));
    assert_eq!(later, Admission::Refused { by: Limit::Account, until: None });
    assert!(!limiter.to_records(at(1_000_000)).is_empty());
}

#[test]
fn many_made_up_names_do_not_make_the_real_ones_forgotten() {
    let mut limiter = limiter(Limits { max_entries: 50, ..Limits::default() });
    for _ in 0..5 {
        assert!(is_admitted(&mut limiter, &known("admin"), 0));
    }
    for number in 0..10_000 {
        let _ = limiter.admit(&from([10, 0, 0, 1], unknown(&format!("made-up-{number}"))), at(1));
        let _ = limiter.admit(&unknown(&format!("made-up-too-{number}")), at(1));
    }
    assert!(!is_admitted(&mut limiter, &known("admin"), 2));
    assert!(is_admitted(&mut limiter, &known("ann"), 2), "nor do they lock them");
    assert!(limiter.to_records(at(2)).len() <= 2 + 50, "names of no account are not written down");
}

#[test]
fn a_made_up_name_is_locked_as_a_real_one_is() {
    let mut limiter = limiter(Limits::default());
    let admitted = (0..10).filter(|_| is_admitted(&mut limiter, &unknown("ghost"), 0)).count();
    assert_eq!(admitted, 5);
}

#[test]
fn an_address_that_tries_many_accounts_is_slowed_down() {
    let mut limiter = limiter(Limits { max_source_failures: 10, ..Limits::default() });
    let attempt = |number: usize| from([192, 0, 2, 1], known(&format!("account-{number}")));
    let admitted = (0..100).filter(|number| is_admitted(&mut limiter, &attempt(*number), 0)).count();
    assert_eq!(admitted, 10);
    assert_eq!(
        limiter.admit(&attempt(200), at(1)),
        Admission::Refused { by: Limit::Source, until: Some(at(30)) },
        "one attempt drains in a tenth of the window"
    );
    assert!(is_admitted(&mut limiter, &attempt(300), 30));
    assert!(!is_admitted(&mut limiter, &attempt(400), 31));
    assert!(is_admitted(&mut limiter, &from([192, 0, 2, 2], known("ann")), 31), "other addresses are not touched");
    assert!(is_admitted(&mut limiter, &known("bob"), 31), "nor is who has no known address");
}

#[test]
fn those_who_sign_in_do_not_use_up_their_address() {
    let mut limiter = limiter(Limits { max_source_failures: 3, ..Limits::default() });
    for number in 0..100 {
        let attempt = from([192, 0, 2, 1], known(&format!("account-{number}")));
        assert!(is_admitted(&mut limiter, &attempt, 0));
        limiter.on_success(&attempt, at(0));
    }
}

#[test]
fn the_addresses_of_one_owner_count_as_one() {
    let mut limiter = limiter(Limits { max_source_failures: 3, ..Limits::default() });
    let attempt = |low: u16| {
        let address = Ipv6Addr::new(0x2001, 0xdb8, 1, 2, 0, 0, 0, low);
        Attempt { source: Some(IpAddr::V6(address)), ..known(&format!("account-{low}")) }
    };
    let admitted = (0..100).filter(|low| is_admitted(&mut limiter, &attempt(*low), 0)).count();
    assert_eq!(admitted, 3);
    let mapped = Attempt { source: Some(IpAddr::V6(Ipv4Addr::new(192, 0, 2, 9).to_ipv6_mapped())), ..known("a") };
    for _ in 0..3 {
        assert!(is_admitted(&mut limiter, &mapped, 0));
    }
    assert!(!is_admitted(&mut limiter, &from([192, 0, 2, 9], known("b")), 0));
}

#[test]
fn a_restart_resets_nothing() {
    let mut before = limiter(Limits { max_source_failures: 5, ..Limits::default() });
    for _ in 0..5 {
        assert!(is_admitted(&mut before, &from([192, 0, 2, 1], known("admin")), 0));
    }
    let records = before.to_records(at(1));
    assert!(records.keys().all(|key| !key.contains("192")), "no address is written down");
    let mut after = limiter(Limits { max_source_failures: 5, ..Limits::default() });
    assert_eq!(after.merge_records(&records, at(2)), Vec::<String>::new());
    assert!(!is_admitted(&mut after, &known("admin"), 2));
    assert!(!is_admitted(&mut after, &from([192, 0, 2, 1], known("ann")), 2));
    assert!(after.to_records(at(700)).is_empty(), "what no longer matters is dropped");
}

#[test]
fn replicas_agree_on_the_higher_count_and_on_the_later_success() {
    let (mut one, mut two) = (limiter(Limits::default()), limiter(Limits::default()));
    for _ in 0..4 {
        assert!(is_admitted(&mut one, &known("admin"), 0));
    }
    assert!(is_admitted(&mut two, &known("admin"), 1));
    let _ = two.merge_records(&one.to_records(at(2)), at(2));
    let _ = two.merge_records(&one.to_records(at(2)), at(2));
    assert!(is_admitted(&mut two, &known("admin"), 3), "merging takes the higher count, and does so once");
    assert!(!is_admitted(&mut two, &known("admin"), 3));

    assert!(is_admitted(&mut one, &known("admin"), 4));
    one.on_success(&known("admin"), at(5));
    let _ = two.merge_records(&one.to_records(at(6)), at(6));
    let _ = one.merge_records(&two.to_records(at(6)), at(6));
    assert!(is_admitted(&mut one, &known("admin"), 7));
    assert!(is_admitted(&mut two, &known("admin"), 7));
}

#[test]
fn failures_that_are_over_do_not_live_on_by_merging() {
    let (mut one, mut two) = (limiter(Limits::default()), limiter(Limits::default()));
    for _ in 0..4 {
        assert!(is_admitted(&mut one, &known("admin"), 0));
    }
    assert!(is_admitted(&mut two, &known("admin"), 400));
    let _ = one.merge_records(&two.to_records(at(400)), at(400));
    let admitted = (0..10).filter(|_| is_admitted(&mut one, &known("admin"), 400)).count();
    assert_eq!(admitted, 4);
}

#[test]
fn a_clock_that_runs_wrong_locks_nobody_for_long() {
    let mut limiter = limiter(Limits::default());
    let far = i64::MAX;
    let records: BTreeMap<String, String> = [
        ("account.admin".to_owned(), format!("9 {far} 0")),
        ("account.ann".to_owned(), format!("9 {} {}", i64::MIN, i64::MIN)),
        ("source.1".to_owned(), far.to_string()),
        ("source.2".to_owned(), i64::MIN.to_string()),
    ]
    .into();
    assert_eq!(limiter.merge_records(&records, at(0)), Vec::<String>::new());
    assert!(!is_admitted(&mut limiter, &known("admin"), 300));
    assert!(is_admitted(&mut limiter, &known("admin"), 301));
    assert!(is_admitted(&mut limiter, &known("ann"), 0));
}

// === verify ===

#[test]
fn only_the_right_password_learns_more_than_no() {
    let vectors: Value = serde_json::from_str(include_str!("data/go_vectors.json")).expect("JSON");
    let hash = vectors["bcrypt_short"].as_str().expect("a vector");
    let config = [
        ("accounts.off", "login"),
        ("accounts.off.enabled", "false"),
        ("accounts.ci", "apiKey"),
        ("accounts.new", "login"),
    ];
    let config = config.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let accounts = Accounts::read(&config, |key| {
        let known = ["admin.password", "accounts.off.password", "accounts.ci.password"].contains(&key);
        known.then(|| Secret::new(hash))
    });
    let answer = |name: &str, password: &str| {
        sign_in::verify(&accounts, name, password).map(|account| account.name.clone()).map_err(|e| e.to_string())
    };
    assert_eq!(answer("admin", "password"), Ok("admin".to_owned()));
    for (name, password) in
        [("admin", "wrong"), ("off", "wrong"), ("ci", "wrong"), ("new", "x"), ("nobody", "password")]
    {
        assert_eq!(answer(name, password), Err("Invalid username or password".to_owned()));
    }
    assert_eq!(answer("off", "password"), Err("Account off is disabled".to_owned()));
    assert_eq!(answer("ci", "password"), Err("Account ci does not have login capability".to_owned()));
    assert_eq!(answer("admin", ""), Err("no credentials supplied".to_owned()));
    let long = "x".repeat(33);
    assert_eq!(sign_in::check_form(&long, "p"), Err(SignInError::NameTooLong));
    assert_eq!(answer(&long, "p"), Err("Username is too long (32 bytes max)".to_owned()));
}

#[test]
fn answers_take_between_half_a_second_and_a_second() {
    assert_eq!(sign_in::answer_after(0).as_millis(), 500);
    assert_eq!(sign_in::answer_after(u16::MAX).as_millis(), 999);
}

proptest! {
    #[test]
    fn merging_is_the_same_in_any_order(
        one in prop::collection::vec((0_u8..3, 0_i64..400, any::<bool>()), 0..12),
        two in prop::collection::vec((0_u8..3, 0_i64..400, any::<bool>()), 0..12),
    ) {
        let run = |steps: &[(u8, i64, bool)]| {
            let mut limiter = limiter(Limits::default());
            let mut steps = steps.to_vec();
            steps.sort_by_key(|step| step.1);
            for (account, second, success) in steps {
                let attempt = from([192, 0, 2, account], known(&format!("a{account}")));
                if is_admitted(&mut limiter, &attempt, second) && success {
                    limiter.on_success(&attempt, at(second));
                }
            }
            limiter
        };
        let (mut a, mut b) = (run(&one), run(&two));
        let (of_a, of_b) = (a.to_records(at(400)), b.to_records(at(400)));
        prop_assert!(a.merge_records(&of_b, at(400)).is_empty());
        prop_assert!(b.merge_records(&of_a, at(400)).is_empty());
        let merged = a.to_records(at(400));
        prop_assert_eq!(&merged, &b.to_records(at(400)));
        let _ = a.merge_records(&of_b, at(400));
        prop_assert_eq!(merged, a.to_records(at(400)));
    }

    #[test]
    fn no_record_breaks_it(
        records in prop::collection::btree_map("(account|source)\\.[a-z0-9]{0,9}|.{0,9}", "-?[0-9]{0,20} -?[0-9]{0,20} ?[0-9]{0,20}|.{0,20}", 0..8),
        second in -2_000_000_000_i64..2_000_000_000,
    ) {
        let mut limiter = limiter(Limits::default());
        let _ = limiter.merge_records(&records, at(second));
        let _ = limiter.admit(&from([192, 0, 2, 1], known("a")), at(second));
        let _ = limiter.to_records(at(second));
    }
}
