//! One image, with what is known of each of its platforms, and which of them a host would run.

use std::cell::OnceCell;

use super::platform;
use super::rules::Concerned;
use super::windows;
use super::{Cell, Knowledge, Outcome};
use crate::fact::{Fact, Gap};
use crate::finding::Finding;
use crate::host::Host;
use crate::image::{Contents, ImageFacts, ImageRef, Platform, PlatformFacts};
use crate::lineage::Lineage;
use crate::workload::{Role, WorkloadImage};

/// One image, with what is known of each of its platforms.
pub(super) enum Read<'a> {
    Gap(Gap),
    Platforms {
        reference: &'a ImageRef,
        uses: &'a WorkloadImage,
        platforms: Vec<&'a Platform>,
        /// How many more its index has.
        left_out: usize,
        inside: Vec<Result<Inside<'a>, Gap>>,
    },
}

/// What is known of one platform.
pub(super) struct Inside<'a> {
    pub(super) contents: &'a Contents,
    pub(super) lineage: Lineage,
    /// The rules that may have something to say of it, once it is to run somewhere.
    pub(super) rules: OnceCell<Concerned>,
}

pub(super) fn read<'a>(
    image: &'a WorkloadImage,
    facts: &'a Fact<ImageFacts>,
    knowledge: &Knowledge<'_>,
) -> Read<'a> {
    let reference = match &image.reference {
        Ok(reference) => reference,
        Err(error) => {
            return Read::Gap(Gap::Malformed {
                what: error.to_string(),
            });
        }
    };
    let facts = match facts {
        Fact::Known(facts, _) => facts,
        Fact::Unknown(gap) => return Read::Gap(gap.clone()),
    };
    let inside = |platform: &'a PlatformFacts| match &platform.contents {
        Fact::Known(contents, evidence) => {
            let mut lineage = knowledge.catalog.lineage(reference, contents);
            if let Some(distribution) = windows::lineage(&platform.platform) {
                lineage.distribution = Fact::Known(distribution, evidence.clone());
            }
            Ok(Inside {
                contents,
                lineage,
                rules: OnceCell::new(),
            })
        }
        Fact::Unknown(gap) => Err(gap.clone()),
    };
    Read::Platforms {
        reference,
        uses: image,
        platforms: facts.platforms.iter().map(|it| &it.platform).collect(),
        left_out: facts.left_out,
        inside: facts.platforms.iter().map(inside).collect(),
    }
}

impl Read<'_> {
    /// The platform of the image that a host would run; else why there is none, if that matters.
    pub(super) fn on<'a>(
        &'a self,
        host: &'a Host,
        runtime_class: Option<&'a str>,
        knowledge: &Knowledge<'a>,
    ) -> Result<(Cell<'a>, &'a Inside<'a>), Option<Finding>> {
        let (reference, uses, platforms, left_out, inside) = match self {
            Self::Gap(gap) => return Err(Some(gap.finding())),
            Self::Platforms {
                reference,
                uses,
                platforms,
                left_out,
                inside,
            } => (reference, uses, platforms, *left_out, inside),
        };
        let index = platform::select(platforms, left_out, &host.facts);
        let index = index.map_err(|outcome| match outcome {
            // An image volume is mounted and not run: one manifest of another platform is mounted as well.
            Outcome::Incompatible(_) if uses.role == Role::Volume && platforms.len() == 1 => None,
            outcome => outcome.finding(),
        })?;
        let (platform, inside) = match (platforms.get(index), inside.get(index)) {
            (Some(platform), Some(Ok(inside))) => (platform, inside),
            (_, Some(Err(gap))) => return Err(Some(gap.finding())),
            _ => return Err(Some(Gap::NothingTells.finding())),
        };
        let cell = Cell {
            image: reference,
            uses,
            contents: inside.contents,
            platform,
            lineage: &inside.lineage,
            host,
            rules: knowledge.rules,
            runtime_class,
            today: knowledge.today,
        };
        Ok((cell, inside))
    }
}
