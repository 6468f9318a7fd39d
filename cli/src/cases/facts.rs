//! An image as it is written → what is known of it, as if its registry had told.

use std::sync::Arc;

use hostfit_engine::distribution::Distribution;
use hostfit_engine::fact::{Evidence, Fact, Gap, Strength, Unreachable, Withheld};
use hostfit_engine::files::Reading;
use hostfit_engine::image::{
    self, Contents, Digest, ImageFacts, ImageRef, Platform, PlatformFacts,
};
use hostfit_engine::lineage::KnownBase;
use hostfit_engine::tables::Table;

use super::image::{Image, Proof, RegistrySays, Zstd};
use super::world::Images;

/// What the pod calls the image.
pub(super) fn reference(image: &Image) -> String {
    if let Some(reference) = &image.detail.reference {
        return reference.clone();
    }
    if let Some(read) = &image.detail.read {
        // What is read from the disk has a name of no registry: nothing can be learned from it.
        return match read.parse::<ImageRef>() {
            Ok(_) => read.clone(),
            Err(_) => "hostfit.invalid/local".to_owned(),
        };
    }
    match &image.distro {
        Some((distro, Proof::Hint)) => published_reference(distro),
        _ => "registry.example/shop/app:1".to_owned(),
    }
}

/// The name under which a distribution publishes its base image.
fn published_reference(distro: &str) -> String {
    let (id, version) = distro.split_once(' ').unwrap_or((distro, ""));
    let major = version.split('.').next().unwrap_or_default();
    let repository = match id {
        "rhel" if matches!(major, "5" | "6" | "7") => {
            format!("registry.access.redhat.com/rhel{major}")
        }
        "rhel" => format!("registry.access.redhat.com/ubi{major}/ubi"),
        "sles" => "registry.suse.com/bci/bci-base".to_owned(),
        "amzn" => "docker.io/library/amazonlinux".to_owned(),
        "ol" => "docker.io/library/oraclelinux".to_owned(),
        "rocky" => "docker.io/library/rockylinux".to_owned(),
        "opensuse-leap" => "registry.opensuse.org/opensuse/leap".to_owned(),
        "mariner" => "mcr.microsoft.com/cbl-mariner/base/core".to_owned(),
        "azurelinux" => "mcr.microsoft.com/azurelinux/base/core".to_owned(),
        id => format!("docker.io/library/{id}"),
    };
    format!("{repository}:{version}")
}

/// A digest that stands for the base layers of the image at `index`.
fn chain(index: usize) -> Result<Digest, String> {
    let digest = format!("sha256:{index:064x}").parse();
    digest.map_err(|error| format!("{error}"))
}

/// The base image that is followed where an image is proven by its layers.
pub(super) fn followed(index: usize, image: &Image) -> Result<Option<(Digest, KnownBase)>, String> {
    let Some((distro, Proof::Layers)) = &image.distro else {
        return Ok(None);
    };
    let (id, version) = distro.split_once(' ').unwrap_or((distro, ""));
    let base = KnownBase {
        name: format!("{id}:{version}"),
        distribution: Some((Distribution::new(id, version), Strength::Stated)),
        source: format!("BaseImage {id}"),
    };
    Ok(Some((chain(index)?, base)))
}

/// The layers of a published base image, from the table that is built in.
fn published(base: &str, architecture: &str) -> Result<Digest, String> {
    let mut tables = Table::ALL.into_iter();
    let table = tables.find(|table| table.name == "known_bases");
    let mut rows = table.into_iter().flat_map(|table| table.rows());
    let row = rows.find(|row| {
        let own = row.get(1).and_then(|it| it.split('/').next());
        row.first() == Some(&base) && own == Some(architecture)
    });
    let row = row.ok_or_else(|| {
        format!("image: no base {base} for {architecture} is published: write distro and proven")
    })?;
    let chain = row.get(5).and_then(|chain| chain.parse().ok());
    chain.ok_or_else(|| format!("image: {base} has no chain"))
}

/// What is known of the image at `index`; of a real one, what was read.
pub(super) fn facts(
    index: usize,
    image: &Image,
    images: &Images,
) -> Result<Arc<Fact<ImageFacts>>, String> {
    match &image.detail.read {
        None => told(index, image).map(Arc::new),
        Some(read) => match images.get(read) {
            Some(Ok(facts)) => Ok(facts.clone()),
            Some(Err(why)) => Err(format!("image: {why}")),
            None => Err(format!("image: {read} is not read")),
        },
    }
}

