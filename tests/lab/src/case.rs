//! Cases as they stand in files: one image a file, and the hosts that it is put on.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde_json::{Map, Value};

/// A file: an image, and what it looks like when it runs and when it does not.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Image {
    /// The code that is to be shown.
    pub(crate) code: String,
    /// What the image is.
    pub(crate) case: String,
    /// The root file system: a function of roots.sh.
    pub(crate) root: String,
    /// What starts.
    pub(crate) command: Vec<String>,
    /// More of the image's configuration.
    #[serde(default)]
    pub(crate) config: Map<String, Value>,
    /// What the configuration says of the platform, if that is not amd64.
    pub(crate) architecture: Option<String>,
    /// More of the container in its pod.
    #[serde(default)]
    pub(crate) container: Map<String, Value>,
    /// More of the pod.
    #[serde(default)]
    pub(crate) pod: Map<String, Value>,
    /// What is not as in the wild, and why.
    pub(crate) by_construction: Option<String>,
    pub(crate) runs: Happening,
    pub(crate) breaks: Happening,
    pub(crate) hosts: Vec<Host>,
}

/// What can be seen of a program that ended. What is not named may be anything.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Happening {
    pub(crate) exit: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) text: Option<String>,
    /// What it must not write.
    pub(crate) lacks: Option<String>,
}

/// How a program ended.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) exit: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) output: String,
}

impl Happening {
    /// Whether it is what was seen.
    pub(crate) fn is(&self, seen: &Seen) -> bool {
        let has = |text: &String| seen.output.contains(text);
        self.exit.is_none_or(|exit| seen.exit == Some(exit))
            && self.signal.is_none_or(|it| seen.signal == Some(it))
            && self.text.as_ref().is_none_or(has)
            && !self.lacks.as_ref().is_some_and(has)
    }
}

/// What becomes of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Fate {
    Runs,
    Breaks,
}

/// A host: a kernel in a machine, or one that is only named.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Host {
    /// What must happen.
    pub(crate) then: Fate,
    /// A suite of Debian, whose kernel boots; or a number, which QEMU's user mode pretends to be.
    pub(crate) kernel: String,
    #[serde(default = "haswell")]
    pub(crate) cpu: String,
    /// More of the kernel's command line.
    #[serde(default)]
    pub(crate) append: String,
    #[serde(default = "newest")]
    pub(crate) cgroup: u8,
    #[serde(default)]
    pub(crate) sysctls: BTreeMap<String, String>,
    /// Modules that are loaded.
    #[serde(default)]
    pub(crate) modules: Vec<String>,
    /// There are no modules that could be loaded.
    #[serde(default)]
    pub(crate) without_modules: bool,
    pub(crate) filter: Option<Filter>,
    /// What the kubelet would report.
    #[serde(default)]
    pub(crate) reports: Map<String, Value>,
    /// Megabytes of the machine.
    #[serde(default = "memory")]
    pub(crate) memory: u32,
    /// Megabytes that the container may have.
    pub(crate) limit: Option<u64>,
    /// Among the cases of `make test`.
    #[serde(default)]
    pub(crate) fast: bool,
    /// The case is known to be judged wrongly, and this is why.
    pub(crate) known: Option<String>,
}

/// The default profile of a containerd, as its runc installs it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Filter {
    pub(crate) containerd: String,
    /// Whether runc (1.0.0-rc93 and newer) answers "not there" for calls newer than all of the profile.
    pub(crate) stub: bool,
}

fn haswell() -> String {
    "Haswell".to_owned()
}

fn newest() -> u8 {
    2
}

fn memory() -> u32 {
    384
}

impl Host {
    /// What the kubelet reports. Where a profile is in force, that is what it says of it.
    pub(crate) fn reported(&self) -> Map<String, Value> {
        let mut all = Map::new();
        if let Some(filter) = &self.filter {
            let runtime = format!("containerd-{}", filter.containerd);
            all.insert("runtime".to_owned(), runtime.into());
            all.insert("seccompDefault".to_owned(), true.into());
        }
        all.extend(self.reports.clone());
        all
    }

    /// Whether the kernel is only a number.
    pub(crate) fn is_pretended(&self) -> bool {
        self.kernel.starts_with(|c: char| c.is_ascii_digit())
    }
}

/// All files of a folder, in the order of their names, each with its name.
pub(crate) fn read(folder: &Path) -> Result<Vec<(String, Image)>> {
    let mut all = Vec::new();
    let mut paths: Vec<_> = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    paths.sort();
    for path in paths
        .iter()
        .filter(|path| path.extension().is_some_and(|it| it == "yaml"))
    {
        let text = fs::read_to_string(path)?;
        let image: Image =
            serde_saphyr::from_str(&text).with_context(|| format!("read {}", path.display()))?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        ensure!(
            name.starts_with(&image.code),
            "{name}.yaml shows {}",
            image.code
        );
        all.push((name.into_owned(), image));
    }
    Ok(all)
}
