//! The shared files `~/.aws/config` and `~/.aws/credentials`.

use std::collections::HashMap;

use argosy_model::Secret;

use super::super::Cloud;
use crate::error::{Error, Result};

/// All profiles of both files, and which one is meant.
pub(super) struct Profiles {
    by_name: HashMap<String, Profile>,
    chosen: String,
}

/// One profile's settings; the file of credentials counts more.
pub(super) type Profile = HashMap<String, Secret<String>>;

// === impl Profiles ===

impl Profiles {
    /// Reads the files; that there are none is no error.
    ///
    /// # Errors
    /// When one is there and cannot be read.
    pub(super) async fn load(cloud: &Cloud, named: &str) -> Result<Self> {
        let mut by_name = HashMap::new();
        for (variable, path) in
            [("AWS_CONFIG_FILE", ".aws/config"), ("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials")]
        {
            let path = cloud.variable(variable).map(Into::into).or_else(|| cloud.at_home(path));
            let Some(path) = path else { continue };
            match tokio::fs::read_to_string(&path).await {
                Ok(text) => parse(&text, &mut by_name),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::Credential(format!("{}: {error}", path.display()))),
            }
        }
        let chosen = Some(named).filter(|name| !name.is_empty()).or_else(|| cloud.variable("AWS_PROFILE"));
        Ok(Self { by_name, chosen: chosen.unwrap_or("default").to_owned() })
    }

    pub(super) fn chosen(&self) -> &str {
        &self.chosen
    }

    pub(super) fn get(&self, name: &str) -> Option<&Profile> {
        self.by_name.get(name)
    }

    /// The region of the profile that is meant.
    pub(super) fn region(&self) -> Option<String> {
        setting(self.get(&self.chosen)?, "region").map(str::to_owned)
    }
}

/// A setting that is not empty.
pub(super) fn setting<'a>(profile: &'a Profile, name: &str) -> Option<&'a str> {
    profile.get(name).map(|value| value.expose().as_str()).filter(|value| !value.is_empty())
}

/// Adds what a file says. Lines that are indented belong to the setting above
/// them, of which none is used here.
fn parse(text: &str, profiles: &mut HashMap<String, Profile>) {
    let mut current: Option<String> = None;
    for line in text.lines() {
        let is_nested = line.starts_with([' ', '\t']);
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) || is_nested {
            continue;
        }
        if let Some(header) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            let header = header.trim();
            let is_other = header.starts_with("sso-session ") || header.starts_with("services ");
            let name = header.strip_prefix("profile ").unwrap_or(header).trim().trim_matches('"');
            current = (!is_other).then(|| name.to_owned());
        } else if let (Some(name), Some((key, value))) = (&current, line.split_once('=')) {
            let value = value.split(" #").next().unwrap_or(value).trim();
            let profile = profiles.entry(name.clone()).or_default();
            profile.insert(key.trim().to_lowercase(), Secret::new(value.to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_files_speak_of_the_same_profiles() {
        let mut profiles = HashMap::new();
        let config = "# c\n[default]\nregion = eu-west-1\ns3 =\n  region = nested\n[profile \"prod\"]\nrole_arn=arn:x # why\n\
                      [sso-session prod]\nregion = other\n";
        parse(config, &mut profiles);
        parse("[prod]\naws_access_key_id = AKID\nregion=us-east-2\n", &mut profiles);
        assert_eq!(setting(&profiles["default"], "region"), Some("eu-west-1"));
        assert_eq!(setting(&profiles["prod"], "role_arn"), Some("arn:x"));
        assert_eq!(setting(&profiles["prod"], "aws_access_key_id"), Some("AKID"));
        assert_eq!(setting(&profiles["prod"], "region"), Some("us-east-2"));
    }
}