fn told(index: usize, image: &Image) -> Result<Fact<ImageFacts>, String> {
    let detail = &image.detail;
    let registry = || "registry.example".to_owned();
    let unreachable = |why| Gap::Unreachable {
        registry: registry(),
        why,
    };
    let garbage = || Gap::Malformed {
        what: "the manifest cannot be read".to_owned(),
    };
    let gap = match detail.registry {
        RegistrySays::Answers
        | RegistrySays::AnswersGarbageForConfigs
        | RegistrySays::AnswersGarbageForLayers => None,
        RegistrySays::RefusesAccess => Some(Gap::Unauthorized {
            registry: registry(),
        }),
        RegistrySays::RefusesAccessWithoutSecret => Some(Gap::SecretNotRead {
            registry: registry(),
            secret: "shop/regcred".to_owned(),
            why: Withheld::NotPermitted,
        }),
        RegistrySays::LimitsOurRate => Some(Gap::RateLimited {
            registry: registry(),
        }),
        RegistrySays::IsTooSlow => Some(Gap::NotFetchedInTime),
        RegistrySays::HasNoSuchImage => Some(Gap::NotFound {
            registry: registry(),
        }),
        RegistrySays::CannotBeReached => Some(unreachable(Unreachable::NoAnswer)),
        RegistrySays::MayNotBeAsked => Some(unreachable(Unreachable::NotAllowed)),
        RegistrySays::AnswersGarbage => Some(garbage()),
    };
    if let Some(gap) = gap {
        return Ok(Fact::Unknown(gap));
    }
    let default = || vec!["linux/amd64".to_owned()];
    let platforms = detail.platforms.clone().unwrap_or_else(default);
    let evidence = || Evidence::new(Strength::Stated, "config");
    let one = |text: &String| {
        let platform = platform(text)?;
        let contents = match detail.registry {
            RegistrySays::AnswersGarbageForConfigs => Fact::Unknown(garbage()),
            _ => Fact::Known(contents(index, image, &platform.architecture)?, evidence()),
        };
        Ok(PlatformFacts { platform, contents })
    };
    let facts = ImageFacts {
        digest: chain(usize::MAX)?,
        platforms: platforms.iter().map(one).collect::<Result<_, String>>()?,
        left_out: 0,
    };
    Ok(Fact::Known(facts, evidence()))
}

/// `linux/arm64/v8`, or `windows/amd64 10.0.20348.2966`.
fn platform(text: &str) -> Result<Platform, String> {
    let (text, os_version) = match text.split_once(' ') {
        Some((text, version)) => (text, Some(version.to_owned())),
        None => (text, None),
    };
    let mut parts = text.split('/');
    let (Some(os), Some(architecture)) = (parts.next(), parts.next()) else {
        return Err(format!("{text:?} is not like linux/amd64"));
    };
    Ok(Platform {
        variant: parts.next().map(str::to_owned),
        os_version,
        ..Platform::new(os, architecture)
    })
}

fn contents(index: usize, image: &Image, architecture: &str) -> Result<Contents, String> {
    let detail = &image.detail;
    let mut chain_ids = Vec::new();
    if let Some(base) = &detail.base {
        chain_ids.push(published(base, architecture)?);
    }
    chain_ids.extend(followed(index, image)?.map(|(chain, _)| chain));
    // What somebody put on top of the base.
    chain_ids.push(chain(1_000 + index)?);
    let mut labels = detail.labels.clone();
    let mut annotations = detail.annotations.clone();
    if let Some((distro, Proof::Stated)) = &image.distro {
        let key = "org.opencontainers.image.base.name".to_owned();
        annotations.insert(key, published_reference(distro));
    }
    for (key, value) in annotations {
        labels.entry(key).or_insert(value);
    }
    Ok(Contents {
        chain_ids,
        labels,
        history: detail.history.clone(),
        env: detail.env.clone(),
        zstd: detail.zstd.map(|zstd| match zstd {
            Zstd::Oci => image::Zstd::Oci,
            Zstd::Docker => image::Zstd::Docker,
        }),
        is_schema1: detail.schema1,
        start: image::Start {
            user: detail.user.clone(),
            ports: detail.ports.clone(),
            ..image::Start::default()
        },
        files: match &detail.files {
            Some(files) => files.files()?.into(),
            None if detail.registry == RegistrySays::AnswersGarbageForLayers => {
                Reading::Unreadable {
                    what: "a layer of it holds no tar archive".to_owned(),
                }
            }
            None => Reading::NotRead,
        },
        ..Contents::default()
    })
}
