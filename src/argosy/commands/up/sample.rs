//! The sample application: a Git repository with an ordinary work tree that a person
//! edits and commits to, and the Application that follows it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use argosy_home::{Error, Home};
use argosy_proto::v1alpha1::{Application, ApplicationDestination};

use super::clusters::DESTINATION;
use super::words::Step;

/// The name of the application, and of its folder.
pub(super) const NAME: &str = "guestbook";

const APPLICATION: &str = include_str!("../../../../config/samples/application.yaml");
const MANIFESTS: [(&str, &str); 4] = [
    ("10-access.yaml", include_str!("../../../../config/samples/guestbook/10-access.yaml")),
    ("20-schema.yaml", include_str!("../../../../config/samples/guestbook/20-schema.yaml")),
    ("30-store.yaml", include_str!("../../../../config/samples/guestbook/30-store.yaml")),
    ("40-frontend.yaml", include_str!("../../../../config/samples/guestbook/40-frontend.yaml")),
];

/// A repository with a work tree in a folder.
pub(super) struct WorkTree {
    folder: PathBuf,
}

/// Makes the repository and the Application the first time; later both are left to
/// whoever uses them. On clusters of Argosy's own it goes to the destination, else to
/// the cluster that Argosy is in.
///
/// # Errors
/// When git is missing, or one of the two cannot be made.
pub(super) async fn deploy(home: &Home, data_dir: &Path, own_clusters: bool) -> anyhow::Result<WorkTree> {
    let folder = data_dir.join(NAME);
    let step = Step::begin("A Git repository with a sample application");
    let work_tree = WorkTree { folder };
    if work_tree.folder.exists() {
        step.end(&format!("{}, as it was left", work_tree.url()));
        return Ok(work_tree);
    }
    // The folder comes last: what was interrupted is done again.
    let prepared = WorkTree { folder: tempfile::tempdir_in(data_dir).context("cannot make a folder")?.keep() };
    prepared.fill()?;
    let mut application: Application =
        serde_saphyr::from_str(APPLICATION).context("the sample Application is no Application")?;
    if let Some(metadata) = &mut application.metadata {
        home.namespace().clone_into(&mut metadata.namespace);
    }
    let spec = application.spec.get_or_insert_default();
    spec.source.get_or_insert_default().repo_url = work_tree.url();
    if own_clusters {
        let destination = spec.destination.take().unwrap_or_default();
        let name = DESTINATION.to_owned();
        spec.destination = Some(ApplicationDestination { name, server: String::new(), ..destination });
    }
    match home.create_application(&application).await {
        Ok(_) | Err(Error::AlreadyExists(_)) => {}
        Err(error) => return Err(error).context("the sample Application cannot be made"),
    }
    std::fs::rename(&prepared.folder, &work_tree.folder).context("cannot rename a folder")?;
    step.end(&work_tree.url());
    Ok(work_tree)
}

// === impl WorkTree ===

impl WorkTree {
    /// Fills an empty folder with the sample and commits it.
    fn fill(&self) -> anyhow::Result<()> {
        for (name, text) in MANIFESTS {
            std::fs::write(self.folder.join(name), text).with_context(|| format!("cannot write {name}"))?;
        }
        self.git(&["init", "--quiet", "--initial-branch=main"])?;
        // So that a commit works where git has never been set up.
        self.git(&["config", "user.name", "Argosy Sample"])?;
        self.git(&["config", "user.email", "sample@example.com"])?;
        self.git(&["config", "commit.gpgsign", "false"])?;
        self.git(&["add", "--all"])?;
        self.git(&["commit", "--quiet", "--message=The guestbook"])?;
        Ok(())
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The address Argosy is told.
    fn url(&self) -> String {
        format!("file://{}", self.folder.display())
    }

    /// The commit that is checked out.
    ///
    /// # Errors
    /// git's own.
    pub(super) fn head(&self) -> anyhow::Result<String> {
        self.git(&["rev-parse", "HEAD"])
    }

    fn git(&self, args: &[&str]) -> anyhow::Result<String> {
        let output = Command::new("git").arg("-C").arg(&self.folder).args(args).output();
        let output = output.context("the sample is kept in a Git repository, and git cannot be started: install it")?;
        ensure!(output.status.success(), "git {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}
