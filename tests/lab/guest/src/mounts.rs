//! What a machine mounts when it boots, and what a runtime mounts for a container.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use hostfit_lab_guest::Task;
use nix::mount::{MsFlags, mount};

/// The cgroup of the container, below the root of each hierarchy.
const OURS: &str = "case";

fn attach(kind: &str, place: &Path, options: &str) -> Result<()> {
    fs::create_dir_all(place).with_context(|| format!("make {}", place.display()))?;
    let options = Some(options).filter(|it| !it.is_empty());
    mount(Some(kind), place, Some(kind), MsFlags::empty(), options)
        .with_context(|| format!("mount {kind} at {}", place.display()))
}

pub(crate) fn of_the_machine() -> Result<()> {
    attach("devtmpfs", Path::new("/dev"), "")?;
    attach("proc", Path::new("/proc"), "")?;
    attach("sysfs", Path::new("/sys"), "")?;
    attach("tmpfs", Path::new("/run"), "")
}

/// As systemd does on a machine: there only where SELinux is on.
pub(crate) fn selinux() {
    let place = Path::new("/sys/fs/selinux");
    if place.exists() {
        let _ = attach("selinuxfs", place, "");
    }
}

/// The hierarchy of a version. The controllers of version 1 are those that the kernel lists for it.
pub(crate) fn cgroups(root: &Path, version: u8) -> Result<()> {
    let place = root.join("sys/fs/cgroup");
    if version == 2 {
        return attach("cgroup2", &place, "");
    }
    attach("tmpfs", &place, "")?;
    for controller in controllers()? {
        // Some kernels list a controller that they do not have for version 1.
        let place = place.join(&controller);
        if attach("cgroup", &place, &controller).is_err() {
            fs::remove_dir(&place)?;
        }
    }
    attach("cgroup", &place.join("systemd"), "none,name=systemd")
}

fn controllers() -> Result<Vec<String>> {
    let text = fs::read_to_string("/proc/cgroups")?;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let is_on = |line: &&str| line.ends_with("\t1");
    let names = lines
        .filter(is_on)
        .filter_map(|line| line.split_whitespace().next());
    Ok(names.map(str::to_owned).collect())
}

fn hierarchies(version: u8) -> Result<Vec<String>> {
    if version == 2 {
        return Ok(vec![String::new()]);
    }
    let mut all = controllers()?;
    all.retain(|it| Path::new("/sys/fs/cgroup").join(it).exists());
    all.push("systemd".to_owned());
    Ok(all)
}

/// Makes the container's cgroup, with its limit.
pub(crate) fn cgroup_of_the_container(task: &Task) -> Result<()> {
    let top = Path::new("/sys/fs/cgroup");
    if task.cgroup == 2 {
        for controller in ["cpu", "cpuset", "memory", "pids"] {
            let _ = fs::write(top.join("cgroup.subtree_control"), format!("+{controller}"));
        }
    }
    for hierarchy in hierarchies(task.cgroup)? {
        fs::create_dir_all(top.join(hierarchy).join(OURS))?;
    }
    let Some(memory) = task.memory else {
        return Ok(());
    };
    let file = match task.cgroup {
        2 => top.join(OURS).join("memory.max"),
        _ => top.join("memory").join(OURS).join("memory.limit_in_bytes"),
    };
    fs::write(&file, memory.to_string()).with_context(|| format!("write {}", file.display()))
}

/// Moves this process into the container's cgroup.
pub(crate) fn enter_cgroup(task: &Task) -> Result<()> {
    for hierarchy in hierarchies(task.cgroup)? {
        let place = Path::new("/sys/fs/cgroup").join(hierarchy).join(OURS);
        if place.join("cpuset.mems").exists() && task.cgroup == 1 {
            // Nobody may enter a cpuset that is empty.
            for file in ["cpuset.cpus", "cpuset.mems"] {
                fs::write(place.join(file), "0")?;
            }
        }
        fs::write(place.join("cgroup.procs"), "0")?;
    }
    Ok(())
}

/// What a runtime mounts below the root of a container.
pub(crate) fn of_the_container(root: &Path, task: &Task) -> Result<()> {
    let bind = |from: &Path, to: &Path| {
        mount(Some(from), to, None::<&str>, MsFlags::MS_BIND, None::<&str>)
            .with_context(|| format!("bind {}", to.display()))
    };
    mount(
        None::<&str>,
        "/",
        None::<&str>,
        MsFlags::MS_REC | MsFlags::MS_PRIVATE,
        None::<&str>,
    )
    .context("make mounts private")?;
    bind(root, root)?;
    attach("proc", &root.join("proc"), "")?;
    attach("sysfs", &root.join("sys"), "")?;
    cgroups(root, task.cgroup)?;
    for place in ["dev", "dev/shm", "tmp", "run"] {
        attach("tmpfs", &root.join(place), "mode=1777")?;
    }
    for device in ["null", "zero", "full", "random", "urandom"] {
        let to = root.join("dev").join(device);
        fs::write(&to, "")?;
        bind(&Path::new("/dev").join(device), &to)?;
    }
    for (name, to) in [("fd", "/proc/self/fd"), ("console", "/proc/1/fd/2")] {
        std::os::unix::fs::symlink(to, root.join("dev").join(name))?;
    }
    Ok(())
}
