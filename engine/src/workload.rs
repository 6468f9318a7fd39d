//! A workload: its images, and where it is allowed to run, already parsed.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::image::{ImageRef, ImageRefError};

/// A workload as the judge sees it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Workload {
    /// Every image that it names.
    pub images: Vec<WorkloadImage>,
    /// Where it may run.
    pub placement: Placement,
}

impl Workload {
    /// Whether somebody has still to fill in an image, as in a template of a tool.
    pub fn has_placeholders(&self) -> bool {
        let open = |image: &WorkloadImage| {
            matches!(
                image.reference,
                Err(ImageRefError::Placeholder | ImageRefError::Empty)
            )
        };
        self.images.iter().any(open)
    }

    /// Leaves only the images that another one does not use in the same role.
    #[must_use]
    pub fn without_images_of(mut self, other: &Self) -> Self {
        let used: HashSet<_> = other.images.iter().map(WorkloadImage::identity).collect();
        self.images
            .retain(|image| !used.contains(&image.identity()));
        self
    }
}

/// One image of a workload.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WorkloadImage {
    /// Name of the container or volume.
    pub name: String,
    /// What uses the image.
    pub role: Role,
    /// The reference, or why it is none.
    pub reference: Result<ImageRef, ImageRefError>,
    /// What the pod itself sets of the environment, as far as rules read it. It wins over what the image sets.
    pub env: BTreeMap<String, String>,
    /// The container names a command of its own, so the image's entrypoint does not start.
    pub has_own_command: bool,
    /// The container names arguments of its own, which replace the image's default ones.
    pub has_own_arguments: bool,
    /// The container asks for an NVIDIA GPU.
    pub wants_gpu: bool,
    /// A HostProcess container of Windows.
    pub is_host_process: bool,
    /// That command is systemd, or `init`, which may be.
    pub starts_init: bool,
    /// Words of its command and arguments that are options of a JVM (`-Xmx2g`).
    pub java_options: Vec<String>,
    /// What it may do, and on which terms.
    pub security: Security,
}

impl WorkloadImage {
    /// What makes it another image, whatever else is said of its container.
    fn identity(&self) -> (Role, &Result<ImageRef, ImageRefError>) {
        (self.role, &self.reference)
    }

    /// An image of which the pod says nothing more.
    pub fn new(
        name: impl Into<String>,
        role: Role,
        reference: Result<ImageRef, ImageRefError>,
    ) -> Self {
        Self {
            name: name.into(),
            role,
            reference,
            env: BTreeMap::new(),
            has_own_command: false,
            has_own_arguments: false,
            starts_init: false,
            wants_gpu: false,
            is_host_process: false,
            java_options: Vec::new(),
            security: Security::default(),
        }
    }
}

/// Variables that rules read, besides all that begin with `NVIDIA_`.
pub const VARIABLES: [&str; 8] = [
    "CUDA_VERSION",
    "GLIBC_TUNABLES",
    "JAVA_OPTS",
    "JAVA_TOOL_OPTIONS",
    "JAVA_VERSION",
    "JDK_JAVA_OPTIONS",
    "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE",
    "_JAVA_OPTIONS",
];

/// What a pod says of the rights of one of its containers, as far as rules read it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Security {
    /// `privileged`
    pub privileged: bool,
    /// The seccomp profile that container or pod name. `None`: the kubelet's default.
    pub seccomp: Option<Seccomp>,
    /// Added capabilities, without `CAP_`.
    pub capabilities: BTreeSet<String>,
    /// It drops this capability, or all of them: `NET_BIND_SERVICE` is the one that rules ask for.
    pub drops_low_ports: bool,
    /// `allowPrivilegeEscalation: false`: capabilities of files do not count.
    pub no_new_privileges: bool,
    /// An AppArmor profile is demanded.
    pub app_armor: bool,
    /// `seLinuxOptions` are set.
    pub selinux_options: bool,
    /// `runAsUser`
    pub user: Option<i64>,
    /// The pod's sysctl `net.ipv4.ip_unprivileged_port_start`.
    pub first_port: Option<u16>,
    /// `hostUsers: false`
    pub own_users: bool,
    /// `hostPID`
    pub host_pid: bool,
    /// `hostNetwork`
    pub host_network: bool,
    /// Paths of the host that the pod mounts.
    pub host_paths: Vec<String>,
}

