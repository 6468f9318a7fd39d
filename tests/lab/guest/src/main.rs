//! The first process of a guest, and, called again by itself, what goes into the container and becomes the program.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use hostfit_crds::HostFacts;
use hostfit_host::Machine;
use hostfit_lab_guest::{MODULES, Report, TASK, Task};
use nix::kmod::{ModuleInitFlags, finit_module};
use nix::sched::{CloneFlags, unshare};
use nix::sys::reboot::{RebootMode, reboot};

mod container;
mod mounts;

/// The port that reports leave by; the console has the other.
const PORT: &str = "/dev/ttyS1";
/// More than this of what a program writes is left out.
const OUTPUT: usize = 1 << 16;
const INSIDE: &str = "inside";

fn main() {
    if std::env::args().nth(1).as_deref() == Some(INSIDE) {
        let error = task().and_then(|task| container::enter(&task));
        // What starts containers says it like this, too.
        eprintln!(
            "start: {:#}",
            error
                .err()
                .unwrap_or_else(|| anyhow::anyhow!("nothing ran"))
        );
        std::process::exit(126);
    }
    let mut report = Report::default();
    if let Err(error) = work(&mut report) {
        report.trouble = Some(format!("{error:#}"));
    }
    let told = serde_json::to_vec(&report)
        .map_err(anyhow::Error::from)
        .and_then(|told| tell(&told));
    if let Err(error) = told {
        eprintln!("lab: {error:#}");
    }
    // QEMU is told not to boot again: that ends it.
    let _ = reboot(RebootMode::RB_AUTOBOOT);
}

fn task() -> Result<Task> {
    let text = fs::read(TASK).with_context(|| format!("read {TASK}"))?;
    Ok(serde_json::from_slice(&text)?)
}

fn tell(report: &[u8]) -> Result<()> {
    let mut port = OpenOptions::new().write(true).open(PORT)?;
    port.write_all(report)?;
    port.write_all(b"\n")?;
    nix::sys::termios::tcdrain(&port)?;
    Ok(())
}

fn work(report: &mut Report) -> Result<()> {
    mounts::of_the_machine()?;
    let task = task()?;
    mounts::cgroups(Path::new("/"), task.cgroup)?;
    for (name, value) in &task.sysctls {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        fs::write(&path, value).with_context(|| format!("write {path}"))?;
    }
    for module in &task.modules {
        let file = File::open(Path::new(MODULES).join(module))?;
        finit_module(&file, c"", ModuleInitFlags::empty())
            .with_context(|| format!("load {module}"))?;
    }
    mounts::selinux();
    report.facts = HostFacts::from(&Machine::local().facts());
    if !task.command.is_empty() {
        run(&task, report)?;
    }
    Ok(())
}

/// Starts this program again as the first process of a container, and waits for what becomes of it.
fn run(task: &Task, report: &mut Report) -> Result<()> {
    mounts::cgroup_of_the_container(task)?;
    let (mut reader, writer) = std::io::pipe()?;
    let output = thread::spawn(move || {
        let mut all = Vec::new();
        let mut some = [0; 4096];
        while let Ok(read @ 1..) = reader.read(&mut some) {
            let room = OUTPUT.saturating_sub(all.len());
            all.extend(some.iter().take(read.min(room)));
        }
        all
    });
    // From here on this process can have no more threads.
    unshare(CloneFlags::CLONE_NEWPID).context("unshare")?;
    let mut child = Command::new("/proc/self/exe")
        .arg(INSIDE)
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .spawn()
        .context("start")?;
    let end = Instant::now() + Duration::from_secs(task.seconds);
    let status = loop {
        match child.try_wait()? {
            Some(status) => break Some(status),
            None if Instant::now() > end => {
                child.kill()?;
                child.wait()?;
                break None;
            }
            None => thread::sleep(Duration::from_millis(20)),
        }
    };
    let output = output.join().unwrap_or_default();
    report.output = String::from_utf8_lossy(&output).into_owned();
    match status {
        Some(status) => (report.exit, report.signal) = (status.code(), status.signal()),
        None => report.output.push_str("\n[still running]"),
    }
    Ok(())
}
