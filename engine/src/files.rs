//! What the files of an image say: read from its verified layers, merged as the runtime would mount them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::distribution::Distribution;
use crate::fact::{Evidence, Strength};
use crate::package::PackageVersion;
use crate::version::{DottedVersion, KernelVersion};

/// Something that a file says, with the path of the file inside the image (without a leading slash).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen<T> {
    /// What it says.
    pub value: T,
    /// The file.
    pub path: String,
}

impl<T> Seen<T> {
    /// `value`, as the file at `path` says it.
    pub fn new(value: T, path: impl Into<String>) -> Self {
        let path = path.into();
        Self { value, path }
    }

    /// The file as evidence.
    pub fn evidence(&self) -> Evidence {
        Evidence::new(Strength::File, &self.path)
    }
}

/// The facts of a root file system. What is absent was looked for and is not there, unless `unread` speaks of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Files {
    /// From os-release or its older relatives.
    pub distribution: Option<Seen<Distribution>>,
    /// The C library that dynamic programs of the image's architecture get.
    pub libc: Option<Libc>,
    /// What the entrypoint of the config leads to. `None` if it names nothing that is there.
    pub program: Option<Program>,
    /// The highest x86-64 level that a library or program besides libc and the entrypoint is marked for, if above 1.
    pub object_level: Option<Seen<u8>>,
    /// The highest kernel that the ABI note of a shared library besides libc asks for.
    pub object_kernel: Option<Seen<KernelVersion>>,
    /// The smallest alignment in bytes of the segments of a shared library for arm64, if it is less than every host of it takes.
    pub object_alignment: Option<Seen<u64>>,
    /// A shared library that wants an executable stack.
    pub executable_stack: Option<Seen<()>>,
    /// An object that needs the kernel's own type information (BTF) to be loaded.
    pub ebpf: Option<Seen<()>>,
    /// Kernel modules, by the release of the kernel that they were built for.
    pub kernel_modules: BTreeMap<String, KernelModule>,
    /// jemalloc with its page size compiled in.
    pub jemalloc: Option<Seen<()>>,
    /// A program that makes user namespaces of its own: a browser's sandbox, bubblewrap, rootless builders.
    pub own_namespaces: Option<Seen<()>>,
    /// Which tables the image's `iptables` writes.
    pub iptables: Option<Seen<Iptables>>,
    /// Version of the Java runtime, as its `release` file tells.
    pub java: Option<Seen<String>>,
    /// The major release of CUDA whose runtime library it holds; the newest of several.
    pub cuda_runtime: Option<Seen<u64>>,
    /// The library that lets an older driver run a newer CUDA.
    pub cuda_compat: Option<Seen<()>>,
    /// The crypto policy that its libraries follow: `DEFAULT`, `FIPS`, …
    pub crypto_policy: Option<Seen<String>>,
    /// Packages that rules ask for, by their names.
    pub packages: BTreeMap<String, Seen<PackageVersion>>,
    /// What could not be read, in words.
    pub unread: Vec<String>,
}

/// What is known of the files of an image.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Reading {
    /// Nothing yet: nobody asked for them, or a layer could not be had.
    #[default]
    NotRead,
    /// They never will be read: a layer is damaged, or exceeds a limit.
    Unreadable {
        /// What is wrong, without any text of the other side.
        what: String,
    },
    /// What they say.
    Read(Arc<Files>),
}

impl From<Files> for Reading {
    fn from(files: Files) -> Self {
        Self::Read(Arc::new(files))
    }
}

/// A C library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Libc {
    /// Which one.
    pub kind: LibcKind,
    /// Its version.
    pub version: Option<DottedVersion>,
    /// The kernel that its ABI note asks for. musl has none.
    pub kernel: Option<KernelVersion>,
    /// The x86-64 level that its ISA property asks for; `None` if it has no such property.
    pub cpu_level: Option<u8>,
    /// Its path.
    pub path: String,
}

/// The C libraries that rules know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LibcKind {
    /// The GNU C library.
    Glibc,
    /// musl.
    Musl,
}

impl LibcKind {
    /// The name that it gives itself.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Glibc => "glibc",
            Self::Musl => "musl",
        }
    }
}

impl fmt::Display for LibcKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Libc {
    /// The library as evidence.
    pub fn evidence(&self) -> Evidence {
        Evidence::new(Strength::File, &self.path)
    }

    /// The version, if this is glibc.
    pub fn glibc(&self) -> Option<&DottedVersion> {
        self.version
            .as_ref()
            .filter(|_| self.kind == LibcKind::Glibc)
    }
}

/// A kernel module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelModule {
    /// Its path; of several for the same kernel one without a signature, if there is one.
    pub path: String,
    /// Whether it ends in a signature. Of a compressed one that is not known.
    pub is_signed: Option<bool>,
}

