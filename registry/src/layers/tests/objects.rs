//! Libraries, modules and what else is looked for among all files.

use hostfit_engine::files::Iptables;

use super::kit::{Tar, abi, elf as program, isa, libc};
use super::{LOADER, facts, files, start};

#[test]
fn a_library_that_can_be_run_is_one_all_the_same() {
    let qt = program(Some(LOADER), &[abi([3, 17, 0])], b"");
    let root = Tar::new()
        .file("usr/lib/libQt5Core.so.5.15.2", qt)
        .program(
            "usr/bin/tool",
            program(Some(LOADER), &[abi([9, 0, 0])], b""),
        )
        .layer();
    let found = facts(&[root], &[]).object_kernel.unwrap();
    assert_eq!(found.value.release(), "3.17.0");
}

#[test]
fn what_is_for_another_architecture_is_not_loaded() {
    let mut foreign = program(None, &[abi([3, 7, 0]), isa(0b101)], b"");
    // aarch64
    foreign[18] = 183;
    let root = Tar::new()
        .file("usr/aarch64-linux-gnu/lib/libm.so.6", foreign)
        .layer();
    let found = facts(&[root], &[]);
    assert_eq!((found.object_kernel, found.object_level), (None, None));
}

#[test]
fn the_loader_that_a_program_names_decides_which_libc_it_gets() {
    let musl = program(None, &[], b"\x001.2.5\0");
    let both = |loader: &str| {
        let root = Tar::new()
            .program("app", program(Some(loader), &[], b""))
            .program("usr/lib64/libc.so.6", libc("2.36", [3, 2, 0], 1))
            .symlink("lib64", "usr/lib64")
            .program("lib/ld-musl-x86_64.so.1", musl.clone())
            .program(
                "nix/store/x-glibc/lib/libc.so.6",
                libc("2.40", [3, 10, 0], 3),
            )
            .program(
                "nix/store/x-glibc/lib/ld-linux-x86-64.so.2",
                program(None, &[], b""),
            )
            .layer();
        let libc = facts(&[root], &["/app"]).libc.unwrap();
        format!("{} {} of {}", libc.kind, libc.version.unwrap(), libc.path)
    };
    assert_eq!(both(LOADER), "glibc 2.36 of usr/lib64/libc.so.6");
    assert_eq!(
        both("/lib/ld-musl-x86_64.so.1"),
        "musl 1.2.5 of lib/ld-musl-x86_64.so.1"
    );
    assert_eq!(
        both("/nix/store/x-glibc/lib/ld-linux-x86-64.so.2"),
        "glibc 2.40 of nix/store/x-glibc/lib/libc.so.6"
    );
    assert_eq!(both("/other/ld.so"), "glibc 2.36 of usr/lib64/libc.so.6");
}

#[test]
fn modules_are_known_by_their_kernels_and_signatures() {
    let module = |release: &str, end: &str| {
        let text = format!("vermagic={release} SMP mod_unload \0{end}");
        program(None, &[], text.as_bytes())
    };
    const SIGNED: &str = "~Module signature appended~\n";
    let root = Tar::new()
        .file("opt/a.ko", module("6.1.0", SIGNED))
        .file("opt/b.ko", module("6.1.0", ""))
        .file("opt/c.ko", module("6.1.0", SIGNED))
        .file("opt/d.ko", module("6.2.0", SIGNED))
        .file("usr/lib/modules/6.3.0-1.el9/extra/e.ko.xz", "packed")
        .file("opt/f.ko.zst", "packed")
        .layer();
    let found = facts(&[root], &[]).kernel_modules;
    let found: Vec<_> = found
        .iter()
        .map(|(release, it)| format!("{release} {} {:?}", it.path, it.is_signed))
        .collect();
    assert_eq!(
        found,
        [
            "6.1.0 opt/b.ko Some(false)",
            "6.2.0 opt/d.ko Some(true)",
            "6.3.0-1.el9 usr/lib/modules/6.3.0-1.el9/extra/e.ko.xz None",
        ]
    );
    let mut many = Tar::new();
    for number in 0..17 {
        many = many.file(
            &format!("{number}.ko"),
            module(&format!("6.{number}.0"), ""),
        );
    }
    let found = facts(&[many.layer()], &[]);
    assert_eq!(found.kernel_modules.len(), 0);
    assert_eq!(found.unread, ["it holds modules for more than 16 kernels"]);
}

