//! What a person is told: steps as they are done, where everything is, and what to try.
#![expect(clippy::print_stdout, reason = "this command talks to the person who started it")]

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::clusters::{DESTINATION, HOME};
use super::sample::NAME;
use crate::cli;
use crate::files::quoted;

/// Says a line or more.
pub(super) fn say(text: &str) {
    println!("{text}");
}

/// A line that says what is being done, and when it is, how long it took.
pub(super) struct Step {
    begun: Instant,
}

/// Where everything is.
pub(super) struct Place {
    pub(super) address: String,
    pub(super) metrics: String,
    pub(super) namespace: String,
    /// Of `admin`, where it was made just now.
    pub(super) password: Option<String>,
    /// That of Argosy's own clusters.
    pub(super) kubeconfig: Option<PathBuf>,
    pub(super) log: PathBuf,
}

// === impl Step ===

impl Step {
    pub(super) fn begin(what: &str) -> Self {
        say(&format!("==> {what}"));
        Self { begun: Instant::now() }
    }

    pub(super) fn end(self, result: &str) {
        say(&format!("    {result} ({:.1} s)", self.begun.elapsed().as_secs_f64()));
    }
}

// === impl Place ===

impl Place {
    /// Addresses, and the password where it is new.
    pub(super) fn summary(&self) -> String {
        let mut rows = vec![("address", self.address.clone()), ("user", "admin".to_owned())];
        rows.push(match &self.password {
            Some(password) => {
                ("password", format!("{password}    shown this once; change it with `argocd account update-password`"))
            }
            None => {
                let shown = format!("argocd admin initial-password -n {}", self.namespace);
                ("password", format!("as it was before; `{shown}` shows the first one"))
            }
        });
        if let Some(kubeconfig) = &self.kubeconfig {
            rows.push((
                "kubectl",
                format!("export KUBECONFIG={}    contexts {HOME} and {DESTINATION}", quoted(kubeconfig)),
            ));
        }
        rows.push(("metrics", format!("http://{}/metrics", self.metrics)));
        rows.push(("log", self.log.display().to_string()));
        // Writing to a text cannot fail; so below.
        rows.iter().fold("\nArgosy is running.\n\n".to_owned(), |mut text, (name, value)| {
            let _ = writeln!(text, "  {name:<10}{value}");
            text
        })
    }

    /// What a person may do next, as commands to copy. `work_tree` is the sample's.
    pub(super) fn what_to_try(&self, work_tree: Option<&Path>) -> String {
        let mut text =
            "\nIt goes on running; Ctrl-C ends it, and the next start goes on from here. In another terminal:\n"
                .to_owned();
        if let Some(folder) = work_tree {
            let _ = write!(
                text,
                "\nDeploy a change and watch it here:\n\n\
                 \x20 cd {}\n\
                 \x20 sed -i 's/replicas: 2/replicas: 5/' 40-frontend.yaml && git commit -am 'More frontends'\n",
                quoted(folder)
            );
        }
        if let Some(kubeconfig) = &self.kubeconfig {
            let undo = if work_tree.is_some() { ", undo something by hand and see it come back" } else { "" };
            let _ = write!(
                text,
                "\nLook at both clusters{undo}:\n\n\
                 \x20 export KUBECONFIG={}\n\
                 \x20 kubectl -n {} get applications\n",
                quoted(kubeconfig),
                self.namespace,
            );
            text.push_str(&match work_tree {
                Some(_) => format!(
                    "\x20 kubectl --context {DESTINATION} -n {NAME} get all\n\
                     \x20 kubectl --context {DESTINATION} -n {NAME} delete deployment guestbook-frontend\n"
                ),
                None => format!("\x20 kubectl --context {DESTINATION} get namespaces\n"),
            });
        }
        let host = self.address.split_once("://").map_or(&*self.address, |(_, host)| host);
        let plain = if self.address.starts_with("http://") { "--plaintext" } else { "--insecure" };
        let _ = write!(
            text,
            "\nUse the argocd command line:\n\n\
             \x20 argocd login {host} {plain} --username admin\n\
             \x20 argocd app list\n",
        );
        text
    }
}

/// The API's address, as a person on this machine types it.
pub(super) fn address(bound: SocketAddr, options: &cli::Api) -> String {
    let host = match bound.ip() {
        ip if ip.is_loopback() || ip.is_unspecified() => "localhost".to_owned(),
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    let scheme = if options.insecure == Some(true) { "http" } else { "https" };
    let root = options.root_path.as_deref().unwrap_or("").trim_matches('/');
    let root = if root.is_empty() { String::new() } else { format!("/{root}") };
    format!("{scheme}://{host}:{}{root}", bound.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(password: Option<&str>) -> Place {
        Place {
            address: "https://localhost:8080".to_owned(),
            metrics: "127.0.0.1:1".to_owned(),
            namespace: "argocd".to_owned(),
            password: password.map(str::to_owned),
            kubeconfig: None,
            log: PathBuf::from("argosy.log"),
        }
    }

    #[test]
    fn a_password_is_shown_when_it_was_just_made() {
        assert!(place(Some("first-password")).summary().contains("first-password"));
        let later = place(None).summary();
        assert!(
            later.contains("password  as it was before") && later.contains("initial-password -n argocd"),
            "{later}"
        );
    }

    #[test]
    fn a_person_on_real_clusters_is_told_to_use_the_command_line() {
        let text = place(None).what_to_try(None);
        assert!(text.contains("argocd login localhost:8080 --insecure"), "{text}");
        assert!(!text.contains("kubectl") && !text.contains("git commit"), "{text}");
    }

    #[test]
    fn what_to_try_is_of_what_there_is() {
        let own = Place { kubeconfig: Some(PathBuf::from("kubeconfig")), ..place(None) };
        let with = own.what_to_try(Some(Path::new("work")));
        assert!(with.contains("git commit") && with.contains("delete deployment guestbook-frontend"), "{with}");
        let without = own.what_to_try(None);
        assert!(without.contains("get namespaces") && !without.contains("guestbook"), "{without}");
    }
}
