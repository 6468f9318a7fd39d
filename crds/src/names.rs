//! Every label, annotation, condition and field manager that we write or read: nowhere else is one spelled.

/// API group of every kind.
pub const GROUP: &str = "hostfit.dev";
/// Version of every kind.
pub const VERSION: &str = "v1alpha1";

/// Namespace label by which people ask for another mode: `off`, `audit`, `warn`, `enforce`.
pub const MODE: &str = "hostfit.dev/mode";
/// Verdict: label of a CompatReport, annotation of a pod.
pub const VERDICT: &str = "hostfit.dev/verdict";
/// Codes of the findings: annotation of a pod.
pub const FINDINGS: &str = "hostfit.dev/findings";
/// Codes of the findings that an exception accepts: annotation of a pod.
pub const EXCEPTED: &str = "hostfit.dev/excepted";
/// Name of the CompatReport: annotation of a pod.
pub const REPORT: &str = "hostfit.dev/report";

/// Whether it was kept away from hosts that do not fit: annotation of a pod.
pub const STEERING: &str = "hostfit.dev/steering";

/// The chart's webhook that validates new pods, but those of namespaces that ask for `enforce`. Its objectSelector is the
/// operator's.
pub const NEW_PODS: &str = "pods.hostfit.dev";
/// The one for new pods of namespaces that ask for `enforce`.
pub const ENFORCED: &str = "enforced.hostfit.dev";
/// Label of a pod that /validate is asked about even where nothing refuses. Any value.
pub const VALIDATE: &str = "hostfit.dev/validate";

/// Name of the HostProfile: label of a node. The join between nodes and profiles.
pub const HOST_PROFILE: &str = "hostfit.dev/host-profile";
/// Distribution: label of a node.
pub const OS: &str = "hostfit.dev/os";
/// Release of the distribution: label of a node.
pub const OS_VERSION: &str = "hostfit.dev/os-version";
/// Major and minor number of the kernel: label of a node.
pub const KERNEL: &str = "hostfit.dev/kernel";
/// The kernel's numbers as one (5.14.0 is 51400), for `Gt` and `Lt`: label of a node.
pub const KERNEL_CODE: &str = "hostfit.dev/kernel-code";
/// Level of x86-64: label of a node.
pub const CPU_LEVEL: &str = "hostfit.dev/cpu-level";
/// Version of the cgroup hierarchy: label of a node.
pub const CGROUP: &str = "hostfit.dev/cgroup";
/// Every label that we write to nodes.
pub const NODE_LABELS: [&str; 7] = [
    HOST_PROFILE,
    OS,
    OS_VERSION,
    KERNEL,
    KERNEL_CODE,
    CPU_LEVEL,
    CGROUP,
];

/// Standard label of what we create.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Its value.
pub const HOSTFIT: &str = "hostfit";

/// Field manager of what the operator observes and reports.
pub const MANAGER: &str = "hostfit-operator";
/// Field manager of what a node agent read on its node.
pub const AGENT_MANAGER: &str = "hostfit-agent";
/// Field manager of what people make with the command line.
pub const CLI_MANAGER: &str = "hostfit-cli";
/// Field manager of the chart's defaults: applied without force, so that people's edits win.
pub const DEFAULTS_MANAGER: &str = "hostfit-defaults";
/// Field manager of the webhook configurations' caBundle.
pub const CA_MANAGER: &str = "hostfit-ca";

/// Field manager of which pods /validate is asked about.
pub const SCOPE_MANAGER: &str = "hostfit-scope";

/// Who tells Events: the reporting controller.
pub const EVENTS_FROM: &str = "hostfit.dev/operator";

/// Condition: the object is read and used.
pub const READY: &str = "Ready";
/// Condition of an ImageProfile: the layers were read, or never will be.
pub const INSPECTED: &str = "Inspected";
/// Condition of a SupportMatrix: what the chart sets is what it has.
pub const DEFAULTS_APPLIED: &str = "DefaultsApplied";
/// Condition of a SupportMatrix: every namespace has the mode that its label asks for.
pub const NAMESPACE_LABELS_HEEDED: &str = "NamespaceLabelsHeeded";
/// Condition of a SupportMatrix: nodes carry the labels that pods are steered by.
pub const STEERING_POSSIBLE: &str = "SteeringPossible";
/// Condition of a CompatReport: every host fits.
pub const COMPATIBLE: &str = "Compatible";
/// Condition of a CompatReport: nothing is unknown.
pub const COMPLETE: &str = "Complete";

