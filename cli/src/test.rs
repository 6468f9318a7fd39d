//! `hostfit test DIR`: cases that people write of their matrix, judged as the cluster would, before it is applied.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use hostfit_engine::finding::plain;
use hostfit_engine::image::ImageRef;
use hostfit_registry::Platforms;

use crate::cases::{Answer, Broken, Difference, Folder, Images, Located, Question};
use crate::exit::{Exit, Trouble};
use crate::flags::{Common, Format};
use crate::progress::Progress;
use crate::read::{ReadArgs, Reader};

mod shown;

/// What a file of cases looks like, for who has none.
const EXAMPLE: &str = "\
cases:
- case: RHEL 10 needs a newer CPU than our oldest hosts have
  image: rhel 10 (layers)
  host: {like: builtin/rhel-9, cpuLevel: 2}
  expect: Fail (HF101 Fail)
";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder with cases, and the SupportMatrices, CompatExceptions and HostProfiles that they are judged with.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Only cases whose file or name holds this text.
    #[arg(long, value_name = "TEXT", env = "HOSTFIT_RUN")]
    run: Option<String>,
    #[command(flatten)]
    reading: ReadArgs,
}

/// What came of the cases of a folder.
struct Results {
    judged: Vec<Judged>,
    /// What could not be read, or not be judged.
    broken: Vec<Broken>,
    /// What whoever wrote an object may not have meant.
    notes: Vec<String>,
}

/// A case that was judged.
struct Judged {
    located: Located,
    answer: Answer,
    differences: Vec<Difference>,
}

impl Results {
    fn differing(&self) -> impl Iterator<Item = &Judged> {
        let judged = self.judged.iter();
        judged.filter(|it| !it.differences.is_empty())
    }

    fn exit(&self) -> Exit {
        match (self.broken.is_empty(), self.differing().next()) {
            (false, _) => Exit::Trouble,
            (true, Some(_)) => Exit::Findings,
            (true, None) => Exit::Fine,
        }
    }
}

pub(crate) async fn run(args: Args, common: &Common) -> Result<Exit, Trouble> {
    let format = common.output.format.one_of(&shown::FORMATS, "test")?;
    let results = results(&args, common).await?;
    shown::broken(&results.broken);
    for note in results.notes.iter().filter(|_| !common.output.quiet) {
        eprintln!("note: {}", plain(note, 300));
    }
    match format {
        Format::Json | Format::Yaml => shown::object(format, &results)?,
        Format::Junit => shown::junit(&results)?,
        format => shown::table(&results, format, common.output.quiet),
    }
    Ok(results.exit())
}

async fn results(args: &Args, common: &Common) -> anyhow::Result<Results> {
    let dir = args.dir.display();
    let metadata = std::fs::metadata(&args.dir).with_context(|| format!("read {dir}"))?;
    if !metadata.is_dir() {
        bail!("{dir} is no folder: name the one in which it stands, and --run {dir}");
    }
    let Folder {
        mut cases,
        mut broken,
        world,
    } = Folder::read(&args.dir, common.now())?;
    if cases.is_empty() && broken.is_empty() {
        bail!(
            "there is no case in {dir}, so nothing is tested. A file of cases looks like this:\n\n{EXAMPLE}"
        );
    }
    if let Some(text) = &args.run {
        let all = cases.len();
        cases.retain(|it| it.file.contains(text) || it.case.name.contains(text));
        if cases.is_empty() && all > 0 {
            bail!("none of the {all} cases in {dir} has {text:?} in its file or name");
        }
    }
    let images = images(&cases, &world, args, common).await?;
    let mut judged = Vec::new();
    for located in cases {
        match Question::of(&located.case, &world, &images) {
            Ok(question) => {
                let answer = question.answer();
                judged.push(Judged {
                    differences: answer.differences(&located.case),
                    answer,
                    located,
                });
            }
            Err(why) => broken.push(located.broken(why)),
        }
    }
    Ok(Results {
        judged,
        broken,
        notes: world.notes,
    })
}

/// Reads the real images of the cases, each once, for the hosts of all of them. Without one nobody is asked.
async fn images(
    cases: &[Located],
    world: &crate::cases::World,
    args: &Args,
    common: &Common,
) -> anyhow::Result<Images> {
    let mut images = Images::new();
    let with_images = cases.iter().filter(|it| it.case.real_images().count() > 0);
    let fleets = with_images.filter_map(|it| it.case.fleet(world).ok());
    let platforms: BTreeSet<_> = fleets.flat_map(|fleet| fleet.platforms()).collect();
    let platforms = Platforms::of(platforms);
    let mut reader = Reader::new(&args.reading);
    let mut references = BTreeSet::new();
    let wanted = cases.iter().flat_map(|it| it.case.real_images());
    for named in wanted.collect::<BTreeSet<_>>() {
        if let Ok(reference) = named.parse::<ImageRef>() {
            references.insert((reference, named));
            continue;
        }
        let read = reader.read(named, &platforms).await;
        let facts = read.map(|image| image.facts);
        images.insert(
            named.to_owned(),
            facts.map_err(|error| format!("{error:#}")),
        );
    }
    if !references.is_empty() {
        let progress = Progress::new(&common.output);
        let wanted = references.iter().map(|(reference, _)| reference.clone());
        let read = reader
            .read_all(wanted.collect(), &platforms, &progress)
            .await?;
        for (reference, named) in references {
            if let Some(facts) = read.get(&reference) {
                images.insert(named.to_owned(), Ok(Arc::clone(facts)));
            }
        }
    }
    Ok(images)
}
