//! What the files of a case's image say, as people write it, → the engine's words.

use std::collections::BTreeMap;

use hostfit_engine::distribution::Distribution;
use hostfit_engine::files::{
    Files, Go, Iptables, KernelModule, Libc, LibcKind, NativeImage, Program, Seen,
};
use hostfit_engine::package::{Family, PackageVersion};
use serde::Deserialize;

/// The files of an image. What is not written was looked for and is not there.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Written {
    /// os-release: `debian 11`
    distro: Option<String>,
    /// `glibc 2.31`, `musl 1.2.5`
    libc: Option<String>,
    /// ABI note of libc.
    kernel: Option<String>,
    /// ISA property of libc.
    level: Option<u8>,
    program: Option<WrittenProgram>,
    object_level: Option<u8>,
    object_kernel: Option<String>,
    object_alignment: Option<u64>,
    executable_stack: bool,
    ebpf: bool,
    /// A module for this kernel: `5.14.0-70.el9.x86_64`, with ` signed` or ` unsigned` after it where that is known.
    kernel_module: Option<String>,
    /// Further ones.
    kernel_modules: Vec<String>,
    jemalloc: bool,
    own_namespaces: bool,
    /// `legacy` or `nft`
    iptables: Option<String>,
    java: Option<String>,
    /// Major release of CUDA.
    cuda_runtime: Option<u64>,
    cuda_compat: bool,
    /// `DEFAULT`, `FIPS`
    crypto_policy: Option<String>,
    /// `libselinux: rpm 2.0.94-5.3.el6`
    packages: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct WrittenProgram {
    path: Option<String>,
    r#static: bool,
    architecture: Option<String>,
    level: Option<u8>,
    /// ABI note of a static program that compares it.
    kernel: Option<String>,
    alignment: Option<u64>,
    /// Its code calls the vsyscall page.
    calls_vsyscall: bool,
    /// `go1.24.1 v3`
    go: Option<String>,
    /// The features of the CPU that a native image lists: `CX8, CMOV, AVX2`; empty if it lists none.
    graalvm: Option<String>,
    needs: Vec<String>,
    /// eBPF code stands within it.
    holds_ebpf: bool,
    /// Its file has the capability to open low ports.
    binds_low_ports: bool,
    systemd: bool,
    /// The default arguments name it, which those of the container replace.
    argument: bool,
}

impl Written {
    pub(super) fn files(&self) -> Result<Files, String> {
        let bad = |text: &str| format!("{text:?} cannot be read");
        let version = |text: &str| text.parse().map_err(|_| bad(text));
        let kernel = |text: &Option<String>| match text {
            Some(text) => text.parse().map(Some).map_err(|_| bad(text)),
            None => Ok(None),
        };
        let seen = |is_there: bool, path: &str| is_there.then(|| Seen::new((), path));
        let libc = match self.libc.as_deref().map(|text| text.split_once(' ')) {
            None => None,
            Some(Some((name, number))) => Some(Libc {
                kind: match name {
                    "glibc" => LibcKind::Glibc,
                    "musl" => LibcKind::Musl,
                    other => return Err(bad(other)),
                },
                version: Some(version(number)?),
                kernel: kernel(&self.kernel)?,
                cpu_level: self.level,
                path: "usr/lib64/libc.so.6".to_owned(),
            }),
            Some(None) => return Err("libc is written like glibc 2.31".to_owned()),
        };
        let program = match &self.program {
            None => None,
            Some(written) => Some(Program {
                path: written.path.clone().unwrap_or("usr/bin/app".to_owned()),
                is_static: written.r#static,
                architecture: written.architecture.clone(),
                cpu_level: written.level,
                kernel: kernel(&written.kernel)?,
                checks_kernel: written.r#static && written.kernel.is_some(),
                alignment: written.alignment,
                calls_vsyscall: written.calls_vsyscall,
                go: match &written.go {
                    None => None,
                    Some(text) => {
                        let (version, level) = text.split_once(" v").ok_or_else(|| bad(text))?;
                        let version = version.to_owned();
                        let amd64 = level.parse().map_err(|_| bad(text))?;
                        Some(Go { version, amd64 })
                    }
                },
                native_image: written.graalvm.as_deref().map(|list| {
                    let features = list.split(',').map(str::trim);
                    NativeImage::asking_for(features.filter(|it| !it.is_empty()))
                }),
                needs: written.needs.clone(),
                holds_ebpf: written.holds_ebpf,
                binds_low_ports: written.binds_low_ports,
                is_systemd: written.systemd,
                is_argument: written.argument,
                script: None,
            }),
        };
        let package = |(name, text): (&String, &String)| {
            let (family, version) = text.split_once(' ').ok_or_else(|| bad(text))?;
            let family = match family {
                "rpm" => Family::Rpm,
                "dpkg" => Family::Dpkg,
                "apk" => Family::Apk,
                other => return Err(bad(other)),
            };
            let version = PackageVersion::new(family, version);
            Ok((name.clone(), Seen::new(version, "package database")))
        };
        Ok(Files {
            distribution: self.distro.as_deref().map(|text| {
                let (id, version) = text.split_once(' ').unwrap_or((text, ""));
                Seen::new(Distribution::new(id, version), "etc/os-release")
            }),
            libc,
            program,
            object_level: self
                .object_level
                .map(|it| Seen::new(it, "usr/lib64/libfast.so")),
            object_kernel: kernel(&self.object_kernel)?
                .map(|it| Seen::new(it, "usr/lib64/libQt5Core.so.5")),
            object_alignment: self
                .object_alignment
                .map(|it| Seen::new(it, "usr/lib/libold.so")),
            executable_stack: seen(self.executable_stack, "usr/lib64/libold.so"),
            ebpf: seen(self.ebpf, "opt/probe.o"),
            kernel_modules: self
                .kernel_module
                .iter()
                .chain(&self.kernel_modules)
                .map(|text| module(text).ok_or_else(|| bad(text)))
                .collect::<Result<_, _>>()?,
            jemalloc: seen(self.jemalloc, "usr/bin/redis-server"),
            own_namespaces: seen(self.own_namespaces, "usr/bin/bwrap"),
            iptables: match self.iptables.as_deref() {
                None => None,
                Some(name) => {
                    let variant = Iptables::of(name).ok_or_else(|| bad(name))?;
                    let path = format!("usr/sbin/xtables-{variant}-multi");
                    Some(Seen::new(variant, path))
                }
            },
            crypto_policy: self
                .crypto_policy
                .clone()
                .map(|it| Seen::new(it, "etc/crypto-policies/config")),
            cuda_runtime: self
                .cuda_runtime
                .map(|it| Seen::new(it, "usr/lib/libcudart.so")),
            cuda_compat: seen(self.cuda_compat, "usr/local/cuda/compat/libcuda.so.1"),
            java: self
                .java
                .clone()
                .map(|it| Seen::new(it, "opt/java/release")),
            packages: self
                .packages
                .iter()
                .map(package)
                .collect::<Result<_, _>>()?,
            unread: Vec::new(),
        })
    }
}

/// `5.14.0-70.el9.x86_64`, `5.14.0-70.el9.x86_64 unsigned`
fn module(text: &str) -> Option<(String, KernelModule)> {
    let (release, sign) = text.split_once(' ').unwrap_or((text, ""));
    let module = KernelModule {
        path: "opt/driver.ko".to_owned(),
        is_signed: match sign {
            "signed" => Some(true),
            "unsigned" => Some(false),
            "" => None,
            _ => return None,
        },
    };
    Some((release.to_owned(), module))
}
