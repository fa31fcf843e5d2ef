//! One line of a policy: `p, subject, resource, action, object, effect` or
//! `g, member, role`, as comma separated values whose fields may be quoted.
//!
//! White space before a field does not count, white space after one does, except
//! at the end of the line. Empty lines and lines that begin with `#` say nothing.

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Whoever holds the subject is allowed or denied something.
    Rule(RuleText),
    /// Whoever holds `member` also holds `role`.
    Link { member: String, role: String },
}

/// The fields of a `p` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RuleText {
    pub(super) subject: String,
    pub(super) resource: String,
    pub(super) action: String,
    pub(super) object: String,
    pub(super) effect: String,
}

/// Why a line cannot be read. The line itself is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineFault {
    /// A quote stands inside a field that did not begin with one.
    #[error("a quote inside a field that is not quoted")]
    BareQuote,
    /// A quoted field does not end, or goes on after its end.
    #[error("a quoted field that does not end where it should")]
    Quote,
    /// The first field is none of those that are known.
    #[error("it begins with neither 'p' nor 'g'")]
    Kind,
    /// A `p` line has not six fields, or a `g` line not three.
    #[error("{found} fields where {expected} are expected")]
    Fields {
        /// How many there are.
        found: usize,
        /// How many there must be.
        expected: usize,
    },
}

/// Reads one line; `None` when it says nothing.
pub(super) fn read(line: &str) -> Result<Option<Line>, LineFault> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let fields = fields(line)?;
    let wrong = |expected| Err(LineFault::Fields { found: fields.len(), expected });
    match fields[0].as_str() {
        "p" => {
            let Ok([_, subject, resource, action, object, effect]) = <[String; 6]>::try_from(fields.clone()) else {
                return wrong(6);
            };
            Ok(Some(Line::Rule(RuleText { subject, resource, action, object, effect })))
        }
        "g" => {
            let Ok([_, member, role]) = <[String; 3]>::try_from(fields.clone()) else { return wrong(3) };
            Ok(Some(Line::Link { member, role }))
        }
        // Sections of the model that a policy has nothing to say about; such lines
        // have always been let through.
        "r" | "e" | "m" => Ok(None),
        _ => Err(LineFault::Kind),
    }
}

/// The fields of a line; at least one.
fn fields(line: &str) -> Result<Vec<String>, LineFault> {
    let (mut out, mut rest) = (Vec::new(), line);
    loop {
        rest = rest.trim_start();
        let (field, more) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_field(quoted)?,
            None => plain_field(rest)?,
        };
        out.push(field);
        match more {
            Some(more) => rest = more,
            None => return Ok(out),
        }
    }
}

/// A field and what stands after its comma; `None` when it is the last.
type Field<'a> = (String, Option<&'a str>);

fn plain_field(text: &str) -> Result<Field<'_>, LineFault> {
    let (field, more) = text.split_once(',').map_or((text, None), |(field, more)| (field, Some(more)));
    if field.contains('"') {
        return Err(LineFault::BareQuote);
    }
    Ok((field.to_owned(), more))
}

/// A field whose opening quote has been read; two quotes in it are one.
fn quoted_field(mut text: &str) -> Result<Field<'_>, LineFault> {
    let mut field = String::new();
    loop {
        let (part, rest) = text.split_once('"').ok_or(LineFault::Quote)?;
        field.push_str(part);
        if let Some(rest) = rest.strip_prefix('"') {
            field.push('"');
            text = rest;
        } else if rest.is_empty() {
            return Ok((field, None));
        } else {
            return rest.strip_prefix(',').map(|more| (field, Some(more))).ok_or(LineFault::Quote);
        }
    }
}
