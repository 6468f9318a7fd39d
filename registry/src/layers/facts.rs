//! What a root file system says, in the engine's words.

use std::ops::Deref;

use hostfit_engine::files::{Files, Iptables, KernelModule, LARGEST_PAGE, Program, Seen};
use hostfit_engine::image::Start;
use hostfit_engine::os_release;
use hostfit_engine::package::PackageVersion;

use super::command::{self, Named};
use super::elf::Elf;
use super::libc;
use super::root::Root;
use super::scan::{Layer, Said};
use super::script::End;
use super::{CRYPTO_POLICY, name_of};

/// The facts of the image that `layers` (base first) make, started as `start` says, for an architecture.
pub(crate) fn files<L: Deref<Target = Layer>>(
    layers: &[L],
    start: &Start,
    architecture: &str,
) -> Files {
    let root = Root::new(layers);
    let program = program(&root, start);
    let loader = program
        .as_ref()
        .and_then(|it| libc::loader(&root, &it.path));
    let mut files = Files {
        distribution: os_release::identify(|path| root.text(path))
            .map(|(distribution, path)| Seen::new(distribution, path)),
        libc: libc::libc(&root, architecture, loader),
        program,
        iptables: iptables(&root),
        crypto_policy: crypto_policy(&root),
        ..Files::default()
    };
    if let Some(first) = start.command.first().filter(|_| files.program.is_none()) {
        // The first word of what may be a whole command line, which may hold anything.
        let first = first.split_whitespace().next().unwrap_or_default();
        let what = format!("the entrypoint {first} leads to no program in the image");
        files.unread.push(what);
    }
    let home = java_home(&root, start, files.program.as_ref());
    for (path, found) in root.files() {
        match found.said() {
            Some(Said::Elf(elf)) => object(&mut files, path, elf, architecture),
            Some(Said::PackedModule) => {
                if let Some(release) = release_of_path(path) {
                    module(&mut files, release, path, None);
                }
            }
            Some(Said::Packages(packages)) => {
                for (name, version) in &packages.by_name {
                    let seen: Seen<PackageVersion> = Seen::new(version.clone(), path);
                    files.packages.insert(name.clone(), seen);
                }
                if packages.is_broken {
                    files.unread.push(format!("{path} is damaged"));
                }
            }
            Some(Said::TooLarge) => files.unread.push(format!("{path} is too large")),
            Some(Said::Text(text)) if path.ends_with("/release") => {
                let version = java(text).map(|version| Seen::new(version, path));
                let is_own = |seen: &Seen<String>| is_home(&home, seen);
                // Of several the one that starts, or that a script finds.
                let is_better = version.as_ref().is_some_and(is_own);
                let known = files.java.take().filter(|_| !is_better);
                files.java = known.or(version);
            }
            _ => {}
        }
    }
    if files.kernel_modules.len() > KERNELS {
        files.kernel_modules.clear();
        let what = format!("it holds modules for more than {KERNELS} kernels");
        files.unread.push(what);
    }
    files
}

/// The PATH of an image that names none.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Scripts of scripts.
const SCRIPTS: usize = 4;

/// What the command leads to. Where what a shell is given leads nowhere (`cd`), that is the shell; and where it is static,
/// since the shell before it needs the C library.
fn program(root: &Root<'_>, start: &Start) -> Option<Program> {
    let mut named = command::programs(&start.command, start.entrypoint);
    for _ in 0..SCRIPTS {
        let Some(inner) = named.first() else { break };
        let end = inner.words.first().and_then(|word| end(root, start, word));
        let inside = match end {
            Some(End::Arguments) => inner.arguments(),
            Some(End::Program(word)) => vec![Named {
                words: vec![word.clone()],
                ..inner.clone()
            }],
            None => break,
        };
        // What leads nowhere is no program: then the shell is all that is known.
        let is_there = |it: &Named| it.words.first().and_then(|word| find(root, start, word));
        if inside.first().and_then(is_there).is_none() {
            break;
        }
        named.splice(0..0, inside);
    }
    let programs = named.into_iter().filter_map(|it| {
        let program = program_of(root, start, it.words.into_iter().next()?)?;
        Some(Program {
            is_argument: it.is_argument,
            ..program
        })
    });
    let mut programs = programs.collect::<Vec<_>>().into_iter();
    let inner = programs.next()?;
    match programs.find(|program| inner.is_static && !program.is_static) {
        Some(outer) => Some(outer),
        None => Some(inner),
    }
}

/// What takes the place of the script that a word leads to.
fn end<'a>(root: &Root<'a>, start: &Start, word: &str) -> Option<&'a End> {
    let (_, found) = root.file(&find(root, start, word)?)?;
    match found.said()? {
        Said::Script(script) => script.end.as_ref(),
        _ => None,
    }
}

fn program_of(root: &Root<'_>, start: &Start, word: String) -> Option<Program> {
    let mut word = word;
    let mut script = None;
    for _ in 0..=SCRIPTS {
        let wanted = find(root, start, &word)?;
        let (path, found) = root.file(&wanted)?;
        match found.said() {
            Some(Said::Elf(elf)) => return Some(of_elf(path, &wanted, script, elf)),
            Some(Said::Script(of)) => {
                word = interpreter(&of.interpreter)?;
                script.get_or_insert(path);
            }
            _ => return None,
        }
    }
    None
}

