//! The hosts of a survey: which are meant, which take their place, which are planned.

use std::collections::HashMap;

use anyhow::{anyhow, bail};
use hostfit_engine::finding::nearest;
use hostfit_engine::host::{Host, HostName};
use hostfit_engine::image::ImageRef;
use hostfit_engine::landing::Fleet;
use hostfit_engine::workload::Placement;
use hostfit_registry::SharedFacts;

use super::{Objects, Permissions, Question, Survey, list, snapshot};
use crate::cluster::Cluster;
use crate::hosts::HostArg;

impl Survey {
    /// The hosts that are meant: those that the survey knows by that name, else those that the argument reads.
    ///
    /// # Errors
    ///
    /// If there is no such host.
    pub(crate) fn hosts(&self, wanted: &HostArg) -> anyhow::Result<Vec<Host>> {
        match wanted {
            HostArg::Profile(name) => {
                let built_in = wanted.built_in_instead();
                match built_in.filter(|_| self.near_profile(name).is_none()) {
                    Some(instead) if self.profile(name).is_err() => Err(anyhow!(
                        "there is no host profile {name} in {}: {instead}",
                        self.from
                    )),
                    _ => Ok(vec![self.profile(name)?]),
                }
            }
            other => other.read(),
        }
    }

    /// The host profile of this name.
    ///
    /// # Errors
    ///
    /// If there is none here.
    pub(crate) fn profile(&self, name: &str) -> anyhow::Result<Host> {
        let known = self.fleet.hosts();
        let found = known.iter().find(|host| host.name.0 == name);
        found.cloned().ok_or_else(|| {
            let near = self.near_profile(name);
            let near = near.map(|near| format!(": did you mean {near}?"));
            anyhow!(
                "there is no host profile {name} in {}{} ({} nodes shows them; builtin/NAME is a built-in host)",
                self.from,
                near.unwrap_or_default(),
                crate::program()
            )
        })
    }

    fn near_profile(&self, name: &str) -> Option<&str> {
        let known = self.fleet.hosts().iter();
        let names: Vec<_> = known.map(|it| it.name.0.as_str()).collect();
        nearest(name, &names)
    }

    /// Keeps who says what these hosts offer, if it is not the cluster.
    pub(crate) fn say_of(&mut self, arg: &HostArg, hosts: &[Host]) {
        if let Some(origin) = arg.origin() {
            let names = hosts.iter().map(|host| host.name.clone());
            self.origins.extend(names.map(|name| (name, origin)));
        }
    }

    /// From now on, everything may land on each of these hosts, whatever its placement says: it speaks of other nodes.
    pub(super) fn land_on(&mut self, hosts: Vec<Host>) {
        self.fleet = Fleet::of_hosts(hosts);
        for item in &mut self.items {
            item.workload.placement = Placement {
                runtime_class: item.workload.placement.runtime_class.take(),
                ..Placement::default()
            };
        }
    }

    /// The profiles that are only planned, with those that they are to replace.
    pub(crate) fn planned(&self) -> impl Iterator<Item = (&Host, HostName)> {
        let profiles = self.objects.host_profiles.iter();
        profiles.filter_map(|profile| {
            let baseline = profile.spec.baseline_name.clone()?;
            let mut hosts = self.fleet.hosts().iter();
            let host = hosts.find(|it| Some(&it.name.0) == profile.metadata.name.as_ref())?;
            Some((host, HostName(baseline)))
        })
    }

    /// Whether people say what the host is, and no node is of it.
    pub(crate) fn is_declared(&self, host: &HostName) -> bool {
        let mut profiles = self.objects.host_profiles.iter();
        let declared = profiles
            .any(|it| it.metadata.name.as_deref() == Some(&host.0) && it.spec.facts.is_some());
        declared && self.nodes(host) == 0
    }

    /// How many nodes a host has.
    pub(crate) fn nodes(&self, host: &HostName) -> u32 {
        let mut hosts = self.fleet.hosts().iter();
        hosts.find(|it| it.name == *host).map_or(0, |it| it.nodes)
    }
}

/// What decides of manifests besides themselves.
#[derive(Default)]
pub(super) struct Place {
    pub(super) objects: Objects,
    pub(super) images: HashMap<ImageRef, SharedFacts>,
    pub(super) permissions: Permissions,
}

/// Where manifests are to run: what a snapshot tells, or, if a HostProfile is named, a cluster; else the named hosts alone.
pub(super) async fn of_manifests(question: &Question<'_>) -> anyhow::Result<Place> {
    let cluster = &question.common.cluster;
    if let Some(path) = &cluster.snapshot {
        let snapshot = snapshot::read(path)?;
        let mut permissions = snapshot.permissions;
        // The workloads are in the manifests.
        permissions.lacked.retain(|it| !it.hides_workloads);
        return Ok(Place {
            objects: snapshot.objects,
            images: snapshot.images,
            permissions,
        });
    }
    let mut hosts = question.hosts.iter();
    let Some(profile) = hosts.find(|it| matches!(it, HostArg::Profile(_))) else {
        if question.hosts.is_empty() {
            bail!(
                "say where the manifests are to run: --host builtin/NAME, file:PATH, or local ({} catalog list hosts)",
                crate::program()
            );
        }
        return Ok(Place::default());
    };
    let listed = async { list::place(&Cluster::open(cluster).await?).await };
    let listed = listed.await.map_err(|error| {
        let instead = profile.built_in_instead();
        let instead = instead.map(|it| format!(" ({it})")).unwrap_or_default();
        error.context(format!(
            "--host {profile} is a HostProfile of a cluster{instead}"
        ))
    })?;
    Ok(Place {
        objects: listed.objects,
        images: HashMap::new(),
        permissions: listed.permissions,
    })
}
