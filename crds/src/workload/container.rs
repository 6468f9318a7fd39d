//! A container as far as rules read it, and what it may do.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use hostfit_engine::workload as engine;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::null_is_default;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) image: Option<String>,
    /// The first word, and what rules read of the others.
    #[serde(deserialize_with = "program_and_options")]
    command: Vec<String>,
    /// Only what rules read: arguments may hold secrets.
    #[serde(deserialize_with = "options")]
    args: Vec<String>,
    /// Only what rules read: pods may have many variables.
    #[serde(deserialize_with = "read_by_rules", serialize_with = "variables")]
    env: BTreeMap<String, String>,
    #[serde(
        rename = "resources",
        deserialize_with = "wants_gpu",
        serialize_with = "resources"
    )]
    wants_gpu: bool,
    #[serde(deserialize_with = "null_is_default")]
    security_context: SecurityContext,
}

/// What the whole pod says of its containers.
pub(super) struct Common {
    pub(super) security: SecurityContext,
    pub(super) host: HostAccess,
}

/// Fields of the pod's spec that open the host.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct HostAccess {
    pub(super) host_users: Option<bool>,
    pub(super) host_pid: bool,
    pub(super) host_network: bool,
    /// Folders of the host that are mounted.
    pub(super) paths: Vec<String>,
}

/// Of a pod or of a container.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct SecurityContext {
    windows_options: Option<WindowsOptions>,
    #[serde(deserialize_with = "null_is_default")]
    privileged: bool,
    seccomp_profile: Option<Profile>,
    app_armor_profile: Option<Profile>,
    allow_privilege_escalation: Option<bool>,
    se_linux_options: Option<IgnoredValue>,
    capabilities: Option<Capabilities>,
    run_as_user: Option<i64>,
    #[serde(deserialize_with = "null_is_default")]
    sysctls: Vec<Sysctl>,
}

/// Something that only has to be there.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
struct IgnoredValue {}

impl<'de> Deserialize<'de> for IgnoredValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self {})
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WindowsOptions {
    host_process: Option<bool>,
}

/// A profile of seccomp or AppArmor.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Profile {
    r#type: String,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Capabilities {
    #[serde(deserialize_with = "null_is_default")]
    add: BTreeSet<String>,
    #[serde(deserialize_with = "null_is_default")]
    drop: BTreeSet<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Sysctl {
    name: String,
    value: String,
}

impl Container {
    /// Takes the profile of AppArmor that an annotation demands, unless a field names one.
    pub(super) fn heed_app_armor(&mut self, annotation: &str) {
        let r#type = match annotation {
            "unconfined" => "Unconfined",
            "runtime/default" => "RuntimeDefault",
            own if own.starts_with("localhost/") => "Localhost",
            _ => return,
        };
        let profile = &mut self.security_context.app_armor_profile;
        profile.get_or_insert_with(|| Profile {
            r#type: r#type.to_owned(),
        });
    }

    /// The container for the judge, with what its pod says where it says nothing itself.
    pub(super) fn into_engine(self, role: engine::Role, pod: &Common) -> engine::WorkloadImage {
        let own = &self.security_context;
        let of_pod = &pod.security;
        let demands = |profile: &Profile| profile.r#type != "Unconfined";
        let app_armor = own.app_armor_profile.as_ref();
        let capabilities = own.capabilities.iter().flat_map(|it| &it.add);
        let mut dropped = own.capabilities.iter().flat_map(|it| &it.drop);
        // Runtimes take them in either case.
        let short = |name: &String| {
            let name = name.to_ascii_uppercase();
            name.trim_start_matches("CAP_").to_owned()
        };
        let security = engine::Security {
            privileged: own.privileged,
            seccomp: own
                .seccomp_profile
                .as_ref()
                .or(of_pod.seccomp_profile.as_ref())
                .map(|profile| match profile.r#type.as_str() {
                    "Unconfined" => engine::Seccomp::Unconfined,
                    "RuntimeDefault" => engine::Seccomp::RuntimeDefault,
                    _ => engine::Seccomp::Localhost,
                }),
            drops_low_ports: dropped
                .any(|name| matches!(short(name).as_str(), "ALL" | "NET_BIND_SERVICE")),
            capabilities: capabilities.map(short).collect(),
            no_new_privileges: own.allow_privilege_escalation == Some(false),
            app_armor: app_armor
                .or(of_pod.app_armor_profile.as_ref())
                .is_some_and(demands),
            selinux_options: own.se_linux_options.is_some() || of_pod.se_linux_options.is_some(),
            user: own.run_as_user.or(of_pod.run_as_user),
            first_port: of_pod.first_port(),
            own_users: pod.host.host_users == Some(false),
            host_pid: pod.host.host_pid,
            host_network: pod.host.host_network,
            host_paths: pod.host.paths.clone(),
        };
        let words = self.command.iter().chain(&self.args);
        engine::WorkloadImage {
            name: self.name,
            role,
            reference: self.image.as_deref().unwrap_or_default().parse(),
            has_own_command: !self.command.is_empty(),
            starts_init: self.command.first().is_some_and(|it| is_init(it)),
            has_own_arguments: !self.args.is_empty(),
            java_options: words.filter(is_option).cloned().collect(),
            env: self.env,
            wants_gpu: self.wants_gpu,
            // What the container says wins over what the pod says.
            is_host_process: own.host_process().or(of_pod.host_process()) == Some(true),
            security,
        }
    }
}