impl KernelModule {
    /// The module as evidence.
    pub fn evidence(&self) -> Evidence {
        Evidence::new(Strength::File, &self.path)
    }
}

/// The program that starts, or what interprets the script that does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Program {
    /// Its path, symbolic links followed.
    pub path: String,
    /// The script that names it as its interpreter, if the entrypoint is one.
    pub script: Option<String>,
    /// Whether it brings all of its code: it has no loader, so the image's C library does not matter to it.
    pub is_static: bool,
    /// Architecture in Go's spelling, from the ELF header.
    pub architecture: Option<String>,
    /// The x86-64 level that its ISA property asks for.
    pub cpu_level: Option<u8>,
    /// The kernel that its own ABI note asks for.
    pub kernel: Option<KernelVersion>,
    /// The smallest alignment of its segments in bytes: on a host with larger pages it does not load.
    pub alignment: Option<u64>,
    /// It compares the kernel with its own ABI note: a static program of glibc before 2.36.
    pub checks_kernel: bool,
    /// Its code calls the old page of system calls: a static program of glibc before 2.15.
    pub calls_vsyscall: bool,
    /// Version of Go, and the x86-64 level that it was built for.
    pub go: Option<Go>,
    /// It is a native image of GraalVM, which checks the CPU by itself.
    pub native_image: Option<NativeImage>,
    /// Libraries that it needs, those that rules ask for.
    pub needs: Vec<String>,
    /// eBPF code stands within it that is fitted to the kernel's types as it is loaded.
    pub holds_ebpf: bool,
    /// Its file gives it the capability to open low ports.
    pub binds_low_ports: bool,
    /// It is systemd or another name of it.
    pub is_systemd: bool,
    /// The image's default arguments name it, not its entrypoint: those of a pod stand in its place.
    pub is_argument: bool,
}

impl Program {
    /// The program as evidence.
    pub fn evidence(&self) -> Evidence {
        Evidence::new(Strength::File, &self.path)
    }
}

/// What Go's linker wrote down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Go {
    /// `go1.24.1`
    pub version: String,
    /// `GOAMD64`, 1 to 4; 1 where it is not written.
    pub amd64: u8,
}

/// The largest page of arm64 in bytes: what is aligned to it loads on every host.
pub const LARGEST_PAGE: u64 = 65_536;

/// What a native image of GraalVM asks of the CPU before it does anything else.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NativeImage {
    /// The lowest level of x86-64 that has what it asks for, as far as levels go. `None` if it does not tell what that is.
    pub cpu_level: Option<u8>,
    /// Features of x86-64 that it asks for and no level has, in GraalVM's names: `AES`, `SHA`.
    pub beyond: Vec<String>,
}

impl NativeImage {
    /// From the features that its message lists, in the names of GraalVM's `AMD64.CPUFeature`. What each level has is from
    /// the psABI of x86-64, without CX16, LAHF, MOVBE and OSXSAVE, which GraalVM has no names for.
    pub fn asking_for<'a>(features: impl IntoIterator<Item = &'a str>) -> Self {
        const LEVELS: [(u8, &str); 4] = [
            // The last four are no instructions that code is generated for, but marks that every CPU of today sets.
            (1, "CX8 CMOV FXSR MMX SSE SSE2 HT TSC TSCINV TSCINV_BIT"),
            (2, "POPCNT SSE3 SSSE3 SSE4_1 SSE4_2"),
            (3, "AVX AVX2 BMI1 BMI2 F16C FMA LZCNT"),
            (4, "AVX512F AVX512BW AVX512CD AVX512DQ AVX512VL"),
        ];
        let mut asked = Self::default();
        for feature in features {
            let has = |names: &str| names.split(' ').any(|name| name == feature);
            match LEVELS.iter().find(|(_, names)| has(names)) {
                Some((level, _)) => asked.cpu_level = asked.cpu_level.max(Some(*level)),
                None => asked.beyond.push(feature.to_owned()),
            }
        }
        asked
    }
}

/// The two kinds of tables of packet filters in Linux.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Iptables {
    /// Those of `ip_tables`: iptables before 1.8, or its legacy variant.
    Legacy,
    /// Those of `nf_tables`.
    Nft,
}

impl Iptables {
    /// The name that iptables itself gives the variant.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::Nft => "nft",
        }
    }

    /// The variant of a name.
    pub fn of(name: &str) -> Option<Self> {
        [Self::Legacy, Self::Nft]
            .into_iter()
            .find(|it| it.as_str() == name)
    }
}

impl fmt::Display for Iptables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Files {
    /// A package of one of these names; the first that is there.
    pub fn package(&self, names: &[&str]) -> Option<&Seen<PackageVersion>> {
        names.iter().find_map(|name| self.packages.get(*name))
    }
}