impl Security {
    /// Whether it adds this capability, by its name or with all of them, or has it since it is privileged.
    pub fn may(&self, capability: &str) -> bool {
        let adds = |name| self.capabilities.contains(name);
        self.privileged || adds(capability) || adds("ALL")
    }
}

/// The kinds of seccomp profiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Seccomp {
    /// No filter.
    Unconfined,
    /// The runtime's own.
    RuntimeDefault,
    /// A file on the node: what is in it we do not know.
    Localhost,
}

/// What uses an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// A container.
    Container,
    /// An init container, also a restartable one.
    InitContainer,
    /// An ephemeral container.
    EphemeralContainer,
    /// An image volume: mounted, not run.
    Volume,
}

impl Role {
    /// The list of the pod's spec in which the image stands.
    pub fn field(self) -> &'static str {
        match self {
            Self::Container => "containers",
            Self::InitContainer => "initContainers",
            Self::EphemeralContainer => "ephemeralContainers",
            Self::Volume => "volumes",
        }
    }

    /// For people.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::InitContainer => "init container",
            Self::EphemeralContainer => "ephemeral container",
            Self::Volume => "image volume",
        }
    }
}

/// What a pod says of the nodes that it may run on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Placement {
    /// `spec.nodeName`: the scheduler is not asked.
    pub node_name: Option<String>,
    /// `spec.nodeSelector`.
    pub node_selector: BTreeMap<String, String>,
    /// Required node affinity: at least one term must match. `None` if there is none at all.
    pub terms: Option<Vec<Term>>,
    /// Tolerated taints.
    pub tolerations: Vec<Toleration>,
    /// The pod asks for a RuntimeClass, so it may run on another kernel than the node's.
    pub runtime_class: Option<String>,
}

/// One node selector term: all requirements must hold. An empty term matches no node.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Term {
    /// On labels.
    pub labels: Vec<Requirement>,
    /// On the node's name (`matchFields`).
    pub names: Vec<Requirement>,
}

impl Term {
    /// Nothing is demanded: such a term matches no node.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.names.is_empty()
    }
}

/// A requirement on one label or field.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Requirement {
    /// Key of the label; `metadata.name` for fields.
    pub key: String,
    /// How it is compared.
    pub operator: Operator,
    /// With what.
    pub values: Vec<String>,
}

/// Operators of node selectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operator {
    /// One of the values.
    In,
    /// None of the values, or absent.
    NotIn,
    /// Present.
    Exists,
    /// Absent.
    DoesNotExist,
    /// An integer above the only value.
    Gt,
    /// An integer below the only value.
    Lt,
    /// An operator of a newer Kubernetes: we cannot tell, so it excludes no node.
    Unheard,
}

impl Requirement {
    /// Whether a label of this value (`None`: absent) fulfils the requirement.
    pub fn admits(&self, value: Option<&str>) -> bool {
        let listed = |value: &str| self.values.iter().any(|v| v == value);
        let number = |text: &str| text.parse::<i64>().ok();
        let bound = || self.values.first().and_then(|value| number(value));
        match self.operator {
            Operator::In => value.is_some_and(listed),
            Operator::NotIn => !value.is_some_and(listed),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::Gt => value
                .and_then(number)
                .zip(bound())
                .is_some_and(|(v, b)| v > b),
            Operator::Lt => value
                .and_then(number)
                .zip(bound())
                .is_some_and(|(v, b)| v < b),
            Operator::Unheard => true,
        }
    }
}

/// A taint of a node. Taints of effect `PreferNoSchedule` keep nobody away and are not kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Taint {
    /// Its key.
    pub key: String,
    /// Its value, or empty.
    pub value: String,
    /// `NoSchedule` or `NoExecute`.
    pub effect: String,
}

/// A toleration of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Toleration {
    /// Empty tolerates every key (with `exists`).
    pub key: String,
    /// Whether any value is tolerated.
    pub exists: bool,
    /// The value, without `exists`.
    pub value: String,
    /// Empty tolerates every effect.
    pub effect: String,
}

impl Toleration {
    /// Whether a taint is tolerated.
    pub fn tolerates(&self, taint: &Taint) -> bool {
        let effect = self.effect.is_empty() || self.effect == taint.effect;
        let key = self.key == taint.key || (self.key.is_empty() && self.exists);
        effect && key && (self.exists || self.value == taint.value)
    }
}
