//! Layers as they come: honest, odd and hostile.

mod kit;
mod objects;
mod start;

use std::io::{Read, Write as _};

use flate2::Compression;
use flate2::write::GzEncoder;
use hostfit_engine::files::{Files, Iptables, LibcKind};
use hostfit_engine::image::Start;
use tar::{EntryType, Header};

use self::kit::{Tar, abi, elf as program, isa, libc};
use super::scan::{Entry, Layer};
use super::*;
use crate::digest::sha256;

fn start(command: &[&str]) -> Start {
    Start {
        command: command.iter().map(|word| word.to_string()).collect(),
        ..Start::default()
    }
}

fn facts(layers: &[Box<Layer>], command: &[&str]) -> Files {
    files(layers, &start(command), "amd64")
}

const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

#[test]
fn the_entrypoint_and_its_libc_are_read() {
    let base = Tar::new()
        .symlink("lib64", "usr/lib64")
        .file("etc/os-release", "ID=debian\nVERSION_ID=\"11\"\n")
        .program("usr/lib64/libc-2.31.so", libc("2.31", [3, 2, 0], 1))
        .symlink("usr/lib64/libc.so.6", "libc-2.31.so")
        .layer();
    let app = Tar::new()
        .program("usr/bin/app", program(Some(LOADER), &[isa(0b101)], b""))
        .layer();
    let found = facts(&[base, app], &["app", "--serve"]);
    let libc = found.libc.unwrap();
    assert_eq!(libc.kind, LibcKind::Glibc);
    assert_eq!(libc.version.unwrap().to_string(), "2.31");
    assert_eq!(libc.kernel.unwrap().release(), "3.2.0");
    assert_eq!(libc.cpu_level, Some(1));
    assert_eq!(libc.path, "usr/lib64/libc-2.31.so");
    let program = found.program.unwrap();
    assert_eq!(program.path, "usr/bin/app");
    // `ld -z x86-64-v3` sets bits 0 and 2.
    assert_eq!(program.cpu_level, Some(3));
    assert!(!program.is_static);
    assert_eq!(program.architecture.as_deref(), Some("amd64"));
    assert_eq!(found.distribution.unwrap().value.to_string(), "debian 11");
}

#[test]
fn a_static_program_of_go_tells_its_level() {
    let mut info = b"\xff Go buildinf:\x08\x02".to_vec();
    info.resize(32, 0);
    info.extend(b"\x08go1.24.1");
    let settings = "path\tapp\nbuild\tGOARCH=amd64\nbuild\tGOAMD64=v3\n";
    let framed = [&[7; 16], settings.as_bytes(), &[7; 16]].concat();
    info.push(framed.len() as u8);
    info.extend(framed);
    let root = Tar::new().program("app", program(None, &[], &info)).layer();
    let program = facts(&[root], &["/app"]).program.unwrap();
    assert!(program.is_static);
    let go = program.go.unwrap();
    assert_eq!((go.version.as_str(), go.amd64), ("go1.24.1", 3));
}

#[test]
fn upper_layers_hide_what_is_below() {
    let base = || {
        Tar::new()
            .file("etc/os-release", "ID=a\n")
            .file("usr/lib/os-release", "ID=b\n")
            .layer()
    };
    #[track_caller]
    fn check(layers: &[Box<Layer>], expected: &str) {
        let found = facts(layers, &[]).distribution;
        let found = found.map(|seen| seen.value.to_string());
        assert_eq!(found.as_deref().unwrap_or("nothing"), expected);
    }
    let with = |upper: Tar, expected: &str| check(&[base(), upper.layer()], expected);
    with(Tar::new(), "a");
    with(Tar::new().file("etc/os-release", "ID=c\n"), "c");
    with(Tar::new().file("etc/.wh.os-release", ""), "b");
    with(Tar::new().file(".wh.etc", ""), "b");
    with(Tar::new().file("etc/.wh..wh..opq", ""), "b");
    with(
        Tar::new()
            .file("etc/os-release", "ID=d\n")
            .file("etc/.wh..wh..opq", ""),
        "d",
    );
    // A whiteout hides what is below, not what its own layer puts there, whichever comes first.
    with(
        Tar::new()
            .file("etc/.wh.os-release", "")
            .file("etc/os-release", "ID=e\n"),
        "e",
    );
    with(
        Tar::new()
            .file("etc/os-release", "ID=e\n")
            .file("etc/.wh.os-release", ""),
        "e",
    );
    // A file where a folder was, and a folder that comes again.
    with(Tar::new().file("etc", ""), "b");
    with(Tar::new().folder("etc"), "a");
    with(Tar::new().symlink("etc", "usr/lib"), "b");
    with(
        Tar::new().symlink("etc/os-release", "../usr/lib/os-release"),
        "b",
    );
    // Out of the root there is only the root.
    with(
        Tar::new().symlink("etc/os-release", "../../../../usr/lib/os-release"),
        "b",
    );
    with(
        Tar::new().symlink("etc/os-release", "/usr/lib/os-release"),
        "b",
    );
    with(Tar::new().symlink("etc/os-release", "os-release"), "b");
    with(
        Tar::new().link("etc/os-release", "usr/lib/os-release", EntryType::Link),
        "b",
    );
}

