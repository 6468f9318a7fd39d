//! The C library that the programs of an image get.

use hostfit_engine::files::{Libc, LibcKind};

use super::name_of;
use super::root::Root;

/// The loader that a program names.
pub(super) fn loader<'a>(root: &Root<'a>, program: &str) -> Option<&'a str> {
    root.file(program)?.1.elf()?.interpreter.as_deref()
}

/// The C library of an architecture: the one beside the loader that the program names, wherever that lies; else at the
/// paths of the loaders (they stand in every program) and, for glibc, of the library beside them.
pub(super) fn libc(root: &Root<'_>, architecture: &str, loader: Option<&str>) -> Option<Libc> {
    // Go's name, the triplet of Debian, the name that musl gives it.
    const ARCHITECTURES: [(&str, &str, &str); 9] = [
        ("amd64", "x86_64-linux-gnu", "x86_64"),
        ("386", "i386-linux-gnu", "i386"),
        ("arm64", "aarch64-linux-gnu", "aarch64"),
        ("arm", "arm-linux-gnueabihf", "armhf"),
        ("ppc64le", "powerpc64le-linux-gnu", "powerpc64le"),
        ("s390x", "s390x-linux-gnu", "s390x"),
        ("riscv64", "riscv64-linux-gnu", "riscv64"),
        ("loong64", "loongarch64-linux-gnu", "loongarch64"),
        ("mips64le", "mips64el-linux-gnuabi64", "mips64el"),
    ];
    let (_, triplet, musl) = ARCHITECTURES.iter().find(|(it, ..)| *it == architecture)?;
    let own = |path: &str| {
        let (path, found) = root.file(path)?;
        let elf = found.elf()?;
        (elf.architecture == Some(architecture)).then_some((path, elf))
    };
    let wants_musl = loader.is_some_and(|it| name_of(it).starts_with("ld-musl-"));
    let beside = loader.filter(|_| !wants_musl);
    let beside = beside.and_then(|it| root.resolve(it));
    let beside = beside.and_then(|it| Some(format!("{}/libc.so.6", it.rsplit_once('/')?.0)));
    let glibc = [
        beside.unwrap_or_default(),
        format!("lib/{triplet}/libc.so.6"),
        format!("usr/lib/{triplet}/libc.so.6"),
        "lib64/libc.so.6".to_owned(),
        "usr/lib64/libc.so.6".to_owned(),
        "lib/libc.so.6".to_owned(),
        "usr/lib/libc.so.6".to_owned(),
        "lib32/libc.so.6".to_owned(),
    ];
    let glibc = || {
        let (path, elf) = glibc.iter().find_map(|path| own(path))?;
        Some(Libc {
            kind: LibcKind::Glibc,
            version: elf.texts.glibc.clone(),
            kernel: elf.kernel.clone(),
            cpu_level: elf.cpu_level.max(loader_level(root, architecture, loader)),
            path,
        })
    };
    let musl = [
        loader.filter(|_| wants_musl).unwrap_or_default().to_owned(),
        format!("lib/ld-musl-{musl}.so.1"),
        format!("usr/lib/ld-musl-{musl}.so.1"),
        "lib/ld-musl-armv7.so.1".to_owned(),
        "lib/ld-musl-arm.so.1".to_owned(),
    ];
    let musl = || {
        let (path, elf) = musl.iter().find_map(|path| own(path))?;
        Some(Libc {
            kind: LibcKind::Musl,
            version: elf.texts.musl.clone(),
            kernel: None,
            cpu_level: elf.cpu_level,
            path,
        })
    };
    match wants_musl {
        true => musl().or_else(glibc),
        false => glibc().or_else(musl),
    }
}

/// A loader that checks the CPU was built for level 2 at least, whatever the library says.
fn loader_level(root: &Root<'_>, architecture: &str, loader: Option<&str>) -> Option<u8> {
    let usual = (architecture == "amd64").then_some("lib64/ld-linux-x86-64.so.2")?;
    let (_, found) = root.file(loader.unwrap_or(usual))?;
    found.elf()?.texts.checks_cpu.then_some(2)
}
