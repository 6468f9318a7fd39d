//! The Kubernetes wire: the kinds of `hostfit.dev`, their conversion to and from the engine, and every name that we
//! write to a cluster.

use hostfit_engine::version::Date;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

pub mod base_image;
pub mod classes;
pub mod cluster_compat_report;
pub mod compat_exception;
pub mod compat_report;
pub mod condition;
pub mod fleet;
pub mod host_facts;
pub mod host_profile;
pub mod image_profile;
pub mod item;
pub mod names;
pub mod node;
pub mod node_profile;
pub mod policies;
pub mod runtime_class;
pub mod seen;
pub mod selector;
pub mod support_matrix;
pub mod workload;

pub use base_image::{BaseImage, BaseImageSpec, BaseImageStatus, Chain};
pub use cluster_compat_report::{
    ClusterCompatReport, ClusterCompatReportSpec, ClusterCompatReportStatus,
};
pub use compat_exception::{CompatException, CompatExceptionSpec, CompatExceptionStatus};
pub use compat_report::{CompatReport, CompatReportSpec, CompatReportStatus};
pub use condition::Condition;
pub use host_facts::HostFacts;
pub use host_profile::{HostProfile, HostProfileSpec, HostProfileStatus};
pub use image_profile::{ImageProfile, ImageProfileSpec, ImageProfileStatus, KeptImageProfile};
pub use node_profile::{AgentReport, NodeProfile, NodeProfileSpec, NodeProfileStatus};
pub use selector::Selector;
pub use support_matrix::{SupportMatrix, SupportMatrixSpec, SupportMatrixStatus};

/// Every CRD, in the order in which it is installed.
pub fn all() -> Vec<CustomResourceDefinition> {
    vec![
        SupportMatrix::crd(),
        HostProfile::crd(),
        NodeProfile::crd(),
        BaseImage::crd(),
        ImageProfile::crd(),
        CompatException::crd(),
        CompatReport::crd(),
        ClusterCompatReport::crd(),
    ]
}

/// The day of a moment, in UTC, as the engine takes it.
pub fn date(moment: jiff::Timestamp) -> Date {
    let day = moment.to_zoned(jiff::tz::TimeZone::UTC).date();
    let number = |number: i8| u8::try_from(number).unwrap_or(1);
    let year = u16::try_from(day.year()).unwrap_or(u16::MAX);
    Date::new(year, number(day.month()), number(day.day())).unwrap_or(Date::EPOCH)
}

/// Field bounds that several kinds share.
pub(crate) mod bounds {
    use schemars::{Schema, SchemaGenerator, json_schema};

    /// Most entries of the maps below.
    pub(crate) const MOST_TEXTS: usize = 64;

    /// Labels: values as Kubernetes has them.
    pub(crate) fn labels(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "maxProperties": MOST_TEXTS,
            "additionalProperties": {"type": "string", "maxLength": 63},
        })
    }

    /// Names with texts.
    pub(crate) fn texts(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "maxProperties": MOST_TEXTS,
            "additionalProperties": {"type": "string", "maxLength": 2048},
        })
    }
}
