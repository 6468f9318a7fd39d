//! What cases are made of, made when it is first asked for: kernels, roots, profiles, images. Scripts make them; they lie
//! below one folder and stay there.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use crate::archive::Archive;
use crate::case::{Filter, Image};
use crate::filter::{Instruction, Profile, numbers};

/// The folder of everything that was made.
pub(crate) struct Store {
    folder: PathBuf,
    /// The folder of the scripts.
    scripts: PathBuf,
}

impl Store {
    pub(crate) fn new(folder: &Path, scripts: &Path) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let (folder, scripts) = (folder.canonicalize()?, scripts.canonicalize()?);
        Ok(Self { folder, scripts })
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }

    /// Runs a script that makes `path`, unless that is there already.
    fn made(&self, path: &str, script: &str, argument: &str) -> Result<PathBuf> {
        let place = self.path(path);
        if place.exists() {
            return Ok(place);
        }
        let script = self.scripts.join(script);
        let output = Command::new(&script)
            .arg(argument)
            .env("LAB", &self.folder)
            .output()
            .with_context(|| format!("run {}", script.display()))?;
        ensure!(
            output.status.success(),
            "{} {argument}: {}",
            script.display(),
            String::from_utf8_lossy(&output.stderr)
        );
        ensure!(
            place.exists(),
            "{} {argument} made no {path}",
            script.display()
        );
        Ok(place)
    }

    /// The kernel of a suite: a folder with `vmlinuz`, `modules`, and what its host has on disk.
    pub(crate) fn kernel(&self, suite: &str) -> Result<PathBuf> {
        self.made(&format!("kernels/{suite}"), "kernels.sh", suite)
    }

    /// What the host of a kernel has on disk, with modules or without, as an archive for the kernel.
    pub(crate) fn disk(&self, suite: &str, disk: &str) -> Result<PathBuf> {
        let kernel = self.kernel(suite)?;
        self.archive(&format!("kernels/{suite}.{disk}.cpio"), |archive| {
            for folder in ["boot", "etc", "lib"] {
                archive.tree(&kernel.join(disk).join(folder), folder)?;
            }
            Ok(())
        })
    }

    /// A root file system, as a folder.
    pub(crate) fn root(&self, name: &str) -> Result<PathBuf> {
        self.made(&format!("roots/{name}"), "roots.sh", name)
    }

    /// The same as an archive for a kernel.
    pub(crate) fn root_archive(&self, name: &str) -> Result<PathBuf> {
        let root = self.root(name)?;
        self.archive(&format!("roots/{name}.cpio"), |archive| {
            archive.tree(&root, "root")
        })
    }

    /// An archive that stays.
    pub(crate) fn archive(
        &self,
        path: &str,
        fill: impl FnOnce(&mut Archive<File>) -> Result<()>,
    ) -> Result<PathBuf> {
        let place = self.path(path);
        if !place.exists() {
            let new = place.with_extension("new");
            let mut archive = Archive::new(File::create(&new)?);
            fill(&mut archive)?;
            archive.end()?;
            fs::rename(&new, &place)?;
        }
        Ok(place)
    }

    /// The instructions of a profile.
    pub(crate) fn filter(&self, filter: &Filter) -> Result<Vec<Instruction>> {
        let version = &filter.containerd;
        let path = format!("profiles/containerd-{version}.go");
        let source = fs::read_to_string(self.made(&path, "profiles.sh", version)?)?;
        let headers = self.root("headers")?;
        let numbers = |bits: &str| -> Result<_> {
            let path = headers.join(format!("usr/include/x86_64-linux-gnu/asm/unistd_{bits}.h"));
            Ok(numbers(
                &fs::read_to_string(&path).with_context(|| path.display().to_string())?,
            ))
        };
        let profile = Profile::parse(&source).with_context(|| path.clone())?;
        Ok(profile.filter(&numbers("64")?, &numbers("32")?, filter.stub))
    }

    /// The image of a file of cases, as an OCI layout: the layer of its root, and its own configuration.
    pub(crate) fn image(&self, name: &str, image: &Image) -> Result<PathBuf> {
        let root = self.root(&image.root)?;
        let base = self.path(&format!("layouts/{}", image.root));
        if !base.exists() {
            self.layout(&base, &root, &json!({}), None)?;
        }
        let mut config = image.config.clone();
        config.insert("Entrypoint".to_owned(), image.command.clone().into());
        let architecture = image.architecture.as_deref().unwrap_or("amd64");
        let spec = json!({"config": config, "architecture": architecture});
        let empty = self.path("layouts/empty");
        fs::create_dir_all(&empty)?;
        let layout = self.path(&format!("images/{name}"));
        self.layout(&layout, &empty, &spec, Some(&base))?;
        Ok(layout)
    }

    fn layout(&self, to: &Path, root: &Path, spec: &Value, base: Option<&Path>) -> Result<()> {
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)?;
        }
        let oci = self.scripts.join("../../image/oci.sh");
        let script = "set -euo pipefail; . \"$0\"; oci_image \"$@\"";
        let mut command = Command::new("bash");
        command
            .args(["-c", script])
            .arg(oci)
            .arg(to)
            .arg(root)
            .arg(spec.to_string());
        command.args(base);
        let output = command.output()?;
        if !output.status.success() {
            bail!(
                "image {}: {}",
                to.display(),
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(())
    }

    /// Several archives as one file.
    pub(crate) fn joined(&self, to: &Path, parts: &[PathBuf]) -> Result<()> {
        let mut file = File::create(to)?;
        for part in parts {
            let written = std::io::copy(&mut File::open(part)?, &mut file)?;
            // The kernel looks for the next archive where a word begins.
            let rest = usize::try_from(written.next_multiple_of(4) - written)?;
            file.write_all(&vec![0; rest])?;
        }
        Ok(())
    }
}
