//! What ten thousand ImageProfiles take in a process that watches them.

use std::hint::black_box;
use std::sync::Arc;

use anyhow::Context as _;
use hostfit_crds::KeptImageProfile;
use hostfit_crds::image_profile::READ_BY;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::Event;
use serde_json::{Value, json};

use crate::rows::{Goal, counted};

const PROFILES: usize = 10_000;

pub(crate) fn run() -> anyhow::Result<()> {
    let mut writer = Writer::<KeptImageProfile>::default();
    // What reading itself needs once is not theirs.
    writer.apply_watcher_event(&Event::Apply(profile(PROFILES)?));
    let before = anonymous()?;
    for number in 0..PROFILES {
        writer.apply_watcher_event(&Event::Apply(profile(number)?));
    }
    let store = writer.as_reader();
    let packed = store.state().first().map(Arc::clone);
    let whole = packed.context("no profile is kept")?.unpacked();
    let size = serde_json::to_vec(&whole.context("damaged")?)?.len();
    let taken = (anonymous()? - before) / 1024.0;
    black_box(store);
    counted(
        "10,000 image profiles in memory",
        taken,
        "MiB",
        &Goal::AtMost(40.0),
    );
    counted(
        "an image profile as JSON",
        size as f64,
        "bytes",
        &Goal::AtMost(4096.0),
    );
    Ok(())
}

/// Anonymous resident memory in KiB.
pub(crate) fn anonymous() -> anyhow::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|it| it.strip_prefix("RssAnon:"));
    let kib = line.and_then(|it| it.trim().strip_suffix(" kB"));
    Ok(kib.context("no RssAnon")?.trim().parse()?)
}

/// A profile as the API server sends it: an application in Java on a Debian, a dozen layers.
fn profile(number: usize) -> anyhow::Result<KeptImageProfile> {
    let digest = |of: usize| format!("sha256:{number:032x}{of:032x}");
    let package = |name: &str| json!({"name": name, "version": "1:2.36-9+deb12u4", "family": "dpkg", "from": "var/lib/dpkg/status"});
    let packages = [
        "coreutils",
        "libc6",
        "libseccomp2",
        "libselinux1",
        "systemd",
        "iptables",
    ];
    let files = json!({
        "distro": {"value": "debian 12", "from": "usr/lib/os-release"},
        "libc": {"name": "glibc", "version": "2.36", "minKernel": "3.2.0", "cpuLevel": 1, "from": "usr/lib/x86_64-linux-gnu/libc.so.6"},
        "program": {"path": "opt/java/openjdk/bin/java", "script": "app/start.sh", "architecture": "amd64", "alignment": 4096},
        "java": {"value": "17.0.9", "from": "opt/java/openjdk/release"},
        "packages": packages.map(package),
    });
    let config = json!({
        "chainIDs": (0..12).map(digest).collect::<Vec<_>>(),
        "size": 123_456_789,
        "labels": {"org.opencontainers.image.ref.name": "ubuntu", "org.opencontainers.image.version": "24.04"},
        "env": {"JAVA_VERSION": "jdk-17.0.9+9"},
        "user": "1001",
    });
    let platform = json!({
        "platform": "linux/amd64", "manifest": digest(100), "manifestSize": 2345,
        "evidence": "config 0123456789ab of manifest 0123456789ab", "config": config, "files": files,
    });
    let profile: Value = json!({
        "apiVersion": "hostfit.dev/v1alpha1", "kind": "ImageProfile",
        "metadata": {
            "name": format!("{number:012x}"), "uid": format!("00000000-0000-0000-0000-{number:012x}"),
            "resourceVersion": "12345", "generation": 1, "creationTimestamp": "2026-11-25T10:00:00Z",
            "labels": {"app.kubernetes.io/managed-by": "hostfit"},
        },
        "spec": {"repository": format!("registry.example/team-{number}/application"), "digest": digest(200)},
        "status": {
            "distro": "debian-12", "libc": "glibc-2.36", "platforms": [platform], "readBy": READ_BY,
            "inspectedTime": "2026-11-25T10:00:00Z",
            "conditions": [{"type": "Inspected", "status": "True", "reason": "LayersRead", "message": "", "lastTransitionTime": "2026-11-25T10:00:00Z"}],
        },
    });
    Ok(serde_json::from_str(&profile.to_string())?)
}
