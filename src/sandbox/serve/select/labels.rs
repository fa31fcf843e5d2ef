//! Label selectors in a query: `a=b,c in (d,e),!f,g>1`.

use argosy_model::object;
use serde_json::Value;

use crate::serve::validate::{not_label_value, not_qualified};

/// One of the terms that all have to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
    Above(String, i64),
    Below(String, i64),
}

/// A piece of a selector.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    End,
    Symbol(&'static str),
    Word(String),
}

struct Reader {
    tokens: Vec<Token>,
    at: usize,
}

const SYMBOLS: [&str; 10] = ["==", "!=", "=", "!", "(", ")", ",", ">", "<", ""];

// === impl Requirement ===

impl Requirement {
    /// Whether an object's labels fit.
    pub(super) fn matches(&self, object: &Value) -> bool {
        let number = |key: &str| object::label(object, key).and_then(|text| text.parse::<i64>().ok());
        match self {
            Self::In(key, values) => object::label(object, key).is_some_and(|v| values.iter().any(|w| w == v)),
            Self::NotIn(key, values) => object::label(object, key).is_none_or(|v| values.iter().all(|w| w != v)),
            Self::Exists(key) => object::label(object, key).is_some(),
            Self::Absent(key) => object::label(object, key).is_none(),
            Self::Above(key, bound) => number(key).is_some_and(|number| number > *bound),
            Self::Below(key, bound) => number(key).is_some_and(|number| number < *bound),
        }
    }
}

/// Reads a selector, or says what is wrong with it.
pub(super) fn parse(text: &str) -> Result<Vec<Requirement>, String> {
    let mut reader = Reader { tokens: tokens(text), at: 0 };
    let mut all = Vec::new();
    loop {
        match reader.peek() {
            Token::End => return Ok(all),
            Token::Word(_) | Token::Symbol("!") => {
                let requirement = reader.requirement().map_err(|why| format!("unable to parse requirement: {why}"))?;
                all.push(requirement);
                match reader.next() {
                    Token::End => return Ok(all),
                    Token::Symbol(",") => {
                        if !matches!(reader.peek(), Token::Word(_) | Token::Symbol("!")) {
                            let next = reader.peek();
                            let found = next.shown();
                            return Err(format!("found '{found}', expected: identifier after ','"));
                        }
                    }
                    other => return Err(format!("found '{}', expected: ',' or 'end of string'", other.shown())),
                }
            }
            other => return Err(format!("found '{}', expected: !, identifier, or 'end of string'", other.shown())),
        }
    }
}

fn tokens(text: &str) -> Vec<Token> {
    let mut all = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let symbol = SYMBOLS.iter().find(|symbol| !symbol.is_empty() && rest.starts_with(**symbol));
        if let Some(symbol) = symbol {
            all.push(Token::Symbol(symbol));
            rest = rest[symbol.len()..].trim_start();
            continue;
        }
        let end = rest.find(|c: char| c.is_whitespace() || "=!(),<>".contains(c)).unwrap_or(rest.len());
        all.push(Token::Word(rest[..end].to_owned()));
        rest = rest[end..].trim_start();
    }
    all
}

// === impl Token ===

impl Token {
    fn shown(&self) -> &str {
        match self {
            Self::End => "",
            Self::Symbol(symbol) => symbol,
            Self::Word(word) => word,
        }
    }
}

// === impl Reader ===

impl Reader {
    fn peek(&self) -> Token {
        self.tokens.get(self.at).cloned().unwrap_or(Token::End)
    }

    fn next(&mut self) -> Token {
        let token = self.peek();
        self.at += 1;
        token
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let is_absent = self.peek() == Token::Symbol("!");
        if is_absent {
            self.at += 1;
        }
        let key = match self.next() {
            Token::Word(key) => key,
            other => return Err(format!("found '{}', expected: identifier", other.shown())),
        };
        if let Some(why) = not_qualified(&key).into_iter().next() {
            return Err(format!("<nil>: Invalid value: {}: {why}", serde_json::json!(key)));
        }
        if is_absent {
            return Ok(Requirement::Absent(key));
        }
        match self.peek() {
            Token::End | Token::Symbol(",") => Ok(Requirement::Exists(key)),
            _ => self.compared(key),
        }
    }

    fn compared(&mut self, key: String) -> Result<Requirement, String> {
        let operator = self.next();
        let values = match operator.shown() {
            "in" | "notin" => self.values()?,
            "=" | "==" | "!=" | ">" | "<" => vec![self.value()?],
            other => return Err(format!("found '{other}', expected: in, notin, =, ==, !=, gt, lt")),
        };
        if matches!(operator.shown(), ">" | "<") {
            let number = values[0].parse::<i64>().map_err(|_| {
                let shown = serde_json::json!(values[0]);
                format!("values[0]: Invalid value: {shown}: for 'Gt', 'Lt' operators, the value must be an integer")
            })?;
            let is_above = operator.shown() == ">";
            return Ok(if is_above { Requirement::Above(key, number) } else { Requirement::Below(key, number) });
        }
        for (i, value) in values.iter().enumerate() {
            if let Some(why) = not_label_value(value).into_iter().next() {
                return Err(format!("values[{i}][{key}]: Invalid value: {}: {why}", serde_json::json!(value)));
            }
        }
        Ok(match operator.shown() {
            "in" | "=" | "==" => Requirement::In(key, values),
            _ => Requirement::NotIn(key, values),
        })
    }

    /// What follows a sign; nothing is the empty text.
    fn value(&mut self) -> Result<String, String> {
        match self.peek() {
            Token::End | Token::Symbol(",") => Ok(String::new()),
            Token::Word(word) => {
                self.at += 1;
                Ok(word)
            }
            other => Err(format!("found '{}', expected: identifier", other.shown())),
        }
    }

    /// `(a, b)`.
    fn values(&mut self) -> Result<Vec<String>, String> {
        let open = self.next();
        if open != Token::Symbol("(") {
            return Err(format!("found '{}' expected: '('", open.shown()));
        }
        let mut all = Vec::new();
        let mut is_due = true;
        loop {
            match self.next() {
                Token::Word(word) if is_due => {
                    all.push(word);
                    is_due = false;
                }
                Token::Symbol(",") => {
                    if is_due {
                        all.push(String::new());
                    }
                    is_due = true;
                }
                Token::Symbol(")") => {
                    if is_due {
                        all.push(String::new());
                    }
                    return Ok(all);
                }
                other => return Err(format!("found '{}', expected: ',' or ')'", other.shown())),
            }
        }
    }
}
