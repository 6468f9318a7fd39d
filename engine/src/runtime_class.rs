//! RuntimeClasses: the handlers that run pods, and where they can be run.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::workload::{Placement, Toleration};

/// One RuntimeClass.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RuntimeClass {
    /// What the runtimes of nodes call what runs its pods.
    pub handler: String,
    /// Labels that its nodes have.
    pub node_selector: BTreeMap<String, String>,
    /// Taints that its pods tolerate.
    pub tolerations: Vec<Toleration>,
}

/// Every RuntimeClass, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RuntimeClasses(BTreeMap<String, RuntimeClass>);

impl FromIterator<(String, RuntimeClass)> for RuntimeClasses {
    fn from_iter<T: IntoIterator<Item = (String, RuntimeClass)>>(classes: T) -> Self {
        Self(classes.into_iter().collect())
    }
}

impl RuntimeClasses {
    /// The handler of a class; nothing if there is no such class.
    pub fn handler(&self, class: &str) -> Option<&str> {
        Some(self.0.get(class)?.handler.as_str())
    }

    /// A placement with what its RuntimeClass adds. The API server adds it to pods when they are created, to templates never.
    /// Where both select on one label the pod's word stays: one that contradicts its class is refused by the API server.
    pub(crate) fn applied_to<'a>(&self, placement: &'a Placement) -> Cow<'a, Placement> {
        let class = placement.runtime_class.as_ref();
        let Some(class) = class.and_then(|class| self.0.get(class)) else {
            return Cow::Borrowed(placement);
        };
        if class.node_selector.is_empty() && class.tolerations.is_empty() {
            return Cow::Borrowed(placement);
        }
        let mut placement = placement.clone();
        for (key, value) in &class.node_selector {
            let slot = placement.node_selector.entry(key.clone());
            slot.or_insert_with(|| value.clone());
        }
        placement.tolerations.extend(class.tolerations.clone());
        Cow::Owned(placement)
    }
}
