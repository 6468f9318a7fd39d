//! A case of a workload: its manifest beside the case tells the pod, its labels and its namespace.

use hostfit_engine::finding::nearest;
use hostfit_engine::workload::Workload;

use super::case::{Case, Namespace};
use super::image::{Image, Proof};
use super::world::World;
use crate::survey::Declared;
use crate::target::{Target, short};

impl Case {
    /// Takes over what the manifest of its workload says, if it names one.
    pub(super) fn resolve(&mut self, world: &World) -> Result<(), String> {
        let Some(written) = &self.workload else {
            return match self.image.is_empty() {
                true => Err("it has neither image nor workload".to_owned()),
                false => Ok(()),
            };
        };
        if self.pod.is_some() {
            return Err("pod: that of the workload counts: write one or the other".to_owned());
        }
        let declared = find(written, world)?;
        let workload = Workload::from(declared.pod.clone());
        let names = workload.images.iter().map(|image| match &image.reference {
            Ok(reference) => Ok(reference.to_string()),
            Err(error) => Err(format!("workload: image of {}: {error}", image.name)),
        });
        let names: Vec<_> = names.collect::<Result<_, _>>()?;
        if self.image.is_empty() {
            let images = names.into_iter().map(Image::of_text);
            self.image = images.collect::<Result<_, _>>()?;
        } else if self.image.len() != names.len() {
            return Err(format!(
                "image: {written} has {} images: write one for each, in this order, or none: {}",
                names.len(),
                names.join(", ")
            ));
        } else if self.image.iter().any(|it| it.detail.says_of_pod()) {
            return Err(
                "image: reference, role, container, podEnv and gpu are those of the workload"
                    .to_owned(),
            );
        } else if self.image.iter().any(is_hint) {
            return Err("image: what a name hints at, that of the workload does".to_owned());
        }
        if self.labels.is_empty() {
            self.labels = declared.item().labels;
        }
        if self.namespace.is_none() {
            self.namespace = Some(Namespace {
                name: declared.namespace.clone(),
                labels: None,
            });
        }
        self.made = Some(declared.pod.clone());
        Ok(())
    }
}

fn is_hint(image: &Image) -> bool {
    matches!(&image.distro, Some((_, Proof::Hint)))
}

fn find<'a>(written: &str, world: &'a World) -> Result<&'a Declared, String> {
    let target: Target = written
        .parse()
        .map_err(|error| format!("workload: {error}"))?;
    let is_meant = |it: &&Declared| target.is(&it.namespace, &it.target.kind, &it.target.name);
    let mut found = world.workloads.iter().filter(is_meant);
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => Err(format!(
            "workload: there are several {written} here: write NAMESPACE/TYPE/NAME"
        )),
        (None, _) => {
            let all = world.workloads.iter();
            let all = all.map(|it| short(&it.target.kind, &it.target.name));
            let all: Vec<_> = all.collect();
            let names: Vec<_> = all.iter().map(String::as_str).collect();
            let near = nearest(written, &names).map(|near| format!("; did you mean {near}?"));
            let near = near.unwrap_or_default();
            Err(format!("workload: no manifest here makes {written}{near}"))
        }
    }
}