/// Condition of a CompatException: it is over within days.
pub const EXPIRING: &str = "Expiring";

/// Condition of a declared HostProfile: no node would have its name.
pub const NAME_UNIQUE: &str = "NameUnique";
/// Condition of a NodeProfile: every fact that rules may ask for is known.
pub const FACTS_COMPLETE: &str = "FactsComplete";
/// Condition of a NodeProfile or a BaseImage: no two sources tell different things.
pub const FACTS_AGREE: &str = "FactsAgree";

/// Annotation of a mirror pod: the kubelet runs it whether it is admitted or not.
pub const MIRROR_POD: &str = "kubernetes.io/config.mirror";
/// Label of a node that holds its architecture.
pub const ARCHITECTURE: &str = "kubernetes.io/arch";
/// Label of a Windows node that holds its build.
pub const WINDOWS_BUILD: &str = "node.kubernetes.io/windows-build";
/// Label by node-feature-discovery: the kernel's release.
pub const NFD_KERNEL: &str = "feature.node.kubernetes.io/kernel-version.full";
/// Label by node-feature-discovery: SELinux is enforcing. `false` also stands for permissive.
pub const NFD_SELINUX: &str = "feature.node.kubernetes.io/kernel-selinux.enabled";
/// Label by node-feature-discovery: `ID` of os-release.
pub const NFD_OS: &str = "feature.node.kubernetes.io/system-os_release.ID";
/// Label by node-feature-discovery: `VERSION_ID` of os-release.
pub const NFD_OS_VERSION: &str = "feature.node.kubernetes.io/system-os_release.VERSION_ID";
/// Label by node-feature-discovery of its own objects: the node that they speak of.
pub const NFD_NODE: &str = "nfd.node.kubernetes.io/node-name";
/// Label by node-feature-discovery: the CPU has AVX.
pub const NFD_AVX: &str = "feature.node.kubernetes.io/cpu-cpuid.AVX";
/// Start of the labels by node-feature-discovery (0.19 and newer) for the level of x86-64; 1 to 4 follows.
pub const NFD_CPU_LEVEL: &str = "feature.node.kubernetes.io/cpu-cpuid.X86_64_V";
/// Label by GPU feature discovery: version of the driver.
pub const GPU_DRIVER: &str = "nvidia.com/cuda.driver-version.full";
/// Label by GPU feature discovery: highest CUDA version of the driver.
pub const GPU_CUDA: &str = "nvidia.com/cuda.runtime-version.full";
/// Label by GPU feature discovery: major number of the compute capability.
pub const GPU_COMPUTE_MAJOR: &str = "nvidia.com/gpu.compute.major";
/// Label by GPU feature discovery: minor number of the compute capability.
pub const GPU_COMPUTE_MINOR: &str = "nvidia.com/gpu.compute.minor";

/// Name of the report of a workload: `deploy-search`. At most 253 characters: longer ones end in a hash of the whole.
pub fn report(kind: &str, name: &str) -> String {
    let whole = format!("{}-{name}", kind_abbreviation(kind));
    if whole.len() <= 253 {
        return whole;
    }
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in whole.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    let cut: String = whole.chars().take(236).collect();
    format!("{cut}-{hash:016x}")
}

/// kubectl's short name of a kind of workload.
pub fn kind_abbreviation(kind: &str) -> String {
    match kind {
        "Deployment" => "deploy".to_owned(),
        "StatefulSet" => "sts".to_owned(),
        "DaemonSet" => "ds".to_owned(),
        "ReplicaSet" => "rs".to_owned(),
        other => other.to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_named_after_their_workloads() {
        assert_eq!(report("Deployment", "search"), "deploy-search");
        assert_eq!(report("CronJob", "nightly"), "cronjob-nightly");
        let long = report("StatefulSet", &"x".repeat(253));
        assert_eq!(long.len(), 253);
        assert_ne!(
            long,
            report("StatefulSet", &format!("{}y", "x".repeat(252)))
        );
    }
}
