//! The file of static tokens, in the format of kube-apiserver's `--token-auth-file`:
//! a line of comma-separated fields for each token: the token, a user name, a uid
//! and, in quotes when there are several, the user's groups.

use argosy_model::Secret;

use super::user;
use crate::hooks::Caller;

/// A token that is known from the start, and whose it is.
#[derive(Clone, Debug)]
pub struct StaticToken {
    /// What is shown.
    pub token: Secret<String>,
    /// Who shows it.
    pub user: Caller,
}

/// Why a file of tokens cannot be used. It repeats nothing of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenFileError {
    /// A line has too few fields, or one that must not be empty is.
    #[error("line {0} does not have a token, a user name and a uid")]
    Fields(usize),
    /// A quotation mark has no other.
    #[error("line {0} has a field whose quotation marks do not match")]
    Quotes(usize),
}

// === impl StaticToken ===

impl StaticToken {
    /// Reads a file of tokens. Empty lines are left out.
    ///
    /// # Errors
    /// [`TokenFileError`].
    pub fn read(text: &str) -> Result<Vec<Self>, TokenFileError> {
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        lines.map(|(index, line)| Self::of_line(line, index + 1)).collect()
    }

    fn of_line(line: &str, number: usize) -> Result<Self, TokenFileError> {
        let fields = fields(line).ok_or(TokenFileError::Quotes(number))?;
        let [token, name, uid, rest @ ..] = fields.as_slice() else { return Err(TokenFileError::Fields(number)) };
        if token.is_empty() || name.is_empty() {
            return Err(TokenFileError::Fields(number));
        }
        let groups: Vec<&str> = rest.first().into_iter().flat_map(|groups| groups.split(',')).map(str::trim).collect();
        let groups: Vec<&str> = groups.into_iter().filter(|group| !group.is_empty()).collect();
        let user = Caller { uid: uid.clone(), ..user(name, &groups) };
        Ok(Self { token: Secret::new(token.clone()), user })
    }
}

/// The fields of a line; in quotes a comma is none, and two quotation marks are one.
fn fields(line: &str) -> Option<Vec<String>> {
    let mut fields = vec![String::new()];
    let (mut letters, mut quoted) = (line.chars().peekable(), false);
    while let Some(letter) = letters.next() {
        let field = fields.last_mut()?;
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                field.push('"');
            }
            '"' if quoted || field.trim().is_empty() => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            ' ' if !quoted && field.is_empty() => {}
            letter => field.push(letter),
        }
    }
    (!quoted).then_some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_a_token_its_user_and_the_groups() {
        let text = "abc,guest,7\n\nx\"y,\"Doe, J\",,\"dev, ops\"\n";
        let tokens = StaticToken::read(text).unwrap();
        let shown = tokens.iter().map(|one| (one.token.expose().as_str(), &*one.user.name, &*one.user.uid));
        assert_eq!(shown.collect::<Vec<_>>(), [("abc", "guest", "7"), ("x\"y", "Doe, J", "")]);
        assert_eq!(tokens[0].user.groups, ["system:authenticated"]);
        assert_eq!(tokens[1].user.groups, ["dev", "ops", "system:authenticated"]);
    }

    #[test]
    fn a_line_that_is_short_or_torn_is_told_by_its_number_alone() {
        let error = |text: &str| StaticToken::read(text).unwrap_err();
        assert_eq!(error("a,b,c\nsecret,guest"), TokenFileError::Fields(2));
        assert_eq!(error("secret,,1"), TokenFileError::Fields(1));
        assert_eq!(error("secret,guest,1,\"dev"), TokenFileError::Quotes(1));
    }
}