#[test]
fn packages_are_those_of_the_upper_database() {
    let status = |version: &str| {
        format!(
            "Package: libselinux1\nStatus: install ok installed\nVersion: {version}\n\nPackage: other\nStatus: install ok installed\nVersion: 1\n\nPackage: systemd\nStatus: deinstall ok config-files\nVersion: 3\n"
        )
    };
    let lower = Tar::new()
        .file("var/lib/dpkg/status", status("2.1-1"))
        .layer();
    let upper = Tar::new()
        .file("var/lib/dpkg/status", status("3.4-1+b6"))
        .layer();
    let found = facts(&[lower, upper], &[]);
    let names: Vec<_> = found.packages.keys().map(String::as_str).collect();
    assert_eq!(names, ["libselinux1"]);
    assert_eq!(found.packages["libselinux1"].value.as_str(), "3.4-1+b6");
    let distroless = Tar::new()
        .file(
            "var/lib/dpkg/status.d/libc6",
            "Package: libc6\nVersion: 2.36-9\n",
        )
        .file("var/lib/dpkg/status.d/libc6.md5sums", "x")
        .layer();
    assert_eq!(facts(&[distroless], &[]).packages.len(), 1);
    let alpine = Tar::new()
        .file(
            "lib/apk/db/installed",
            "C:Q1\nP:musl\nV:1.2.5-r1\n\nP:busybox\nV:1\n",
        )
        .layer();
    let found = facts(&[alpine], &[]);
    assert_eq!(found.packages["musl"].value.as_str(), "1.2.5-r1");
}

#[test]
fn what_else_rules_ask_for_is_found() {
    let root = Tar::new()
        .program(
            "usr/sbin/xtables-nft-multi",
            program(Some(LOADER), &[], b""),
        )
        .symlink("etc/alternatives/iptables", "/usr/sbin/xtables-nft-multi")
        .symlink("usr/sbin/iptables", "/etc/alternatives/iptables")
        .file(
            "opt/java/openjdk/release",
            "IMPLEMENTOR=\"x\"\nJAVA_VERSION=\"17.0.9\"\n",
        )
        .file(
            "usr/lib/libQt5Core.so.5",
            program(None, &[abi([3, 17, 0])], b""),
        )
        .file("usr/lib/libfast.so", program(None, &[isa(0b101)], b""))
        .file(
            "usr/lib/glibc-hwcaps/x86-64-v4/libbest.so",
            program(None, &[isa(0b1111)], b""),
        )
        .program(
            "buildkitd",
            program(
                Some(LOADER),
                &[],
                b"<jemalloc>: Unsupported system page size",
            ),
        )
        .file(
            "lib/modules/x.ko",
            program(None, &[], b"vermagic=5.14.0-70.el9 SMP mod_unload\0"),
        )
        .layer();
    let found = facts(&[root], &["/buildkitd"]);
    assert_eq!(found.iptables.unwrap().value, Iptables::Nft);
    assert_eq!(found.java.unwrap().value, "17.0.9");
    let kernel = found.object_kernel.unwrap();
    assert_eq!(kernel.value.release(), "3.17.0");
    assert_eq!(kernel.path, "usr/lib/libQt5Core.so.5");
    assert_eq!(found.object_level.unwrap().value, 3);
    assert_eq!(found.jemalloc.unwrap().path, "buildkitd");
    assert_eq!(found.own_namespaces.unwrap().path, "buildkitd");
    let module = &found.kernel_modules["5.14.0-70.el9"];
    assert_eq!(
        (module.path.as_str(), module.is_signed),
        ("lib/modules/x.ko", Some(false))
    );
}