/// The interpreter of a script, seen through `env`.
fn interpreter(line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    let first = words.next()?;
    let is_env = name_of(first) == "env";
    let next = words.find(|word| !word.starts_with('-') && !word.contains('='));
    match is_env {
        true => next.map(str::to_owned),
        false => Some(first.to_owned()),
    }
}

/// Where the first word of a command leads to: as it is, or in the folders of PATH.
fn find(root: &Root<'_>, start: &Start, word: &str) -> Option<String> {
    if word.starts_with('/') {
        return Some(word.to_owned());
    }
    if word.contains('/') {
        return Some(format!("{}/{word}", start.folder));
    }
    let path = start.path.as_deref().unwrap_or(DEFAULT_PATH);
    let places = path.split(':').map(|folder| format!("{folder}/{word}"));
    places.into_iter().find(|place| root.file(place).is_some())
}

fn of_elf(path: String, wanted: &str, script: Option<String>, elf: &Elf) -> Program {
    // What is packed may be anything.
    let is_static = elf.interpreter.is_none() && !elf.is_packed;
    // `/sbin/init` is a link to it, and says what it is only by that.
    let is_systemd =
        name_of(&path) == "systemd" || (name_of(wanted) == "init" && path.contains("systemd"));
    Program {
        is_systemd,
        is_argument: false,
        script,
        is_static,
        architecture: elf.architecture.map(str::to_owned),
        cpu_level: elf.cpu_level,
        kernel: elf.kernel.clone(),
        alignment: elf.alignment,
        checks_kernel: is_static && elf.texts.checks_kernel,
        calls_vsyscall: is_static && elf.texts.calls_vsyscall,
        go: elf.texts.go.clone(),
        native_image: elf.texts.native_image.clone(),
        needs: elf.needs.clone(),
        holds_ebpf: elf.texts.holds_ebpf,
        binds_low_ports: elf.binds_low_ports,
        path,
    }
}

/// One program or library among all.
fn object(files: &mut Files, path: &str, elf: &Elf, architecture: &str) {
    fn most<T: Ord>(slot: &mut Option<Seen<T>>, value: Option<T>, path: &str) {
        let more = |value: &T| slot.as_ref().is_none_or(|seen| seen.value < *value);
        if let Some(value) = value.filter(more) {
            *slot = Some(Seen::new(value, path));
        }
    }
    let is_own = |own: Option<&str>| own == Some(path);
    let is_libc = is_own(files.libc.as_ref().map(|libc| libc.path.as_str()));
    let is_program = is_own(files.program.as_ref().map(|program| program.path.as_str()));
    if elf.texts.jemalloc && elf.is_loaded {
        files.jemalloc.get_or_insert_with(|| Seen::new((), path));
    }
    if elf.is_ebpf {
        files.ebpf.get_or_insert_with(|| Seen::new((), path));
    }
    if path.ends_with(".ko")
        && let Some(release) = elf.texts.vermagic.as_deref()
    {
        module(files, release, path, Some(elf.texts.is_signed));
    }
    let name = name_of(path);
    if elf.is_loaded && name.starts_with("libcudart") {
        most(&mut files.cuda_runtime, major_of(name), path);
    }
    if elf.is_loaded && path.contains("/compat/libcuda.so") {
        files.cuda_compat.get_or_insert_with(|| Seen::new((), path));
    }
    const OWN_NAMESPACES: [&str; 5] = ["chrome-sandbox", "bwrap", "buildkitd", "podman", "buildah"];
    if elf.is_loaded && OWN_NAMESPACES.contains(&name) {
        files
            .own_namespaces
            .get_or_insert_with(|| Seen::new((), path));
    }
    // What is for another architecture, as a compiler for that one brings it, no program of this one loads.
    let is_foreign = elf.architecture != Some(architecture);
    if is_libc || is_program || is_foreign || !elf.is_loaded {
        return;
    }
    // The loader takes from these folders only what the CPU can do.
    let is_chosen_by_cpu = path.contains("/glibc-hwcaps/");
    let level = elf
        .cpu_level
        .filter(|level| *level > 1 && !is_chosen_by_cpu);
    most(&mut files.object_level, level, path);
    // Some can be run as well, and name a loader: Qt's libQt5Core.so.5 is one of them.
    let is_library = name.ends_with(".so") || name.contains(".so.");
    if is_library {
        // Programs have the note of their libc; libraries only those that asked for it. The parts of glibc, too.
        most(&mut files.object_kernel, elf.kernel.clone(), path);
        least_aligned(files, path, elf);
        if elf.executable_stack {
            files
                .executable_stack
                .get_or_insert_with(|| Seen::new((), path));
        }
    }
}

