//! The file system of the container image holds all that the program needs: its
//! libraries, ssh with its own, certificates, a name for who it runs as, and
//! what says whose work it is.

use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context, ensure};
use argosy_tests::TempFolder;
use argosy_tests::tools::{argosy_binary, workspace};

/// Runs a program of the image with the image's loader and its libraries alone.
fn run(root: &Path, args: &[&str]) -> anyhow::Result<Output> {
    let loaders = std::fs::read_dir(root.join("lib64")).or_else(|_| std::fs::read_dir(root.join("lib")));
    let mut loader = None;
    for entry in loaders.context("the image has no loader")? {
        let path = entry?.path();
        if path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("ld-linux")) {
            loader = Some(path);
        }
    }
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(root.join("lib")).context("the image has no libraries")? {
        folders.push(entry?.path().display().to_string());
    }
    let mut command = Command::new(loader.context("the image has no loader")?);
    command.args(["--inhibit-cache", "--library-path", &folders.join(":")]).args(args).env_clear();
    command.output().context("running a program of the image")
}

#[test]
fn the_image_has_what_the_program_needs() -> anyhow::Result<()> {
    let folder = TempFolder::new("image")?;
    let root = folder.join("rootfs");
    let script = workspace().join("config/image/rootfs");
    let made = Command::new(&script).arg(argosy_binary()?).arg(&root).output().context("running the script")?;
    ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let programs = ["argosy", "ssh"].map(|name| root.join("usr/bin").join(name));
    for program in &programs {
        let program = program.to_str().context("UTF-8")?;
        // Every library is one of the image's: on an image there are no others.
        let listed = run(&root, &["--list", program])?;
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        let root = root.to_str().context("UTF-8")?;
        let stray =
            listed.lines().find(|line| line.contains("not found") || line.contains("=> /") && !line.contains(root));
        ensure!(listed.lines().count() > 2 && stray.is_none(), "{program}: {stray:?} of\n{listed}");
    }
    let said = run(&root, &[programs[0].to_str().context("UTF-8")?, "--version"])?;
    ensure!(String::from_utf8_lossy(&said.stdout).starts_with("argosy "), "{said:?}");
    let said = run(&root, &[programs[1].to_str().context("UTF-8")?, "-V"])?;
    ensure!(String::from_utf8_lossy(&said.stderr).starts_with("OpenSSH"), "{said:?}");
    let text = |name: &str| std::fs::read_to_string(root.join(name)).with_context(|| format!("reading {name}"));
    ensure!(text("etc/ssl/certs/ca-certificates.crt")?.contains("BEGIN CERTIFICATE"), "no authority");
    // What scanners look for faults by, and the licences.
    ensure!(text("var/lib/dpkg/status.d/openssh-client")?.contains("\nVersion: "), "ssh is of no known version");
    ensure!(text("usr/share/doc/argosy/copyright")?.contains("Apache License"), "no licence");
    ensure!(!text("usr/share/doc/openssh-client/copyright")?.is_empty(), "no licence of ssh");
    // The id that the chart and the Containerfile give it.
    let nobody = text("etc/passwd")?;
    ensure!(nobody.lines().any(|line| line.split(':').nth(2) == Some("65532")), "{nobody}");
    let file = std::fs::read_to_string(workspace().join("Containerfile"))?;
    ensure!(file.contains("USER 65532:65532") && file.contains("config/image/rootfs"), "{file}");
    Ok(())
}
