//! Reading accounts from the settings objects.

use std::collections::BTreeMap;

use argosy_model::Secret;
use jiff::Timestamp;

use super::{ADMIN, Account, Accounts, Capability, Problem, TokenRecord};
use crate::password;

/// Collects accounts and what is wrong with them.
struct Reader<'a> {
    config: &'a BTreeMap<String, String>,
    accounts: Accounts,
}

// === impl Accounts ===

impl Accounts {
    /// Reads the accounts from the data of `argocd-cm` and from values of
    /// `argocd-secret` by their key.
    pub fn read<'s>(config: &BTreeMap<String, String>, secret: impl Fn(&str) -> Option<Secret<&'s str>>) -> Self {
        let mut reader = Reader { config, accounts: Self::default() };
        reader.admin();
        reader.others();
        for account in &mut reader.accounts.by_name.values_mut() {
            read_secrets(account, &secret, &mut reader.accounts.problems);
        }
        reader.accounts
    }
}

// === impl Reader ===

impl Reader<'_> {
    fn admin(&mut self) {
        let mut admin = Account::named(ADMIN);
        admin.capabilities.push(Capability::Login);
        self.accounts.by_name.insert(ADMIN.to_owned(), admin);
        if let Some(text) = self.config.get("admin.enabled") {
            self.enable(ADMIN, "admin.enabled", text);
        }
    }

    fn others(&mut self) {
        for (key, value) in self.config {
            let Some(rest) = key.strip_prefix("accounts.") else { continue };
            let parts: Vec<&str> = rest.split('.').collect();
            match parts.as_slice() {
                [name] => self.capabilities(name, key, value),
                [name, "enabled"] => self.enable(name, key, value),
                [name, _] => {
                    self.account(name);
                }
                _ => self.problem(rest, key, "the name of an account has no dots"),
            }
        }
    }

    fn account(&mut self, name: &str) -> &mut Account {
        self.accounts.by_name.entry(name.to_owned()).or_insert_with(|| Account::named(name))
    }

    fn problem(&mut self, account: &str, key: &str, message: &str) {
        self.accounts.problems.push(Problem::new(account, key, message));
    }

    fn capabilities(&mut self, name: &str, key: &str, value: &str) {
        for text in value.split(',').map(str::trim).filter(|text| !text.is_empty()) {
            match Capability::parse(text) {
                Some(capability) => {
                    let account = self.account(name);
                    if !account.has(capability) {
                        account.capabilities.push(capability);
                    }
                }
                None => self.problem(name, key, &format!("'{text}' is not a capability")),
            }
        }
        self.account(name);
    }

    /// What is neither true nor false disables.
    fn enable(&mut self, name: &str, key: &str, text: &str) {
        let enabled = match text {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => true,
            "0" | "f" | "F" | "false" | "FALSE" | "False" => false,
            _ => {
                self.problem(name, key, "is neither true nor false; the account is disabled");
                false
            }
        };
        self.account(name).enabled = enabled;
    }
}

// === impl Account ===

impl Account {
    fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            enabled: true,
            capabilities: Vec::new(),
            password_hash: Secret::default(),
            password_mtime: None,
            tokens: Vec::new(),
            tokens_readable: true,
        }
    }

    /// The key of `argocd-secret` that holds this part of the account.
    pub(super) fn secret_key(&self, part: &str) -> String {
        if self.name == ADMIN { format!("{ADMIN}.{part}") } else { format!("accounts.{}.{part}", self.name) }
    }
}

// === impl Problem ===

impl Problem {
    fn new(account: &str, key: &str, message: &str) -> Self {
        Self { account: account.to_owned(), key: key.to_owned(), message: message.to_owned() }
    }
}

fn read_secrets<'s>(
    account: &mut Account,
    secret: &impl Fn(&str) -> Option<Secret<&'s str>>,
    problems: &mut Vec<Problem>,
) {
    let value = |key: &str| secret(key).map_or("", |value| *value.expose());
    let mut problem = |name: &str, key: &str, message: &str| problems.push(Problem::new(name, key, message));

    let key = account.secret_key("password");
    let hash = value(&key);
    if !hash.is_empty()
        && let Err(unusable) = password::check_hash(hash)
    {
        problem(&account.name, &key, &unusable.to_string());
    }
    account.password_hash = Secret::new(hash.to_owned());

    let key = account.secret_key("passwordMtime");
    let changed = value(&key);
    if !changed.is_empty() {
        let time = changed.parse::<Timestamp>();
        if time.is_err() {
            problem(&account.name, &key, "is not a time; no token of the account is accepted");
        }
        account.password_mtime = Some(time.unwrap_or(Timestamp::MAX));
    }

    let key = account.secret_key("tokens");
    let list = value(&key);
    if !list.is_empty() {
        match serde_json::from_str::<Option<Vec<TokenRecord>>>(list) {
            Ok(tokens) => account.tokens = tokens.unwrap_or_default(),
            Err(_) => {
                // The error would quote the Secret.
                problem(&account.name, &key, "is not a list of tokens; no API key of the account is accepted");
                account.tokens_readable = false;
            }
        }
    }
}
