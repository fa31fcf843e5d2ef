//! Errors in words.

use std::error::Error;

/// An error and its causes, `: ` between them.
pub fn report(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// The deepest cause alone: `Connection refused` says more than `client error`.
pub fn innermost(error: &dyn Error) -> String {
    let Some(mut cause) = error.source() else { return error.to_string() };
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Caused(&'static str, Option<Box<Caused>>);

    impl std::fmt::Display for Caused {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Caused {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|cause| cause as &(dyn Error + 'static))
        }
    }

    #[test]
    fn an_error_is_told_with_its_causes_or_as_the_deepest_of_them() {
        let lone = Caused("refused", None);
        assert_eq!((report(&lone), innermost(&lone)), ("refused".to_owned(), "refused".to_owned()));
        let deep = Caused("asking", Some(Box::new(Caused("connecting", Some(Box::new(lone))))));
        assert_eq!((report(&deep), innermost(&deep)), ("asking: connecting: refused".to_owned(), "refused".to_owned()));
    }
}
