//! A machine with a kernel, a CPU and a case in it; or a process that is told another kernel's number.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use hostfit_crds::HostFacts;
use hostfit_host::Machine;
use hostfit_lab_guest::{MODULES, Report, TASK, Task};

use crate::case::{Host, Image, Seen};
use crate::store::Store;

/// How long a program may run, and how long a machine may take with it.
const PROGRAM: u64 = 60;
const MACHINE: Duration = Duration::from_secs(150);

/// What the guest tells.
pub(crate) struct Observed {
    pub(crate) facts: HostFacts,
    pub(crate) seen: Seen,
}

/// Puts the image on the host. `guest` is the first process of machines.
pub(crate) fn observe(
    store: &Store,
    guest: &Path,
    name: &str,
    image: &Image,
    host: &Host,
) -> Result<Observed> {
    let folder = store.path(&format!("runs/{name}"));
    fs::create_dir_all(&folder)?;
    match host.is_pretended() {
        true => pretend(store, &folder, image, host),
        false => machine(store, guest, &folder, image, host),
    }
}

fn machine(
    store: &Store,
    guest: &Path,
    folder: &Path,
    image: &Image,
    host: &Host,
) -> Result<Observed> {
    let kernel = store.kernel(&host.kernel)?;
    let modules = modules(&kernel, &host.modules)?;
    let strings = |field: &str| -> Vec<String> {
        let list = image.config.get(field).and_then(|it| it.as_array());
        let texts = list.into_iter().flatten().filter_map(|it| it.as_str());
        texts.map(str::to_owned).collect()
    };
    let user = image.config.get("User").and_then(|it| it.as_str());
    let filter = host
        .filter
        .as_ref()
        .map(|filter| store.filter(filter))
        .transpose()?;
    let task = Task {
        cgroup: host.cgroup,
        sysctls: host.sysctls.clone(),
        modules: modules.iter().map(|it| file_name(it)).collect(),
        command: image.command.clone(),
        env: strings("Env"),
        user: user
            .map_or(Ok(0), str::parse)
            .context("User is no number")?,
        filter: filter.unwrap_or_default(),
        memory: host.limit.map(|megabytes| megabytes << 20),
        seconds: PROGRAM,
    };
    let initrd = folder.join("initrd");
    let own = folder.join("task.cpio");
    let _ = fs::remove_file(&own);
    let own = store.archive(&store_path(store, &own), |archive| {
        archive.file("init", &fs::read(guest)?)?;
        archive.folder("lab")?;
        archive.folder(MODULES.trim_start_matches('/'))?;
        archive.file(TASK.trim_start_matches('/'), &serde_json::to_vec(&task)?)?;
        for module in &modules {
            archive.tree(module, &format!("{}/{}", &MODULES[1..], file_name(module)))?;
        }
        Ok(())
    })?;
    let disk = match host.without_modules {
        true => "bare",
        false => "disk",
    };
    let disk = store.disk(&host.kernel, disk)?;
    store.joined(&initrd, &[own, disk, store.root_archive(&image.root)?])?;
    let report = folder.join("report.json");
    boot(folder, &kernel, host, &initrd, &report)?;
    fs::remove_file(&initrd)?;
    let text = fs::read_to_string(&report)?;
    let report: Report = serde_json::from_str(text.trim())
        .with_context(|| format!("no report: see {}", folder.join("console").display()))?;
    if let Some(trouble) = report.trouble {
        bail!("in the guest: {trouble}");
    }
    let Report {
        facts,
        exit,
        signal,
        output,
        ..
    } = report;
    Ok(Observed {
        facts,
        seen: Seen {
            exit,
            signal,
            output,
        },
    })
}

