//! The hosts of a survey: which are meant, which take their place, which are planned.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::anyhow;
use hostfit_engine::finding::nearest;
use hostfit_engine::host::{Host, HostName};
use hostfit_engine::landing::{Fleet, NodeClass};
use hostfit_engine::workload::Placement;

use super::Survey;
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
                let known = self.fleet.hosts();
                let found = known.iter().find(|host| host.name.0 == *name);
                let found = found.cloned().ok_or_else(|| {
                    let names: Vec<_> = known.iter().map(|it| it.name.0.as_str()).collect();
                    let near = nearest(name, &names);
                    let near = near.map(|near| format!(": did you mean {near}?"));
                    anyhow!(
                        "there is no host profile {name} in {}{} ({} nodes shows them; builtin/NAME is a built-in host)",
                        self.from,
                        near.unwrap_or_default(),
                        crate::program()
                    )
                })?;
                Ok(vec![found])
            }
            other => other.read(),
        }
    }

    /// From now on, everything may land on each of these hosts, whatever its placement says: it speaks of other nodes.
    pub(super) fn land_on(&mut self, hosts: Vec<Host>) {
        let class = |index| NodeClass {
            host: Some(index),
            labels: BTreeMap::new(),
            taints: BTreeSet::new(),
            nodes: Vec::new(),
        };
        let classes = (0..hosts.len()).map(class).collect();
        self.fleet = Fleet::new(hosts, classes);
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

    /// How many nodes a host has.
    pub(crate) fn nodes(&self, host: &HostName) -> u32 {
        let mut hosts = self.fleet.hosts().iter();
        hosts.find(|it| it.name == *host).map_or(0, |it| it.nodes)
    }
}
