//! RuntimeClass objects → what the engine reads of them.

use hostfit_engine::runtime_class as engine;
use hostfit_engine::workload::Toleration;
use k8s_openapi::api::node::v1::RuntimeClass;
use kube::ResourceExt;

/// All RuntimeClasses.
pub fn runtime_classes<'a>(
    classes: impl IntoIterator<Item = &'a RuntimeClass>,
) -> engine::RuntimeClasses {
    let class = |class: &RuntimeClass| {
        let scheduling = class.scheduling.clone().unwrap_or_default();
        let tolerations = scheduling.tolerations.unwrap_or_default().into_iter();
        let tolerations = tolerations.map(|it| Toleration {
            // As those of pods are read: an operator that we do not know may tolerate any value.
            exists: it
                .operator
                .is_some_and(|it| !matches!(it.as_str(), "" | "Equal")),
            key: it.key.unwrap_or_default(),
            value: it.value.unwrap_or_default(),
            effect: it.effect.unwrap_or_default(),
        });
        let read = engine::RuntimeClass {
            handler: class.handler.clone(),
            node_selector: scheduling.node_selector.unwrap_or_default(),
            tolerations: tolerations.collect(),
        };
        (class.name_any(), read)
    };
    classes.into_iter().map(class).collect()
}

/// Drops what nobody reads of a RuntimeClass, before it is kept.
pub fn prune(class: &mut RuntimeClass) {
    class.metadata.annotations = None;
    class.metadata.labels = None;
    class.metadata.managed_fields = None;
    class.overhead = None;
}