#[test]
fn a_file_may_have_the_capability_to_open_low_ports() {
    let binds = |tar: Tar| {
        let program = facts(&[tar.layer()], &["/app"]).program.unwrap();
        program.binds_low_ports
    };
    let elf = program(None, &[], b"");
    // A line break among the bytes is none between records.
    let capabilities = [1, 0, 0, 2, 10, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert!(binds(Tar::new().capable("app", &capabilities, &elf)));
    assert!(!binds(Tar::new().program("app", &elf)));
    // It is that of one file, and not of the next.
    let other = Tar::new().capable("first", &capabilities, &elf);
    assert!(!binds(other.program("app", &elf)));
}

#[test]
fn the_java_that_starts_is_the_one_that_counts() {
    let two = || {
        Tar::new()
            .file("opt/java-8/release", "JAVA_VERSION=\"1.8.0_342\"\n")
            .file("opt/java-21/release", "JAVA_VERSION=\"21.0.2\"\n")
            .program("opt/java-21/bin/java", program(Some(LOADER), &[], b""))
    };
    let version = |tar: Tar, command: &[&str]| facts(&[tar.layer()], command).java.unwrap().value;
    assert_eq!(version(two(), &["/opt/java-21/bin/java"]), "21.0.2");
    let linked = two().symlink("usr/bin/java", "/opt/java-21/bin/java");
    assert_eq!(version(linked, &["/start.sh"]), "21.0.2");
}

#[test]
fn libraries_of_cuda_are_known_by_their_names() {
    let library = || program(None, &[], b"");
    let root = Tar::new()
        .file("usr/lib/python3/nvidia/lib/libcudart.so.12", library())
        .file("usr/lib/torch/lib/libcudart-9335f6a2.so.11", library())
        .file("usr/local/cuda/compat/libcuda.so.550.54", library())
        .layer();
    let found = facts(&[root], &[]);
    assert_eq!(found.cuda_runtime.unwrap().value, 12);
    assert!(found.cuda_compat.is_some());
}

#[test]
fn libraries_for_arm64_are_known_by_their_least_alignment() {
    let library = |alignment: u8| {
        let mut elf = program(None, &[], b"");
        elf[18] = 183;
        // The third byte of the alignment of the only segment: 0x1000 is 4 KiB, 0x10000 is 64.
        elf[64 + 48 + 1] = if alignment == 4 { 0x10 } else { 0 };
        elf[64 + 48 + 2] = if alignment == 64 { 1 } else { 0 };
        elf
    };
    let root = Tar::new()
        .file("usr/lib/liba.so", library(64))
        .file("usr/lib/libb.so", library(4))
        .layer();
    let found = files(&[root], &start(&[]), "arm64")
        .object_alignment
        .unwrap();
    assert_eq!(
        (found.value, found.path.as_str()),
        (4_096, "usr/lib/libb.so")
    );
    let amd64 = Tar::new()
        .file("usr/lib/liba.so", program(None, &[], b""))
        .layer();
    assert_eq!(facts(&[amd64], &[]).object_alignment, None);
}

#[test]
fn iptables_tells_its_variant_by_where_its_name_leads() {
    let variant = |place: &str, target: &str| {
        let root = Tar::new()
            .program(target, program(Some(LOADER), &[], b""))
            .symlink(place, &format!("/{target}"));
        facts(&[root.layer()], &[]).iptables.map(|seen| seen.value)
    };
    let legacy = Some(Iptables::Legacy);
    assert_eq!(
        variant("usr/sbin/iptables", "usr/sbin/xtables-nft-multi"),
        Some(Iptables::Nft)
    );
    assert_eq!(
        variant("sbin/iptables", "sbin/xtables-legacy-multi"),
        legacy
    );
    assert_eq!(
        variant("sbin/iptables", "sbin/iptables-multi-1.4.7"),
        legacy
    );
    assert_eq!(variant("usr/local/sbin/iptables", "opt/other"), None);
    let old = Tar::new().program("sbin/iptables", program(Some(LOADER), &[], b""));
    assert_eq!(
        facts(&[old.layer()], &[]).iptables.unwrap().value,
        Iptables::Legacy
    );
    // iptables-wrappers: which it takes is found out as it runs.
    let wrapper = Tar::new().program("sbin/iptables", "#!/bin/sh\nexec iptables-nft\n");
    assert_eq!(facts(&[wrapper.layer()], &[]).iptables, None);
}

#[test]
fn a_static_program_tells_that_it_calls_the_old_page_of_system_calls() {
    let calls = |loader: Option<&str>, code: &[u8]| {
        let root = Tar::new()
            .program("app", program(loader, &[], code))
            .layer();
        let program = facts(&[root], &["/app"]).program.unwrap();
        program.calls_vsyscall
    };
    let time = [
        0x48, 0x83, 0xec, 0x08, 0x48, 0xc7, 0xc0, 0x00, 0x04, 0x60, 0xff, 0xff, 0xd0,
    ];
    assert!(calls(None, &time));
    assert!(!calls(Some(LOADER), &time));
    assert!(!calls(None, &time[..11]));
}
