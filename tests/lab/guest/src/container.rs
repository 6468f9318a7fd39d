//! From the machine into a container, as runtimes do it: namespaces, mounts, root, user, filter, program.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use hostfit_lab_guest::{ROOT, Task};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid, chdir, chroot, setgid, setgroups, setuid};
use seccompiler::{apply_filter, sock_filter};

/// The PATH of an image that names none.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Returns only if the program could not be started.
pub(crate) fn enter(task: &Task) -> Result<()> {
    crate::mounts::enter_cgroup(task).context("enter the cgroup")?;
    let own = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWCGROUP | CloneFlags::CLONE_NEWUTS;
    unshare(own | CloneFlags::CLONE_NEWIPC).context("unshare")?;
    crate::mounts::of_the_container(Path::new(ROOT), task)?;
    // Who is only chrooted may make no user namespaces, so the root becomes that of all mounts.
    chdir(ROOT).context("chdir")?;
    mount(Some("."), "/", None::<&str>, MsFlags::MS_MOVE, None::<&str>).context("move the root")?;
    chroot(".").context("chroot")?;
    chdir("/").context("chdir")?;
    let (program, arguments) = task.command.split_first().context("no command")?;
    let mut command = Command::new(program);
    let env = std::iter::once(PATH).chain(task.env.iter().map(String::as_str));
    command
        .args(arguments)
        .env_clear()
        .envs(env.filter_map(|it| it.split_once('=')));
    if task.user != 0 {
        setgroups(&[]).context("setgroups")?;
        setgid(Gid::from_raw(task.user)).context("setgid")?;
        setuid(Uid::from_raw(task.user)).context("setuid")?;
    }
    if !task.filter.is_empty() {
        let instruction = |&(code, jt, jf, k): &(u16, u8, u8, u32)| sock_filter { code, jt, jf, k };
        let filter: Vec<_> = task.filter.iter().map(instruction).collect();
        apply_filter(&filter).context("seccomp")?;
    }
    Err(command.exec()).with_context(|| format!("exec {program}"))
}