fn boot(folder: &Path, kernel: &Path, host: &Host, initrd: &Path, report: &Path) -> Result<()> {
    let mut machine = Command::new("qemu-system-x86_64")
        .args([
            "-accel",
            "tcg,thread=single",
            "-nodefaults",
            "-no-user-config",
        ])
        .args(["-display", "none", "-no-reboot", "-cpu", &host.cpu])
        .args(["-m", &host.memory.to_string()])
        .arg("-kernel")
        .arg(kernel.join("vmlinuz"))
        .arg("-initrd")
        .arg(initrd)
        .arg("-append")
        .arg(format!("console=ttyS0 quiet panic=-1 {}", host.append))
        .arg("-serial")
        .arg(format!("file:{}", folder.join("console").display()))
        .arg("-serial")
        .arg(format!("file:{}", report.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(folder.join("qemu"))?)
        .spawn()
        .context("start qemu-system-x86_64")?;
    let end = Instant::now() + MACHINE;
    loop {
        match machine.try_wait()? {
            Some(status) => {
                ensure!(
                    status.success(),
                    "qemu: see {}",
                    folder.join("qemu").display()
                );
                return Ok(());
            }
            None if Instant::now() > end => {
                machine.kill()?;
                machine.wait()?;
                bail!(
                    "the machine did not end: see {}",
                    folder.join("console").display()
                );
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Files of modules with those that they need before them, as `modules.dep` tells.
fn modules(kernel: &Path, wanted: &[String]) -> Result<Vec<PathBuf>> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let all = fs::read_to_string(kernel.join("modules/modules.dep"))?;
    let mut files: Vec<PathBuf> = Vec::new();
    for name in wanted {
        let is_it = |line: &&str| {
            let path = line.split(':').next().unwrap_or_default();
            let file = path.rsplit('/').next().unwrap_or_default();
            file.split(".ko")
                .next()
                .unwrap_or_default()
                .replace('-', "_")
                == *name
        };
        let line = all
            .lines()
            .find(is_it)
            .with_context(|| format!("no module {name}"))?;
        let (own, needs) = line.split_once(':').context("modules.dep")?;
        // Each is followed by what it needs: the last is loaded first.
        for path in needs.split_whitespace().rev().chain([own]) {
            let file = kernel.join("modules").join(path);
            if !files.contains(&file) {
                files.push(file);
            }
        }
    }
    Ok(files)
}

/// A program that is told another release by `uname`; the agent's code reads what such a kernel would show of it.
fn pretend(store: &Store, folder: &Path, image: &Image, host: &Host) -> Result<Observed> {
    let root = store.root(&image.root)?;
    let run = |command: &mut Command| {
        let output = command
            .stdin(Stdio::null())
            .output()
            .context("start qemu-x86_64-static")?;
        let both = [output.stdout, output.stderr].concat();
        let signal = std::os::unix::process::ExitStatusExt::signal(&output.status);
        anyhow::Ok(Seen {
            exit: output.status.code(),
            signal,
            output: String::from_utf8_lossy(&both).into_owned(),
        })
    };
    let emulator = || {
        let mut command = Command::new("qemu-x86_64-static");
        command.args(["-r", &host.kernel]);
        command
    };
    let uname = store.root("uname")?.join("bin/busybox");
    let release = run(emulator().arg(uname).args(["uname", "-r"]))?;
    let place = folder.join("host/proc/sys/kernel");
    fs::create_dir_all(&place)?;
    fs::write(place.join("osrelease"), &release.output)?;
    // All the rest is of this machine.
    fs::copy("/proc/filesystems", folder.join("host/proc/filesystems"))?;
    let facts = HostFacts::from(&Machine::below(folder.join("host")).facts());
    let (program, arguments) = image.command.split_first().context("no command")?;
    let program = root.join(program.trim_start_matches('/'));
    let seen = run(emulator().arg("-L").arg(&root).arg(program).args(arguments))?;
    Ok(Observed { facts, seen })
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn store_path(store: &Store, path: &Path) -> String {
    let top = store.path("");
    path.strip_prefix(top)
        .unwrap_or(path)
        .to_string_lossy()
        .into_owned()
}
