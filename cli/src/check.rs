//! `hostfit check image`, and `explain image`, which tells besides what is known of the images.

use std::collections::HashMap;

use anyhow::Context as _;
use hostfit_engine::finding::plain;
use hostfit_engine::host::Host;
use hostfit_engine::landing::Fleet;
use hostfit_engine::matrix::{Knowledge, evaluate};
use hostfit_engine::policy::Policy;
use hostfit_engine::verdict::{Judgement, Reason, Verdict};
use hostfit_engine::workload::{Placement, Role, Workload, WorkloadImage};
use hostfit_registry::Platforms;

use crate::advice;
use crate::document::{Builder, Kind, Origin, Subject};
use crate::exit::{Exit, Trouble};
use crate::flags::{Common, Format};
use crate::hosts::{HostArg, add};
use crate::images;
use crate::out::say;
use crate::print;
use crate::read::{Image, ReadArgs, Reader};
use crate::render;
use crate::style;
use crate::survey::{Question, Survey};

/// Longest name of an image that is shown.
const TEXT: usize = 400;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Images: references, oci:DIR[:NAME|@DIGEST] or docker-archive:FILE[:NAME].
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
    /// Where they are to run: builtin/NAME, file:PATH with HostProfiles, local, or a HostProfile of the cluster. Several are
    /// judged one by one; all of the cluster, if none is named.
    #[arg(long, value_name = "HOST", env = "HOSTFIT_HOST", value_delimiter = ',', add = crate::completion::hosts())]
    host: Vec<HostArg>,
    #[command(flatten)]
    reading: ReadArgs,
}

/// An image on a host, judged.
pub(crate) struct Cell<'a> {
    pub(crate) image: &'a Image,
    pub(crate) host: &'a Host,
    pub(crate) judgement: Judgement,
}

pub(crate) async fn run(args: Args, common: &Common, is_explained: bool) -> Result<Exit, Trouble> {
    let known = [
        &[Format::Table, Format::Wide, Format::Name],
        &render::FORMATS[..],
    ]
    .concat();
    let command = if is_explained {
        "explain image"
    } else {
        "check image"
    };
    let format = common.output.format.one_of(&known, command)?;
    let (survey, hosts) = hosts(&args, common).await?;
    let all = Fleet::of_hosts(hosts.iter().map(|(host, _)| host.clone()).collect());
    let platforms = Platforms::of(all.platforms());
    let mut reader = Reader::new(&args.reading);
    let mut images = Vec::new();
    for named in &args.images {
        let known = survey.as_ref().and_then(|survey| survey.image(named));
        images.push(match known {
            Some(image) => image,
            None => reader.read(named, &platforms).await?,
        });
    }
    let now = common.now();
    let today = hostfit_crds::date(now);
    let policy = Policy::report_only();
    // What a cluster follows with BaseImages counts for images that are not in it yet.
    let catalog = survey.as_ref().map(|it| it.catalog.clone());
    let catalog = catalog.unwrap_or_default();
    let mut cells = Vec::new();
    for image in &images {
        for (host, _) in &hosts {
            let fleet = Fleet::of_hosts(vec![host.clone()]);
            let knowledge = Knowledge {
                fleet: &fleet,
                catalog: &catalog,
                rules: &policy.rules,
                today,
                exceptions: &[],
            };
            let judgement = evaluate(&workload(image), &[&*image.facts], &knowledge);
            cells.push(Cell {
                image,
                host,
                judgement,
            });
        }
    }
    let fix = |reason: &Reason| match &survey {
        Some(survey) => survey.fix_of_image(reason),
        None => advice::fix(&reason.finding),
    };
    match format {
        Format::Table | Format::Wide => {
            if is_explained {
                for image in &images {
                    images::table(image, &catalog);
                }
            }
            print::table(&cells, &fix);
        }
        Format::Name => {
            let told = |cell: &Cell<'_>| is_explained || cell.judgement.verdict != Verdict::Pass;
            for image in &images {
                let mut on_hosts = cells.iter().filter(|cell| std::ptr::eq(cell.image, image));
                if on_hosts.any(told) {
                    say!("{}", plain(&image.named, TEXT));
                }
            }
        }
        format => {
            let mut document = Builder::new(Kind::Check, None, &catalog, Box::new(fix), now);
            for (host, origin) in &hosts {
                document.host(host, *origin);
            }
            for cell in &cells {
                document.add(&Subject {
                    target: None,
                    workload: &workload(cell.image),
                    named: std::slice::from_ref(&cell.image.named),
                    facts: &[&*cell.image.facts],
                    judgement: &cell.judgement,
                });
            }
            render::print(format, &document.finish())?;
        }
    }
    let verdicts = cells.iter().map(|cell| cell.judgement.verdict);
    let exit = common.output.fail_on.exit(verdicts.clone());
    if !matches!(format, Format::Table | Format::Wide) {
        let unknown = verdicts.filter(|it| *it == Verdict::Unknown);
        style::unknown_beside(exit, unknown.count());
    }
    Ok(exit)
}

/// The hosts that are named, with who says what they offer, else those of the cluster; and what was asked for them.
async fn hosts(
    args: &Args,
    common: &Common,
) -> anyhow::Result<(Option<Survey>, Vec<(Host, Origin)>)> {
    let mut named = args.host.iter();
    let profile = named.find(|arg| matches!(arg, HostArg::Profile(_)));
    let is_asked = args.host.is_empty() || profile.is_some() || common.cluster.snapshot.is_some();
    let mut survey = match is_asked {
        false => None,
        true => {
            let question = Question {
                common,
                reading: &args.reading,
                files: &[],
                hosts: &[],
                targets: &[],
            };
            let read = Survey::of_hosts(&question).await;
            let read = read.with_context(|| match profile {
                Some(profile) => {
                    let instead = profile.built_in_instead().unwrap_or_else(|| {
                        format!(
                            "write builtin/NAME ({} catalog list hosts), file:PATH or local without one",
                            crate::program()
                        )
                    });
                    format!("--host {profile} is a HostProfile of a cluster ({instead})")
                }
                None => format!(
                    "add --host builtin/NAME ({} catalog list hosts): without --host a cluster is asked for its hosts",
                    crate::program()
                ),
            });
            Some(read?)
        }
    };
    let mut hosts = Vec::new();
    let mut origins = HashMap::new();
    for arg in &args.host {
        let named = match &mut survey {
            Some(survey) => {
                let named = survey.hosts(arg)?;
                survey.say_of(arg, &named);
                named
            }
            None => arg.read()?,
        };
        let origin = |host: &Host| {
            let observed = survey.as_ref().map(|survey| survey.origin(host));
            arg.origin().or(observed).unwrap_or(Origin::Observed)
        };
        for host in named {
            origins.insert(host.name.clone(), origin(&host));
            add(&mut hosts, host)?;
        }
    }
    let origin = |host: Host| {
        let origin = origins.get(&host.name).copied();
        (host, origin.unwrap_or(Origin::Observed))
    };
    let mut hosts: Vec<_> = hosts.into_iter().map(origin).collect();
    if let Some(survey) = survey.as_ref().filter(|_| args.host.is_empty()) {
        let all = survey.fleet.hosts().iter();
        hosts.extend(all.map(|host| (host.clone(), survey.origin(host))));
    }
    Ok((survey, hosts))
}

/// A pod of the image alone, which says nothing of itself.
fn workload(image: &Image) -> Workload {
    let reference = Ok(image.reference.clone());
    Workload {
        images: vec![WorkloadImage::new("image", Role::Container, reference)],
        placement: Placement::default(),
    }
}