fn least_aligned(files: &mut Files, path: &str, elf: &Elf) {
    let tight = elf.alignment.filter(|align| *align < LARGEST_PAGE);
    let Some(alignment) = tight.filter(|_| elf.architecture == Some("arm64")) else {
        return;
    };
    let known = files.object_alignment.as_ref();
    if known.is_none_or(|seen| alignment < seen.value) {
        files.object_alignment = Some(Seen::new(alignment, path));
    }
}

/// More kernels than an image has modules for on purpose: then those of the host are not looked for.
const KERNELS: usize = 16;

fn module(files: &mut Files, release: &str, path: &str, is_signed: Option<bool>) {
    let known = files.kernel_modules.get(release);
    let says_more = known.is_none_or(|it| is_signed == Some(false) && it.is_signed != is_signed);
    let is_room = known.is_some() || files.kernel_modules.len() <= KERNELS;
    if says_more && is_room {
        let path = path.to_owned();
        let module = KernelModule { path, is_signed };
        files.kernel_modules.insert(release.to_owned(), module);
    }
}

/// `5.14.0-70.el9.x86_64` of `lib/modules/5.14.0-70.el9.x86_64/extra/driver.ko.xz`
fn release_of_path(path: &str) -> Option<&str> {
    let rest = path.split_once("lib/modules/")?.1;
    let (release, _) = rest.split_once('/')?;
    release
        .starts_with(|c: char| c.is_ascii_digit())
        .then_some(release)
}

/// 12 of `libcudart.so.12`, `libcudart.so.12.4.127` and `libcudart-9335f6a2.so.12`.
fn major_of(name: &str) -> Option<u64> {
    let (_, version) = name.split_once(".so.")?;
    version.split('.').next()?.parse().ok()
}

/// `iptables` is a link, through the alternatives, to one program for everything.
fn iptables(root: &Root<'_>) -> Option<Seen<Iptables>> {
    let places = [
        "usr/sbin/iptables",
        "sbin/iptables",
        "usr/bin/iptables",
        "usr/local/sbin/iptables",
    ];
    let (path, found) = places.iter().find_map(|place| root.file(place))?;
    let variant = match name_of(&path) {
        "xtables-nft-multi" => Iptables::Nft,
        "xtables-legacy-multi" | "xtables-multi" => Iptables::Legacy,
        // Before 1.8 there was no other: RHEL 6 names its version, RHEL 5 has one program for each command.
        name if name.starts_with("iptables-multi") => Iptables::Legacy,
        "iptables" if found.elf().is_some() => Iptables::Legacy,
        _ => return None,
    };
    Some(Seen::new(variant, path))
}

/// The policy, `FIPS` where the older mark says so.
fn crypto_policy(root: &Root<'_>) -> Option<Seen<String>> {
    let [config, mark] = CRYPTO_POLICY;
    if root.text(mark).is_some() {
        return Some(Seen::new("FIPS".to_owned(), mark));
    }
    let text = root.text(config)?;
    let mut lines = text.lines().map(str::trim);
    let policy = lines.find(|line| !line.is_empty() && !line.starts_with('#'))?;
    Some(Seen::new(policy.to_owned(), config))
}

/// Where the `java` lies that starts, else the one in the folders of PATH.
fn java_home(root: &Root<'_>, start: &Start, program: Option<&Program>) -> Option<String> {
    let is_java = |path: &str| name_of(path) == "java";
    let started = program.map(|it| it.path.clone());
    let started = started.filter(|path| is_java(path));
    started.or_else(|| root.resolve(&find(root, start, "java")?))
}

/// Whether a `release` file is that of the home in which a `java` lies: `HOME/bin/java`, `HOME/jre/bin/java`.
fn is_home(java: &Option<String>, release: &Seen<String>) -> bool {
    let home = release.path.strip_suffix("release");
    java.as_deref()
        .zip(home)
        .is_some_and(|(java, home)| java.starts_with(home))
}

/// `JAVA_VERSION="17.0.9"` of the file `release` in a Java home.
fn java(text: &str) -> Option<String> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("JAVA_VERSION="))?;
    let version = line.trim().trim_matches('"');
    // Another virtual machine under the same number: `JVM_VARIANT="Openj9"`.
    let is_openj9 = text.lines().any(|line| {
        let variant = line.strip_prefix("JVM_VARIANT=");
        variant.is_some_and(|it| it.trim().trim_matches('"').eq_ignore_ascii_case("openj9"))
    });
    let mark = if is_openj9 { " (OpenJ9)" } else { "" };
    (!version.is_empty()).then(|| format!("{version}{mark}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_java_tells_its_version_and_a_virtual_machine_with_numbers_of_its_own() {
        let semeru =
            "IMPLEMENTOR=\"IBM Corporation\"\nJAVA_VERSION=\"17.0.7\"\nJVM_VARIANT=\"Openj9\"\n";
        assert_eq!(java(semeru).as_deref(), Some("17.0.7 (OpenJ9)"));
        let temurin = "JAVA_VERSION=\"17.0.9\"\nJVM_VARIANT=\"Hotspot\"\n";
        assert_eq!(java(temurin).as_deref(), Some("17.0.9"));
        assert_eq!(java("VERSION=1\n"), None);
    }
}