impl SecurityContext {
    fn host_process(&self) -> Option<bool> {
        self.windows_options.as_ref()?.host_process
    }

    fn first_port(&self) -> Option<u16> {
        const NAME: &str = "net.ipv4.ip_unprivileged_port_start";
        let sysctl = self.sysctls.iter().find(|sysctl| sysctl.name == NAME)?;
        sysctl.value.trim().parse().ok()
    }
}

/// Whether a command is systemd, or the name under which distributions start it.
fn is_init(word: &str) -> bool {
    matches!(word.rsplit('/').next(), Some("init" | "systemd"))
}

/// Whether a rule reads this word of a command.
fn is_option(word: &&String) -> bool {
    word.starts_with("-X")
}

fn options<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let words: Vec<String> = null_is_default(deserializer)?;
    // That there are some is read as well: the first one stays, without what it says.
    let first = words.first().map(|_| String::new());
    let options = words.into_iter().filter(|word| is_option(&word));
    Ok(first.into_iter().chain(options).collect())
}

fn program_and_options<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<String>, D::Error> {
    let words: Vec<String> = null_is_default(deserializer)?;
    let words = words.into_iter().enumerate();
    let read = words.filter(|(index, word)| *index == 0 || is_option(&word));
    Ok(read.map(|(_, word)| word).collect())
}

/// Variables as a pod lists them.
fn variables<S: Serializer>(
    variables: &BTreeMap<String, String>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Variable<'a> {
        name: &'a str,
        value: &'a str,
    }
    serializer.collect_seq(
        variables
            .iter()
            .map(|(name, value)| Variable { name, value }),
    )
}

/// Limits that say no more than whether a GPU is among them.
fn resources<S: Serializer>(wants_gpu: &bool, serializer: S) -> Result<S::Ok, S::Error> {
    let limits: BTreeMap<_, _> = wants_gpu
        .then_some(("nvidia.com/gpu", "1"))
        .into_iter()
        .collect();
    serializer.collect_map([("limits", limits)])
}

/// The variables that a rule reads. One whose value comes from elsewhere is not known here.
fn read_by_rules<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    #[derive(Deserialize)]
    struct Variable<'a> {
        #[serde(borrow, default)]
        name: Cow<'a, str>,
        #[serde(borrow, default)]
        value: Option<Cow<'a, str>>,
    }
    let variables: Option<Vec<Variable<'de>>> = Option::deserialize(deserializer)?;
    let read = variables.into_iter().flatten().filter_map(|variable| {
        let name = &*variable.name;
        let is_read = name.starts_with("NVIDIA_") || engine::VARIABLES.contains(&name);
        is_read.then_some((variable.name.into_owned(), variable.value?.into_owned()))
    });
    Ok(read.collect())
}

/// Whether a GPU is among the limits: `nvidia.com/gpu`, a slice of one as `nvidia.com/mig-1g.5gb`, or another name that
/// a device plugin was given. Requests and limits of such resources are equal.
fn wants_gpu<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    #[derive(Deserialize)]
    struct Resources<'a> {
        #[serde(borrow, default)]
        limits: Option<BTreeMap<Cow<'a, str>, IgnoredAny>>,
    }
    let resources: Option<Resources<'de>> = Option::deserialize(deserializer)?;
    let limits = resources.and_then(|resources| resources.limits);
    Ok(limits.is_some_and(|limits| limits.keys().any(|it| it.starts_with("nvidia.com/"))))
}