/// Reads a layer as a registry sends it: compressed, under its digest.
fn receive(bytes: &[u8]) -> Result<Layer, Failure> {
    let descriptor = Descriptor {
        digest: sha256(bytes),
        size: bytes.len() as u64,
    };
    read(&descriptor, bytes)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn the_crypto_policy_is_that_of_its_file_and_the_older_mark_wins() {
    let policy = |tar: Tar| {
        let seen = facts(&[tar.layer()], &[]).crypto_policy;
        seen.map(|seen| format!("{} in {}", seen.value, seen.path))
    };
    let config = || Tar::new().file("etc/crypto-policies/config", "# of the system\nDEFAULT\n");
    let expected = "DEFAULT in etc/crypto-policies/config";
    assert_eq!(policy(config()).as_deref(), Some(expected));
    let marked = config().file("etc/system-fips", "");
    assert_eq!(policy(marked).as_deref(), Some("FIPS in etc/system-fips"));
    let empty = Tar::new().file("etc/crypto-policies/config", "\n");
    assert_eq!(policy(empty), None);
}

#[test]
fn layers_come_in_any_compression_and_in_pieces() {
    let tar = Tar::new().file("etc/alpine-release", "3.22.1\n").bytes();
    let (one, two) = tar.split_at(700);
    let zstd = |bytes: &[u8]| {
        ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
    };
    let skippable = [
        &[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3][..],
        &zstd(&tar),
    ]
    .concat();
    for bytes in [
        tar.clone(),
        gzip(&tar),
        [gzip(one), gzip(two)].concat(),
        zstd(&tar),
        [zstd(one), zstd(two)].concat(),
        skippable,
    ] {
        let layer = receive(&bytes).unwrap();
        assert!(layer.entries.contains_key("etc/alpine-release"));
    }
}

#[track_caller]
fn refused(bytes: &[u8], expected: &str) {
    let failure = receive(bytes).unwrap_err();
    assert!(failure.is_lasting(), "{failure}");
    assert!(failure.to_string().contains(expected), "{failure}");
}

#[test]
fn what_exceeds_a_cap_is_refused_and_says_which() {
    let zeros = std::io::repeat(0).take(700 << 20);
    let mut bomb = GzEncoder::new(Vec::new(), Compression::fast());
    let mut header = Header::new_gnu();
    header.set_path("big").unwrap();
    header.set_size(700 << 20);
    header.set_cksum();
    bomb.write_all(header.as_bytes()).unwrap();
    std::io::copy(&mut { zeros }, &mut bomb).unwrap();
    refused(&bomb.finish().unwrap(), "compressed more than 100 times");

    let pax = |size: u64| {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::XHeader);
        header.set_path("x").unwrap();
        header.set_size(size);
        header.set_cksum();
        header.as_bytes().to_vec()
    };
    refused(&pax(10 << 30), "extended header of more than 1 MiB");

    let long = "x/".repeat(300_000);
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::GNULongName);
    header.set_size(long.len() as u64);
    header.set_cksum();
    let mut tar = header.as_bytes().to_vec();
    tar.extend(long.as_bytes());
    tar.resize(tar.len().next_multiple_of(512), 0);
    tar.extend(Tar::new().file("y", "").bytes());
    refused(&tar, "path of more than 4,096 bytes");

    let mut header = Header::new_gnu();
    header.set_path("f").unwrap();
    header.set_size(0);
    header.set_cksum();
    let many = header.as_bytes().repeat(500_001);
    refused(&gzip(&many), "more than 500,000 entries");
}

#[test]
fn what_is_wrong_is_refused_and_says_so() {
    refused(
        b"this is no archive, whatever its name says",
        "cannot be unpacked",
    );
    refused(&[b'x'; 2_048], "no tar archive");
    let tar = Tar::new().file("a", vec![1; 5_000]).bytes();
    refused(&tar[..2_000], "cannot be unpacked");
    let whole = gzip(&tar);
    refused(&whole[..whole.len() - 9], "cannot be unpacked");
    let mut header = Header::new_gnu();
    header.as_gnu_mut().unwrap().name[..8].copy_from_slice(b"../../ab");
    header.set_size(0);
    header.set_cksum();
    refused(header.as_bytes(), "leads out of the image");
}

#[test]
fn a_layer_that_is_another_one_says_nothing() {
    let bytes = gzip(&Tar::new().file("etc/alpine-release", "3.22").bytes());
    let wanted = |digest, size| Descriptor { digest, size };
    let failed = |descriptor: &Descriptor| read(descriptor, bytes.as_slice()).unwrap_err();
    let size = bytes.len() as u64;
    let wrong = failed(&wanted(sha256(b"other"), size));
    assert!(wrong.to_string().contains("digest"), "{wrong}");
    let short = failed(&wanted(sha256(&bytes), size + 1));
    assert!(short.to_string().contains("shorter"), "{short}");
    let long = failed(&wanted(sha256(&bytes), size - 1));
    assert!(long.to_string().contains("longer"), "{long}");
}

#[test]
fn no_bytes_of_a_program_make_the_reader_panic() {
    let whole = program(Some(LOADER), &[abi([3, 2, 0]), isa(7)], b"text");
    for length in 0..whole.len() {
        elf::read(&whole[..length]);
    }
    for position in 0..whole.len() {
        for value in [0, 1, 0x7f, 0xff] {
            let mut bytes = whole.clone();
            bytes[position] = value;
            elf::read(&bytes);
        }
    }
}

#[test]
fn entries_of_old_storage_drivers_are_no_whiteouts() {
    let layer = Tar::new()
        .file(".wh..wh.plnk/1.2", "")
        .file("a/.wh.b", "")
        .layer();
    assert!(matches!(layer.entries.get("a/b"), Some(Entry::Gone)));
    assert!(
        !layer
            .entries
            .values()
            .any(|entry| matches!(entry, Entry::Folder { .. }))
    );
}
